"""Trials of datasets, formatters and selectors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.plugins.guard import wrong_example
from harness.prepare.normalise import fold
from harness.testing._samples import ANSWERS, context, odd_examples
from harness.testing._trial import Trial, shown
from harness.types import Call, Check, Example, Prompt, content_id


def dataset(trial: Trial) -> None:
    """Loads a dataset twice."""
    told: list[Any] = []
    labels = tuple(getattr(trial.plugin, "labels", None) or ())
    ctx = context(trial.folder, labels, experiment=trial.folder, tell=told.append)
    with trial.part():
        first = trial.call("load", ctx, collect=list)
        trial.need("examples", bool(first), "load() yields nothing")
        for place, example in enumerate(first):
            wrong = wrong_example(example)
            trial.need("examples", wrong is None, f"example {place}: {wrong}")
        trial.expect("examples", all(isinstance(one, Check) for one in told), "ctx.tell was given what is no Check")
        own = Counter(one.id for one in first if one.id != content_id(one.fields))
        twice = [name for name, times in own.items() if times > 1]
        trial.expect("ids", not twice, f'{own[twice[0]] if twice else 0} examples have the id "{shown(twice[:1])}"')
        second = trial.call("load", ctx, of=trial.make(), collect=list)
        at = next((n for n, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
        same = at is None and len(first) == len(second)
        trial.expect("deterministic", same, f"two loads differ ({len(first)} and {len(second)} examples, from {at})")


def formatter(trial: Trial) -> None:
    """Asks a formatter for prompts and lines, and lets it read answers."""
    labels = trial.labels
    usual = trial.examples
    with trial.part():
        _prompts(trial, usual, labels)
    with trial.part():
        names = tuple(usual[0].fields)
        for example in odd_examples(labels):
            odd = replace(example, fields=dict.fromkeys(names, example.text), id="")
            prompt = trial.call("prompt", odd, usual[:1], labels)
            trial.need("prompt", isinstance(prompt, Prompt), f"prompt() returned a {type(prompt).__name__}")
            said = _said(prompt)
            hard = [part for part in ("{label}", "%(text)s", "<script>") if part in example.text]
            trial.expect(
                "data-is-data", all(part in said for part in hard), f"of {hard} in a text not all stands in the prompt"
            )
    with trial.part():
        for example in usual[: len(labels)]:
            _line(trial, example, labels)
    with trial.part():
        for text in (*ANSWERS, *labels):
            got = trial.call("parse", text, labels)
            trial.need("parse", got is None or got in labels, f"parse({shown(text)!r}) returned {shown(got)!r}")


def _prompts(trial: Trial, usual: Sequence[Example], labels: Sequence[str]) -> None:
    item, shots = usual[0], usual[1:3]
    prompt = trial.call("prompt", item, (), labels)
    trial.need("prompt", isinstance(prompt, Prompt), f"prompt() returned a {type(prompt).__name__}")
    one = bool(prompt.text) != bool(prompt.messages)
    trial.need("prompt", one, "it has both a text and messages" if prompt.text else "it has no text and no messages")
    told = trial.call("prompt", replace(item, label="", split=None), (), labels)
    trial.expect("blind", told == prompt, "without its label the same item gives another prompt")
    again = trial.call("prompt", item, (), labels, of=trial.make())
    trial.expect("deterministic", again == prompt, "the same item gives another prompt the second time")
    other = trial.call("prompt", usual[3], (), labels)
    trial.expect("tells-apart", _said(other) != _said(prompt), "two items give the same prompt")
    shown_to = trial.call("prompt", item, shots, labels)
    seen = _said(shown_to) != _said(prompt)
    trial.expect("tells-apart", seen, "with shots the prompt is the same as without")
    written = prompt.continuations
    if written:
        complete = set(written) == set(labels)
        trial.need("continuations", complete, f"it has {sorted(written)}, the labels are {list(labels)}")
        for label, text in written.items():
            read = trial.call("parse", text, labels)
            trial.expect("continuations", read == label, f"parse({text!r}) is {read!r}, expected {label!r}")


def _said(prompt: Prompt) -> str:
    return prompt.text or "\n".join(f"{message.role}: {message.content}" for message in prompt.messages)


def _line(trial: Trial, example: Example, labels: Sequence[str]) -> None:
    line = trial.call("training_line", example, labels)
    trial.need("training-line", isinstance(line, dict), f"it returned a {type(line).__name__}")
    try:
        json.dumps(line, allow_nan=False)
    except (TypeError, ValueError) as error:
        trial.need("training-line", False, f"it is no JSON: {error}")
    taught = _taught(line)
    trial.need("training-line", taught is not None, f"its keys are {sorted(line)}")
    again = trial.call("training_line", example, labels, of=trial.make())
    trial.expect("deterministic", again == line, "the same item gives another training line the second time")
    read = trial.call("parse", taught, labels)
    trial.expect("round-trip", read == example.label, f"it teaches {taught!r}, which parse() reads as {read!r}")


def _taught(line: Mapping[str, Any]) -> str | None:
    """Returns the answer that a training line teaches."""
    if isinstance(line.get("prompt"), str) and isinstance(line.get("completion"), str):
        return str(line["completion"])
    messages = line.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        content = messages[-1].get("content")
        return content if messages[-1].get("role") == "assistant" and isinstance(content, str) else None
    return None


def selector(trial: Trial) -> None:
    """Picks shots for items of the train split and for others."""
    train, new = trial.examples[:-6], trial.examples[-6:]
    given: tuple[Any, ...] = ()
    if getattr(trial.plugin, "embeddings", None) is not None:
        with trial.part():
            given = (_vectors(trial, [*train, *new]),)
    with trial.part():
        picker = trial.call("fit", train, 7, *given)
        twin = trial.call("fit", tuple(reversed(train)), 7, *given, of=trial.make())
        items = [*train[:3], *new, replace(train[4], id="another-id")]
        for k in (1, 2, 4):
            picked = [list(_pick(trial, picker, item, k)) for item in items]
            for item, shots in zip(items, picked, strict=True):
                _shots(trial, item, shots, train, k)
            again = [list(_pick(trial, twin, item, k)) for item in reversed(items)][::-1]
            for one, two in zip(picked, again, strict=True):
                said = f"k = {k}: {_ids(one)} and then {_ids(two)} for the same item"
                trial.expect("deterministic", _ids(one) == _ids(two), said)
            if hasattr(picker, "pick_all"):
                bare = [_bare(item) for item in items]
                alike = [_ids(shots) for shots in trial.call("pick_all", bare, k, of=picker, collect=list)]
                trial.expect("pick-all", alike == list(map(_ids, picked)), f"k = {k}: it picks others than pick()")
    with trial.part():
        picker = trial.call("fit", train, 7, *given)
        _too_many(trial, picker, new[0], len(train))


def _bare(item: Example) -> Example:
    return replace(item, label="", split=None)


def _pick(trial: Trial, picker: Any, item: Example, k: int) -> Sequence[Example]:
    shots: Sequence[Example] = trial.call("pick", _bare(item), k, of=picker)
    labelled = trial.call("pick", item, k, of=picker)
    trial.expect("blind", _ids(labelled) == _ids(shots), "with its label the same item gets other shots")
    return shots


def _ids(shots: Sequence[Any]) -> list[Any]:
    return [getattr(shot, "id", shot) for shot in shots]


def _shots(trial: Trial, item: Example, shots: Sequence[Any], train: Sequence[Example], k: int) -> None:
    known = {example.id: example for example in train}
    foreign = [shot for shot in shots if getattr(shot, "id", None) not in known or known[shot.id] != shot]
    trial.need("from-train", not foreign, f"it picked {shown(foreign[:1])}, which is not in the train split")
    trial.expect("k", len(shots) == k, f"asked for {k} shots it picked {len(shots)}")
    trial.expect("k", len(set(_ids(shots))) == len(shots), f"it picked one example twice: {_ids(shots)}")
    same = [shot for shot in shots if shot.id == item.id or fold(shot.text) == fold(item.text)]
    trial.expect("not-itself", not same, f'it shows the item "{shown(item.text)}" itself')


def _too_many(trial: Trial, picker: Any, item: Example, n: int) -> None:
    from harness.errors import HarnessError

    try:
        shots = picker.pick(_bare(item), n + 1)
    except HarnessError:
        return
    except Exception as error:
        trial.expect("k", False, f"asked for more than there is it raised {type(error).__name__}: {shown(error)}")
    else:
        trial.expect("k", False, f"asked for {n + 1} shots of {n} it picked {len(shots)} and said nothing")


def _vectors(trial: Trial, examples: Sequence[Example]) -> dict[str, Sequence[float]]:
    from harness.testing._endpoint import reply_to
    from harness.types import Reply

    texts = [example.text for example in examples]
    calls: tuple[Call, ...] = trial.call("embedding_calls", texts)
    shuffled = trial.call("embedding_calls", texts[::-1])
    trial.expect("embeddings", list(calls) == list(shuffled), "the same texts in another order give other requests")
    found: dict[str, Sequence[float]] = {}
    for call in calls:
        reply = Reply(reply_to("/embeddings", call.body, ""), call)
        found |= trial.call("read_embeddings", [reply])
    return found
