"""The workflow that the documents offer for a user's CI: its steps are executed in order."""

from __future__ import annotations

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


def test_every_step_works(job: dict[str, Any], tmp_path: Path) -> None:
    source = ROOT / "examples" / "review-stars"
    (tmp_path / "experiments").mkdir()
    offline = (source / "offline.toml").read_text()
    (tmp_path / "experiments" / "stars.toml").write_text(
        re.sub(r'(?m)^name = ".*"$', 'name = "stars"', offline, count=1)
    )
    (tmp_path / "experiments" / "reviews.csv").write_bytes((source / "reviews.csv").read_bytes())
    summary = tmp_path / "summary.md"
    environment = {
        **os.environ,
        **{name: str(value) for name, value in job["env"].items()},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    ran = []
    for step in job["steps"]:
        command = step.get("run", "")
        if not command.startswith("harness "):
            assert "uses" in step or command == "pip install finetune-harness", step
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        ran.append(command.split()[1])
    assert ran == ["run", "gate", "report"]
    told = summary.read_text()
    assert "| accuracy" in told, "the gate's table"
    assert "## " in told, "the report's verdict"
    assert not [case for case in ET.parse(tmp_path / "gate.xml").iter("failure") if case is not None]


def test_a_gate_that_says_no_ends_the_job(job: dict[str, Any], tmp_path: Path) -> None:
    (step,) = (step for step in job["steps"] if step.get("name") == "Gate")
    assert "--strict" in step["run"]
    assert not step.get("continue-on-error"), "the job must fail where the gate says no"
    after = job["steps"][job["steps"].index(step) + 1 :]
    assert all(step.get("if") == "always()" for step in after), "and the report be there all the same"
