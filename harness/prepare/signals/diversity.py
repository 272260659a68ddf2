"""How diverse the texts are: repeats, vocabulary, lengths, and the variety inside each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING, Any

from harness.findings import finding
from harness.prepare.signals.corpus import Corpus, leading
from harness.prepare.signals.features import word_vectors
from harness.prepare.signals.values import Signals
from harness.types import Check
from harness.words import noted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DISTINCT = 0.95
"""Share of distinct texts below which repeats weigh on the training."""

FEW_NEW_WORDS = 0.3
"""Heaps exponent below which texts repeat their words like templates; prose has 0.4 to 0.6 (Manning et al. 2008)."""

GROWTH_ROWS = 200
"""Texts below which the growth of the vocabulary is not told."""

ALIKE = 0.5
"""Mean cosine of two texts of one class from which the class is nearly one text."""

CLASS_ROWS = 5
MAX_ROWS = 20_000
MAX_WORDS = 500_000
_CLASSES_TOLD = 300


def diversity_signals(corpus: Corpus) -> Signals:
    """Measures repeats, growth of the vocabulary, spread of lengths and the variety of each class."""
    checks = [_distinct(corpus), _vocabulary(corpus), _lengths(corpus)]
    variety = _class_variety(corpus)
    return Signals(checks=(*checks, variety) if variety else tuple(checks), ranked=())


def _distinct(corpus: Corpus) -> Check:
    n = len(corpus.rows)
    share, bare = corpus.distinct / n, corpus.distinct_but_for_numbers / n
    few = bare < DISTINCT
    return finding(
        "distinct-texts",
        "warning" if few else "ok",
        {
            "distinct": corpus.distinct,
            "share": share,
            "share_but_for_numbers": bare,
            "rows_looked_at": n,
            "rows": corpus.total,
        },
        heading="diversity",
        advice=noted("Repeated texts add weight, not knowledge: keep one of each, or collect other ones.")
        if few
        else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How the vocabulary grows from text to text."""

    types: int
    tokens: int
    first: float
    """New words per 1,000 texts in the first fifth."""
    last: float
    """New words per 1,000 texts in the last fifth."""
    heaps: float | None
    """Exponent of Heaps' law."""


def growth(words: Sequence[tuple[str, ...]]) -> Growth:
    """Follows the vocabulary through the texts in the order given.

    Heaps' law (Heaps 1978): the number of different words grows with the number of words to the power of an exponent,
    here the slope of a least-squares line through 30 points on logarithmic scales, the first 1% of the texts left out.
    """
    import numpy as np

    known: set[str] = set()
    types, tokens, total = [], [], 0
    for text in words:
        known.update(text)
        total += len(text)
        types.append(len(known))
        tokens.append(total)
    n = len(words)
    fifth = max(1, n // 5)
    points = np.unique(np.geomspace(max(1, n // 100), n, 30).astype(np.int64)) - 1
    return Growth(
        types=len(known),
        tokens=total,
        first=1000 * types[fifth - 1] / fifth,
        last=1000 * (types[-1] - types[n - fifth - 1]) / fifth if n > fifth else 1000.0 * types[-1],
        heaps=_slope(np.array(tokens)[points], np.array(types)[points]),
    )


def _slope(x: NDArray[np.int64], y: NDArray[np.int64]) -> float | None:
    """Returns the slope of log y on log x; `None` where x does not vary."""
    import numpy as np

    kept = (x > 0) & (y > 0)
    a, b = np.log(x[kept]).tolist(), np.log(y[kept]).tolist()
    return None if len(a) < 3 or a[0] == a[-1] else linear_regression(a, b).slope


def _vocabulary(corpus: Corpus) -> Check:
    n = len(corpus.words)
    grown = growth(corpus.words)
    told = n >= GROWTH_ROWS
    few = told and grown.heaps is not None and grown.heaps < FEW_NEW_WORDS
    return finding(
        "vocabulary",
        "warning" if few else "ok",
        {
            "words": grown.tokens,
            "distinct_words": grown.types,
            "new_words_per_1000_first": grown.first if told else None,
            "new_words_per_1000_last": grown.last if told else None,
            "heaps_exponent": grown.heaps if told else None,
            "rows_looked_at": n,
            "rows": corpus.total,
        },
        heading="diversity",
        advice=noted("More rows of this kind add little: collect texts from other sources or phrased in other ways.")
        if few
        else "",
    )


def _lengths(corpus: Corpus) -> Check:
    n = len(corpus.rows)
    figures: dict[str, Any] = {"rows_looked_at": n, "rows": corpus.total}
    for what, values in (("characters", corpus.n_characters), ("words", corpus.n_words)):
        low, middle, high = low_middle_high(values)
        figures[what] = {
            "min": int(values.min()),
            "p05_or_fewer": low,
            "median": middle,
            "p95_or_more": high,
            "max": int(values.max()),
        }
    return finding("text-lengths", "ok", figures, heading="diversity")


def low_middle_high(values: NDArray[np.int64]) -> tuple[int, int, int]:
    """Returns three observed values: at least 5% and 50% of all are as low as the first two, 5% as high as the last."""
    import numpy as np

    ordered = np.sort(values)
    n = len(ordered)
    twentieth = -(-n // 20)
    return int(ordered[twentieth - 1]), int(ordered[-(-n // 2) - 1]), int(ordered[n - twentieth])


def _class_variety(corpus: Corpus) -> Check | None:
    n = leading(corpus, MAX_ROWS, MAX_WORDS)
    classes = class_variety([row.label for row in corpus.rows[:n]], corpus.words[:n])
    if not classes:
        return None
    poorest = min(classes, key=lambda each: (each["distinct_words"], each["label"]))
    uniform = [each for each in classes if each["likeness"] >= ALIKE]
    return finding(
        "class-variety",
        "warning" if uniform else "ok",
        {
            "classes": classes[:_CLASSES_TOLD],
            "classes_measured": len(classes),
            "poorest": poorest,
            "alike": len(uniform),
            "rows_looked_at": n,
            "rows": corpus.total,
        },
        heading="diversity",
        advice=noted(
            "Collect texts of these classes that say it in other words; a model learns the phrase, not the class."
        )
        if uniform
        else "",
    )


def class_variety(labels: Sequence[str], words: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Returns label, rows, different words and likeness of each class of five rows or more, the most alike first.

    Likeness is the mean cosine of all pairs of two texts of the class, on TF-IDF vectors of their words: with vectors
    of length 1 it follows from the length of their sum alone.
    """
    import numpy as np

    vectors = word_vectors(words)
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        if label:
            places.setdefault(label, []).append(place)
    found = []
    for label, inside in places.items():
        n = len(inside)
        if n < CLASS_ROWS:
            continue
        likeness = 0.0
        if vectors is not None:
            own = vectors[inside]
            total = np.asarray(own.sum(axis=0), dtype=np.float64).ravel()
            likeness = max(0.0, float(total @ total - own.multiply(own).sum()) / (n * (n - 1)))
        distinct = len({word for place in inside for word in words[place]})
        found.append({"label": label, "rows": n, "distinct_words": distinct, "likeness": likeness})
    return sorted(found, key=lambda each: (-each["likeness"], each["label"]))
