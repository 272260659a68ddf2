"""A guess in one line: the value as it stands in the experiment file, how sure it is, and why."""

from __future__ import annotations

from typing import Any

import pytest

from harness.guessing.rules import Guess


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "label: stars (sure: five values)"),
        ({"confidence": "given"}, "label: stars (given)"),
        ({"alternatives": ("score", "rank")}, "label: stars (sure: five values; close to it: score, rank)"),
        ({"option": "text", "value": ("title", "body")}, "text: title, body (sure: five values)"),
        ({"option": "ordered", "value": True}, "ordered: true (sure: five values)"),
        ({"value": "two\nlines"}, "label: 'two\\nlines' (sure: five values)"),
    ],
)
def test_a_guess_in_one_line(changes: dict[str, Any], line: str) -> None:
    known: dict[str, Any] = {"option": "label", "value": "stars", "confidence": "sure", "reason": "five values"}
    assert Guess(**{**known, **changes}).line == line
