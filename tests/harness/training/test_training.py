"""Training jobs against a provider over real HTTP: launched once, whatever happens on the way."""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.provider import Provider

from harness.errors import GateError, HarnessError, TrainingRefusedError, UnfinishedError, UsageError
from harness.execution.targets import Target
from harness.journal import Job, Journal
from harness.secrets import Scrubber
from harness.training import Trainer, job_tag, upload_of
from harness.training.control import open_control
from harness.types import JobSpec, TrainingFiles

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "sk-test-training-0123456789"
CREATE = "POST /v1/fine_tuning/jobs"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(api_key=KEY, fault_paths=["/v1/files", "/v1/fine_tuning"]) as running:
        yield running


@pytest.fixture
def spec(request: pytest.FixtureRequest) -> JobSpec:
    """A job of this test's own: its tag is nobody else's at the shared provider."""
    return JobSpec(
        endpoint="fake",
        base="base-model",
        hyperparameters={"n_epochs": 2},
        suffix=f"t{crc32(request.node.name.encode()):08x}",
    )


@pytest.fixture
def files(request: pytest.FixtureRequest, tmp_path: Path) -> TrainingFiles:
    """Files of this test's own: nobody else has uploaded them."""
    of = request.node.name
    lines = [json.dumps({"prompt": f"text {number} of {of}", "completion": " good"}) for number in range(12)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "validation.jsonl").write_text("\n".join(lines[:3]) + "\n")
    return TrainingFiles(
        train=tmp_path / "train.jsonl", validation=tmp_path / "validation.jsonl", n_train=12, n_validation=3
    )


def target(provider: Provider, **changes: Any) -> Target:
    given = {
        "name": "fake", "base_url": provider.base_url, "api_key": KEY, "headers": {}, "query": {}, "concurrency": 1,
        "timeout_s": 10.0, "key_name": "FAKE_KEY",
    }  # fmt: skip
    return Target(**{**given, **changes})


def ensure(
    provider: Provider,
    journal: Journal,
    spec: JobSpec,
    files: TrainingFiles,
    *,
    admit: Callable[[], None] = lambda: None,
    siblings: tuple[Path, ...] = (),
    said: list[str] | None = None,
    steps: list[tuple[str, int, int]] | None = None,
    **reached: Any,
) -> Job:
    trainer = Trainer(
        journal=journal,
        connect=lambda _: target(provider, **reached),
        say=lambda arm, message: said.append(f"{arm}: {message}") if said is not None else None,
        progress=lambda *step: steps.append(step) if steps is not None else None,
        scrub=Scrubber((KEY,)),
        siblings=siblings,
    )
    return trainer.ensure("tuned", spec, upload_of(files), provider.base_url, admit=admit)


def own_jobs(provider: Provider, spec: JobSpec) -> list[dict[str, Any]]:
    return [job for job in provider.jobs() if job["user_provided_suffix"] == spec.suffix]


def test_a_job_from_intent_to_model(provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles) -> None:
    said: list[str] = []
    with Journal(tmp_path / "j") as journal:
        job = ensure(provider, journal, replace(spec, seed=5), files, said=said)
        assert journal.job(job.tag) == job
        counts = provider.counts()
        assert ensure(provider, journal, replace(spec, seed=5), files) == job
        assert provider.counts() == counts
    (remote,) = own_jobs(provider, spec)
    assert job.status == "succeeded"
    assert job.model == remote["fine_tuned_model"]
    assert job.result is not None
    assert job.result["trained_tokens"] == remote["trained_tokens"] > 0
    assert job.result["seconds"] >= 0
    assert [metric["step"] for metric in job.result["metrics"]] == [12, 24]
    assert remote["hyperparameters"]["n_epochs"] == 2
    assert remote["seed"] == 5
    assert provider.file(remote["training_file"]) == files.train.read_text()
    assert provider.file(remote["validation_file"]) == Path(str(files.validation)).read_text()
    assert counts["POST /v1/files"] == 2
    assert counts[CREATE] == 1
    assert "GET /v1/fine_tuning/jobs" not in counts  # nothing to look up: it was never launched before
    assert len(said) == len(set(said)) >= 4  # every event once
    assert counts["GET /v1/models/base-model"] == 1


