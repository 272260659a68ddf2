"""Servers over real HTTP in this process: any handler, and fixed bodies whose requests are noted."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = b'{"choices": [{"message": {"content": "good"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}'


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Said:
    """One reply that is more than a body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: bool = False
    """The connection closes before the body is whole."""


@contextlib.contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serves on a free port of the loopback interface while the block lasts.

    Yields:
        The server's root URL, without a slash at its end.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def canned(
    *bodies: bytes | Said | Callable[[bytes], Said], kind: str = "application/json"
) -> Iterator[tuple[str, list[Asked]]]:
    """Answers POSTs with these bodies, one after the other, the last one for ever; one may hang on what was asked.

    Yields:
        The server's root URL, and the requests that have come.
    """
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came = self.rfile.read(int(self.headers["Content-Length"]))
            reply = bodies[min(len(asked), len(bodies) - 1)]
            said = reply if isinstance(reply, Said) else Said(200, reply) if isinstance(reply, bytes) else reply(came)
            asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, came))
            self.send_response(said.status)
            for name, value in {"Content-Type": kind, **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body) + said.breaks))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url, asked
