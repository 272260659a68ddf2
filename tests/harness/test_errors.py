"""The exception tree and the nearest name."""

from __future__ import annotations

import pytest

from harness import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.HarnessError, 1),
        (errors.UsageError, 2),
        (errors.ExperimentError, 2),
        (errors.DataError, 2),
        (errors.PluginError, 2),
        (errors.GateError, 3),
        (errors.UnfinishedError, 4),
        (errors.TrainingRefusedError, 4),
    ],
)
def test_exit_codes_are_those_promised(kind: type[errors.HarnessError], code: int) -> None:
    assert kind("x").exit_code == code
    assert issubclass(kind, errors.HarnessError)


def test_text_is_message_and_hint() -> None:
    assert str(errors.UsageError("a is wrong", "do b")) == "a is wrong\ndo b"
    assert str(errors.UsageError("a is wrong")) == "a is wrong"
    caught = errors.DataError(ValueError("a is wrong"))  # type: ignore[arg-type]
    assert str(caught) == caught.message == "a is wrong"


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("labl", ["label", "labels", "text"], 'did you mean "label"?'),
        ("LABEL", ["label", "text"], 'did you mean "label"?'),
        ("colour", ["Label", "text"], "there is Label, text"),
        ("x", [], "there is none"),
        ("zzz", [f"name{n:02}" for n in range(20)], "there is " + ", ".join(f"name{n:02}" for n in range(12)) + ", …"),
    ],
)
def test_nearest(name: str, names: list[str], said: str) -> None:
    assert errors.nearest(name, names) == said
