"""How an arm looks: one letter, colour, marker and dash for each, the same in every table and figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Arm = Mapping[str, Any]
"""One entry of `results["arms"]`."""

COLOURS: Mapping[str, tuple[str, str]] = {
    "fine-tuned": ("k0", "#0062a3"),
    "few-shot": ("k1", "#b84a00"),
    "zero-shot": ("k2", "#6b6f76"),
    "classical": ("k3", "#007a5a"),
    "mock": ("k4", "#7a4fb5"),
    "other": ("k5", "#a3326b"),
}
"""Family → name of the custom property in `assets/base.css`; its light value for hosts that strip stylesheets."""

SHAPES = ("circle", "square", "diamond", "up", "down", "plus", "cross", "hexagon")
DASHES = ("", "6 3", "2 3", "9 3 2 3", "12 4", "4 2 2 2 2 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What tells an arm apart, with and without colour."""

    name: str
    letter: str
    """A, B, … in rank order; empty for what is no arm."""
    family: str
    rank: int | None
    """Arms that cannot be told apart share a rank; `None` where there is no accuracy."""
    shape: str
    hollow: bool
    dash: str

    @property
    def label(self) -> str:
        """Letter and name, as figures write them."""
        return f"{self.letter} {self.name}".strip()

    @property
    def paint(self) -> str:
        """The colour as a presentation attribute: right even where a host strips the stylesheet."""
        key, light = COLOURS.get(self.family, COLOURS["other"])
        return f"var(--{key},{light})"

    @property
    def key(self) -> str:
        """The colour's name, `k0` to `k5`."""
        return COLOURS.get(self.family, COLOURS["other"])[0]


def ranked(data: Mapping[str, Any]) -> list[Arm]:
    """Returns the arms by accuracy, the best first; arms without one last; ties by name."""
    return sorted(
        data.get("arms") or (),
        key=lambda arm: (arm.get("accuracy") is None, -(arm.get("accuracy") or 0.0), str(arm["name"])),
    )


def ranks(data: Mapping[str, Any], arms: Sequence[Arm]) -> list[int | None]:
    """Returns the rank of each of the sorted `arms`, as scoring gave it or, in results without, by the same rule.

    An arm shares the rank of the first arm of that rank where their paired 95% interval holds zero, or, without a
    comparison of the two, where their own intervals overlap.
    """
    paired: dict[tuple[str, str], Sequence[float] | None] = {}
    for entry in data.get("comparisons") or ():
        if entry.get("metric", "accuracy") == "accuracy":
            paired[entry["a"], entry["b"]] = paired[entry["b"], entry["a"]] = entry.get("ci")
    found: list[int | None] = []
    head, rank = None, 0
    for place, arm in enumerate(arms, start=1):
        if arm.get("accuracy") is None or arm.get("rank") is not None:
            found.append(arm.get("rank"))
            continue
        if head is None or _apart(head, arm, paired.get((head["name"], arm["name"]))):
            head, rank = arm, place
        found.append(rank)
    return found


def _apart(head: Arm, arm: Arm, ci: Sequence[float] | None) -> bool:
    if ci is not None:
        return bool(ci[0] > 0 or ci[1] < 0)
    mine, other = head.get("accuracy_ci"), arm.get("accuracy_ci")
    if not mine or not other:
        return bool(head["accuracy"] != arm["accuracy"])
    return bool(mine[0] > other[1])


def looks(data: Mapping[str, Any]) -> dict[str, Look]:
    """Returns name → look for the arms of `results.json`, in rank order."""
    arms = ranked(data)
    seen: dict[str, int] = {}
    found: dict[str, Look] = {}
    for place, (arm, rank) in enumerate(zip(arms, ranks(data, arms), strict=True)):
        family = str(arm.get("family") or "other")
        nth = seen[family] = seen.get(family, -1) + 1
        found[str(arm["name"])] = Look(
            name=str(arm["name"]),
            letter=str(arm.get("letter") or letter(place)),
            family=family,
            rank=rank,
            shape=SHAPES[place % len(SHAPES)],
            hollow=place // len(SHAPES) % 2 == 1,
            dash=DASHES[nth % len(DASHES)],
        )
    return found


def look_of(name: str, among: Mapping[str, Look]) -> Look:
    """Returns an arm's look, or a neutral one without a letter for what is no arm."""
    return among.get(name) or Look(
        name=name, letter="", family="zero-shot", rank=None, shape="circle", hollow=False, dash=""
    )


def letter(place: int) -> str:
    """Returns A … Z, AA, AB, … for 0, 1, …."""
    text = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
