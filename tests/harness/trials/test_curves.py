"""Learning curves and shot curves over real HTTP: each point is trained and asked once, whatever happens."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider
from support.stops import running, timeless

CHAT, COMPLETIONS, CREATE = "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/fine_tuning/jobs"
KEY = "sk-test-curves-0123456789"
ITEMS, TRAIN, VALIDATION, TEST = 120, 60, 24, 36
SPLIT = "[prepare]\nsplit = { train = 0.5, validation = 0.2, test = 0.3 }\n"
PRICES = '[prices."base-model"]\ninput = 2.0\noutput = 8.0\ntraining = 5.0\n'
PRICES += '[prices."ft:base-model"]\ninput = 3.0\noutput = 9.0\n'
SHOTS = "shot_curve = { k = [0, 2, 4], draws = 2 }\n"
SIZES = 'learning_curve = { sizes = ["all", 5, 30, 15], seeds = 2 }\n'
FEW, TUNED = few_shot("few", k=4), fine_tuned("tuned")
JOBS = 1 + 2 * 2 + 1
"""The arm's own, 15 and 30 examples with two seeds, all of them in another order."""
NOT_YET = "not measured yet: the same command goes on"
QUALITY: Mapping[str, Any] = {"accuracy": 0.5, "few_shot_accuracy": 0.6, "tuned_accuracy": 0.9, "seed": 5}


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(ITEMS), api_key=KEY, job_s=0.0, keep_requests=2000, **QUALITY) as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path, impatient: None) -> Lab:
    return Lab.make(tmp_path, ITEMS)


def write(lab: Lab, provider: Provider, *arms: str, more: str = "") -> None:
    lab.write("\n".join(arms), dataset=SPLIT + PRICES + more + endpoint(provider.base_url))


def curves(lab: Lab) -> dict[tuple[str, str], dict[str, Any]]:
    return {(curve["arm"], curve["kind"]): curve for curve in lab.results()["curves"]}


def trials(lab: Lab) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(lab.folder / "trials.parquet").to_pylist()
    return rows


def created(provider: Provider) -> int:
    count: int = provider.counts().get(CREATE, 0)
    return count


def test_curves_that_are_added_ask_only_their_points(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW, TUNED)
    assert lab.run().code == 0
    assert (provider.counts()[CHAT], provider.counts()[COMPLETIONS], created(provider)) == (TEST, TEST, 1)
    assert lab.results()["curves"] == []
    before, verdict = lab.predictions(), lab.results()["verdict"]

    write(lab, provider, FEW + SHOTS, TUNED + SIZES)
    done = lab.run()
    assert done.code == 0, done
    assert provider.counts()[CHAT] == TEST + 5 * VALIDATION  # k = 0 once; the arm's own draw is one of its curve's
    assert provider.counts()[COMPLETIONS] == TEST + 6 * VALIDATION
    assert created(provider) == JOBS
    assert lab.predictions() == before
    assert lab.results()["verdict"] == verdict

    shots, learning = curves(lab)["few", "shots"], curves(lab)["tuned", "learning"]
    assert [(point["shots"], point["draw"]) for point in shots["points"]] == [(0, 1), (2, 1), (2, 2), (4, 1), (4, 2)]
    assert (shots["n_items"], learning["n_items"], learning["split"]) == (VALIDATION, VALIDATION, "validation")
    spots = [(n, seed) for n in (5, 15, 30, TRAIN) for seed in range(2)]
    assert [(point["n_train"], point["seed"]) for point in learning["points"]] == spots
    for point in learning["points"][2:]:
        assert point["accuracy"] is not None
        assert point["accuracy_ci"][0] < point["accuracy"] < point["accuracy_ci"][1]
        assert point["training_usd"] > 0
        assert point["cost_usd"] > 0
        assert point["reason"] is None
    for point in learning["points"][:2]:
        assert point["accuracy"] is point["training_usd"] is None
        assert point["reason"] == "too few examples: openai-compatible takes 10 or more"
    assert [line["x"] for line in learning["summary"]] == [15, 30, TRAIN]
    assert (learning["fit"]["n_sizes"], learning["fit"]["n_points"]) == (3, 6)
    assert learning["crossing"]["kind"] == "below"
    assert learning["crossing"]["against"] == "few"
    asked = Counter((row["arm"], row["candidate"]) for row in trials(lab))
    assert asked["tuned", "learning 15 seed 1"] == asked["few", "shots 2 draw 2"] == VALIDATION
    right = sum(row["predicted"] == row["expected"] for row in trials(lab) if row["candidate"] == "learning 30 seed 1")
    assert next(p for p in learning["points"] if (p["x"], p["seed"]) == (30, 1))["accuracy"] == right / VALIDATION
    assert {row["example_id"] for row in trials(lab)}.isdisjoint(row["example_id"] for row in before)

    provider.reset()
    assert "everything is there" in lab.run().err
    write(lab, provider, FEW, TUNED)
    assert lab.run().code == 0
    assert lab.results()["curves"] == []
    assert provider.counts() == {}


