"""The page from labelled data to a deployed model, run with the real small model, and what came of it."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.cli import ROOT, harness
from support.lab import Lab
from support.local import start
from test_docs import blocks, commands

from harness.execution.local_endpoint import adapter_of

PAGE = ROOT / "docs" / "how-to" / "from-labelled-data-to-a-deployed-model.md"

ROWS = 100
"""Of the 480 reviews: the page promises minutes, a test had better be quick."""


def run_named(lab: Lab, name: str) -> Path:
    (folder,) = (folder for folder in lab.runs if folder.name.rsplit("-", 1)[0] == name)
    return folder


def first_loss(lab: Lab, folder: Path, steps: int) -> float:
    """The mean loss of the first steps of a run's training."""
    (row,) = lab.journal("SELECT result FROM jobs", folder)
    losses = [float(step["train_loss"]) for step in json.loads(row[0])["metrics"] if "train_loss" in step]
    return sum(losses[:steps]) / steps


@pytest.mark.thorough
@pytest.mark.xdist_group("local")
def test_the_page_runs_and_the_exported_arm_answers_as_the_run_did(tmp_path: Path) -> None:
    reviews = (ROOT / "examples" / "review-stars" / "reviews.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "reviews.csv").write_text("".join(reviews[: 1 + ROWS]), encoding="utf-8")
    for file, _, text in blocks(PAGE):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
    said = {}
    for command in commands(PAGE):
        _, *arguments = shlex.split(command)
        done = harness(*arguments, cwd=tmp_path, timeout_s=600)
        assert done.code == 0, f"$ {command}\n{done}"
        said[" ".join(arguments[:2])] = done.out.splitlines()
    assert said["predict stars"][-1] == "3 rows written to labelled.csv"
    assert said["export stars"][-1] == "deploy"
    assert "verdict" in said["recheck stars"][-1] or "The run claimed" in said["recheck stars"][-1]
    with (tmp_path / "labelled.csv").open(encoding="utf-8", newline="") as file_:
        rows = list(csv.DictReader(file_))
    assert [row["ticket"] for row in rows] == ["17", "18", "19"]
    assert rows[0]["predicted"] == rows[2]["predicted"] != ""
    assert 0 < float(rows[0]["confidence"]) <= 1
    lab = Lab(path=tmp_path, answers={})
    _went_on(lab, run_named(lab, "stars"), run_named(lab, "stars-further"))
    _deployed(lab, run_named(lab, "stars"))


def _went_on(lab: Lab, first: Path, second: Path) -> None:
    model = json.loads((first / "manifest.json").read_text())["chain"]["models"]["tuned"]
    manifest = json.loads((second / "manifest.json").read_text())
    assert manifest["continued"][model]["base"] == "SmolLM2-135M-Instruct"
    assert manifest["chain"]["models"]["tuned"] != model
    assert adapter_of(second / "endpoint", model) is not None
    # It begins about where the first one has ended, not at the base model. Its batches are of 4, the first one's of 16:
    # as many examples are looked at, for a single batch of 4 says little.
    assert first_loss(lab, second, 4) < 0.9 * first_loss(lab, first, 1)


def _deployed(lab: Lab, run: Path) -> None:
    """Serves the exported folder from a state of its own, and asks it what the run asked."""
    out = lab.path / "deploy"
    settings = (out / "adapter" / "adapter_config.json").read_text()
    assert str(Path.home()) not in settings
    assert json.loads(settings)["base_model_name_or_path"] == "SmolLM2-135M-Instruct"
    told: dict[str, Any] = json.loads((out / "arm.json").read_text())
    examples = {row["id"]: row for row in pq.read_table(run / "data" / "examples.parquet").to_pylist()}
    answers = [row for row in lab.predictions(run) if row["arm"] == "tuned"][:20]
    asked = "".join(f"{examples[row['example_id']]['fields']}\n" for row in answers)
    server = start(lab.path / "other", "--adapter", str(out))
    try:
        with closing(server.client()) as client:
            assert told["model"] in {one.id for one in client.models.list()}
        env = {**os.environ, "OPENAI_BASE_URL": server.url}
        said = subprocess.run(
            [sys.executable, out / "predict.py"], input=asked, env=env, capture_output=True, text=True, check=False
        )
    finally:
        server.end()
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [row["predicted"] for row in answers]
