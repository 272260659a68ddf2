"""Facts → `results.json`: every number that the report shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from harness.errors import HarnessError
from harness.scoring import comparisons, contenders, payback, verdict
from harness.scoring.answers import (
    Answers,
    Figures,
    barred,
    confusion,
    counts,
    per_class,
    request_costs,
    times,
    truncated_cost,
    usage,
)
from harness.scoring.bootstrap import group_codes, percentile_interval, resampled_means
from harness.scoring.comparisons import Panel
from harness.scoring.facts import ArmFacts, Decision, Price, RunFacts
from harness.scoring.statistics import wilson

SCHEMA = 1
PINNED = ("macro_f1", "mae", "mae_all", "off_by_one")
"""Figures of metric plugins that have a place of their own beside `metrics`."""
PRICE_RESAMPLES = 2_000
"""Resamples of prices: means of thousands of prices vary so little that more would change no digit that is shown."""


def build(run: RunFacts, arms: Sequence[ArmFacts]) -> Figures:
    """Scores a run: the whole of `results.json`, ready for `json.dumps(…, allow_nan=False)`.

    The same facts give the same results, whatever the order of the answers; arms stand in the order given.

    Args:
        run: The run.
        arms: Exactly the experiment's arms; one that has no answers yet has no predictions.

    Raises:
        HarnessError: Two arms of one name, or an arm with two answers to one example.
    """
    answers = {arm.name: Answers.of(arm) for arm in arms}
    if len(answers) < len(arms):
        raise HarnessError("two arms have the same name")
    panel = Panel.of(answers, run.n_test, run.groups, run.seed)
    lines = [_arm(arm, answers[arm.name], panel, run) for arm in arms]
    _rank(lines, panel, run.margin)
    named = contenders.name_contenders(lines)
    pair = (named["a"], named["b"])
    primary = pair if set(pair) <= set(panel.names) and len(set(pair)) == 2 else None
    leader = next((line["name"] for line in sorted(lines, key=_order) if line["name"] in panel.names), None)
    stars = [name for name in (*pair, leader) if name in panel.names]
    results = {
        "schema": SCHEMA,
        "run": _run(run, panel),
        "checks": [
            {
                "kind": check.kind,
                "level": check.level,
                "message": check.message,
                "figures": check.figures,
                "heading": check.heading,
                "advice": check.advice,
                "mended": check.mended,
            }
            for check in run.checks
        ],
        "arms": lines,
        "comparisons": comparisons.compare_all(panel, primary, stars, run.margin),
        "choices": [dict(choice) for choice in run.choices],
        "curves": [dict(curve) for curve in run.curves],
        "repeats": [dict(repeat) for repeat in run.repeats],
        "contenders": named,
        "data": dict(run.data),
    }
    _judge(results, run.decision, _Savings(answers, panel, run).interval)
    return dict(_plain(results))


def rejudge(results: Mapping[str, Any], decision: Decision, prices: Mapping[str, Price] | None = None) -> Figures:
    """Computes payback, decision and verdict anew from stored results, under other assumptions.

    Args:
        results: What `build` returned, or the parsed `results.json`.
        decision: All assumptions; those of the run stand in `decision.assumptions`.
        prices: Model name → price; replaces what the run paid, from the mean tokens of its answers.

    Returns:
        New results; the old ones are left as they are. Payback intervals need the answers and become `None`.
    """
    fresh = dict(results)
    fresh["arms"] = [dict(arm) for arm in results["arms"]]
    fresh["comparisons"] = [dict(line) for line in results["comparisons"]]
    for arm in fresh["arms"]:
        price = (prices or {}).get(arm["model"] or "")
        if price is not None:
            arm["price"] = asdict(price)
            arm["cost_per_1k_usd"] = payback.priced(arm, price)
    _judge(fresh, decision, None)
    return dict(_plain(fresh))


def _judge(results: Figures, decision: Decision, saving: payback.SavingInterval | None) -> None:
    """Adds what depends on assumptions: economy of each comparison, payback, decision, verdict."""
    named = {arm["name"]: arm for arm in results["arms"]}
    for line in results["comparisons"]:
        line |= payback.economy(named[line["a"]], named[line["b"]], line["difference"], decision)
    run = results["run"]
    table = payback.paybacks(results["arms"], results["contenders"], run["margin"], decision, saving)
    results["payback"] = table
    results["decision"] = payback.decide(results["arms"], table, decision, run["finished"])
    results["decision"]["assumptions"] = asdict(decision)
    results["verdict"] = verdict.judge(results)


def _run(run: RunFacts, panel: Panel) -> Figures:
    return {
        "name": run.name,
        "id": run.id,
        "started": run.started,
        "finished": run.finished,
        "seed": run.seed,
        "n_test": run.n_test,
        "preview": run.preview,
        "dataset": {"name": run.dataset, "fingerprint": run.fingerprint},
        "labels": list(run.labels),
        "command": run.command,
        "ordered": run.ordered,
        "margin": run.margin,
        "groups": panel.groups,
        "disagreements": comparisons.disagreements(panel),
        "machine": run.machine,
        "prices_date": run.prices_date,
    }


def _arm(arm: ArmFacts, answers: Answers, panel: Panel, run: RunFacts) -> Figures:
    n = len(answers)
    table = confusion(answers, run.labels)
    costs = request_costs(answers)
    busy_n = n if arm.busy_n is None else arm.busy_n
    return {
        "name": arm.name,
        "family": arm.family,
        "model": arm.model,
        "of": arm.of,
        "shots": arm.shots,
        **counts(answers),
        "simulated": arm.simulated,
        "imported": arm.imported,
        **_accuracy(arm, answers, panel),
        "accuracy_without_leaks": _without(answers, run.leaked),
        **{name: arm.metrics.get(name) for name in PINNED},
        **usage(answers),
        "cost_per_1k_usd": math.fsum(costs) / len(costs) * 1000 if costs else None,
        "training_cost_usd": arm.training_cost_usd,
        "training_s": arm.training_s,
        **times(answers),
        "machine_s_per_1k": arm.busy_s / busy_n * 1000 if arm.local and arm.busy_s is not None and busy_n else None,
        "local": arm.local,
        "mode": arm.mode,
        "refused": arm.refused,
        "complete": arm.name in panel.names,
        "barred": barred(answers, len(run.labels)),
        "truncated": sum(row.truncated for row in answers.rows),
        "truncated_cost_usd": truncated_cost(answers),
        "tokens_estimated": any(row.tokens_estimated for row in answers.rows),
        "reused": sum(row.reused for row in answers.rows),
        "attempts": sum(row.attempts for row in answers.rows),
        "faults": dict(arm.faults),
        "validation_accuracy": arm.validation_accuracy,
        "n_validation": arm.n_validation,
        "metrics": dict(arm.metrics),
        "price": asdict(arm.price) if arm.price else None,
        "shutdown_date": arm.shutdown_date,
        "confusion": table if n else None,
        "per_class": per_class(table) if n else [],
    }


def _accuracy(arm: ArmFacts, answers: Answers, panel: Panel) -> Figures:
    """Returns accuracy over all items, unparsed and failed ones being wrong, with its interval."""
    if not len(answers):
        return {"accuracy": None, "accuracy_strict": None, "accuracy_ci": None, "ci_method": None}
    n, strict = len(answers), arm.metrics.get("accuracy_strict")
    if strict is None and any(row.strict is not None for row in answers.rows):
        strict = sum(row.strict == row.expected for row in answers.rows) / n
    right = int(answers.right.sum())
    if arm.name in panel.names:
        interval, method = panel.accuracy_interval(arm.name)
    else:
        interval, method = wilson(right, n), comparisons.WILSON
    return {"accuracy": right / n, "accuracy_strict": strict, "accuracy_ci": list(interval), "ci_method": method}


def _without(answers: Answers, leaked: frozenset[str]) -> float | None:
    """Returns the accuracy over the items that have not leaked; `None` where none has, or where all have."""
    clean = [right for name, right in zip(answers.ids, answers.right, strict=True) if name not in leaked]
    return sum(map(bool, clean)) / len(clean) if clean and len(clean) < len(answers) else None


def _order(arm: Figures) -> tuple[Any, ...]:
    """Sort key: the most accurate first, then the cheaper, then by name; arms without answers last."""
    accuracy = arm["accuracy"]
    return (math.inf if accuracy is None else -accuracy, *contenders.by_validation(arm)[1:])


def _rank(lines: Sequence[Figures], panel: Panel, margin: float) -> None:
    """Adds `rank` and `letter` to each arm; an arm without answers has a letter but no rank."""
    order = sorted(lines, key=_order)
    ranks = comparisons.rank([line["name"] for line in order if line["accuracy"] is not None], panel, margin)
    for line, letter in zip(order, comparisons.letters(len(order)), strict=True):
        line |= {"rank": ranks.get(line["name"]), "letter": letter}


class _Savings:
    """Paired bootstrap of what arms save against each other, from the price of each request."""

    def __init__(self, answers: Mapping[str, Answers], panel: Panel, run: RunFacts) -> None:
        self._answers = {name: answers[name] for name in panel.names if request_costs(answers[name])}
        self._run = run

    def interval(self, a: str, b: str) -> tuple[float, float] | None:
        """Returns the 95% interval of the saving on 1,000 requests in USD; `None` where prices are missing."""
        if not {a, b} <= set(self._answers) or self._number < 2:
            return None
        cost_a, cost_b = (self._means[:, list(self._answers).index(name)] for name in (a, b))
        saving = (cost_b - cost_a) * 1000
        return percentile_interval(saving[np.isfinite(saving)], self._number)

    @cached_property
    def _codes(self) -> Any:
        ids = next(iter(self._answers.values())).ids
        return group_codes(ids, self._run.groups or {})

    @property
    def _number(self) -> int:
        return int(self._codes.max()) + 1

    @cached_property
    def _means(self) -> Any:
        """Resamples × arms: mean price of a request. Failed requests without a price count in neither sum."""
        costs = [[row.cost_usd for row in arm.rows] for arm in self._answers.values()]
        spent = [[cost or 0.0 for cost in arm] for arm in costs]
        asked = [[cost is not None for cost in arm] for arm in costs]
        columns = np.array([*spent, *asked], dtype=np.float64).T
        means = resampled_means(columns, self._codes, self._run.seed, PRICE_RESAMPLES)
        # A small resample may hold failed requests alone: it says nothing of their price
        with np.errstate(invalid="ignore"):
            return means[:, : len(costs)] / means[:, len(costs) :]


def _plain(value: Any) -> Any:
    """Returns the value as JSON knows it: no NaN, no infinity, no tuple, no array scalar."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
