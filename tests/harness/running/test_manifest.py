"""The manifest: what a run was, without a secret, and when its results can be taken as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.lab import MINE, Lab

from harness.running.manifest import machine, now

ARMS = """
[[arms]]
name = "m"
backend = { plugin = "majority" }
[[arms]]
name = "c"
backend = { plugin = "mock", accuracy = 0.7 }
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab.make(tmp_path)
    made.write(ARMS)
    assert made.run().code == 0
    return made


def manifest(lab: Lab) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((lab.folder / "manifest.json").read_text())
    return loaded


def test_it_says_what_was_run_and_with_what(lab: Lab) -> None:
    record = manifest(lab)
    assert record["schema"] == 1
    assert record["name"] == "lab"
    assert record["created"] <= record["finished"] <= now()
    assert record["preview"] is False
    assert record["seeds"]["experiment"] == 7
    assert [arm["name"] for arm in record["experiment"]["arms"]] == ["m", "c"]
    assert "finetune-harness" in record["plugins"]["backend majority"]["distribution"]
    assert record["machine"] == machine()
    assert "genai-prices" in record["prices"]["sources"]


def test_it_keeps_when_the_run_began(lab: Lab) -> None:
    created = manifest(lab)["created"]
    (lab.folder / "results.json").unlink()
    assert lab.run().code == 0
    assert manifest(lab)["created"] == created


@pytest.mark.parametrize("name", ["results.json", "predictions.parquet", "report.html"])
def test_a_missing_file_is_made_again(lab: Lab, name: str) -> None:
    before = lab.said()
    (lab.folder / name).unlink()
    done = lab.run()
    assert done.code == 0
    assert (lab.folder / name).is_file()
    assert lab.said() == before


@pytest.mark.parametrize("name", ["predictions.parquet", "data/examples.parquet"])
def test_a_table_that_was_cut_off_is_made_again(lab: Lab, name: str) -> None:
    whole = (lab.folder / name).read_bytes()
    for content in (whole[:300], b""):
        (lab.folder / name).write_bytes(content)
        assert lab.run().code == 0
        assert (lab.folder / name).read_bytes() == whole
        assert "everything is there" in lab.run().err


@pytest.mark.parametrize("content", ["", "{", "[]", '{"finished": "x"}', '{"plugins": 3, "arms": null}'])
def test_a_broken_manifest_costs_nothing_but_scoring(lab: Lab, content: str) -> None:
    before = lab.said()
    (lab.folder / "manifest.json").write_text(content)
    done = lab.run()
    assert done.code == 0, done
    assert lab.said() == before
    assert manifest(lab)["arms"] == ["m", "c"]


def test_broken_results_are_made_again(lab: Lab) -> None:
    before = lab.results()["verdict"]
    for content in ("", "{", '{"schema": 1}', "[]"):
        (lab.folder / "results.json").write_text(content)
        done = lab.run()
        assert done.code == 0, done
        assert lab.results()["verdict"] == before


def test_options_of_metrics_and_sections_are_part_of_what_was_judged(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    answers = lab.journal("SELECT key FROM answers")
    seen = []
    for bins, word in ((10, "first"), (3, "first"), (3, "second"), (3, "second")):
        tables = f'[[metrics]]\nplugin = "bins"\nn = {bins}\n[[sections]]\nplugin = "mine"\nword = "{word}"\n'
        lab.write(f"{ARMS}{tables}", head='plugins = ["mine.py"]')
        done = lab.run("--plugin", tmp_path / "mine.py")
        assert done.code == 0, done
        assert lab.arms()["m"]["metrics"]["bins"] == bins
        page = (lab.folder / "report.html").read_text(encoding="utf-8")
        assert f"Mine says {word}." in page
        seen.append((manifest(lab)["judged_with"], "everything is there" in done.err))
    assert len({judged for judged, _ in seen}) == 3
    assert [there for _, there in seen] == [False, False, False, True]
    assert lab.journal("SELECT key FROM answers") == answers


def test_the_same_answers_give_the_same_chain(lab: Lab) -> None:
    chain = manifest(lab)["chain"]
    (lab.folder / "journal.sqlite").unlink()
    (lab.folder / "results.json").unlink()
    assert lab.run().code == 0
    again = manifest(lab)["chain"]
    assert {key: value for key, value in again.items() if key != "results"} == {
        key: value for key, value in chain.items() if key != "results"
    }
    assert set(chain) == {"data", "split", "files", "jobs", "models", "answers", "results"}
