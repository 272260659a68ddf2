"""Puts the stages together: prepare → train → choose → ask → score → report. No logic of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ledger, manifest, outcome
from harness.asking import Asking
from harness.console import Console
from harness.errors import ExperimentError, GateError, HarnessError, UsageError, nearest
from harness.evaluation import Chosen, Evaluation, Learning, Trained
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.local_endpoint import LocalEndpoint, adopt_state
from harness.execution.questions import Answered, Asker, settled
from harness.execution.sender import Sender
from harness.execution.targets import Target, remote_target
from harness.execution.work import Request
from harness.experiment import LOCAL, Arm, Experiment
from harness.experiment_file import EnvironmentValue
from harness.files import clear, write_json
from harness.interrupts import Interrupts
from harness.journal import Journal
from harness.preparation import data as stage
from harness.prepare import Prepared, fingerprint
from harness.prices import Prices
from harness.runs import DEFAULT_OUT, RunFolder, run_folder
from harness.secrets import Scrubber
from harness.training import Trainer
from harness.types import Check, Example, Split, Usage
from harness.watching import Watching


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a run came to."""

    sentence: str
    folder: RunFolder
    unfinished: HarnessError | None = None
    """What is left to do, where something is."""


def run(experiment: Experiment, options: RunOptions, console: Console) -> Finished:
    """Carries an experiment out, from wherever it stopped.

    Raises:
        UsageError: Something is wrong that no answer can mend; nothing was spent where that is possible.
        GateError: A leak, or the budget.
        UnfinishedError: The run itself cannot go on; an arm that cannot is in `Finished.unfinished` instead.
    """
    scrub = Scrubber.of(experiment.secret_names())
    arms = _selected(experiment, options)
    require_keys(experiment, arms)
    require_prices(experiment, arms, options)
    loaded = stage.load_examples(experiment, console)
    settings = {**experiment.answer_settings(), "limit": options.limit}
    folder = run_folder(options.out, experiment.name, settings, fingerprint(loaded.examples))
    judged_with = manifest.judged_with(experiment, allow_leaks=options.allow_leaks)
    sentence = manifest.stored_sentence(folder, judged_with, [arm.name for arm in arms])
    if sentence is not None:
        console.say("everything is there: nothing was sent")
        return Finished(sentence=sentence, folder=folder)
    data = stage.prepared(experiment, loaded, console, options.limit)
    folder.data.mkdir(parents=True, exist_ok=True)
    told = {"command": scrub(options.command), "judged_with": judged_with}
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder.journal))
        for place in (folder.path, folder.models):
            clear(place)
        record = manifest.begin(experiment, folder, data, settings, told)
        edited = manifest.edited_plugins(folder, record, experiment.arms, journal.answers_by_arm())
        write_json(folder.manifest, record)
        stage.write(folder.data, data, {})
        stage.gate(data, allow_leaks=options.allow_leaks, listed_in=folder.data / "quality.json")
        session = Session(
            experiment=experiment, options=options, console=console, folder=folder, data=data, scrub=scrub
        )
        work = put_together(session, journal, stack)
        for message in edited:
            console.say(message)
        work.asking.watching.tell("run-started", message=experiment.name)
        finished = _carry_out(work, arms, data, record, edited)
        work.asking.watching.tell("run-finished", message=finished.sentence)
        return finished


def _carry_out(
    work: Evaluation, arms: Sequence[Arm], data: Prepared, record: dict[str, Any], edited: Sequence[str]
) -> Finished:
    """Trains, chooses, names the contenders on validation, and then reads the test split, once.

    Arms that were not selected, but that have answered everything before, keep their place in the results.
    """
    asking = work.asking
    selected = {arm.name for arm in arms}
    test = data.of(Split.TEST)
    arms = [arm for arm in asking.experiment.arms if arm.name in selected or work.complete(arm, test)]
    contending = outcome.contending(arms)
    ready: dict[str, Trained] = {}
    choices: dict[str, Chosen] = {}
    validation: dict[str, Sequence[Answered]] = {}
    # Prompts come before training: a key or a model that is wrong shows before a job is paid for.
    for part in ([arm for arm in arms if not arm.trained], [arm for arm in arms if arm.trained]):
        if any(arm.trained for arm in part):
            _try_out(work, ready, contending, test, selected)
        ready |= {arm.name: work.ready(arm) for arm in part if not arm.candidates}
        choices |= {chosen.arm: chosen for chosen in work.choose([arm for arm in part if arm.candidates])}
        ready |= {name: chosen.ready for name, chosen in choices.items()}
        able = [ready[arm.name] for arm in part if ready[arm.name].refusal is None]
        validation |= _validation(work, able, choices, contending, selected)
    able = [ready[arm.name] for arm in arms if ready[arm.name].refusal is None]
    answers = asking.ask([(one.arm, test) for one in able], "asking the test items")
    again, cut = _ask_again(work, able, test, selected)
    left = cut or outcome.unfinished(asking.engine.unfinished(), ready)
    came_to = outcome.Outcome(
        arms=tuple(arms),
        ready=ready,
        choices=choices,
        validation=validation,
        test={one.arm.name: given for one, given in zip(able, answers, strict=True)},
        again=again,
        faults=asking.journal.faults_by_arm(),
        ledger=ledger.of(asking.folder.journal),
        checks=tuple(Check(kind="plugin-edited", level="warning", message=message) for message in edited),
    )
    asking.console.say("scoring and writing the report")
    results = outcome.write(asking.folder, asking.experiment, data, came_to, record)
    build_report(asking.folder, asking.experiment.sections)
    names = [arm.name for arm in arms if not _lacks_repeats(asking.experiment, ready[arm.name], again)]
    manifest.finish(asking.folder, record, outcome.chain(came_to), arms=names, complete=left is None)
    return Finished(sentence=str(results["verdict"]["sentence"]), folder=asking.folder, unfinished=left)


