"""Errors in OpenAI's shape, and how a failed validation becomes one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

_LONGEST = 100
_FIELD = re.compile(r"\w+", re.ASCII)
_BRANCHES = frozenset({"int", "float", "str", "bool"})  # how pydantic calls the members of a union in a location
_EXPECTED = {
    "bool": "true or false",
    "dict": "an object",
    "float": "a number",
    "int": "an integer",
    "list": "an array",
    "model": "an object",
    "model_attributes": "an object",
    "string": "a string",
}
_CALLED = {"NoneType": "null", "dict": "an object", "list": "an array", "str": "a string", "bool": "true or false"}


class ApiError(Exception):
    """An answer other than 200, in OpenAI's shape.

    Args:
        status: HTTP status.
        message: For people.
        code: For programs, such as ``model_not_found``.
        param: The field of the request that is meant.
        kind: OpenAI's error ``type``.
        headers: Further response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.kind = status, message, code, param, kind
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The response body."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


class ErrorFacts(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorFacts


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """A 400 about one field."""
    return ApiError(400, message, code=code, param=param)


def schema_refused(reason: Exception) -> ApiError:
    """A 400 about a JSON schema that answers cannot be held to."""
    return invalid("response_format", f"Invalid schema for response_format: {reason}.")


def unsupported(param: str, how: str = "") -> ApiError:
    """A 400 for what OpenAI's API has and this endpoint has not."""
    return invalid(param, f"Unsupported parameter: '{param}'{how} is not supported here.", "unsupported_parameter")


def unknown(param: str, known: Iterable[str]) -> ApiError:
    """A 400 for a field that there is not, with the nearest one that there is."""
    near = get_close_matches(param.rsplit(".", 1)[-1], sorted(known), n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return invalid(param, f"Unknown parameter: '{param}'.{hint}", "unknown_parameter")


def no_json(why: object) -> ApiError:
    """A 400 for a body that cannot be read."""
    return ApiError(400, f"The body is not JSON: {str(why)[:_LONGEST]}.", code="invalid_json")


def not_found(what: str, name: str, known: Iterable[str], *, code: str | None = None) -> ApiError:
    """A 404 that names what comes nearest."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ApiError(404, f"No such {what}: {name[:_LONGEST]!r}.{hint}", code=code, param="id")


def model_not_found(name: str, known: Iterable[str]) -> ApiError:
    """A 404 for a model, with the nearest names, or some where none is near."""
    names = list(known)
    near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:5]
    return ApiError(
        404,
        f"The model {name[:_LONGEST]!r} does not exist. Did you mean {' or '.join(map(repr, near))}?",
        code="model_not_found",
        param="model",
    )


def refusal(error: Mapping[str, Any], known: Iterable[str] = ()) -> ApiError:
    """What to answer to one of pydantic's errors.

    Args:
        error: As `ValidationError.errors()` has it, with the location inside of the body or the query.
        known: Names of the query's parameters, for the hint about an unknown one.
    """
    kind, where, value = error["type"], _path(error["loc"]), error.get("input")
    facts = error.get("ctx", {})
    if kind == "unknown_parameter":
        return unknown(f"{where}.{facts['name']}".lstrip("."), facts["known"])
    if kind == "extra_forbidden":
        return unknown(where, known)
    if kind == "unsupported_parameter":
        return unsupported(where, f" with the value {json.dumps(value)[:80]}" if _plain(value) else "")
    if kind == "json_invalid":
        return no_json(facts["error"])
    if not where:
        return ApiError(400, "The body must be a JSON object.", code="invalid_type")
    if kind == "missing":
        return invalid(where, f"Missing required parameter: '{where}'.", "missing_required_parameter")
    if kind == "value_error":  # a form's text where a file belongs
        return invalid(where, f"Invalid '{where}': it must be a file.", "invalid_type")
    stem = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    if stem != kind and stem in _EXPECTED:
        got = type(value).__name__
        message = f"Invalid type for '{where}': expected {_EXPECTED[stem]}, got {_CALLED.get(got, got)}."
        return invalid(where, message, "invalid_type")
    code = kind if kind in ("invalid_type", "too_long") else "too_long" if "too_long" in kind else "invalid_value"
    shown = f" Got {json.dumps(value)[:80]}." if _plain(value) else ""
    return invalid(where, f"Invalid '{where}': {error['msg']}.{shown}", code)


def _path(location: Sequence[str | int]) -> str:
    """``messages[0].content`` for a location."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _FIELD.fullmatch(step) and step not in _BRANCHES:
            path += f".{step}"
    return path.lstrip(".")[:_LONGEST]


def _plain(value: Any) -> bool:
    """Whether a value is short enough to be shown."""
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1e18) or (
        isinstance(value, str) and len(value) <= _LONGEST
    )  # fmt: skip


def encodable(text: str) -> bool:
    """Whether a string can be written as UTF-8: JSON can smuggle in halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def legible(text: str) -> str:
    """The beginning of a name, fit for a message."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()
