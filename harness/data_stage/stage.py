"""The data stage with its input and output: a dataset read, prepared, gated, and written down."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness import tables
from harness.console import Console
from harness.data_stage.training_sets import Written, sets_of, written
from harness.errors import DataError, GateError
from harness.experiment import Experiment
from harness.files import json_text, write_together
from harness.numbers import counted
from harness.plugins import attributed, guard
from harness.prepare.clean import Cluster
from harness.prepare.limit import limited
from harness.prepare.normalise import fold
from harness.prepare.options import Fractions, Prepared, PrepareOptions
from harness.prepare.shingles import shingles
from harness.prepare.stage import prepare
from harness.types import Check, Context, Example, Split
from harness.words import noted

LISTED = 1000
"""Most clusters that `quality.json` lists; conflicting ones first, then the largest."""

DISCORDANCE = 0.1
"""Share of items that exactly one of two arms gets right, assumed before there are answers: arms that are worth
comparing mostly differ on one item in twenty to one in five."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps Python from looking for cycles among millions of small values that have none.

    Measured with 1.2 million reviews: a third of the processor's time from the split on.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A dataset's examples, and what it found or mended while reading them."""

    examples: Sequence[Example]
    told: tuple[Check, ...] = ()


def load_examples(experiment: Experiment, console: Console) -> Loaded:
    """Reads the dataset.

    Args:
        experiment: The experiment.
        console: Is told that it is at it.

    Raises:
        DataError: The data is not as described.
        PluginError: The dataset plugin raised.
    """
    told: list[Check] = []
    ctx = Context(
        seed=experiment.seed,
        labels=tuple(getattr(experiment.dataset, "labels", None) or ()),
        folder=experiment.path.parent,
        tell=guard.findings(told.append),
    )
    dataset = experiment.dataset
    with attributed(dataset, "load"), uncollected(), console.busy("reading the data"):
        examples = [guard.example(dataset, number, given) for number, given in enumerate(dataset.load(ctx))]
    return Loaded(examples=examples, told=tuple(told))


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


def prepared(experiment: Experiment, loaded: Loaded, console: Console, limit: int | None = None) -> Prepared:
    """Prepares an experiment's data, with every finding about it and about the files that its arms learn from.

    Args:
        experiment: The experiment.
        loaded: Its examples.
        console: Is told how far it has come.
        limit: For a preview: so many test examples at most.
    """
    with uncollected():
        data = found_out(loaded, options_of(experiment), experiment.verdict.margin, console)
        learned = written(sets_of(experiment), data, experiment.seed) if _trainable(data) else Written()
        data = replace(data, checks=(*data.checks, *prompt_leaks(experiment, data), *learned.checks))
    return data if limit is None else limited(data, limit, experiment.seed)


def _trainable(data: Prepared) -> bool:
    """Whether training files may be made: a leak or personal data stops the run before."""
    return not any(check.level == "error" for check in data.checks)


def found_out(loaded: Loaded, options: PrepareOptions, margin: float, console: Console) -> Prepared:
    """Prepares examples and adds what was told while they were read, and what the test split can show.

    Args:
        loaded: The examples.
        options: What is asked of the data stage.
        margin: Differences of accuracy within ± margin do not matter.
        console: Is told how far it has come.
    """
    with console.busy("preparing the data"):
        data = prepare(loaded.examples, options, console.track)
    sizes = ", ".join(f"{len(data.of(split)):,} {split}" for split in Split)
    console.say(f"{len(data.examples):,} of {counted(data.rows_in, 'row')} kept: {sizes}")
    return replace(data, checks=(*loaded.told, *data.checks, *_power(data, margin)))


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
            advice="" if enough else noted("Label more test rows, or accept a wider [verdict].margin."),
            figures={
                "test": n,
                "smallest_difference": smallest,
                "needed_for_margin": needed,
                "margin": margin,
                "assumed_discordance": DISCORDANCE,
            },
        ),
    )


SHORTEST = 30
"""Characters of a test text below which its standing in a prompt may be chance."""


def prompt_leaks(experiment: Experiment, data: Prepared) -> tuple[Check, ...]:
    """Looks for test examples in what the arms' formatters say with every item: shots written into an instruction.

    A text field of 30 characters or more stands in a prompt if nine tenths of its 5-character pieces do.
    """
    said: dict[str, str] = {}
    for arm in experiment.arms:
        for one in (arm, *(candidate for _, candidate in arm.candidates)):
            options = vars(one.formatter) if hasattr(one.formatter, "__dict__") else {}
            said |= {fold(value): arm.name for value in options.values() if isinstance(value, str)}
    pieces = [(arm, shingles(text)) for text, arm in said.items() if len(text) >= SHORTEST]
    found = [
        (example.id, arm)
        for example in (data.of(Split.TEST) if pieces else ())
        for arm, there in pieces
        if any(_stands_in(text, there) for text in example.fields.values())
    ]
    if not found:
        return ()
    ids = sorted({example for example, _ in found})
    return (
        Check(
            kind="prompt-leak",
            level="error",
            heading="quality",
            message=f"{counted(len(ids), 'test example')} in a prompt, e.g. {found[0][0]} in that of {found[0][1]}",
            advice=noted("Take them out of the instruction or template: a test must not be shown its answers."),
            figures={"ids": ids, "pairs": [list(pair) for pair in found[:20]]},
        ),
    )


def _stands_in(text: str, there: frozenset[str]) -> bool:
    folded = fold(text)
    if len(folded) < SHORTEST:
        return False
    own = shingles(folded)
    return 10 * len(own & there) >= 9 * len(own)


def gate(data: Prepared, *, allow_leaks: bool, listed_in: Path) -> None:
    """Stops where test items stand in other splits, texts must not leave this machine, or a job would be refused.

    Raises:
        GateError: Saying which.
        DataError: A training file would be refused, or its job would fail.
    """
    leaks = [leak for leak in data.leaks if leak.split_a == Split.TEST]
    if leaks and not allow_leaks:
        first = leaks[0]
        n = len({leak.a for leak in leaks})
        raise GateError(
            f"{counted(n, 'test example')} on both sides of a split, e.g. {first.a} ({first.split_a}) and "
            f"{first.b} ({first.split_b}), {first.kind}; all are in {listed_in}",
            "take them out of one side, let the harness split, or run with --allow-leaks",
        )
    shown = next((check for check in data.checks if check.kind == "prompt-leak"), None)
    if shown is not None and not allow_leaks:
        raise GateError(shown.message, "take them out of the prompt, or run with --allow-leaks")
    personal = next((check for check in data.checks if check.kind == "personal-data" and check.level == "error"), None)
    if personal is not None:
        raise GateError(
            f"[prepare].pii says stop: {personal.message}",
            'set [prepare].pii = "mask" to replace it, or "warn" to send it as it is',
        )
    refuse(data.checks)


def refuse(checks: Sequence[Check]) -> None:
    """Stops where a training file would be refused, or its job would fail.

    Raises:
        DataError: With the first such finding.
    """
    wrong = next((check for check in checks if check.level == "error" and "leak" not in check.kind), None)
    if wrong is not None:
        raise DataError(f"{wrong.kind}: {wrong.message}", wrong.advice)


def write(folder: Path, data: Prepared, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Writes prepared data: examples, training files and the quality report, all of them or none.

    Args:
        folder: Where to; other files in it are left alone.
        data: The prepared data.
        files: Name → content of the training files.

    Returns:
        `quality.json` as a dict.
    """
    whole = {**files, "examples.parquet": tables.examples_file(data.examples)}
    report = quality(data, {name: _sha256(content) for name, content in sorted(whole.items())})
    gone = [name for name in _written_before(folder) if name not in whole]
    # The report comes last: where it is new, the files that it names are new as well.
    write_together(folder, {**whole, "quality.json": json_text(report).encode("utf-8", "replace")}, gone)
    return report


