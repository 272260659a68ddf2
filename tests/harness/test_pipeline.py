"""Whole runs against a provider over real HTTP: stopped anywhere, changed, repeated; nothing is asked or paid twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lab import Lab, endpoint, few_shot, fine_tuned, task
from support.provider import Provider
from support.stops import KEY, asked
from support.stops import running as under_way

pytestmark = pytest.mark.usefixtures("impatient")

CHAT, COMPLETIONS, CREATE = "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/fine_tuning/jobs"
QUALITY = {"accuracy": 0.5, "few_shot_accuracy": 0.6, "tuned_accuracy": 0.9, "seed": 5}
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(120), api_key=KEY, **QUALITY) as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path, 120)


def write(lab: Lab, provider: Provider, *arms: str, seed: int = 1, more: str = "", options: str = "") -> Path:
    """The experiment; the seed keeps training files of one test apart from those of another."""
    return lab.write(
        "\n".join(arms), head=f"seed = {seed}", dataset=SPLIT + more + endpoint(provider.base_url, options=options)
    )


def test_what_is_left_to_chance_is_drawn_anew_by_another_run(lab: Lab, provider: Provider) -> None:
    warm = few_shot("warm", options=", extra_body = { temperature = 0.7 }")
    write(lab, provider, warm + few_shot("cold"))
    assert lab.run().code == 0
    write(lab, provider, warm + few_shot("cold") + few_shot("other", options=", max_tokens = 7"))
    assert lab.run().code == 0
    rows = lab.predictions(lab.runs[-1])
    assert {row["reused"] for row in rows if row["arm"] == "cold"} == {True}
    assert {row["reused"] for row in rows if row["arm"] == "warm"} == {False}


def test_a_seed_below_zero_is_one_like_others(lab: Lab, provider: Provider) -> None:
    learns = '[[arms]]\nname = "learns"\nbackend = { plugin = "classical" }\nlearning_curve = [12, 24, 48]\n'
    lab.write(few_shot("two", k=2) + learns, head="seed = -1", dataset=SPLIT + endpoint(provider.base_url))
    done = lab.run()
    assert done.code == 0, done
    results = lab.results()
    assert results["run"]["seed"] == -1
    assert all(comparison["ci"] for comparison in results["comparisons"])
    assert all(arm["intervals"]["macro_f1"]["ci"] for arm in results["arms"])
    assert results["curves"]


def test_requests_are_exactly_those_planned(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), few_shot("four", k=4), fine_tuned("tuned"), seed=101)
    done = lab.run()
    assert done.code == 0, done
    n, validation = 60, 12
    # two prompts: the better one on validation contends; one trained arm has nobody to be compared with
    assert provider.counts()[CHAT] == 2 * (n + validation)
    assert provider.counts()[COMPLETIONS] == n
    assert provider.counts()[CREATE] == 1
    assert set(provider.statuses()) == {"200"}
    assert {arm["n"] for arm in lab.arms().values()} == {n}
    assert {arm["answered"] for arm in lab.arms().values()} == {n}
    first = (lab.folder / "results.json").read_bytes(), (lab.folder / "report.html").read_bytes()
    provider.reset()
    again = lab.run()
    assert again.code == 0
    assert again.out == done.out
    assert provider.counts() == {}
    assert ((lab.folder / "results.json").read_bytes(), (lab.folder / "report.html").read_bytes()) == first


def test_changed_assumptions_rescore_and_send_nothing(lab: Lab, provider: Provider) -> None:
    arms = [few_shot("zero"), few_shot("four", k=4)]
    write(lab, provider, *arms, seed=102)
    assert lab.run().code == 0
    assert lab.arms()["zero"]["cost_per_1k_usd"] is None
    before = lab.said()
    provider.reset()
    prices = (
        '[prices."base-model"]\ninput = 2.0\noutput = 8.0\n[decision]\nincumbent = "zero"\nrequests_per_month = 1000\n'
    )
    write(lab, provider, *arms, seed=102, more=prices)
    done = lab.run()
    assert done.code == 0, done
    assert provider.counts() == {}
    assert len(lab.runs) == 1
    assert lab.said() == before
    rows = [row for row in lab.predictions() if row["arm"] == "zero"]
    costs = [(row["input_tokens"] * 2.0 + row["output_tokens"] * 8.0) / 1e6 for row in rows]
    assert [row["cost_usd"] for row in rows] == pytest.approx(costs)
    assert lab.arms()["zero"]["cost_per_1k_usd"] == pytest.approx(1000 * sum(costs) / len(costs))
    assert lab.results()["decision"]["requests_per_month"] == 1000


def test_an_added_arm_alone_is_asked(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=103)
    assert lab.run().code == 0
    old = {row["example_id"]: row["predicted"] for row in lab.predictions() if row["arm"] == "tuned"}
    provider.reset()
    jobs = len(provider.jobs())
    (first,) = lab.runs
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), fine_tuned("tuned", options=", suffix = \"x\"").replace(
        'name = "tuned"', 'name = "other"'), seed=103)  # fmt: skip
    done = lab.run()
    assert done.code == 0, done
    assert len(provider.jobs()) == jobs + 1
    # the new arm on test, and both trained arms on validation, for now there are two to choose from
    assert asked(provider) == 60 + 12 + 12
    (second,) = [folder for folder in lab.runs if folder != first]
    rows = lab.predictions(second)
    assert {row["example_id"]: row["predicted"] for row in rows if row["arm"] == "tuned"} == old
    assert {row["reused"] for row in rows if row["arm"] in {"zero", "tuned"}} == {True}
    assert {row["reused"] for row in rows if row["arm"] == "other"} == {False}
    assert {row["latency_s"] for row in rows if row["arm"] == "zero"} == {None}
    assert "taken over" in done.err


def test_no_reuse_asks_again(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=104)
    assert lab.run().code == 0
    provider.reset()
    jobs = len(provider.jobs())
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), few_shot("four", k=4), seed=104)
    assert lab.run("--no-reuse").code == 0
    assert asked(provider) == 3 * 60 + 2 * 12
    assert len(provider.jobs()) == jobs + 1


def test_equal_requests_of_two_arms_are_sent_once(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), few_shot("twin"), seed=105)
    assert lab.run().code == 0
    assert asked(provider) == 60
    rows = lab.predictions()
    assert [r["predicted"] for r in rows if r["arm"] == "zero"] == [r["predicted"] for r in rows if r["arm"] == "twin"]


def test_only_keeps_the_other_arms_results(lab: Lab, provider: Provider) -> None:
    choose = '[arms.choose]\n"shots.k" = [0, 2]\n'
    arms = [few_shot("zero"), few_shot("best", k=2, extra=choose), fine_tuned("tuned")]
    arms.append('[[arms]]\nname = "classical"\nbackend = { plugin = "classical" }\n')
    write(lab, provider, *arms, seed=106)
    done = lab.run("--only", "zero")
    assert done.code == 0, done
    assert list(lab.arms()) == ["zero"]
    assert asked(provider) == 60
    assert lab.run("--only", "tuned", "--only", "classical").code == 0
    assert list(lab.arms()) == ["zero", "tuned", "classical"]
    assert asked(provider) == 120
    full = lab.run()
    assert full.code == 0
    assert list(lab.arms()) == ["zero", "best", "tuned", "classical"]
    said, sentence = lab.said(), lab.results()["verdict"]["sentence"]
    provider.reset()
    for options in (["--only", "zero"], ["--only", "best"], []):
        assert lab.run(*options).out == full.out
    # also where it has to be scored anew
    write(lab, provider, *arms, seed=106, more="[verdict]\nmargin = 0.02001\n")
    assert lab.run("--only", "zero").code == 0
    assert lab.said() == said
    assert lab.results()["verdict"]["sentence"] == sentence
    assert asked(provider) == 0
    done = lab.run("--only", "zeroo")
    assert done.code == 2
    assert 'did you mean "zero"?' in done.err


def test_limit_is_a_preview_of_its_own(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), seed=107)
    assert lab.run("--limit", "6").code == 0
    assert asked(provider) == 6
    assert lab.results()["run"]["preview"] is True
    assert lab.results()["run"]["n_test"] == 6
    assert lab.run().code == 0
    assert len(lab.runs) == 2
    assert asked(provider) == 60  # the preview's answers are taken over
    (full,) = [folder for folder in lab.runs if not lab.results(folder)["run"]["preview"]]
    assert lab.results(full)["run"]["n_test"] == 60


LEAK = "amber bridge candle dune ember forest"


def test_a_leak_stops_the_run_before_anything_is_sent(lab: Lab, provider: Provider) -> None:
    rows = ["text,label,split"]
    rows += [
        f"{text},{label},{'test' if n % 2 else 'train'}"
        for n, (text, label) in enumerate(list(lab.answers.items())[:40])
    ]
    rows += [f"{LEAK},good,train", f"{LEAK.upper()}!,good,test"]
    (lab.path / "data.csv").write_text("\n".join(rows) + "\n")
    arms, more = few_shot("zero"), endpoint(provider.base_url)
    lab.write(arms, dataset='split = "split"\n[prepare]\nduplicates = "off"\n' + more)
    done = lab.run()
    assert done.code == 3, done
    assert len(done.err.splitlines()) <= 5
    assert "quality.json" in done.err
    assert provider.counts() == {}
    assert json.loads((lab.folder / "data" / "quality.json").read_text())["leaks"]
    assert not (lab.folder / "results.json").exists()
    done = lab.run("--allow-leaks")
    assert done.code == 0, done
    assert lab.results()["verdict"]["kind"] == "invalid"
    assert lab.run().code == 3  # the results that are there do not open the gate


def test_a_quota_that_ends_is_unfinished_and_the_same_command_goes_on(lab: Lab, provider: Provider) -> None:
    arms = [few_shot("zero"), '[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n']
    write(lab, provider, *arms, seed=108, options="concurrency = 4")
    provider.set(quota_after=25)
    done = lab.run()
    assert done.code == 4, done
    assert "insufficient_quota" in done.err
    assert lab.folder.name in done.out
    assert lab.arms()["zero"]["answered"] == 25
    assert lab.arms()["zero"]["failed"] == 35
    assert lab.arms()["majority"]["answered"] == 60
    provider.set(quota_after=None)
    sent = asked(provider)
    assert sent <= 25 + 4
    provider.reset()
    done = lab.run()
    assert done.code == 0, done
    assert asked(provider) == 35
    assert lab.arms()["zero"]["answered"] == 60


def test_an_endpoint_that_is_down_leaves_the_other_arms_finished(lab: Lab, provider: Provider) -> None:
    down = '[endpoints.down]\nbase_url = "http://127.0.0.1:9/v1"\n'
    arms = [few_shot("zero"), few_shot("lost").replace('"fake"', '"down"')]
    write(lab, provider, *arms, seed=109, more=down)
    done = lab.run()
    assert done.code == 4, done
    assert "127.0.0.1:9" in done.err
    assert lab.arms()["zero"]["answered"] == 60
    assert lab.arms()["lost"]["failed"] == 60
    assert (lab.folder / "report.html").exists()


def test_a_model_that_is_not_there(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero", model="base-modle"), fine_tuned("tuned"), seed=110)
    jobs = len(provider.jobs())
    done = lab.run()
    assert done.code == 2, done
    assert "base-modle" in done.err
    assert asked(provider) == 1
    assert len(provider.jobs()) == jobs  # found before a training is paid for
    assert not (lab.folder / "results.json").exists()


def test_log_probabilities_that_do_not_come_are_refused_by_name(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero", options=', answer = "choose"'), seed=111)
    for setting in ({"ignores": ["logprobs"]}, {"without": ["logprobs"]}):
        provider.set(ignores=[], without=[])
        provider.set(**setting)
        provider.reset()
        done = lab.run()
        assert done.code == 2, done
        assert "zero" in done.err
        assert "logprobs" in done.err or "log-probabilities" in done.err
        assert len([line for line in done.err.splitlines() if not line.startswith("[")]) <= 3
        assert asked(provider) == 1


def test_training_that_is_refused(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=112)
    provider.set(training_refused=True)
    done = lab.run()
    assert done.code == 4, done
    assert "training_not_available" in done.err
    results = lab.results()
    assert results["verdict"]["kind"] == "unavailable"
    assert lab.arms()["zero"]["answered"] == 60
    assert lab.arms()["tuned"]["n"] == 0
    assert lab.arms()["tuned"]["accuracy"] is None
    assert "unavailable" not in (lab.folder / "report.html").read_text()[:100]
    provider.set(training_refused=False)
    provider.reset()
    assert lab.run().code == 0
    assert provider.counts().get(CHAT, 0) == 0
    assert provider.counts()[COMPLETIONS] == 60
    assert lab.results()["verdict"]["kind"] != "unavailable"


def test_training_that_fails_is_launched_again(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=113)
    jobs = len(provider.jobs())
    provider.set(job_error="server_error")
    done = lab.run()
    assert done.code == 4, done
    assert "failed: The job failed: server_error" in done.err
    assert lab.arms()["zero"]["answered"] == 60
    provider.set(job_error=None)
    assert lab.run().code == 0
    assert len(provider.jobs()) == jobs + 2


def test_a_model_that_is_trained_already_is_asked_as_it_is(lab: Lab, provider: Provider) -> None:
    arm = fine_tuned("tuned").replace('base = "base-model", n_epochs = 2', 'model = "babbage-002"')
    write(lab, provider, arm, few_shot("zero"), seed=114)
    jobs = len(provider.jobs())
    assert lab.run().code == 0
    assert len(provider.jobs()) == jobs
    assert provider.counts()[COMPLETIONS] == 60
    assert lab.arms()["tuned"]["model"] == "babbage-002"
    assert lab.arms()["tuned"]["training_cost_usd"] is None


def test_a_budget_holds_and_a_higher_one_goes_on(lab: Lab, provider: Provider) -> None:
    prices = '[prices."base-model"]\ninput = 1000.0\noutput = 3000.0\n'
    write(lab, provider, few_shot("zero"), seed=115, more=prices)

    def spent() -> float:
        bodies = lab.journal("SELECT usd FROM answers")
        return sum(float(row[0]) for row in bodies)

    done = lab.run("--max-usd", "0.9")
    assert done.code == 3, done
    assert "$0.90" in done.err
    first = asked(provider)
    assert 0 < first < 60
    assert 0 < spent() <= 0.9
    done = lab.run("--max-usd", "1.6")
    assert done.code == 3
    assert 0.9 < spent() <= 1.6
    done = lab.run("--max-usd", "50")
    assert done.code == 0, done
    assert asked(provider) == 60
    rows = lab.predictions()
    assert spent() == pytest.approx(sum((r["input_tokens"] * 1000 + r["output_tokens"] * 3000) / 1e6 for r in rows))


def test_a_budget_for_training(lab: Lab, provider: Provider) -> None:
    prices = '[prices."base-model"]\ninput = 1.0\noutput = 3.0\ntraining = 100.0\n'
    tuned = '[prices."ft:base-model"]\ninput = 1.0\noutput = 3.0\n'
    jobs = len(provider.jobs())
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=116, more=prices)
    done = lab.run("--max-usd", "1")
    assert done.code == 2, done
    assert "no price is known" in done.err
    assert '[prices."ft:base-model"]' in done.err
    assert provider.counts() == {}
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=116, more=prices + tuned)
    done = lab.run("--max-usd", "0.1")
    assert done.code == 3, done
    assert "training tuned would cost about" in done.err
    assert len(provider.jobs()) == jobs
    provider.set(quota_after=30, fault_paths=["/v1/completions"])
    assert lab.run("--max-usd", "1").code == 4
    cost = provider.jobs()[-1]["trained_tokens"] * 100 / 1e6
    assert cost > 0.1
    provider.set(quota_after=None)
    # what the training cost is spent already: it is not held against the cap a second time
    done = lab.run("--max-usd", str(cost + 0.05))
    assert done.code == 0, done
    assert len(provider.jobs()) == jobs + 1
    assert lab.arms()["tuned"]["training_cost_usd"] == pytest.approx(cost)


def test_an_edited_plugin_is_asked_again_and_the_run_says_so(lab: Lab, provider: Provider) -> None:
    source = (
        "import dataclasses, typing\nimport harness\n"
        "from harness_plugins.backends.few_shot import FewShot\n"
        "@dataclasses.dataclass(frozen=True, kw_only=True)\n"
        "class Own(FewShot):\n    name: typing.ClassVar[str] = 'own'\n"
        "@harness.hookimpl\ndef harness_backends():\n    return [Own]\n"
    )
    (lab.path / "own.py").write_text(source)
    write(lab, provider, few_shot("zero"), few_shot("mine").replace("few-shot", "own"), seed=117)
    assert lab.run("--plugin", lab.path / "own.py").code == 0
    provider.reset()
    assert lab.run("--plugin", lab.path / "own.py").code == 0
    assert asked(provider) == 0
    (lab.path / "own.py").write_text(source + "# edited\n")
    done = lab.run("--plugin", lab.path / "own.py")
    assert done.code == 0, done
    assert asked(provider) == 60
    assert "the plugin own was edited since this run began: its 60 answers are asked again" in done.err
    assert any("own was edited" in check["message"] for check in lab.results()["checks"])


def test_choosing_on_validation(lab: Lab, provider: Provider) -> None:
    choose = '[arms.choose]\n"shots.k" = [0, 2]\n"shots.draw" = [1, 2]\nitems = 9\n'
    write(lab, provider, few_shot("best", k=2, extra=choose), fine_tuned("tuned"), seed=118)
    assert lab.run().code == 0
    assert provider.counts()[CHAT] == 3 * 9 + 60
    (choice,) = lab.results()["choices"]
    assert [c["n"] for c in choice["candidates"]] == [9, 9, 9]
    best = max(c["accuracy"] for c in choice["candidates"])
    assert next(c for c in choice["candidates"] if c["settings"] == choice["chosen"])["accuracy"] == best
    shown = {tuple(row["shot_ids"]) for row in lab.predictions() if row["arm"] == "best"}
    assert {len(ids) for ids in shown} == {choice["chosen"]["shots.k"]}
    examples = {row["id"]: row["split"] for row in _table(lab.folder / "data" / "examples.parquet")}
    trials = _table(lab.folder / "trials.parquet")
    assert len(trials) == 27
    assert {examples[row["example_id"]] for row in trials} == {"validation"}
    assert {examples[shot] for row in [*trials, *lab.predictions()] for shot in row["shot_ids"]} <= {"train"}
    provider.reset()
    assert lab.run().code == 0
    assert asked(provider) == 0


def _table(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


# Ends in the middle


def test_killed_at_several_moments_it_goes_on_and_comes_to_the_same(
    lab: Lab, provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    quiet = Lab.make(tmp_path / "other", 120)
    write(
        quiet,
        provider,
        few_shot("zero"),
        few_shot("four", k=4),
        fine_tuned("tuned"),
        seed=119,
        options="concurrency = 4",
    )
    shutil.copy(quiet.path / "experiment.toml", lab.path)
    jobs, kills = len(provider.jobs()), 0
    provider.set(latency_s=0.05, job_s=1.0)
    moments = [
        lambda: asked(provider) >= 8,  # naming the contenders on validation
        lambda: any(job["status"] != "succeeded" for job in provider.jobs()[jobs:]),  # training
        lambda: provider.counts().get(COMPLETIONS, 0) >= 12,  # asking the test items
    ]
    for moment in moments:
        with under_way(lab, "--quiet") as process:
            process.wait_until(moment, 120.0)
            process.kill()
        kills += 1
        assert not (lab.folder / "results.json").exists()
    provider.set(latency_s=0.0, job_s=None)
    done = lab.run()
    assert done.code == 0, done
    planned = 3 * 60 + 2 * 12
    assert planned <= asked(provider) <= planned + 4 * kills
    assert len(provider.jobs()) == jobs + 1
    assert lab.journal("SELECT count(*) FROM answers") == [(planned,)]
    assert quiet.run().code == 0
    assert lab.said() == quiet.said()
    assert _timeless(lab.results()) == _timeless(quiet.results())


def _timeless(results: dict[str, Any]) -> Any:
    """What must be the same: all but times and what follows from them, and names of runs and of trained models."""
    arms = [
        {k: v for k, v in arm.items() if not any(word in k for word in ("latency", "_s", "machine", "model", "busy"))}
        for arm in results["arms"]
    ]
    shown = ("a", "b", "difference", "ci", "mcnemar_p", "only_a_right", "only_b_right", "primary")
    comparisons = [{key: comparison[key] for key in shown} for comparison in results["comparisons"]]
    return arms, comparisons, results["verdict"]["kind"], results["run"]["n_test"]


def test_interrupted_it_says_so_and_keeps_what_was_answered(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), seed=120, options="concurrency = 2")
    provider.set(latency_s=0.05)
    with under_way(lab) as process:
        process.wait_until(lambda: asked(provider) >= 8, 120.0)
        process.process.send_signal(signal.SIGINT)
        done = process.ended()
    assert done.code == 130, done
    assert "interrupted" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    (kept,) = lab.journal("SELECT count(*) FROM answers")[0]
    assert kept >= 6
    provider.set(latency_s=0.0)
    provider.reset()
    assert lab.run().code == 0
    assert asked(provider) == 60 - kept


def test_a_run_that_is_under_way_is_not_entered(lab: Lab, provider: Provider) -> None:
    from harness.journal import Journal

    write(lab, provider, few_shot("zero"), seed=121)
    assert lab.run("--limit", "2").code == 0
    (lab.folder / "report.html").unlink()  # else all is there, and nothing has to be entered
    with Journal(lab.folder / "journal.sqlite"):
        done = lab.run("--limit", "2")
    assert done.code == 2
    assert f"process {os.getpid()} is working on this run" in done.err


# Secrets


def test_no_key_is_written_anywhere(lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    team = "team-secret-987654"
    monkeypatch.setenv("TEAM_KEY", team)
    provider.set(
        leak_key=True, answer_template="{label} " + KEY + " " + team, always_400=list(lab.answers)[:3], fail_first=1
    )
    options = 'headers = { X-Team = { env = "TEAM_KEY" } }'
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=122, options=options)
    done = lab.run()
    assert done.code == 0, done
    assert any(r.headers.get("x-team") == team for r in provider.requests())
    assert any("[hidden]" in row["response"] for row in lab.predictions())
    provider.set(job_error="server_error")
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=123, options=options)
    failed = lab.run()
    for text in (done.out, done.err, failed.out, failed.err):
        assert KEY not in text
        assert team not in text
    for path in (lab.path / "runs").rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert KEY.encode() not in raw, path
            assert team.encode() not in raw, path
    bodies = lab.journal("SELECT body FROM answers", lab.runs[0])
    import zlib

    assert all(KEY.encode() not in zlib.decompress(row[0]) for row in bodies)


def test_a_key_on_the_command_line_is_not_kept(lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "argv", ["harness", "run", "experiment.toml", "--out", KEY])
    write(lab, provider, few_shot("zero"), seed=124)
    assert lab.run("--limit", "2").code == 0
    assert KEY not in (lab.folder / "manifest.json").read_text()
    assert KEY not in (lab.folder / "results.json").read_text()


def test_missing_keys_are_named_before_anything_else(
    lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAKE_KEY")
    write(lab, provider, few_shot("zero"), seed=125)
    done = lab.run()
    assert done.code == 2
    assert "FAKE_KEY" in done.err
    assert provider.counts() == {}
    assert not (lab.path / "runs").exists()


def test_offline_sends_nothing_to_other_machines(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), seed=126)
    text = (lab.path / "experiment.toml").read_text().replace(provider.base_url, "http://192.0.2.1/v1")
    (lab.path / "experiment.toml").write_text(text.replace("[prepare]", '[prepare]\npii = "warn"'))
    done = lab.run("--offline")
    assert done.code == 2, done
    assert "192.0.2.1" in done.err


OBSERVERS = """
import time
from dataclasses import dataclass
from typing import ClassVar
import harness

@dataclass(frozen=True)
class Fails:
    name: ClassVar[str] = "fails"
    def on(self, event):
        raise ValueError("no")

@dataclass(frozen=True)
class Hangs:
    name: ClassVar[str] = "hangs"
    def on(self, event):
        time.sleep(30)

@harness.hookimpl
def harness_observers():
    return [Fails, Hangs]
"""


def test_observers_that_fail_or_hang_do_no_harm(lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.running import watching

    monkeypatch.setattr(watching, "CLOSE_S", 0.1)
    (lab.path / "watch.py").write_text(OBSERVERS)
    write(lab, provider, few_shot("zero"), seed=127)
    done = lab.run("--plugin", lab.path / "watch.py", "--limit", "4")
    assert done.code == 0, done
    assert 'the observer "fails" failed: ValueError: no' in done.err
    assert 'the observer "hangs" hangs' in done.err
    assert lab.arms()["zero"]["answered"] == 4
