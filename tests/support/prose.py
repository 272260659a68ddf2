"""Numbers in prose: each must stand, formatted, in the results that the prose is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations
from typing import Any

from harness import numbers


def figures_of(value: Any) -> list[float]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [figure for item in items for figure in figures_of(item)]


def written(value: float) -> set[str]:
    texts = [
        numbers.count(value), numbers.number(value, 1), numbers.decimal(value), numbers.percent(value),
        numbers.percent(value, 0), numbers.points(value), numbers.usd(value), numbers.ms(value),
        numbers.duration(value), numbers.p_value(value), numbers.significant(value), numbers.significant(value * 100),
    ]  # fmt: skip
    return {number for text in texts for number in NUMBER.findall(text)}


NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


def allowed(data: dict[str, Any]) -> set[str]:
    found = {number for figure in figures_of(data) for number in written(figure)}
    found |= {str(len(data["run"]["labels"])), str(sum(bool(arm["n"]) for arm in data["arms"]))}  # how many there are
    for first, second in permutations(data["arms"], 2):
        for key in ("cost_per_1k_usd", "machine_s_per_1k", "input_tokens_mean"):
            if first.get(key) is not None and second.get(key):
                ratio = first[key] / second[key]
                found |= set(NUMBER.findall(numbers.change(ratio - 1))) | written(ratio)
        p95 = first["latency_s"]["p95"], second["latency_s"]["p95"]
        if p95[0] is not None and p95[1]:
            found |= set(NUMBER.findall(numbers.change(p95[0] / p95[1] - 1)))
    return found


CONSTANTS = {"95", "1,000", "5", "20", "1"}
"""95% CI, per 1,000, 5th and 95th percentile, macro-F1, the 20 most instructive errors."""


def strange_numbers(data: Any) -> Callable[[str], tuple[int, list[str]]]:
    """Returns what counts the numbers of a text and names those of them that do not stand in `data`."""
    known = allowed(dict(data)) | CONSTANTS
    names = {str(arm[key]) for arm in data["arms"] for key in ("name", "model") if arm[key]} | {data["run"]["id"]}
    longest_first = sorted(names, key=len, reverse=True)

    def strange(text: str) -> tuple[int, list[str]]:
        for name in longest_first:
            text = text.replace(name, "").replace(name.capitalize(), "")
        found = NUMBER.findall(text.replace("macro-F1", "").replace("Macro-F1", ""))
        return len(found), [number for number in found if number not in known and set(number) - {"0", ".", ","}]

    return strange