def _written_before(folder: Path) -> list[str]:
    """Returns the files that a report in `folder` names, and that are still what it says."""
    try:
        named = json.loads((folder / "quality.json").read_bytes())["files"]
        return [name for name, mark in named.items() if _sha256((folder / Path(name).name).read_bytes()) == mark]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


EXCERPT = 160
"""Characters of a text that the report shows of a row that is worth a look."""


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
        "ranked": _ranked(data),
        "weights": None if data.weights is None else dict(data.weights),
    }
    return report if files is None else {**report, "files": dict(files)}


def _ranked(data: Prepared) -> list[dict[str, Any]]:
    """Returns the lists of rows worth a look, with the beginnings of their texts: the report stays on this machine."""
    listed = [asdict(ranked) for ranked in data.ranked]
    wanted = {item["id"] for ranked in listed for item in ranked["items"]}
    texts = {example.id: example.text for example in data.examples if example.id in wanted}
    for ranked in listed:
        ranked["items"] = [
            {**item, "text": text if len(text := texts.get(item["id"], "")) <= EXCERPT else f"{text[: EXCERPT - 1]}…"}
            for item in ranked["items"]
        ]
    return listed


def _worst(clusters: Sequence[Cluster]) -> list[Cluster]:
    def order(cluster: Cluster) -> tuple[bool, int, tuple[str, ...]]:
        return (not cluster.conflicting, -len(cluster.removed), cluster.kept + cluster.removed)

    return sorted(clusters, key=order)[:LISTED]
