"""Attention for packed sequences that skips what the mask hides.

In one dense pass every token meets the keys of every other sequence, only to be masked. Here the rows are cut into
blocks, and each block meets only the columns that some row of it may see: the shared beginning and its own sequences.
"""

from __future__ import annotations

from typing import Any

_BLOCK = 128

Blocks = list[tuple[int, int, Any, Any]]
"""First row, last row + 1, indices of the visible columns (None for all), additive mask of (heads per group × rows,
columns)."""


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


def attend(query: Any, key: Any, value: Any, blocks: Blocks, scaling: float) -> Any:
    """Attention of one layer.

    Query heads that share a key head are laid one after the other, so that keys and values need not be repeated.

    Args:
        query: (rows, heads, size).
        key: (1, key heads, columns, size).
        value: Likewise.
        blocks: Of `cut`.
        scaling: Factor of the products of queries and keys.

    Returns:
        (rows, heads × size).
    """
    import torch

    (rows, heads, size), shared = query.shape, key.shape[1]
    grouped = query.view(rows, shared, heads // shared, size).permute(1, 2, 0, 3)
    parts = []
    for start, end, index, mask in blocks:
        stacked = grouped[:, :, start:end].reshape(1, shared, -1, size)
        keys = key if index is None else key.index_select(2, index)
        values = value if index is None else value.index_select(2, index)
        out = torch.nn.functional.scaled_dot_product_attention(stacked, keys, values, attn_mask=mask, scale=scaling)
        parts.append(out.view(heads, end - start, size).transpose(0, 1))
    return torch.cat(parts).view(rows, heads * size)
