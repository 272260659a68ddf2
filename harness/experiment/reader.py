"""experiment.toml → Experiment: the one validation edge.

Whatever leaves this module is complete and consistent; whatever is wrong is said here, with the key's path, its line
and the nearest right name, before anything is loaded or spent.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from harness.errors import ExperimentError, KeyedError, PluginError, closest, nearest
from harness.experiment import LOCAL, Arm, Experiment, Shots
from harness.experiment.candidates import candidate, combinations, grid_of, read_choose, simplest, with_settings
from harness.experiment.file import ArmTable, ChooseBudget, EndpointTable, ExperimentFile, ShotsTable, known_keys
from harness.experiment.toml_lines import find_line
from harness.plugins import Plugins
from harness.plugins.options import OptionError, construct, finding, key_path, shortened, taking_part

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DATA = frozenset(
    {".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".txt", ".xlsx", ".gz", ".zst"}
)
"""Endings of what is given in an experiment's place by mistake."""


def load(path: Path, plugins: Plugins, *, allowed_files: Sequence[str | Path] = ()) -> Experiment:
    """Reads an experiment file.

    Args:
        path: The TOML file.
        plugins: What is installed or was given by `--plugin`.
        allowed_files: The files given by `--plugin`: an experiment alone loads no code.

    Raises:
        ExperimentError: Something in it is wrong; one line says what, where and what is nearest.
        PluginError: It needs a plugin that there is not, or that failed to load.
    """
    source, tables = _read(path)
    return _Resolver(path=path, source=source, plugins=plugins).experiment(tables, allowed_files)


def allowed(path: Path) -> list[str] | None:
    """Returns the distributions to which an experiment limits plugins; `None` where it does not.

    What is wrong with the table is said when the experiment is loaded.

    Raises:
        ExperimentError: The file is missing or broken.
    """
    return limits(_read(path)[1])


def limits(tables: Mapping[str, Any]) -> list[str] | None:
    """Returns what `allowed` does, from an experiment's tables: a file's, or those that a run has kept of it."""
    table = tables.get("plugins")
    named = table.get("allow") if isinstance(table, Mapping) else None
    return [str(name) for name in named] if isinstance(named, list) else None


def loose_files(tables: Mapping[str, Any]) -> list[str]:
    """Returns the plugin files that the tables name which a run has kept of its experiment."""
    table = tables.get("plugins", ())
    return list(table.get("files", ()) if isinstance(table, Mapping) else table)


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Returns an experiment file's bytes and tables."""
    if path.suffix.lower() in DATA and path.is_file():  # not read: it may be large
        raise ExperimentError(
            f"{path} looks like data; an experiment file (.toml) is expected",
            f"`harness init {path}` writes one for it",
        )
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        near = nearest(path.name, (other.name for other in path.parent.glob("*.toml"))) if path.parent.is_dir() else ""
        raise ExperimentError(f"{path}: there is no such file", near) from None
    except IsADirectoryError:
        inside = [str(other) for other in path.glob("*.toml")]
        hint = nearest("", inside) if inside else "`harness init DATA` writes one"
        raise ExperimentError(f"{path} is a folder; an experiment file (.toml) is expected", hint) from None
    except OSError as error:
        raise ExperimentError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        tables = tomllib.loads(source.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path}: not UTF-8 (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).partition(" (at ")  # "… (at line 7, column 14)", or "(at end of document)"
        where = f"{path}, {place.rstrip(')')}" if place else str(path)
        hint = "a text between quotes ends in its line: is a quote missing?" if "character '\\n'" in said else ""
        raise ExperimentError(f"{where}: not TOML: {said}", hint) from None
    return source, tables


def restored(tables: Mapping[str, Any], path: Path, plugins: Plugins) -> Experiment:
    """Makes an experiment from the tables that a run has kept of it; `path` is named in errors."""
    return _Resolver(path=path, source=b"", plugins=plugins).experiment({**tables, "plugins": []}, ())


