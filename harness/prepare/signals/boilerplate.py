"""Beginnings and ends that many texts share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.findings import finding
from harness.prepare.signals.corpus import Corpus
from harness.prepare.signals.values import Signals
from harness.words import noted

SHARE = 0.05
LEAST_ROWS = 10
"""Share and number of the texts from which a run of words counts."""

LEAST_WORDS = 4
"""Shorter beginnings ("this is a") are the language's own."""

MOST_WORDS = 60
MOST_FOUND = 10

ONE_CLASS = 0.95
"""Share of one label among the texts with a run from which the run gives the label away."""

_KEPT = 0.8
"""A run is told with its next word if at least so many of its texts go on with that word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of words at one end of many texts."""

    where: str
    """`start` or `end`."""
    words: tuple[str, ...]
    places: tuple[int, ...]
    """Positions of the texts that have it and more."""


def boilerplate_signals(corpus: Corpus) -> Signals:
    """Looks for runs of four words or more at the start or end of 5% of the texts.

    What all texts have in common there is left out: it tells no text from another (`prompt-prefix` tells it).
    """
    n = len(corpus.words)
    runs = [*shared_starts(corpus.words), *shared_ends(corpus.words)]
    runs = sorted(runs, key=lambda run: (-len(run.places), run.where, run.words))[:MOST_FOUND]
    covered = len({place for run in runs for place in run.places})
    found = [_described(corpus, run) for run in runs]
    several = len({row.label for row in corpus.sample}) > 1
    check = finding(
        "boilerplate",
        "warning" if found else "ok",
        {
            "found": found,
            "one_class": bool(found) and several and found[0]["label_share"] > ONE_CLASS,
            "rows_covered": covered,
            "least_words": LEAST_WORDS,
            "least_share": SHARE,
            "rows_looked_at": n,
            "rows": corpus.total,
        },
        heading="quality",
        advice=noted(
            "Cut such words from the texts, or make sure that the texts in use have them too: they cost tokens and "
            "can give the label away."
        )
        if found
        else "",
    )
    return Signals(checks=(check,), ranked=())


def _described(corpus: Corpus, run: Run) -> dict[str, Any]:
    labels = Counter(corpus.rows[place].label for place in run.places)
    label, n = min(labels.items(), key=lambda each: (-each[1], each[0]))
    text = " ".join(run.words)
    return {
        "where": run.where,
        "text": text if len(text) <= 80 else text[:79] + "…",
        "rows": len(run.places),
        "share": len(run.places) / len(corpus.words),
        "label": label,
        "label_share": n / len(run.places),
    }


def shared_starts(texts: Sequence[tuple[str, ...]]) -> Iterator[Run]:
    """Yields the longest beginnings that enough of the texts share, beyond what all have in common."""
    yield from _runs(texts, "start")


def shared_ends(texts: Sequence[tuple[str, ...]]) -> Iterator[Run]:
    """Yields the longest ends that enough of the texts share, beyond what all have in common."""
    for run in _runs([text[::-1] for text in texts], "end"):
        yield Run(where=run.where, words=run.words[::-1], places=run.places)


def _common(texts: Sequence[tuple[str, ...]]) -> int:
    """Returns how many words all texts begin with."""
    if len(texts) < 2:
        return 0
    # In dictionary order the first and the last text differ most.
    first, last = min(texts), max(texts)
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _runs(texts: Sequence[tuple[str, ...]], where: str) -> Iterator[Run]:
    skip = _common(texts)
    rest = [text[skip:] for text in texts]
    starts: dict[tuple[str, ...], list[int]] = {}
    for place, text in enumerate(rest):
        if len(text) > LEAST_WORDS:
            starts.setdefault(text[:LEAST_WORDS], []).append(place)
    least = max(LEAST_ROWS, SHARE * len(texts))
    for start, places in starts.items():
        if len(places) >= least:
            words, having = _extended(rest, start, places, least)
            yield Run(where=where, words=words, places=tuple(having))


def _extended(
    texts: Sequence[tuple[str, ...]], words: tuple[str, ...], places: list[int], least: float
) -> tuple[tuple[str, ...], list[int]]:
    """Makes a run longer as long as most of its texts, and at least `least`, go on with the same word."""
    while len(words) < MOST_WORDS:
        after = Counter(texts[place][len(words)] for place in places if len(texts[place]) > len(words) + 1)
        if not after:
            break
        word, n = min(after.items(), key=lambda each: (-each[1], each[0]))
        if n < max(least, _KEPT * len(places)):
            break
        at = len(words)
        places = [place for place in places if len(texts[place]) > at + 1 and texts[place][at] == word]
        words = (*words, word)
    return words, places
