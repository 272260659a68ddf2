"""The event log of a real run."""

from __future__ import annotations

import json
from pathlib import Path

from support.cli import harness, run_folder
from support.items import write_items

EXPERIMENT = """
name = "watched"
seed = 7
observers = [{observers}]

[dataset]
plugin = "files"
path = "items.csv"
text = "text"
label = "label"

[prepare]
duplicates = "exact"
split = {{ train = 0.4, validation = 0.1, test = 0.5 }}

[[arms]]
name = "one"
backend = {{ plugin = "mock", accuracy = 0.9 }}
formatter = {{ plugin = "plain" }}

[[arms]]
name = "two"
backend = {{ plugin = "majority" }}
formatter = {{ plugin = "plain" }}
"""


def write(folder: Path, observers: str) -> Path:
    write_items(folder / "items.csv")
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(observers=observers))
    return path


def test_each_event_is_a_line(tmp_path: Path) -> None:
    done = harness("run", write(tmp_path, '{ plugin = "event-log", path = "log/events.jsonl" }'), "--yes", cwd=tmp_path)
    assert done.code == 0, done
    folder = run_folder(tmp_path / "runs")
    events = [json.loads(line) for line in (folder / "log" / "events.jsonl").read_text().splitlines()]
    assert [events[0]["kind"], events[-1]["kind"]] == ["run-started", "run-finished"]
    assert {event["run"] for event in events} == {folder.name}
    assert events[-1]["message"] == json.loads((folder / "results.json").read_text())["verdict"]["sentence"]
    asked = {arm: sum(e["figures"]["done"] for e in events if e["arm"] == arm) for arm in ("one", "two")}
    assert asked == {"one": 60, "two": 60 + 12}, "classical arms answer validation too"
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_a_log_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = harness(
        "run", write(tmp_path, f'{{ plugin = "event-log", path = "{tmp_path}/file/x" }}'), "--yes", cwd=tmp_path
    )
    assert done.code == 0, done
    assert 'the observer "event-log" failed' in done.err
    assert "the run is unharmed" in done.err
