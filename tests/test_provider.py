"""The fake provider speaks as the real `openai` client expects, and errs exactly as often as it is told to."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.provider import Provider, Settings
from support.provider.jobs import check_training_file
from support.provider.model import Oracle, tokens

LABELS = ("negative", "neutral", "positive")
ANSWERS = {f"Item {i} is a thing": LABELS[i % 3] for i in range(300)}
CHAT_LINE = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start(answers=ANSWERS, seed=3) as running:
        yield running


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with openai.OpenAI(base_url=provider.base_url, api_key="test", max_retries=0) as opened:
        yield opened


def ask(client: Any, text: str, model: str = "base-model", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def upload(client: Any, lines: list[dict[str, Any]]) -> str:
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return str(client.files.create(file=("train.jsonl", content), purpose="fine-tune").id)


def train(client: Any, file_id: str, **more: Any) -> tuple[Any, list[str]]:
    job = client.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file=file_id, **more)
    seen = [job.status]
    while job.status not in {"succeeded", "failed", "cancelled"}:
        job = client.fine_tuning.jobs.retrieve(job.id)
        seen.append(job.status)
    return job, seen


def test_base_model_is_right_as_often_as_set(client: Any) -> None:
    right = sum(ask(client, text).choices[0].message.content == label for text, label in ANSWERS.items())
    assert abs(right / len(ANSWERS) - 0.6) < 4 * math.sqrt(0.6 * 0.4 / len(ANSWERS))


def test_answers_depend_on_nothing_but_seed_and_prompt(client: Any) -> None:
    first = [ask(client, text).choices[0].message.content for text in list(ANSWERS)[:20]]
    with (
        Provider.start(answers=ANSWERS, seed=3) as other,
        openai.OpenAI(base_url=other.base_url, api_key="x") as again,
    ):
        backwards = [ask(again, text).choices[0].message.content for text in reversed(list(ANSWERS)[:20])]
    assert first == backwards[::-1]


def test_async_client_over_aiohttp_and_counts(provider: Provider) -> None:
    provider.set(together=8)

    async def run() -> list[Any]:
        http = openai.DefaultAioHttpClient()
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0, http_client=http) as c:
            prompts = [f"Text: {text}\nLabel:" for text in list(ANSWERS)[:8]]
            return await asyncio.gather(
                *(c.completions.create(model="babbage-002", prompt=p, max_tokens=3) for p in prompts)
            )

    replies = asyncio.run(run())
    assert all(reply.choices[0].text.startswith(" ") for reply in replies)
    assert provider.counts() == {"POST /v1/completions": 8}
    assert provider.peak_in_flight() == 8
    assert len(provider.requests("/v1/completions")) == 8
    assert provider.requests()[0].headers["authorization"] == "Bearer k"


def test_usage_details(provider: Provider, client: Any) -> None:
    provider.set(cached_share=0.5, reasoning_tokens=7)
    usage = ask(client, "Item 0 is a thing").usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 8, 13)
    assert usage.prompt_tokens_details.cached_tokens == 2
    assert usage.completion_tokens_details.reasoning_tokens == 7
    provider.set(usage=False)
    assert ask(client, "Item 0 is a thing").usage is None


def test_generated_label_is_the_most_probable_by_logprobs_and_by_echo(client: Any) -> None:
    for text in list(ANSWERS)[:10]:
        prompt = f"Text: {text}\nLabel:"
        made = client.completions.create(model="babbage-002", prompt=prompt, max_tokens=3, logprobs=5)
        top = made.choices[0].logprobs.top_logprobs[0]
        assert made.choices[0].text == max(top, key=top.__getitem__)
        assert sum(map(math.exp, top.values())) == pytest.approx(1)
        scored = client.completions.create(
            model="babbage-002", prompt=[f"{prompt} {x}" for x in LABELS], max_tokens=0, logprobs=1, echo=True
        )
        for label, choice in zip(LABELS, scored.choices, strict=True):
            logprobs = choice.logprobs
            assert "".join(logprobs.tokens) == choice.text == f"{prompt} {label}"
            assert logprobs.token_logprobs[0] is None
            assert logprobs.text_offset[-1] == len(prompt)
            assert logprobs.token_logprobs[-1] == pytest.approx(top[f" {label}"])
        chat = ask(client, text, logprobs=True, top_logprobs=3).choices[0]
        assert chat.message.content == chat.logprobs.content[0].top_logprobs[0].token


def test_prompt_list_limits_and_schema(client: Any) -> None:
    reply = client.completions.create(model="babbage-002", prompt=["Item 1 is a thing", "Item 2 is a thing"])
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert reply.usage.prompt_tokens == 10
    schema = {"type": "object", "properties": {"label": {"enum": list(LABELS)}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    said = json.loads(ask(client, "Item 1 is a thing", response_format=form).choices[0].message.content)
    assert said["label"] in LABELS


def test_truncation_is_reported(provider: Provider, client: Any) -> None:
    provider.set(answer_template="The answer is {label}.")
    choice = ask(client, "Item 1 is a thing", max_completion_tokens=2).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("The answer", "length")


def test_few_shot_prompts_have_their_own_accuracy(provider: Provider, client: Any) -> None:
    provider.set(accuracy=0.0, few_shot_accuracy=1.0)
    assert ask(client, "Item 3 is a thing").choices[0].message.content != ANSWERS["Item 3 is a thing"]
    prompt = "Item 1 is a thing: neutral\nItem 3 is a thing:"
    assert ask(client, prompt).choices[0].message.content == ANSWERS["Item 3 is a thing"]


def test_training_from_file_to_model(provider: Provider, client: Any) -> None:
    provider.set(tuned_accuracy=1.0)
    lines = [{"prompt": f"{text}\n\n###\n\n", "completion": f" {label}"} for text, label in ANSWERS.items()]
    file_id = upload(client, lines)
    assert client.files.retrieve(file_id).status == "processed"
    assert client.files.content(file_id).text.count("\n") == len(ANSWERS)
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    job, seen = train(client, file_id, method=method, suffix="stars", metadata={"tag": "a"}, seed=5)
    assert seen == ["validating_files", "queued", "running", "succeeded"]
    assert (job.seed, job.hyperparameters.n_epochs, job.metadata) == (5, 2, {"tag": "a"})
    assert not job.error.code if job.error else job.error is None
    assert provider.jobs()[0]["error"] == {}
    assert job.fine_tuned_model in [model.id for model in client.models.list()]
    assert client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model
    for text, label in list(ANSWERS.items())[:20]:
        prompt = f"{text}\n\n###\n\n"
        reply = client.completions.create(model=job.fine_tuned_model, prompt=prompt, max_tokens=3)
        assert reply.choices[0].text == f" {label}"
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=2))
    assert len(events) == len({event.id for event in events}) == 8
    assert [event.data["step"] for event in events if event.type == "metrics"] == [600, 300]
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert checkpoints[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    assert client.files.content(job.result_files[0]).text.startswith("step,train_loss")
    assert [item.id for item in client.fine_tuning.jobs.list(metadata={"tag": "a"})] == [job.id]
    assert list(client.fine_tuning.jobs.list(metadata={"tag": "b"})) == []


def test_job_by_the_clock_and_cancel(provider: Provider, client: Any) -> None:
    provider.set(job_s=3600)
    file_id = upload(client, [CHAT_LINE] * 10)
    job = client.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file=file_id)
    assert [client.fine_tuning.jobs.retrieve(job.id).status for _ in range(5)] == ["validating_files"] * 5
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    provider.set(job_s=0)
    job = client.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file=file_id)
    assert client.fine_tuning.jobs.retrieve(job.id).status == "succeeded"


def test_bad_training_files_fail_the_job(client: Any) -> None:
    job, _ = train(client, upload(client, [CHAT_LINE] * 9))
    assert job.error.code == "invalid_n_examples"
    job, _ = train(client, upload(client, [*[CHAT_LINE] * 10, {"messages": [{"content": "x"}]}]))
    assert "Example 11, message 1 Discriminator 'role' is missing" in job.error.message
    with pytest.raises(openai.BadRequestError, match="JSONL"):
        client.files.create(file=("train.csv", b"a,b"), purpose="fine-tune")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"prompt": "a"}', b'{"prompt": "a", "completion": ""}'])
def test_malformed_lines_are_found(content: bytes) -> None:
    problem = check_training_file(content, 1)
    assert problem is not None
    assert problem[0] == "invalid_training_file"


def test_job_failure_refusal_and_lost_reply(provider: Provider, client: Any) -> None:
    file_id = upload(client, [CHAT_LINE] * 10)
    provider.set(job_error="training_failed")
    job, seen = train(client, file_id)
    assert (job.status, job.error.code, seen[-2]) == ("failed", "training_failed", "running")
    provider.set(job_error=None, lose_job_replies=1)
    with pytest.raises(openai.APIConnectionError):
        client.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file=file_id, metadata={"tag": "lost"})
    assert [job["metadata"] for job in provider.jobs()] == [None, {"tag": "lost"}]
    provider.set(training_refused=True)
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file=file_id)
    assert (caught.value.code, caught.value.type) == ("training_not_available", "invalid_request_error")
    assert len(provider.jobs()) == 2


def test_refusals(provider: Provider, client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, "x", model="no-such-model")
    assert unknown.value.code == "model_not_found"
    provider.set(api_key="right", leak_key=True)
    with pytest.raises(openai.AuthenticationError, match="Bearer test") as denied:
        ask(client, "x")
    assert denied.value.code == "invalid_api_key"
    assert ask(client.with_options(api_key="right"), "x").model == "base-model"
    provider.set(api_key=None, without=["echo", "chat"], ignores=["logprobs"])
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="babbage-002", prompt="x", echo=True)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "echo")
    with pytest.raises(openai.NotFoundError):
        ask(client, "x")
    assert client.completions.create(model="babbage-002", prompt="x", logprobs=3).choices[0].logprobs is None


def test_rate_limit_and_quota(provider: Provider, client: Any) -> None:
    provider.set(rate_429=1.0, retry_after_s=2, retry_after_ms=1500)
    with pytest.raises(openai.RateLimitError) as limited:
        ask(client, "x")
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.response.headers["retry-after-ms"] == "1500"
    assert limited.value.response.headers["Retry-After"] == "2"
    provider.set(rate_429=0.0, quota_after=2)
    for _ in range(2):
        ask(client, "x")
    with pytest.raises(openai.RateLimitError) as spent:
        ask(client, "x")
    assert spent.value.code == "insufficient_quota"
    assert provider.statuses() == {"429": 2, "200": 2}


def test_true_rate_limit_announces_itself(provider: Provider, client: Any) -> None:
    provider.set(requests_per_s=0.001)
    with pytest.raises(openai.RateLimitError) as limited:
        ask(client, "x")
    assert limited.value.response.headers["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"error_500_rate": 1.0}, openai.InternalServerError),
        ({"reset_rate": 1.0}, openai.APIConnectionError),
        ({"hang_rate": 1.0}, openai.APITimeoutError),
        ({"always_500": ["Item 1 is a thing"]}, openai.InternalServerError),
        ({"always_400": ["Item 1 is a thing"]}, openai.BadRequestError),
    ],
)
def test_faults(provider: Provider, client: Any, fault: dict[str, Any], error: type[Exception]) -> None:
    provider.set(**fault)
    with pytest.raises(error):
        ask(client, "Item 1 is a thing", timeout=0.5 if "hang_rate" in fault else 30)
    provider.set(**{name: [] if isinstance(value, list) else 0.0 for name, value in fault.items()})
    assert ask(client, "Item 1 is a thing").choices[0].message.content in LABELS


def test_broken_bodies(provider: Provider, client: Any) -> None:
    provider.set(cut_rate=1.0)
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        ask(client, "x")
    provider.set(cut_rate=0.0, garbage_rate=1.0)
    assert "<html>" in client.chat.completions.with_raw_response.create(model="base-model", messages=[]).text
    provider.set(garbage_rate=0.0, empty_rate=1.0)
    assert ask(client, "x").choices[0].message.content == ""


def test_faults_follow_the_body_and_its_attempt(provider: Provider, client: Any) -> None:
    provider.set(error_500_rate=0.5)

    def outcomes(texts: list[str]) -> dict[str, list[bool]]:
        seen: dict[str, list[bool]] = {text: [] for text in texts}
        for text in texts * 3:
            try:
                ask(client, text)
                seen[text].append(True)
            except openai.InternalServerError:
                seen[text].append(False)
        return seen

    texts = list(ANSWERS)[:12]
    first = outcomes(texts)
    provider.reset()
    assert outcomes(texts[::-1]) == first
    assert {value for values in first.values() for value in values} == {True, False}


def test_first_attempts_fail(provider: Provider, client: Any) -> None:
    provider.set(fail_first=2)
    patient = client.with_options(max_retries=2)
    assert ask(patient, "Item 1 is a thing").choices[0].message.content in LABELS
    assert provider.statuses() == {"500": 2, "200": 1}


def test_an_answer_to_what_was_asked_before_a_reset_takes_none_of_the_quota(provider: Provider, client: Any) -> None:
    provider.set(latency_s=0.5)
    with ThreadPoolExecutor(1) as beside:
        late = beside.submit(ask, client, "Item 1 is a thing")
        while not provider.counts():
            time.sleep(0.005)
        provider.reset()
        provider.set(latency_s=0.0, quota_after=1)
        late.result(timeout=30)
    ask(client, "Item 2 is a thing")
    assert (provider.statuses(), provider.peak_in_flight()) == ({"200": 1}, 1)


def test_unknown_settings_are_refused(provider: Provider) -> None:
    with pytest.raises(TypeError, match="eror_500_rate"):
        provider.set(eror_500_rate=1.0)


def test_it_ends_with_its_block_and_when_asked() -> None:
    with Provider.start() as running:
        process = running.process
        running.crash()
        with pytest.raises(OSError, match=r"refused|reset"):
            running.counts()
    assert process.poll() is not None


def test_latency_is_served_concurrently(provider: Provider) -> None:
    provider.set(latency_s=0.2, together=16)

    async def run() -> float:
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as c:
            began = time.monotonic()
            message: Any = [{"role": "user", "content": "x"}]
            await asyncio.gather(*(c.chat.completions.create(model="base-model", messages=message) for _ in range(16)))
            return time.monotonic() - began

    assert asyncio.run(run()) >= 0.2
    assert provider.peak_in_flight() == 16


WORDS = st.text(alphabet="ab ", min_size=1, max_size=6)


@given(st.sets(WORDS, min_size=1, max_size=8), WORDS, WORDS)
def test_the_item_is_the_key_that_ends_last(keys: set[str], before: str, after: str) -> None:
    oracle = Oracle(Settings(answers=dict.fromkeys(keys, "x")))
    prompt = f"{before}{sorted(keys)[0]}{after}"
    hits = [(start + len(key), len(key), key) for key in keys for start in range(9) if prompt.startswith(key, start)]
    hits += [(s + len(k), len(k), k) for k in keys for s in range(9, len(prompt)) if prompt.startswith(k, s)]
    end, _, text = max(hits)
    found = oracle.find(prompt)
    assert (found.text, found.end) == (text, end)


@given(st.text())
def test_tokens_lose_nothing(text: str) -> None:
    assert "".join(tokens(text)) == text
