"""Simulated answers of a known quality, for trying plugins and pipelines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import harness

_COUNTS = ("input", "output", "cached", "reasoning")


@dataclass(frozen=True, kw_only=True)
class Mock:
    """Each item is right with probability `accuracy`, drawn from (seed, arm name, example id).

    One draw decides between right, wrong, unparsed and failed, so `accuracy` is the share of right answers among all
    items; where the rates leave less room than `accuracy`, they go first. The right answers are read from the run's
    `data/examples.parquet`, for no prompt carries them; an item that is not there gets a label by chance.
    """

    name: ClassVar[str] = "mock"
    family: ClassVar[str] = "mock"
    deterministic: ClassVar[bool] = True
    simulated: ClassVar[bool] = True

    accuracy: float = 0.8
    latency_s: float = 0.0
    """Reported as the latency of each answer, in seconds; nothing waits for it."""
    unparsed_rate: float = 0.0
    """Share of answers that name no label."""
    fail_rate: float = 0.0
    """Share of items without an answer."""
    tokens: int | Mapping[str, int] | None = None
    """Input tokens of each answer, or several of `input`, `output`, `cached`, `reasoning`."""

    def __post_init__(self) -> None:
        for option in ("accuracy", "unparsed_rate", "fail_rate"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"{option} = {getattr(self, option)}, expected a share between 0 and 1")
        if self.unparsed_rate + self.fail_rate > 1:
            raise ValueError(f"unparsed_rate + fail_rate = {self.unparsed_rate + self.fail_rate:g}, expected at most 1")
        if self.latency_s < 0:
            raise ValueError(f"latency_s = {self.latency_s}, expected 0 seconds or more")
        for name, count in self._tokens.items():
            if name not in _COUNTS:
                raise ValueError(f'tokens has no "{name}"; {harness.nearest(name, _COUNTS)}')
            if count < 0:
                raise ValueError(f"tokens.{name} = {count}, expected 0 or more")

    @property
    def _tokens(self) -> Mapping[str, int]:
        if self.tokens is None:
            return {}
        return {"input": self.tokens} if isinstance(self.tokens, int) else self.tokens

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Reads the right answers of the run.

        Raises:
            harness.DataError: The run has no examples.
        """
        expected = _expected(ctx)
        labels = ctx.labels or tuple(sorted(set(expected.values())))
        yield lambda prompts: [self._answer(prompt, expected, labels, ctx) for prompt in prompts]

    def _answer(
        self, prompt: harness.Prompt, expected: Mapping[str, str], labels: Sequence[str], ctx: harness.Context
    ) -> harness.Answer:
        key = prompt.example_id or prompt.text or repr(prompt.messages)
        outcome, choice = _draws(ctx.seed, ctx.arm, key)
        if outcome >= 1 - self.fail_rate:
            return harness.Answer(error="simulated failure", latency_s=self.latency_s)
        right = expected.get(prompt.example_id)
        if outcome >= 1 - self.fail_rate - self.unparsed_rate:
            text = "(a simulated answer that names no label)"
        elif right is not None and outcome < self.accuracy:
            text = right
        else:
            wrong = [label for label in labels if label != right] or list(labels)
            text = wrong[int(choice * len(wrong))]
        counts = self._tokens
        return harness.Answer(
            text=text,
            input_tokens=counts.get("input"),
            output_tokens=counts.get("output"),
            cached_tokens=counts.get("cached"),
            reasoning_tokens=counts.get("reasoning"),
            latency_s=self.latency_s,
        )


def _draws(seed: int, arm: str, key: str) -> tuple[float, float]:
    """Returns two numbers from [0, 1) that depend on nothing but the arguments."""
    raw = hashlib.sha256(repr((seed, arm, key)).encode("utf-8", "backslashreplace")).digest()
    # 53 bits: as many as a float holds, so that no draw is rounded up to 1.
    first, second = (int.from_bytes(raw[start : start + 8], "big") >> 11 for start in (0, 8))
    return first / 2**53, second / 2**53


def _expected(ctx: harness.Context) -> dict[str, str]:
    import pyarrow.parquet as pq

    path = (ctx.run or ctx.folder) / "data" / "examples.parquet"
    try:
        table = pq.read_table(path, columns=["id", "label"])
    except (OSError, ValueError) as error:
        raise harness.DataError(
            f"the mock backend finds no right answers in {path}: {error}".splitlines()[0], "run the data stage first"
        ) from None
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


@harness.hookimpl
def harness_backends() -> list[type[Mock]]:
    """Declares the backend."""
    return [Mock]
