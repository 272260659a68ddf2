"""Who may ask, how the server starts and ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest
from support.local import MODEL, SERVE, Live, start


def status(url: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import harness_local, sys; print([m for m in ('torch', 'transformers', 'fastapi') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_health(live: Live) -> None:
    assert status(live.url.removesuffix("/v1") + "/health") == (200, {"status": "ok", "model": MODEL})


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_web_pages_are_refused(live: Live, headers: dict[str, str]) -> None:
    code, body = status(f"{live.url}/models", headers)
    assert code == 403
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(("body", "code"), [(b"{", 400), (b"[]", 400), (b"\xff", 400), (b'{"model": NaN}', 400)])
def test_bodies_that_are_no_json_objects(live: Live, body: bytes, code: int) -> None:
    got, answer = status(f"{live.url}/completions", {"Content-Type": "application/json"}, body)
    assert got == code
    assert answer["error"]["type"] == "invalid_request_error"


def test_unknown_urls(live: Live) -> None:
    code, body = status(f"{live.url}/embeddings", body=b"{}")
    assert code == 404
    assert body["error"]["code"] == "unknown_url"


def test_a_body_of_another_kind(live: Live) -> None:
    code, body = status(f"{live.url}/completions", {"Content-Type": "text/plain"}, b"{}")
    assert (code, body["error"]["code"]) == (400, "unsupported_content_type")


def test_other_methods(live: Live) -> None:
    request = urllib.request.Request(f"{live.url}/files", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=30):
        pass
    with caught.value as error:
        assert error.code == 405
        assert error.headers["Allow"] == "GET, POST"
        assert json.load(error)["error"]["code"] == "method_not_supported"


def test_bodies_over_the_limit(live: Live) -> None:
    parts = urllib.parse.urlsplit(live.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/completions", headers={"Content-Length": str(32 * 2**20 + 1)})
        response = connection.getresponse()
        assert (response.status, json.load(response)["error"]["code"]) == (413, "request_too_large")


def test_bodies_over_the_limit_that_do_not_say_so(live: Live) -> None:
    parts = urllib.parse.urlsplit(live.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    chunks = (b" " * 2**20 for _ in range(33))
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", chunks, headers, encode_chunked=True)
        response = connection.getresponse()
        assert (response.status, json.load(response)["error"]["code"]) == (413, "request_too_large")


def test_an_answer_on_a_kept_connection_is_not_held_back(live: Live) -> None:
    parts = urllib.parse.urlsplit(live.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    times = []
    with contextlib.closing(connection):
        for _ in range(40):
            began = time.perf_counter()
            connection.request("GET", "/v1/models")
            connection.getresponse().read()
            times.append(time.perf_counter() - began)
    assert min(times[20:]) < 0.03  # seconds; a system that waits for more to send waits 0.04


def test_a_second_server_on_one_folder_says_who_holds_it(live: Live) -> None:
    command = [*SERVE, "--port", "0", "--state", str(live.state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"process {live.process.pid}" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--host", "0.0.0.0"], "--api-key-env"),
        (["--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (["--model", "no such model"], "Hugging Face id"),
        (["--dtype", "int3"], "bfloat16"),
        (["--device", "tpu"], "cpu"),
        (["--port", "99999"], "--port"),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], expected: str) -> None:
    command = [*SERVE, "--state", str(tmp_path / "state"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert done.stdout == ""


@pytest.mark.usefixtures("model_folder")
def test_key_and_end_with_the_parent(tmp_path: Path) -> None:
    server = start(tmp_path / "state", "--api-key-env", "LOCAL_KEY", environment={"LOCAL_KEY": "right"}, forked=False)
    with server.client("wrong") as wrong, pytest.raises(openai.AuthenticationError) as caught:
        wrong.models.list()
    assert caught.value.code == "invalid_api_key"
    with server.client("right") as right:
        assert right.models.list().data
    assert server.end() == 0
    assert "right" not in tmp_path.joinpath("state.log").read_text()
