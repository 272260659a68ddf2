import datetime
import gzip
import json
import sys
from typing import get_args

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness
from harness_plugins.datasets import _tables
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets.files import Files

PAIRS = [("one", "a"), ("twö", "b"), ('th"ree', "a")]
CSV = 'text,label\none,a\ntwö,b\n"th""ree",a\n'
RECORDS = [{"text": text, "label": label} for text, label in PAIRS]


def load(folder, path, told=None, **options):
    ctx = harness.Context(folder=folder, tell=[].append if told is None else told.append)
    dataset = Files(**({"path": path, "text": "text", "label": "label"} | options))
    return [(row.text, row.label) for row in dataset.load(ctx)]


def refused(folder, path, **options):
    with pytest.raises(harness.DataError) as caught:
        load(folder, path, **options)
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def workbook(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_json_as_pandas_writes_it(tmp_path, orient):
    pd.DataFrame(RECORDS).to_json(tmp_path / "d.json", orient=orient)
    assert load(tmp_path, "d.json") == PAIRS


def test_json_of_columns_that_are_numbered_is_no_json_of_rows(tmp_path):
    pd.DataFrame([list(pair) for pair in PAIRS]).to_json(tmp_path / "d.json")
    assert load(tmp_path, "d.json", text="0", label="1") == PAIRS


def test_labels_that_read_like_missing_ones_are_told(tmp_path):
    rows = "text,label\na,good\nb,NA\nc,None\nd,NA\ne,bad\n"
    (tmp_path / "d.csv").write_text(rows, encoding="utf-8")
    told = []
    assert [label for _, label in load(tmp_path, "d.csv", told=told)] == ["good", "NA", "None", "NA", "bad"]
    (check,) = told
    assert (check.kind, check.level, check.mended) == ("null-like-labels", "warning", 0)
    assert check.figures == {"count": 3, "first": "d.csv, line 3", "values": ["NA", "None"]}
    assert 'd.csv, line 3; they are "NA", "None")' in check.message
    told.clear()
    (tmp_path / "d.csv").write_text("text,label\na,1\nb,nan\nc,2\n", encoding="utf-8")
    assert [label for _, label in load(tmp_path, "d.csv", told=told)] == ["1", "", "2"]
    assert told == []


@pytest.mark.parametrize(
    "value",
    [
        RECORDS,
        {"data": RECORDS},
        {"version": 2, "names": ["a", "b"], "rows": RECORDS},
        {"text": [text for text, _ in PAIRS], "label": [label for _, label in PAIRS]},
    ],
)
def test_json_of_other_layouts(tmp_path, value):
    (tmp_path / "d.json").write_text(json.dumps(value), encoding="utf-8")
    assert load(tmp_path, "d.json") == PAIRS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "d.json is empty"),
        ('[{"text": 1},\n{"text" 2}]', "d.json, line 2: no JSON: Expecting ':' delimiter (column 9)"),
        ('{"a": {"b": 1}, "c": 2}', "d.json: an object that holds no list of rows"),
        ('{"a": [{"b": 1}], "c": [{"d": 1}]}', "d.json: an object that holds no list of rows"),
        ('{"text": [1, 2], "label": [1]}', 'column "label" has 1 values and column "text" 2'),
        ('{"columns": ["text"], "index": [0], "data": [[1, 2]]}', "d.json, row 1: expected a list of 1 values"),
        ('{"columns": 1, "index": [0], "data": [[1, 2]]}', "no lists of names and rows"),
        ("[]", "d.json has no rows"),
        ('[{"text": 1, "label": {"a": 1}}]', 'd.json, row 1: column "label" holds an object'),
        ('[{"txt": 1, "label": 1}]', 'd.json has no column "text" (dataset.text); did you mean "txt"'),
        ("[1]", "d.json, row 1: a JSON number"),
    ],
)
def test_json_that_is_refused(tmp_path, content, message):
    (tmp_path / "d.json").write_text(content, encoding="utf-8")
    assert message in refused(tmp_path, "d.json")


