"""Lines of keys, against tomllib: whatever tomllib reads is found, on the line where it was written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.experiment.toml_lines import find_line

FILE = b"""\
name = "x"                       # 1
seed = 7

[dataset]
plugin = "files"
text = [
  "title",  # a comment
  "body",
]

[prepare]
split = { train = 0.8, test = 0.2 }
prices."my-model".input = 3

[[arms]]
name = "a"

[[arms]]
name = "b"
backend = { plugin = "p", deep = { epochs = 1 } }

[arms.choose]
"shots.k" = [1, 2]

[endpoints."odd.name"]
base_url = "u"
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 1),
        ("dataset", 4),
        ("dataset.plugin", 5),
        ("dataset.text[1]", 8),
        ("dataset.missing", 4),
        ("prepare.split.train", 12),
        ("prepare.prices.my-model.input", 13),
        ("arms[0].name", 16),
        ("arms[1]", 18),
        ("arms[1].backend.deep.epochs", 20),
        ("arms[1].backend.unknown", 20),
        ("arms[1].choose", 22),
        ("arms[1].choose.shots.k", 23),
        ("arms[1].choose.shots.k[1]", 23),
        ("endpoints.odd.name.base_url", 26),
        ("nowhere", None),
        ("", None),
    ],
)
def test_known_file(path: str, line: int | None) -> None:
    assert find_line(FILE, path) == line


def test_windows_line_ends_and_a_mark_at_the_start_do_not_matter() -> None:
    for source in (FILE.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + FILE):
        assert find_line(source, "name") == 1
        assert find_line(source, "arms[1].backend.deep.epochs") == 20


def test_a_broken_file_gives_no_exception() -> None:
    assert find_line(b"name = \n[[[", "name") in {1, None}
    assert find_line(b"\xff\xfe\x00", "name") is None


KEY = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
LEAF = st.one_of(st.integers(-9, 9), st.booleans(), st.text(alphabet='ab"\\ é#]', max_size=5))
TABLE = st.dictionaries(KEY, st.one_of(LEAF, st.lists(LEAF, max_size=3)), max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """A TOML file and the line of each of its keys."""
    lines: list[str] = []
    where: dict[str, int] = {}

    def put(prefix: str, table: dict[str, Any]) -> None:
        for key, value in table.items():
            lines.extend(["# a comment"] * draw(st.integers(0, 1)))
            path = f"{prefix}.{key}" if prefix else key
            where[path] = len(lines) + 1
            if isinstance(value, list) and draw(st.booleans()):
                lines.append(f"{key} = [")
                for index, item in enumerate(value):
                    lines.append(f"  {show(item)},")
                    where[f"{path}[{index}]"] = len(lines)
                lines.append("]")
            else:
                for index in range(len(value) if isinstance(value, list) else 0):
                    where[f"{path}[{index}]"] = len(lines) + 1
                lines.append(f"{key} = {show(value)}")

    put("", draw(TABLE))
    used = set(where)
    for name in draw(st.lists(KEY.filter(lambda key: key not in used), max_size=2, unique=True)):
        for index in range(draw(st.integers(1, 3))):
            where[f"{name}[{index}]"] = len(lines) + 1
            lines.append(f"[[{name}]]")
            put(f"{name}[{index}]", draw(TABLE))
    return "\n".join(lines) + "\n", where


def show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            if not (isinstance(inner, list) and inner and isinstance(inner[0], dict)):
                yield path
            yield from paths(inner, path)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield f"{prefix}[{index}]"
            yield from paths(inner, f"{prefix}[{index}]")


@settings(max_examples=150, deadline=None)
@given(documents())
def test_every_key_that_tomllib_reads_has_its_line(document: tuple[str, dict[str, int]]) -> None:
    text, where = document
    assert set(paths(tomllib.loads(text))) == set(where)
    for path, line in where.items():
        assert find_line(text.encode(), path) == line, path


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), KEY)
def test_anything_at_all_gives_a_line_or_nothing(source: bytes, path: str) -> None:
    line = find_line(source, path)
    assert line is None or 1 <= line <= source.count(b"\n") + 1