def test_training_files_are_nested_subsets_of_train(lab: Lab, provider: Provider) -> None:
    write(lab, provider, TUNED + SIZES)
    assert lab.run().code == 0

    def lines(pattern: str) -> list[set[str]]:
        paths = sorted((lab.folder / "data").glob(pattern))
        return [set(path.read_text().splitlines()) for path in paths]

    (whole,) = lines("train.tuned.jsonl")
    assert len(whole) == TRAIN
    for seed in range(2):
        (small,), (large,) = lines(f"train.tuned-15-{seed}-*.jsonl"), lines(f"train.tuned-30-{seed}-*.jsonl")
        assert (len(small), len(large)) == (15, 30)
        assert small < large < whole
        assert Counter(json.loads(line)["completion"] for line in small) == {" bad": 5, " good": 5, " mixed": 5}
    assert lines("train.tuned-15-0-*.jsonl") != lines("train.tuned-15-1-*.jsonl")
    assert not lines(f"train.tuned-{TRAIN}-0-*.jsonl")  # that is the arm's own


def test_an_arm_that_chooses_gets_the_curve_of_what_was_chosen(lab: Lab, provider: Provider) -> None:
    choose = '[arms.choose]\n"backend.n_epochs" = [1, 2]\nitems = 10\ncheckpoints = false\n'
    write(lab, provider, TUNED + 'learning_curve = { sizes = [15, "all"], seeds = 1 }\n' + choose)
    done = lab.run()
    assert done.code == 0, done
    assert created(provider) == 2 + 1
    chosen = lab.results()["choices"][0]["chosen"]["backend.n_epochs"]
    told = provider.jobs()[-1]["method"]["supervised"]["hyperparameters"]
    assert told["n_epochs"] == chosen
    curve = curves(lab)["tuned", "learning"]
    assert curve["n_items"] == 10
    best = max(candidate["accuracy"] for candidate in lab.results()["choices"][0]["candidates"])
    assert curve["points"][1]["accuracy"] == best


def test_a_budget_that_ends_in_a_curve_leaves_the_verdict(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW + SHOTS, TUNED)
    assert lab.run().code == 0
    spent, verdict = lab.results()["ledger"]["spent_usd"], lab.results()["verdict"]
    write(lab, provider, FEW + SHOTS, TUNED + SIZES)
    cut = lab.run("--max-usd", str(spent * 1.0001))
    assert cut.code == 3, cut
    assert "of the budget of" in cut.err
    assert lab.results()["verdict"] == verdict
    assert all(point["accuracy"] is not None for point in curves(lab)["few", "shots"]["points"])
    reasons = {point["reason"] for point in curves(lab)["tuned", "learning"]["points"] if point["x"] > 5}
    assert reasons == {NOT_YET}
    assert created(provider) == 1
    assert lab.run("--max-usd", str(spent * 100)).code == 0
    assert provider.counts()[CHAT] == TEST + 5 * VALIDATION
    assert created(provider) == JOBS
    assert all(point["reason"] is None for point in curves(lab)["tuned", "learning"]["points"] if point["x"] > 5)


