"""Which training files an experiment needs, how they are written, and what is to be said of them before an upload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.contract import Formatter
from harness.data_stage.training_files import content_findings
from harness.errors import DataError
from harness.experiment import LOCAL, Arm, Experiment
from harness.findings import finding
from harness.plugins import attributed, guard
from harness.prepare.options import Prepared
from harness.prepare.profiles import Profile, profile_for
from harness.prepare.token_rules import TrainingCounts, label_findings, special_token_findings, token_findings
from harness.prepare.training import training_file
from harness.prices import Prices
from harness.runs import slug
from harness.tokens import Vocabulary, line_tokens, training_limit, vocabulary_of
from harness.types import Check, Example, Split
from harness.words import noted


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """The training and validation file of one arm, or of several that learn from the same lines."""

    name: str
    """Part of the files' names: `train.<name>.jsonl`."""
    formatter: Formatter
    profile: Profile
    model: str
    """The model that is to learn from it."""
    local: bool = False
    """Whether the local endpoint trains it."""
    choose: bool = False
    """Whether labels are told apart by the probability of their first token."""
    epochs: int | None = None
    usd_per_million: float | None = None
    """Price of a million training tokens in USD, where it is known."""
    tokenizer: Path | None = None
    """The model's own tokenizer, where it lies on this machine."""

    def vocabulary(self) -> Vocabulary:
        """Returns the vocabulary that the model reads in."""
        return vocabulary_of(self.model, self.local, self.tokenizer)


def profile_of(experiment: Experiment, endpoint: str) -> Profile:
    """Returns what an endpoint asks of training files."""
    table = experiment.endpoints[endpoint]
    return profile_for(None if endpoint == LOCAL else table.base_url, table.profile)


def sets_of(experiment: Experiment) -> tuple[TrainingSet, ...]:
    """Returns the training set of each arm that an endpoint trains."""
    prices = Prices(own=experiment.prices, urls={})
    return tuple(_set_of(experiment, arm, prices) for arm in experiment.arms if arm.trained)


def _set_of(experiment: Experiment, arm: Arm, prices: Prices) -> TrainingSet:
    options: Any = arm.backend
    endpoint, base, epochs = options.endpoint, str(options.base), getattr(options, "n_epochs", None)
    local = endpoint == LOCAL
    return TrainingSet(
        name=slug(arm.name),
        formatter=arm.formatter,
        profile=profile_of(experiment, endpoint),
        model=base,
        local=local,
        # The local endpoint scores whole labels, so that equal first tokens do not matter there.
        choose=getattr(options, "answer", None) == "choose" and not local,
        epochs=epochs if isinstance(epochs, int) else None,
        usd_per_million=None if local else prices.training_usd(base, 1_000_000),
        tokenizer=experiment.local_tokenizer() if local else None,
    )


AT_ONCE = 10_000
"""Lines whose tokens are counted together."""
OF_TRAIN_ALONE = ("training-examples", "identical-prompts", "identical-completions")
"""Findings that say that nothing can be learnt from a file."""


