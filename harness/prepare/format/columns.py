"""Rules on the columns and rows of a prompt/completion file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.errors import nearest
from harness.prepare.format import found, texts
from harness.prepare.format.facts import Facts
from harness.prepare.profiles import LARGEST_WEIGHT
from harness.types import Check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAMES = ("prompt", "completion")

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
            advice = f"Rename {found.quoted(same[0])} to {found.quoted(name)}: upper and lower case count."
        elif facts.extra_columns:
            near = nearest(name, facts.extra_columns)
            advice = f"Name the column {found.quoted(name)}: {near}"
        else:
            advice = f"Give every row a {found.quoted(name)}."
        yield Check(
            kind="missing-column",
            level="error",
            message=f"none of {found.counted(facts.rows, 'row')} has a {found.quoted(name)}",
            figures={"column": name, "columns": list(facts.extra_columns)},
            heading="quality",
            advice=advice,
        )


def extra_columns(facts: Facts) -> Iterator[Check]:
    """`extra-columns`: other columns than those that training reads; they are left out."""
    if facts.missing:  # one of them may be the missing one under another name
        return
    allowed = {*NAMES, "messages"} | ({WEIGHT} if facts.profile.example_weights else set())
    extra = [name for name in facts.extra_columns if name not in allowed]
    if extra:
        yield Check(
            kind="extra-columns",
            level="warning",
            message=f"{found.counted(len(extra), 'column')} beside prompt and completion: "
            + ", ".join(map(found.quoted, extra[:6])),
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
            message=f"some of {found.counted(facts.rows, 'line')} are chat lines, others are of prompt and completion",
            figures={"rows": facts.rows},
            heading="quality",
            advice="Write two files, one of each kind.",
        )


def weights(facts: Facts) -> Iterator[Check]:
    """`example-weight`: weights that are missing in some rows, not above 0 or too large."""
    import numpy as np

    if facts.weights is None or not facts.profile.example_weights:
        return
    given = np.asarray(
        facts.weights.to_numpy(zero_copy_only=False), dtype=np.float64
    )  # null becomes NaN, which compares with nothing
    numbers = np.flatnonzero(~((given > 0) & (given <= LARGEST_WEIGHT))) + 1
    if len(numbers):
        figures = found.where(numbers)
        yield Check(
            kind="example-weight",
            level="error",
            message=f"{found.counted(len(numbers), 'row')} with no weight above 0 and up to {LARGEST_WEIGHT:g} "
            f"({found.first(figures)})",
            figures=figures,
            heading="balance",
            advice="Give every row a weight, or none.",
        )


def empty_prompts(facts: Facts) -> Iterator[Check]:
    """`empty-prompts`: some prompts are empty and others are not; all empty is open-ended generation."""
    if not facts.empty_prompts.any() or facts.empty_prompts.all():
        return
    figures = found.where(facts.numbers[facts.empty_prompts])
    yield Check(
        kind="empty-prompts",
        level="warning",
        message=f"{found.counted(figures['rows'], 'prompt')} of {len(facts.prompts):,} are empty "
        f"({found.first(figures)})",
        figures=figures,
        heading="quality",
        advice="Fill them in or leave these rows out; only where a text is to be written freely are all prompts empty.",
    )


def empty_completions(facts: Facts) -> Iterator[Check]:
    """`empty-completions`: rows that teach nothing; they are left out."""
    if len(facts.empty_completions):
        figures = found.where(facts.empty_completions)
        yield Check(
            kind="empty-completions",
            level="warning",
            message=f"{found.counted(figures['rows'], 'completion')} of {facts.rows:,} are empty "
            f"({found.first(figures)})",
            figures=figures,
            heading="quality",
            advice="Label these rows, or leave them out.",
            mended=figures["rows"],
        )


def duplicate_rows(facts: Facts) -> Iterator[Check]:
    """`duplicate-rows`: prompt and completion stand in an earlier row already; the later rows are left out."""
    repeated = repeats(facts)
    if repeated.any():
        figures = found.where(facts.numbers[repeated])
        yield Check(
            kind="duplicate-rows",
            level="warning",
            message=f"{found.counted(figures['rows'], 'row')} of {len(facts.prompts):,} repeat an earlier one "
            f"({found.first(figures)})",
            figures=figures,
            heading="diversity",
            advice="Keep one of each: a repeat is learned twice, and makes a test of the model too easy.",
            mended=figures["rows"],
        )


def repeats(facts: Facts) -> NDArray[np.bool_]:
    """Returns which rows repeat an earlier one."""
    import numpy as np

    pairs = facts.prompt_codes * max(1, len(facts.labels)) + facts.completion_codes
    repeated = np.ones(len(pairs), np.bool_)
    repeated[np.unique(pairs, return_index=True)[1]] = False
    return repeated


def conflicting_completions(facts: Facts) -> Iterator[Check]:
    """`conflicting-completions`: one prompt, several completions; open-ended generation has no other rows."""
    import numpy as np

    if facts.task == "open-ended generation" or facts.distinct_prompts == len(facts.prompts):
        return
    pairs = np.unique(facts.prompt_codes * len(facts.labels) + facts.completion_codes)
    answers = np.bincount(pairs // len(facts.labels), minlength=facts.distinct_prompts)
    disputed = (answers > 1)[facts.prompt_codes] & ~facts.empty_prompts
    if disputed.any():
        figures = found.where(facts.numbers[disputed])
        prompts = len(np.unique(facts.prompt_codes[disputed]))
        yield Check(
            kind="conflicting-completions",
            level="warning",
            message=f"{found.counted(prompts, 'prompt')} with more than one completion, "
            f"in {found.counted(figures['rows'], 'row')} ({found.first(figures)})",
            figures={**figures, "prompts": prompts},
            heading="quality",
            advice="Decide on one completion for each prompt: the model cannot learn two.",
        )


def long_rows(facts: Facts) -> Iterator[Check]:
    """`long-rows`: more than 10,000 characters of prompt and completion together, except in open-ended generation."""
    import pyarrow.compute as pc

    if facts.task == "open-ended generation":
        return
    lengths = pc.add(pc.utf8_length(facts.prompts), pc.utf8_length(facts.completions)).to_numpy(zero_copy_only=False)
    long = lengths > LONG_ROW
    if long.any():
        figures = found.where(facts.numbers[long])
        yield Check(
            kind="long-rows",
            level="warning",
            message=f"{found.counted(figures['rows'], 'row')} of more than {LONG_ROW:,} characters, "
            f"the longest of {int(lengths.max()):,} ({found.first(figures)})",
            figures={**figures, "longest": int(lengths.max())},
            heading="quality",
            advice="Shorten them or leave them out: what exceeds the model's limit is cut from the end.",
        )


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
        labels = len(facts.labels)
        yield Check(
            kind="task-type",
            level="ok",
            message=f"looks like {facts.task}: {labels:,} different completions in "
            f"{found.counted(len(facts.prompts), 'row')}",
            figures={"task": facts.task, "completions": labels, "rows": len(facts.prompts)},
            heading="quality",
        )