def test_repeated_keys_and_half_characters_are_told(tmp_path):
    lines = [
        '{"text": "a", "label": "x"}',
        '{"text": "b", "text": "c", "label": "x"}',
        r'{"text": "\ud83d", "label": "y"}',
    ]
    told = []
    (tmp_path / "d.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert load(tmp_path, "d.jsonl", told) == [("a", "x"), ("c", "x"), ("\ufffd", "y")]
    assert [(check.kind, check.mended) for check in told] == [("broken-characters", 1), ("duplicate-keys", 0)]
    assert [check.figures["first"] for check in told] == ["d.jsonl, line 3", "d.jsonl, line 2"]
    (tmp_path / "d.json").write_text(f"[{','.join(lines)}]", encoding="utf-8")
    assert load(tmp_path, "d.json") == [("a", "x"), ("c", "x"), ("\ufffd", "y")]
    paired = r'{"text": "\ud83d\ude00 \\ud83d", "label": "y"}'
    told.clear()
    (tmp_path / "d.jsonl").write_text(paired, encoding="utf-8")
    assert load(tmp_path, "d.jsonl", told) == [("\U0001f600 \\ud83d", "y")]
    assert told == []


def test_columns_that_first_occur_late_are_found(tmp_path):
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n{"text": "b", "label": "x"}\n', encoding="utf-8")
    assert load(tmp_path, "d.jsonl") == [("a", ""), ("b", "x")]
    assert 'no column "lable"' in refused(tmp_path, "d.jsonl", label="lable")


def test_plain_lines_are_texts_without_labels(tmp_path):
    (tmp_path / "d.txt").write_bytes("one\r\n\r\n  twö \n".encode())
    assert load(tmp_path, "d.txt", text=None, label=None) == [("one", ""), ("twö", "")]
    assert load(tmp_path, "d.txt", text="review", label="", columns=("review",)) == [("one", ""), ("twö", "")]
    assert list(Files(path="d.txt").rows(harness.Context(folder=tmp_path))) == [{"text": "one"}, {"text": "twö"}]
    assert 'd.txt has no column "label"' in refused(tmp_path, "d.txt")
    assert "each line is one text" in refused(tmp_path, "d.txt", columns=("a", "b"))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json", "d.parquet", "d.txt", "d.xlsx"])
def test_packed_files_are_read(tmp_path, name, suffix):
    frame = pd.DataFrame(RECORDS)
    content = {
        "d.csv": CSV.encode(),
        "d.jsonl": "\n".join(map(json.dumps, RECORDS)).encode(),
        "d.json": json.dumps(RECORDS).encode(),
        "d.txt": b"one\ntwo\n",
    }.get(name)
    if name == "d.parquet":
        frame.to_parquet(tmp_path / name)
    elif name == "d.xlsx":
        frame.to_excel(tmp_path / name, index=False)
    content = content or (tmp_path / name).read_bytes()
    packed = gzip.compress(content) if suffix == ".gz" else pa.compress(content, codec="zstd", asbytes=True)
    (tmp_path / (name + suffix)).write_bytes(packed)
    options = {"text": None, "label": None} if name == "d.txt" else {}
    assert load(tmp_path, name + suffix, **options) == ([("one", ""), ("two", "")] if name == "d.txt" else PAIRS)


def test_the_limit_of_unpacking_can_be_set(tmp_path):
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"text,label\n" + b"a" * 2_000_000 + b",x\n"))
    assert "d.csv.gz unpacks to more than 1 MB (the limit)" in refused(tmp_path, "d.csv.gz", unpacked_mb=1)
    assert len(load(tmp_path, "d.csv.gz", unpacked_mb=3)[0][0]) == 2_000_000


def test_several_files_are_read_in_order(tmp_path):
    (tmp_path / "b.csv").write_text("text,label\nthree,x\n", encoding="utf-8")
    (tmp_path / "a.csv").write_text("label,text\nx,one\ny,two\n", encoding="utf-8")
    (tmp_path / "README.txt").write_text("not data", encoding="utf-8")
    (tmp_path / ".hidden.csv").write_text("nothing", encoding="utf-8")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"text,label\nfour,z\n"))
    everything = [("one", "x"), ("two", "y"), ("three", "x"), ("four", "z")]
    assert load(tmp_path, ".") == everything
    assert load(tmp_path, "[a-z]*.csv") == everything[:3]
    assert load(tmp_path, ("c.csv.gz", "?.csv")) == [everything[3], *everything[:3]]
    assert "names a.csv twice" in refused(tmp_path, ("a.csv", "*.csv"))
    assert [row["text"] for row in Files(path=".").rows(harness.Context(folder=tmp_path))] == [
        text for text, _ in everything
    ]


