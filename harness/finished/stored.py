"""A run as it lies on the disk: results, answers and examples, and the facts from which it can be scored again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, UsageError
from harness.journal.siblings import sibling_keys
from harness.plugins import Plugins
from harness.plugins.options import OptionError, construct, taking_part
from harness.runs import DEFAULT_OUT, RunFolder, find_run
from harness.tables import PREDICTION_TYPES, read_examples, read_table
from harness.types import Check, Example, Prediction, Split, Status

if TYPE_CHECKING:
    from harness.scoring.facts import ArmFacts, RunFacts

VALIDATION = "validation"
"""What the answers to the validation split are called in `trials.parquet`."""


@dataclass(frozen=True)
class Stored:
    """One run, read as far as it is asked for; nothing of it is changed."""

    folder: RunFolder

    @classmethod
    def find(cls, run: str, runs: Path = DEFAULT_OUT) -> Stored:
        """Finds a run that has been scored, by its folder or its name.

        Raises:
            UsageError: There is none of that name.
            DataError: It has no results, or broken ones.
        """
        found = cls(find_run(run, runs))
        _ = found.results
        return found

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`manifest.json`."""
        return self.folder.read_manifest()

    @cached_property
    def results(self) -> dict[str, Any]:
        """`results.json`."""
        from harness.report.reading import read_results

        return read_results(self.folder.results)

    @cached_property
    def arms(self) -> dict[str, dict[str, Any]]:
        """Name → entry of `results.json`."""
        return {str(arm["name"]): arm for arm in self.results["arms"]}

    @cached_property
    def predictions(self) -> dict[str, list[Prediction]]:
        """Arm → its answers to the test split.

        Raises:
            DataError: They are missing, or belong to other data.
        """
        found: dict[str, list[Prediction]] = {name: [] for name in self.arms}
        for _, row in _predictions(self.folder.predictions):
            if row.arm not in found:
                raise DataError(
                    f'{self.folder.predictions} has answers of "{row.arm}", which {self.folder.results} does not know',
                    "rebuild both: `harness run` scores again, sending nothing",
                )
            found[row.arm].append(row)
        known = self.test
        stray = next((row for rows in found.values() for row in rows if row.example_id not in known), None)
        if stray is not None:
            raise DataError(
                f'{self.folder.predictions}: example "{stray.example_id}" is no test item of this run',
                "the file is of another data set; `harness run` writes this run's own again, sending nothing",
            )
        return found

    @cached_property
    def unanswered(self) -> dict[str, int]:
        """Arm → test items that the run, being unfinished, has no answer to yet; arms that lack none are left out."""
        if self.manifest.get("finished", True):
            return {}
        if not self.folder.predictions.is_file():
            return {name: arm["failed"] for name, arm in self.arms.items() if arm["failed"]}
        rows = (row for answers in self.predictions.values() for row in answers)
        return without_answer(rows, lambda keys: sibling_keys(self.folder.journal, keys))

    @cached_property
    def examples(self) -> list[Example]:
        """All examples.

        Raises:
            DataError: `examples.parquet` is missing or broken.
        """
        found = read_examples(self.folder.examples)
        if found is None:
            raise DataError(f"{self.folder.examples} is missing or broken", "run the experiment again: nothing is sent")
        return found

    @cached_property
    def test(self) -> dict[str, Example]:
        """Id → test example."""
        return {example.id: example for example in self.examples if example.split is Split.TEST}

    @cached_property
    def groups(self) -> dict[str, str]:
        """Test example → group, where it has one."""
        return {example.id: example.group for example in self.test.values() if example.group is not None}

    def facts(self) -> tuple[RunFacts, list[ArmFacts]]:
        """Returns what the run was scored from: `build` makes the stored results of it again."""
        from harness.scoring.facts import RunFacts
        from harness.scoring.judging import assumptions

        run = self.results["run"]
        train = [example.label for example in self.examples if example.split is Split.TRAIN]
        known = {
            **_fields(RunFacts, self.results),
            **_fields(RunFacts, run),
            "dataset": run["dataset"]["name"],
            "fingerprint": run["dataset"]["fingerprint"],
            "labels": tuple(run["labels"]),
            "groups": self.groups or None,
            "slices": {example.id: example.slices for example in self.test.values()},
            "checks": tuple(Check(**check) for check in self.results["checks"]),
            "decision": assumptions(self.results),
            "prior": {label: train.count(label) / len(train) for label in run["labels"]} if train else {},
            "leaked": self._leaked(),
        }
        lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return RunFacts(**{**known, **lists}), [self._arm(arm) for arm in self.results["arms"]]

    def _arm(self, line: Mapping[str, Any]) -> ArmFacts:
        from harness.scoring.costs import price_of
        from harness.scoring.facts import ArmFacts

        n, seconds = line["n"], line["machine_s_per_1k"]
        return ArmFacts(
            **{
                **_fields(ArmFacts, line),
                "predictions": tuple(self.predictions[line["name"]]),
                "validation": tuple(self._validation.get(line["name"], ())),
                "busy_s": None if seconds is None else seconds * n / 1000,
                "price": price_of(line),
            }
        )

    @cached_property
    def _validation(self) -> dict[str, list[Prediction]]:
        """Arm → its answers to the validation split: those of a choice are the chosen candidate's."""
        if not self.folder.trials.is_file():
            return {}
        from harness.experiment.candidates import worded

        chosen = {choice["arm"]: worded(choice["chosen"]) or "final" for choice in self.results["choices"]}
        found: dict[str, list[Prediction]] = {}
        for candidate, row in _predictions(self.folder.trials):
            if candidate == chosen.get(row.arm, VALIDATION):
                found.setdefault(row.arm, []).append(row)
        return found

    def _leaked(self) -> frozenset[str]:
        """Returns the test examples that stand in train, validation or a prompt."""
        prompts = [check for check in self.results["checks"] if check["kind"] == "prompt-leak"]
        shown = [name for check in prompts for name in check["figures"]["ids"]]
        try:
            leaks = json.loads((self.folder.data / "quality.json").read_text(encoding="utf-8"))["leaks"]
        except (OSError, ValueError, LookupError):
            leaks = []
        return frozenset([leak["a"] for leak in leaks if leak["split_a"] == Split.TEST] + shown)


