"""What an experiment file is written from, and how much data there is for it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.guessing.guess import Guess, Guesses
from harness.guessing.rules import quoted
from harness.prepare.checks import ADVISED_TEST
from harness.prepare.duplicates import near_earlier
from harness.prepare.normalise import fold
from harness.prepare.shingles import prefixes
from harness.starter.own_prompt import OwnPrompt
from harness.tables import Forms

SPLITS = 3
SMALL = 20
"""Rows below which a class is looked at for near-duplicates too."""

_HOST = re.compile(r"(?:api\.)?([a-z][a-z0-9-]*)\.[a-z]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the models are."""

    name: str
    url: str
    key: str
    """The environment variable that holds the key."""
    loopback: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an experiment file is written from."""

    name: str
    path: str
    """The data's path as the file is to give it."""
    guesses: Guesses
    options: Mapping[str, Any]
    """Options of the dataset `files`."""
    guessed: tuple[Guess, ...]
    """All guesses, those about the file included."""
    forms: Forms
    """What the file has of its own of the forms that providers train on."""
    whole: bool
    """Whether all rows were looked at."""
    prompt: OwnPrompt | None = None
    endpoint: Endpoint | None = None
    """`None`: the local endpoint."""
    model: str | None = None
    """`None`: the local endpoint's embedded model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows there are once exact duplicates are gone, and how to share them out."""

    classes: Mapping[str, int]
    """Label → different texts, the fewest first."""
    length: float
    """Mean characters of an item."""
    shares: tuple[float, float, float]
    """Train, validation, test."""
    stratify: bool | Literal["where-possible"]
    """Whether every class is large enough to stand in every split, or is to stand where it can."""
    notes: tuple[str, ...]
    """What is too small, in words."""

    @property
    def rows(self) -> int:
        """Different texts in all."""
        return sum(self.classes.values())

    @property
    def train(self) -> int:
        """About how many rows there are to train on and to take shots from."""
        return int(self.rows * self.shares[0])


def endpoint_of(url: str) -> Endpoint:
    """Names an endpoint and its key's variable after its host: `OPENAI_API_KEY` for api.openai.com."""
    host = urlsplit(url).hostname or ""
    found = _HOST.fullmatch(host)
    name = found[1] if found and found[1] != "local" else "endpoint"
    key = f"{name.upper().replace('-', '_')}_API_KEY"
    return Endpoint(name=name, url=url, key=key, loopback=host in ("localhost", "127.0.0.1", "::1"))


def sizes(guesses: Guesses, *, whole: bool = True) -> Sizes:
    """Counts what is left of each class without exact duplicates, and shares it out: the smaller, the more to test.

    Args:
        guesses: What the rows looked at have shown.
        whole: Whether these are all rows; a part of them does not show what is too small.
    """
    columns = [guesses.columns[name].values for name in guesses.text]
    first: dict[str, str] = {}
    length = 0
    for own, *texts in zip(guesses.of_rows, *columns, strict=True):
        length += sum(map(len, texts))
        if own and (folded := fold("\n".join(texts))):
            first.setdefault(folded, own)
    counts = Counter(first.values())
    counts.subtract(_near(first, {own for own, number in counts.items() if number < SMALL}))
    classes = {own: counts[own] for own in sorted(counts, key=lambda each: (counts[each], each))}
    rows = counts.total()
    shares = (0.8, 0.1, 0.1) if rows >= 1500 else (0.6, 0.15, 0.25) if rows >= 500 else (0.5, 0.15, 0.35)
    rare = [own for own, number in classes.items() if number < SPLITS]
    return Sizes(
        classes=classes,
        length=length / max(1, guesses.rows),
        shares=shares,
        stratify="where-possible" if rare else True,
        notes=() if guesses.get("split") or not whole else tuple(_notes(classes, rare, rows, shares[2])),
    )


def _near(texts: Mapping[str, str], classes: Container[str]) -> Counter[str]:
    """Counts the near-duplicates within small classes, where each row counts: folded text → label."""
    rows = [(text, own) for text, own in texts.items() if own in classes]
    said = [text for text, _ in rows]
    earlier = near_earlier(said, prefixes(said, [own for _, own in rows]))
    return Counter(own for (_, own), like in zip(rows, earlier, strict=True) if like is not None)


def _notes(classes: Mapping[str, int], rare: list[str], rows: int, test: float) -> list[str]:
    notes = []
    if rare:
        notes.append(
            f'{_these(rare)} fewer than {SPLITS} different texts, one for each split: stratify = "where-possible" '
            "gives them to train first, and the test has none; add examples, or leave them out"
        )
    few = [own for own, number in classes.items() if number not in range(SPLITS) and number * test < 1]
    if few:
        notes.append(f"{_these(few)} so few rows that the test will hold one of them at most: add examples")
    if rows * test < ADVISED_TEST:
        notes.append(
            f"a test of about {rows * test:.0f} rows shows large differences only: label some "
            f"{ADVISED_TEST / test - rows:,.0f} rows more for a verdict"
        )
    return notes


def _these(labels: list[str]) -> str:
    if len(labels) == 1:
        return f"class {quoted(labels)} has"
    return f"{len(labels)} classes ({quoted(labels[:3])}{', …' if len(labels) > 3 else ''}) have"
