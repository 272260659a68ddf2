"""What a plugin of each kind must offer.

A plugin is a frozen dataclass; its fields are its options, `name` is a ClassVar. All methods are synchronous:
plugins describe or compute, the engine waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from harness.blocks import Block, Results
from harness.types import Answer, Call, Context, Event, Example, JobSpec, Prompt, Reply, Rows, TrainingFiles

AnswerAll: TypeAlias = Callable[[Sequence[Prompt]], "list[Answer]"]
"""Prompts → answers, one for each prompt, in the same order."""


@runtime_checkable
class Plugin(Protocol):
    """Common to all kinds."""

    name: ClassVar[str]


@runtime_checkable
class Dataset(Plugin, Protocol):
    """Yields examples.

    Optional method: `reads(folder) → Iterable[Path]`, the files that they are read from, where paths are relative to
    `folder`: what `harness prepare` writes never replaces them.
    """

    def load(self, ctx: Context) -> Iterable[Example]:
        """Yields all examples. The same options yield the same examples.

        Raises:
            harness.errors.DataError: The data is not as described: file, row, column.
        """
        ...


@runtime_checkable
class TabularDataset(Dataset, Protocol):
    """A dataset with columns, which can be looked at before anybody has said which is the text and which the label."""

    def rows(self, ctx: Context) -> Iterable[Mapping[str, Any]]:
        """Yields the rows in order, column → value as it stands in the source; lazily where the format allows.

        Raises:
            harness.errors.DataError: The source cannot be read: file, row.
        """
        ...


@runtime_checkable
class Formatter(Plugin, Protocol):
    """Turns examples into prompts and training lines, and answers into labels. Pure."""

    def prompt(self, example: Example, shots: Sequence[Example], labels: Sequence[str]) -> Prompt:
        """Builds the prompt; `shots` come in the order in which they are to be shown."""
        ...

    def training_line(self, example: Example, labels: Sequence[str]) -> dict[str, Any]:
        """Builds one line of a training file: the task as the fine-tuned model will be asked it."""
        ...

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        """Returns the label that the answer names, or `None` where it names none or more than one."""
        ...


class Picker(Protocol):
    """A selector that has seen the train split.

    Optional method: `pick_all(examples, k) → Sequence[Sequence[Example]]`, the shots of many items in their order, for
    pickers that are faster at many items than at one. The engine calls it where it exists.
    """

    def pick(self, example: Example, k: int) -> Sequence[Example]:
        """Returns `k` shots for `example` in the order in which they are shown, never the example itself."""
        ...


@runtime_checkable
class Selector(Plugin, Protocol):
    """Picks shots from the train split.

    Optional field: `ids`, those of the train examples that it picks from; a preview (`--limit`) keeps these.
    """

    def fit(self, train: Sequence[Example], seed: int) -> Picker:
        """Prepares picking; the same train split and seed give the same picks."""
        ...


class Embedded(Protocol):
    """Which model's vectors a selector compares."""

    @property
    def endpoint(self) -> str:
        """Name of an endpoint of the experiment."""
        ...

    @property
    def model(self) -> str:
        """The model's id."""
        ...


@runtime_checkable
class EmbeddingSelector(Selector, Protocol):
    """A selector that compares texts by an endpoint's vectors; it describes the requests, the engine sends them.

    Its option `embeddings` is `None` where it needs none; it then is a selector like any other, and stands in for
    itself in estimates, for which nothing is sent.
    """

    @property
    def embeddings(self) -> Embedded | None:
        """Whose vectors it needs."""
        ...

    def embedding_calls(self, texts: Sequence[str]) -> tuple[Call, ...]:
        """Describes the requests that bring the vectors of texts; the same texts in any order make the same ones."""
        ...

    def read_embeddings(self, bodies: Sequence[Reply]) -> Mapping[str, Sequence[float]]:
        """Returns text → vector from the replies to some of these requests. Pure."""
        ...

    def fit(self, train: Sequence[Example], seed: int, vectors: Mapping[str, Sequence[float]] | None = None) -> Picker:
        """Prepares picking.

        Args:
            train: The train split.
            seed: The draw's.
            vectors: Text → vector, of the train split and of every item that will be asked about.
        """
        ...


@runtime_checkable
class Backend(Plugin, Protocol):
    """Answers prompts. It also is one of `RemoteBackend` and `LocalBackend`."""

    family: ClassVar[str]
    """`zero-shot`, `few-shot`, `fine-tuned`, `classical`, `mock` or `other`."""


@runtime_checkable
class RemoteBackend(Backend, Protocol):
    """Describes requests; the engine sends, retries and journals them."""

    def calls(self, prompt: Prompt, labels: Sequence[str]) -> tuple[Call, ...]:
        """Describes the requests that answer `prompt`. Equal calls of an arm are sent once."""
        ...

    def read(self, bodies: Sequence[Reply]) -> Answer:
        """Turns the replies, in the order of the calls, into one answer. Pure."""
        ...


@runtime_checkable
class LocalBackend(Backend, Protocol):
    """Answers in process, in a thread.

    Optional method: `depends_on(folder) → str`, what its answers depend on beside its options, such as the hash of a
    file; `folder` is the experiment file's. Where it changes, the arm is asked again. Optional ClassVars:
    `deterministic`, `simulated`, `imported`.
    """

    def open(self, ctx: Context) -> AbstractContextManager[AnswerAll]:
        """Opens what it needs and closes it afterwards."""
        ...


