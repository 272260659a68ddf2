"""How endpoints are reached. Keys come from the environment when they are needed, and are shown nowhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.experiment.file import EndpointTable, EnvironmentValue
from harness.secrets import key_in

if TYPE_CHECKING:
    from ssl import SSLContext

    from openai import AsyncOpenAI, OpenAI


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint as it is reached."""

    name: str
    base_url: str
    api_key: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    concurrency: int
    timeout_s: float
    key_name: str = ""
    """The environment variable that holds the key, for messages."""
    local: bool = False
    """Whether it runs on this machine, for the run: no proxy of the environment stands before it."""
    stream: bool = False
    """Whether answers are asked for as streams, to know the time to the first token."""

    def client_settings(self) -> dict[str, Any]:
        """Returns what the `openai` clients are made with. Every attempt is ours: they retry nothing."""
        return {
            "api_key": self.api_key,
            "base_url": self.base_url,
            "default_headers": dict(self.headers),
            "default_query": dict(self.query),
            "timeout": self.timeout_s,
            "max_retries": 0,
        }

    def __repr__(self) -> str:
        return f"Target({self.name}, {self.base_url})"  # the key stays out of tracebacks


def client(target: Target) -> AsyncOpenAI:
    """Makes an endpoint's client; to be closed by `async with`."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    transport = DefaultAioHttpClient(trust_env=not target.local, verify=trusted(local=target.local))
    return AsyncOpenAI(**target.client_settings(), http_client=transport)


def blocking_client(target: Target) -> OpenAI:
    """Makes an endpoint's client for code that waits; to be closed by `with`."""
    from openai import DefaultHttpxClient, OpenAI

    transport = DefaultHttpxClient(trust_env=not target.local, verify=trusted(local=target.local))
    return OpenAI(**target.client_settings(), http_client=transport)


def trusted(*, local: bool = False) -> SSLContext:
    """Returns which certificates are trusted, read once: each client would read them anew, in 20 to 30 ms.

    Args:
        local: Whether what the environment says of certificates does not count.
    """
    return _trusted(local, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(local: bool, _file: str | None, _folder: str | None) -> SSLContext:  # the latter are read in there
    import httpx2

    return httpx2.create_ssl_context(trust_env=not local)


def remote_target(name: str, table: EndpointTable) -> Target:
    """Returns how a remote endpoint is reached; its key comes from the environment."""
    headers = {
        header: key_in(value.env) if isinstance(value, EnvironmentValue) else value
        for header, value in table.headers.items()
    }
    return Target(
        name=name,
        base_url=str(table.base_url),
        api_key=key_in(table.api_key_env) if table.api_key_env else "none",
        headers=headers,
        query=table.query,
        concurrency=table.concurrency,
        timeout_s=table.timeout_s,
        stream=table.stream,
        key_name=table.api_key_env or "",
    )
