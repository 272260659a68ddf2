"""How endpoints are asked and read, against arithmetic by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Answer, Call, Example, Message, Prompt, Reply
from harness.finished import predict_script
from harness_plugins.formatters.chat import Chat
from harness_plugins.openai_answers import Asking, Mode, read

LABELS = ("negative", "neutral", "positive")
SPACED = {label: f" {label}" for label in LABELS}
CHAT = Prompt(
    messages=(Message(role="system", content="s"), Message(role="user", content="u")),
    continuations={k: k for k in LABELS},
)
TEXT = Prompt(text="good soup\n\n###\n\n", stop=("\n",), continuations=SPACED)


def asking(answer: Mode = "generate", **changes: Any) -> Asking:
    given: dict[str, Any] = {"endpoint": "e", "model": "m", "calibrate": False, "max_tokens": None}
    return Asking(**{**given, "answer": answer, **changes})


def asked(prompt: Prompt, answer: Mode = "generate", **changes: Any) -> Call:
    (call,) = asking(answer, **changes).calls(prompt, LABELS)
    return call


def answered(call: Call, body: dict[str, Any], *more: tuple[Call, dict[str, Any]]) -> Answer:
    return read([Reply(body, call), *(Reply(other, to) for to, other in more)])


# Asking


def test_generate_in_chat_form() -> None:
    call = asked(CHAT)
    assert call.path == "/chat/completions"
    assert call.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "temperature": 0,
        "max_completion_tokens": 32,
    }


def test_generate_in_completion_form() -> None:
    call = asked(TEXT)
    assert call.path == "/completions"
    # the longest label has 9 characters with its space: a third of them, and 3 for the stop sequence
    assert call.body == {"model": "m", "prompt": TEXT.text, "max_tokens": 6, "temperature": 0, "stop": ["\n"]}
    assert asked(TEXT, max_tokens=3).body["max_tokens"] == 3


def test_reasoning_models_get_room_and_no_temperature() -> None:
    body = asked(CHAT, extra={"reasoning_effort": "low", "seed": 3}).body
    assert body["reasoning_effort"] == "low"
    assert body["seed"] == 3
    assert "temperature" not in body
    assert "max_completion_tokens" not in body
    assert asked(CHAT, extra={"temperature": 1}).body["temperature"] == 1


def test_choose() -> None:
    chat = asked(CHAT, "choose").body
    assert (chat["max_completion_tokens"], chat["logprobs"], chat["top_logprobs"]) == (1, True, 20)
    completion = asked(TEXT, "choose").body
    assert (completion["max_tokens"], completion["logprobs"], completion["prompt"]) == (1, 5, TEXT.text)
    scored = asked(TEXT, "choose", endpoint="local").body
    assert scored["prompt"] == [TEXT.text + f" {label}" for label in LABELS]
    assert (scored["echo"], scored["max_tokens"]) == (True, 0)


def test_schema() -> None:
    wanted = asked(CHAT, "schema").body["response_format"]["json_schema"]
    assert wanted["strict"] is True
    assert wanted["schema"]["properties"]["label"]["enum"] == list(LABELS)
    assert wanted["schema"]["required"] == ["label"]


def test_a_schema_lists_what_the_prompt_says_and_the_parser_reads() -> None:
    words = {"positive": "thumbs up", "negative": "thumbs down"}
    formatter = Chat(words=words)
    prompt = formatter.prompt(Example(fields={"text": "good soup"}, label=""), (), LABELS)
    schema = asked(prompt, "schema").body["response_format"]["json_schema"]["schema"]
    enum = schema["properties"]["label"]["enum"]
    assert enum == ["thumbs down", "neutral", "thumbs up"]
    assert all(word in prompt.messages[0].content for word in enum)
    said = [answered(asked(prompt, "schema"), chat_body(json.dumps({"label": word}))).text for word in enum]
    assert [formatter.parse(text, LABELS) for text in said] == list(LABELS)


@pytest.mark.parametrize("continuations", [{}, SPACED, {label: label for label in LABELS}])
def test_a_schema_without_words_lists_the_labels(continuations: Mapping[str, str]) -> None:
    prompt = Prompt(messages=CHAT.messages, continuations=continuations)
    odd = (*LABELS, " odd ")
    (call,) = asking("schema").calls(prompt, odd)
    assert call.body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == list(odd)


def test_calibrated_prompts_are_asked_twice_and_notes_are_not_sent() -> None:
    calls = asking("choose", calibrate=True).calls(
        Prompt(text="x", continuations=SPACED, content_free=Prompt(text="N/A", continuations=SPACED)), LABELS
    )
    assert [call.body["prompt"] for call in calls] == ["x", "N/A"]
    assert all("note" not in call.body and "continuations" not in call.body for call in calls)
    assert len(asking("choose").calls(TEXT, LABELS)) == 1


# Reading


def chat_body(content: Any, finish: str = "stop", **more: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish, **more}]
    }


USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def test_text_usage_and_truncation() -> None:
    answer = answered(asked(CHAT), {**chat_body("positive", "length"), "usage": USAGE})
    assert answer == Answer(
        text="positive", input_tokens=120, output_tokens=7, cached_tokens=100, reasoning_tokens=5, truncated=True
    )
    assert not answered(asked(CHAT), chat_body("positive")).truncated
    completion = {"choices": [{"text": " positive", "finish_reason": "stop"}]}
    assert answered(asked(TEXT), completion) == Answer(text=" positive")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "posi"}, {"type": "text", "text": "tive"}, 3], "positive"),
        (5, ""),
    ],
)
def test_odd_content(content: Any, text: str) -> None:
    assert answered(asked(CHAT), chat_body(content)).text == text


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": None}, {"choices": ["x"]}, {"choices": {"a": 1}}, {"error": "e"}]
)
@pytest.mark.parametrize("mode", ["generate", "choose", "schema"])
def test_a_reply_that_is_none_is_an_error_of_the_item(body: dict[str, Any], mode: Mode) -> None:
    answer = answered(asked(CHAT, mode), body)
    assert answer.error == "the reply has no choices"


KEYS = st.sampled_from(["text", "message", "content", "finish_reason", "index"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner), max_leaves=8)


@given(ANYTHING)
def test_whatever_comes_is_read_without_an_exception(choice: Any) -> None:
    for prompt in (CHAT, TEXT):
        for mode in ("generate", "schema"):
            for body in ({"choices": [choice]}, {"choices": choice}, {"choices": [{}], "usage": choice}):
                (call,) = asking(mode).calls(prompt, LABELS)  # type: ignore[arg-type]
                assert isinstance(answered(call, body).text, str)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"label": "positive"}', "positive"),
        ('{"label": 3}', "3"),
        ('{"other": 1}', '{"other": 1}'),
        ("[1]", "[1]"),
        ("po", "po"),
    ],
)
def test_schema_answers(text: str, label: str) -> None:
    assert answered(asked(CHAT, "schema"), chat_body(text)).text == label


def chat_logprobs(tops: list[tuple[str, float]]) -> dict[str, Any]:
    rows = [{"token": token, "logprob": math.log(p), "bytes": []} for token, p in tops]
    content = [{"token": tops[0][0] if tops else "", "logprob": -0.1, "top_logprobs": rows}]
    return {"content": content, "refusal": None}


def test_first_tokens_with_distractors() -> None:
    """Hand computation: pos + Pos + positive belong to one label, n to two, Sure and the empty token to none."""
    tops = [
        ("pos", 0.3),
        ("Sure", 0.2),
        ("Pos", 0.1),
        ("neg", 0.15),
        ("n", 0.1),
        (" positive", 0.05),
        ("", 0.05),
        ("neu", 0.05),
    ]
    answer = answered(asked(CHAT, "choose"), chat_body("Sure", logprobs=chat_logprobs(tops)))
    total = 0.45 + 0.15 + 0.05
    assert answer.text == "positive"
    assert answer.probabilities == pytest.approx(
        {"positive": 0.45 / total, "negative": 0.15 / total, "neutral": 0.05 / total}
    )


def test_a_label_that_begins_another_one_counts_as_itself() -> None:
    labels = ("1", "10", "2")
    prompt = Prompt(messages=CHAT.messages, continuations={label: label for label in labels})
    (call,) = asking("choose").calls(prompt, labels)
    answer = answered(call, chat_body("1", logprobs=chat_logprobs([("1", 0.6), ("10", 0.2), ("2", 0.2)])))
    assert answer.text == "1"
    assert answer.probabilities == pytest.approx({"1": 0.6, "10": 0.2, "2": 0.2})


def test_first_tokens_of_a_completion() -> None:
    top = {" pos": math.log(0.2), " neg": math.log(0.6), "\n": math.log(0.2)}
    body = {
        "choices": [
            {"text": " neg", "logprobs": {"tokens": [" neg"], "top_logprobs": [top]}, "finish_reason": "length"}
        ]
    }
    answer = answered(asked(TEXT, "choose"), body)
    assert answer.text == "negative"
    assert answer.probabilities == pytest.approx({"negative": 0.75, "positive": 0.25, "neutral": 0.0})


@pytest.mark.parametrize("logprobs", [{"content": []}, {"content": None}, chat_logprobs([("Sure", 0.9)])])
def test_where_no_label_is_probable_the_text_counts(logprobs: dict[str, Any]) -> None:
    answer = answered(asked(CHAT, "choose"), chat_body("Sure", logprobs=logprobs))
    assert answer == Answer(text="Sure")


@pytest.mark.parametrize("more", [{}, {"logprobs": None}, {"logprobs": 3}])
def test_an_endpoint_without_log_probabilities_is_refused_by_name(more: dict[str, Any]) -> None:
    answer = answered(asked(CHAT, "choose"), chat_body("positive", **more))
    assert answer.error is not None
    assert "log-probabilities" in answer.error


def echo(prompt: str, label: str, index: int, values: list[float]) -> dict[str, Any]:
    """Two tokens of the prompt, then the continuation in `values` tokens."""
    half = len(prompt) // 2
    offsets = [0, half, *(len(prompt) + step for step in range(len(values)))]
    return {
        "index": index,
        "text": prompt + label,
        "logprobs": {
            "tokens": [prompt[:half], prompt[half:], *["x"] * len(values)],
            "token_logprobs": [None, -9.0, *values],
            "text_offset": offsets,
        },
    }


def test_scored_continuations_by_hand() -> None:
    """The tokens after the prompt alone are summed, and choices are told apart by index, not by position."""
    call = asked(TEXT, "choose", endpoint="local")
    sums = {"negative": [-1.0, -0.5], "neutral": [-2.0], "positive": [-0.25, -0.25, -0.5]}
    choices = [echo(TEXT.text, f" {label}", index, values) for index, (label, values) in enumerate(sums.items())]
    answer = answered(call, {"choices": choices[::-1], "usage": USAGE})
    weights = {label: math.exp(sum(values)) for label, values in sums.items()}
    assert answer.text == "positive"
    assert answer.probabilities == pytest.approx({label: w / sum(weights.values()) for label, w in weights.items()})
    assert answer.input_tokens == 120


STARS = {
    "1": [("1", 0.9)],
    "10": [("1", 0.9), ("0", 0.8)],
    "100": [("1", 0.9), ("0", 0.8), ("0", 0.25)],
    "2": [("2", 0.1)],
}
"""Label → its tokens with their probabilities."""


def nested(prompt: str) -> list[dict[str, Any]]:
    choices = []
    for index, tokens in enumerate(STARS.values()):
        one = echo(prompt, "", index, [math.log(share) for _, share in tokens])
        one["logprobs"]["tokens"][2:] = [f" {tokens[0][0]}", *(token for token, _ in tokens[1:])]
        choices.append(one)
    return choices


def test_a_label_with_which_others_begin_has_only_what_is_its_own() -> None:
    """P("1" and no more) = 0.9 − 0.72, P("10" and no more) = 0.72 − 0.18: a sum of logs alone takes "1" for "10"."""
    prompt = Prompt(text=TEXT.text, continuations={label: f" {label}" for label in STARS})
    [call] = asking("choose", endpoint="local").calls(prompt, [*STARS])
    answer = answered(call, {"choices": nested(TEXT.text)})
    assert answer.text == "10"
    assert answer.probabilities is not None
    assert list(answer.probabilities) == list(STARS)
    own = {"1": 0.18, "10": 0.54, "100": 0.18, "2": 0.1}
    assert answer.probabilities == pytest.approx({label: share / sum(own.values()) for label, share in own.items()})
    same = {"words": prompt.continuations}
    found = predict_script.scores(same, call.body, {"choices": nested(TEXT.text)})
    assert {label: math.exp(score) for label, score in found.items()} == pytest.approx(own)


def test_labels_spelled_alike_by_other_tokens_are_scored_apart() -> None:
    """ " cards" may be a token of its own: nothing of it is in the probability of " card"."""
    labels = {"card": " card", "cards": " cards"}
    [call] = asking("choose", endpoint="local").calls(Prompt(text=TEXT.text, continuations=labels), [*labels])
    choices = [echo(TEXT.text, text, n, [math.log(0.4 + n / 10)]) for n, text in enumerate(labels.values())]
    for one, text in zip(choices, labels.values(), strict=True):
        one["logprobs"]["tokens"][2:] = [text]
    assert answered(call, {"choices": choices}).probabilities == pytest.approx({"card": 4 / 9, "cards": 5 / 9})


@pytest.mark.parametrize("endpoint", ["local", "e"])
def test_the_order_of_a_formatters_continuations_does_not_matter(endpoint: str) -> None:
    """A formatter of one's own may say them in any order: scores belong to labels by the order that was asked in."""
    turned = Prompt(text=TEXT.text, continuations=dict(reversed(SPACED.items())))
    call = asked(turned, "choose", endpoint=endpoint)
    assert call.body == asked(Prompt(text=TEXT.text, continuations=SPACED), "choose", endpoint=endpoint).body
    if endpoint == "local":
        scores = (-3.0, -2.0, -0.5)
        said = {"choices": [echo(TEXT.text, SPACED[name], n, [scores[n]]) for n, name in enumerate(LABELS)]}
    else:
        top = {" negative": -3.0, " neutral": -2.0, " positive": -0.5}
        said = {"choices": [{"text": " positive", "logprobs": {"top_logprobs": [top]}}]}
    answer = answered(call, said)
    assert answer.text == "positive"
    assert answer.probabilities is not None
    assert list(answer.probabilities) == list(LABELS)
    assert answer.probabilities["positive"] > answer.probabilities["neutral"] > answer.probabilities["negative"]


