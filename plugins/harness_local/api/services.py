"""What the routes work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from starlette.requests import Request

from harness_local.api.errors import model_not_found, schema_refused
from harness_local.inference.constraints import ConstraintError, Constraints
from harness_local.inference.engine import Engine
from harness_local.models.tokens import Codec
from harness_local.state import Row, State, is_checkpoint
from harness_local.training.supervisor import Supervisor

_Given = TypeVarTuple("_Given")
_T = TypeVar("_T")
_QUICK_BYTES = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes work with.

    Attributes:
        base: Id of the base model.
        created: When it was loaded, seconds since 1970.
        context: Its context length in tokens.
        vocabulary: Number of its tokens.
        fingerprint: What answers depend on beside the request.
    """

    base: str
    created: int
    context: int
    vocabulary: int
    fingerprint: str
    codec: Codec
    constraints: Constraints
    engine: Engine
    state: State
    supervisor: Supervisor

    def models(self) -> list[str]:
        """Ids that a request can name, the base first; checkpoints, which are not listed, come last."""
        tuned = [row["id"] for row in self.state.models(self.base)]
        return [self.base, *sorted(tuned, key=is_checkpoint)]

    def tuned(self, model: str) -> Row | None:
        """The record of a fine-tuned model, where it stands on the model that is served."""
        return self.state.model(model, self.base)

    def adapter(self, model: str) -> str | None:
        """The adapter that a request's model stands for; None for the base.

        Raises:
            ApiError: 404, with the nearest names.
        """
        if model.casefold() == self.base.casefold():
            return None
        if self.tuned(model) is None:
            raise model_not_found(model, self.models())
        return model

    def check_schema(self, schema: str) -> None:
        """Refuses a JSON schema that answers cannot be held to.

        Raises:
            ApiError: 400, with what is wrong.
        """
        try:
            self.constraints.check(schema)
        except ConstraintError as error:
            raise schema_refused(error) from None


def services_of(request: Request) -> Services:
    """The services of the application that a request came to."""
    found: Services = request.app.state.services
    return found


async def aside(request: Request, slow: bool, work: Callable[[*_Given], _T], *args: *_Given) -> _T:
    """Does what takes long, such as turning a long body into tokens, without keeping other requests waiting.

    Args:
        request: Where the work comes from; a long body makes it slow.
        slow: Whether it is slow whatever the body's length.
        work: What to do.
        *args: For `work`.
    """
    if not slow and int(request.headers.get("content-length", _QUICK_BYTES)) < _QUICK_BYTES:
        return work(*args)
    return await asyncio.to_thread(work, *args)
