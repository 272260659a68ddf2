"""A small task in a folder, and runs of it inside the test's own process: no start-up cost, real HTTP, real SQLite."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cli import Finished, run_folder

LABELS = ("bad", "good", "mixed")
WORDS = ("amber", "bridge", "candle", "dune", "ember", "forest", "garnet", "harbour", "island", "jasper", "kernel")


MINE = '''
"""A metric and a section that take options."""
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness.blocks import Text


@dataclass(frozen=True, kw_only=True)
class Bins:
    name: ClassVar[str] = "bins"
    n: int

    def score(self, rows):
        return {"bins": float(self.n)}


@dataclass(frozen=True, kw_only=True)
class Mine:
    name: ClassVar[str] = "mine"
    word: str

    def blocks(self, results):
        yield Text(text=f"Mine says {self.word}.")


@harness.hookimpl
def harness_metrics():
    return [Bins]


@harness.hookimpl
def harness_report_sections():
    return [Mine]
'''
"""A plugin file: a metric and a section that need an option each."""


def task(n: int, seed: int = 3) -> dict[str, str]:
    """Returns n texts, no two alike, with their labels in turn."""
    draw = random.Random(seed)
    return {
        f"report {number:04d}: " + " ".join(draw.choices(WORDS, k=9)): LABELS[number % len(LABELS)]
        for number in range(n)
    }


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A folder with `data.csv`, experiment files and their runs."""

    path: Path
    answers: Mapping[str, str]

    @classmethod
    def make(cls, path: Path, n: int = 60, split: Sequence[str] = ()) -> Lab:
        """Writes `data.csv`: columns text and label, and split where the cycle of its values is given."""
        answers = task(n)
        with (path / "data.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", *(["split"] if split else [])])
            for number, (text, label) in enumerate(answers.items()):
                writer.writerow([text, label, *([split[number % len(split)]] if split else [])])
        return cls(path=path, answers=answers)

    def write(self, arms: str, *, head: str = "", dataset: str = "", name: str = "experiment.toml") -> Path:
        """Writes an experiment file over `data.csv`."""
        path = self.path / name
        path.write_text(
            f'name = "lab"\n{head}\n'
            f'[dataset]\nplugin = "files"\npath = "data.csv"\ntext = "text"\nlabel = "label"\n{dataset}\n{arms}\n',
            encoding="utf-8",
        )
        return path

    def run(self, *options: str | Path, file: str = "experiment.toml") -> Finished:
        """Runs `harness run` in this process; runs lie under `runs/` of the lab's folder."""
        return call("run", self.path / file, "--out", self.path / "runs", *options)

    @property
    def runs(self) -> list[Path]:
        """The folders of all runs, oldest first."""
        found = [manifest.parent for manifest in (self.path / "runs").glob("*/manifest.json")]

        def age(folder: Path) -> tuple[str, int]:
            manifest = folder / "manifest.json"
            # The time of creation has no fractions of a second.
            return json.loads(manifest.read_text())["created"], (folder / "journal.sqlite").stat().st_ctime_ns

        return sorted(found, key=age)

    @property
    def folder(self) -> Path:
        """The folder of the only run."""
        return run_folder(self.path / "runs")

    def results(self, folder: Path | None = None) -> dict[str, Any]:
        """Returns a run's `results.json`."""
        loaded: dict[str, Any] = json.loads(((folder or self.folder) / "results.json").read_text(encoding="utf-8"))
        return loaded

    def arms(self, folder: Path | None = None) -> dict[str, dict[str, Any]]:
        """Returns a run's arms by name."""
        return {arm["name"]: arm for arm in self.results(folder)["arms"]}

    def predictions(self, folder: Path | None = None) -> list[dict[str, Any]]:
        """Returns the rows of `predictions.parquet`."""
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = pq.read_table((folder or self.folder) / "predictions.parquet").to_pylist()
        return rows

    def said(self, folder: Path | None = None) -> list[tuple[Any, ...]]:
        """Returns what every arm predicted: all that must not depend on interruptions or timing."""
        names = ("arm", "example_id", "expected", "predicted", "status", "response", "input_tokens", "output_tokens")
        return [tuple(row[name] for name in names) for row in self.predictions(folder)]

    def journal(self, query: str, folder: Path | None = None) -> list[tuple[Any, ...]]:
        """Asks a run's journal."""
        with contextlib.closing(sqlite3.connect((folder or self.folder) / "journal.sqlite")) as connection:
            return connection.execute(query).fetchall()


def call(*arguments: str | Path) -> Finished:
    """Runs the command line in this process."""
    from harness.cli import main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Finished(code=code, out=out.getvalue(), err=err.getvalue())


def endpoint(base_url: str, *, options: str = "") -> str:
    """Returns the table of an endpoint that wants a key."""
    return f'[endpoints.fake]\nbase_url = "{base_url}"\napi_key_env = "FAKE_KEY"\n{options}\n'


def few_shot(name: str, *, model: str = "base-model", k: int = 0, options: str = "", extra: str = "") -> str:
    """Returns a prompted arm's table."""
    shots = f'shots = {{ selector = "balanced", k = {k} }}\n' if k else ""
    return (
        f'[[arms]]\nname = "{name}"\n'
        f'backend = {{ plugin = "few-shot", endpoint = "fake", model = "{model}"{options} }}\n{shots}{extra}\n'
    )


def fine_tuned(name: str, *, base: str = "base-model", options: str = "") -> str:
    """Returns a fine-tuned arm's table."""
    return (
        f'[[arms]]\nname = "{name}"\n'
        f'backend = {{ plugin = "fine-tuned", endpoint = "fake", base = "{base}", n_epochs = 2{options} }}\n'
    )