def test_an_endpoint_that_trains_no_more_leaves_the_verdict(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW, TUNED)
    assert lab.run().code == 0
    provider.set(training_refused=True)
    write(lab, provider, FEW + SHOTS, TUNED + SIZES)
    done = lab.run()
    assert done.code == 4, done
    assert created(provider) <= 1 + 3  # those that were begun side by side; no further seed
    assert "Tuned wins" in done.out
    own = [point for point in curves(lab)["tuned", "learning"]["points"] if point["accuracy"] is not None]
    assert [(point["x"], point["seed"]) for point in own] == [(TRAIN, 0)]
    assert all(point["accuracy"] is not None for point in curves(lab)["few", "shots"]["points"])
    provider.set(training_refused=False)
    assert lab.run().code == 0
    assert len(curves(lab)["tuned", "learning"]["summary"]) == 3


def test_only_one_arm_means_only_its_curves(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW + SHOTS, TUNED + SIZES)
    assert lab.run("--only", "few").code == 0
    assert created(provider) == 0
    assert provider.counts()[CHAT] == TEST + 5 * VALIDATION
    assert list(curves(lab)) == [("few", "shots")]
    provider.reset()
    assert lab.run("--only", "tuned").code == 0
    assert (created(provider), provider.counts().get(CHAT, 0)) == (JOBS, 0)
    assert set(curves(lab)) == {("few", "shots"), ("tuned", "learning")}
    assert curves(lab)["tuned", "learning"]["crossing"]["against"] == "few"
    provider.reset()
    assert "everything is there" in lab.run().err


def test_curves_of_a_finished_arm_that_is_left_out_wait(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW, TUNED)
    assert lab.run().code == 0
    write(lab, provider, FEW + SHOTS, TUNED + SIZES)
    assert lab.run("--only", "few").code == 0
    assert created(provider) == 1
    assert {point["reason"] for point in curves(lab)["tuned", "learning"]["points"] if point["x"] > 5} == {NOT_YET}
    provider.reset()
    assert lab.run().code == 0
    assert (created(provider), provider.counts().get(CHAT, 0)) == (JOBS - 1, 0)


def test_what_one_number_of_shots_cannot_have_is_said_there(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("few", k=4, extra="shot_curve = { k = [2, 90], draws = 1 }\n"))
    done = lab.run()
    assert done.code == 0, done
    small, large = curves(lab)["few", "shots"]["points"]
    assert small["accuracy"] is not None
    assert "shots.k = 90" in large["reason"]
    assert "everything is there" in lab.run().err


def test_a_selector_that_draws_nothing_gets_no_draws(lab: Lab, provider: Provider) -> None:
    lab.run()
    write(lab, provider, few_shot("few"))
    assert lab.run("--limit", "60").code == 0
    rows = pq.read_table(lab.folder / "data" / "examples.parquet").to_pylist()
    ids = json.dumps([row["id"] for row in rows if row["split"] == "train"][:4])
    shots = f'shots = {{ selector = "fixed", k = 2, ids = {ids} }}\n'
    write(lab, provider, few_shot("few", extra=shots + "shot_curve = [1, 4]\n"))
    provider.reset()
    assert call("run", lab.path / "experiment.toml", "--out", lab.path / "more", "--limit", "60").code == 0
    (results,) = [json.loads(path.read_text()) for path in (lab.path / "more").glob("*/results.json")]
    assert [(point["x"], point["draw"]) for point in results["curves"][0]["points"]] == [(1, 1), (4, 1)]
    assert provider.counts()[CHAT] == results["run"]["n_test"] + 2 * results["curves"][0]["n_items"]


