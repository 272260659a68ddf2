"""A report as JSON: `results.json` as it is, and what each section says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from harness.blocks import Block, Explorer, Results
from harness.report.reading import Samples, withhold
from harness.report.sections import Spoken
from harness.report.telling import tell

if TYPE_CHECKING:
    from harness.contract import Section


def to_json(results: Results, sections: Sequence[Section] = (), *, samples: Samples = "all") -> str:
    """Writes a report as JSON.

    Args:
        results: What the report shows.
        sections: Instances of section plugins, in any order.
        samples: Which texts and answers any section sees.

    Returns:
        The content of `results.json`, its keys unchanged, with `sections` beside them.
    """
    shown = withhold(results, samples)
    told = tell(shown, sections)
    return dumps({**shown.data, "sections": said(told.sections)})


def said(sections: Sequence[Spoken]) -> list[dict[str, Any]]:
    """Returns sections as values of JSON: `name`, `title` and `blocks`, each with its `type` and its fields."""
    return [
        {"name": spoken.name, "title": spoken.title, "blocks": [_block(block) for block in spoken.blocks]}
        for spoken in sections
    ]


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Explorer):  # its columns are those of predictions.parquet
        return {"type": "explorer", "errors": _plain(block.errors)}
    return {"type": type(block).__name__.lower(), **_plain(block)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def dumps(value: Any) -> str:
    """Writes a value as JSON for people and programs; half of a surrogate pair, which no file may hold, as its code."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
