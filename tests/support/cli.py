"""Runs the installed command as a user would: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HARNESS = Path(sys.executable).with_name("harness")
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
    done = subprocess.run(
        [HARNESS, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


def run_folder(out: Path) -> Path:
    """Returns the one run under `out`."""
    (folder,) = (manifest.parent for manifest in out.glob("*/manifest.json"))
    return folder
