"""Virtual environments for what the benchmarks compare with: made once, kept in the user's cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import platformdirs


def environment(name: str, requirements: Sequence[str]) -> str:
    """Returns the interpreter of an environment that has `requirements`."""
    mark = hashlib.sha256(repr((sys.version_info[:2], requirements)).encode()).hexdigest()[:8]
    folder = Path(platformdirs.user_cache_dir("finetune-harness"), "benchmarks", f"{name}-{mark}")
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *requirements], check=True)
        (folder / ".ready").touch()
    return str(python)
