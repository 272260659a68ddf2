"""A third-party package, built and installed with pip, adds one plugin of each kind to a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import ROOT, harness, run_folder
from support.provider import Provider

PACKAGE = ROOT / "tests" / "example_plugin"
KINDS = {"dataset", "formatter", "selector", "backend", "metric", "section", "executor", "observer"}

EXPERIMENT = """
name = "remarks"

[dataset]
plugin = "example-remarks"

[prepare]
duplicates = "exact"
split = { train = 0.5, validation = 0.1, test = 0.4 }

[[arms]]
name = "keyword"
backend = { plugin = "example-keyword", words = ["lovely", "solid"], hit = "good", miss = "bad" }

[[arms]]
name = "votes"
backend = { plugin = "example-votes" }
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the package is installed; this one stays as it is."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(PACKAGE)]
    subprocess.run(command, check=True, capture_output=True, cwd=target)
    return {"PYTHONPATH": os.pathsep.join([str(target), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start(labels=["bad", "good"]) as running:
        yield running


def listed(env: dict[str, str], cwd: Path, *options: str) -> list[dict[str, Any]]:
    done = harness("plugins", "--json", *options, cwd=cwd, env=env)
    assert done.code == 0, done
    plugins = json.loads(done.out)
    rows: list[dict[str, Any]] = plugins["plugins"] if isinstance(plugins, dict) else plugins
    return [row for row in rows if row["name"].startswith("example")]


def test_every_kind_is_listed_with_its_distribution(installed: dict[str, str], tmp_path: Path) -> None:
    rows = listed(installed, tmp_path)
    assert {row["kind"] for row in rows} == KINDS
    assert len(rows) == 9
    assert all("harness-example" in row["distribution"] and "1.2.3" in json.dumps(row) for row in rows)


def test_blocked_package_is_not_there(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    done = harness("run", "experiment.toml", "--no-plugin", "harness-example", cwd=tmp_path, env=installed)
    assert done.code == 2, done
    assert "example-" in done.err


def test_run_in_process(installed: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    extra = f'observers = [{{ plugin = "example-log", path = {json.dumps(str(log))} }}]\n'
    (tmp_path / "experiment.toml").write_text(extra + EXPERIMENT)
    done = harness("run", "experiment.toml", cwd=tmp_path, env=installed)
    assert done.code == 0, done
    folder = run_folder(tmp_path / "runs")
    arms = {arm["name"]: arm for arm in json.loads((folder / "results.json").read_text())["arms"]}
    assert arms["keyword"]["accuracy"] == 1.0
    assert arms["votes"]["accuracy"] > 0.9
    assert '"answered_share": 1.0' in (folder / "results.json").read_text()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "A word from the example" in page
    assert "2 arms took part." in page
    kinds = [json.loads(line)[0] for line in log.read_text().splitlines()]
    assert (kinds[0], kinds[-1]) == ("run-started", "run-finished")
    assert list(folder.rglob("votes.json"))


def test_run_over_http_with_own_formatter_selector_and_executor(
    installed: dict[str, str], tmp_path: Path, provider: Provider
) -> None:
    arm = """
[[arms]]
name = "asked"
backend = { plugin = "few-shot", endpoint = "there", model = "base-model" }
formatter = { plugin = "example-question" }
shots = { selector = "example-shortest", k = 2 }
"""
    head = 'executor = { plugin = "example-backwards" }\n'
    endpoint = f'\n[endpoints.there]\nbase_url = "{provider.base_url}"\nconcurrency = 1\n'
    (tmp_path / "experiment.toml").write_text(head + EXPERIMENT + arm + endpoint)
    done = harness("run", "experiment.toml", "--only", "asked", cwd=tmp_path, env=installed)
    assert done.code == 0, done
    prompts = [request.body["prompt"] for request in provider.requests("/v1/completions")]
    assert len(prompts) == provider.counts()["POST /v1/completions"] > 0
    assert all(prompt.count("bad or good?") == 3 and prompt.endswith("?") for prompt in prompts)
    arms = json.loads((run_folder(tmp_path / "runs") / "results.json").read_text())["arms"]
    (asked,) = (arm for arm in arms if arm["name"] == "asked")
    assert asked["answered"] == asked["n"] == len(prompts)
