"""A job that another run has launched is gone on from: nothing that is under way is bought a second time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.provider import Provider

from harness.errors import UnfinishedError
from harness.execution.targets import Target
from harness.journal import Job, Journal
from harness.training import Trainer, job_tag, upload_of
from harness.training.going_on import furthest
from harness.types import JobSpec, TrainingFiles

CREATE, LIST_JOBS = "POST /v1/fine_tuning/jobs", "GET /v1/fine_tuning/jobs"


class Stop(BaseException):
    """The user ends the process."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start() as running:
        yield running


@pytest.fixture
def spec(request: pytest.FixtureRequest) -> JobSpec:
    return JobSpec(endpoint="fake", base="base-model", hyperparameters={"n_epochs": 2}, suffix=request.node.name[-40:])


@pytest.fixture
def files(tmp_path: Path, request: pytest.FixtureRequest) -> TrainingFiles:
    texts = (f"text {number} of {request.node.name}" for number in range(12))
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": text, "completion": " good"}) + "\n" for text in texts))
    return TrainingFiles(train=path, validation=None, n_train=12, n_validation=0)


@pytest.fixture
def trained(provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles) -> Callable[..., Job]:
    """Trains in a run's folder; the other ones are its siblings."""

    def train(run: str, siblings: tuple[str, ...] = (), *, said: list[str] | None = None, **trainer: Any) -> Job:
        (tmp_path / run).mkdir(exist_ok=True)
        target = Target(
            name="fake", base_url=provider.base_url, api_key="none", headers={}, query={}, concurrency=1, timeout_s=10.0
        )
        with Journal(tmp_path / run / "j") as journal:
            made = Trainer(
                journal=journal,
                connect=lambda _: target,
                say=lambda _, message: said.append(message) if said is not None else None,
                siblings=tuple(tmp_path / name / "j" for name in siblings),
                **{"sleep": lambda seconds: time.sleep(min(seconds, 0.005)), **trainer},
            )
            return made.ensure(f"arm of {run}", spec, upload_of(files), provider.base_url)

    return train


def stops_after(looks: int) -> Callable[[float], None]:
    """Returns a pause that ends the process, as it were, when the job has been looked at so often."""
    left = [looks]

    def sleep(_seconds: float) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    return sleep


def test_a_job_that_another_run_has_under_way_is_followed(
    provider: Provider, tmp_path: Path, trained: Callable[..., Job]
) -> None:
    with pytest.raises(Stop):
        trained("one", sleep=stops_after(1))
    said: list[str] = []
    job = trained("two", ("none", "one"), said=said)
    assert (job.status, job.arm) == ("succeeded", "arm of two")
    assert said[0] == f"following {job.job}, which was launched before"
    assert provider.counts()[CREATE] == 1
    again = trained("one", ("two",))  # bought once, and by the run that has seen its end
    assert (again.model, (again.result or {})["reused"]) == (job.model, "two")
    assert "reused" not in (job.result or {})
    assert provider.counts()[CREATE] == 1


@pytest.mark.parametrize("launched", [False, True])
def test_a_launch_that_another_run_has_not_recorded_is_looked_up(
    provider: Provider, tmp_path: Path, trained: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, launched: bool
) -> None:
    def create(*_: Any, **__: Any) -> Job:
        raise Stop

    with monkeypatch.context() as patched:
        if launched:
            patched.setattr(Trainer, "_create", lambda *given: (CREATED(*given), create())[1])
        else:
            patched.setattr(Trainer, "_create", create)
        patched.setattr(Journal, "save_job", unrecorded(Journal.save_job))
        with pytest.raises(Stop):
            trained("one")
    assert provider.counts().get(CREATE, 0) == launched
    assert trained("two", ("one",)).status == "succeeded"
    assert provider.counts()[CREATE] == 1
    assert provider.counts()[LIST_JOBS] >= 1


CREATED = Trainer._create


def unrecorded(save: Callable[[Journal, Job], None]) -> Callable[[Journal, Job], None]:
    """Returns a record of jobs that ends before a job has an id."""
    return lambda journal, job: save(journal, job) if job.job is None else None


def test_what_has_failed_elsewhere_is_no_way_to_go_on(provider: Provider, trained: Callable[..., Job]) -> None:
    with pytest.raises(Stop):
        trained("one", sleep=stops_after(1))
    provider.set(job_error="server_error")
    with pytest.raises(UnfinishedError, match="failed"):
        trained("two", ("one",))
    provider.set(job_error=None)
    assert provider.counts()[CREATE] == 1
    job = trained("two", ("one",))  # the first run still has the job as one that runs
    assert (job.status, job.spec["attempt"]) == ("succeeded", 2)
    assert provider.counts()[CREATE] == 2


def test_a_local_model_is_taken_over_only_where_it_can_answer(tmp_path: Path, files: TrainingFiles) -> None:
    spec = JobSpec(endpoint="local", base="SmolLM2", hyperparameters={})
    tag = job_tag(spec, upload_of(files), "local")
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        steps = [{"model": f"{run}:{step}", "step": step} for step in (1, 2)]
        with Journal(tmp_path / run / "j") as journal:
            journal.save_job(
                replace(JOB, tag=tag, job=f"ftjob-{run}", model=run, status="succeeded", result={"checkpoints": steps})
            )

    class Started(Exception):  # noqa: N818 - it only says that the endpoint was asked
        pass

    def connect(_: str) -> Target:
        raise Started

    there = {"two", "two:2"}
    with Journal(tmp_path / "j") as journal:
        made = Trainer(
            journal=journal, connect=connect, say=lambda *_: None, has=there.__contains__,
            siblings=(tmp_path / "one" / "j", tmp_path / "two" / "j"),
        )  # fmt: skip
        for _ in range(2):
            job = made.ensure("tuned", spec, upload_of(files), "local")
            assert (job.model, job.result) == (
                "two", {"checkpoints": [{"model": "two:2", "step": 2}], "reused": "two"}
            )  # fmt: skip
        there.clear()
        with pytest.raises(Started):  # it is trained anew
            made.ensure("tuned", spec, upload_of(files), "local")


JOB = Job(tag="t", arm="a", spec={}, files={})


@pytest.mark.parametrize(
    ("own", "others", "found"),
    [
        (None, (), None),
        (replace(JOB, job="x", status="running"), (replace(JOB, job="y", status="queued"),), 0),
        (None, (replace(JOB, job="x", status="running"), JOB), 1),
        (None, (JOB,), 1),
        (None, (replace(JOB, job="x", status="failed"), replace(JOB, job="y", status="running")), 2),
        (None, (replace(JOB, job="x", status="running"), replace(JOB, job="x", status="failed")), 2),
        (replace(JOB, job="x", status="failed"), (replace(JOB, job="x", status="running"),), 0),
        (replace(JOB, job="x", status="failed"), (JOB,), 0),
        (replace(JOB, job="x", status="failed"), (replace(JOB, spec={"attempt": 2}),), 1),
        (replace(JOB, job="x", status="failed"), (replace(JOB, job="y", status="failed", spec={"attempt": 3}),), 1),
    ],
)  # fmt: skip
def test_which_record_is_gone_on_from(own: Job | None, others: tuple[Job, ...], found: int | None) -> None:
    expected = None if found is None else (own, *others)[found]
    assert furthest(own, others) is expected
