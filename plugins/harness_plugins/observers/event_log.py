"""What happens in a run, line by line in a file, for those who follow it with tools of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import harness


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """Appends each event as one JSON object to a file, at once."""

    name: ClassVar[str] = "event-log"

    path: str
    """The file, relative to the run's folder."""

    def on(self, event: harness.Event) -> None:
        """Appends one line: `kind`, `run`, `time` (seconds since 1970), `arm`, `message`, `figures`."""
        line = {name: getattr(event, name) for name in ("kind", "run", "time", "arm", "message")}
        line["figures"] = dict(event.figures)
        path: Path = event.folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


@harness.hookimpl
def harness_observers() -> list[type[EventLog]]:
    """Declares the observer."""
    return [EventLog]
