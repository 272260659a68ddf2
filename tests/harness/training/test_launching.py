"""A job is launched once, and a file uploaded once, whatever the endpoint forgets, refuses or does not say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from support.provider import Provider

from harness.errors import UnfinishedError
from harness.execution.targets import Target
from harness.journal import Job, Journal
from harness.training import Trainer, job_tag, upload_of
from harness.training.launching import TAG
from harness.types import JobSpec, TrainingFiles

UPLOAD, CREATE = "POST /v1/files", "POST /v1/fine_tuning/jobs"
LIST_FILES, LIST_JOBS = "GET /v1/files", "GET /v1/fine_tuning/jobs"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(job_s=0.0, fault_paths=["/v1/files", "/v1/fine_tuning"]) as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.005)))


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> list[str]:
    """Training lines of this test's own: nobody else has uploaded them."""
    texts = (f"text {number} of {request.node.name}" for number in range(12))
    return [json.dumps({"prompt": text, "completion": " good"}) for text in texts]


@pytest.fixture
def files(tmp_path: Path, lines: list[str]) -> TrainingFiles:
    return written(tmp_path, lines)


def written(folder: Path, lines: list[str]) -> TrainingFiles:
    folder.mkdir(exist_ok=True)
    for name, part in (("train", lines), ("validation", lines[:3])):
        folder.joinpath(f"{name}.jsonl").write_text("\n".join(part) + "\n")
    return TrainingFiles(
        train=folder / "train.jsonl", validation=folder / "validation.jsonl", n_train=12, n_validation=3
    )


SPEC = JobSpec(endpoint="fake", base="base-model", hyperparameters={"n_epochs": 2})


def ensure(
    provider: Provider, journal: Journal, files: TrainingFiles, spec: JobSpec = SPEC, said: list[str] | None = None
) -> Job:
    target = Target(
        name="fake", base_url=provider.base_url, api_key="none", headers={}, query={}, concurrency=1, timeout_s=10.0
    )

    def say(_: str, message: str) -> None:
        if said is not None:
            said.append(message)

    return Trainer(journal=journal, connect=lambda _: target, say=say).ensure(
        "tuned", spec, upload_of(files), provider.base_url
    )


def own_jobs(provider: Provider, files: TrainingFiles) -> list[dict[str, Any]]:
    content = files.train.read_text()
    return [job for job in provider.jobs() if provider.file(job["training_file"]) == content]


class Crash(BaseException):
    """The process ends here."""


class Doomed(Journal):
    """A journal whose process ends when it is to record something of a job."""

    def __init__(self, path: Path, when: Callable[[Job], bool]) -> None:
        super().__init__(path)
        self.when = when

    def save_job(self, job: Job) -> None:
        if self.when(job):
            raise Crash
        super().save_job(job)


def crash(
    provider: Provider, path: Path, files: TrainingFiles, when: Callable[[Job], bool], spec: JobSpec = SPEC
) -> None:
    with Doomed(path, when) as doomed, pytest.raises(Crash):
        ensure(provider, doomed, files, spec)


def launched(job: Job) -> bool:
    """The job is there, its id not yet recorded."""
    return job.job is not None


def test_a_file_that_is_there_is_not_uploaded_again(provider: Provider, tmp_path: Path, lines: list[str]) -> None:
    with Journal(tmp_path / "j") as journal:
        first = ensure(provider, journal, written(tmp_path / "a", lines))
    again = written(tmp_path / "b", lines)
    again = replace(again, train=again.train.rename(tmp_path / "b" / "train.other-arm.jsonl"))
    with Journal(tmp_path / "k") as journal:  # another run, which trains something else on it
        second = ensure(provider, journal, again, replace(SPEC, hyperparameters={"n_epochs": 1}))
    assert second.files == first.files
    assert provider.counts()[UPLOAD] == 2
    assert len(own_jobs(provider, again)) == 2


