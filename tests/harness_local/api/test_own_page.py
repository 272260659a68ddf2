"""The server's own OpenAPI page is true: schemathesis makes requests from it, good and bad, and judges the answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from support.local import Live, start


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Live]:
    """A server whose model forgets after a few words, so that no answer takes long (a chat has room for two tokens)."""
    folder = tmp_path_factory.mktemp("brief")
    shutil.copytree(tiny, folder / "brief")
    config = folder / "brief" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 32}))
    server = start(folder / "state", "--model", str(folder / "brief"))
    yield server
    server.kill()


def page(live: Live) -> dict[str, Any]:
    with urllib.request.urlopen(live.url.removesuffix("/v1") + "/openapi.json", timeout=30) as response:
        body: dict[str, Any] = json.load(response)
    return body


def test_the_page_knows_every_route_and_loads_nothing_from_elsewhere(small: Live) -> None:
    paths = page(small)["paths"]
    assert set(paths["/v1/files"]) == {"get", "post"}
    assert "/v1/fine_tuning/jobs/{job}/checkpoints" in paths
    assert "delete" in paths["/v1/models/{model}"]
    for path in ("/docs", "/redoc"):
        with small.client() as client, pytest.raises(openai.NotFoundError):
            client.get(small.url.removesuffix("/v1") + path, cast_to=object)


@pytest.mark.thorough
def test_schemathesis_finds_nothing(brief: Live, tmp_path: Path) -> None:
    described = page(brief)
    for name in ("CompletionBody", "ChatBody", "JobBody"):  # so that it asks for a model that is there
        described["components"]["schemas"][name]["properties"]["model"] = {"enum": ["brief"]}
    tmp_path.joinpath("page.json").write_text(json.dumps(described))
    # Left out is the check that whatever fits the page is accepted: a page cannot say that a prompt is too long.
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", "page.json", "--url", brief.url.removesuffix("/v1"),
        "--generation-deterministic", "--max-examples", "10", "--phases", "coverage,fuzzing",
        "--exclude-checks", "positive_data_acceptance", "--no-shrink", "--continue-on-failure", "--warnings", "off",
        "--no-color", "--report", "json", "--report-json-path", "report.json",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert brief.process.poll() is None
