"""The scrubber: the values of named variables go, everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.secrets import HIDDEN, Scrubber


def test_values_of_named_variables_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "sk-one-1")
    monkeypatch.setenv("LONGER", "sk-one-1-and-more")
    monkeypatch.setenv("SHORT", "abc")
    monkeypatch.delenv("UNSET", raising=False)
    scrub = Scrubber.of(["ONE", "LONGER", "SHORT", "UNSET"])
    assert scrub("a sk-one-1-and-more b sk-one-1 abc") == f"a {HIDDEN} b {HIDDEN} abc"


def test_nothing_to_hide_changes_nothing() -> None:
    assert Scrubber.of([])("sk-anything") == "sk-anything"


@given(st.lists(st.text(min_size=6, max_size=12), min_size=1, max_size=3), st.text(max_size=30), st.text(max_size=30))
def test_no_value_is_left(values: list[str], before: str, after: str) -> None:
    scrub = Scrubber(tuple(sorted(values, key=len, reverse=True)))
    for value in values:
        if not any(other in HIDDEN or HIDDEN in other for other in values):
            assert value not in scrub(before + value + after).split(HIDDEN)
