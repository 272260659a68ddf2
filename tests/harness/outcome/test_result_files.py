"""From answers to result files: what is counted, timed and chained."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from support.lab import Lab, endpoint, few_shot
from support.provider import Provider


def test_files_of_a_run_agree_with_each_other(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 90)
    mock = '[[arms]]\nname = "m"\nbackend = { plugin = "mock", accuracy = 0.7, unparsed_rate = 0.2, fail_rate = 0.1 }\n'
    classical = '[[arms]]\nname = "c"\nbackend = { plugin = "classical" }\n'
    lab.write(mock + classical, dataset="[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n")
    done = lab.run()
    assert done.code in {0, 4}, done
    folder, results = lab.folder, lab.results()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["id"] == results["run"]["id"] == folder.name
    assert manifest["chain"]["results"] == hashlib.sha256((folder / "results.json").read_bytes()).hexdigest()
    assert manifest["chain"]["data"] == results["run"]["dataset"]["fingerprint"]
    assert set(manifest["chain"]) >= {"data", "split", "files", "jobs", "models", "answers", "results"}
    assert manifest["arms"] == ["m", "c"]
    assert {name.split()[1] for name in manifest["plugins"]} >= {"mock", "classical", "files", "accuracy"}
    for name, arm in lab.arms().items():
        rows = [row for row in lab.predictions() if row["arm"] == name]
        assert len(rows) == arm["n"] == results["run"]["n_test"] == 45
        for status in ("answered", "unparsed", "failed"):
            assert sum(row["status"] == status for row in rows) == arm[status]
        assert arm["answered"] + arm["unparsed"] + arm["failed"] == arm["n"]
        right = sum(row["predicted"] == row["expected"] for row in rows)
        assert arm["accuracy"] == pytest.approx(right / 45)
    assert lab.arms()["m"]["unparsed"] > 0
    assert lab.arms()["m"]["failed"] > 0
    quality = json.loads((folder / "data" / "quality.json").read_text())
    assert quality["rows_in"] == sum(quality["rows_out"].values()) + sum(quality["removed"].values())
    labels = results["data"]["labels"]
    assert [each["label"] for each in labels] == results["run"]["labels"]
    assert {split: sum(each[split] for each in labels) for split in quality["rows_out"]} == quality["rows_out"]
    assert not [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".tmp"]


def test_requests_elsewhere_take_no_seconds_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", "fake")
    lab = Lab.make(tmp_path)
    classical = '[[arms]]\nname = "here"\nbackend = { plugin = "classical" }\n'
    with Provider.start(answers=lab.answers) as provider:
        lab.write(classical + few_shot("elsewhere"), dataset=endpoint(provider.base_url))
        assert lab.run("--yes").code == 0
        # Answers here take half a second each, one after the other; all the while, others are under way elsewhere.
        with contextlib.closing(sqlite3.connect(lab.folder / "journal.sqlite")) as journal, journal:
            journal.execute("UPDATE answers SET started = rowid, service_s = 0.5 WHERE arm = 'here'")
            journal.execute("UPDATE answers SET started = 0, service_s = 1000 WHERE arm = 'elsewhere'")
        (lab.folder / "results.json").unlink()
        assert lab.run("--yes").code == 0
    arms = lab.arms()
    assert arms["here"]["machine_s_per_1k"] == pytest.approx(500)
    assert arms["elsewhere"]["machine_s_per_1k"] is None


def test_an_arm_more_leaves_the_machine_time_of_the_others(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    classical = '[[arms]]\nname = "here"\nbackend = { plugin = "classical" }\n'
    lab.write(classical)
    assert lab.run().code == 0
    before = lab.arms()["here"]["machine_s_per_1k"]
    lab.write(classical + '[[arms]]\nname = "more"\nbackend = { plugin = "majority" }\n')
    first = lab.folder
    assert lab.run().code == 0
    (second,) = (path.parent for path in first.parent.glob("*/results.json") if path.parent != first)
    after = json.loads((second / "results.json").read_text())["arms"][0]
    assert after["reused"] == after["n"]
    assert before is not None
    assert after["machine_s_per_1k"] == pytest.approx(before)
