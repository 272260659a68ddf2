"""Two hundred clients at once, of whom every tenth goes away in the middle of its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psutil
import pytest
from openai import AsyncOpenAI
from support.local import Live, start

CLIENTS, LEAVING = 200, 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny: object) -> Iterator[Live]:
    server = start(tmp_path_factory.mktemp("crowd") / "state", "--model", str(tiny), "--dtype", "float32")
    yield server
    server.kill()


async def stay(client: AsyncOpenAI, number: int) -> str:
    """Asks for an answer, every second time as a stream."""
    prompt = f"{'one two three four five six seven ' * 5}{number % 20}"
    if number % 2:
        answer = await client.completions.create(model="tiny0", prompt=prompt, max_tokens=8, temperature=0)
        return answer.choices[0].text
    parts = await client.completions.create(model="tiny0", prompt=prompt, max_tokens=8, temperature=0, stream=True)
    return "".join([part.choices[0].text async for part in parts])


async def leave(client: AsyncOpenAI, number: int) -> None:
    """Asks for a long answer and goes: while it waits, or after its first words."""
    prompt = f"a long story {number}"
    if number % 20:
        asking = client.completions.create(model="tiny0", prompt=prompt, max_tokens=1500, temperature=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking, 0.05)
        return
    story = await client.completions.create(
        model="tiny0", prompt=prompt, max_tokens=1500, temperature=1, stream=True, logit_bias={"2": -100}
    )
    async for _ in story:
        break
    await story.close()


async def crowd(url: str) -> list[str]:
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=60) as client:
        coming = [leave(client, n) if n % LEAVING == 0 else stay(client, n) for n in range(CLIENTS)]
        answers = await asyncio.gather(*coming)
    return [answer for answer in answers if answer is not None]


@pytest.mark.thorough
def test_who_stays_is_answered_and_nothing_is_left_of_who_goes(server: Live) -> None:
    process = psutil.Process(server.process.pid)
    with server.client() as client:
        model = client.models.list().data[0].id
        assert model == "tiny0"
        alone = {n: asyncio.run(_one(server.url, n)) for n in range(20) if n % LEAVING}
        for _ in range(2):  # what a crowd needs for the first time stays
            asyncio.run(crowd(server.url))
        before = process.memory_info().rss
        for _ in range(2):
            staying = [n for n in range(CLIENTS) if n % LEAVING]
            for number, answer in zip(staying, asyncio.run(crowd(server.url)), strict=True):
                assert answer == alone[number % 20]
        began = time.monotonic()
        client.completions.create(model=model, prompt="Hello", max_tokens=1)
        assert time.monotonic() - began < 2, "the stories of those who went are still being told"
    assert process.memory_info().rss <= 1.1 * before


async def _one(url: str, number: int) -> str:
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=60) as client:
        return await stay(client, number)
