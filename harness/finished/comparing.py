"""Two runs beside each other: differences of arms of the same name, flipped items, settings that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.finished.stored import Stored
from harness.numbers import count, points, points_interval
from harness.types import Prediction
from harness.words import clipped, noted, say, say_n

LISTED = 20
"""Flipped items that are listed of each kind."""
PASSING = (
    "schema",
    "id",
    "name",
    "created",
    "finished",
    "command",
    "judged_with",
    "arms",
    "tables",
    "sections",
    "chain",
    "git",
)
"""Keys of a manifest that differ between any two runs, or are said elsewhere."""
UNFINISHED = noted("some items have no answer yet")
"""Why an arm of an unfinished run is not compared."""


def compare(a: Stored, b: Stored) -> dict[str, Any]:
    """Compares two runs, the first being the earlier one: differences are b − a.

    Arms are paired by example id where both runs have the same data and the same test items with the same labels;
    otherwise two different samples are compared, and their intervals are wider for it.

    Nothing is said of an arm that lacks answers in a run that is unfinished.

    Returns:
        `a`, `b` (ids), `paired`, `warning`, `unfinished` (for each run its arms that lack answers, and how many),
        `arms`, `only_a`, `only_b` (names), `verdicts`, `settings` that differ, and `sentence`.
    """
    warning = _unpaired(a, b)
    names = [name for name in a.arms if name in b.arms]
    lines = [_arm(a, b, name, paired=warning is None) for name in names]
    _adjust(lines)
    settings = differing(a.manifest, b.manifest)
    return {
        "a": a.results["run"]["id"],
        "b": b.results["run"]["id"],
        "paired": warning is None,
        "warning": warning,
        "unfinished": {"a": a.unanswered, "b": b.unanswered},
        "arms": lines,
        "only_a": [name for name in a.arms if name not in b.arms],
        "only_b": [name for name in b.arms if name not in a.arms],
        "verdicts": {side: run.results["verdict"]["sentence"] for side, run in (("a", a), ("b", b))},
        "settings": settings,
        "sentence": _sentence(lines, settings),
    }


def _unpaired(a: Stored, b: Stored) -> str | None:
    """Returns why items cannot be paired, `None` where they can."""
    marks = [run.results["run"]["dataset"]["fingerprint"] for run in (a, b)]
    if marks[0] != marks[1]:
        return "the runs have different data: they are compared as two samples, not item by item"
    if not all(file.is_file() for run in (a, b) for file in (run.folder.predictions, run.folder.examples)):
        return "a run's single answers are missing: the runs are compared as two samples, not item by item"
    if a.test.keys() != b.test.keys():
        return "the runs have different test items: they are compared as two samples, not item by item"
    if any(a.test[name].label != example.label for name, example in b.test.items()):
        return "the runs have different labels for the same items: they are compared as two samples, not item by item"
    return None


def _arm(a: Stored, b: Stored, name: str, *, paired: bool) -> dict[str, Any]:
    first, second = a.arms[name], b.arms[name]
    line: dict[str, Any] = {
        "name": name,
        "a": first["accuracy"],
        "b": second["accuracy"],
        **dict.fromkeys(("difference", "ci", "ci_method", "p", "p_method", "p_adjusted", "fixed", "broken")),
        "fixed_ids": [],
        "broken_ids": [],
        "reason": None,
    }
    if not first["n"] or not second["n"]:
        return {**line, "reason": noted("no answers")}
    if name in a.unanswered or name in b.unanswered:
        return {**line, "reason": UNFINISHED}
    rows = (a.predictions[name], b.predictions[name]) if paired else ()
    if rows and all(len(each) == len(a.test) for each in rows):
        return {**line, **_paired(a, *rows)}
    return {**line, **_two_samples(first, second), "reason": noted("some items were never asked") if paired else None}


def _paired(a: Stored, before: Sequence[Prediction], after: Sequence[Prediction]) -> dict[str, Any]:
    from harness.scoring.drift import panel_of

    run = a.results["run"]
    answers, panel = panel_of({"a": before, "b": after}, len(a.test), a.groups, run["seed"])
    found = panel.compare("b", "a", run["margin"])
    was, now = answers["a"].right, answers["b"].right
    ids = np.array(answers["a"].ids)
    fixed, broken = ids[now & ~was], ids[was & ~now]
    return {
        **{key: found[key] for key in ("difference", "ci", "ci_method", "p", "p_method")},
        "fixed": len(fixed),
        "broken": len(broken),
        "fixed_ids": fixed[:LISTED].tolist(),
        "broken_ids": broken[:LISTED].tolist(),
    }


def _two_samples(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Compares accuracies of different items by their own intervals; the p value is the normal one at their width."""
    from harness.scoring.drift import moved

    gap, (low, high) = moved(first["accuracy"], first["accuracy_ci"], second["accuracy"], second["accuracy_ci"])
    return {
        "difference": gap,
        "ci": [low, high],
        "ci_method": "square-and-add of two samples",
        "p": _normal_p(gap, high - low),
        "p_method": "normal, of two samples",
    }


