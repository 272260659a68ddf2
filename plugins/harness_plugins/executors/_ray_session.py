"""The cluster that the executor `ray` uses: one that runs already, or one of this machine's own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness

STORE_BYTES = 100_000_000
"""Memory of a private cluster's object store: it holds calls on their way and nothing else."""
KNOCK_S = 10.0
"""Seconds to wait for a cluster's head to take a connection."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that this process is connected to."""

    ray: Any
    ours: bool = True
    """Whether this executor connected to it."""
    folder: Path | None = None
    """Session files of a cluster that was started for the run."""
    idle: list[Any] = field(default_factory=list)
    """Actors that have started and have nothing to do."""

    @classmethod
    def join(cls, address: str) -> Cluster:
        """Connects to a running cluster."""
        ray = _ray()
        _knock(address)
        if ray.is_initialized():  # by whoever called this library: theirs to close
            return cls(ray=ray, ours=False)
        _connect(ray, address=address)
        return cls(ray=ray)

    @classmethod
    def start(cls, workers: int) -> Cluster:
        """Starts a cluster that listens on the loopback interface only, and to whoever has its token."""
        import secrets

        if "ray" not in sys.modules:  # it reads them once
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on all systems the switch for 127.0.0.1
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        ray = _ray()
        if ray.is_initialized():
            return cls(ray=ray, ours=False)
        # Paths of sockets are limited to about 100 characters: the usual temporary folder may be too deep.
        short = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp's own folder is private
        folder = Path(tempfile.mkdtemp(prefix="harness-ray-", dir=short))
        try:
            _connect(
                ray,
                address="local",
                num_cpus=workers,
                num_gpus=0,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                _temp_dir=str(folder / "ray"),  # Ray opens this one to everybody
            )
        except BaseException:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(ray=ray, folder=folder)

    def workers(self, wanted: int | None) -> int:
        """Returns how many workers there are to be."""
        if wanted is not None:
            return wanted
        if self.folder is not None:
            return processors()
        return max(2, sum(bool(node["Alive"]) for node in self.ray.nodes()))

    def close(self) -> None:
        """Disconnects, and ends what was started."""
        if self.ours:
            self.ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def processors() -> int:
    """Returns how many workers this machine can keep busy, at least 2."""
    return max(2, os.cpu_count() or 1)


def _ray() -> Any:
    """Imports Ray, told to keep quiet: towards its makers, and on this process's output."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # it would send the working folder to all nodes
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # its messages of lost workers: they are told here
    try:
        import ray
    except ImportError as error:
        raise harness.UsageError(
            f"the executor ray needs the package ray, which cannot be imported: {error}",
            "pip install 'finetune-harness[ray]'",
        ) from None
    return ray


def _knock(address: str) -> None:
    """Sees whether anybody listens at HOST:PORT: Ray itself would go on trying for minutes.

    Raises:
        UnfinishedError: Nobody does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
    except OSError as error:
        raise _unreachable(f"the cluster at {address}", error) from None


def _unreachable(where: str, error: BaseException) -> harness.UnfinishedError:
    return harness.UnfinishedError(
        f"{where} cannot be reached: {line_of(error)}",
        "start it (ray start --head), correct the executor's address or leave it out, and set RAY_AUTH_TOKEN where the "
        "cluster wants one; the same command goes on",
    )


def _connect(ray: Any, **options: Any) -> None:
    where = "a cluster on this machine" if options["address"] == "local" else f"the cluster at {options['address']}"
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, namespace="finetune-harness", **options)
    except (ConnectionError, TimeoutError) as error:
        raise _unreachable(where, error) from None
    except (RuntimeError, ValueError, OSError) as error:
        raise harness.UsageError(
            f"{where} cannot be used: {line_of(error)}", "all nodes need the same versions of Python and Ray"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray has put in its own


def line_of(error: BaseException) -> str:
    """Returns the line of an error that says most: of one that came from elsewhere the last, without its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if '\n  File "' in str(error) else lines[0])[:300] if lines else type(error).__name__
