import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

import harness
from harness_plugins.metrics.accuracy import Accuracy
from harness_plugins.metrics.macro_f1 import MacroF1
from harness_plugins.metrics.mae import Mae

STARS = ("1", "2", "3", "4", "5")


def rows(pairs, labels=STARS, ordered=True):
    return harness.Rows(
        rows=tuple(
            harness.Row(
                example_id=str(n),
                expected=expected,
                predicted=predicted,
                status=harness.Status.UNPARSED if predicted is None else harness.Status.ANSWERED,
                strict=predicted if n % 2 else None,
            )
            for n, (expected, predicted) in enumerate(pairs)
        ),
        labels=labels,
        ordered=ordered,
    )


answers = st.lists(st.tuples(st.sampled_from(STARS), st.sampled_from([*STARS, None])), min_size=1, max_size=40)


@given(answers)
def test_as_scikit_learn_has_them(pairs):
    scored = rows(pairs)
    expected = [first for first, _ in pairs]
    predicted = [second or "?" for _, second in pairs]
    assert Accuracy().score(scored)["accuracy"] == pytest.approx(accuracy_score(expected, predicted))
    strict = [second or "?" if n % 2 else "?" for n, (_, second) in enumerate(pairs)]
    assert Accuracy().score(scored)["accuracy_strict"] == pytest.approx(accuracy_score(expected, strict))
    f1 = f1_score(expected, predicted, labels=sorted(set(expected)), average="macro", zero_division=0)
    assert MacroF1().score(scored)["macro_f1"] == pytest.approx(f1)
    errors = Mae().score(scored)
    answered = [(int(a), int(b)) for a, b in pairs if b is not None]
    if answered:
        assert errors["mae"] == pytest.approx(mean_absolute_error(*zip(*answered, strict=True)))
    else:
        assert errors["mae"] is None
    missing = len(pairs) - len(answered)
    total = sum(abs(a - b) for a, b in answered)
    assert errors["mae_all"] == pytest.approx((total + 4 * missing) / len(pairs))
    assert errors["off_by_one"] == pytest.approx(sum(abs(a - b) <= 1 for a, b in answered) / len(pairs))


@given(answers, st.booleans())
def test_figures_are_finite_or_none(pairs, ordered):
    for metric in (Accuracy(), MacroF1(), Mae()):
        for scored in (rows(pairs, ordered=ordered), rows([], ordered=ordered)):
            assert all(value is None or math.isfinite(value) for value in metric.score(scored).values())


def test_without_rows_there_is_no_figure():
    for metric in (Accuracy(), MacroF1(), Mae()):
        assert set(metric.score(rows([])).values()) == {None}


def test_without_an_order_there_is_no_distance():
    assert set(Mae().score(rows([("1", "2")], ordered=False)).values()) == {None}


def test_names_are_measured_by_rank_and_numbers_by_value():
    names = rows([("low", "high"), ("mid", "low")], labels=("low", "mid", "high"))
    assert Mae().score(names) == {"mae": 1.5, "mae_all": 1.5, "off_by_one": 0.5}
    numbers = rows([("0", "50"), ("100", None)], labels=("0", "50", "100"))
    assert Mae().score(numbers) == {"mae": 50.0, "mae_all": 75.0, "off_by_one": 0.0}


def test_a_label_never_expected_is_no_class_of_its_own():
    scored = rows([("1", "1"), ("2", "3"), ("2", "2")])
    assert MacroF1().score(scored)["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
