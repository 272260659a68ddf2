import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare import duplicates
from harness.prepare import shingles as prefix
from harness.prepare.duplicates import near_earlier, near_pairs
from harness.prepare.shingles import nearly_same, prefixes, shingles


def jaccard(a, b):
    return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))


def brute_force(texts):
    sets = [shingles(text) for text in texts]
    found = {(i, j): (len(sets[i] & sets[j]), len(sets[i] | sets[j])) for i, j in combinations(range(len(texts)), 2)}
    return {pair: common / union for pair, (common, union) in found.items() if 5 * common >= 4 * union}


# A small alphabet and planted variants: without them no two random texts are ever near.
base = st.text(alphabet="ab ", min_size=1, max_size=60)
variants = st.lists(st.tuples(base, st.text(alphabet="abc", max_size=3)), min_size=1, max_size=8)


@given(variants)
def test_finds_what_comparing_all_pairs_finds(planted):
    texts = list(dict.fromkeys(text for first, end in planted for text in (first, first + end)))
    found = {(pair.first, pair.second): pair.similarity for pair in near_pairs(texts)}
    assert found == brute_force(texts)


def test_the_bound_itself_counts():
    a, b = "abcdefghijklm", "abcdefghijkl"
    assert jaccard(a, b) == 8 / 9
    c, d = "abcdefghijklm", "abcdefghijklXX"[:13]
    assert jaccard(c, d) == 8 / 10
    assert len(near_pairs([a, b])) == 1
    assert [pair.similarity for pair in near_pairs([c, d])] == [0.8]
    assert near_pairs([c, "abcdefghijkXX"]) == ()


def test_none_among_none():
    assert near_pairs([]) == ()
    assert near_pairs(["a"]) == ()
    assert near_pairs(["ab", "abc"]) == ()


@given(variants, st.integers(1, 2))
def test_what_stays_is_not_near_and_what_goes_is_near_to_what_stays(planted, n_scopes):
    texts = list(dict.fromkeys(text for first, end in planted for text in (first, first + end)))
    scopes = [n % n_scopes for n in range(len(texts))]
    like = near_earlier(texts, prefixes(texts, scopes))
    near = brute_force(texts)
    for position, other in enumerate(like):
        if other is None:
            stay = [n for n in range(position) if like[n] is None and scopes[n] == scopes[position]]
            assert not any((n, position) in near for n in stay)
        else:
            assert like[other] is None
            assert scopes[other] == scopes[position]
            assert (other, position) in near


def test_many_variants_of_one_text_cost_one_comparison_each(monkeypatch):
    texts = [
        f"order number {n:05d} has not arrived yet, please help me with it as soon as you can" for n in range(1500)
    ]
    compared = []
    monkeypatch.setattr(duplicates, "nearly_same", lambda a, b: compared.append(1) or nearly_same(a, b))
    like = near_earlier(texts, prefixes(texts))
    assert like == [None, *[0] * (len(texts) - 1)]
    assert len(compared) == len(texts) - 1


@given(variants)
def test_those_known_to_stand_are_not_compared_again(planted):
    texts = list(dict.fromkeys(text for first, end in planted for text in (first, first + end)))
    like = near_earlier(texts, prefixes(texts))
    apart = [text for text, other in zip(texts, like, strict=True) if other is None]
    rest = [text for text, other in zip(texts, like, strict=True) if other is not None]
    again = near_earlier([*apart, *rest], prefixes([*apart, *rest]), len(apart))
    assert again[: len(apart)] == [None] * len(apart)
    assert all(other is not None for other in again[len(apart) :])


def test_sizes_that_are_too_different_are_not_near():
    assert nearly_same(frozenset("abcde"), frozenset("abcd")) == 4 / 5
    assert nearly_same(frozenset("abcd"), frozenset("abcde")) == 4 / 5
    assert nearly_same(frozenset("abcdef"), frozenset("abcd")) is None
    assert nearly_same(frozenset("abcd"), frozenset("abcdef")) is None
    assert nearly_same(frozenset("abcd"), frozenset("abce")) is None


def test_shingles_are_five_characters_and_a_short_text_is_one():
    assert shingles("abcdefg") == {"abcde", "bcdef", "cdefg"}
    assert shingles("abcde") == {"abcde"}
    assert shingles("abc") == {"abc"}
    assert shingles("") == {""}


def test_prefixes_of_some_texts_are_those_of_these_texts():
    texts = ["the first text of all", "the first text of alls", "another", "the second text", "ab"]
    whole = prefixes(texts)
    assert whole.sizes.tolist() == [len(shingles(text)) for text in texts]
    assert (whole.profile.sum(axis=1) == whole.sizes).all()
    assert whole.rest.tolist() == [-(-4 * n // 5) - 1 for n in whole.sizes.tolist()]
    part = whole.take([3, 1, 0])
    assert part.sizes.tolist() == [whole.sizes[place] for place in (3, 1, 0)]
    assert part.rest.tolist() == [whole.rest[place] for place in (3, 1, 0)]
    assert part.last.tolist() == [whole.last[place] for place in (3, 1, 0)]
    assert (part.profile == whole.profile[[3, 1, 0]]).all()
    assert (part.matrix.toarray() == whole.matrix.toarray()[[3, 1, 0]]).all()
    assert near_earlier([texts[place] for place in (3, 1, 0)], part) == [None, None, 1]


def test_texts_of_different_scopes_share_nothing():
    texts = ["the very same text"] * 4
    assert near_earlier(texts, prefixes(texts, ["a", "b", "a", None])) == [None, None, 0, None]


@pytest.mark.parametrize("find", [near_pairs, lambda texts, tick: near_earlier(texts, prefixes(texts), tick=tick)])
def test_progress_is_told_block_by_block(monkeypatch, find):
    monkeypatch.setattr(duplicates, "_ROWS", 4)
    told = []
    find([f"text {n} of {n * 7919 % 997} or {n * 31}" for n in range(10)], lambda *step: told.append(step))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_the_first_of_several_that_stay_is_named_and_none_that_went():
    start = "the battery of this camera lasts for a whole"
    texts = [start, f"{start} day", "quite another text", f"{start} days", f"{start} da", start[:-2]]
    near = brute_force(texts)
    assert near_earlier(texts, prefixes(texts)) == [
        None, *(next((n for n in (0, 2) if (n, place) in near), None) for place in range(1, 6))
    ]  # fmt: skip


def test_long_texts_and_large_sets_go_through_several_blocks(monkeypatch):
    draw = random.Random(3)
    base = ["".join(draw.choices("abcdef ", k=draw.choice([3, 40, 900]))) for _ in range(60)]
    texts = list(dict.fromkeys(text for one in base for text in (one, one + draw.choice("xy"))))
    mixed = draw.sample(texts, len(texts))
    earlier = near_earlier(mixed, prefixes(mixed))
    assert any(earlier)
    monkeypatch.setattr(prefix, "_BLOCK", 500)
    monkeypatch.setattr(duplicates, "_ROWS", 7)
    monkeypatch.setattr(duplicates, "_WORK", 40)
    assert {(pair.first, pair.second): pair.similarity for pair in near_pairs(texts)} == brute_force(texts)
    assert near_earlier(mixed, prefixes(mixed)) == earlier
