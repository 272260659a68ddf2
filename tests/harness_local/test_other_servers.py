"""Servers of other projects, for real: `transformers serve`, and a LiteLLM proxy in front of the local endpoint."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support import local
from support.cli import ROOT, harness, run_folder

pytestmark = pytest.mark.thorough

EXPERIMENT = """
name = "elsewhere"

[dataset]
plugin = "files"
path = "reviews.csv"
text = ["title", "body"]
label = "stars"

[endpoints.there]
base_url = "{url}"
concurrency = 4
{key}

[[arms]]
name = "chat"
backend = {{ plugin = "few-shot", endpoint = "there", model = "{model}" }}
formatter = {{ plugin = "chat", instruction = "Answer with the number of stars, 1 to 5, and nothing else." }}

[[arms]]
name = "completion"
backend = {{ plugin = "few-shot", endpoint = "there", model = "{model}" }}
formatter = {{ plugin = "plain" }}
shots = {{ selector = "balanced", k = 5 }}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str | Path], alive: str, log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **environment})
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()[-2000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(alive, timeout=2):
                break
            time.sleep(0.25)
        else:
            pytest.fail(f"{command[0]} did not answer:\n{log.read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait(30)


def check(folder: Path, url: str, model: str, key: str = "") -> None:
    """Every item of both arms is answered, by chat and by completion, with its tokens."""
    (folder / "reviews.csv").write_bytes((ROOT / "examples" / "review-stars" / "reviews.csv").read_bytes())
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(url=url, model=model, key=f'api_key_env = "{key}"' if key else ""))
    done = harness("run", path, "--yes", "--limit", "10", cwd=folder, timeout_s=600)
    assert done.code == 0, done
    arms = json.loads((run_folder(folder / "runs") / "results.json").read_text())["arms"]
    for arm in arms:
        assert arm["answered"] + arm["unparsed"] == arm["n"] == 10, arm
        assert arm["input_tokens_mean"] > 20
        assert not arm["tokens_estimated"]


def test_transformers_serve(tmp_path: Path) -> None:
    from harness_local.models.embedded import embedded_model

    port = free_port()
    command: list[str | Path] = [
        Path(sys.executable).with_name("transformers"), "serve", embedded_model(), "--host", "127.0.0.1",
        "--port", str(port), "--device", "cpu",
    ]  # fmt: skip
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with serving(command, f"http://127.0.0.1:{port}/health", tmp_path / "server.log", offline):
        check(tmp_path, f"http://127.0.0.1:{port}/v1", str(embedded_model()))


def test_a_litellm_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its requirements would pin this project's: it gets an environment of its own.
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-qq", "litellm[proxy]"], check=True)
    key = "sk-" + "0123456789abcdef" * 3
    monkeypatch.setenv("PROXY_KEY", key)
    behind = local.start(tmp_path / "state")
    try:
        models = [
            {
                "model_name": "small",
                "litellm_params": {"model": f"openai/{local.MODEL}", "api_base": behind.url, "api_key": "none"},
            }
        ]
        # JSON is YAML
        (tmp_path / "proxy.yaml").write_text(json.dumps({"model_list": models, "litellm_settings": {"num_retries": 0}}))
        port = free_port()
        command: list[str | Path] = [
            python.with_name("litellm"), "--config", tmp_path / "proxy.yaml", "--host", "127.0.0.1", "--port", str(port)
        ]  # fmt: skip
        quiet = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
        with serving(command, f"http://127.0.0.1:{port}/health/liveliness", tmp_path / "proxy.log", quiet):
            check(tmp_path, f"http://127.0.0.1:{port}/v1", "small", key="PROXY_KEY")
    finally:
        behind.end()
