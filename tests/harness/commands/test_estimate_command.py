"""`harness estimate`: what it says beforehand is what the run then does, and without --probe it sends nothing."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from support.cli import Finished
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "sk-test-estimate-0123456789"
CHAT, COMPLETIONS = "POST /v1/chat/completions", "POST /v1/completions"
PRICES = (
    '[prices."base-model"]\ninput = 2.0\noutput = 8.0\ntraining = 5.0\n'
    '[prices."ft:base-model"]\ninput = 3.0\noutput = 12.0\n'
)
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(60), api_key=KEY, seed=5, vocabulary="o200k_base") as running:
        yield running


def write(lab: Lab, provider: Provider, *arms: str, more: str = PRICES, head: str = "") -> None:
    lab.write("".join(arms), head=f"{head}\n{endpoint(provider.base_url)}{more}{SPLIT}")


def ask(lab: Lab, *options: str) -> tuple[dict[str, Any], Finished]:
    done = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json", *options)
    return json.loads(done.out) if done.out else {}, done


def arms_of(estimate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {arm["name"]: arm for arm in estimate["arms"]}


def sent(provider: Provider) -> int:
    return sum(provider.counts().get(path, 0) for path in (CHAT, COMPLETIONS))


CHOICE = '[arms.choose]\n"shots.draw" = [1, 2, 3]\nitems = 5\n'


def test_the_run_does_what_the_estimate_says(lab: Lab, provider: Provider) -> None:
    chosen = few_shot("chosen", k=2, extra=CHOICE)
    write(lab, provider, few_shot("zero"), chosen, fine_tuned("tuned"), few_shot("again"), head="repeats = 2")
    before, done = ask(lab)
    assert done.code == 0, done
    assert provider.counts() == {}
    assert not lab.runs
    assert lab.run().code == 0
    found = arms_of(before)
    assert sent(provider) == before["total"]["requests"]
    assert found["again"]["requests"] == 0  # the very same requests as those of "zero"
    asked_by = "CASE arm WHEN 'again' THEN 'zero' ELSE arm END"
    told = lab.journal(f"SELECT {asked_by}, count(*), sum(usd) FROM answers GROUP BY 1")
    for arm, count, usd in told:
        assert found[arm]["requests"] == count, arm
        band = found[arm]["usd"]
        trained = found[arm]["training"]["usd"] if found[arm]["training"] else 0.0
        assert band["low"] <= (usd + trained) * (1 + 1e-9) <= band["high"], arm
        assert band["expected"] - trained == pytest.approx(usd, rel=0.05), arm
    read = {row["arm"]: 0 for row in lab.predictions()}
    for row in lab.predictions():
        read[row["arm"]] += row["input_tokens"]
    test = found["tuned"]["requests_for"]["test"]
    assert found["tuned"]["per_request"]["input_tokens"] * test == pytest.approx(read["tuned"], rel=0.02)
    (result,) = lab.journal("SELECT result FROM jobs")
    billed = json.loads(result[0])
    assert found["tuned"]["training"]["usd"] == pytest.approx(billed["usd"])
    ledger = lab.results()["ledger"]
    assert ledger["spent_usd"] == pytest.approx(sum(row[2] for row in told) + billed["usd"])

    after, done = ask(lab)
    assert done.code == 0
    assert after["total"]["requests"] == 0
    assert after["total"]["usd"] == {"low": 0, "expected": 0, "high": 0}
    assert after["total"]["answers_known"] >= sum(row[1] for row in told)
    assert arms_of(after)["tuned"]["training"]["known"] == 1
    assert after["total"]["spent_usd"] == pytest.approx(ledger["spent_usd"])
    assert after["total"]["seconds"] == 0


def test_an_added_arm_is_all_that_is_left(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"))
    assert lab.run().code == 0
    write(lab, provider, few_shot("zero"), few_shot("shots", k=2))
    after, _ = ask(lab)
    found = arms_of(after)
    n = len(lab.predictions())
    assert (found["zero"]["requests"], found["zero"]["answers_known"]) == (0, n)
    assert (found["shots"]["requests"], found["shots"]["answers_known"]) == (n, 0)
    assert after["total"]["seconds"] is None
    assert "measured" in found["shots"]["seconds_reason"]


def test_candidates_that_a_choice_has_left_out_are_not_counted(lab: Lab, provider: Provider) -> None:
    limited = few_shot("a", k=2, extra=f"{CHOICE}budget = {{ seconds = 0.000001 }}\n")
    write(lab, provider, limited)
    assert lab.run().code == 0
    (choice,) = lab.results()["choices"]
    assert (choice["tried"], choice["skipped"]) == (1, 2)
    after, _ = ask(lab)
    assert after["total"]["requests"] == 0
    write(lab, provider, limited, few_shot("zero"))
    added, _ = ask(lab)
    assert arms_of(added)["a"]["requests"] == 0
    before = sent(provider)
    assert lab.run().code == 0
    assert sent(provider) - before == added["total"]["requests"]
    # an earlier version did not note what was chosen among
    for folder in lab.runs:
        with contextlib.closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
            journal.execute("UPDATE notes SET value = json_remove(value, '$.of')")
    assert ask(lab)[0]["total"]["requests"] == 0


@pytest.mark.parametrize("reasoning", [0, 2000], ids=["as estimated", "dearer than estimated"])
def test_what_a_choice_has_spent_counts_towards_another_budget(lab: Lab, provider: Provider, reasoning: int) -> None:
    provider.set(reasoning_tokens=reasoning)
    choose = CHOICE.replace("[1, 2, 3]", "[1, 2, 3, 4, 5, 6, 7, 8]")

    def limit(usd: float) -> None:
        write(lab, provider, few_shot("a", k=2, extra=f"{choose}budget = {{ usd = {usd} }}\n"))

    limit(0.003)
    assert lab.run().code == 0
    (first,) = lab.results()["choices"]
    assert first["why_skipped"] == {"usd": first["skipped"]}
    limit(0.9 * first["usd"] if reasoning else first["usd"] + 0.003)
    foreseen, _ = ask(lab)
    before = sent(provider)
    assert lab.run().code == 0
    (second,) = lab.results()["choices"]
    assert second["tried"] - first["tried"] == (0 if reasoning else 2)
    assert foreseen["total"]["requests"] == sent(provider) - before


def test_jobs_that_a_choice_has_paid_count_towards_its_budget(lab: Lab, provider: Provider) -> None:
    choose = '[arms.choose]\n"backend.n_epochs" = [1, 2, 3]\ncheckpoints = false\n'

    def limit(usd: float) -> None:
        arm = fine_tuned("tuned", options=', suffix = "paid"') + choose + f"budget = {{ usd = {usd} }}\n"
        write(lab, provider, arm, few_shot("zero"))

    limit(0.031)  # of the jobs alone, without the answers
    assert lab.run().code == 0
    (first,) = lab.results()["choices"]
    assert (first["tried"], first["skipped"]) == (2, 1)
    limit(0.019)  # it covers the third alone, not beside the others
    foreseen, _ = ask(lab)
    before, jobs = sent(provider), len(provider.jobs())
    assert lab.run().code == 0
    (second,) = lab.results()["choices"]
    assert (second["tried"], second["skipped"]) == (2, 1)
    assert foreseen["total"]["requests"] == sent(provider) - before == 0
    assert len(provider.jobs()) == jobs


def test_label_prices_are_part_of_what_is_paid_back(lab: Lab, provider: Provider) -> None:
    decision = "[decision]\nlabel_usd = 0.5\n"
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), more=PRICES + decision)
    before, _ = ask(lab)
    assert lab.run().code == 0
    (line,) = [line for line in lab.results()["payback"] if line["role"] == "best-prompt"]
    assert before["payback"][0]["fixed"] == pytest.approx(line["fixed"], rel=0.05)
    assert line["fixed"] > 24 * 0.5


def test_what_was_drawn_by_chance_is_asked_anew_in_another_run(lab: Lab, provider: Provider) -> None:
    drawn = few_shot("drawn", options=", extra_body = { temperature = 0.5 }")
    write(lab, provider, drawn)
    assert lab.run().code == 0
    n = len(lab.predictions())
    write(lab, provider, drawn, few_shot("zero"))
    found, _ = ask(lab)
    arm = arms_of(found)["drawn"]
    assert (arm["requests"], arm["answers_known"]) == (n, 0)
    before = sent(provider)
    assert lab.run().code == 0
    assert sent(provider) - before == found["total"]["requests"]


def test_a_batch_may_cost_as_much_as_asking_at_once(lab: Lab, provider: Provider) -> None:
    arm = few_shot("zero", options=', answer = "choose"')
    write(lab, provider, arm)
    at_once = arms_of(ask(lab)[0])["zero"]["usd"]
    write(lab, provider, arm, head='executor = { plugin = "openai-batch" }')
    found, _ = ask(lab)
    zero = arms_of(found)["zero"]
    assert zero["usd"]["low"] == pytest.approx(at_once["low"] / 2)
    assert zero["usd"]["high"] == pytest.approx(at_once["high"])
    assert zero["seconds"] is None
    assert any("batch price: assumed" in remark for remark in found["uncertain"])


def test_payback_is_foreseen_as_the_run_buys_its_answers(lab: Lab, provider: Provider) -> None:
    """By the batch both arms cost half, and so does what a request saves: in the run, and before it."""
    both = few_shot("zero", k=2), fine_tuned("tuned")
    write(lab, provider, *both, more=PRICES)
    (at_once,) = ask(lab)[0]["payback"]
    hosted = "[decision]\nrequests_per_month = 1_000\nhosting_usd_per_month = 900\n"
    write(lab, provider, *both, more=PRICES + hosted, head='executor = { plugin = "openai-batch" }')
    (batch,) = ask(lab)[0]["payback"]
    assert batch["saving_per_1k"] == pytest.approx(at_once["saving_per_1k"] / 2)
    assert batch["fixed"] == at_once["fixed"]
    assert (at_once["monthly"], batch["monthly"]["cost"], batch["monthly"]["requests"]) == (None, 900, None)
    told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs").out
    assert "never pays back at 1,000 requests a month" in told
    write(lab, provider, *both, more=PRICES.replace("training = 5.0\n", ""))
    told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs").out
    assert "payback not known. What the training of tuned cost is not known" in told


def test_dollars_by_hand_and_what_can_be_shown(lab: Lab, provider: Provider) -> None:
    from harness.scoring.statistics import smallest_difference

    write(lab, provider, few_shot("zero", options=', answer = "choose"'), fine_tuned("tuned"))
    found, _ = ask(lab)
    arm = arms_of(found)["zero"]
    assert arm["output_tokens"] == {"low": arm["requests"], "expected": arm["requests"], "high": arm["requests"]}
    usd = (arm["input_tokens"] * 2.0 + arm["requests"] * 8.0) / 1e6
    assert arm["usd"]["low"] == pytest.approx(usd)
    assert arm["usd"]["high"] == pytest.approx(usd)
    job = arms_of(found)["tuned"]["training"]
    assert job["usd"] == pytest.approx(job["tokens"] * 5.0 / 1e6)
    n = found["power"]["test"]
    assert found["power"]["smallest_difference"] == smallest_difference(n, found["power"]["assumed_discordance"])
    (line,) = found["payback"]
    asked = {name: arm["per_request"] for name, arm in arms_of(found).items()}
    saved = asked["zero"]["usd"] - asked["tuned"]["usd"]
    assert (line["arm"], line["against"]) == ("tuned", "zero")
    assert line["saving_per_1k"] == pytest.approx(1000 * saved)
    assert line["requests"] == math.ceil(job["usd"] / saved)
    assert any("tokens are counted in o200k_base" in each for each in found["uncertain"])


def test_no_price_is_no_dollar(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), few_shot("priced", model="gpt-4.1-mini"), more="")
    found, done = ask(lab)
    assert done.code == 0
    arms = arms_of(found)
    assert arms["zero"]["usd"] is None
    assert arms["zero"]["usd_reason"] == "no price is known"
    assert arms["priced"]["usd"]["expected"] > 0
    assert found["total"]["unpriced"] == ["zero"]
    _, done = ask(lab, "--max-usd", "1")
    assert done.code == 2
    assert '[prices."base-model"]' in done.err


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ("", "no bill"),
        ("[prices.local]\nhour = 1.5\n", "what an hour of it costs counts by the time that the run takes"),
    ],
)
def test_this_machine_sends_no_bill_but_its_hours_may_cost(lab: Lab, prices: str, reason: str) -> None:
    options = 'plugin = "few-shot", endpoint = "local", model = "HuggingFaceTB/SmolLM2-135M-Instruct"'
    lab.write(f'[[arms]]\nname = "here"\nbackend = {{ {options} }}\n', head=prices + SPLIT)
    found, done = ask(lab)
    assert done.code == 0, done
    assert arms_of(found)["here"]["usd_reason"] == f"runs on this machine: {reason}"
    assert found["total"]["unpriced"] == []


def test_the_upper_bound_is_held_against_the_budget(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"))
    found, done = ask(lab)
    most = found["total"]["usd"]["high"]
    _, done = ask(lab, "--max-usd", str(most * 1.001))
    assert done.code == 0, done
    _, done = ask(lab, "--max-usd", str(most * 0.999))
    assert done.code == 3, done
    assert "more than the budget" in done.err
    assert provider.counts() == {}


def test_lines_for_people(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"))
    done = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs")
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].split()[:2] == ["arm", "requests"]
    assert lines[1].split()[0] == "zero"
    assert lines[-1].startswith("total: ")
    assert lines[-2].startswith("uncertain: ")
    assert "\x1b" not in done.out


def test_a_wrong_experiment(lab: Lab, provider: Provider) -> None:
    lab.write(few_shot("zero"), head="sede = 1")
    assert ask(lab)[1].code == 2


def test_a_probe_says_what_endpoints_do(lab: Lab, provider: Provider) -> None:
    provider.set(cached_share=0.5, reasoning_tokens=3, shutdown_dates={"base-model": "2027-01-14"})
    chosen = few_shot("choose", options=', answer = "choose"')
    write(lab, provider, few_shot("zero"), chosen, fine_tuned("tuned"))
    found, done = ask(lab, "--probe")
    assert done.code == 0, done
    zero, choose, tuned = found["probe"]
    assert (zero["asked"], zero["answered"], zero["works"], zero["usage"]) == (3, 3, True, True)
    assert zero["reasoning_tokens"] == 3
    assert zero["cached_tokens"] > 0
    assert zero["logprobs"] is None
    assert choose["logprobs"] is True
    assert tuned["works"] is None
    assert "trained" in tuned["skipped"]
    assert sent(provider) == 6
    assert found["shutdown"]["base-model"] == "2027-01-14"
    assert not lab.runs
    tokens = [
        (2.0 * (i - i // 2) + 2.0 * (i // 2) + 8.0 * o) / 1e6
        for i, o in zip(
            zero["input_tokens"] + choose["input_tokens"], zero["output_tokens"] + choose["output_tokens"], strict=True
        )
    ]
    assert found["total"]["probe_usd"] == pytest.approx(sum(tokens))
    arms = arms_of(found)
    assert arms["zero"]["seconds"] > 0
    assert "probe" in arms["zero"]["seconds_reason"]
    assert arms["zero"]["output_tokens"]["expected"] == pytest.approx(
        arms["zero"]["requests"] * sum(zero["output_tokens"]) / 3
    )
    bands = [arm["usd"]["high"] for arm in arms.values()]
    assert found["total"]["usd"]["high"] == pytest.approx(sum(bands) + found["total"]["probe_usd"])


def test_a_probe_of_an_arm_that_cannot_work(lab: Lab, provider: Provider) -> None:
    provider.set(ignores=["logprobs"])
    write(lab, provider, few_shot("choose", options=', answer = "choose"'), few_shot("zero"))
    found, done = ask(lab, "--probe")
    assert done.code == 2, done
    assert "log-probabilities" in done.err
    broken, zero = found["probe"]
    assert broken["works"] is False
    assert broken["cure"]
    assert (zero["works"], zero["answered"]) == (True, 3)


def test_a_probe_keeps_personal_data_as_a_run_does(lab: Lab, provider: Provider) -> None:
    data = lab.path / "data.csv"
    data.write_text(data.read_text(encoding="utf-8").replace(": ", ": anna@example.org "), encoding="utf-8")
    lab.write(few_shot("zero"), head=f'{endpoint(provider.base_url)}{PRICES}{SPLIT}pii = "stop"\n')
    _, done = ask(lab, "--probe")
    assert done.code == 3, done
    assert "[prepare].pii says stop: texts that seem to hold personal data or keys: email in 60 rows" in done.err
    assert not done.out
    assert provider.counts() == {}
    before, done = ask(lab)  # without a probe nothing leaves, and it is a remark
    assert done.code == 0, done
    assert any("[prepare].pii says stop" in remark for remark in before["uncertain"])


def test_a_probe_of_answers_that_name_no_label(lab: Lab, provider: Provider) -> None:
    provider.set(answer_template="I would rather not say.")
    write(lab, provider, few_shot("zero"))
    found, done = ask(lab, "--probe")
    assert done.code == 0
    (zero,) = found["probe"]
    assert (zero["unparsed"], zero["works"]) == (3, True)
    assert "no label was found" in zero["cure"]


def test_a_probe_of_an_unknown_model_and_of_a_wrong_key(
    lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lab, provider, few_shot("lost", model="no-such-model"), few_shot("zero"), more="")
    found, done = ask(lab, "--probe")
    assert done.code == 2
    assert [one["works"] for one in found["probe"]] == [False, True]
    monkeypatch.setenv("FAKE_KEY", "sk-wrong-000000000000")
    found, done = ask(lab, "--probe")
    assert done.code == 2
    assert "FAKE_KEY" in done.err
    assert "sk-wrong" not in done.err + done.out
    monkeypatch.delenv("FAKE_KEY")
    assert ask(lab)[1].code == 0  # nothing is sent, so no key is needed
    assert ask(lab, "--probe")[1].code == 2


def test_a_provider_that_does_not_count(lab: Lab, provider: Provider) -> None:
    provider.set(usage=False)
    write(lab, provider, few_shot("zero"), few_shot("model", model="gpt-4.1-mini"))
    found, _ = ask(lab, "--probe")
    assert [one["usage"] for one in found["probe"]] == [False, False]
    provider.reset()
    estimated, _ = ask(lab)
    assert lab.run().code == 0
    for name, arm in lab.arms().items():
        assert arm["tokens_estimated"] is True
        said = arms_of(estimated)[name]["per_request"]
        assert arm["input_tokens_mean"] == pytest.approx(said["input_tokens"])
        assert arm["cost_per_1k_usd"] == pytest.approx(1000 * said["usd"])
    rows = lab.predictions()
    assert all(row["tokens_estimated"] for row in rows)
    page = (lab.folder / "report.html").read_text(encoding="utf-8")
    assert "are estimated" in page
    spent = lab.results()["ledger"]["spent_usd"]
    assert spent == pytest.approx(sum(row["cost_usd"] for row in rows))
