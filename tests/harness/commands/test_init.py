"""`harness init` on real files of each kind: what it says, what it writes, and that what it writes runs."""

from __future__ import annotations

import csv
import gzip
import json
import random
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cli import Finished
from support.lab import call

from harness.experiment.reader import load
from harness.guessing.looking import ROWS
from harness.plugins.discovery import discover
from harness.tables import write_examples
from harness.types import Example, Split

WORDS = ("amber", "bridge", "candle", "dune", "ember", "forest", "garnet", "harbour", "island", "jasper", "kernel")


def sentence(number: int, length: int = 12) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=length)) + f" {number}"


def write_csv(path: Path, n: int = 90) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "title", "body", "stars", "date"])
        for row in range(n):
            date = f"2026-{row % 12 + 1:02}-01"
            writer.writerow([f"u{row // 2}", sentence(row, 2), f'"{sentence(row)}", they say', row % 3 + 1, date])


def write_tsv(path: Path) -> None:
    lines = (f'{("ham", "ham", "spam")[row % 3]}\t{sentence(row)} "so\n' for row in range(90))
    path.write_text("".join(lines), encoding="utf-8")


def write_prompts(path: Path) -> None:
    rows = (
        {"prompt": f"{sentence(row)}\n\n###\n\n", "completion": f" {('positive', 'negative')[row % 2]} END"}
        for row in range(90)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_chats(path: Path) -> None:
    def messages(row: int) -> list[dict[str, str]]:
        said = {"system": "Is it good or bad?", "user": sentence(row), "assistant": ("good", "bad")[row % 2]}
        return [{"role": role, "content": content} for role, content in said.items()]

    lines = (json.dumps({"messages": messages(row)}) + "\n" for row in range(90))
    path.write_text("".join(lines), encoding="utf-8")


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = range(90)
    columns = {"message": [sentence(row) for row in rows], "label": [("yes", "no")[row % 2] for row in rows]}
    pq.write_table(pa.table(columns), path)


KINDS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "reviews.csv": (
        write_csv,
        {"text": ["title", "body"], "label": "stars", "ordered": True, "group": "user_id", "time": "date"},
    ),
    "sms.tsv": (write_tsv, {"text": ["text"], "label": "label", "columns": ["label", "text"]}),
    "prompts.jsonl": (
        write_prompts,
        {"text": ["prompt"], "label": "completion", "separator": "\n\n###\n\n", "stop": " END"},
    ),
    "chats.jsonl": (write_chats, {"text": ["text"], "label": "label"}),
    "mail.parquet": (write_parquet, {"text": ["message"], "label": "label"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_loads_and_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, expected = KINDS[name]
    write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    done = call("init", name)
    assert done.code == 0, done
    assert done.err == ""
    assert done.out.splitlines()[-1] == "next: harness run experiment.toml"
    table = tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]
    given = {key: value for key, value in table.items() if key not in ("plugin", "path", "labels")}
    assert (table["path"], given) == (name, expected)
    for option in expected:
        assert f"{option}: " in done.out
    experiment = load(tmp_path / "experiment.toml", discover())
    assert [arm.name for arm in experiment.arms] == ["majority", "classical", "zero-shot", "few-shot", "fine-tuned"]
    ran = call("run", "experiment.toml", "--only", "majority", "--only", "classical")
    assert ran.code == 0, ran
    (results,) = (tmp_path / "runs").glob("*/results.json")
    found = json.loads(results.read_text(encoding="utf-8"))
    assert found["run"]["labels"] == table["labels"]
    assert {arm["name"] for arm in found["arms"] if arm["answered"]} == {"majority", "classical"}


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        (("title", "body"), ["title", "body"]),
        (("body", "title"), ["body", "title"]),
        (("text",), ["text"]),
        (("title", "text"), ["text"]),
    ],
)
@pytest.mark.parametrize("filled", [True, False])
def test_prepared_examples_are_known(
    fields: tuple[str, ...], texts: list[str], filled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = [Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST]
    examples = [
        Example(
            id=f"e{row}",
            fields={name: sentence(row * 10 + place) for place, name in enumerate(fields)},
            label="ab"[row % 3 == 0],
            split=splits[row // 2 % 4] if filled else None,
            group=f"g{row // 2}" if filled else None,
            time="2026-01-01" if filled else None,
            slices={"country": "de"},
        )
        for row in range(120)
    ]
    write_examples(tmp_path / "examples.parquet", examples)
    monkeypatch.chdir(tmp_path)
    done = call("init", "examples.parquet")
    assert done.code == 0, done
    table = tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]
    more = {"group": "group", "time": "time", "split": "split"} if filled else {}
    given = {key: value for key, value in table.items() if key not in ("plugin", "path", "labels")}
    assert given == {"text": texts, "label": "label", **more}
    assert call("run", "experiment.toml", "--only", "majority", "--quiet").code == 0
    own = call("init", "examples.parquet", "--force", "--text", "text", "--group", "")
    assert own.code == 0, own
    table = tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]
    assert (table["text"], "group" in table) == (["text"], False)


