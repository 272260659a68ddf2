"""Supervisors of trainings: in a process of their own that can be killed, or with a trainer that plays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from harness_local.models.loading import Placement
from harness_local.state import Row, State, new_id
from support import forks
from support.local import lines

Play: TypeAlias = Callable[..., None]
PLACEMENT = Placement(device="cpu", dtype="float32", threads=1)

# The server without its API. `patch` is put where it can change what follows.
SERVER = """
import asyncio, os, signal, sys
from pathlib import Path
from harness_local.models.loading import Placement, Source
from harness_local.state import OPEN, State
from harness_local.training import record, supervisor

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

{patch}
state = State(Path(sys.argv[1]))
placement = Placement(device="cpu", dtype="float32", threads=1)
supervisor.Supervisor.trainer = tuple(sys.argv[3:])

async def main():
    running = asyncio.create_task(
        supervisor.Supervisor(state, Source(id="tiny", location=sys.argv[2]), placement).run()
    )
    while state.jobs(*OPEN):
        await asyncio.sleep(0.02)
    running.cancel()

asyncio.run(main())
"""

TRAINER = """
import os, signal, sys
from pathlib import Path
from harness_local.training import trainer

{patch}
with Path(sys.argv[1], "steps").open("a") as steps:  # what was really computed
    compute = trainer.Run._step

    def step(self, batch, step, total):
        steps.write(f"{{step + 1}}\\n")
        steps.flush()
        return compute(self, batch, step, total)

    trainer.Run._step = step
    trainer.main()
"""

# A trainer that only plays: it speaks as the real one does, and needs no time.
PLAYER = """
import json, os, signal, sys, time
from pathlib import Path

folder = Path(sys.argv[1])
settings = {"n_epochs": 1, "batch_size": 6, "learning_rate_multiplier": 1.0}

def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)

def started(step=0, **more):
    tell("started", step=step, steps=2, examples=12, hyperparameters=settings, **more)

def step(number, loss=1.0, event="step"):
    tell(event, step=number, epoch=1, train_loss=loss, train_mean_token_accuracy=0.5, valid_loss=None,
         valid_mean_token_accuracy=None)

def done():
    for place in ("adapter", "checkpoints/2"):
        folder.joinpath(place).mkdir(parents=True, exist_ok=True)
        folder.joinpath(place, "adapter_model.safetensors").write_bytes(b"weights")
    step(2, event="checkpoint")
    tell("done", trained_tokens=12)

def hang():
    while os.read(0, 1):
        pass

def once(name):
    first = not folder.joinpath(name).exists()
    folder.joinpath(name).touch()
    return first
"""


def add_job(state: State, content: bytes | None = None, *, model: str = "tiny", **more: Any) -> str:
    """Adds a job as the API does; its hyperparameters are given by name."""
    files = []
    for data in (lines(24) if content is None else content, more.pop("validation", None)):
        if data is not None:
            source = state.folder / "files" / f".upload-{new_id('x')}"
            source.write_bytes(data)
            files.append(state.add_file(source, "data.jsonl", "fine-tune")["id"])
    body: Row = {
        "id": new_id("ftjob"), "object": "fine_tuning.job", "created_at": 1, "model": model, "status": "queued",
        "training_file": files[0], "validation_file": files[1] if len(files) > 1 else None, "seed": 7,
        "hyperparameters": {}, "method": {"type": "supervised", "supervised": {"hyperparameters": more}},
        "user_provided_suffix": None, "fine_tuned_model": None, "finished_at": None, "estimated_finish": None,
        "trained_tokens": None, "result_files": [], "error": None,
    }  # fmt: skip
    state.add_job(body)
    return str(body["id"])


def steps_of(state: State, job: str) -> list[int]:
    """Steps that the job's events tell of, in their order."""
    return [event["data"]["step"] for event in reversed(state.events(job)) if event["type"] == "metrics"]


def messages(state: State, job: str) -> list[str]:
    """What a job's events say, the earliest first."""
    return [event["message"] for event in reversed(state.events(job))]


@dataclass
class Lab:
    """A server that trains the tiny model for real and is killed where a patch says so."""

    folder: Path
    model: Path

    @property
    def state(self) -> State:
        return State(self.folder / "state")

    def add(self, content: bytes | None = None, **more: Any) -> str:
        state = self.state
        try:
            return add_job(state, content, **more)
        finally:
            state.close()

    def run(self, *, server: str = "", trainer: str = "", played: str | None = None) -> int:
        """Runs the server until no job is open; returns its exit code.

        `server` and `trainer` are patches; what is `played` stands in the place of a trainer.
        """
        self.folder.joinpath("server.py").write_text(SERVER.format(patch=server))
        self.folder.joinpath("trainer.py").write_text(played or TRAINER.format(patch=trainer))
        command = [str(self.folder / "server.py"), str(self.folder / "state"), str(self.model)]
        with self.folder.joinpath("server.log").open("ab") as log:
            trains = ("-P", str(self.folder / "trainer.py"))
            if played is None:
                trains = forks.stand_in_for(*trains, address=forks.ready(forks.SERVE))
            done = subprocess.run([sys.executable, "-P", *command, *trains], stderr=log, timeout=120)
        return done.returncode

    def computed(self, job: str) -> list[int]:
        """The steps that were really computed, in order."""
        return list(map(int, self.folder.joinpath("state", "jobs", job, "steps").read_text().split()))
