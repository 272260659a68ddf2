"""Every resource method of the `openai` package, strictly validated, and every answer against OpenAI's own document."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from openai.types import Completion
from support import published
from support.local import Live, lines

CHAT: Any = [{"role": "user", "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": " something."}]}]


class Witness:
    """Holds every good JSON answer to OpenAI's document."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check(self, response: Any) -> None:
        request = response.request
        path = request.url.path.removeprefix("/v1")
        if response.status_code != 200 or not published.DOCUMENT.exists():
            return
        if response.headers["content-type"] == "application/json":
            self.judge(request.method, path, response.json())
        elif response.headers["content-type"].startswith("text/event-stream"):
            kind = "text/event-stream" if "chat" in path else "application/json"
            for event in response.text.strip().split("\n\n")[:-1]:
                self.judge(request.method, path, json.loads(event.removeprefix("data: ")), kind=kind)

    def judge(self, method: str, path: str, body: Any, *, kind: str = "application/json") -> None:
        self.seen.append(f"{method} {path}")
        assert published.faults(method, path, body, kind=kind) == []


@contextmanager
def strict(live: Live, witness: Witness, *, lenient: bool = False) -> Iterator[OpenAI]:
    def watch(response: Any) -> None:
        response.read()
        witness.check(response)

    http = DefaultHttpxClient(event_hooks={"response": [watch]})
    with OpenAI(
        base_url=live.url, api_key="none", max_retries=0, http_client=http, _strict_response_validation=not lenient
    ) as client:
        yield client


@asynccontextmanager
async def strict_async(live: Live, witness: Witness) -> AsyncIterator[AsyncOpenAI]:
    async def watch(response: Any) -> None:
        await response.aread()
        witness.check(response)

    http = DefaultAsyncHttpxClient(event_hooks={"response": [watch]})
    async with AsyncOpenAI(
        base_url=live.url, api_key="none", max_retries=0, http_client=http, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def client(small: Live, witness: Witness) -> Iterator[OpenAI]:
    with strict(small, witness) as client:
        yield client


def upload(client: OpenAI, count: int = 12) -> str:
    return client.files.create(file=("train.jsonl", lines(count)), purpose="fine-tune").id


@pytest.fixture(scope="session")
def job(small: Live) -> Any:
    """A finished training with a validation file."""
    with strict(small, Witness()) as client:
        created = client.fine_tuning.jobs.create(
            model=client.models.list().data[0].id,
            training_file=upload(client),
            validation_file=upload(client),
            suffix="api",
            metadata={"run": "a"},
            method={
                "type": "supervised",
                "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 6, "learning_rate_multiplier": "auto"}},
            },
        )
        assert created.status == "queued"
        end = time.monotonic() + 90
        while (found := client.fine_tuning.jobs.retrieve(created.id)).status in ("queued", "running"):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert found.status == "succeeded", found
        return found


def base(client: OpenAI) -> str:
    return client.models.list().data[0].id


def test_models(client: OpenAI, job: Any) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed[1:] == [job.fine_tuned_model]
    for name in listed:
        assert client.models.retrieve(name).id == name
    assert client.models.with_raw_response.list().parse().data[0].id == listed[0]
    with client.models.with_streaming_response.retrieve(listed[0]) as response:
        assert response.parse().id == listed[0]


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "a b"},
        {"prompt": ["a b", "c"], "n": 2, "stop": ["x", "y"], "seed": 3},
        {"prompt": [[5, 6], [7]], "logprobs": 5, "top_p": 0.5},
        {"prompt": [5, 6, 7], "logprobs": 0, "logit_bias": {"5": -100}, "user": "u"},
        {"prompt": "a b", "echo": True, "max_tokens": 0},
    ],
)
def test_completions(client: OpenAI, options: dict[str, Any]) -> None:
    answer = client.completions.create(**{"model": base(client), "max_tokens": 2, **options})
    prompts = 2 if isinstance(options["prompt"][0], list) or "c" in options["prompt"] else 1
    assert [choice.index for choice in answer.choices] == list(range(prompts * options.get("n", 1)))
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_scores_of_an_echo(small: Live, witness: Witness) -> None:
    with strict(small, witness, lenient=True) as client:  # the first token has none, which the package's type forgets
        answer = client.completions.create(
            model=base(client), prompt=["a b", "a c"], echo=True, logprobs=2, max_tokens=1
        )
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.token_logprobs is not None
        assert choice.logprobs.token_logprobs[0] is None
        assert all(isinstance(score, float) for score in choice.logprobs.token_logprobs[1:])
        assert "".join(choice.logprobs.tokens or ()) == choice.text


def test_as_many_prompts_as_a_task_with_many_labels_has(client: OpenAI) -> None:
    prompts = [f"a {'b' * (number % 7)} {number % 10}" for number in range(300)]
    answer = client.completions.create(model=base(client), prompt=prompts, echo=True, max_tokens=0)
    assert [choice.text for choice in answer.choices] == prompts