@runtime_checkable
class TrainableRemote(RemoteBackend, Protocol):
    """A remote backend that an endpoint trains through files + fine_tuning.jobs.

    It has a field `model`, `None` until the engine has put in the trained model's id.
    """

    model: str | None

    def job(self, files: TrainingFiles) -> JobSpec:
        """Describes the training job; nothing is sent."""
        ...


@runtime_checkable
class TrainableLocal(LocalBackend, Protocol):
    """An in-process backend with a training step."""

    def fit(self, train: Sequence[Example], validation: Sequence[Example], folder: Path) -> None:
        """Trains and leaves the model in `folder` (no pickle); `open` finds it there as `ctx.folder`."""
        ...


@runtime_checkable
class Metric(Plugin, Protocol):
    """Scores the answers of one arm. Pure."""

    def score(self, rows: Rows) -> Mapping[str, float | None]:
        """Returns named figures; `None` where one does not apply, never NaN."""
        ...


@runtime_checkable
class Section(Plugin, Protocol):
    """Adds a section to the report. Pure.

    Optional ClassVars: `title: str` and `order: int` (shipped sections stand at 100, 200, …).
    """

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the section's blocks; none leaves the section out."""
        ...


Done: TypeAlias = Callable[[Call, Reply], None]
"""Takes one reply; returns after its commit."""

Record: TypeAlias = Any
"""What happened to a call that was carried elsewhere; made by `Carrier.carry`, taken by `Send.take`. Can be pickled."""


class Carrier(Protocol):
    """Carries calls out in another process, with the engine's own rate and retries. Can be pickled; holds no key."""

    @property
    def slots(self) -> int:
        """Calls that one process has under way at most: as many should always lie ready."""
        ...

    def carry(self, calls: Iterable[Call]) -> Iterator[Sequence[Record]]:
        """Sends calls and yields what happened to them as it happens; returns when all calls are settled.

        Calls are read only as they are needed. What was yielded counts as under way until the next is asked for. The
        keys of endpoints are read from that process's environment; one that is not there is said by a record.
        """
        ...


class Send(Protocol):
    """The engine as an executor sees it: calling it carries calls out over the engine's own connections."""

    def __call__(self, calls: Iterable[Call], done: Done) -> None:
        """Sends calls from this process: concurrent, rated, retried. Returns when all are done."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether nothing more may be sent: the budget, a refusal or the user said so."""
        ...

    @property
    def command(self) -> str:
        """What names this command and no other one: an executor runs several times in it."""
        ...

    def key(self, call: Call) -> str:
        """Returns what names a call in the journal, 64 hex digits."""
        ...

    def arm(self, call: Call) -> str:
        """Returns the name of the arm that asks."""
        ...

    def here(self, call: Call) -> bool:
        """Whether only this process can send a call: its endpoint belongs to the run."""
        ...

    def admit(self, call: Call, tier: str = "", *, patient: bool = False) -> bool | None:
        """Reserves a call's worst case in the budget; False: it must not be sent, and nothing is left to say of it.

        Args:
            call: What is about to be sent.
            tier: ``batch`` where it is bought as such.
            patient: Whether calls are under way whose end may give some of the budget back: where it does not cover
                this call now, the answer is then `None` (ask again) instead of the end of the run.
        """
        ...

    def give_up(self, call: Call, message: str, *, final: bool) -> None:
        """Says that a call has no answer: for good (`final`), or so far, so that the same command asks again."""
        ...

    def client(self, endpoint: str) -> Any:
        """Returns a synchronous `openai.OpenAI` client of an endpoint, which retries nothing; close it."""
        ...

    def note(self, key: str) -> str | None:
        """Returns what was noted in the journal under a key."""
        ...

    def notes(self) -> Sequence[str]:
        """Returns the keys under which something was noted."""
        ...

    def notes_elsewhere(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Returns key and note of what other runs of the experiment have noted under keys that begin so.

        A key may come several times. It is for reading only; with `--no-reuse` there is none.
        """
        ...

    def take_note(self, key: str, value: str | None) -> None:
        """Notes something in the journal, or forgets it; on disk when this returns."""
        ...

    def carrier(self, *, parts: int, concurrency: int | None = None) -> Carrier:
        """Returns what carries calls out in other processes.

        Args:
            parts: How many processes there will be: each gets its part of every endpoint's concurrency, at least 1.
            concurrency: The most for each process and endpoint, whatever its part.
        """
        ...

    def take(self, records: Sequence[Record]) -> Collection[str]:
        """Commits what a carrier yielded, or replies that came all at once; returns when all of it is on disk.

        Returns:
            The keys of the calls that are settled by it: answered, or given up.
        """
        ...

    def scrub(self, text: str) -> str:
        """Strikes the values of keys out of what another machine said; needed before anything of it is kept."""
        ...

    def say(self, message: str) -> None:
        """Tells the user, one line."""
        ...


@runtime_checkable
class Executor(Plugin, Protocol):
    """Carries requests out.

    Optional ClassVar: `tier: str`, what it buys requests as (``batch``), by which `harness estimate` prices them.
    """

    def run(self, calls: Sequence[Call], send: Send, done: Done) -> None:
        """Sees to it that every answer is committed: `done` is called with it, or `send.take` takes it.

        It is called several times in a run; what it leaves open in between, its method `close` closes at the run's
        end, if it has one. `calls` come in the order in which they should be sent. A reply that was bought in a tier
        of its own has ``reply.timing = {"tier": "batch", …}``.
        """
        ...


@runtime_checkable
class Observer(Plugin, Protocol):
    """Watches a run.

    Optional ClassVar: `patience_s: float`, how long the run's end waits for it (5 seconds by default).
    """

    def on(self, event: Event) -> None:
        """Takes one event; called in order, on a thread of the observer's own."""
        ...
