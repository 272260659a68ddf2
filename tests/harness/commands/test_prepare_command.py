"""`harness prepare`: every format, the account of the rows, gates, idempotence, and being stopped half-way."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import shlex
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import forks
from support.cli import ROOT, harness
from support.lab import call

ROWS = list(
    csv.DictReader((ROOT / "examples" / "review-stars" / "reviews.csv").read_text(encoding="utf-8").splitlines())
)
FILES = {
    "examples.parquet",
    "quality.json",
    "train.chat.jsonl",
    "train.completion.jsonl",
    "validation.chat.jsonl",
    "validation.completion.jsonl",
}


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def delimited(rows: list[dict[str, str]], path: Path, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def completion(row: dict[str, str]) -> dict[str, str]:
    return {"prompt": f"{row['title']}. {row['body']}\n\n###\n\n", "completion": f" {row['stars']}"}


def chat(row: dict[str, str]) -> dict[str, Any]:
    said = (("system", "How many stars?"), ("user", f"{row['title']}. {row['body']}"), ("assistant", row["stars"]))
    return {"messages": [{"role": role, "content": content} for role, content in said]}


def make(kind: str, folder: Path) -> Path:
    """Writes the example reviews in one of the formats."""
    path = folder / f"reviews.{kind}"
    plain = [{name: row[name] for name in ("title", "body", "stars")} for row in ROWS]
    match kind:
        case "csv" | "tsv":
            delimited(plain, path, "," if kind == "csv" else "\t")
        case "csv.gz":
            delimited(plain, folder / "reviews.csv", ",")
            path.write_bytes(gzip.compress((folder / "reviews.csv").read_bytes()))
        case "json":
            path.write_text(json.dumps(plain), encoding="utf-8")
        case "jsonl":
            path.write_text(lines(plain), encoding="utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(plain), path)
        case "xlsx":
            openpyxl = pytest.importorskip("openpyxl")
            book = openpyxl.Workbook()
            for row in [list(plain[0]), *([*row.values()] for row in plain)]:
                book.active.append(row)
            book.save(path)
        case "completion.jsonl":
            path.write_text(lines([completion(row) for row in ROWS]), encoding="utf-8")
        case "chat.jsonl":
            path.write_text(lines([chat(row) for row in ROWS]), encoding="utf-8")
    return path


def report(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    return loaded


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


KINDS = ["csv", "tsv", "csv.gz", "json", "jsonl", "parquet", "xlsx", "completion.jsonl", "chat.jsonl"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_prepared_without_being_told_anything(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path)
    done = call("prepare", path, "-o", tmp_path / "out", "--quiet")
    assert done.code == 0, done
    assert done.err == ""
    assert done.out.splitlines()[-1] == f"next: harness init {path}"
    found = report(tmp_path / "out")
    assert set(contents(tmp_path / "out")) == FILES
    assert found["labels"] == ["1", "2", "3", "4", "5"]
    assert found["rows_in"] == len(ROWS) == sum(found["rows_out"].values()) + sum(found["removed"].values())
    trained = [json.loads(line) for line in (tmp_path / "out" / "train.completion.jsonl").read_text().splitlines()]
    assert len(trained) == found["rows_out"]["train"]
    assert all(line["prompt"].endswith("\n\n###\n\n") for line in trained)
    assert {line["completion"] for line in trained} == {f" {star}" for star in range(1, 6)}
    assert all(line["prompt"].count("###") == 1 for line in trained)


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    first = make("csv", tmp_path)
    shuffled = tmp_path / "again.csv"
    head, *rest = first.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(1).shuffle(rest)
    shuffled.write_text("".join([head, *rest]), encoding="utf-8")
    for path, out in ((first, "a"), (shuffled, "b")):
        assert call("prepare", path, "-o", tmp_path / out, "--quiet").code == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_class_of_one_row_stands_in_train(tmp_path: Path) -> None:
    data = make("csv", tmp_path)
    with data.open("a", encoding="utf-8") as file:
        file.write("Odd one,Nobody knows what to make of this kettle,unsure\n")
    done = call("prepare", data, "--label", "stars", "-o", tmp_path / "out", "--quiet")
    assert done.code == 0, done
    rows = pq.read_table(tmp_path / "out" / "examples.parquet").to_pylist()
    assert [row["split"] for row in rows if row["label"] == "unsure"] == ["train"]


def test_preparing_what_is_prepared_changes_nothing(tmp_path: Path) -> None:
    path = make("csv", tmp_path)
    assert call("prepare", path, "-o", tmp_path / "a", "--quiet").code == 0
    assert call("prepare", tmp_path / "a" / "examples.parquet", "-o", tmp_path / "b", "--quiet").code == 0
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {name for name in FILES if first[name] != second[name]} == {"quality.json"}
    assert sum(report(tmp_path / "b")["removed"].values()) == 0
    done = call("prepare", tmp_path / "a" / "train.completion.jsonl", "-o", tmp_path / "c", "--quiet")
    assert done.code == 0, done
    assert sum(report(tmp_path / "c")["removed"].values()) == 0
    before = [json.loads(line) for line in first["train.completion.jsonl"].decode().splitlines()]
    after = [
        json.loads(line)
        for name in ("train", "validation")
        for line in (tmp_path / "c" / f"{name}.completion.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert {tuple(line.items()) for line in after} < {tuple(line.items()) for line in before}


def test_what_comes_next_reads_the_data_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "my reviews.csv"
    path.write_bytes(make("csv", tmp_path).read_bytes() + "Café,\xe0 éviter,1\n".encode("cp1252"))
    given = ["--label", "stars", "--group", "", "--encoding", "cp1252"]
    done = call("prepare", path, *given, "-o", tmp_path / "out", "--quiet")
    assert done.code == 0, done
    said = done.out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(said) == ["harness", "init", str(path), *given]
    begun = call(*shlex.split(said)[1:], "-o", tmp_path / "experiment.toml")
    assert begun.code == 0, begun


def test_an_experiment_names_the_files_after_its_arms(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "review-stars", tmp_path / "stars")
    done = call("prepare", tmp_path / "stars" / "experiment.toml", "-o", tmp_path / "out", "--quiet")
    assert done.code == 0, done
    assert set(contents(tmp_path / "out")) == {
        "examples.parquet", "quality.json", "train.tuned.jsonl", "validation.tuned.jsonl",
    }  # fmt: skip
    assert done.out.splitlines()[-1].startswith("next: harness run ")
    refused = call("prepare", tmp_path / "stars" / "experiment.toml", "--text", "title")
    assert refused.code == 2
    assert "--text is for a data file" in refused.err


@pytest.mark.parametrize("given", ["train.chat.jsonl", ".", "*.jsonl"])
def test_the_data_itself_is_never_written_over(tmp_path: Path, given: str) -> None:
    assert call("prepare", make("csv", tmp_path), "-o", tmp_path / "first", "--quiet").code == 0
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(tmp_path / "first" / "train.chat.jsonl", own)
    before = contents(own)
    done = call("prepare", own / given, "-o", own)
    assert done.code == 2, done
    assert f"{own / 'train.chat.jsonl'} would replace the data itself" in done.err
    assert contents(own) == before
    assert call("prepare", own / given, "-o", tmp_path / "other").code == 0


@pytest.mark.parametrize("path", ["train.fine-tuned.jsonl", "~/train.fine-tuned.jsonl", "../[HERE]/train.*.jsonl", "."])
def test_the_data_of_an_experiment_is_never_written_over(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    data = make("jsonl", tmp_path).rename(tmp_path / "train.fine-tuned.jsonl")
    before = data.read_bytes()
    assert call("init", data, "-o", tmp_path / "experiment.toml").code == 0
    text = (tmp_path / "experiment.toml").read_text(encoding="utf-8")
    assert f'path = "{data.name}"' in text
    path = path.replace("[HERE]", f"{tmp_path.name[:-1]}[{tmp_path.name[-1]}]")
    (tmp_path / "experiment.toml").write_text(text.replace(f'path = "{data.name}"', f'path = "{path}"'))
    done = call("prepare", tmp_path / "experiment.toml", "-o", tmp_path)
    assert done.code == 2, done
    assert f"{data} would replace the data itself" in done.err
    assert data.read_bytes() == before
    assert not (tmp_path / "quality.json").exists()


def leaking(folder: Path) -> Path:
    rows = [dict(row, part=("train", "train", "train", "validation", "test")[n % 5]) for n, row in enumerate(ROWS)]
    rows.append(dict(rows[0], part="test"))
    delimited(rows, folder / "leaking.csv", ",")
    return folder / "leaking.csv"


def test_a_leak_stops_before_any_training_file_and_says_which(tmp_path: Path) -> None:
    arguments = ("prepare", leaking(tmp_path), "-o", tmp_path / "out", "--quiet", "--group", "")
    done = call(*arguments)
    assert done.code == 3, done
    assert "1 test example on both sides of a split" in done.err
    assert set(contents(tmp_path / "out")) == {"examples.parquet", "quality.json"}
    leaks = report(tmp_path / "out")["leaks"]
    assert any(leak["kind"] == "exact" and leak["split_a"] == "test" for leak in leaks)
    assert leaks[0]["a"] in done.err
    allowed = call(*arguments, "--allow-leaks")
    assert allowed.code == 0, allowed
    assert set(contents(tmp_path / "out")) == FILES


def test_azure_wants_a_byte_order_mark_and_others_do_not(tmp_path: Path) -> None:
    path = make("csv", tmp_path)
    for provider in ("azure", "nebius"):
        assert call("prepare", path, "-o", tmp_path / provider, "--provider", provider, "--quiet").code == 0
    plain = (tmp_path / "nebius" / "train.chat.jsonl").read_bytes()
    assert (tmp_path / "azure" / "train.chat.jsonl").read_bytes() == b"\xef\xbb\xbf" + plain


def test_json_is_the_report_and_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    import hashlib

    done = call("prepare", make("csv", tmp_path), "-o", tmp_path / "out", "--json")
    assert json.loads(done.out) == report(tmp_path / "out")
    named = report(tmp_path / "out")["files"]
    assert named == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in contents(tmp_path / "out").items()
        if name != "quality.json"
    }


def test_the_report_says_how_far_it_has_come_and_what_to_do(tmp_path: Path) -> None:
    rows = [*({"review": f"{row['title']}. {row['body']}", "stars": row["stars"]} for row in ROWS)]
    rows += [rows[0], {**rows[1], "stars": "1" if rows[1]["stars"] != "1" else "2"}, {"review": "", "stars": "3"}]
    delimited(rows, tmp_path / "r.csv", ",")
    done = call("prepare", tmp_path / "r.csv", "-o", tmp_path / "out")
    assert done.code == 0, done
    assert "preparing the data" in done.err
    assert f"{len(rows)} rows in = " in done.out
    for heading in ("Quality", "Diversity", "Balance", "Quantity"):
        assert heading in done.out
    kinds = Counter(check["kind"] for check in report(tmp_path / "out")["checks"])
    assert kinds["empty-texts"] == kinds["conflicting-duplicates"] == 1


def test_a_separator_within_a_text_is_told_and_replaced(tmp_path: Path) -> None:
    rows = [{"review": f"{row['title']}. {row['body']}", "stars": row["stars"]} for row in ROWS]
    rows[3]["review"] += "\n\n###\n\nand more of it"
    (tmp_path / "r.jsonl").write_text(lines(rows), encoding="utf-8")
    assert call("prepare", tmp_path / "r.jsonl", "-o", tmp_path / "out", "--quiet").code == 0
    (told,) = [check for check in report(tmp_path / "out")["checks"] if check["kind"] == "separator-in-texts"]
    assert (told["level"], told["mended"]) == ("ok", 1)
    for name in ("train", "validation"):
        for line in (tmp_path / "out" / f"{name}.completion.jsonl").read_text(encoding="utf-8").splitlines():
            assert json.loads(line)["prompt"].count("\n\n###\n\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.csv"], "there is no such file"),
        (["r.csv", "--label", "star"], 'did you mean "stars"?'),
        (["r.csv", "--text", "bdy"], 'did you mean "body"?'),
        (["r.csv", "--provider", "azur"], "azure"),
        (["r.csv", "--sheet", "May"], 'leave out --sheet "May"'),
    ],
)
def test_wrong_commands_name_the_nearest_right_name(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make("csv", tmp_path).rename(tmp_path / "r.csv")
    done = call("prepare", *arguments)
    assert done.code == 2, done
    assert said in done.err
    assert len(done.err.splitlines()) <= 3
    assert {path.name for path in tmp_path.iterdir()} == {"r.csv"}


def test_killed_at_any_moment_it_leaves_the_old_files_or_the_new(tmp_path: Path) -> None:
    old, new = make("csv", tmp_path), make("jsonl", tmp_path)
    new.write_text(lines([row for row in map(json.loads, new.read_text().splitlines()) if row["stars"] != "3"]))
    states = []
    for path in (new, old):
        assert call("prepare", path, "-o", tmp_path / "out", "--quiet").code == 0
        states.append(contents(tmp_path / "out"))
    draw = random.Random(2)
    arguments = ["prepare", str(new), "-o", str(tmp_path / "out"), "--quiet"]
    out, err = tmp_path / "stdout", tmp_path / "stderr"
    for _ in range(4):
        process = forks.start(arguments, cwd=tmp_path, env=os.environ, out=out, err=err)
        time.sleep(draw.uniform(0.05, 0.6))
        process.kill()
        process.wait()
        left = contents_but_hidden(tmp_path / "out")
        assert left in states


def contents_but_hidden(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_what_a_job_would_fail_for_is_an_error_and_no_training_file_is_written(tmp_path: Path) -> None:
    rows = [{"review": f"{row['title']}. {row['body']}", "stars": row["stars"]} for row in ROWS]
    rows[5]["review"] += " <|endoftext|>"
    delimited(rows, tmp_path / "r.csv", ",")
    done = call("prepare", tmp_path / "r.csv", "-o", tmp_path / "out", "--quiet")
    assert done.code == 2, done
    assert "special-token-strings" in done.err
    assert set(contents(tmp_path / "out")) == {"examples.parquet", "quality.json"}


def test_what_was_written_before_goes_with_the_data_that_it_was_of(tmp_path: Path) -> None:
    assert call("prepare", make("csv", tmp_path), "-o", tmp_path / "out", "--quiet").code == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "train.chat.jsonl").write_text("changed by hand")
    assert call("prepare", leaking(tmp_path), "-o", tmp_path / "out", "--quiet", "--group", "").code == 3
    left = {"examples.parquet", "quality.json", "notes.txt", "train.chat.jsonl"}
    assert set(contents(tmp_path / "out")) == left


def test_a_file_keeps_its_separator_its_stop_and_its_instruction(tmp_path: Path) -> None:
    own = [{"prompt": f"{row['title']}. {row['body']} ->", "completion": f" {row['stars']} END"} for row in ROWS]
    (tmp_path / "own.jsonl").write_text(lines(own), encoding="utf-8")
    assert call("prepare", tmp_path / "own.jsonl", "-o", tmp_path / "own", "--quiet").code == 0
    written = [json.loads(line) for line in (tmp_path / "own" / "train.completion.jsonl").read_text().splitlines()]
    assert {tuple(line.values()) for line in written} <= {tuple(line.values()) for line in own}
    assert call("prepare", make("chat.jsonl", tmp_path), "-o", tmp_path / "chat", "--quiet").code == 0
    said = [json.loads(line) for line in (tmp_path / "chat" / "train.chat.jsonl").read_text().splitlines()]
    assert {line["messages"][0]["content"] for line in said} == {"How many stars?"}


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_what_a_file_had_of_its_own_is_kept_when_it_is_prepared_again(kind: str, tmp_path: Path) -> None:
    own = [{"prompt": f"{row['title']}. {row['body']} ->", "completion": f" {row['stars']} END"} for row in ROWS]
    rows = own if kind == "completion" else [chat(row) for row in ROWS]
    (tmp_path / "own.jsonl").write_text(lines(rows), encoding="utf-8")
    assert call("prepare", tmp_path / "own.jsonl", "-o", tmp_path / "a", "--quiet").code == 0
    assert call("prepare", tmp_path / "a" / "examples.parquet", "-o", tmp_path / "b", "--quiet").code == 0
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {name for name in FILES if first[name] != second[name]} == {"quality.json"}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "json"])
def test_the_rules_for_training_files_hold_for_any_file_of_prompts_and_completions(suffix: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"{row['title']}. {row['body']}", "completion": row["stars"]} for row in ROWS]
    path = tmp_path / f"pc.{suffix}"
    if suffix == "csv":
        delimited(rows, path, ",")
    else:
        path.write_text(lines(rows) if suffix == "jsonl" else json.dumps(rows), encoding="utf-8")
    assert call("prepare", path, "-o", tmp_path / "out", "--quiet", "--provider", "azure").code == 0
    told = [check for check in report(tmp_path / "out")["checks"] if check["message"].startswith(path.name)]
    kinds = {check["kind"]: check["level"] for check in told}
    assert kinds["separator-inside"] == "warning"
    assert "leading-space" in kinds
    assert "error" not in kinds.values()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "A fine one.", "completion": 5}', "completion is a number, expected a text"),
        ('{"prompt": 17, "completion": " 5"}', "prompt is a number, expected a text"),
        ('{"prompt": "Fine.", "completion": " 5", "completion": " 5"}', 'the key "completion" is given twice'),
        ('{"prompt": "A fine one.", "completion": " 5", "weight": "1"}', "weight is a text, expected a number"),
    ],
)
def test_what_a_provider_would_not_read_is_told_and_written_as_it_would(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pc.jsonl"
    path.write_text(f"{lines([completion(row) for row in ROWS])}{line}\n", encoding="utf-8")
    done = call("prepare", path, "-o", tmp_path / "out", "--quiet")
    assert done.code == 0, done
    told = {check["kind"]: check for check in report(tmp_path / "out")["checks"]}
    assert told["unreadable-lines"]["level"] == "warning"
    assert told["unreadable-lines"]["message"].startswith("pc.jsonl, line ")
    assert said in told["unreadable-lines"]["message"]
    assert told["unreadable-lines"]["advice"]
    assert "task-type" in told
    assert call("prepare", tmp_path / "out" / "train.completion.jsonl", "-o", tmp_path / "again", "--quiet").code == 0


def test_columns_of_bytes_that_nobody_asks_for_are_let_be(tmp_path: Path) -> None:
    table = {name: [row[name] for row in ROWS] for name in ("title", "body", "stars")}
    table |= {"photo": [b"\x89PNG\xff", *[None] * (len(ROWS) - 1)]}
    pq.write_table(pa.table(table), tmp_path / "r.parquet")
    assert call("prepare", tmp_path / "r.parquet", "-o", tmp_path / "out", "--quiet").code == 0
    assert call("init", tmp_path / "r.parquet", "-o", tmp_path / "r.toml").code == 0


def test_every_finding_is_whole_where_there_is_no_terminal(tmp_path: Path) -> None:
    rows = [{"review": f"{row['title']}. {row['body']}", "stars": row["stars"]} for row in ROWS]
    delimited([*rows, *rows[:80]], tmp_path / "r.csv", ",")
    done = harness("prepare", tmp_path / "r.csv", "-o", tmp_path / "out", cwd=tmp_path, env={"COLUMNS": "80"})
    assert done.code == 0, done
    for check in report(tmp_path / "out")["checks"]:
        assert f"{check['message']} [{check['kind']}]" in done.out
        assert check["advice"] in done.out
    assert not any(line != line.rstrip() for line in done.out.splitlines())


def test_where_nothing_can_be_written_is_said_and_no_bug(tmp_path: Path) -> None:
    path = make("csv", tmp_path)
    for out in (path, path / "deeper"):
        done = call("prepare", path, "-o", out, "--quiet")
        assert done.code == 2, done
        assert f"cannot write to {out}" in done.err
    assert path.read_text(encoding="utf-8").startswith("title,body,stars")


def test_prepared_data_says_itself_what_is_what(tmp_path: Path) -> None:
    assert call("prepare", make("csv", tmp_path), "-o", tmp_path / "out", "--quiet").code == 0
    done = call("prepare", tmp_path / "out" / "examples.parquet", "--label", "stars")
    assert done.code == 2
    assert "--label" in done.err
    for command in ("prepare", "init"):
        done = call(command, tmp_path / "out")
        assert done.code == 2
        assert f"give its examples: {tmp_path / 'out' / 'examples.parquet'}" in done.err
