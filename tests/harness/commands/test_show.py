"""`harness show`: failed items with their story, and the journal by SQL."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from support.cli import HARNESS
from support.lab import Lab, call, endpoint, few_shot, task
from support.provider import Provider

pytestmark = pytest.mark.usefixtures("impatient")

SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n"
MOCK = '[[arms]]\nname = "m"\nbackend = { plugin = "mock", accuracy = 0.7, fail_rate = 0.2 }\n'


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("FAKE_KEY", "sk-test")
    with Provider.start(answers=task(60)) as running:
        yield running


def test_a_failed_item_tells_each_of_its_attempts(lab: Lab, provider: Provider) -> None:
    lab.write(few_shot("zero"), dataset=SPLIT + endpoint(provider.base_url))
    assert lab.run().code == 0
    examples = pq.read_table(lab.folder / "data" / "examples.parquet").to_pylist()
    lost, refused = [row["text"] for row in examples if row["split"] == "test"][:2]
    provider.set(always_500=[lost], always_400=[refused])
    done = lab.run("--no-reuse", "--out", lab.path / "again")
    assert done.code == 4, done
    runs = ("lab", "--runs", lab.path / "again")
    shown = call("show", *runs, "--failed")
    assert shown.code == 0, shown
    for text in (lost, refused):
        assert text in shown.out
    items = {item["text"]: item for item in json.loads(call("show", *runs, "--failed", "--json").out)}
    assert set(items) == {lost, refused}
    attempts = items[lost]["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == list(range(1, len(attempts) + 1))
    assert len(attempts) > 1
    assert {attempt["kind"] for attempt in attempts} == {"server-error"}
    assert attempts[0]["after_s"] is None
    assert all(attempt["after_s"] >= 0 for attempt in attempts[1:])
    assert len(items[refused]["attempts"]) == 1
    folder = lab.path / "again" / lab.folder.name
    faults = lab.arms(folder)["zero"]["faults"]
    assert faults["server-error"] == len(attempts)
    assert sum(faults.values()) == len(attempts) + 1
    assert "Attempts that failed, in the whole run: zero: " in (folder / "report.html").read_text()
    assert call("show", "lab", "--runs", lab.path / "runs", "--failed").out == "no item failed\n"
    # without predictions (an interrupted run) the journal alone tells the same attempts
    (folder / "predictions.parquet").unlink()
    from_journal = json.loads(call("show", *runs, "--failed", "--json").out)
    assert {item["key"] for item in from_journal} == {item["key"] for item in items.values()}
    assert sum(len(item["attempts"]) for item in from_journal) == len(attempts) + 1


def test_items_that_failed_in_process_are_told_without_attempts(lab: Lab) -> None:
    lab.write(MOCK, dataset=SPLIT)
    lab.run()
    items = json.loads(call("show", "lab", "--runs", lab.path / "runs", "--failed", "--json").out)
    assert len(items) == lab.arms()["m"]["failed"] > 0
    assert all(item["error"] and item["key"] and item["attempts"] == [] for item in items)


def test_answers_that_are_cut_off_are_said(lab: Lab) -> None:
    lab.write('[[arms]]\nname = "m"\nbackend = { plugin = "majority" }\n')
    assert lab.run().code == 0
    path = lab.folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:100])
    done = call("show", lab.folder, "--failed")
    assert done.code == 2, done
    assert f"{path} cannot be read" in done.err


def test_items_of_a_published_run_failed_for_reasons_that_stayed_at_home(lab: Lab) -> None:
    lab.write(MOCK, dataset=SPLIT)
    lab.run()
    assert call("publish", lab.folder, "--site", lab.path / "site", "--yes").code == 0
    shown = call("show", lab.path / "site" / lab.folder.name, "--failed")
    assert shown.code == 0, shown
    lines = shown.out.splitlines()
    assert len(lines) == lab.arms()["m"]["failed"] > 0
    assert all(line.startswith("m · ") and line.endswith(": –") for line in lines)
    # Whoever reads the published page has neither the run nor its journal; the run's own page says how to look.
    page, own = lab.path / "site" / lab.folder.name / "index.html", lab.folder / "report.html"
    told = [path.read_text("utf-8") for path in (page, own)]
    assert all(f"which count as wrong: m: {len(lines)} of 30." in text for text in told)
    assert ["--failed" in text for text in told] == [False, True]


def test_the_journal_is_asked_by_sql(lab: Lab) -> None:
    lab.write(MOCK, dataset=SPLIT)
    lab.run()
    runs = ("show", "lab", "--runs", lab.path / "runs")
    shown = call(*runs, "--sql", "SELECT arm, count(*) AS n, NULL AS missing FROM requests GROUP BY arm")
    assert shown.out.splitlines() == ["arm   n  missing", "───  ──  ───────", "m    30  –"]
    assert shown.err == ""
    some = call(*runs, "--sql", "SELECT key, body(body) AS said FROM answers ORDER BY key", "--limit", "2")
    assert len(some.out.splitlines()) == 4
    assert some.err == "there are more rows; these are the first 2: --limit shows more\n"
    rows = json.loads(call(*runs, "--sql", "SELECT key, body(body) AS said FROM answers", "--json").out)
    assert len(rows) == 30
    assert {"text", "error"} <= set(json.loads(rows[0]["said"]))
    none = call(*runs, "--sql", "SELECT kind FROM faults")
    assert none.out.splitlines() == ["kind", "────"]
    assert json.loads(call(*runs, "--sql", "SELECT kind FROM faults", "--json").out) == []


def test_what_a_model_said_steers_no_terminal(lab: Lab) -> None:
    lab.write(MOCK, dataset=SPLIT)
    lab.run()
    sql = "SELECT 'a' || char(27) || '[31m' || char(10) || 'b' AS said, printf('%.*c', 500, 'x') AS long"
    line = call("show", "lab", "--runs", lab.path / "runs", "--sql", sql).out.splitlines()[2]
    assert line.startswith("a[31m b  xxx")
    assert line.endswith("x…")
    assert len(line) < 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sql", "DELETE FROM answers"), "only reading is allowed"),
        (("--sql", "SELECT x FROM requests"), "no such column: x"),
        (("--sql", "SELECT 1", "--failed"), "two questions"),
        (("--sql", "SELECT 1", "--limit", "0"), "--limit"),
    ],
)
def test_wrong_questions_are_exit_2(lab: Lab, options: tuple[str, ...], said: str) -> None:
    lab.write(MOCK, dataset=SPLIT)
    lab.run()
    done = call("show", "lab", "--runs", lab.path / "runs", *options)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


def test_an_endless_query_ends_with_ctrl_c(lab: Lab) -> None:
    lab.write(MOCK, dataset=SPLIT)
    lab.run()
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    command = [HARNESS, "show", lab.folder, "--sql", endless]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as asked:
        try:
            process, limit = psutil.Process(asked.pid), time.monotonic() + 60
            while not any(Path(file.path).name == "journal.sqlite" for file in process.open_files()):
                assert time.monotonic() < limit
                time.sleep(0.02)
            spent = process.cpu_times().user
            while process.cpu_times().user < spent + 0.3:  # it counts by now
                assert time.monotonic() < limit
                time.sleep(0.02)
            asked.send_signal(signal.SIGINT)
            _, err = asked.communicate(timeout=20)
        finally:
            asked.kill()
    assert asked.returncode == 130
    assert "interrupted" in err
