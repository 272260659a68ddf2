"""From answers to the run's result files: facts for scoring, results.json, predictions, trials, quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any

from harness import tables
from harness.execution.answers import Answered, accuracy
from harness.execution.questions import settled
from harness.execution.work import digest
from harness.experiment import LOCAL, Arm, Experiment
from harness.experiment.file import DecisionTable
from harness.files import write_json
from harness.findings import finding
from harness.outcome import choice_record, curve_record, measures
from harness.outcome.machine_time import busy_seconds, clocked, takes_this_machine
from harness.prepare.options import Prepared
from harness.prices import Prices
from harness.running import arm_prices
from harness.running.arm_training import Trained
from harness.runs import RunFolder
from harness.trials.curves import Curves
from harness.trials.search import Chosen
from harness.types import PROMPTS, TUNED, Check, Prediction, Split
from harness.words import noted


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
    curves: Curves = field(default_factory=Curves)
    failed_jobs: Sequence[tuple[str, str, int]] = ()
    """Arm, base model and trained tokens of jobs that came to nothing."""


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
    here = [name for name, one in outcome.ready.items() if takes_this_machine(one.arm)]
    seconds = busy_seconds({name: outcome.test.get(name, ()) for name in here})
    computed, lost = _metrics(experiment, data, outcome)
    arms = [replace(_arm_facts(arm, outcome, prices, seconds), metrics=computed[arm.name]) for arm in outcome.arms]
    checks = (*data.checks, *outcome.checks, *outcome.curves.checks, *lost)
    checks += (*_price_checks(outcome, prices), *_choose_checks(outcome, data), *_dropped_checks(outcome))
    results = build(_run_facts(experiment, data, outcome, manifest, checks), arms)
    write_json(folder.manifest, manifest)  # what the one before says was true of the files that go now
    tables.write_predictions(folder.predictions, [row for arm in arms for row in arm.predictions])
    _write_trials(folder, outcome)
    write_json(folder.results, results)
    return dict(results)


def _run_facts(
    experiment: Experiment, data: Prepared, outcome: Outcome, manifest: Mapping[str, Any], checks: tuple[Check, ...]
) -> Any:
    from harness.running.manifest import now
    from harness.scoring.facts import RunFacts, groups_of

    test = data.of(Split.TEST)
    validation = groups_of(data.of(Split.VALIDATION))
    hour = Prices.of(experiment).hour_usd()
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
        groups=groups_of(test),
        slices={example.id: example.slices for example in test},
        margin=experiment.verdict.margin,
        checks=checks,
        choices=tuple(choice_record.record(chosen, hour, validation) for chosen in outcome.choices.values()),
        curves=curve_record.results(outcome.curves, experiment.seed),
        repeats=_repeats(outcome) if experiment.repeats > 1 else (),
        training=tuple(one.record for one in outcome.ready.values() if one.record),
        decision=decision_facts(experiment.decision),
        machine=manifest["machine"],
        prior=_prior(data),
        leaked=_leaked(data),
        data=_data(data),
        prices_date=manifest["prices"]["sources"],
        ledger=outcome.ledger,
    )


def _prior(data: Prepared) -> dict[str, float]:
    """Returns each label's share of the training split."""
    known = Counter(example.label for example in data.of(Split.TRAIN))
    return {label: known[label] / known.total() for label in data.labels} if known else {}


def _leaked(data: Prepared) -> frozenset[str]:
    """Returns the test examples that an arm has seen: in train or validation, or in a prompt."""
    shown = [name for check in data.checks if check.kind == "prompt-leak" for name in check.figures["ids"]]
    return frozenset([leak.a for leak in data.leaks if leak.split_a == Split.TEST] + shown)


RANKED = 20
"""Rows of each list of suspicious ones that the results hold; `quality.json` has more."""


