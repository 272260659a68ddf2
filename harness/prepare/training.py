"""Training files: what a fine-tuned model learns from, byte for byte the same on repeat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from harness.contract import Formatter
from harness.prepare.normalise import keyed_hash
from harness.types import Example


def training_file(examples: Iterable[Example], formatter: Formatter, labels: Sequence[str], seed: int) -> bytes:
    """Returns a JSONL file in UTF-8: the formatter's training line of each example, shuffled by `seed`.

    The order depends on `seed` and the examples' ids alone, so the same examples in any order give the same bytes.
    """
    shuffled = sorted(examples, key=lambda example: (keyed_hash(seed, "training", example.id), example.id))
    lines = [json.dumps(formatter.training_line(example, labels), ensure_ascii=False) for example in shuffled]
    # A lone surrogate has no UTF-8 form: it stays the escape that JSON has for it.
    return b"".join(_encoded(line) + b"\n" for line in lines)


def _encoded(line: str) -> bytes:
    try:
        return line.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(line)).encode("ascii")