def test_a_file_of_that_name_with_another_length_is_none(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    name = f"train-{upload_of(files).hashes['train'][:12]}.jsonl"
    with openai.OpenAI(base_url=provider.base_url, api_key="none") as client:
        cut = client.files.create(file=(name, files.train.read_bytes()[:-9]), purpose="fine-tune").id
    with Journal(tmp_path / "j") as journal:
        assert cut not in ensure(provider, journal, files).files.values()
    assert provider.counts()[UPLOAD] == 3


@pytest.mark.parametrize("lost", [1, 2])
def test_an_upload_whose_reply_got_lost_is_found(
    provider: Provider, tmp_path: Path, files: TrainingFiles, lost: int
) -> None:
    provider.set(lose_file_replies=lost)
    with Journal(tmp_path / "j") as journal:
        ensure(provider, journal, files)
    assert provider.counts()[UPLOAD] == 2


def test_a_file_that_was_deleted_meanwhile_is_uploaded_again(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    crash(provider, tmp_path / "j", files, lambda job: len(job.files) == 2)
    with openai.OpenAI(base_url=provider.base_url, api_key="none") as client, Journal(tmp_path / "j") as journal:
        known = journal.job(job_tag(SPEC, upload_of(files), provider.base_url))
        assert known is not None
        (uploaded,) = known.files.values()
        client.files.delete(uploaded)
        assert ensure(provider, journal, files).status == "succeeded"
    assert provider.counts()[UPLOAD] == 3


def test_where_files_are_not_listed_the_journal_is_believed(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    provider.set(without=["file list"])
    crash(provider, tmp_path / "j", files, lambda job: len(job.files) == 2)
    with Journal(tmp_path / "j") as journal:
        assert ensure(provider, journal, files).status == "succeeded"
    assert provider.counts()[UPLOAD] == 3  # the second one again: nobody knew of it


ODD: dict[str, Mapping[str, Any]] = {
    "as it should be": {},
    "refuses the filter": {"without": ["metadata filter"]},
    "ignores the filter": {"ignores": ["metadata filter"]},
    "refuses metadata": {"without": ["metadata"]},
    "refuses both": {"without": ["metadata", "metadata filter"]},
    "refuses metadata, ignores the filter": {"without": ["metadata"], "ignores": ["metadata filter"]},
    "ignores metadata": {"ignores": ["metadata"]},
    "ignores both": {"ignores": ["metadata", "metadata filter"]},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_job_is_found_whatever_the_endpoint_does_with_its_tag(
    provider: Provider, tmp_path: Path, files: TrainingFiles, odd: Mapping[str, Any]
) -> None:
    """One whose reply got lost, then one whose id a crash kept from the journal: each beside a job that is like it."""
    provider.set(**odd)
    suffix = "s" * 64 if "metadata" in odd.get("without", ()) else None
    with Journal(tmp_path / "other") as journal:  # another candidate on the same file
        ensure(provider, journal, files, replace(SPEC, hyperparameters={"n_epochs": 3}, suffix=suffix))
    for number, change in enumerate(({"lose_job_replies": 1}, {})):
        provider.set(**change)
        provider.reset()
        spec = replace(SPEC, hyperparameters={"n_epochs": number + 1}, suffix=suffix)
        said: list[str] = []
        if not change:
            crash(provider, tmp_path / f"{number}", files, launched, spec)
        with Journal(tmp_path / f"{number}") as journal:
            job = ensure(provider, journal, files, spec, said)
        assert any("which was launched before" in line for line in said)
        assert len(own_jobs(provider, files)) == number + 2
        (own,) = (one for one in own_jobs(provider, files) if one["id"] == job.job)
        assert own["hyperparameters"]["n_epochs"] == number + 1


def test_without_metadata_the_suffix_carries_the_tag(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    provider.set(without=["metadata"])
    said: list[str] = []
    with Journal(tmp_path / "j") as journal:
        ensure(provider, journal, files, replace(SPEC, suffix="colours"), said)
        ensure(provider, journal, files, replace(SPEC, suffix="colours" * 9))
        ensure(provider, journal, files)
    suffixes = [job["user_provided_suffix"] for job in own_jobs(provider, files)]
    assert [suffix[: -len("-0123456789ab")] for suffix in suffixes] == ["colours", ("colours" * 9)[:51], ""]
    assert len(suffixes[1]) == 64
    assert len({suffix[-12:] for suffix in suffixes}) == 3
    assert "the endpoint takes no metadata: the job's tag goes into its suffix" in said


def test_another_refusal_is_not_taken_for_one_of_metadata(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    provider.set(without=["method"])
    with Journal(tmp_path / "j") as journal, pytest.raises(Exception, match="'method' is not supported"):
        ensure(provider, journal, files)
    assert provider.counts()[CREATE] == 1


@pytest.mark.parametrize("odd", [{}, {"ignores": ["metadata"]}], ids=["tagged", "untagged"])
def test_a_failed_job_is_launched_anew_by_a_new_command_and_never_found_for_another(
    provider: Provider, tmp_path: Path, files: TrainingFiles, odd: Mapping[str, Any]
) -> None:
    provider.set(job_error="server_error", **odd)
    with Journal(tmp_path / "j") as journal, pytest.raises(UnfinishedError):
        ensure(provider, journal, files)
    assert len(own_jobs(provider, files)) == 1
    provider.set(job_error=None)
    crash(provider, tmp_path / "j", files, launched)
    with Journal(tmp_path / "j") as journal:
        job = ensure(provider, journal, files)
    first, second = own_jobs(provider, files)
    assert (first["status"], second["status"]) == ("failed", "succeeded")
    assert job.job == second["id"]
    assert provider.counts()[UPLOAD] == 2


def test_lists_that_never_end_are_read_once(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    with openai.OpenAI(base_url=provider.base_url, api_key="none") as client:
        for number in range(25):  # more than one page
            client.files.create(file=(f"{number}.jsonl", b"{}"), purpose="fine-tune")
    provider.set(ignores=["after"])
    with Journal(tmp_path / "j") as journal:  # more than a page of events and checkpoints, too
        job = ensure(provider, journal, files, replace(SPEC, hyperparameters={"n_epochs": 105}))
    assert job.result is not None
    assert len(job.result["checkpoints"]) == 100
    assert provider.counts()[LIST_FILES] == 2


def test_later_pages_are_looked_at(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    with Journal(tmp_path / "j") as journal:
        ensure(provider, journal, files)
    with openai.OpenAI(base_url=provider.base_url, api_key="none") as client:
        for number in range(25):
            client.files.create(file=(f"{number}.jsonl", b"{}"), purpose="fine-tune")
        (job,) = own_jobs(provider, files)
        provider.reset()
        for _ in range(120):
            client.fine_tuning.jobs.create(
                model="base-model", training_file=job["training_file"], metadata={TAG: "another"}
            )
        provider.set(without=["metadata filter"])
        provider.reset()
    crash(provider, tmp_path / "k", files, lambda job: bool(job.files))
    with Journal(tmp_path / "k") as journal:
        assert ensure(provider, journal, files).job == job["id"]
    assert UPLOAD not in provider.counts()
    assert provider.counts()[LIST_JOBS] == 3  # the filter refused, two pages