def _normal_p(gap: float, width: float) -> float:
    from scipy.special import ndtr, ndtri

    from harness.scoring.statistics import LEVEL

    if not width:
        return 1.0
    return float(2 * ndtr(-abs(gap) / (width / (2 * ndtri(0.5 + LEVEL / 2)))))


def _adjust(lines: Sequence[dict[str, Any]]) -> None:
    """Adjusts p values for the number of arms, and says which differences are claimed."""
    from harness.scoring.statistics import ALPHA, holm

    tested = [line for line in lines if line["p"] is not None]
    for line, adjusted in zip(tested, holm([line["p"] for line in tested]), strict=True):
        line["p_adjusted"] = adjusted
    for line in lines:
        apart = line["ci"] is not None and not line["ci"][0] <= 0 <= line["ci"][1]
        line["claimed"] = apart and line["p_adjusted"] < ALPHA


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the settings of two manifests that differ: `key`, `a`, `b`; what one does not have is `None`."""
    sides = [_flat({name: value for name, value in each.items() if name not in PASSING}) for each in (a, b)]
    arms = [{arm["name"] for arm in each.get("experiment", {}).get("arms", ())} for each in (a, b)]
    alone = tuple(f"experiment.arms[{name}]" for name in arms[0] ^ arms[1])  # said elsewhere
    keys = [key for key in dict.fromkeys([*sides[0], *sides[1]]) if not key.startswith(alone)]
    return [
        {"key": key, "a": sides[0].get(key), "b": sides[1].get(key)}
        for key in keys
        if sides[0].get(key) != sides[1].get(key)
    ]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Returns path → value; members of a list that have a name are known by it."""
    if isinstance(value, Mapping) and (value or path):  # one without members sets nothing
        parts = {f"{path}.{key}" if path else str(key): each for key, each in value.items()}
    elif isinstance(value, list) and value and all(isinstance(each, Mapping) and "name" in each for each in value):
        parts = {f"{path}[{each['name']}]": each for each in value}
    else:
        return {path: value}
    return {key: each for name, part in parts.items() for key, each in _flat(part, name).items()}


def _sentence(lines: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]]) -> str:
    """Says in one sentence what is known to have changed."""
    known = [line for line in lines if line["difference"] is not None]
    if not known and any(line["reason"] == UNFINISHED for line in lines):
        return say("No arm can be compared yet: a run is unfinished.")
    if not known:
        return say("The runs have no arm in common that was asked in both.")
    claimed = sorted((line for line in known if line["claimed"]), key=lambda line: -abs(line["difference"]))
    changed = _changed(claimed) if claimed else _unchanged(max(known, key=lambda line: abs(line["difference"])))
    n = len(settings)
    return say_n(n, "{changed}; {n} setting differs.", "{changed}; {n} settings differ.", changed=changed, n=count(n))


def _unchanged(widest: Mapping[str, Any]) -> str:
    return say(
        "No arm's accuracy has changed by more than chance: the largest difference is {points} ({arm}, 95% CI "
        "{interval})",
        points=points(widest["difference"]), arm=widest["name"], interval=points_interval(*widest["ci"]),
    )  # fmt: skip


def _changed(claimed: Sequence[Mapping[str, Any]]) -> str:
    first, more = claimed[0], len(claimed) - 1
    told = {
        "arm": first["name"],
        "points": points(abs(first["difference"]), signed=False),
        "interval": points_interval(*first["ci"]),
    }
    if first["difference"] > 0:
        said = say("{arm} has become {points} better (difference 95% CI {interval})", **told)
    else:
        said = say("{arm} has become {points} worse (difference 95% CI {interval})", **told)
    if not more:
        return said
    return say_n(
        more, "{changed}; {n} more arm changed", "{changed}; {n} more arms changed", changed=said, n=count(more)
    )


def written(value: Any) -> str:
    """Writes a setting in one line."""
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clipped(" ".join(text.split()), 60)
