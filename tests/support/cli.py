"""Runs the command as a user would: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support import forks
from support.forks import HARNESS as HARNESS

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def harness(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 240
) -> Finished:
    """Runs `harness` with `arguments` in `cwd`; `env` is added to this process's environment."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = forks.start([*map(str, arguments)], cwd=cwd, env=environment(env), out=out, err=err)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
            process.wait()
        return Finished(code=code, out=out.read_text(encoding="utf-8"), err=err.read_text(encoding="utf-8"))


def installed(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 240
) -> Finished:
    """Does what `harness` does with the program that is installed: for what is about its start."""
    done = subprocess.run(
        [HARNESS, *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


def environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the environment of a command: this process's, and `env`."""
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **(env or {})}


def run_folder(out: Path) -> Path:
    """Returns the one run under `out`."""
    (folder,) = (manifest.parent for manifest in out.glob("*/manifest.json"))
    return folder
