"""`harness prepare`: the data stage alone, of an experiment or of a file that nobody has described yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import tables
from harness.console import Console
from harness.data_stage import gates, quality_report, stage
from harness.data_stage.stage import Loaded
from harness.data_stage.training_files import file_findings, is_training_file
from harness.data_stage.training_sets import TrainingSet, Written, sets_of, written
from harness.errors import DataError, GateError, HarnessError, UsageError
from harness.experiment import Experiment
from harness.experiment.file import ExperimentFile, VerdictTable
from harness.guessing.forms import prepared_forms
from harness.guessing.guess import Given, Guess
from harness.guessing.looking import look
from harness.plugins import Plugins, attributed
from harness.plugins.options import construct
from harness.prepare.format import completion_findings
from harness.prepare.options import Fractions, PrepareOptions
from harness.prepare.profiles import PROFILES, Profile
from harness.prices import Prices
from harness.types import Check, Context

SEED: int = ExperimentFile.model_fields["seed"].default
MARGIN = VerdictTable().margin
"""As an experiment has them by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Examples with all that the data stage has to know of them."""

    loaded: Loaded
    options: PrepareOptions
    sets: tuple[TrainingSet, ...]
    forms: tables.Forms = field(default_factory=dict)
    """What a file itself had between prompt and completion, at their end, or as its instruction."""
    experiment: Experiment | None = None
    """Whose data it is, where it is an experiment's."""
    guessed: tuple[Guess, ...] = ()
    margin: float = MARGIN
    seed: int = SEED
    read: frozenset[Path] = frozenset()
    """The files that the examples came from, resolved; what is written must not replace them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who the training files of a bare file are for."""

    provider: str = "openai"
    model: str | None = None

    @property
    def named(self) -> str:
        """The model whose tokens are counted; by default one that the provider trains."""
        return self.model or ("SmolLM2-135M-Instruct" if self.provider == "local" else "gpt-4.1-mini")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a preparation came to."""

    folder: Path
    report: Mapping[str, Any]
    guessed: tuple[Guess, ...] = ()
    refused: HarnessError | None = None
    """Why there are no training files, where there are none: a gate, or what a job would fail for."""
    files: tuple[str, ...] = ()


def of_experiment(experiment: Experiment, console: Console) -> Source:
    """Returns what an experiment's arms learn from."""
    return Source(
        loaded=stage.load_examples(experiment, console),
        options=stage.options_of(experiment),
        sets=sets_of(experiment),
        experiment=experiment,
        margin=experiment.verdict.margin,
        seed=experiment.seed,
        read=_read_by(experiment.dataset, experiment.path.parent),
    )


def of_file(
    data: Path, plugins: Plugins, given: Given, reading: Mapping[str, Any] | None = None, target: Target | None = None
) -> Source:
    """Looks at a file, guesses what is not given, and reads it.

    Prepared examples (`examples.parquet`) are taken as they are, split and forms included. Where a class has fewer rows
    than there are splits, they stand in train first, as in the experiment that `harness init` begins.

    Args:
        data: The file.
        plugins: Where the dataset `files` and the formatters come from.
        given: What the user says about its columns.
        reading: Options that say how the file is read, e.g. `encoding`.
        target: Who the training files are for.
    """
    wanted = target or Target()
    options = PrepareOptions(seed=SEED, split=Fractions(stratify="where-possible"))
    ready = tables.read_examples(data)
    if ready is not None:
        _nothing_else(data, given, reading or {})
        forms = prepared_forms(data)
        return Source(
            loaded=Loaded(examples=ready),
            options=options,
            sets=_sets(plugins, wanted, forms),
            forms=forms,
            read=frozenset([data.resolve()]),
        )
    seen = look(data, plugins, given, reading)
    table = {"path": str(data.absolute()), **seen.options}
    dataset: Any = construct(plugins.get("dataset", "files").cls, table, "dataset")
    told: list[Check] = []
    with attributed(dataset, "load"):
        examples = list(dataset.load(Context(seed=SEED, folder=Path(), tell=told.append)))
    told += _of_the_file(data, dataset, set(seen.guesses.columns), PROFILES[wanted.provider])
    return Source(
        loaded=Loaded(examples=examples, told=tuple(told)),
        options=replace(options, labels=dataset.labels, ordered=dataset.ordered),
        sets=_sets(plugins, wanted, seen.forms),
        forms=seen.forms,
        guessed=seen.found,
        read=_read_by(dataset, Path()),
    )


