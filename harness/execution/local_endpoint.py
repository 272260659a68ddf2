"""The endpoint `local`: started by the harness for a run, and ended with it even if the harness is killed."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from harness.errors import UnfinishedError, UsageError
from harness.execution.targets import Target
from harness.experiment import LOCAL
from harness.experiment.file import EndpointTable
from harness.files import copy_folder, folder_whole, make_folder, write_json
from harness.journal import reading

KEY_NAME = "HARNESS_LOCAL_KEY"
"""The environment variable by which the endpoint gets its random key."""
PARENT_PIPE = "HARNESS_SERVE_PARENT_PIPE"
"""Tells the endpoint to end itself when its stdin closes: that happens however this process ends."""
SLOW = ("fetching", "unpacking")
"""How the endpoint's log words what makes a first start slow: those lines are passed on."""
STATE = "state"
BROUGHT = "adapters"
"""Folder of adapters from elsewhere, beside the endpoint's own state: it is given them when it starts."""
START_S = 600.0
"""Seconds until the endpoint must be ready; the first start fetches and unpacks the model."""


def adopt_state(folder: Path, siblings: Iterable[Path]) -> None:
    """Copies the state of a sibling run's endpoint, with the models that it trained, where this run has none yet.

    Raises:
        UnfinishedError: The disk is full.
    """
    state = folder / STATE
    if state.exists():
        return
    for sibling in siblings:
        if (sibling / STATE).is_dir():
            copy_folder(sibling / STATE, state)
            return


def adapter_of(folder: Path, model: str) -> Path | None:
    """Returns where a run's endpoint keeps the adapter of a model that it trained or was brought; `None`: nowhere.

    Args:
        folder: `endpoint/` in the run's folder.
        model: The model's id.
    """
    state, row = folder / STATE, None
    with suppress(sqlite3.Error), reading(state / "state.sqlite") as database:
        row = database.execute("SELECT folder FROM models WHERE id = ?", (model,)).fetchone()
    places = [*([] if row is None else [state / str(row[0])]), _place(folder, model) / "adapter"]
    return next((place for place in places if (place / "adapter_model.safetensors").is_file()), None)


def _place(folder: Path, model: str) -> Path:
    """Returns where a model's adapter from elsewhere lies in a run's `endpoint/`."""
    return folder / BROUGHT / hashlib.sha256(model.encode()).hexdigest()[:16]


class LocalEndpoint:
    """A `harness serve` of the run's own, started when it is first asked for.

    Args:
        folder: Where its state and log lie: `endpoint/` in the run's folder.
        table: The experiment's settings for it.
        say: Told what is going on.
        adapters: Model → adapter of models from elsewhere that it is to have.
    """

    def __init__(
        self, folder: Path, table: EndpointTable, say: Callable[[str], None], adapters: Mapping[str, Path] | None = None
    ) -> None:
        self.folder = folder
        self._table = table
        self._say = say
        self._adapters = adapters or {}
        self._process: subprocess.Popen[str] | None = None
        self._target: Target | None = None

    def target(self) -> Target:
        """Returns how it is reached, starting it if it is not running.

        Raises:
            UsageError: It cannot start as asked: the extra `local` is missing, or there is no such model.
            UnfinishedError: It did not become ready.
        """
        if self._target is None or (self._process is not None and self._process.poll() is not None):
            self.close()
            self._target = self._start()
        return self._target

    def bring(self, model: str, others: Iterable[Path]) -> bool:
        """Sees to it that it has a model that was trained by this or by another run.

        Args:
            model: The model's id.
            others: `endpoint/` of other runs.

        Returns:
            False where the model is lost. An endpoint without any state has lost nothing: where a run has all of its
            answers, nobody will ask.
        """
        if adapter_of(self.folder, model) is not None:
            return True
        adapter = next((found for other in others if (found := adapter_of(other, model)) is not None), None)
        if adapter is None:
            return not (self.folder / STATE).exists()
        self._bring(model, adapter)
        self.close()  # one that runs must start anew to have it
        return True

    def _start(self) -> Target:
        make_folder(self.folder)
        key = secrets.token_urlsafe(32)
        # -P: a `secrets.py` that lies where the user stands is not Python's own
        command = [sys.executable, "-P", "-m", "harness", "serve", "--port", "0", "--state", str(self.folder / STATE)]
        command += ["--api-key-env", KEY_NAME]
        for option in ("model", "device", "dtype"):
            value = getattr(self._table, option)
            command += [f"--{option}", value] if value else []
        for model, adapter in self._adapters.items():
            self._bring(model, adapter)
        for brought in sorted(self.folder.glob(f"{BROUGHT}/[!.]*")):
            command += ["--adapter", str(brought)]
        self._say("starting the local endpoint")
        with (self.folder / "endpoint.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, KEY_NAME: key, PARENT_PIPE: "1"},
                start_new_session=True,  # Ctrl-C is for the harness; the endpoint ends when its stdin closes
            )
        base_url = self._first_line(self._process)
        return Target(
            name=LOCAL,
            base_url=base_url,
            api_key=key,
            headers={},
            query={},
            concurrency=self._table.concurrency,
            timeout_s=max(self._table.timeout_s, 600.0),
            key_name=KEY_NAME,
            local=True,
            stream=self._table.stream,
        )

    def _bring(self, model: str, adapter: Path) -> None:
        """Copies an adapter into this endpoint's folder, named as `harness export` does; the other run may go."""
        target = _place(self.folder, model)
        if not target.is_dir():
            with folder_whole(target) as filling:
                copy_folder(adapter, filling / "adapter")
                write_json(filling / "arm.json", {"model": model})

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        """Waits for the base URL, which the endpoint prints once it can answer."""
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append(_line(process)), daemon=True)
        reader.start()
        told = len(self._log_lines())
        deadline = time.monotonic() + START_S
        while reader.is_alive() and time.monotonic() < deadline:
            reader.join(0.2)
            for line in self._log_lines()[told:]:
                told += 1
                if line.startswith(SLOW):
                    self._say(f"local endpoint: {line}")
        if lines and lines[0].startswith("http"):
            return lines[0]
        if reader.is_alive():
            self.close()
            raise UnfinishedError(f"the local endpoint was not ready after {START_S:.0f} s; see {self._log}")
        self.close()
        code = process.returncode
        said = self._log_lines()[-3:]
        message = f"the local endpoint ended with code {code}: {' '.join(said)[-400:]}"
        raise (UsageError if code == UsageError.exit_code else UnfinishedError)(message, f"its log is {self._log}")

    def _log_lines(self) -> list[str]:
        return [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]

    @property
    def _log(self) -> Path:
        return self.folder / "endpoint.log"

    def close(self) -> None:
        """Ends it: its stdin closes, and it gets 10 s before it is killed."""
        process, self._process, self._target = self._process, None, None
        if process is None:
            return
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> LocalEndpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
    return process.stdout.readline().strip()