def test_a_column_of_prepared_examples_can_be_given_another_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = [
        Example(id=f"e{row}", fields={"title": sentence(row), "kind": "xyz"[row % 3]}, label="ab"[row % 2])
        for row in range(60)
    ]
    write_examples(tmp_path / "examples.parquet", examples)
    monkeypatch.chdir(tmp_path)
    assert call("init", "examples.parquet", "--label", "kind").code == 0
    table = tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]
    assert (table["text"], table["label"]) == (["title"], "kind")


def test_what_was_left_out_and_respelt_is_said_and_the_file_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (
        f"{sentence(row)},{('good', 'bad', 'Good', 'NA')[row % 4]},u{row // 3},{('train', 'dev', 'test')[row % 3]}\n"
        for row in range(120)
    )
    (tmp_path / "d.csv").write_text("text,label,user_id,part\n" + "".join(lines))
    done = call("init", "d.csv")
    assert done.code == 0, done
    assert "3 labels, with their rows: Good (60), NA (30), bad (30)" in done.out
    assert 'note: group left out: rows of one "user_id" stand in several splits of "part" (40 values' in done.out
    assert "note: 1 spelling of labels" in done.out
    assert 'note: labels that read like missing ones count as classes: "NA" (30 rows)' in done.out
    ran = call("run", "experiment.toml", "--only", "majority", "--quiet")
    assert ran.code == 0, ran


@pytest.mark.parametrize(
    ("given", "called"), [(".", "food"), ("../food", "food"), ("*.csv", "food"), ("a.csv", "a"), ("..", "cafe")]
)
def test_the_experiment_is_called_as_the_data_is(
    given: str, called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cafe" / "food"
    folder.mkdir(parents=True)
    write_csv(folder / "a.csv")
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder)
    if given == "..":
        shutil.copy(folder / "a.csv", folder.parent / "a.csv")
    done = call("init", given, "-o", tmp_path / "experiment.toml")
    assert done.code == 0, done
    assert tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["name"] == called


def test_the_file_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data" / "~reviews.csv")
    monkeypatch.chdir(tmp_path)
    done = call("init", "data/~reviews.csv", "-o", "experiments/my stars.toml")
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == "next: harness run 'experiments/my stars.toml'"
    written = tmp_path / "experiments" / "my stars.toml"
    assert tomllib.loads(written.read_text(encoding="utf-8"))["dataset"]["path"] == "../data/~reviews.csv"
    assert call("run", written, "--only", "majority", "--quiet").code == 0
    beside = call("init", "data/~reviews.csv", "-o", "data/here.toml")
    assert beside.code == 0, beside
    assert call("run", "data/here.toml", "--only", "majority", "--quiet").code == 0


def write_semicolons(path: Path) -> None:
    path.write_text("text;label\n" + "".join(f"{sentence(row)}, so;{'ab'[row % 2]}\n" for row in range(60)))


def write_semicolons_without_commas(path: Path) -> None:
    path.write_text("text;label\n" + "".join(f"{sentence(row)};{'ab'[row % 2]}\n" for row in range(60)))


def write_quoted_tabs(path: Path) -> None:
    path.write_text("text\tlabel\n" + "".join(f'"{sentence(row)}\t""so"""\t{"ab"[row % 2]}\n' for row in range(60)))


def write_wrapped_tabs(path: Path) -> None:
    path.write_text("text\tlabel\n" + "".join(f'"{sentence(row)}"\t{"ab"[row % 2]}\n' for row in range(60)))


def write_loose_quotes(path: Path) -> None:
    path.write_text("text,label\n" + "".join(f'"{sentence(row)},{"ab"[row % 2]}\n' for row in range(60)))


def write_packed(path: Path) -> None:
    rows = "".join(f"{'ab'[row % 2]}\t{sentence(row)}\n" for row in range(60))
    path.write_bytes(gzip.compress(rows.encode()))


