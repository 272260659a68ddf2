"""Starting and stopping the server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.secrets import key_in, unsendable
from harness_local.adopting import Adapter, found
from harness_local.parent import when_stdin_ends

if TYPE_CHECKING:
    from harness_local.api.services import Services
    from harness_local.models.loading import Loaded, Placement
    from harness_local.state import State

PARENT_PIPE = "HARNESS_SERVE_PARENT_PIPE"
"""Where this variable is 1, the server ends when its stdin does: with whoever started it, however that ends."""

_NEEDED = ("torch", "transformers", "peft", "safetensors", "gguf", "llguidance", "fastapi", "uvicorn", "multipart")
_BACKLOG = 2048
_PATIENCE_S = 30
"""How long a stopped server goes on with requests in flight."""
_ORPHAN_PATIENCE_S = 2
"""The same where whoever started it is gone, and most likely asked for them."""


def serve(  # its parameters are the command's options
    *,
    model: str | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
    api_key_env: str | None = None,
    state: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
    adapter: Sequence[Path] = (),
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
        adapter: Folders of fine-tuned models to serve beside those that the state holds.

    Raises:
        UsageError: An option is wrong, the port is taken, or another server holds the state folder.
        UnfinishedError: The embedded model could not be fetched.
    """
    # Threads that wait for each other by spinning stall when client and server share the processor's cores (seen here:
    # 10 instead of 50 items/s); threads that sleep at once lose a third on a quiet machine. A short spin does well
    # at both. This must stand before torch loads; the training process inherits it.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UsageError(
            f"the local endpoint needs {', '.join(missing)}, not installed here",
            "pip install 'finetune-harness[local]'",
        )
    key = _key(host, api_key_env)
    with _listening(host, port) as sock, _held(state or default_state()) as memory:
        brought = [found(folder) for folder in adapter]
        _serve(model, key, sock, memory, (device, dtype), brought)


def default_state() -> Path:
    """Where a user's own server keeps its state."""
    from platformdirs import user_state_dir

    return Path(user_state_dir("finetune-harness", appauthor=False)) / "serve"


def _key(host: str, api_key_env: str | None) -> str | None:
    from harness_local.api.guard import is_loopback

    if api_key_env is None:
        if not is_loopback(host):
            raise UsageError(f"--host {host} can be reached by others", "give --api-key-env V as well, or leave it out")
        return None
    if (why := unsendable(api_key_env)) is not None:
        raise UsageError(f"the environment variable {api_key_env} {why}", "it must hold the key clients send")
    return key_in(api_key_env)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket; it listens only when the server is ready, so nobody waits in its queue before."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: asyncio turns Nagle's delay off (40 ms an answer on a kept connection) where it knows that it is.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except (OSError, OverflowError) as error:
            raise _taken(host, port, error) from None
        yield sock


def _taken(host: str, port: int, error: Exception) -> UsageError:
    return UsageError(f"cannot listen on {host} port {port}: {error}", "give --port another, or 0")


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[State]:
    from harness_local.state import State

    memory = State(folder)
    try:
        yield memory
    finally:
        memory.close()


def _serve(
    model: str | None,
    key: str | None,
    sock: socket.socket,
    memory: State,
    forced: tuple[str | None, str | None],
    brought: Sequence[Adapter],
) -> None:
    # Before the heavy imports: whoever started this may end while they run.
    stopper = _Stopper()
    computing = ThreadPoolExecutor(1, thread_name_prefix="engine")
    with _uncollected():
        loading = computing.submit(_load, model, forced)
        from harness_local.api.app import build  # while the model loads
        from harness_local.api.guard import Guard
        from harness_local.inference.engine import warm

        loaded, placement = loading.result()
        memory.weights = loaded.source.weights
        services = computing.submit(_services, loaded, placement, memory).result()
        for one in brought:
            check = services.engine.check_adapter
            name = computing.submit(one.take_in, memory, loaded.source.id, check).result()
            _say(f"{name} taken in from {one.folder}")
        services.engine.start(computing)
        try:
            with ThreadPoolExecutor(1) as beside:
                warming = beside.submit(warm, services.engine, services.codec)
                app = build(services)
                warming.result()
        except BaseException:
            services.engine.stop()
            raise
    try:
        host, port = sock.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        try:
            sock.listen(_BACKLOG)
        except OSError as error:  # another server that was loading has got ahead
            raise _taken(host, port, error) from None
        _say(_banner(url, loaded, placement, memory, key is not None))
        asyncio.run(_listen(Guard(app, host, key), sock, url, stopper))
    finally:
        services.engine.stop()
    _say(_farewell(memory, loaded.source.id))


