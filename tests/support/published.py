"""OpenAI's published OpenAPI document, where there is a copy of it beside the checkout."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs
import yaml

from support.cli import ROOT

DOCUMENT = ROOT / "../shared/data/openai-openapi.yaml"

# Nulls that OpenAI's servers send and their document forgets: the first token of an echo has no score, a chunk of a
# completion no reason to end yet, and an empty page no first and last.
_NULLS = {
    "CreateCompletionResponse": ("finish_reason", "token_logprobs", "top_logprobs"),
    "ListFilesResponse": ("first_id", "last_id"),
}


@cache
def document() -> dict[str, Any]:
    """The document, in the words of today's JSON schema."""
    loaded = yaml.load(DOCUMENT.read_bytes(), Loader=yaml.CSafeLoader)
    plain = json.loads(json.dumps(loaded, default=str))  # dates in examples
    for name, fields in _NULLS.items():
        _allow_null(plain["components"]["schemas"][name], fields)
    modern: dict[str, Any] = _modern(plain)
    return modern


def _allow_null(schema: Any, fields: tuple[str, ...]) -> None:
    if isinstance(schema, list):
        for inside in schema:
            _allow_null(inside, fields)
    if isinstance(schema, dict):
        for name, inside in schema.items():
            if name in fields and isinstance(inside, dict):
                inside.get("items", inside)["nullable"] = True
            else:
                _allow_null(inside, fields)


def _modern(schema: Any) -> Any:
    """Version 3.0's `nullable` and true or false as `exclusiveMinimum` are no part of 3.1."""
    if isinstance(schema, list):
        return [_modern(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _modern(value) for key, value in schema.items()}
    if schema.get("exclusiveMinimum") is True:
        schema["exclusiveMinimum"] = schema.pop("minimum")
    if schema.pop("nullable", False) is True:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def faults(method: str, path: str, body: Any, *, kind: str = "application/json") -> list[str]:
    """What the document finds wrong with a good answer; an unknown route is a fault too.

    Args:
        method: Of the request.
        path: Of the request, after ``/v1``.
        body: The answer, or one event of a stream.
        kind: Its media type.
    """
    validator = _validator(method.lower(), path, kind)
    if validator is None:
        return [f"the document has no {method} {path} with {kind}"]
    return [f"{method} {path}: {error.message[:300]} at {error.instance_path}" for error in validator.iter_errors(body)]


def _validator(method: str, path: str, kind: str) -> Any:
    for template, operations in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if method in operations and re.fullmatch(pattern, path):
            return _compiled(template, method, kind)
    return None


@cache
def _compiled(template: str, method: str, kind: str) -> Any:
    content = document()["paths"][template][method]["responses"]["200"]["content"]
    if kind not in content:
        return None
    return jsonschema_rs.Draft202012Validator({**content[kind]["schema"], "components": document()["components"]})
