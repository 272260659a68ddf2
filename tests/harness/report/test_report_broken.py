"""Results that lack something: the report says what, and is still worth reading; what cannot be read is refused."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.lab import call
from support.report import Page, everything, make_results, shipped_sections, write_run

from harness.blocks import Callout, Results
from harness.report.arms import looks
from harness.report.complete import completed
from harness.report.page import render
from harness.report.reading import load
from harness.report.telling import Told, tell
from harness.report.writers.markdown import to_markdown
from harness.report.writers.terminal import sections_to_terminal, to_terminal

SECTIONS = shipped_sections()
NOTHING = re.compile(r"\b(?:nan|NaN|None|undefined|inf|Infinity|null)\b")


REAL = make_results(n=30, arms=3, change=everything)


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields where keys are: of lists, the first entries stand for all."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*before, key)
            yield from paths(item, (*before, key))
    elif isinstance(value, list):
        for place, item in enumerate(value[:2]):
            yield from paths(item, (*before, place))


KEYS = [path for path in paths(REAL.data) if path != ("schema",)]


def changed(data: Any, path: tuple[Any, ...], how: str) -> None:
    """Drops a key, or sets it to what is nothing; a path that an earlier change has cut off changes nothing."""
    try:
        for step in path[:-1]:
            data = data[step]
        if how == "drop":
            del data[path[-1]]
        elif path[-1] in data:
            data[path[-1]] = {"null": None, "nan": float("nan"), "empty": []}[how]
    except (KeyError, IndexError, TypeError):
        pass


def said(results: Results) -> dict[str, str]:
    """Returns what a reader sees, in each form."""
    stream = io.StringIO()
    console = Console(file=stream, width=300)
    report = tell(results, SECTIONS)
    for part in (to_terminal(results), *sections_to_terminal(report.sections, looks(report.data))):
        console.print(part)
    page = Page(render(results, SECTIONS))
    text = " ".join(page.texts["main"])
    for script in page.texts.get("script", ()):
        text = text.replace(script, " ")
    return {"page": text, "terminal": stream.getvalue(), "markdown": to_markdown(results, SECTIONS)}


def sound(results: Results) -> None:
    for form, text in said(results).items():
        read = re.sub(r"raised .*", "", text)
        assert not [read[max(0, hit.start() - 60) : hit.end() + 40] for hit in NOTHING.finditer(read)], form


CHANGES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["drop", "null", "nan", "empty"])), min_size=1, max_size=9
)


def broken(changes: list[tuple[tuple[Any, ...], str]]) -> Results:
    data = copy.deepcopy(dict(REAL.data))
    for path, how in changes:
        changed(data, path, how)
    return replace(REAL, data=data)


@settings(max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate])
@given(CHANGES)
def test_whatever_is_missing_a_report_is_written(changes: list[tuple[tuple[Any, ...], str]]) -> None:
    sound(broken(changes))


@settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.tuples(st.sampled_from(KEYS), st.sampled_from(["drop", "null"])))
def test_no_single_key_silences_a_shipped_section(change: tuple[tuple[Any, ...], str]) -> None:
    report = tell(broken([change]), SECTIONS)
    assert not [text for text in callouts(report) if "could not be shown" in text]


RELIED_ON = (
    ("curves", 1, "fit", "slope_ci"), ("curves", 1, "crossing", "n"), ("cascades", 0, "accuracy_ci"),
    ("cascades", 0, "difference_ci"), ("payback", 0, "unit"), ("decision", "months"), ("decision", "against"),
    ("arms", 0, "confidence", "gates", 0, "wanted"), ("comparisons", 0, "a"), ("training", 0, "arm"),
)  # fmt: skip
"""Keys that sections take for granted: an entry without them cannot be shown, and is not."""


@pytest.mark.parametrize("path", RELIED_ON, ids=lambda path: ".".join(map(str, path)))
def test_an_entry_that_cannot_be_shown_is_left_out(path: tuple[Any, ...]) -> None:
    assert path in KEYS
    report = tell(broken([(path, "drop")]), SECTIONS)
    assert not [text for text in callouts(report) if "could not be shown" in text]


def callouts(report: Told) -> list[str]:
    blocks = [block for spoken in report.sections for block in spoken.blocks]
    return [block.text for block in blocks if isinstance(block, Callout)]


PROMISED = {
    "run": "name id started finished seed n_test preview dataset labels command",
    "checks": "kind level message figures",
    "arms": "name family model of shots n answered unparsed failed simulated imported accuracy accuracy_strict "
    "accuracy_ci macro_f1 mae mae_all off_by_one input_tokens_mean output_tokens_mean cached_tokens_mean "
    "reasoning_tokens_mean cost_per_1k_usd training_cost_usd training_s latency_s",
    "comparisons": "a b metric primary difference ci mcnemar_p p_adjusted only_a_right only_b_right n_for_80_power",
    "payback": "arm against role unit fixed saving_per_1k requests ci cache_hit reason",
    "decision": "requests_per_month horizon_months monthly_saving total_saving break_even_date shutdown_date "
    "flip_points table",
    "verdict": "kind arm against sentence",
}
"""What the first version of the schema had."""


def test_a_run_of_the_first_version_is_shown_whole() -> None:
    data: dict[str, Any] = {"schema": 1, "choices": [], "curves": [], "repeats": []}
    for name, keys in PROMISED.items():
        whole = REAL.data[name]
        entries = whole if isinstance(whole, list) else [whole]
        kept = [{key: entry[key] for key in keys.split()} for entry in entries]
        data[name] = kept if isinstance(whole, list) else kept[0]
    results = replace(REAL, data=data)
    sound(results)
    report = tell(results, SECTIONS)
    assert not report.gaps or all("Items without" in gap.text for gap in report.gaps)
    assert not [text for text in callouts(report) if "could not be shown" in text]
    assert {"results", "significance", "payback", "errors", "speed"} <= {spoken.name for spoken in report.sections}


def no_answers(data: dict[str, Any]) -> None:
    """The second arm's endpoint was down: none of its items has an answer."""
    arm = data["arms"][1]
    arm |= dict.fromkeys(("accuracy", "accuracy_strict", "accuracy_ci", "macro_f1", "cost_per_1k_usd", "rank"))
    arm |= {"answered": 0, "unparsed": 0, "failed": arm["n"], "latency_s": None}
    data["comparisons"] = [entry for entry in data["comparisons"] if arm["name"] not in (entry["a"], entry["b"])]
    data["payback"], data["run"]["finished"] = [], None


