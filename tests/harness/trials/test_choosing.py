"""Choosing on validation, over real HTTP: every key, budgets that hold, checkpoints, jobs side by side."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.lab import Lab, call, endpoint, few_shot, task
from support.provider import Provider
from support.stops import running

from harness.experiment import candidates
from harness.running import abreast, arm_training
from harness.trials import choosing, notes, search, sweeps

ITEMS, VALIDATION, TEST = 90, 18, 36
CHAT, COMPLETIONS, CREATE = "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/fine_tuning/jobs"
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"
PRICES = (
    '[prices."base-model"]\ninput = 1.0\noutput = 1.0\ntraining = 5.0\n'
    '[prices."ft:base-model"]\ninput = 1.0\noutput = 1.0\n'
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(ITEMS), accuracy=0.4, few_shot_accuracy=0.7, seed=9) as started:
        yield started


@pytest.fixture
def lab(tmp_path: Path, impatient: None) -> Lab:
    return Lab.make(tmp_path, ITEMS)


def write(lab: Lab, provider: Provider, *arms: str, prices: str = PRICES, head: str = "", options: str = "") -> None:
    lab.write("\n".join(arms), head=head, dataset=SPLIT + prices + endpoint(provider.base_url, options=options))


def tuned(lab: Lab, choose: str, *, options: str = "", name: str = "tuned", extra: str = "") -> str:
    """Returns a trained arm that chooses; what it trains is known to no other test."""
    suffix = f', suffix = "{abs(hash(lab.path.name)) % 10**8}"' if "suffix" not in options + choose else ""
    backend = f'plugin = "fine-tuned", endpoint = "fake", base = "base-model"{suffix}{options}'
    return f'[[arms]]\nname = "{name}"\nbackend = {{ {backend} }}\n{extra}[arms.choose]\n{choose}\n'


def choice(lab: Lab) -> dict[str, Any]:
    (found,) = lab.results()["choices"]
    return dict(found)


def settings(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [candidate["settings"] for candidate in found["candidates"]]


def test_every_key_of_a_training_reaches_its_job(lab: Lab, provider: Provider) -> None:
    before = len(provider.jobs())
    grid = (
        '"backend.n_epochs" = [1, 2]\n"backend.learning_rate_multiplier" = [0.5, 2.0]\n"backend.batch_size" = [4]\n'
        '"backend.hyperparameters.lora_r" = [16]\ncheckpoints = false'
    )
    write(lab, provider, tuned(lab, grid))
    assert lab.run().code == 0
    jobs = provider.jobs()[before:]
    asked = [job["method"]["supervised"]["hyperparameters"] for job in jobs]
    assert sorted((h["n_epochs"], h["learning_rate_multiplier"]) for h in asked) == [
        (1, 0.5), (1, 2.0), (2, 0.5), (2, 2.0),
    ]  # fmt: skip
    assert all(h["batch_size"] == 4 and h["lora_r"] == 16 for h in asked)
    found = choice(lab)
    assert len(found["candidates"]) == found["tried"] == found["combinations"] == 4
    by_epochs: dict[int, float] = {}
    for candidate in found["candidates"]:
        (job,) = [job for job in jobs if job["fine_tuned_model"] == candidate["model"]]
        assert candidate["trained_tokens"] == job["trained_tokens"]
        assert candidate["training_usd"] == pytest.approx(job["trained_tokens"] * 5 / 1e6)
        assert candidate["training_s"] is not None
        assert candidate["checkpoint"] is None
        by_epochs[candidate["settings"]["backend.n_epochs"]] = candidate["training_usd"]
    assert by_epochs[2] == pytest.approx(2 * by_epochs[1])
    every = [c["training_usd"] + c["cost_usd"] for c in found["candidates"]]
    assert found["usd"] == pytest.approx(sum(every))
    assert found["seconds"] == pytest.approx(sum(c["training_s"] + c["seconds"] for c in found["candidates"]))
    spent = lab.journal("SELECT total(usd) FROM answers")[0][0] + sum(c["training_usd"] for c in found["candidates"])
    assert lab.results()["ledger"]["spent_usd"] == pytest.approx(spent)


def test_what_a_run_has_spent_on_asking_is_its_own(lab: Lab, provider: Provider) -> None:
    def ran(*more: str) -> tuple[dict[str, Any], dict[str, float | None]]:
        write(lab, provider, few_shot("a", k=1, extra='[arms.choose]\n"shots.k" = [1, 2]\n'), chosen, *more)
        assert lab.run().code == 0
        results = lab.results(lab.runs[-1])
        (entry,) = [line for line in results["payback"] if line["role"] == "best-prompt"]
        return results, {line["name"]: line["usd"] for line in entry["investment"]}

    chosen = tuned(lab, '"backend.n_epochs" = [1, 2]\ncheckpoints = false')
    first, invested = ran()
    costs = {one["arm"]: sum(each["cost_usd"] for each in one["candidates"]) for one in first["choices"]}
    assert {one["arm"]: one["billed_usd"] for one in first["choices"]} == pytest.approx(costs)
    # The search for a prompt is asking, too; the trained arm's own has a line of its own.
    asked = first["ledger"]["spent_usd"] - first["ledger"]["training_usd"] - costs["tuned"]
    assert invested["evaluation"] == pytest.approx(asked)

    # At another price nothing is bought anew: what was billed stays.
    dear = PRICES.replace("input = 1.0", "input = 20.0")
    write(lab, provider, few_shot("a", k=1, extra='[arms.choose]\n"shots.k" = [1, 2]\n'), chosen, prices=dear)
    assert lab.run().code == 0
    dearer = lab.results(lab.runs[-1])
    assert {one["arm"]: one["billed_usd"] for one in dearer["choices"]} == pytest.approx(costs)

    second, again = ran(few_shot("b", k=3))
    assert [one["billed_usd"] for one in second["choices"]] == [0.0, 0.0]
    assert second["ledger"]["training_usd"] is None
    assert again == pytest.approx(invested | {"evaluation": second["ledger"]["spent_usd"]})


def test_a_price_of_training_decides_as_the_same_price_in_the_file(lab: Lab, provider: Provider) -> None:
    def investment(paybacks: list[dict[str, Any]]) -> dict[str, float | None]:
        (entry,) = [line for line in paybacks if line["against"] == "zero"][:1]
        return {"fixed": entry["fixed"]} | {line["name"]: line["usd"] for line in entry["investment"]}

    arms = few_shot("zero"), tuned(lab, '"backend.n_epochs" = [1, 2]\ncheckpoints = false')
    write(lab, provider, *arms)
    assert lab.run().code == 0
    decided = call("decide", lab.folder, "--price", "tuned.training=20", "--json")
    assert decided.code == 0, decided
    write(lab, provider, *arms, prices=PRICES.replace("training = 5.0", "training = 20.0"))
    assert lab.run().code == 0
    assert investment(json.loads(decided.out)["payback"]) == pytest.approx(investment(lab.results()["payback"]))


def test_every_key_of_a_prompt(lab: Lab, provider: Provider) -> None:
    grid = (
        'formatter.plugin = ["chat", "plain"]\n"formatter.instruction" = ["Say it.", "Which is it?"]\n'
        '"shots.k" = [0, 2]\n"shots.draw" = [1, 2]\n"shots.selector" = ["balanced", "random"]\n'
        "budget = { trials = 100 }\nitems = 6\n"
    )
    write(lab, provider, few_shot("a", k=1, extra=f"[arms.choose]\n{grid}"))
    assert lab.run().code == 0
    found = choice(lab)
    tried = settings(found)
    assert len(tried) == 4 * (1 + 2 * 2)  # with no shot draws and selectors make no difference
    assert found["combinations"] == 32
    assert {tuple(sorted(each)) for each in tried if each["shots.k"] == 0} == {
        ("formatter.instruction", "formatter.plugin", "shots.k")
    }
    assert found["chosen"]["shots.k"] == 2  # shots help this model
    assert len({candidate["accuracy"] for candidate in found["candidates"]}) > 1
    assert all(candidate["training_s"] is None for candidate in found["candidates"])


def test_of_equal_prompts_the_cheapest_is_taken(lab: Lab, provider: Provider) -> None:
    provider.set(accuracy=1.0, few_shot_accuracy=1.0)
    write(lab, provider, few_shot("a", k=1, extra='[arms.choose]\n"shots.k" = [4, 2, 3]\nitems = 8\n'))
    assert lab.run().code == 0
    found = choice(lab)
    assert {candidate["accuracy"] for candidate in found["candidates"]} == {1.0}
    costs = {candidate["settings"]["shots.k"]: candidate["cost_usd"] for candidate in found["candidates"]}
    assert costs[2] < costs[3] < costs[4]
    assert found["chosen"] == {"shots.k": 2}


def test_of_equal_prompts_without_a_price_the_shortest_is_taken(lab: Lab, provider: Provider) -> None:
    provider.set(accuracy=1.0, few_shot_accuracy=1.0)
    free = PRICES.replace("input = 1.0\noutput = 1.0", "input = 0.0\noutput = 0.0")
    write(lab, provider, few_shot("a", k=1, extra='[arms.choose]\n"shots.k" = [3, 1]\nitems = 8\n'), prices=free)
    assert lab.run().code == 0
    assert {candidate["cost_usd"] for candidate in choice(lab)["candidates"]} == {0.0}
    assert choice(lab)["chosen"] == {"shots.k": 1}


def test_calibration_and_whole_tables(lab: Lab, provider: Provider) -> None:
    grid = (
        '"backend.calibrate" = [false, true]\nitems = 4\n'
        'formatter = [{ plugin = "chat", instruction = "Say it." }, { plugin = "plain" }]\n'
    )
    write(lab, provider, few_shot("a", options=', answer = "choose"', extra=f"[arms.choose]\n{grid}"))
    assert lab.run().code == 0
    assert [each["backend.calibrate"] for each in settings(choice(lab))] == [False, False, True, True]
    plugins = [each["formatter"]["plugin"] for each in settings(choice(lab))]
    assert plugins == ["chat", "plain"] * 2
    # Calibrated or not, the items' requests are the same, and were paid once.
    costs = [each["cost_usd"] for each in choice(lab)["candidates"]]
    assert choice(lab)["usd"] == pytest.approx(max(costs[0], costs[2]) + max(costs[1], costs[3]))
    assert choice(lab)["usd"] < 0.7 * sum(costs)
    assert choice(lab)["billed_usd"] == pytest.approx(choice(lab)["usd"])
    assert choice(lab)["usd"] == pytest.approx(sum(costs) - choice(lab)["shared_usd"])


def test_of_more_combinations_than_trials_a_draw_is_tried(lab: Lab, provider: Provider) -> None:
    grid = f'"shots.draw" = {list(range(1, 41))}\nbudget = {{ trials = 3 }}\nitems = 3\n'
    write(lab, provider, few_shot("a", k=1, extra=f"[arms.choose]\n{grid}"))
    assert lab.run().code == 0
    found = choice(lab)
    assert (found["tried"], found["combinations"], found["skipped"]) == (3, 40, 0)


def test_dollars_are_kept_only_for_requests_that_have_no_answer(lab: Lab, provider: Provider) -> None:
    """Calibrated, a candidate takes one request more than the one whose answers it shares: about $0.00006."""
    grid = '"backend.calibrate" = [false, true]\nitems = 4\nbudget = { usd = 0.00032 }\n'  # a candidate: about $0.00024
    write(lab, provider, few_shot("a", options=', answer = "choose"', extra=f"[arms.choose]\n{grid}"))
    told = call("estimate", lab.path / "experiment.toml", "--json")
    assert json.loads(told.out)["arms"][0]["requests_for"]["choosing"] == 5
    assert lab.run().code == 0
    assert (choice(lab)["tried"], choice(lab)["skipped"]) == (2, 0)


DRAWS = '"shots.draw" = [1, 2, 3, 4, 5, 6]\nitems = 5\n'


def test_dollars_hold_while_it_goes_on(lab: Lab, provider: Provider) -> None:
    """Answers think a hundred times longer than was estimated: what is over the budget is not begun."""
    provider.set(reasoning_tokens=2000)
    each = 5 * 2001 / 1e6
    choose = f"[arms.choose]\n{DRAWS}budget = {{ usd = {2.5 * each} }}\n"
    write(lab, provider, few_shot("a", k=1, extra=choose))
    done = lab.run()
    assert done.code == 0, done
    found = choice(lab)
    assert (found["tried"], found["skipped"], found["why_skipped"]) == (3, 3, {"usd": 3})
    assert settings(found) == [{"shots.draw": draw} for draw in (1, 2, 3)]
    assert found["usd"] > 2.5 * each  # the last one begun was within it, by its estimate
    assert provider.counts()[CHAT] == 3 * 5 + TEST
    assert "3 candidates left out" in done.err
    # what was decided stays, also where it could be decided otherwise now
    (lab.folder / "results.json").unlink()
    write(lab, provider, few_shot("a", k=1, extra=choose), prices=PRICES.replace("1.0", "0.001"))
    assert lab.run().code == 0
    assert settings(choice(lab)) == settings(found)
    assert choice(lab)["why_skipped"] == {"usd": 3}
    assert provider.counts()[CHAT] == 3 * 5 + TEST
    # more dollars go on in the same run; what was tried is not asked again
    write(lab, provider, few_shot("a", k=1, extra=choose.replace(str(2.5 * each), "5")))
    assert lab.run().code == 0
    assert len(lab.runs) == 1
    assert choice(lab)["tried"] == 6
    assert choice(lab)["skipped"] == 0
    assert provider.counts()[CHAT] - (6 * 5 + TEST) in {0, TEST}  # another candidate may have won


MAJORITY = '[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n'


@pytest.mark.parametrize(("limit", "noted"), [("usd", True), ("usd", False), ("seconds", True)])
def test_an_added_arm_gives_a_choice_no_budget_afresh(lab: Lab, provider: Provider, limit: str, noted: bool) -> None:
    """Neither where the run that is taken over has noted what it decided, nor, of dollars, where its answers tell."""
    provider.set(reasoning_tokens=2000, latency_s=0.3 if limit == "seconds" else 0.0)
    most = 2.5 * 5 * 2001 / 1e6 if limit == "usd" else 0.25
    arm = few_shot("a", k=1, extra=f"[arms.choose]\n{DRAWS}budget = {{ {limit} = {most} }}\n")
    write(lab, provider, arm)
    assert lab.run().code == 0
    first, asked = choice(lab), provider.counts()
    assert first["why_skipped"] == {limit: 6 - first["tried"]}
    if not noted:
        with contextlib.closing(sqlite3.connect(lab.folder / "journal.sqlite")) as journal, journal:
            journal.execute("DELETE FROM notes")
    write(lab, provider, arm, MAJORITY)
    assert lab.run().code == 0
    (found,) = lab.results(lab.runs[-1])["choices"]
    assert len(lab.runs) == 2
    assert (found["chosen"], settings(found)) == (first["chosen"], settings(first))
    assert found["why_skipped"] == first["why_skipped"]
    assert provider.counts() == asked
    # other examples are chosen on anew
    write(lab, provider, arm, MAJORITY, head="seed = 8")
    assert lab.run().code == 0
    assert provider.counts()[CHAT] > asked[CHAT]


def test_what_is_there_costs_a_choice_nothing(lab: Lab, provider: Provider) -> None:
    arms = few_shot("a", k=1, extra='[arms.choose]\n"shots.draw" = [1, 2]\n'), tuned(lab, EPOCHS)
    cap = "[budget]\nmax_usd = 0.1\n"
    write(lab, provider, *arms, prices=PRICES + cap)
    assert lab.run().code == 0
    asked = provider.counts()
    dear = PRICES.replace("input = 1.0", "input = 100.0").replace("training = 5.0", "training = 500.0")
    for more, prices in (("", dear + cap), ("[decision]\nrequests_per_month = 9\n", PRICES), (MAJORITY, PRICES)):
        write(lab, provider, *arms, more, prices=prices)
        told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs")
        assert "the run will stop" not in told.out
        done = lab.run(*([] if "max_usd" in prices else ["--max-usd", "0"]))
        assert done.code == 0, done
    assert provider.counts() == asked
    assert len(lab.runs) == 2


def test_seconds_hold_and_one_candidate_always_runs(lab: Lab, provider: Provider) -> None:
    provider.set(latency_s=0.05)
    slow = "concurrency = 1"

    def wanted(seconds: float) -> None:
        choose = f"[arms.choose]\n{DRAWS}budget = {{ seconds = {seconds} }}\n"
        split = SPLIT.replace("train = 0.4", "train = 0.75").replace("test = 0.4", "test = 0.05")
        lab.write(few_shot("a", k=1, extra=choose), dataset=split + PRICES + endpoint(provider.base_url, options=slow))

    wanted(0.4)
    assert lab.run().code == 0
    first = choice(lab)
    assert 1 <= first["tried"] <= 2  # a quarter of a second each at least, and the one that is begun ends
    assert first["why_skipped"] == {"seconds": 6 - first["tried"]}
    assert first["wall_s"] >= 0.4
    asked = provider.counts()[CHAT]
    (lab.folder / "results.json").unlink()
    assert lab.run().code == 0  # a slow machine, or a fast one, decides nothing anew
    assert settings(choice(lab)) == settings(first)
    assert provider.counts()[CHAT] == asked
    wanted(0.000001)
    assert lab.run().code == 0
    assert settings(choice(lab)) == settings(first)
    wanted(60)
    assert lab.run().code == 0
    assert choice(lab)["tried"] == 6
    (lab.folder / "journal.sqlite").unlink()
    wanted(0.000001)
    assert lab.run().code == 0
    assert (choice(lab)["tried"], choice(lab)["skipped"]) == (1, 5)


def test_what_was_begun_before_the_run_broke_off_is_taken_up(lab: Lab, provider: Provider) -> None:
    choose = f"[arms.choose]\n{DRAWS}budget = {{ usd = 0.1, seconds = 600 }}\n"
    write(lab, provider, few_shot("a", k=1, extra=choose))
    provider.set(quota_after=12)
    assert lab.run().code == 4
    provider.set(quota_after=None)
    done = lab.run()
    assert done.code == 0, done
    found = choice(lab)
    assert settings(found) == [{"shots.draw": draw} for draw in range(1, 7)]
    assert all(candidate["failed"] == 0 for candidate in found["candidates"])
    assert lab.journal("SELECT count(*) FROM answers") == [(6 * 5 + TEST,)]


def test_a_choice_waits_for_answers_that_candidates_lack(lab: Lab, provider: Provider, tmp_path: Path) -> None:
    arms = few_shot("a", k=1, extra='[arms.choose]\n"shots.k" = [0, 2]\n'), few_shot("b", k=1)
    (tmp_path / "whole").mkdir()
    whole = Lab.make(tmp_path / "whole", ITEMS)
    write(whole, provider, *arms)
    assert whole.run().code == 0
    assert choice(whole)["chosen"] == {"shots.k": 2}
    # What the better candidate alone knows has no answer at first: the other one leads.
    tried: dict[str, set[str]] = {}
    for row in pq.read_table(whole.folder / "trials.parquet").to_pylist():
        if row["predicted"] == row["expected"]:
            tried.setdefault(row["candidate"], set()).add(row["example_id"])
    known = tried["shots.k = 2"] - tried["shots.k = 0"]
    assert len(known) > len(tried["shots.k = 0"] - tried["shots.k = 2"])
    texts = {row["id"]: row["text"] for row in pq.read_table(whole.folder / "data/examples.parquet").to_pylist()}
    provider.set(always_500=[texts[name] for name in known])
    write(lab, provider, *arms)
    done = lab.run()
    assert done.code == 4, done
    assert "a: nothing is chosen yet, as 2 of 2 candidates lack answers; " in done.err
    assert "a has no answers yet." in done.out
    asked = "SELECT arm, count(*) FROM answers GROUP BY arm ORDER BY arm"
    assert lab.journal(asked) == [("a", 2 * (VALIDATION - len(known))), ("b", TEST)]
    assert lab.results()["choices"] == []
    assert {name: arm["answered"] for name, arm in lab.arms().items()} == {"a": 0, "b": TEST}
    provider.set(always_500=[])
    assert lab.run().code == 0
    assert lab.journal(asked) == [("a", 2 * VALIDATION + TEST), ("b", TEST)]
    assert choice(lab)["chosen"] == {"shots.k": 2}
    assert lab.said() == whole.said()


def test_a_choice_does_not_wait_for_what_was_refused_for_good(lab: Lab, provider: Provider) -> None:
    provider.set(always_400=list(task(ITEMS))[::2])
    write(lab, provider, few_shot("a", extra='[arms.choose]\n"shots.k" = [0, 2]\n'))
    assert lab.run().code == 0
    found = choice(lab)
    assert found["candidates"][0]["failed"] == found["candidates"][1]["failed"] > 0
    assert lab.arms()["a"]["n"] == TEST


def test_a_choice_waits_for_a_training_that_failed(lab: Lab, provider: Provider) -> None:
    grid = '"backend.n_epochs" = {}\ncheckpoints = false'
    write(lab, provider, few_shot("zero"), tuned(lab, grid.format([1])))
    assert lab.run().code == 0
    write(lab, provider, few_shot("zero"), tuned(lab, grid.format([1, 2])))
    provider.set(job_error="server_error")
    done = lab.run()
    assert done.code == 4, done
    ((job,),) = lab.journal("SELECT job FROM jobs WHERE status = 'failed'", lab.runs[-1])
    assert (
        f"unfinished: tuned: nothing is chosen yet, as 1 of 2 candidates lack answers: the training job {job} of tuned "
        "failed: The job failed: server_error\n"
        "the same command launches it again; or leave its values out of choose"
    ) in done.err
    folder = lab.runs[-1]
    assert lab.results(folder)["choices"] == []
    assert {name: arm["answered"] for name, arm in lab.arms(folder).items()} == {"zero": TEST, "tuned": 0}
    provider.set(job_error=None)
    assert lab.run().code == 0
    (found,) = lab.results(folder)["choices"]
    assert [each["n"] for each in found["candidates"]] == [VALIDATION] * 2
    assert lab.arms(folder)["tuned"]["answered"] == TEST
    jobs = len(provider.jobs())
    with (lab.path / "experiment.toml").open("a") as file:
        file.write("[decision]\nrequests_per_month = 5000\n")
    assert lab.run().code == 0
    assert len(provider.jobs()) == jobs
    assert lab.results(folder)["choices"] == [found]


def test_what_a_choice_went_without_is_not_trained_afterwards(lab: Lab, provider: Provider) -> None:
    grid = '"backend.n_epochs" = {}\ncheckpoints = false'
    write(lab, provider, few_shot("zero"), tuned(lab, grid.format([1])))
    assert lab.run().code == 0
    arms = few_shot("zero"), tuned(lab, grid.format([2, 1]))
    write(lab, provider, *arms)
    provider.set(training_refused=True)
    assert lab.run().code == 0
    folder = lab.runs[-1]
    (found,) = lab.results(folder)["choices"]
    assert found["chosen"] == {"backend.n_epochs": 1}
    assert "refused to train" in found["candidates"][0]["reason"]
    provider.set(training_refused=False)
    jobs, asked = len(provider.jobs()), provider.counts()
    write(lab, provider, *arms, "[decision]\nrequests_per_month = 5000\n")
    for options in ((), ("--only", "zero"), ("--max-usd", "0")):
        done = lab.run(*options)
        assert done.code == 0, done
        assert lab.results(folder)["choices"] == [found]
        (folder / "results.json").unlink()
    write(lab, provider, *arms, MAJORITY)  # a run of its own
    assert lab.run().code == 0
    (again,) = lab.results(lab.runs[-1])["choices"]
    assert [each["reason"] for each in again["candidates"]] == [each["reason"] for each in found["candidates"]]
    assert len(lab.runs) == 3
    assert (len(provider.jobs()), provider.counts()) == (jobs, asked)


def test_what_a_choice_left_out_costs_it_nothing(lab: Lab, provider: Provider) -> None:
    grid = f'"backend.n_epochs" = {list(range(1, arm_training.JOBS_AT_ONCE + 2))}\ncheckpoints = false\n'
    arm = tuned(lab, grid + "budget = { seconds = 0.000001 }")
    write(lab, provider, arm)
    assert lab.run().code == 0
    assert choice(lab)["why_skipped"] == {"seconds": 1}
    jobs, asked = len(provider.jobs()), provider.counts()
    write(lab, provider, arm, "[decision]\nrequests_per_month = 5000\n")
    done = lab.run("--max-usd", "0")
    assert done.code == 0, done
    assert (len(provider.jobs()), provider.counts()) == (jobs, asked)


def test_a_choice_takes_examples_to_choose_on(lab: Lab, provider: Provider) -> None:
    without = SPLIT.replace("validation = 0.2, test = 0.4", "validation = 0.0, test = 0.6")
    arms = few_shot("zero") + few_shot("a", k=1, extra='[arms.choose]\n"shots.k" = [1, 2]\n')
    lab.write(arms, dataset=without + PRICES + endpoint(provider.base_url))
    told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs")
    done = lab.run()
    assert (told.code, done.code) == (0, 2), done
    said = "arms.a.choose: there are no validation examples to choose on"
    assert f"the run will stop before anything is sent: {said}" in told.out
    assert said in done.err
    assert provider.counts() == {}
    assert lab.run("--only", "zero").code == 0


EPOCHS = '"backend.n_epochs" = [1, 2, 3]\n'
FREE = "training = 0.0"
TOO_LARGE = {
    "the first candidate": (
        EPOCHS + "budget = { usd = 0.0001 }", FREE, "",
        "trying its first candidate (backend.n_epochs = 1) alone on validation would cost about $",
    ),
    "a single candidate": ("budget = { usd = 0.0001 }", FREE, "", "trying the arm on validation would cost about $"),
    "trainings, the choice's budget": (
        EPOCHS + "budget = { usd = 0.01 }", "training = 5.0", "", "training its 3 candidates would cost about $",
    ),
    "trainings, the run's budget": (
        EPOCHS, "training = 5.0", "[budget]\nmax_usd = 0.01\n", "training its 3 candidates would cost about $",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOO_LARGE)
def test_a_sweep_larger_than_its_budget_is_said_before_anything_starts(lab: Lab, provider: Provider, case: str) -> None:
    choose, training_price, more, said = TOO_LARGE[case]
    prices = PRICES.replace("training = 5.0", training_price) + more
    write(lab, provider, few_shot("zero"), tuned(lab, choose), prices=prices)
    done = lab.run()
    assert done.code == 2, done
    assert f"arms.tuned: {said}" in done.err
    assert ("budget.max_usd" if more else "choose.budget.usd") in done.err
    assert "nothing was launched" in done.err
    told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs")
    assert told.code == (3 if more else 0)  # an estimate over the run's budget has a code of its own
    assert "the run will stop before anything is sent" in told.out + told.err
    assert provider.counts() == {}


def test_sweeps_that_only_together_pass_the_runs_budget(lab: Lab, provider: Provider) -> None:
    arms = [tuned(lab, f'"backend.n_epochs" = [{n}, {n + 1}]', name=f"t{n}") for n in (1, 3)]
    write(lab, provider, *arms)
    told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json")
    each = [arm["training"]["usd"] for arm in json.loads(told.out)["arms"]]
    done = lab.run("--max-usd", str(1.1 * max(each)))
    assert done.code == 2, done
    assert "training its" in done.err or "training the candidates of all choices" in done.err
    assert provider.counts() == {}


def test_dollars_without_a_price_are_no_budget(lab: Lab, provider: Provider) -> None:
    choose = f"[arms.choose]\n{DRAWS}budget = {{ usd = 5 }}\n"
    write(lab, provider, few_shot("a", k=1, extra=choose), prices="")
    done = lab.run()
    assert done.code == 2, done
    assert "no price is known for base-model" in done.err
    assert provider.counts() == {}


# Checkpoints


def asked_models(lab: Lab) -> set[str]:
    return {row[0] for row in lab.journal("SELECT DISTINCT json_extract(body, '$.model') FROM answers")}


def test_the_best_checkpoint_goes_to_the_test(lab: Lab, provider: Provider) -> None:
    provider.set(accuracy_of={"ckpt-step-": 0.95}, tuned_accuracy=0.4)
    before = len(provider.jobs())
    write(lab, provider, tuned(lab, "checkpoints = true", options=", n_epochs = 3"))
    before_run = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json")
    assert lab.run().code == 0
    (job,) = provider.jobs()[before:]
    found = choice(lab)
    steps = [candidate["checkpoint"] for candidate in found["candidates"]]
    assert steps[0] is None  # the job's last model; its own checkpoint is no candidate of its own
    assert len(steps) == 3
    assert steps[1:] == sorted(steps[1:])
    assert settings(found) == [{}, *({"checkpoint": step} for step in steps[1:])]
    assert found["chosen"] == {"checkpoint": steps[1]}  # the first of equals
    best = found["candidates"][1]
    assert best["model"] == f"{job['fine_tuned_model']}:ckpt-step-{steps[1]}"
    assert best["accuracy"] > found["candidates"][0]["accuracy"]
    assert best["training_usd"] is None  # that of its job is counted once
    arm = lab.arms()["tuned"]
    assert arm["model"] == best["model"]
    assert arm["accuracy"] > 0.8
    assert arm["cost_per_1k_usd"] > 0
    assert arm["training_cost_usd"] == pytest.approx(job["trained_tokens"] * 5 / 1e6)
    assert provider.counts()[COMPLETIONS] == 3 * VALIDATION + TEST
    assert provider.counts()[CREATE] == 1
    assert json.loads(before_run.out)["total"]["requests"] == 3 * VALIDATION + TEST
    assert "a guess, one for each epoch" in before_run.out
    again = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json")
    assert json.loads(again.out)["total"]["requests"] == 0
    import pyarrow.parquet as pq

    trials = {row["candidate"] for row in pq.read_table(lab.folder / "trials.parquet").to_pylist()}
    assert trials == {"final", f"checkpoint = {steps[1]}", f"checkpoint = {steps[2]}"}
    asked = provider.counts()
    (lab.folder / "results.json").unlink()
    assert lab.run().code == 0
    assert provider.counts() == asked
    assert choice(lab)["chosen"] == found["chosen"]


def test_of_equals_the_last_model_is_taken(lab: Lab, provider: Provider) -> None:
    write(lab, provider, tuned(lab, '"backend.n_epochs" = [2, 3]'))
    assert lab.run().code == 0
    found = choice(lab)
    assert [each["accuracy"] for each in found["candidates"]] == [found["candidates"][0]["accuracy"]] * 5
    assert found["chosen"] == {"backend.n_epochs": 2}


def test_without_checkpoints_none_is_asked(lab: Lab, provider: Provider) -> None:
    write(lab, provider, tuned(lab, '"backend.n_epochs" = [2]\ncheckpoints = false'))
    assert lab.run().code == 0
    assert settings(choice(lab)) == [{"backend.n_epochs": 2}]
    assert provider.counts()[COMPLETIONS] == VALIDATION + TEST


def test_checkpoints_count_against_the_budget(lab: Lab, provider: Provider) -> None:
    provider.set(reasoning_tokens=2000, min_examples=10)
    each = VALIDATION * 2001 / 1e6
    arm = tuned(lab, f"budget = {{ usd = {2.2 * each} }}", options=", n_epochs = 4, max_tokens = 5000")
    write(lab, provider, arm, prices=PRICES.replace("training = 5.0", "training = 0.0"))
    assert lab.run().code == 0
    found = choice(lab)
    assert (found["tried"], found["why_skipped"]) == (2, {"usd": 2})
    assert provider.counts()[COMPLETIONS] == 2 * VALIDATION + TEST


@pytest.mark.thorough
@pytest.mark.xdist_group("local")
def test_checkpoints_of_a_real_small_model(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 48)
    backend = 'plugin = "fine-tuned", endpoint = "local", base = "SmolLM2-135M-Instruct", n_epochs = 2'
    lab.write(
        f'[[arms]]\nname = "t"\nbackend = {{ {backend}, batch_size = 32 }}\n'
        "choose = { checkpoints = true, items = 3 }",
        dataset="[prepare]\nsplit = { train = 0.5, validation = 0.25, test = 0.25 }\n",
    )
    done = lab.run()
    assert done.code == 0, done
    found = choice(lab)
    steps = [candidate["checkpoint"] for candidate in found["candidates"]]
    assert len(steps) == 2  # of two epochs; the checkpoint of the last step is the job's model
    assert steps[0] is None
    assert steps[1] > 0
    models = [candidate["model"] for candidate in found["candidates"]]
    assert models[1] != models[0]
    assert lab.arms()["t"]["model"] == models[settings(found).index(found["chosen"])]
    assert all(candidate["n"] == 3 and candidate["failed"] == 0 for candidate in found["candidates"])
    assert found["usd"] is None
    assert found["seconds"] > 0


# Jobs side by side


def lines_with(err: str, *words: str) -> list[str]:
    return [word for line in err.splitlines() for word in words if word in line]


def test_jobs_of_candidates_and_arms_run_side_by_side_three_at_once(lab: Lab, provider: Provider) -> None:
    provider.set(job_s=0.6)
    plain = tuned(lab, "", name="plain", options=", n_epochs = 3").partition("[arms.choose]")[0]
    other = plain.replace('"plain"', '"other"').replace("n_epochs = 3", "n_epochs = 4")
    write(lab, provider, plain, other, tuned(lab, '"backend.n_epochs" = [1, 2, 5, 6]\ncheckpoints = false'))
    done = lab.run()
    assert done.code == 0, done
    order = lines_with(done.err, "launched ftjob", "The job has successfully completed")
    launched, completed = "launched ftjob", "The job has successfully completed"
    assert order[:4] == [launched, launched, completed, completed]  # the two arms
    assert order[4:8] == [launched, launched, launched, completed]  # three of the four candidates
    assert order.count(launched) == order.count(completed) == 6
    assert "tuned (backend.n_epochs = 5): launched" in done.err
    files = lab.journal("SELECT files FROM jobs")
    assert len({name for (text,) in files for name in json.loads(text).values()}) == 2  # each uploaded once
    assert provider.counts().get("POST /v1/files", 0) <= 2


def test_equal_jobs_are_one(lab: Lab, provider: Provider) -> None:
    provider.set(job_s=0.2)
    twice = tuned(lab, '"backend.max_tokens" = [5, 6]\ncheckpoints = false')
    write(lab, provider, twice)
    assert lab.run().code == 0
    assert provider.counts()[CREATE] == 1
    found = choice(lab)
    assert found["tried"] == 2
    assert found["usd"] == pytest.approx(
        found["candidates"][0]["training_usd"] + sum(each["cost_usd"] for each in found["candidates"])
    )


def test_two_jobs_do_not_pass_the_budget_together(lab: Lab, provider: Provider) -> None:
    provider.set(job_s=0.5)
    plain = tuned(lab, "", name="one", options=", n_epochs = 3").partition("[arms.choose]")[0]
    write(lab, provider, plain, plain.replace('"one"', '"two"').replace("n_epochs = 3", "n_epochs = 4"))
    told = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json")
    one, two = (arm["training"]["usd"] for arm in json.loads(told.out)["arms"])
    done = lab.run("--max-usd", str(2.2 * max(one, two)))
    assert done.code == 3, done
    assert "are kept for jobs that run" in done.err
    assert provider.counts()[CREATE] == 1
    ((status,),) = lab.journal("SELECT status FROM jobs")
    assert status == "succeeded"  # what was begun was paid for, and came to its end
    assert lab.run("--max-usd", "1").code == 0
    assert provider.counts()[CREATE] == 2


def test_a_refused_job_leaves_the_others(lab: Lab, provider: Provider) -> None:
    with Provider.start(answers=task(ITEMS), training_refused=True) as refusing:
        plain = tuned(lab, "", name="one", options=", n_epochs = 3").partition("[arms.choose]")[0]
        elsewhere = plain.replace('"one"', '"two"').replace('endpoint = "fake"', 'endpoint = "refusing"')
        more = f'[endpoints.refusing]\nbase_url = "{refusing.base_url}"\n'
        write(lab, provider, plain, elsewhere, prices=PRICES + more)
        done = lab.run()
    assert done.code == 4, done
    assert lab.arms()["one"]["answered"] == TEST
    assert lab.arms()["two"]["answered"] == 0


def test_ctrl_c_leaves_jobs_running_and_the_same_command_follows_them(lab: Lab, provider: Provider) -> None:
    provider.set(job_s=3600)
    write(lab, provider, tuned(lab, '"backend.n_epochs" = [1, 2]\ncheckpoints = false'))
    with running(lab) as process:
        process.wait_until(lambda: provider.counts().get(CREATE, 0) == 2)
        process.wait_until(lambda: len(lab.journal("SELECT 1 FROM jobs WHERE job IS NOT NULL")) == 2)
        began = time.monotonic()
        process.process.send_signal(signal.SIGINT)
        done = process.ended()
    assert done.code == 130, done
    assert "Traceback" not in done.err
    assert time.monotonic() - began < 60  # and not the hour of the jobs
    provider.set(job_s=0)
    assert lab.run().code == 0
    assert provider.counts()[CREATE] == 2


# No test item


def test_choosing_cannot_name_the_test_split() -> None:
    fields = {field.name for field in dataclasses.fields(arm_training.Learning)}
    assert fields == {"train", "validation", "labels", "seed", "weights"}
    for module in (choosing, search, notes, arm_training, sweeps, candidates, abreast):
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            names = [getattr(node, name, None) for name in ("id", "attr", "arg", "name", "value")]
            assert not {"test", "TEST", "Split", "Prepared"} & {name for name in names if isinstance(name, str)}, (
                f"{module.__name__}, line {getattr(node, 'lineno', '?')}"
            )


@pytest.mark.usefixtures("impatient")
def test_wrong_labels_in_the_test_split_change_no_choice(tmp_path: Path, provider: Provider) -> None:
    provider.set(accuracy_of={"ckpt-step-": 0.8}, tuned_accuracy=0.7)
    choices = []
    for poisoned in (False, True):
        folder = tmp_path / str(poisoned)
        folder.mkdir()
        lab = Lab.make(folder, ITEMS, split=("train", "train", "validation", "test", "train"))
        if poisoned:
            path = folder / "data.csv"
            rows = [line.split(",") for line in path.read_text().splitlines()]
            path.write_text("\n".join(
                ",".join([text, "bad" if split == "test" else label, split]) for text, label, split in rows
            ))  # fmt: skip
        arms = few_shot("a", k=1, extra=f"[arms.choose]\n{DRAWS}"), tuned(lab, '"backend.n_epochs" = [2, 3]')
        more = PRICES + endpoint(provider.base_url)
        lab.write("\n".join(arms), dataset=f'split = "split"\nlabels = ["bad", "good", "mixed"]\n{more}')
        assert lab.run().code == 0
        told = [(found["arm"], found["chosen"]) for found in lab.results()["choices"]]
        figures = [[each["accuracy"] for each in found["candidates"]] for found in lab.results()["choices"]]
        choices.append((told, figures))
        accuracy = [arm["accuracy"] for arm in lab.results()["arms"]]
    assert choices[0] == choices[1]
    assert max(accuracy) < 0.6  # the poison was in the test indeed


# Bad input, by the command

MISTAKES = {
    '"backend.learning_rate_multiplier" = [1.0, 0.0]': ("backend.learning_rate_multiplier", "must be above 0, got 0.0"),
    '"backend.learning_rate_multiplier" = [-1.0]': ("backend.learning_rate_multiplier", "must be above 0"),
    '"backend.batch_size" = [8, 0]': ("backend.batch_size", "batch_size must be at least 1, got 0"),
    '"backend.n_epochs" = [0, 3]': ("backend.n_epochs", "n_epochs must be at least 1, got 0"),
    '"backend.n_epochs" = [1.5]': ("backend.n_epochs", "whole number"),
    '"backend.hyperparameters.lora_r" = [8, 0]': ("backend.hyperparameters.lora_r", "at least 1, got 0"),
    '"backend.hyperparameters.n_epochs" = [0]': ("backend.hyperparameters.n_epochs", "at least 1"),
    '"backend.n_epochs" = []': ("backend.n_epochs", "a list of values to try is expected"),
    '"backend.n_epoch" = [1]': ("backend.n_epoch", 'did you mean "n_epochs"?'),
    '"backend.endpoint" = ["local"]': ("backend.endpoint", "an arm has one endpoint"),
    '"backend.base" = ["gpt-4.1-mini"]': ("backend.base", "an arm has one base"),
    '"backend.plugin" = ["few-shot"]': ("backend.plugin", "an arm has one plugin"),
    'backend = [{ plugin = "few-shot", endpoint = "fake", model = "m" }]': ("backend", "an arm has one plugin"),
    '"dataset.path" = ["other.csv"]': ("dataset.path", "only backend, formatter, shots can be chosen"),
    '"shot.k" = [1]': ("shot.k", 'did you mean "shots"?'),
    "budgets = { usd = 1 }": ("budgets.usd", 'did you mean "budget"?'),
    '"formatter.plugin" = ["chta"]': ("formatter.plugin", 'did you mean "chat"?'),
    '"backend.n_epochs" = [1]\nbudget = { trials = 0 }': ("budget.trials", "greater than or equal to 1"),
    '"backend.n_epochs" = [1]\nbudget = { seconds = -5 }': ("budget.seconds", "greater than 0"),
    '"backend.n_epochs" = [1]\nbudget = { usd = -5 }': ("budget.usd", "greater than or equal to 0"),
    '"backend.n_epochs" = [1]\nbudget = { second = 5 }': ("budget.second", 'did you mean "seconds"?'),
    '"backend.n_epochs" = [1]\nbudget = 5': ("budget", ""),
    '"backend.n_epochs" = [1]\nitems = 0': ("items", "a number of validation examples is expected"),
    'checkpoints = "all"': ("checkpoints", "true or false is expected"),
    "checkpoints = false": ("", "nothing is to be chosen"),
}  # fmt: skip


@pytest.mark.parametrize("choose", MISTAKES)
def test_a_mistake_in_the_table(lab: Lab, provider: Provider, choose: str) -> None:
    key, said = MISTAKES[choose]
    write(lab, provider, tuned(lab, choose))
    done = lab.run()
    assert done.code == 2, done
    path = lab.path / "experiment.toml"
    lines = path.read_text().splitlines()
    assert f"arms[0].choose.{key}: ".replace(".: ", ": ") in done.err
    assert said in done.err
    assert len(done.err.strip().splitlines()) <= 3
    begin = lines.index("[arms.choose]")
    starts = (f'"{key}"', f"{key.partition('.')[0]} =")
    wanted = next(n for n in range(begin + 1, len(lines)) if lines[n].startswith(starts)) if key else begin
    assert f"{path}, line {wanted + 1}: " in done.err
    assert provider.counts() == {}


def test_an_arm_that_nobody_trains_has_no_checkpoints(lab: Lab, provider: Provider) -> None:
    for options in ("", ', model = "ft:base-model:x"'):
        plugin = f'plugin = "fine-tuned", endpoint = "fake"{options}' if options else 'plugin = "classical"'
        write(lab, provider, f'[[arms]]\nname = "a"\nbackend = {{ {plugin} }}\n[arms.choose]\ncheckpoints = true\n')
        done = lab.run()
        assert done.code == 2, done
        assert "arms[0].choose.checkpoints: no endpoint trains this arm" in done.err


def test_a_raised_budget_is_foreseen_where_candidates_share_answers(lab: Lab, provider: Provider) -> None:
    def estimated(usd: float) -> int:
        grid = f'"shots.k" = [0, 1, 2]\n"backend.calibrate" = [false, true]\nitems = 4\nbudget = {{ usd = {usd} }}\n'
        write(lab, provider, few_shot("a", k=1, options=', answer = "choose"', extra=f"[arms.choose]\n{grid}"))
        done = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json")
        (arm,) = json.loads(done.out)["arms"]
        return int(arm["requests_for"]["choosing"])

    def ran() -> int:
        before = len(lab.journal("SELECT key FROM answers")) if lab.runs else 0
        assert lab.run().code == 0
        return len(lab.journal("SELECT key FROM answers")) - before

    assert estimated(0.0005) > 0
    ran()
    tried = len(choice(lab)["candidates"])
    foreseen = estimated(0.0008)
    assert ran() > 0
    assert len(choice(lab)["candidates"]) > tried
    assert foreseen > 0
