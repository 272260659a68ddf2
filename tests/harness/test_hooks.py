"""The hooks: documented from their specifications, each used by a shipped plugin; and the list of what is public."""

from __future__ import annotations

import inspect
import re
import types
import warnings

import pluggy
import pytest
from support.hooks_reference import PAGE, page

import harness
from harness import hookspecs
from harness.plugins.discovery import KINDS, PROTOCOLS, discover
from harness.testing._promises import KINDS as PROMISED

HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("harness_")}
PUBLIC = {
    "Answer", "Call", "Carrier", "Check", "Context", "DataError", "Event", "Example", "ExperimentError",
    "GateError", "HarnessError", "JobSpec", "Message", "PluginError", "Prediction", "Prompt", "Reply", "Results",
    "Row", "Rows", "Send", "Split", "Status", "TrainingFiles", "TrainingRefusedError", "UnfinishedError",
    "UsageError", "__version__", "blocks", "content_id", "fold", "hookimpl", "nearest", "nearly_same", "parsing",
    "shingles",
}  # fmt: skip
"""What 0.1 has: names are added here, and none is ever taken out."""


def test_the_reference_is_what_the_specifications_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: make hooks"


def test_every_hook_stands_in_the_reference_with_its_signature() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert set(HOOKS) == {hook for hook, _ in KINDS.values()}
    for name, spec in HOOKS.items():
        assert f"\n## {name}\n" in text
        assert f"def {name}() -> {inspect.signature(spec).return_annotation}: ..." in text
        assert re.search(r"^Since \d", inspect.getdoc(spec) or "", re.MULTILINE)
    for kind, protocols in PROTOCOLS.items():
        for protocol in protocols:
            for method, function in vars(protocol).items():
                if isinstance(function, types.FunctionType) and not method.startswith("_"):
                    assert f"def {method}(" in text, f"{kind}: {method}"
    for kind, promises in PROMISED.items():
        assert all(f"| `{name}` |" in text for name in promises), kind


def test_every_hook_is_used_by_a_shipped_plugin() -> None:
    assert {record.kind for record in discover().records if record.distribution.startswith("finetune-harness ")} == set(
        KINDS
    )


def test_a_hook_that_is_to_go_warns_with_its_successor() -> None:
    """The policy of the reference, carried out: pluggy's `warn_on_impl` names what to implement instead."""
    mark = pluggy.HookspecMarker(hookspecs.PROJECT)
    gone = DeprecationWarning("harness_olds goes in 0.4: implement harness_news")
    specs, plugin = types.ModuleType("specs"), types.ModuleType("plugin")
    specs.harness_olds = mark(warn_on_impl=gone)(lambda: ())  # type: ignore[attr-defined]
    plugin.harness_olds = hookspecs.hookimpl(lambda: ())  # type: ignore[attr-defined]
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(specs)
    with pytest.warns(DeprecationWarning, match="implement harness_news"):
        manager.register(plugin)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discover()  # none of today's is


def test_the_public_names_are_there_and_only_grow() -> None:
    assert sorted(harness.__all__, key=str.casefold) == sorted(set(harness.__all__), key=str.casefold)
    assert set(harness.__all__) >= PUBLIC
    for name in harness.__all__:
        value = getattr(harness, name)
        assert name == "__version__" or inspect.getdoc(value), name
