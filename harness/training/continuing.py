"""`base = "run:NAME/ARM"`: training that goes on from the model of an earlier run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import ExperimentError, UsageError, nearest
from harness.execution.local_endpoint import adapter_of
from harness.experiment import LOCAL, Arm, Experiment
from harness.experiment.toml_lines import find_line
from harness.journal import reading
from harness.prices import told_base
from harness.runs import RunFolder, find_run
from harness.types import Continued

PREFIX = "run:"


def resolved(experiment: Experiment, out: Path) -> Experiment:
    """Puts the ids of trained models in the place of `run:NAME/ARM`; other experiments come back as they are.

    Args:
        experiment: As its file says.
        out: Where runs lie.

    Raises:
        ExperimentError: There is no such run or arm, it has no trained model, or it was trained elsewhere.
    """
    found: dict[str, Continued] = {}
    arms = []
    for index, arm in enumerate(experiment.arms):
        asked = {base for one in arm.variants if (base := _reference(one)) is not None}
        for reference in sorted(asked):
            found[reference] = _Lookup(experiment, f"arms[{index}].backend.base", arm, out).continued(reference)
        arms.append(_replaced(arm, found) if asked else arm)
    if not found:
        return experiment
    models = {reference: one.model for reference, one in found.items()}
    tables = {**experiment.tables, "arms": _renamed(experiment.tables.get("arms", []), models)}
    return replace(experiment, arms=tuple(arms), tables=tables, continued={one.model: one for one in found.values()})


def require_labels(experiment: Experiment, labels: Sequence[str]) -> None:
    """Refuses to go on from a model that has learnt other labels.

    Raises:
        ExperimentError: Naming the labels that differ.
    """
    for one in experiment.continued.values():
        new, gone = (_listed(these) for these in (set(labels) - set(one.labels), set(one.labels) - set(labels)))
        if new or gone:
            differ = "; ".join([*([f"not there: {new}"] if new else []), *([f"only there: {gone}"] if gone else [])])
            raise ExperimentError(
                f"{experiment.path}: the model of {one.run}/{one.arm} has learnt another label set ({differ})",
                "train from the base model; or, where the new data lacks a label only by chance, "
                "name all of them in dataset.labels",
            )


def adapters(experiment: Experiment) -> dict[str, Path]:
    """Returns model → adapter of the models that local arms go on from: the run's own endpoint must be given them."""
    local = {one.base for arm in experiment.arms for one in arm.variants if one.endpoint == LOCAL}
    found = {
        model: adapter_of(one.folder / "endpoint", model)
        for model, one in experiment.continued.items()
        if model in local
    }
    return {model: path for model, path in found.items() if path is not None}


def told(experiment: Experiment) -> dict[str, Any]:
    """Returns what the manifest keeps of it: model → the trainings that led to it, oldest first."""
    return {model: {"base": one.base, "chain": _chain(one)} for model, one in experiment.continued.items()}


def announce(experiment: Experiment, say: Callable[[str], None]) -> None:
    """Says from where trainings go on, and what it has cost to come there."""
    from harness.numbers import count, duration, usd

    for one in experiment.continued.values():
        steps = [step for step in _chain(one) if step["tokens"] is not None]
        costs = [step["usd"] for step in steps if step["usd"] is not None]
        spent = [f"{count(sum(step['tokens'] for step in steps))} tokens"] if steps else []
        spent += [duration(sum(step["seconds"] or 0.0 for step in steps))] if steps else []
        spent += [usd(sum(costs))] if costs else []
        said = f" (its training so far: {', '.join(spent)})" if spent else ""
        say(f"training goes on from {one.model} of {one.run}/{one.arm}{said}")


def _chain(one: Continued) -> list[dict[str, Any]]:
    step = {"run": one.run, "arm": one.arm, "model": one.model, **one.training}
    return [*(dict(before) for before in one.before), step]


def _reference(arm: Arm) -> str | None:
    base = arm.base
    return base if isinstance(base, str) and base.startswith(PREFIX) else None


def _replaced(arm: Arm, found: Mapping[str, Continued]) -> Arm:
    candidates = tuple(
        ({key: _model(value, found) for key, value in settings.items()}, _replaced(one, found))
        for settings, one in arm.candidates
    )
    reference = _reference(arm)
    if reference is None:
        return replace(arm, candidates=candidates)
    backend = replace(arm.backend, base=found[reference].model)  # type: ignore[type-var]
    return replace(arm, backend=backend, candidates=candidates)


def _model(value: Any, found: Mapping[str, Continued]) -> Any:
    return found[value].model if isinstance(value, str) and value in found else value


