"""Puts the stages together: prepare → train → choose → ask → score → report. No logic of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.console import Console
from harness.data_stage import stage
from harness.errors import GateError, HarnessError, UsageError, nearest
from harness.execution.questions import Answered, settled
from harness.experiment import Arm, Experiment
from harness.journal import ledger
from harness.outcome import result_files as outcome
from harness.prepare.options import Prepared
from harness.prepare.stage import fingerprint
from harness.running import manifest
from harness.running.arm_training import Evaluation, Trained
from harness.running.session import RunOptions, opened, require_keys, require_prices
from harness.runs import RunFolder, run_folder
from harness.training import continuing
from harness.trials import curves
from harness.trials.choosing import Choosing, Chosen
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
    settings = {**experiment.answer_settings(), "limit": options.limit}
    folder = run_folder(options.out, experiment.name, settings, fingerprint(loaded.examples))
    judged_with = manifest.judged_with(experiment, allow_leaks=options.allow_leaks)
    sentence = manifest.stored_sentence(folder, judged_with, [arm.name for arm in arms])
    if sentence is not None:
        manifest.keep_tables(folder, experiment)
        console.say("everything is there: nothing was sent")
        return Finished(sentence=sentence, folder=folder)
    with opened(experiment, options, console, loaded, folder) as (work, data, record, edited):
        watching = work.asking.watching
        watching.tell("run-started", message=experiment.name, figures={"arms": len(arms)})
        for message in (*edited, *(check.message for check in data.checks if check.level != "ok")):
            watching.tell("warning", message=message)
        finished = _carry_out(work, arms, data, record, edited)
        watching.tell(
            "run-finished", message=finished.sentence, figures={"unfinished": finished.unfinished is not None}
        )
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
    choosing = Choosing(work=work)
    Sweeps(work=work).refuse(arms)

    def complete(arm: Arm) -> bool:
        one = choosing.known(arm)
        return one is not None and asking.answered([(one, test)])

    arms = [arm for arm in asking.experiment.arms if arm.name in selected or complete(arm)]
    # Before anything else is sent: an endpoint without embeddings shows here.
    asking.embed([(one, ()) for arm in arms if arm.name in selected for one in arm.contenders])
    validated = outcome.validated(arms, thresholds=asking.experiment.verdict.thresholds)
    ready: dict[str, Trained] = {}
    choices: dict[str, Chosen] = {}
    validation: dict[str, Sequence[Answered]] = {}
    # Prompts come before training: a key or a model that is wrong shows before a job is paid for.
    for part in ([arm for arm in arms if not arm.trained], [arm for arm in arms if arm.trained]):
        if any(arm.trained for arm in part):
            _try_out(work, ready, validated, test, selected)
        plain = [arm for arm in part if not arm.candidates]
        ready |= {arm.name: one for arm, one in zip(plain, work.ready_all(plain), strict=True)}
        choices |= {chosen.arm.name: chosen for chosen in choosing.choose([arm for arm in part if arm.candidates])}
        ready |= {name: chosen.ready for name, chosen in choices.items()}
        able = [ready[arm.name] for arm in part if ready[arm.name].refusal is None]
        validation |= _validation(work, able, choices, validated, selected)
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
        failed_jobs=ledger.failed_jobs(asking.folder.journal),
        checks=(
            *(Check(kind="plugin-edited", level="warning", message=message) for message in edited),
            *asking.told(arm.name for arm in arms),
        ),
    )
    if not any(arm.learning_curve or arm.shot_curve for arm in arms):
        return _written(work, data, record, came_to, left)
    # The verdict stands before curves are measured: they can take hours, and nothing in them changes it.
    _written(work, data, record, came_to, left, begun=True)
    return _with_curves(work, data, record, came_to, left, selected)


def _with_curves(
    work: Evaluation,
    data: Prepared,
    record: dict[str, Any],
    came_to: outcome.Outcome,
    left: HarnessError | None,
    selected: Collection[str],
) -> Finished:
    """Measures the curves, and writes the results again with them."""
    asking = work.asking
    down = any(failed.endpoint_down for failed in asking.engine.failed.values())
    settings = {name: each.settings for name, each in came_to.choices.items()}
    measured = curves.measure(work, came_to.arms, came_to.ready, settings, () if down else selected)
    came_to = replace(
        came_to,
        curves=measured,
        faults=asking.journal.faults_by_arm(),
        ledger=ledger.of(asking.folder.journal),
    )
    left = left or measured.left or asking.engine.unfinished()
    return _written(work, data, record, came_to, left)


def _written(
    work: Evaluation,
    data: Prepared,
    record: dict[str, Any],
    came_to: outcome.Outcome,
    left: HarnessError | None,
    *,
    begun: bool = False,
) -> Finished:
    """Scores a run, writes its files, and says in the manifest what of it is finished: nothing where it has `begun`."""
    folder, experiment = work.asking.folder, work.asking.experiment
    work.asking.console.say("scoring and writing the report")
    results = outcome.write(folder, experiment, data, came_to, record)
    build_report(folder, experiment.sections)
    lacking = came_to.curves.lacking()
    names = [
        arm.name
        for arm in came_to.arms
        if arm.name not in lacking and not _lacks_repeats(experiment, came_to.ready[arm.name], came_to.again)
    ]
    manifest.finish(folder, record, outcome.chain(came_to), arms=names, complete=left is None and not begun)
    return Finished(sentence=str(results["verdict"]["sentence"]), folder=folder, unfinished=left)


def _try_out(
    work: Evaluation,
    ready: Mapping[str, Trained],
    validated: Collection[str],
    test: Sequence[Example],
    selected: Collection[str],
) -> None:
    """Asks the first test item of every arm that answers elsewhere and has not been asked anything yet.

    Nothing is chosen by it, the item would be asked anyway, and what cannot answer is found out before training.
    """
    first = [
        (one.arm, test[:1])
        for name, one in ready.items()
        if name in selected and name not in validated and not one.arm.candidates and hasattr(one.arm.backend, "calls")
    ]
    work.asking.ask(first, "trying the prompts out")


def _validation(
    work: Evaluation,
    able: Sequence[Trained],
    choices: Mapping[str, Chosen],
    validated: Collection[str],
    selected: Collection[str],
) -> dict[str, Sequence[Answered]]:
    """Answers validation with the arms among which contenders must be named, or whose thresholds are wanted.

    An arm that was not selected is asked nothing: it takes part where its answers are there.
    """
    sizes = [arm.choose_items for arm in work.asking.experiment.arms if arm.choose_items]
    examples = work.sample(min(sizes, default=None))
    asked = [
        one
        for one in able
        if one.arm.name in validated
        and one.arm.name not in choices
        and (one.arm.name in selected or work.asking.answered([(one.arm, examples)]))
    ]
    naming = outcome.contending(work.asking.experiment.arms) & {one.arm.name for one in asked}
    stage = "naming the contenders on validation" if naming else "asking the validation items"
    answers = work.asking.ask([(one.arm, examples) for one in asked], stage)
    named: dict[str, Sequence[Answered]] = {
        one.arm.name: given
        for one, given in zip(asked, answers, strict=True)
        if not (getattr(one.arm.backend, "imported", False) and not any(map(outcome.has_answer, given)))
    }  # results from elsewhere are mostly of the test items alone
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
