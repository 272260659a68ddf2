"""The words of pages, in the language of the moment: each visible string passes through `say`, English as its key.

Catalogues are gettext's (`languages/ko.po`), the format that translators and their tools know; Babel reads them, and
collects the strings for them (`say`, `say_n`, `noted`; `make words`). The language is a context variable, as the
precision of `decimal` is: numbers and sentences are written in a hundred places, and none of them should have to hand
a language on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources

from harness.errors import UsageError, nearest

ENGLISH = "en"
ISOLATE, END = "\u2068", "\u2069"
"""Begin and end a part of a line that has a direction of its own."""
ISOLATED = re.compile(f"{ISOLATE}[^{ISOLATE}{END}]*{END}")
"""An isolated part of a line."""
_LANGUAGE: ContextVar[str] = ContextVar("language", default=ENGLISH)


def say(message: str, /, **values: object) -> str:
    """Returns a string in the language of the moment.

    Args:
        message: The English string; a literal, so that it can be collected. Values stand as `{name}`.
        values: What stands for the names: text as it is, never looked at for braces. Text of a right-to-left script
            is isolated, or it would pull the punctuation and the numbers after it to its other side.
    """
    language = _LANGUAGE.get()
    written = message if language == ENGLISH else _catalogue(language).get(message, (message,))[0]
    return written.format_map(_isolated(values)) if values else written


def say_n(n: float, one: str, many: str, /, **values: object) -> str:
    """Returns one of two strings, `one` where `n` is 1: `say_n(rows, "{n} row", "{n} rows", n=count(rows))`."""
    language = _LANGUAGE.get()
    forms = (one, many) if language == ENGLISH else _catalogue(language).get(one, (one, many))
    return (forms[0] if n == 1 or len(forms) == 1 else forms[1]).format_map(_isolated(values))


def _isolated(values: Mapping[str, object]) -> Mapping[str, object]:
    return {name: isolated(value) if isinstance(value, str) else value for name, value in values.items()}


def isolated(text: str) -> str:
    """Returns text to stand within a line: with letters of a right-to-left script, between marks that isolate it.

    What is isolated already, such as a name in a sentence that is said within another, is left as it is.
    """
    if text.isascii() or not _right_to_left(ISOLATED.sub("", text)):
        return text
    return f"{ISOLATE}{text}{END}"


def _right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)


def one_line(text: str) -> str:
    """Returns `text` with white space folded and controls left out; of direction marks, isolates in pairs stay."""
    kept = ISOLATE + END if text.count(ISOLATE) == text.count(END) else ""
    shown = "".join(char for char in text if char.isspace() or char in kept or unicodedata.category(char)[0] != "C")
    return " ".join(shown.split())


def clipped(text: str, most: int) -> str:
    """Returns at most so many characters of a text; one that is longer ends in an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def noted(message: str) -> str:
    """Returns the string as it is: what is said later, by `say`, and collected for translators where it stands.

    For what is stored in English (a check's advice) or belongs to a class (a section's title).
    """
    return message


def language() -> str:
    """Returns the language of the moment, as a page's `lang`."""
    return _LANGUAGE.get()


@contextmanager
def speaking(wanted: str) -> Iterator[None]:
    """Makes `say` speak another language within a `with` block.

    Raises:
        UsageError: There is no catalogue of that language.
    """
    if wanted not in languages():
        raise UsageError(f'there is no language "{wanted}"', nearest(wanted, languages()))
    token = _LANGUAGE.set(wanted)
    try:
        yield
    finally:
        _LANGUAGE.reset(token)


@cache
def languages() -> tuple[str, ...]:
    """Returns the languages that pages can be written in, English first."""
    files = resources.files("harness").joinpath("languages").iterdir()
    return (ENGLISH, *sorted(file.name.removesuffix(".po") for file in files if file.name.endswith(".po")))


@cache
def _catalogue(wanted: str) -> Mapping[str, tuple[str, ...]]:
    """Returns English string → its forms in a language; untranslated ones are left out."""
    from babel.messages.pofile import read_po

    with resources.files("harness").joinpath("languages", f"{wanted}.po").open("rb") as file:
        entries = read_po(file, locale=wanted)
    found = {}
    for entry in entries:
        keys = entry.id if isinstance(entry.id, tuple | list) else (entry.id,)
        forms = entry.string if isinstance(entry.string, tuple | list) else (entry.string,)
        if entry.id and all(forms):
            found[str(keys[0])] = tuple(str(form) for form in forms)
    return found