def refused(data: dict[str, Any]) -> None:
    """The first arm was never trained."""
    no_answers(data)
    arm = data["arms"][0]
    arm |= dict.fromkeys(("accuracy", "accuracy_ci", "macro_f1", "n", "answered", "unparsed", "failed", "model"))
    arm |= {"refused": True, "latency_s": None}
    data["training"] = [{"arm": arm["name"], "status": "refused", "reason": "the base model cannot be trained"}]
    data["comparisons"], data["decision"] = [], None
    data["verdict"] = {"kind": "unavailable", "arm": None, "against": None, "sentence": "Training was refused."}


def unfinished(data: dict[str, Any]) -> None:
    data["arms"][0] |= {"failed": 7, "answered": data["arms"][0]["n"] - 7}


def no_arms(data: dict[str, Any]) -> None:
    data.update(arms=[], comparisons=[], payback=[], decision=None, verdict=None, checks=[])


def nameless(data: dict[str, Any]) -> None:
    del data["arms"][0]["name"]
    data["arms"].append(dict(data["arms"][1]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (no_answers, ["8-shot has no answers: none of its 30 items", "harness show reviews-0123abcd --failed"]),
        (refused, ["tuned has no answers. Its training came to nothing: the base model cannot be trained"]),
        (unfinished, ["Items without an answer, which count as wrong: tuned: 7 of 30"]),
        (no_arms, ["This run has no arms with results yet"]),
        (nameless, ["2 entries of results.json lack what they are about"]),
    ],
)
def test_a_run_that_failed_half_way_says_what_is_missing(change: Any, expected: list[str]) -> None:
    results = make_results(n=30, arms=3, change=change)
    sound(results)
    forms = said(results)
    for form, text in forms.items():
        for sentence in expected:
            assert sentence in " ".join(text.replace("\\", "").split()), form
    if change is not no_arms:
        assert "Rank" in forms["page"]
        assert "zero-shot" in forms["terminal"]


def free(data: dict[str, Any]) -> None:
    for arm in data["arms"]:
        arm["cost_per_1k_usd"] = arm["training_cost_usd"] = 0.0


def losing(data: dict[str, Any]) -> None:
    for entry in data["payback"]:
        entry |= {"saving_per_1k": -1.5, "requests": None, "ci": None, "reason": "Nothing is saved."}
    data["decision"] |= {"monthly_saving": -22.5, "total_saving": -271.0, "break_even_date": None}


def one_class(data: dict[str, Any]) -> None:
    data["run"]["labels"] = ["positive"]


