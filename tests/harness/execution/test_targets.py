"""How endpoints are reached: gateways and Azure want headers and queries, keys come from the environment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.execution.engine import Engine
from harness.execution.targets import blocking_client, remote_target
from harness.execution.work import Request
from harness.experiment_file import EndpointTable
from harness.journal import Journal

ANSWER = b'{"choices": [{"message": {"content": "good"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}'


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """A server that notes path and headers, and answers anything."""
    seen: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("stream", [False, True])
def test_azure_as_it_is_written_in_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-0123456789")
    with listening() as (root, seen), Journal(tmp_path / "journal.sqlite") as journal:
        table = EndpointTable.model_validate(
            {
                "base_url": f"{root}/openai/deployments/mini",
                "query": {"api-version": "2025-04-01-preview"},
                "headers": {"api-key": {"env": "AZURE_OPENAI_API_KEY"}, "X-Team": "reviews"},
                "stream": stream,
            }
        )
        target = remote_target("azure", table)
        assert "azure-key" not in repr(target)
        made = Engine(journal=journal, connect=lambda _name: target)
        request = Request(endpoint="azure", path="/chat/completions", body={"messages": []}, key="k", arm="a")
        monkeypatch.setattr("harness.execution.engine.ATTEMPTS", 1)
        made.send([request], made.done)
        if not stream:  # this server does not stream
            assert journal.answers(["k"])["k"].body["choices"]
    path, headers = seen[0]
    assert path == "/openai/deployments/mini/chat/completions?api-version=2025-04-01-preview"
    assert headers["api-key"] == "azure-key-0123456789"
    assert headers["x-team"] == "reviews"
    assert headers["authorization"] == "Bearer none"


def test_a_client_that_waits_is_set_up_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "a-key-0123456789")
    table = EndpointTable(base_url="https://example.com/v1", api_key_env="KEY", query={"a": "b"}, timeout_s=7)
    with blocking_client(remote_target("x", table)) as client:
        assert (client.api_key, client.max_retries, client.timeout) == ("a-key-0123456789", 0, 7)
        assert str(client.base_url) == "https://example.com/v1/"
        assert client.default_query == {"a": "b"}