def test_calibration_by_hand() -> None:
    """Zhao et al. 2021 with b = 0 and W = diag(p_cf)^-1: p / p_cf, normalised."""
    prompt = Prompt(messages=CHAT.messages, continuations=CHAT.continuations, content_free=CHAT)
    item, free = asking("choose", calibrate=True).calls(prompt, LABELS)
    p = {"negative": 0.5, "neutral": 0.1, "positive": 0.4}
    q = {"negative": 0.7, "neutral": 0.1, "positive": 0.2}
    said = chat_body("x", logprobs=chat_logprobs(list(p.items())))
    bias = chat_body("x", logprobs=chat_logprobs(list(q.items())))
    answer = answered(item, said, (free, bias))
    ratios = {label: p[label] / q[label] for label in LABELS}
    assert answer.text == "positive"
    assert answer.probabilities == pytest.approx({label: r / sum(ratios.values()) for label, r in ratios.items()})
    # without the second reply the most probable label wins
    assert answered(item, said).text == "negative"
    # a label that the empty prompt does not show is taken for as improbable as the least of those shown
    partial = chat_body("x", logprobs=chat_logprobs([("negative", 0.7), ("neutral", 0.1)]))
    shown = answered(item, said, (free, partial)).probabilities
    assert shown is not None
    assert shown["positive"] / shown["neutral"] == pytest.approx((0.4 / 0.1) / (0.1 / 0.1))


def test_calibration_without_any_label_in_the_empty_prompt_changes_nothing() -> None:
    prompt = Prompt(messages=CHAT.messages, continuations=CHAT.continuations, content_free=CHAT)
    item, free = asking("choose", calibrate=True).calls(prompt, LABELS)
    said = chat_body("x", logprobs=chat_logprobs([("negative", 0.6), ("positive", 0.3)]))
    none = chat_body("x", logprobs=chat_logprobs([("Sure", 0.9)]))
    assert answered(item, said, (free, none)).probabilities == answered(item, said).probabilities


@pytest.mark.parametrize(
    "usage",
    [None, 3, [], {"prompt_tokens": "9"}, {"prompt_tokens": True}, {"prompt_tokens": -4}, {"prompt_tokens_details": 3}],
)
def test_odd_usage_is_no_usage(usage: Any) -> None:
    answer = answered(asked(CHAT), {**chat_body("positive"), "usage": usage})
    assert answer == Answer(text="positive")
