"""From answers to the run's result files: facts for scoring, results.json, predictions, trials, quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any

from harness import tables
from harness.contract import Metric
from harness.errors import PluginError, UnfinishedError
from harness.evaluation import Chosen, Trained, accuracy
from harness.execution.questions import Answered, settled
from harness.execution.work import digest
from harness.experiment import LOCAL, Arm, Experiment
from harness.experiment_file import DecisionTable
from harness.files import write_json
from harness.machine_time import machine_seconds, spans
from harness.plugins import attributed
from harness.prepare import Prepared
from harness.prices import Prices
from harness.runs import RunFolder
from harness.types import Check, Example, Prediction, Row, Rows, Split, Usage

PROMPTED = ("zero-shot", "few-shot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a run has to be scored."""

    arms: tuple[Arm, ...]
    ready: Mapping[str, Trained]
    choices: Mapping[str, Chosen]
    validation: Mapping[str, Sequence[Answered]]
    test: Mapping[str, Sequence[Answered]]
    again: Mapping[str, Sequence[Sequence[Answered]]] = field(default_factory=dict)
    """Arm → its answers to the test items when they were asked again, once for each time."""
    faults: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Arm → kind → attempts that failed, in the whole run."""
    checks: tuple[Check, ...] = ()
    ledger: Mapping[str, Any] | None = None
    """What the run has cost, as the journal knows it."""


def contending(arms: Sequence[Arm]) -> set[str]:
    """Names the arms between which contenders must be chosen: those of a side that has more than one.

    Sides are the fine-tuned and the prompted arms; where one of them is empty, all arms stand on one side.
    """
    tuned = [arm.name for arm in arms if arm.family == "fine-tuned"]
    prompted = [arm.name for arm in arms if arm.family in PROMPTED]
    if tuned and prompted:
        return {name for side in (tuned, prompted) if len(side) > 1 for name in side}
    return {arm.name for arm in arms} if len(arms) > 2 else set()


def unfinished(error: UnfinishedError | None, ready: Mapping[str, Trained]) -> UnfinishedError | None:
    """Returns what is left to do, where something is."""
    refusals = [one.refusal for one in ready.values() if one.refusal is not None]
    if error is not None or not refusals:
        return error
    message, _, hint = refusals[0].partition("\n")
    return UnfinishedError(message, hint or "the other arms are finished; the same command goes on")


def write(
    folder: RunFolder, experiment: Experiment, data: Prepared, outcome: Outcome, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores a run and writes its result files.

    Returns:
        `results.json` as a dict.

    Raises:
        PluginError: A metric raised or returned something that is no figure.
    """
    from harness.scoring.results import build

    backends = [one.arm.backend for one in outcome.ready.values()]
    prices = Prices.of(experiment)
    prices.trained |= {b.model: b.base for b in backends if getattr(b, "model", None) and getattr(b, "base", None)}  # type: ignore[attr-defined]
    measured = [name for name, one in outcome.ready.items() if not getattr(one.arm.backend, "simulated", False)]
    seconds = machine_seconds({name: spans(outcome.test.get(name, ())) for name in measured})
    arms = [_arm_facts(arm, experiment, data, outcome, prices, seconds) for arm in outcome.arms]
    checks = (*data.checks, *outcome.checks, *_price_checks(outcome, prices), *_choose_checks(outcome, data))
    results = {**build(_run_facts(experiment, data, outcome, manifest, checks), arms), "ledger": outcome.ledger}
    tables.write_predictions(folder.predictions, [row for arm in arms for row in arm.predictions])
    _write_trials(folder, outcome)
    write_json(folder.results, results)
    return dict(results)


def _run_facts(
    experiment: Experiment, data: Prepared, outcome: Outcome, manifest: Mapping[str, Any], checks: tuple[Check, ...]
) -> Any:
    from harness.manifest import now
    from harness.scoring.facts import RunFacts

    test = data.of(Split.TEST)
    groups = {example.id: example.group for example in test if example.group is not None}
    return RunFacts(
        name=experiment.name,
        id=manifest["id"],
        started=manifest["created"],
        finished=now(),
        seed=experiment.seed,
        n_test=len(test),
        dataset=_dataset_name(experiment),
        fingerprint=data.fingerprint,
        labels=data.labels,
        ordered=bool(getattr(experiment.dataset, "ordered", False)),
        preview=bool(manifest["preview"]),
        command=manifest["command"],
        groups=groups or None,
        margin=experiment.verdict.margin,
        checks=checks,
        choices=tuple(_choice(chosen) for chosen in outcome.choices.values()),
        repeats=_repeats(outcome) if experiment.repeats > 1 else (),
        decision=decision_facts(experiment.decision),
        machine=manifest["machine"],
        leaked=_leaked(data),
        data=_data(data),
        prices_date=manifest["prices"]["sources"],
    )


def _leaked(data: Prepared) -> frozenset[str]:
    """Returns the test examples that an arm has seen: in train or validation, or in a prompt."""
    shown = [name for check in data.checks if check.kind == "prompt-leak" for name in check.figures["ids"]]
    return frozenset([leak.a for leak in data.leaks if leak.split_a == Split.TEST] + shown)