def test_files_that_do_not_go_together_are_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\none,x\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("text,label,user\none,x,u\n", encoding="utf-8")
    (tmp_path / "c.jsonl").write_text('{"text": "a", "label": "b"}', encoding="utf-8")
    (tmp_path / "d.jsonl").write_text('{"text": "a", "lable": "b"}', encoding="utf-8")
    assert 'b.csv has a column "user" and a.csv has none' in refused(tmp_path, ("a.csv", "b.csv"))
    assert 'b.csv has a column "user" and a.csv has none' in refused(tmp_path, ("b.csv", "a.csv"))
    assert "different formats: a.csv and c.jsonl" in refused(tmp_path, ".")
    assert 'd.jsonl has no column "label"' in refused(tmp_path, ("c.jsonl", "d.jsonl"))
    assert load(tmp_path, "c.jsonl") == [("a", "b")]


def test_whole_numbers_are_looked_for_in_all_files(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\none,1.0\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("text,label\ntwo,x\n", encoding="utf-8")
    assert load(tmp_path, "*.csv") == [("one", "1.0"), ("two", "x")]
    (tmp_path / "b.csv").write_text("text,label\ntwo,2.0\n", encoding="utf-8")
    assert load(tmp_path, "*.csv") == [("one", "1"), ("two", "2")]


@pytest.mark.parametrize(
    ("known", "written", "read"),
    [
        (("1.0", "1.5", "2.0"), ["1", "2.0", "1.5", "+1", "2.00"], ["1.0", "2.0", "1.5", "+1", "2.0"]),
        (("1.0", "2.0"), ["1.0", "2.0", "1"], ["1.0", "2.0", "1.0"]),
        (("1", "2"), ["1.0", "2", "n/a"], ["1", "2", "n/a"]),
        (("1", "1.0"), ["1", "1.0", "1.00"], ["1", "1.0", "1"]),
        (("1.0", "1.00"), ["1", "1.0"], ["1", "1.0"]),
        (("1", "nan"), ["1.0", "nan", "3.0"], ["1", "nan", "3.0"]),
        (("1.5", "2.5"), ["3.0", "nan"], ["3", ""]),
        (("v1", "v2"), ["v1.0", "v2"], ["v1.0", "v2"]),
    ],
)
def test_numbers_are_written_as_the_label_set_has_them(tmp_path, known, written, read):
    rows = "".join(f"text {place},{label}\n" for place, label in enumerate(written))
    (tmp_path / "d.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    told = []
    assert [label for _, label in load(tmp_path, "d.csv", told, labels=known)] == read
    changed = sum(one != other for one, other in zip(written, read, strict=True) if other)
    assert [check.mended for check in told if check.kind == "label-format"] == ([changed] if changed else [])


def test_parquet_of_every_type(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", "b", None]).dictionary_encode(),
            "label": pa.array([5.0, None, 4.0]),
            "raw": pa.array([b"x", "ö".encode(), None], pa.binary()),
            "when": pa.array([1_700_000_000, 0, None], pa.timestamp("s", "UTC")),
            "day": pa.array([datetime.date(2026, 1, 31), None, None]),
            "price": pa.array([1, None, 2], pa.decimal128(9, 2)),
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    rows = list(
        Files(path="d.parquet", text=("text", "raw"), label="label", time="when", slices=("day", "price")).load(
            harness.Context(folder=tmp_path)
        )
    )
    assert [row.fields for row in rows] == [
        {"text": "a", "raw": "x"},
        {"text": "b", "raw": "ö"},
        {"text": "", "raw": ""},
    ]
    assert [row.label for row in rows] == ["5", "", "4"]
    assert [row.time for row in rows] == ["2023-11-14T22:13:20+00:00", "1970-01-01T00:00:00+00:00", None]
    assert rows[0].slices == {"day": "2026-01-31", "price": "1.00"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-01-31T10:00:00.025", "2026-01-31T10:00:00.025000"),
        ("2026-01-31 10:00:00.000", "2026-01-31T10:00:00"),
        ("2026-01-31T10:00:00.05+01:00", "2026-01-31T10:00:00.050000+01:00"),
        ("1700000000.0", "2023-11-14T22:13:20+00:00"),
    ],
)
def test_dates_may_have_fractions_of_a_second(tmp_path, written, read):
    (tmp_path / "d.csv").write_text(f"text,label,when\none,x,{written}\n", encoding="utf-8")
    dataset = Files(path="d.csv", text="text", label="label", time="when")
    assert [row.time for row in dataset.load(harness.Context(folder=tmp_path))] == [read]


def test_rows_keep_bytes_that_are_no_text(tmp_path):
    photos = pa.array([b"\xff\x00", "ö".encode(), None], pa.binary())
    names = pa.array(["a", "b", "c"])
    pq.write_table(
        pa.table({"photo": photos, "kind": photos.dictionary_encode(), "text": names}), tmp_path / "d.parquet"
    )
    rows = list(Files(path="d.parquet").rows(harness.Context(folder=tmp_path)))
    assert [row["photo"] for row in rows] == [row["kind"] for row in rows] == [b"\xff\x00", "ö", None]
    assert load(tmp_path, "d.parquet", label="") == [("a", ""), ("b", ""), ("c", "")]
    assert 'd.parquet, row 1: column "photo" holds bytes that are not UTF-8' in refused(
        tmp_path, "d.parquet", text="photo", label=""
    )


def test_parquet_names_the_row_whatever_its_batch(tmp_path):
    texts = pa.array([b"fine"] * 9000 + [b"caf\xe9"], pa.binary())
    for name, column in (("a.parquet", texts), ("b.parquet", texts.view(pa.string()))):
        pq.write_table(pa.table({"text": column, "label": ["x"] * 9001}), tmp_path / name)
        assert f'{name}, row 9001: column "text" holds bytes that are not UTF-8 (0xe9)' in refused(tmp_path, name)
    pq.write_table(pa.Table.from_arrays([texts, texts], ["text", "text"]), tmp_path / "c.parquet")
    assert 'c.parquet has more than one column "text"' in refused(tmp_path, "c.parquet")


def test_a_sheet_is_read(tmp_path):
    when = datetime.datetime(2026, 1, 31, 10)
    rows = [[], ["text", "label", None, "when"], ["one", 5, "aside", when], [None, None], ["two", 4.5, None, None]]
    workbook(tmp_path / "d.xlsx", {"Data": rows, "Empty": []})
    assert load(tmp_path, "d.xlsx") == [("one", "5"), ("two", "4.5")]
    dataset = Files(path="d.xlsx", text="text", label="label", time="when")
    assert [row.time for row in dataset.load(harness.Context(folder=tmp_path))] == ["2026-01-31T10:00:00", None]
    assert next(iter(dataset.rows(harness.Context(folder=tmp_path)))) == {
        "text": "one", "label": 5, "": "aside", "when": when,
    }  # fmt: skip
    workbook(tmp_path / "e.xlsx", {"Data": [["one", "x"], ["two", "y"]]})
    assert load(tmp_path, "e.xlsx", columns=("text", "label")) == [("one", "x"), ("two", "y")]


def test_columns_without_a_name_are_told_apart_by_their_blanks(tmp_path):
    (tmp_path / "a.csv").write_text(",text, ,label,\n1,one,2,x,3\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("text,label,\ntwo,y,4\n", encoding="utf-8")
    rows = list(Files(path=("a.csv", "b.csv")).rows(harness.Context(folder=tmp_path)))
    assert rows == [
        {"": "1", "text": "one", " ": "2", "label": "x", "  ": "3"}, {"text": "two", "label": "y", "": "4"},
    ]  # fmt: skip
    assert load(tmp_path, "a.csv", text=("text", "  ")) == [("one\n3", "x")]
    assert load(tmp_path, ("a.csv", "b.csv")) == [("one", "x"), ("two", "y")]
    assert 'b.csv has no column " "' in refused(tmp_path, ("a.csv", "b.csv"), text=(" ", "text"))
    table = [["text", None, None, "label"], ["one", None, 1, "x", None, 2], ["two", "", None, "y"]]
    workbook(tmp_path / "d.xlsx", {"Data": table})
    rows = list(Files(path="d.xlsx").rows(harness.Context(folder=tmp_path)))
    assert rows == [
        {"text": "one", "": 1, "label": "x", " ": 2}, {"text": "two", "": None, "label": "y", " ": None},
    ]  # fmt: skip
    assert load(tmp_path, "d.xlsx", text=("text", " ")) == [("one\n2", "x"), ("two", "y")]


def test_of_several_sheets_one_must_be_named(tmp_path):
    rows = [["text", "label"], ["one", "x"]]
    workbook(tmp_path / "d.xlsx", {"First": rows, "Second": [["text", "label"], ["two", "y"]]})
    assert 'd.xlsx has 2 sheets with content: "First", "Second"' in refused(tmp_path, "d.xlsx")
    assert load(tmp_path, "d.xlsx", sheet="Second") == [("two", "y")]
    assert 'has no sheet "Secnd" (dataset.sheet)\nof its sheets: did you mean "Second"?' in refused(
        tmp_path, "d.xlsx", sheet="Secnd"
    )
    workbook(tmp_path / "e.xlsx", {"First": []})
    assert "e.xlsx is empty" in refused(tmp_path, "e.xlsx")
    workbook(tmp_path / "f.xlsx", {"First": [["text", "text"], ["one", "x"]]})
    assert 'sheet "First" has more than one column "text"' in refused(tmp_path, "f.xlsx")


def test_formulas_need_a_stored_value_where_they_are_read(tmp_path):
    workbook(tmp_path / "d.xlsx", {"Data": [["text", "label", "note"], ["=A1", "x", "=B1"], ["'=plain", "y", ""]]})
    assert 'd.xlsx, sheet "Data", cell A2: a formula without a stored value' in refused(tmp_path, "d.xlsx")
    assert load(tmp_path, "d.xlsx", text="label") == [("x", "x"), ("y", "y")]
    rows = list(Files(path="d.xlsx").rows(harness.Context(folder=tmp_path)))
    assert [row["text"] for row in rows] == [None, "'=plain"]


def test_error_cells_count_as_empty(tmp_path):
    told = []
    workbook(tmp_path / "d.xlsx", {"Data": [["text", "label"], ["one", "#N/A"], ["two", "y"]]})
    assert load(tmp_path, "d.xlsx", told) == [("one", ""), ("two", "y")]
    assert [(check.kind, check.level, check.figures["first"]) for check in told] == [
        ("cell-errors", "warning", 'd.xlsx, sheet "Data", cell B2')
    ]


def test_a_missing_extra_says_how_to_install_it(tmp_path, monkeypatch):
    workbook(tmp_path / "d.xlsx", {"Data": [["text", "label"], ["one", "x"]]})
    monkeypatch.setitem(sys.modules, "openpyxl", None)  # what Python remembers of a module that cannot be imported
    assert "pip install 'finetune-harness[xlsx]'" in refused(tmp_path, "d.xlsx")


def test_what_is_shown_moves_no_cursor():
    assert shown("a\x1b[2J\u202e\n\ud800é😀") == r"a\x1b[2J\u202e\n\ud800é😀"
    assert shown("x" * 50) == "x" * 39 + "…"


def test_each_format_has_a_reader_and_a_suffix() -> None:
    formats = set(get_args(_tables.Format))
    assert set(_tables.READERS) == formats
    assert set(_tables.FORMATS.values()) == formats


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_tells_spreadsheets_the_separator_is_no_row(tmp_path, end):
    """Excel reads `sep=;` before the column names; the lines that errors name are those of the file."""
    path = tmp_path / "d.csv"
    lines = ["sep=;", "text;label", "one, two;a", '"th""ree;";b']
    path.write_text("\ufeff" + end.join([*lines, ""]), encoding="utf-8", newline="")
    assert load(tmp_path, "d.csv") == [("one, two", "a"), ('th"ree;', "b")]
    path.write_text(end.join(["SEP=;", *lines[1:], "x;y;z", ""]), encoding="utf-8", newline="")
    assert "d.csv, line 5: 3 cells, expected 2" in refused(tmp_path, "d.csv")
    path.write_text("sep=,\ntext;label\none;a\n", encoding="utf-8")
    assert load(tmp_path, "d.csv", delimiter=";") == [("one", "a")]
