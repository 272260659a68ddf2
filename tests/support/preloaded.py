"""Servers and trainings that begin at once: forks of a process that has imported torch, transformers and peft.

Importing these takes a server four seconds of a processor and a training process seven. A fork is a process like any
other: it can be killed, stopped and interrupted, and ends by itself. What is about the start, or hangs on a variable
that a library reads as it is imported, takes a new process instead: `can_fork`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

IMPORTED = (
    *("torch", "transformers.models.llama.modeling_llama", "peft", "harness.commands.serve", "harness_local.serving"),
    *("harness_local.api.app", "harness_local.training.trainer", "llguidance", "uvicorn", "pydantic", "multipart"),
)
AT_START = "PYTHON", "LD_", "OMP_", "HF_", "TORCH"
"""How the names of variables begin that a process looks at as it starts, or as it imports."""
SET = {"GOMP_SPINCOUNT": "3000", "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
"""What a server sets, and what it sets for a training; and no network."""


@dataclass
class Fork:
    """A process under way; its methods are those of `subprocess.Popen`."""

    line: socket.socket
    stdin: Any = None
    stdout: Any = None
    pid: int = 0
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
        while self.returncode is None and select.select([self.line], [], [], seconds)[0]:
            self._heard += self.line.recv(100)
            if self._heard.endswith(b"\n"):
                self.returncode = int(self._heard)
                self.line.close()
        return self.returncode


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a fork does the same as a new process with these variables beside this process's."""
    return sys.platform == "linux" and not any(name.startswith(AT_START) for name in env)


def fork(arguments: Sequence[str], files: Sequence[int], *, env: Mapping[str, str], address: str) -> Fork:
    """Has `python ARGUMENTS` done by a fork.

    Args:
        arguments: Of the interpreter: options, `-m` and a module, or a file; then those of the program.
        files: Descriptors of its standard input, output and error.
        env: Its whole environment.
        address: Where the process that forks listens: `ready`.
    """
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    request = json.dumps({"arguments": [*arguments], "cwd": str(Path.cwd()), "env": {**env}})
    socket.send_fds(line, [len(request.encode()).to_bytes(8, "big")], [*files])
    line.sendall(request.encode())
    answer = line.recv(8)
    assert answer, "the process that forks has ended"
    return Fork(line, pid=int.from_bytes(answer, "big"))


def start(arguments: Sequence[str], *, env: Mapping[str, str], errors: int) -> Fork:
    """Does what `subprocess.Popen` does with pipes for standard input and output; `errors` is a descriptor."""
    theirs, ours = os.pipe()
    out, written = os.pipe()
    forked = fork(arguments, (theirs, written, errors), env=env, address=ready())
    for file in (theirs, written):
        os.close(file)
    return replace(forked, stdin=os.fdopen(ours, "w"), stdout=os.fdopen(out))


@cache
def ready() -> str:
    """Starts the process that forks; it ends with this one. Returns where it listens."""
    address = str(Path(tempfile.mkdtemp(prefix="forks-"), "line"))
    cache = {"HF_HUB_CACHE": str(hub(address))}
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", address],
        env={**os.environ, **SET, **cache},
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


def stand_in_for(*arguments: str) -> tuple[str, ...]:
    """Arguments of an interpreter that has `python ARGUMENTS` done by a fork, and ends as that one does."""
    return ("-S", __file__, "stand-in", ready(), *arguments)


def stand_in(address: str, arguments: Sequence[str]) -> None:
    """Is the process that somebody wants to start, kill and wait for; a fork, which ends with it, does the work.

    The fork is no child of that somebody, whose number it finds in the variable `ASKED_BY`.
    """
    env = {**os.environ, "ASKED_BY": str(os.getppid())}
    code = fork(arguments, (0, 1, 2), env=env, address=address).wait()
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


@dataclass
class Forker:
    """The process that forks. It has one thread: others would not outlive a fork."""

    listener: socket.socket
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    children: dict[int, tuple[int, socket.socket]] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """Forks for whoever asks, and ends each fork whose owner has gone. Returns in a fork: what it is to do."""
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == 0:
                    self._end()
                elif key.fileobj is self.listener:
                    if (asked := self._fork()) is not None:
                        return asked
                elif key.data[0] == "ended":
                    self._ended(key.data[1])
                else:
                    self.selector.unregister(key.fileobj)
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(key.data[1], signal.SIGKILL)

    def _fork(self) -> dict[str, Any] | None:
        line, _ = self.listener.accept()
        size, files, _, _ = socket.recv_fds(line, 8, 3)
        text = b""
        while len(text) < int.from_bytes(size, "big"):
            text += line.recv(65536)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            self.selector.close()
            for other in (self.listener, line, *(line for _, line in self.children.values())):
                other.detach()
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.closerange(3, 1024)
            return dict(json.loads(text))
        for file in files:
            os.close(file)
        watched = os.pidfd_open(pid)
        self.children[pid] = (watched, line)
        self.selector.register(watched, selectors.EVENT_READ, ("ended", pid))
        self.selector.register(line, selectors.EVENT_READ, ("gone", pid))
        line.sendall(pid.to_bytes(8, "big"))
        return None

    def _ended(self, pid: int) -> None:
        watched, line = self.children.pop(pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.selector.unregister(watched)
        with contextlib.suppress(KeyError):
            self.selector.unregister(line)
        os.close(watched)
        with contextlib.suppress(OSError):
            line.sendall(f"{code}\n".encode())
        line.close()

    def _end(self) -> None:
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        os._exit(0)


def serve(address: str) -> None:
    """Imports, listens, and becomes what a fork is to do."""
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    os.write(1, b"ready\n")
    become(Forker(listener).request())


def become(asked: Mapping[str, Any]) -> None:
    """Does in this process what `python ARGUMENTS` would do."""
    from harness_local.training.supervisor import Supervisor

    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    Supervisor.trainer = ("-S", __file__, "stand-in", sys.argv[2], *Supervisor.trainer)
    arguments = [argument for argument in asked["arguments"] if argument != "-P"]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        stand_in(sys.argv[2], sys.argv[3:])
