"""From a run's folder back to its experiment, with arms that are ready to answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import tables
from harness.console import Console
from harness.errors import UsageError, nearest
from harness.execution.questions import mark
from harness.experiment import LOCAL, Arm, Experiment
from harness.experiment.reader import loose_files, restored
from harness.files import make_folder
from harness.journal import Journal
from harness.plugins import Plugins
from harness.prepare.options import Prepared
from harness.running.arm_training import ArmTraining
from harness.running.manifest import weights_of
from harness.running.session import RunOptions, Session, put_together, require_keys, require_prices
from harness.runs import RunFolder
from harness.secrets import Scrubber
from harness.training import continuing


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """A run that has been made, as it can answer again."""

    folder: RunFolder
    manifest: Mapping[str, Any]
    results: Mapping[str, Any]
    """`results.json`; empty where the run has none yet."""
    experiment: Experiment
    data: Prepared

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.manifest["id"])

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the text fields of its examples, in their order."""
        return tuple(next((tuple(example.fields) for example in self.data.examples), ()))

    def _named(self, name: str) -> Arm:
        """Returns an arm as the experiment has it.

        Raises:
            UsageError: There is none; the nearest is named.
        """
        arms = {arm.name: arm for arm in self.experiment.arms}
        if name not in arms:
            raise UsageError(f'the run {self.id} has no arm "{name}"; {nearest(name, arms)}')
        return arms[name]

    def arm(self, name: str) -> Arm:
        """Returns an arm as it answered the test: its candidate chosen, its model trained.

        Raises:
            UsageError: There is no such arm, or it was never trained or chosen.
        """
        arm = self._chosen(self._named(name))
        ready = self._trained(arm)
        if ready is None:
            able = [one.name for one in self.arms()]
            raise UsageError(
                f'the arm "{name}" of {self.id} was never trained; {nearest(name, able)}', self.go_on(name)
            )
        return ready

    def arms(self) -> list[Arm]:
        """Returns all arms that can answer, in the experiment's order."""
        ready = []
        for arm in self.experiment.arms:
            with suppress(UsageError):  # it has not been chosen yet
                ready.append(self._trained(self._chosen(arm)))
        return [arm for arm in ready if arm is not None]

    def edited(self, arms: Iterable[Arm]) -> list[str]:
        """Says which plugins of these arms, or whose weights, are no longer what the run was judged with."""
        before, said = self.manifest.get("plugins", {}), []
        weights = self.manifest.get("weights") or ""
        for arm in arms:
            if arm.endpoint == LOCAL and weights and self.experiment.local_weights(weights) != weights:
                said.append("the local model's weights have changed since the run: it may answer otherwise")
            for plugin in (arm.backend, arm.formatter, *([arm.shots.selector] if arm.shots else [])):
                record = self.experiment.plugins.find(plugin)
                old = None if record is None else before.get(f"{record.kind} {record.name}")
                if record is not None and old is not None and old["source"] != record.source_hash:
                    said.append(f"the {record.kind} {record.name} was edited since the run: it may answer otherwise")
        return list(dict.fromkeys(said))

    def _trained(self, arm: Arm) -> Arm | None:
        """Puts the trained model in; `None` where an arm needs one and has none."""
        if not arm.needs_job:
            return arm
        model = continuing.trained_model(self.folder, arm.name)
        return None if model is None else replace(arm, backend=replace(arm.backend, model=model))  # type: ignore[type-var]

    def _chosen(self, arm: Arm) -> Arm:
        """Returns the candidate that was chosen; its name and what is told of it stay the arm's."""
        if not arm.candidates:
            return arm
        choice = next((one for one in self.results.get("choices") or () if one["arm"] == arm.name), None)
        if choice is None:
            raise UsageError(f'the run {self.id} has not chosen yet what the arm "{arm.name}" is', self.go_on(arm.name))
        # A checkpoint is a model of the candidate's own training.
        wanted = {key: value for key, value in choice["chosen"].items() if key != "checkpoint"}
        for settings, one in arm.candidates:
            if _same(settings, wanted):
                return replace(one, candidates=())
        raise UsageError(f'what was chosen for "{arm.name}" is no candidate any more', self.go_on(arm.name))

    def go_on(self, name: str) -> str:
        """Says how to get what an arm lacks."""
        command = self.manifest.get("command") or "harness run"
        return f"finish the run first: {command}, without --only or with --only {json.dumps(name, ensure_ascii=False)}"


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return json.dumps(dict(one), sort_keys=True, default=str) == json.dumps(dict(other), sort_keys=True, default=str)


