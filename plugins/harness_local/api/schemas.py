"""What the OpenAPI page says of answers: the `openai` package's own types, and where they are narrower than the truth.

Answers are made as plain objects and not validated again when they are sent; tests hold them to these types.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from openai.types import Completion, CompletionChoice, FileDeleted, FileObject, Model, ModelDeleted
from openai.types.chat import ChatCompletion
from openai.types.completion_choice import Logprobs
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from pydantic import BaseModel

from harness_local.api.errors import ErrorBody

_T = TypeVar("_T")
Responses = dict[int | str, dict[str, Any]]


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


def answers(model: Any, *, streams: bool = False) -> Responses:
    """A route's responses.

    Args:
        model: The type of its body; None for a file's content.
        streams: Whether it can be a stream of events.
    """
    good: dict[str, Any] = {"description": "Done."}
    if model is None:
        good["content"] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    else:
        good["model"] = model
    if streams:
        data = {"type": "string", "description": "A chunk as JSON, an error as JSON, or [DONE]."}
        event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
        good["content"] = {"text/event-stream": {"itemSchema": event}}
    return {200: good, "4XX": {"model": ErrorBody, "description": "Refused, and why."}}


COMPLETION = answers(TextCompletion, streams=True)
CHAT = answers(ChatCompletion, streams=True)
MODEL, MODELS, MODEL_GONE = answers(Model), answers(Listed[Model]), answers(ModelDeleted)
FILE, FILES, FILE_GONE, CONTENT = answers(FileObject), answers(Paged[FileObject]), answers(FileDeleted), answers(None)
JOB, JOBS = answers(FineTuningJob), answers(Paged[FineTuningJob])
EVENTS, CHECKPOINTS = answers(Paged[FineTuningJobEvent]), answers(Paged[FineTuningJobCheckpoint])
HEALTH = answers(Health)
