import csv
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness import Split
from harness.contract import TabularDataset
from harness.plugins.options import construct
from harness_plugins.datasets.files import Files

CSV = """\
id,title,body,stars,user,part,country,date
1,Hi,"two
lines, ""quoted\"\"\",5.0,u1,train,DE,2026-01-31
2,,b,4,,dev,,
"""


def load(folder, content, name="data.csv", told=None, **options):
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    ctx = harness.Context(folder=folder, tell=[].append if told is None else told.append)
    return list(Files(**({"path": name, "text": "text", "label": "label"} | options)).load(ctx))


def refused(folder, content, name="data.csv", **options):
    with pytest.raises(harness.DataError) as caught:
        load(folder, content, name, **options)
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_reads_every_column_that_is_named(tmp_path):
    rows = load(
        tmp_path,
        CSV,
        text=("title", "body"),
        label="stars",
        group="user",
        split="part",
        slices=("country",),
        time="date",
    )
    first, second = rows
    assert first.fields == {"title": "Hi", "body": 'two\nlines, "quoted"'}
    assert (first.label, first.group, first.split, first.slices, first.time) == (
        "5",
        "u1",
        Split.TRAIN,
        {"country": "DE"},
        "2026-01-31",
    )
    assert (second.label, second.group, second.split, second.slices, second.time) == (
        "4",
        None,
        Split.VALIDATION,
        {"country": ""},
        None,
    )
    assert second.text == "b"


def test_every_format_yields_the_same_examples(tmp_path):
    table = {"text": ["one", "twö", 'th"ree'], "label": ["a", "b", "a"]}
    expected = load(tmp_path, 'text,label\none,a\ntwö,b\n"th""ree",a\n')
    assert load(tmp_path, 'text\tlabel\none\ta\ntwö\tb\nth"ree\ta\n', "d.tsv") == expected
    assert load(tmp_path, 'text\tlabel\none\ta\ntwö\tb\n"th""ree"\ta\n', "d.tsv", quotes=True) == expected
    lines = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    assert load(tmp_path, "\n".join(map(json.dumps, lines)), "d.jsonl") == expected
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    content = (tmp_path / "d.parquet").read_bytes()
    assert load(tmp_path, content, "d.parquet") == expected
    assert load(tmp_path, content, "d.bin", format="parquet") == expected
    assert load(tmp_path, 'one,a\ntwö,b\n"th""ree",a\n', columns=("text", "label")) == expected
    assert load(tmp_path, 'text,label\r\none,a\r\ntwö,b\r\n"th""ree",a\r\n') == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_encodings(tmp_path, encoding):
    content = "text,label\ncafé,a\n".encode(encoding)
    marked = {"utf-8-sig", "utf-16"}
    rows = load(tmp_path, content, **({} if encoding in marked else {"encoding": encoding}))
    assert [row.text for row in rows] == ["café"]


def test_a_wrong_encoding_is_said_with_its_line(tmp_path):
    message = refused(tmp_path, "text,label\nok,a\ncafé,b\n".encode("latin-1"))
    assert message.startswith("data.csv, line 3: byte 0xe9 is not utf-8")
    assert 'dataset.encoding = "utf9" is no encoding' in refused(tmp_path, "text,label\n", encoding="utf9")


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["5.0", "4", "3.00"], ["5", "4", "3"]),
        (["5.0", "4.5"], ["5.0", "4.5"]),
        (["5.0", "good"], ["5.0", "good"]),
        ([" pos ", "neg"], ["pos", "neg"]),
        (["05", "1"], ["05", "1"]),
        (["nan", "1", "2.0"], ["", "1", "2"]),
        (["NaN", "naan"], ["NaN", "naan"]),
        (["", "a"], ["", "a"]),
    ],
)
def test_labels_are_texts(tmp_path, cells, labels):
    rows = load(tmp_path, "text,label\n" + "".join(f"t{n},{cell}\n" for n, cell in enumerate(cells)))
    assert [row.label for row in rows] == labels