def test_sizes_that_train_does_not_have_are_told_and_left_out(lab: Lab) -> None:
    lab.write(
        '[[arms]]\nname = "c"\nbackend = { plugin = "classical" }\nlearning_curve = [1, 10, 500, "all"]\n',
        dataset=SPLIT,
    )
    done = lab.run()
    assert done.code == 0, done
    (check,) = [check for check in lab.results()["checks"] if check["kind"] == "curve-size"]
    assert check["level"] == "warning"
    assert check["message"] == "c: train has 60 examples; its learning curve leaves out 500."
    points = curves(lab)["c", "learning"]["points"]
    # One example has a single class. In process a seed could change nothing about all of them.
    assert [(point["x"], point["seed"]) for point in points] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (10, 0),
        (10, 1),
        (10, 2),
        (60, 0),
    ]
    assert "single class" in points[0]["reason"]
    assert points[-1]["training_s"] == lab.arms()["c"]["training_s"]  # nothing was fitted twice
    assert len(list((lab.folder / "models").iterdir())) == 1 + 3
    assert curves(lab)["c", "learning"]["crossing"] is None
    assert "everything is there" in lab.run().err


def test_without_validation_examples_there_is_no_curve(lab: Lab) -> None:
    split = "[prepare]\nsplit = { train = 0.6, validation = 0, test = 0.4 }\n"
    lab.write('[[arms]]\nname = "c"\nbackend = { plugin = "classical" }\nlearning_curve = [10]\n', dataset=split)
    done = lab.run()
    assert done.code == 0, done
    assert lab.results()["curves"] == []
    assert [check["level"] for check in lab.results()["checks"] if check["kind"] == "curve-validation"] == ["warning"]


def test_an_estimate_counts_jobs_and_requests_of_curves(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW + SHOTS, TUNED + SIZES)

    def estimated() -> dict[str, Any]:
        done = call("estimate", lab.path / "experiment.toml", "--out", lab.path / "runs", "--json")
        assert done.code == 0, done
        return {arm["name"]: arm for arm in json.loads(done.out)["arms"]}

    before = estimated()
    assert before["few"]["requests_for"]["curves"] == 5 * VALIDATION
    assert before["tuned"]["requests_for"]["curves"] == 6 * VALIDATION
    assert before["tuned"]["training"]["jobs"] == JOBS
    assert created(provider) == 0
    assert lab.run().code == 0
    assert provider.counts()[CHAT] == before["few"]["requests"]
    assert provider.counts()[COMPLETIONS] == before["tuned"]["requests"]
    after = estimated()
    assert (after["few"]["requests"], after["tuned"]["requests"], after["tuned"]["training"]["jobs"]) == (0, 0, 0)


def test_killed_in_its_curves_it_trains_and_asks_only_what_is_missing(lab: Lab, provider: Provider) -> None:
    write(lab, provider, FEW + SHOTS, TUNED + SIZES)
    assert lab.run().code == 0
    undisturbed = timeless(lab.results()["curves"])
    shutil.rmtree(lab.path / "runs")
    provider.renew()
    jobs = len(provider.jobs())
    # Under the same tags the first run's jobs would be found there.
    write(lab, provider, FEW + SHOTS, fine_tuned("tuned", options=', suffix = "killed"') + SIZES)
    provider.set(reply_s=0.05)
    for words in ("tuned@30#0: launched", "learning curves, seed 1:"):
        with running(lab) as process:
            process.wait_for_any(words)
            process.kill()
            assert "Traceback" not in process.said()
        verdict = lab.results()["verdict"]["sentence"]  # it stands before the curves
        assert verdict.startswith("Tuned wins")
    provider.set(reply_s=0.0)
    done = lab.run()
    assert done.code == 0, done
    assert timeless(lab.results()["curves"]) == undisturbed
    assert len(provider.jobs()) == jobs + JOBS
    planned = 2 * TEST + 11 * VALIDATION
    asked = provider.counts()[CHAT] + provider.counts()[COMPLETIONS]
    assert planned <= asked <= planned + 2 * 64
