"""manifest.json: the experiment as resolved, versions, seeds, and the hash chain from data to answers."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.execution.work import digest
from harness.experiment import LOCAL, Arm, Experiment, plain
from harness.files import write_json
from harness.plugins import Record, attributed
from harness.prepare.options import Prepared
from harness.prices import Prices
from harness.runs import RunFolder
from harness.tables import is_whole
from harness.training import continuing

SCHEMA = 1


def begin(
    experiment: Experiment, folder: RunFolder, data: Prepared, settings: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """Makes the manifest of a run that begins or goes on; nothing is written.

    Args:
        experiment: The experiment.
        folder: The run's folder.
        data: The prepared data.
        settings: What changes an answer: the experiment as resolved.
        told: `command`, `weights` as `weights_of` returned them, and `judged_with` as the function of that name did.
    """
    from harness import __version__

    old = folder.read_manifest()
    return {
        "schema": SCHEMA,
        "name": experiment.name,
        "id": folder.path.name,
        "created": old.get("created") or now(),
        "finished": None,
        "command": told["command"],
        "preview": settings.get("limit") is not None,
        "harness": __version__,
        "python": platform.python_version(),
        "machine": machine(),
        "git": _git_revision(experiment.path.parent),
        "seeds": {"experiment": experiment.seed, "split": experiment.prepare.split.seed},
        "experiment": settings,
        "tables": kept_tables(experiment),
        "weights": told["weights"],
        "continued": continuing.told(experiment),
        "repeats": experiment.repeats,
        "plugins": _plugins(experiment),
        "prices": {
            "own": {name: table.model_dump() for name, table in experiment.prices.items()},
            "sources": Prices.sources(),
        },
        "chain": {"data": data.fingerprint, "split": split_hash(data)},
        "judged_with": told["judged_with"],
    }


def stands(folder: RunFolder, record: Mapping[str, Any]) -> bool:
    """Whether the manifest in a folder tells of the results there: it is kept until they are written anew.

    Args:
        folder: The run's.
        record: What `begin` returned: its data must be theirs.
    """
    chain = folder.read_manifest().get("chain")
    if not isinstance(chain, dict) or chain != {**chain, **record["chain"]} or not folder.results.is_file():
        return False
    return bool(chain.get("results") == _sha256(folder.results.read_bytes()))


def kept_tables(experiment: Experiment) -> dict[str, Any]:
    """Returns the experiment file's tables, from which the experiment can be made again; a header's value stays out."""
    tables: dict[str, Any] = json.loads(json.dumps(dict(experiment.tables), default=str))
    for table in tables.get("endpoints", {}).values():
        headers = table.get("headers", {})
        table |= {"headers": {name: value if isinstance(value, dict) else None for name, value in headers.items()}}
    return tables


def keep_tables(folder: RunFolder, experiment: Experiment) -> None:
    """Brings up to date what a finished run keeps of its file: keys, limits and headers change no answer."""
    manifest = folder.read_manifest()
    tables = kept_tables(experiment)
    if manifest.get("tables") != tables:
        write_json(folder.manifest, {**manifest, "tables": tables})


def weights_of(experiment: Experiment, folder: RunFolder) -> str:
    """Returns the fingerprint of a local model in a folder or a GGUF file, "" of any other.

    Where the weights have gone, what the manifest says of them counts.
    """
    return experiment.local_weights(str(folder.read_manifest().get("weights") or ""))


def judged_with(experiment: Experiment, weights: str, *, allow_leaks: bool) -> str:
    """Returns a digest of what results and page depend on beside first answers: assumptions, prices, repeats, curves.

    Options of metrics and sections are part of it, files that a backend reads its answers from, and the weights of a
    model in a folder.
    """
    from harness import __version__

    active = {"metrics": experiment.metrics, "sections": experiment.sections}
    return digest(
        [
            __version__,
            _plugins(experiment),
            experiment.decision.model_dump(),
            experiment.verdict.model_dump(),
            {name: table.model_dump() for name, table in experiment.prices.items()},
            experiment.repeats,
            [[arm.name, arm.choose_budget.model_dump()] for arm in experiment.arms if arm.candidates],
            [
                [arm.name, curve.model_dump()]
                for arm in experiment.arms
                for curve in (arm.learning_curve, arm.shot_curve)
                if curve is not None
            ],
            allow_leaks,
            *([kind, plain(one)] for kind, made in active.items() for one in made if experiment.asks_for(kind, one)),
            *(
                [arm.name, _depends_on(arm, experiment)]
                for arm in experiment.arms
                if hasattr(arm.backend, "depends_on")
            ),
            *([weights] if weights else []),
        ]
    )


def _depends_on(arm: Arm, experiment: Experiment) -> Any:
    with attributed(arm.backend, "depends_on"):
        return arm.backend.depends_on(experiment.path.parent)  # type: ignore[attr-defined]


def _plugins(experiment: Experiment) -> dict[str, dict[str, str]]:
    return {
        f"{record.kind} {record.name}": {"distribution": record.distribution, "source": record.source_hash}
        for record in _used(experiment)
    }


def finish(
    folder: RunFolder, manifest: dict[str, Any], chain: Mapping[str, Any], *, arms: Sequence[str], complete: bool
) -> None:
    """Writes the manifest of a run that has been scored.

    Args:
        folder: The run's folder.
        manifest: What `begin` returned.
        chain: Files, jobs, models and the hash of the answers.
        arms: The arms that were scored, asked as often as the experiment says, and whose curves are measured.
        complete: Whether nothing is left to do for them.
    """
    results = _sha256(folder.results.read_bytes())
    finished = now() if complete else None
    write_json(
        folder.manifest,
        {
            **manifest,
            "finished": finished,
            "arms": list(arms),
            "chain": {**manifest["chain"], **chain, "results": results},
        },
    )


def stored_sentence(folder: RunFolder, judged_with: str, arms: Sequence[str]) -> str | None:
    """Returns the verdict of a run that is complete for these arms and was judged under the same assumptions."""
    manifest = folder.read_manifest()
    tables = (folder.predictions, folder.examples)
    if (
        not manifest.get("finished")
        or manifest.get("judged_with") != judged_with
        or not set(arms) <= set(manifest.get("arms") or ())
        or not (folder.results.is_file() and folder.report.is_file())
        or not all(is_whole(path) for path in tables)
    ):
        return None
    raw = folder.results.read_bytes()
    if _sha256(raw) != manifest.get("chain", {}).get("results"):
        return None  # not what was written: it is scored again
    return str(json.loads(raw)["verdict"]["sentence"])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def outdated(
    folder: RunFolder, manifest: Mapping[str, Any], arms: Sequence[Arm], answers: Mapping[str, int]
) -> list[str]:
    """Names what has changed since the run began, and how many answers that makes out of date.

    That is a backend's source, or the weights of the local model.

    Args:
        folder: The run's, its manifest as the last command left it.
        manifest: What it will be.
        arms: The experiment's.
        answers: Arm → answers in the journal.
    """
    old = folder.read_manifest()
    before, said = old.get("plugins"), _other_weights(old.get("weights"), manifest["weights"], arms, answers)
    if not isinstance(before, dict):
        return said
    for name, used in manifest["plugins"].items():
        if name.startswith("backend ") and name in before and before[name]["source"] != used["source"]:
            plugin = name.removeprefix("backend ")
            lost = sum(answers.get(arm.name, 0) for arm in arms if arm.backend.name == plugin)
            said.append(f"the plugin {plugin} was edited since this run began: its {lost:,} answers are asked again")
    return said


def _other_weights(before: Any, now: str, arms: Sequence[Arm], answers: Mapping[str, int]) -> list[str]:
    if not before or before == now:
        return []
    lost = sum(answers.get(arm.name, 0) for arm in arms if arm.endpoint == LOCAL)
    return [f"the local model's weights have changed since this run began: its {lost:,} answers are asked again"]


def _used(experiment: Experiment) -> Iterable[Record]:
    used: list[object] = [experiment.dataset, experiment.executor, *experiment.metrics, *experiment.sections]
    for arm in experiment.arms:
        for one in arm.variants:
            used += [one.backend, one.formatter, *([one.shots.selector] if one.shots else [])]
    found = (experiment.plugins.find(plugin) for plugin in used)
    records = {(record.kind, record.name): record for record in found if record is not None}
    return [records[key] for key in sorted(records)]


def split_hash(data: Prepared) -> str:
    """Returns the SHA-256 over which example stands in which split."""
    return digest([[example.id, str(example.split), example.label] for example in data.examples])


def machine() -> str:
    """Describes the machine whose seconds are reported."""
    flags = ""
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    fast = next((name for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")) if flag in flags), "")
    return f"{os.cpu_count()} cores, {platform.machine()}{f', {fast}' if fast else ''}"


def now() -> str:
    """Returns the time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git_revision(folder: Path) -> str | None:
    try:
        said = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
