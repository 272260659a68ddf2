"""Models that a run has trained itself: endpoints may answer 404 for the first minutes of such a model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from harness.execution.faults import Fate
from harness.execution.work import Request

FRESH_S = 600.0
"""Seconds after the end of a training for which a 404 of its model passes."""
FRESH, ABSENT = "fresh-model", "absent-model"
"""Kinds of a 404 that passes, and of one that has not passed: the name is right, so nobody has to correct it."""
WAIT_S = 20.0
"""Longest pause between two attempts."""


@dataclass(kw_only=True)
class Fresh:
    """Judges a 404 of a model that this run has trained."""

    tell: Callable[[str], None] = lambda _message: None
    """Told once of each model that lets itself be waited for."""
    ended: dict[str, float] = field(default_factory=dict)
    """Model → when its training ended, in seconds since 1970."""
    _deployed: dict[str, str] = field(default_factory=dict)
    """Deployment → the model that it is taken to serve."""
    _asked: Counter[str] = field(default_factory=Counter)
    _absent: dict[str, str] = field(default_factory=dict)

    def add(self, models: Iterable[str], ended: float) -> None:
        """Takes notice of models, by all names under which they are called."""
        self.ended |= dict.fromkeys(models, ended)

    def deployed(self, deployment: str, model: str) -> str:
        """Returns the model of this run that a deployment serves: the first that asks for it."""
        return self._deployed.setdefault(deployment, model)

    def judged(self, request: Request, fate: Fate) -> Fate:
        """Returns what follows from a failed attempt, given that its model may have been trained just now."""
        model = str(request.body.get("model"))
        if fate.kind not in {"unknown-model", "not-found"} or model not in self.ended:
            return fate
        if time.time() - self.ended[model] > FRESH_S:
            message = f"{model} was trained by this run, but the endpoint does not know it: {fate.message}"
            self._absent[model] = message
            return replace(fate, scope="retry", kind=ABSENT, message=message)
        if not self._asked[model]:
            self.tell(
                f"{request.arm}: {model} is trained, but not there yet (404): it is asked again for up to "
                f"{round(FRESH_S / 60)} minutes"
            )
        self._asked[model] += 1
        pause = min(WAIT_S, 0.25 * 2 ** min(self._asked[model], 10))
        return replace(fate, scope="retry", kind=FRESH, retry_after_s=pause)

    def absent(self, request: Request) -> str | None:
        """Returns why a request need not be sent: its model has been waited for in vain."""
        return self._absent.get(str(request.body.get("model")))
