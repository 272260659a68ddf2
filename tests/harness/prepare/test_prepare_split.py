from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.errors import DataError, ExperimentError
from harness.prepare.options import Fractions
from harness.prepare.split import assign, moment
from harness.types import Example, Split

LABELS = ("a", "b", "c")
RANK = {Split.TRAIN: 0, Split.VALIDATION: 1, Split.TEST: 2}


def rows(labels, groups=None):
    groups = groups or [None] * len(labels)
    return [
        Example(fields={"text": str(n)}, label=label, group=group, id=f"id{n}")
        for n, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def boundaries_crossed(before, after):
    return range(min(RANK[before], RANK[after]), max(RANK[before], RANK[after]))


fractions = st.sampled_from(
    [
        Fractions(),
        Fractions(train=0.34, validation=0.33, test=0.33),
        Fractions(train=0.7, validation=0.0, test=0.3),
        Fractions(train=0.5, validation=0.2, test=0.3, stratify=False),
    ]
)
seeds = st.integers(0, 10_000)
many = st.lists(st.sampled_from(LABELS), min_size=0, max_size=60).map(lambda labels: [*LABELS * 3, *labels])


@given(many, fractions, seeds, st.randoms())
def test_row_order_changes_nothing(labels, wanted, seed, random):
    examples = rows(labels)
    shuffled = random.sample(examples, len(examples))
    assert assign(examples, wanted, seed) == assign(shuffled, wanted, seed)


@given(many, fractions, seeds)
def test_shares_are_met_within_a_row_for_each_class(labels, wanted, seed):
    examples = rows(labels)
    splits = assign(examples, wanted, seed)
    assert splits.keys() == {example.id for example in examples}
    for stratum in LABELS if wanted.stratify else [LABELS]:
        inside = Counter(splits[example.id] for example in examples if example.label in stratum)
        for split, share in wanted.shares.items():
            assert inside[split] >= 1
            assert abs(inside[split] - share * inside.total()) < 2


@given(many, st.sampled_from(LABELS), fractions, seeds)
def test_an_added_row_moves_one_row_at_most_for_its_class_and_each_boundary(labels, label, wanted, seed):
    examples = rows(labels)
    before = assign(examples, wanted, seed)
    after = assign([*examples, Example(fields={"text": "new"}, label=label, id="new")], wanted, seed)
    moved = [example for example in examples if before[example.id] != after[example.id]]
    if wanted.stratify:
        assert all(example.label == label for example in moved)
    crossed = Counter(b for example in moved for b in boundaries_crossed(before[example.id], after[example.id]))
    assert all(count <= 1 for count in crossed.values())


long_tailed = st.lists(st.integers(0, 30).map(str), min_size=0, max_size=50).map(lambda tail: [*"aaaaaaaaa", *tail])


@given(long_tailed, st.integers(0, 30).map(str), seeds)
def test_where_possible_each_class_is_learnt_from_and_an_added_row_moves_rows_of_its_class_alone(labels, label, seed):
    wanted = Fractions(train=0.5, validation=0.2, test=0.3, stratify="where-possible")
    examples = rows(labels)
    added = [*examples, Example(fields={"text": "new"}, label=label, id="new")]
    before, after = assign(examples, wanted, seed), assign(added, wanted, seed)
    for given_rows, splits in ((examples, before), (added, after)):
        for each, n in Counter(e.label for e in given_rows).items():
            inside = {splits[e.id] for e in given_rows if e.label == each}
            assert inside == set(list(Split)[:n])  # train first, then validation
    moved = [e for e in examples if before[e.id] != after[e.id]]
    assert {e.label for e in moved} <= {label}
    crossed = Counter(b for e in moved for b in boundaries_crossed(before[e.id], after[e.id]))
    assert all(count <= 1 for count in crossed.values())


def test_where_possible_is_stratified_where_no_class_is_rare():
    examples = rows(["a"] * 30 + ["b"] * 12 + ["c"] * 3)
    assert assign(examples, Fractions(stratify="where-possible"), 1) == assign(examples, Fractions(), 1)


@given(long_tailed, st.integers(0, 30).map(str), seeds)
def test_without_strata_labels_decide_nothing(labels, label, seed):
    """However rare they are: an added row moves one row along each boundary, whatever its label."""
    wanted = Fractions(stratify=False)
    examples = rows(labels)
    before = assign(examples, wanted, seed)
    assert before == assign([replace(e, label="a") for e in examples], wanted, seed)
    after = assign([*examples, Example(fields={"text": "new"}, label=label, id="new")], wanted, seed)
    crossed = Counter(b for e in examples for b in boundaries_crossed(before[e.id], after[e.id]))
    assert all(count <= 1 for count in crossed.values())


grouped = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 14).map(str)), min_size=0, max_size=60).map(
    lambda pairs: [*((label, f"own-{label}{n}") for label in LABELS for n in range(4)), *pairs]
)


