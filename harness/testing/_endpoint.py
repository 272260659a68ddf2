"""A fake OpenAI-compatible endpoint over real HTTP on loopback, with faults that are asked for by name."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, TypeAlias

Profile: TypeAlias = Literal["good", "slow", "busy", "flaky", "cut", "garbled", "empty", "silent", "no-usage", "down"]

PROFILES: Mapping[str, str] = {
    "good": "answers everything",
    "slow": "takes 0.2 s for each answer",
    "busy": "every second request is told to come back later (429 with retry-after-ms)",
    "flaky": "the first attempt of every third request ends with 500",
    "cut": "the first attempt of every third request breaks off half-way through its body",
    "garbled": "the first attempt of every third request gets a page of HTML with status 200",
    "empty": "every third answer is an empty text",
    "silent": "every answer names no label",
    "no-usage": "answers without token counts",
    "down": "every request ends with 503",
}
"""Fault profile → what it does."""


def reply_to(path: str, body: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Returns what a well-behaved endpoint answers.

    Args:
        path: Below the base URL.
        body: The request's.
        label: The text of the answer.
    """
    if path.endswith("/embeddings"):
        given = body.get("input")
        texts = given if isinstance(given, list) else [given]
        data = [{"object": "embedding", "index": n, "embedding": _vector(str(text))} for n, text in enumerate(texts)]
        return {"object": "list", "data": data, "usage": {"prompt_tokens": _words(texts), "total_tokens": 0}}
    chat = path.endswith("/chat/completions")
    told = -0.1
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if chat:
        choice["message"] = {"role": "assistant", "content": label}
        if body.get("logprobs"):
            token = {"token": label, "logprob": told}
            choice["logprobs"] = {"content": [{**token, "top_logprobs": [token]}]}
    else:
        choice["text"] = f" {label}"
        if body.get("logprobs") is not None:
            choice["logprobs"] = {
                "tokens": [f" {label}"], "token_logprobs": [told], "top_logprobs": [{f" {label}": told}],
                "text_offset": [len(str(body.get("prompt", "")))],
            }  # fmt: skip
    asked = body.get("messages") if chat else body.get("prompt")
    usage = {"prompt_tokens": _words(asked), "completion_tokens": 1}
    return {
        "id": "fake-1", "object": "chat.completion" if chat else "text_completion", "created": 0,
        "model": body.get("model"), "choices": [choice],
        "usage": {**usage, "total_tokens": usage["prompt_tokens"] + 1},
    }  # fmt: skip


def _words(asked: Any) -> int:
    return len(json.dumps(asked, ensure_ascii=False, default=str).split())


def _vector(text: str) -> list[float]:
    return [byte / 255 - 0.5 for byte in hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that came."""

    path: str
    """Below the base URL."""
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(kw_only=True)
class FakeEndpoint:
    """Answers by an answer key; start it with `with`.

    ```python
    with FakeEndpoint(answers={"good soup": "positive"}, profile="flaky") as endpoint:
        endpoint.base_url, endpoint.requests
    ```
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    """A text that stands in the prompt → the answer; the text that ends last counts, of two the longer."""
    default: str = "good"
    """The answer where none of the texts stands in the prompt."""
    profile: Profile = "good"
    """One of `PROFILES`; can be changed while it runs."""
    requests: list[Asked] = field(default_factory=list)
    """What came, in order, each attempt."""
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: Counter[str] = field(default_factory=Counter)

    @property
    def base_url(self) -> str:
        """What stands in an experiment as `base_url`."""
        if self._server is None:
            raise RuntimeError("the endpoint is not running: use it in a with block")
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FakeEndpoint:
        if self.profile not in PROFILES:
            raise ValueError(f"there is no profile {self.profile!r}; there is {', '.join(PROFILES)}")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101 - it was entered
        assert self._thread is not None  # noqa: S101
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, asked: Asked) -> tuple[int, bytes, dict[str, str], bool]:
        """Returns status, body, headers, and whether the body breaks off."""
        key = hashlib.sha256(f"{asked.path} {json.dumps(asked.body, sort_keys=True)}".encode()).hexdigest()
        with self._lock:
            self.requests.append(asked)
            number, self._seen[key] = len(self.requests), self._seen[key] + 1
            first, third = self._seen[key] == 1, int(key[:8], 16) % 3 == 0
        if self.profile == "slow":
            time.sleep(0.2)
        if self.profile == "down":
            return 503, _error("the fake endpoint is down"), {}, False
        if self.profile == "busy" and number % 2:
            return 429, _error("come back later"), {"retry-after-ms": "10"}, False
        if self.profile == "flaky" and first and third:
            return 500, _error("the fake endpoint is flaky"), {}, False
        if self.profile == "garbled" and first and third:
            return 200, b"<!doctype html><title>Oops</title>", {"Content-Type": "text/html"}, False
        answer = self._answer(asked.body)
        if (self.profile == "empty" and third) or self.profile == "silent":
            answer = "" if self.profile == "empty" else "I would rather not say."
        body = reply_to(asked.path, asked.body, answer)
        if self.profile == "no-usage":
            del body["usage"]
        return 200, json.dumps(body).encode(), {}, self.profile == "cut" and first and third

    def _answer(self, body: Mapping[str, Any]) -> str:
        text = json.dumps(body.get("messages") or body.get("prompt") or "", ensure_ascii=False)
        places = {json.dumps(key, ensure_ascii=False)[1:-1]: answer for key, answer in self.answers.items()}
        found = [(text.rfind(key) + len(key), len(key), said) for key, said in places.items() if key in text]
        return max(found)[2] if found else self.default


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "fake"}}).encode()


def _handler(endpoint: FakeEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                body = json.loads(raw)
            except ValueError:
                self._send(400, _error("the body is no JSON"), {}, False)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(path=self.path.removeprefix("/v1"), body=body, headers=headers)
            if not asked.path.endswith(("/completions", "/embeddings")):
                self._send(404, _error(f"the fake endpoint has no {asked.path}"), {}, False)
                return
            self._send(*endpoint.reply(asked))

        def do_GET(self) -> None:
            listed = {"object": "list", "data": [{"id": "sample-model", "object": "model"}]}
            known = self.path == "/v1/models"
            self._send(200 if known else 404, json.dumps(listed).encode() if known else _error("not here"), {}, False)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str], broken: bool) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + 10 * broken))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = broken

        def log_message(self, *_: object) -> None:
            pass

    return Handler
