"""Attention for packed sequences that skips what the mask hides.

In one dense pass every token meets the keys of every other sequence, only to be masked. Here the rows are cut into
blocks, and each block meets only the columns that some row of it may see: the shared beginning and its own sequences.
"""

from __future__ import annotations

from typing import Any

from harness_local.models.kinds import PLAIN

NAME = "harness_packed"

_BLOCK = 128

Blocks = list[tuple[int, int, Any, Any]]
"""First row, last row + 1, indices of the visible columns (None for all), additive mask of (heads per group × rows,
columns)."""


def use(model: Any) -> bool:
    """Switches a model to this attention, where its own is the plain kind; returns whether it did."""
    from transformers import AttentionInterface

    config = model.config
    sliding = len(set(getattr(config, "layer_types", None) or ["full_attention"]) | {"full_attention"}) > 1
    if config.model_type not in PLAIN or sliding or getattr(config, "sliding_window", None):
        return False
    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
    return True


def cut(seen: Any, dtype: Any, groups: int) -> Blocks:
    """Blocks for a mask.

    Args:
        seen: Which column each row sees, (rows, columns), boolean.
        dtype: Number type of the model.
        groups: Query heads that share one key head.
    """
    import torch

    blocks: Blocks = []
    for start in range(0, len(seen), _BLOCK):
        part = seen[start : start + _BLOCK]
        columns = part.any(0)
        index = None if bool(columns.all()) else columns.nonzero()[:, 0]
        part = part if index is None else part[:, index]
        mask = torch.zeros(part.shape, dtype=dtype, device=part.device).masked_fill_(~part, torch.finfo(dtype).min)
        blocks.append((start, start + len(part), index, mask.repeat(groups, 1)))
    return blocks


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *, packed: Blocks, scaling: float, **_: Any
) -> tuple[Any, None]:
    """Attention of one layer, in the form `transformers` calls it.

    Query heads that share a key head are laid one after the other, so that keys and values need not be repeated.
    """
    import torch

    _, heads, rows, size = query.shape
    groups = module.num_key_value_groups
    query = query.view(1, heads // groups, groups, rows, size)
    parts = []
    for start, end, index, mask in packed:
        stacked = query[:, :, :, start:end].reshape(1, heads // groups, groups * (end - start), size)
        keys = key if index is None else key.index_select(2, index)
        values = value if index is None else value.index_select(2, index)
        out = torch.nn.functional.scaled_dot_product_attention(stacked, keys, values, attn_mask=mask, scale=scaling)
        parts.append(out.view(1, heads, end - start, size).transpose(1, 2))
    return torch.cat(parts, 1), None
