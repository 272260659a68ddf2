"""What the benchmarks compare with, and how it is run.

Virtual environments made once and kept in the user's cache; servers and trainings as processes that always end; the
embedded reviews, split by review.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

LABELS = ("negative", "neutral", "positive")
"""Of the embedded reviews."""
PATIENCE_S = 120.0
"""How long a server may take to start."""


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


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Stops what stands inside when it takes longer, or on SIGTERM; what it started is ended on the way out.

    Raises:
        SystemExit: SIGTERM came.
    """

    def late(*_: object) -> None:
        raise TimeoutError

    def ended(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, late), signal.signal(signal.SIGTERM, ended)
    signal.alarm(seconds)
    try:
        yield
    except TimeoutError:
        print(f"stopped after {seconds} s; what is told is from the repetitions until then", file=sys.stderr)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGTERM, before[1])


def told_if_busy() -> None:
    """Warns on stderr where others use the processor: what spins while it waits then loses far more than its share."""
    import psutil

    if (used := psutil.cpu_percent(interval=1.0)) > 10:
        print(f"others use {used:.0f}% of the processor: these ratios mean nothing", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Served:
    """A process that answers."""

    process: subprocess.Popen[str]
    url: str
    """Base URL of its API, or whatever line it wrote first."""
    start_s: float
    """Seconds from its start until then."""

    @property
    def cpu_s(self) -> float:
        """Processor seconds it has used."""
        import psutil

        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    @property
    def rss_mb(self) -> float:
        """Memory it holds now, in MB."""
        import psutil

        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20


@contextlib.contextmanager
def process(command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A process with pipes and a session of its own, which is killed in the end with all that it started.

    Yields:
        The process and the file that holds its stderr.
    """
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            env={**os.environ, **(variables or {})},
        )  # fmt: skip
        try:
            yield child, log
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()


@contextlib.contextmanager
def served(
    command: Sequence[str | Path], url: str | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """A server, ready.

    Args:
        command: Starts it.
        url: Its base URL, whose ``/health`` is asked until it answers; None where the server writes the URL itself
            as its first line.
        variables: Further environment variables.

    Raises:
        RuntimeError: It ended, or was not ready in `PATIENCE_S`.
    """
    began = time.perf_counter()
    with process(command, variables) as (child, log):
        giving_up = threading.Timer(PATIENCE_S, child.kill)
        giving_up.start()
        try:
            said = child.stdout.readline().strip() if url is None else _healthy(child, url)
        finally:
            giving_up.cancel()
        if not said:
            raise RuntimeError(f"{' '.join(map(str, command))} did not start:\n{_end(log)}")
        yield Served(child, said, time.perf_counter() - began)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _healthy(child: subprocess.Popen[str], url: str) -> str:
    """The URL once its server answers; nothing when the server has ended."""
    while child.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url.removesuffix("/v1") + "/health", timeout=5):
            return url
        time.sleep(0.05)
    return ""


def _end(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-2000:].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that came to its end."""

    lines: Sequence[tuple[float, str]]
    """What it wrote, each line with its time in seconds."""
    seconds: float
    cpu_s: float
    peak_mb: float


def finished(command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> Finished:
    """Runs a process to its end, its stdin open.

    Raises:
        RuntimeError: It failed.
    """
    began = time.perf_counter()
    with process(command, variables) as (child, log):
        lines = [(time.perf_counter() - began, line) for line in child.stdout]
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))[:200]} failed:\n{_end(log)}")
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    return Finished(lines, time.perf_counter() - began, used.ru_utime + used.ru_stime, peak)


def ours(state: Path, *options: str) -> contextlib.AbstractContextManager[Served]:
    """Our server over the embedded model, on a free port."""
    command = [sys.executable, "-m", "harness", "serve", "--port", "0", "--state", str(state), *options]
    return served(command, variables={"HARNESS_SERVE_PARENT_PIPE": "1"})


def reviews() -> tuple[list[Any], list[Any]]:
    """The embedded review sentences as examples: those to learn from, and those of other reviews (a sixth)."""
    from harness.plugins.discovery import discover
    from harness.types import Context

    snippets = discover().get("dataset", "amazon-snippets").cls()
    rows = list({row.text: row for row in snippets.load(Context()) if row.text.strip()}.values())
    groups = sorted({row.group for row in rows})
    random.Random(13).shuffle(groups)
    held_out = set(groups[: len(groups) // 6])
    return [r for r in rows if r.group not in held_out], [r for r in rows if r.group in held_out]


def training_lines(examples: Sequence[Any]) -> list[dict[str, Any]]:
    """Lines of a training file in prompt/completion form."""
    from harness_plugins.formatters.completion import Completion

    form = Completion()
    return [form.training_line(example, LABELS) for example in examples]


def fine_tuned(url: str, lines: Sequence[Mapping[str, Any]], tell: Callable[[str], None], **settings: Any) -> str:
    """Trains an adapter through the API; returns the model's id.

    Args:
        url: Our server's base URL.
        lines: The training file's.
        tell: Told how long it took.
        settings: Hyperparameters.

    Raises:
        RuntimeError: The job failed.
    """
    from openai import OpenAI

    began = time.perf_counter()
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": settings}}
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=120) as client:
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        file = client.files.create(file=("train.jsonl", content), purpose="fine-tune")
        base = client.models.list().data[0].id
        job = client.fine_tuning.jobs.create(model=base, training_file=file.id, seed=1, method=method)
        while job.status in ("validating_files", "queued", "running"):
            time.sleep(0.2)
            job = client.fine_tuning.jobs.retrieve(job.id)
    if not job.fine_tuned_model:
        raise RuntimeError(f"the training {job.status}: {job.error}")
    tell(f"adapter trained on {len(lines)} examples in {time.perf_counter() - began:.0f} s")
    return job.fine_tuned_model