def write_long_chats(path: Path) -> None:
    def line(row: int) -> str:
        said = [
            ("user", sentence(row)),
            ("assistant", "Go on."),
            ("user", sentence(row + 99)),
            ("assistant", "ab"[row % 2]),
        ]
        return json.dumps({"messages": [{"role": role, "content": content} for role, content in said]})

    path.write_text("".join(f"{line(row)}\n" for row in range(60)))


def write_sheets(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["nothing", "here"])
    sheet = book.create_sheet("answers")
    for row in [("text", "label"), *((sentence(row), "ab"[row % 2]) for row in range(60))]:
        sheet.append(row)
    book.save(path)


@pytest.mark.parametrize(
    ("name", "write", "options", "expected"),
    [
        ("d.csv", write_semicolons, [], {"delimiter": ";"}),
        ("d.csv", write_semicolons_without_commas, [], {"delimiter": ";"}),
        ("d.tsv", write_quoted_tabs, [], {"quotes": True}),
        ("d.tsv", write_wrapped_tabs, [], {"quotes": True}),
        ("d.csv", write_loose_quotes, [], {"quotes": False}),
        ("d.tsv.gz", write_packed, [], {"columns": ["label", "text"]}),
        ("d.jsonl", write_long_chats, [], {"turns": "join"}),
        ("d.xlsx", write_sheets, ["--sheet", "answers"], {"sheet": "answers"}),
    ],
)
def test_how_the_file_is_laid_out_is_found_out(
    name: str,
    write: Callable[[Path], None],
    options: list[str],
    expected: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    done = call("init", name, *options)
    assert done.code == 0, done
    table = tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]
    assert {key: value for key, value in table.items() if key in expected} == expected
    assert (table["text"], table["label"], table["labels"]) == (["text"], "label", ["a", "b"])
    assert call("run", "experiment.toml", "--only", "majority", "--quiet").code == 0


def test_nothing_is_written_over_without_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "reviews.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.toml").write_text("mine")
    refused(call("init", "reviews.csv"), "experiment.toml exists already", "--force")
    assert (tmp_path / "experiment.toml").read_text() == "mine"
    assert call("init", "reviews.csv", "--force").code == 0
    assert (tmp_path / "experiment.toml").read_text() != "mine"


def test_what_is_given_overrules_what_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "reviews.csv")
    monkeypatch.chdir(tmp_path)
    done = call("init", "reviews.csv", "--text", "body", "--group", "", "--time", "")
    assert done.code == 0, done
    assert "text: body (given)" in done.out
    table = tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]
    assert table["text"] == ["body"]
    assert not {"group", "time"} & set(table)


def test_a_prompt_and_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "reviews.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt.txt").write_text('Rate this:\n"{body}"\n', encoding="utf-8")
    done = call(
        "init", "reviews.csv", "--prompt", "prompt.txt", "--endpoint", "https://api.openai.com/v1", "--model", "m-1"
    )
    assert done.code == 0, done
    assert "prompt: a template with {body}" in done.out
    assert "OPENAI_API_KEY" in done.out
    experiment = load(tmp_path / "experiment.toml", discover())
    assert experiment.decision.incumbent == "incumbent"
    formatter = next(arm for arm in experiment.arms if arm.name == "incumbent").resolved()["formatter"]
    assert formatter["template"] == 'Rate this:\n"{body}"'
    ran = call("run", "experiment.toml", "--only", "majority", "--only", "classical", "--quiet")
    assert ran.code == 0, ran


def test_rows_without_a_label_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (f"{sentence(row)},{('good', 'bad', '  ')[row % 3]}\n" for row in range(120))
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(lines))
    assert "note: 40 of 120 rows have no label and are left out" in call("init", "d.csv").out


def test_another_encoding_has_to_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "reviews.csv")
    raw = (tmp_path / "reviews.csv").read_text(encoding="utf-8").replace("amber", "ambré")
    (tmp_path / "reviews.csv").write_bytes(raw.encode("cp1252"))
    monkeypatch.chdir(tmp_path)
    done = call("init", "reviews.csv", "--encoding", "cp1252")
    assert done.code == 0, done
    assert call("run", "experiment.toml", "--only", "majority", "--quiet").code == 0


def test_a_class_of_one_row_is_said_and_does_not_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "reviews.csv")
    with (tmp_path / "reviews.csv").open("a", encoding="utf-8") as file:
        file.write("u900,A rare one,There is no other row that is like this,4,2026-01-01\n")
    monkeypatch.chdir(tmp_path)
    done = call("init", "reviews.csv")
    assert 'note: class "4" has fewer than 3 different texts' in done.out
    assert call("run", "experiment.toml", "--only", "majority", "--quiet").code == 0


