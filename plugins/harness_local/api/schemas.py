"""What the OpenAPI page says of answers.

Routes name their answers; what the names stand for is imported with `harness_local.api.answer_types` when the page is
asked for, because the `openai` package's types take half a second to import.
"""

from __future__ import annotations

from typing import Any

from harness_local.api.errors import ErrorBody

Responses = dict[int | str, dict[str, Any]]
REFERENCE = "#/components/schemas/{model}"


def answers(name: str | None, *, streams: bool = False) -> Responses:
    """A route's responses.

    Args:
        name: Of its body in `answer_types.ANSWERS`; None for a file's content.
        streams: Whether it can be a stream of events.
    """
    content: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if name is not None:
        content = {"application/json": {"schema": {"$ref": REFERENCE.format(model=name)}}}
    if streams:
        data = {"type": "string", "description": "A chunk as JSON, an error as JSON, or [DONE]."}
        event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
        content["text/event-stream"] = {"itemSchema": event}
    good = {"description": "Done.", "content": content}
    return {200: good, "4XX": {"model": ErrorBody, "description": "Refused, and why."}}


COMPLETION, CHAT = answers("CompletionAnswer", streams=True), answers("ChatAnswer", streams=True)
MODEL, MODELS, MODEL_GONE = answers("ModelAnswer"), answers("ModelsAnswer"), answers("ModelGoneAnswer")
FILE, FILES, FILE_GONE = answers("FileAnswer"), answers("FilesAnswer"), answers("FileGoneAnswer")
CONTENT = answers(None)
JOB, JOBS = answers("JobAnswer"), answers("JobsAnswer")
EVENTS, CHECKPOINTS = answers("EventsAnswer"), answers("CheckpointsAnswer")
HEALTH = answers("HealthAnswer")
