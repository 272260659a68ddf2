"""What is taken out of rows before the split, without the rest of the stage."""

from dataclasses import replace

import pytest

from harness.prepare import clean
from harness.prepare.clean import Cluster
from harness.types import Example, Split

SENTENCE = "the battery of this camera lasts for a whole week of holidays"


def items(*rows, split=None):
    """Items of (id, text, label), in the order in which they stand here."""
    examples = [Example(fields={"text": text}, label=label, id=name, split=split) for name, text, label in rows]
    made = {item.example.id: item for item in clean.items(examples)}
    return [made[name] for name, _, _ in rows]


def ids(rows):
    return [row.example.id for row in rows]


def test_rows_without_a_label_or_a_text_are_counted_apart():
    rows = items(("a", "text", "x"), ("b", "", "x"), ("c", "?!", "x"), ("d", "text", ""), ("e", "", ""))
    kept, removed = clean.usable(rows)
    assert ids(kept) == ["a"]
    assert removed == {"missing-labels": 2, "empty-texts": 2}


def test_rows_are_ordered_by_their_content():
    rows = [Example(fields={"text": str(number)}, label="x") for number in range(20)]
    assert clean.items(rows) == clean.items(rows[::-1])
    assert [item.key for item in clean.items(rows)] == sorted(item.key for item in clean.items(rows))


SAME = (("a", "The same", "x"), ("b", "other", "x"), ("c", "the same!", "y"), ("d", "THE SAME", "y"), ("e", "e", "y"))


@pytest.mark.parametrize(
    ("conflicts", "kept", "exact", "conflicting", "stay"),
    [
        ("majority", ["b", "c", "e"], 1, 1, ("c",)),
        ("keep", ["a", "b", "c", "e"], 1, 0, ("a", "c")),
        ("drop", ["b", "e"], 0, 3, ()),
    ],
)
def test_exact_duplicates(conflicts, kept, exact, conflicting, stay):
    found = clean.without_exact(items(*SAME), conflicts)
    assert ids(found.rows) == kept
    assert found.removed == {"exact-duplicates": exact, "conflicting-duplicates": conflicting}
    gone = tuple(name for name in "acd" if name not in stay)
    assert found.clusters == (Cluster(kind="exact", kept=stay, removed=gone, labels={"y": 2, "x": 1}),)
    assert found.clusters[0].conflicting
    assert list(found.clusters[0].labels) == ["y", "x"]


def test_between_labels_of_one_size_the_first_row_decides():
    assert ids(clean.without_exact(items(("b", "same", "y"), ("a", "same", "x")), "majority").rows) == ["b"]
    found = clean.without_exact(items(("a", "same", "x"), ("b", "same", "y")), "majority")
    assert ids(found.rows) == ["a"]
    assert list(found.clusters[0].labels) == ["x", "y"]


def test_duplicates_of_one_label_are_no_conflict():
    found = clean.without_exact(items(("a", "same", "x"), ("b", "same", "x"), ("c", "c", "x")), "drop")
    assert ids(found.rows) == ["a", "c"]
    assert found.removed == {"exact-duplicates": 1, "conflicting-duplicates": 0}
    assert not found.clusters[0].conflicting


@pytest.mark.parametrize("without", [clean.without_exact, clean.without_near])
def test_rows_of_two_splits_are_not_compared(without):
    rows = items(("a", SENTENCE, "x"), split=Split.TRAIN) + items(("b", SENTENCE, "x"), split=Split.TEST)
    assert without(rows, "majority").rows == rows


NEAR = (
    ("a", SENTENCE, "x"), ("b", "quite another text", "x"), ("c", SENTENCE + "s", "y"), ("d", SENTENCE + "!?s2", "y"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("conflicts", "kept", "near", "clusters", "stay"),
    [
        ("majority", ["b", "c"], 2, 0, ("c",)),
        ("keep", ["a", "b", "c"], 1, 0, ("c",)),
        ("drop", ["b"], 0, 3, ()),
    ],
)
def test_near_duplicates(conflicts, kept, near, clusters, stay):
    found = clean.without_near(items(*NEAR), conflicts)
    assert ids(found.rows) == kept
    assert found.removed == {"near-duplicates": near, "conflicting-clusters": clusters}
    members = "cd" if conflicts == "keep" else "acd"
    labels = {"y": 2} if conflicts == "keep" else {"y": 2, "x": 1}
    gone = tuple(name for name in members if name not in stay)
    assert found.clusters == (Cluster(kind="near", kept=stay, removed=gone, labels=labels),)


def test_of_near_duplicates_the_first_stays_where_labels_are_equally_frequent():
    found = clean.without_near(items(*NEAR[:3]), "majority")
    assert ids(found.rows) == ["a", "b"]
    assert found.clusters[0].kept == ("a",)


def test_a_row_does_not_take_another_s_place_next_to_one_that_it_is_like():
    """`b` has the most frequent label of the three that are like `a`, but `b` is also like `d`, and `a` is not."""
    start = SENTENCE[:44]
    rows = items(("a", start, "x"), ("b", start + "ijklmnop", "y"), ("c", start + "qqwweerr", "y"),
                 ("d", start + "ijklmnopabcdefgh", "z"), ("e", "quite another text", "z"))  # fmt: skip
    found = clean.without_near(rows, "majority")
    assert ids(found.rows) == ["d", "e"]
    assert found.removed == {"near-duplicates": 3, "conflicting-clusters": 0}
    (cluster,) = found.clusters
    assert (cluster.kept, cluster.removed, cluster.labels) == ((), ("a", "b", "c"), {"y": 2, "x": 1})


def test_progress_of_the_search_is_told():
    told = []
    clean.without_near(items(*NEAR), "majority", lambda done, total: told.append((done, total)))
    assert told == [(4, 4)]


def test_repeated_ids_get_the_next_number_that_is_free():
    rows = items(("a", "1", "x"), ("a-2", "2", "x"), ("b", "3", "x"))
    assert clean.with_distinct_ids(rows) == rows
    first = rows[0]
    again = [first, replace(first), replace(first), rows[1], rows[2]]
    assert ids(clean.with_distinct_ids(again)) == ["a", "a-3", "a-4", "a-2", "b"]
    assert [row.example.text for row in clean.with_distinct_ids(again)] == ["1", "1", "1", "2", "3"]


def test_the_larger_classes_of_train_lose_rows():
    sizes = ((Split.TRAIN, "x", 5), (Split.TRAIN, "y", 2), (Split.TEST, "x", 3), (Split.VALIDATION, "z", 1))
    rows = [
        Example(fields={"text": ""}, label=label, split=split, id=f"{split}{label}{n}")
        for split, label, size in sizes
        for n in range(size)
    ]
    stay, removed = clean.downsampled(rows, lambda row: row.id.encode()[::-1])
    gone = {"trainx2", "trainx3", "trainx4"}
    assert stay == [row for row in rows if row.id not in gone]
    assert removed == {"downsampled": 3}
    assert clean.downsampled(rows[7:], lambda row: row.id.encode()) == (rows[7:], {"downsampled": 0})
