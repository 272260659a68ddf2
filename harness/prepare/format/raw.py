"""Rules on a training file as bytes: its encoding, its line ends, its size.

JSON Lines (jsonlines.org) are UTF-8, one JSON value a line, each ended by a line feed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.numbers import counted
from harness.prepare.format import found
from harness.prepare.format.texts import CACHED
from harness.prepare.profiles import Profile
from harness.types import Check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BOM = codecs.BOM_UTF8

_PIECE = 1 << 22
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*((?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+)")
"""One or more escapes of surrogates in a row; an even number of backslashes before them is text."""

_PAIRS = re.compile(rb"(?:\\u[dD][89abAB]..\\u[dD][c-fC-F]..)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is cut into lines."""

    size: int
    bom: bool
    lines: int
    """Lines that are not blank."""
    blank: tuple[int, ...]
    """Numbers of the blank lines, from 1."""
    longest: int
    """Bytes of the longest line."""
    crlf: int
    """Lines that end with carriage return and line feed."""
    lone_cr: int
    """Carriage returns elsewhere."""
    objects: bool
    """Whether every line that is not blank begins with `{` and ends with `}`: then no value goes over a line's end."""


def layout(data: bytes) -> Layout:
    """Looks at the bytes of a file without a step for each line."""
    import numpy as np

    raw = np.frombuffer(data, np.uint8)
    size = len(raw)
    bom = size >= len(BOM) and raw[: len(BOM)].tobytes() == BOM
    ends = np.flatnonzero(raw == ord("\n"))
    starts = np.concatenate(([len(BOM) * bom], ends + 1))
    stops = np.concatenate((ends, [size]))
    if starts[-1] >= size:  # nothing stands after the last line feed
        starts, stops = starts[:-1], stops[:-1]
    returns = np.flatnonzero(raw == ord("\r")) if b"\r" in data else raw[:0]
    crlf = int(np.count_nonzero(np.isin(ends - 1, returns))) if len(returns) else 0
    blank, objects = _blank(raw, starts, stops)
    return Layout(
        size=size,
        bom=bom,
        lines=len(starts) - len(blank),
        blank=tuple(int(line) + 1 for line in blank),
        longest=int((stops - starts).max(initial=0)),
        crlf=crlf,
        lone_cr=len(returns) - crlf,
        objects=objects,
    )


def _blank(raw: NDArray[np.uint8], starts: NDArray[Any], stops: NDArray[Any]) -> tuple[list[int], bool]:
    """Returns which lines are blank, and whether the others begin with `{` and end with `}`."""
    import numpy as np

    if not len(starts):
        return [], True
    closed = (raw[starts] == ord("{")) & (raw[stops - 1] == ord("}"))  # an empty line begins with its own end
    blank, objects = [], True
    for line in np.flatnonzero(~closed):
        text = raw[starts[line] : stops[line]].tobytes().strip(b" \t\r")
        if not text:
            blank.append(int(line))
        elif not (text.startswith(b"{") and text.endswith(b"}")):
            objects = False
    return blank, objects


def file_size(data: bytes, shape: Layout, profile: Profile) -> Iterator[Check]:
    """`file-size`: larger than the provider takes."""
    if profile.max_bytes is not None and shape.size > profile.max_bytes:
        yield Check(
            kind="file-size",
            level="error",
            message=f"{shape.size / 1e6:,.0f} MB, {profile.name} takes at most {profile.max_bytes / 1e6:,.0f} MB",
            figures={"bytes": shape.size, "most": profile.max_bytes},
            heading="quantity",
            advice="Train on fewer examples, or shorten them.",
        )