def _read_by(dataset: Any, folder: Path) -> frozenset[Path]:
    """Returns the files that a dataset says it reads."""
    reads = getattr(dataset, "reads", None)
    if not callable(reads):  # or an option of that name
        return frozenset()
    with attributed(dataset, "reads"):
        return frozenset(Path(path).resolve() for path in reads(folder))


def _nothing_else(data: Path, given: Given, reading: Mapping[str, Any]) -> None:
    """Refuses options about columns where a file says itself what is what.

    Raises:
        UsageError: Naming the option.
    """
    named = {name: getattr(given, name) for name in ("text", "label", "group", "time", "split")} | dict(reading)
    wrong = next((name for name, value in named.items() if value is not None), None)
    if wrong is not None:
        raise UsageError(f"--{wrong}: {data.name} was prepared before and says itself what is what", "leave it out")


def _of_the_file(data: Path, dataset: Any, columns: Collection[str], profile: Profile) -> Iterator[Check]:
    """Holds a file of prompts and completions, or of chats, against the rules for training files.

    It is written anew, so what is wrong with it is no more than a warning.
    """
    found: tuple[Check, ...] | None = None
    try:
        found = file_findings(data, profile) if is_training_file(data) else None
    except DataError as error:
        yield _unreadable(error, data)
    if found is None and {"prompt", "completion"} <= set(columns):
        rows = [(row.get("prompt"), row.get("completion")) for row in dataset.rows(Context(folder=Path()))]
        found = completion_findings(*_columns(rows), profile=profile, extra_columns=_others(columns))
    for check in found or ():
        level = "warning" if check.level == "error" else check.level
        yield replace(check, message=f"{data.name}: {check.message}", level=level)


def _unreadable(error: DataError, data: Path) -> Check:
    message = error.message.replace(str(data), data.name)
    return Check(kind="unreadable-lines", level="warning", message=message, heading="quality", advice=error.hint)


def _columns(rows: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    import pyarrow as pa

    prompts, completions = zip(*rows, strict=True) if rows else ((), ())
    return tuple(
        pa.array([None if v is None else str(v) for v in side], pa.string()) for side in (prompts, completions)
    )


def _others(columns: Collection[str]) -> list[str]:
    return sorted(set(columns) - {"prompt", "completion"})


def _sets(plugins: Plugins, target: Target, forms: tables.Forms) -> tuple[TrainingSet, ...]:
    """Returns a training set of each form."""
    local = target.provider == "local"
    price = None if local else Prices(own={}, urls={}).training_usd(target.named, 1_000_000)
    return tuple(
        TrainingSet(
            name=name,
            formatter=construct(plugins.get("formatter", name).cls, own, "formatter"),
            profile=PROFILES[target.provider],
            model=target.named,
            local=local,
            usd_per_million=price,
        )
        for name, own in forms.items()
    )


def carry_out(source: Source, folder: Path, console: Console, *, allow_leaks: bool) -> Result:
    """Prepares, checks and writes.

    A gate that says no leaves the quality report and the examples, and no training file.

    Raises:
        UsageError: What is to be written would replace the data; nothing was written.
    """
    data = stage.found_out(source.loaded, source.options, source.margin, console)
    if source.experiment is not None:
        data = replace(data, checks=(*data.checks, *gates.prompt_leaks(source.experiment, data)))
    refused: HarnessError | None = None
    made = Written()
    try:
        gates.gate(data, allow_leaks=allow_leaks, listed_in=folder / "quality.json")
        with console.busy("writing the training files"):
            made = written(source.sets, data, source.seed)
        if source.experiment is None:  # a file may be prepared for whoever takes few examples
            made = replace(made, checks=tuple(_few(check) for check in made.checks))
        gates.refuse(made.checks)
    except (GateError, DataError) as error:
        refused = error
    files = {} if refused is not None else made.files
    _spare(source.read, folder, (*files, *quality_report.BESIDE))
    report = quality_report.write(folder, replace(data, checks=(*data.checks, *made.checks)), files, source.forms)
    return Result(folder=folder, report=report, guessed=source.guessed, refused=refused, files=tuple(sorted(files)))


def _spare(read: Collection[Path], folder: Path, names: Iterable[str]) -> None:
    own = next((folder / name for name in names if (folder / name).resolve() in read), None)
    if own is not None:
        raise UsageError(f"{own} would replace the data itself", "name another folder with -o")


def _few(check: Check) -> Check:
    return replace(check, level="warning") if check.kind == "training-examples" and check.level == "error" else check
