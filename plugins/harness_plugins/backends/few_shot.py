"""The `few-shot` backend: a base model, prompted with k shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import harness
from harness_plugins.openai_answers import Asking, Mode, read


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """A base model prompted with k shots (k = 0: zero-shot) over an OpenAI-compatible endpoint."""

    name: ClassVar[str] = "few-shot"
    family: ClassVar[str] = "few-shot"
    default_formatter: ClassVar[str] = "chat"

    endpoint: str
    model: str
    answer: Mode = "generate"
    calibrate: bool = False
    """Divide the labels' probabilities by those of an input without content; needs `answer = "choose"`."""
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)
    """Further keys of the request, passed through."""

    def __post_init__(self) -> None:
        if self.calibrate and self.answer != "choose":
            raise ValueError('calibrate = true needs answer = "choose"')

    def calls(self, prompt: harness.Prompt, labels: Sequence[str]) -> tuple[harness.Call, ...]:
        """Describes the requests for one prompt."""
        extra = {**({"reasoning_effort": self.reasoning_effort} if self.reasoning_effort else {}), **self.extra_body}
        asking = Asking(
            endpoint=self.endpoint, model=self.model, answer=self.answer, calibrate=self.calibrate,
            max_tokens=self.max_tokens, extra=extra,
        )  # fmt: skip
        return asking.calls(prompt, labels)

    def read(self, bodies: Sequence[harness.Reply]) -> harness.Answer:
        """Reads the replies."""
        return read(bodies)


@harness.hookimpl
def harness_backends() -> list[type[FewShot]]:
    """Declares the backend."""
    return [FewShot]
