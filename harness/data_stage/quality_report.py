"""`data/`: the prepared examples, the training files, and `quality.json`, which says all that was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import tables
from harness.files import json_text, write_together
from harness.prepare.clean import Cluster
from harness.prepare.options import Prepared
from harness.types import Split
from harness.words import clipped

LISTED = 1000
"""Most clusters that `quality.json` lists; conflicting ones first, then the largest."""

EXCERPT = 160
"""Characters of a text that the report shows of a row that is worth a look."""

BESIDE = ("examples.parquet", "quality.json")
"""What is written beside the training files."""


def write(
    folder: Path, data: Prepared, files: Mapping[str, bytes], forms: tables.Forms | None = None
) -> dict[str, Any]:
    """Writes prepared data: examples, training files and the quality report, all of them or none.

    Args:
        folder: Where to; other files in it are left alone.
        data: The prepared data.
        files: Name → content of the training files.
        forms: How their lines were formed.

    Returns:
        `quality.json` as a dict.
    """
    whole = {**files, "examples.parquet": tables.examples_file(data.examples, forms)}
    report = quality(data, {name: _sha256(content) for name, content in sorted(whole.items())})
    gone = [name for name in _written_before(folder) if name not in whole]
    # The report comes last: where it is new, the files that it names are new as well.
    write_together(folder, {**whole, "quality.json": json_text(report).encode("utf-8", "replace")}, gone)
    return report


def _written_before(folder: Path) -> list[str]:
    """Returns the files that a report in `folder` names, and that are still what it says."""
    try:
        named = json.loads((folder / "quality.json").read_bytes())["files"]
        return [name for name, mark in named.items() if _sha256((folder / Path(name).name).read_bytes()) == mark]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def quality(data: Prepared, files: Mapping[str, str]) -> dict[str, Any]:
    """Returns `data/quality.json`: rows in = rows out + rows removed by each rule, and every finding.

    Args:
        data: The prepared data.
        files: File name → SHA-256 of what is written beside it.
    """
    return {
        "schema": 1,
        "rows_in": data.rows_in,
        "rows_out": {str(split): len(data.of(split)) for split in Split},
        "removed": dict(data.removed),
        "labels": list(data.labels),
        "leaks": [asdict(leak) for leak in data.leaks],
        "checks": [asdict(check) for check in data.checks],
        "fingerprint": data.fingerprint,
        "clusters": {
            "exact": sum(cluster.kind == "exact" for cluster in data.clusters),
            "near": sum(cluster.kind == "near" for cluster in data.clusters),
            "conflicting": sum(cluster.conflicting for cluster in data.clusters),
            "listed": [asdict(cluster) for cluster in _worst(data.clusters)],
        },
        "ranked": _ranked(data),
        "weights": None if data.weights is None else dict(data.weights),
        "files": dict(files),
    }


def _ranked(data: Prepared) -> list[dict[str, Any]]:
    """Returns the lists of rows worth a look, with the beginnings of their texts: the report stays on this machine."""
    listed = [asdict(ranked) for ranked in data.ranked]
    wanted = {item["id"] for ranked in listed for item in ranked["items"]}
    texts = {example.id: example.text for example in data.examples if example.id in wanted}
    for ranked in listed:
        ranked["items"] = [{**item, "text": clipped(texts.get(item["id"], ""), EXCERPT)} for item in ranked["items"]]
    return listed


def _worst(clusters: Sequence[Cluster]) -> list[Cluster]:
    def order(cluster: Cluster) -> tuple[bool, int, tuple[str, ...]]:
        return (not cluster.conflicting, -len(cluster.removed), cluster.kept + cluster.removed)

    return sorted(clusters, key=order)[:LISTED]
