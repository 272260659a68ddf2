"""Drawing the next token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness_local.inference.constraints import Matcher
from harness_local.inference.head import log_sum_exp
from harness_local.inference.work import Sampling, Token, TopTokens

_FEW = 256
_COLDEST = 1e-4  # temperatures below draw the most probable token as well, but overflow


class Drawer:
    """Draws the tokens of one answer.

    Bias, schema, temperature and `top_p` work in this order.

    Args:
        sampling: How.
        index: Which of several answers to one prompt this is; with a seed, each draws differently but repeatably.
        matcher: Its way through `Sampling.schema`, where there is one.
    """

    def __init__(self, sampling: Sampling, index: int, matcher: Matcher | None = None) -> None:
        self._sampling = sampling
        self._index = index
        self._matcher = matcher
        self._generator: Any = None

    @property
    def complete(self) -> bool:
        """Whether the schema lets nothing more follow."""
        return self._matcher is not None and self._matcher.complete

    def forced(self) -> list[int]:
        """Tokens that follow without a draw, because the schema allows no others."""
        return [] if self._matcher is None or self._matcher.complete else self._matcher.forced()

    def draw(self, logits: Any, likeliest: int) -> int:
        """The next token.

        Args:
            logits: One row over the vocabulary, float32; is left as it is.
            likeliest: Where it is greatest.

        Raises:
            ConstraintError: The schema has become too complex.
        """
        sampling = self._sampling
        if sampling.temperature == 0 and not sampling.bias and self._matcher is None:
            return likeliest
        if sampling.bias:
            logits = self._biased(logits)
        if self._matcher is not None:
            logits = self._matcher.mask(logits)
        chosen = int(logits.argmax()) if sampling.temperature == 0 else self._sample(logits)
        if self._matcher is not None:
            self._matcher.take(chosen)
        return chosen

    def _biased(self, logits: Any) -> Any:
        import torch

        tokens, values = zip(*self._sampling.bias, strict=True)
        where = torch.tensor(tokens, device=logits.device)
        return logits.index_add(0, where, torch.tensor(values, dtype=logits.dtype, device=logits.device))

    def _sample(self, logits: Any) -> int:
        import torch

        if self._generator is None:
            self._generator = torch.Generator()
            if self._sampling.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed((self._sampling.seed * 1_000_003 + self._index) % 2**63)
        logits = logits.cpu()
        probabilities = torch.softmax((logits - logits.max()) / max(self._sampling.temperature, _COLDEST), -1)
        if self._sampling.top_p == 1:
            return self._pick(probabilities)
        ordered, order = _nucleus(probabilities, self._sampling.top_p)
        return int(order[self._pick(ordered)])

    def _pick(self, probabilities: Any) -> int:
        """A place with the probability that stands there; `torch.multinomial` takes ten times as long."""
        import torch

        total = probabilities.cumsum(-1, dtype=torch.float64)
        point = torch.rand(1, generator=self._generator, dtype=torch.float64) * total[-1]
        return int(torch.searchsorted(total, point, right=True))


def _nucleus(probabilities: Any, top_p: float) -> tuple[Any, Any]:
    """The smallest set of tokens that has a probability together: theirs, and which they are."""
    for count in (_FEW, len(probabilities)):  # to sort all of them takes many times as long
        ordered, order = probabilities.topk(min(count, len(probabilities)))
        total = ordered.cumsum(-1)
        if total[-1] >= top_p:
            break
    inside = max(1, int((total - ordered < top_p).sum()))
    return ordered[:inside], order[:inside]


def described(logits: Any, chosen: Sequence[int], top: int) -> list[Token]:
    """Chosen tokens with their log-probabilities under the model itself.

    Temperature, `top_p`, bias and schema change what is drawn, not what is reported: OpenAI's `logit_bias` has left
    its log-probabilities alone since 2024. A token that a schema forces can so be an improbable one.

    Args:
        logits: A row over the vocabulary for each, float32.
        chosen: The tokens.
        top: How many most probable tokens to report for each.
    """
    import torch

    total = log_sum_exp(logits)[:, None]
    own = (logits.gather(1, torch.tensor(chosen, device=logits.device)[:, None]) - total).clamp_(max=0.0)[:, 0]
    best: list[TopTokens] = [()] * len(chosen)
    if top:
        values, ids = logits.topk(top)
        pairs = zip(ids.tolist(), (values - total).clamp_(max=0.0).tolist(), strict=True)
        best = [tuple(zip(i, v, strict=True)) for i, v in pairs]
    return [Token(*parts) for parts in zip(chosen, own.tolist(), best, strict=True)]
