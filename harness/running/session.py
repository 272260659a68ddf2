"""A run's tools: what it takes, put together and closed again, for every command that trains or asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.console import Console
from harness.data_stage import quality_report, stage
from harness.data_stage.gates import gate, require_classes, require_validation
from harness.errors import ExperimentError, UsageError
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.fitting import Fitting
from harness.execution.local_endpoint import LocalEndpoint, adopt_state
from harness.execution.questions import Asker
from harness.execution.sender import Sender
from harness.execution.targets import Target, remote_target
from harness.execution.vectors import Vectors
from harness.execution.work import Request
from harness.experiment import LOCAL, Arm, Experiment
from harness.experiment.error_costs import require_labels
from harness.files import clear, make_folder, write_json
from harness.journal import Journal
from harness.prepare.options import Prepared
from harness.prepare.stage import fingerprint
from harness.prices import Prices
from harness.running import manifest
from harness.running.arm_prices import unpriced
from harness.running.arm_training import ArmTraining, Learning
from harness.running.asking import Asking
from harness.running.interrupts import Interrupts
from harness.running.watching import Watching
from harness.runs import DEFAULT_OUT, RunFolder, run_folder
from harness.secrets import Scrubber, unsendable
from harness.training import Trainer, continuing
from harness.types import Split, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line says about a run."""

    out: Path = DEFAULT_OUT
    only: tuple[str, ...] = ()
    limit: int | None = None
    max_usd: float | None = None
    reuse: bool = True
    allow_leaks: bool = False
    offline: bool = False
    command: str = ""


def require_keys(experiment: Experiment, arms: Sequence[Arm]) -> None:
    """Refuses a run whose keys are not in the environment, or could not be sent.

    Raises:
        ExperimentError: Naming the variable.
    """
    for name in sorted({name for arm in arms for name in arm.endpoint_names()}):
        for variable in experiment.endpoints[name].variables:
            if (why := unsendable(variable)) is not None:
                raise ExperimentError(
                    f"the endpoint {name} wants its key in the environment variable {variable}, which {why}",
                    f"export {variable}=… and run the same command",
                )


def _cap(experiment: Experiment, options: RunOptions) -> float | None:
    return options.max_usd if options.max_usd is not None else experiment.budget.max_usd