@pytest.mark.parametrize(
    "options",
    [
        {"max_completion_tokens": 3},
        {"max_tokens": 3, "n": 3, "logprobs": True, "top_logprobs": 20, "metadata": {"a": "b"}},
        {"max_tokens": 3, "logprobs": True, "store": False, "tools": [], "service_tier": "auto"},
        {"max_tokens": 3, "response_format": {"type": "text"}, "modalities": ["text"], "reasoning_effort": "none"},
    ],
)
def test_chat(client: OpenAI, options: dict[str, Any]) -> None:
    options = {"model": base(client), "messages": CHAT, **options}
    answer = client.chat.completions.create(**options)
    assert len(answer.choices) == options.get("n", 1)
    assert answer.choices[0].message.role == "assistant"
    raw = client.chat.completions.with_raw_response.create(**options)
    assert raw.parse().object == "chat.completion"
    with client.chat.completions.with_streaming_response.create(**options) as response:
        assert response.parse().usage == answer.usage or answer.usage


def test_an_answer_fits_a_schema(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["good", "bad"]}},
        "required": ["label"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "label", "schema": schema, "strict": True}}
    options: Any = {"model": base(client), "messages": CHAT, "max_tokens": 30, "response_format": form}
    whole = client.chat.completions.create(**options, n=2, logprobs=True, top_logprobs=1)
    grown = client.chat.completions.create(**options, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in grown)
    for answer in (text, *(choice.message.content or "" for choice in whole.choices)):
        assert json.loads(answer)["label"] in ("good", "bad")
    form["json_schema"]["schema"] = {"type": "nothing"}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**options)
    assert caught.value.param == "response_format"


def test_an_answer_can_be_sent_back(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=base(client), messages=CHAT, max_tokens=3)
    again: Any = [*CHAT, json.loads(answer.choices[0].message.model_dump_json()), *CHAT]
    assert client.chat.completions.create(model=base(client), messages=again, max_tokens=3).choices


def test_chat_streams(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=base(client), messages=CHAT, max_tokens=5, n=2, logprobs=True, top_logprobs=2, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    *parts, last = chunks
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in parts)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 10
    for index in range(2):
        own = [chunk.choices[0] for chunk in parts if chunk.choices[0].index == index]
        assert own[0].delta.role == "assistant"
        assert [choice.finish_reason for choice in own] == [None] * (len(own) - 1) + ["length"]
        entries = [entry for choice in own if choice.logprobs for entry in choice.logprobs.content or ()]
        assert len(entries) == 5
        assert "".join(e.token for e in entries) == "".join(choice.delta.content or "" for choice in own)


def test_completion_streams(small: Live, witness: Witness) -> None:
    with strict(small, witness, lenient=True) as client:  # no reason to end yet is null, which the type forgets
        chunks = list(
            client.completions.create(model=base(client), prompt=["a b", "c"], max_tokens=4, n=2, stream=True)
        )
    for chunk in chunks:
        body = chunk.to_dict()
        (choice,) = body["choices"]  # type: ignore[misc]
        Completion.model_validate({**body, "choices": [{**choice, "finish_reason": choice["finish_reason"] or "stop"}]})
        assert "usage" not in body
    assert sorted(c.choices[0].index for c in chunks if c.choices[0].finish_reason) == [0, 1, 2, 3]


def test_files(client: OpenAI) -> None:
    content = lines(3)
    first = client.files.create(file=("a.jsonl", content), purpose="fine-tune")
    second = client.files.with_raw_response.create(file=("b.jsonl", content), purpose="fine-tune").parse()
    assert client.files.content(first.id).content == content
    with client.files.with_streaming_response.content(first.id) as response:
        assert response.read() == content
    page = client.files.list(limit=1, order="desc", purpose="fine-tune")
    assert [file.id for file in page.data] == [second.id]
    assert page.has_next_page()
    assert first.id in [file.id for file in page]
    assert client.files.list(after=first.id, order="asc").data[0].id == second.id
    assert client.files.retrieve(first.id).filename == "a.jsonl"
    assert client.files.list(purpose="batch").data == []
    for file in (first, second):
        assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.delete(first.id)


def test_jobs(client: OpenAI, job: Any) -> None:
    jobs = client.fine_tuning.jobs
    assert jobs.with_raw_response.retrieve(job.id).parse() == job
    assert [found.id for found in jobs.list(metadata={"run": "a"}, limit=1)] == [job.id]
    assert job.id not in [found.id for found in jobs.list(extra_query={"metadata": "null"})]
    page = jobs.list_events(job.id, limit=2)
    assert len(page.data) == 2
    assert page.has_next_page()
    events = list(page)
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    assert jobs.list_events(job.id, after=events[0].id).data[0].id == events[1].id
    assert [c.step_number for c in jobs.checkpoints.list(job.id, limit=1)] == [4, 2]
    assert client.files.content(job.result_files[0]).text.startswith("step,")


