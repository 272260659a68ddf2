"""The largest class of the train split, whatever the text: what every claim is held against."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import harness
from harness_plugins.backends._fitted import most_probable

_FILE = "majority.json"


@dataclass(frozen=True, kw_only=True)
class Majority:
    """Answers the most frequent training label; between equals the first of the label set."""

    name: ClassVar[str] = "majority"
    family: ClassVar[str] = "classical"
    deterministic: ClassVar[bool] = True

    def fit(self, train: Sequence[harness.Example], validation: Sequence[harness.Example], folder: Path) -> None:
        """Counts the training labels; validation is not looked at."""
        if not train:
            raise harness.DataError("there are no training examples", "give train a share in [prepare].split")
        counts = Counter(example.label for example in train)
        (folder / _FILE).write_text(json.dumps({"counts": dict(sorted(counts.items()))}), encoding="utf-8")

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Opens what `fit` left in `ctx.folder`.

        Raises:
            harness.DataError: There is no model.
        """
        try:
            counts = json.loads((ctx.folder / _FILE).read_text(encoding="utf-8"))["counts"]
        except (OSError, ValueError, KeyError):
            raise harness.DataError(
                f'arm "{ctx.arm}" has no readable {_FILE} in {ctx.folder}', "run the training stage again"
            ) from None
        total = sum(counts.values())
        labels = ctx.labels or tuple(counts)
        shares = {label: counts.get(label, 0) / total for label in labels}
        answer = most_probable(shares)
        yield lambda prompts: [answer for _ in prompts]


@harness.hookimpl
def harness_backends() -> list[type[Majority]]:
    """Declares the backend."""
    return [Majority]
