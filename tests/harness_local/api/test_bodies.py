"""Reading requests: what is understood, what is refused, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness_local.api.bodies import Body, ChatBody, CompletionBody, Conversation, JobBody
from harness_local.api.errors import ApiError, refusal
from harness_local.api.guard import is_loopback
from harness_local.api.prompts import grouped
from harness_local.models.tokens import Encoded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SIMPLE: dict[type[Body], dict[str, Any]] = {
    CompletionBody: {"model": "m", "prompt": "p"},
    ChatBody: {"model": "m", "messages": [{"role": "user", "content": "c"}]},
    JobBody: {"model": "m", "training_file": "f"},
}


class Letters:
    """Spells each character as one token."""

    def encode(self, text: str, *, start: bool = True) -> Encoded:
        return Encoded(tuple(map(ord, text)), tuple(range(1, len(text) + 1)))

    def piece(self, token: int) -> str:
        return "?"


def parsed(kind: type[Body], /, **values: Any) -> Any:
    """A body, as a route gets it, or the error that the route answers with."""
    try:
        return kind.model_validate({**SIMPLE.get(kind, {}), **values})
    except ValidationError as error:
        raise refusal(error.errors()[0]) from None


def names(kind: type[Body]) -> st.SearchStrategy[str]:
    return st.sampled_from(list(kind.model_fields)) | st.text(max_size=8)


@pytest.mark.parametrize("kind", SIMPLE)
@given(st.data())
def test_any_body_is_read_or_refused_in_the_api_s_words(kind: type[Body], data: st.DataObject) -> None:
    values = data.draw(st.dictionaries(names(kind), VALUES, max_size=5))
    codec: Any = Letters()
    try:
        body = parsed(kind, **values)
        if isinstance(body, CompletionBody):
            body.sampling(1, 100)
            grouped(body.prompt, codec, vocabulary=100, context=50, together=bool(body.echo))
    except ApiError as error:
        if error.status != 400 or not json.dumps(error.body(), ensure_ascii=False).encode():
            raise


@pytest.mark.parametrize(
    ("kind", "values", "code", "param"),
    [
        (CompletionBody, {"temprature": 1}, "unknown_parameter", "temprature"),
        (CompletionBody, {"temperature": 2.1}, "invalid_value", "temperature"),
        (CompletionBody, {"temperature": float("nan")}, "invalid_value", "temperature"),
        (CompletionBody, {"temperature": 10**400}, "invalid_type", "temperature"),
        (CompletionBody, {"n": True}, "invalid_type", "n"),
        (CompletionBody, {"n": 129}, "invalid_value", "n"),
        (CompletionBody, {"seed": 2**63}, "invalid_value", "seed"),
        (CompletionBody, {"user": "\ud800"}, "invalid_value", "user"),
        (CompletionBody, {"prompt": "\ud800"}, "invalid_type", "prompt"),
        (CompletionBody, {"prompt": [[]]}, "invalid_type", "prompt"),
        (CompletionBody, {"prompt": [1, "a"]}, "invalid_type", "prompt"),
        (CompletionBody, {"prompt": ["a"] * 1025}, "invalid_type", "prompt"),
        (CompletionBody, {"stop": ["a"] * 5}, "invalid_type", "stop"),
        (CompletionBody, {"logit_bias": {"a": 1}}, "invalid_type", "logit_bias"),
        (CompletionBody, {"logit_bias": {str(i): 1 for i in range(1025)}}, "too_long", "logit_bias"),
        (CompletionBody, {"frequency_penalty": 0.5}, "unsupported_parameter", "frequency_penalty"),
        (CompletionBody, {"best_of": 2}, "unsupported_parameter", "best_of"),
        (CompletionBody, {"stream": True, "stream_options": {"usage": 1}}, "unknown_parameter", "stream_options.usage"),
        (ChatBody, {"messages": []}, "invalid_value", "messages"),
        (ChatBody, {"messages": [{"role": "tool", "content": ""}]}, "invalid_value", "messages[0].role"),
        (ChatBody, {"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
        (
            ChatBody,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
            "unsupported_parameter",
            "messages[0].content[0].type",
        ),
        (ChatBody, {"tool_choice": "auto"}, "unsupported_parameter", "tool_choice"),
        (ChatBody, {"service_tier": "flex"}, "unsupported_parameter", "service_tier"),
        (ChatBody, {"top_logprobs": 3}, "invalid_value", "top_logprobs"),
        (ChatBody, {"response_format": {"type": "grammar"}}, "invalid_value", "response_format.type"),
        (ChatBody, {"response_format": {"type": "json_schema"}}, "invalid_value", "response_format.json_schema"),
        (JobBody, {"hyperparameters": {"n_epochs": 0}}, "invalid_value", "hyperparameters.n_epochs"),
        (JobBody, {"hyperparameters": {"warmup_ratio": 0.6}}, "invalid_value", "hyperparameters.warmup_ratio"),
        (JobBody, {"method": {"type": "dpo"}}, "unsupported_parameter", "method.type"),
        (JobBody, {"method": {"type": "supervised", "dpo": {}}}, "unsupported_parameter", "method.dpo"),
        (JobBody, {"suffix": "a/b"}, "invalid_value", "suffix"),
        (JobBody, {"metadata": {"a": 1}}, "invalid_type", "metadata"),
        (JobBody, {"metadata": {str(i): "" for i in range(17)}}, "too_long", "metadata"),
        (
            Conversation,
            {"messages": [{"role": "user", "content": "a", "weight": 2}]},
            "invalid_value",
            "messages[0].weight",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(kind: type[Body], values: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(kind, **values)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert param in caught.value.message or code == "invalid_value"


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ApiError, match=r"'response_format\.json_schema\.shema'\. Did you mean 'schema'\?"):
        parsed(ChatBody, response_format={"type": "json_schema", "json_schema": {"name": "a", "shema": {}}})


def test_a_million_wrong_names_cost_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        CompletionBody.model_validate({f"x{i}": 0 for i in range(1000)})
    assert caught.value.error_count() == 1


def test_values_that_change_nothing_are_taken() -> None:
    body = parsed(
        ChatBody, n=2.0, tools=[], functions=[], store=False, tool_choice="none", parallel_tool_calls=True, audio=None,
        frequency_penalty=0, presence_penalty=0.0, modalities=["text"], verbosity="medium", user="u", temperature=None,
    )  # fmt: skip
    assert body.choices == 2


def test_settings_of_a_job_come_from_either_place() -> None:
    settings = {"n_epochs": 3, "lora_targets": ["q_proj"], "warmup_ratio": 0.2, "lora_rank": "auto"}
    assert parsed(JobBody, hyperparameters=settings).settings == settings
    method = {"type": "supervised", "supervised": {"hyperparameters": settings}}
    assert parsed(JobBody, method=method).settings == settings
    assert parsed(JobBody).settings == {}
    with pytest.raises(ApiError, match="not in both"):
        parsed(JobBody, method=method, hyperparameters=settings)


@pytest.mark.parametrize("deep", [{"a": [float("nan")]}, None])
def test_a_schema_that_json_cannot_hold(deep: Any) -> None:
    if deep is None:
        deep = {}
        for _ in range(5000):
            deep = {"not": deep}
    body = parsed(ChatBody, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": deep}})
    with pytest.raises(ApiError, match="nested too deeply"):
        _ = body.response_format.schema_text


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("127.0.0.1.evil.example", False), ("", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
