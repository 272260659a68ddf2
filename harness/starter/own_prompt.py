"""The user's own prompt: a template around the item, or an instruction that stands before it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import DataError, nearest
from harness.guessing.rules import quoted

_NAME = r"[^\W\d][\w .-]*?"
"""What is meant as a name, whether or not there is such a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrompt:
    """A prompt that is in use today."""

    text: str
    template: bool
    """Whether the item stands in it; else it is an instruction before the item."""
    said: str
    """How it was read, in words."""


def shown(texts: Sequence[str]) -> str:
    """Returns what stands for the whole item in a template: `{text}`, or a place for each of several columns."""
    if len(texts) > 1 and all(texts):
        return "\n".join(f"{{{name}}}" for name in texts)
    return "{text}"


def read_prompt(text: str, texts: Sequence[str], columns: Sequence[str], label: str, *, source: str) -> OwnPrompt:
    """Finds out where the item stands in a prompt.

    Args:
        text: The prompt.
        texts: The text columns.
        columns: All columns.
        label: The label's column.
        source: What errors call the prompt's file.

    Raises:
        DataError: The prompt is empty, or names in braces what is no text column.
    """
    # A column's name may be any text; formatters fill them all in.
    name = "|".join([*map(re.escape, sorted(filter(None, columns), key=len, reverse=True)), _NAME])
    # In double braces, as Jinja and its kin write it.
    prompt = re.sub(rf"\{{\{{ *({name}) *\}}\}}", r"{\1}", text.replace("\r\n", "\n").strip())
    if not prompt:
        raise DataError(
            f"{source} is empty", "expected the prompt that is in use, e.g. with {text} where the item goes"
        )
    names = list(dict.fromkeys(match[1] for match in re.finditer(rf"\{{({name})\}}", prompt)))
    known = [name for name in names if name in texts or name == "text"]
    strange = [name for name in names if name not in known]
    if not names:
        return OwnPrompt(text=prompt, template=False, said="it names no place for the item: an instruction before it")
    if len(strange) == 1 and not known and strange[0] not in columns:
        filled = prompt.replace(f"{{{strange[0]}}}", shown(texts))
        said = f"a template; {{{strange[0]}}} was taken for the item, for no column has this name"
        return OwnPrompt(text=filled, template=True, said=said)
    if label in strange:
        raise DataError(
            f"{source} names {{{label}}}, which is the label: it would give the answer away",
            "take it out, or write it without braces",
        )
    if strange:
        odd = strange[0]
        hint = f"Pass --text {','.join([*texts, odd])} to show that column too." if odd in columns else ""
        raise DataError(
            f"{source} names {{{odd}}}, but the text columns are {quoted(texts)}",
            hint or f"Write it without braces if it is no place; else {nearest(odd, [*texts, 'text'])}",
        )
    places = ", ".join(f"{{{name}}}" for name in known)
    return OwnPrompt(text=prompt, template=True, said=f"a template with {places}")
