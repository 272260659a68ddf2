"""What an endpoint says of a model before anything is spent on it: whether it is there, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

UNTOLD = frozenset({400, 403, 404, 405, 410, 501})
"""Answers of an endpoint that tells nothing of its models; it may serve them all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What an endpoint says of one model."""

    missing: bool = False
    """The endpoint lists its models, and this one is not among them."""
    shutdown_date: str | None = None
    """ISO date from which it answers no more; `None` where none is told."""
    others: tuple[str, ...] = ()
    """Where it is missing: the models that there are."""


def looked_up(client: openai.OpenAI, model: str) -> Model:
    """Asks an endpoint for the record of a model; for the list of all where it has none.

    Raises:
        openai.OpenAIError: The endpoint cannot be reached, or the key is wrong.
    """
    import openai

    try:
        return Model(shutdown_date=_date(client.models.retrieve(model)))
    except openai.APIStatusError as error:
        if error.status_code not in UNTOLD:
            raise
        unknown = error.status_code == 404
    try:
        there = {one.id: one for one in client.models.list()}
    except openai.APIStatusError as error:
        if error.status_code not in UNTOLD:
            raise
        return Model()
    if model in there:  # an endpoint that lists models, but shows none of them
        return Model(shutdown_date=_date(there[model]))
    return Model(missing=unknown and bool(there), others=tuple(there))


def _date(record: Any) -> str | None:
    told = getattr(record, "shutdown_date", None)
    try:
        return datetime.fromisoformat(str(told)).date().isoformat() if told else None
    except ValueError:  # what an endpoint sends is data
        return None
