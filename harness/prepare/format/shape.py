"""Rules on how prompts and completions begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from harness.findings import finding
from harness.findings.files import quoted
from harness.numbers import counted
from harness.prepare.format import found, texts
from harness.prepare.format.facts import Facts
from harness.types import Check
from harness.words import noted

SEPARATORS = (" ->", "\n\n###\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n===>\n\n", "\n\n--->\n\n")
"""Offered in this order, as the retired tool did; the first one only where no prompt has a line break."""

STOPS = ("\n", " END", "\n###", " ***", " +++", " &&&", " $$$", " @@@", " %%%")

LONG_ENDING = 10
LONG_PROMPT_PREFIX = 12
LONG_COMPLETION_PREFIX = 5
"""Characters: the retired tool's limits. A separator or stop sequence above, a prompt's beginning above, a
completion's beginning of that many or more is worth a word."""


def separator(facts: Facts) -> Iterator[Check]:
    """`separator`: what all prompts end with, so that the model sees where the completion begins."""
    if facts.ending:
        yield finding("separator", "ok", {"separator": facts.ending}, heading="quality")


def missing_separator(facts: Facts) -> Iterator[Check]:
    """`missing-separator`: prompts have no common ending; one is offered that no text holds."""
    if not facts.ending and facts.distinct_prompts > 1 and facts.task != "open-ended generation":
        yield finding("missing-separator", "warning", {"suggestion": suggested_separator(facts)}, heading="quality")


def long_separator(facts: Facts) -> Iterator[Check]:
    """`long-separator`: the common ending of the prompts has more than 10 characters."""
    if len(facts.ending) > LONG_ENDING:
        offered = suggested_separator(facts)
        yield Check(
            kind="long-separator",
            level="warning",
            message=f"the ending of all prompts has {len(facts.ending)} characters: {quoted(facts.ending)}",
            figures={"characters": len(facts.ending), "suggestion": offered},
            heading="quality",
            advice=f"Shorten it, e.g. to {quoted(offered)}: each of its tokens is paid for in every request.",
        )


def separator_inside(facts: Facts) -> Iterator[Check]:
    """`separator-inside`: the separator stands in prompts before their end, or in completions."""
    if not facts.ending:
        return
    early = texts.holding_before_end(facts.filled, facts.ending)
    numbers = facts.numbers[~facts.empty_prompts][early]
    told = texts.holding(facts.labels, facts.ending) if facts.ending.strip() else 0
    if len(numbers) or told:
        figures = found.where(numbers)
        offered = suggested_separator(facts)
        yield Check(
            kind="separator-inside",
            level="warning",
            message=f"the separator {quoted(facts.ending)} also stands inside "
            f"{counted(len(numbers), 'prompt')} and {counted(told, 'different completion')}"
            + (f" ({found.first(figures)})" if len(numbers) else ""),
            figures={**figures, "completions": told, "suggestion": offered},
            heading="quality",
            advice=f"Take one that stands nowhere else, e.g. {quoted(offered)}.",
        )


def suggested_separator(facts: Facts) -> str:
    """Returns a separator that stands in no prompt and no completion."""
    lines = texts.holding(facts.prompts, "\n") > 0
    return texts.absent(SEPARATORS[lines:], "\n\n{}\n\n", facts.prompts, facts.labels)


def identical_prompts(facts: Facts) -> Iterator[Check]:
    """`identical-prompts`: several rows, one prompt."""
    if len(facts.prompts) > 1 and facts.distinct_prompts == 1 and facts.task != "open-ended generation":
        yield Check(
            kind="identical-prompts",
            level="error",
            message=f"all {len(facts.prompts):,} prompts are the same: {_shown(facts.prompts)}",
            figures={"rows": len(facts.prompts)},
            heading="diversity",
            advice="Give each row its own prompt; leave all prompts empty if a text is to be written freely.",
        )


def identical_completions(facts: Facts) -> Iterator[Check]:
    """`identical-completions`: several rows, one completion."""
    if len(facts.completions) > 1 and len(facts.labels) == 1:
        yield Check(
            kind="identical-completions",
            level="error",
            message=f"all {len(facts.completions):,} completions are the same: {_shown(facts.labels)}",
            figures={"rows": len(facts.completions)},
            heading="diversity",
            advice="Add rows with other completions: the model would answer this one whatever it is asked.",
        )


def _shown(column: Any) -> str:
    return quoted(column[0].as_py())


