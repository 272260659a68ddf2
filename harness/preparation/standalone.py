"""`harness prepare`: the data stage alone, of an experiment or of a file that nobody has described yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import tables
from harness.console import Console
from harness.errors import GateError
from harness.experiment import Experiment
from harness.guessing.guess import Given, Guess
from harness.guessing.looking import look
from harness.options import construct
from harness.plugins import Plugins, attributed
from harness.preparation import data as stage
from harness.preparation.data import Loaded
from harness.preparation.training_files import file_findings, is_training_file
from harness.preparation.training_sets import TrainingSet, Written, sets_of, written
from harness.prepare import PrepareOptions
from harness.prepare.profiles import PROFILES
from harness.prices import Prices
from harness.types import Check, Context

SEED, MARGIN = 7, 0.02
"""As an experiment has them by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Examples with all that the data stage has to know of them."""

    loaded: Loaded
    options: PrepareOptions
    sets: tuple[TrainingSet, ...]
    experiment: Experiment | None = None
    """Whose data it is, where it is an experiment's."""
    guessed: tuple[Guess, ...] = ()
    margin: float = MARGIN
    seed: int = SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who the training files of a bare file are for."""

    provider: str = "openai"
    model: str = "gpt-4.1-mini"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a preparation came to."""

    folder: Path
    report: Mapping[str, Any]
    guessed: tuple[Guess, ...] = ()
    refused: GateError | None = None
    """A gate that said no: the report is written, training files are not."""
    files: tuple[str, ...] = field(default=())


def of_experiment(experiment: Experiment, console: Console) -> Source:
    """Returns what an experiment's arms learn from."""
    return Source(
        loaded=stage.load_examples(experiment, console),
        options=stage.options_of(experiment),
        sets=sets_of(experiment),
        experiment=experiment,
        margin=experiment.verdict.margin,
        seed=experiment.seed,
    )


def of_file(
    data: Path, plugins: Plugins, given: Given, reading: Mapping[str, Any] | None = None, target: Target | None = None
) -> Source:
    """Looks at a file, guesses what is not given, and reads it.

    Prepared examples (`examples.parquet`) are taken as they are, split included.

    Args:
        data: The file.
        plugins: Where the dataset `files` and the formatters come from.
        given: What the user says about its columns.
        reading: Options that say how the file is read, e.g. `encoding`.
        target: Who the training files are for.
    """
    wanted = target or Target()
    options = PrepareOptions(seed=SEED)
    ready = tables.read_examples(data) if data.suffix == ".parquet" and data.is_file() else None
    if ready is not None:
        return Source(loaded=Loaded(examples=ready), options=options, sets=_sets(plugins, wanted))
    seen = look(data, plugins, given, reading)
    table = {"path": str(data.absolute()), **seen.options}
    dataset: Any = construct(plugins.get("dataset", "files").cls, table, "dataset")
    told: list[Check] = []
    with attributed(dataset, "load"):
        examples = list(dataset.load(Context(seed=SEED, folder=Path(), tell=told.append)))
    if is_training_file(data):
        profile = PROFILES[wanted.provider]
        told += [replace(check, message=f"{data.name}: {check.message}") for check in file_findings(data, profile)]
    return Source(
        loaded=Loaded(examples=examples, told=tuple(told)),
        options=replace(options, labels=dataset.labels, ordered=dataset.ordered),
        sets=_sets(plugins, wanted),
        guessed=seen.found,
    )


def _sets(plugins: Plugins, target: Target) -> tuple[TrainingSet, ...]:
    """Returns the two forms that providers train on: prompt and completion, and chat."""
    local = target.provider == "local"
    price = None if local else Prices(own={}, urls={}).training_usd(target.model, 1_000_000)
    return tuple(
        TrainingSet(
            name=name,
            formatter=construct(plugins.get("formatter", name).cls, {}, "formatter"),
            profile=PROFILES[target.provider],
            model=target.model,
            local=local,
            usd_per_million=price,
        )
        for name in ("completion", "chat")
    )


def carry_out(source: Source, folder: Path, console: Console, *, allow_leaks: bool) -> Result:
    """Prepares, checks and writes.

    A gate that says no leaves the quality report and the examples, and no training file.
    """
    data = stage.found_out(source.loaded, source.options, source.margin, console)
    if source.experiment is not None:
        data = replace(data, checks=(*data.checks, *stage.prompt_leaks(source.experiment, data)))
    refused = None
    made = Written()
    try:
        stage.gate(data, allow_leaks=allow_leaks, listed_in=folder / "quality.json")
    except GateError as error:
        refused = error
    else:
        with console.busy("writing the training files"):
            made = written(source.sets, data, source.seed)
    report = stage.write(folder, replace(data, checks=(*data.checks, *made.checks)), made.files)
    return Result(
        folder=folder, report=report, guessed=source.guessed, refused=refused, files=tuple(sorted(made.files))
    )