def possible(examples, wanted, seed):
    """A few large groups can leave nothing for a split, which is refused."""
    try:
        return assign(examples, wanted, seed)
    except DataError:
        return None


@settings(max_examples=100)
@given(grouped, st.tuples(st.sampled_from(LABELS), st.integers(0, 16).map(str)), fractions, seeds)
def test_groups_stay_whole_and_an_added_row_moves_one_group_for_each_class_and_boundary(pairs, new, wanted, seed):
    examples = rows([label for label, _ in pairs], [group for _, group in pairs])
    added = Example(fields={"text": "new"}, label=new[0], group=new[1], id="new")
    before, after = possible(examples, wanted, seed), possible([*examples, added], wanted, seed)
    assume(before and after)
    sides = {}
    labels = {}
    for example in examples:
        sides.setdefault(example.group, set()).add((before[example.id], after[example.id]))
        labels.setdefault(example.group, Counter())[example.label] += 1
    assert all(len(side) == 1 for side in sides.values())
    assert after["new"] == {after[e.id] for e in examples if e.group == new[1]}.pop() if new[1] in sides else True
    crossed = Counter()
    for group, ((here, there),) in ((group, tuple(side)) for group, side in sides.items()):
        stratum = min(labels[group], key=lambda label: (-labels[group][label], label)) if wanted.stratify else ""
        crossed.update((stratum, boundary) for boundary in boundaries_crossed(here, there))
    assert all(count <= 1 for count in crossed.values()), crossed


def test_groups_are_stratified():
    labels = ["a"] * 900 + ["b"] * 100
    examples = rows(labels, [f"g{n // 5}" for n in range(1000)])
    splits = assign(examples, Fractions(), 3)
    inside = Counter((splits[example.id], example.label) for example in examples)
    assert abs(inside[Split.TEST, "b"] - 10) <= 5
    assert abs(inside[Split.TEST, "a"] - 90) <= 5


def test_seeds_differ():
    examples = rows(["a", "b"] * 50)
    assert assign(examples, Fractions(), 1) != assign(examples, Fractions(), 2)


def test_given_splits_are_kept_and_validation_is_cut_from_train():
    given = [Split.TRAIN] * 40 + [Split.TEST] * 20
    examples = [
        Example(fields={"text": str(n)}, label="ab"[n % 2], id=str(n), split=split) for n, split in enumerate(given)
    ]
    splits = assign(examples, Fractions(train=0.6, validation=0.2, test=0.2), 1)
    assert {name for name, split in splits.items() if split == Split.TEST} == {str(n) for n in range(40, 60)}
    assert Counter(splits.values()) == {Split.TRAIN: 30, Split.VALIDATION: 10, Split.TEST: 20}
    without = assign(examples, Fractions(train=0.8, validation=0, test=0.2), 1)
    assert Counter(without.values()) == {Split.TRAIN: 40, Split.TEST: 20}


