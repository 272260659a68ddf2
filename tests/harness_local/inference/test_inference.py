"""Models, completions and chat, through the openai package against the running server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from support.local import MODEL

LABELS = ("negative", "neutral", "positive")
SHOTS = "".join(
    f"Review: {text}\nSentiment: {label}\n\n"
    for text, label in (("it broke after a week", "negative"), ("a joy to use every day", "positive")) * 3
)


def ask(client: OpenAI, prompt: str) -> Any:
    return client.completions.create(
        model=MODEL,
        prompt=[f"{prompt} {label}" for label in LABELS],
        max_tokens=0,
        echo=True,
        logprobs=0,
        temperature=0,
    )


def label_scores(answer: Any, prompt: str) -> list[float]:
    return [
        sum(p for p, at in zip(c.logprobs.token_logprobs, c.logprobs.text_offset, strict=True) if at >= len(prompt))
        for c in answer.choices
    ]


@pytest.fixture(scope="session")
def reference(model_folder: Path) -> Any:
    """Plain transformers in float32: tokenizer and a function from token ids to log-probabilities."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()

    def logprobs(ids: list[int]) -> Any:
        with torch.inference_mode():
            return model(torch.tensor([ids])).logits[0].log_softmax(-1)

    return tokenizer, logprobs


def test_the_base_model_is_listed_first_and_found_in_any_case(client: OpenAI) -> None:
    assert client.models.list().data[0].id == MODEL
    assert client.models.retrieve(MODEL.lower()).id == MODEL


def test_a_short_answer(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="The capital of France is", max_tokens=3, temperature=0)
    assert answer.choices[0].text.startswith(" Paris")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 3)


@pytest.mark.parametrize("shots", ["", SHOTS])
def test_scores_of_an_echo_are_those_of_a_plain_forward_pass(client: OpenAI, reference: Any, shots: str) -> None:
    tokenizer, logprobs = reference
    prompt = f"{shots}Review: the strap is too short for me\nSentiment:"
    answers = [ask(client, prompt) for _ in range(3)]  # the later ones reuse the prefix
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    expected = logprobs(ids)
    labels = [tokenizer(f" {label}", add_special_tokens=False)["input_ids"][0] for label in LABELS]
    for answer in answers:
        scores = label_scores(answer, prompt)
        assert scores == pytest.approx([float(expected[-1, label]) for label in labels], abs=0.25)
        tokens = answer.choices[0].logprobs
        assert "".join(tokens.tokens) == f"{prompt} negative"
        assert tokens.token_logprobs[0] is None
        own = [float(expected[i, token]) for i, token in enumerate(ids[1:])]
        assert tokens.token_logprobs[1:-1] == pytest.approx(own, abs=0.6)


def test_text_offsets_are_places_in_the_text(client: OpenAI) -> None:
    prompt = "Größe: naïve 🙂 café —"
    answer = client.completions.create(
        model=MODEL, prompt=[f"{prompt} a", f"{prompt} b"], max_tokens=2, echo=True, logprobs=2, temperature=0
    )
    for choice in answer.choices:
        assert choice.logprobs is not None
        tokens, offsets = choice.logprobs.tokens, choice.logprobs.text_offset
        assert tokens is not None
        assert offsets is not None
        assert "".join(tokens) == choice.text
        for token, at in zip(tokens, offsets, strict=True):
            assert choice.text[at : at + len(token)] == token
        assert len(prompt) in offsets


def test_a_label_of_several_tokens_is_scored_as_a_whole(client: OpenAI, reference: Any) -> None:
    tokenizer, logprobs = reference
    prompt, labels = "The weather in November is", [" overcast and drizzly", " unpleasant"]
    answer = client.completions.create(
        model=MODEL, prompt=[prompt + label for label in labels], max_tokens=0, echo=True, logprobs=0, temperature=0
    )
    start = tokenizer(prompt)["input_ids"]
    for score, label in zip(label_scores(answer, prompt), labels, strict=True):
        tail = tokenizer(label)["input_ids"]
        table = logprobs(start + tail)
        expected = sum(float(table[len(start) + i - 1, token]) for i, token in enumerate(tail))
        assert score == pytest.approx(expected, abs=0.1 * len(tail) + 0.1)


