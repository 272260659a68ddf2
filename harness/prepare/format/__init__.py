"""Rules for training files, one small function each.

They are every check of the retired `openai tools fine_tunes.prepare_data` (`openai` 0.28.1), those that it missed, and
those for chat files.

A new rule is one function that yields findings, one line in a tuple below, and one row in `docs/reference/checks.md`.
Nothing here reads a file: `harness.data_stage.training_files` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from harness.prepare.format import chat, columns, raw, shape
from harness.prepare.format.facts import Facts, facts_of
from harness.prepare.profiles import Profile
from harness.types import Check

RawRule: TypeAlias = Callable[[bytes, raw.Layout, Profile], Iterator[Check]]
CompletionRule: TypeAlias = Callable[[Facts], Iterator[Check]]
ChatRule: TypeAlias = Callable[[chat.Chat], Iterator[Check]]

RAW_RULES: tuple[RawRule, ...] = (
    raw.file_size,
    raw.byte_order_mark,
    raw.invalid_utf8,
    raw.line_ends,
    raw.blank_lines,
    raw.lone_surrogates,
)

COMPLETION_RULES: tuple[CompletionRule, ...] = (
    columns.number_of_examples,
    columns.missing_columns,
    columns.mixed_lines,
    columns.extra_columns,
    columns.weights,
    columns.empty_prompts,
    columns.empty_completions,
    columns.task_type,
    columns.duplicate_rows,
    columns.conflicting_completions,
    columns.long_rows,
    columns.upper_case_prompts,
    columns.upper_case_completions,
    shape.identical_prompts,
    shape.separator,
    shape.missing_separator,
    shape.long_separator,
    shape.separator_inside,
    shape.prompt_prefix,
    shape.identical_completions,
    shape.completion_prefix,
    shape.stop_sequence,
    shape.missing_stop,
    shape.long_stop,
    shape.stop_inside,
    shape.leading_space,
    shape.ambiguous_labels,
)

CHAT_RULES: tuple[ChatRule, ...] = (
    chat.number_of_examples,
    chat.mixed_lines,
    chat.missing_messages,
    chat.line_keys,
    chat.message_keys,
    chat.unknown_role,
    chat.missing_content,
    chat.no_assistant,
    chat.first_assistant,
    chat.last_not_assistant,
    chat.message_weight,
    chat.example_weight,
    chat.tool_lines,
    chat.missing_system,
    chat.inconsistent_system,
    chat.duplicate_rows,
    chat.conflicting_completions,
)


def raw_findings(data: bytes, profile: Profile, layout: raw.Layout) -> tuple[Check, ...]:
    """Returns what is to be said of a file's bytes.

    Args:
        data: The whole file.
        profile: The provider that is to take it.
        layout: How it is cut into lines.
    """
    return tuple(check for rule in RAW_RULES for check in rule(data, layout, profile))


def completion_findings(
    prompts: Any, completions: Any, *, profile: Profile, extra_columns: Sequence[str] = (), weights: Any = None
) -> tuple[Check, ...]:
    """Returns what is to be said of a file of prompt/completion lines.

    Args:
        prompts: Column of texts, `pyarrow.Array` or `ChunkedArray`; null counts as empty, null throughout as missing.
        completions: Column of the same length.
        profile: The provider that is to take the file.
        extra_columns: Names of the file's other columns.
        weights: Column of the examples' weights (numbers), where the file has it.

    Raises:
        ValueError: The columns are not of one length.
    """
    seen = facts_of(prompts, completions, profile, extra_columns, weights)
    return tuple(check for rule in COMPLETION_RULES for check in rule(seen))


def chat_findings(lines: Sequence[Mapping[str, Any]], *, profile: Profile) -> tuple[Check, ...]:
    """Returns what is to be said of a file of chat lines.

    Args:
        lines: The lines in order; any JSON value is let pass and spoken of.
        profile: The provider that is to take the file.
    """
    seen = chat.Chat(lines=chat.lines(lines), profile=profile)
    return tuple(check for rule in CHAT_RULES for check in rule(seen))


__all__ = [
    "CHAT_RULES",
    "COMPLETION_RULES",
    "RAW_RULES",
    "chat_findings",
    "completion_findings",
    "raw_findings",
]
