"""From hidden states to log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness_local.inference.work import TopTokens

_PRECISE_BYTES = 512 * 2**20
_CHUNK = 16  # rows of the vocabulary's size that stay in the processor's cache
_BLOCK = 256


class Head:
    """The output layer of a causal language model.

    In bfloat16 a logit near 20 is rounded to steps of 0.125, which is too coarse to choose a token by. Decisions
    therefore use a copy of the weights in float32; scores of a prompt's own tokens, of which there are many, use the
    model's type for the normalising sum alone and float32 for the token's own logit.

    Args:
        model: A `transformers` causal language model.
    """

    def __init__(self, model: Any) -> None:
        import torch

        layer = model.get_output_embeddings()
        self._weight = layer.weight.detach()
        self._bias = None if getattr(layer, "bias", None) is None else layer.bias.detach().float()
        small = self._weight.numel() * 4 <= _PRECISE_BYTES
        self._precise = self._weight.float() if small and self._weight.dtype != torch.float32 else self._weight

    def logits(self, hidden: Any) -> Any:
        """Logits in float32 as exact as the hidden states allow, (rows, vocabulary)."""
        logits = (hidden.to(self._precise.dtype) @ self._precise.T).float()
        return logits if self._bias is None else logits + self._bias

    def score(self, hidden: Any, targets: Sequence[int], top: int) -> tuple[list[float], list[TopTokens]]:
        """Log-probability in nats of each row's target, and the `top` most probable tokens of each row."""
        import torch

        logprobs: list[float] = []
        tops: list[TopTokens] = []
        wanted = torch.tensor(targets, device=hidden.device)
        for rows, targeted in zip(hidden.split(_BLOCK), wanted.split(_BLOCK), strict=True):
            logits = rows.to(self._weight.dtype) @ self._weight.T
            if self._bias is not None:
                logits = logits + self._bias.to(logits.dtype)
            own = self._exact(rows, targeted[:, None])[:, 0]
            total = log_sum_exp(logits)
            logprobs += (own - total).clamp_(max=0.0).tolist()
            if top:
                ids = logits.topk(top, dim=-1).indices
                values, order = self._exact(rows, ids).sort(dim=-1, descending=True)
                ids, values = ids.gather(1, order), (values - total[:, None]).clamp_(max=0.0)
                tops += [tuple(zip(i, v, strict=True)) for i, v in zip(ids.tolist(), values.tolist(), strict=True)]
        return logprobs, tops or [()] * len(logprobs)

    def _exact(self, rows: Any, tokens: Any) -> Any:
        """Logits in float32 of a few tokens for each row, (rows, tokens)."""
        import torch

        logits = torch.einsum("rh,rth->rt", rows.float(), self._weight[tokens].float())
        return logits if self._bias is None else logits + self._bias[tokens]


def log_sum_exp(logits: Any) -> Any:
    """Log of the sum of exponentials of each row, in float32.

    Six times as fast here as `torch.logsumexp` over all rows at once, whose passes each go through main memory.
    """
    import torch

    parts = []
    for rows in logits.split(_CHUNK):
        # A copy always: the arithmetic below is in place.
        exact = rows.to(torch.float32, copy=True)
        largest = exact.amax(-1, keepdim=True)
        parts.append(largest[:, 0] + exact.sub_(largest).exp_().sum(-1).log_())
    return torch.cat(parts)
