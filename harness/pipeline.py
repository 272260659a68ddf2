"""Puts the stages together: prepare → train → choose → ask → score → report. No logic of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from harness.collector import uncollected
from harness.console import Console
from harness.data_stage import stage
from harness.errors import HarnessError, UsageError, nearest
from harness.execution.answers import Answered
from harness.experiment import Arm, Experiment
from harness.journal import ledger
from harness.outcome import result_files
from harness.outcome.result_files import Outcome
from harness.running import manifest
from harness.running.arm_training import ArmTraining, Trained, left_to_train
from harness.running.repeats import ask_again, lacks_repeats
from harness.running.session import Opened, RunOptions, folder_of, opened, require_keys, require_prices
from harness.runs import RunFolder
from harness.training import continuing
from harness.trials import curves, validation
from harness.trials.choosing import Choosing
from harness.trials.search import Chosen
from harness.trials.sweeps import Sweeps
from harness.types import Check, Example, Split


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
    experiment = continuing.resolved(experiment, options.out)
    arms = _selected(experiment, options)
    require_keys(experiment, arms)
    require_prices(experiment, arms, options)
    loaded = stage.load_examples(experiment, console)
    folder = folder_of(experiment, options, loaded)
    weights = manifest.weights_of(experiment, folder)
    judged_with = manifest.judged_with(experiment, weights, allow_leaks=options.allow_leaks)
    sentence = manifest.stored_sentence(folder, judged_with, [arm.name for arm in arms])
    if sentence is not None:
        manifest.keep_tables(folder, experiment)
        console.say("everything is there: nothing was sent")
        return Finished(sentence=sentence, folder=folder)
    with opened(experiment, options, console, loaded, folder) as opening:
        watching = opening.work.asking.watching
        watching.tell("run-started", message=experiment.name, figures={"arms": len(arms)})
        for message in (*opening.edited, *(check.message for check in opening.data.checks if check.level != "ok")):
            watching.tell("warning", message=message)
        finished = _carry_out(opening, {arm.name for arm in arms})
        watching.tell(
            "run-finished", message=finished.sentence, figures={"unfinished": finished.unfinished is not None}
        )
        return finished


def _carry_out(opening: Opened, selected: Collection[str]) -> Finished:
    """Trains, chooses, names the contenders on validation, and then reads the test split, once.

    Arms that were not selected, but that have answered everything before, keep their place in the results.
    """
    work, test = opening.work, opening.data.of(Split.TEST)
    asking, experiment = work.asking, work.asking.experiment
    choosing = Choosing(work=work)
    Sweeps(work=work).refuse([arm for arm in experiment.arms if arm.name in selected])

    def complete(arm: Arm) -> bool:
        one = choosing.known(arm)
        return one is not None and asking.answered([(one, test)])

    arms = [arm for arm in experiment.arms if arm.name in selected or complete(arm)]
    # Before anything else is sent: an endpoint without embeddings shows here.
    asking.embed([(one, ()) for arm in arms if arm.name in selected for one in arm.contenders])
    validated = validation.validated(arms, thresholds=experiment.verdict.thresholds)
    ready: dict[str, Trained] = {}
    choices: dict[str, Chosen] = {}
    on_validation: dict[str, Sequence[Answered]] = {}
    # Prompts come before training: a key or a model that is wrong shows before a job is paid for.
    for part in ([arm for arm in arms if not arm.trained], [arm for arm in arms if arm.trained]):
        if any(arm.trained for arm in part):
            _try_out(work, [one for name, one in ready.items() if name in selected and name not in validated], test)
        plain = [arm for arm in part if not arm.candidates]
        ready |= {arm.name: one for arm, one in zip(plain, work.train_all(plain), strict=True)}
        chosen = choosing.choose([arm for arm in part if arm.candidates])
        choices |= {each.arm.name: each for each in chosen if not each.left}
        ready |= {each.arm.name: each.ready for each in chosen}
        able = [ready[arm.name] for arm in part if ready[arm.name].refusal is None]
        on_validation |= validation.answers(work, able, choices, validated, selected)
    able = [ready[arm.name] for arm in arms if ready[arm.name].refusal is None]
    answers = asking.ask([(one.arm, test) for one in able], "asking the test items")
    again, cut = ask_again(work, able, test, selected)
    came_to = Outcome(
        arms=tuple(arms),
        ready=ready,
        choices=choices,
        validation=on_validation,
        test={one.arm.name: given for one, given in zip(able, answers, strict=True)},
        again=again,
        checks=(
            *(Check(kind="plugin-edited", level="warning", message=message) for message in opening.edited),
            *asking.told(arm.name for arm in arms),
        ),
    )
    to_train = left_to_train(ready.values(), "the other arms are finished; the same command goes on")
    return _scored(opening, came_to, cut or asking.engine.unfinished() or to_train, selected)


def _try_out(work: ArmTraining, able: Sequence[Trained], test: Sequence[Example]) -> None:
    """Asks the first test item of every arm that answers elsewhere and has not been asked anything yet.

    Nothing is chosen by it, the item would be asked anyway, and what cannot answer is found out before training.
    """
    first = [(one.arm, test[:1]) for one in able if not one.arm.candidates and hasattr(one.arm.backend, "calls")]
    work.asking.ask(first, "trying the prompts out")


def _scored(opening: Opened, came_to: Outcome, left: HarnessError | None, selected: Collection[str]) -> Finished:
    """Writes the results, then measures the curves, where there are any, and writes the results again with them.

    The verdict stands before curves are measured: they can take hours, and nothing in them changes it.
    """
    if not any(arm.learning_curve or arm.shot_curve for arm in came_to.arms):
        return _written(opening, came_to, left)
    _written(opening, came_to, left, begun=True)
    engine = opening.work.asking.engine
    settings = {name: each.settings for name, each in came_to.choices.items()}
    able = () if engine.endpoint_down else selected
    measured = curves.measure(opening.work, came_to.arms, came_to.ready, settings, able)
    return _written(opening, replace(came_to, curves=measured), left or measured.left or engine.unfinished())


def _written(opening: Opened, came_to: Outcome, left: HarnessError | None, *, begun: bool = False) -> Finished:
    """Scores a run, writes its files, and says in the manifest what of it is finished: nothing where it has `begun`."""
    from harness.report.page import build

    asking = opening.work.asking
    folder, experiment = asking.folder, asking.experiment
    asking.console.say("scoring and writing the report")
    came_to = replace(
        came_to,
        faults=asking.journal.faults_by_arm(),
        ledger=ledger.of(folder.journal),
        failed_jobs=ledger.failed_jobs(folder.journal),
    )
    with uncollected():
        results = result_files.write(folder, experiment, opening.data, came_to, opening.manifest)
        build(folder.path, experiment.sections)
    lacking = came_to.curves.lacking()
    names = [
        arm.name
        for arm in came_to.arms
        if arm.name not in lacking and not lacks_repeats(came_to.ready[arm.name], came_to.again, experiment.repeats)
    ]
    complete = left is None and not begun
    manifest.finish(folder, opening.manifest, result_files.chain(came_to), arms=names, complete=complete)
    return Finished(sentence=str(results["verdict"]["sentence"]), folder=folder, unfinished=left)


def _selected(experiment: Experiment, options: RunOptions) -> list[Arm]:
    names = [arm.name for arm in experiment.arms]
    for name in options.only:
        if name not in names:
            several = "give --only once for each arm; " if "," in name else ""
            raise UsageError(f'--only {name}: there is no arm "{name}"; {several}{nearest(name, names)}')
    return [arm for arm in experiment.arms if not options.only or arm.name in options.only]
