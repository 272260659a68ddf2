"""`harness gate`: conditions on a run's figures, exit codes, JUnit XML, step summary."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from support.cli import Finished
from support.lab import Lab, call

from harness.finished import gating
from harness.finished.gating import Finding, Held, quantile_interval

SPLIT = "[prepare]\nsplit = { train = 0.3, validation = 0.1, test = 0.6 }\n[verdict]\nmargin = 0.05\n"
ARMS = """
[[arms]]
name = "good"
backend = { plugin = "mock", accuracy = 0.9, latency_s = 0.2 }
[[arms]]
name = "poor <&> \\"arm\\""
backend = { plugin = "mock", accuracy = 0.6, unparsed_rate = 0.1 }
[[arms]]
name = "counts"
backend = { plugin = "classical" }
"""
POOR = 'poor <&> "arm"'


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab = Lab.make(tmp_path_factory.mktemp("gate"), 240)
    lab.write(ARMS, dataset=SPLIT)
    done = lab.run()
    assert done.code == 0, done
    return lab.folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def gate(run: Path, *options: str | Path, simulated: bool = True) -> Finished:
    return call("gate", run, *(["--allow-simulated"] if simulated else []), *options)


def change(run: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    edit(results)
    (run / "results.json").write_text(json.dumps(results), encoding="utf-8")


def arm(run: Path, name: str) -> dict[str, Any]:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return next(line for line in results["arms"] if line["name"] == name)


def test_all_conditions_that_hold_pass(run: Path) -> None:
    done = gate(
        run, "--min", "accuracy=0.8", "--max", "unparsed_share=0.05", "--max", "p95_s=2", "--not-worse-than", POOR
    )
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == "pass: 4 of 4 conditions hold for good"
    told = f"accuracy is {arm(run, 'good')['accuracy']:.4f}, 95% CI "
    assert told in done.out


def test_one_that_does_not_fails_with_code_3(run: Path) -> None:
    done = gate(run, "--min", "accuracy=0.99", "--max", "unparsed_share=0.05")
    assert done.code == 3
    assert "FAIL  accuracy ≥ 0.99" in done.out
    assert "pass  unparsed_share ≤ 0.05" in done.out
    assert "1 of 2 conditions does not hold for good" in done.err


def test_a_bound_that_is_just_met_holds(run: Path) -> None:
    accuracy = arm(run, "good")["accuracy"]
    assert gate(run, "--min", f"accuracy={accuracy!r}").code == 0
    assert gate(run, "--max", f"accuracy={accuracy!r}").code == 0
    assert gate(run, "--min", f"accuracy={accuracy + 1e-9!r}").code == 3


def test_strict_asks_for_the_bound_of_the_interval(run: Path) -> None:
    low, high = arm(run, "good")["accuracy_ci"]
    between = f"accuracy={(low + arm(run, 'good')['accuracy']) / 2}"
    assert gate(run, "--min", between).code == 0
    assert gate(run, "--min", between, "--strict").code == 3
    assert gate(run, "--min", f"accuracy={low - 1e-9}", "--strict").code == 0
    assert gate(run, "--max", f"accuracy={high - 1e-9}", "--strict").code == 3
    low = arm(run, "good")["intervals"]["macro_f1"]["ci"][0]
    assert gate(run, "--min", f"macro_f1={low - 1e-9}", "--strict").code == 0
    assert gate(run, "--min", f"macro_f1={low + 1e-9}", "--strict").code == 3
    done = gate(run, "--min", "attempts=1", "--strict")
    assert done.code == 2
    assert "no interval is known of attempts" in done.err


def test_not_worse_than_is_shown_by_the_interval(run: Path) -> None:
    assert gate(run, "--arm", POOR, "--not-worse-than", "good").code == 3
    done = gate(run, "--arm", "good", "--not-worse-than", POOR)
    assert done.code == 0
    assert "not worse than" in done.out
    found = json.loads(gate(run, "--arm", POOR, "--not-worse-than", "good", "--json").out)
    (condition,) = found["conditions"]
    # A margin that the figure keeps is not enough: the interval has to
    for bound, code in ((condition["value"], 3), (condition["interval"][0], 0)):
        change(run, lambda results, bound=bound: results["run"].update(margin=-bound + 1e-6))  # type: ignore[misc]
        assert gate(run, "--arm", POOR, "--not-worse-than", "good").code == code
    assert gate(run, "--arm", "good", "--not-worse-than", "good").code == 2


def test_not_worse_than_speaks_of_the_comparison_on_the_page(run: Path) -> None:
    found = json.loads(gate(run, "--arm", "good", "--not-worse-than", POOR, "--json").out)
    stored = {(line["a"], line["b"]): line for line in json.loads((run / "results.json").read_text())["comparisons"]}
    assert found["conditions"][0]["interval"] == stored["good", POOR]["ci"]
    # What the page shows counts, also where it was reached in another way than it would be today
    change(run, lambda results: [line.update(ci=[-0.3, 0.3]) for line in results["comparisons"]])
    assert gate(run, "--arm", "good", "--not-worse-than", POOR).code == 3
    change(run, lambda results: results.update(comparisons=[]))
    made = json.loads(gate(run, "--arm", "good", "--not-worse-than", POOR, "--json").out)
    assert made["conditions"][0]["interval"] == found["conditions"][0]["interval"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--min", "acuracy=0.9"], 'did you mean "accuracy"?'),
        (["--min", "accuracy"], "NAME=NUMBER is expected"),
        (["--max", "p95_s=fast"], "NAME=NUMBER is expected"),
        (["--max", "p95_s=nan"], "NAME=NUMBER is expected"),
        (["--min", "=3"], "NAME=NUMBER is expected"),
        (["--min", "accuracy=90"], "lies between 0 and 1\ndid you mean --min accuracy=0.9"),
        (["--min", "model=1"], "there is no metric"),
        (["--min", "accuracy=0.1", "--arm", "goood"], 'did you mean "good"?'),
        (["--not-worse-than", "goood"], 'did you mean "good"?'),
        ([], "a gate needs a condition"),
    ],
)
def test_a_wrong_command_is_code_2(run: Path, options: list[str], said: str) -> None:
    done = gate(run, *options)
    assert done.code == 2, done
    assert said in done.err


def test_a_figure_that_is_not_known_fails(run: Path) -> None:
    done = gate(run, "--max", "cost_per_1k_usd=5")
    assert done.code == 3
    assert "cost_per_1k_usd is not known of good" in done.out


def test_figures_of_plugins_and_times_have_names(run: Path) -> None:
    known = gating.figures(arm(run, "good"))
    assert {
        "accuracy",
        "macro_f1",
        "balanced_accuracy",
        "p50_s",
        "p95_s",
        "queue_p95_s",
        "failed_share",
    } <= known.keys()
    assert known["p95_s"] == arm(run, "good")["latency_s"]["p95"]
    assert not {"simulated", "name", "confusion", "latency_s", "model"} & known.keys()


def test_simulated_unfinished_preview_and_leaking_runs_fail_unless_allowed(run: Path) -> None:
    def spoil(results: dict[str, Any]) -> None:
        results["run"]["preview"] = True
        results["checks"].append(
            {"kind": "exact-leak", "level": "error", "message": "Two items leaked.", "figures": {}}
        )

    change(run, spoil)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    (run / "manifest.json").write_text(json.dumps({**manifest, "finished": None}), encoding="utf-8")
    done = gate(run, "--min", "accuracy=0.1", simulated=False)
    assert done.code == 3
    kinds = ("preview", "unfinished", "simulated", "leaks")
    for kind in kinds:
        assert f"--allow-{kind} lets it pass" in done.out
    allowed = [f"--allow-{kind}" for kind in kinds]
    for left_out in kinds:
        given = [option for option in allowed if option != f"--allow-{left_out}"]
        assert gate(run, "--min", "accuracy=0.1", *given, simulated=False).code == 3
    assert gate(run, "--min", "accuracy=0.1", *allowed, simulated=False).code == 0


def test_what_is_compared_with_must_not_be_simulated_either(run: Path) -> None:
    assert gate(run, "--arm", "counts", "--min", "accuracy=0", simulated=False).code == 0
    done = gate(run, "--arm", "counts", "--min", "accuracy=0", "--not-worse-than", "good", simulated=False)
    assert "simulated: good" in done.out


def test_junit_is_xml_with_a_case_for_each_condition(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "gate.xml"
    done = gate(run, "--arm", POOR, "--min", "accuracy=0.99", "--max", "unparsed_share=1", "--junit", path)
    assert done.code == 3
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["accuracy ≥ 0.99", "unparsed_share ≤ 1"]
    assert {case.get("classname") for case in cases} == {POOR}
    assert [len(case.findall("failure")) for case in cases] == [1, 0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_no_text_breaks_the_xml_or_the_table() -> None:
    hostile = "a<b>&\"'\x00\x1b]]>\ud800|*_`\nline"
    held = Held(run=hostile, arm=hostile, findings=(Finding(condition=hostile, passed=False, told=hostile),))
    root = ElementTree.fromstring(gating.to_junit(held).encode("utf-8"))
    (failure,) = root.iter("failure")
    assert failure.get("message", "").startswith("a<b>&\"'\ufffd\ufffd]]>\ufffd|")
    table = [line for line in gating.to_markdown(held).splitlines() if line.startswith("| a")]
    assert len(table) == 1
    assert table[0].count("|") - table[0].count("\\|") == 4


def test_summary_goes_where_the_runner_says(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert "| accuracy ≥ 0.1 | pass |" in gate(run, "--min", "accuracy=0.1", "--summary").out
    place = tmp_path / "summary.md"
    place.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place))
    assert "| accuracy" not in gate(run, "--min", "accuracy=0.1", "--summary").out
    told = place.read_text(encoding="utf-8")
    assert told.startswith("before\n### Gate passed")
    assert gate(run, "--min", "accuracy=0.1").code == 0
    assert place.read_text(encoding="utf-8") == told


def test_json_has_the_findings(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = gate(run, "--min", "accuracy=0.1", "--json")
    found = json.loads(done.out)
    assert (found["passed"], found["arm"]) == (True, "good")
    (condition,) = found["conditions"]
    assert condition["value"] == arm(run, "good")["accuracy"]
    assert condition["interval"] == arm(run, "good")["accuracy_ci"]
    failed = gate(run, "--min", "accuracy=1", "--json")
    assert failed.code == 3
    assert json.loads(failed.out)["passed"] is False
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    both = gate(run, "--min", "accuracy=0.1", "--json", "--summary")
    assert json.loads(both.out) == found
    assert "| accuracy ≥ 0.1 | pass |" in both.err


def test_predictions_of_other_data_are_refused(run: Path, tmp_path: Path) -> None:
    other = Lab.make(tmp_path, 80)
    other.write(ARMS, head="seed = 5", dataset=SPLIT.replace("0.6", "0.5").replace("0.3", "0.4"))
    (tmp_path / "data.csv").write_text(
        (tmp_path / "data.csv").read_text(encoding="utf-8").replace("report", "letter"), encoding="utf-8"
    )
    assert other.run().code == 0
    shutil.copy(other.folder / "predictions.parquet", run / "predictions.parquet")
    done = gate(run, "--max", "p95_s=2")
    assert done.code == 2
    assert "is no test item of this run" in done.err


def test_intervals_of_groups_cover_as_announced() -> None:
    """Twenty users of fifteen requests each, which are unparsed or slow together."""
    from types import SimpleNamespace

    from harness.finished.gating import _interval
    from harness.types import Prediction, Status

    rng = np.random.default_rng(5)
    groups = {f"{item:03}": str(item // 15) for item in range(300)}
    covered = {"unparsed_share": 0, "p50_s": 0}
    for _ in range(200):
        lost, slow = rng.random(20) < 0.3, rng.exponential(size=20)
        rows = [
            Prediction(
                arm="a", example_id=name, expected="x", predicted=None, latency_s=float(slow[int(group)]),
                status=Status.UNPARSED if lost[int(group)] else Status.ANSWERED,
            )
            for name, group in groups.items()
        ]  # fmt: skip
        run = SimpleNamespace(predictions={"a": rows}, groups=groups)
        arm = {"name": "a", "n": 300, "accuracy_ci": None}
        for metric, truth in (("unparsed_share", 0.3), ("p50_s", math.log(2))):
            low, high = _interval(run, arm, metric) or (0.0, 0.0)  # type: ignore[arg-type]
            covered[metric] += low <= truth <= high
    assert min(covered.values()) > 180, covered


def test_quantile_interval_covers_as_announced() -> None:
    rng = np.random.default_rng(4)
    truth = -np.log(0.05)
    held = 0
    for _ in range(600):
        low, high = quantile_interval(list(rng.exponential(size=400)), 0.95) or (0.0, 0.0)
        held += low <= truth <= high
    assert 0.93 <= held / 600 <= 0.985
    assert quantile_interval([], 0.5) is None
    assert quantile_interval([1.0] * 20, 0.99) is None