def _try_out(
    work: Evaluation,
    ready: Mapping[str, Trained],
    contending: Collection[str],
    test: Sequence[Example],
    selected: Collection[str],
) -> None:
    """Asks the first test item of every arm that answers elsewhere and has not been asked anything yet.

    Nothing is chosen by it, the item would be asked anyway, and what cannot answer is found out before training.
    """
    first = [
        (one.arm, test[:1])
        for name, one in ready.items()
        if name in selected and name not in contending and not one.arm.candidates and hasattr(one.arm.backend, "calls")
    ]
    work.asking.ask(first, "trying the prompts out")


def _validation(
    work: Evaluation,
    able: Sequence[Trained],
    choices: Mapping[str, Chosen],
    contending: Collection[str],
    selected: Collection[str],
) -> dict[str, Sequence[Answered]]:
    """Answers validation with the arms among which contenders must be named, where there is anything to name.

    An arm that was not selected is asked nothing: it takes part where its answers are there.
    """
    sizes = [arm.choose_items for arm in work.asking.experiment.arms if arm.choose_items]
    examples = work.sample(min(sizes, default=None))
    asked = [
        one
        for one in able
        if one.arm.name in contending
        and one.arm.name not in choices
        and (one.arm.name in selected or work.asking.answered([(one.arm, examples)]))
    ]
    answers = work.asking.ask([(one.arm, examples) for one in asked], "naming the contenders on validation")
    named: dict[str, Sequence[Answered]] = {one.arm.name: given for one, given in zip(asked, answers, strict=True)}
    return named | {one.arm.name: choices[one.arm.name].answers for one in able if one.arm.name in choices}


def _ask_again(
    work: Evaluation, able: Sequence[Trained], test: Sequence[Example], selected: Collection[str]
) -> tuple[dict[str, list[list[Answered]]], GateError | None]:
    """Asks the test items as often as the experiment says, each time all arms.

    An arm that always answers the same is not asked again, one that was not selected only where its answers are there.

    Returns:
        Arm → its answers, once for each further time; and what the budget said, where it ended this early.
    """
    asking, times = work.asking, work.asking.experiment.repeats
    again: dict[str, list[list[Answered]]] = {}
    same = [one.arm.name for one in able if settled(one.arm)]
    if times > 1 and same:
        asking.console.say(f"asked once only, for they always answer the same: {', '.join(same)}")
    for repeat in range(1, times):
        if any(failed.endpoint_down for failed in asking.engine.failed.values()):
            break  # the same command goes on when it is back
        arms = [
            one.arm
            for one in able
            if one.arm.name not in same and (one.arm.name in selected or asking.answered([(one.arm, test)], repeat))
        ]
        try:
            answers = asking.ask([(arm, test) for arm in arms], f"asking again ({repeat + 1} of {times})", repeat)
        except GateError as error:  # what was asked the first time is scored all the same
            return again, error
        for arm, given in zip(arms, answers, strict=True):
            again.setdefault(arm.name, []).append(given)
    return again, None


def _lacks_repeats(experiment: Experiment, one: Trained, again: Mapping[str, Sequence[Any]]) -> bool:
    """Whether an arm has yet to be asked again."""
    asked = 1 + len(again.get(one.arm.name, ()))
    return one.refusal is None and not settled(one.arm) and asked < experiment.repeats


def build_report(folder: RunFolder, sections: Sequence[Any]) -> Path:
    """Builds a run's page from its result files."""
    from harness.report.page import build

    return build(folder.path, sections)


