"""A preview is a small picture of the data: the same classes in about the same shares."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support.preparing import prepared_alone

from harness.prepare.limit import limited
from harness.prepare.options import Fractions, Prepared, PrepareOptions
from harness.types import Example, Split

COMMON, RARE = 435, 65


def data(rows: list[tuple[str, str]]) -> Prepared:
    options = PrepareOptions(duplicates="off", split=Fractions(train=0.4, validation=0.2, test=0.4), seed=3)
    return prepared_alone([Example(fields={"text": text}, label=label) for text, label in rows], options)


ROWS = [(f"message {number} word{number * 7919 % 997}", "ham" if number < COMMON else "spam") for number in range(500)]


def test_a_preview_keeps_the_shares_of_the_classes() -> None:
    small = limited(data(ROWS), 40, 7)
    counts = Counter(example.label for example in small.of(Split.TEST))
    assert counts.total() == 40
    assert abs(counts["spam"] - 40 * RARE / (COMMON + RARE)) <= 2


def test_it_is_a_part_of_each_split_and_trains_on_more() -> None:
    whole = data(ROWS)
    small = limited(whole, 20, 7)
    for split, size in ((Split.TRAIN, 80), (Split.VALIDATION, 20), (Split.TEST, 20)):
        assert len(small.of(split)) == size
        assert {example.id for example in small.of(split)} <= {example.id for example in whole.of(split)}
    assert len(limited(whole, 2, 7).of(Split.TRAIN)) == 40


def test_examples_that_are_named_stay() -> None:
    whole = data(ROWS)
    small = {example.id for example in limited(whole, 20, 7).examples}
    named = [example.id for example in whole.of(Split.TRAIN) if example.id not in small][:3]
    test = next(example.id for example in whole.of(Split.TEST) if example.id not in small)
    assert {example.id for example in limited(whole, 20, 7, [*named, test]).examples} == small | set(named)


def test_every_class_is_there_where_there_is_room() -> None:
    rows = [(f"text {n} about w{n * 31 % 89}", f"intent {n % 12}" if n < 480 else "rare") for n in range(500)]
    kept = {example.label for example in limited(data(rows), 20, 7).of(Split.TEST)}
    assert kept == {row[1] for row in rows}


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.integers(2, 60))
def test_the_order_of_rows_changes_nothing(random: object, limit: int) -> None:
    rows = ROWS[380:]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert limited(data(rows), limit, 7).examples == limited(data(shuffled), limit, 7).examples
