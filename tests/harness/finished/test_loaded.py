"""A finished run in a notebook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.cli import ROOT
from support.report import make_results, write_run

import harness


def written(folder: Path, **options: Any) -> Path:
    run = folder / "runs" / "reviews-0a1b2c3d"
    write_run(run, make_results(60, 3, **options))
    (run / "manifest.json").write_text("{}")
    return run


def test_results_are_typed_and_tables_are_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path)
    stored = json.loads((folder / "results.json").read_text())
    monkeypatch.chdir(tmp_path)
    run = harness.load("reviews")
    assert run.results.verdict.sentence == stored["verdict"]["sentence"]
    assert repr(run) == f"reviews-0a1b2c3d: {stored['verdict']['sentence']}"
    name = stored["arms"][0]["name"]
    assert run.results.arm(name).accuracy == stored["arms"][0]["accuracy"]
    primary = run.results.primary
    assert primary is not None
    assert primary.ci == tuple(next(line["ci"] for line in stored["comparisons"] if line["primary"]))
    assert len(run.predictions) == 60 * len(stored["arms"])
    assert set(run.predictions["example_id"]) <= set(run.examples["id"])
    assert run.arms.loc[name, "accuracy"] == stored["arms"][0]["accuracy"]
    # by hand what the results say
    mine = run.predictions[run.predictions["arm"] == name]
    assert (mine["expected"] == mine["predicted"]).mean() == pytest.approx(stored["arms"][0]["accuracy"])
    assert run.trials.empty, "this run has none"


def test_the_page_about_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path)
    stored = json.loads((folder / "results.json").read_text())
    tuned, prompt = stored["contenders"]["a"], stored["contenders"]["b"]
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "how-to" / "notebook.md").read_text()
    for was, now in (("food-reviews", "reviews"), ("tuned", tuned), ("8-shot", prompt)):
        page = page.replace(f'"{was}"', json.dumps(now))
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(block, names)  # a page of this project
    line = next(one for one in stored["comparisons"] if one["primary"])
    assert len(names["only"]) == line["only_a_right"]


def test_what_a_newer_version_adds_is_kept(tmp_path: Path) -> None:
    folder = written(tmp_path)
    path = folder / "results.json"
    stored = json.loads(path.read_text())
    stored["arms"][0]["brand_new"] = 3
    path.write_text(json.dumps(stored))
    assert harness.load(folder).results.arms[0].model_extra["brand_new"] == 3  # type: ignore[index]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(harness.UsageError, match='did you mean "reviews-0a1b2c3d"'):
        harness.load("review-0a1b2c3d", tmp_path / "runs")
    run = harness.load(folder)
    name = run.results.arms[0].name
    with pytest.raises(harness.UsageError, match="did you mean"):
        run.results.arm(name[:-1])
    (folder / "results.json").unlink()
    with pytest.raises(harness.DataError, match="is missing"):
        harness.load(folder)
