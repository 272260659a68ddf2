"""The edge of the API: error bodies in OpenAI's shape, and request bodies read field by field.

Whatever a request names must be understood: an unknown field, and a known one that is not supported here, are each
refused by name. Nothing is ignored in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_MISSING: Any = object()


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


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """A 400 about one field."""
    return ApiError(400, message, code=code, param=param)


def not_found(what: str, name: str, known: Iterable[str], *, code: str | None = None, param: str = "id") -> ApiError:
    """A 404 that names what comes nearest."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ApiError(404, f"No such {what}: {name!r}.{hint}", code=code, param=param)


def model_not_found(name: str, known: Iterable[str]) -> ApiError:
    """A 404 for a model, with the nearest names, or all where none is near."""
    names = list(known)
    near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:5]
    return ApiError(
        404,
        f"The model {name!r} does not exist. Did you mean {' or '.join(map(repr, near))}?",
        code="model_not_found",
        param="model",
    )


def parse_object(raw: bytes) -> dict[str, Any]:
    """A request body as a JSON object.

    Raises:
        ApiError: It is none.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {str(error)[:200]}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The body must be a JSON object.", code="invalid_type")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class Fields:
    """A JSON object whose fields are taken out one by one; what is left at the end is refused.

    Args:
        values: The object.
        path: How its fields are called in messages, such as ``method.supervised.``.
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = dict(values)
        self._known: set[str] = set()
        self._path = path

    def raw(self, name: str, default: Any = _MISSING) -> Any:
        """A field as it came; null counts as absent."""
        self._known.add(name)
        value = self._values.pop(name, None)
        if value is not None:
            return value
        if default is _MISSING:
            where = self._path + name
            raise invalid(where, f"Missing required parameter: '{where}'.", "missing_required_parameter")
        return default

    def give_back(self, name: str, value: Any) -> None:
        """Puts a field back that `raw` took."""
        self._values[name] = value

    def text(self, name: str, default: Any = _MISSING, *, most: int = 1_000_000) -> Any:
        """A string of at most `most` characters."""
        value = self.raw(name, default)
        if value is not default and (not isinstance(value, str) or not encodable(value)):
            raise self._wrong(name, "a string", value)
        if value is not default and len(value) > most:
            raise invalid(self._path + name, f"'{self._path + name}' is longer than {most} characters.", "too_long")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false by default."""
        value = self.raw(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def integer(self, name: str, default: Any = _MISSING, *, low: int = 0, high: int = 2**63 - 1) -> Any:
        """A whole number from `low` to `high`."""
        value = self.raw(name, default)
        if value is default:
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "an integer", value)
        self._within(name, value, low, high)
        return value

    def number(self, name: str, default: Any = _MISSING, *, low: float = 0.0, high: float = math.inf) -> Any:
        """A finite number from `low` to `high`."""
        value = self.raw(name, default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
            raise self._wrong(name, "a number", value)
        self._within(name, value, low, high)
        return float(value)

    def table(self, name: str, default: Any = _MISSING) -> Any:
        """An object, as `Fields` of its own."""
        value = self.raw(name, default)
        if value is default:
            return value
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return Fields(value, f"{self._path}{name}.")

    def ignored(self, *names: str) -> None:
        """Fields that change no answer, whatever they hold."""
        for name in names:
            self.raw(name, None)

    def neutral(self, name: str, *values: Any) -> None:
        """A field that is supported with the values that change nothing alone."""
        value = self.raw(name, None)
        if value is not None and not any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in values):
            raise self.unsupported(name, f" with the value {json.dumps(value)[:80]}")

    def unsupported(self, name: str, how: str = "") -> ApiError:
        """The error for a field that OpenAI has and this endpoint has not."""
        where = self._path + name
        return invalid(where, f"Unsupported parameter: '{where}'{how} is not supported here.", "unsupported_parameter")

    def finish(self, unsupported: Collection[str] = ()) -> None:
        """Refuses what is left.

        Args:
            unsupported: Fields that OpenAI's API has and this endpoint has not.
        """
        for name in self._values:
            if self._values[name] is None and name in unsupported:
                continue
            if name in unsupported:
                raise self.unsupported(name)
            near = get_close_matches(name, sorted(self._known), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            where = (self._path + name)[:100]
            raise invalid(where, f"Unknown parameter: '{where}'.{hint}", "unknown_parameter")

    def _within(self, name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            limits = f"at least {low}" if high in (math.inf, 2**63 - 1) else f"from {low} to {high}"
            raise invalid(self._path + name, f"Invalid '{self._path + name}': {value} is not {limits}.")

    def _wrong(self, name: str, expected: str, value: Any) -> ApiError:
        where = self._path + name
        return invalid(
            where, f"Invalid type for '{where}': expected {expected}, got {type(value).__name__}.", "invalid_type"
        )


def encodable(text: str) -> bool:
    """Whether a string can be written as UTF-8: JSON can smuggle in halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
