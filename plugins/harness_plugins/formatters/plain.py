"""A template that an untuned completion model goes on with: `Review: …` / `Sentiment:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import harness
from harness_plugins.formatters import _template


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A filled template for each shot and for the item, a blank line between them."""

    name: ClassVar[str] = "plain"
    template: str = "Review: {text}\nSentiment:"
    """`{text}` stands for all text fields, `{title}` for the field `title`; beside such a place `{text}` is the field
    `text`, if there is one. The answer follows after one space."""
    instruction: str = ""
    """Stands before everything, a blank line after it."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Label → the word that the model sees and says for it."""

    def prompt(
        self, example: harness.Example, shots: Sequence[harness.Example], labels: Sequence[str]
    ) -> harness.Prompt:
        """Builds the prompt: instruction, shots, item. Equal shots give an equal beginning, byte for byte."""
        blocks = [self.instruction] if self.instruction else []
        blocks += [f"{self._asked(shot)} {_template.word(shot.label, self.words)}" for shot in shots]
        blocks.append(self._asked(example))
        return harness.Prompt(
            text="\n\n".join(blocks),
            stop=("\n",),
            continuations={label: f" {_template.word(label, self.words)}" for label in labels},
        )

    def training_line(self, example: harness.Example, labels: Sequence[str]) -> dict[str, Any]:
        """Builds `{"prompt": …, "completion": …}`, the prompt as it is asked without shots."""
        completion = f" {_template.word(example.label, self.words)}"
        return {"prompt": self.prompt(example, (), labels).text, "completion": completion}

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        """Reads the label leniently."""
        return _template.parse(text, labels, self.words)

    def _asked(self, example: harness.Example) -> str:
        return _template.fill(self.template, example).rstrip(" ")


@harness.hookimpl
def harness_formatters() -> list[type[Plain]]:
    """Declares the formatter."""
    return [Plain]
