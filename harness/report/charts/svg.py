"""Small pieces of SVG. All text and all attribute values are escaped here, nowhere else."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Literal, TypeAlias

from markupsafe import Markup, escape

from harness.words import ISOLATED, one_line

INK = "var(--ink,#1b1d21)"
SOFT = "var(--soft,#565c66)"
RULE = "var(--rule,#d5d9df)"
AXIS = "var(--axis,#8a909a)"
PAPER = "var(--paper,#fff)"
SIZE = 12
"""Font size of text in figures, px."""
LINE = 15
"""Height of a line of text, px."""

HALO: Mapping[str, str | float] = {
    "stroke": PAPER,
    "stroke_width": 4,
    "stroke_linejoin": "round",
    "paint_order": "stroke",
}
"""Attributes of text that may stand on lines."""
Spot: TypeAlias = tuple[float, float]
"""A place in a figure, px from its left and its top."""

_NARROW = frozenset("iljI.,:;'|!()[]{} tfr/\\-`·")
_BROAD = frozenset("mwMW@%&—→…✓✗")
_SIGNS = frozenset("<>=+−~±×^#")


def tag(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """Writes one element. `_` in an attribute's name becomes `-`; `None` leaves the attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>") if children else Markup(f"<{name}{written}/>")  # noqa: S704


def _value(value: str | float) -> str:
    return num(value) if isinstance(value, int | float) else str(escape(value))


def num(value: float) -> str:
    """Writes a coordinate with one decimal at most."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def width(text: str, size: float = SIZE) -> float:
    """Estimates the width of `text` in px, on the safe side: the widest of the common system fonts is assumed."""
    return sum(map(_em, text)) * size


def _em(char: str) -> float:
    if char in _NARROW:
        return 0.42
    if char in _BROAD:
        return 1.0
    if char in _SIGNS:
        return 0.86
    if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Mn"}:
        return 0.0
    if unicodedata.east_asian_width(char) in {"W", "F"}:
        return 1.05
    if char.isupper():
        return 0.74
    return 0.64 if ord(char) < 0x250 else 0.8


def fit(text: str, room: float, size: float = SIZE) -> str:
    """Returns `text`, cut with an ellipsis where it is wider than `room` px; one line, no controls."""
    text = one_line(text)
    if width(text, size) <= room:
        return text
    kept = ""
    used = width("…", size)
    for char in text:
        used += _em(char) * size
        if used > room:
            break
        kept += char
    return kept.rstrip() + "…"


def fit_apart(texts: Sequence[str], room: float, size: float = SIZE) -> list[str]:
    """Returns texts cut to `room` px each; those that this makes the same lose what they begin with in common."""
    cut = [fit(text, room, size) for text in texts]
    alike: dict[str, list[str]] = {}
    for text, short in zip(texts, cut, strict=True):
        alike.setdefault(short, []).append(one_line(text))
    start = {short: _common(found) for short, found in alike.items()}
    return [
        fit(f"…{one_line(text)[start[short] :]}", room, size) if start[short] else short
        for text, short in zip(texts, cut, strict=True)
    ]


def _common(texts: Sequence[str]) -> int:
    """Returns how many characters different texts begin with in common; 0 where there are no different ones."""
    if len(set(texts)) < 2:
        return 0
    return sum(1 for _ in takewhile(lambda chars: len(set(chars)) == 1, zip(*texts, strict=False)))


def label(
    text: str,
    x: float,
    y: float,
    *,
    anchor: str = "start",
    fill: str = SOFT,
    over: Literal["", "halo", "bold"] = "",
) -> Markup:
    """Writes one line of text, in the figure's own size.

    Args:
        text: What is written.
        x: Where it is anchored, px.
        y: Its base line, px.
        anchor: The side that stands at `x`, whatever the script.
        fill: Its colour.
        over: How it is set off from what lies below: with a `halo`, or `bold` with one.
    """
    return tag(
        "text",
        text,
        x=x,
        y=y,
        **_side(text, anchor, "start"),
        fill=None if fill == SOFT else fill,
        font_weight="600" if over == "bold" else None,
        **(HALO if over else {}),
    )


def grouped(text: str, x: float, y: float, *, anchor: str = "start", turn: float | None = None) -> Markup:
    """Writes one line of text within a group that gives fill, size and `anchor` to all of its lines.

    Args:
        text: What is written.
        x: Where it is anchored, px.
        y: Its base line, px.
        anchor: The group's.
        turn: Angle of the line, degrees.
    """
    if turn is None:
        return tag("text", text, x=x, y=y, **_side(text, anchor, anchor))
    transform = f"translate({num(x)} {num(y)})rotate({num(turn)})"
    return tag("text", text, **_side(text, anchor, anchor), transform=transform)


def _side(text: str, anchor: str, inherited: str) -> dict[str, str | None]:
    """Returns what anchors text at a side: in a script from right to left, the start is on the right."""
    rtl = _right_to_left(text)
    side = {"start": "end", "end": "start"}.get(anchor, anchor) if rtl else anchor
    return {"text_anchor": None if side == inherited else side, "direction": "rtl" if rtl else None}


def _right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction, outside of isolates, is written from right to left."""
    found = (unicodedata.bidirectional(char) for char in ISOLATED.sub("", text) or text)
    return next((kind != "L" for kind in found if kind in ("L", "R", "AL")), False)


