"""Texts that name their own label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.findings import finding
from harness.prepare.signals.corpus import Corpus, Words
from harness.prepare.signals.values import MAX_ITEMS, Ranked, Signals, ranked_item
from harness.words import noted

KIND = "label-in-text"

SHARE = 0.05
LEAST_ROWS = 5
TIMES = 5.0
"""A class counts if its name stands in so many of its texts, and so many times as often as in the others."""

MANY = 0.5
"""Share of the texts of one class from which its name in them is worth a warning; so is `SHARE` of all texts."""

_CLASSES_TOLD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """How often the name of a class stands in texts."""

    label: str
    places: tuple[int, ...]
    """Texts of the class that name it."""
    inside: float
    """Their share among the texts of the class."""
    outside: float
    """Share among the texts of other classes."""

    @property
    def score(self) -> float:
        """0.5 to 1: how far the name points to the class, were both kinds of text as frequent."""
        return self.inside / (self.inside + self.outside)


def label_word_signals(corpus: Corpus, labels: Sequence[str]) -> Signals:
    """Looks for classes whose texts hold the name of the class far more often than others do."""
    n = len(corpus.words)
    found = named([row.label for row in corpus.sample], corpus.words, labels)
    rows = sum(len(each.places) for each in found)
    classes = {each.label: {"inside": each.inside, "outside": each.outside} for each in found[:_CLASSES_TOLD]}
    check = finding(
        KIND,
        "warning" if (rows >= SHARE * n and found) or any(each.inside >= MANY for each in found) else "ok",
        {
            "found": rows,
            "classes": classes,
            "classes_named": len(found),
            "labels": len(labels),
            "least_share": SHARE,
            "rows_looked_at": n,
            "rows": corpus.total,
        },
        heading="quality",
        advice=noted(
            "Make sure that these words were in the texts before they were labelled; where the labelling put them "
            "there, cut them out."
        )
        if found
        else "",
    )
    ranked = _ranked(corpus, found)
    return Signals(checks=(check,), ranked=(ranked,) if ranked.items else ())


def _ranked(corpus: Corpus, found: Sequence[Named]) -> Ranked:
    places = [(place, each) for each in found for place in each.places][:MAX_ITEMS]
    items = [ranked_item(KIND, corpus.rows[place].id, each.score, {"label": each.label}) for place, each in places]
    return Ranked(
        kind=KIND,
        title=noted("Texts that name their own label"),
        explanation=noted(
            "The name of the label stands in the text, and far more often in texts of its class than in "
            "others. Score: how far the name points to the class, 0.5 to 1."
        ),
        items=tuple(items),
    )


def named(given: Sequence[str], words: Sequence[tuple[str, ...]], labels: Sequence[str]) -> tuple[Named, ...]:
    """Returns the classes that are named in their own texts, those that the name gives away most first."""
    phrases = _phrases(labels)
    inside: dict[str, list[int]] = {}
    outside: Counter[str] = Counter()
    for place, (label, text) in enumerate(zip(given, words, strict=True)):
        for name in _names_in(text, phrases):
            if name == label:
                inside.setdefault(name, []).append(place)
            else:
                outside[name] += 1
    sizes = Counter(given)
    found = [
        Named(
            label=label,
            places=tuple(places),
            inside=len(places) / sizes[label],
            outside=outside[label] / max(1, len(given) - sizes[label]),
        )
        for label, places in inside.items()
        if len(places) >= LEAST_ROWS
    ]
    telling = [each for each in found if each.inside >= SHARE and each.inside >= TIMES * each.outside]
    return tuple(sorted(telling, key=lambda each: (-each.score, -each.inside, each.label)))


def _phrases(labels: Sequence[str]) -> Mapping[str, list[tuple[tuple[str, ...], str]]]:
    """Returns the labels as words, by their first word; a label without words cannot be named."""
    cut = Words()
    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for label in labels:
        words = tuple(cut(label))
        if words:
            phrases.setdefault(words[0], []).append((words, label))
    return phrases


def _names_in(text: tuple[str, ...], phrases: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    for word in phrases.keys() & set(text):
        for phrase, label in phrases[word]:
            n = len(phrase)
            if n == 1 or any(text[at : at + n] == phrase for at, each in enumerate(text) if each == word):
                names.add(label)
    return names