def prompt_prefix(facts: Facts) -> Iterator[Check]:
    """`prompt-prefix`: all prompts begin with the same more than 12 characters."""
    if len(facts.beginning) > LONG_PROMPT_PREFIX:
        yield finding(
            "prompt-prefix",
            "warning",
            {"characters": len(facts.beginning), "prefix": facts.beginning},
            heading="quality",
            advice=noted(
                "Leave the instruction out: a model that is trained on the task needs none, and it costs tokens."
            ),
        )


def completion_prefix(facts: Facts) -> Iterator[Check]:
    """`completion-prefix`: all completions begin with the same 5 characters or more."""
    prefix = texts.common_prefix(facts.labels) if len(facts.labels) > 1 else ""
    if len(prefix) >= LONG_COMPLETION_PREFIX:
        yield Check(
            kind="completion-prefix",
            level="warning",
            message=f"all completions begin with the same {len(prefix)} characters: {quoted(prefix)}",
            figures={"characters": len(prefix), "prefix": prefix},
            heading="quality",
            advice="Leave it out: the first token should tell the answers apart.",
        )


def stop_sequence(facts: Facts) -> Iterator[Check]:
    """`stop-sequence`: what all completions end with; never a part of a label."""
    if facts.stop:
        yield finding("stop-sequence", "ok", {"stop": facts.stop}, heading="quality")


def suggested_stop(facts: Facts) -> str:
    """Returns a stop sequence that stands in no completion."""
    return texts.absent(STOPS, " {}", facts.labels)


def missing_stop(facts: Facts) -> Iterator[Check]:
    """`missing-stop`: generated texts have no common ending; one is offered that no completion holds."""
    if not facts.stop and facts.task == "conditional generation" and len(facts.labels) > 1:
        yield finding("missing-stop", "warning", {"suggestion": suggested_stop(facts)}, heading="quality")


def long_stop(facts: Facts) -> Iterator[Check]:
    """`long-stop`: the common ending of the completions has more than 10 characters."""
    if len(facts.stop) > LONG_ENDING:
        offered = suggested_stop(facts)
        yield Check(
            kind="long-stop",
            level="warning",
            message=f"the ending of all completions has {len(facts.stop)} characters: {quoted(facts.stop)}",
            figures={"characters": len(facts.stop), "suggestion": offered},
            heading="quality",
            advice=f"Shorten it, e.g. to {quoted(offered)}: each of its tokens is generated in every answer.",
        )


def stop_inside(facts: Facts) -> Iterator[Check]:
    """`stop-inside`: the stop sequence stands in completions before their end, and would cut the answer there."""
    if not facts.stop:
        return
    early = texts.holding_before_end(facts.labels, facts.stop)
    if early.any():
        numbers = facts.numbers[early[facts.completion_codes]]
        offered = suggested_stop(facts)
        check = Check(
            kind="stop-inside",
            level="warning",
            message=f"the stop sequence {quoted(facts.stop)} also stands inside the completions of "
            f"{counted(len(numbers), 'row')}",
            figures={"suggestion": offered},
            heading="quality",
            advice=f"Take one that stands nowhere else, e.g. {quoted(offered)}: answers would end too early.",
        )
        yield from found.at(numbers, check)


def leading_space(facts: Facts) -> Iterator[Check]:
    """`leading-space`: completions that do not begin with a space; it is put before them."""
    import pyarrow.compute as pc

    if not len(facts.labels):
        return
    starts = pc.starts_with(facts.labels, " ").to_numpy(zero_copy_only=False)
    numbers = facts.numbers[~starts[facts.completion_codes]]
    n = len(numbers)
    check = Check(
        kind="leading-space",
        level="warning",
        message=f"{counted(n, 'completion')} of {len(facts.completions):,} begin{'s' if n == 1 else ''} without "
        "a space",
        heading="quality",
        advice="Begin every completion with one space: most vocabularies hold words with the space before them.",
        mended=n,
    )
    yield from found.at(numbers, check)


def ambiguous_labels(facts: Facts) -> Iterator[Check]:
    """`ambiguous-labels`: a class that another one begins with: whether it goes on shows only after its last token."""
    if facts.task != "classification":
        return
    labels = sorted({f" {label.removeprefix(' ')}" for label in facts.labels.to_pylist()})
    # Whatever begins with a label follows it at once in this order.
    pairs = [[short, long] for short, long in pairwise(labels) if long.startswith(short)]
    if pairs:
        short, long = pairs[0]
        yield Check(
            kind="ambiguous-labels",
            level="warning",
            message=f"{counted(len(pairs), 'label')} with which another begins, "
            f"e.g. {quoted(short)} and {quoted(long)}",
            figures={"labels": pairs[:10]},
            heading="quality",
            advice="End every completion with a stop sequence, or rename one: an answer cut early names another label.",
        )
