"""Visible strings in the language of the moment."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.words import language, languages, say, say_n, speaking


def test_english_is_what_stands_in_the_code() -> None:
    assert language() == "en"
    assert say("No verdict") == "No verdict"
    assert say("{arm} leads", arm="{tuned}") == "{tuned} leads"
    assert say("a brace { alone") == "a brace { alone"
    assert say_n(1, "{n} row", "{n} rows", n="1") == "1 row"
    assert say_n(2, "{n} row", "{n} rows", n="2") == "2 rows"


def test_another_language_within_a_block_only() -> None:
    with speaking("ko"):
        assert language() == "ko"
        assert say("No verdict") == "판정 없음"
        assert say("not in any catalogue: {n}", n=3) == "not in any catalogue: 3"
    assert say("No verdict") == "No verdict"


def test_an_unknown_language_names_those_there_are() -> None:
    assert languages()[0] == "en"
    with pytest.raises(UsageError, match='no language "xx"') as caught, speaking("xx"):
        pass
    assert caught.value.hint == "there is en, ko"
