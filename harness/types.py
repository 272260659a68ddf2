"""The domain's values: frozen, keyword-only, standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, overload

PROMPTS = ("few-shot", "zero-shot")
"""Families of arms that only a prompt tells what to do."""
TUNED = ("fine-tuned",)
"""Families of arms whose model was trained."""


class Split(StrEnum):
    """Which part of the data an example belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Status(StrEnum):
    """How the question about one example ended. Every test example of every arm has exactly one."""

    ANSWERED = "answered"
    UNPARSED = "unparsed"
    FAILED = "failed"


def content_id(fields: Mapping[str, str]) -> str:
    """Returns an example's id: the first 16 hex digits of the SHA-256 over its text fields, the label left out."""
    parts: list[bytes] = []
    for name in sorted(fields):
        for part in (name, fields[name]):
            raw = part.encode("utf-8", "surrogatepass")
            parts += (len(raw).to_bytes(8, "big"), raw)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


class ReadOnly(dict[str, Any]):
    """A dict that refuses changes: what is handed to many plugins, none of them may alter for the others."""

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("this is shared and cannot be changed; change a copy: dict(x)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadOnly:
        return ReadOnly({key: deepcopy(value, memo) for key, value in self.items()})

    def __reduce__(self) -> tuple[type[ReadOnly], tuple[dict[str, Any]]]:
        return ReadOnly, (dict(self),)


def _shared(owner: object, *names: str) -> None:
    """Makes fields of a value read-only, in the value's own copy; what is no dict stays for whoever checks it."""
    for name in names:
        value = getattr(owner, name)
        if type(value) is not ReadOnly and isinstance(value, dict):
            object.__setattr__(owner, name, ReadOnly(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled item."""

    fields: Mapping[str, str]
    """Text fields by name, in the order in which they are shown to a model."""
    label: str
    """The right answer; empty where it is not known (new data to be labelled)."""
    id: str = ""
    """SHA-256 of the text fields, 16 hex digits; filled in where it is left empty. A repeat gets `-2`."""
    group: str | None = None
    """Examples of one group never stand on both sides of a split."""
    split: Split | None = None
    """Given by the data set, or set by the split stage."""
    slices: Mapping[str, str] = field(default_factory=ReadOnly)
    """Names of the parts of the data that the report tells apart."""
    time: str | None = None
    """ISO 8601 date of the example, where it has one."""

    def __post_init__(self) -> None:
        _shared(self, "fields", "slices")
        if not self.id:
            object.__setattr__(self, "id", content_id(self.fields))

    @property
    def text(self) -> str:
        """The non-empty text fields, one on a line: what an untrained eye would read."""
        return "\n".join(filter(None, self.fields.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is asked: either `text` (completion form) or `messages` (chat form).

    A formatter sets the first four fields; the engine adds the others. No prompt carries the expected label.
    """

    text: str = ""
    messages: tuple[Message, ...] = ()
    stop: tuple[str, ...] = ()
    continuations: Mapping[str, str] = field(default_factory=dict)
    """For each label the exact text that would follow the prompt were that label the answer."""
    example_id: str = ""
    source: str = ""
    """The bare text of the example, for backends that read no prompt (classical, lookup)."""
    shot_ids: tuple[str, ...] = ()
    content_free: Prompt | None = None
    """The same prompt around an input without content, where the backend calibrates."""

    @property
    def chat(self) -> bool:
        """Whether this is a chat prompt."""
        return bool(self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to an endpoint: described by a backend, sent by the engine."""

    endpoint: str
    """Name of an endpoint of the experiment."""
    path: str
    """Below the base URL, e.g. ``/chat/completions``."""
    body: Mapping[str, Any]
    note: Mapping[str, Any] = field(default_factory=dict)
    """For the backend's own `read`; never sent and no part of the answer's key."""

    def __post_init__(self) -> None:
        _shared(self, "body", "note")


class Reply(dict[str, Any]):
    """The JSON body that answers one call; `call` is the call that it answers."""

    call: Call
    timing: Mapping[str, Any] | None = None
    """Seconds and attempts, where the engine sent the call."""

    def __init__(self, body: Mapping[str, Any], call: Call) -> None:
        super().__init__(body)
        self.call = call


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens of one request, as they are billed: each kind has its own price."""

    input: int = 0
    """All prompt tokens: those read from a cache and those written to one included."""
    cached: int = 0
    """Prompt tokens that came out of the provider's cache."""
    cache_write: int = 0
    """Prompt tokens that were put into the provider's cache, where that is billed apart."""
    output: int = 0
    """All generated tokens, reasoning ones included."""
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a backend said about one prompt. Counts that the backend does not know stay `None`."""

    text: str = ""
    """The answer as it came; a formatter's `parse` turns it into a label."""
    probabilities: Mapping[str, float] | None = None
    """Label → probability, where the backend has them; they sum to 1."""
    input_tokens: int | None = None
    """All prompt tokens, cached ones included."""
    output_tokens: int | None = None
    """All generated tokens, reasoning ones included."""
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    latency_s: float | None = None
    """Only where the backend itself knows better than the engine's clock (simulated or imported answers)."""
    cost_usd: float | None = None
    """Only where the backend itself knows what the answer cost (imported answers)."""
    truncated: bool = False
    """Whether the token limit cut the answer."""
    error: str | None = None
    """Set where there is no answer: the example counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFiles:
    """The files that a training job reads."""

    train: Path
    validation: Path | None
    n_train: int
    n_validation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A training job as a backend wants it; the engine uploads the files, tags, launches and follows it."""

    endpoint: str
    base: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Those of the supervised method: `n_epochs`, `batch_size`, `learning_rate_multiplier`, …"""
    suffix: str | None = None
    """At most 64 characters; becomes part of the model's name."""
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """A model of an earlier run from which training goes on."""

    run: str
    """The run's id."""
    arm: str
    model: str
    base: str
    """The model with which the chain of trainings began: prices are its."""
    labels: tuple[str, ...]
    """The labels that it has learnt."""
    folder: Path
    """The run's folder."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """`tokens`, `seconds` and `usd` of its training, as far as they are known."""
    before: tuple[Mapping[str, Any], ...] = ()
    """The trainings before it, as its run's manifest has them, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A finding about the data or the run that a reader must know."""

    kind: str
    """The rule's name, a short constant: `exact-leak`, `class-balance`, `training-refused`."""
    level: Literal["ok", "warning", "error"]
    message: str
    """One sentence with its figures, in plain words."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    heading: Literal["quality", "diversity", "balance", "quantity", ""] = ""
    """Of findings about data: which of the four questions it belongs to."""
    advice: str = ""
    """The next step, one sentence; empty where there is nothing to do."""
    mended: int = 0
    """Rows or values that were changed or removed for it; what was mended is no longer wrong in what is kept."""


def _untold(check: Check) -> None:
    """Takes a finding that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a plugin is told about where it works."""

    arm: str = ""
    seed: int = 0
    labels: tuple[str, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Endpoint name → base URL (without any key)."""
    folder: Path = Path()
    """A dataset's: the experiment file's folder. A backend's: its own folder, where `fit` has left its model."""
    run: Path | None = None
    """The run's folder."""
    experiment: Path = Path()
    """The experiment file's folder: what relative paths in options mean."""
    tell: Callable[[Check], None] = _untold
    """Takes a finding for the page: what was found or mended while reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm's answer to one example, as metrics see it."""

    example_id: str
    expected: str
    predicted: str | None
    """`None` where the answer is unparsed or failed."""
    status: Status
    strict: str | None = None
    """What the strict parser made of the answer."""
    probabilities: Mapping[str, float] | None = None
    group: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _shared(self, "probabilities", "slices")

    @property
    def right(self) -> bool:
        """Whether the predicted label is the expected one; unparsed and failed answers are wrong."""
        return self.predicted == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows(Sequence[Row]):
    """The rows of one arm, with what is known of the labels."""

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    """The label set, in rank order where `ordered`."""
    ordered: bool = False

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, for observers and progress."""

    kind: str
    """`run-started`, `stage`, `arm-progress`, `job`, `warning`, `run-finished`; more may come."""
    run: str
    """The run's id."""
    time: float
    """Seconds since the epoch."""
    arm: str = ""
    message: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    """The run's folder: when `run-finished` comes, its result files are there."""

    def __post_init__(self) -> None:
        _shared(self, "figures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One arm's answer to one example, with all that is known of it: a row of `predictions.parquet`."""

    arm: str
    example_id: str
    expected: str
    predicted: str | None
    status: Status
    strict: str | None = None
    """What the strict parser made of the response."""
    response: str = ""
    shot_ids: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    latency_s: float | None = None
    """Service time of the successful attempt; `None` where the answer was reused."""
    first_token_s: float | None = None
    """Seconds to the first token, where the answer was streamed; `None` where it was reused."""
    queue_s: float | None = None
    retry_s: float | None = None
    attempts: int = 1
    reused: bool = False
    cost_usd: float | None = None
    confidence: float | None = None
    """Probability of the predicted label."""
    probabilities: Mapping[str, float] | None = None
    truncated: bool = False
    tokens_estimated: bool = False
    """Whether the tokens, and with them the cost, were counted here because the endpoint did not say."""
    error: str | None = None
    key: str | None = None
    """Of a failed item: what names its request in the journal, where each of its attempts stands."""

    @property
    def right(self) -> bool:
        """Whether the predicted label is the expected one; unparsed and failed answers are wrong."""
        return self.predicted == self.expected
