"""What stops a run before anything is spent: leaks, personal data, training files that would be refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, GateError
from harness.experiment import Arm, Experiment, plain
from harness.findings import finding
from harness.numbers import counted
from harness.prepare.normalise import fold
from harness.prepare.options import Prepared
from harness.prepare.shingles import shingles
from harness.types import Check, Split
from harness.words import noted

SHORTEST = 30
"""Characters of a test text below which its standing in a prompt may be chance."""


def prompt_leaks(experiment: Experiment, data: Prepared) -> tuple[Check, ...]:
    """Looks for test examples in what the arms' formatters say with every item: shots written into an instruction.

    A text field of 30 characters or more stands in a prompt if nine tenths of its 5-character pieces do.
    """
    said = {
        fold(text): arm.name for arm in experiment.arms for one in arm.variants for text in _texts(plain(one.formatter))
    }
    pieces = [(arm, shingles(text)) for text, arm in said.items() if len(text) >= SHORTEST]
    found = [
        (example.id, arm)
        for example in (data.of(Split.TEST) if pieces else ())
        for arm, there in pieces
        if any(_stands_in(text, there) for text in example.fields.values())
    ]
    if not found:
        return ()
    ids = sorted({example for example, _ in found})
    return (
        finding(
            "prompt-leak",
            "error",
            {"ids": ids, "pairs": [list(pair) for pair in found[:20]]},
            heading="quality",
            advice=noted("Take them out of the instruction or template: a test must not be shown its answers."),
        ),
    )


def _texts(options: Any) -> Iterator[str]:
    """Yields the texts of a plugin's options, those in lists and tables too."""
    if isinstance(options, str):
        yield options
    elif isinstance(options, list | dict):
        for each in options.values() if isinstance(options, dict) else options:
            yield from _texts(each)


def _stands_in(text: str, there: frozenset[str]) -> bool:
    folded = fold(text)
    if len(folded) < SHORTEST:
        return False
    own = shingles(folded)
    return 10 * len(own & there) >= 9 * len(own)


def gate(data: Prepared, *, allow_leaks: bool, listed_in: Path) -> None:
    """Stops where test items stand in other splits, texts must not leave this machine, or a job would be refused.

    Raises:
        GateError: Saying which.
        DataError: A training file would be refused, or its job would fail.
    """
    leaks = [leak for leak in data.leaks if leak.split_a == Split.TEST]
    if leaks and not allow_leaks:
        first = leaks[0]
        n = len({leak.a for leak in leaks})
        raise GateError(
            f"{counted(n, 'test example')} on both sides of a split, e.g. {first.a} ({first.split_a}) and "
            f"{first.b} ({first.split_b}), {first.kind}; all are in {listed_in}",
            "take them out of one side, let the harness split, or run with --allow-leaks",
        )
    shown = next((check for check in data.checks if check.kind == "prompt-leak"), None)
    if shown is not None and not allow_leaks:
        raise GateError(shown.message, "take them out of the prompt, or run with --allow-leaks")
    keep_personal_data(data)
    refuse(data.checks)


def keep_personal_data(data: Prepared) -> None:
    """Stops where texts must not leave this machine.

    Raises:
        GateError: Saying what they seem to hold.
    """
    personal = next((check for check in data.checks if check.kind == "personal-data" and check.level == "error"), None)
    if personal is not None:
        raise GateError(
            f"[prepare].pii says stop: {personal.message}",
            'set [prepare].pii = "mask" to replace it, or "warn" to send it as it is',
        )


def refuse(checks: Sequence[Check]) -> None:
    """Stops where a training file would be refused, or its job would fail.

    Raises:
        DataError: With the first such finding.
    """
    wrong = next((check for check in checks if check.level == "error" and "leak" not in check.kind), None)
    if wrong is not None:
        raise DataError(f"{wrong.kind}: {wrong.message}", wrong.advice)


def require_classes(arms: Sequence[Arm], data: Prepared) -> None:
    """Refuses data whose other splits hold a label that nobody could learn, before a job is paid for.

    Raises:
        DataError: Naming the label, its rows and the arm.
    """
    trained = next((arm.name for arm in arms if arm.trained), None)
    if trained is None:
        return
    learnt = {example.label for example in data.of(Split.TRAIN)}
    held_out = (*data.of(Split.VALIDATION), *data.of(Split.TEST))
    lost = Counter(example.label for example in held_out if example.label not in learnt)
    if lost:
        label, rows = lost.most_common(1)[0]
        raise DataError(
            f'train has no example of the label "{label[:40]}", which {rows:,} rows of validation and test have: '
            f"the arm {trained} could not learn it (missing-class)",
            "give train some of these rows, or leave them out",
        )


def require_validation(arms: Sequence[Arm], data: Prepared) -> None:
    """Refuses a choice that has no example to look at: whatever stands first would be taken.

    Raises:
        DataError: Naming the arm.
    """
    chooses = next((arm.name for arm in arms if arm.candidates), None)
    if chooses is not None and not data.of(Split.VALIDATION):
        raise DataError(
            f"arms.{chooses}.choose: there are no validation examples to choose on",
            "give [prepare].split a share for validation, or leave [arms.choose] out",
        )