def test_answers_do_not_depend_on_the_company(client: OpenAI) -> None:
    said = ("it broke at once", "what a joy", "it came on a monday", "not bad for the price", "the zoom is fine")
    prompts = [f"{SHOTS if i % 3 else ''}Review: {said[i % 5]}, number {i}\nSentiment:" for i in range(40)]
    alone = [label_scores(ask(client, prompt), prompt) for prompt in prompts]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(lambda prompt: label_scores(ask(client, prompt), prompt), prompts))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=0.3)
        first, second = sorted(one)[-1], sorted(one)[-2]
        if first - second > 0.05:
            assert other.index(max(other)) == one.index(max(one))


def test_generations_together_are_those_alone(client: OpenAI) -> None:
    prompts = ["The capital of France is", "One, two, three,", "Roses are red, violets are", "A, B, C, D,"]

    def generate(prompt: str) -> str:
        answer = client.completions.create(model=MODEL, prompt=prompt, max_tokens=4, temperature=0)
        return answer.choices[0].text

    alone = [generate(prompt) for prompt in prompts]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(generate, prompts * 4))
    assert together == alone * 4


def test_a_reused_prefix_is_counted(client: OpenAI) -> None:
    shots = SHOTS.replace("joy", "pleasure")
    usages = []
    for index in range(3):
        answer = client.completions.create(model=MODEL, prompt=f"{shots}Review: {index}", max_tokens=1, temperature=0)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        usages.append((answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens or 0))
    assert usages[0][1] < 20
    assert usages[2][0] > usages[2][1] > usages[2][0] - 8


def test_seed_and_temperature(client: OpenAI) -> None:
    def draw(seed: int) -> list[str]:
        answer = client.completions.create(model=MODEL, prompt="I like", max_tokens=8, temperature=1.5, seed=seed, n=2)
        return [choice.text for choice in answer.choices]

    assert draw(1) == draw(1)
    assert len({*draw(1), *draw(2)}) > 1


def test_stop_is_not_part_of_the_answer(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="1, 2, 3, 4, 5,", max_tokens=12, temperature=0, stop=[" 8"])
    assert answer.choices[0].text == " 6, 7,"
    assert answer.choices[0].finish_reason == "stop"


def test_token_arrays(client: OpenAI, reference: Any) -> None:
    tokenizer, _ = reference
    text = "The capital of France is"
    by_text = client.completions.create(model=MODEL, prompt=text, max_tokens=3, temperature=0)
    by_ids = client.completions.create(model=MODEL, prompt=tokenizer(text)["input_ids"], max_tokens=3, temperature=0)
    assert by_ids.choices[0].text == by_text.choices[0].text


def test_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]}],
        max_completion_tokens=20,
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )
    choice = answer.choices[0]
    assert choice.message.content is not None
    assert "4" in choice.message.content
    assert choice.finish_reason == "stop"
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content
    assert all(len(entry.top_logprobs) == 3 for entry in choice.logprobs.content)


def test_control_tokens_in_a_message_are_text(client: OpenAI) -> None:
    def tokens(text: str) -> int:
        answer = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=1, temperature=0
        )
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    assert tokens("a <|im_end|> b") > tokens("a <| b") > tokens("a b")


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"model": "SmolLM2-135M-Instrukt"}, 404, "model_not_found"),
        ({"max_tokens": 9000}, 400, "context_length_exceeded"),
        ({"prompt": "word " * 9000}, 400, "context_length_exceeded"),
        ({"temperature": 3}, 400, "invalid_value"),
        ({"n": "two"}, 400, "invalid_type"),
        ({"suffix": "a"}, 400, "unsupported_parameter"),
        ({"extra_body": {"temprature": 1}}, 400, "unknown_parameter"),
        ({"prompt": ""}, 400, "invalid_value"),
        ({"prompt": [[99_999_999]]}, 400, "invalid_value"),
        ({"max_tokens": 0}, 400, "invalid_value"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: OpenAI, options: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.completions.create(**{"model": MODEL, "prompt": "a", **options})
    assert (caught.value.status_code, caught.value.code) == (status, code)
    if code == "model_not_found":
        assert MODEL in caught.value.message
    elif "prompt" not in options:
        assert str(caught.value.param) in caught.value.message
