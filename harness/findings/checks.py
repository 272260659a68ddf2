"""What a check is to those who write its sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Check: TypeAlias = Mapping[str, Any]
"""One of `checks` in `results.json`."""
Figures: TypeAlias = Mapping[str, Any]
Writer: TypeAlias = Callable[[Figures, Check], str]
"""Writes a sentence from a check's figures and the check itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A check in words."""

    message: str
    advice: str = ""
    lang: str = ""
    """The language of both, where it is not the page's."""
