"""The guides to the local endpoint and to vLLM: what they show works."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from support.cli import ROOT
from support.local import Live

from harness.experiment.reader import load
from harness.plugins.discovery import discover
from harness_local.training.task import Hyperparameters

LOCAL, VLLM = (ROOT / "docs" / "how-to" / name for name in ("local-fine-tuning.md", "vllm.md"))


def block(document: Path, opening: str) -> str:
    (found,) = re.findall(rf"^{opening}\n(.*?)^```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_script_trains_and_asks(live: Live, tmp_path: Path) -> None:
    script = block(LOCAL, "<!-- file: train.py -->\n```python")
    assert len(script.strip().splitlines()) <= 20
    address = "http://127.0.0.1:8399/v1"
    assert address in script
    tmp_path.joinpath("train.py").write_text(script.replace(address, live.url))
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "succeeded  white\n", done.stderr


def test_every_setting_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", LOCAL.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(field.name for field in fields(Hyperparameters))


@pytest.mark.parametrize("arm", ["8-shot", "tuned"])
def test_the_experiment_for_vllm_loads(arm: str, tmp_path: Path) -> None:
    tmp_path.joinpath("experiment.toml").write_text(block(VLLM, "```toml"))
    tmp_path.joinpath("reviews.csv").write_text("text,label\ngood,yes\n")
    experiment = load(tmp_path / "experiment.toml", discover())
    assert arm in [each.name for each in experiment.arms]
    assert experiment.endpoints["vllm"].base_url == "http://127.0.0.1:8000/v1"
