"""The form of fine-tuned completion models: the bare text, a separator, the label after one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Bare text + separator → ` label`: no instruction, for the model has learned the task.

    A separator within a text would end it too early: each one is replaced by a line break, or by a space where the
    separator consists of line breaks itself, in prompts and in training files alike.
    """

    name: ClassVar[str] = "completion"
    separator: str = "\n\n###\n\n"
    """Ends every prompt and stands nowhere else in it."""
    stop: str = ""
    """Appended to each completion in the training file and asked for as a stop sequence."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError('separator is empty, expected a text like "\\n\\n###\\n\\n"')

    def prompt(
        self, example: harness.Example, shots: Sequence[harness.Example], labels: Sequence[str]
    ) -> harness.Prompt:
        """Builds the prompt; shots, if any, stand before it in the same form, a blank line after each."""
        shown = "".join(f"{self._asked(shot)} {shot.label}{self.stop}\n\n" for shot in shots)
        ends = [self.stop] if self.stop else []
        if not any("\n" in label for label in labels):
            ends += ["\n"]
        return harness.Prompt(
            text=shown + self._asked(example),
            stop=tuple(dict.fromkeys(ends)),
            continuations={label: f" {label}" for label in labels},
        )

    def training_line(self, example: harness.Example, labels: Sequence[str]) -> dict[str, Any]:
        """Builds `{"prompt": …, "completion": …}`; the prompt is byte for byte the one that is asked later."""
        return {"prompt": self._asked(example), "completion": f" {example.label}{self.stop}"}

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        """Reads the label leniently."""
        return harness.parsing.lenient(text, labels)

    def _asked(self, example: harness.Example) -> str:
        """Returns text + separator, in which the separator stands at the end and nowhere else."""
        text, separator = example.text, self.separator
        substitute = "\n" if separator.strip("\n") else " "  # never part of a new one
        while (place := (text + separator).find(separator)) < len(text):
            text = text[:place] + substitute + text[place + len(separator) :]
        return text + separator


@harness.hookimpl
def harness_formatters() -> list[type[Completion]]:
    """Declares the formatter."""
    return [Completion]