@pytest.mark.parametrize("change", [free, losing, one_class])
@pytest.mark.parametrize("arms", [1, 3])
def test_figures_at_their_limits_are_written_in_words(change: Any, arms: int) -> None:
    results = make_results(n=30, arms=arms, change=change)
    if change is one_class:
        same = ("positive",) * len(results.predictions["arm"])
        results = replace(results, predictions={**results.predictions, "expected": same, "predicted": same})
    sound(results)
    assert not [text for text in callouts(tell(results, SECTIONS)) if "could not be shown" in text]


def test_nothing_is_made_up_where_keys_are_missing() -> None:
    given_arm = {"name": "a", "n": 3, "accuracy": float("nan"), "own": {"x": float("inf")}}
    found = completed({"schema": 1, "arms": [given_arm]})
    [arm] = found.data["arms"]
    assert (arm["n"], arm["accuracy"], arm["macro_f1"], arm["own"]) == (3, None, None, {"x": None})
    assert (found.data["comparisons"], found.data["decision"], found.dropped) == ([], None, 0)
    bill = {"arm": "a", "unit": None, "per_1k": None, "fixed": 0.0}  # of an arm whose cost nobody knows
    assert completed({"decision": {"months": 12, "totals": [bill]}}).dropped == 0
    whole = completed(REAL.data)
    assert whole.dropped == 0
    assert held(REAL.data, whole.data) == REAL.data


def held(given_: Any, whole: Any) -> Any:
    """Returns of completed data what stands where something was given."""
    if isinstance(given_, dict):
        return {key: held(value, whole[key]) for key, value in given_.items()}
    if isinstance(given_, list) and given_ and len(given_) == len(whole):
        return [held(one, other) for one, other in zip(given_, whole, strict=True)]
    return whole


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "runs" / "reviews-0123abcd", make_results(n=30, arms=2))
    (folder / "manifest.json").write_text('{"name": "reviews"}', "utf-8")
    return folder


def without_predictions(run: Path) -> None:
    (run / "predictions.parquet").unlink()


def cut_off(run: Path) -> None:
    path = run / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:200])


def without_columns(run: Path) -> None:
    table = pq.read_table(run / "predictions.parquet").drop_columns(["expected", "predicted"])
    pq.write_table(table, run / "predictions.parquet")


def without_examples(run: Path) -> None:
    (run / "data" / "examples.parquet").unlink()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_predictions, "The single answers (predictions.parquet) are missing"),
        (cut_off, "The single answers (predictions.parquet) are missing"),
        (without_columns, "lack the columns expected, predicted and are left out"),
        (without_examples, "The texts (data/examples.parquet) are missing"),
    ],
)
def test_missing_files_are_named_and_the_rest_is_shown(run: Path, change: Any, sentence: str) -> None:
    change(run)
    results = load(run)
    sound(results)
    for text in said(results).values():
        assert sentence in " ".join(text.replace("\\", "").split())
    report = tell(results, SECTIONS)
    assert {"results", "significance", "payback"} <= {spoken.name for spoken in report.sections}
    assert not [text for text in callouts(report) if "could not be shown" in text]
    shown = call("show", run)
    assert shown.code == 0, shown
    assert "Rank" in shown.out


def test_texts_left_out_on_purpose_are_no_gap(run: Path) -> None:
    assert "The texts (data/examples.parquet)" not in render(load(run), SECTIONS, samples="none")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"schema": 2}', "has schema 2, this version reads schema 1"),
        ("{}", "has schema None"),
        ('{"schema": 1, "run": {"na', "is not JSON, or cut off"),
        ("[1]", "holds no JSON object"),
        ("[" * 100_000, "is not JSON, or cut off"),
        ("\xff\xfe", "is not JSON, or cut off"),
    ],
)
def test_results_that_cannot_be_read_are_refused(run: Path, content: str, expected: str) -> None:
    (run / "results.json").write_bytes(content.encode("latin-1"))
    for command in (
        ("report", run),
        ("report", run, "--format", "md"),
        ("report", run, "--format", "json"),
        ("show", run),
        ("show", run, "--all"),
    ):
        done = call(*command)
        assert done.code == 2, done
        assert "results.json" in done.err
        assert expected in " ".join(done.err.split())
        assert not done.out
    assert not (run / "report.html").exists()


def test_numbers_that_are_none_read_as_unknown(run: Path) -> None:
    path = run / "results.json"
    data = json.loads(path.read_text("utf-8"))
    data["arms"][0]["macro_f1"], data["arms"][0]["latency_s"]["p95"] = float("nan"), float("inf")
    path.write_text(json.dumps(data), "utf-8")
    sound(load(run))
