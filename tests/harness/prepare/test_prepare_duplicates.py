from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.duplicates import near_earlier, near_pairs, shingles


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
    like = near_earlier(texts, scopes)
    near = brute_force(texts)
    for position, other in enumerate(like):
        if other is None:
            stay = [n for n in range(position) if like[n] is None and scopes[n] == scopes[position]]
            assert not any((n, position) in near for n in stay)
        else:
            assert like[other] is None
            assert scopes[other] == scopes[position]
            assert (other, position) in near
