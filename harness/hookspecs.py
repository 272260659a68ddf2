"""The hooks. Each returns plugin classes (see `harness.contract`); order does not matter, names must be unique."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from harness.contract import Backend, Dataset, Executor, Formatter, Metric, Observer, Section, Selector

PROJECT = "finetune_harness"
"""pluggy's project name and the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def harness_datasets() -> Iterable[type[Dataset]]:
    """Declare datasets: classes whose `load(ctx)` yields examples."""
    return ()


@hookspec
def harness_formatters() -> Iterable[type[Formatter]]:
    """Declare formatters: example + shots → prompt, example → training line, answer text → label."""
    return ()


@hookspec
def harness_selectors() -> Iterable[type[Selector]]:
    """Declare selectors: classes that pick shots from the train split."""
    return ()


@hookspec
def harness_backends() -> Iterable[type[Backend]]:
    """Declare backends: remote (`calls`, `read`) or in process (`open`), trainable or not."""
    return ()


@hookspec
def harness_metrics() -> Iterable[type[Metric]]:
    """Declare metrics: every one whose options all have defaults is computed for every arm."""
    return ()


@hookspec
def harness_report_sections() -> Iterable[type[Section]]:
    """Declare report sections; they stand in the page by `order`, then by name."""
    return ()


@hookspec
def harness_executors() -> Iterable[type[Executor]]:
    """Declare executors: ways of carrying requests out."""
    return ()


@hookspec
def harness_observers() -> Iterable[type[Observer]]:
    """Declare observers; each is called on a thread of its own and cannot harm the run."""
    return ()
