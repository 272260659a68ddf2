"""The label set and spellings of one label, without the rest of the stage."""

import pytest

from harness.errors import DataError
from harness.prepare import clean
from harness.prepare.labels import label_set, one_spelling, respelt, same_label
from harness.prepare.options import PrepareOptions
from harness.types import Example


def items(*labels):
    return clean.items([Example(fields={"text": f"{n}"}, label=label, id=f"{n}") for n, label in enumerate(labels)])


def told(rows, removed=None, **options):
    """The error's two parts."""
    with pytest.raises(DataError) as caught:
        label_set(rows, PrepareOptions(**options), removed or {})
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("counts", "wanted", "changed"),
    [
        ({"a": 2, "A": 3, "b": 1}, None, {"a": "A"}),
        ({"a": 2, "A": 2}, None, {"a": "A"}),  # between equals the first in order
        ({"a b": 1, " A  B": 5, "b": 1}, None, {"a b": " A  B"}),
        ({"a": 2, "A": 3}, ("a", "b"), {"A": "a"}),
        ({"a": 2, "A": 3}, ("a", "A"), {}),
        ({"a": 2, "A": 3}, ("b",), {}),
        ({"A": 3}, ("a",), {"A": "a"}),
        ({"a": 1, "b": 1}, None, {}),
    ],
)
def test_spellings_of_one_label(counts, wanted, changed):
    assert respelt(counts, wanted) == changed


def test_case_and_white_space_do_not_tell_labels_apart():
    assert same_label(" Stra\u00dfe\t\u212bb ") == same_label("STRASSE \u00e5B") == "strasse \u00e5b"
    assert same_label("ab") != same_label("a b")


def test_rows_get_the_one_spelling():
    rows = items("x", "X", "x", "y", "Y ")
    mended, changed, n = one_spelling(rows, None)
    assert changed == {"X": "x", "y": "Y "}
    assert n == 2
    assert {row.example.id: row.example.label for row in mended} == {"0": "x", "1": "x", "2": "x", "3": "Y ", "4": "Y "}
    assert [row.folded for row in mended] == [row.folded for row in rows]
    alone = items("x", "y")
    assert one_spelling(alone, None) == (alone, {}, 0)
    assert one_spelling(rows, ("X", "x", "Y ", "y")) == (rows, {}, 0)


@pytest.mark.parametrize(
    ("labels", "ordered", "found"),
    [
        ("ba", False, ("a", "b")),
        (("10", "9", "1e0"), False, ("1e0", "9", "10")),
        (("10", "9", "1"), True, ("1", "9", "10")),
        ("ba", True, ("a", "b")),  # of two, either order is one
        (("10", "9", "x"), False, ("10", "9", "x")),
    ],
)
def test_the_labels_that_occur(labels, ordered, found):
    assert label_set(items(*labels), PrepareOptions(ordered=ordered), {}) == found


def test_the_labels_that_are_given():
    assert label_set(items("a", "b"), PrepareOptions(labels=("c", "b", "a")), {}) == ("c", "b", "a")


def test_what_is_wrong_with_labels_is_said_with_what_to_do():
    where = "check the path and the text and label columns of [dataset]"
    assert told([]) == ("no usable rows", where)
    removed = {"missing-labels": 2, "empty-texts": 0, "exact-duplicates": 1}
    assert told([], removed) == ("no usable rows: 2 for missing-labels, 1 for exact-duplicates were removed", where)
    assert told(items("a", "b", "colour", "colour", "z"), labels=("a", "b", "color")) == (
        'label "colour" (2 rows, e.g. id 3) is not in dataset.labels',
        'correct the data or the list; did you mean "color"?',
    )
    assert told(items("a", "a")) == (
        'all 2 usable rows have the label "a": there is nothing to compare',
        "check the label column; at least two classes are needed",
    )
    assert told(items(*"hgfedcba"), ordered=True) == (
        "dataset.ordered = true, but the labels are not numbers: a, b, c, d, e, f",
        "list dataset.labels in their order, lowest first",
    )
