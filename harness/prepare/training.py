"""Training files: what a fine-tuned model learns from, byte for byte the same on repeat."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from harness.contract import Formatter
from harness.errors import DataError
from harness.prepare.profiles import COMPATIBLE, LARGEST_WEIGHT, Profile
from harness.types import Example

_AT_ONCE = 10_000  # lines that are joined before they are encoded


def training_file(
    examples: Iterable[Example],
    formatter: Formatter,
    labels: Sequence[str],
    seed: int,
    profile: Profile | None = None,
    weights: Mapping[str, float] | None = None,
) -> bytes:
    """Returns a JSONL file in UTF-8: the formatter's training line of each example, shuffled by `seed`.

    The order depends on `seed` and the examples' ids alone, so the same examples in any order give the same bytes.

    Args:
        examples: What is to be learned.
        formatter: Makes the lines.
        labels: The label set.
        seed: Of the order.
        profile: The provider that is to take the file: whether it begins with a byte order mark.
        weights: Label → weight of its examples (0 < weight ≤ 100; 1 where a label is not named), put into each line.

    Raises:
        DataError: The provider takes no weights, or one of them is out of range.
    """
    if weights is not None:
        _check(weights, profile or COMPATIBLE)
    lines = _lines(_shuffled(examples, seed), formatter, labels, weights)
    parts = [codecs.BOM_UTF8] if profile is not None and profile.bom else []
    while batch := list(islice(lines, _AT_ONCE)):
        parts.append(_encoded(batch))
    return b"".join(parts)


def _check(weights: Mapping[str, float], profile: Profile) -> None:
    if not profile.example_weights:
        raise DataError(
            f"{profile.name} takes no weights of examples, but the classes are to be balanced by weight",
            'set balance = "downsample", or train on the local endpoint',
        )
    for label, weight in weights.items():
        if not 0 < weight <= LARGEST_WEIGHT:
            raise DataError(
                f'the weight of label "{label}" is {weight:g}, expected more than 0 and at most {LARGEST_WEIGHT:g}',
                'set balance = "downsample", which leaves rows of the frequent classes out',
            )


def _shuffled(examples: Iterable[Example], seed: int) -> Iterator[Example]:
    """Yields examples in the order of `keyed_hash(seed, "training", id)`, spelled out here: it is most of the work."""
    import numpy as np

    drawn = list(examples)
    start, spell = f'[{seed}, "training", ', encode_basestring_ascii
    digests = b"".join(
        [blake2b(f"{start}{spell(each.id)}]".encode("ascii"), digest_size=16).digest() for each in drawn]
    )
    halves = np.frombuffer(digests, ">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: examples of one id stay as they came
    return (drawn[place] for place in order.tolist())


def _lines(
    examples: Iterable[Example], formatter: Formatter, labels: Sequence[str], weights: Mapping[str, float] | None
) -> Iterator[str]:
    """Yields lines as `json.dumps(…, ensure_ascii=False)` writes them."""
    whole = json.JSONEncoder(ensure_ascii=False).encode
    for example in examples:
        line = formatter.training_line(example, labels)
        if weights is not None:
            line = {**line, "weight": float(weights.get(example.label, 1.0))}
        yield _pair(line) or _conversation(line) or whole(line)


def _pair(line: Mapping[str, Any]) -> str:
    """Returns the commonest line, prompt and completion alone, at a third of the encoder's price; else nothing."""
    if tuple(line) != ("prompt", "completion"):
        return ""
    prompt, completion = line.values()
    if type(prompt) is not str or type(completion) is not str:
        return ""
    return f'{{"prompt": {encode_basestring(prompt)}, "completion": {encode_basestring(completion)}}}'


def _conversation(line: Mapping[str, Any]) -> str:
    """Returns a line of messages that are role and content alone, in the same way; else nothing."""
    if tuple(line) != ("messages",):
        return ""
    said = []
    for message in line["messages"]:
        if tuple(message) != ("role", "content"):
            return ""
        role, content = message.values()
        if type(role) is not str or type(content) is not str:
            return ""
        said.append(f'{{"role": {encode_basestring(role)}, "content": {encode_basestring(content)}}}')
    return f'{{"messages": [{", ".join(said)}]}}'


def _encoded(lines: Sequence[str]) -> bytes:
    try:
        return ("\n".join(lines) + "\n").encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form: it stays the escape that JSON has for it
        return b"".join(_escaped(line) + b"\n" for line in lines)


def _escaped(line: str) -> bytes:
    try:
        return line.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(line)).encode("ascii")
