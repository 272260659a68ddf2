"""Answers from a file, in real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.cli import Finished, harness, run_folder
from support.items import ITEMS, write_items

import harness as api
from harness_plugins.backends.predictions import Predictions

EXPERIMENT = """
name = "imported"
seed = 7

[dataset]
plugin = "files"
path = "items.csv"
text = "text"
label = "label"

[prepare]
duplicates = "exact"
split = {{ train = 0.4, validation = 0.1, test = 0.5 }}

[[arms]]
name = "base"
backend = {{ plugin = "mock", accuracy = 0.6 }}
formatter = {{ plugin = "plain" }}

[[arms]]
name = "theirs"
backend = {{ plugin = "predictions", {options} }}
formatter = {{ plugin = "plain" }}
"""


def experiment(folder: Path, options: str) -> Path:
    write_items(folder / "items.csv")
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(options=options))
    return path


def run(folder: Path, options: str) -> Finished:
    return harness("run", experiment(folder, options), "--yes", "--quiet", "--offline", cwd=folder)


def theirs(folder: Path) -> dict[str, Any]:
    results = json.loads((run_folder(folder / "runs") / "results.json").read_text())
    (arm,) = (arm for arm in results["arms"] if arm["name"] == "theirs")
    return {**arm, "checks": results["checks"], "comparisons": results["comparisons"]}


def test_found_by_text_and_paired_with_the_others(tmp_path: Path) -> None:
    # Another tool's file: other case and white space, its own columns, one row that is nobody's.
    rows = [
        {"question": f"  {text.upper()} ", "said": f"Sentiment: {label}", "in": 12, "seconds": 0.25, "usd": 0.001}
        for text, label in [*ITEMS, ("Never asked", "good")]
    ]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = '{ input_tokens = "in", latency_s = "seconds", cost_usd = "usd" }'
    done = run(tmp_path, f'path = "theirs.jsonl", text = "question", answer = "said", columns = {columns}')
    assert done.code == 0, done
    arm = theirs(tmp_path)
    assert (arm["imported"], arm["answered"], arm["failed"], arm["accuracy"]) == (True, 60, 0, 1.0)
    assert arm["input_tokens_mean"] == 12
    assert arm["latency_s"]["p50"] == 0.25
    assert arm["cost_per_1k_usd"] == pytest.approx(1.0)
    (line,) = arm["comparisons"]
    assert line["only_a_right"] + line["only_b_right"] > 0
    (check,) = (check for check in arm["checks"] if check["kind"] == "imported-rows-unmatched")
    assert check["figures"] == {"arm": "theirs", "rows": 121, "unmatched": 1}
    page = (run_folder(tmp_path / "runs") / "report.html").read_text()
    assert '<span class="tag">imported</span>' in page

    # Nothing is read again, and what was told stays; a file that has changed is read again.
    before = arm
    again = run(tmp_path, f'path = "theirs.jsonl", text = "question", answer = "said", columns = {columns}')
    assert again.code == 0, again
    assert theirs(tmp_path)["checks"] == before["checks"]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps({**row, "said": "bad"}) + "\n" for row in rows))
    assert run(tmp_path, f'path = "theirs.jsonl", text = "question", answer = "said", columns = {columns}').code == 0
    assert 0.3 < theirs(tmp_path)["accuracy"] < 0.7


@pytest.mark.parametrize("family", ["few-shot", "zero-shot", "fine-tuned"])
def test_an_imported_arm_is_what_it_is_said_to_be(tmp_path: Path, family: str) -> None:
    rows = [{"text": text, "response": label} for text, label in ITEMS]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(tmp_path, f'path = "theirs.jsonl", text = "text", family = "{family}"')
    assert done.code == 0, done
    assert (theirs(tmp_path)["family"], theirs(tmp_path)["shots"]) == (family, None)


def test_what_was_answered_elsewhere_takes_no_time_of_this_machine(tmp_path: Path) -> None:
    rows = [{"text": text, "response": label, "seconds": 0.25} for text, label in ITEMS]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = experiment(tmp_path, 'path = "theirs.jsonl", text = "text", family = "classical"')
    path.write_text(path.read_text().replace('plugin = "mock", accuracy = 0.6', 'plugin = "majority"'))
    assert harness("run", path, "--yes", "--quiet", "--offline", cwd=tmp_path).code == 0
    arm = theirs(tmp_path)
    assert arm["latency_s"] == {"p50": None, "p95": None, "p99": None}
    assert (arm["machine_s_per_1k"], arm["local"], arm["timed"]) == (None, False, 0)
    (line,) = arm["comparisons"]
    assert (line["cost"]["unit"], line["cost"]["cheaper"], line["p95_change"]) == (None, None, None)

    # Seconds that the file tells are the answers', and none that an arm of this machine shares.
    path.write_text(path.read_text().replace('family = "classical"', 'columns = { latency_s = "seconds" }'))
    assert harness("run", path, "--yes", "--quiet", "--offline", "--no-reuse", cwd=tmp_path).code == 0
    found = [json.loads(each.read_text()) for each in (tmp_path / "runs").glob("*/results.json")]
    here, there = ({arm["name"]: arm for arm in one["arms"]} for one in sorted(found, key=_told))
    assert there["theirs"]["latency_s"] == {"p50": 0.25, "p95": 0.25, "p99": 0.25}
    assert there["theirs"]["machine_s_per_1k"] is None
    busy = [one["base"]["machine_s_per_1k"] / 1000 / one["base"]["latency_s"]["p50"] for one in (here, there)]
    assert busy == pytest.approx([1, 1], rel=0.1), "as long as its requests took, whatever others took elsewhere"


def _told(results: dict[str, Any]) -> bool:
    return any(arm["latency_s"]["p50"] == 0.25 for arm in results["arms"])


def test_found_by_id_in_a_file_of_several_arms(tmp_path: Path) -> None:
    rows = [
        {"arm": arm, "example_id": api.content_id({"text": text}), "response": label, "input_tokens": 30}
        for text, label in ITEMS[:80]
        for arm in ("8-shot", "tuned")
    ]
    for row in rows:
        row["response"] = "good" if row["arm"] == "8-shot" else row["response"]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "predictions.parquet")
    done = run(tmp_path, 'path = "predictions.parquet", id = "example_id", where = { arm = "tuned" }')
    assert done.code == 0, done
    arm = theirs(tmp_path)
    assert arm["answered"] + arm["failed"] == 60
    assert arm["failed"] > 0, "items without a row have failed"
    assert arm["accuracy"] == arm["answered"] / 60
    missing = harness("show", run_folder(tmp_path / "runs"), "--failed", cwd=tmp_path)
    assert "predictions.parquet has no row with its id" in missing.out


def test_what_failed_elsewhere_has_failed_and_is_told_as_there(tmp_path: Path) -> None:
    """Files without nothing (CSV, and the harness's own) have an empty answer beside an error or a status."""
    said = ["good", "", "", "", " ", "what?"]
    rows = [
        {"text": text, "response": said[n % 6], "error": "over quota" if n % 6 == 2 else ""}
        | {"status": "failed" if n % 6 >= 3 else ""}
        for n, (text, _) in enumerate(ITEMS)
    ]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    backend = Predictions(path="theirs.jsonl", text="text")
    with backend.open(api.Context(experiment=tmp_path, folder=tmp_path)) as ask:
        answers = ask([api.Prompt(text=text, source=text) for text, _ in ITEMS[:6]])
    assert [(one.text, one.error) for one in answers] == [
        ("good", None),
        ("", None),
        ("", "over quota"),
        ("", "no answer in the file"),
        ("", "no answer in the file"),
        ("what?", None),
    ]


def test_an_arm_of_a_run_counts_as_it_did_there(tmp_path: Path) -> None:
    file = experiment(tmp_path, 'path = "first/predictions.parquet", id = "example_id", where = { arm = "base" }')
    whole = file.read_text().replace("accuracy = 0.6", "accuracy = 0.6, fail_rate = 0.2, unparsed_rate = 0.2")
    file.write_text(whole[: whole.rindex("[[arms]]")])
    harness("run", file, "--out", "out", "--quiet", cwd=tmp_path)
    (tmp_path / "first").symlink_to(run_folder(tmp_path / "out"))
    file.write_text(whole)
    harness("run", file, "--quiet", cwd=tmp_path)
    results = json.loads((run_folder(tmp_path / "runs") / "results.json").read_text())
    base, again = ([arm[name] for name in ("answered", "unparsed", "failed")] for arm in results["arms"])
    assert base == again
    assert min(base) > 0


FOREIGN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "promptfoo": (
        lambda text, label: {"vars": {"text": text}, "response": {"output": label, "tokenUsage": {"prompt": 9}}},
        lambda rows: {"version": 3, "results": {"results": rows}},
        {
            "rows": "results.results",
            "text": "vars.text",
            "answer": "response.output",
            "columns": {"input_tokens": "response.tokenUsage.prompt"},
        },
    ),
    "inspect": (
        lambda text, label: {"input": text, "output": {"completion": label, "usage": {"input_tokens": 9}}},
        lambda rows: {"version": 2, "samples": rows},
        {
            "rows": "samples",
            "text": "input",
            "answer": "output.completion",
            "columns": {"input_tokens": "output.usage.input_tokens"},
        },
    ),
    "lm-eval": (
        lambda text, label: {"doc": {"text": text}, "filtered_resps": [label], "input_tokens": 9},
        lambda rows: rows,
        {"text": "doc.text", "answer": "filtered_resps.0"},
    ),
}
"""Tool → a row, the file around the rows, and the options that read it."""


