"""A small labelled table whose texts are no near-duplicates of each other."""

from __future__ import annotations

import csv
from pathlib import Path

WORDS = (
    "amber", "bridge", "candle", "dune", "ember", "forest", "garnet", "harbor", "island", "jasper", "kernel", "lantern",
)  # fmt: skip
ITEMS = tuple(
    (f"Report {n}: {WORDS[n % 12]} {WORDS[n // 12 % 12]}, then {WORDS[(5 * n + 3) % 12]}.", ("good", "bad")[n % 2])
    for n in range(120)
)
"""Text and label."""


def write_items(path: Path) -> None:
    """Writes the table as CSV, with columns `text` and `label`."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *ITEMS])