@given(
    st.lists(st.sampled_from(["5", "5.0", " 5.00", "05", "-3", "nan", "NaN", "", "4.5", "good", " good", "inf"])),
)
def test_labels_are_read_alike_however_soon_it_shows_that_they_are_no_numbers(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("labels")
    told = []
    content = "text,label\nfirst,\n" + "".join(f"t{n},{cell}\n" for n, cell in enumerate(cells))
    labels = [row.label for row in load(folder, content, told=told)][1:]
    bare = [cell.strip() for cell in cells]
    numbers = {cell for cell in bare if cell and cell.casefold() != "nan"}
    if numbers and all(re.fullmatch(r"-?\d+(\.0+)?", cell) for cell in numbers):
        expected = [cell.partition(".")[0] if cell in numbers else "" for cell in bare]
    else:
        expected = bare
    assert labels == expected
    changed = sum(cell != bare[n] for n, cell in enumerate(cells))
    changed += sum(new not in (old, "") for old, new in zip(bare, labels, strict=True))
    assert sum(check.mended for check in told) == changed


def test_what_was_made_of_labels_is_told(tmp_path):
    told = []
    load(tmp_path, "text,label\na,1\nb, 2\nc,3.0\nd,3.0\n", told=told)
    (check,) = told
    assert (check.kind, check.level, check.mended, check.heading) == ("label-format", "ok", 3, "quality")
    assert check.figures == {"count": 3, "first": "data.csv, line 3"}
    assert "3 labels" in check.message
    told.clear()
    load(tmp_path, "text,label\na,1\nb,2\n", told=told)
    assert told == []


def test_json_values_become_texts(tmp_path):
    values = [(5, "5"), (5.0, "5"), (None, ""), (float("nan"), "")]
    lines = "\n".join(json.dumps({"text": 7, "label": value}) for value, _ in values)
    assert [row.label for row in load(tmp_path, lines, "d.jsonl")] == [label for _, label in values]
    truths = load(tmp_path, '{"text": "a", "label": true}\n\n{"text": null, "label": false}\n', "d.jsonl")
    assert [(row.text, row.label) for row in truths] == [("a", "true"), ("", "false")]


def test_a_line_separator_within_a_text_ends_no_line(tmp_path):
    rows = load(tmp_path, json.dumps({"text": "a\u2028b\x85c", "label": "x"}, ensure_ascii=False), "d.jsonl")
    assert [row.text for row in rows] == ["a\u2028b\x85c"]


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.sampled_from("ab")),
        min_size=1,
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_was_written_is_read(tmp_path_factory, rows, encoding):
    folder = tmp_path_factory.mktemp("written")
    expected = [(text.replace("\r\n", "\n").replace("\r", "\n"), label) for text, label in rows]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("text", "label"), *rows])
    read = load(folder, table.getvalue().encode(encoding))
    assert [(row.text, row.label) for row in read] == expected
    lines = "\n".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows)
    assert load(folder, lines.encode(encoding), "d.jsonl") == read
    pq.write_table(
        pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}), folder / "d.pq"
    )
    assert load(folder, (folder / "d.pq").read_bytes(), "d.pq") == read


def test_long_cells_are_read(tmp_path):
    assert len(load(tmp_path, f"text,label\n{'x' * 200_000},a\n")[0].text) == 200_000


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00+00:00"),
        ("1351123200", "2012-10-25T00:00:00+00:00"),
        ("1351123200000", "2012-10-25T00:00:00+00:00"),
        ("1351123200.0", "2012-10-25T00:00:00+00:00"),
        ("", None),
    ],
)
def test_times(tmp_path, value, time):
    assert load(tmp_path, f"text,label,when\na,b,{value}\n", time="when")[0].time == time


