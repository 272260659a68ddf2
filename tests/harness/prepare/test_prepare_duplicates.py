import random
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from harness.prepare import duplicates
from harness.prepare import shingles as prefix
from harness.prepare.duplicates import near_earlier, near_pairs
from harness.prepare.shingles import nearly_same, prefixes, shingles


def jaccard(a, b):
    return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))


def brute_force(texts):
    return {
        (i, j): jaccard(texts[i], texts[j])
        for i, j in combinations(range(len(texts)), 2)
        if 5 * len(shingles(texts[i]) & shingles(texts[j])) >= 4 * len(shingles(texts[i]) | shingles(texts[j]))
    }


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
        f"order number {n:05d} has not arrived yet, please help me with it as soon as you can" for n in range(6000)
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


def test_long_texts_and_large_sets_go_through_several_blocks(monkeypatch):
    monkeypatch.setattr(prefix, "_BLOCK", 500)
    monkeypatch.setattr(duplicates, "_ROWS", 7)
    monkeypatch.setattr(duplicates, "_WORK", 40)
    draw = random.Random(3)
    base = ["".join(draw.choices("abcdef ", k=draw.choice([3, 40, 900]))) for _ in range(60)]
    texts = list(dict.fromkeys(text for one in base for text in (one, one + draw.choice("xy"))))
    assert {(pair.first, pair.second): pair.similarity for pair in near_pairs(texts)} == brute_force(texts)
