"""A fake OpenAI-compatible provider over real HTTP, in a process of its own.

    with Provider.start(answers={"good soup": "positive"}, error_500_rate=0.1) as provider:
        client = openai.OpenAI(base_url=provider.base_url, api_key="any")
        ...
        assert provider.counts()["POST /v1/chat/completions"] == 12
        provider.set(error_500_rate=0.0)          # behaviour changes at run time

It is honest: an answer follows from the prompt's text, the answer key and the seed alone, whatever the order and the
concurrency of the requests. A fault is drawn from the request's body and how often that body was seen, so a run with
faults is repeatable too. By hand: ``PYTHONPATH=tests python -m support.provider '{"seed": 1}'``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.provider.settings import INFERENCE, Settings

__all__ = ["INFERENCE", "Provider", "Recorded", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """Decoded JSON, `None` where there was none."""


class Provider:
    """A running provider, seen from the test."""

    def __init__(self, port: int, process: subprocess.Popen[str], settings: Mapping[str, Any] | None = None) -> None:
        self.port = port
        self.process = process
        self._started = Settings()
        self._started.update(settings or {})
        self.key = self._started.api_key or "sk-any"
        self._changed: set[str] = set()
        self.root = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.root}/v1"

    @classmethod
    @contextlib.contextmanager
    def start(cls, **settings: Any) -> Iterator[Provider]:
        """Starts a provider with `Settings` by name, on a free port; it ends with the block, or with this process."""
        Settings().update(settings)
        folder = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(
            [sys.executable, "-m", "support.provider", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # No certificates: aiohttp reads all that a machine has as it is imported, a tenth of the start
            env={**os.environ, "PYTHONPATH": path, "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process, contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
            ready = process.stdout.readline()
            if not ready:
                raise RuntimeError("the provider did not start; its error stands on stderr")
            yield cls(json.loads(ready)["port"], process, settings)

    def _admin(self, method: str, path: str, body: Any = None) -> Any:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, f"/admin/{path}", None if body is None else json.dumps(body))
            reply = connection.getresponse()
            text = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{path}: {reply.status} {text.decode()}")
        return json.loads(text)

    def set(self, **settings: Any) -> None:
        """Changes settings at run time."""
        Settings().update(settings)
        self._changed.update(settings)
        self._admin("POST", "set", settings)

    def renew(self) -> None:
        """Sets back what was changed since the start, and forgets counts and recorded requests."""
        self.set(**{name: getattr(self._started, name) for name in self._changed})
        self._changed.clear()
        self.reset()

    def reset(self) -> None:
        """Forgets counts and recorded requests; files, jobs and models stay."""
        self._admin("POST", "reset", {})

    def counts(self) -> dict[str, int]:
        """Requests by method and route, failed ones included; ids are written ``{id}``."""
        counts: dict[str, int] = self._admin("GET", "counts")
        return counts

    def statuses(self) -> dict[str, int]:
        """Answers by status, e.g. ``{"200": 11, "500": 1, "reset": 1}``."""
        statuses: dict[str, int] = self._admin("GET", "statuses")
        return statuses

    def peak_in_flight(self) -> int:
        """The most inference requests that were open at once."""
        return int(self._admin("GET", "peak"))

    def forget(self) -> None:
        """Forgets files, jobs and models as well as counts and recorded requests."""
        self._admin("POST", "forget", {})
        self.reset()

    def held(self) -> int:
        """Requests that `hold` keeps waiting."""
        return int(self._admin("GET", "held"))

    def jobs(self) -> list[dict[str, Any]]:
        """All training jobs as the API would show them, oldest first; looking changes nothing."""
        jobs: list[dict[str, Any]] = self._admin("GET", "jobs")
        return jobs

    def batches(self) -> list[dict[str, Any]]:
        """All batches as the API would show them, oldest first, with their `requests`; looking changes nothing."""
        batches: list[dict[str, Any]] = self._admin("GET", "batches")
        return batches

    def files(self, purpose: str = "fine-tune") -> list[dict[str, Any]]:
        """The files of a purpose as the API would show them, oldest first."""
        files: list[dict[str, Any]] = self._admin("GET", "files")
        return [file for file in files if file["purpose"] == purpose]

    def file(self, file_id: str) -> str:
        """The content of an uploaded file."""
        return str(self._admin("GET", f"file/{file_id}"))

    def requests(self, path: str = "") -> list[Recorded]:
        """The last requests, oldest first; of one path (``/v1/files``) where it is given."""
        items = [Recorded(**item) for item in self._admin("GET", "requests")]
        return [item for item in items if item.path == path] if path else items

    def crash(self) -> None:
        """Ends the provider without a word to anybody."""
        self.process.kill()
        self.process.wait()
