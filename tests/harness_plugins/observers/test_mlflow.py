"""Runs in a real MLflow store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli import run_folder
from support.items import write_items
from support.lab import call

from harness_plugins.observers.mlflow import MLflow, _metrics_of_run

EXPERIMENT = """
name = "logged"
seed = 7
observers = [{{ plugin = "mlflow", experiment = "reviews", tracking_uri = "sqlite:///{store}" }}]

[dataset]
plugin = "files"
path = "items.csv"
text = "text"
label = "label"

[prepare]
duplicates = "exact"
split = {{ train = 0.4, validation = 0.1, test = 0.5 }}

[[arms]]
name = "one's \\"own\\""
backend = {{ plugin = "mock", accuracy = {accuracy} }}
formatter = {{ plugin = "plain" }}

[[arms]]
name = "two"
backend = {{ plugin = "majority" }}
formatter = {{ plugin = "plain" }}
"""


def run(folder: Path, accuracy: float) -> dict[str, Any]:
    write_items(folder / "items.csv")
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(store=folder / "mlflow.db", accuracy=accuracy))
    done = call("run", path, "--out", folder / "runs", "--yes")
    assert done.code == 0, done
    assert "observer" not in done.err
    found: dict[str, Any] = json.loads((run_folder(folder / "runs") / "results.json").read_text())
    return found


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_run_and_its_arms_are_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts
    results = run(tmp_path, 0.9)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")

    def logged() -> dict[str, Any]:
        experiment = client.get_experiment_by_name("reviews")
        assert experiment is not None
        return {str(one.info.run_name): one for one in client.search_runs([experiment.experiment_id])}

    first = logged()
    assert set(first) == {results["run"]["id"], 'one\'s "own"', "two"}
    parent = first[results["run"]["id"]]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.note.content"] == results["verdict"]["sentence"]
    assert parent.data.params["seed"] == "7"
    assert [item.path for item in client.list_artifacts(parent.info.run_id)] == ["results.json"]
    payback = {"role": "best-prompt", "requests": 100, "monthly": {"requests_per_month": 1000, "requests": 700}}
    assert _metrics_of_run({**results, "payback": [payback]})["payback_requests"] == 700
    for arm in results["arms"]:
        child = first[arm["name"]]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics["accuracy"] == arm["accuracy"]
        assert child.data.metrics["accuracy_low"] == arm["accuracy_ci"][0]
        assert child.data.params["family"] == arm["family"]
    assert first['one\'s "own"'].data.params["simulated"] == "True"

    # carried out again, for its prices changed, a run is brought up to date
    text = (tmp_path / "experiment.toml").read_text()
    (tmp_path / "experiment.toml").write_text(text + "\n[decision]\nrequests_per_month = 1000\n")
    done = call("run", tmp_path / "experiment.toml", "--out", tmp_path / "runs", "--yes")
    assert done.code == 0, done
    assert {name: one.info.run_id for name, one in logged().items()} == {
        name: one.info.run_id for name, one in first.items()
    }


def test_a_password_has_no_place_in_the_experiment() -> None:
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_PASSWORD"):
        MLflow(experiment="e", tracking_uri="https://user:secret@example.org/x")
    MLflow(experiment="e", tracking_uri="sqlite:///folder@home/x.db")
