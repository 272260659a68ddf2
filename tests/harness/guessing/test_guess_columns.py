"""What a column looks like: labels as they will be read, words of names, dates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.guessing.columns import as_labels, is_epoch, name_words


@given(st.lists(st.text(max_size=8)))
def test_labels_keep_their_places(values: list[str]) -> None:
    labels = as_labels(values)
    assert len(labels) == len(values)
    assert as_labels(labels) == labels


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ProductId", ("product", "id")), ("user_id", ("user", "id")), ("userID", ("user", "id")),
        ("sentence1", ("sentence",)), ("", ()), ("内容", ("内容",)), ("HTMLText", ("html", "text")),
    ],
)  # fmt: skip
def test_names_fall_into_words(name: str, words: tuple[str, ...]) -> None:
    assert name_words(name) == words


@pytest.mark.parametrize(
    ("value", "epoch"),
    [("1700000000", True), ("1700000000000", True), ("1700000000.0", True), ("12345", False), ("99999999999", False),
     ("9" * 30, False), ("²²²²²²²²²²", False)],
)  # fmt: skip
def test_seconds_since_1970_fall_into_our_time(value: str, epoch: bool) -> None:
    assert is_epoch(value) == epoch