def refused(done: Finished, *said: str) -> None:
    """Holds that a command ended with exit code 2, two lines at most, and the words in them."""
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) <= 2
    assert all(part in done.err for part in said), done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["review.csv"], ["review.csv: there is no such file", 'did you mean "reviews.csv"?']),
        (["nowhere/reviews.csv"], ["there is no folder nowhere"]),
        (["folder"], ["folder is a folder"]),
        (["reviews.csv", "--label", "star"], ['no column "star" (--label); did you mean "stars"?', '"body"']),
        (["reviews.csv", "--text", "title,bodi"], ['no column "bodi" (--text); did you mean "body"?']),
        (["reviews.csv", "--group", "user"], ['no column "user" (--group); did you mean "user_id"?']),
        (["none.csv"], ["none.csv: no column looks like the label", "--label COL", '"text", "id"']),
        (["two.csv"], ['"stars", "sentiment" could each be the label', "--label"]),
        (["reviews.csv", "--prompt", "nothing.txt"], ["--prompt nothing.txt cannot be read"]),
        (["reviews.csv", "--prompt", "titel.txt"], ["names {titel}", 'did you mean "title"?']),
        (["reviews.csv", "--endpoint", "https://api.openai.com/v1"], ["--model M"]),
        (["reviews.csv", "--endpoint", "ftp://x", "--model", "m"], ["--endpoint: a URL like"]),
        (["reviews.csv", "--endpoint", "https://me:pw@x.com", "--model", "m"], ["must not hold a name or password"]),
        (["latin.csv"], ["line 2", '--encoding "cp1252"']),
        (["empty.csv"], ["empty.csv"]),
    ],
)
def test_what_cannot_be_guessed_is_said(
    arguments: list[str], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "titel.txt").write_text("Rate {body} in {titel}")
    write_csv(tmp_path / "reviews.csv")
    (tmp_path / "none.csv").write_text("text,id\n" + "".join(f"{sentence(n)},{n}\n" for n in range(30)))
    (tmp_path / "two.csv").write_text(
        "text,stars,sentiment\n" + "".join(f"{sentence(n)},{n % 3},{n % 2}\n" for n in range(30))
    )
    (tmp_path / "latin.csv").write_bytes(b"text,label\ncaf\xe9,a\n")
    (tmp_path / "empty.csv").write_text("")
    before = sorted(tmp_path.iterdir())
    refused(call("init", *arguments), *said)
    assert sorted(tmp_path.iterdir()) == before


def test_many_labels_on_this_machine_are_said_to_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many.csv").write_text("text,label\n" + "".join(f"{sentence(row)},c{row % 40}\n" for row in range(400)))
    assert "note: 40 labels are scored one by one" in call("init", "many.csv").out
    hosted = call("init", "many.csv", "--force", "--endpoint", "https://api.openai.com/v1", "--model", "m")
    assert "one by one" not in hosted.out


def test_of_a_long_file_some_rows_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{sentence(row % 50)} {row},{'ab'[row % 2] if row < ROWS else 'c'}\n" for row in range(ROWS + 5))
    (tmp_path / "long.csv").write_text(f"text,label\n{rows}")
    done = call("init", "long.csv")
    assert done.code == 0, done
    assert f"note: only {ROWS:,} of the rows were looked at" in done.out
    assert "labels" not in tomllib.loads((tmp_path / "experiment.toml").read_text(encoding="utf-8"))["dataset"]


def test_a_prepared_file_keeps_the_instruction_of_the_chat_file_before_it(tmp_path: Path) -> None:
    def line(text: str, label: str) -> str:
        said = (("system", "How is it?"), ("user", text), ("assistant", label))
        return json.dumps({"messages": [{"role": role, "content": content} for role, content in said]}) + "\n"

    texts = (("A fine thing, number", "good"), ("Broken and late, item", "bad"))
    lines = [line(f"{words} {n} words more", label) for n in range(40) for words, label in texts]
    (tmp_path / "c.jsonl").write_text("".join(lines), encoding="utf-8")
    assert call("prepare", tmp_path / "c.jsonl", "-o", tmp_path / "out", "--quiet").code == 0
    for data in (tmp_path / "c.jsonl", tmp_path / "out" / "examples.parquet"):
        assert call("init", data, "-o", tmp_path / "e.toml", "--force").code == 0
        assert "How is it?" in (tmp_path / "e.toml").read_text(encoding="utf-8"), data
