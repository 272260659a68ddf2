"""Keys and personal data in what is about to be written: found, and taken out where that is wished.

Values are looked at as they are before anything is rendered, compressed or escaped: what a page holds comes from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.blocks import Columns, Results
from harness.errors import GateError
from harness.keys import KEYS, may_hold_key

REDACTED = "[REDACTED]"
KEY = "key"
"""The kind of finding that stops every page; the kinds of personal data stop a publication."""

_DIGEST = re.compile(r"\b((?=[0-9]*[a-f])[0-9a-f]{16,64})\b")
"""Hashes, in which long runs of digits are no numbers of anybody's."""
OWN_ID = re.compile(r"[0-9a-f]{16}(?:-[0-9]+)?")
"""An example's id as the harness makes it."""
IDS = frozenset({"id", "example_id", "shot_ids"})
"""Columns of ids."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that must not leave."""

    place: str
    """Where it stands: file and path of keys, or column."""
    kind: str
    """`key`, or a kind of personal data."""
    shown: str = ""
    """A key's beginning; nothing of personal data."""

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}{f' {self.shown}' if self.shown else ''}"


def suspects(text: str) -> list[str]:
    """Returns what looks like a key, shortened so that a message gives nothing away."""
    if not may_hold_key(text):
        return []
    return sorted({f"{found.group()[:6]}…({len(found.group())} characters)" for found in KEYS.finditer(text)})


def findings(value: Any, place: str, *, personal: bool = False) -> list[Finding]:
    """Looks for keys, and where `personal` for personal data, in all strings of JSON-like data; no place twice.

    Args:
        value: Dicts, lists and strings; a mapping's keys count too.
        place: What the places of findings begin with.
        personal: Whether personal data is looked for.
    """
    return sorted({found for at, text in _strings(value, place) for found in _look(text, at, personal)})


def column_findings(name: str, values: Iterable[Any], place: str, *, personal: bool = False) -> list[Finding]:
    """Looks through a table's column, each different value once; ids that the harness made are no numbers."""
    texts = {text for value in values for _, text in _strings(value, "")}
    if name in IDS:
        texts = {text for text in texts if not OWN_ID.fullmatch(text)}
    return sorted({found for text in texts for found in _look(text, f"{place}: {name}", personal)})


def without_keys(results: Results, *, redact: bool = False) -> Results:
    """Lets results pass that hold nothing shaped like a key, before anything is made of them.

    Args:
        results: What is about to be shown, texts that stay behind left out already.
        redact: Take out what looks like a key or personal data, instead of refusing.

    Raises:
        GateError: Something looks like a key.
    """
    if redact:
        names = names_of(results.data, [*results.predictions.get("example_id", ()), *results.examples.get("id", ())])
        redactor = Redactor(names)
        return replace(
            results,
            data=redactor.value(results.data),
            predictions=redactor.columns(results.predictions),
            examples=redactor.columns(results.examples),
        )
    found = findings(results.data, "results.json")
    tables = {"predictions.parquet": results.predictions, "data/examples.parquet": results.examples}
    for place, table in tables.items():
        for name in table:
            if _holds_text(table[name]):
                found += column_findings(name, table[name], place)
    if found:
        raise GateError(
            f"the page would show what looks like keys: {first_of(found)}",
            "add --redact to take them out, or leave texts out: --samples none",
        )
    return results


def first_of(found: Sequence[Finding]) -> str:
    """Names the first five findings, and how many more there are."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"{'; '.join(map(str, found[:5]))}{more}"


def _holds_text(values: Sequence[Any]) -> bool:
    first = next((value for value in values if value is not None), None)
    return isinstance(first, str | list | tuple | Mapping)


def _look(text: str, place: str, personal: bool) -> Iterator[Finding]:
    for shown in suspects(text):
        yield Finding(place, KEY, shown)
    if personal:
        from harness.prepare.pii import kinds

        for piece in _DIGEST.split(text)[::2]:
            for kind in kinds(piece):
                if kind != KEY:
                    yield Finding(place, kind)


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield place, str(key)
            yield from _strings(item, f"{place}: {key}" if place.endswith(".json") else f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            yield from _strings(item, f"{place}[{n}]")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes keys and personal data out of strings, the same way wherever the same string stands.

    Names that become equal by it are told apart by a number: two arms, labels or ids stay two.
    """

    names: frozenset[str] = frozenset()
    """Arms, labels, ids: strings that mean something by being equal or not."""
    _taken: dict[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """Returns a string without what looks like a key or personal data."""
        from harness.prepare.pii import masked

        parts = _DIGEST.split(KEYS.sub(REDACTED, text) if may_hold_key(text) else text)
        parts[::2] = [masked(part)[0] for part in parts[::2]]
        clean = "".join(parts)
        return self._apart(text, clean) if clean != text and text in self.names else clean

    def _apart(self, text: str, clean: str) -> str:
        """Returns `clean`, with a number where another name has become the same."""
        wanted, n = clean, 1
        while self._taken.setdefault(wanted, text) != text or (wanted != text and wanted in self.names):
            n += 1
            wanted = f"{clean} {n}"
        return wanted

    def value(self, value: Any) -> Any:
        """Returns JSON-like data, or a table's column, with each of its strings made clean."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.value(item) for item in value)
        return value

    def columns(self, table: Columns) -> Columns:
        """Returns a table with the texts of all its columns made clean, each different text once."""
        known: dict[str, str] = {}

        def clean(value: Any, own: bool) -> Any:
            if isinstance(value, str):
                if own and OWN_ID.fullmatch(value):
                    return value
                return known[value] if value in known else known.setdefault(value, self.text(value))
            if isinstance(value, list | tuple):
                return type(value)(clean(item, own) for item in value)
            return self.value(value)

        return {
            name: tuple(clean(value, name in IDS) for value in values) if _holds_text(values) else values
            for name, values in table.items()
        }


def names_of(data: Mapping[str, Any], ids: Iterable[str] = ()) -> frozenset[str]:
    """Returns the names in `results.json` that must stay apart: of arms, labels and examples."""
    arms = (str(arm.get("name")) for arm in data.get("arms") or () if isinstance(arm, Mapping))
    labels = map(str, (data.get("run") or {}).get("labels") or ())
    return frozenset([*arms, *labels, *ids])
