"""Starting and stopping the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness_local.api.app import Services
    from harness_local.models.loading import Loaded, Placement
    from harness_local.state import State

PARENT_PIPE = "HARNESS_SERVE_PARENT_PIPE"
"""Where this variable is 1, the server ends when its stdin does: with whoever started it, however that ends."""

_PATIENCE_S = 5.0


def serve(
    *,
    model: str | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
    api_key_env: str | None = None,
    state: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> None:
    """Serves a model until interrupted.

    Writes a banner to stderr and, once it can answer, its base URL as one line to stdout.

    Args:
        model: Folder, GGUF file or Hugging Face id; None for the embedded model.
        port: Port to listen on; 0 for a free one.
        host: Address to listen on. One that others can reach needs a key.
        api_key_env: Name of the environment variable that holds the key clients must send.
        state: Folder for files, jobs and adapters; by default in the user's state folder.
        device: ``cpu``, ``cuda`` or ``mps``; None for the best that is there.
        dtype: ``bfloat16``, ``float16`` or ``float32``; None for the quickest.

    Raises:
        UsageError: An option is wrong, the port is taken, or another server holds the state folder.
        UnfinishedError: The embedded model could not be fetched.
    """
    # Threads that wait for each other by spinning stall when client and server share the processor's cores (seen here:
    # 10 instead of 50 items/s); threads that sleep at once lose a third on a quiet machine. A short spin does well
    # at both. This must stand before torch loads; the training process inherits it.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        import torch  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"the local endpoint needs {error.name}, which is not installed", "pip install 'finetune-harness[local]'"
        ) from None
    key = _key(host, api_key_env)
    with _listening(host, port) as sock, _held(state or default_state()) as memory:
        _serve(model, key, sock, memory, (device, dtype))


def default_state() -> Path:
    """Where a user's own server keeps its state."""
    from platformdirs import user_state_dir

    return Path(user_state_dir("finetune-harness", appauthor=False)) / "serve"


def _key(host: str, api_key_env: str | None) -> str | None:
    from harness_local.api.guard import is_loopback

    if api_key_env is None:
        if not is_loopback(host):
            raise UsageError(
                f"--host {host} can be reached by others", "Give --api-key-env V as well, or leave it out."
            )
        return None
    if not (key := os.environ.get(api_key_env)):
        raise UsageError(f"the environment variable {api_key_env} is not set", "It must hold the key clients send.")
    return key


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket; it listens only when the server is ready, so nobody waits in its queue before."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"cannot listen on {host} port {port}: {error}", "Give --port another, or 0.") from None
        yield sock


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[State]:
    from harness_local.state import State

    memory = State(folder)
    try:
        yield memory
    finally:
        memory.close()


def _serve(
    model: str | None, key: str | None, sock: socket.socket, memory: State, forced: tuple[str | None, str | None]
) -> None:
    from harness_local.api.app import build
    from harness_local.api.guard import Guard
    from harness_local.inference.engine import warm
    from harness_local.models.loading import find, load, place

    # Before the heavy imports: whoever started this may end while they run.
    stopper = _Stopper()
    source = find(model, _say)
    placement = place(*forced)
    computing = ThreadPoolExecutor(1, thread_name_prefix="engine")
    services = computing.submit(lambda: _services(load(source, placement), placement, memory)).result()
    services.engine.start(computing)
    try:
        warm(services.engine, services.codec)
        host, port = sock.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        app = Guard(build(services), host, key)
        if memory.models():
            services.engine.expect_adapters()
        _say(_banner(url, source.id, placement, memory.folder, key is not None))
        asyncio.run(_listen(app, sock, url, stopper))
    finally:
        services.engine.stop()


def _services(loaded: Loaded, placement: Placement, memory: State) -> Services:
    from harness_local.api.app import Services
    from harness_local.inference.engine import Engine
    from harness_local.models.tokens import Codec
    from harness_local.training.supervisor import Supervisor

    codec = Codec(loaded.tokenizer)

    def adapter_folder(name: str) -> Path:
        row = memory.model(name)
        if row is None or not row["folder"].joinpath("adapter_model.safetensors").is_file():
            raise KeyError(name)
        folder: Path = row["folder"]
        return folder

    return Services(
        base=loaded.source.id,
        created=int(time.time()),
        context=loaded.context,
        vocabulary=int(loaded.model.config.vocab_size),
        fingerprint=f"{placement.device}-{placement.dtype}",
        codec=codec,
        engine=Engine(loaded, codec, adapter_folder),
        state=memory,
        supervisor=Supervisor(memory, loaded.source, placement),
    )


async def _listen(app: Any, sock: socket.socket, url: str, stopper: _Stopper) -> None:
    import uvicorn

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=3, backlog=2048
    )
    server = uvicorn.Server(config)
    # Signals are handled here: uvicorn's own way would raise them again after a graceful end.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    stopper.attach(server)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
    await serving


class _Stopper:
    """Ends the server on SIGINT, SIGTERM or, where asked for, when stdin ends.

    A second signal, and a server that does not end in time, end the process at once; the training process, whose
    stdin closes with it, follows.
    """

    def __init__(self) -> None:
        self._server: Any = None
        self._asked = False
        for name in ("SIGINT", "SIGTERM"):
            signal.signal(getattr(signal, name), self._signalled)
        if os.environ.get(PARENT_PIPE) == "1":
            threading.Thread(target=self._watch, daemon=True).start()

    def attach(self, server: Any) -> None:
        """Says which server to end."""
        self._server = server
        server.should_exit = self._asked

    def _signalled(self, number: int, _: object) -> None:
        if self._server is None or self._asked:
            os._exit(128 + number)
        self._stop()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):  # not through sys.stdin, whose lock a thread may not hold at the end
                pass
        if self._server is None:
            os._exit(0)
        self._stop()

    def _stop(self) -> None:
        self._asked = True
        self._server.should_exit = True
        timer = threading.Timer(_PATIENCE_S, os._exit, (0,))
        timer.daemon = True
        timer.start()


def _banner(url: str, model: str, placement: Placement, state: Path, key: bool) -> str:
    given = '"the key"' if key else '"none"'
    return (
        f"{model} at {url}\n"
        f"  device {placement.device}, {placement.dtype}, {placement.threads} threads; state in {state}\n"
        "  from openai import OpenAI\n"
        f'  client = OpenAI(base_url="{url}", api_key={given})\n'
        f'  client.completions.create(model="{model}", prompt="Once upon a time", max_tokens=20)\n'
        "Stop with Ctrl-C."
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def report_and_exit(error: HarnessError) -> None:
    """Writes an error as the command line does and ends the process with its exit code."""
    _say(f"error: {error}")
    raise SystemExit(error.exit_code)
