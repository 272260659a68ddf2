"""How numbers are written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.percent(0.934), "93.4%"),
        (numbers.percent(0.912, 0), "91%"),
        (numbers.percent(1.0), "100.0%"),
        (numbers.percent_interval(0.923, 0.945), "92.3–94.5%"),
        (numbers.points(0.041), "+4.1 points"),
        (numbers.points(-0.041), "\u22124.1 points"),
        (numbers.points(0.041, signed=False), "4.1 points"),
        (numbers.points(0.01, 0), "+1 point"),
        (numbers.points(-0.00001), "0.0 points"),
        (numbers.points_interval(-0.004, 0.016), "\u22120.4 to +1.6"),
        (numbers.change(-0.91), "\u221291%"),
        (numbers.change(0.12), "+12%"),
        (numbers.change(0.001), "0%"),
        (numbers.usd(0.74), "$0.74"),
        (numbers.usd(86), "$86.00"),
        (numbers.usd(12_000), "$12,000"),
        (numbers.usd(-3.2), "\u2212$3.20"),
        (numbers.usd(0.00123), "$0.0012"),
        (numbers.usd(0), "$0.00"),
        (numbers.ms(1.536), "1,536 ms"),
        (numbers.ms(0.0042), "4.2 ms"),
        (numbers.ms(0.000042), "0.042 ms"),
        (numbers.duration(85.2), "85 s"),
        (numbers.duration(8.52), "8.5 s"),
        (numbers.duration(0.0421), "0.042 s"),
        (numbers.duration(720), "12 min"),
        (numbers.duration(12_000), "3 h 20 min"),
        (numbers.duration(0), "0 s"),
        (numbers.count(12_181), "12,181"),
        (numbers.decimal(0.9219), "0.922"),
        (numbers.p_value(0.0341), "p = 0.034"),
        (numbers.p_value(0.0009), "p < 0.001"),
        (numbers.p_value(1.0), "p = 1.000"),
    ],
)
def test_numbers_are_written_as_the_reports_reader_expects(written: str, expected: str) -> None:
    assert written == expected


FORMATS = [
    numbers.number, numbers.count, numbers.decimal, numbers.percent, numbers.change, numbers.points, numbers.usd,
    numbers.ms, numbers.duration, numbers.p_value,
]  # fmt: skip


@pytest.mark.parametrize("write", FORMATS)
def test_what_is_not_known_is_a_dash(write: object) -> None:
    assert write(None) == numbers.MISSING  # type: ignore[operator]
    assert numbers.percent_interval(None, 1) == numbers.points_interval(0, None) == numbers.MISSING


@settings(deadline=None)
@given(st.floats(-1e9, 1e9))
def test_no_number_is_written_with_a_hyphen_or_as_nothing(x: float) -> None:
    for write in FORMATS[:-1]:
        text = write(x)
        assert "-" not in text
        assert any(character.isdigit() for character in text)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (34.699, "34.7"),
        (0.03109, "0.0311"),
        (9.996, "10.0"),
        (1234.6, "1,235"),
        (-2.5, "−2.50"),
        (0.0, "0"),
        (None, "–"),
    ],
)
def test_significant_digits(x: float | None, text: str) -> None:
    assert numbers.significant(x) == text
