"""Models of many kinds answer through the engine as they do alone under plain `transformers`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.models import make

from harness_local.inference.engine import Engine
from harness_local.inference.work import Sampling, Work
from harness_local.models.fitness import check
from harness_local.models.loading import Loaded, Placement, Source, load
from harness_local.models.tokens import Codec

KINDS = (
    "gemma", "gemma3, sliding", "gpt2", "gpt_neox", "llama", "mistral", "mistral, sliding", "phi3", "qwen2", "qwen3",
)  # fmt: skip
SHARED = "A beginning that three prompts have in common, long enough to be computed once and to be kept for all. "
PROMPTS = (SHARED + "One", SHARED + "Two more", SHARED + "Three", "Short", "Something else entirely, and longer")
TOKENS = 5

pytestmark = pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning")


def plainly(model: Any, ids: list[int], end: int) -> tuple[list[int], list[float]]:
    """Greedy continuation of a prompt up to the end of an answer, and the log-probabilities of its own tokens."""
    import torch

    grown = list(ids)
    with torch.inference_mode():
        for _ in range(TOKENS):
            logits = model(torch.tensor([grown]), use_cache=False).logits[0]
            grown.append(int(logits[-1].argmax()))
    logprobs = logits.log_softmax(-1)
    answer = grown[len(ids) :]
    return answer[: answer.index(end)] if end in answer else answer, [
        float(logprobs[place, token]) for place, token in enumerate(ids[1:])
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_model_alone(kind: str, tiny: Path, tmp_path: Path) -> None:
    folder = make(kind, tmp_path / "model", tiny)
    here = Placement(device="cpu", dtype="float32", threads=1)
    loaded = load(Source(id="small", location=str(folder)), here)
    loaded.model.generation_config.eos_token_id = None
    check(loaded)
    codec = Codec(loaded.tokenizer)
    stems = [codec.encode(prompt).ids for prompt in PROMPTS]
    assert all(len(stem) + TOKENS <= loaded.context for stem in stems)
    expected = [plainly(loaded.model, list(stem), loaded.tokenizer.eos_token_id) for stem in stems]
    with ThreadPoolExecutor(1) as pool:
        engine = Engine(loaded, codec, Path)
        engine.start(pool)
        try:
            for _ in range(2):  # the second time, what they share is known
                _compare(engine, stems, expected)
        finally:
            engine.stop()


def _compare(engine: Engine, stems: list[tuple[int, ...]], expected: list[tuple[list[int], list[float]]]) -> None:
    how = Sampling(max_tokens=TOKENS, temperature=0.0)
    futures = [engine.submit(Work(model=None, stem=s, branches=((),), sampling=how, scored=True)) for s in stems]
    for future, (tokens, logprobs) in zip(futures, expected, strict=True):
        outcome = future.result(60)
        assert [token.id for token in outcome.continuations[0].generated] == tokens
        assert [token.logprob for token in outcome.stem[1:]] == pytest.approx(logprobs, abs=1e-3)


def test_a_window_is_the_context(tiny: Path, tmp_path: Path) -> None:
    folder = make("mistral, sliding", tmp_path / "model", tiny)
    loaded: Loaded = load(Source(id="small", location=str(folder)), Placement(device="cpu", dtype="float32", threads=1))
    assert loaded.context == 48
