"""Trials of backends: those that describe requests, and those that answer in process."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.plugins.guard import wrong_field
from harness.terms import FAMILIES
from harness.testing._samples import REPLIES, context, good_reply, prompts, run_folder
from harness.testing._trial import Trial, shown
from harness.types import Answer, Call, JobSpec, Prompt, Reply, TrainingFiles

PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
SUM_TOLERANCE = 1e-3
"""How far probabilities may be from summing to 1."""


def backend(trial: Trial) -> None:
    """Tries the shape, or both, that a backend has."""
    family = getattr(trial.cls, "family", None)
    trial.expect("family", family in FAMILIES, f"family is {family!r}")
    if hasattr(trial.cls, "calls"):
        _remote(trial)
    if hasattr(trial.cls, "open"):
        _in_process(trial)


def _remote(trial: Trial) -> None:
    plugin = trial.plugin
    if hasattr(plugin, "job") and getattr(plugin, "model", None) is None:
        with trial.part():
            files = TrainingFiles(
                train=trial.scratch / "train.jsonl", validation=None, n_train=len(trial.examples), n_validation=0
            )
            spec = trial.call("job", files)
            trial.need("job", isinstance(spec, JobSpec), f"job() returned a {type(spec).__name__}")
            for name in ("endpoint", "base"):
                value = getattr(spec, name)
                trial.expect("job", isinstance(value, str) and bool(value), f"its {name} is {value!r}")
        trial.plugin = plugin = replace(plugin, model="sample-model")  # as the engine does once it is trained
    chat, text = (prompts(trial.examples[:3], trial.labels, chat=chat) for chat in (True, False))
    taken = [asked for asked in (chat, text) if _takes(plugin, asked[0], trial.labels)]
    for asked in taken or [text]:  # one that takes neither says why
        with trial.part():
            _calls(trial, asked)


def _takes(plugin: Any, prompt: Prompt, labels: Sequence[str]) -> bool:
    """Whether a backend takes a prompt of this form: some want chat, some a text."""
    try:
        plugin.calls(prompt, labels)
    except Exception:
        return False
    return True


def _calls(trial: Trial, asked: Sequence[Prompt]) -> None:
    labels = trial.labels
    for prompt in asked:
        calls = trial.call("calls", prompt, labels)
        made = isinstance(calls, tuple | list) and bool(calls) and all(isinstance(call, Call) for call in calls)
        trial.need("calls", made, f"calls() returned {shown(calls)}")
        for call in calls:
            _call(trial, call)
        again = trial.call("calls", prompt, labels)
        trial.expect("deterministic", list(again) == list(calls), "the same prompt gives other calls the second time")
        replies = [Reply(good_reply(call.body, labels[0]), call) for call in calls]
        _read(trial, replies, "an OpenAI-style reply")
    first = trial.call("calls", asked[0], labels)
    for body in REPLIES:
        _read(trial, [Reply(body, call) for call in first], json.dumps(body))


def _call(trial: Trial, call: Call) -> None:
    named = isinstance(call.endpoint, str) and bool(call.endpoint)
    trial.expect("calls", named, f"its endpoint is {call.endpoint!r}")
    path = isinstance(call.path, str) and call.path.startswith("/")
    trial.expect("calls", path, f'its path is {call.path!r}, expected one like "/chat/completions"')
    try:
        json.dumps(dict(call.body), allow_nan=False)
    except (TypeError, ValueError) as error:
        trial.expect("calls", False, f"its body is no JSON: {error}")
    try:
        whole = pickle.loads(pickle.dumps(call)) == call  # noqa: S301 - our own bytes
    except Exception as error:
        trial.expect("portable", False, f"a call cannot be pickled: {shown(error)}")
    else:
        trial.expect("portable", whole, "a call is another one after pickling")


def _read(trial: Trial, replies: Sequence[Reply], what: str) -> None:
    answer = trial.watched(f"read() of {shown(what)}", lambda: trial.plugin.read(replies), [replies], promise="read")
    kept = isinstance(answer, Answer)
    trial.need("read", kept, f"read() of {shown(what)} returned a {type(answer).__name__}")
    wrong = wrong_field(answer)
    trial.expect("fields", wrong is None, f"of {shown(what)} it reads {wrong}")


def _in_process(trial: Trial) -> None:
    folder = run_folder(trial.scratch / "run", trial.examples)
    model = folder / "model"
    model.mkdir(exist_ok=True)
    cut = len(trial.examples) // 2
    train, validation, test = trial.examples[:cut], trial.examples[cut : cut + 6], trial.examples[cut + 6 :]
    with trial.part():
        if hasattr(trial.cls, "fit"):
            trial.call("fit", train, validation, model)
            left = [path.name for path in model.rglob("*") if path.suffix in PICKLES or _is_pickle(path)]
            trial.expect("no-pickle", not left, f"fit() left {', '.join(left)}")
        ctx = context(model if hasattr(trial.cls, "fit") else folder, trial.labels, run=folder, experiment=trial.folder)
        asked = prompts(test, trial.labels, chat=True)
        answers = _opened(trial, ctx, [asked, []])
        trial.need("one-each", answers[1] == [], f"of no prompts it returned {shown(answers[1])}")
        for answer in answers[0]:
            wrong = wrong_field(answer) or _wrong_shares(answer, trial.labels)
            trial.expect("fields", wrong is None, f"it answers {wrong}")
        turned = _opened(trial, ctx, [asked[::-1]])[0][::-1]
        alone = [each[0] for each in _opened(trial, ctx, [[prompt] for prompt in asked[:3]])]
        trial.expect("in-order", _same(answers[0], turned), "asked in the opposite order it answers otherwise")
        trial.expect("in-order", _same(answers[0][:3], alone), "asked one by one it answers otherwise")
        again = _opened(trial, ctx, [asked])[0]
        trial.expect("deterministic", _same(answers[0], again), "opened again it answers otherwise")


def _opened(trial: Trial, ctx: Any, groups: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
    """Opens a backend, asks it for groups of prompts, and closes it."""

    def act() -> list[Any]:
        with trial.make().open(ctx) as ask:
            return [ask(list(group)) for group in groups]

    came = trial.watched("open()", act, [ctx, list(groups)])
    for group, answers in zip(groups, came, strict=True):
        listed = isinstance(answers, Sequence) and not isinstance(answers, str)
        got = f"{len(answers)} answers" if listed else f"a {type(answers).__name__}"
        trial.need("one-each", listed and len(answers) == len(group), f"of {len(group)} prompts it returned {got}")
        other = [type(answer).__name__ for answer in answers if not isinstance(answer, Answer)]
        trial.need("one-each", not other, f"it returned a {other[0] if other else ''} where harness.Answer is due")
    return [list(answers) for answers in came]


def _same(first: Sequence[Answer], second: Sequence[Answer]) -> bool:
    """Whether answers say the same; probabilities may differ by what the order of a sum makes."""
    return all(
        (one.text, one.error) == (two.text, two.error) and _near(one.probabilities, two.probabilities)
        for one, two in zip(first, second, strict=True)
    )


def _near(one: Mapping[str, float] | None, two: Mapping[str, float] | None) -> bool:
    if one is None or two is None:
        return one is two
    return set(one) == set(two) and all(abs(one[label] - two[label]) <= SUM_TOLERANCE for label in one)


def _wrong_shares(answer: Answer, labels: Sequence[str]) -> str | None:
    if answer.probabilities is None:
        return None
    total = sum(answer.probabilities.values())
    if abs(total - 1) > SUM_TOLERANCE:
        return f"with probabilities that sum to {total:.4g}"
    unknown = sorted(set(answer.probabilities) - set(labels))
    return f'with a probability of "{unknown[0]}", which is no label' if unknown else None


def _is_pickle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(2)
    return start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
