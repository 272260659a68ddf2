"""Finished runs in MLflow: one run, and within it one for each arm."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import harness

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MARK = "finetune_harness.run"
"""The tag by which a run is found again: carried out twice, it is brought up to date, not logged twice."""
_PLAIN = ("family", "model", "of", "shots", "simulated", "imported", "mode")
_LONGEST = 6000
"""Characters of a parameter's value that MLflow keeps."""


@dataclass(frozen=True, kw_only=True)
class MLflow:
    """Logs a run to MLflow when it has ended: parameters, metrics, verdict and `results.json`; nested, each arm."""

    name: ClassVar[str] = "mlflow"
    patience_s: ClassVar[float] = 60.0

    experiment: str
    """Name of the MLflow experiment; it is made where there is none."""
    tracking_uri: str | None = None
    """Where MLflow is, e.g. `http://127.0.0.1:5000` or `sqlite:///mlflow.db`; by default what `MLFLOW_TRACKING_URI`
    says. Names and passwords belong into MLflow's own variables, never here."""
    report: bool = False
    """Whether the page goes along. It shows texts of the data, and answers."""

    def __post_init__(self) -> None:
        if self.tracking_uri and "@" in self.tracking_uri.partition("://")[2].partition("/")[0]:
            raise ValueError("tracking_uri has a password in it: put it into MLFLOW_TRACKING_PASSWORD")

    def on(self, event: harness.Event) -> None:
        """Logs the run when it has ended.

        Raises:
            harness.UsageError: MLflow is not installed.
        """
        if event.kind != "run-finished":
            return
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise harness.UsageError(
                "the observer mlflow needs MLflow", 'pip install "finetune-harness[mlflow]"'
            ) from None
        results = json.loads((event.folder / "results.json").read_text("utf-8"))
        client = MlflowClient(tracking_uri=self.tracking_uri)
        found = client.get_experiment_by_name(self.experiment)
        experiment = found.experiment_id if found is not None else client.create_experiment(self.experiment)
        parent = _run(client, experiment, event.run, event.run, {"mlflow.note.content": results["verdict"]["sentence"]})
        _log(client, parent, _params_of_run(results), _figures(_metrics_of_run(results)))
        _tag(client, parent, {"verdict": results["verdict"]["kind"]} | _revision(event.folder))
        client.log_artifact(parent, str(event.folder / "results.json"))
        page = event.folder / "report.html"
        if self.report and page.is_file():
            client.log_artifact(parent, str(page))
        for arm in results["arms"]:
            mark = f"{event.run}/{arm['name']}"
            child = _run(client, experiment, mark, arm["name"], {"mlflow.parentRunId": parent})
            jobs = [job for job in results.get("training") or () if job["arm"] == arm["name"]]
            settings = {key: value for job in jobs for key, value in (job.get("hyperparameters") or {}).items()}
            params = {name: arm.get(name) for name in _PLAIN} | settings
            _log(client, child, params, _figures(_metrics_of_arm(arm)))
            _losses(client, child, jobs)
            client.set_terminated(child, "FINISHED" if arm["n"] and not arm["failed"] else "FAILED")
        client.set_terminated(parent, "FAILED" if event.figures.get("unfinished") else "FINISHED")


def _run(client: MlflowClient, experiment: str, mark: str, name: str, tags: Mapping[str, str]) -> str:
    """Returns the id of the MLflow run that bears a mark, newly made where there is none."""
    quoted = mark.replace("'", "")
    there = client.search_runs([experiment], f"tags.`{_MARK}` = '{quoted}'", max_results=1)
    if there:
        run_id = str(there[0].info.run_id)
        client.update_run(run_id, status="RUNNING")
    else:
        run_id = str(client.create_run(experiment, run_name=name, tags={_MARK: quoted}).info.run_id)
    _tag(client, run_id, tags)
    return run_id


def _tag(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        client.set_tag(run_id, name, value)


def _revision(folder: Path) -> dict[str, str]:
    path = folder / "manifest.json"
    git = json.loads(path.read_text("utf-8")).get("git") if path.is_file() else None
    return {"git": str(git)} if git else {}


def _params_of_run(results: Mapping[str, Any]) -> dict[str, Any]:
    run = results["run"]
    dataset = run["dataset"]
    return {
        "dataset": dataset["name"],
        "fingerprint": dataset["fingerprint"],
        "seed": run["seed"],
        "n_test": run["n_test"],
        "labels": len(run["labels"]),
        "preview": run["preview"],
    }


def _metrics_of_run(results: Mapping[str, Any]) -> dict[str, Any]:
    from harness.report.facts import paid_back_after

    primary: Mapping[str, Any] = next((line for line in results["comparisons"] if line["primary"]), {})
    low, high = primary.get("ci") or (None, None)
    payback: Mapping[str, Any] = next((line for line in results["payback"] if line["role"] == "best-prompt"), {})
    return {
        "difference": primary.get("difference"),
        "difference_low": low,
        "difference_high": high,
        "payback_requests": paid_back_after(payback),
    }


def _metrics_of_arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    low, high = arm.get("accuracy_ci") or (None, None)
    latency = {f"latency_{name}_s": value for name, value in (arm.get("latency_s") or {}).items()}
    numbers = {name: value for name, value in arm.items() if name not in _PLAIN}
    return {**numbers, "accuracy_low": low, "accuracy_high": high, **latency, **(arm.get("metrics") or {})}


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns what is a number, under names that MLflow takes."""
    return {
        "".join(sign if sign.isalnum() or sign in "_-./ " else "_" for sign in name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _log(client: MlflowClient, run_id: str, params: Mapping[str, Any], figures: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    known = client.get_run(run_id).data
    told = {name: str(value)[:_LONGEST] for name, value in params.items() if value is not None}
    fresh = [Param(name, value) for name, value in told.items() if name not in known.params]
    # MLflow keeps a metric's history: what has not changed is not said again.
    news = [Metric(name, x, _now_ms(), 0) for name, x in figures.items() if known.metrics.get(name) != x]
    for start in range(0, max(len(fresh), len(news)), 100):  # a server takes 100 parameters at once
        client.log_batch(run_id, metrics=news[start : start + 100], params=fresh[start : start + 100])


def _losses(client: MlflowClient, run_id: str, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Logs what a training told of its steps, once."""
    from mlflow.entities import Metric

    known = client.get_run(run_id).data.metrics
    steps = [
        Metric(name, value, _now_ms(), step) for job in jobs for step, name, value in _steps(job) if name not in known
    ]
    for start in range(0, len(steps), 500):
        client.log_batch(run_id, metrics=steps[start : start + 500])


def _steps(job: Mapping[str, Any]) -> Iterator[tuple[int, str, float]]:
    for row in job.get("steps") or ():
        for name, value in _figures({key: row[key] for key in row if key != "step"}).items():
            yield int(row.get("step") or 0), name, value


def _now_ms() -> int:
    return int(time.time() * 1000)


@harness.hookimpl
def harness_observers() -> list[type[MLflow]]:
    """Declares the observer."""
    return [MLflow]
