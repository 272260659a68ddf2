"""A really running local endpoint, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI

from support import forks

MODEL = "SmolLM2-135M-Instruct"
SERVE = (sys.executable, "-m", "harness", "serve")


@dataclass
class Live:
    """A server process and how to reach it."""

    process: subprocess.Popen[str] | forks.Fork
    url: str
    state: Path

    def client(self, key: str = "none") -> OpenAI:
        return OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=120)

    def end(self) -> int:
        """Closes the server's stdin; returns its exit code."""
        self.close()
        return self.process.wait(30)

    def kill(self) -> None:
        """Ends it as kill -9 does."""
        self.process.kill()
        self.process.wait(30)
        self.close()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def start(state: Path, *options: str, environment: dict[str, str] | None = None, forked: bool = True) -> Live:
    """Starts a server, if it may be as a fork; with stdin closed it ends."""
    arguments = (*SERVE[1:], "--port", "0", "--state", str(state), *options)
    env = {**os.environ, "HARNESS_SERVE_PARENT_PIPE": "1", **(environment or {})}
    with state.with_suffix(".log").open("ab") as log:
        process: subprocess.Popen[str] | forks.Fork
        if forked and forks.can_fork(env):
            process = forks.piped(arguments, env=env, errors=log.fileno())
        else:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env,
            )  # fmt: skip
    assert process.stdout is not None
    return Live(process, process.stdout.readline().strip(), state)


def lines(count: int) -> bytes:
    """Prompt/completion lines of an easy task: what colour a thing has."""
    things = {"grass": "green", "snow": "white", "coal": "black", "blood": "red"}
    rows = []
    for index in range(count):
        thing, colour = list(things.items())[index % len(things)]
        rows.append({"prompt": f"number {index} is {thing}\n\n###\n\n", "completion": f" {colour}"})
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
