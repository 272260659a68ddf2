"""Seeded synthetic runs that go through the real scoring: realistic input for tests of all that reads results."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.scoring.facts import ArmFacts, Decision, Price, RunFacts
from harness.scoring.results import build
from harness.types import Check, Example, Prediction, Status

LABELS = ("negative", "neutral", "positive")
VALIDATION = 80
"""Validation examples that each synthetic arm answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How one synthetic arm behaves."""

    name: str
    family: str
    accuracy: float
    unparsed: float = 0.0
    failed: float = 0.0
    input_tokens: int = 40
    output_tokens: int = 2
    latency_s: float = 0.3
    price: Price | None = None
    training_usd: float | None = None
    training_s: float | None = None
    local: bool = False
    simulated: bool = False
    shots: int | None = None
    model: str | None = None


SMALL = Price(input=0.8, cached_input=0.2, output=3.2, training=5.0)
LARGE = Price(input=2.5, cached_input=0.6, output=10.0)
ARMS = (
    Made(name="tuned", family="fine-tuned", accuracy=0.93, latency_s=0.26, price=SMALL, training_usd=1.13,
         training_s=840.0, model="ft:small:1"),
    Made(name="8-shot", family="few-shot", accuracy=0.85, unparsed=0.01, failed=0.005, input_tokens=1250,
         latency_s=0.6, price=LARGE, shots=8, model="large"),
    Made(name="zero-shot", family="zero-shot", accuracy=0.76, unparsed=0.04, input_tokens=90, latency_s=0.5,
         price=LARGE, shots=0, model="large"),
    Made(name="tf-idf", family="classical", accuracy=0.70, latency_s=0.0004, local=True),
    Made(name="majority", family="classical", accuracy=0.46, latency_s=0.00001, local=True),
    Made(name="2-shot small", family="few-shot", accuracy=0.74, unparsed=0.02, input_tokens=320, latency_s=0.3,
         price=SMALL, shots=2, model="small"),
    Made(name="tuned small", family="fine-tuned", accuracy=0.91, latency_s=0.19, price=SMALL, training_usd=0.4,
         training_s=300.0, model="ft:small:2"),
    Made(name="mock", family="mock", accuracy=0.6, simulated=True, latency_s=0.1, local=True),
)  # fmt: skip


def example_results(
    n: int = 400, arms: int = 6, seed: int = 7, groups: bool = False
) -> tuple[dict[str, Any], list[Prediction], list[Example]]:
    """Makes results, predictions and examples of a run that never happened.

    Args:
        n: Test examples.
        arms: How many arms; more than eight repeat the first ones as further draws.
        seed: The same seed gives the same run.
        groups: Whether examples have groups (about five examples each).
    """
    made = [
        ARMS[number] if number < len(ARMS) else replace(
            ARMS[number % len(ARMS)], name=f"{ARMS[number % len(ARMS)].name}#{number // len(ARMS) + 1}"
        )
        for number in range(arms)
    ]  # fmt: skip
    examples = make_examples(n, seed, groups)
    facts = [make_arm(arm, examples, seed) for arm in made]
    run = make_run(examples, decision=Decision(incumbent="8-shot" if arms > 1 else None, requests_per_month=15_000))
    predictions = [prediction for arm in facts for prediction in arm.predictions]
    return build(run, facts), predictions, examples


def make_examples(n: int, seed: int = 7, groups: bool = False) -> list[Example]:
    """Makes test examples of three classes of unequal size."""
    draw = random.Random(f"examples {seed}")
    words = ["great", "value", "broke", "after", "a", "week", "works", "as", "described", "battery", "sound", "fine"]
    return [
        Example(
            fields={"title": f"Review {number}", "body": " ".join(draw.choices(words, k=draw.randint(4, 24)))},
            label=draw.choices(LABELS, weights=[3, 2, 5])[0],
            group=f"user {number // 5}" if groups else None,
            slices={"country": draw.choice(["de", "fr", "us"])},
        )
        for number in range(n)
    ]


def make_arm(made: Made, examples: Sequence[Example], seed: int = 7) -> ArmFacts:
    """Lets one synthetic arm answer the examples; how hard an example is, all arms share."""
    rows = tuple(_answer(made, example, seed) for example in examples)
    latencies = [row.latency_s or 0.0 for row in rows]
    draw = random.Random(f"validation {seed} {made.name}")
    strict = sum(row.strict == row.expected for row in rows) / len(rows) if rows else None
    return ArmFacts(
        name=made.name,
        family=made.family,
        model=made.model,
        of=made.name.partition("#")[0] if "#" in made.name else None,
        shots=made.shots,
        mode="generate",
        simulated=made.simulated,
        predictions=rows,
        validation=tuple(_answer(made, example, seed) for example in make_examples(VALIDATION, seed + 1)),
        validation_accuracy=min(1.0, max(0.0, made.accuracy + draw.gauss(0, 0.01))),
        n_validation=200,
        training_cost_usd=made.training_usd,
        training_s=made.training_s,
        local=made.local,
        busy_s=sum(latencies) / 4 if made.local else None,
        metrics={"accuracy_strict": strict, "macro_f1": macro_f1(rows)},
        price=made.price,
    )


def make_run(examples: Sequence[Example], **changes: Any) -> RunFacts:
    """Makes the facts of a run over the examples."""
    grouped = {example.id: example.group for example in examples if example.group is not None}
    facts = RunFacts(
        name="reviews",
        id="reviews-0123abcd",
        started="2026-11-20T09:00:00+00:00",
        finished="2026-11-20T09:12:30+00:00",
        seed=7,
        n_test=len(examples),
        dataset="reviews.csv",
        fingerprint="sha256:" + "5f" * 32,
        labels=LABELS,
        command="harness run experiment.toml",
        groups=grouped or None,
        slices={example.id: example.slices for example in examples},
        checks=(
            Check(kind="exact-leak", level="ok", message="No test example stands in train, validation or shots."),
            Check(
                kind="class-balance",
                level="warning",
                message="The largest class has 2.5 times as many examples as the smallest.",
                figures={"ratio": 2.5},
            ),
        ),
        machine="2 cores",
        prices_date="2026-11-01",
    )
    return replace(facts, **changes)


def macro_f1(rows: Sequence[Prediction]) -> float | None:
    """Returns macro-F1 over the labels present, unparsed and failed answers being misses."""
    scores = []
    for label in sorted({row.expected for row in rows}):
        hits = sum(row.expected == label == row.predicted for row in rows)
        total = sum(row.expected == label for row in rows) + sum(row.predicted == label for row in rows)
        scores.append(2 * hits / total)
    return sum(scores) / len(scores) if scores else None


def _answer(made: Made, example: Example, seed: int) -> Prediction:
    shared = random.Random(f"hardness {seed} {example.id}").random()
    draw = random.Random(f"answer {seed} {made.name} {example.id}")
    # Half of what decides is the example's own hardness: arms err on the same examples more often than by chance
    right = (shared if draw.random() < 0.5 else draw.random()) < made.accuracy
    others = [label for label in LABELS if label != example.label]
    predicted: str | None = example.label if right else draw.choice(others)
    status, fate = Status.ANSWERED, draw.random()
    if fate < made.failed:
        status, predicted = Status.FAILED, None
    elif fate < made.failed + made.unparsed:
        status, predicted = Status.UNPARSED, None
    failed = status is Status.FAILED
    response = "" if failed else f" {predicted}" if predicted else "I would say that depends."
    tokens = made.input_tokens + len(example.text) // 4
    cached = 1024 if tokens > 1100 and draw.random() < 0.6 else 0
    price = made.price
    cost = None
    if price is not None and not failed:
        fresh = (tokens - cached) * (price.input or 0.0) + cached * (price.cached_input or 0.0)
        cost = (fresh + made.output_tokens * (price.output or 0.0)) / 1e6
    confidence = min(0.999, max(0.34, draw.gauss(0.9 if right else 0.6, 0.12)))
    remote = made.price is not None
    return Prediction(
        arm=made.name,
        example_id=example.id,
        expected=example.label,
        predicted=predicted,
        status=status,
        strict=predicted if draw.random() < 0.97 else None,
        response=response,
        shot_ids=tuple(f"{number:016x}" for number in range(made.shots or 0)),
        input_tokens=tokens if remote and not failed else None,
        output_tokens=made.output_tokens if remote and not failed else None,
        cached_tokens=cached if remote and not failed else None,
        latency_s=None if failed else made.latency_s * draw.lognormvariate(0, 0.4),
        queue_s=0.01 if remote and not failed else None,
        retry_s=0.0 if remote and not failed else None,
        attempts=3 if failed else 1,
        cost_usd=cost,
        confidence=confidence if predicted is not None else None,
        error="timed out after 3 attempts" if failed else None,
    )
