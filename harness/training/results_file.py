"""Step metrics of a training job, whatever a provider calls them: results files and events → one list of steps.

Columns of results files have changed from era to era and differ between providers; for some time the content came
base64-encoded. What is not known is left out, and so is a row that cannot be read.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Step: TypeAlias = dict[str, int | float]
"""One step: `step` and those of `FIGURES` that are known of it."""

FIGURES = (
    "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "full_valid_loss", "full_valid_accuracy",
)  # fmt: skip
"""Canonical names. An accuracy is that of single tokens; `full_…` is measured over the whole validation file."""

_NAMES: Mapping[str, str] = {
    **{name: name for name in FIGURES},
    "training_loss": "train_loss",
    "loss": "train_loss",
    "train_mean_token_accuracy": "train_accuracy",
    "training_token_accuracy": "train_accuracy",
    "validation_loss": "valid_loss",
    "eval_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_accuracy",
    "validation_mean_token_accuracy": "valid_accuracy",
    "validation_token_accuracy": "valid_accuracy",
    "full_validation_loss": "full_valid_loss",
    "full_valid_mean_token_accuracy": "full_valid_accuracy",
    "full_validation_mean_token_accuracy": "full_valid_accuracy",
}


def canonical(row: Mapping[Any, Any]) -> Step | None:
    """Returns one row of metrics under the canonical names; `None` where it belongs to no step."""
    named = {str(key).strip().lower(): value for key, value in row.items()}
    step = _number(named.get("step"))
    if step is None or step < 0:
        return None
    found: Step = {"step": int(step)}
    for name, value in named.items():
        figure, number = _NAMES.get(name), _number(value)
        # Losses and accuracies are not negative: some providers write -1 for what was not measured at a step.
        if figure is not None and number is not None and number >= 0:
            found.setdefault(figure, number)
    return found


def read_results(raw: bytes) -> list[Step]:
    """Reads a results file.

    Args:
        raw: CSV in UTF-8, or that in base64.

    Returns:
        Its steps in the file's order; empty where it is no results file.
    """
    lines = io.StringIO(_decoded(raw).decode("utf-8-sig", "replace").replace("\x00", ""))
    try:
        found = [canonical(row) for row in csv.DictReader(lines)]
    except csv.Error:  # e.g. a field of more than 128 kB: it is something else
        return []
    return [step for step in found if step is not None]


def may_be_results(begin: bytes) -> bool:
    """Whether a file that begins like this may be a results file; adapters and pages of proxies are none."""
    head = begin[: len(begin) // 4 * 4]  # base64 comes in groups of four
    first = _decoded(head).decode("utf-8-sig", "replace").partition("\n")[0]
    return "step" in [cell.strip().strip('"').lower() for cell in first.split(",")]


def joined(*sources: Iterable[Mapping[Any, Any]]) -> list[Step]:
    """Returns one list of steps, in order, from several lists of metrics; what comes first counts."""
    steps: dict[int, Step] = {}
    for source in sources:
        for row in source:
            found = canonical(row)
            if found is not None:
                steps[int(found["step"])] = found | steps.get(int(found["step"]), {})
    return [{name: steps[step][name] for name in ("step", *FIGURES) if name in steps[step]} for step in sorted(steps)]


def thinned(steps: Sequence[Step], most: int) -> list[Step]:
    """Returns at most `most` steps, evenly spread, first and last among them.

    Steps with a validation loss go first: they are few, and what the others surround.
    """
    if len(steps) <= most:
        return list(steps)
    measured = [place for place, step in enumerate(steps) if "valid_loss" in step or "full_valid_loss" in step]
    kept = set(_spread(measured, most // 2)) if len(measured) > most // 2 else set(measured)
    others = [place for place in range(len(steps)) if place not in kept]
    return [steps[place] for place in sorted(kept | set(_spread(others, most - len(kept))))]


def _spread(places: Sequence[int], number: int) -> list[int]:
    if number < 2 or len(places) <= number:
        return list(places[-number:]) if number else []
    return [places[round(n * (len(places) - 1) / (number - 1))] for n in range(number)]


def _decoded(raw: bytes) -> bytes:
    """Undoes base64, which is sniffed: a CSV with several columns has a comma, base64 has none."""
    packed = b"".join(raw.split())
    if not packed or b"," in packed:
        return raw
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return raw


def _number(value: Any) -> float | None:
    """Returns a finite number, `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
