"""From an arm and examples to questions: their shots, prompts, calls and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.contract import EmbeddingSelector, RemoteBackend
from harness.errors import DataError, PluginError
from harness.execution.fitting import Fitting
from harness.execution.vectors import Vectors
from harness.execution.work import Request, answer_key, digest
from harness.experiment import Arm, plain
from harness.plugins import attributed, guard
from harness.types import Call, Example, Prompt

PICKERS = 4
"""Most pickers that are kept: one that compares texts holds the whole train split."""
CONTENT_FREE = "N/A"
"""An input without content, for calibration (Zhao et al. 2021)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One example asked of one arm."""

    arm: Arm
    example: Example
    prompt: Prompt
    requests: tuple[Request, ...]
    """Empty for an in-process backend."""
    key: str
    """The key of the first request, or of the in-process answer."""
    dropped: int = 0
    """Shots that are not shown because they do not fit into the model's context."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys whose answers are needed."""
        return tuple(request.key for request in self.requests) or (self.key,)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """What turns examples into questions: the run's shots, labels, seed and endpoint identities."""

    train: tuple[Example, ...]
    labels: tuple[str, ...]
    seed: int
    identities: Mapping[str, str]
    """Endpoint name → what identifies it in a key: see `Experiment.identities`."""
    source_hash: Callable[[object], str]
    """Plugin instance → hash of its source."""
    folder: Path = Path()
    """The experiment file's."""
    fit_keys: dict[str, str] = field(default_factory=dict)
    """Arm mark → key of its trained in-process model."""
    fitting: Fitting = field(default_factory=Fitting)
    vectors: Vectors = field(default_factory=Vectors)
    pickers: dict[str, Any] = field(default_factory=dict)
    """What was made of a selector, the train split and a seed."""

    @cached_property
    def known(self) -> Mapping[str, Example]:
        """The train split by id: what shots are held against."""
        return {example.id: example for example in self.train}

    def questions(self, arm: Arm, examples: Sequence[Example], repeat: int = 0) -> list[Question]:
        """Builds one question for each example.

        Args:
            arm: Who is asked.
            examples: What is asked about.
            repeat: How often that has been asked before: each time has keys of its own.

        Raises:
            PluginError: A selector, formatter or backend raised.
        """
        with _told_of(arm):
            return self._questions(arm, examples, repeat)

    def _questions(self, arm: Arm, examples: Sequence[Example], repeat: int) -> list[Question]:
        picked = self._picked(arm, examples)
        source = self.source_hash(arm.backend)
        if arm.deployment:  # its name stays when another model is deployed there
            source += f" {arm.model}"
        if isinstance(arm.backend, RemoteBackend) and hasattr(arm.backend, "calls"):
            return [
                self._remote(arm, example, shots, source, repeat)
                for example, shots in zip(examples, picked, strict=True)
            ]
        prompts = [self._prompt(arm, example, shots) for example, shots in zip(examples, picked, strict=True)]
        context = [plain(arm.backend), source, arm.name, self.seed, self.labels, self.fit_keys.get(mark(arm), "")]
        if hasattr(arm.backend, "depends_on"):
            with attributed(arm.backend, "depends_on"):
                context.append(arm.backend.depends_on(self.folder))
        context += [repeat] if repeat else []
        return [
            Question(
                arm=arm,
                example=example,
                prompt=prompt,
                requests=(),
                key=digest([*context, prompt.example_id, prompt.text, [m.content for m in prompt.messages]]),
            )
            for example, prompt in zip(examples, prompts, strict=True)
        ]

    def _remote(self, arm: Arm, example: Example, shots: Sequence[Example], source: str, repeat: int) -> Question:
        asked: dict[int, tuple[Prompt, tuple[Call, ...]]] = {}

        def calls(shown: int) -> tuple[Call, ...]:
            """Describes the requests with so many shots: those nearest to the item."""
            prompt = self._prompt(arm, example, shots[len(shots) - shown :])
            with attributed(arm.backend, "calls"):
                described = arm.backend.calls(prompt, self.labels)  # type: ignore[attr-defined]
            asked[shown] = prompt, guard.calls(arm.backend, described, self.identities)
            return asked[shown][1]

        shown = self.fitting.most(len(shots), calls)
        if shown not in asked:
            calls(shown)
        prompt, described = asked[shown]
        requests = tuple(
            Request(
                endpoint=call.endpoint,
                path=call.path,
                body=call.body,
                note=call.note,
                arm=arm.name,
                key=answer_key(self.identities[call.endpoint], call, source, repeat),
            )
            for call in described
        )
        return Question(
            arm=arm, example=example, prompt=prompt, requests=requests, key=requests[0].key, dropped=len(shots) - shown
        )

    def prompts(self, arm: Arm, examples: Sequence[Example]) -> list[Prompt]:
        """Builds an arm's prompts as an estimate needs them: with all shots, picked without an endpoint's help."""
        with _told_of(arm):
            picked = self._picked(arm, examples, sketch=True)
            return [self._prompt(arm, example, shots) for example, shots in zip(examples, picked, strict=True)]

    def embedding_requests(self, arm: Arm, examples: Sequence[Example]) -> tuple[Request, ...]:
        """Describes the requests for the vectors that picking the shots of examples takes; mostly there are none."""
        selector = _embedding_selector(arm)
        if selector is None:
            return ()
        return self.vectors.requests(selector, arm.name, self.identities, (self.train, examples))

    def lacking(self, arm: Arm, examples: Sequence[Example]) -> tuple[Request, ...]:
        """Returns those of an arm's requests for vectors that have no answer yet."""
        selector = _embedding_selector(arm)
        return self.vectors.recall(selector, self.embedding_requests(arm, examples)) if selector is not None else ()

    def _picked(self, arm: Arm, examples: Sequence[Example], *, sketch: bool = False) -> list[Sequence[Example]]:
        """Picks the shots of examples, from the train split alone.

        Where an endpoint's vectors are needed and not all there, or for a sketch, the selector does without them.
        """
        shots = arm.shots
        if shots is None or shots.k == 0 or not examples:
            return [()] * len(examples)
        selector: Any = shots.selector
        given: dict[str, Any] = {}
        if _embedding_selector(arm) is not None:
            if sketch or self.lacking(arm, examples):
                selector = replace(selector, embeddings=None)
            else:
                given["vectors"] = self.vectors.of(self.embedding_requests(arm, examples))
        picker = self._picker(selector, draw_seed(self.seed, shots.draw), given)
        asked = [_unlabelled(example) for example in examples]
        if hasattr(picker, "pick_all"):
            with attributed(selector, "pick_all"):
                picked = list(picker.pick_all(asked, shots.k))
            if len(picked) != len(asked):
                raise PluginError(
                    f'the selector "{selector.name}" picked shots for {len(picked)} of {len(asked)} items',
                    "pick_all returns one sequence of shots for each example, in their order",
                )
        else:
            with attributed(selector, "pick"):
                picked = [picker.pick(example, shots.k) for example in asked]
        known = self.known
        return [guard.shots(selector, *pair, shots.k, known) for pair in zip(asked, picked, strict=True)]

    def _picker(self, selector: Any, seed: int, given: Mapping[str, Any]) -> Any:
        """Returns a selector's picker, the one of last time where nothing has changed: some take seconds to make."""
        key = digest([plain(selector), seed, [(example.id, example.label) for example in self.train]])
        if given or key not in self.pickers:
            with attributed(selector, "fit"):
                picker = selector.fit(self.train, seed, **given)
            if given:  # it knows these items' vectors alone
                return picker
            while len(self.pickers) >= PICKERS:
                del self.pickers[next(iter(self.pickers))]
            self.pickers[key] = picker
        return self.pickers[key]

    def _prompt(self, arm: Arm, example: Example, shots: Sequence[Example]) -> Prompt:
        with attributed(arm.formatter, "prompt"):
            prompt = guard.prompt(arm.formatter, arm.formatter.prompt(_unlabelled(example), shots, self.labels))
            content_free = None
            if getattr(arm.backend, "calibrate", False):
                empty = Example(fields=dict.fromkeys(example.fields, CONTENT_FREE), label="")
                content_free = guard.prompt(arm.formatter, arm.formatter.prompt(empty, shots, self.labels))
        return replace(
            prompt,
            example_id=example.id,
            source=example.text,
            shot_ids=tuple(shot.id for shot in shots),
            content_free=content_free,
        )


@contextmanager
def _told_of(arm: Arm) -> Iterator[None]:
    """Names the arm whose options or data its plugins refuse."""
    try:
        yield
    except DataError as error:
        if arm.name not in error.message:
            error.message = f'the arm "{arm.name}": {error.message}'
        raise


def _embedding_selector(arm: Arm) -> EmbeddingSelector | None:
    """Returns the arm's selector where it needs vectors."""
    selector: Any = arm.shots.selector if arm.shots is not None and arm.shots.k > 0 else None
    return None if getattr(selector, "embeddings", None) is None else selector


def draw_seed(seed: int, draw: int) -> int:
    """Returns the seed of a draw of shots."""
    return int(digest(["draw", seed, draw])[:8], 16)


def mark(arm: Arm) -> str:
    """Returns what tells an arm from its candidates."""
    return digest(arm.resolved())


def settled(arm: Arm) -> bool:
    """Whether an arm's backend says that it always answers the same: asking again would teach nothing."""
    return bool(getattr(arm.backend, "deterministic", False))


def _unlabelled(example: Example) -> Example:
    """Hides the expected label from the code that writes the prompt."""
    return replace(example, label="", split=None)
