"""Test examples that stand in what a formatter says with every item, wherever its options hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from harness.data_stage.gates import prompt_leaks
from harness.experiment import Arm
from harness.prepare.options import Prepared
from harness.types import Example, Split
from harness_plugins.backends.mock import Mock
from harness_plugins.formatters.chat import Chat

TEXT = "The lamp on the kitchen table flickers every evening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    """A formatter of somebody's own, with the smallest kind of dataclass there is."""

    name: ClassVar[str] = "slotted"
    instruction: str = ""
    solved: tuple[str, ...] = ()
    by_label: dict[str, list[str]] = field(default_factory=dict)

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        return text


def found_in(formatter: Any) -> list[str]:
    arm = Arm(name="asked", backend=Mock(accuracy=0.5), formatter=formatter, shots=None)
    tested = Example(fields={"text": TEXT}, label="bad", id="seen", split=Split.TEST)
    data = Prepared(
        examples=(tested,), labels=("bad", "good"), removed={}, rows_in=1, leaks=(), checks=(), fingerprint=""
    )
    experiment: Any = SimpleNamespace(arms=(arm,))
    return [check.message for check in prompt_leaks(experiment, data)]


@pytest.mark.parametrize(
    "formatter",
    [
        Chat(instruction=f"Sort reports. {TEXT.upper()}! is bad."),
        Slotted(instruction=f"Sort reports. {TEXT} is bad."),
        Slotted(solved=("The kettle is very quiet and quick", TEXT)),
        Slotted(by_label={"bad": [TEXT]}),
    ],
)
def test_a_test_text_is_found_in_every_option(formatter: Any) -> None:
    assert found_in(formatter) == ["1 test example in a prompt, e.g. seen in that of asked"]


@pytest.mark.parametrize("formatter", [Chat(instruction="Sort reports about lamps and kettles."), Slotted()])
def test_a_prompt_of_its_own_words_is_let_pass(formatter: Any) -> None:
    assert found_in(formatter) == []
