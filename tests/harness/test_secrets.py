"""The scrubber: the values of named variables go, everything else stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.secrets import HIDDEN, Scrubber, key_in, unsendable


def test_values_of_named_variables_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "sk-one-1")
    monkeypatch.setenv("LONGER", "sk-one-1-and-more")
    monkeypatch.setenv("SHORT", "abc")
    monkeypatch.delenv("UNSET", raising=False)
    scrub = Scrubber.of(["ONE", "LONGER", "SHORT", "UNSET"])
    assert scrub("a sk-one-1-and-more b sk-one-1 abc") == f"a {HIDDEN} b {HIDDEN} abc"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("sk-one-1 ", "no key sk-one-1, sorry"),
        (" sk-one-1\n", "no key sk-one-1, sorry"),
        ("Bearer sk-one-1", "no key sk-one-1, sorry"),
        ("  basic   sk-one-1 ", "no key sk-one-1, sorry"),
        ("Token sk-one-1", "no key sk-one-1, sorry"),
    ],
)
def test_a_value_is_known_as_a_server_sees_it(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("ONE", value)
    scrub = Scrubber.of(["ONE"])
    assert scrub(said) == f"no key {HIDDEN}, sorry"
    assert scrub(f"<{value}>").strip("<> \n") == HIDDEN
    assert scrub.finds(said.encode())


def test_blanks_make_no_key_of_a_short_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLANK", " " * 8)
    monkeypatch.setenv("SHORT", "   on   ")
    monkeypatch.setenv("SCHEME", "Bearer on")
    scrub = Scrubber.of(["BLANK", "SHORT", "SCHEME"])
    assert scrub("        on and on") == "        on and on"
    assert scrub("Bearer on and on") == f"{HIDDEN} and on"


def test_nothing_to_hide_changes_nothing() -> None:
    assert Scrubber.of([])("sk-anything") == "sk-anything"


@given(st.lists(st.text(min_size=6, max_size=12), min_size=1, max_size=3), st.text(max_size=30), st.text(max_size=30))
def test_no_value_is_left(values: list[str], before: str, after: str) -> None:
    scrub = Scrubber(tuple(sorted(values, key=len, reverse=True)))
    for value in values:
        if not any(other in HIDDEN or HIDDEN in other for other in values):
            assert value not in scrub(before + value + after).split(HIDDEN)


@given(st.data())
def test_values_go_whatever_of_them_json_writes_as_escapes(data: st.DataObject) -> None:
    value = "sk-one/1+2_x"
    forms = ((sign, f"\\u{ord(sign):04x}", f"\\u{ord(sign):04X}", "\\/" if sign == "/" else sign) for sign in value)
    written = "".join(data.draw(st.sampled_from(of)) for of in forms)
    raw = f'{{"message": "no key {written}, caf\\u00e9"}}'
    scrub = Scrubber((value,))
    assert json.loads(raw)["message"] == f"no key {value}, café"  # it is JSON
    assert scrub.finds(raw.encode())
    assert json.loads(scrub(raw))["message"] == f"no key {HIDDEN}, café"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is not set"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("sk-one\u201d", "holds a character that no key has, at place 7 of 7"),
        ("sk-\none", "holds a character that no key has, at place 4 of 7"),
        (" sk-one\r\n", None),
        ("Bearer sk-one", None),
    ],
)
def test_what_no_request_can_carry_is_told_without_the_key(
    monkeypatch: pytest.MonkeyPatch, value: str | None, said: str | None
) -> None:
    monkeypatch.delenv("KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("KEY", value)
    assert unsendable("KEY") == said


def test_a_key_is_sent_without_the_blanks_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", " sk-one\r\n")
    assert key_in("KEY") == "sk-one"
    assert key_in("KEYLESS") == ""