def _renamed(value: Any, models: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(each, models) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, models) for each in value]
    return models.get(value, value) if isinstance(value, str) else value


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f'"{label}"' for label in sorted(labels))


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Finds what one arm goes on from, and says where in the file it is that it cannot."""

    experiment: Experiment
    key: str
    arm: Arm
    out: Path

    def error(self, message: str, hint: str = "") -> ExperimentError:
        path = self.experiment.path
        line = find_line(path.read_bytes(), self.key) if path.is_file() else None
        return ExperimentError(f"{path}{f', line {line}' if line else ''}: {self.key}: {message}", hint)

    def continued(self, reference: str) -> Continued:
        folder, name = self._named(reference.removeprefix(PREFIX))
        manifest = folder.read_manifest()
        arms = {arm["name"]: arm for arm in manifest["experiment"]["arms"] if "base" in arm["backend"]}
        if name not in arms:
            raise self.error(f'the run {folder.path.name} has no arm "{name}" that is trained; {nearest(name, arms)}')
        model = trained_model(folder, name)
        if model is None:
            able = [other for other in arms if trained_model(folder, other) is not None]
            raise self.error(
                f'the arm "{name}" of {folder.path.name} has no trained model; {nearest(name, able)}',
                "let that run finish first",
            )
        self._same_endpoint(folder, manifest, arms[name]["backend"], model)
        before = manifest.get("continued", {}).get(arms[name]["backend"]["base"], {})
        return Continued(
            run=str(manifest["id"]),
            arm=name,
            model=model,
            base=before.get("base") or told_base(arms[name]["backend"]["base"] or model),
            labels=tuple(labels_of(folder)),
            folder=folder.path,
            training=_training(folder, model),
            before=tuple(before.get("chain", ())),
        )

    def _named(self, text: str) -> tuple[RunFolder, str]:
        """Tells run and arm apart: both names may have slashes in them."""
        places = [place for place, character in enumerate(text) if character == "/"]
        failed: UsageError | None = None
        for place in places:
            try:
                return find_run(text[:place], self.out), text[place + 1 :]
            except UsageError as error:
                failed = failed or error
        if failed is None:
            raise self.error(f'"{PREFIX}{text}" names no arm', 'write base = "run:NAME/ARM"')
        raise self.error(failed.message, failed.hint)

    def _same_endpoint(
        self, folder: RunFolder, manifest: Mapping[str, Any], theirs: Mapping[str, Any], model: str
    ) -> None:
        own = str(self.arm.endpoint)
        tables = manifest["experiment"]["endpoints"]
        there, here = tables.get(theirs["endpoint"], {}), self.experiment.endpoints[own]
        same = there.get("base_url") == here.base_url and (theirs["endpoint"] == LOCAL) == (own == LOCAL)
        if same and own == LOCAL:
            same = there.get("model") == here.model
        if not same:
            raise self.error(
                f"{model} was trained on another endpoint ({there.get('base_url') or _local(there)}) than "
                f"{own} ({here.base_url or _local({'model': here.model})})",
                "a model can be trained further only where it is",
            )
        if own == LOCAL and adapter_of(folder.endpoint, model) is None:
            raise self.error(f"the adapter of {model} is gone from {folder.endpoint}", "train it again: run that run")


def _local(table: Mapping[str, Any]) -> str:
    return f"local, {table.get('model') or 'the embedded model'}"


def trained_model(folder: RunFolder, arm: str) -> str | None:
    """Returns the id of the model that a run trained for an arm, and took where it had a choice; `None`: there is none.

    Args:
        folder: The run's; it need not be finished.
        arm: The arm's name.
    """
    manifest = folder.read_manifest()
    model = manifest.get("chain", {}).get("models", {}).get(arm)
    if model is not None:
        return str(model)
    table: dict[str, Any] = next((one for one in manifest["experiment"]["arms"] if one["name"] == arm), {})
    if table.get("choose"):
        return None  # which of several it is, the run has yet to say
    query = "SELECT DISTINCT model FROM jobs WHERE arm = ? AND model IS NOT NULL"
    models = [row[0] for row in _rows(folder, query, arm)]
    return str(models[0]) if len(models) == 1 else None


def labels_of(folder: RunFolder) -> list[str]:
    """Returns the label set of a run's data; empty where it is not known."""
    try:
        return [str(label) for label in json.loads((folder.data / "quality.json").read_bytes())["labels"]]
    except (OSError, ValueError, KeyError):
        return []


def _training(folder: RunFolder, model: str) -> dict[str, Any]:
    rows = _rows(folder, "SELECT result FROM jobs WHERE model = ? AND result IS NOT NULL", model)
    result = json.loads(rows[0][0]) if rows else {}
    return {"tokens": result.get("trained_tokens"), "seconds": result.get("seconds"), "usd": result.get("usd")}


def _rows(folder: RunFolder, query: str, value: str) -> list[tuple[Any, ...]]:
    try:
        with reading(folder.journal) as connection:
            return connection.execute(query, (value,)).fetchall()
    except sqlite3.Error:
        return []