def test_of_a_given_train_split_rare_classes_stay_in_it():
    labels = ["a"] * 20 + ["b"] * 20 + ["c", "d", "d"] + ["a", "c", "d"]
    examples = [replace(row, split=Split.TEST if n > 42 else Split.TRAIN) for n, row in enumerate(rows(labels))]
    for seed in range(20):
        splits = assign(examples, Fractions(), seed)
        assert splits["id40"] == Split.TRAIN
        assert {splits["id41"], splits["id42"]} == {Split.TRAIN, Split.VALIDATION}
        assert Counter(splits.values()) == {Split.TRAIN: 38, Split.VALIDATION: 5, Split.TEST: 3}
    hint = "add rows to train, or name validation in the split column as well"
    few = [replace(row, split=split) for row, split in zip(rows(["a", "b"]), (Split.TRAIN, Split.TEST), strict=True)]
    assert told(few, Fractions()) == (
        "1 rows cannot be split into train, validation: at least 2 are needed",
        hint,
    )
    alone = [replace(row, split=Split.TRAIN) for row in rows([*"abcd"])]
    assert told([*alone, replace(few[1], id="test")], Fractions())[1] == hint


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (rows(["a", "b"]), "2 rows cannot be split into train, validation, test: at least 3 are needed"),
        (rows(["a"] * 9 + ["b"]), 'class "b" has 1 example, fewer than the splits'),
        (rows(["a"] * 6 + ["b"] * 6, ["x", "y"] * 6), "2 groups of rows cannot be split"),
    ],
)
def test_says_what_is_impossible(examples, message):
    with pytest.raises(DataError) as caught:
        assign(examples, Fractions(), 1)
    assert message in caught.value.message
    assert len(str(caught.value).splitlines()) <= 3


def test_refuses_half_given_splits():
    examples = [Example(fields={"text": str(n)}, label="a", split=Split.TRAIN if n else None) for n in range(3)]
    with pytest.raises(DataError, match="1 of 3 rows have no split"):
        assign(examples, Fractions(), 1)
    with pytest.raises(DataError, match="no test rows"):
        assign(examples[1:], Fractions(), 1)


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_refuses_shares_that_are_none(shares):
    with pytest.raises(ExperimentError, match=r"prepare\.split"):
        Fractions(train=shares[0], validation=shares[1], test=shares[2])


def dated(moments, groups=None):
    return [
        replace(row, time=f"2026-01-{day:02d}T{hour:02d}:00:00")
        for row, (day, hour) in zip(rows(["a"] * len(moments), groups), moments, strict=True)
    ]


moments = st.lists(st.tuples(st.integers(1, 28), st.integers(0, 23)), min_size=6, max_size=60)
by_time = st.sampled_from([Fractions(by="time"), Fractions(by="time", train=0.5, validation=0.2, test=0.3)])


@given(moments, by_time, seeds, st.randoms())
def test_by_time_the_newest_are_held_back(when, wanted, seed, random):
    examples = dated(when)
    splits = assign(examples, wanted, seed)
    assert assign(random.sample(examples, len(examples)), wanted, seed) == splits
    ranked = sorted(examples, key=lambda example: (moment(example.time), RANK[splits[example.id]]))
    assert [RANK[splits[example.id]] for example in ranked] == sorted(RANK[split] for split in splits.values())


@given(moments, by_time, seeds, st.tuples(st.integers(1, 28), st.integers(0, 23)))
def test_by_time_an_added_row_moves_one_row_at_most_for_each_boundary(when, wanted, seed, new):
    examples = dated(when)
    before = assign(examples, wanted, seed)
    after = assign([*examples, replace(dated([new])[0], id="new")], wanted, seed)
    crossed = Counter(b for e in examples for b in boundaries_crossed(before[e.id], after[e.id]))
    assert all(count <= 1 for count in crossed.values())


def test_by_time_a_group_stands_where_its_latest_row_stands():
    examples = dated([(day, 0) for day in range(1, 11)], ["g", *"abcdefgh", "g"])
    splits = assign(examples, Fractions(by="time", train=0.6, validation=0.2, test=0.2), 1)
    assert splits["id0"] == splits["id9"] == Split.TEST


def test_by_time_every_row_needs_a_date():
    examples = dated([(day, 0) for day in range(1, 11)])
    with pytest.raises(DataError, match=r"1 rows have no date, e\.g\. id id3"):
        assign([replace(e, time=None) if e.id == "id3" else e for e in examples], Fractions(by="time"), 1)


def test_dates_with_and_without_zones_are_compared():
    assert moment("2026-01-01") == moment("2026-01-01T00:00:00") == moment("2026-01-01T01:00:00+01:00")


def told(examples, fractions):
    """The error's two parts."""
    with pytest.raises(DataError) as caught:
        assign(examples, fractions, 1)
    return caught.value.message, caught.value.hint


