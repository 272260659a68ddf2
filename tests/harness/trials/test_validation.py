"""Which arms answer the validation split."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.trials.validation import contending, validated


class Stub:
    """An arm as far as naming contenders looks at it."""

    def __init__(self, name: str, family: str) -> None:
        self.name, self.family = name, family
        self.backend: Any = SimpleNamespace()


@pytest.mark.parametrize(
    ("families", "named"),
    [
        (["fine-tuned", "few-shot"], set()),
        (["fine-tuned", "few-shot", "zero-shot"], {1, 2}),
        (["fine-tuned", "fine-tuned", "few-shot"], {0, 1}),
        (["fine-tuned", "fine-tuned", "few-shot", "zero-shot", "classical"], {0, 1, 2, 3}),
        (["classical", "mock"], set()),
        (["classical", "mock", "other"], {0, 1, 2}),
        (["few-shot"], set()),
        ([], set()),
    ],
)
def test_contenders_are_chosen_only_where_there_is_a_choice(families: list[str], named: set[int]) -> None:
    arms: list[Any] = [Stub(str(index), family) for index, family in enumerate(families)]
    assert contending(arms) == {str(index) for index in named}


def test_validation_is_asked_for_thresholds_where_that_is_free_or_wanted() -> None:
    arms: list[Any] = [Stub(str(index), family) for index, family in enumerate(("fine-tuned", "few-shot", "classical"))]
    assert validated(arms, thresholds=False) == {"2"}
    assert validated(arms, thresholds=True) == {"0", "1", "2"}
    arms[2].backend.calls = None  # what is asked elsewhere is not free, whatever its family
    assert validated(arms, thresholds=False) == set()
    several: list[Any] = [*arms, Stub("3", "zero-shot")]
    assert validated(several, thresholds=False) == {"1", "3"} == contending(several)