def _selected(experiment: Experiment, options: RunOptions) -> list[Arm]:
    names = [arm.name for arm in experiment.arms]
    for name in options.only:
        if name not in names:
            raise UsageError(f'--only {name}: there is no arm "{name}"; {nearest(name, names)}')
    return [arm for arm in experiment.arms if not options.only or arm.name in options.only]


def require_keys(experiment: Experiment, arms: Sequence[Arm]) -> None:
    """Refuses a run whose keys are not in the environment.

    Raises:
        ExperimentError: Naming the variable.
    """
    for name in sorted({name for arm in arms for name in arm.endpoint_names()}):
        table = experiment.endpoints[name]
        variables = [table.api_key_env, *(v.env for v in table.headers.values() if isinstance(v, EnvironmentValue))]
        for variable in variables:
            if variable and not os.environ.get(variable):
                raise ExperimentError(
                    f"the endpoint {name} wants its key in the environment variable {variable}, which is not set",
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
        endpoint, model = getattr(arm.backend, "endpoint", None), getattr(arm.backend, "model", None)
        base = getattr(arm.backend, "base", None) if model is None else None
        if endpoint in (None, LOCAL) or prices.known(endpoint, str(model), base=base):
            continue
        wanted = (
            f'training in [prices."{base}"], input and output in [prices."ft:{base}"]'
            if base
            else f'input and output in [prices."{model}"]'
        )
        raise ExperimentError(
            f"arms.{arm.name}: there is a budget, but no price is known for {base or model}",
            f"give {wanted}: USD for a million tokens",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is known of a run before it begins."""

    experiment: Experiment
    options: RunOptions
    console: Console
    folder: RunFolder
    data: Prepared
    scrub: Scrubber


def put_together(session: Session, journal: Journal, stack: ExitStack) -> Evaluation:
    """Puts a run's tools together; `stack` closes them."""
    experiment, console, data = session.experiment, session.console, session.data
    siblings = tuple(session.folder.siblings(experiment.name)) if session.options.reuse else ()
    interrupts = stack.enter_context(Interrupts(console.say, console.leave))
    local = stack.enter_context(LocalEndpoint(session.folder.endpoint, experiment.endpoints[LOCAL], console.say))
    adopt_state(session.folder.endpoint, [sibling.endpoint for sibling in siblings])
    watching = Watching(session.folder.path.name, experiment.observers, console.say)
    stack.callback(watching.close)
    stack.callback(getattr(experiment.executor, "close", lambda: None))
    connect = _connector(experiment, local, session.options.offline)
    prices = Prices.of(experiment)
    budget = _budget(session, prices, journal)
    engine = Engine(journal=journal, connect=connect, scrub=session.scrub, seed=experiment.seed, budget=budget)
    asking = _asking(session, journal, engine, prices, siblings, watching)
    engine.progress = asking.advance
    interrupts.stop = asking.interrupt
    trainer = Trainer(
        journal=journal,
        connect=connect,
        say=lambda arm, message: console.say(f"{arm}: {message}"),
        progress=console.steps,
        scrub=session.scrub,
        siblings=tuple(sibling.journal for sibling in siblings),
    )
    learning = Learning(
        train=data.of(Split.TRAIN),
        validation=data.of(Split.VALIDATION),
        labels=data.labels,
        seed=experiment.seed,
        weights=data.weights,
    )
    return Evaluation(asking=asking, trainer=trainer, learning=learning)


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
        ),
        asker=Asker(
            train=session.data.of(Split.TRAIN),
            labels=session.data.labels,
            seed=experiment.seed,
            identities={name: table.base_url or LOCAL for name, table in experiment.endpoints.items()},
            source_hash=lambda plugin: r.source_hash if (r := experiment.plugins.find(plugin)) else "",
        ),
        prices=prices,
        console=console,
        watching=watching,
        scrub=session.scrub,
        siblings=siblings,
    )


def _budget(session: Session, prices: Prices, journal: Journal) -> Budget:
    def price(request: Request, usage: Usage, tier: str) -> float | None:
        if request.endpoint == LOCAL:
            return 0.0
        return prices.request_usd(request.endpoint, str(request.body.get("model")), usage, tier)

    return Budget(max_usd=_cap(session.experiment, session.options), price=price, spent=journal.spent())


def _connector(experiment: Experiment, local: LocalEndpoint, offline: bool) -> Callable[[str], Target]:
    def connect(name: str) -> Target:
        if name == LOCAL:
            return local.target()
        table = experiment.endpoints[name]
        if offline and not table.on_this_machine:
            raise UsageError(f"--offline: the endpoint {name} ({table.base_url}) is not on this machine")
        return remote_target(name, table)

    return connect
