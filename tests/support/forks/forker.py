"""The process that forks: `python forker.py KIND ADDRESS`; and what stands in for a process that somebody starts.

It imports, says that it is ready, listens at the address (a socket's path), and becomes in each fork what that is for.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMPORTED = {
    "run": (
        *("harness.cli", "harness.commands.run", "harness.commands.shared", "harness.pipeline", "harness.report.view"),
        *("openai.resources.fine_tuning", "httpcore2", "aiohttp", "pyarrow.parquet", "pandas", "jinja2"),
        *("scipy.stats", "sklearn.feature_extraction.text", "sklearn.linear_model", "support.forks.warmed"),
    ),
    "serve": (
        *("torch", "transformers.models.llama.modeling_llama", "peft", "harness.cli", "harness.commands.serve"),
        *("harness_local.serving", "harness_local.api.app", "harness_local.training.trainer"),
        *("llguidance", "uvicorn", "pydantic", "multipart"),
    ),
}


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
                elif key.data[1] in self.children:  # or it has ended in the same breath
                    self.selector.unregister(key.fileobj)
                    _kill(key.data[1])

    def _fork(self) -> dict[str, Any] | None:
        line, _ = self.listener.accept()
        text, files = _request(line)
        if text is None:
            for file in files:
                os.close(file)
            line.close()
            return None
        pid = os.fork()
        if pid == 0:
            os.setsid()
            self.selector.close()
            for other in (self.listener, line, *(line for _, line in self.children.values())):
                other.detach()
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return dict(json.loads(text))
        for file in files:
            os.close(file)
        watched = os.pidfd_open(pid)
        self.children[pid] = (watched, line)
        self.selector.register(watched, selectors.EVENT_READ, ("ended", pid))
        self.selector.register(line, selectors.EVENT_READ, ("gone", pid))
        with contextlib.suppress(OSError):  # whoever asked has gone, which the selector tells
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
            _kill(pid)
        shutil.rmtree(Path(self.listener.getsockname()).parent, ignore_errors=True)
        os._exit(0)


def _kill(pid: int) -> None:
    """Kills a fork and what it has started; one that is just made may not lead its session yet."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _request(line: socket.socket) -> tuple[bytes | None, list[int]]:
    """Reads what is asked, and with which files; of one who goes before all is said, the files alone."""
    text, files = b"", list[int]()
    with contextlib.suppress(ConnectionError):
        head, files, _, _ = socket.recv_fds(line, 8, 3)
        size = int.from_bytes(head, "big")
        while len(text) < size and (part := line.recv(65536)):
            text += part
        if size and len(text) == size:
            return text, files
    return None, files


def serve(kind: str, address: str) -> None:
    """Imports, listens, and becomes what a fork is to do."""
    for module in IMPORTED[kind]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is frozen no collection writes to, so that forks go on sharing it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    os.write(1, b"ready\n")
    asked = Forker(listener).request()
    if kind == "serve":
        from harness_local.training.supervisor import Supervisor
        from support.forks import stand_in_for

        Supervisor.trainer = stand_in_for(*Supervisor.trainer, address=address)
    become(asked)


def become(asked: Mapping[str, Any]) -> None:
    """Does in this process what `python ARGUMENTS` would do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in given if path and path not in sys.path]
    arguments = [argument for argument in asked["arguments"] if argument != "-P"]
    if arguments[:2] == ["-m", "harness"]:
        from harness.cli import main

        sys.argv = ["harness", *arguments[2:]]
        main(arguments[2:])
    elif arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    if sys.argv[1] == "stand-in":
        from support.forks import stand_in

        stand_in(sys.argv[2], sys.argv[3:])
    else:
        serve(*sys.argv[1:])