def ask(folder: Path, backend: Predictions, texts: list[str]) -> list[api.Answer]:
    with backend.open(api.Context(arm="theirs", experiment=folder, folder=folder)) as answer:
        return list(answer([api.Prompt(source=text) for text in texts]))


@pytest.mark.parametrize("tool", FOREIGN)
def test_nested_json_of_other_tools(tmp_path: Path, tool: str) -> None:
    row, around, options = FOREIGN[tool]
    (tmp_path / "out.json").write_text(json.dumps(around([row(*item) for item in ITEMS])))
    answers = ask(tmp_path, Predictions(path="out.json", **options), [ITEMS[3][0], "unknown"])
    assert (answers[0].text, answers[0].input_tokens) == (ITEMS[3][1], 9)
    assert answers[1].error == "out.json has no row with its text"


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"text": "a", "response": "x"}, {"text": "A!", "response": "y"}], {}, "rows 1 and 2 are one item"),
        ([{"text": "a", "respons": "x"}], {}, 'no column "response" in row 1; did you mean "respons"?'),
        ([{"txt": "a", "response": "x"}], {}, 'no column "text" in row 1; did you mean "txt"?'),
        ([{"text": "a", "response": "x"}], {"where": {"arm": "b"}}, "has no rows where arm = b"),
        ([{"text": "a", "response": "x", "input_tokens": -1}], {}, "input_tokens = '-1'"),
        ([{"text": "a", "response": "x", "latency_s": "nan"}], {}, "latency_s = 'nan'"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, rows: list[Any], options: dict[str, Any], said: str) -> None:
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(api.DataError) as caught:
        ask(tmp_path, Predictions(path="f.jsonl", text="text", **options), ["a"])
    assert said in str(caught.value)


def test_what_is_wrong_is_said_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("text,response\na,good\n")
    done = run(tmp_path, 'path = "answer.csv", text = "text"')
    assert done.code == 2
    assert 'did you mean "answers.csv"?' in done.err
    done = run(tmp_path, 'path = "answers.csv"')
    assert done.code == 2
    assert "expected one of text and id" in done.err