def without_answer(rows: Iterable[Prediction], known: Callable[[list[str]], Collection[str]]) -> dict[str, int]:
    """Counts by arm the items that have no answer yet; those that were refused for good count as asked.

    Args:
        rows: Answers.
        known: Returns which requests a journal has an answer to, or a refusal, by their keys.
    """
    failed = [row for row in rows if row.status is Status.FAILED]
    there = known([row.key for row in failed if row.key is not None])
    return dict(Counter(row.arm for row in failed if row.key not in there))


def made_for(manifest: Mapping[str, Any], kind: str, plugins: Plugins) -> list[Any]:
    """Returns the metrics or sections that are installed, with the options that a run's experiment gave them.

    Args:
        manifest: The run's; of a published one, which keeps its sections alone, likewise.
        kind: `metric` or `section`.
        plugins: What is installed or was given by `--plugin`.

    Raises:
        UsageError: A plugin does not take the options that the run gave it.
    """
    records = {record.name: record for record in plugins.of(kind)}
    kept = manifest.get("tables")
    tables = (kept if isinstance(kept, dict) else manifest).get(f"{kind}s") or ()
    try:
        made: list[Any] = [
            construct(records[table["plugin"]].cls, table, f"{kind}s[{index}]", reserved=("plugin",))
            for index, table in enumerate(tables)
            if table["plugin"] in records
        ]
    except OptionError as error:
        raise UsageError(str(error), "the plugin was edited since the run: run the experiment again") from None
    configured = {one.name for one in made}
    return made + taking_part(record for name, record in records.items() if name not in configured)


def not_loaded(manifest: Mapping[str, Any], kind: str, plugins: Plugins) -> dict[str, str]:
    """Returns the plugins of a kind that a run was made with and that are not there: name → where they came from."""
    used = manifest.get("plugins")
    there = {f"{kind} {record.name}" for record in plugins.of(kind)}
    lost = {key: told for key, told in (used if isinstance(used, dict) else {}).items() if key not in there}
    return {
        key.removeprefix(f"{kind} "): str(told["distribution"])
        for key, told in lost.items()
        if key.startswith(f"{kind} ")
    }


def _fields(cls: type, told: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those fields of a dataclass that stand in the results under their own name."""
    return {each.name: told[each.name] for each in fields(cls) if each.name in told}


def _predictions(path: Path) -> list[tuple[str | None, Prediction]]:
    """Reads predictions or trials, the latter with their candidate."""
    return [(row.get("candidate"), _prediction(row)) for row in read_table(path).to_pylist()]


def _prediction(row: Mapping[str, Any]) -> Prediction:
    known = {name: row[name] for name in PREDICTION_TYPES if name in row}
    told = known.get("probabilities")
    return Prediction(
        **{
            **known,
            "status": Status(known["status"]),
            "shot_ids": tuple(known.get("shot_ids") or ()),
            "probabilities": None if told is None else json.loads(told),
        }
    )