def byte_order_mark(data: bytes, shape: Layout, profile: Profile) -> Iterator[Check]:
    """`byte-order-mark`: missing where the provider wants one, there where it wants none."""
    if shape.bom != profile.bom:
        wants = "wants files that begin with one" if profile.bom else "asks for none"
        yield Check(
            kind="byte-order-mark",
            level="error" if profile.bom else "warning",
            message=f"the file begins with{'' if shape.bom else 'out'} a byte order mark, {profile.name} {wants}",
            figures={"bom": shape.bom, "wanted": profile.bom},
            heading="quality",
            advice=f"Write it as UTF-8 with{'' if profile.bom else 'out'} a byte order mark.",
        )


def invalid_utf8(data: bytes, shape: Layout, profile: Profile) -> Iterator[Check]:
    """`invalid-utf8`: bytes that are no UTF-8."""
    place = first_invalid(data)
    if place is not None:
        line = _line(data, place)
        yield Check(
            kind="invalid-utf8",
            level="error",
            message=f"line {line} is not UTF-8: byte {data[place]:#04x} at offset {place:,}",
            figures={"line": line, "offset": place},
            heading="quality",
            advice="Write the file anew in UTF-8.",
        )


def _line(data: bytes, place: int) -> int:
    """Returns the number of the line that a byte stands in."""
    return data.count(b"\n", 0, place) + 1


def first_invalid(data: bytes) -> int | None:
    """Returns the offset of the first byte that is no UTF-8, or `None`; in pieces, so that memory stays flat."""
    if data.isascii():
        return None
    view = memoryview(data)
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(view), _PIECE):
        piece, held = view[start : start + _PIECE], len(decoder.getstate()[0])
        try:
            decoder.decode(bytes(piece), final=start + _PIECE >= len(view))
        except UnicodeDecodeError as error:
            return start - held + error.start
    return None


def line_ends(data: bytes, shape: Layout, profile: Profile) -> Iterator[Check]:
    """`line-ends`: carriage returns before line feeds (let pass), or in the place of them."""
    if shape.crlf or shape.lone_cr:
        yield Check(
            kind="line-ends",
            level="error" if shape.lone_cr else "warning",
            message=f"{counted(shape.crlf, 'line')} with Windows line ends, "
            f"{counted(shape.lone_cr, 'carriage return')} elsewhere",
            figures={"crlf": shape.crlf, "lone_cr": shape.lone_cr},
            heading="quality",
            advice="End every line with a line feed alone.",
        )


def blank_lines(data: bytes, shape: Layout, profile: Profile) -> Iterator[Check]:
    """`blank-lines`: lines without a value; some readers refuse them, and they shift line numbers."""
    check = Check(
        kind="blank-lines",
        level="warning",
        message=counted(len(shape.blank), "blank line"),
        heading="quality",
        advice="Leave them out.",
    )
    yield from found.at(shape.blank, check, "line")


def lone_surrogates(data: bytes, shape: Layout, profile: Profile) -> Iterator[Check]:
    r"""`lone-surrogates`: an escape such as `\ud83d` without its other half, which no text in UTF-8 can hold."""
    if not holds_escape(data):
        return
    places = [match.start(1) for match in _ESCAPED.finditer(data) if _PAIRS.sub(b"", match.group(1))]
    if places:
        lines = sorted({_line(data, place) for place in places[:20]})
        yield Check(
            kind="lone-surrogates",
            level="warning",
            message=f"{len(places):,} {'half' if len(places) == 1 else 'halves'} of a surrogate pair alone "
            f"(line {lines[0]})",
            figures={"escapes": len(places), "lines": lines[:10]},
            heading="quality",
            advice="Correct the texts: they were cut within a character, e.g. an emoji.",
        )


def holds_escape(data: bytes) -> bool:
    """Whether an escape of a surrogate may stand in the file."""
    import numpy as np

    raw = np.frombuffer(data, np.uint8)
    for start in range(0, len(raw), CACHED):
        part = raw[start : start + CACHED + 2]
        slash, letter, digit = part[:-2] == ord("\\"), part[1:-1] == ord("u"), (part[2:] | 32) == ord("d")
        if np.any(slash & letter & digit):
            return True
    return False