def test_a_job_is_cancelled(client: OpenAI) -> None:
    created = client.fine_tuning.jobs.create(
        model=base(client), training_file=upload(client, 400), hyperparameters={"n_epochs": 50, "batch_size": 1}
    )
    assert client.fine_tuning.jobs.cancel(created.id).status == "cancelled"
    assert created.metadata is None
    assert created.id in [found.id for found in client.fine_tuning.jobs.list(extra_query={"metadata": "null"})]


REFUSED: list[tuple[Callable[[OpenAI, str], Any], str, str | None]] = [
    (lambda c, m: c.chat.completions.create(model=m, messages=CHAT, tools=[{}]), "unsupported_parameter", "tools"),  # type: ignore[typeddict-item]
    (lambda c, m: c.chat.completions.create(model=m, messages=CHAT, store=True), "unsupported_parameter", "store"),
    (
        lambda c, m: c.chat.completions.create(model=m, messages=CHAT, stream_options={}),
        "invalid_value",
        "stream_options",
    ),
    (lambda c, m: c.completions.create(model=m, prompt="a", suffix="b"), "unsupported_parameter", "suffix"),
    (lambda c, m: c.completions.create(model=m, prompt="a", best_of=2), "unsupported_parameter", "best_of"),
    (lambda c, m: c.completions.create(model=m, prompt="a", logit_bias={"99999999": 1}), "invalid_value", "logit_bias"),
    (lambda c, m: c.files.create(file=b"{}", purpose="batch"), "unsupported_parameter", "purpose"),
    (
        lambda c, m: c.files.create(
            file=b"{}", purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
        ),
        "unsupported_parameter",
        "expires_after",
    ),
    (lambda c, m: c.files.list(limit=0), "invalid_value", "limit"),
    (lambda c, m: c.files.list(extra_query={"ordr": "asc"}), "unknown_parameter", "ordr"),
    (lambda c, m: c.fine_tuning.jobs.list(extra_query={"metdata": "null"}), "unknown_parameter", "metdata"),
    (
        lambda c, m: c.fine_tuning.jobs.create(model=m, training_file="f", method={"type": "reinforcement"}),
        "unsupported_parameter",
        "method.type",
    ),
]


@pytest.mark.parametrize(("call", "code", "param"), REFUSED)
def test_what_cannot_be_done_is_refused_by_its_name(
    client: OpenAI, call: Callable[[OpenAI, str], Any], code: str, param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        call(client, base(client))
    assert (caught.value.code, caught.value.param) == (code, param)


def test_pause_and_resume_are_refused(client: OpenAI, job: Any) -> None:
    for call in (client.fine_tuning.jobs.pause, client.fine_tuning.jobs.resume):
        with pytest.raises(openai.BadRequestError, match="not supported") as caught:
            call(job.id)
        assert caught.value.code == "unsupported_operation"
        with pytest.raises(openai.NotFoundError):
            call("ftjob-none")


def test_the_asynchronous_client(small: Live, witness: Witness, job: Any) -> None:
    async def everything() -> None:
        async with strict_async(small, witness) as client:
            model = (await client.models.list()).data[0].id
            await client.models.retrieve(model)
            await client.completions.create(model=model, prompt="a", max_tokens=1)
            answer = await client.chat.completions.with_raw_response.create(model=model, messages=CHAT, max_tokens=1)
            assert answer.parse().choices
            stream = await client.chat.completions.create(model=model, messages=CHAT, max_tokens=2, stream=True)
            assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "length"
            file = await client.files.create(file=("a.jsonl", lines(10)), purpose="fine-tune")
            assert file.id in [found.id async for found in client.files.list()]
            await client.files.retrieve(file.id)
            assert (await client.files.content(file.id)).content == lines(10)
            assert (await client.files.delete(file.id)).deleted
            jobs = client.fine_tuning.jobs
            assert job.id in [found.id async for found in jobs.list()]
            assert [event async for event in jobs.list_events(job.id)]
            assert [checkpoint async for checkpoint in jobs.checkpoints.list(job.id)]
            async with jobs.with_streaming_response.retrieve(job.id) as response:
                assert (await response.parse()).id == job.id
            with pytest.raises(openai.BadRequestError):
                await jobs.cancel(job.id)

    asyncio.run(everything())


def test_a_fine_tuned_model_answers_until_it_is_deleted(small: Live, client: OpenAI, job: Any) -> None:
    (checkpoint, *_) = client.fine_tuning.jobs.checkpoints.list(job.id).data
    name = checkpoint.fine_tuned_model_checkpoint
    assert client.completions.create(model=name, prompt="a", max_tokens=1).model == name
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete(base(client))


@pytest.mark.skipif(not published.DOCUMENT.exists(), reason="OpenAI's document is not here")
def test_the_witness_sees_what_is_wrong(small: Live, witness: Witness) -> None:
    with strict(small, witness) as client:
        base(client)
    assert witness.seen == ["GET /models"]
    with pytest.raises(AssertionError, match="created"):
        witness.judge("GET", "/models", {"object": "list", "data": [{"id": "a", "object": "model", "owned_by": "b"}]})
