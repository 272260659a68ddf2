import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.normalise import fold
from harness.prepare.signals import corpus as module
from harness.prepare.signals.corpus import Words, leading, read_corpus
from harness.types import Example


def example(text, label="x", **more):
    return Example(fields={"text": text}, label=label, **more)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Great,\tGREAT!", ["great", "great"]),
        ("don't", ["don", "t"]),
        ("card_arrival", ["card", "arrival"]),
        ("Stra\u00dfe \ufb01ne", ["strasse", "fine"]),
        ("zero\u200bwidth", ["zerowidth"]),
        ("$5 👍", ["$5", "👍"]),
        ("漢字をiPhoneで", ["漢", "字", "を", "iphone", "で"]),
        ("กิน", ["กิ", "น"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("?!…", []),
        ("a\x00b \x7f", ["ab"]),
    ],
)
def test_words(text, words):
    assert Words()(text) == words


@given(st.text(alphabet=string.printable + "\x00\x1c\x7f"))
def test_the_quick_way_for_ascii_is_the_general_way(text):
    assert Words()(text) == Words()(f"{text} \u00e9")[:-1]


@given(st.text(alphabet=string.printable + "\u00e4\u00df\u200b\u2019"))
def test_words_are_those_of_the_search_for_duplicates(text):
    assert Words()(text) == fold(text).split()


@given(st.text())
def test_any_text_can_be_cut(text):
    assert all(word and not word.isspace() for word in Words()(text + "\ud800"))


rows = st.lists(st.builds(example, st.text(max_size=8), st.sampled_from("xy"), id=st.sampled_from(["", "1", "2"])))


@given(rows, st.randoms(), st.integers())
def test_the_order_of_the_rows_changes_nothing(examples, random, seed):
    shuffled = read_corpus(random.sample(examples, len(examples)), seed)
    given_order = read_corpus(examples, seed)
    assert shuffled.rows == given_order.rows
    assert shuffled.words == given_order.words
    assert sorted(map(repr, shuffled.rows)) == sorted(map(repr, examples))


def test_another_seed_gives_another_order():
    examples = [example(f"text {number}") for number in range(50)]
    assert read_corpus(examples, 1).rows != read_corpus(examples, 2).rows


def test_counts_different_texts():
    read = read_corpus([example("Order 17, please!"), example("order 17 please"), example("order 18 please")], 0)
    assert (read.distinct, read.distinct_but_for_numbers) == (2, 1)
    accented = read_corpus([example("caf\u00e9 1"), example("Caf\u00e9 22")], 0)
    assert (accented.distinct, accented.distinct_but_for_numbers) == (2, 1)


def test_a_part_stands_for_all_where_there_is_too_much(monkeypatch):
    monkeypatch.setattr(module, "MAX_CHARACTERS", 400)
    monkeypatch.setattr(module, "SAMPLE_WORDS", 30)
    monkeypatch.setattr(module, "LONGEST", 3)
    examples = [example(f"{number:03d} words of ten") for number in range(100)]
    read = read_corpus(examples, 0)
    assert len(read.rows) == 400 // 16
    assert len(read.words) == 10
    assert all(len(text) == 3 for text in read.words)
    assert set(read.n_words) == {4}
    assert read.total == 100
    assert read.rows == read_corpus(examples[::-1], 0).rows


def test_leading_rows_stay_within_a_number_of_words():
    read = read_corpus([example(f"two {number}") for number in range(10)], 0)
    assert leading(read, 100, 9) == 4
    assert leading(read, 3, 9) == 3
    assert leading(read, 3, 1) == 1
