"""What plugins return, looked at before anything is built on it; each error names the plugin and its origin."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from harness.plugins import broke
from harness.plugins.options import shortened
from harness.types import Answer, Call, Check, Example, JobSpec, Message, Prompt, Split

ANSWER_HINT = "see harness.Answer for what each field holds"


def example(dataset: object, number: int, given: Any) -> Example:
    """Returns what a dataset yielded.

    Raises:
        PluginError: It is no example, or a field of it is no text.
    """
    wrong = wrong_example(given)
    if wrong is not None:
        raise broke(dataset, "load", f"yielded something wrong, example {number}: {wrong}")
    return given  # type: ignore[no-any-return]


def wrong_example(given: Any) -> str | None:
    """Returns what is wrong with something that should be an example."""
    if not isinstance(given, Example):
        return f"a {type(given).__name__} where harness.Example is due"
    return _wrong_field_of(given)


def _wrong_field_of(given: Any) -> str | None:
    for place, texts in (("fields", given.fields), ("slices", given.slices)):
        if not isinstance(texts, Mapping):
            return f"{place} is a {type(texts).__name__}, expected texts by name"
        for name, value in texts.items():
            if type(name) is not str or not isinstance(value, str):
                return f"{place}[{name!r}] is a {type(value).__name__}, expected a text"
    if not given.fields:
        return "fields is empty, expected at least one text"
    for name in ("label", "id"):
        if not isinstance(getattr(given, name), str):
            return f"{name} is a {type(getattr(given, name)).__name__}, expected a text"
    for name in ("group", "time"):
        value = getattr(given, name)
        if value is not None and not isinstance(value, str):
            return f"{name} is a {type(value).__name__}, expected a text or None"
    if given.split is not None and type(given.split) is not Split:
        return f"split is {shortened(given.split)}, expected a harness.Split or None"
    return None


def findings(tell: Callable[[Check], None]) -> Callable[[Check], None]:
    """Returns a dataset's `ctx.tell` that takes findings alone."""

    def take(check: Check) -> None:
        if not isinstance(check, Check):
            raise TypeError(f"ctx.tell was given a {type(check).__name__} where harness.Check is due")
        tell(check)

    return take


def shots(selector: object, item: Example, picked: Any, k: int, train: Mapping[str, Example]) -> Sequence[Example]:
    """Returns what a selector picked: examples of the train split, never the item itself.

    Raises:
        PluginError: It picked something else, or another number.
    """
    if not isinstance(picked, Sequence) or isinstance(picked, str):
        raise broke(selector, "pick", f"returned a {type(picked).__name__} where a sequence of examples is due")
    for shot in picked:
        known = train.get(shot.id) if isinstance(shot, Example) else None
        if known is None or (known is not shot and known != shot):
            raise broke(
                selector, "pick", f"returned {shortened(shot)}, which is no example of the train split",
                "shots are examples out of `train`, as they are",
            )  # fmt: skip
        if shot.id == item.id:
            raise broke(selector, "pick", f"returned the item {item.id} itself", "leave out what has the item's id")
    if len(picked) != k:
        raise broke(
            selector, "pick", f"returned {len(picked)} shots for k = {k}",
            "where train has fewer, raise harness.DataError and say so",
        )  # fmt: skip
    return picked


def prompt(formatter: object, given: Any) -> Prompt:
    """Returns what a formatter made of an example.

    Raises:
        PluginError: It is no prompt, or an empty one, or holds what is no text.
    """
    if not isinstance(given, Prompt):
        raise broke(formatter, "prompt", f"returned a {type(given).__name__} where harness.Prompt is due")
    if (wrong := _wrong_text(given)) is not None:
        raise broke(formatter, "prompt", f"returned a prompt whose {wrong}")
    if not given.text and not given.messages:
        raise broke(formatter, "prompt", "returned a prompt without text and without messages")
    return given


def _wrong_text(given: Any) -> str | None:
    if not isinstance(given.text, str):
        return f"text is a {type(given.text).__name__}, expected a text"
    for number, message in enumerate(given.messages):
        if not isinstance(message, Message):
            return f"messages[{number}] is a {type(message).__name__} where harness.Message is due"
        for name in ("role", "content"):
            if not isinstance(getattr(message, name), str):
                return f"messages[{number}].{name} is a {type(getattr(message, name)).__name__}, expected a text"
    return None


