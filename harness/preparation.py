"""The data stage with its input and output: a dataset read, prepared, gated, and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.console import Console
from harness.errors import GateError
from harness.experiment import Experiment
from harness.plugins import attributed
from harness.prepare import Fractions, Prepared, PrepareOptions, limited, prepare
from harness.prepare.clean import Cluster
from harness.types import Check, Context, Example, Split

LISTED = 1000
"""Most clusters that `quality.json` lists; conflicting ones first, then the largest."""

DISCORDANCE = 0.1
"""Share of items that exactly one of two arms gets right, assumed before there are answers: arms that are worth
comparing mostly differ on one item in twenty to one in five."""


def load_examples(experiment: Experiment) -> tuple[list[Example], tuple[Check, ...]]:
    """Reads the dataset.

    Returns:
        The examples; what the dataset found or mended while reading.

    Raises:
        DataError: The data is not as described.
        PluginError: The dataset plugin raised.
    """
    told: list[Check] = []
    ctx = Context(
        seed=experiment.seed,
        labels=tuple(getattr(experiment.dataset, "labels", None) or ()),
        folder=experiment.path.parent,
        tell=told.append,
    )
    with attributed(experiment.dataset, "load"):
        return list(experiment.dataset.load(ctx)), tuple(told)


def options_of(experiment: Experiment) -> PrepareOptions:
    """Returns what an experiment asks of the data stage.

    Personal data stops a run by default where an arm answers outside this machine.
    """
    outside = any(
        not experiment.endpoints[name].on_this_machine for arm in experiment.arms for name in arm.endpoint_names()
    )
    table = experiment.prepare
    split = table.split
    return PrepareOptions(
        duplicates=table.duplicates,
        conflicts=table.conflicts,
        balance=table.balance,
        split=Fractions(
            train=split.train, validation=split.validation, test=split.test, stratify=split.stratify, by=split.by
        ),
        pii=table.pii or ("stop" if outside else "warn"),
        seed=experiment.seed if split.seed is None else split.seed,
        labels=tuple(labels) if (labels := getattr(experiment.dataset, "labels", None)) else None,
        ordered=bool(getattr(experiment.dataset, "ordered", False)),
    )


def prepared(experiment: Experiment, console: Console, limit: int | None = None) -> Prepared:
    """Reads and prepares an experiment's data, with every finding about it.

    Args:
        experiment: The experiment.
        console: Is told how far it has come.
        limit: For a preview: so many test examples at most.
    """
    console.say("preparing the data")
    examples, told = load_examples(experiment)
    data = prepare(examples, options_of(experiment), console.track)
    data = replace(data, checks=(*told, *data.checks, *_power(data, experiment.verdict.margin)))
    if limit is not None:
        data = limited(data, limit, experiment.seed)
    sizes = {split: len(data.of(split)) for split in Split}
    console.say(f"{data.rows_in:,} rows: " + ", ".join(f"{size:,} {split}" for split, size in sizes.items()))
    return data


def _power(data: Prepared, margin: float) -> tuple[Check, ...]:
    """Says what the test split can show, before anything is spent."""
    from harness.scoring.statistics import n_for_80_power, smallest_difference

    n = len(data.of(Split.TEST))
    smallest, needed = smallest_difference(n, DISCORDANCE), n_for_80_power(margin, DISCORDANCE)
    if not n or smallest is None:
        return ()
    enough = needed is None or n >= needed
    return (
        Check(
            kind="power",
            level="ok",
            heading="quantity",
            message=f"{n:,} test rows show {100 * smallest:.1f} points of difference with 80% power if the arms differ "
            f"on {DISCORDANCE:.0%} of them; the margin of {100 * margin:g} points takes {needed or 0:,}",
            advice="" if enough else "Label more test rows, or accept a wider [verdict].margin.",
            figures={
                "test": n,
                "smallest_difference": smallest,
                "needed_for_margin": needed,
                "margin": margin,
                "assumed_discordance": DISCORDANCE,
            },
        ),
    )


def gate(data: Prepared, *, allow_leaks: bool, listed_in: Path) -> None:
    """Stops where test items stand in other splits, or where texts must not leave this machine.

    Raises:
        GateError: Saying which.
    """
    leaks = [leak for leak in data.leaks if leak.split_a == Split.TEST]
    if leaks and not allow_leaks:
        first = leaks[0]
        raise GateError(
            f"{len(leaks):,} test examples stand on both sides of a split, e.g. {first.a} ({first.split_a}) and "
            f"{first.b} ({first.split_b}), {first.kind}; all are in {listed_in}",
            "take them out of one side, let the harness split, or run with --allow-leaks",
        )
    personal = next((check for check in data.checks if check.kind == "personal-data" and check.level == "error"), None)
    if personal is not None:
        raise GateError(
            f"personal data would leave this machine: {personal.message}",
            'set [prepare].pii = "mask" to replace it, or "warn" to send it as it is',
        )


def quality(data: Prepared, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns `data/quality.json`: rows in = rows out + rows removed by each rule, and every finding.

    Args:
        data: The prepared data.
        files: File name → SHA-256 of what is written beside it.
    """
    report: dict[str, Any] = {
        "schema": 1,
        "rows_in": data.rows_in,
        "rows_out": {str(split): len(data.of(split)) for split in Split},
        "removed": dict(data.removed),
        "labels": list(data.labels),
        "leaks": [asdict(leak) for leak in data.leaks],
        "checks": [asdict(check) for check in data.checks],
        "fingerprint": data.fingerprint,
        "clusters": {
            "exact": sum(cluster.kind == "exact" for cluster in data.clusters),
            "near": sum(cluster.kind == "near" for cluster in data.clusters),
            "conflicting": sum(cluster.conflicting for cluster in data.clusters),
            "listed": [asdict(cluster) for cluster in _worst(data.clusters)],
        },
        "ranked": [asdict(ranked) for ranked in data.ranked],
        "weights": None if data.weights is None else dict(data.weights),
    }
    return report if files is None else {**report, "files": dict(files)}


def _worst(clusters: Sequence[Cluster]) -> list[Cluster]:
    def order(cluster: Cluster) -> tuple[bool, int, tuple[str, ...]]:
        return (not cluster.conflicting, -len(cluster.removed), cluster.kept + cluster.removed)

    return sorted(clusters, key=order)[:LISTED]
