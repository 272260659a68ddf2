"""What holds for the data stage whatever the rows are."""

from collections import Counter
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.preparing import prepared_alone
from test_prepare_stage import WORDS, example, reviews

from harness.prepare.normalise import fold
from harness.prepare.options import Fractions, PrepareOptions
from harness.prepare.shingles import shingles
from harness.types import Split

texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
noisy = st.builds(lambda text, end: text + end, texts, st.sampled_from(["", "!", " ", "\u200b", " ok", "?!"]))
drawn = st.lists(
    st.builds(example, noisy, st.sampled_from(["x", "y", ""]), group=st.sampled_from([None, "g", "h"])), max_size=30
)
options = st.builds(
    PrepareOptions,
    duplicates=st.sampled_from(["off", "exact", "near"]),
    conflicts=st.sampled_from(["majority", "drop", "keep"]),
    seed=st.integers(0, 99),
    split=st.sampled_from([Fractions(), Fractions(stratify=False), Fractions(train=0.5, validation=0.2, test=0.3)]),
)


@settings(max_examples=40)
@given(drawn, options, st.randoms())
def test_every_row_is_counted_order_changes_nothing_and_nothing_leaks(extra, wanted, random):
    loaded = reviews() + extra
    prepared = prepared_alone(loaded, wanted)
    assert prepared.rows_in == len(loaded) == len(prepared.examples) + sum(prepared.removed.values())
    assert prepared_alone(random.sample(loaded, len(loaded)), wanted) == prepared
    ids = [row.id for row in prepared.examples]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert not prepared.leaks
    by_text, by_group = {}, {}
    for row in prepared.examples:
        by_text.setdefault(fold(row.text), set()).add(row.split)
        by_group.setdefault(row.group, set()).add(row.split)
    assert all(len(splits) == 1 for splits in by_text.values())
    assert all(len(splits) == 1 for group, splits in by_group.items() if group is not None)
    sets = [(text, shingles(text)) for text in by_text]
    for (first, a), (second, b) in combinations(sets, 2):
        if 5 * len(a & b) >= 4 * len(a | b):
            assert wanted.duplicates != "near" or wanted.conflicts == "keep"
            assert by_text[first] == by_text[second]


@settings(max_examples=30)
@given(drawn, options)
def test_preparing_what_is_prepared_changes_nothing(extra, wanted):
    once = prepared_alone(reviews() + extra, wanted)
    again = prepared_alone(once.examples, wanted)
    assert again.examples == once.examples
    assert sum(again.removed.values()) == 0


@settings(max_examples=30)
@given(drawn, st.integers(0, 99), st.sampled_from(["majority", "drop"]), st.integers(0, 10**6))
def test_an_added_row_moves_at_most_one_row_or_group_for_each_class_and_boundary(extra, seed, conflicts, number):
    wanted = PrepareOptions(seed=seed, conflicts=conflicts)
    loaded = [*reviews(), *extra]
    new = example(f"quite another text with the number {number} in it", "x")
    before = {row.id: row for row in prepared_alone(loaded, wanted).examples}
    after = {row.id: row for row in prepared_alone([*loaded, new], wanted).examples}
    assert set(after) == {*before, new.id}
    rank = {Split.TRAIN: 0, Split.VALIDATION: 1, Split.TEST: 2}
    crossed = Counter()
    for unit, low, high in {
        (row.group or row.id, *sorted((rank[row.split], rank[after[row.id].split]))) for row in before.values()
    }:
        crossed.update(range(low, high) if unit else ())
    assert all(n <= 1 for n in crossed.values())