class _Counting:
    """A formatter whose lines are counted in tokens while they are written, so that they need not be kept."""

    def __init__(self, formatter: Formatter, vocabulary: Vocabulary) -> None:
        self.ids: list[str] = []
        self.chat = False
        self._formatter, self._vocabulary = formatter, vocabulary
        self._lines: list[dict[str, Any]] = []
        self._counts: list[Any] = []

    def training_line(self, example: Example, labels: Sequence[str]) -> dict[str, Any]:
        """Returns the formatter's line."""
        line = self._formatter.training_line(example, labels)
        self.ids.append(example.id)
        self._lines.append(line)
        if len(self._lines) >= AT_ONCE:
            self._count()
        return line

    def _count(self) -> None:
        self.chat = self.chat or any("messages" in line for line in self._lines)
        self._counts.append(line_tokens(self._lines, self._vocabulary))
        self._lines = []

    def tokens(self) -> Any:
        """Returns the tokens of each line, in the order of `ids`."""
        import numpy as np

        self._count()
        return np.concatenate(self._counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Training files as bytes, with what was found in them."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()


def written(sets: Sequence[TrainingSet], data: Prepared, seed: int) -> Written:
    """Makes the files of some training sets and holds them against the rules for such files.

    Findings that several files share are said once.
    """
    files: dict[str, bytes] = {}
    checks: list[Check] = []
    for each in sets:
        for split in (Split.TRAIN, Split.VALIDATION):
            if examples := data.of(split):
                name = f"{split}.{each.name}.jsonl"
                counting = _Counting(each.formatter, each.vocabulary())
                lines: Any = counting if split == Split.TRAIN else each.formatter
                with attributed(each.formatter, "training_line"):
                    files[name] = training_file(examples, lines, data.labels, seed, each.profile, data.weights)
                found = content_findings(files[name], each.profile, Path(name))
                if split == Split.TRAIN:
                    found += _tokens(each, counting)
                else:  # of validation what is wrong is said; a few rows of one class are enough
                    found = tuple(c for c in found if c.level != "ok" and c.kind not in OF_TRAIN_ALONE)
                checks += [_named(check, name) for check in found]
    checks += _separators(sets, data)
    checks += _vocabularies(sets, data)
    return Written(files=files, checks=tuple({(c.kind, c.message): c for c in checks}.values()))


def _named(check: Check, file: str) -> Check:
    """Says which file a finding is about."""
    return replace(check, message=f"{file}: {check.message}", figures={**check.figures, "file": file})


def _tokens(each: TrainingSet, counted: _Counting) -> tuple[Check, ...]:
    return token_findings(
        TrainingCounts(
            model=each.model,
            vocabulary=each.vocabulary(),
            ids=counted.ids,
            tokens=counted.tokens(),
            chat=counted.chat,
            limit=training_limit(each.model, each.local),
            epochs=each.epochs,
            usd_per_million=each.usd_per_million,
        )
    )


def _separators(sets: Sequence[TrainingSet], data: Prepared) -> Iterator[Check]:
    """Says where texts hold what is to end a prompt: the formatter puts white space in its place."""
    for separator in sorted({mark for each in sets if (mark := getattr(each.formatter, "separator", ""))}):
        found = [example.id for example in data.examples if separator in example.text]
        if found:
            yield finding(
                "separator-in-texts",
                "ok",
                {"texts": len(found), "ids": found[:20], "separator": separator},
                heading="quality",
                advice=noted("Choose another formatter.separator if it means something there."),
                mended=len(found),
            )


def _vocabularies(sets: Sequence[TrainingSet], data: Prepared) -> Iterator[Check]:
    """Looks at texts and labels in the vocabularies of all models at once."""
    if not sets or not data.examples:
        return
    used = [each.vocabulary() for each in sets]
    ids, texts = [example.id for example in data.examples], [example.text for example in data.examples]
    yield from special_token_findings([*ids, *data.labels], [*texts, *data.labels], used)
    first = data.examples[0]
    for choose in sorted({each.choose for each in sets}):
        mine = [each for each in sets if each.choose == choose]
        formatter = mine[0].formatter
        with attributed(formatter, "prompt"):
            prompt = guard.prompt(formatter, formatter.prompt(first, (), data.labels))
        continuations = prompt.continuations or {label: f" {label}" for label in data.labels}
        yield from label_findings(continuations, [each.vocabulary() for each in mine], choose=choose)


def refuse(content: bytes, profile: Profile, name: str) -> None:
    """Refuses a training file that a provider would refuse, before it is uploaded.

    Raises:
        DataError: With the first error that the rules find.
    """
    wrong = next((check for check in content_findings(content, profile, Path(name)) if check.level == "error"), None)
    if wrong is not None:
        raise DataError(f"{name} cannot be trained on: {wrong.message}", wrong.advice)
