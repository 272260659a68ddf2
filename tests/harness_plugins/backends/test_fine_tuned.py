"""The `fine-tuned` backend: its job, and its questions once there is a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import JobSpec, Prompt, TrainingFiles
from harness.plugins.options import OptionError, construct
from harness_plugins.backends.fine_tuned import FineTuned

FILES = TrainingFiles(train=Path("t"), validation=None, n_train=1, n_validation=0)
PROMPT = Prompt(text="x\n\n###\n\n", continuations={"a": " a"})


def test_automatic_hyperparameters_are_left_to_the_endpoint() -> None:
    assert FineTuned(endpoint="e", base="m").job(FILES) == JobSpec(endpoint="e", base="m", hyperparameters={})


def test_options_become_the_job() -> None:
    backend = FineTuned(
        endpoint="e", base="m", n_epochs=3, learning_rate_multiplier=0.5, hyperparameters={"lora_r": 8}, suffix="s",
        training_seed=4,
    )  # fmt: skip
    wanted = {"n_epochs": 3, "learning_rate_multiplier": 0.5, "lora_r": 8}
    assert backend.job(FILES) == JobSpec(endpoint="e", base="m", hyperparameters=wanted, suffix="s", seed=4)


def test_it_answers_with_the_trained_model_only() -> None:
    backend = FineTuned(endpoint="e", base="m")
    with pytest.raises(ValueError, match="not trained yet"):
        backend.calls(PROMPT, ("a",))
    (call,) = replace(backend, model="ft:m:1").calls(PROMPT, ("a",))
    assert call.body["model"] == "ft:m:1"
    assert call.body["prompt"] == PROMPT.text
    with pytest.raises(ValueError, match="nothing to train"):
        FineTuned(endpoint="e", model="ft:m:1").job(FILES)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"base": None}, "give `base`"),
        ({"n_epochs": 0}, "at least 1"),
        ({"n_epochs": "some"}, "'auto'"),
        ({"suffix": "x" * 65}, "at most 64 characters"),
        ({"calibrate": True}, "calibrate = true needs"),
    ],
)
def test_refused_options(table: dict[str, Any], said: str) -> None:
    given = {"endpoint": "e", "base": "m", **table}
    with pytest.raises(OptionError, match=said):
        construct(FineTuned, {key: value for key, value in given.items() if value is not None}, "arms[0].backend")
