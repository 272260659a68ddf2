"""`harness decide`: other assumptions over a stored run; nothing is sent, nothing is written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Finished
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider
from support.report import make_results, write_run

from harness.finished import deciding

KEY = "sk-test-decide-0123456789"
PRICES = """
[prices."base-model"]
input = 20.0
cached_input = 2.0
output = 80.0
training = 5.0
[prices."ft:base-model"]
input = 4.0
output = 16.0
[decision]
requests_per_month = 5_000
"""


def state(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("decide") / "made", make_results(arms=4, groups=True))
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    return folder


def stored(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return loaded


def decide(folder: Path, *options: str) -> Finished:
    before = state(folder)
    done = call("decide", folder, *options)
    assert state(folder) == before
    return done


def as_json(folder: Path, *options: str) -> dict[str, Any]:
    done = decide(folder, "--json", *options)
    assert done.code == 0, done
    loaded: dict[str, Any] = json.loads(done.out)
    return loaded


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("FAKE_KEY", KEY)
    with Provider.start(answers=task(90), api_key=KEY, answer_template="{label}") as running:
        yield running


def test_without_options_a_run_decides_as_it_did_and_sends_nothing(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 90)
    lab.write(few_shot("shots", k=4) + fine_tuned("tuned"), head=endpoint(provider.base_url) + PRICES)
    ran = lab.run()
    assert ran.code == 0, ran
    results, seen = stored(lab.folder), provider.counts()
    again = as_json(lab.folder)
    assert again == {"changed": [], **{name: results[name] for name in ("payback", "decision", "verdict")}}
    entry = results["payback"][-1]
    assert entry["requests"] > 0
    assert entry["ci"][0] <= entry["requests"] <= entry["ci"][1]
    said = decide(lab.folder)
    assert said.out.rstrip().splitlines()[-1] == results["verdict"]["sentence"]
    model = next(arm["model"] for arm in results["arms"] if arm["name"] == "tuned")
    dear = as_json(lab.folder, "--price", f"{model}.input=400", "--price", "tuned.training=50")
    assert dear["payback"][-1]["requests"] is None
    assert dear["payback"][-1]["fixed"] == pytest.approx(10 * entry["fixed"])
    assert [line["assumption"] for line in dear["changed"]] == [f"{model}.input", f"{model}.training"]
    assert provider.counts() == seen


def test_labels_of_error_costs_are_checked_before_anything_is_spent(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 90)
    costs = "error_usd = { god = 2.0, default = 1.0 }\n"
    lab.write(few_shot("shots", k=4), head=endpoint(provider.base_url) + PRICES + costs)
    for command in ("run", "estimate"):
        done = call(command, lab.path / "experiment.toml", *(["--out", lab.path / "runs"] if command == "run" else []))
        assert done.code == 2, done
        assert 'decision.error_usd: there is no label "god"; did you mean "good"?' in done.err
    lab.write(few_shot("shots", k=4), head=endpoint(provider.base_url) + PRICES + "error_usd = { good = 2.0 }\n")
    done = lab.run()
    assert done.code == 2, done
    assert 'says nothing of "bad"' in done.err
    assert sum(provider.counts().values()) == 0


def test_each_option_changes_what_it_says(made: Path) -> None:
    before = stored(made)
    entry = before["payback"][-1]
    for options, field, value in (
        (("--requests-per-month", "70000"), "requests_per_month", 70_000),
        (("--horizon-months", "3"), "horizon_months", 3),
        (("--cache-hit", "0.9"), "cache_hit", 0.9),
        (("--incumbent", "zero-shot"), "incumbent", "zero-shot"),
        (("--setup-hours", "2", "--hour-usd", "50"), "setup_hours", 2),
        (("--upkeep-hours", "1"), "upkeep_hours_per_month", 1),
        (("--retrainings-per-year", "4"), "retrainings_per_year", 4),
        (("--hosting-usd", "9"), "hosting_usd_per_month", 9),
        (("--labelling-usd", "12"), "labelling_usd", 12),
        (("--count-evaluation",), "count_evaluation", True),
        (("--error-usd", "2"), "error_usd", 2),
        (("--error-usd", "2", "--error-usd", "neutral=7"), "error_usd", {"default": 2, "neutral": 7}),
    ):
        found = as_json(made, *options)
        assert found["decision"]["assumptions"] == {
            **before["decision"]["assumptions"],
            **({"hour_usd": 50} if "--hour-usd" in options else {}),
            field: value,
        }
        assert field in [line["assumption"] for line in found["changed"]]
    cached = as_json(made, "--cache-hit", "0.9")["payback"][-1]
    assert cached["requests"] > entry["requests"]
    assert cached["ci"][0] <= cached["requests"] <= cached["ci"][1]
    assert cached["cache_hit_run"] == entry["cache_hit"]
    assert as_json(made, "--incumbent", "zero-shot")["decision"]["against"] == "zero-shot"


def test_an_arm_without_tokens_is_given_the_price_of_its_requests(made: Path) -> None:
    assert as_json(made, "--incumbent", "tf-idf")["decision"]["total_saving"] is None
    found = as_json(made, "--incumbent", "tf-idf", "--price", "tf-idf.per_1k=3")
    entry = next(line for line in found["payback"] if line["role"] == "incumbent")
    tuned = next(arm for arm in stored(made)["arms"] if arm["name"] == "tuned")
    assert entry["unit"] == "usd"
    assert entry["saving_per_1k"] == pytest.approx(3 - tuned["cost_per_1k_usd"])
    assert entry["ci"][0] <= entry["requests"] <= entry["ci"][1]
    assert {"assumption": "tf-idf.per_1k", "before": None, "now": 3.0} in found["changed"]


def test_the_table_stands_before_the_sentence(made: Path) -> None:
    lines = decide(made, "--cache-hit", "0.5", "--price", "8-shot.input=1").out.rstrip().splitlines()
    table = [line.split("  ") for line in lines[:-1]]
    assert [cell.strip() for cell in table[0] if cell.strip()] == ["as in the run", "now"]
    shown = {line[0].strip(): [cell.strip() for cell in line[1:] if cell.strip()] for line in table[1:]}
    assert shown["cache_hit"] == ["–", "0.5"]
    assert shown["large.input"] == ["2.5", "1"]
    assert "requests to pay back (tuned against 8-shot)" in shown
    assert lines[-1].endswith(".")


def test_figures_of_the_run_stand_beside_those_of_another_opponent_or_horizon(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    shutil.copytree(made, folder)
    rejudged = as_json(made, "--requests-per-month", "50000")
    data = {**stored(made), **{key: rejudged[key] for key in ("payback", "decision", "verdict")}}
    (folder / "results.json").write_text(json.dumps(data), encoding="utf-8")
    table = decide(folder, "--horizon-months", "3", "--incumbent", "zero-shot").out.splitlines()
    for name in ("saved in 3.0 months", "requests to pay back (tuned against zero-shot)"):
        (line,) = (line for line in table if line.startswith(name))
        was, now = line.removeprefix(name).split()[:2]
        assert "–" not in (was, now), line
        assert was != now


def test_the_hour_that_the_run_paid_stands_beside_the_new_one() -> None:
    arm = {"local": True, "model": "small", "simulated": False, "price": None}
    other = {**arm, "name": "b", "cost_per_1k_usd": None, "machine_s_per_1k": None}
    paid = {**arm, "name": "a", "cost_per_1k_usd": 0.25, "machine_s_per_1k": 1800.0}
    _, changed = deciding._prices(("local.hour=2",), {"arms": [other, paid]})
    assert changed == [("local.hour", 0.5, 2.0)]
    _, changed = deciding._prices(("local.hour=2",), {"arms": [other]})
    assert changed == [("local.hour", None, 2.0)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--price", "larg.input=1"), 'no arm pays for larg; did you mean "large"?'),
        (("--price", "large.inptu=1"), 'a price has no "inptu"; did you mean "input"?'),
        (("--price", "large.input=-1"), "dollars are 0 or more"),
        (("--price", "large.input=nan"), "dollars are 0 or more"),
        (("--price", "large.input=x"), '"x" is no number'),
        (("--price", "large"), "MODEL.KEY=X is expected"),
        (("--price", "tf-idf.input=1"), "no arm pays for tf-idf"),
        (("--price", "local.hour=1"), "no arm of this run answers on a local endpoint"),
        (("--price", "8-shot.per_1k=1"), "8-shot pays for tokens"),
        (("--price", "tf-idff.per_1k=1"), 'there is no arm "tf-idff"; did you mean "tf-idf"?'),
        (("--price", "local.day=1"), 'this machine has no price "day"'),
        (("--cache-hit", "1.5"), "--cache-hit 1.5: a number from 0 to 1 is expected"),
        (("--cache-hit", "nan"), "a finite number is expected"),
        (("--requests-per-month", "0"), "a number above 0 is expected"),
        (("--requests-per-month", "inf"), "a finite number is expected"),
        (("--error-usd", "-2"), "dollars are 0 or more"),
        (("--error-usd", "neutrl=2"), 'there is no label "neutrl"; did you mean "neutral"?'),
        (("--incumbent", "8-shoot"), 'there is no arm "8-shoot"; did you mean "8-shot"?'),
    ],
)
def test_what_is_wrong_is_said_and_nothing_decided(made: Path, options: tuple[str, ...], said: str) -> None:
    done = decide(made, *options)
    assert (done.code, done.out) == (2, ""), done
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_run_without_results_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    done = call("decide", tmp_path)
    assert done.code == 2, done
    assert "finish the run first" in done.err


def test_a_run_of_another_version_lacks_what_it_lacks(made: Path, tmp_path: Path) -> None:
    data = stored(made)
    for arm in data["arms"]:
        for key in ("cacheable_tokens_mean", "failed_training_usd"):
            del arm[key]
        if arm["price"] is not None:
            arm["price"] = {name: arm["price"][name] for name in ("input", "cached_input", "output", "training")}
    del data["ledger"]
    kept = ("incumbent", "requests_per_month", "horizon_months", "cache_hit", "setup_hours", "hour_usd")
    data["decision"] = {"assumptions": {name: data["decision"]["assumptions"][name] for name in kept}}
    data["decision"] |= {"unit": "usd", "role": "incumbent", "requests_per_month": None}
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "results.json").write_text(json.dumps(data), encoding="utf-8")
    found = as_json(tmp_path, "--cache-hit", "0.5")
    assert found["payback"][-1]["requests"] > 0
    assert found["payback"][-1]["ci"] is None
    assert decide(tmp_path).code == 0


def test_what_is_not_known_is_not_called_never() -> None:
    entry = {"requests": None, "saving_per_1k": None, "fixed": 2.0, "monthly": None}
    assert deciding._requests(entry) == "not known"
    assert deciding._requests({**entry, "saving_per_1k": -1.0}) == "never"
    assert deciding._requests({**entry, "saving_per_1k": 1.0, "requests": 2000}) == "2,000"
