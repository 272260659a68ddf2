import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.signals.corpus import read_corpus
from harness.prepare.signals.outliers import MIN_ROWS, outlier_signals, robust_z
from harness.types import Example

WORDS = ("good", "bad", "fine", "broken", "battery", "screen", "price", "sound", "case", "cable")


def reviews(n=100):
    """Texts of six to nine usual words."""
    return [" ".join(WORDS[(number * step + step) % 10] for step in range(1, 7 + number % 4)) for number in range(n)]


def look(texts):
    examples = [Example(fields={"text": text}, label="x", id=str(number)) for number, text in enumerate(texts)]
    found = outlier_signals(read_corpus(examples, 7))
    return {check.kind: check for check in found.checks}, {ranked.kind: ranked for ranked in found.ranked}


def ids(ranked):
    return [int(item.id) for item in ranked.items]


def test_usual_texts_raise_nothing():
    checks, ranked = look(reviews())
    assert set(checks) == {"near-empty-texts", "unusual-length", "unusual-words", "unusual-script"}
    assert {check.level for check in checks.values()} == {"ok"}
    assert {check.advice for check in checks.values()} == {""}
    assert ranked == {}


def test_near_empty_texts():
    checks, ranked = look([*reviews(), "ok", "no thanks", "...", "+49 170 1234567 / 12:30 - 100 200 (300)"])
    notes = {int(item.id): (item.score, item.note) for item in ranked["near-empty-texts"].items}
    assert notes == {
        100: (0.9, "1 word"),
        101: (0.8, "2 words"),
        102: (1.0, "0 words"),
        103: (1.0, "100% digits and punctuation"),
    }
    assert ids(ranked["near-empty-texts"])[2:] == [100, 101]
    assert checks["near-empty-texts"].level == "warning"
    assert checks["near-empty-texts"].figures["found"] == 4
    assert checks["near-empty-texts"].figures["share"] == 4 / 104
    assert checks["near-empty-texts"].advice


@pytest.mark.parametrize("texts", [["yes", "no", "maybe so"] * 20, ["12.50", "17:30 +4", "3/4/2024"] * 20])
def test_where_short_texts_or_numbers_are_usual_they_are_no_finding(texts):
    checks, _ = look(texts)
    assert checks["near-empty-texts"].figures["found"] == 0


def test_unusual_lengths_on_both_sides():
    texts = [*reviews(), "good battery " * 200, "it"]
    checks, ranked = look(texts)
    assert ids(ranked["unusual-length"]) == [100, 101]
    assert [item.note for item in ranked["unusual-length"].items] == ["2,599 characters", "2 characters"]
    figures = checks["unusual-length"].figures
    assert (figures["longer"], figures["shorter"]) == (1, 1)
    assert figures["median_characters"] == np.median([len(text) for text in texts])


def test_a_narrow_spread_makes_no_length_unusual_that_is_near_the_median():
    checks, _ = look([*["a b c d e f g h i j"] * 30, *["a b c d e f g h i j k"] * 31, "a b c d e f g h i j k l m"])
    assert checks["unusual-length"].figures["found"] == 0


def test_words_that_no_other_text_has():
    texts = [*reviews(), "qwer tzui opas dfgh good", "battery zxcvbnm good fine"]
    checks, ranked = look(texts)
    assert ids(ranked["unusual-words"]) == [100]
    assert ranked["unusual-words"].items[0].note == "4 of 5 words stand in no other text"
    assert ranked["unusual-words"].items[0].score == 0.8
    assert checks["unusual-words"].level == "ok"


def test_where_most_texts_have_words_of_their_own_none_is_unusual():
    checks, _ = look([f"{chr(97 + n)}one {chr(97 + n)}two {chr(97 + n)}three and so" for n in range(25)])
    assert checks["unusual-words"].figures["found"] == 0


def test_notes_hold_no_words_of_the_texts():
    _, ranked = look([*reviews(), "qwer tzui opas dfgh good", "xyzzy", "отличный товар рекомендую всем друзьям"])
    notes = " ".join(item.note for each in ranked.values() for item in each.items)
    assert not any(word in notes for word in ("qwer", "xyzzy", "товар"))


def test_foreign_scripts():
    texts = [
        *reviews(),
        "отличный товар рекомендую всем друзьям ok",
        "とても良い商品です",
        "good café für alle, 5 ★",
        "12 34 👍",
    ]
    checks, ranked = look(texts)
    assert sorted(ids(ranked["unusual-script"])) == [100, 101]
    assert {item.note for item in ranked["unusual-script"].items} == {"mostly Cyrillic letters", "mostly Cjk letters"}
    assert checks["unusual-script"].figures["scripts"] == {"Latin": 101, "Cyrillic": 1, "Cjk": 1}
    assert "usual: Latin" in checks["unusual-script"].message


def test_a_script_of_many_texts_is_not_foreign():
    checks, _ = look([*reviews(), *["отличный товар рекомендую всем друзьям"] * 10])
    assert checks["unusual-script"].figures["found"] == 0
    assert "usual: Latin, Cyrillic" in checks["unusual-script"].message


def test_few_rows_are_not_held_against_each_other():
    checks, _ = look(reviews(MIN_ROWS - 1))
    assert set(checks) == {"near-empty-texts"}
    checks, _ = look(reviews(MIN_ROWS))
    assert len(checks) == 4


def test_a_list_has_at_most_200_rows():
    checks, ranked = look([*reviews(1000), *["ok"] * 250])
    assert checks["near-empty-texts"].figures["found"] == 250
    assert len(ranked["near-empty-texts"].items) == 200


# Shares and logarithms of lengths: what lies apart does so by more than rounding
finite = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 6)), min_size=1, max_size=50)


@given(finite)
def test_robust_z_is_0_at_the_median_and_keeps_the_order(values):
    array = np.array(values)
    z = robust_z(array)
    assert np.isfinite(z).all()
    assert (z[array == np.median(array)] == 0).all()
    assert (np.diff(z[np.argsort(array, kind="stable")]) >= 0).all()


def test_robust_z_by_hand():
    # Upper side 0, 1, 2 (median 1), lower side 0, −2, −4 (median 2).
    z = robust_z(np.array([1.0, 3.0, 5.0, 6.0, 7.0]))
    assert z == pytest.approx(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / 1.4826)


@given(st.lists(st.text(max_size=30), max_size=30))
def test_any_texts_are_looked_at(texts):
    checks, ranked = look(texts)
    assert all(0 <= check.figures["share"] <= 1 for check in checks.values())
    for each in ranked.values():
        assert len(set(ids(each))) == len(each.items)
