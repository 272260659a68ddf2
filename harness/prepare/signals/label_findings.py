"""What is said of the labels: those that the words contradict, and how well such a search works on these data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.findings import finding
from harness.prepare.signals import label_errors
from harness.prepare.signals.corpus import Corpus, leading
from harness.prepare.signals.features import features
from harness.prepare.signals.values import MAX_ITEMS, NOTABLE, Ranked, Signals, ranked_item
from harness.types import Check, Example
from harness.words import noted

MAX_ROWS = 20_000
MAX_WORDS = 500_000
MAX_CLASSES = 300
"""Rows, words and classes that are judged: what bounds the time (some 5 s) and the memory (some 300 MB)."""

KIND = "label-errors"

WEAK = 0.3
"""Share of the planted errors found below which a list is little better than a draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    rows: tuple[Example, ...]
    classes: tuple[str, ...]
    left_out: int
    """Classes with too few rows or groups to be judged."""
    judged: label_errors.Judged
    planted: int
    found: float
    """Share of the planted errors that stand among the first `planted` rows; the mean of a few draws."""


def label_signals(corpus: Corpus, seed: int) -> Signals:
    """Looks for likely label errors among the first 20,000 rows (500,000 words) of the corpus."""
    n = leading(corpus, MAX_ROWS, MAX_WORDS)
    search = _search(corpus.rows[:n], corpus.words[:n], seed)
    if isinstance(search, str):
        figures = {"unjudged": search, "folds": label_errors.FOLDS}
        return Signals(checks=(finding(KIND, "ok", figures, heading="quality"),), ranked=())
    ranked = _ranked(search)
    return Signals(checks=(_check(corpus, search),), ranked=(ranked,) if ranked.items else ())


def _search(rows: Sequence[Example], words: Sequence[tuple[str, ...]], seed: int) -> _Search | str:
    """Judges the labels, or says what there is too little of: `classes`, or `words` that texts share."""
    import numpy as np

    labels, groups = [row.label for row in rows], [row.group for row in rows]
    classes = label_errors.usable(labels, groups, MAX_CLASSES)
    if len(classes) < 2:
        return "classes"
    code = {label: number for number, label in enumerate(classes)}
    kept = [place for place, label in enumerate(labels) if label in code]
    vectors = features([words[place] for place in kept])
    if vectors is None:
        return "words"
    codes = np.array([code[labels[place]] for place in kept], dtype=np.int64)
    fold = label_errors.folds(codes, [groups[place] for place in kept])
    planted, found = label_errors.self_test(vectors, codes, fold, seed)
    return _Search(
        rows=tuple(rows[place] for place in kept),
        classes=classes,
        left_out=len(set(labels) - {""} - set(classes)),
        judged=label_errors.judge(vectors, codes, fold),
        planted=planted,
        found=found,
    )


def _check(corpus: Corpus, search: _Search) -> Check:
    judged, likely = search.judged, len(search.judged.likely)
    n = len(judged.places)
    share = likely / n if n else 0.0
    return finding(
        KIND,
        "warning" if share >= NOTABLE and search.found >= WEAK else "ok",
        {
            "likely_errors": likely,
            "share": share,
            "rows_looked_at": n,
            "rows": corpus.total,
            "classes_left_out": search.left_out,
            "folds": label_errors.FOLDS,
            "most_classes": MAX_CLASSES,
            "confident_disagreements": int(judged.confident.sum()),
            "model_accuracy": judged.accuracy,
            "planted": search.planted,
            "planted_found": search.found,
        },
        heading="quality",
        advice=_advice(likely, search.found),
    )


def _advice(likely: int, found: float) -> str:
    if not likely:
        return ""
    if found < WEAK:
        return noted(
            "Words alone tell little about these labels: read the top of the list, and stop where it is right."
        )
    return noted("Read the list from the top, correct the labels that are wrong, and stop where they are right.")


def _ranked(search: _Search) -> Ranked:
    judged = search.judged
    scores = judged.scores
    items = []
    for index in judged.likely[:MAX_ITEMS].tolist():
        given, other = (search.classes[int(codes[index])] for codes in (judged.given, judged.other))
        figures = {
            "given": given,
            "other": other,
            "p_given": float(judged.p_given[index]),
            "p_other": float(judged.p_other[index]),
            "apart": distance(given, other),
        }
        items.append(ranked_item(KIND, search.rows[int(judged.places[index])].id, float(scores[index]), figures))
    return Ranked(
        kind=KIND,
        title=noted("Labels that their words contradict"),
        explanation=noted(
            "A model that has not seen the row (TF-IDF of words and parts of words, naive Bayes, five folds) "
            "finds another label far more probable. Score: how far it prefers that label to the given one, 0 to 1."
        ),
        items=tuple(items),
    )


def distance(given: str, other: str) -> float | None:
    """Returns how far apart two labels are; `None` unless both are numbers."""
    try:
        apart = abs(float(given) - float(other))
    except ValueError:
        return None
    return apart if apart < float("inf") else None
