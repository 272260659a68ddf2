"""Training jobs that run, against a provider over real HTTP: what is told of them, and what is kept."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from support.canned import serving
from support.provider import Provider

from harness.errors import HarnessError, UnfinishedError, UsageError
from harness.execution.targets import Target
from harness.journal import Job, Journal
from harness.secrets import Scrubber
from harness.training import Trainer, following, upload_of
from harness.training.following import LOOKS, Detail
from harness.types import JobSpec, TrainingFiles

KEY = "sk-test-following-0123456789"
AZURE = (
    "step", "train_loss", "train_mean_token_accuracy", "validation_loss", "validation_mean_token_accuracy",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(api_key=KEY, fault_paths=["/v1/files/"]) as running:
        yield running


@pytest.fixture
def files(request: pytest.FixtureRequest, tmp_path: Path) -> TrainingFiles:
    """Files of this test's own: nobody else has uploaded them."""
    of = request.node.name
    lines = [json.dumps({"prompt": f"text {number} of {of}", "completion": " good"}) for number in range(12)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    return TrainingFiles(train=tmp_path / "train.jsonl", validation=None, n_train=12, n_validation=0)


SPEC = JobSpec(endpoint="fake", base="base-model", hyperparameters={"n_epochs": 3})


class Lines(list[str]):
    """What was said."""

    def holds(self, *parts: str) -> bool:
        """Whether exactly one line holds all parts."""
        return sum(all(part in line for part in parts) for line in self) == 1


def ensure(
    base_url: str, folder: Path, files: TrainingFiles, *, said: list[str] | None = None, detail: Detail = "events",
    spec: JobSpec = SPEC,
) -> Job:  # fmt: skip
    """Trains, without the pauses."""
    folder.mkdir(exist_ok=True)
    with Journal(folder / "journal.sqlite") as journal:
        trainer = Trainer(
            journal=journal,
            connect=lambda _: Target(
                name="fake", base_url=base_url, api_key=KEY, headers={}, query={}, concurrency=1, timeout_s=10.0
            ),
            say=lambda arm, message: said.append(f"{arm}: {message}") if said is not None else None,
            scrub=Scrubber((KEY,)),
            folder=folder / "training",
            detail=detail,
            sleep=lambda seconds: time.sleep(min(seconds, 0.002)),
        )
        return trainer.ensure("tuned", spec, upload_of(files), base_url)


def result_of(job: Job) -> dict[str, Any]:
    assert job.result is not None
    return dict(job.result)


def rows(folder: Path) -> list[dict[str, Any]]:
    (path,) = (folder / "training").iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("columns", [None, AZURE], ids=["openai", "azure"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "base64"])
def test_steps_and_checkpoints_are_kept(
    provider: Provider, tmp_path: Path, files: TrainingFiles, packed: bool, columns: tuple[str, ...] | None
) -> None:
    provider.set(results_base64=packed, **({"results_columns": columns} if columns else {}))
    job = ensure(provider.base_url, tmp_path / "run", files)
    result = result_of(job)
    assert result["steps"] == [
        {"step": 12, "train_loss": 1.0, "train_accuracy": 0.75, "valid_loss": 1.1, "valid_accuracy": 0.6667},
        {"step": 24, "train_loss": 0.6667, "train_accuracy": 0.8333, "valid_loss": 0.7667, "valid_accuracy": 0.7778},
        {"step": 36, "train_loss": 0.5, "train_accuracy": 0.875, "valid_loss": 0.6, "valid_accuracy": 0.8333},
    ]
    first, second, last = result["checkpoints"]
    assert (first["step"], second["step"], last["step"]) == (12, 24, 36)
    assert last["model"] == job.model
    assert first["model"] == f"{job.model}:ckpt-step-12"
    assert (first["train_loss"], first["valid_loss"], first["valid_accuracy"]) == (1.0, 1.1, 0.6667)
    assert result["hyperparameters"]["batch_size"] == 1  # what `auto` came to
    assert [metric["step"] for metric in result["metrics"]] == [12, 24, 36]
    kinds = [row["kind"] for row in rows(tmp_path / "run")]
    assert kinds == ["job"] + ["event"] * len(result["events"]) + ["step"] * 3 + ["checkpoint"] * 3
    assert rows(tmp_path / "run")[0]["model"] == job.model


def test_the_run_s_file_comes_back_from_the_journal(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    ensure(provider.base_url, tmp_path / "run", files)
    (path,) = (tmp_path / "run" / "training").iterdir()
    before, counts = path.read_bytes(), provider.counts()
    path.unlink()
    ensure(provider.base_url, tmp_path / "run", files)
    assert path.read_bytes() == before
    assert provider.counts() == counts


@pytest.mark.parametrize(("detail", "steps", "others"), [("ends", 0, False), ("events", 3, True), ("steps", 3, True)])
def test_how_much_is_told(
    provider: Provider, tmp_path: Path, files: TrainingFiles, detail: Detail, steps: int, others: bool
) -> None:
    said = Lines()
    job = ensure(provider.base_url, tmp_path / "run", files, said=said, detail=detail)
    assert said.holds("launched")
    assert said.holds(f"{job.model} is trained", "step 36: train loss 0.5", "valid loss 0.6")
    told = [line for line in said if "is trained" not in line]
    assert sum("step" in line.lower() for line in told) == steps
    assert Lines(told).holds("step 24: train loss 0.6667, valid loss 0.7667") == (detail == "steps")
    assert any("validated" in line for line in said) == others


def test_without_checkpoints_events_and_results_a_model_is_a_model(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    provider.set(without=["checkpoints", "events", "file content", "models"])
    said = Lines()
    job = ensure(provider.base_url, tmp_path / "run", files, said=said)
    result = result_of(job)
    assert job.status == "succeeded"
    assert (result["steps"], result["checkpoints"], result["events"]) == ([], [], [])
    assert said.holds("has succeeded, but its results file", "404")


@pytest.mark.parametrize("fault", ["error_500_rate", "garbage_rate", "cut_rate"])
def test_a_results_file_that_cannot_be_fetched_fails_nothing(
    provider: Provider, tmp_path: Path, files: TrainingFiles, fault: str
) -> None:
    provider.set(**{fault: 1.0})
    said = Lines()
    job = ensure(provider.base_url, tmp_path / "run", files, said=said)
    assert said.holds("has succeeded, but its results file")
    assert [step["step"] for step in result_of(job)["steps"]] == [12, 24, 36]  # from the events


def test_binary_results_are_left_where_they_are(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    provider.set(result_adapter=True, file_status=False)
    job = ensure(provider.base_url, tmp_path / "run", files)
    result = result_of(job)
    assert len(result["steps"]) == 3
    results, adapter = result["files"]["results"]
    assert results != adapter
    assert result["files"]["checkpoints"] == {"12": [adapter], "24": [adapter], "36": [adapter]}


def test_an_uploaded_file_is_waited_for(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    provider.set(file_pending=3)
    ensure(provider.base_url, tmp_path / "run", files)
    counts = provider.counts()
    assert counts["GET /v1/files/{id}"] == 3
    assert counts["POST /v1/fine_tuning/jobs"] == 1


def test_a_file_that_is_never_processed_does_not_hold_up_the_job(
    provider: Provider, tmp_path: Path, files: TrainingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FILE_S", 0.1)
    provider.set(file_pending=100_000)
    assert ensure(provider.base_url, tmp_path / "run", files).status == "succeeded"


def test_paused_and_unknown_statuses_are_told_once_and_followed(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    provider.set(job_passes=["paused", "paused", "warming_up", "running", "warming_up"])
    said = Lines()
    job = ensure(provider.base_url, tmp_path / "run", files, said=said)
    assert job.status == "succeeded"
    assert said.holds(f"{job.job} is paused: resume it at the endpoint")
    assert said.holds(f'the endpoint calls {job.job} "warming_up"')


def test_a_job_that_fails_late_says_why(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    provider.set(job_passes=["running"] * 20, job_error="server_error", leak_key=True)
    with pytest.raises(UnfinishedError, match="failed: The job failed: server_error") as caught:
        ensure(provider.base_url, tmp_path / "run", files)
    assert caught.value.hint == "the same command launches it again"
    assert not (tmp_path / "run" / "training").exists()


def test_a_job_that_is_cancelled_elsewhere(provider: Provider, tmp_path: Path, files: TrainingFiles) -> None:
    import openai

    provider.set(job_s=3600.0)

    def cancel() -> None:
        with openai.OpenAI(api_key=KEY, base_url=provider.base_url) as client:
            while not (mine := [job for job in provider.jobs() if job["finished_at"] is None]):
                time.sleep(0.01)
            client.fine_tuning.jobs.cancel(mine[-1]["id"])

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(UnfinishedError, match="cancelled: somebody cancelled it") as caught:
        ensure(provider.base_url, tmp_path / "run", files)
    thread.join()
    assert caught.value.hint == "the same command launches it again"


def test_a_shutdown_date_is_told_before_the_upload_and_kept(
    provider: Provider, tmp_path: Path, files: TrainingFiles
) -> None:
    provider.set(shutdown_dates={"base-model": "2027-01-14T00:00:00Z"})
    said = Lines()
    job = ensure(provider.base_url, tmp_path / "run", files, said=said)
    assert result_of(job)["shutdown_date"] == "2027-01-14"
    assert "2027-01-14" in said[0]
    paths = [asked.path.partition("?")[0] for asked in provider.requests()]
    assert paths.index("/v1/models/base-model") < paths.index("/v1/files")


@pytest.mark.parametrize("served", [True, False], ids=["models are told", "no models route"])
def test_a_base_model_that_is_not_there_stops_before_the_upload(
    provider: Provider, tmp_path: Path, files: TrainingFiles, served: bool
) -> None:
    provider.set(without=[] if served else ["models"])
    with pytest.raises(UsageError, match="base-modle") as caught:
        ensure(provider.base_url, tmp_path / "run", files, spec=replace(SPEC, base="base-modle"))
    asked = "POST /v1/files" in provider.counts()
    assert asked is not served  # without the route only the job's creation finds out
    assert ('did you mean "base-model"?' in caught.value.message) is served


def test_an_endpoint_that_knows_less_than_the_api_says(tmp_path: Path, files: TrainingFiles) -> None:
    statuses = iter(["validating_files", "warming_up", "paused", "running", "completed"])
    with sparse(statuses) as (url, asked):
        job = ensure(url, tmp_path / "run", files)
    assert (job.status, job.model) == ("succeeded", "ft:odd")
    assert result_of(job) == {
        "trained_tokens": None, "seconds": None, "metrics": [], "events": [], "hyperparameters": {}, "steps": [],
        "checkpoints": [], "files": {"results": [], "checkpoints": {}},
    }  # fmt: skip
    assert asked.count("GET /v1/fine_tuning/jobs/job-1") == 4


def test_an_unknown_end_without_a_model_is_a_failure(tmp_path: Path, files: TrainingFiles) -> None:
    statuses = iter(["queued", *["expired"] * LOOKS])
    with sparse(statuses) as (url, _), pytest.raises(HarnessError, match="expired") as caught:
        ensure(url, tmp_path / "run", files)
    assert caught.value.exit_code == 4
    with sparse(iter(["queued", "succeeded"])) as (url, asked):
        # The same journal, another port: a job of its own
        assert ensure(url, tmp_path / "run", files).status == "succeeded"
    assert "POST /v1/fine_tuning/jobs" in asked


@contextlib.contextmanager
def sparse(statuses: Iterator[str]) -> Iterator[tuple[str, list[str]]]:
    """A provider with files and jobs and little else: few routes, few fields, statuses of its own."""
    asked: list[str] = []
    ends = {"succeeded": "ft:odd", "completed": "ft:odd", "expired": None}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply({"id": "file-1"} if self.path.endswith("/files") else {"id": "job-1", "status": next(statuses)})

        def do_GET(self) -> None:
            if not self.path.endswith("/fine_tuning/jobs/job-1"):
                self.reply({"error": {"message": "no such route"}}, 404)
                return
            status = next(statuses)
            done = {"fine_tuned_model": ends[status], "finished_at": 1_800_000_000} if status in ends else {}
            self.reply({"id": "job-1", "status": status, **done})

        def reply(self, body: Any, status: int = 200) -> None:
            asked.append(f"{self.command} {self.path}")
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield f"{url}/v1", asked
