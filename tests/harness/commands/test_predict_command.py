"""`harness predict` against a provider over real HTTP: every row, once, resumable, by any arm of a finished run."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from support.cli import HARNESS
from support.lab import LABELS, Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

from harness.finished.new_data import NewData
from harness.finished.predicting import FORMS
from harness.finished.predicting import write as write_rows
from harness.types import Context
from harness_plugins.datasets.files import Files

KEY = "sk-test-predict-0123456789abcdef"
CHAT, COMPLETIONS = "POST /v1/chat/completions", "POST /v1/completions"
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"
CLASSICAL = '[[arms]]\nname = "classical"\nbackend = { plugin = "classical" }\n'
NEW = dict(list(task(120).items())[90:])
TEXTS = list(NEW)


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    quality = {"accuracy": 0.5, "few_shot_accuracy": 0.8, "tuned_accuracy": 0.9, "seed": 5}
    with Provider.start(answers=task(120), api_key=KEY, **quality) as running:
        yield running


@pytest.fixture(scope="module")
def finished(shared: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run of 60 rows, made once."""
    shared.renew()  # whatever a test before has set
    lab = Lab.make(tmp_path_factory.mktemp("predict"), 60)
    chosen = few_shot("chosen", k=2) + '[arms.choose]\n"shots.k" = [0, 4]\n'
    arms = few_shot("zero", options=", max_tokens = 9") + chosen + fine_tuned("tuned") + CLASSICAL
    lab.write(arms, dataset=SPLIT + endpoint(shared.base_url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_KEY", KEY)
        done = lab.run()
    assert done.code == 0, done
    return lab


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def predict(lab: Lab, arm: str, data: Path, out: Path, *options: str) -> Any:
    return call("predict", lab.folder, data, "--arm", arm, "-o", out, *options)


def test_every_row_comes_back_in_its_place_and_duplicates_are_asked_once(
    finished: Lab, provider: Provider, tmp_path: Path
) -> None:
    rows = [["note", "text", "n"], *([f"=cmd{n}", text, str(n)] for n, text in enumerate(TEXTS[:20]))]
    rows += [["again", TEXTS[3], "x"], ["empty", "  ", ""], ["@more", TEXTS[3], "+1"]]
    out = tmp_path / "out.csv"
    done = predict(finished, "tuned", write(tmp_path / "new.csv", rows), out)
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == f"23 rows written to {out} (1 failed)"
    found = read(out)
    assert list(found[0]) == ["note", "text", "n", "predicted", "status", "confidence", "response"]
    assert [[row["note"], row["text"], row["n"]] for row in found] == rows[1:]
    assert provider.counts() == {COMPLETIONS: 20}
    assert {row["predicted"] for row in found if row["text"] == TEXTS[3]} == {found[3]["predicted"]}
    assert found[21]["status"] == "failed"
    assert not found[21]["predicted"]
    right = sum(row["predicted"] == NEW.get(row["text"]) for row in found[:20])
    assert right >= 14  # as good as the tuned model is; by position or chance it would be a third
    assert KEY not in out.read_text() + done.err


def test_answers_of_the_run_and_of_earlier_data_are_not_bought_again(
    finished: Lab, provider: Provider, tmp_path: Path
) -> None:
    test = next(row for row in finished.predictions() if row["arm"] == "zero")
    known = pq.read_table(finished.folder / "data" / "examples.parquet").to_pylist()
    text = next(row["text"] for row in known if row["id"] == test["example_id"])
    first = write(tmp_path / "first.csv", [["text"], [text], [TEXTS[20]]])
    assert predict(finished, "zero", first, tmp_path / "a.csv").code == 0
    assert provider.counts() == {CHAT: 1}
    assert read(tmp_path / "a.csv")[0]["predicted"] == (test["predicted"] or "")
    grown = write(tmp_path / "grown.csv", [["text"], [TEXTS[21]], [text], [TEXTS[20]]])
    assert predict(finished, "zero", grown, tmp_path / "b.csv").code == 0
    assert provider.counts() == {CHAT: 2}
    assert predict(finished, "zero", grown, tmp_path / "b.csv").code == 0
    assert provider.counts() == {CHAT: 2}


def test_what_failed_is_asked_by_the_same_command(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    data = write(tmp_path / "new.csv", [["text"], *([text] for text in TEXTS[22:28])])
    provider.set(quota_after=2)
    broken = predict(finished, "tuned", data, tmp_path / "out.csv")
    assert broken.code == 4, broken
    told = predict(finished, "tuned", data, tmp_path / "out.csv", "--json")
    assert (told.code, json.loads(told.out)["unfinished"]) == (
        4,
        broken.err.split("unfinished: ")[1].splitlines()[0],
    ), told
    found = read(tmp_path / "out.csv")
    assert [row["text"] for row in found] == TEXTS[22:28]
    assert sum(row["status"] == "answered" for row in found) == 2, (found, broken, provider.statuses())
    provider.renew()
    assert predict(finished, "tuned", data, tmp_path / "out.csv").code == 0
    assert provider.counts() == {COMPLETIONS: 4}
    assert {row["status"] for row in read(tmp_path / "out.csv")} == {"answered"}


def test_a_choice_answers_as_what_was_chosen(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    data = write(tmp_path / "new.csv", [["text"], [TEXTS[0]]])
    assert predict(finished, "chosen", data, tmp_path / "out.csv").code == 0
    (choice,) = finished.results()["choices"]
    assert choice["chosen"] != choice["candidates"][0]["settings"]  # or the first would do as well
    (request,) = provider.requests("/v1/chat/completions")
    assert len(request.body["messages"]) == 2 + 2 * choice["chosen"]["shots.k"]


def test_in_process_arms_label_too_and_jsonl_keeps_values(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    rows = [{"text": TEXTS[n], "tags": ["a", n], "n": n, "x": None} for n in range(3)]
    data = tmp_path / "new.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert predict(finished, "classical", data, tmp_path / "out.jsonl").code == 0
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert all(row["predicted"] in LABELS and 0 < row["confidence"] <= 1 for row in found)
    assert predict(finished, "classical", data, tmp_path / "out.parquet").code == 0
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["text"], row["n"], row["predicted"]) for row in table] == [
        (row["text"], row["n"], row["predicted"]) for row in found
    ]
    assert provider.counts() == {}


ODD: Mapping[str, Sequence[Any]] = {
    "breaks": ["a\rb", "a\r\nb\n", '"\r'],
    "empty": [{}, {}, None],
    "within": [[{}], [{"a": {}}], []],
    "large": [2**70, 1, -(2**63)],
    "kinds": [1, "one", {"n": 1}],
    "whole": [0, -1, 2**60],
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_is_written_is_read_again_whatever_stands_in_it(
    suffix: str, finished: Lab, provider: Provider, tmp_path: Path
) -> None:
    rows = [{"text": TEXTS[n], **{name: values[n] for name, values in ODD.items()}} for n in range(3)]
    data, out = tmp_path / "new.jsonl", tmp_path / f"out.{suffix}"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = predict(finished, "classical", data, out, "--json")
    assert (done.code, json.loads(done.out)["unfinished"]) == (0, None), done
    found = list(Files(path=str(out)).rows(Context(folder=tmp_path)))

    def said(value: object) -> object:
        return value if isinstance(value, str) else json.dumps(value)

    as_text = {"csv": list(ODD), "jsonl": [], "parquet": ["empty", "within", "large", "kinds"]}[suffix]
    for name, values in ODD.items():
        told = [None if value is None else said(value) for value in values] if name in as_text else list(values)
        assert [row[name] or None for row in found] == [value or None for value in told], name
    assert [row["text"] for row in found] == TEXTS[:3]


def test_half_a_character_and_bytes_are_written(tmp_path: Path) -> None:
    rows = ({"text": "a", "raw": b"\xff", "mixed": "ö"}, {"text": "b", "raw": b"", "mixed": b"\xff\x00"})
    given = NewData(name="d", columns=("text", "raw", "mixed"), rows=rows, examples=())
    added = [{"predicted": "x", "status": "answered", "confidence": None, "response": "x \ud83d"}] * 2
    for suffix in FORMS:
        write_rows(tmp_path / f"out{suffix}", given, added)
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["raw"], row["mixed"]) for row in found] == [(b"\xff", "ö".encode()), (b"", b"\xff\x00")]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    for told in (lines, read(tmp_path / "out.csv")):
        assert [(row["raw"], row["mixed"]) for row in told] == [("/w==", "ö"), ("", "/wA=")]
    assert {row["response"] for row in (*found, *lines)} == {"x ?"}


def test_columns_without_a_name_stay_apart(finished: Lab, tmp_path: Path) -> None:
    rows = [["", " ", "text", ""], ["1", "a", TEXTS[0], "=x"], ["2", "b", TEXTS[1], ""]]
    sheet = openpyxl.Workbook()
    for row in rows:
        sheet.active.append([cell or None for cell in row[:-1]] + ([row[-1]] if row[-1] else []))
    sheet.save(tmp_path / "new.xlsx")
    for data in (write(tmp_path / "new.csv", rows), tmp_path / "new.xlsx"):
        assert predict(finished, "classical", data, tmp_path / "out.csv").code == 0
        with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
            found = [row[:4] for row in csv.reader(file)]
        assert [found[0].index("text"), *[cell.strip() for cell in found[0]]] == [2, "", "", "text", ""]
        assert [[row[0], row[1], row[2]] for row in found[1:]] == [row[:3] for row in rows[1:]]
        again = predict(finished, "classical", tmp_path / "out.csv", tmp_path / "again.csv")
        assert 'a column "predicted"' in again.err


def test_columns_can_be_named_otherwise_and_lines_need_no_name(
    finished: Lab, provider: Provider, tmp_path: Path
) -> None:
    named = write(tmp_path / "named.csv", [["Body", "b"], [TEXTS[29], "1"]])
    lines = tmp_path / "lines.txt"
    lines.write_text(TEXTS[29] + "\n")
    assert predict(finished, "tuned", named, tmp_path / "a.csv", "--text", "Body").code == 0
    assert predict(finished, "tuned", lines, tmp_path / "b.csv").code == 0
    assert read(tmp_path / "a.csv")[0]["predicted"] == read(tmp_path / "b.csv")[0]["predicted"]
    assert provider.counts().get(COMPLETIONS, 0) <= 1  # the same item


def test_the_budget_holds_and_what_was_answered_is_kept(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    price = '[prices."base-model"]\ninput = 100.0\noutput = 100.0\n'
    lab.write(few_shot("zero"), head="seed = 12", dataset=SPLIT + price + endpoint(provider.base_url))
    assert lab.run().code == 0
    provider.reset()
    data, out = write(tmp_path / "new.csv", [["text"], *([text] for text in TEXTS)]), tmp_path / "out.csv"
    done = predict(lab, "zero", data, out, "--max-usd", "0.06")
    assert done.code == 3, done
    asked = provider.counts()[CHAT]
    assert 0 < asked < len(TEXTS)
    assert not out.exists()
    done = predict(lab, "zero", data, out, "--max-usd", "3", "--json")
    assert done.code == 0, done
    told = json.loads(done.out)
    assert told["rows"] == len(TEXTS)
    assert 0.06 < told["usd"] < 3
    assert provider.counts() == {CHAT: len(TEXTS)}


def test_a_budget_over_a_model_without_a_price_is_none(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    data = write(tmp_path / "new.csv", [["text"], [TEXTS[0]]])
    done = predict(finished, "zero", data, tmp_path / "out.csv", "--max-usd", "1")
    assert (done.code, "no price is known for base-model" in done.err) == (2, True), done
    assert provider.counts() == {}


WRONG: Mapping[str, tuple[list[str], str]] = {
    "arm": (["--arm", "tunned", "-o", "out.csv"], 'no arm "tunned"; did you mean "tuned"?'),
    "suffix": (["--arm", "zero", "-o", "out.xls"], "must end in .csv, .jsonl, .parquet"),
    "column": (["--arm", "zero", "-o", "out.csv", "--text", "txt"], 'no column "txt"; did you mean "text"?'),
    "columns": (["--arm", "zero", "-o", "out.csv", "--text", "text,more"], "--text names 2 columns"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_commands_ask_nothing(case: str, finished: Lab, provider: Provider, tmp_path: Path) -> None:
    options, said = WRONG[case]
    data = write(tmp_path / "new.csv", [["text", "more"], [TEXTS[0], ""]])
    done = call("predict", finished.folder, data, *options)
    assert done.code == 2, done
    assert said in done.err
    assert provider.counts() == {}


def test_wrong_data_asks_nothing(
    finished: Lab, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "other.csv", [["Text", "n"], [TEXTS[0], "1"]])
    done = predict(finished, "zero", other, tmp_path / "out.csv")
    assert (done.code, 'no column "text"; did you mean "Text"?' in done.err) == (2, True), done
    labelled = write(tmp_path / "labelled.csv", [["text", "predicted"], [TEXTS[0], "bad"]])
    done = predict(finished, "zero", labelled, tmp_path / "out.csv")
    assert (done.code, 'has a column "predicted"' in done.err) == (2, True), done
    before = other.read_bytes()
    done = predict(finished, "zero", other, tmp_path / ".." / tmp_path.name / other.name, "--text", "Text")
    assert (done.code, "is the data itself" in done.err) == (2, True), done
    assert other.read_bytes() == before
    (tmp_path / "folder.csv").mkdir()
    for place in (tmp_path / "folder.csv", other / "deeper.csv"):
        done = predict(finished, "zero", other, place, "--text", "Text")
        assert (done.code, f"cannot write to {place}" in done.err) == (2, True), done
    private = write(tmp_path / "private.csv", [["text"], ["write to jane.doe@example.com about it"]])
    assert predict(finished, "classical", private, tmp_path / "out.csv").code == 0  # it stays on this machine
    monkeypatch.delenv("FAKE_KEY")
    done = predict(finished, "zero", write(tmp_path / "new.csv", [["text"], [TEXTS[0]]]), tmp_path / "out.csv")
    assert (done.code, "FAKE_KEY" in done.err) == (2, True), done
    done = call(
        "predict", "nothing", other, "--arm", "zero", "-o", tmp_path / "out.csv", "--runs", finished.path / "runs"
    )
    assert (done.code, 'no run "nothing"' in done.err) == (2, True), done
    assert provider.counts() == {}


def test_an_arm_that_was_never_trained_is_named(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    provider.set(training_refused=True)
    lab.write(few_shot("zero") + fine_tuned("tuned"), head="seed = 11", dataset=SPLIT + endpoint(provider.base_url))
    assert lab.run().code == 4
    data = write(tmp_path / "new.csv", [["text"], [TEXTS[0]]])
    done = predict(lab, "tuned", data, tmp_path / "out.csv")
    assert (done.code, "was never trained" in done.err) == (2, True), done
    assert predict(lab, "zero", data, tmp_path / "out.csv").code == 0


def test_a_header_whose_value_is_not_kept_is_asked_for(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    header = 'headers = { X-Team = "team-secret-7391" }'
    lab.write(few_shot("zero"), dataset=SPLIT + endpoint(provider.base_url, options=header))
    assert lab.run().code == 0
    assert "team-secret-7391" not in (lab.folder / "manifest.json").read_text()
    data = write(tmp_path / "new.csv", [["text"], [TEXTS[0]]])
    done = predict(lab, "zero", data, tmp_path / "out.csv")
    assert (done.code, "X-Team" in done.err) == (2, True), done
    provider.reset()
    lab.write(few_shot("zero"), dataset=SPLIT + endpoint(provider.base_url))
    assert lab.run().code == 0
    assert provider.counts() == {}
    assert predict(lab, "zero", data, tmp_path / "out.csv").code == 0


def test_a_kill_loses_only_what_was_under_way(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    slow = endpoint(provider.base_url, options="concurrency = 2")
    lab.write(few_shot("zero"), head="seed = 13", dataset=SPLIT + slow)
    assert lab.run().code == 0
    data, out = write(tmp_path / "new.csv", [["text"], *([text] for text in TEXTS)]), tmp_path / "out.csv"
    provider.reset()
    provider.set(latency_s=0.15)
    arguments = ["predict", str(lab.folder), str(data), "--arm", "zero", "-o", str(out)]
    with subprocess.Popen([HARNESS, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while provider.counts().get(CHAT, 0) < 8 and process.poll() is None:
            time.sleep(0.02)
        process.kill()
    assert not out.exists()
    provider.set(latency_s=0.0)
    assert predict(lab, "zero", data, out).code == 0
    assert len(TEXTS) <= provider.counts()[CHAT] <= len(TEXTS) + 4  # two under way, two on their way to the disk
    assert [row["text"] for row in read(out)] == TEXTS
    assert {row["status"] for row in read(out)} == {"answered"}


def test_files_like_those_of_a_folder_are_read_as_they_were(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    parts = tmp_path / "parts"
    parts.mkdir()
    lines = [f"{text};{label}" for text, label in task(60).items()]
    (parts / "1.csv").write_text("\n".join(["text;label", *lines]), encoding="utf-8")
    lab.write(CLASSICAL, dataset=f'delimiter = ";"\n{SPLIT}')
    file = lab.path / "experiment.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('"data.csv"', '"parts"'), encoding="utf-8")
    assert lab.run().code == 0
    (tmp_path / "new").mkdir()
    (tmp_path / "new.csv").write_text("\n".join(["text;label", *lines[:5]]), encoding="utf-8")
    whole = [json.dumps({"text": text}) for text in TEXTS[:5]]
    (tmp_path / "new" / "1.jsonl").write_text("\n".join(whole), encoding="utf-8")
    for data, columns in (("new.csv", {"text", "label"}), ("new", {"text"}), ("new/1.jsonl", {"text"})):
        out = tmp_path / f"of-{data.replace('/', '-')}.csv"
        done = predict(lab, "classical", tmp_path / data, out)
        assert done.code == 0, done
        rows = read(out)
        assert len(rows) == 5
        assert columns < {*rows[0]}
        assert "text;label" not in rows[0]
