"""Rules on the columns and rows of a prompt/completion file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.findings import finding
from harness.findings.files import quoted
from harness.numbers import counted
from harness.prepare.format import found, texts
from harness.prepare.format.facts import Facts
from harness.prepare.profiles import LARGEST_WEIGHT
from harness.types import Check

COMPLETION_KEYS = ("prompt", "completion")

LONG_ROW = 10_000
"""Characters of prompt and completion together from which the retired tool of `openai` 0.28.1 warned."""

WEIGHT = "weight"


def number_of_examples(facts: Facts) -> Iterator[Check]:
    """`training-examples`."""
    yield from found.examples(facts.rows if facts.missing else len(facts.prompts), facts.profile)


def missing_columns(facts: Facts) -> Iterator[Check]:
    """`missing-column`: no row has a `prompt` or a `completion`; the nearest name among the other columns is said."""
    for name in facts.missing:
        same = [other for other in facts.extra_columns if other.strip().casefold() == name]
        if same:
            advice = f"Rename {quoted(same[0])} to {quoted(name)}: upper and lower case count."
        elif facts.extra_columns:
            advice = found.advised(f"Name the column {quoted(name)}: ", name, facts.extra_columns)
        else:
            advice = f"Give every row a {quoted(name)}."
        yield Check(
            kind="missing-column",
            level="error",
            message=f"none of {counted(facts.rows, 'row')} has a {quoted(name)}",
            figures={"column": name, "columns": list(facts.extra_columns)},
            heading="quality",
            advice=advice,
        )


def extra_columns(facts: Facts) -> Iterator[Check]:
    """`extra-columns`: other columns than those that training reads; they are left out."""
    if facts.missing:  # one of them may be the missing one under another name
        return
    allowed = {*COMPLETION_KEYS, "messages"} | ({WEIGHT} if facts.profile.example_weights else set())
    extra = [name for name in facts.extra_columns if name not in allowed]
    if extra:
        yield Check(
            kind="extra-columns",
            level="warning",
            message=f"{counted(len(extra), 'column')} beside prompt and completion: "
            + ", ".join(map(quoted, extra[:6])),
            figures={"columns": extra},
            heading="quality",
            advice=f"Leave them out: {facts.profile.name} refuses or ignores them.",
            mended=len(extra),
        )


def mixed_lines(facts: Facts) -> Iterator[Check]:
    """`mixed-lines`: chat lines among prompt/completion lines."""
    if "messages" in facts.extra_columns and not facts.missing:
        yield Check(
            kind="mixed-lines",
            level="error",
            message=f"some of {counted(facts.rows, 'line')} are chat lines, others are of prompt and completion",
            figures={"rows": facts.rows},
            heading="quality",
            advice="Write two files, one of each kind.",
        )


def weights(facts: Facts) -> Iterator[Check]:
    """`example-weight`: weights that are missing in some rows, not above 0 or too large."""
    import numpy as np

    if facts.weights is None or not facts.profile.example_weights:
        return
    # Null becomes NaN, which compares with nothing.
    given = np.asarray(facts.weights.to_numpy(zero_copy_only=False), dtype=np.float64)
    yield from found.weights(np.flatnonzero(~((given > 0) & (given <= LARGEST_WEIGHT))) + 1, "row")


def empty_prompts(facts: Facts) -> Iterator[Check]:
    """`empty-prompts`: some prompts are empty and others are not; all empty is open-ended generation."""
    if facts.empty_prompts.all():
        return
    numbers = facts.numbers[facts.empty_prompts]
    check = Check(
        kind="empty-prompts",
        level="warning",
        message=f"{found.are(len(numbers), 'prompt', len(facts.prompts))} empty",
        heading="quality",
        advice="Fill them in or leave these rows out; only where a text is to be written freely are all prompts empty.",
    )
    yield from found.at(numbers, check)


def empty_completions(facts: Facts) -> Iterator[Check]:
    """`empty-completions`: rows that teach nothing; they are left out."""
    n = len(facts.empty_completions)
    check = Check(
        kind="empty-completions",
        level="warning",
        message=f"{found.are(n, 'completion', facts.rows)} empty",
        heading="quality",
        advice="Label these rows, or leave them out.",
        mended=n,
    )
    yield from found.at(facts.empty_completions, check)


def duplicate_rows(facts: Facts) -> Iterator[Check]:
    """`duplicate-rows`: prompt and completion stand in an earlier row already; the later rows are left out."""
    numbers = facts.numbers[facts.repeated]
    yield from found.repeats(numbers, len(facts.prompts), "row", mended=len(numbers))


def conflicting_completions(facts: Facts) -> Iterator[Check]:
    """`conflicting-completions`: one prompt, several completions; open-ended generation has no other rows."""
    import numpy as np

    if facts.task == "open-ended generation" or facts.distinct_prompts == len(facts.prompts):
        return
    answers = np.bincount(facts.prompt_codes[~facts.repeated], minlength=facts.distinct_prompts)
    disputed = (answers > 1)[facts.prompt_codes] & ~facts.empty_prompts
    prompts = len(np.unique(facts.prompt_codes[disputed]))
    yield from found.conflicts(facts.numbers[disputed], prompts, "row")


def long_rows(facts: Facts) -> Iterator[Check]:
    """`long-rows`: more than 10,000 characters of prompt and completion together, except in open-ended generation."""
    import pyarrow.compute as pc

    if facts.task == "open-ended generation":
        return
    lengths = pc.add(pc.utf8_length(facts.prompts), pc.utf8_length(facts.completions)).to_numpy(zero_copy_only=False)
    long = lengths > LONG_ROW
    longest = int(lengths.max(initial=0))
    check = Check(
        kind="long-rows",
        level="warning",
        message=f"{counted(int(long.sum()), 'row')} of more than {LONG_ROW:,} characters, the longest of {longest:,}",
        figures={"longest": longest},
        heading="quality",
        advice="Shorten them or leave them out: what exceeds the model's limit is cut from the end.",
    )
    yield from found.at(facts.numbers[long], check)


def upper_case_prompts(facts: Facts) -> Iterator[Check]:
    """`upper-case-prompts`."""
    yield from _upper_case("prompt", facts.prompts, facts.ending)


def upper_case_completions(facts: Facts) -> Iterator[Check]:
    """`upper-case-completions`."""
    yield from _upper_case("completion", facts.completions, facts.stop)


def _upper_case(name: str, column: Any, ending: str) -> Iterator[Check]:
    """More than a third of the letters are capitals: the retired tool's measure (upper × 2 > lower).

    A separator or a stop sequence such as ` END` does not count.
    """
    import pyarrow.compute as pc

    upper, lower = texts.cased_letters(column)
    if any(map(str.isalpha, ending)):
        ended = pc.sum(pc.ends_with(column, ending)).as_py() or 0  # empty prompts do not end with it
        upper -= ended * sum(map(str.isupper, ending))
        lower -= ended * sum(map(str.islower, ending))
    if upper * 2 > lower:
        yield Check(
            kind=f"upper-case-{name}s",
            level="warning",
            message=f"{upper / (upper + lower):.0%} of the letters in {name}s are upper-case",
            figures={"upper": upper, "lower": lower},
            heading="quality",
            advice="Write them in lower case if the task allows it: models have read far less text in capitals.",
        )


def task_type(facts: Facts) -> Iterator[Check]:
    """`task-type`: classification, conditional generation or open-ended generation, by the retired tool's measure."""
    if len(facts.prompts):
        figures = {"task": facts.task, "completions": len(facts.labels), "rows": len(facts.prompts)}
        yield finding("task-type", "ok", figures, heading="quality")