def _load(model: str | None, forced: tuple[str | None, str | None]) -> tuple[Loaded, Placement]:
    from harness_local.models.fitness import check
    from harness_local.models.loading import find, load, place

    source, placement = find(model, _say), place(*forced)
    loaded = load(source, placement, say=_say)
    check(loaded)
    return loaded, placement


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection while libraries load: it would look through their growing thousands of objects again and
    again, an eighth of the time to the first answer. What they made stays and is never looked through.
    """  # noqa: D205
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _services(loaded: Loaded, placement: Placement, memory: State) -> Services:
    from harness_local.api.services import Services
    from harness_local.inference.engine import Engine
    from harness_local.models.tokens import Codec
    from harness_local.training.supervisor import Supervisor

    codec = Codec(loaded.tokenizer)

    def adapter_folder(name: str) -> Path:
        if (row := memory.model(name)) is None:
            raise KeyError(name)
        folder: Path = row["folder"]
        return folder

    engine = Engine(loaded, codec, adapter_folder)
    return Services(
        base=loaded.source.id,
        created=int(time.time()),
        context=loaded.context,
        vocabulary=loaded.vocabulary,
        fingerprint=f"{placement.device}-{placement.dtype}",
        codec=codec,
        constraints=engine.constraints,
        engine=engine,
        state=memory,
        supervisor=Supervisor(memory, loaded.source, placement),
    )


async def _listen(app: Any, sock: socket.socket, url: str, stopper: _Stopper) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_PATIENCE_S,
        backlog=_BACKLOG,
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

    Requests in flight are finished first. A second signal, and a server that does not end in time, end the process at
    once; the training process, whose stdin closes with it, follows.
    """

    def __init__(self) -> None:
        self._server: Any = None
        self._asked = False
        for name in ("SIGINT", "SIGTERM"):
            signal.signal(getattr(signal, name), self._signalled)
        if os.environ.get(PARENT_PIPE) == "1":
            when_stdin_ends(self._orphaned)

    def attach(self, server: Any) -> None:
        """Says which server to end."""
        self._server = server
        server.should_exit = self._asked

    def _signalled(self, number: int, _: object) -> None:
        if self._server is None or self._asked:
            os._exit(128 + number)
        self._asked = True  # first of all: the next signal may come while this one is being answered
        if self._server.server_state.tasks:
            # Not through sys.stderr, in the middle of whose writing a signal may come.
            os.write(2, b"\nfinishing the requests in flight; the same again ends at once\n")
        self._stop(_PATIENCE_S)

    def _orphaned(self) -> None:
        if self._server is None:
            os._exit(0)
        self._stop(_ORPHAN_PATIENCE_S)

    def _stop(self, patience: int) -> None:
        self._asked = True
        self._server.config.timeout_graceful_shutdown = patience
        self._server.should_exit = True
        timer = threading.Timer(patience + 3, os._exit, (0,))
        timer.daemon = True
        timer.start()


def _banner(url: str, loaded: Loaded, placement: Placement, memory: State, key: bool) -> str:
    from harness_local.state import is_checkpoint

    model = loaded.source.id
    lines = [
        f"{model} at {url}",
        f"  device {placement.device}, {placement.dtype}, {placement.threads} threads; context {loaded.context} tokens",
        f"  state in {memory.folder}",
    ]
    if tuned := [row["id"] for row in memory.models(model) if not is_checkpoint(row["id"])]:
        lines.append(f"  fine-tuned here: {', '.join(tuned[-3:])}{' and others' if len(tuned) > 3 else ''}")
    lines += [f"  training {job} goes on" for job in _unfinished(memory, model)]
    if not loaded.tokenizer.chat_template:
        lines.append("  no chat template: /v1/completions only, and prompt/completion lines to train on")
    given = 'api_key="…the key…"' if key else 'api_key="none"'
    return "\n".join(
        [
            *lines,
            "",
            "  from openai import OpenAI",
            f'  client = OpenAI(base_url="{url}", {given})',
            f'  client.completions.create(model="{model}", prompt="Once upon a time", max_tokens=20)',
            "",
            "Stop with Ctrl-C.",
        ]
    )


def _farewell(memory: State, base: str) -> str:
    return "\n".join(
        ["stopped", *(f"training {job} goes on when this is started again" for job in _unfinished(memory, base))]
    )


def _unfinished(memory: State, base: str) -> list[str]:
    """Ids of open jobs of this base model, the oldest first."""
    from harness_local.state import OPEN

    jobs = [job for job in reversed(memory.jobs(*OPEN)) if memory.is_own(job["id"])]
    return [job["id"] for job in jobs if job["model"] == base or memory.model(job["model"], base)]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
