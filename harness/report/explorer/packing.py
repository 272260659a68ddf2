"""The explorer's columns → what a page holds of them: small columns in one island, texts in chunks of 1,000 rows.

Everything is JSON in gzip in base64, which a browser unpacks by itself (`DecompressionStream`) when it is needed. What
a page should not hold goes into files beside it: scripts, because a page that is opened from disk may load nothing
else. They name their content's hash, so that a page never takes another build's chunk for its own.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from markupsafe import Markup

from harness.blocks import Columns, Explorer, Table
from harness.report.arms import Look, look_of
from harness.report.explorer.words import dictionary

ROWS = 1_000
"""Rows of a chunk."""
LETTERS = 1_500_000
"""Characters of texts after which a chunk ends early: long documents are not unpacked by the thousand."""
INLINE_ROWS, INLINE_BYTES = 10_000, 2_300_000
"""Rows, and bytes of their chunks, that a page holds itself: with all else it stays below 3 MB."""

UNPARSED, FAILED, ABSENT = -1, -2, -3
"""In place of a label's number: no label found, no answer got, never asked."""

NUMBERS = {
    "confidence": 4, "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "reasoning_tokens": 0, "latency_s": 4,
    "attempts": 0, "cost_usd": 4,
}  # fmt: skip
"""Numeric columns of an answer → significant digits that a reader can use; 0 for whole numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Rows `first` to `last - 1` of the examples, or of the shots."""

    first: int
    last: int
    text: Markup
    """Base64; empty where the chunk is a file beside the page."""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An explorer as the template prints it."""

    number: int
    """1 for the first explorer of a page: part of its elements' ids."""
    errors: Table
    config: Mapping[str, Any]
    """What the script must know before it unpacks anything: arms, words, where the chunks are."""
    columns: Markup
    chunks: tuple[Chunk, ...]
    n: int
    inline: int
    """How many examples have their texts in the page itself."""
    pairs: bool
    """Whether there are two arms to hold against each other."""
    arms: tuple[Look, ...]


@dataclass(slots=True)
class Packer:
    """Packs a page's explorers and keeps the files that must stand beside it."""

    folder: str = "report.chunks"
    """The folder of these files, beside the page."""
    inline_all: bool = False
    files: dict[str, str] = field(default_factory=dict)
    """Path, relative to the page → content."""
    count: int = 0

    def pack(self, block: Explorer, looks: Mapping[str, Look]) -> Packed:
        """Returns a block as the template prints it; chunks that are too many for a page are added to `files`."""
        self.count += 1
        ids = block.examples["id"]
        pool = {key: place for place, key in enumerate(block.shots)}
        rows, shots, inline = [], [], 0
        left = INLINE_BYTES
        for first, last in _bounds(len(ids), block.examples.get("text")):
            text = squeezed(_rows(block, pool, first, last))
            fits = first == 0 or (last <= INLINE_ROWS and len(text) <= left)
            left = left - len(text) if fits else 0  # the ones in the page come first
            inline = last if fits or self.inline_all else inline
            rows.append(self._chunk(first, last, text, fits))
        known = list(block.shots.values())
        for first, last in _bounds(len(known), [text for _, text in known]):
            text = squeezed({"shots": known[first:last]})
            fits = len(text) <= left
            left = left - len(text) if fits else 0
            shots.append(self._chunk(first, last, text, fits))
        names = tuple(block.answers)
        shown = tuple(look_of(name, looks) for name in names)
        return Packed(
            number=self.count,
            errors=block.errors,
            config={
                "pair": [names.index(name) for name in block.pair],
                "arms": [{"name": look.name, "letter": look.letter} for look in shown],
                "chunks": [[chunk.first, chunk.last, chunk.file] for chunk in rows],
                "shots": [[chunk.first, chunk.last, chunk.file] for chunk in shots],
                "words": dictionary(),
            },
            columns=squeezed(_meta(block)),
            chunks=(*rows, *shots),
            n=len(ids),
            inline=inline,
            pairs=len(block.pair) > 1,
            arms=shown,
        )

    def _chunk(self, first: int, last: int, text: Markup, fits: bool) -> Chunk:
        if fits or self.inline_all:
            return Chunk(first=first, last=last, text=text)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        file = f"{self.folder}/{digest}.js"
        self.files[file] = f'harnessChunk("{digest}","{text}");\n'
        return Chunk(first=first, last=last, text=Markup(), file=file)


