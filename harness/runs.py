"""A run's folder: its name, its files, its siblings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest

DEFAULT_OUT = Path("runs")
HASH = 8


def slug(name: str) -> str:
    """Returns a name as part of a file name: `[a-z0-9-]{1,40}`, with 8 hash characters where it had to be altered."""
    if re.fullmatch(r"[a-z0-9-]{1,40}", name):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:HASH]
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[: 40 - HASH - 1].rstrip("-")
    return f"{base}-{mark}" if base else mark


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def manifest(self) -> Path:
        """The experiment as resolved, versions, seeds and the hash chain."""
        return self.path / "manifest.json"

    @property
    def data(self) -> Path:
        """Examples, training files, quality report."""
        return self.path / "data"

    @property
    def examples(self) -> Path:
        """All examples with their splits."""
        return self.data / "examples.parquet"

    @property
    def journal(self) -> Path:
        """Answers and jobs."""
        return self.path / "journal.sqlite"

    @property
    def predictions(self) -> Path:
        """One row for each arm × test example."""
        return self.path / "predictions.parquet"

    @property
    def trials(self) -> Path:
        """The same for candidates."""
        return self.path / "trials.parquet"

    @property
    def results(self) -> Path:
        """Every number the report shows."""
        return self.path / "results.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def endpoint(self) -> Path:
        """State and log of the local endpoint that the run started."""
        return self.path / "endpoint"

    @property
    def training(self) -> Path:
        """Events, steps and checkpoints of training jobs."""
        return self.path / "training"

    @property
    def models(self) -> Path:
        """What in-process arms have learnt."""
        return self.path / "models"

    def model(self, arm: str, key: str) -> Path:
        """Returns where an in-process arm's trained model lies."""
        return self.models / f"{slug(arm)}-{key[:HASH]}"

    def read_manifest(self) -> dict[str, Any]:
        """Returns the manifest, empty where there is none."""
        try:
            loaded = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def siblings(self, name: str) -> Iterator[RunFolder]:
        """Yields the other runs of the same name under the same folder, newest first."""
        found = []
        for manifest in self.path.parent.glob("*/manifest.json"):
            other = RunFolder(manifest.parent)
            if other.path != self.path and other.read_manifest().get("name") == name:
                found.append((manifest.stat().st_mtime, other))
        yield from (other for _, other in sorted(found, key=lambda pair: (-pair[0], pair[1].path)))


def run_folder(out: Path, name: str, settings: Mapping[str, Any], fingerprint: str) -> RunFolder:
    """Returns a run's folder: `OUT/<slug>-<hash8>`, the hash over what changes an answer."""
    text = json.dumps([settings, fingerprint], sort_keys=True, default=str)
    return RunFolder(out / f"{slug(name)}-{hashlib.sha256(text.encode()).hexdigest()[:HASH]}")


def find_run(run: str, out: Path = DEFAULT_OUT) -> RunFolder:
    """Finds a run by its folder or by its name under `out`.

    Raises:
        UsageError: There is none, and the nearest is named; or there are several of that name, and the newest is.
    """
    for path in (Path(run), out / run):
        if (path / "manifest.json").is_file():
            return RunFolder(path)
    names = [manifest.parent.name for manifest in out.glob("*/manifest.json")]
    begun = [name for name in names if name.rsplit("-", 1)[0] in (run, slug(run))]
    if len(begun) == 1:
        return RunFolder(out / begun[0])
    if begun:
        newest = max(begun, key=lambda name: (RunFolder(out / name).manifest.stat().st_mtime, name))
        raise UsageError(
            f'there are {len(begun)} runs named "{run}": {", ".join(sorted(begun))}',
            f"name one of them by its folder; the newest is {out / newest}",
        )
    raise UsageError(f'there is no run "{run}", neither as a folder nor under {out}/; {nearest(run, names)}')
