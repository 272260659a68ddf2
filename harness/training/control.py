"""An endpoint's control side (files, jobs, models): one call at a time, again where a failure passes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.errors import HarnessError, TrainingRefusedError, UnfinishedError, UsageError
from harness.execution.faults import MORE_QUOTA, BadBody, Fate, judge
from harness.execution.lanes import PATIENCE_S
from harness.execution.targets import Target
from harness.numbers import duration
from harness.secrets import Scrubber

if TYPE_CHECKING:
    import httpx2
    import openai

T = TypeVar("T")
ATTEMPTS = 6
CONNECTION_ATTEMPTS = 4
"""Fewer where nobody answers at all."""
REFUSED = frozenset({"training_not_available", "fine_tuning_not_available"})


@dataclass(frozen=True, kw_only=True)
class Control:
    """The control side of one endpoint."""

    client: openai.OpenAI
    target: Target
    scrub: Scrubber
    sleep: Callable[[float], None] = time.sleep

    @property
    def where(self) -> str:
        """Names the endpoint, for messages."""
        return f"the endpoint {self.target.name} ({self.target.base_url})"

    def ask(self, call: Callable[[], T], between: Callable[[], T | None] | None = None, attempts: int = ATTEMPTS) -> T:
        """Makes one call, again where a failure passes.

        Args:
            call: The call; `BadBody` from it counts as a failure that passes.
            between: Asked before each further attempt whether the last one has done its work all the same.
            attempts: How many are made at most.

        Raises:
            TrainingRefusedError: The endpoint does not train.
            UnfinishedError: It cannot be reached, has no credit, or lets nothing through for too long.
            UsageError: It refuses the call.
        """
        import openai

        for attempt in range(1, attempts + 1):
            try:
                return call()
            except (openai.OpenAIError, BadBody) as error:
                fate = judge(error, self.scrub)
                most = min(attempts, CONNECTION_ATTEMPTS) if fate.kind == "connection" else attempts
                wait_s = max(0.25 * 2**attempt, fate.retry_after_s or 0.0)
                if fate.scope != "retry" or attempt >= most or wait_s > PATIENCE_S:
                    raise self._error(error, fate) from None
            self.sleep(wait_s)
            found = between() if between is not None else None
            if found is not None:
                return found
        raise AssertionError("unreachable")

    def _error(self, error: Exception, fate: Fate) -> HarnessError:
        if getattr(error, "code", None) in REFUSED:
            return TrainingRefusedError(
                f"{self.where} refused to train: {fate.message}", 'train elsewhere, e.g. endpoint = "local"'
            )
        if fate.scope in {"retry", "endpoint"}:
            hint = MORE_QUOTA if fate.kind == "quota" else "the same command goes on"
            if fate.retry_after_s is not None and fate.retry_after_s > PATIENCE_S:
                hint = f"it lets nothing through for {duration(fate.retry_after_s)}; then {hint}"
            return UnfinishedError(f"{self.where}: {fate.message}", hint)
        if fate.kind == "authentication":
            cure = f"put a valid key into the environment variable {self.target.key_name}"
        elif fate.kind in {"unknown-model", "not-found"}:
            cure = "does it offer files and fine_tuning.jobs, and this base model?"
        else:
            cure = "correct the experiment or the data, then run the same command"
        return UsageError(f"{self.where} refused the training job: {fate.message}", cure)


@contextmanager
def open_control(target: Target, scrub: Scrubber, sleep: Callable[[float], None] = time.sleep) -> Iterator[Control]:
    """Opens an endpoint's control side."""
    from openai import DefaultHttpxClient, OpenAI

    checked = DefaultHttpxClient(event_hooks={"response": [_check_body]}, trust_env=not target.local)
    with OpenAI(**target.client_settings(), http_client=checked) as client:
        yield Control(client=client, target=target, scrub=scrub, sleep=sleep)


def _check_body(response: httpx2.Response) -> None:
    """Lets no page of a proxy through where an API's reply is due; a file's content may be anything."""
    path = response.url.path
    if response.is_success and not path.endswith("/content"):
        try:
            body = json.loads(response.read())
        except ValueError:
            raise BadBody("the body is no JSON") from None
        if "/fine_tuning/" in path and not isinstance(body, dict):  # some list models without an object around them
            raise BadBody("the body is no JSON object")
