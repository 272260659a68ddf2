"""What an arm answers alone at a wanted precision: a threshold from validation, held against the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.scoring.answers import Answers, Codes, Figures, Flags, Floats, confidences, is_right
from harness.scoring.bootstrap import group_codes
from harness.scoring.statistics import Interval, wilson
from harness.types import Prediction
from harness.words import noted

WANTED = (0.9, 0.95, 0.99)
"""Precisions that are asked for."""
LEAST = 10
"""A threshold stands on this many validation answers at least: a few right ones show no precision."""
NOT_ASKED = noted("no threshold: not asked about validation, which thresholds = true in [verdict] would change")
NO_CONFIDENCE = noted("no threshold: no confidence in the answers to validation")
POINTS = 50
"""Points of a risk-coverage curve at most."""


def threshold(sure: Floats, right: Flags, wanted: float) -> float | None:
    """Returns the lowest confidence from which on answers are right as often as wanted; it lets most answers through.

    The choice of El-Yaniv & Wiener (2010, J. Mach. Learn. Res. 11:1605–1641) for a selective classifier of bounded
    risk, by the observed precision; what it is worth, other answers have to show.

    Args:
        sure: Confidence of each answer.
        right: Whether it is right.
        wanted: Precision, as a share.

    Returns:
        A confidence that occurs; `None` where none will do, or where fewer than `LEAST` answers would pass.
    """
    taken, hits, edges = _cumulated(sure, right)
    able = (taken >= LEAST) & (hits >= wanted * taken - 1e-9)
    return float(edges[np.nonzero(able)[0][-1]]) if able.any() else None


def _cumulated(sure: Floats, right: Flags) -> tuple[Floats, Floats, Floats]:
    """Returns for each confidence that occurs, from the highest: answers that are that sure, those right, and it."""
    known = sure >= 0
    order = np.argsort(-sure[known], kind="stable")
    levels, hits = sure[known][order], np.cumsum(right[known][order], dtype=np.float64)
    ends = np.append(levels[1:] != levels[:-1], True) if len(levels) else np.zeros(0, dtype=np.bool_)
    return np.arange(1.0, len(levels) + 1)[ends], hits[ends], levels[ends]


def curve(sure: Floats, right: Flags) -> list[list[float]]:
    """Returns coverage and precision from the surest answers on; answers that are equally sure pass together."""
    taken, hits, _ = _cumulated(sure, right)
    if len(taken) > POINTS:
        spread = np.unique(np.searchsorted(taken, np.linspace(taken[0], taken[-1], POINTS)))
        taken, hits = taken[spread], hits[spread]
    return [[float(k) / len(sure), float(h / k)] for k, h in zip(taken, hits, strict=True)]


def share_interval(hits: Flags, among: Flags, codes: Codes | None) -> Interval | None:
    """Returns the Wilson interval of the share of `among` that `hits`; `None` where nothing is among.

    With groups the numbers are divided by the design effect of the ratio, never below 1 (Rao & Scott 1992, Biometrics
    48:577–585); where all or none hit, each group counts as one.

    Args:
        hits: Which examples do.
        among: Which count.
        codes: Group of each example; `None` without groups.
    """
    n, right = int(among.sum()), int((hits & among).sum())
    if not n:
        return None
    if codes is None:
        return wilson(right, n)
    groups = len(np.unique(codes[among]))
    share = right / n
    if right in (0, n) or groups < 2:
        return wilson(share * groups, groups)
    gaps = np.bincount(codes[among], weights=hits[among] - share)
    variance = groups / (groups - 1) * float(gaps @ gaps) / n**2
    effect = max(1.0, variance / (share * (1 - share) / n))
    return wilson(right / effect, n / effect)


def rows_interval(hits: Sequence[bool], ids: Sequence[str], groups: Mapping[str, str] | None) -> Interval | None:
    """Returns `share_interval` of all rows.

    Args:
        hits: Which rows do.
        ids: Their example ids.
        groups: Example id → group, where examples have groups.
    """
    flags = np.array(hits, dtype=np.bool_)
    return share_interval(flags, np.ones(len(flags), dtype=np.bool_), group_codes(ids, groups) if groups else None)


def share_method(*, clustered: bool) -> str:
    """Returns how `share_interval` is called, with groups or without."""
    return "Wilson score interval" + (", by the design effect of groups" if clustered else "")


def gate(sure: Floats, right: Flags, wanted: float, edge: float | None, codes: Codes | None) -> Figures:
    """Returns what passes the threshold `edge` on the test split, and how often it is right."""
    nothing = dict.fromkeys(("coverage", "coverage_ci", "accepted", "precision", "precision_ci"))
    if edge is None or not len(sure):
        return {"wanted": wanted, "threshold": edge, **nothing}
    taken = sure >= edge
    n, hits = int(taken.sum()), int((taken & right).sum())
    everything = np.ones(len(sure), dtype=np.bool_)
    return {
        "wanted": wanted,
        "threshold": edge,
        "coverage": n / len(sure),
        "coverage_ci": share_interval(taken, everything, codes),
        "accepted": n,
        "precision": hits / n if n else None,
        "precision_ci": share_interval(right, taken, codes),
    }


def confidence(answers: Answers, validation: Sequence[Prediction], codes: Codes | None) -> Figures:
    """Returns what an arm answers alone: coverage and precision at thresholds from validation, and the curve.

    Args:
        answers: To the test split.
        validation: Its answers to the validation split; empty where it was not asked.
        codes: The group of each test example; `None` without groups.

    Returns:
        `available`, `reason` where something is missing, `n_validation`, `gates` and `curve`.
    """
    sure, right = answers.sure, answers.right
    if not (sure >= 0).any():
        return {"available": False, "reason": _absent(answers), "n_validation": None, "gates": [], "curve": []}
    known, held = confidences(validation), is_right(validation)
    n = int((known >= 0).sum())
    return {
        "available": True,
        "reason": None if n else NO_CONFIDENCE if len(validation) else NOT_ASKED,
        "n_validation": n,
        "gates": [gate(sure, right, wanted, threshold(known, held, wanted), codes) for wanted in WANTED],
        "curve": curve(sure, right),
    }


def _absent(answers: Answers) -> str:
    if not len(answers):
        return noted("no answers")
    if not answers.answered.any():
        return noted("no readable answer")
    return noted("its answers carry no confidence")
