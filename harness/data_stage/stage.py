"""An experiment's data: its dataset read and prepared, with every finding about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.collector import uncollected
from harness.console import Console
from harness.data_stage.gates import prompt_leaks
from harness.data_stage.training_sets import Written, sets_of, written
from harness.experiment import Experiment
from harness.findings import finding
from harness.numbers import counted
from harness.plugins import attributed, guard
from harness.prepare.limit import limited
from harness.prepare.options import Fractions, Prepared, PrepareOptions
from harness.prepare.stage import prepare
from harness.types import Check, Context, Example, Split
from harness.words import noted

DISCORDANCE = 0.1
"""Share of items that exactly one of two arms gets right, assumed before there are answers: arms that are worth
comparing mostly differ on one item in twenty to one in five."""


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
    return data if limit is None else limited(data, limit, experiment.seed, _named(experiment))


def _named(experiment: Experiment) -> frozenset[str]:
    """Returns the ids of the shots that the arms name."""
    shots = [one.shots for arm in experiment.arms for one in arm.variants if one.shots is not None]
    named = [getattr(each.selector, "ids", ()) for each in shots]
    return frozenset(name for ids in named if isinstance(ids, tuple | list) for name in ids if isinstance(name, str))


def _trainable(data: Prepared) -> bool:
    """Whether training files may be made: what no flag allows, such as personal data, stops the run before."""
    return not any(check.level == "error" and "leak" not in check.kind for check in data.checks)


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
        finding(
            "power",
            "ok",
            {
                "test": n,
                "smallest_difference": smallest,
                "needed_for_margin": needed,
                "margin": margin,
                "assumed_discordance": DISCORDANCE,
            },
            heading="quantity",
            advice="" if enough else noted("Label more test rows, or accept a wider [verdict].margin."),
        ),
    )
