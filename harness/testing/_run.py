"""A tiny run, whole: a data set of 60 rows, an experiment, and what comes of it, inside this process."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.blocks import Results
from harness.testing._samples import sample_examples
from harness.types import Reply

ARMS = """
[[arms]]
name = "tuned"
backend = { plugin = "mock", accuracy = 0.9, tokens = 20, latency_s = 0.1 }

[[arms]]
name = "prompt"
backend = { plugin = "mock", accuracy = 0.7, tokens = 300, unparsed_rate = 0.1, latency_s = 0.3 }

[[arms]]
name = "largest class"
backend = { plugin = "majority" }
"""
"""The arms of a tiny run, unless it is given others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyRun:
    """What a run came to."""

    code: int
    """The command's exit code; 0 where all is well."""
    out: str
    err: str
    path: Path
    """Where the experiment and its `runs/` lie."""

    @property
    def folder(self) -> Path:
        """The run's folder.

        Raises:
            AssertionError: There is none; the message says what the command said.
        """
        found = sorted((self.path / "runs").glob("*/manifest.json"))
        assert found, f"there is no run: exit code {self.code}\n{self.err}"  # noqa: S101 - for tests
        return found[-1].parent

    @property
    def results(self) -> dict[str, Any]:
        """`results.json`."""
        loaded: dict[str, Any] = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def arms(self) -> dict[str, dict[str, Any]]:
        """The results' arms by name."""
        return {arm["name"]: arm for arm in self.results["arms"]}

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """The rows of `predictions.parquet`."""
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = pq.read_table(self.folder / "predictions.parquet").to_pylist()
        return rows

    @property
    def page(self) -> str:
        """`report.html`."""
        return (self.folder / "report.html").read_text(encoding="utf-8")

    @property
    def journal(self) -> Path:
        """`journal.sqlite`."""
        return self.folder / "journal.sqlite"


def tiny_run(
    path: Path,
    arms: str = ARMS,
    *,
    head: str = "",
    dataset: str = "",
    plugins: Sequence[str | Path] = (),
    options: Sequence[str] = (),
) -> TinyRun:
    """Writes a small data set and an experiment into a folder, and runs it in this process.

    Args:
        path: A folder of its own, such as pytest's `tmp_path`.
        arms: The experiment's `[[arms]]`, and any other tables such as `[endpoints.fake]`.
        head: Keys before the first table: `seed`, `executor`, `observers`, …
        dataset: The whole `[dataset]` table in place of the 60 rows in `data.csv` (columns text and label).
        plugins: Files to load with `--plugin`.
        options: Further options of `harness run`.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([example.text, example.label] for example in sample_examples(n=60))
    table = dataset or '[dataset]\nplugin = "files"\npath = "data.csv"\ntext = "text"\nlabel = "label"\n'
    split = '[prepare]\nduplicates = "exact"\nsplit = { train = 0.5, validation = 0.2, test = 0.3 }\n'
    experiment = path / "experiment.toml"
    experiment.write_text(f'name = "tiny"\n{head}\n{table}\n{split}\n{arms}', encoding="utf-8")
    given = [word for file in plugins for word in ("--plugin", str(file))]
    return _command(path, str(experiment), "--out", str(path / "runs"), "--quiet", *given, *options)


def _command(path: Path, *arguments: str) -> TinyRun:
    """Runs `harness run` with arguments."""
    from harness.commands.endings import ended
    from harness.commands.run import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = ended(lambda: run.main(args=list(arguments), prog_name="harness run", standalone_mode=False))
    return TinyRun(code=code, out=out.getvalue(), err=err.getvalue(), path=path)


def asked_arm(base_url: str, *, name: str = "asked", options: str = "") -> str:
    """Returns the tables of an arm that asks an endpoint zero-shot.

    Args:
        base_url: `FakeEndpoint.base_url`.
        name: The arm's.
        options: Further keys of its backend, each after a comma.
    """
    return (
        f'[endpoints.fake]\nbase_url = "{base_url}"\n\n[[arms]]\nname = "{name}"\n'
        f'backend = {{ plugin = "few-shot", endpoint = "fake", model = "sample-model"{options} }}\n'
    )


def answer_key() -> Mapping[str, str]:
    """Returns text → label of a tiny run's data, for `FakeEndpoint.answers`."""
    return {example.text: example.label for example in sample_examples(n=60)}


def recorded_replies(journal: Path) -> list[Reply]:
    """Returns the replies that a journal holds, in the order in which they came, without the calls' bodies.

    Args:
        journal: A run's `journal.sqlite`; it is not changed.
    """
    from harness.journal import read_answers, reading
    from harness.types import Call

    with reading(journal) as connection:
        rows = connection.execute("SELECT key FROM answers WHERE error IS NULL AND endpoint <> ''").fetchall()
        entries = read_answers(connection, [key for (key,) in rows])
    found = (entries[key] for (key,) in rows)
    return [Reply(entry.body, Call(endpoint=entry.endpoint, path="", body={})) for entry in found]


@cache
def _sample_run() -> Results:
    from harness.report.reading import load

    with tempfile.TemporaryDirectory(prefix="harness-testing-") as folder:
        done = tiny_run(Path(folder))
        assert done.code == 0, done.err  # noqa: S101 - our own run
        return load(done.folder)


def sample_results() -> Results:
    """Returns the results of a tiny run, made once for each process; the caller gets a copy of its own."""
    import copy

    whole = _sample_run()
    return replace(whole, data=copy.deepcopy(dict(whole.data)))