RANKED = 20
"""Rows of each list of suspicious ones that the results hold; `quality.json` has more."""


def _data(data: Prepared) -> dict[str, Any]:
    """Returns what became of the rows, and which are worth a look."""
    ranked = [asdict(each) for each in data.ranked]
    return {
        "rows_in": data.rows_in,
        "rows_out": {str(split): len(data.of(split)) for split in Split},
        "removed": dict(data.removed),
        "ranked": [{**each, "n": len(each["items"]), "items": each["items"][:RANKED]} for each in ranked],
    }


def _dataset_name(experiment: Experiment) -> str:
    """Returns how readers know the data: a file's or repository's name, else the plugin's."""
    path = getattr(experiment.dataset, "path", None)
    return PurePath(path).name if isinstance(path, str) and path else experiment.dataset.name


def decision_facts(table: DecisionTable) -> Any:
    """Returns what the money side assumes, as the scoring takes it."""
    from harness.scoring.facts import Decision

    return Decision(**{name: getattr(table, name) for name in Decision.__dataclass_fields__})


def _arm_facts(
    arm: Arm, experiment: Experiment, data: Prepared, outcome: Outcome, prices: Prices, seconds: Mapping[str, float]
) -> Any:
    from harness.scoring.facts import ArmFacts

    ready = outcome.ready[arm.name]
    asked = ready.arm
    answers = outcome.test.get(arm.name, ())
    endpoint = getattr(asked.backend, "endpoint", None)
    local = endpoint in (None, LOCAL)
    simulated = bool(getattr(asked.backend, "simulated", False))
    busy_n = len(spans(answers))
    timed = local and busy_n > 0 and not simulated  # simulated seconds are nobody's
    rows = [answer.prediction for answer in answers]
    hour = prices.hour_usd()
    if endpoint == LOCAL and hour is not None and busy_n:
        each = seconds[arm.name] / busy_n / 3600 * hour
        rows = [replace(row, cost_usd=each) for row in rows]
    validation = outcome.validation.get(arm.name)
    return ArmFacts(
        name=arm.name,
        family=arm.family,
        predictions=tuple(rows),
        model=getattr(asked.backend, "model", None) or getattr(asked.backend, "base", None),
        of=arm.of,
        shots=(asked.shots.k if asked.shots else 0) if arm.family in (*PROMPTED, "fine-tuned") else None,
        mode=getattr(asked.backend, "answer", None),
        simulated=simulated,
        imported=bool(getattr(asked.backend, "imported", False)),
        validation_accuracy=accuracy(validation) if validation else None,
        n_validation=len(validation) if validation else None,
        training_cost_usd=_training_usd(ready, endpoint, hour),
        training_s=ready.seconds,
        local=local,
        busy_s=seconds.get(arm.name) if timed else None,
        busy_n=busy_n if timed else None,
        metrics=_metrics(experiment, data, rows) if rows else {},
        refused=ready.refused,
        price=price_of(prices, endpoint, asked),
        faults=outcome.faults.get(arm.name, {}),
    )


def _training_usd(ready: Trained, endpoint: str | None, hour: float | None) -> float | None:
    if endpoint == LOCAL and hour is not None and ready.seconds is not None:
        return ready.seconds / 3600 * hour
    return ready.usd


def price_of(prices: Prices, endpoint: str | None, arm: Arm) -> Any:
    """Returns the `Price` of an arm's model, `None` where none applies or is known."""
    from harness.scoring.facts import Price

    model = getattr(arm.backend, "model", None)
    if endpoint in (None, LOCAL) or model is None:
        return None
    table = prices.table(model)
    if table is None:  # a listed model: prices for a million tokens of a short request
        listed = [
            prices.request_usd(endpoint, model, usage)
            for usage in (Usage(input=1000), Usage(input=1000, cached=1000), Usage(output=1000))
        ]
        if listed[0] is None or listed[1] is None or listed[2] is None:
            return None
        return Price(input=listed[0] * 1000, cached_input=listed[1] * 1000, output=listed[2] * 1000)
    return Price(input=table.input, cached_input=table.cached_input, output=table.output, training=table.training)


def _metrics(experiment: Experiment, data: Prepared, rows: Sequence[Prediction]) -> dict[str, float | None]:
    """Computes all metric plugins over one arm's answers."""
    by_id = {example.id: example for example in data.of(Split.TEST)}
    scored = Rows(
        rows=tuple(_row(row, by_id[row.example_id]) for row in rows),
        labels=data.labels,
        ordered=bool(getattr(experiment.dataset, "ordered", False)),
    )
    figures: dict[str, float | None] = {}
    for metric in experiment.metrics:
        figures |= _figures(metric, scored)
    return figures


def _row(row: Prediction, example: Example) -> Row:
    return Row(
        example_id=row.example_id,
        expected=row.expected,
        predicted=row.predicted,
        status=row.status,
        strict=row.strict,
        probabilities=row.probabilities,
        group=example.group,
        slices=example.slices,
    )