def segment(start: Spot, end: Spot, stroke: str, *, thick: float = 1, dash: str | None = None) -> Markup:
    """Writes a straight line."""
    (x1, y1), (x2, y2) = start, end
    width_ = None if thick == 1 else thick
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width_, stroke_dasharray=dash or None)


def strokes(lines: Sequence[tuple[float, float, float, float]], stroke: str) -> Markup:
    """Writes level and upright lines that look the same, such as those of a grid, as one element."""
    path = "".join(f"M{num(x1)} {num(y1)}" + (f"H{num(x2)}" if y1 == y2 else f"V{num(y2)}") for x1, y1, x2, y2 in lines)
    return tag("path", d=path, stroke=stroke)


def canvas(width_: float, height: float, name: str, narrow: bool, *children: Markup, links: bool = False) -> Markup:
    """Writes the root element of a figure; `name` is what a screen reader says.

    An image must hold no links: a figure with `links` is a group, and hides them, as its data table has the same ones.
    """
    return tag(
        "svg",
        *((tag("g", *children, aria_hidden="true"),) if links else children),
        class_="narrow" if narrow else "wide",
        viewBox=f"0 0 {num(width_)} {num(height)}",
        width=width_,
        height=height,
        role="group" if links else "img",
        aria_label=name,
        fill=SOFT,
        font_size=SIZE,
    )


def marker(shape: str, x: float, y: float, paint: str, *, hollow: bool = False, radius: float = 5) -> Markup:
    """Writes the marker of an arm."""
    r = radius
    fill = PAPER if hollow else paint
    edge: dict[str, str | float | None] = {"stroke": paint, "stroke_width": 2} if hollow else {"stroke": PAPER}
    if shape == "circle":
        return tag("circle", cx=x, cy=y, r=r, fill=fill, **edge)
    if shape in ("plus", "cross"):
        d = r if shape == "plus" else r * 0.75
        left, right, top, bottom = num(x - d), num(x + d), num(y - d), num(y + d)
        lines = f"M{left} {num(y)}H{right}M{num(x)} {top}V{bottom}"
        if shape == "cross":
            lines = f"M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}"
        return tag("path", d=lines, stroke=paint, stroke_width=1.6 if hollow else 3, fill="none")
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
        "up": ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
        "down": ((0, 1.1), (1.1, -0.9), (-1.1, -0.9)),
        "hexagon": ((1.1, 0), (0.55, 0.95), (-0.55, 0.95), (-1.1, 0), (-0.55, -0.95), (0.55, -0.95)),
    }[shape]
    points = " ".join(f"{num(x + dx * r)},{num(y + dy * r)}" for dx, dy in corners)
    return tag("polygon", points=points, fill=fill, **edge)
