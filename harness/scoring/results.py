"""Facts → `results.json`: every number that the report shows.

A new figure is computed here. What it needs of the run comes in `facts`, which `harness.outcome` gathers; runs that
were made before it get `null` where `harness.report.complete` names it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from harness.errors import HarnessError
from harness.findings.fairness import MESSAGES as ON_FAIRNESS
from harness.scoring import comparisons, contenders, fairness, variance
from harness.scoring.answers import (
    Answers,
    Figures,
    barred,
    confusion,
    cost_per_request,
    counts,
    per_class,
    readings,
    times,
    truncated_cost,
    usage,
)
from harness.scoring.bootstrap import group_codes
from harness.scoring.cascades import cascades
from harness.scoring.comparisons import Panel
from harness.scoring.confidence import confidence
from harness.scoring.decomposition import decompositions
from harness.scoring.facts import ArmFacts, RunFacts
from harness.scoring.intervals import Items, differences, intervals
from harness.scoring.judging import judge, plain
from harness.scoring.slices import slices
from harness.types import Check

SCHEMA = 1
PINNED = ("macro_f1", "mae", "mae_all", "off_by_one")
"""Figures of metric plugins that have a place of their own beside `metrics`."""


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
        "run": _run(run, panel, arms),
        "checks": [_check(check) for check in _checks(run, lines, named)],
        "arms": lines,
        "comparisons": comparisons.compare_all(panel, primary, stars, run.margin),
        "differences": [] if primary is None else _differences(primary, arms, answers, run),
        "choices": [dict(choice) for choice in run.choices],
        "curves": [dict(curve) for curve in run.curves],
        "training": [dict(job) for job in run.training],
        "repeats": [dict(repeat) for repeat in run.repeats],
        "contenders": named,
        "variation": variance.variation(arms, answers, run),
        "decomposition": decompositions(arms, answers, named["b"], named["a"], run),
        "cascades": cascades(arms, answers, lines, run),
        "slices": slices(answers, run),
        "data": dict(run.data),
        "ledger": None if run.ledger is None else dict(run.ledger),
    }
    judge(results, run.decision, {name: answers[name] for name in panel.names}, run.groups or {})
    return dict(plain(results))


def _run(run: RunFacts, panel: Panel, arms: Sequence[ArmFacts]) -> Figures:
    varied, not_varied = variance.varied(arms, run)
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
        "varied": varied,
        "not_varied": not_varied,
    }


def _checks(run: RunFacts, lines: Sequence[Figures], named: Figures) -> list[Check]:
    """Returns what was found before, and what is unfair; of a run that is scored again, what is so now."""
    found = fairness.checks(lines, named, run.choices, len(run.labels))
    return [check for check in run.checks if check.kind not in ON_FAIRNESS] + found


def _check(check: Check) -> Figures:
    """Returns a check as a table; its figures as they are, for `asdict` cannot copy every mapping."""
    return {field.name: getattr(check, field.name) for field in fields(check)}


def _arm(arm: ArmFacts, answers: Answers, panel: Panel, run: RunFacts) -> Figures:
    n = len(answers)
    table = confusion(answers, run.labels)
    cost = cost_per_request(answers)
    busy_n = n if arm.busy_n is None else arm.busy_n
    items = _items(answers, run)
    return {
        "name": arm.name,
        "family": arm.family,
        "model": arm.model,
        "of": arm.of,
        "shots": arm.shots,
        **counts(answers),
        "parsing": readings(answers, run.labels),
        "simulated": arm.simulated,
        "imported": arm.imported,
        **_accuracy(arm, answers, panel),
        "accuracy_without_leaks": _without(answers, run.leaked),
        **{name: arm.metrics.get(name) for name in PINNED},
        **usage(answers),
        "cost_per_1k_usd": None if cost is None else cost * 1000,
        "training_cost_usd": arm.training_cost_usd,
        "training_s": arm.training_s,
        "failed_training_usd": arm.failed_training_usd,
        **times(answers),
        "machine_s_per_1k": arm.busy_s / busy_n * 1000 if arm.local and arm.busy_s is not None and busy_n else None,
        "local": arm.local,
        "mode": arm.mode,
        "max_tokens": arm.max_tokens,
        "refused": arm.refused,
        "complete": arm.name in panel.names,
        "barred": barred(answers, len(run.labels)),
        "truncated": sum([row.truncated for row in answers.rows]),
        "truncated_cost_usd": truncated_cost(answers),
        "tokens_estimated": any(row.tokens_estimated for row in answers.rows),
        "reused": sum([row.reused for row in answers.rows]),
        "attempts": sum([row.attempts for row in answers.rows]),
        "faults": dict(arm.faults),
        "validation_accuracy": arm.validation_accuracy,
        "n_validation": arm.n_validation,
        "metrics": dict(arm.metrics),
        "intervals": intervals(answers, arm.metrics, items),
        "price": asdict(arm.price) if arm.price else None,
        "price_shares": None if arm.price_shares is None else dict(arm.price_shares),
        "shutdown_date": arm.shutdown_date,
        "confidence": confidence(answers, arm.validation, items.groups if items.clustered else None),
        "confusion": table if n else None,
        "per_class": per_class(table) if n else [],
    }


def _items(answers: Answers, run: RunFacts) -> Items:
    clustered = bool(run.groups) and len(answers) > 0
    codes = group_codes(answers.ids, run.groups or {}) if clustered else np.arange(len(answers))
    return Items(labels=run.labels, ordered=run.ordered, groups=codes, clustered=clustered, seed=run.seed)


def _differences(
    pair: tuple[str, str], arms: Sequence[ArmFacts], answers: Mapping[str, Answers], run: RunFacts
) -> list[Figures]:
    """Compares the contenders by other figures than accuracy."""
    a, b = sorted(pair)  # resamples follow the order of the arms, and swapping these has to negate, no more
    metrics = {arm.name: arm.metrics for arm in arms}
    lines = differences(answers[a], answers[b], (metrics[a], metrics[b]), _items(answers[a], run))
    return [{"a": a, "b": b, **line} if (a, b) == pair else _turned(b, a, line) for line in lines]


def _turned(a: str, b: str, line: Figures) -> Figures:
    ci = line["ci"]
    return {"a": a, "b": b, **line, "difference": -line["difference"], "ci": None if ci is None else [-ci[1], -ci[0]]}


def _accuracy(arm: ArmFacts, answers: Answers, panel: Panel) -> Figures:
    """Returns accuracy over all items, unparsed and failed ones being wrong, with its interval."""
    if not len(answers):
        return {"accuracy": None, "accuracy_strict": None, "accuracy_ci": None, "ci_method": None}
    n, strict = len(answers), arm.metrics.get("accuracy_strict")
    if strict is None and any(row.strict is not None for row in answers.rows):
        strict = sum([row.strict == row.expected for row in answers.rows]) / n
    interval, method = comparisons.accuracy_interval(arm.name, answers, panel)
    return {
        "accuracy": int(answers.right.sum()) / n,
        "accuracy_strict": strict,
        "accuracy_ci": list(interval),
        "ci_method": method,
    }


def _without(answers: Answers, leaked: frozenset[str]) -> float | None:
    """Returns the accuracy over the items that have not leaked; `None` where none has, or where all have."""
    if not leaked:
        return None
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
