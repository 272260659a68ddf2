"""Files as they arrive: damaged, mislabelled, made to harm. Each goes through the real command."""

import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.lab import LABELS, call, task

ROWS = list(task(36).items())
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
JSONL = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
DEEP = "[" * 100_000
MOVES = "\x1b[2J\x1b]0;owned\x07\u202e"
"""Clears a screen, renames a window, turns the writing direction."""
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    file: str = "data.csv"
    content: bytes | Callable[[], bytes]
    """What is large is made when it is needed."""
    options: str = ""
    fragment: str = ""
    """Of the message; empty where the file is mended and the run ends well."""


def chat(*messages, **more):
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in messages], **more}) + "\n"


def parquet(**columns):
    made = io.BytesIO()
    pq.write_table(pa.table(columns), made)
    return made.getvalue()


def not_utf8():
    """A column that says it is text and holds other bytes, as some writers leave it."""
    texts = pa.array([b"fine", b"caf\xe9"] + [b"x"] * 10, pa.binary()).view(pa.string())
    return parquet(text=texts, label=pa.array(["a", "b"] * 6))


def sheet(*rows, more=()):
    """A workbook of one sheet; cells are given as XML."""
    body = "".join(f'<row r="{n}">{"".join(cells)}</row>' for n, cells in enumerate(rows, start=1))
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    related = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="a" Type="{related}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{related}"><sheets>'
        '<sheet name="Data" sheetId="1" r:id="a"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="a" Type="{related}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {space}><sheetData>{body}</sheetData></worksheet>",
        **dict(more),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return made.getvalue()


def cell(place, text):
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


HEAD = (cell("A1", "text"), cell("B1", "label"))
SHEET = sheet(HEAD, *((cell(f"A{n}", text), cell(f"B{n}", label)) for n, (text, label) in enumerate(ROWS, start=2)))
ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 12}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


def bomb(packed, n_mb=80):
    return packed(b"text,label\n" + b"a,b\n" * (n_mb * 250_000))


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


def lying_zip():
    """A workbook whose directory says that a part is 5 GB long."""
    content = bytearray(SHEET)
    start = content.rfind(b"PK\x01\x02")
    content[start + 24 : start + 28] = struct.pack("<I", 2**32 - 2)
    return bytes(content)


