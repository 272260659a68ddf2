"""Chat files in which all lines are alike and nothing is wrong, read without a step for each line.

That is what the harness writes, and most users have. Whatever differs is left to the rules of `chat`, line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.prepare.format import chat, found
from harness.prepare.format.raw import BOM, Layout
from harness.prepare.profiles import LARGEST_WEIGHT, Profile
from harness.types import Check

_SHAPES = (("user", "assistant"), ("system", "user", "assistant"), ("developer", "user", "assistant"))
_BLOCK = 1 << 22  # bytes that one thread parses at a time


def plain_chat_findings(data: bytes, shape: Layout, profile: Profile) -> tuple[Check, ...] | None:
    """Returns what `chat_findings` says of a file that is in order; `None` where a closer look is needed.

    Each line must have the same roles, a text in each message and the same instruction, and no two lines may ask the
    same.

    Args:
        data: The whole file.
        shape: How it is cut into lines.
        profile: The provider that is to take it.
    """
    if not shape.lines or not shape.objects or shape.lone_cr:
        return None
    table = _read(data, shape)
    if table is None or not _weighted(table["weight"], profile):
        return None
    columns = _columns(table["messages"])
    if columns is None or not _in_order(columns):
        return None
    n = table.num_rows
    return (*found.examples(n, profile), *chat.without_system([] if len(columns) == 3 else range(1, n + 1), n))


def _read(data: bytes, shape: Layout) -> Any:
    """Returns the columns `messages` and `weight`; `None` for any other key, or where Arrow reads it otherwise."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("messages", pa.list_(message)), ("weight", pa.float64())])
    try:
        table = arrow_json.read_json(
            pa.BufferReader(memoryview(data)[len(BOM) if shape.bom else 0 :]),
            read_options=arrow_json.ReadOptions(block_size=max(_BLOCK, 2 * shape.longest)),
            parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowException:
        return None
    return table if table.num_rows == shape.lines else None


def _weighted(weights: Any, profile: Profile) -> bool:
    """Whether all lines have a weight that the provider takes, or none."""
    import pyarrow.compute as pc

    if weights.null_count == len(weights):
        return True
    bounds = pc.min_max(weights).as_py()
    fine = weights.null_count == 0 and bounds["min"] > 0 and bounds["max"] <= LARGEST_WEIGHT
    return profile.example_weights and fine


def _columns(messages: Any) -> Sequence[Any] | None:
    """Returns the texts of the first message of each line, of the second, …; `None` where roles or texts differ."""
    import pyarrow.compute as pc

    if messages.null_count:
        return None
    lengths = pc.min_max(pc.list_value_length(messages)).as_py()
    size = lengths["min"]
    if size != lengths["max"] or size not in {len(roles) for roles in _SHAPES}:
        return None
    flat = messages.combine_chunks().flatten()
    roles, texts = flat.field("role"), flat.field("content")
    if flat.null_count or roles.null_count or texts.null_count or pc.min(pc.binary_length(texts)).as_py() == 0:
        return None
    first = tuple(roles[:size].to_pylist())
    same = (pc.count_distinct(roles[place::size]).as_py() == 1 for place in range(size))
    return [texts[place::size] for place in range(size)] if first in _SHAPES and all(same) else None


def _in_order(columns: Sequence[Any]) -> bool:
    """Whether there is one instruction, and no two lines ask the same."""
    import pyarrow.compute as pc

    asked = columns[-2]
    one = len(columns) == 2 or pc.count_distinct(columns[0]).as_py() == 1
    return bool(one and pc.count_distinct(asked).as_py() == len(asked))
