"""What the rules of the verdict are given, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from harness.scoring.wording import Line, Named

Kind: TypeAlias = Literal[
    "win", "trade-off", "never-pays", "baseline-suffices", "tie", "not-enough-data", "expires", "unavailable", "invalid"
]
"""Kinds of verdict. What is advised of each stands in `harness.report.plain`, its badge in `harness.site.badge`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a rule says."""

    kind: Kind
    write: Callable[[Named], str]
    """Writes the sentence, given how arms are called."""
    arm: str | None = None
    against: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """The two contenders and their comparison."""

    a: Line
    """The tuned one, where there is one."""
    b: Line
    line: Line
    """Their comparison, `a` against `b`."""
    results: Mapping[str, Any]

    @property
    def margin(self) -> float:
        """Differences below this share do not matter to the user."""
        return float(self.results["run"]["margin"])

    @property
    def payback(self) -> Line | None:
        """Payback of `a` against `b`, where `a` was trained and `b` is a prompt."""
        return payback_of(self.results, "best-prompt")

    def ahead(self) -> tuple[Line, Line, Line]:
        """Returns the more accurate contender, the other one, and their comparison in that order; `a` in a draw."""
        if self.line["difference"] >= 0:
            return self.a, self.b, self.line
        return self.b, self.a, turned(self.line)


def turned(line: Line) -> dict[str, Any]:
    """Returns a comparison with its arms swapped."""
    cost, p95 = line["cost"], line["p95_change"]
    return {
        **line,
        "a": line["b"],
        "b": line["a"],
        "difference": -line["difference"],
        "ci": [-line["ci"][1], -line["ci"][0]],
        "only_a_right": line["only_b_right"],
        "only_b_right": line["only_a_right"],
        "p95_change": 1 / (1 + p95) - 1 if p95 is not None and p95 > -1 else None,
        "cost": {
            "unit": cost["unit"],
            "a": cost["b"],
            "b": cost["a"],
            "change": cost["b"] / cost["a"] - 1 if cost["a"] else None,
            "cheaper": {"a": "b", "b": "a"}.get(cost["cheaper"], cost["cheaper"]),
        },
    }


def between(results: Mapping[str, Any], x: Line, y: Line) -> Line | None:
    """Returns the comparison of two arms, turned so that `x` is its a; `None` where they were not paired."""
    for line in results["comparisons"]:
        if {line["a"], line["b"]} == {x["name"], y["name"]}:
            return dict(line) if line["a"] == x["name"] else turned(line)
    return None


def arm_of(results: Mapping[str, Any], name: str | None) -> Line | None:
    """Returns an arm by its name."""
    return next((arm for arm in results["arms"] if arm["name"] == name), None)


def payback_of(results: Mapping[str, Any], role: str | None) -> Line | None:
    """Returns the payback against an opponent of that role."""
    return next((line for line in results["payback"] if line["role"] == role), None)