def squeezed(value: Any) -> Markup:
    """Returns JSON in gzip in base64: the same bytes for the same value, and no letter that means anything in HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)
    return Markup(base64.b64encode(packed).decode("ascii"))  # noqa: S704


def unpacked(text: str) -> str:
    """Returns the JSON that `squeezed` packed; of a file beside the page, nothing."""
    return gzip.decompress(base64.b64decode(text)).decode("utf-8") if text else ""


def _bounds(n: int, texts: Sequence[str | None] | None) -> Iterator[tuple[int, int]]:
    """Yields where chunks begin and end."""
    first = letters = 0
    for row in range(n):
        size = len((texts[row] if texts else None) or "")
        if row > first and (row - first >= ROWS or letters + size > LETTERS):
            yield first, row
            first, letters = row, 0
        letters += size
    if n > first:
        yield first, n


def _meta(block: Explorer) -> dict[str, Any]:
    """Returns what filters and the table need of every example."""
    expected = block.examples["expected"]
    predicted = [columns["predicted"] for columns in block.answers.values()]
    seen = {label for column in (expected, *predicted) for label in column if label is not None}
    labels = [*dict.fromkeys(block.labels), *sorted(seen - set(block.labels))]
    number = {label: place for place, label in enumerate(labels)}
    return {
        "id": list(block.examples["id"]),
        "labels": labels,
        "expected": [number.get(label, UNPARSED) for label in expected],
        "answers": [
            {"label": _numbered(columns, number), "sure": _column([_percent(x) for x in columns.get("confidence", ())])}
            for columns in block.answers.values()
        ],
        "slices": [_slice(name, values) for name, values in block.slices.items()],
    }


def _numbered(columns: Columns, number: Mapping[str, int]) -> list[int]:
    others = {None: ABSENT, "failed": FAILED}
    pairs = zip(columns["predicted"], columns["status"], strict=True)
    return [others.get(status, UNPARSED) if label is None else number[label] for label, status in pairs]


def _slice(name: str, values: Sequence[str | None]) -> dict[str, Any]:
    known = sorted({value for value in values if value is not None})
    number = {value: place for place, value in enumerate(known)}
    return {"name": name, "values": known, "of": [-1 if value is None else number[value] for value in values]}


def _percent(x: float | None) -> int | None:
    return None if x is None or not math.isfinite(x) else round(x * 100)


def _rows(block: Explorer, pool: Mapping[str, int], first: int, last: int) -> dict[str, Any]:
    """Returns what is read only where an example is looked at: its text, and all that is known of each answer."""
    texts = block.examples.get("text")
    answers = []
    for columns in block.answers.values():
        one: dict[str, Any] = {}
        for name in ("response", "error"):
            one[name] = _column([value or None for value in columns.get(name, ())[first:last]])
        for name, digits in NUMBERS.items():
            one[name] = _column(_rounded(columns.get(name, ())[first:last], digits))
        one["reused"] = _column([1 if value else None for value in columns.get("reused", ())[first:last]])
        one |= _shown(columns.get("shot_ids", ())[first:last], pool)
        answers.append({name: column for name, column in one.items() if column is not None})
    return {"text": None if texts is None else list(texts[first:last]), "answers": answers}


def _shown(lists: Sequence[Any], pool: Mapping[str, int]) -> dict[str, Any]:
    """Returns each answer's shots as the number of a list of numbers: most arms show the same ones again and again."""
    kinds: dict[tuple[str, ...], int] = {}
    of = [kinds.setdefault(tuple(shots or ()), len(kinds)) for shots in lists]
    if not any(kinds):
        return {}
    return {"shots": of, "lists": [[pool.get(key, -1) for key in shots] for shots in kinds]}


def _rounded(values: Sequence[Any], digits: int) -> list[Any]:
    """Returns numbers with as many significant digits as a reader can use; whole ones as they are."""
    if set(map(type, values)) <= {int, NoneType}:
        return list(values)
    known = (None if x is None or not math.isfinite(x) else float(x) for x in values)
    return [x if x is None else float(f"{x:.{digits}g}") if digits else round(x) for x in known]


def _column(values: list[Any]) -> list[Any] | None:
    """Returns a column, `None` where nothing is in it."""
    return values if values.count(None) < len(values) else None