def test_steps_move_a_bar_and_other_events_are_lines(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    said: list[str] = []
    steps: list[tuple[str, int, int]] = []
    with Journal(tmp_path / "j") as journal:
        job = ensure(provider, journal, spec, files, said=said, steps=steps)
    assert job.result is not None
    with_loss = [m["step"] for m in job.result["metrics"] if m.get("valid_loss") is not None]
    assert steps == [("tuned", 12, 24), ("tuned", 24, 24)]
    assert len([line for line in said if "Step " in line]) == len(with_loss)
    assert any("completed" in line for line in said)


def test_the_tag_follows_from_what_makes_a_model(spec: JobSpec, files: TrainingFiles) -> None:
    upload = upload_of(files)
    tag = job_tag(spec, upload, "https://a/v1")
    assert tag == job_tag(replace(spec, endpoint="renamed"), upload, "https://a/v1")
    others = [
        job_tag(spec, upload, "https://b/v1"),
        job_tag(replace(spec, base="other"), upload, "https://a/v1"),
        job_tag(replace(spec, hyperparameters={"n_epochs": 3}), upload, "https://a/v1"),
        job_tag(replace(spec, seed=1), upload, "https://a/v1"),
        job_tag(replace(spec, suffix="x"), upload, "https://a/v1"),
        job_tag(spec, upload_of(replace(files, validation=None)), "https://a/v1"),
    ]
    files.train.write_text("{}\n")
    others.append(job_tag(spec, upload_of(files), "https://a/v1"))
    assert len({tag, *others}) == 8
    assert len(tag) <= 64 - 4  # metadata values have at most 64 characters, a later attempt's number included


class Crash(BaseException):
    """The process ends here."""


class Doomed(Journal):
    """A journal whose process ends just before or just after its n-th record of a job."""

    def __init__(self, path: Path, at: int, *, after: bool) -> None:
        super().__init__(path)
        self.left, self.after = at, after

    def save_job(self, job: Job) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        super().save_job(job)
        if self.left == 0:
            raise Crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_crash_at_any_record_never_launches_a_second_job(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles, at: int, after: bool
) -> None:
    """Records: intent, two uploads, the job's id, two changes of its status, its end."""
    crashed = True
    with Doomed(tmp_path / "j", at, after=after) as journal:
        try:
            ensure(provider, journal, spec, files)
            crashed = False
        except Crash:
            pass
    assert crashed
    with Journal(tmp_path / "j") as journal:
        job = ensure(provider, journal, spec, files)
    assert job.status == "succeeded"
    (remote,) = own_jobs(provider, spec)
    assert job.job == remote["id"]
    assert provider.counts()[CREATE] == 1
    assert provider.counts()["POST /v1/files"] == 2
    assert job.result is not None
    assert len(job.result["metrics"]) == 2  # also those of before the crash


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_reply_of_the_creation_is_looked_up(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles, lost: int
) -> None:
    provider.set(lose_job_replies=lost)
    with Journal(tmp_path / "j") as journal:
        job = ensure(provider, journal, spec, files)
    assert [remote["id"] for remote in own_jobs(provider, spec)] == [job.job]
    assert provider.counts()[CREATE] == 1


@pytest.mark.parametrize(
    "fault",
    [{"error_500_rate": 0.3}, {"reset_rate": 0.2}, {"garbage_rate": 0.3}, {"cut_rate": 0.2}, {"fail_first": 1}],
    ids=["500", "reset", "garbage", "cut-off", "first fails"],
)
def test_faults_that_pass_never_launch_a_second_job(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles, fault: dict[str, Any]
) -> None:
    provider.set(**fault)
    with Journal(tmp_path / "j") as journal:
        for _ in range(6):  # "the same command goes on"
            try:
                job = ensure(provider, journal, spec, files)
                break
            except UnfinishedError:
                provider.set(seed=7)
        else:
            pytest.fail("never finished")
    assert [remote["id"] for remote in own_jobs(provider, spec)] == [job.job]
    assert job.status == "succeeded"


def test_a_failed_job_is_said_and_launched_again_by_the_same_command(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    provider.set(job_error="invalid_training_file", leak_key=True)
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(UnfinishedError, match="failed: The job failed: invalid_training_file") as caught:
            ensure(provider, journal, spec, files)
        assert "harness prepare" in caught.value.hint
        provider.set(job_error=None)
        job = ensure(provider, journal, spec, files)
        assert ensure(provider, journal, spec, files) == job
    first, second = own_jobs(provider, spec)
    assert (first["status"], second["status"]) == ("failed", "succeeded")
    assert first["metadata"] != second["metadata"]
    assert job.job == second["id"]


def test_a_failed_job_is_not_launched_again_for_another_arm_of_the_same_command(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    provider.set(job_error="server_error")
    with Journal(tmp_path / "j") as journal:
        trainer = Trainer(
            journal=journal, connect=lambda _: target(provider), say=lambda _arm, _said: None,
            progress=lambda *_: None, scrub=Scrubber((KEY,)),
        )  # fmt: skip
        for arm in ("tuned", "picked"):
            with pytest.raises(UnfinishedError, match="failed: The job failed: server_error"):
                trainer.ensure(arm, spec, upload_of(files), provider.base_url)
    assert len(own_jobs(provider, spec)) == 1


def test_a_crash_while_a_second_attempt_is_launched(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    provider.set(job_error="server_error")
    with Journal(tmp_path / "j") as journal, pytest.raises(UnfinishedError):
        ensure(provider, journal, spec, files)
    provider.set(job_error=None)
    with Doomed(tmp_path / "j", 4, after=False) as doomed, pytest.raises(Crash):  # launched, not recorded
        ensure(provider, doomed, spec, files)
    with Journal(tmp_path / "j") as journal:
        assert ensure(provider, journal, spec, files).status == "succeeded"
    assert len(own_jobs(provider, spec)) == 2


def test_a_cancelled_job_is_launched_again(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    import openai

    with Journal(tmp_path / "j") as journal:
        with Doomed(tmp_path / "other", 5, after=True) as doomed, pytest.raises(Crash):
            ensure(provider, doomed, spec, files)
        (remote,) = own_jobs(provider, spec)
        with openai.OpenAI(api_key=KEY, base_url=provider.base_url) as client:
            client.fine_tuning.jobs.cancel(remote["id"])
        known = Job(tag=job_tag(spec, upload_of(files), provider.base_url), arm="tuned", spec={"attempt": 1}, files={})
        journal.save_job(replace(known, job=remote["id"], status="running"))
        with pytest.raises(UnfinishedError, match="cancelled"):
            ensure(provider, journal, spec, files)
        assert ensure(provider, journal, spec, files).status == "succeeded"
    assert [job["status"] for job in own_jobs(provider, spec)] == ["cancelled", "succeeded"]


def test_a_job_that_the_endpoint_forgot_is_launched_again(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    with Journal(tmp_path / "j") as journal:
        known = Job(tag=job_tag(spec, upload_of(files), provider.base_url), arm="tuned", spec={"attempt": 1}, files={})
        journal.save_job(replace(known, job="ftjob-gone", status="running"))
        with pytest.raises(UnfinishedError, match="does not know the training job ftjob-gone"):
            ensure(provider, journal, spec, files)
        assert ensure(provider, journal, spec, files).status == "succeeded"


@pytest.mark.parametrize("as_object", [True, False])
def test_success_with_and_without_an_empty_error_object(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles, as_object: bool
) -> None:
    provider.set(job_error_object=as_object)
    with Journal(tmp_path / "j") as journal:
        assert ensure(provider, journal, spec, files).model


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], type[HarnessError], str, str]] = [
    ({"training_refused": True}, {}, TrainingRefusedError, "training_not_available", 'endpoint = "local"'),
    ({"quota_after": 0}, {}, UnfinishedError, "insufficient_quota", "the same command goes on"),
    ({"without": ["fine_tuning"]}, {}, UsageError, "404", "fine_tuning.jobs"),
    ({"without": ["files"]}, {}, UsageError, "404", "does it offer files"),
    ({}, {"api_key": "sk-wrong-key"}, UsageError, "401", "FAKE_KEY"),
    (
        {},
        {"base_url": "http://127.0.0.1:9/v1"},
        UnfinishedError,
        "nobody answers",
        "the same command goes on",
    ),
]


@pytest.mark.parametrize(
    ("fault", "reached", "kind", "said", "cure"), REFUSALS, ids=[said + cure[:8] for *_, said, cure in REFUSALS]
)
def test_refusals(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles, fault: dict[str, Any],
    reached: dict[str, Any], kind: type[HarnessError], said: str, cure: str,
) -> None:  # fmt: skip
    provider.set(**fault)
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(HarnessError) as caught:
            ensure(provider, journal, spec, files, **reached)
        assert type(caught.value) is kind
        assert said in caught.value.message
        assert cure in caught.value.hint
        assert len(str(caught.value).splitlines()) <= 3
        assert own_jobs(provider, spec) == []
        provider.set(training_refused=False, quota_after=None, without=[])
        assert ensure(provider, journal, spec, files).status == "succeeded"


def test_a_wait_of_a_day_ends_the_command_in_place_of_a_day_of_sleep(provider: Provider) -> None:
    provider.set(rate_429=1.0, retry_after_s=86_400.0)
    slept: list[float] = []
    with (
        open_control(target(provider), Scrubber((KEY,)), slept.append) as control,
        pytest.raises(UnfinishedError) as caught,
    ):
        control.ask(control.client.files.list)
    assert "the endpoint fake" in caught.value.message
    assert caught.value.hint == "it lets nothing through for 24 h; then the same command goes on"
    assert slept == []
    assert provider.statuses() == {"429": 1}


def test_an_unknown_base_model_and_a_file_that_is_too_small(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(UsageError, match=r'has no base model "base-modle"; did you mean "base-model"\?') as caught:
            ensure(provider, journal, replace(spec, base="base-modle"), files)
        assert "nothing was uploaded" in caught.value.hint
        assert not [route for route in provider.counts() if route.startswith("POST")]
        files.train.write_text(files.train.read_text().splitlines()[0] + "\n")
        with pytest.raises(UnfinishedError, match=r"at least 10 examples \(invalid_n_examples\)") as unfinished:
            ensure(provider, journal, spec, files)
        assert "more training examples" in unfinished.value.hint


def test_a_trained_model_is_taken_over_and_not_paid_twice(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    (tmp_path / "run-1").mkdir()
    with Journal(tmp_path / "run-1" / "j") as journal:
        first = ensure(provider, journal, spec, files)
        journal.save_job(replace(first, result={**(first.result or {}), "usd": 3.0}))
    before = provider.counts()
    with Journal(tmp_path / "run-2") as journal:
        taken = ensure(provider, journal, spec, files, siblings=(tmp_path / "none", tmp_path / "run-1" / "j"),
                       admit=lambda: pytest.fail("nothing is launched"))  # fmt: skip
        assert taken.model == first.model
        assert taken.result is not None
        assert taken.result["reused"] == "run-1"
        assert journal.spent() == 0.0
    assert provider.counts() == before


def test_a_job_that_is_not_admitted_is_not_launched(
    provider: Provider, tmp_path: Path, spec: JobSpec, files: TrainingFiles
) -> None:
    def admit() -> None:
        raise GateError("too dear")

    with Journal(tmp_path / "j") as journal:
        with pytest.raises(GateError):
            ensure(provider, journal, spec, files, admit=admit)
        assert provider.counts() == {}
        ensure(provider, journal, spec, files)
        ensure(provider, journal, spec, files, admit=admit)  # it is there: nothing to admit
