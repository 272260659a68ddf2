"""What stands in two splits, pair by pair."""

import pytest

from harness.prepare.leaks import find_leaks
from harness.prepare.options import Leak
from harness.types import Example, Split

TRAIN, VALIDATION, TEST = Split.TRAIN, Split.VALIDATION, Split.TEST


def row(name, text, split, group=None):
    return Example(fields={"text": text}, label="x", split=split, id=name, group=group)


def leak(kind, a, b, similarity=None):
    splits = {"t": TEST, "v": VALIDATION, "r": TRAIN}
    return Leak(kind=kind, a=a, b=b, split_a=splits[a[0]], split_b=splits[b[0]], similarity=similarity)


def test_each_row_that_is_held_back_has_its_first_partner_in_each_later_split():
    rows = [
        row("t1", "same", TEST), row("t2", "Same!", TEST), row("v1", "same", VALIDATION), row("r1", "same", TRAIN),
        row("r2", "same", TRAIN), row("t3", "alone", TEST), row("r3", "twice in train", TRAIN),
        row("r4", "twice in train", TRAIN),
    ]  # fmt: skip
    expected = (
        leak("exact", "t1", "r1", 1.0), leak("exact", "t1", "v1", 1.0), leak("exact", "t2", "r1", 1.0),
        leak("exact", "t2", "v1", 1.0), leak("exact", "v1", "r1", 1.0),
    )  # fmt: skip
    assert find_leaks(rows) == find_leaks(rows[::-1]) == expected


def test_near_texts_are_told_once_the_most_alike_first():
    near = {("a", "b"): 0.8, ("a", "c"): 0.9, ("b", "d"): 0.85, ("a", "of no row"): 0.9, ("nor this", "b"): 0.9}
    rows = [
        row("r1", "b", TRAIN), row("r2", "c", TRAIN), row("t1", "a", TEST), row("t2", "d", TEST),
        row("v1", "d", VALIDATION), row("v2", "e", VALIDATION),
    ]  # fmt: skip
    assert find_leaks(rows, near) == (
        leak("exact", "t2", "v1", 1.0),
        leak("near", "t1", "r2", 0.9),
        leak("near", "t2", "r1", 0.85),
        leak("near", "v1", "r1", 0.85),
    )


def test_what_is_equal_is_not_told_again_as_near():
    rows = [row("r1", "a", TRAIN), row("r2", "b", TRAIN), row("t1", "a", TEST)]
    assert find_leaks(rows, {("a", "b"): 0.9}) == (leak("exact", "t1", "r1", 1.0),)


def test_near_texts_are_looked_for_where_they_are_not_given():
    sentence = "the battery of this camera lasts for a whole week of holidays"
    rows = [row("r1", sentence, TRAIN), row("t1", sentence.upper() + "s", TEST)]
    (found,) = find_leaks(rows)
    assert (found.kind, found.a, found.b) == ("near", "t1", "r1")
    assert found.similarity == pytest.approx(57 / 58)
    folded = ["x", "y"]
    assert find_leaks(rows, folded=folded) == ()
    assert find_leaks(rows, {}, ["x", "x"]) == (leak("exact", "t1", "r1", 1.0),)


def test_groups_that_are_torn_apart():
    rows = [
        row("r1", "a", TRAIN, "g"), row("t1", "b", TEST, "g"), row("v1", "c", VALIDATION, "g"),
        row("t2", "d", TEST, "h"), row("t3", "e", TEST, "h"), row("r2", "f", TRAIN), row("t4", "g", TEST),
    ]  # fmt: skip
    assert find_leaks(rows) == (leak("group", "t1", "r1"), leak("group", "t1", "v1"), leak("group", "v1", "r1"))


def test_rows_without_a_split_leak_nowhere():
    assert find_leaks([row("r1", "same", None, "g"), row("t1", "same", TEST, "g"), row("t2", "same", None, "g")]) == ()
