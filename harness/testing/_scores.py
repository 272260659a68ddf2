"""Trials of metrics and sections."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.blocks import Results
from harness.testing._samples import all_rows
from harness.testing._trial import Trial, shown
from harness.types import Rows

CLOSE = 1e-9
"""Relative difference that the order of a sum may make."""


def metric(trial: Trial) -> None:
    """Scores answers of every kind."""
    names: set[str] | None = None
    for case, rows in all_rows().items():
        with trial.part():
            figures = _figures(trial, rows, case)
            names = set(figures) if names is None else names
            said = f"of {case} it has {sorted(figures)}, not {sorted(names)}"
            trial.expect("same-names", set(figures) == names, said)
            again = _figures(trial, rows, case, trial.make())
            trial.expect("deterministic", again == figures, f"of {case} it returned {figures} and then {again}")
            mixed = list(rows.rows)
            random.Random(7).shuffle(mixed)
            other = _figures(trial, replace(rows, rows=tuple(mixed)), f"{case}, shuffled")
            trial.expect("order-free", _close(figures, other), f"of {case} it returned {figures}; shuffled {other}")


def _figures(trial: Trial, rows: Rows, case: str, of: Any = None) -> dict[str, Any]:
    plugin = trial.plugin if of is None else of
    came = trial.watched(f"score() of {case}", lambda: plugin.score(rows), [rows])
    trial.need("figures", isinstance(came, Mapping), f"of {case} it returned a {type(came).__name__}")
    for name, value in came.items():
        trial.need("figures", isinstance(name, str) and bool(name), f"a figure is named {name!r}")
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        trial.need("figures", value is None or number, f"of {case} it returned {name} = {value!r}")
    return dict(came)


def _close(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return set(first) == set(second) and all(
        value == second[name]
        or (value is not None and second[name] is not None and math.isclose(value, second[name], rel_tol=CLOSE))
        for name, value in first.items()
    )


def section(trial: Trial) -> None:
    """Asks a section about whole results, and about such as lack something."""
    from harness.testing._run import sample_results

    for case, results in _cases(sample_results()).items():
        with trial.part():
            blocks = _blocks(trial, results, case)
            again = _blocks(trial, results, case)
            trial.expect("deterministic", again == blocks, f"of {case} it yields other blocks the second time")
            _rendered(trial, results, case)


def _blocks(trial: Trial, results: Results, case: str) -> list[Any]:
    from harness.report.conform import conform

    promise = "works" if case == "a whole run" else "copes"
    doing = f"blocks() of {case}"
    blocks: list[Any] = trial.watched(doing, lambda: list(trial.plugin.blocks(results)), [results], promise=promise)
    for block in blocks:
        try:
            conform(block)
        except (TypeError, ValueError, ArithmeticError) as error:
            trial.need("blocks", False, f"of {case} it {shown(error)}")
        trial.need("blocks", not _marked(block), f"of {case} a {type(block).__name__} holds markup instead of text")
    trial.expect("blocks", True, "")
    return blocks


def _marked(value: Any) -> bool:
    """Whether a text anywhere in a value claims to be markup."""
    if isinstance(value, str):
        return hasattr(value, "__html__")
    if isinstance(value, tuple | list):
        return any(map(_marked, value))
    names = getattr(type(value), "__dataclass_fields__", {})
    return any(_marked(getattr(value, name)) for name in names)


def _rendered(trial: Trial, results: Results, case: str) -> None:
    from harness.report.page import render

    page = trial.watched("render()", lambda: render(results, [trial.plugin]), promise="renders")
    remark = "could not be shown"
    trial.expect("renders", remark not in page, f"of {case} the page says that it {remark}")


def _cases(whole: Results) -> dict[str, Results]:
    """Returns the results that a section meets, by name."""
    from harness.report.reading import PRIVATE

    data = copy.deepcopy(dict(whole.data))
    bare = {key: [] if isinstance(value, list) and key != "arms" else value for key, value in data.items()}
    failed = copy.deepcopy(data)
    for arm in failed["arms"]:
        n = arm["n"] or 0
        arm |= dict.fromkeys(
            ("accuracy", "accuracy_strict", "accuracy_ci", "macro_f1", "latency_s", "cost_per_1k_usd", "model"), None
        )
        arm |= {"answered": 0, "unparsed": 0, "failed": n}
    alone = {**bare, "arms": copy.deepcopy(data["arms"][:1])}
    texts = {name: values for name, values in whole.predictions.items() if name not in PRIVATE}
    return {
        "a whole run": whole,
        "a run without texts": Results(data=data, predictions=texts),
        "a run without predictions": Results(data=data),
        "a run whose arms all failed": replace(whole, data=failed),
        "a run of one arm": replace(whole, data=alone),
    }
