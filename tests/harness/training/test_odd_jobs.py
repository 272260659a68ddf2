"""Training jobs at endpoints that settle late, or write in their own way what the API defines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from support.canned import serving

from harness.errors import UnfinishedError
from harness.execution.targets import Target
from harness.journal import Job, Journal
from harness.training import Trainer, upload_of
from harness.training.following import LOOKS
from harness.types import JobSpec, TrainingFiles

SPEC = JobSpec(endpoint="fake", base="base-model", hyperparameters={"n_epochs": 3})
DONE = {"status": "succeeded", "fine_tuned_model": "ft:odd", "created_at": 1_700_000_000, "finished_at": 1_700_000_060}
NAMELESS = {**DONE, "fine_tuned_model": None}
LIST: dict[str, Any] = {"a list": "in its place"}
LOST = {"error": {"message": "no such job"}}


@dataclass
class Odd:
    """A provider whose replies on a job are given; the last one for ever."""

    jobs: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Sequence[Mapping[str, Any]]] = field(default_factory=list)
    created: int = 0
    url: str = ""

    def reply(self, method: str, path: str) -> Mapping[str, Any]:
        if method == "POST" and path.endswith("/files"):
            return {"id": f"file-{self.created}"}
        if method == "POST":
            self.created += 1
            return {"id": f"job-{self.created}", "status": "queued"}
        if path.partition("?")[0].endswith("/events") and self.events:
            events = self.events.pop(0) if len(self.events) > 1 else self.events[0]
            return {"object": "list", "data": list(events), "has_more": False}
        if path.rpartition("/")[2].startswith("job-"):
            told = self.jobs.pop(0) if len(self.jobs) > 1 else self.jobs[0]
            return told if told in (LOST, LIST) else {"id": f"job-{self.created}", **told}
        return LOST


@pytest.fixture
def odd() -> Iterator[Odd]:
    provider = Odd()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = provider.reply(self.command, self.path)
            raw = json.dumps([] if body is LIST else body).encode()
            self.send_response(404 if body is LOST else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        provider.url = f"{url}/v1"
        yield provider


def ensure(odd: Odd, folder: Path, said: list[str] | None = None) -> Job:
    """Trains, without the pauses."""
    train = folder / "train.jsonl"
    train.write_text(json.dumps({"prompt": "text", "completion": " good"}) + "\n", encoding="utf-8")
    files = TrainingFiles(train=train, validation=None, n_train=1, n_validation=0)
    target = Target(
        name="fake", base_url=odd.url, api_key="sk-test-0123456789", headers={}, query={}, concurrency=1, timeout_s=10.0
    )
    with Journal(folder / "journal.sqlite") as journal:
        trainer = Trainer(
            journal=journal, connect=lambda _: target, detail="steps", sleep=lambda _: None,
            say=lambda _, message: said.append(message) if said is not None else None,
        )  # fmt: skip
        return trainer.ensure("tuned", SPEC, upload_of(files), odd.url)


def test_a_job_that_is_not_known_at_once_is_asked_for_again(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [LOST] * (LOOKS - 1) + [{"status": "running"}, LOST, DONE]
    assert ensure(odd, tmp_path).model == "ft:odd"
    assert odd.created == 1


def test_an_unknown_job_is_launched_anew_by_the_second_command_only(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [{"status": "running"}, *[LOST] * LOOKS, DONE]
    with pytest.raises(UnfinishedError, match="does not know the training job job-1") as caught:
        ensure(odd, tmp_path)
    assert "the same command asks again" in str(caught.value.hint)
    assert ensure(odd, tmp_path).job == "job-1"  # the key was another project's; now it is known again
    assert odd.created == 1


def test_a_job_that_stays_unknown_is_given_up(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [LOST] * LOOKS + [LOST, DONE]
    said: list[str] = []
    with pytest.raises(UnfinishedError):
        ensure(odd, tmp_path, said)
    assert ensure(odd, tmp_path, said).job == "job-2"
    assert "job-1 is still unknown there: another is launched" in said


def test_a_model_whose_name_comes_late_is_waited_for(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [NAMELESS] * (LOOKS - 1) + [DONE]
    assert ensure(odd, tmp_path).model == "ft:odd"


def test_a_job_without_a_name_for_its_model_is_never_bought_again(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [NAMELESS] * 2 * LOOKS + [DONE]
    for _ in range(2):
        with pytest.raises(UnfinishedError, match="does not say what its model is called"):
            ensure(odd, tmp_path)
    assert ensure(odd, tmp_path).model == "ft:odd"
    assert odd.created == 1


def test_statuses_times_and_counts_may_be_written_otherwise(odd: Odd, tmp_path: Path) -> None:
    times = {"created_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:10:00+00:00"}
    odd.jobs = [{"status": "RUNNING"}, {**DONE, **times, "status": "SUCCEEDED", "trained_tokens": "1000",
                                         "result_files": [None, {"id": "x"}]}]  # fmt: skip
    said: list[str] = []
    job = ensure(odd, tmp_path, said)
    assert (job.status, job.model) == ("succeeded", "ft:odd")
    assert job.result is not None
    assert (job.result["seconds"], job.result["trained_tokens"]) == (600.0, 1000)
    assert "whatever that means" not in " ".join(said)


def test_a_list_in_a_job_s_place_is_asked_for_again(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [{"status": "running"}, LIST, DONE]
    assert ensure(odd, tmp_path).model == "ft:odd"


def test_the_reason_of_a_failure_may_be_a_sentence(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [{"status": "FAILED", "error": "out of memory", "finished_at": 1_700_000_060}]
    with pytest.raises(UnfinishedError, match="FAILED: out of memory"):
        ensure(odd, tmp_path)


def step(number: int, **more: Any) -> dict[str, Any]:
    data = {"step": number, "train_loss": 1 / number}
    return {
        "created_at": 1_700_000_000 + number,
        "message": f"Step {number}/3",
        "type": "metrics",
        "data": data,
        **more,
    }


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("named", [False, True], ids=["without ids", "with ids"])
def test_events_may_come_in_either_order(odd: Odd, tmp_path: Path, oldest_first: bool, named: bool) -> None:
    steps = [step(number, **({"id": f"e{number}"} if named else {})) for number in (1, 2, 3)]
    odd.jobs = [{"status": "running"}, {"status": "running"}, {"status": "running"}, DONE]
    odd.events = [steps[:number] if oldest_first else steps[:number][::-1] for number in (1, 2, 3)]
    job = ensure(odd, tmp_path)
    assert job.result is not None
    assert [one["step"] for one in job.result["steps"]] == [1, 2, 3]
    assert [one["at"] for one in job.result["events"]] == [1_700_000_001, 1_700_000_002, 1_700_000_003]


def test_events_may_lack_what_the_api_says(odd: Odd, tmp_path: Path) -> None:
    odd.jobs = [{"status": "running"}, DONE]
    odd.events = [[{"message": "began"}], [{"message": "began"}, {"created_at": "2026-01-01T00:00:00Z"}]]
    job = ensure(odd, tmp_path)
    assert job.result is not None
    assert sorted(one["message"] for one in job.result["events"]) == ["", "began"]
