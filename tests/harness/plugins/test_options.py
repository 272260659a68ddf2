"""Options: a table becomes a frozen dataclass, or an error that says which key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from harness.plugins.options import OptionError, construct, needs_options, option_names


@dataclass(frozen=True, kw_only=True)
class Sample:
    name: ClassVar[str] = "sample"

    model: str
    epochs: int | Literal["auto"] = "auto"
    rate: float = 0.5
    columns: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    derived: int = field(init=False, default=3)

    def __post_init__(self) -> None:
        if self.rate > 1:
            raise ValueError("rate is at most 1")


@dataclass(frozen=True)
class Bare:
    name: ClassVar[str] = "bare"


def test_values_arrive_as_annotated() -> None:
    made = construct(
        Sample, {"plugin": "sample", "model": "m", "epochs": 3, "columns": ["a", "b"]}, "p", reserved=["plugin"]
    )
    assert made == Sample(model="m", epochs=3, columns=("a", "b"))
    assert construct(Sample, {"model": "m", "rate": 1}, "p").rate == 1.0


@pytest.mark.parametrize(
    ("table", "path", "said"),
    [
        ({"modle": "m"}, "arms[2].backend.modle", 'sample has no option "modle"; did you mean "model"?'),
        ({"derived": 1, "model": "m"}, "arms[2].backend.derived", 'sample has no option "derived"'),
        ({}, "arms[2].backend", 'sample needs the option "model"'),
        ({"model": 3}, "arms[2].backend.model", "got 3"),
        ({"model": "m", "columns": ["a", 4]}, "arms[2].backend.columns[1]", "string"),
        ({"model": "m", "rate": "fast"}, "arms[2].backend.rate", "got 'fast'"),
        ({"model": "m", "rate": 2}, "arms[2].backend", "rate is at most 1"),
        ({"model": "m", "rate": -math.inf}, "arms[2].backend.rate", "must be a finite number, got -inf"),
        ({"model": "m", "epochs": "many"}, "arms[2].backend.epochs", "got 'many'"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, Any], path: str, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        construct(Sample, table, "arms[2].backend")
    assert caught.value.path == path
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_whole_number_is_no_text_and_a_text_no_number() -> None:
    for table in ({"model": 1}, {"model": "m", "rate": "0.5x"}, {"model": "m", "columns": "abc"}):
        with pytest.raises(OptionError):
            construct(Sample, table, "p")


def test_what_pydantic_says_is_said_in_the_words_of_the_other_errors() -> None:
    for value in ("three", 1.5):
        with pytest.raises(OptionError) as caught:
            construct(Sample, {"model": "m", "epochs": value}, "p")
        assert caught.value.message == f"must be a whole number or 'auto', got {value!r}"
    with pytest.raises(OptionError) as caught:
        construct(Sample, {"model": "m", "columns": {"a": "b"}}, "p")
    assert caught.value.message == "must be a list, got {'a': 'b'}"


def test_names_and_needs() -> None:
    assert option_names(Sample) == ("model", "epochs", "rate", "columns", "words")
    assert needs_options(Sample)
    assert not needs_options(Bare)
    assert option_names(int) == ()
