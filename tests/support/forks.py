"""Commands in processes of their own that begin at once: forks of a process that has carried a small run out.

What a run imports takes it three seconds of a processor, what it makes once in a process (plugins, templates, prices)
another half, and there are a hundred runs in a process of their own. A fork can be killed and interrupted like any
other process. What is about the start itself, or about what is imported, takes `support.cli.installed` instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import TypeAlias

HARNESS = Path(sys.executable).with_name("harness")
IMPORTED = (
    *("harness.cli", "harness.commands.run", "harness.commands.shared", "harness.pipeline", "harness.report.view"),
    *("openai.resources.fine_tuning", "httpcore2", "aiohttp", "pyarrow.parquet", "pandas", "jinja2"),
    *("scipy.stats", "sklearn.feature_extraction.text", "sklearn.linear_model", "support.warmed"),
)
AT_START = "PYTHON", "LD_", "OMP_"
"""How the names of variables begin that a process looks at as it starts. A fork looks at `PYTHONPATH` too."""


@dataclass(frozen=True, kw_only=True)
class Fork:
    """A command under way; its methods are those of `subprocess.Popen`."""

    process: ForkServerProcess

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """Returns the exit code, or the negative number of the signal that ended it; `None` while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end and returns what `poll` then does.

        Raises:
            subprocess.TimeoutExpired: It still runs after so many seconds.
        """
        self.process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("harness", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self.process.kill()


Process: TypeAlias = Fork | subprocess.Popen[bytes]


def start(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Path, err: Path) -> Process:
    """Starts `harness` in a session of its own, without standard input.

    Args:
        arguments: Of the command.
        cwd: Where it works.
        env: Its whole environment.
        out: The file of its standard output.
        err: … and of its standard error.
    """
    for path in (out, err):
        path.open("wb").close()
    if not _can_fork(env):
        return _popen([str(HARNESS), *arguments], cwd, env, (out, err))
    given = (tuple(arguments), str(cwd.resolve()), dict(env), str(out.resolve()), str(err.resolve()))
    process = _context().Process(target=_command, args=given)
    process.start()
    return Fork(process=process)


def _can_fork(env: Mapping[str, str]) -> bool:
    """Whether a fork does the same as a new process; where there is no Linux, libraries may not outlive a fork."""
    changed = {name for name, value in env.items() if os.environ.get(name) != value} - {"PYTHONPATH"}
    return sys.platform == "linux" and not any(name.startswith(AT_START) for name in changed)


def _popen(command: Sequence[str], cwd: Path, env: Mapping[str, str], files: tuple[Path, Path]) -> Process:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what ignores it here would be ignored there
    try:
        with files[0].open("wb") as out, files[1].open("wb") as err:
            return subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
    finally:
        signal.signal(signal.SIGINT, before)


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), before]))
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


def _command(arguments: tuple[str, ...], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """What the fork does."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["harness", *arguments]
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    from harness.cli import main

    main(arguments)
