"""What the rules for prompt/completion files know of a file: computed once, read by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.prepare.format import texts
from harness.prepare.profiles import Profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Task = Literal["classification", "conditional generation", "open-ended generation"]

EACH_CLASS = 3
"""Examples a class must have on average for distinct completions to be taken for classes (`openai` 0.28.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A prompt/completion file, column by column; rows without a completion are set apart from it."""

    profile: Profile
    rows: int
    """All rows of the file, set apart or not."""
    extra_columns: tuple[str, ...]
    missing: tuple[str, ...]
    """Of `prompt` and `completion`, those that no row has."""
    weights: Any
    """Column of the examples' weights (all rows), or `None`."""
    prompts: Any
    """Texts of the rows that have a completion; Arrow's `large_string`, no nulls."""
    completions: Any
    numbers: NDArray[np.int64]
    """Row numbers of these, from 1."""
    empty_completions: NDArray[np.int64]
    """Row numbers of the rows set apart."""
    empty_prompts: NDArray[np.bool_]
    """Which of `prompts` are empty."""
    filled: Any
    """The prompts that are not."""
    repeated: NDArray[np.bool_]
    """Which rows have prompt and completion of an earlier one."""
    prompt_codes: NDArray[np.int64]
    completion_codes: NDArray[np.int64]
    """Each row's number among the distinct texts."""
    distinct_prompts: int
    labels: Any
    """The distinct completions."""
    task: Task
    ending: str
    """What all prompts that are not empty end with, from the beginning of a word; empty if they are all the same."""
    beginning: str
    """What they begin with."""
    stop: str
    """What all completions end with, where that can be a stop sequence."""


def facts_of(
    prompts: Any, completions: Any, profile: Profile, extra_columns: Sequence[str] = (), weights: Any = None
) -> Facts:
    """Looks at two columns of one length.

    Raises:
        ValueError: The columns are not of one length.
    """
    import numpy as np
    import pyarrow as pa

    asked, told = texts.pair(prompts, completions)
    named = (("prompt", asked), ("completion", told))
    missing = tuple(name for name, column in named if column.null_count == len(column))
    rows = len(asked)
    asked, told = (column.fill_null("") if column.null_count else column for column in (asked, told))
    empty = texts.blank(told)
    if missing:
        empty = np.ones(rows, np.bool_)
    if empty.any():
        kept = pa.array(~empty)
        asked, told = asked.filter(kept), told.filter(kept)
    prompt_codes, distinct = texts.encoded(asked)
    completion_codes, labels = texts.encoded(told)
    empty_prompts = texts.blank(asked)
    filled = asked.filter(pa.array(~empty_prompts)) if empty_prompts.any() else asked
    differ = len(distinct) > 1
    task = _task(empty_prompts, len(labels))
    return Facts(
        profile=profile,
        rows=rows,
        extra_columns=tuple(extra_columns),
        missing=missing if rows else (),
        weights=weights,
        prompts=asked,
        completions=told,
        numbers=np.flatnonzero(~empty) + 1,
        empty_completions=np.zeros(0, np.int64) if missing else np.flatnonzero(empty) + 1,
        empty_prompts=empty_prompts,
        filled=filled,
        repeated=texts.repeated(prompt_codes, completion_codes),
        prompt_codes=prompt_codes,
        completion_codes=completion_codes,
        distinct_prompts=len(distinct),
        labels=labels,
        task=task,
        ending=texts.whole_ending(filled, texts.common_suffix(filled)) if differ else "",
        beginning=texts.common_prefix(filled) if differ else "",
        stop=_stop(labels, task) if len(labels) > 1 else "",
    )


def _task(empty_prompts: NDArray[np.bool_], labels: int) -> Task:
    if empty_prompts.all():
        return "open-ended generation"
    return "classification" if labels * EACH_CLASS < len(empty_prompts) else "conditional generation"


def _stop(labels: Any, task: Task) -> str:
    """Returns the common ending of the distinct completions that may be a stop sequence.

    An ending that is a whole completion is a label, and so are words that all labels share (` not good`,
    ` very good`): of classes, only an ending without lower-case letters is taken for a stop sequence.
    """
    import pyarrow.compute as pc

    ending = texts.whole_ending(labels, texts.common_suffix(labels))
    if not ending or (task == "classification" and any(map(str.islower, ending))):
        return ""
    left = pc.utf8_slice_codeunits(labels, 0, -len(ending))
    return "" if texts.blank(left).any() else ending
