"""How requests leave: the `openai` client sends the first of a path, and the others go out the same way.

The client decides what a request looks like: URL, authentication, headers, query. Of its requests only the bodies
differ, but it builds each anew, through its own layers and those of its HTTP library: more than half of the CPU that
a request took (benchmarks/README.md). So the first one is the pattern, and later bodies go over aiohttp itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

from harness.execution.targets import Target, client, trusted

if TYPE_CHECKING:
    import aiohttp
    import httpx2
    import openai
    from yarl import URL

CONNECT_S = 10.0
"""Seconds after which nobody answers at an address."""
KEEP_S = 5.0
"""Seconds for which an idle connection is kept, as the client does: servers close theirs a little later."""
THE_TRANSPORTS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
"""Headers of a request that belong to the transport, not to the client."""


class Raw(NamedTuple):
    """A reply as it came."""

    content: bytes
    headers: Mapping[str, str]


class _Pattern(NamedTuple):
    """What all requests of one path have in common."""

    url: URL
    headers: Mapping[str, str]
    proxy: str | None


class Connection:
    """An endpoint's connections, shared by its workers; to be opened and closed by `async with`.

    Args:
        target: The endpoint.
    """

    client: openai.AsyncOpenAI
    _session: aiohttp.ClientSession

    def __init__(self, target: Target) -> None:
        self._target = target
        self._patterns: dict[str, _Pattern] = {}
        self._encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Connection:
        import aiohttp

        self.client = await self._stack.enter_async_context(client(self._target))
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                # the number of workers is the limit
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=KEEP_S,
                    ssl=trusted() if self._target.base_url.startswith("https:") else True,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, self._target.timeout_s)),
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def post(self, path: str, body: Mapping[str, Any]) -> Raw:
        """Sends a body once and returns what came.

        Raises:
            openai.APIError: The endpoint refused it, or the client's connection failed.
            aiohttp.ClientError: The connection failed.
        """
        pattern = self._patterns.get(path)
        if pattern is None:
            return await self._first(path, body)
        content = self._encode(body).encode()
        async with self._session.post(
            pattern.url, data=content, headers=pattern.headers, proxy=pattern.proxy
        ) as response:
            raw = Raw(await response.read(), response.headers)
        if response.status >= 400:
            raise _refusal(response.status, raw, str(pattern.url))
        return raw

    async def _first(self, path: str, body: Mapping[str, Any]) -> Raw:
        """Lets the client send a body; where that goes well, others go the same way."""
        import httpx2

        response = await self.client.post(path, cast_to=httpx2.Response, body=body)
        if not response.history:
            self._patterns[path] = _pattern(response.request, direct=self._target.local)
        return Raw(response.content, response.headers)


def _pattern(request: httpx2.Request, *, direct: bool) -> _Pattern:
    """Reads off a request what others like it need."""
    from yarl import URL

    url = URL(str(request.url), encoded=True)
    proxies = {} if direct or proxy_bypass(url.host or "") else getproxies()
    headers = {name: value for name, value in request.headers.items() if name not in THE_TRANSPORTS}
    return _Pattern(url, headers, proxies.get(url.scheme) or proxies.get("all"))


def _refusal(status: int, raw: Raw, url: str) -> openai.APIStatusError:
    """Returns the error that the client would have raised."""
    import httpx2
    import openai

    text = raw.content.decode("utf-8", "replace").strip()
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    error = body.get("error", body) if isinstance(body, dict) else body
    said = error.get("message") if isinstance(error, dict) else None
    headers = {name: value for name, value in raw.headers.items() if name.lower() != "content-encoding"}
    response = httpx2.Response(status, headers=headers, content=raw.content, request=httpx2.Request("POST", url))
    message = f"Error code: {status}{f' - {said}' if isinstance(said, str) and said else ''}"
    return openai.APIStatusError(message, response=response, body=error)
