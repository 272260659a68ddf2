"""What becomes of work on its way: streams, clients that go, a busy engine. The test plays the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from support.training import add_job

from harness_local.api.app import build
from harness_local.api.services import Services
from harness_local.inference.adapters import AdapterError
from harness_local.inference.constraints import ConstraintError
from harness_local.inference.engine import BusyError
from harness_local.inference.work import Continuation, Listener, Outcome, Progress, Token, Work
from harness_local.models.tokens import Encoded
from harness_local.state import State

MESSAGES = [{"role": "user", "content": "hi"}]


def letter(token: int) -> str:
    return chr(token % 500)


class LetterStream:
    def add(self, token: int) -> str:
        return letter(token)

    def rest(self) -> str:
        return ""


class Letters:
    """Spells each character as one token; 500 further on is one that is spelled alike."""

    has_chat_template = True

    def encode(self, text: str, *, start: bool = True) -> Encoded:
        return Encoded(tuple(map(ord, text)), tuple(range(1, len(text) + 1)))

    def chat(self, messages: list[dict[str, str]]) -> tuple[int, ...]:
        return tuple(ord(c) for message in messages for c in message["content"])

    def render(self, messages: list[dict[str, str]]) -> str:
        if messages[0]["role"] == "system":
            raise TemplateError("no system messages")
        return messages[0]["content"]

    def piece(self, token: int) -> str:
        return letter(token)

    def stream(self, *, special: bool = False) -> LetterStream:
        return LetterStream()


class Played:
    """An engine that does what the test says."""

    def __init__(self) -> None:
        self.works: list[tuple[Work, Listener | None, Future[Outcome]]] = []
        self.room = 100

    def submit(self, work: Work, listener: Listener | None = None) -> Future[Outcome]:
        if len(self.works) >= self.room:
            raise BusyError
        future: Future[Outcome] = Future()
        self.works.append((work, listener, future))
        return future

    def drop(self, adapter: str) -> None: ...

    def grow(self, place: int, branch: int, text: str, finish: str | None = None) -> None:
        listener = self.works[place][1]
        assert listener is not None
        tokens = tuple(Token(ord(c), -1.0) for c in text)
        listener(Progress(branch=branch, text=text, tokens=tokens, finish=finish))

    def end(self, place: int, *texts: str, scored: bool = False) -> None:
        work, _, future = self.works[place]
        score = [Token(token, -2.0 if index else None) for index, token in enumerate(work.stem)]
        branches = [Continuation([], [Token(ord(c), -1.0) for c in text], text, "length") for text in texts]
        future.set_result(Outcome(stem=score if scored else [], continuations=branches))


class NoConstraints:
    def check(self, schema: str) -> None:
        if "bad" in schema:
            raise ConstraintError("'bad' is not known")


class Client:
    """One request to the application, without a network."""

    def __init__(self, app: Any, path: str, body: dict[str, Any], *, method: str = "POST") -> None:
        self.sent: list[dict[str, Any]] = []
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        raw = json.dumps(body).encode()
        self._inbox.put_nowait({"type": "http.request", "body": raw, "more_body": False})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
            "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "root_path": "",
            "scheme": "http", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2),
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    @property
    def events(self) -> list[Any]:
        lines = [line.removeprefix("data: ") for line in self.text.split("\n\n") if line]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


Scene = Callable[[Any, Played], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Any:
    """Runs a scene with an application and its engine."""
    state = State(tmp_path / "state")
    for base in ("m", "other"):
        folder = state.folder / "jobs" / base
        folder.mkdir()
        folder.joinpath("adapter_model.safetensors").touch()
        state.add_model(f"ft:{base}:x", base, folder)
    engine = Played()
    services: Any = Services(
        base="m", created=1, context=200, vocabulary=1000, fingerprint="f", codec=Letters(),  # type: ignore[arg-type]
        constraints=NoConstraints(), engine=engine, state=state, supervisor=None,  # type: ignore[arg-type]
    )  # fmt: skip
    yield lambda scene: asyncio.run(scene(build(services), engine))
    state.close()


def test_a_completion_grows(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        body = {"model": "m", "prompt": ["ab", "cd"], "n": 2, "stream": True, "logprobs": 0, "echo": False}
        client = Client(app, "/v1/completions", {**body, "stream_options": {"include_usage": True}})
        await until(lambda: len(engine.works) == 2)
        assert client.sent == []
        engine.grow(1, 1, "x")
        await until(lambda: len(client.events) == 1)  # it is told before anything has ended
        engine.grow(0, 0, "yz", "length")
        engine.grow(1, 1, "w", "stop")
        engine.end(0, "yz", "q")
        engine.end(1, "r", "xw")
        await client.task
        *parts, usage, done = client.events
        said = [(part["choices"][0]["index"], part["choices"][0]["text"]) for part in parts]
        assert said == [(3, "x"), (0, "yz"), (3, "w"), (1, "q"), (2, "r")]
        assert [part["choices"][0]["finish_reason"] for part in parts] == [None, "length", "stop", "length", "length"]
        assert parts[1]["choices"][0]["logprobs"] == {
            "tokens": ["y", "z"],
            "token_logprobs": [-1.0, -1.0],
            "text_offset": [0, 1],
        }
        assert parts[2]["choices"][0]["logprobs"]["text_offset"] == [1]
        assert {part["usage"] for part in parts} == {None}
        assert usage["choices"] == []
        assert (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"]) == (4, 6)
        assert done == "[DONE]"

    play(scene)


def test_of_most_probable_tokens_that_are_spelled_alike_the_most_probable_counts(play: Any) -> None:
    x, y, z = map(ord, "xyz")
    best = ((y, -1.0), (500 + y, -2.0), (z, -3.0))
    drawn = [Token(y, -1.0, best), Token(500 + z, -4.0, best), Token(x, -5.0, best)]

    async def scene(app: Any, engine: Played) -> None:
        client = Client(app, "/v1/completions", {"model": "m", "prompt": "ab", "logprobs": 3})
        await until(lambda: engine.works)
        engine.works[0][2].set_result(Outcome(continuations=[Continuation([], drawn, "yzx", "length")]))
        await client.task
        logprobs = json.loads(client.text)["choices"][0]["logprobs"]
        assert logprobs["tokens"] == ["y", "z", "x"]
        assert logprobs["token_logprobs"] == [-1.0, -4.0, -5.0]
        alike = {"y": -1.0, "z": -3.0}
        assert logprobs["top_logprobs"] == [alike, alike, {**alike, "x": -5.0}]

    play(scene)


@pytest.mark.parametrize("scores", [False, True])
def test_an_echo_comes_first_and_with_its_scores(play: Any, scores: bool) -> None:
    async def scene(app: Any, engine: Played) -> None:
        body = {"model": "m", "prompt": "ab", "stream": True, "echo": True, "logprobs": 0 if scores else None}
        client = Client(app, "/v1/completions", body)
        await until(lambda: engine.works)
        if scores:  # they are known at the end: nothing must be told before
            assert engine.works[0][1] is None
        else:
            engine.grow(0, 0, "x")
        engine.end(0, "xy", scored=scores)
        await client.task
        choices = [event["choices"][0] for event in client.events[:-1]]
        if not scores:
            assert [choice["text"] for choice in choices] == ["abx", "y"]
            return
        (choice,) = choices
        assert choice["text"] == "abxy"
        assert choice["logprobs"]["token_logprobs"] == [None, -2.0, -1.0, -1.0]
        assert choice["logprobs"]["text_offset"] == [0, 1, 2, 3]

    play(scene)


def test_a_chat_grows(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        client = Client(app, "/v1/chat/completions", {"model": "m", "messages": MESSAGES, "stream": True})
        await until(lambda: engine.works)
        engine.grow(0, 0, "x")
        engine.grow(0, 0, "", "stop")
        engine.end(0, "x")
        await client.task
        choices = [event["choices"][0] for event in client.events[:-1]]
        assert [choice["delta"] for choice in choices] == [
            {"role": "assistant", "content": "", "refusal": None},
            {"content": "x"},
            {},
        ]
        assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
        assert client.headers[b"content-type"].startswith(b"text/event-stream")
        assert all("usage" not in event for event in client.events[:-1])

    play(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_takes_its_work_along(play: Any, stream: bool) -> None:
    async def scene(app: Any, engine: Played) -> None:
        body = {"model": "m", "prompt": ["a", "b"], "stream": stream}
        client = Client(app, "/v1/completions", body)
        await until(lambda: len(engine.works) == 2)
        client.leave()
        await client.task
        assert all(future.cancelled() for _, _, future in engine.works)

    play(scene)


def test_a_client_that_goes_in_the_middle_of_a_stream(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        client = Client(app, "/v1/completions", {"model": "m", "prompt": "a", "stream": True})
        await until(lambda: engine.works)
        engine.grow(0, 0, "x")
        await until(lambda: client.events)
        client.leave()
        await client.task
        assert engine.works[0][2].cancelled()

    play(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_queue_is_a_429_and_lets_go_of_what_it_took(play: Any, stream: bool) -> None:
    async def scene(app: Any, engine: Played) -> None:
        engine.room = 1
        client = Client(app, "/v1/completions", {"model": "m", "prompt": ["a", "b"], "stream": stream})
        await client.task
        assert client.status == 429
        assert client.headers[b"retry-after"] == b"1"
        assert json.loads(client.text)["error"]["code"] == "rate_limit_exceeded"
        assert engine.works[0][2].cancelled()

    play(scene)


FAILURES = [
    (KeyError("m"), 404, "The model was deleted meanwhile."),
    (BusyError(), 429, "Too many requests are waiting already."),
    (BusyError("There is not enough memory."), 429, "There is not enough memory."),
    (AdapterError("the adapter cannot be used: use_dora is not supported"), 400, "use_dora is not supported"),
    (ConstraintError("too complex"), 400, "Invalid schema for response_format: too complex."),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status", "words"), FAILURES)
def test_what_the_engine_says_is_an_answer(play: Any, error: Exception, status: int, words: str, stream: bool) -> None:
    async def scene(app: Any, engine: Played) -> None:
        client = Client(app, "/v1/completions", {"model": "m", "prompt": "a", "stream": stream})
        await until(lambda: engine.works)
        engine.works[0][2].set_exception(error)
        await client.task
        assert client.status == status
        assert words in json.loads(client.text)["error"]["message"]

    play(scene)


@pytest.mark.parametrize(("error", "status"), [(KeyError("m"), 404), (BusyError(), 429)])
def test_an_error_before_the_first_event_is_an_answer_and_after_it_an_event(
    play: Any, error: Exception, status: int
) -> None:
    async def scene(app: Any, engine: Played) -> None:
        body = {"model": "m", "prompt": "a", "stream": True}
        early, late = Client(app, "/v1/completions", body), Client(app, "/v1/completions", body)
        await until(lambda: len(engine.works) == 2)
        engine.works[0][2].set_exception(error)
        await early.task
        assert early.status == status
        engine.grow(1, 0, "x")
        engine.works[1][2].set_exception(error)
        await late.task
        assert late.status == 200
        first, last = late.events
        assert first["choices"][0]["text"] == "x"
        assert set(last["error"]) == {"message", "type", "param", "code"}

    play(scene)


def test_scores_that_json_cannot_hold(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        client = Client(app, "/v1/completions", {"model": "m", "prompt": "a", "logprobs": 1})
        await until(lambda: engine.works)
        token = Token(65, float("-inf"), ((66, float("nan")),))
        engine.works[0][2].set_result(Outcome(continuations=[Continuation([], [token], "A", "length")]))
        await client.task
        assert json.loads(client.text)["choices"][0]["logprobs"]["token_logprobs"] == [-9999.0]

    play(scene)


def test_settings_reach_the_engine(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        schema = {"type": "object", "properties": {"b": {}, "a": {}}}
        body = {
            "model": "m", "messages": MESSAGES, "logit_bias": {"5": -3}, "stop": "x", "seed": 4, "n": 2,
            "top_logprobs": 2, "logprobs": True, "max_tokens": 9999,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
        }  # fmt: skip
        client = Client(app, "/v1/chat/completions", body)
        await until(lambda: engine.works)
        work = engine.works[0][0]
        assert work.sampling.bias == ((5, -3.0),)
        assert work.sampling.schema == '{"type":"object","properties":{"b":{},"a":{}}}'
        assert (work.sampling.stop, work.sampling.seed, work.sampling.max_tokens) == (("x",), 4, 198)
        assert (len(work.branches), work.top) == (2, 2)
        engine.end(0, "a", "b")
        await client.task
        assert client.status == 200

    play(scene)


def test_a_schema_that_cannot_be_held_to_is_refused_before_anything_waits(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"bad": 1}}}
        client = Client(
            app, "/v1/chat/completions", {"model": "m", "messages": MESSAGES, "response_format": form, "stream": True}
        )
        await client.task
        assert client.status == 400
        assert json.loads(client.text)["error"]["param"] == "response_format"
        assert engine.works == []

    play(scene)


def test_models_of_another_base_are_neither_listed_nor_found_nor_deleted(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        listing = Client(app, "/v1/models", {}, method="GET")
        await listing.task
        assert [model["id"] for model in json.loads(listing.text)["data"]] == ["m", "ft:m:x"]
        for path, method in (("/v1/models/ft:other:x", "GET"), ("/v1/models/ft:other:x", "DELETE")):
            client = Client(app, path, {}, method=method)
            await client.task
            assert client.status == 404
        asked = Client(app, "/v1/completions", {"model": "ft:other:x", "prompt": "a"})
        await asked.task
        assert json.loads(asked.text)["error"]["code"] == "model_not_found"
        assert "ft:m:x" in asked.text

    play(scene)


def test_a_model_that_an_open_job_trains_on_cannot_be_deleted(play: Any) -> None:
    async def scene(app: Any, engine: Played) -> None:
        state = app.state.services.state
        job = add_job(state, model="ft:m:x")
        refused = Client(app, "/v1/models/ft:m:x", {}, method="DELETE")
        await refused.task
        error = json.loads(refused.text)["error"]
        assert (refused.status, error["code"]) == (409, "model_in_use")
        assert job in error["message"]
        assert state.model("ft:m:x") is not None
        state.update_job(job, status="cancelled")
        deleted = Client(app, "/v1/models/ft:m:x", {}, method="DELETE")
        await deleted.task
        assert json.loads(deleted.text) == {"id": "ft:m:x", "object": "model", "deleted": True}
        assert state.model("ft:m:x") is None

    play(scene)


@pytest.mark.parametrize("field", ["training_file", "validation_file"])
def test_a_file_that_the_chat_template_refuses_is_refused_with_its_job(play: Any, tmp_path: Path, field: str) -> None:
    async def scene(app: Any, engine: Played) -> None:
        state = app.state.services.state
        plain = [*MESSAGES, {"role": "assistant", "content": "a"}]
        files = {}
        for name, last in (("good", plain), ("bad", [{"role": "system", "content": "s"}, *plain])):
            path = tmp_path / name
            path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in [*[plain] * 12, last]))
            files[name] = state.add_file(path, name, "fine-tune")["id"]
        body = {"model": "m", "training_file": files["good"], field: files["bad"]}
        client = Client(app, "/v1/fine_tuning/jobs", body)
        await client.task
        error = json.loads(client.text)["error"]
        assert (client.status, error["code"], error["param"]) == (400, "invalid_file_format", field)
        assert "Line 13: the model's chat template refuses it: no system messages" in error["message"]
        assert state.jobs() == []

    play(scene)
