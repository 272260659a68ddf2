"""The events of a training job as its endpoint lists them, in whatever order and however much of each."""

from __future__ import annotations

import json
from typing import Any

from harness.training.control import Control
from harness.training.launching import once


class Events:
    """What a job has told so far.

    Args:
        control: The job's endpoint.
        job: The job's id there.
    """

    def __init__(self, control: Control, job: str) -> None:
        self.seen: list[dict[str, Any]] = []
        """All events, oldest first: `id`, `at`, `level`, `type`, `message`, `data`."""
        self._control, self._job = control, job
        self._ids: set[str] = set()
        self._newest_first: bool | None = None
        """In which order they are listed; None until two of different times were seen."""

    def new(self) -> list[dict[str, Any]]:
        """Returns the events since the last look, oldest first; an endpoint without events has none."""
        listed = self._control.ask(self._listed)
        found = listed if self._newest_first is False else listed[::-1]
        self._ids.update(event["id"] for event in found)
        self.seen += found
        return found

    def _listed(self) -> list[dict[str, Any]]:
        import openai

        found: list[dict[str, Any]] = []
        before: Any = None
        try:
            for raw in once(self._control.client.fine_tuning.jobs.list_events(self._job, limit=100)):
                event = self._kept(raw)
                self._learn(before, event["at"])
                before = event["at"]
                if event["id"] not in self._ids:
                    found.append(event)
                elif self._newest_first:
                    break
        except openai.NotFoundError:
            return []
        return found

    def _learn(self, before: Any, at: Any) -> None:
        """Learns the order from two neighbours: newest first by the API's reference, oldest first at some."""
        if self._newest_first is None and type(before) is type(at) and isinstance(at, int | float | str):
            self._newest_first = None if before == at else before > at

    def _kept(self, raw: Any) -> dict[str, Any]:
        """Returns what is kept of an event, of which an endpoint may leave out anything."""
        told = {name: getattr(raw, name, None) for name in ("level", "type")}
        at, message = getattr(raw, "created_at", None), str(getattr(raw, "message", None) or "")
        data = json.loads(self._control.scrub(json.dumps(getattr(raw, "data", None), default=str)))
        name = getattr(raw, "id", None) or f"{at} {message}"
        return {"id": name, "at": at, **told, "message": self._control.scrub(message), "data": data}
