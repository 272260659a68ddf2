"""Visible strings in the language of the moment."""

from __future__ import annotations

import pytest

from harness import numbers, terms
from harness.errors import UsageError
from harness.words import isolated, language, languages, noted, say, say_n, speaking


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


def test_what_is_noted_stays_english_until_it_is_said() -> None:
    with speaking("ko"):
        assert noted("No verdict") == "No verdict"
        assert say(noted("No verdict")) == "판정 없음"


def test_one_form_serves_all_numbers_where_a_language_has_one() -> None:
    with speaking("ko"):
        assert say_n(1, "{n} request", "{n} requests", n="1") == "요청 1건"
        assert say_n(2, "{n} request", "{n} requests", n="2") == "요청 2건"


def test_a_right_to_left_name_is_isolated_once_and_others_are_left_alone() -> None:
    for name in ("עברית", "נמוך v2", "منخفض"):
        within = f"\u2068{name}\u2069"
        assert say("{arm}, {n} items", arm=name, n=3) == f"{within}, 3 items"
        assert say_n(2, "{n} row of {arm}", "{n} rows of {arm}", n="2", arm=name) == f"2 rows of {within}"
        said = say("{arm} leads", arm=name)
        assert say("Simulated: {sentence}", sentence=said) == f"Simulated: {said}"
        assert say("{a} and {b}", a=said, b=name) == f"{said} and {within}"
        with speaking("ko"):
            assert say("{arm} alone", arm=name).count(within) == 1
        assert isolated(f"{within}, {name}") == f"\u2068{within}, {name}\u2069"
    for name in ("plain", "한국어", "Ünïcode é", "日本", "\u202ename", ""):
        assert isolated(name) == name


def test_numbers_differ_by_their_units_alone() -> None:
    written = [
        lambda: numbers.points(0.041), lambda: numbers.points_interval(-0.004, 0.016), lambda: numbers.duration(85),
        lambda: numbers.duration(720), lambda: numbers.duration(12_000), lambda: numbers.percent(0.934),
        lambda: numbers.usd(12_000), lambda: numbers.ms(1.536), lambda: numbers.count(12_181),
        lambda: numbers.usd(None),
    ]  # fmt: skip
    assert [write() for write in written] == [
        "+4.1 points", "−0.4 to +1.6", "85 s", "12 min", "3 h 20 min", "93.4%", "$12,000", "1,536 ms", "12,181", "–",
    ]  # fmt: skip
    with speaking("ko"):
        assert [write() for write in written] == [
            "+4.1%p", "−0.4 ~ +1.6", "85초", "12분", "3시간 20분", "93.4%", "$12,000", "1,536 ms", "12,181", "–",
        ]  # fmt: skip


def test_codes_are_said_and_unknown_ones_stand_for_themselves() -> None:
    with speaking("ko"):
        assert terms.family("fine-tuned") == "파인튜닝"
        assert terms.family("of-tomorrow") == "of-tomorrow"
        assert terms.method("clustered bootstrap, 9,999 resamples of groups") == "군집 부트스트랩, 그룹 재표본 9,999개"
        assert terms.method("a method of tomorrow") == "a method of tomorrow"
    assert terms.method("bootstrap, 9,999 resamples of test items") == "bootstrap, 9,999 resamples of test items"


def test_an_unknown_language_names_those_there_are() -> None:
    assert languages()[0] == "en"
    with pytest.raises(UsageError, match='no language "xx"') as caught, speaking("xx"):
        pass
    assert caught.value.hint == "there is en, ko"
