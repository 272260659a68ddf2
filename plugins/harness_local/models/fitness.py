"""Whether a model's answers are right when many sequences are computed in one row, found out by trying it."""

from __future__ import annotations

from harness.errors import UsageError
from harness_local.models.kinds import PLAIN
from harness_local.models.loading import Loaded

_OTHERS = "gemma, gpt2, gpt_neox, mixtral, olmo2, opt, phi, phi3, smollm3, stablelm, starcoder2"
_TOKENS = 24
_COLUMNS = 320  # more than the shortest window that is not in the configuration (gpt_neo: 256)
_ROUNDING = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.25}
"""Largest difference between two ways to compute logits that is no error, in standard deviations of all logits."""
_OUTPUT_ROUNDING = {"float32": 1e-3, "float16": 0.01, "bfloat16": 0.05}
"""The same for the output layer alone."""


def check(loaded: Loaded) -> None:
    """Refuses a model that would answer wrongly here.

    Its answers are computed both ways, plainly and as the engine does: split in two passes, with other sequences
    between, through an output layer of the engine's own. States that run along the row, positions taken from the place
    in it, and logits that are scaled or capped show as a difference.

    Raises:
        UsageError: The answers differ, or cannot be computed that way at all.
    """
    kind, dtype = loaded.model.config.model_type, str(loaded.model.dtype).removeprefix("torch.")
    if kind in PLAIN:  # tests hold these to it: no need to try at every start
        return
    try:
        output, rest = _differences(loaded)
        right = output <= _OUTPUT_ROUNDING[dtype] and rest <= _ROUNDING[dtype]  # not so where one is no number
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError):
        right = False
    if not right:
        raise UsageError(
            f"the model {loaded.source.id} cannot be served: its kind ({kind}) would give wrong answers here",
            f"these kinds can: {', '.join(sorted(PLAIN))}, {_OTHERS}",
        )


def _differences(loaded: Loaded) -> tuple[float, float]:
    """Largest differences of a logit, in standard deviations: by the output layer, and by all that is before it."""
    import torch

    from harness_local.inference.decoder import AnyDecoder
    from harness_local.inference.head import Head
    from harness_local.inference.packed import Lineage, PackedCache, Rows

    model, size = loaded.model, min(_TOKENS, loaded.context)
    half, head, ids = size // 2, Head(model), _ids(0, size, loaded.vocabulary)
    with torch.inference_mode():
        asked = {"input_ids": torch.tensor([ids], device=model.device), "use_cache": False}
        logits = model(**asked).logits[0].float()
        plain = head.logits(model.base_model(**asked).last_hidden_state[0])
        cache, rows = PackedCache(AnyDecoder(model)), Rows()
        own = Lineage(cache.name())
        rows.add(ids[:half], 0, own)
        for number in range(1, _COLUMNS // size + 1):
            rows.add(_ids(number, size, loaded.vocabulary), 0, Lineage(cache.name()))
        first = cache.forward(rows)[:half]
        rows = Rows()
        rows.add(ids[half:], half, own)
        packed = head.logits(torch.cat([first, cache.forward(rows)]))
        scale = logits.std()
        return float((plain - logits).abs().max() / scale), float((packed - plain).abs().max() / scale)


def _ids(number: int, size: int, vocabulary: int) -> list[int]:
    """Tokens of a sequence that mean nothing; another sequence for each number."""
    return [(7919 * place + 104_729 * number + 11) % vocabulary for place in range(size)]