def label(formatter: object, given: Any, labels: Collection[str]) -> str | None:
    """Returns what a formatter read out of an answer.

    Raises:
        PluginError: It is no label of the set.
    """
    if given is not None and given not in labels:
        raise broke(
            formatter, "parse", f"returned {shortened(given)}, which is no label",
            "return one of `labels`, or None where the answer names none",
        )  # fmt: skip
    return given  # type: ignore[no-any-return]


def calls(backend: object, given: Any, endpoints: Collection[str]) -> tuple[Call, ...]:
    """Returns the requests that a backend described.

    Raises:
        PluginError: There is none, or one is no call to an endpoint of the experiment.
    """
    if not isinstance(given, Sequence) or not given or not all(isinstance(call, Call) for call in given):
        raise broke(backend, "calls", f"returned {shortened(given)} where a tuple of harness.Call is due")
    unknown = next((call.endpoint for call in given if call.endpoint not in endpoints), None)
    if unknown is not None:
        raise broke(backend, "calls", f"names the endpoint {shortened(unknown)}, which the experiment does not have")
    return tuple(given)


def job(backend: object, given: Any, endpoints: Collection[str]) -> JobSpec:
    """Returns the training job that a backend described.

    Raises:
        PluginError: It is none, or names an endpoint that the experiment does not have.
    """
    if not isinstance(given, JobSpec):
        raise broke(backend, "job", f"returned a {type(given).__name__} where harness.JobSpec is due")
    if given.endpoint not in endpoints:
        raise broke(
            backend, "job", f"names the endpoint {shortened(given.endpoint)}, which the experiment does not have"
        )
    return given


def answer(backend: object, doing: str, given: Any) -> Answer:
    """Returns an answer of a backend.

    Raises:
        PluginError: It is none, or a field of it holds what must not reach the journal.
    """
    if not isinstance(given, Answer):
        raise broke(backend, doing, f"returned a {type(given).__name__} where harness.Answer is due")
    wrong = wrong_field(given)
    if wrong is not None:
        raise broke(backend, doing, f"returned an answer with {wrong}", ANSWER_HINT)
    return given


def wrong_field(given: Answer) -> str | None:
    """Returns which field of an answer holds what it must not, as ``name = value``; `None` where all is well."""
    for name, fits in _FIELDS.items():
        value = getattr(given, name)
        if not fits(value):
            return f"{name} = {shortened(value)}"
    return None


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53)


def _is_figure(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _is_amount(value: object) -> bool:
    return value is None or (_is_figure(value) and value >= 0)  # type: ignore[operator]


def _are_probabilities(value: object) -> bool:
    return value is None or (
        isinstance(value, Mapping) and all(isinstance(k, str) and _is_figure(v) for k, v in value.items())
    )


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "probabilities": _are_probabilities,
    "input_tokens": _is_count,
    "output_tokens": _is_count,
    "cached_tokens": _is_count,
    "reasoning_tokens": _is_count,
    "latency_s": _is_amount,
    "cost_usd": _is_amount,
    "truncated": lambda value: isinstance(value, bool),
    "error": lambda value: value is None or isinstance(value, str),
}
"""Field of an answer → whether a value fits it: what does not fit must not reach the journal."""


def figures(metric: object, given: Any) -> dict[str, float | None]:
    """Returns what a metric computed.

    Raises:
        PluginError: Something of it is no named, finite figure.
    """
    hint = "a metric returns names with finite numbers, or None where one does not apply"
    if not isinstance(given, Mapping):
        raise broke(metric, "score", f"returned a {type(given).__name__} where a mapping is due", hint)
    for name, value in given.items():
        if not isinstance(name, str):
            raise broke(metric, "score", f"returned a figure named {shortened(name)}", hint)
        if value is not None and not _is_figure(value):
            raise broke(metric, "score", f"returned {name} = {shortened(value)}", hint)
    return dict(given)
