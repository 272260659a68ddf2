"""The form of chat models: instruction as system message, shots as turns of user and assistant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import harness
from harness_plugins.formatters import _template


@dataclass(frozen=True, kw_only=True)
class Chat:
    """System, then user and assistant in turn."""

    name: ClassVar[str] = "chat"
    instruction: str | None = None
    """The system message; by default one that names the labels, and none at all where it is empty."""
    template: str = "{text}"
    """The user's message; `{text}` stands for all text fields, `{title}` for the field `title`; beside such a place
    `{text}` is the field `text`, if there is one."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Label → the word that the model sees and says for it."""

    def prompt(
        self, example: harness.Example, shots: Sequence[harness.Example], labels: Sequence[str]
    ) -> harness.Prompt:
        """Builds the prompt. Equal shots give an equal beginning, byte for byte."""
        messages = self._system(labels)
        for shot in shots:
            messages += [self._user(shot), self._assistant(shot)]
        return harness.Prompt(
            messages=(*messages, self._user(example)),
            continuations={label: _template.word(label, self.words) for label in labels},
        )

    def training_line(self, example: harness.Example, labels: Sequence[str]) -> dict[str, Any]:
        """Builds `{"messages": […]}`: the prompt as it is asked without shots, and the answer."""
        instruction = self._instruction(labels)
        turns = [("system", instruction)] if instruction else []
        turns += [
            ("user", _template.fill(self.template, example)),
            ("assistant", _template.word(example.label, self.words)),
        ]
        return {"messages": [{"role": role, "content": content} for role, content in turns]}

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        """Reads the label leniently."""
        return _template.parse(text, labels, self.words)

    def _system(self, labels: Sequence[str]) -> list[harness.Message]:
        instruction = self._instruction(labels)
        return [harness.Message(role="system", content=instruction)] if instruction else []

    def _instruction(self, labels: Sequence[str]) -> str:
        if self.instruction is not None:
            return self.instruction
        return _instruction(tuple([_template.word(label, self.words) for label in labels] if self.words else labels))

    def _user(self, example: harness.Example) -> harness.Message:
        return harness.Message(role="user", content=_template.fill(self.template, example))

    def _assistant(self, example: harness.Example) -> harness.Message:
        return harness.Message(role="assistant", content=_template.word(example.label, self.words))


@lru_cache(maxsize=64)
def _instruction(words: tuple[str, ...]) -> str:
    """Returns the default instruction; it is asked for with every example."""
    return f"Classify the text. Answer with one of these labels and nothing else: {', '.join(words)}"


@harness.hookimpl
def harness_formatters() -> list[type[Chat]]:
    """Declares the formatter."""
    return [Chat]