def reopen(folder: RunFolder, plugins: Plugins, files: Sequence[str | Path] = ()) -> Reopened:
    """Makes a run's experiment again.

    Args:
        folder: The run's.
        plugins: What is installed or was given by `--plugin`.
        files: What was given by `--plugin`: a run loads no code that is not.

    Raises:
        UsageError: The run keeps too little of its experiment, or needs plugin files that were not given.
        PluginError: A plugin is not there any more.
    """
    manifest = folder.read_manifest()
    kept = manifest.get("tables")
    examples = tables.read_examples(folder.examples)
    if not isinstance(kept, dict) or examples is None:
        what = "of its experiment" if not isinstance(kept, dict) else "of its data"
        raise UsageError(
            f"{folder.path} does not hold what is needed {what}",
            "run the experiment again with this version: what is there is not asked twice",
        )
    given = {Path(file).name for file in files}
    for name in loose_files(kept):
        if Path(name).name not in given:
            raise UsageError(
                f"{manifest['id']} was made with the plugin file {name}", f"give it again: --plugin {name}"
            )
    _require_headers(manifest["id"], kept)
    experiment = restored(kept, folder.manifest, plugins)
    return Reopened(
        folder=folder,
        manifest=manifest,
        results=_results(folder),
        experiment=replace(experiment, continued={}),
        data=Prepared(
            examples=tuple(examples),
            labels=tuple(continuing.labels_of(folder)),
            removed={},
            rows_in=len(examples),
            leaks=(),
            checks=(),
            fingerprint=str(manifest.get("chain", {}).get("data", "")),
        ),
    )


def _require_headers(run: str, kept: Mapping[str, Any]) -> None:
    for name, table in kept.get("endpoints", {}).items():
        lost = [header for header, value in table.get("headers", {}).items() if value is None]
        if lost:
            raise UsageError(
                f"{run} does not keep the value of the header {lost[0]} of the endpoint {name}",
                f'put it into an environment variable, write headers = {{ {lost[0]} = {{ env = "NAME" }} }}, '
                "and run the experiment again: nothing is sent for it",
            )


def _results(folder: RunFolder) -> dict[str, Any]:
    try:
        loaded = json.loads(folder.results.read_bytes())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


@contextmanager
def tools(
    run: Reopened,
    arms: Sequence[Arm],
    journal: Path,
    console: Console,
    *,
    max_usd: float | None,
    siblings: tuple[RunFolder, ...] = (),
) -> Iterator[ArmTraining]:
    """Puts together what asks a run's arms about other data: the run's engine over a journal of its own.

    Args:
        run: The run.
        arms: Who will be asked, as `Reopened.arm` returns them.
        journal: The journal's file.
        console: Is told.
        max_usd: The budget; the experiment's where it is `None`.
        siblings: Whose answers are taken over.

    Raises:
        UsageError: A key is not in the environment, a price is missing under a budget, a model is gone, or
            nothing can be written there.
    """
    options = RunOptions(out=run.folder.path.parent, max_usd=max_usd)
    require_keys(run.experiment, arms)
    require_prices(run.experiment, arms, options)
    make_folder(journal.parent)
    session = Session(
        experiment=run.experiment,
        options=options,
        console=console,
        folder=run.folder,
        data=run.data,
        scrub=Scrubber.of(run.experiment.secret_names()),
        weights=weights_of(run.experiment, run.folder),
        siblings=siblings,
    )
    with ExitStack() as stack:
        work = put_together(session, stack.enter_context(Journal(journal)), stack)
        work.asking.prices.trained.update(_bases(run, arms))
        for arm in arms:
            _require_fitted(work, run, arm)
        for message in run.edited(arms):
            console.say(message)
        yield work


def _bases(run: Reopened, arms: Iterable[Arm]) -> dict[str, str]:
    """Returns trained model → the model that it was trained from, back to the first."""
    known = {model: str(one["base"]) for model, one in run.manifest.get("continued", {}).items()}
    pairs = ((arm.model, arm.base) for arm in arms)
    return known | {model: base for model, base in pairs if model and base}


def _require_fitted(work: ArmTraining, run: Reopened, arm: Arm) -> None:
    """Sees to it that the model of an arm that answers in this process is the one that was fitted in the run.

    Raises:
        UsageError: It is not there, or the plugin that reads it was edited.
    """
    if not hasattr(arm.backend, "fit"):
        return
    key = work.fit_key(arm)
    if not (run.folder.model(arm.name, key) / "fit.json").is_file():
        raise UsageError(
            f'the model of the arm "{arm.name}" is not in {run.folder.models}, or its plugin was edited since',
            run.go_on(arm.name),
        )
    work.asking.asker.fit_keys[mark(arm)] = key
