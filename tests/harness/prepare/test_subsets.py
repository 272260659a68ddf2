"""Nested subsets of a train split."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prepare.subsets import subset
from harness.types import Example

COUNTS = st.lists(st.integers(1, 20), min_size=1, max_size=5)
SEEDS = st.integers(0, 3)


def rows(counts: list[int]) -> list[Example]:
    return [
        Example(fields={"text": f"text {label} {number}"}, label=f"label {label}")
        for label, count in enumerate(counts)
        for number in range(count)
    ]


def ids(examples: tuple[Example, ...]) -> set[str]:
    return {example.id for example in examples}


@settings(max_examples=10, deadline=None)
@given(COUNTS, SEEDS)
def test_each_size_is_part_of_the_next_and_as_stratified_as_it_can_be(counts: list[int], seed: int) -> None:
    examples = rows(counts)
    total, before = len(examples), set[str]()
    for n in range(1, total + 1):
        taken = subset(examples, n, seed)
        assert len(taken) == n
        assert before <= ids(taken)
        before = ids(taken)
        classes = Counter(example.label for example in taken)
        if n >= len(counts):
            assert len(classes) == len(counts)
        for label, count in enumerate(counts):
            exact = n * count / total
            assert classes[f"label {label}"] <= max(math.ceil(exact - 1e-9), 1)
            if n * min(counts) >= total:  # from here on the one example of each class is owed to it anyway
                assert classes[f"label {label}"] >= math.floor(exact + 1e-9)


@settings(max_examples=25, deadline=None)
@given(COUNTS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(counts: list[int], seed: int, draw: random.Random) -> None:
    examples = rows(counts)
    n = draw.randint(1, len(examples))
    mixed = draw.sample(examples, len(examples))
    assert ids(subset(examples, n, seed)) == ids(subset(mixed, n, seed))


@settings(max_examples=30, deadline=None)
@given(COUNTS, SEEDS, st.data())
def test_a_row_that_is_added_changes_little(counts: list[int], seed: int, data: st.DataObject) -> None:
    examples = rows(counts)
    n = data.draw(st.integers(1, len(examples)))
    label = data.draw(st.integers(0, len(counts) - 1))
    more = [*examples, Example(fields={"text": "one more"}, label=f"label {label}")]
    gone = ids(subset(examples, n, seed)) - ids(subset(more, n, seed))
    assert len(gone) <= len(counts) + 1


def test_seeds_draw_other_examples_of_the_same_classes() -> None:
    examples = rows([40, 20, 20])
    first, second = subset(examples, 16, 1), subset(examples, 16, 2)
    assert Counter(example.label for example in first) == {"label 0": 8, "label 1": 4, "label 2": 4}
    assert Counter(example.label for example in first) == Counter(example.label for example in second)
    assert len(ids(first) & ids(second)) < 12


def test_all_of_them_come_as_they_are() -> None:
    examples = rows([3, 4])
    assert subset(examples, 7, 1) == subset(examples, 99, 2) == tuple(examples)
    part = subset(examples, 4, 1)
    assert list(part) == [example for example in examples if example in part]


@pytest.mark.parametrize("seed", range(4))
def test_groups_stay_whole_but_for_the_last(seed: int) -> None:
    draw = random.Random(seed)
    examples = [
        Example(fields={"text": f"{group} {number}"}, label=draw.choice(["a", "a", "b", "c"]), group=f"group {group}")
        for group in range(40)
        for number in range(draw.randint(1, 8))
    ]
    sizes = Counter(example.group for example in examples)
    shares = Counter(example.label for example in examples)
    before = set[str]()
    for n in range(1, len(examples) + 1):
        taken = subset(examples, n, seed)
        assert before <= ids(taken)
        before = ids(taken)
        held = Counter(example.group for example in taken)
        assert sum(held[group] < sizes[group] for group in held) <= 1
        classes = Counter(example.label for example in taken)
        if n >= 30:
            assert len(classes) == 3
            assert all(abs(classes[label] / n - shares[label] / len(examples)) < 0.25 for label in shares)


def test_each_row_goes_to_the_class_that_it_is_owed_to() -> None:
    """Once every class has its one, the next goes to the largest share for each row had, where that is not too many."""
    examples = rows([19, 3, 9])
    order, before = "", set[str]()
    for n in range(1, 32):
        taken = subset(examples, n, 1)
        order += next(example.label[-1] for example in taken if example.id not in before)
        before = ids(taken)
    assert order == "0210002002002002002100200200201"
