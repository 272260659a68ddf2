import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.signals import diversity
from harness.prepare.signals.corpus import read_corpus
from harness.prepare.signals.diversity import class_variety, diversity_signals, growth, low_middle_high
from harness.prepare.signals.features import word_vectors
from harness.types import Example


def look(rows):
    examples = [Example(fields={"text": text}, label=label, id=str(n)) for n, (text, label) in enumerate(rows)]
    return {check.kind: check for check in diversity_signals(read_corpus(examples, 7)).checks}


def varied(n=300):
    draw = random.Random(1)
    letters = str.maketrans("0123456789", "abcdefghij")
    lines = (" ".join(str(int(draw.paretovariate(0.5))) for _ in range(12)) for _ in range(n))
    return [(line.translate(letters), "xy"[place % 2]) for place, line in enumerate(lines)]


def test_varied_texts():
    checks = look(varied())
    assert set(checks) == {"distinct-texts", "vocabulary", "text-lengths", "class-variety"}
    assert {check.level for check in checks.values()} == {"ok"}
    assert {check.heading for check in checks.values()} == {"diversity"}
    assert {check.advice for check in checks.values()} == {""}
    assert 0.4 < checks["vocabulary"].figures["heaps_exponent"] < 1


def test_repeated_texts():
    checks = look([*varied(95), *[("Thanks, Anna!", "x"), ("thanks anna", "y")] * 5])
    check = checks["distinct-texts"]
    assert check.figures["distinct"] == 96
    assert check.figures["share"] == 96 / 105
    assert check.level == "warning"
    assert check.advice


def test_texts_that_differ_in_numbers_alone():
    check = look([(f"where is order {number}", "x") for number in range(50)])["distinct-texts"]
    assert check.figures["share"] == 1
    assert check.figures["share_but_for_numbers"] == 1 / 50
    assert check.level == "warning"


def test_templates_have_a_vocabulary_that_does_not_grow():
    words = ("card", "account", "loan", "transfer", "please", "cancel", "open", "now")
    rows = [(" ".join(each), "xy"[n % 2]) for n, each in enumerate(itertools.permutations(words, 4))]
    check = look(rows)["vocabulary"]
    assert check.figures["distinct_words"] == 8
    assert check.figures["new_words_per_1000_last"] == 0
    assert check.figures["heaps_exponent"] < 0.1
    assert check.level == "warning"
    assert check.advice


def test_growth_is_not_told_of_few_texts():
    check = look(varied(50))["vocabulary"]
    assert check.figures["heaps_exponent"] is None
    assert check.figures["new_words_per_1000_first"] is None
    assert "Heaps" not in check.message


def test_growth_by_hand():
    # Ten texts: each of the first four brings two words, the others none.
    words = [(f"a{n}", f"b{n}") for n in range(4)] + [("a0", "b1")] * 6
    grown = growth(words)
    assert (grown.types, grown.tokens) == (8, 20)
    assert (grown.first, grown.last) == (2000, 0)


def test_the_exponent_is_that_of_a_power_law():
    words, known = [], 0
    for n in range(1, 2001):
        size = math.ceil(n**0.5)  # one word a text, of which the square root are new
        words.append((f"w{size}",))
        known = max(known, size)
    assert growth(words).types == known
    assert growth(words).heaps == pytest.approx(0.5, abs=0.05)
    assert growth([(f"w{n}",) for n in range(500)]).heaps == pytest.approx(1.0)
    assert growth([("a",)] * 500).heaps == pytest.approx(0.0)
    assert growth([()]).heaps is None


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4).map(tuple), min_size=1, max_size=60))
def test_growth_counts_words(words):
    grown = growth(words)
    assert grown.types == len({word for text in words for word in text})
    assert grown.tokens == sum(map(len, words))
    assert grown.first >= 0
    assert grown.last >= 0
    assert grown.heaps is None or -1e-9 <= grown.heaps <= 1e3


@given(st.lists(st.integers(0, 50), min_size=1, max_size=100))
def test_what_is_said_of_lengths_is_true(values):
    array = np.array(values)
    low, middle, high = low_middle_high(array)
    assert {low, middle, high} <= set(values)
    assert (array <= low).mean() >= 0.05
    assert (array < low).mean() < 0.05
    assert (array <= middle).mean() >= 0.5
    assert (array < middle).mean() < 0.5
    assert (array >= high).mean() >= 0.05
    assert (array > high).mean() < 0.05


def test_lengths_are_told():
    check = look([("four words of text", "x")] * 19 + [("one", "y")])["text-lengths"]
    assert check.figures["words"] == {"min": 1, "p05_or_fewer": 1, "median": 4, "p95_or_more": 4, "max": 4}
    assert check.message.startswith("characters: one text in 20 has 3 or fewer, half have 18 or fewer, one in 20 18 or")


def test_a_class_of_one_text_is_named():
    rows = [*varied(60), *[(f"please cancel my card {n}", "cancel") for n in range(10)]]
    check = look(rows)["class-variety"]
    assert check.level == "warning"
    assert check.figures["alike"] == 1
    assert check.figures["classes"][0]["label"] == "cancel"
    assert check.figures["classes"][0]["distinct_words"] == 14
    assert check.advice


labelled = st.lists(
    st.tuples(st.sampled_from("xy"), st.lists(st.sampled_from("abcdefgh"), max_size=5).map(tuple)), max_size=30
)


@given(labelled)
def test_likeness_is_the_mean_cosine_of_all_pairs(rows):
    labels, words = [label for label, _ in rows], [text for _, text in rows]
    vectors = word_vectors(words)
    found = {each["label"]: each for each in class_variety(labels, words)}
    for label in "xy":
        places = [place for place, own in enumerate(labels) if own == label]
        assert (label in found) == (len(places) >= diversity.CLASS_ROWS)
        if label in found:
            dense = np.zeros((len(rows), 1)) if vectors is None else vectors.toarray()
            pairs = [float(dense[a] @ dense[b]) for a, b in itertools.combinations(places, 2)]
            assert found[label]["likeness"] == pytest.approx(np.mean(pairs), abs=1e-5)


def test_a_small_class_hides_none_that_comes_after_it():
    labels = ["small"] * 4 + ["x"] * 5 + [""] + ["y"] * 6
    words = [("a", "b")] * 16
    found = class_variety(labels, words)
    assert [(each["label"], each["rows"], each["distinct_words"]) for each in found] == [("x", 5, 2), ("y", 6, 2)]
    assert [each["likeness"] for each in found] == pytest.approx([1.0, 1.0])


def test_rows_without_a_label_are_no_class():
    assert class_variety([""] * 10, [("a", "b")] * 10) == []
    assert set(look([("a b", "")] * 10)) == {"distinct-texts", "vocabulary", "text-lengths"}
