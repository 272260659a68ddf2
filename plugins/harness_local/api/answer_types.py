"""Types of answers for the OpenAPI page: the `openai` package's own, and where they are narrower than the truth.

Answers are made as plain objects and not validated again when they are sent; tests hold them to these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

from openai.types import Completion, CompletionChoice, FileDeleted, FileObject, Model, ModelDeleted
from openai.types.chat import ChatCompletion
from openai.types.completion_choice import Logprobs
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from harness_local.api.schemas import REFERENCE

_T = TypeVar("_T")


class ScoredTokens(Logprobs):
    """Log-probabilities; of an echo's very first token there is none."""

    token_logprobs: list[float | None] | None = None  # type: ignore[assignment]
    top_logprobs: list[dict[str, float] | None] | None = None  # type: ignore[assignment]


class Choice(CompletionChoice):
    """A choice of a completion."""

    logprobs: ScoredTokens | None = None


class TextCompletion(Completion):
    """A completion."""

    choices: list[Choice]  # type: ignore[assignment]


class Listed(BaseModel, Generic[_T]):
    """A list that is not paged."""

    object: Literal["list"]
    data: list[_T]


class Paged(Listed[_T], Generic[_T]):
    """A page of a list."""

    first_id: str | None
    last_id: str | None
    has_more: bool


class Health(BaseModel):
    """The server can answer."""

    status: Literal["ok"]
    model: str


ANSWERS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "CompletionAnswer": TextCompletion,
        "ChatAnswer": ChatCompletion,
        "ModelAnswer": Model,
        "ModelsAnswer": Listed[Model],
        "ModelGoneAnswer": ModelDeleted,
        "FileAnswer": FileObject,
        "FilesAnswer": Paged[FileObject],
        "FileGoneAnswer": FileDeleted,
        "JobAnswer": FineTuningJob,
        "JobsAnswer": Paged[FineTuningJob],
        "EventsAnswer": Paged[FineTuningJobEvent],
        "CheckpointsAnswer": Paged[FineTuningJobCheckpoint],
        "HealthAnswer": Health,
    }
)
"""What the names in `schemas` stand for."""


def components() -> dict[str, Any]:
    """JSON schemas of all answers and of what they refer to, by name."""
    places, whole = models_json_schema([(model, "serialization") for model in ANSWERS.values()], ref_template=REFERENCE)
    named = {name: places[model, "serialization"] for name, model in ANSWERS.items()}
    return {**whole["$defs"], **named}
