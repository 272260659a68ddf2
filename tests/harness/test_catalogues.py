"""The catalogues hold every visible string of the code, translated, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from jinja2 import Environment
from support.words import ROOT, TEMPLATES, collected, composed, speaking_modules, unsaid

from harness.words import ENGLISH, languages

OTHERS = [language for language in languages() if language != ENGLISH]
FIELD = re.compile(r"\{(\w+)\}")
SHOWN = ("harness/report", "plugins/harness_plugins/sections", "harness/numbers.py", "harness/findings/data.py",
         "harness/findings/fairness.py", "harness/findings/files.py", "harness/findings/runs.py",
         "harness/scoring/wording.py", "harness/scoring/verdict.py", "harness/scoring/fairness.py",
         "harness/site/badge.py", "harness/site/compared.py")  # fmt: skip
"""What writes pages."""
UNSHOWN = re.compile(r"report/(complete|scan|conform)\.py|report/writers/")  # keys, and files of other formats
CODE = re.compile(r"[<;{}]|^bold red$|^harness show |^failed jobs$")
"""Markup, styles, commands and keys."""
SELECTOR = re.compile(r"use strict|[.#\[>]")


@pytest.fixture(scope="module")
def english() -> Catalog:
    return collected()


def catalogue(language: str) -> Catalog:
    with (ROOT / "harness" / "languages" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def ids(message: Message) -> tuple[str, ...]:
    return tuple(message.id) if isinstance(message.id, tuple | list) else (str(message.id),)


def strings(message: Message) -> tuple[str, ...]:
    return tuple(message.string) if isinstance(message.string, tuple | list) else (str(message.string),)


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_has_every_string_and_no_other(english: Catalog, language: str) -> None:
    wanted = {ids(message) for message in english if message.id}
    found = {ids(message) for message in catalogue(language) if message.id}
    assert len(wanted) > 500
    assert sorted(wanted - found) == [], "run `make words` and translate"
    assert sorted(found - wanted) == [], "run `make words`"


@pytest.mark.parametrize("language", OTHERS)
def test_every_string_is_translated_with_the_same_fields(language: str) -> None:
    messages = [message for message in catalogue(language) if message.id]
    assert [message.id for message in messages if not all(strings(message))] == [], "translate these"
    assert [message.id for message in messages if message.fuzzy] == []
    for message in messages:
        fields = set(FIELD.findall(" ".join(ids(message))))
        for text in strings(message):
            assert set(FIELD.findall(text)) == fields, message.id
            assert text == text.strip()


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_is_in_order_and_without_line_numbers(language: str) -> None:
    text = (ROOT / "harness" / "languages" / f"{language}.po").read_text("utf-8")
    assert "\n#: " not in text
    keys = [ids(message) for message in catalogue(language) if message.id]
    assert keys == sorted(keys)


def test_no_visible_string_is_written_past_the_catalogue() -> None:
    paths = [path for one in SHOWN for path in ([ROOT / one] if one.endswith(".py") else (ROOT / one).rglob("*.py"))]
    shown = [path for path in paths if not UNSHOWN.search(path.as_posix())]
    assert len(shown) > 40
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted(shown)
        for line, text in unsaid(path)
        if not CODE.search(text)
    ]
    assert found == []


def test_no_message_is_put_together_where_it_is_said() -> None:
    assert [f"{path.relative_to(ROOT)}:{line}" for path in speaking_modules() for line in composed(path)] == []


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.j2")), ids=lambda path: path.name)
def test_templates_hold_no_words_of_their_own(template: Path) -> None:
    tokens = Environment(autoescape=True).lex(template.read_text("utf-8"))
    markup = "".join(text if kind == "data" else " " for _, kind, text in tokens)
    spoken = re.findall(r'(?:aria-label|title|placeholder|alt)="([^"]*)"', markup)
    text = re.sub(r"""<[^>]*>|[\w-]+="[^"]*\"""", " ", markup)
    assert re.findall(r"[A-Za-z]{2,}", " ".join((text, *spoken))) == []


def test_scripts_hold_no_words_of_their_own() -> None:
    strings_and_comments = re.compile(
        r"""//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)""", re.DOTALL
    )
    found = [
        f"{path.name}: {text}"
        for path in sorted((ROOT / "harness" / "report" / "assets").glob("*.js"))
        for text in strings_and_comments.findall(path.read_text("utf-8"))
        if re.search(r"[A-Za-z]{2,} [a-z]{2,}|^.[A-Z][a-z]{2,}.$", text) and not SELECTOR.search(text)
    ]
    assert found == []
