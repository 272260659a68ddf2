"""Published sites for tests: runs with all their files, and the ways to a site and to a server for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.blocks import Results
from harness.files import json_text
from harness.site.plan import planned
from harness.site.staging import Wishes
from harness.tables import examples_file
from harness.types import Example, Split
from support.canned import serving


def write_finished(folder: Path, results: Results, settings: Mapping[str, Any] | None = None) -> Path:
    """Writes a run's folder as `harness run` leaves it: results, answers, examples and a manifest.

    Args:
        folder: The run's folder; its name becomes the run's id.
        results: What the run found.
        settings: The experiment of the manifest.
    """
    (folder / "data").mkdir(parents=True)
    (folder / "results.json").write_bytes(json_text(dict(results.data)).encode("utf-8", "replace"))
    (folder / "manifest.json").write_bytes(
        json_text({"schema": 1, "id": folder.name, "experiment": dict(settings or {})}).encode("utf-8", "replace")
    )
    columns = {name: list(values) for name, values in results.predictions.items() if name != "probabilities"}
    columns = {name: [_clean(value) for value in values] for name, values in columns.items()}
    pq.write_table(pa.table(columns), folder / "predictions.parquet")
    rows = zip(*(results.examples[name] for name in ("id", "text", "label")), strict=True)
    examples = [
        Example(
            id=_clean(name),
            fields={"text": _clean(text)},
            label=_clean(label),
            split=Split.TEST,
            group=f"user {n // 2}",
        )
        for n, (name, text, label) in enumerate(rows)
    ]
    train = Example(id="train-1", fields={"text": "a text of the training split"}, label="x", split=Split.TRAIN)
    (folder / "data" / "examples.parquet").write_bytes(examples_file([*examples, train]))
    return folder


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return [_clean(item) for item in value] if isinstance(value, tuple) else value


def publish(runs: Sequence[Path], site: Path, sections: Sequence[Any], **wishes: Any) -> Path:
    """Publishes runs, and returns the site's index."""
    with planned(runs, site, lambda _: sections, Wishes(**wishes)) as plan:
        return plan.write()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder on loopback, as a static host does; gives its address."""
    with serving(functools.partial(_Quiet, directory=str(folder))) as url:
        yield f"{url}/"
