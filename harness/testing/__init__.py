"""The conformance kit for plugin authors: does a plugin keep what its kind promises?

```python
from harness.testing import check_backend
from my_plugins import Constant

def test_constant() -> None:
    check_backend(Constant, {"label": "good"})
```

Each `check_…` takes a class with its options as an experiment's table has them, or an instance, and tries it as the
engine would. It raises one `BrokenPromisesError` (an `AssertionError`) that names every broken promise, the plugin, and
how to mend it. `harness plugins --check NAME` does the same from the command line; the promises are listed in
`docs/reference/hooks.md`. Fixtures for pytest come with the installation: `harness_endpoint`, `harness_run`,
`harness_journal`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.testing._endpoint import PROFILES, Asked, FakeEndpoint
from harness.testing._promises import KINDS, Promise, promises
from harness.testing._run import TinyRun, answer_key, asked_arm, recorded_replies, sample_results, tiny_run
from harness.testing._samples import LABELS, sample_examples
from harness.testing._trial import BrokenPromisesError, Trial, Violation
from harness.types import Example

__all__ = [
    "PROFILES",
    "Asked",
    "BrokenPromisesError",
    "FakeEndpoint",
    "Promise",
    "TinyRun",
    "Violation",
    "answer_key",
    "asked_arm",
    "check_backend",
    "check_dataset",
    "check_executor",
    "check_formatter",
    "check_metric",
    "check_observer",
    "check_plugin",
    "check_section",
    "check_selector",
    "promises",
    "recorded_replies",
    "sample_examples",
    "sample_results",
    "tiny_run",
]

Options = Mapping[str, Any]


def check_dataset(
    plugin: Any, options: Options | None = None, *, folder: Path | None = None, skip: Collection[str] = ()
) -> None:
    """Checks a dataset.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        folder: What a relative path in its options is relative to; by default an empty folder.
        skip: Names of promises that it cannot keep, such as `deterministic` of live data.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("dataset", plugin, options, folder=folder, skip=skip)


def check_formatter(
    plugin: Any,
    options: Options | None = None,
    *,
    examples: Sequence[Example] = (),
    labels: Sequence[str] = (),
    skip: Collection[str] = (),
) -> None:
    """Checks a formatter.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        examples: At least four labelled examples that it can format; by default such with one field `text`.
        labels: The label set; by default that of the examples.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("formatter", plugin, options, examples=examples, labels=labels, skip=skip)


def check_selector(
    plugin: Any, options: Options | None = None, *, examples: Sequence[Example] = (), skip: Collection[str] = ()
) -> None:
    """Checks a selector.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        examples: At least sixteen labelled examples, no two alike; the last six are asked about, the others train.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("selector", plugin, options, examples=examples, skip=skip)


def check_backend(
    plugin: Any,
    options: Options | None = None,
    *,
    examples: Sequence[Example] = (),
    labels: Sequence[str] = (),
    folder: Path | None = None,
    skip: Collection[str] = (),
) -> None:
    """Checks a backend of either shape. Nothing is sent: replies are made up, good ones and malformed ones.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        examples: At least sixteen labelled examples, no two alike.
        labels: The label set; by default that of the examples.
        folder: What a relative path in its options is relative to; by default an empty folder.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("backend", plugin, options, examples=examples, labels=labels, folder=folder, skip=skip)


def check_metric(plugin: Any, options: Options | None = None, *, skip: Collection[str] = ()) -> None:
    """Checks a metric.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("metric", plugin, options, skip=skip)


def check_section(plugin: Any, options: Options | None = None, *, skip: Collection[str] = ()) -> None:
    """Checks a report section on the results of a tiny run, whole and with parts missing.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("section", plugin, options, skip=skip)


def check_executor(plugin: Any, options: Options | None = None, *, skip: Collection[str] = ()) -> None:
    """Checks an executor in memory. What it does through a client or in other processes needs a real run.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("executor", plugin, options, skip=skip)


def check_observer(plugin: Any, options: Options | None = None, *, skip: Collection[str] = ()) -> None:
    """Checks an observer: every kind of event, also such as there are not yet, on a thread of its own.

    A relative path in its options lands in a folder that is gone afterwards.

    Args:
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        skip: Names of promises that it cannot keep.

    Raises:
        BrokenPromisesError: It breaks its contract.
    """
    check_plugin("observer", plugin, options, skip=skip)


def check_plugin(
    kind: str, plugin: Any, options: Options | None = None, *, folder: Path | None = None, **given: Any
) -> tuple[str, ...]:
    """Checks a plugin of any kind; see the function of that kind.

    Args:
        kind: `dataset`, `formatter`, `selector`, `backend`, `metric`, `section`, `executor` or `observer`.
        plugin: The class, or an instance.
        options: Its options, where it is a class.
        folder: What relative paths in its options are relative to; by default an empty folder.
        given: `examples`, `labels` and `skip`, as the function of the kind has them.

    Returns:
        The names of the promises that were looked at.

    Raises:
        BrokenPromisesError: It breaks its contract.
        ValueError: There is no such kind, or no promise of a name in `skip`.
        harness.plugins.options.OptionError: The options are not what the class takes.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; there is {', '.join(KINDS)}")
    unknown = sorted(set(given.get("skip") or ()) - set(promises(kind)))
    if unknown:
        raise ValueError(f"a {kind} makes no promise {unknown[0]!r}; there is {', '.join(promises(kind))}")
    with tempfile.TemporaryDirectory(prefix="harness-testing-") as temporary:
        examples = tuple(given.get("examples") or ()) or sample_examples(tuple(given.get("labels") or ()) or LABELS)
        trial = Trial(
            kind=kind,
            cls=plugin if isinstance(plugin, type) else type(plugin),
            make=_maker(plugin, options),
            scratch=Path(temporary).resolve(),
            folder=(folder or Path(temporary)).resolve(),
            skip=tuple(given.get("skip") or ()),
            labels=tuple(given.get("labels") or ()) or tuple(sorted({one.label for one in examples})),
            examples=examples,
        )
        with trial.part():
            trial.begin()
            _carry_out(trial)
    trial.settle()
    return tuple(trial.kept)


def _maker(plugin: Any, options: Options | None) -> Callable[[], Any]:
    import copy

    from harness.plugins.options import construct

    if not isinstance(plugin, type):
        return lambda: copy.deepcopy(plugin)
    return lambda: construct(plugin, dict(options or {}), "options")


def _carry_out(trial: Trial) -> None:
    from harness.testing import _answers, _carrying, _common, _data, _scores

    _common.common(trial)
    tried: Mapping[str, Callable[[Trial], None]] = {
        "dataset": _data.dataset,
        "formatter": _data.formatter,
        "selector": _data.selector,
        "backend": _answers.backend,
        "metric": _scores.metric,
        "section": _scores.section,
        "executor": _carrying.executor,
        "observer": _carrying.observer,
    }
    if not any(one.promise == "methods" for one in trial.violations):
        tried[trial.kind](trial)