def _misspelt(found: Sequence[ErrorDetails]) -> ErrorDetails | None:
    """Returns the unknown key that stands where the first finding misses one of nearly its name."""
    *table, name = found[0]["loc"]
    unknown = (one for one in found if one["type"] == "extra_forbidden" and [*one["loc"][:-1]] == table)
    return next((one for one in unknown if closest(str(one["loc"][-1]), [str(name)])), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolver:
    """Holds what every error needs: the file and the plugins."""

    path: Path
    source: bytes
    plugins: Plugins

    def where(self, key: str) -> str:
        line = find_line(self.source, key)
        return f"{self.path}{f', line {line}' if line else ''}: {key}"

    def error(self, key: str, message: str) -> KeyedError:
        return KeyedError(f"{self.where(key)}: {message}", key, message)

    def experiment(self, tables: dict[str, Any], allowed_files: Sequence[str | Path]) -> Experiment:
        try:
            file = ExperimentFile.model_validate(tables)
        except ValidationError as error:
            raise self._first(error, tables, ExperimentFile) from None
        self._loose_files(file, allowed_files)
        self.plugins.check()
        endpoints = self._endpoints(file)
        arms = tuple(
            self._with_curves(self._arm(table, f"arms[{index}]", endpoints, file.seed), file.arms[index], index)
            for index, table in enumerate(tables["arms"])
        )
        self._names(arms, file)
        dataset = self._plugin("dataset", file.dataset, "dataset")
        if getattr(dataset, "split", None) and "split" in file.prepare.model_fields_set:
            raise self.error("prepare.split", "dataset.split names a column that says it: leave one of them out")
        return Experiment(
            name=file.name,
            seed=file.seed,
            path=self.path,
            dataset=dataset,
            prepare=file.prepare,
            endpoints=endpoints,
            prices=file.prices,
            budget=file.budget,
            verdict=file.verdict,
            decision=file.decision,
            executor=self._plugin("executor", file.executor, "executor"),
            arms=arms,
            repeats=file.repeats,
            metrics=self._active("metric", file.metrics, "metrics"),
            sections=self._active("section", file.sections, "sections"),
            observers=self._active("observer", file.observers, "observers"),
            plugins=self.plugins,
            tables=tables,
        )

    def _first(self, error: ValidationError, value: Any, model: type[BaseModel], path: str = "") -> ExperimentError:
        """Turns pydantic's first finding into one line: path, line, what was expected, nearest name."""
        found = error.errors(include_url=False)
        if found[0]["type"] == "missing":  # what else is wrong is no part of it, but may be the reason
            found = [_misspelt(found) or found[0]]
        first = found[0]
        where, message = finding(found, value)
        parts = [path, *where] if path else where
        if first["type"] == "missing":
            return self.error(key_path([*parts, first["loc"][-1]]), "is missing")
        if first["type"] == "extra_forbidden":
            known = known_keys(model, where)
            return self.error(key_path(parts), f"there is no such key; {nearest(str(where[-1]), known)}")
        return self.error(key_path(parts), message)

    def _loose_files(self, file: ExperimentFile, allowed: Sequence[str | Path]) -> None:
        given = {Path(name).resolve() for name in allowed}
        short = isinstance(file.plugins, list)
        for index, name in enumerate(file.plugins if isinstance(file.plugins, list) else file.plugins.files):
            if (self.path.parent / name).resolve() not in given:
                raise self.error(
                    f"plugins[{index}]" if short else f"plugins.files[{index}]",
                    f"code is loaded only when the command repeats it: --plugin {self.path.parent / name}",
                )

    def _endpoints(self, file: ExperimentFile) -> dict[str, EndpointTable]:
        endpoints = dict(file.endpoints)
        endpoints.setdefault(LOCAL, EndpointTable(concurrency=48))
        for name, table in endpoints.items():
            if name != LOCAL and not table.base_url:
                raise self.error(f"endpoints.{name}", "base_url is missing")
            if name == LOCAL and (table.base_url or table.api_key_env):
                raise self.error("endpoints.local", "the harness starts this endpoint itself; give yours another name")
        return endpoints

    def _endpoint_of(self, user: Any, path: str, endpoints: Mapping[str, EndpointTable]) -> None:
        name = getattr(user, "endpoint", None)
        if name is not None and name not in endpoints:
            raise self.error(
                f"{path}.endpoint",
                f'there is no endpoint "{name}" (no table [endpoints.{name}]); {nearest(name, endpoints)}',
            )

    def _names(self, arms: Sequence[Arm], file: ExperimentFile) -> None:
        names = [arm.name for arm in arms]
        for index, arm in enumerate(arms):
            if arm.name in names[:index]:
                raise self.error(f"arms[{index}].name", f'two arms are named "{arm.name}"; give each a name of its own')
            if arm.of is not None and arm.of not in names:
                raise self.error(f"arms[{index}].of", f'there is no arm "{arm.of}"; {nearest(arm.of, names)}')
        if file.decision.incumbent is not None and file.decision.incumbent not in names:
            raise self.error(
                "decision.incumbent",
                f'there is no arm "{file.decision.incumbent}"; {nearest(file.decision.incumbent, names)}',
            )

    def _plugin(self, kind: str, table: Any, path: str, *, key: str = "plugin") -> Any:
        if not isinstance(table, Mapping):
            raise self.error(path, f"a table is expected, got {shortened(table)}")
        name = table.get(key)
        if not isinstance(name, str):
            raise self.error(path, f'names no {kind}: {key} = "…" is missing')
        try:
            return construct(self.plugins.get(kind, name).cls, table, path, reserved=(key,))
        except PluginError as error:
            raise PluginError(f"{self.where(f'{path}.{key}')}: {error.message}", error.hint) from error.__cause__
        except OptionError as error:
            raise self.error(error.path, error.message) from None

    def _active(self, kind: str, tables: Sequence[Mapping[str, Any]], path: str) -> tuple[Any, ...]:
        """Returns the plugins that the experiment configures and all others that need no options."""
        made = [self._plugin(kind, table, f"{path}[{index}]") for index, table in enumerate(tables)]
        configured = {plugin.name for plugin in made}
        return (*made, *taking_part(one for one in self.plugins.of(kind) if one.name not in configured))

    def _arm(self, table: dict[str, Any], path: str, endpoints: Mapping[str, EndpointTable], seed: int) -> Arm:
        arm = self._contender(table, path, endpoints)
        if not table.get("choose"):
            return arm
        at = f"{path}.choose"

        def wrong(key: str, said: str) -> KeyedError:
            return self.error(f"{at}.{key}" if key else at, said)

        def made(settings: Mapping[str, Any]) -> Arm:
            return self._contender(with_settings(table, settings, wrong), at, endpoints)

        choose = read_choose(table["choose"], arm.trained, wrong)
        budget = self._budget(choose.budget, f"{at}.budget")
        grid = grid_of(choose.values, budget.trials, random.Random(f"choose {seed} {arm.name}"))
        return replace(
            arm,
            candidates=tuple((each, candidate(made, each, at, wrong)) for each in simplest(grid)),
            choose_items=choose.items,
            choose_budget=budget,
            combinations=combinations(choose.values),
            checkpoints=choose.checkpoints,
        )

    def _with_curves(self, arm: Arm, table: ArmTable, index: int) -> Arm:
        if table.learning_curve and not any(one.trained or hasattr(one.backend, "fit") for one in arm.variants):
            raise self.error(f"arms[{index}].learning_curve", f"nothing is trained by {arm.backend.name}: no curve")
        if table.shot_curve and not any(one.shots for one in arm.variants):
            raise self.error(f"arms[{index}].shot_curve", "the arm shows no shots: give it `shots`, e.g. { k = 8 }")
        return replace(arm, learning_curve=table.learning_curve, shot_curve=table.shot_curve)

    def _budget(self, table: Any, path: str) -> ChooseBudget:
        try:
            return ChooseBudget.model_validate(table)
        except ValidationError as error:
            raise self._first(error, table, ChooseBudget, path) from None

    def _contender(self, table: dict[str, Any], path: str, endpoints: Mapping[str, EndpointTable]) -> Arm:
        backend = self._plugin("backend", table["backend"], f"{path}.backend")
        self._endpoint_of(backend, f"{path}.backend", endpoints)
        default = {"plugin": getattr(backend, "default_formatter", "completion")}
        formatter = self._plugin("formatter", table.get("formatter") or default, f"{path}.formatter")
        return Arm(
            name=table["name"],
            backend=backend,
            formatter=formatter,
            shots=self._shots(table.get("shots"), f"{path}.shots", endpoints),
            of=table.get("of"),
        )

    def _shots(self, table: Any, path: str, endpoints: Mapping[str, EndpointTable]) -> Shots | None:
        if not table:
            return None
        try:
            checked = ShotsTable.model_validate(table)
        except ValidationError as error:
            raise self._first(error, table, ShotsTable, path) from None
        options = {key: value for key, value in table.items() if key not in {"k", "draw"}}
        selector = self._plugin("selector", {"selector": checked.selector, **options}, path, key="selector")
        self._endpoint_of(getattr(selector, "embeddings", None), f"{path}.embeddings", endpoints)
        return Shots(selector=selector, k=checked.k, draw=checked.draw)
