"""The workflow that the documents offer for a user's CI: its steps are executed in order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cli import ROOT

PAGE = ROOT / "docs" / "how-to" / "ci.md"


@pytest.fixture
def job() -> dict[str, Any]:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    workflow: dict[str, Any] = yaml.safe_load(block)
    assert workflow[True] == {"pull_request": {"paths": ["experiments/**"]}}  # YAML 1.1 reads `on` as true
    found: dict[str, Any] = workflow["jobs"]["gate"]
    return found


def carried_out(job: dict[str, Any], folder: Path) -> list[str]:
    """Executes a job's steps as a runner does, in a folder that may hold what an earlier job has left in its cache."""
    summary, variables = folder / "summary.md", folder / "variables"
    variables.write_text("")
    environment = {
        **os.environ,
        **{name: str(value) for name, value in job["env"].items()},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_ENV": str(variables),
    }
    ran = []
    for step in job["steps"]:
        command = step.get("run", "")
        if not command or command == "pip install finetune-harness":
            assert "uses" in step or command, step
            continue
        told = dict(line.split("=", 1) for line in variables.read_text().splitlines())
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=environment | told,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        ran += [command.split()[1]] if command.startswith("harness ") else []
    return ran


def test_every_step_works_and_does_so_again_when_the_experiment_has_changed(
    job: dict[str, Any], tmp_path: Path
) -> None:
    source = ROOT / "examples" / "review-stars"
    (tmp_path / "experiments").mkdir()
    offline = (source / "offline.toml").read_text()
    (tmp_path / "experiments" / "stars.toml").write_text(
        re.sub(r'(?m)^name = ".*"$', 'name = "stars"', offline, count=1)
    )
    (tmp_path / "experiments" / "reviews.csv").write_bytes((source / "reviews.csv").read_bytes())
    seen = set()
    for change in (lambda text: text, lambda text: text.replace("seed = 7", "seed = 8")):
        path = tmp_path / "experiments" / "stars.toml"
        path.write_text(change(path.read_text()))
        (tmp_path / "summary.md").unlink(missing_ok=True)
        assert carried_out(job, tmp_path) == ["run", "gate", "report"]
        told = (tmp_path / "summary.md").read_text()
        assert "| accuracy" in told, "the gate's table"
        assert "## " in told, "the report's verdict"
        gate = ET.parse(tmp_path / "gate.xml")
        assert not list(gate.iter("failure"))
        folder = Path(json.loads((tmp_path / "run.json").read_text())["folder"])
        assert [suite.get("name") for suite in gate.iter("testsuite")] == [f"harness gate {folder.name}"]
        results = json.loads((tmp_path / folder / "results.json").read_text())
        assert results["verdict"]["sentence"] in told.replace("\\", "")
        seen.add(folder)
    assert len(seen) == len(list((tmp_path / "runs").glob("stars-*/results.json"))) == 2


def test_a_gate_that_says_no_ends_the_job(job: dict[str, Any], tmp_path: Path) -> None:
    (step,) = (step for step in job["steps"] if step.get("name") == "Gate")
    assert "--strict" in step["run"]
    assert not step.get("continue-on-error"), "the job must fail where the gate says no"
    after = job["steps"][job["steps"].index(step) + 1 :]
    assert all(step.get("if") == "always()" for step in after), "and the report be there all the same"
