"""A verdict in one line, as a picture for a README: the run's name, the kind of verdict, its figure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from harness import numbers
from harness.report import facts
from harness.report.sentence import sentence
from harness.words import END, ISOLATE, clipped, isolated, noted, say

OURS = "<desc>finetune-harness</desc>"
"""Stands in every badge that is ours."""
LONGEST = 28
"""Characters of a name that are shown."""
GREEN, AMBER, BLUE, GREY, RED = "#0a6b4a", "#8a5300", "#0062a3", "#4f5661", "#b3261e"
"""Dark enough for white letters (4.5:1)."""
KINDS: Mapping[str, tuple[str, str]] = {
    "win": (noted("{arm} wins"), GREEN),
    "trade-off": (noted("trade-off"), AMBER),
    "never-pays": (noted("training never pays"), AMBER),
    "baseline-suffices": (noted("baseline suffices"), BLUE),
    "tie": (noted("tie"), GREY),
    "not-enough-data": (noted("not enough data"), GREY),
    "expires": (noted("expires before it pays"), AMBER),
    "unavailable": (noted("training unavailable"), RED),
    "invalid": (noted("invalid"), RED),
}
"""Kind of verdict → what the badge says, and its background."""
UNKNOWN = (noted("no verdict"), RED)
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
"""What XML forbids, and what would turn the line's direction."""
_PAIR = re.compile(f"{ISOLATE}([^{ISOLATE}{END}]*){END}")
"""Isolates as `say` puts them around a name: they turn nothing beyond it."""


def draw(data: Mapping[str, Any], name: str) -> str:
    """Draws the badge: SVG that loads nothing.

    Args:
        data: `results.json`.
        name: What the run is called in the site, for want of a name of its own.
    """
    run, verdict = data.get("run") or {}, data.get("verdict") or {}
    left = _short(str(run.get("name") or name))
    right = _short(line(data), 60)
    title = _plain(str(sentence(data)) if verdict.get("sentence") else right)
    _, colour = KINDS.get(str(verdict.get("kind")), UNKNOWN)
    a, b = _width(left) + 14, _width(right) + 14
    texts = "".join(
        f'<text x="{x:g}" y="14" textLength="{_width(text):g}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        for x, text in ((7, left), (a + 7, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b:g}" height="20" role="img">'
        f"<title>{escape(title)}</title>{OURS}"
        f'<clipPath id="r"><rect width="{a + b:g}" height="20" rx="4"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{a:g}" height="20" fill="#2a2f37"/>'
        f'<rect x="{a:g}" width="{b:g}" height="20" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g></svg>\n'
    )


def line(data: Mapping[str, Any]) -> str:
    """Says a verdict in a few words, with its difference of accuracy where two arms are compared."""
    verdict = data.get("verdict") or {}
    first, second = facts.contenders(data)
    gap = None
    if first is not None and second is not None:
        gap = (facts.comparison(data, str(first["name"]), str(second["name"])) or {}).get("difference")
    arm = _short(str(verdict.get("arm") or (first or {}).get("name") or ""))
    words, _ = KINDS.get(str(verdict.get("kind")), UNKNOWN)
    said = say(words, arm=arm)
    said = said if gap is None else say("{verdict}, {difference}", verdict=said, difference=numbers.points(gap))
    simulated = verdict.get("simulated")
    if simulated is None:  # results of early versions do not say
        simulated = any(arm.get("simulated") for arm in data.get("arms") or ())
    return say("simulated: {verdict}", verdict=said) if simulated else said


def _plain(text: str) -> str:
    """Returns text with what is unreadable replaced; of direction marks, isolates in pairs stay."""
    parts = [_UNREADABLE.sub("\ufffd", part) for part in _PAIR.split(text)]
    return "".join(isolated(part) if place % 2 else part for place, part in enumerate(parts))


def _short(text: str, most: int = LONGEST) -> str:
    """Returns at most so many characters of a line, without isolates: they have no width, and a cut would part them."""
    return clipped(" ".join(_UNREADABLE.sub("", _plain(text)).split()), most)


def _width(text: str) -> float:
    """Returns about how wide a text is in Verdana of 11 px; `textLength` makes it exactly that."""
    return sum(11.0 if ord(c) > 0x1100 else 3.9 if c in "iljI.,:;|'! " else 9.3 if c in "mwMW@%" else 6.9 for c in text)
