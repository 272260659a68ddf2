"""What a file has of its own of the forms that providers train on: a separator, a stop sequence, an instruction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.guessing.guess import Guesses
from harness.tables import Forms, is_prepared, read_forms

_OWN = {"completion": ("separator", "stop"), "chat": ("instruction",)}
"""The forms, each a formatter, and the options in which a file may have its own."""


def forms_of(data: Path, options: Mapping[str, Any], guesses: Guesses) -> Forms:
    """Returns the forms, each with what the file says of it; prepared data says it itself.

    Args:
        data: The file.
        options: Of the dataset `files`, as they were guessed.
        guesses: What the file's columns are.
    """
    return prepared_forms(data) if is_prepared(data) else guessed_forms(options, guesses)


def prepared_forms(data: Path) -> Forms:
    """Returns the forms as `harness prepare` has written them down with its examples."""
    return _of_its_own(read_forms(data))


def guessed_forms(options: Mapping[str, Any], guesses: Guesses) -> Forms:
    """Returns the forms with the marks that a file's texts and labels end with, and its one system message."""
    return _of_its_own({name: {**options, "instruction": _instruction(guesses)} for name in _OWN})


def _of_its_own(said: Mapping[str, Mapping[str, Any]]) -> Forms:
    return {
        form: {name: str(said[form][name]) for name in names if said.get(form, {}).get(name)}
        for form, names in _OWN.items()
    }


def _instruction(guesses: Guesses) -> str:
    """Returns the one system message of a chat file, which is a prompt that somebody wrote for this task."""
    column = guesses.columns.get("instruction")
    if column is None or column.distinct != 1 or "instruction" in guesses.text:
        return ""
    return next(iter(column.counts))