def _data(data: Prepared) -> dict[str, Any]:
    """Returns what became of the rows, and which are worth a look."""
    ranked = [asdict(each) for each in data.ranked]
    found = {str(split): Counter(example.label for example in data.of(split)) for split in Split}
    return {
        "rows_in": data.rows_in,
        "rows_out": {split: counts.total() for split, counts in found.items()},
        "labels": [
            {"label": label, **{split: counts[label] for split, counts in found.items()}} for label in data.labels
        ],
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


def _arm_facts(arm: Arm, outcome: Outcome, prices: Prices, seconds: Mapping[str, float]) -> Any:
    from harness.scoring.facts import ArmFacts

    ready = outcome.ready[arm.name]
    asked = ready.arm
    answers = outcome.test.get(arm.name, ())
    endpoint = asked.endpoint
    busy_s, busy_n = seconds.get(arm.name), len(clocked(answers))
    rows = [answer.prediction for answer in answers]
    hour = prices.hour_usd()
    if endpoint == LOCAL and hour is not None and busy_s is not None:
        each = busy_s / busy_n / 3600 * hour
        rows = [replace(row, cost_usd=each) for row in rows]
    validation = outcome.validation.get(arm.name)
    shown = arm.family in (*PROMPTS, *TUNED) and not asked.imported  # what was shown elsewhere is not known
    return ArmFacts(
        name=arm.name,
        family=arm.family,
        predictions=tuple(rows),
        model=asked.model or asked.base,
        of=arm.of,
        shots=(asked.shots.k if asked.shots else 0) if shown else None,
        mode=None if asked.imported else asked.answer_mode,
        max_tokens=getattr(asked.backend, "max_tokens", None),
        simulated=asked.simulated,
        imported=asked.imported,
        validation=tuple(answer.prediction for answer in validation or ()),
        validation_accuracy=accuracy(validation) if validation else None,
        n_validation=len(validation) if validation else None,
        training_cost_usd=arm_prices.training_usd(ready, endpoint, hour),
        training_s=ready.seconds,
        shutdown_date=ready.record.get("shutdown_date"),
        failed_training_usd=arm_prices.failed_usd(outcome.failed_jobs, prices, arm.name) if endpoint != LOCAL else None,
        local=endpoint in (None, LOCAL) and not asked.imported,
        busy_s=busy_s,
        busy_n=None if busy_s is None else busy_n,
        refused=ready.refused,
        price=arm_prices.price_of(prices, endpoint, asked),
        price_shares=arm_prices.price_shares(prices, asked, answers),
        faults=outcome.faults.get(arm.name, {}),
    )


def _metrics(
    experiment: Experiment, data: Prepared, outcome: Outcome
) -> tuple[dict[str, dict[str, float | None]], list[Check]]:
    """Computes every metric for every arm."""
    tested = measures.Tested(
        examples={example.id: example for example in data.of(Split.TEST)},
        labels=data.labels,
        ordered=bool(getattr(experiment.dataset, "ordered", False)),
    )
    rows = {arm.name: [answer.prediction for answer in outcome.test.get(arm.name, ())] for arm in outcome.arms}
    return measures.measured(experiment.metrics, tested, rows, lambda metric: experiment.asks_for("metrics", metric))


def _repeats(outcome: Outcome) -> tuple[dict[str, Any], ...]:
    """Returns how stable each arm's answers are; of those that were not asked again, why."""
    from harness.scoring.repeats import stability

    found = []
    for name, first in outcome.test.items():
        times = [[answer.prediction for answer in answers] for answers in (first, *outcome.again.get(name, ()))]
        known = None if len(times) > 1 else "deterministic" if settled(outcome.ready[name].arm) else "not-asked"
        found.append(stability(name, times, known))
    return tuple(found)


def _write_trials(folder: RunFolder, outcome: Outcome) -> None:
    """Writes what stands beside the results: candidates, contenders on validation, repeats, points of curves."""
    rows: list[Prediction] = []
    names: list[str] = []
    for chosen in outcome.choices.values():
        for name, each in zip(choice_record.names(chosen), chosen.tried, strict=True):
            rows += [answer.prediction for answer in each.answers]
            names += [name] * len(each.answers)
    for arm, answers_of in outcome.validation.items():
        if arm not in outcome.choices:
            rows += [answer.prediction for answer in answers_of]
            names += ["validation"] * len(answers_of)
    for arm, again in outcome.again.items():
        for repeat, answers_of in enumerate((outcome.test[arm], *again)):
            rows += [answer.prediction for answer in answers_of]
            names += [f"repeat {repeat}"] * len(answers_of)
    for name, row in curve_record.trials(outcome.curves):
        rows.append(row)
        names.append(name)
    tables.write_predictions(folder.trials, rows, names)


def _price_checks(outcome: Outcome, prices: Prices) -> list[Check]:
    """Says which models have no price: their costs stay unknown, they are never guessed."""
    checks = []
    asked = [(ready.arm.endpoint, ready.arm.model) for ready in outcome.ready.values()]
    asked += [(given.endpoint, given.model) for ready in outcome.ready.values() for given in ready.arm.embeddings()]
    for endpoint, model in asked:
        if model and endpoint not in (None, LOCAL) and not prices.known(endpoint, model):
            checks.append(finding("missing-price", "warning", {"model": model}))
    return list({check.message: check for check in checks}.values())


def _choose_checks(outcome: Outcome, data: Prepared) -> list[Check]:
    """Says why a local arm that chooses reads its prompt once for each label."""
    scored = [
        name for name, one in outcome.ready.items() if one.arm.answer_mode == "choose" and one.arm.endpoint == LOCAL
    ]
    if not scored:
        return []
    return [finding("choose-tokens", "ok", {"labels": len(data.labels), "arms": scored})]


def _dropped_checks(outcome: Outcome) -> list[Check]:
    """Says of which arms the model saw fewer shots than were picked."""
    checks = []
    for name, answers in outcome.test.items():
        dropped = [answered.dropped for answered in answers if answered.dropped]
        if dropped:
            figures = {"arm": name, "items": len(dropped), "shots": sum(dropped), "n": len(answers)}
            advice = noted("Lower shots.k, take shorter texts for shots, or a model with a longer context.")
            checks.append(finding("shots-dropped", "warning", figures, advice=advice))
    return checks


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