REFUSED = [
    Case(id="empty", content=b"", fragment="data.csv is empty"),
    Case(id="only-a-mark", content=b"\xef\xbb\xbf", fragment="data.csv is empty"),
    Case(id="only-blank-lines", content=b"\n\r\n\n", fragment="data.csv is empty"),
    Case(id="header-alone", content=b"text,label\n", fragment="data.csv has no rows"),
    Case(id="nul-byte", content=(CSV + "a\0b,good\n").encode(), fragment="data.csv, line 38: a NUL byte"),
    Case(id="only-nul", content=b"\0" * 5000, fragment="data.csv, line 1: a NUL byte"),
    Case(id="latin-1", content=CSV.encode() + "café,good\n".encode("latin-1"), fragment="data.csv, line 38: byte 0xe9"),
    Case(id="latin-1-hint", content=CSV.encode() + b"caf\xe9,good\n", fragment='"cp1252" reads it, with "café,good"'),
    Case(
        id="cyrillic-hint",
        content=CSV.encode() + "очень хорошо,good\n".encode("cp1251"),
        fragment='"cp1251" reads it, with "очень хорошо',
    ),
    Case(
        id="japanese-hint",
        content=CSV.encode() + "とても良い商品,good\n".encode("shift_jis"),
        fragment='"shift_jis" reads it, with "とても良い商品',
    ),
    Case(id="utf-16-no-mark", content=CSV.encode("utf-16-le"), fragment='dataset.encoding = "utf-16-le"'),
    Case(id="utf-16-cut", content=CSV.encode("utf-16")[:-1], fragment="data.csv, line 37: byte 0x0a is not utf-16"),
    Case(id="utf-8-cut", content=(CSV + "café").encode()[:-1], fragment="data.csv, line 38: byte 0xc3 is not utf-8"),
    Case(id="surrogate-bytes", content=CSV.encode() + b"\xed\xa0\xbd,a\n", fragment="data.csv, line 38: byte 0xed"),
    Case(id="unknown-encoding", content=CSV.encode(), options='encoding = "utf-9"', fragment="is no encoding"),
    Case(id="not-of-text", content=CSV.encode(), options='encoding = "hex"', fragment='"hex" is no encoding'),
    Case(id="too-few-cells", content=(CSV + "alone\n").encode(), fragment="data.csv, line 38: 1 cell, expected 2"),
    Case(id="too-many-cells", content=(CSV + "a,b,c\n").encode(), fragment="data.csv, line 38: 3 cells, expected 2"),
    Case(id="open-quote", content=(CSV + '"open,good\n').encode(),
         fragment="data.csv, line 38: a quoted cell is never"),
    Case(id="quote-within", content=(CSV + '"a"b,good\n').encode(), fragment="data.csv, line 38: "),
    Case(id="same-column-twice", content=b"text,label,text\na,b,c\n", fragment='more than one column "text"'),
    Case(id="semicolons", content=CSV.replace(",", ";").encode(), fragment='dataset.delimiter = ";"'),
    Case(id="moves-in-a-header", content=f"{MOVES},label\na,b\n".encode(), fragment=r'"\x1b[2J\x1b]0;owned\x07\u202e"'),
    Case(
        id="moves-in-a-split",
        content=f"text,label,part\na,b,{MOVES}\n".encode(),
        options='split = "part"',
        fragment=r'data.csv, line 2: "\x1b[2J',
    ),
    Case(
        id="moves-in-a-time",
        content=f"text,label,when\na,b,{MOVES}\n".encode(),
        options='time = "when"',
        fragment=r'data.csv, line 2: "\x1b[2J',
    ),
    Case(id="year-99999", content=b"text,label,when\na,b,9" + b"9" * 300 + b"\n", options='time = "when"',
         fragment="data.csv, line 2: "),
    Case(id="zip-as-csv", content=SHEET, fragment='data.csv is an XLSX or another zip file, expected CSV'),
    Case(id="gzip-as-csv", content=gzip.compress(CSV.encode()), fragment="data.csv is packed with gzip"),
    Case(id="csv-as-gzip", file="data.csv.gz", content=CSV.encode(), fragment="data.csv.gz cannot be unpacked as gzip"),
    Case(id="gzip-cut", file="data.csv.gz", content=gzip.compress(CSV.encode())[:-9], fragment="data.csv.gz cannot be"),
    Case(id="zstd-cut", file="data.csv.zst", content=zstd(CSV.encode())[:-9], fragment="data.csv.zst cannot be"),
    Case(id="gzip-damaged", file="data.csv.gz", content=gzip.compress(CSV.encode())[:-8] + b"12345678",
         fragment="data.csv.gz cannot be unpacked as gzip"),
    Case(id="gzip-bomb", file="data.csv.gz", content=lambda: bomb(gzip.compress),
         fragment="unpacks to more than 64 MB"),
    Case(id="zstd-bomb", file="data.csv.zst", content=lambda: bomb(zstd), fragment="dataset.unpacked_mb = 256"),
    Case(id="zip-bomb", file="data.xlsx",
         content=lambda: sheet(HEAD, more=[("xl/media/a.bin", b"\0" * 70_000_000)]),
         fragment="data.xlsx unpacks to more than 64 MB"),
    Case(id="lying-zip", file="data.xlsx", content=lying_zip(), fragment="data.xlsx unpacks to more than 64 MB"),
    Case(id="entities", file="data.xlsx", content=sheet(
        HEAD, more=[("xl/worksheets/sheet1.xml", f"{ENTITIES}<worksheet>&i;</worksheet>")]),
        fragment="data.xlsx is no readable XLSX file: a part of it defines entities"),
    Case(id="csv-as-xlsx", file="data.xlsx", content=CSV.encode(), fragment="data.xlsx is no readable XLSX file"),
    Case(id="old-excel", file="data.xlsx", content=b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99, fragment="an old .xls"),
    Case(id="xlsx-cut", file="data.xlsx", content=SHEET[: len(SHEET) // 2], fragment="no readable XLSX file"),
    Case(id="formula-without-value", file="data.xlsx",
         content=sheet(HEAD, (cell("A2", "a"), '<c r="B2"><f>1+1</f></c>')),
         fragment='data.xlsx, sheet "Data", cell B2: a formula without a stored value'),
    Case(id="no-parquet", file="data.parquet", content=b"PAR1" + b"\xff" * 400 + b"PAR1",
         fragment="no readable Parquet"),
    Case(id="parquet-cut", file="data.parquet", content=parquet(text=["a"], label=["b"])[:-20], fragment="no readable"),
    Case(id="parquet-bytes", file="data.parquet", content=not_utf8(),
         fragment='data.parquet, row 2: column "text" holds bytes that are not UTF-8 (0xe9)'),
    Case(id="parquet-list", file="data.parquet", content=parquet(text=[["a"], ["b"]], label=["x", "y"]),
         fragment='data.parquet, row 1: column "text" holds a list'),
    Case(id="no-json", file="data.jsonl", content=(JSONL + "{'a': 1}\n").encode(),
         fragment="data.jsonl, line 37: no JSON"),
    Case(id="json-cut", file="data.jsonl", content=JSONL.encode()[:-9], fragment="data.jsonl, line 36: no JSON"),
    Case(id="json-list", file="data.jsonl", content=(JSONL + "[1]\n").encode(),
         fragment="data.jsonl, line 37: a JSON list"),
    Case(id="json-deep", file="data.jsonl", content=(JSONL + DEEP + "\n").encode(),
         fragment="data.jsonl, line 37: nested too deeply"),
    Case(id="json-deep-text", file="data.jsonl",
         content=(JSONL + '{"text": "a", "label": ' + '{"a":' * 900 + "1" + "}" * 900 + "}\n").encode(),
         fragment='data.jsonl, line 37: column "label" holds an object, expected a text or a number (nested-value)'),
    Case(id="json-long-number", file="data.jsonl", content=(JSONL + '{"text": ' + "9" * 5000 + "}\n").encode(),
         fragment="data.jsonl, line 37: no JSON"),
    Case(id="json-infinity", file="data.jsonl", content=(JSONL + '{"text": "a", "label": -Infinity}\n').encode(),
         fragment='data.jsonl, line 37: column "label" holds an infinite number'),
    Case(id="json-old-line-ends", file="data.jsonl", content=JSONL.replace("\n", "\r").encode(),
         fragment="data.jsonl, line 1: no JSON"),
    Case(id="json-as-lines", file="data.json", content=JSONL.encode(), fragment='dataset.format = "jsonl"'),
    Case(id="json-scalar", file="data.json", content=b"5", fragment="data.json: a JSON number, expected a list"),
    Case(id="json-mixed", file="data.json", content=b'[{"text": "a", "label": "b"}, 7]',
         fragment="data.json, row 2: a JSON number, expected an object"),
    Case(id="json-whole-deep", file="data.json", content=DEEP.encode(), fragment="data.json: nested too deeply"),
    Case(id="chat-turns", file="data.jsonl",
         content=(chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")) * 3).encode(),
         fragment="data.jsonl, line 1: 3 messages before the answer, expected one user's message (multi-turn)"),
    Case(id="chat-role", file="data.jsonl",
         content=(chat(("user", "a"), ("assistant", "b")) + chat((MOVES, "a"))).encode(),
         fragment=r'data.jsonl, line 2: message 1 has the role "\x1b[2J'),
    Case(id="chat-no-content", file="data.jsonl",
         content=(chat(("user", "a"), ("assistant", "b")) + chat(("user", "a"), ("assistant", None))).encode(),
         fragment="data.jsonl, line 2: message 2 (assistant) has no text"),
    Case(id="chat-no-user", file="data.jsonl",
         content=(chat(("user", "a"), ("assistant", "b")) + chat(("assistant", "b"))).encode(),
         fragment="data.jsonl, line 2: no user's message before the answer (chat-format)"),
    Case(id="no-known-suffix", file="data.exe", content=b"MZ",
         fragment='data.exe: the suffix ".exe" is no known format'),
]  # fmt: skip

MENDED = [
    Case(id="windows", content=b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode()),
    Case(id="utf-16", content=CSV.encode("utf-16")),
    Case(id="utf-32", content=CSV.encode("utf-32")),
    Case(id="mixed-line-ends", content=CSV.replace("\n", "\r\n", 9).replace("\n", "\r", 3).encode()),
    Case(id="megabyte-cell", content=(CSV + f"{'long ' * 250_000},good\n").encode()),
    Case(id="json-half-character", file="data.jsonl",
         content=(JSONL + r'{"text": "a\ud83d", "label": "good"}').encode()),
    Case(id="json-twice-the-key", file="data.jsonl",
         content=(JSONL + '{"text": 1, "label": "x", "label": "bad"}').encode()),
    Case(id="json-nan", file="data.jsonl", content=(JSONL + '{"text": "a", "label": NaN}\n').encode()),
    Case(id="labels-with-spaces", content=CSV.replace(",good", ',"  good "').encode()),
    Case(id="markup", content=(CSV + "<script>alert(1)</script> {{ 7*7 }},good\n").encode()),
    Case(id="formula-with-value", file="data.xlsx", content=sheet(
        HEAD,
        *((cell(f"A{n}", text), f'<c r="B{n}" t="str"><f>A1&amp;"x"</f><v>{label}</v></c>')
          for n, (text, label) in enumerate(ROWS, start=2)))),
]  # fmt: skip


def finished(folder, case):
    content = case.content if isinstance(case.content, bytes) else case.content()
    (folder / case.file).write_bytes(content)
    chats = case.id.startswith("chat")
    columns = "" if chats else 'text = "text"\nlabel = "label"\n'
    (folder / "experiment.toml").write_text(
        f'name = "hostile"\n[dataset]\nplugin = "files"\npath = "{case.file}"\n{columns}{case.options}\n'
        '[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n',
        encoding="utf-8",
    )
    done = call("run", folder / "experiment.toml", "--out", folder / "runs", "--quiet")
    assert "Traceback" not in done.err, done
    assert not UNSAFE.search(done.err + done.out), done
    return done


def named(case):
    return case.id


def test_there_are_enough_and_each_has_a_name():
    assert len({case.id for case in REFUSED + MENDED}) == len(REFUSED + MENDED) >= 45


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_is_refused(tmp_path, case):
    done = finished(tmp_path, case)
    assert done.code == 2, done
    assert case.fragment in done.err, done
    assert len(done.err.splitlines()) <= 3, done
    assert case.file in done.err or "encoding" in case.fragment, done


@pytest.mark.parametrize("case", MENDED, ids=named)
def test_is_read(tmp_path, case):
    done = finished(tmp_path, case)
    assert done.code == 0, done
    (folder,) = (tmp_path / "runs").glob("*/data")
    labels = pq.read_table(folder / "examples.parquet")["label"].to_pylist()
    assert set(labels) == set(LABELS)
    assert len(ROWS) <= len(labels) <= len(ROWS) + 1
