"""Drawing the next token."""

from __future__ import annotations

from typing import Any

from harness_local.inference.work import Sampling, Token, TopTokens


class Drawer:
    """Draws the tokens of one answer.

    Args:
        sampling: How.
        index: Which of several answers to one prompt this is; with a seed, each draws differently but repeatably.
    """

    def __init__(self, sampling: Sampling, index: int) -> None:
        self._sampling = sampling
        self._index = index
        self._generator: Any = None

    def draw(self, logits: Any, top: int) -> Token:
        """The next token, with its log-probability under the model itself (temperature 1).

        Args:
            logits: One row over the vocabulary, float32.
            top: How many most probable tokens to report.
        """
        import torch

        logprobs = torch.log_softmax(logits, -1)
        best: TopTokens = ()
        if top:
            values, ids = logprobs.topk(top)
            best = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        if self._sampling.temperature == 0:
            chosen = int(logits.argmax())
        else:
            chosen = self._sample(logits / self._sampling.temperature)
        return Token(chosen, float(logprobs[chosen]), best)

    def _sample(self, logits: Any) -> int:
        import torch

        if self._generator is None:
            self._generator = torch.Generator()
            if self._sampling.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(self._sampling.seed * 1_000_003 + self._index)
        probabilities = torch.softmax(logits.cpu(), -1)
        if self._sampling.top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            outside = ordered.cumsum(-1) - ordered >= self._sampling.top_p
            probabilities = torch.zeros_like(probabilities).scatter(0, order, ordered.masked_fill(outside, 0.0))
        return int(torch.multinomial(probabilities, 1, generator=self._generator))
