"""Processes that begin at once: forks of one that has imported what they need.

Importing it takes a run three seconds of a processor, what it makes once in a process (plugins, templates, prices)
another half; a server of the local endpoint four, and a training seven. A fork is a process like any other: it can be
killed, stopped and interrupted. What is about the start itself, or hangs on a variable that a library reads as it is
imported, takes a new process instead.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

HARNESS = Path(sys.executable).with_name("harness")
FORKER = Path(__file__).with_name("forker.py")
RUN, SERVE = "run", "serve"
"""What forks are for: commands; servers and trainings of the local endpoint."""
AT_START = "PYTHON", "LD_", "OMP_", "HF_", "TORCH"
"""How the names of variables begin that a process looks at as it starts, or as it imports."""
ALREADY = {"PYTHONPATH"}
"""The one of these that a fork looks at too."""
SET = {"GOMP_SPINCOUNT": "3000", "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
"""What a server sets, and what it sets for a training; and no network."""


@dataclass
class Fork:
    """A process under way; its methods are those of `subprocess.Popen`."""

    line: socket.socket
    pid: int
    stdin: Any = None
    stdout: Any = None
    returncode: int | None = None
    _heard: bytes = field(default=b"", repr=False)

    def poll(self) -> int | None:
        """Returns the exit code, or the negative number of the signal that ended it; `None` while it runs."""
        return self._hear(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end and returns what `poll` then does.

        Raises:
            subprocess.TimeoutExpired: It still runs after so many seconds.
        """
        if (code := self._hear(timeout)) is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self.send_signal(signal.SIGKILL)

    def _hear(self, seconds: float | None) -> int | None:
        if self.returncode is not None:
            return self.returncode
        self.line.settimeout(seconds)
        with suppress(TimeoutError, BlockingIOError):
            while not self._heard.endswith(b"\n"):
                part = self.line.recv(100)
                assert part, "the process that forks has ended"
                self._heard += part
            self.returncode = int(self._heard)
            self.line.close()
        return self.returncode


Process: TypeAlias = Fork | subprocess.Popen[bytes]


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a fork with this environment does what a new process does; elsewhere, libraries may not outlive one."""
    changed = {name for name, value in env.items() if os.environ.get(name) != value} - ALREADY
    return sys.platform == "linux" and not any(name.startswith(AT_START) for name in changed)


def fork(arguments: Sequence[str], files: Sequence[int], *, cwd: Path, env: Mapping[str, str], address: str) -> Fork:
    """Has `python ARGUMENTS` done by a fork, in a session of its own.

    Args:
        arguments: Of the interpreter: `-m` and a module, or a file; then those of the program.
        files: Descriptors of its standard input, output and error.
        cwd: Where it works.
        env: Its whole environment.
        address: Where the process that forks listens: `ready`.
    """
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    request = json.dumps({"arguments": [*arguments], "cwd": str(cwd.resolve()), "env": {**env}}).encode()
    socket.send_fds(line, [len(request).to_bytes(8, "big")], [*files])
    line.sendall(request)
    answer = line.recv(8)
    assert answer, "the process that forks has ended"
    return Fork(line, int.from_bytes(answer, "big"))


def start(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Path, err: Path) -> Process:
    """Starts `harness` in a session of its own, without standard input.

    Args:
        arguments: Of the command.
        cwd: Where it works.
        env: Its whole environment.
        out: The file of its standard output.
        err: … and of its standard error.
    """
    with Path(os.devnull).open("rb") as nothing, out.open("wb") as said, err.open("wb") as told:
        if can_fork(env):
            files = (nothing.fileno(), said.fileno(), told.fileno())
            return fork(["-m", "harness", *arguments], files, cwd=cwd, env=env, address=ready(RUN))
        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what ignores it here would be ignored there
        try:
            return subprocess.Popen(
                [str(HARNESS), *arguments],
                cwd=cwd, env=env, stdin=nothing, stdout=said, stderr=told, start_new_session=True,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)


def piped(arguments: Sequence[str], *, env: Mapping[str, str], errors: int) -> Fork:
    """Does what `subprocess.Popen` does with pipes for standard input and output; `errors` is a descriptor."""
    theirs, ours = os.pipe()
    out, written = os.pipe()
    forked = fork(arguments, (theirs, written, errors), cwd=Path.cwd(), env=env, address=ready(SERVE))
    for file in (theirs, written):
        os.close(file)
    return replace(forked, stdin=os.fdopen(ours, "w"), stdout=os.fdopen(out))


@cache
def ready(kind: str) -> str:
    """Starts the process that forks; it ends with this one. Returns where it listens."""
    address = str(Path(tempfile.mkdtemp(prefix="forks-"), "line"))
    own = {**SET, "HF_HUB_CACHE": str(hub(address))} if kind == SERVE else {}
    process = subprocess.Popen(
        [sys.executable, str(FORKER), kind, address],
        env={**os.environ, **own},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    atexit.register(process.communicate)  # closes its standard input, which ends it
    return address


def hub(address: str) -> Path:
    """Returns Hugging Face's cache of the forks."""
    return Path(address).with_name("hub")


def stand_in_for(*arguments: str, address: str) -> tuple[str, ...]:
    """Arguments of an interpreter that has `python ARGUMENTS` done by a fork, and ends as that one does."""
    return ("-S", str(FORKER), "stand-in", address, *arguments)


def stand_in(address: str, arguments: Sequence[str]) -> None:
    """Is the process that somebody wants to start, kill and wait for; a fork, which ends with it, does the work.

    The fork is no child of that somebody, whose number it finds in the variable `ASKED_BY`.
    """
    env = {**os.environ, "ASKED_BY": str(os.getppid())}
    code = fork(arguments, (0, 1, 2), cwd=Path.cwd(), env=env, address=address).wait()
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)
