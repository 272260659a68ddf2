"""The `few-shot` backend: what its options become."""

from __future__ import annotations

import pytest

from harness import Message, Prompt, Reply
from harness.plugins.options import OptionError, construct
from harness_plugins.backends.few_shot import FewShot

PROMPT = Prompt(messages=(Message(role="user", content="u"),), continuations={"a": "a", "b": "b"})


def test_options_become_the_request() -> None:
    backend = FewShot(endpoint="e", model="m", reasoning_effort="low", max_tokens=7, extra_body={"seed": 1})
    (call,) = backend.calls(PROMPT, ("a", "b"))
    assert call.endpoint == "e"
    assert call.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "u"}],
        "max_completion_tokens": 7,
        "reasoning_effort": "low",
        "seed": 1,
    }
    assert backend.read([Reply({"choices": [{"message": {"content": "a"}}]}, call)]).text == "a"


def test_what_passes_through_wins() -> None:
    (call,) = FewShot(endpoint="e", model="m", extra_body={"temperature": 0.7}).calls(PROMPT, ("a",))
    assert call.body["temperature"] == 0.7


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"calibrate": True}, 'calibrate = true needs answer = "choose"'),
        ({"answer": "guess"}, "'generate', 'choose' or 'schema'"),
        ({"max_tokens": "x"}, "must be a whole number"),
    ],
)
def test_refused_options(table: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        construct(FewShot, {"endpoint": "e", "model": "m", **table}, "arms[0].backend")
