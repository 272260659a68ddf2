"""How a number is written: one place for the verdict, the terminal and the report.

Every function takes an unrounded figure of `results.json`, in the unit that stands there, and returns text. `None`,
which means "does not apply" or "not known", becomes an en dash. The minus sign is U+2212; a zero has no sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.terms import cost_name
from harness.words import say, say_n

MISSING = "–"
"""What stands where there is no number."""
MINUS = "\u2212"


def number(x: float | None, digits: int = 0, *, signed: bool = False) -> str:
    """Writes a number with thousands separators: `12,181`, `−0.4`, `+1.6` where `signed`."""
    if x is None:
        return MISSING
    text = f"{abs(x):,.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    return f"{MINUS if x < 0 else '+' if signed else ''}{text}"


def count(n: float | None) -> str:
    """Writes a number of things: `12,181`."""
    return number(n)


def counted(n: int, what: str) -> str:
    """Writes `1 row`, `2 rows`: a number with what is counted, whose plural ends in s."""
    return f"{n:,} {what if n == 1 else what + 's'}"


def decimal(x: float | None, digits: int = 3) -> str:
    """Writes a score that is no share, such as macro-F1: `0.922`."""
    return number(x, digits)


def significant(x: float | None, digits: int = 3) -> str:
    """Writes a number with so many significant digits, but never without its whole ones: `34.7`, `0.0311`, `1,235`."""
    return number(x, _decimals(abs(x), digits)) if x else number(x)


def percent(x: float | None, digits: int = 1) -> str:
    """Writes a share of 1 as `93.4%`. A difference of two shares is written by `points`."""
    return MISSING if x is None else f"{number(x * 100, digits)}%"


def percent_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """Writes the bounds of a share as `92.3–94.5%`."""
    if low is None or high is None:
        return MISSING
    return f"{number(low * 100, digits)}–{number(high * 100, digits)}%"


def change(x: float | None) -> str:
    """Writes a relative change as `−91%`; a change that rounds to nothing is `0%`."""
    return MISSING if x is None else f"{number(x * 100, signed=True)}%"


def points(x: float | None, digits: int = 1, *, signed: bool = True) -> str:
    """Writes a difference of two shares: `+4.1 points`; never as a percentage."""
    if x is None:
        return MISSING
    written = number(x * 100, digits, signed=signed)
    return say_n(1 if written.lstrip("+" + MINUS) == "1" else 2, "{n} point", "{n} points", n=written)


def points_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """Writes the bounds of a difference of two shares, in points: `−0.4 to +1.6`."""
    if low is None or high is None:
        return MISSING
    return span(number(low * 100, digits, signed=True), number(high * 100, digits, signed=True))


def span(low: str, high: str) -> str:
    """Writes from where to where, of two numbers that are written already: `1,200 to 1,500`."""
    return say("{low} to {high}", low=low, high=high)


def usd(x: float | None) -> str:
    """Writes dollars: `$0.74`, `$12,000`, and two significant digits below a cent: `$0.0012`."""
    if x is None:
        return MISSING
    size = abs(x)
    if size >= 9_999.5:
        text = f"{size:,.0f}"
    elif size >= 0.00995 or size == 0:
        text = f"{size:,.2f}"
    else:
        text = f"{size:.{_decimals(size, 2)}f}"
    return f"{MINUS if x < 0 else ''}${text}"


def ms(seconds: float | None) -> str:
    """Writes a latency that is given in seconds: `1,536 ms`, below 10 ms with two significant digits."""
    if seconds is None:
        return MISSING
    size = abs(seconds) * 1000
    digits = 0 if size >= 9.95 or size == 0 else 1 if size >= 0.995 else min(_decimals(size, 2), 6)
    return f"{number(seconds * 1000, digits)} ms"


def duration(seconds: float | None) -> str:
    """Writes how long something took: `0.42 s`, `8.5 s`, `85 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return MISSING
    size = abs(seconds)
    if size < 119.5:
        digits = 0 if size >= 9.95 or not size else 1 if size >= 0.95 else min(_decimals(size, 2), 6)
        return say("{n} s", n=number(seconds, digits))
    minutes = round(size / 60)
    sign = MINUS if seconds < 0 else ""
    if minutes < 60:
        return say("{n} min", n=sign + str(minutes))
    hours, rest = divmod(minutes, 60)
    written = f"{sign}{hours:,}"
    return say("{hours} h {minutes} min", hours=written, minutes=rest) if rest else say("{n} h", n=written)


def invested(payback: Mapping[str, Any]) -> str:
    """Writes what is paid back: `$86.00 of training`; of more than two parts, `$900.00 of investment`.

    Args:
        payback: One of `results.json`.
    """
    unit = payback["unit"]
    amount = usd(payback["fixed"]) if unit == "usd" else duration(payback["fixed"])
    lines = payback.get("investment") or ()
    names = [cost_name(line["name"]) for line in lines if line["counted"] and line[unit]] or [cost_name("training")]
    if len(names) > 2:
        return say("{amount} of investment", amount=amount)
    if len(names) == 2:
        return say("{amount} of {one} and {other}", amount=amount, one=names[0], other=names[1])
    return say("{amount} of {what}", amount=amount, what=names[0])


def p_value(p: float | None) -> str:
    """Writes a p value with its sign of equality: `p = 0.034`, `p < 0.001`."""
    if p is None:
        return MISSING
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _decimals(size: float, digits: int) -> int:
    """Returns how many decimals show so many significant digits of `size`, which is above 0; 12 at most."""
    exponent = int(f"{size:.{digits - 1}e}".split("e")[1])
    return min(max(digits - 1 - exponent, 0), 12)
