"""The hooks: how a package or file says which plugins it has.

Each hook takes no argument and returns plugin classes (see `harness.contract`), not instances; any iterable will do, a
generator too. Hooks are called once, when the command begins, and must not do anything but return. Modules are asked
one by one, and what they declare is sorted by kind and name: the order of installing, importing and calling does not
matter. Names must be unique within a kind. Where a hook raises, or a class does not keep its contract, `harness
plugins` lists that one as failed, with the reason, and all others stand.

A hook never changes its name, arguments or meaning. One that is to go is first marked (`hookspec(warn_on_impl=…)`):
implementing it then warns, naming what to implement instead, for at least two minor versions.
"""

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
    """Declare datasets: classes whose `load(ctx)` yields examples.

    Used where an experiment says `[dataset]` with `plugin = "NAME"`; every other key of that table is an option. There
    is one dataset in a run.

    Since 0.1.
    """
    return ()


@hookspec
def harness_formatters() -> Iterable[type[Formatter]]:
    """Declare formatters: example + shots → prompt, example → training line, answer text → label.

    Used where an arm says `formatter = { plugin = "NAME" }`; an arm that says nothing gets its backend's
    `default_formatter`, else `completion`.

    Since 0.1.
    """
    return ()


@hookspec
def harness_selectors() -> Iterable[type[Selector]]:
    """Declare selectors: classes that pick shots from the train split.

    Used where an arm says `shots = { selector = "NAME", k = 8 }`. The engine holds what was picked against the train
    split: `k` examples out of it, as they are, never the item itself.

    Since 0.1.
    """
    return ()


@hookspec
def harness_backends() -> Iterable[type[Backend]]:
    """Declare backends: remote (`calls`, `read`) or in process (`open`), trainable or not.

    Used where an arm says `backend = { plugin = "NAME" }`.

    Since 0.1.
    """
    return ()


@hookspec
def harness_metrics() -> Iterable[type[Metric]]:
    """Declare metrics: every one whose options all have defaults is computed for every arm.

    Others are computed where the experiment configures them: `metrics = [{ plugin = "NAME", … }]`. Figures stand in
    `results.json` under each arm's `metrics`, by the names that `score` returns; a later metric's figure takes the
    place of an earlier one's of the same name, so choose names of your own. A metric that fails or cannot be made is
    left out of all arms, with a warning in the report; it ends the run only where the experiment or `--plugin` names
    it.

    Since 0.1.
    """
    return ()


@hookspec
def harness_report_sections() -> Iterable[type[Section]]:
    """Declare report sections; they stand in the page by `order`, then by name.

    Sections whose options all have defaults are in every report, others where the experiment configures them. Shipped
    sections stand at 100, 200, …; without `order` a section comes last. A section that raises, or cannot be made,
    becomes a remark that names it: what it yielded before stands.

    Since 0.1.
    """
    return ()


@hookspec
def harness_executors() -> Iterable[type[Executor]]:
    """Declare executors: ways of carrying requests out.

    Used where an experiment says `executor = { plugin = "NAME" }`, by default `local`; there is one in a run.

    Since 0.1.
    """
    return ()


@hookspec
def harness_observers() -> Iterable[type[Observer]]:
    """Declare observers; each is called on a thread of its own and cannot harm the run.

    Observers whose options all have defaults watch every run, others where the experiment configures them:
    `observers = [{ plugin = "NAME", … }]`. Each gets its events in order; one that raises gets no more, and the run
    says so at its end.

    Since 0.1.
    """
    return ()
