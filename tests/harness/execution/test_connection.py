"""How requests leave: those after the first look like the client's own, and fail like them."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from support.canned import GOOD, Asked, Said, canned

from harness.execution.connection import THE_TRANSPORTS, Connection, Raw
from harness.execution.faults import Fate, judge
from harness.execution.targets import Target
from harness.secrets import Scrubber

BODY = {"model": "m", "messages": [{"role": "user", "content": "Crème brûlée, 5★ \U0001f36e"}], "temperature": 0}


def target(url: str, **changes: Any) -> Target:
    return Target(
        **{
            "name": "t", "base_url": f"{url}/v1", "api_key": "a-key-0123456789", "headers": {"X-Team": "reviews"},
            "query": {"api-version": "1 & 2"}, "concurrency": 2, "timeout_s": 9.0, **changes,
        }  # type: ignore[arg-type]
    )  # fmt: skip


def posted(at: Target, count: int = 3, path: str = "/chat/completions") -> list[Raw | Exception]:
    async def work() -> list[Raw | Exception]:
        came: list[Raw | Exception] = []
        async with Connection(at) as connection:
            for _ in range(count):
                try:
                    came.append(await connection.post(path, BODY))
                except Exception as error:
                    came.append(error)
        return came

    return asyncio.run(work())


def clients_own(asked: Sequence[Asked]) -> list[dict[str, str]]:
    return [{name: value for name, value in one.headers.items() if name not in THE_TRANSPORTS} for one in asked]


def test_later_requests_are_those_that_the_client_would_have_sent() -> None:
    with canned(GOOD) as (url, asked):
        assert [raw.content for raw in posted(target(url))] == [GOOD] * 3  # type: ignore[union-attr]
    first, *others = asked
    assert first.path == "/v1/chat/completions?api-version=1+%26+2"
    assert first.headers["user-agent"].startswith("AsyncOpenAI/Python")  # that one was the client's
    assert first.headers["authorization"] == "Bearer a-key-0123456789"
    assert first.headers["x-team"] == "reviews"
    assert [one.path for one in others] == [first.path] * 2
    assert clients_own(others) == clients_own([first]) * 2
    assert [json.loads(one.body) for one in asked] == [BODY] * 3


def test_each_path_has_its_own_pattern() -> None:
    async def work(at: Target) -> None:
        async with Connection(at) as connection:
            for path in ("/completions", "/chat/completions", "/completions", "/chat/completions"):
                await connection.post(path, BODY)

    with canned(GOOD) as (url, asked):
        asyncio.run(work(target(url, query={})))
    assert [one.path for one in asked] == ["/v1/completions", "/v1/chat/completions"] * 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, {"error": {"code": "invalid_api_key", "message": "wrong key"}}),
        (404, {"error": {"code": "model_not_found", "message": "no model m"}}),
        (429, {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "pay"}}),
        (429, {"error": {"message": "slow down"}}),
        (400, {"error": "prose"}),
        (400, {"detail": "no error key"}),
        (422, ["a list"]),
        (500, None),
        (503, "<html>busy</html>"),
    ],
)
def test_refusals_are_judged_as_the_clients_are(status: int, error: Any) -> None:
    said = error.encode() if isinstance(error, str) else json.dumps(error).encode()
    refusal = Said(status, said, {"retry-after": "3"})
    with canned(refusal, GOOD, refusal) as (url, _):
        first, good, later = posted(target(url))
    assert isinstance(good, Raw)
    expected, found = (fate(one) for one in (first, later))
    assert {**found, "headers": None} == {**expected, "headers": None}
    assert bool(found["headers"]) == bool(expected["headers"])


def fate(error: Raw | Exception) -> dict[str, Any]:
    assert isinstance(error, Exception)
    judged = judge(error, Scrubber())
    return {name: getattr(judged, name) for name in Fate.__dataclass_fields__}


def test_a_refusal_that_came_packed() -> None:
    packed = Said(400, gzip.compress(b'{"error": {"message": "too long"}}'), {"Content-Encoding": "gzip"})
    with canned(GOOD, packed) as (url, _):
        *_, later = posted(target(url), 2)
    assert judge(later, Scrubber()).message == "400: too long"  # type: ignore[arg-type]


def test_packed_answers_are_unpacked() -> None:
    packed = Said(200, gzip.compress(GOOD), {"Content-Encoding": "gzip"})
    with canned(packed) as (url, _):
        assert [raw.content for raw in posted(target(url))] == [GOOD] * 3  # type: ignore[union-attr]


def test_an_answer_that_breaks_off_may_be_asked_for_again() -> None:
    broken = Said(200, GOOD[:20], breaks=True)
    with canned(broken, GOOD, broken) as (url, _):
        first, _, later = posted(target(url))
    assert [fate(one)["kind"] for one in (first, later)] == ["reset", "reset"]


def test_nobody_answers_any_more() -> None:
    async def work(at: Target, gone: socket.socket) -> Exception:
        async with Connection(at) as connection:
            served = asyncio.create_task(asyncio.to_thread(serve_once, gone))
            await connection.post("/completions", BODY)
            await served
            with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is judged
                await connection.post("/completions", BODY)
            return caught.value

    with socket.create_server(("127.0.0.1", 0)) as server:
        at = target(f"http://127.0.0.1:{server.getsockname()[1]}")
        judged = judge(asyncio.run(work(at, server)), Scrubber())
    assert (judged.scope, judged.kind) == ("retry", "connection")


def serve_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        came = b""
        while BODY["messages"][0]["role"].encode() not in came:  # type: ignore[index]
            came += connection.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + GOOD)
    server.close()


@pytest.mark.parametrize("local", [False, True])
def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch, local: bool) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with canned(GOOD) as (url, asked), canned(GOOD) as (proxy, through):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        posted(target(url, local=local))
        at = f"{url}/v1/chat/completions"
        assert [one.path.split("?")[0] for one in through] == ([] if local else [at] * 3)
        assert len(asked) == (3 if local else 0)


def test_who_is_moved_goes_there_with_the_client_each_time() -> None:
    with canned(GOOD) as (url, asked), canned(Said(307, b"", {"Location": f"{url}/elsewhere"})) as (old, moved):
        assert [raw.content for raw in posted(target(old))] == [GOOD] * 3  # type: ignore[union-attr]
    assert [one.path for one in asked] == ["/elsewhere"] * 3
    assert len(moved) == 3


def test_a_text_that_is_none_is_the_items_own() -> None:
    async def work(at: Target) -> list[str]:
        async with Connection(at) as connection:
            await connection.post("/completions", BODY)
            kinds = []
            for wrong in ("\ud800", float("nan")):
                with pytest.raises(ValueError) as caught:  # noqa: PT011
                    await connection.post("/completions", {"prompt": wrong})
                kinds.append(judge(caught.value, Scrubber()).scope)
            return kinds

    with canned(GOOD) as (url, asked):
        assert asyncio.run(work(target(url))) == ["item", "item"]
    assert len(asked) == 1
