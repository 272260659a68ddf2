"""Engines in this process, over the small random model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness_local.inference.engine import Engine
from harness_local.inference.packed import PackedCache, Rows
from harness_local.inference.work import Listener, Outcome, Sampling, Work
from harness_local.models.loading import Loaded, Placement, Source, load
from harness_local.models.tokens import Codec


@dataclass
class Lab:
    """An engine and what it computes with."""

    engine: Engine
    codec: Codec
    model: Any

    def submit(
        self,
        prompt: str,
        *,
        n: int = 1,
        tails: tuple[str, ...] = ("",),
        model: str | None = None,
        scored: bool = False,
        top: int = 0,
        listener: Listener | None = None,
        **sampling: Any,
    ) -> Future[Outcome]:
        branches = tuple(self.codec.encode(tail, start=False).ids for tail in tails for _ in range(n))
        how = Sampling(**{"max_tokens": 8, "temperature": 0.0, **sampling})
        stem = self.codec.encode(prompt).ids
        work = Work(model=model, stem=stem, branches=branches, sampling=how, scored=scored, top=top)
        return self.engine.submit(work, listener)

    def ask(self, prompt: str, **options: Any) -> Outcome:
        return self.submit(prompt, **options).result(60)

    def logprobs(self, ids: list[int]) -> Any:
        """Of plain transformers: for each place, those of the token after it."""
        import torch

        implementation = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        with torch.inference_mode():
            found = self.model(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
        self.model.set_attn_implementation(implementation)
        return found


def nobody(name: str) -> Path:
    raise KeyError(name)


@pytest.fixture(scope="session")
def build(tiny: Path) -> Iterator[Callable[..., Lab]]:
    """Starts engines, each over a model of its own."""
    started: list[tuple[Engine, ThreadPoolExecutor]] = []
    source = Source(id="tiny", location=str(tiny))
    loaded = load(source, Placement(device="cpu", dtype="float32", threads=1))
    codec = Codec(loaded.tokenizer)

    def build(folder: Callable[[str], Path] = nobody, **options: Any) -> Lab:
        model = copy.deepcopy(loaded.model)
        engine = Engine(Loaded(source=source, model=model, tokenizer=loaded.tokenizer), codec, folder, **options)
        pool = ThreadPoolExecutor(1)
        engine.start(pool)
        started.append((engine, pool))
        return Lab(engine, codec, model)

    yield build
    for engine, pool in started:
        engine.stop()
        pool.shutdown()


@pytest.fixture(scope="session")
def lab(build: Callable[..., Lab]) -> Lab:
    """An engine that tests share."""
    return build()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Takes the number of new tokens of each forward pass."""
    taken: list[int] = []
    forward = PackedCache.forward

    def counted(self: PackedCache, rows: Rows) -> Any:
        taken.append(len(rows.ids))
        return forward(self, rows)

    monkeypatch.setattr(PackedCache, "forward", counted)
    return taken
