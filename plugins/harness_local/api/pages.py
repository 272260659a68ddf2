"""Lists as OpenAI pages them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness_local.api.errors import ApiError, invalid, legible


class PageQuery(BaseModel):
    """Which part of a list is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class JobsQuery(PageQuery):
    """Of the jobs; filters by metadata have names of their own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def filters(self) -> dict[str, Any]:
        """The rest of the query."""
        return dict(self.model_extra or {})


class CheckpointsQuery(PageQuery):
    """Of a job's checkpoints."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10


class EventsQuery(PageQuery):
    """Of a job's events."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 20


class FilesQuery(PageQuery):
    """Of the files."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


def page(rows: Sequence[Mapping[str, Any]], query: PageQuery) -> dict[str, Any]:
    """A page of rows that have an ``id``.

    Args:
        rows: All of them, in order.
        query: How many, and the id of the last row of the page before.

    Raises:
        ApiError: 400 about ``after``.
    """
    start = 0
    if query.after:
        places = [i for i, row in enumerate(rows) if row["id"] == query.after]
        if not places:
            raise nothing_after(query.after)
        start = places[0] + 1
    end = start + query.limit
    return shown(rows[start:end], more=end < len(rows))


def shown(rows: Sequence[Mapping[str, Any]], *, more: bool) -> dict[str, Any]:
    """Rows as a page; `more` says whether others come after it."""
    return {
        "object": "list",
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": more,
    }


def nothing_after(name: str) -> ApiError:
    """A 400 for an ``after`` that is no row of the list."""
    return invalid("after", f"'after' names nothing in this list: {legible(name)!r}.")
