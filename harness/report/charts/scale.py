"""From values to pixels, and the ticks between: 1-2-5 steps, linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from harness import numbers
from harness.blocks import Axis, Unit
from harness.words import say

SHORT = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
"""Ticks of ten of these and more are shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps `low`…`high` to `start`…`end` pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    zero: bool = False
    """On a log axis: values of zero stand at `start`, left of a gap."""

    def __call__(self, value: float) -> float:
        """Returns the pixel of `value`."""
        if not self.log:
            return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
        first = self.start + (self.end - self.start) * (0.12 if self.zero else 0.0)
        if value <= 0:
            return self.start
        return first + math.log(value / self.low) / math.log(self.high / self.low) * (self.end - first)

    def ticks(self, room: int) -> list[float]:
        """Returns at most about `room` values worth a tick."""
        if not self.log:
            return _linear(self.low, self.high, room)
        marks = _logarithmic(self.low, self.high, room)
        return [0.0, *marks] if self.zero else marks

    def write(self, value: float, unit: Unit, among: list[float]) -> str:
        """Writes a tick's value, with as many decimals as tell the ticks apart."""
        near = [abs(other - value) for other in among if other != value]
        gap = (
            min([*near, abs(value) or math.inf])
            if self.log and near
            else min((b - a for a, b in pairwise(among)), default=abs(value) or 1.0)
        )
        factor = {"share": 100.0, "points": 100.0, "ms": 1000.0}.get(unit, 1.0)
        short, suffix = next(((size, sign) for size, sign in SHORT if abs(value) >= size * 10), (1.0, ""))
        if factor == 1 and suffix and (unit, suffix) != ("s", "k"):
            factor = 1 / short
        digits = max(0, -math.floor(math.log10(gap * factor) + 1e-9))
        while digits < 12 and abs(round(value * factor, digits) - value * factor) > gap * factor / 20:
            digits += 1
        text = numbers.number(value * factor, digits, signed=unit == "points")
        suffix = suffix if factor < 1 else ""
        text = text.rstrip("0").rstrip(".") if "." in text and (self.log or suffix) else text
        text += suffix
        return {"share": f"{text}%", "usd": f"${text}", "ms": f"{text} ms", "s": say("{n} s", n=text)}.get(unit, text)


def scale(axis: Axis, values: Iterable[float], start: float, end: float, pad: float = 0.06) -> Scale:
    """Chooses the range of an axis so that all `values` lie well inside it."""
    known = [value for value in values if math.isfinite(value)]
    if axis.log and any(value > 0 for value in known):
        positive = [value for value in known if value > 0]
        low, high = min(positive), max(positive)
        grow = max((high / low) ** (pad * 1.4), 1.15)
        return Scale(
            low=axis.low or low / grow,
            high=axis.high or high * grow,
            start=start,
            end=end,
            log=True,
            zero=any(value <= 0 for value in known),
        )
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    spread = (high - low) or abs(high) * 0.2 or 1.0
    first = low - spread * pad if axis.low is None else axis.low
    last = high + spread * pad if axis.high is None else axis.high
    if axis.unit == "share":
        first, last = max(first, 0.0), min(last, 1.0)
    return Scale(low=first, high=last if last > first else first + 1.0, start=start, end=end)


def _step(span: float, room: int) -> float:
    raw = span / max(room, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= raw * 0.999), 10 * power)


def _linear(low: float, high: float, room: int) -> list[float]:
    step = _step(high - low, room)
    if step > high - low:  # so coarse a step may pass the whole axis by
        step = _step(high - low, 2 * room)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _logarithmic(low: float, high: float, room: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 5), (1, 3), (1,)):
        marks = [f * 10.0**n for n in range(first, last + 1) for f in factors]
        inside = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
        if 2 <= len(inside) <= room + 1:
            return inside
    if len(inside) >= 2:  # more decades than room: every nth of them
        return inside[:: math.ceil(len(inside) / room)]
    return _linear(low, high, min(room, 4))


def write(value: float | None, unit: Unit) -> str:
    """Writes a value of a figure as its data table shows it."""
    if value is None:
        return numbers.MISSING
    if unit == "share":
        return numbers.percent(value)
    if unit == "points":
        return numbers.points(value)
    if unit == "usd":
        return numbers.usd(value)
    if unit == "ms":
        return numbers.ms(value)
    if unit == "s":
        return numbers.duration(value)
    whole = unit in ("requests", "tokens") or value == int(value)
    return numbers.number(value, 0 if whole else 3)
