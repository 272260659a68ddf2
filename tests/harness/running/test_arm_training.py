"""Training in process, choosing and asking: the ways of answering, over real HTTP, against what the provider thinks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.lab import LABELS, Lab, endpoint, few_shot, task
from support.provider import Provider, Settings
from support.provider.model import Oracle

from harness.errors import UnfinishedError
from harness.execution.budget import Budget
from harness.experiment.file import PriceTable
from harness.journal import Job, Journal
from harness.prices import Prices
from harness.running.abreast import Pause
from harness.running.arm_training import ArmTraining, Plan, Trained, left_to_train
from harness.training import Trainer
from harness.types import JobSpec

ANSWERS = task(90)
QUALITY: dict[str, Any] = {"accuracy": 0.6, "seed": 9}
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider.start(answers=ANSWERS, reasoning_tokens=3, cached_share=0.5, **QUALITY) as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("FAKE_KEY", "sk-anything")
    return Lab.make(tmp_path, 90)


def texts(lab: Lab) -> dict[str, str]:
    import pyarrow.parquet as pq

    return {row["id"]: row["text"] for row in pq.read_table(lab.folder / "data" / "examples.parquet").to_pylist()}


PLAIN = 'formatter = { plugin = "plain" }\n'
WAYS = {
    "chat generate": few_shot("a"),
    "chat choose": few_shot("a", options=', answer = "choose"'),
    "chat schema": few_shot("a", options=', answer = "schema"'),
    "completion generate": few_shot("a", extra=PLAIN),
    "completion choose": few_shot("a", options=', answer = "choose"', extra=PLAIN),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_answering_says_what_the_model_thinks(lab: Lab, provider: Provider, way: str) -> None:
    lab.write(WAYS[way], dataset=SPLIT + endpoint(provider.base_url))
    done = lab.run()
    assert done.code == 0, done
    oracle, by_id = Oracle(Settings(answers=ANSWERS, **QUALITY)), texts(lab)
    rows = lab.predictions()
    assert len(rows) == 36
    for row in rows:
        text = by_id[row["example_id"]]
        decision = oracle.decide(text, oracle.find(text), tuned=False)
        assert row["predicted"] == decision.label
        assert row["reasoning_tokens"] == 3
        assert row["cached_tokens"] == row["input_tokens"] // 2
        if "choose" in way:
            probabilities = json.loads(row["probabilities"])
            assert probabilities == pytest.approx({label: decision.probabilities[label] for label in LABELS})
            assert row["confidence"] == pytest.approx(decision.probabilities[decision.label])


def test_calibration_divides_by_what_an_empty_input_gets(lab: Lab, provider: Provider) -> None:
    provider.reset()
    lab.write(
        few_shot("a", options=', answer = "choose", calibrate = true'), dataset=SPLIT + endpoint(provider.base_url)
    )
    assert lab.run().code == 0
    assert provider.counts()["POST /v1/chat/completions"] == 36 + 1  # the empty prompt once for all items
    (empty,) = [r.body for r in provider.requests() if r.body["messages"][-1]["content"] == "N/A"]
    oracle, by_id = Oracle(Settings(answers=ANSWERS, **QUALITY)), texts(lab)
    prompt = "\n".join(message["content"] for message in empty["messages"])
    bias = oracle.decide(prompt, oracle.find(prompt), tuned=False).probabilities
    for row in lab.predictions():
        text = by_id[row["example_id"]]
        raw = oracle.decide(text, oracle.find(text), tuned=False).probabilities
        weights = {label: raw[label] / bias[label] for label in LABELS}
        expected = {label: weight / sum(weights.values()) for label, weight in weights.items()}
        assert json.loads(row["probabilities"]) == pytest.approx(expected)
        assert row["predicted"] == max(expected, key=lambda label: expected[label])


def test_an_in_process_model_is_trained_once_and_kept_whole(lab: Lab) -> None:
    arm = '[[arms]]\nname = "c"\nbackend = { plugin = "classical" }\n'
    lab.write(arm, dataset=SPLIT)
    assert lab.run().code == 0
    (model,) = (lab.folder / "models").iterdir()
    note = json.loads((model / "fit.json").read_text())
    assert note["seconds"] > 0
    before = {path.name: path.stat().st_mtime_ns for path in model.iterdir()}
    said = lab.said()
    for name in ("results.json", "journal.sqlite"):
        (lab.folder / name).unlink()
    assert lab.run().code == 0  # everything after the model is made again from it
    assert lab.said() == said
    assert {path.name: path.stat().st_mtime_ns for path in model.iterdir()} == before
    assert [path.name for path in (lab.folder / "models").iterdir()] == [model.name]


FITS = """
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
import harness

