"""`harness estimate`: an experiment prepared as `harness run` would, its requests made, counted and not sent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.console import Console
from harness.data_stage import stage
from harness.data_stage.gates import gate, keep_personal_data, require_validation
from harness.errors import ExperimentError, HarnessError
from harness.estimation import probing
from harness.estimation.counting import Counting
from harness.estimation.earlier import Earlier
from harness.estimation.estimate import (
    ArmEstimate,
    Estimate,
    payback_if_tied,
)
from harness.experiment import LOCAL, Experiment
from harness.experiment.error_costs import require_labels
from harness.journal import Journal
from harness.outcome import result_files as outcome
from harness.prepare.options import Prepared
from harness.running.arm_training import ArmTraining
from harness.running.session import RunOptions, Session, folder_of, put_together, require_keys, require_prices
from harness.runs import RunFolder
from harness.scoring.statistics import n_for_80_power, smallest_difference
from harness.secrets import Scrubber
from harness.training import continuing
from harness.trials.sweeps import Sweeps
from harness.types import Split


def estimate(experiment: Experiment, options: RunOptions, console: Console, *, probe: bool = False) -> Estimate:
    """Says what an experiment is going to take; nothing is sent unless `probe` asks for it, and no run is written.

    Args:
        experiment: The experiment.
        options: `out`, `limit` and `max_usd` count.
        console: Is told what is going on.
        probe: Whether a few requests of each arm may be sent.

    Raises:
        ExperimentError: There is a budget, and a price is missing; with `probe`, a key is.
        DataError: The data is not as described, or a training file would be refused.
        GateError: With `probe`, texts hold personal data that must not leave this machine; nothing was sent.
    """
    experiment = continuing.resolved(experiment, options.out)
    require_prices(experiment, experiment.arms, options)
    if probe:
        require_keys(experiment, experiment.arms)
    loaded = stage.load_examples(experiment, console)
    folder = folder_of(experiment, options, loaded)
    data = stage.prepared(experiment, loaded, console, options.limit)
    continuing.require_labels(experiment, data.labels)
    require_labels(experiment.decision.error_usd, data.labels, f"{experiment.path}: decision.error_usd")
    if probe:
        keep_personal_data(data)
    assumed, margin = outcome.decision_facts(experiment.decision), experiment.verdict.margin
    with _on_paper(experiment, options, data, console, folder.path.name) as work:
        earlier = Earlier(own=folder, siblings=tuple(folder.siblings(experiment.name)))
        items = data.of(Split.VALIDATION) or data.of(Split.TRAIN)
        work.asking.asker.vectors.stored = earlier.answers
        seen = probing.probe(work, experiment.arms, items) if probe else None
        work.asking.siblings = (folder, *earlier.siblings)  # from here on nothing is asked
        work.trainer.siblings = tuple(each.journal for each in work.asking.siblings)
        counting = Counting(experiment=experiment, data=data, work=work, earlier=earlier, probes=seen or ())
        arms = tuple(counting.arm(arm) for arm in experiment.arms)
        models = {arm.model: arm.endpoint for arm in arms if arm.model and arm.endpoint}
        budget = work.asking.engine.budget
        return Estimate(
            arms=arms,
            power=_power(data, margin),
            payback=payback_if_tied(arms, margin, assumed, len(data.of(Split.TRAIN))),
            shutdown=probing.shutdown_dates(work, models) if probe else dict.fromkeys(models),
            probe=None if seen is None else tuple(one.as_dict() for one in seen),
            probe_usd=budget.spent,
            spent_usd=earlier.spent(),
            max_usd=budget.max_usd,
            executor=experiment.executor.name,
            folder=str(folder.path),
            remarks=(*_too_large(work), *_remarks(experiment, data, arms, probed=probe)),
        )


@contextmanager
def _on_paper(
    experiment: Experiment, options: RunOptions, data: Prepared, console: Console, name: str
) -> Iterator[ArmTraining]:
    """Puts a run's tools together over a folder that is thrown away.

    Nobody watches, what a probe asks is asked at once, and no answer is taken over.
    """
    with tempfile.TemporaryDirectory(prefix="harness-estimate-") as temporary, ExitStack() as stack:
        folder = RunFolder(Path(temporary) / name)
        folder.data.mkdir(parents=True)
        executor = experiment.plugins.get("executor", "local").cls()
        session = Session(
            experiment=replace(experiment, observers=(), executor=executor),
            options=replace(options, reuse=False),
            console=console,
            folder=folder,
            data=data,
            scrub=Scrubber.of(experiment.secret_names()),
            weights=experiment.local_weights(),
        )
        yield put_together(session, stack.enter_context(Journal(folder.journal)), stack)


def _power(data: Prepared, margin: float) -> dict[str, Any]:
    n = len(data.of(Split.TEST))
    return {
        "test": n,
        "smallest_difference": smallest_difference(n, stage.DISCORDANCE) if n else None,
        "needed_for_margin": n_for_80_power(margin, stage.DISCORDANCE),
        "margin": margin,
        "assumed_discordance": stage.DISCORDANCE,
    }


def _too_large(work: ArmTraining) -> Iterator[str]:
    """Yields what a run would refuse before it starts: a choice that its budget does not cover."""
    try:
        Sweeps(work=work).refuse(work.asking.experiment.arms)
    except ExperimentError as error:
        yield f"the run will stop before anything is sent: {error.message}"


def _remarks(experiment: Experiment, data: Prepared, arms: Sequence[ArmEstimate], *, probed: bool) -> tuple[str, ...]:
    """Returns what is uncertain about an estimate, the gravest first."""
    said = []
    try:
        gate(data, allow_leaks=False, listed_in=Path("data") / "quality.json")
        require_validation(experiment.arms, data)
    except HarnessError as error:
        said.append(f"the run will stop before anything is sent: {error.message}")
    if any(example.group is not None for example in data.of(Split.TEST)):
        said.append("test items come in groups: the smallest difference that shows is larger than said")
    said += [f"{arm.name}: {remark}" for arm in arms for remark in arm.remarks]
    elsewhere = [arm for arm in arms if arm.endpoint not in (None, LOCAL)]
    if any(arm.load.requests for arm in elsewhere):
        said.append("attempts that fail are sent again; providers rarely bill them")
        said.append("prompts that a provider caches cost less than said here")
    if not probed and elsewhere:
        said.append("shutdown dates, and what endpoints really support, are known to the endpoints: --probe asks them")
    return tuple(said)