def test_every_refusal_says_what_to_do():
    whole = Fractions()
    unstratified = Fractions(stratify=False, train=0.34, validation=0.33, test=0.33)
    assert told(rows(["a"] * 9 + ["b"] * 2 + ["c"]), whole) == (
        'class "c" has 1 example (and 1 such classes more), fewer than the splits: train, validation, test',
        'add examples, leave the class out, set a share to 0 or [prepare].split.stratify = "where-possible"',
    )
    assert told(rows(["a"] * 9 + ["b"] * 2), whole)[0] == (
        'class "b" has 2 examples, fewer than the splits: train, validation, test'
    )
    assert told(rows(["a"]), Fractions(train=0.5, validation=0, test=0.5)) == (
        "1 rows cannot be split into train, test: at least 2 are needed",
        "add data, or set a share of [prepare].split to 0",
    )
    assert told(rows(["a"] * 4, ["x", "x", "y", "y"]), whole)[0] == (
        "2 groups of rows cannot be split into train, validation, test: at least 3 are needed"
    )
    assert Counter(assign(rows(["a"] * 3), unstratified, 1).values()) == dict.fromkeys(Split, 1)
    assert Counter(assign(rows(["a"] * 3 + ["b"] * 3), whole, 1).values()) == dict.fromkeys(Split, 2)
    given = [replace(row, split=Split.VALIDATION) for row in rows(["a"] * 4)]
    assert told(given, whole) == (
        "the given split has no test and no train rows",
        "name train and test in the split column, or leave it out of [dataset] to have the rows split",
    )
    assert told([*given[:3], replace(given[3], split=None)], whole) == (
        "1 of 4 rows have no split, the others have one",
        "give every row a split (train, validation or test), or none",
    )
    undated = [replace(row, time=None) if row.id in {"id5", "id3"} else row for row in dated([(1, 0)] * 9)]
    assert told(undated, Fractions(by="time")) == (
        'prepare.split.by = "time", but 2 rows have no date, e.g. id id3',
        "name the column of dates in dataset.time, and leave out rows without one; or split by content",
    )


def test_groups_that_leave_nothing_for_a_split_are_refused():
    """Each class's two groups leave its third part empty, and so no split gets the third."""
    examples = rows([*"aaabbb"], ["g", "g", "h", "h", "g", "i"])
    seen = {told_or_sizes(examples, seed) for seed in range(40)}
    assert (
        "no group is left for test: the 3 groups are too large or too few for these shares",
        "give larger shares in [prepare].split, a finer group, or set the share to 0",
    ) in seen


def told_or_sizes(examples, seed):
    try:
        return tuple(sorted(Counter(assign(examples, Fractions(), seed).values()).items()))
    except DataError as error:
        return error.message, error.hint


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.5, 0.1, 0.1), "prepare.split: train + validation + test = 0.7, expected 1"),
        ((0.0, 0.5, 0.5), "prepare.split: train = 0.0, validation = 0.5, test = 0.5"),
        ((0.8, 0.3, -0.1), "prepare.split: train = 0.8, validation = 0.3, test = -0.1"),
        ((0.5, 1.5, 0.0), "prepare.split: train = 0.5, validation = 1.5, test = 0.0"),
    ],
)
def test_shares_that_are_none_are_said(shares, message):
    with pytest.raises(ExperimentError) as caught:
        Fractions(train=shares[0], validation=shares[1], test=shares[2])
    assert caught.value.message == message
    assert caught.value.hint == (
        "give three shares that sum to 1, e.g. { train = 0.8, validation = 0.1, test = 0.1 }"
        if "expected" in message
        else "each share lies between 0 and 1, and train is above 0"
    )


def test_shares_are_exact_decimals():
    assert Fractions(train=0.7, validation=0.0, test=0.3).shares == {
        Split.TRAIN: Fraction(7, 10), Split.TEST: Fraction(3, 10)
    }  # fmt: skip
    assert Fractions(train=1, validation=0, test=0).shares == {Split.TRAIN: 1}
    assert Fractions(train=0.3333335, validation=0.333333, test=0.333333).train == 0.3333335
    with pytest.raises(ExperimentError):
        Fractions(train=0.80001, validation=0.1, test=0.1)