@pytest.mark.parametrize(
    ("content", "name", "options", "message"),
    [
        ("text,label\na,b\n", "data.csv", {"text": "txt"}, 'no column "txt" (dataset.text); did you mean "text"?'),
        ("text,label\na,b\n", "data.csv", {"group": "user"}, 'no column "user" (dataset.group)'),
        ("text,label\na,b\n", "data.csv", {"text": ()}, "dataset.text names no column"),
        ("text,label\na,b\nc\n", "data.csv", {}, "data.csv, line 3: 1 cell, expected 2"),
        ("text,label\na,b,c\n", "data.csv", {}, "data.csv, line 2: 3 cells, expected 2"),
        ("text,label\na,b\n", "data.csv", {"sheet": "May"}, "CSV, which has no sheet\nleave out dataset.sheet"),
        ('{"text": "a"}\n', "d.jsonl", {"delimiter": ";"}, 'leave out dataset.delimiter = ";"; it is for CSV and TSV'),
        (
            "Export of May\n\ntext,label\na,b\n",
            *("data.csv", {"text": "Export of May", "label": ""}),
            "a line break; if the column names stand in line 3, delete what is above them",
        ),
        ('text,label\na,b\n"open,c\nd,e\n', "data.csv", {}, "data.csv, line 3: a quoted cell is never closed"),
        ('text,label\n"a"x,b\n', "data.csv", {}, "data.csv, line 2:"),
        ("text,text\na,b\n", "data.csv", {}, 'more than one column "text"'),
        ("", "data.csv", {}, "data.csv is empty"),
        ("", "d.jsonl", {}, "d.jsonl has no rows"),
        ('{"text": 1, "label": 2}\n{oops\n', "d.jsonl", {}, "d.jsonl, line 2: no JSON"),
        ("[1]\n", "d.jsonl", {}, "d.jsonl, line 1: a JSON list, expected an object"),
        ('{"text": {"a": 1}, "label": 2}', "d.jsonl", {}, 'd.jsonl, line 1: column "text" holds an object'),
        ("no parquet", "d.parquet", {}, "d.parquet is no readable Parquet file"),
        ("text,label\n", "data.xyz", {}, 'the suffix ".xyz" is no known format'),
        ("text,label\na,trian\n", "data.csv", {"split": "label"}, '"trian" in column "label" is no split: did you'),
        ("text,label\na,soon\n", "data.csv", {"time": "label"}, '"soon" in column "label" (dataset.time) is no date'),
        ("text\tlabel\n\"a\tb\"\tc\n", "d.tsv", {}, "if cells stand in quotes, set dataset.quotes = true"),
    ],
)  # fmt: skip
def test_says_what_is_wrong(tmp_path, content, name, options, message):
    assert message in refused(tmp_path, content, name, **options)


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "reviews.csv").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(harness.DataError, match=r'did you mean "reviews\.csv"'):
        Files(path="review.csv", text="a", label="b").load(harness.Context(folder=tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(harness.DataError, match="is a folder without data files"):
        Files(path="empty", text="a", label="b").load(harness.Context(folder=tmp_path))
    with pytest.raises(harness.DataError, match="no file is like"):
        Files(path="*.parquet", text="a", label="b").load(harness.Context(folder=tmp_path))
    with pytest.raises(harness.DataError, match="names no file"):
        Files(path=(), text="a", label="b").load(harness.Context(folder=tmp_path))
    with pytest.raises(harness.DataError, match="there is no folder"):
        Files(path="x/y.csv", text="a", label="b").load(harness.Context(folder=tmp_path))


def test_options_come_as_toml_has_them():
    table = {"path": "x.csv", "text": ["title", "body"], "label": "stars", "labels": ["1", "2"], "slices": ["c"]}
    made = construct(Files, table, "dataset")
    assert (made.text, made.labels, made.slices) == (("title", "body"), ("1", "2"), ("c",))
    assert construct(Files, table | {"text": "body"}, "dataset").text == "body"
    assert (made.ordered, made.share) == (False, False)


def test_rows_come_as_they_stand(tmp_path):
    (tmp_path / "d.csv").write_text("a,,b\n1,x, 2.0\n", encoding="utf-8")
    (tmp_path / "d.jsonl").write_text('{"a": 1}\n{"b": [2]}\n', encoding="utf-8")
    made = {name: Files(path=name, text=(), label="") for name in ("d.csv", "d.jsonl")}
    ctx = harness.Context(folder=tmp_path)
    assert all(isinstance(each, TabularDataset) for each in made.values())
    assert list(made["d.csv"].rows(ctx)) == [{"a": "1", "": "x", "b": " 2.0"}]
    assert list(made["d.jsonl"].rows(ctx)) == [{"a": 1}, {"b": [2]}]


def test_rows_are_read_lazily(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\n" + "a,b\n" * 9000 + "broken\n", encoding="utf-8")
    ctx = harness.Context(folder=tmp_path)
    assert next(iter(Files(path="d.csv").rows(ctx))) == {"text": "a", "label": "b"}
    assert next(Files(path="d.csv", text="text", label="label").load(ctx)).label == "b"
    with pytest.raises(harness.DataError, match="line 9002"):
        list(Files(path="d.csv").rows(ctx))


def test_a_label_that_is_not_named_is_asked_for(tmp_path):
    message = refused(tmp_path, "text,stars\na,b\n", label=None)
    assert message.startswith("dataset.label is not given, and data.csv is no fine-tuning file")
    assert 'its columns: "text", "stars" (no line of column names? give dataset.columns)' in message
    assert "dataset.text is not given" in refused(tmp_path, "text,stars\na,b\n", text=None)
    assert [row.label for row in load(tmp_path, "text,stars\na,b\n", label="")] == [""]


@pytest.mark.parametrize(
    "delimiter",
    [";", "|", "\t"],
)
def test_another_separator_is_found_and_can_be_given(tmp_path, delimiter):
    content = f"text{delimiter}label\na{delimiter}b\n"
    shown = {"\t": "\\t"}.get(delimiter, delimiter)
    assert f'dataset.delimiter = "{shown}"' in refused(tmp_path, content)
    assert [(row.text, row.label) for row in load(tmp_path, content, delimiter=delimiter)] == [("a", "b")]
    assert "is no separator" in refused(tmp_path, content, delimiter=";;")
