"""What request bodies are made of: objects of which every field is understood, and types that say what is wrong."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness_local.api.errors import encodable, legible


class Body(BaseModel):
    """A JSON object of which every field is understood."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, value: Any) -> Any:
        # Before pydantic does: it would collect an error for each of a million names.
        if isinstance(value, dict) and not value.keys() <= cls.model_fields.keys():
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for name in value:
                if name not in known:
                    raise PydanticCustomError("unknown_parameter", "unknown", {"name": legible(name), "known": known})
        return value


def only(*neutral: Any) -> tuple[Any, ...]:
    """Marks a field that is supported with values that change nothing alone.

    Args:
        neutral: These values, beside null.
    """
    return _fixed((None, *neutral))


def always(value: str) -> tuple[Any, ...]:
    """Marks a field that must be there and say this."""
    return _fixed((value,))


def _fixed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    def check(value: Any) -> Any:
        if not any(type(value) is type(v) and value == v for v in values):
            raise PydanticCustomError("unsupported_parameter", "unsupported")
        return value

    return PlainValidator(check), WithJsonSchema({"enum": list(values)})


def told(message: str) -> WrapValidator:
    """Says one thing about a value that fits none of several types."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("invalid_type", "{message}", {"message": message}) from None

    return WrapValidator(check)


def _at_most(most: int) -> BeforeValidator:
    def check(value: Any) -> Any:  # before each of a million entries is looked at
        if isinstance(value, dict) and len(value) > most:
            raise PydanticCustomError("too_long", "it may have {most} entries at most", {"most": most})
        return value

    return BeforeValidator(check)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _writable(text: str) -> str:
    if not encodable(text):
        raise PydanticCustomError("invalid_value", "it holds half of a surrogate pair")
    return text


Int = Annotated[int, BeforeValidator(_whole)]
"""A whole number, also where it is written as 5.0."""

Text = Annotated[str, AfterValidator(_writable)]
"""Text that can be written as UTF-8."""

_TokenId = r"^[0-9]{1,9}$"
_MOST_BIASES = 1024

Bias = Annotated[
    dict[Annotated[str, Field(pattern=_TokenId)], Annotated[float, Field(ge=-100, le=100)]],
    told("it must map token ids to numbers from -100 to 100"),
    _at_most(_MOST_BIASES),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _TokenId},
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
            "maxProperties": _MOST_BIASES,
        }
    ),
]
"""``logit_bias``."""

Metadata = Annotated[
    dict[Annotated[Text, Field(max_length=64)], Annotated[Text, Field(max_length=512)]],
    told("it must hold up to 16 strings of up to 512 characters, with names of up to 64"),
    _at_most(16),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"maxLength": 64},
            "additionalProperties": {"type": "string", "maxLength": 512},
            "maxProperties": 16,
        }
    ),
]
"""``metadata``."""
