"""Where a key stands in a TOML file: `tomllib` does not say, so the file is parsed once more when there is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node


def find_line(source: bytes, path: str) -> int | None:
    """Returns the line (from 1) of a key's path such as ``arms[2].backend.epochs``, or of its nearest parent.

    That of an array of tables is its first table's.
    """
    lines = dict(_paths(source))
    while path:
        for begun in (path, f"{path}[0]"):
            if begun in lines:
                return lines[begun]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return None


def _paths(source: bytes) -> Iterator[tuple[str, int]]:
    import tree_sitter
    import tree_sitter_toml

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
    arrays: dict[str, int] = {}
    for node in parser.parse(source).root_node.named_children:
        if node.type == "pair":
            yield from _pair(node, "")
        elif node.type in {"table", "table_array_element"}:
            prefix = _header(node, arrays)
            yield prefix, node.start_point.row + 1
            for child in node.named_children[1:]:
                if child.type == "pair":
                    yield from _pair(child, prefix)


def _header(node: Node, arrays: dict[str, int]) -> str:
    """Returns a table header's path; a part that names an array of tables means its last element."""
    prefix = ""
    parts = list(_key(node.named_children[0]))
    for position, part in enumerate(parts):
        prefix = f"{prefix}.{part}" if prefix else part
        if node.type == "table_array_element" and position == len(parts) - 1:
            arrays[prefix] = arrays.get(prefix, -1) + 1
        if prefix in arrays:
            prefix = f"{prefix}[{arrays[prefix]}]"
    return prefix


def _pair(node: Node, prefix: str) -> Iterator[tuple[str, int]]:
    key, value = node.named_children[0], node.named_children[-1]
    path = ".".join([prefix, *_key(key)] if prefix else _key(key))
    yield path, node.start_point.row + 1
    yield from _value(value, path)


def _value(node: Node, path: str) -> Iterator[tuple[str, int]]:
    if node.type == "inline_table":
        for child in node.named_children:
            if child.type == "pair":
                yield from _pair(child, path)
    elif node.type == "array":
        items = [child for child in node.named_children if child.type != "comment"]
        for index, child in enumerate(items):
            yield f"{path}[{index}]", child.start_point.row + 1
            yield from _value(child, f"{path}[{index}]")


def _key(node: Node) -> Iterator[str]:
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _key(child)
    else:
        yield (node.text or b"").decode().strip("\"'")
