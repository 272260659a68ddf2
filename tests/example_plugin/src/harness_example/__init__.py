"""One plugin of each kind for finetune-harness, each about ten lines, on the public interface alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import harness

SUBJECTS = ("soup", "lamp", "train", "song", "coat", "phone", "garden", "letter", "bicycle", "window")


@dataclass(frozen=True, kw_only=True)
class Remarks:
    """Made-up remarks about things: `n` of them, half good and half bad."""

    name: ClassVar[str] = "example-remarks"
    n: int = 80

    def load(self, ctx: harness.Context) -> Iterable[harness.Example]:
        """Yields remarks; each names its own number, so that no two are alike."""
        for number in range(self.n):
            label = ("bad", "good")[number % 2]
            word = (("awful", "broken"), ("lovely", "solid"))[number % 2][number // 2 % 2]
            subject = SUBJECTS[number * 7 % len(SUBJECTS)]
            text = f"On day {number * number} the {subject} with the mark {number:03d} turned out {word}"
            yield harness.Example(fields={"text": text}, label=label)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Asks in one line; reads the first word of the answer."""

    name: ClassVar[str] = "example-question"

    def _ask(self, example: harness.Example, labels: Sequence[str]) -> str:
        return f"{example.text}\n{' or '.join(labels)}?"

    def prompt(
        self, example: harness.Example, shots: Sequence[harness.Example], labels: Sequence[str]
    ) -> harness.Prompt:
        """Puts the shots before the question, each with its answer."""
        shown = [f"{self._ask(shot, labels)} {shot.label}\n" for shot in shots]
        return harness.Prompt(
            text="".join([*shown, self._ask(example, labels)]),
            stop=("\n",),
            continuations={label: f" {label}" for label in labels},
        )

    def training_line(self, example: harness.Example, labels: Sequence[str]) -> dict[str, Any]:
        """The same question, with its answer as the completion."""
        return {"prompt": self._ask(example, labels), "completion": f" {example.label}"}

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        """Takes the first word, if it is a label."""
        word = text.split()[0].strip(".,!") if text.split() else ""
        return word if word in labels else None


@dataclass(frozen=True, kw_only=True)
class Shortest:
    """Picks the shortest examples of the train split."""

    name: ClassVar[str] = "example-shortest"

    def fit(self, train: Sequence[harness.Example], seed: int) -> ShortestPicker:
        """Sorts once."""
        return ShortestPicker(sorted(train, key=lambda example: (len(example.text), example.id)))


class ShortestPicker:
    """The sorted train split."""

    def __init__(self, train: Sequence[harness.Example]) -> None:
        self.train = train

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns the `k` shortest, the item itself left out."""
        return [other for other in self.train if other.id != example.id][:k]


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """Answers `hit` where the text holds one of the words, else `miss`."""

    name: ClassVar[str] = "example-keyword"
    family: ClassVar[str] = "other"
    words: tuple[str, ...]
    hit: str
    miss: str

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Needs nothing."""
        yield lambda prompts: [harness.Answer(text=self._label(prompt.source)) for prompt in prompts]

    def _label(self, text: str) -> str:
        return self.hit if any(word in text for word in self.words) else self.miss


@dataclass(frozen=True, kw_only=True)
class Votes:
    """Lets the words vote: each for the labels that it was seen with in training."""

    name: ClassVar[str] = "example-votes"
    family: ClassVar[str] = "classical"

    def fit(self, train: Sequence[harness.Example], validation: Sequence[harness.Example], folder: Path) -> None:
        """Counts words by label."""
        counts: dict[str, Counter[str]] = {}
        for example in train:
            counts.setdefault(example.label, Counter()).update(set(example.text.split()))
        (folder / "votes.json").write_text(json.dumps(counts), encoding="utf-8")

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Reads what `fit` has left."""
        counts = json.loads((ctx.folder / "votes.json").read_text(encoding="utf-8"))

        def answer(text: str) -> harness.Answer:
            votes = {label: sum(words.get(word, 0) for word in text.split()) for label, words in counts.items()}
            return harness.Answer(text=max(sorted(votes), key=votes.__getitem__))

        yield lambda prompts: [answer(prompt.source) for prompt in prompts]


@dataclass(frozen=True, kw_only=True)
class AnsweredShare:
    """Share of the test items that got an answer which names a label."""

    name: ClassVar[str] = "example-answered-share"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `answered_share`; there is none of no rows."""
        answered = sum(row.status is harness.Status.ANSWERED for row in rows)
        return {"answered_share": answered / len(rows) if len(rows) else None}


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """Says how many arms there were."""

    name: ClassVar[str] = "example-greeting"
    title: ClassVar[str] = "A word from the example"
    order: ClassVar[int] = 950

    def blocks(self, results: harness.Results) -> Iterable[harness.blocks.Block]:
        """Yields one paragraph."""
        yield harness.blocks.Text(text=f"{len(results.data['arms'])} arms took part.")


@dataclass(frozen=True, kw_only=True)
class Backwards:
    """Sends the last request first."""

    name: ClassVar[str] = "example-backwards"

    def run(
        self,
        calls: Sequence[harness.Call],
        send: Callable[[Iterable[harness.Call], Callable[[harness.Call, harness.Reply], None]], None],
        done: Callable[[harness.Call, harness.Reply], None],
    ) -> None:
        """Hands the calls over in reverse."""
        send(list(reversed(calls)), done)


@dataclass(frozen=True, kw_only=True)
class Log:
    """Appends a line for each event to a file."""

    name: ClassVar[str] = "example-log"
    path: str

    def on(self, event: harness.Event) -> None:
        """Writes kind and arm."""
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(json.dumps([event.kind, event.arm]) + "\n")


@harness.hookimpl
def harness_datasets() -> list[type]:
    """Declares the dataset."""
    return [Remarks]


@harness.hookimpl
def harness_formatters() -> list[type]:
    """Declares the formatter."""
    return [Question]


@harness.hookimpl
def harness_selectors() -> list[type]:
    """Declares the selector."""
    return [Shortest]


@harness.hookimpl
def harness_backends() -> list[type]:
    """Declares the backends."""
    return [Keyword, Votes]


@harness.hookimpl
def harness_metrics() -> list[type]:
    """Declares the metric."""
    return [AnsweredShare]


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the section."""
    return [Greeting]


@harness.hookimpl
def harness_executors() -> list[type]:
    """Declares the executor."""
    return [Backwards]


@harness.hookimpl
def harness_observers() -> list[type]:
    """Declares the observer."""
    return [Log]