def _figures(metric: Metric, rows: Rows) -> dict[str, float | None]:
    with attributed(metric, "score"):
        figures = dict(metric.score(rows))
    for name, value in figures.items():
        if value is not None and (not isinstance(value, (int, float)) or value != value or abs(value) == float("inf")):
            raise PluginError(
                f'the metric "{metric.name}" ({type(metric).__module__}) returned {name} = {value!r}',
                "a metric returns a finite number, or None where it does not apply",
            )
    return figures


def _repeats(outcome: Outcome) -> tuple[dict[str, Any], ...]:
    """Returns how stable each arm's answers are; of those that were not asked again, why."""
    from harness.scoring.repeats import stability

    found = []
    for name, first in outcome.test.items():
        times = [[answer.prediction for answer in answers] for answers in (first, *outcome.again.get(name, ()))]
        known = None if len(times) > 1 else "deterministic" if settled(outcome.ready[name].arm) else "not-asked"
        found.append(stability(name, times, known))
    return tuple(found)


def _choice(chosen: Chosen) -> dict[str, Any]:
    from harness.scoring.statistics import wilson

    seconds = machine_seconds({str(index): spans(answers) for index, (_, answers) in enumerate(chosen.tried)})
    candidates = []
    for index, (settings, answers) in enumerate(chosen.tried):
        right = round(accuracy(answers) * len(answers)) if answers else 0
        costs = [answer.prediction.cost_usd for answer in answers]
        candidates.append(
            {
                "settings": dict(settings),
                "n": len(answers),
                "accuracy": accuracy(answers) if answers else None,
                "accuracy_ci": list(wilson(right, len(answers))) if answers else None,
                "unparsed": sum(answer.prediction.status == "unparsed" for answer in answers),
                "failed": sum(answer.prediction.status == "failed" for answer in answers),
                "cost_usd": None if any(cost is None for cost in costs) or not costs else sum(c for c in costs if c),
                "seconds": seconds[str(index)] if answers else None,
            }
        )
    return {
        "arm": chosen.arm,
        "split": "validation",
        "chosen": dict(chosen.settings),
        "candidates": candidates,
        "skipped": chosen.skipped,
    }


def _write_trials(folder: RunFolder, outcome: Outcome) -> None:
    """Writes what stands beside the results: candidates, the naming of the contenders, and all repeats."""
    rows: list[Prediction] = []
    names: list[str] = []
    for chosen in outcome.choices.values():
        for settings, answers in chosen.tried:
            rows += [answer.prediction for answer in answers]
            names += [", ".join(f"{key} = {value}" for key, value in settings.items())] * len(answers)
    for arm, answers_of in outcome.validation.items():
        if arm not in outcome.choices:
            rows += [answer.prediction for answer in answers_of]
            names += ["validation"] * len(answers_of)
    for arm, again in outcome.again.items():
        for repeat, answers_of in enumerate((outcome.test[arm], *again)):
            rows += [answer.prediction for answer in answers_of]
            names += [f"repeat {repeat}"] * len(answers_of)
    tables.write_predictions(folder.trials, rows, names)


def _price_checks(outcome: Outcome, prices: Prices) -> list[Check]:
    """Says which models have no price: their costs stay unknown, they are never guessed."""
    checks = []
    for ready in outcome.ready.values():
        model, endpoint = getattr(ready.arm.backend, "model", None), getattr(ready.arm.backend, "endpoint", None)
        if model and endpoint not in (None, LOCAL) and not prices.known(endpoint, model):
            checks.append(
                Check(
                    kind="missing-price",
                    level="warning",
                    message=f'No price is known for {model}, its costs are unknown: [prices."{model}"] gives input, '
                    "cached_input and output in USD for a million tokens.",
                    figures={"model": model},
                )
            )
    return list({check.message: check for check in checks}.values())


def _choose_checks(outcome: Outcome, data: Prepared) -> list[Check]:
    """Says why a local arm that chooses reads its prompt once for each label."""
    scored = [
        name
        for name, one in outcome.ready.items()
        if getattr(one.arm.backend, "answer", None) == "choose" and getattr(one.arm.backend, "endpoint", None) == LOCAL
    ]
    if not scored:
        return []
    message = (
        f'{", ".join(scored)}: answer = "choose" scores each label as a continuation, so the input tokens of a request '
        f"count the prompt {len(data.labels)} times; what was read once is counted as cached."
    )
    return [Check(kind="choose-tokens", level="ok", message=message, figures={"labels": len(data.labels)})]


def chain(outcome: Outcome) -> dict[str, Any]:
    """Returns the later links of the hash chain: files → job → model → answers."""
    answers = [
        [name, row.prediction.example_id, row.prediction.response, str(row.prediction.status)]
        for name, rows in sorted(outcome.test.items())
        for row in rows
    ]
    return {
        "files": {name: dict(one.files) for name, one in outcome.ready.items() if one.files},
        "jobs": {name: one.job for name, one in outcome.ready.items() if one.job},
        "models": {name: one.model for name, one in outcome.ready.items() if one.model},
        "answers": digest(answers),
    }