def require_prices(experiment: Experiment, arms: Sequence[Arm], options: RunOptions) -> None:
    """Refuses a budget over models whose price nobody knows: a cap that cannot be computed is no cap.

    Raises:
        ExperimentError: Naming the model and what to write.
    """
    if _cap(experiment, options) is None:
        return
    prices = Prices.of(experiment)
    for arm in arms:
        for given in arm.embeddings():
            if given.endpoint != LOCAL and not prices.known(given.endpoint, given.model):
                raise ExperimentError(
                    f"arms.{arm.name}: there is a budget, but no price is known for {given.model}",
                    f'give input and output (0) in [prices."{given.model}"]: USD for a million tokens',
                )
        lacking = unpriced(prices, arm)
        if lacking is not None:
            model, advice = lacking
            raise ExperimentError(f"arms.{arm.name}: there is a budget, but no price is known for {model}", advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is known of a run before it begins."""

    experiment: Experiment
    options: RunOptions
    console: Console
    folder: RunFolder
    data: Prepared
    scrub: Scrubber
    weights: str
    """The fingerprint of the local model: see `manifest.weights_of`."""
    siblings: tuple[RunFolder, ...] | None = None
    """Whose answers and models are taken over; by default those of the other runs of the experiment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run that goes on."""

    work: ArmTraining
    """Its tools."""
    data: Prepared
    manifest: dict[str, Any]
    """As it is written with the results."""
    edited: tuple[str, ...]
    """What is to be said of plugins that were edited since it began."""


def put_together(session: Session, journal: Journal, stack: ExitStack) -> ArmTraining:
    """Puts a run's tools together; `stack` closes them."""
    experiment, console, data = session.experiment, session.console, session.data
    siblings = session.siblings
    if siblings is None:
        siblings = tuple(session.folder.siblings(experiment.name)) if session.options.reuse else ()
    interrupts = stack.enter_context(Interrupts(console.say, console.leave))
    adapters = continuing.adapters(experiment)
    local = stack.enter_context(
        LocalEndpoint(session.folder.endpoint, experiment.endpoints[LOCAL], console.say, adapters)
    )
    adopt_state(session.folder.endpoint, [sibling.endpoint for sibling in siblings])
    watching = Watching(session.folder.path, experiment.observers, console.say)
    stack.callback(watching.close)
    stack.callback(getattr(experiment.executor, "close", lambda: None))
    connect = _connector(experiment, local, session.options.offline)
    prices = Prices.of(experiment)
    budget = _budget(session, prices, journal)
    engine = Engine(journal=journal, connect=connect, scrub=session.scrub, seed=experiment.seed, budget=budget)
    asking = _asking(session, journal, engine, prices, siblings, watching)
    engine.progress, engine.fresh.tell = asking.advance, console.say
    interrupts.stop = asking.interrupt

    def job_said(arm: str, message: str) -> None:
        console.say(f"{arm}: {message}")
        watching.tell("job", arm=arm, message=message)

    trainer = Trainer(
        journal=journal,
        connect=connect,
        say=job_said,
        progress=console.steps,
        scrub=session.scrub,
        siblings=tuple(sibling.journal for sibling in siblings),
        has=lambda model: local.bring(model, [sibling.endpoint for sibling in siblings]),
        folder=session.folder.training,
    )
    learning = Learning(
        train=data.of(Split.TRAIN),
        validation=data.of(Split.VALIDATION),
        labels=data.labels,
        seed=experiment.seed,
        weights=data.weights,
    )
    return ArmTraining(asking=asking, trainer=trainer, learning=learning)


def _asking(
    session: Session,
    journal: Journal,
    engine: Engine,
    prices: Prices,
    siblings: tuple[RunFolder, ...],
    watching: Watching,
) -> Asking:
    experiment, console = session.experiment, session.console
    return Asking(
        experiment=experiment,
        folder=session.folder,
        journal=journal,
        engine=engine,
        sender=Sender(
            engine=engine,
            journal=journal,
            endpoints=experiment.endpoints,
            secret_names=tuple(experiment.secret_names()),
            tell=console.say,
            siblings=tuple(sibling.journal for sibling in siblings),
        ),
        asker=Asker(
            train=session.data.of(Split.TRAIN),
            labels=session.data.labels,
            seed=experiment.seed,
            identities=experiment.identities(session.weights),
            source_hash=lambda plugin: r.source_hash if (r := experiment.plugins.find(plugin)) else "",
            folder=experiment.path.parent,
            fitting=Fitting(contexts={n: table.context for n, table in experiment.endpoints.items() if table.context}),
            vectors=Vectors(stored=journal.answers),
        ),
        prices=prices,
        console=console,
        watching=watching,
        siblings=siblings,
    )


def _budget(session: Session, prices: Prices, journal: Journal) -> Budget:
    cap = _cap(session.experiment, session.options)
    return Budget(max_usd=cap, price=partial(_request_usd, prices), spent=journal.spent())


def _request_usd(prices: Prices, request: Request, usage: Usage, tier: str) -> float | None:
    if request.endpoint == LOCAL:
        return 0.0
    return prices.request_usd(request.endpoint, str(request.body.get("model")), usage, tier)


def _connector(experiment: Experiment, local: LocalEndpoint, offline: bool) -> Callable[[str], Target]:
    def connect(name: str) -> Target:
        if name == LOCAL:
            return local.target()
        table = experiment.endpoints[name]
        if offline and not table.on_this_machine:
            raise UsageError(f"--offline: the endpoint {name} ({table.base_url}) is not on this machine")
        return remote_target(name, table)

    return connect


def _settings(experiment: Experiment, options: RunOptions) -> dict[str, Any]:
    """Returns what changes an answer: the experiment as resolved, and the limit."""
    return {**experiment.answer_settings(), "limit": options.limit}


def folder_of(experiment: Experiment, options: RunOptions, loaded: stage.Loaded) -> RunFolder:
    """Returns the folder of an experiment's run over its data."""
    return run_folder(options.out, experiment.name, _settings(experiment, options), fingerprint(loaded.examples))


@contextmanager
def opened(
    experiment: Experiment, options: RunOptions, console: Console, loaded: stage.Loaded, folder: RunFolder
) -> Iterator[Opened]:
    """Opens a run: its data prepared and judged, its journal held, its tools put together.

    Raises:
        UsageError: Another process works on it, the data cannot be used, or nothing can be written there.
        GateError: A leak.
    """
    data = stage.prepared(experiment, loaded, console, options.limit)
    continuing.require_labels(experiment, data.labels)
    require_labels(experiment.decision.error_usd, data.labels, f"{experiment.path}: decision.error_usd")
    continuing.announce(experiment, console.say)
    make_folder(folder.data)
    scrub = Scrubber.of(experiment.secret_names())
    weights = manifest.weights_of(experiment, folder)
    judged_with = manifest.judged_with(experiment, weights, allow_leaks=options.allow_leaks)
    told = {"command": scrub(options.command), "weights": weights, "judged_with": judged_with}
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder.journal))
        clear(folder.path, deep=True)
        record = manifest.begin(experiment, folder, data, _settings(experiment, options), told)
        edited = manifest.outdated(folder, record, experiment.arms, journal.answers_by_arm())
        if not manifest.stands(folder, record):
            write_json(folder.manifest, record)
        quality_report.write(folder.data, data, {})
        gate(data, allow_leaks=options.allow_leaks, listed_in=folder.data / "quality.json")
        selected = [arm for arm in experiment.arms if not options.only or arm.name in options.only]
        require_classes(selected, data)
        require_validation(selected, data)
        session = Session(
            experiment=experiment,
            options=options,
            console=console,
            folder=folder,
            data=data,
            scrub=scrub,
            weights=weights,
        )
        work = put_together(session, journal, stack)
        for message in edited:
            console.say(message)
        yield Opened(work=work, data=data, manifest=record, edited=tuple(edited))