@dataclass(frozen=True)
class Own:
    name: ClassVar[str] = "own"
    family: ClassVar[str] = "other"

    def fit(self, train, validation, folder):
        (folder / "half").write_text("x")
        assert {example.split for example in (*train, *validation)} == {"train", "validation"}
        FAIL
        (folder / "label").write_text(train[0].label)

    @contextmanager
    def open(self, ctx):
        label = (ctx.folder / "label").read_text()
        yield lambda prompts: [harness.Answer(text=label) for _ in prompts]

@harness.hookimpl
def harness_backends():
    return [Own]
"""


def test_a_training_that_fails_leaves_nothing_half_made(lab: Lab) -> None:
    own = lab.path / "own.py"
    own.write_text(FITS.replace("FAIL", "raise MemoryError('too large')"))
    lab.write('[[arms]]\nname = "o"\nbackend = { plugin = "own" }\n', dataset=SPLIT)
    done = lab.run("--plugin", own)
    assert done.code == 2, done
    assert '"own"' in done.err
    assert "failed in fit: MemoryError: too large" in done.err
    assert list((lab.folder / "models").iterdir()) == []
    own.write_text(FITS.replace("FAIL", "pass"))
    done = lab.run("--plugin", own)
    assert done.code == 0, done
    assert len({row["predicted"] for row in lab.predictions()}) == 1
    assert "was edited" in done.err


def test_what_is_left_to_train() -> None:
    arm: Any = None
    assert left_to_train([Trained(arm=arm)], "go on") is None
    for refusal, hint in (("refused\ntrain elsewhere", "train elsewhere"), ("refused", "go on")):
        left = left_to_train([Trained(arm=arm, refusal=refusal), Trained(arm=arm)], "go on")
        assert left is not None
        assert (left.message, left.hint) == ("refused", hint)


class Fails(Trainer):
    """Its jobs are cancelled after some training."""

    def ensure(self, arm: str, spec: JobSpec, *_: Any, **__: Any) -> Job:
        job = Job(tag="t", arm=arm, spec={"base": spec.base}, files={}, job="ftjob-1", status="cancelled", finished=2.0)
        self.journal.save_job(replace(job, result={"trained_tokens": 500_000}))
        raise UnfinishedError("cancelled")


def test_what_a_job_that_came_to_nothing_was_billed_is_spent(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        budget, prices = Budget(max_usd=5.0), Prices(own={"small": PriceTable(training=4.0)}, urls={})
        asker = SimpleNamespace(identities={"api": "https://a/v1"})
        asking: Any = SimpleNamespace(
            journal=journal, engine=SimpleNamespace(budget=budget), prices=prices, asker=asker
        )
        trainer = Fails(journal=journal, connect=lambda _: pytest.fail("asked"), say=lambda *_: None)
        learning: Any = None
        work = ArmTraining(asking=asking, trainer=trainer, learning=learning)
        spec = JobSpec(endpoint="api", base="small", hyperparameters={})
        nothing: Any = None
        plan = Plan(arm=SimpleNamespace(name="tuned"), spec=spec, files=nothing, upload=nothing, tag="t", usd=2.0)  # type: ignore[arg-type]
        assert isinstance(work._job(plan, "tuned", Pause(trainer.sleep)), UnfinishedError)
        assert (budget.spent, journal.spent()) == (2.0, 2.0)
        journal.save_job(Job(tag="t", arm="tuned", spec={"base": "small", "attempt": 2}, files={}, created=3.0))
        assert journal.spent() == 2.0  # launched again
