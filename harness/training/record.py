"""What `results.json` says of a training job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.journal import Job
from harness.training.results_file import joined, thinned
from harness.types import JobSpec, TrainingFiles

STEPS = 400
"""Steps that the results hold; the run's `training/` has all of them."""


def record(
    arm: str, spec: JobSpec, files: TrainingFiles, job: Job | None, refusal: str = "", *, refused: bool = False
) -> dict[str, Any]:
    """Returns what is known of an arm's training.

    Args:
        arm: The arm's name.
        spec: What was asked for.
        files: Its training files.
        job: The job as the journal has it; `None` where none was launched.
        refusal: Why no model answers, where none does.
        refused: Whether the endpoint does not train at all.
    """
    result: Mapping[str, Any] = (job.result if job is not None else None) or {}
    steps = joined(result.get("steps") or result.get("metrics") or ())
    return {
        "arm": arm,
        "job": job.job if job is not None else None,
        "model": job.model if job is not None else None,
        "base": spec.base,
        "status": "refused" if refused else job.status if job is not None and job.job else "not launched",
        "seconds": result.get("seconds"),
        "trained_tokens": result.get("trained_tokens"),
        "hyperparameters": {**spec.hyperparameters, **(result.get("hyperparameters") or {})},
        "n_train": files.n_train,
        "n_validation": files.n_validation,
        "n_steps": steps[-1]["step"] if steps else None,
        "steps": thinned(steps, STEPS),
        "checkpoints": [dict(checkpoint) for checkpoint in result.get("checkpoints") or ()],
        "reused": result.get("reused"),
        "shutdown_date": result.get("shutdown_date"),
        "reason": refusal.partition("\n")[0] or None,
    }


def deploy_first(arm: str, model: str) -> str:
    """Says what is to be done with a trained model that answers only once it is deployed; the hint on a second line."""
    return (
        f"{arm}: {model} is trained, but answers only when it is deployed\n"
        f'deploy it at the provider, then write deployment = "NAME" into the backend of the arm {arm}: '
        "the same command goes on, and trains nothing again"
    )


def deploy_too(arm: str, model: str, deployment: str) -> str:
    """Says that a deployment serves another model of the run; the hint on a second line."""
    return (
        f'{arm}: {model} is trained, but the deployment "{deployment}" is taken to serve another model of this run\n'
        "a deployment answers for one model: give each arm, and each candidate of a choice, one of its own"
    )
