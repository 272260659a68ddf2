"""What formatters share: filling a template and showing other words in the labels' place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import harness

_NAME = r"[A-Za-z_][\w .-]*"
"""What is meant as a name, whether or not there is such a field."""
_BRACES = re.compile(r"\{([^{}]+)\}")


def fill(template: str, example: harness.Example) -> str:
    """Returns `template` with `{text}` (all text fields) and `{name of a field}` filled in.

    Beside the place of another field `{text}` is the field of that name, where there is one: no field is shown twice.
    One pass over the template alone: what stands in the data is never a place. Braces around anything but a name stay.

    Raises:
        harness.DataError: The template names a field that the example does not have, or none at all.
    """
    if template == "{text}":
        return example.text
    places, named = _places(template, tuple(example.fields))
    alone = not any(name in example.fields for name in named if name != "text")

    def value(place: re.Match[str]) -> str:
        name = place.group(1)
        if name == "text" and (alone or name not in example.fields):
            return example.text
        if name in example.fields:
            return example.fields[name]
        raise harness.DataError(
            f'formatter.template names "{{{name}}}", but the text fields are {", ".join(example.fields)}',
            f'"{{text}}" stands for all of them; {harness.nearest(name, [*example.fields, "text"])}',
        )

    if not named:
        near = harness.nearest("".join(_BRACES.findall(template)[:1]), {*example.fields, "text"})
        raise harness.DataError(
            "formatter.template shows no item: no text field and no {text} stands in it",
            f"write {{text}}, or a field's name in braces, where the item goes; {near}",
        )
    return places.sub(value, template)


@lru_cache(maxsize=256)
def _places(template: str, fields: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Returns what finds the places in a template, and their names; a template is filled in for every example.

    A field's name may be any text; what else looks like a name is a place as well, which no field fills.
    """
    known = map(re.escape, sorted(filter(None, fields), key=len, reverse=True))
    places = re.compile(rf"\{{({'|'.join([*known, _NAME])})\}}")
    return places, tuple(places.findall(template))


def word(label: str, words: Mapping[str, str]) -> str:
    """Returns the word that stands for `label`; by default the label itself."""
    return words.get(label, label)


def parse(text: str, labels: Sequence[str], words: Mapping[str, str]) -> str | None:
    """Returns the label whose word the answer names; see `harness.parsing.lenient`.

    Raises:
        harness.DataError: Two labels have the same word.
    """
    by_word = {word(label, words): label for label in labels}
    if len(by_word) < len(set(labels)):
        raise harness.DataError("formatter.words gives two labels the same word", "give each label a word of its own")
    named = harness.parsing.lenient(text, list(by_word))
    return None if named is None else by_word[named]
