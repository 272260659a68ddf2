import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.signals.corpus import read_corpus
from harness.prepare.signals.label_words import TIMES, label_word_signals, named
from harness.types import Example


def look(rows, labels):
    examples = [Example(fields={"text": text}, label=label, id=str(n)) for n, (text, label) in enumerate(rows)]
    found = label_word_signals(read_corpus(examples, 7), labels)
    return found.checks[0], found.ranked


def plain(n=100):
    return [(f"the soup was warm {number}x", "15"[number % 2]) for number in range(n)]


def test_no_label_in_the_texts():
    check, ranked = look(plain(), ("1", "5"))
    assert (check.kind, check.level, check.advice) == ("label-in-text", "ok", "")
    assert check.figures["classes"] == {}
    assert ranked == ()


def test_stars_in_the_texts_of_their_class():
    rows = plain() + [(f"{n}y: 5 stars!", "5") for n in range(10)] + [("not 5 stars", "1")]
    check, (ranked,) = look(rows, ("1", "5"))
    assert check.level == "warning"
    assert check.figures["found"] == 10
    assert check.figures["classes"] == {"5": {"inside": 10 / 60, "outside": 1 / 51}}
    assert {item.id for item in ranked.items} == {str(n) for n in range(100, 110)}
    assert {item.note for item in ranked.items} == {'holds "5"'}
    assert ranked.items[0].score == (10 / 60) / (10 / 60 + 1 / 51)
    assert check.advice


def test_a_name_of_few_texts_is_told_without_a_warning():
    rows = [(f"words {n}", "refund") for n in range(50)] + [(f"words {n}", "other") for n in range(200)]
    check, _ = look(rows + [(f"refund please {n}", "refund") for n in range(6)], ("refund", "other"))
    assert check.figures["found"] == 6
    assert check.level == "ok"
    assert check.advice


def test_a_name_in_half_of_the_texts_of_a_small_class_is_a_warning():
    rows = [(f"words {n}", "other") for n in range(500)] + [(f"refund please {n}", "refund") for n in range(6)]
    check, _ = look(rows, ("refund", "other"))
    assert check.level == "warning"


def texts(lines):
    return [tuple(line.split()) for line in lines]


def test_names_of_several_words_must_stand_together():
    given_labels = ["card_arrival"] * 5 + ["lost_card"] * 5
    together = texts(["about card arrival right now"] * 5 + ["else"] * 5)
    (found,) = named(given_labels, together, ["card_arrival", "lost_card"])
    assert (found.label, found.inside, found.outside) == ("card_arrival", 1.0, 0.0)
    assert named(given_labels, texts(["arrival of my card"] * 5 + ["else"] * 5), ["card_arrival", "lost_card"]) == ()


@pytest.mark.parametrize(
    ("naming", "n", "others", "found"),
    [(5, 100, 1, 1), (5, 101, 0, 0), (4, 20, 0, 0), (6, 20, 6, 1), (6, 20, 7, 0)],
)
def test_a_name_counts_from_a_twentieth_of_the_texts_and_five_times_as_often_as_elsewhere(naming, n, others, found):
    given_labels = ["good"] * n + ["bad"] * 100
    words = [("so", "good")] * naming + [("so",)] * (n - naming) + [("good",)] * others + [("so",)] * (100 - others)
    assert len(named(given_labels, words, ["good", "bad"])) == found


def test_words_that_others_use_as_often_tell_nothing():
    given_labels = ["good"] * 10 + ["bad"] * 10
    assert named(given_labels, texts(["so good"] * 20), ["good", "bad"]) == ()


@pytest.mark.parametrize("label", ["", "!", "…"])
def test_a_label_without_words_is_never_named(label):
    assert named([label] * 9, texts(["! …"] * 9), [label, "x"]) == ()


drawn = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a b", "c"]), st.lists(st.sampled_from("abcd"), max_size=5).map(tuple)),
    max_size=60,
)


@given(drawn)
def test_shares_are_those_of_a_plain_count(rows):
    labels = ["a", "b", "a b", "c"]
    found = {each.label: each for each in named([label for label, _ in rows], [words for _, words in rows], labels)}
    for label in labels:
        holds = [f" {label} " in f" {' '.join(words)} " for _, words in rows]
        own = [has for has, (given_label, _) in zip(holds, rows, strict=True) if given_label == label]
        others = [has for has, (given_label, _) in zip(holds, rows, strict=True) if given_label != label]
        inside = sum(own) / len(own) if own else 0.0
        outside = sum(others) / len(others) if others else 0.0
        assert (label in found) == (sum(own) >= 5 and inside >= 0.05 and inside >= TIMES * outside)
        if label in found:
            assert (found[label].inside, found[label].outside) == (inside, outside)
            assert len(found[label].places) == sum(own)
            assert 0.5 < found[label].score <= 1
