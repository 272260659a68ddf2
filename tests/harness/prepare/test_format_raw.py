"""Rules on a file's bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.prepare import format as rules
from harness.prepare.format import raw, raw_findings
from harness.prepare.profiles import AZURE, LOCAL, OPENAI, Profile

BOM = b"\xef\xbb\xbf"
ROW = b'{"prompt": "a", "completion": " b"}\n'


def findings(data, profile=OPENAI):
    return {check.kind: check for check in raw_findings(data, profile, raw.layout(data))}


@pytest.mark.parametrize(
    "data", [b"", ROW, ROW * 3, ROW.rstrip(), '{"prompt": "é🎉"}\n'.encode(), b'{"a": "\\\\ud83d"}\n']
)
def test_nothing_is_said_of_a_good_file(data):
    assert findings(data) == {}
    assert findings(BOM + data, AZURE) == {}


CASES = {
    "size": (ROW * 3, Profile(name="tiny", max_bytes=100), "file-size", "error", {"bytes": 108, "most": 100}),
    "bom": (BOM + ROW, OPENAI, "byte-order-mark", "warning", {"bom": True}),
    "no-bom": (ROW, AZURE, "byte-order-mark", "error", {"bom": False}),
    "latin": (ROW + b'{"prompt": "caf\xe9"}\n', OPENAI, "invalid-utf8", "error", {"line": 2, "offset": 51}),
    "utf-16": (ROW.decode().encode("utf-16"), OPENAI, "invalid-utf8", "error", {"line": 1, "offset": 0}),
    "cut": (ROW + b'{"prompt": "\xc3', OPENAI, "invalid-utf8", "error", {"line": 2, "offset": 48}),
    "windows": (ROW.replace(b"\n", b"\r\n") * 2, OPENAI, "line-ends", "warning", {"crlf": 2, "lone_cr": 0}),
    "old-mac": (ROW.replace(b"\n", b"\r") * 2, OPENAI, "line-ends", "error", {"crlf": 0, "lone_cr": 2}),
    "blank": (ROW + b"\n \t\r\n" + ROW + b"\n", OPENAI, "blank-lines", "warning", {"rows": 3, "first": [2, 3, 5]}),
    "half": (ROW + b'{"prompt": "\\ud83d"}\n', OPENAI, "lone-surrogates", "warning", {"escapes": 1, "lines": [2]}),
    "wrong-way": (b'{"prompt": "\\uDE00\\uD83D"}\n', OPENAI, "lone-surrogates", "warning", {"escapes": 1}),
    "odd": (b'{"prompt": "\\ud83d\\ude00\\ud83d"}\n', OPENAI, "lone-surrogates", "warning", {"escapes": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_with_its_figures(case):
    data, profile, kind, level, figures = CASES[case]
    check = findings(data, profile)[kind]
    assert check.level == level
    assert {key: check.figures[key] for key in figures} == figures
    assert kind not in findings(ROW)


def test_a_file_of_the_largest_size_is_taken():
    assert findings(ROW * 3, Profile(name="tiny", max_bytes=108)) == {}


def test_each_rule_has_a_case():
    assert {case[2] for case in CASES.values()} == {rule.__doc__.split("`")[1] for rule in rules.RAW_RULES}


def test_pairs_of_escapes_and_escaped_backslashes_are_text():
    assert findings(b'{"prompt": "\\ud83d\\ude00 \\\\\\ud83d\\ude00 \\\\\\\\ud83d"}\n') == {}


pieces = st.lists(
    st.sampled_from([b"\n", b"\r", b" ", b"\t", b"{", b"}", b"a", b"{}", ROW, BOM, b"\xff", "é".encode(), b"\\ud83d"]),
    max_size=14,
).map(b"".join)


@given(pieces)
@example(b"\n")
@example(BOM)
@example(BOM + b"\n")
def test_lines_are_counted_as_a_loop_counts_them(data):
    shape = raw.layout(data)
    lines = data.removeprefix(BOM).split(b"\n")
    if not lines[-1]:
        lines.pop()
    blank = [number for number, line in enumerate(lines, 1) if not line.strip(b" \t\r")]
    assert shape.blank == tuple(blank)
    assert shape.lines == len(lines) - len(blank)
    assert shape.longest == max(map(len, lines), default=0)
    assert (shape.crlf, shape.lone_cr) == (data.count(b"\r\n"), data.count(b"\r") - data.count(b"\r\n"))
    told = [line.strip(b" \t\r") for line in lines]
    assert shape.objects == all(not line or (line.startswith(b"{") and line.endswith(b"}")) for line in told)


@given(st.binary(max_size=60), st.integers(1, 7))
def test_the_first_byte_that_is_no_utf8_is_found_in_pieces_too(data, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "_PIECE", size)
        place = raw.first_invalid(data)
    wanted = None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        wanted = error.start
    assert place == wanted


@given(pieces)
def test_any_bytes_are_spoken_of(data):
    for profile in (OPENAI, AZURE, LOCAL):
        for check in raw_findings(data, profile, raw.layout(data)):
            assert "\n" not in check.message
