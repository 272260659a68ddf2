"""Decoding token by token gives the text of decoding at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_local.models.tokens import Codec, TextStream

TEXTS = ["naïve 🙂 café", "👩‍👩‍👧", "漢字かな", "\ufffd", "a  b\n\n", "<|im_end|>"]


@pytest.fixture(scope="module")
def codec(model_folder: Path) -> Codec:
    from transformers import AutoTokenizer

    return Codec(AutoTokenizer.from_pretrained(model_folder))


@pytest.fixture(scope="module")
def fallback() -> Any:
    """A tokenizer as Llama 2 has it: spaces as ▁, and single bytes for what it has no token for."""
    from tokenizers import Tokenizer, decoders, models

    vocabulary = {"<unk>": 0, **{f"<0x{byte:02X}>": byte + 1 for byte in range(256)}}
    for piece in ("▁", "▁a", "a", "b", "▁▁", "é", "\ufffd", "\n"):
        vocabulary[piece] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def streamed(stream: TextStream, ids: list[int]) -> str:
    return "".join([*map(stream.add, ids), stream.rest()])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_of_any_tokens(codec: Codec, data: st.DataObject) -> None:
    spelled = [codec.encode(text, start=False).ids for text in TEXTS]
    broken = st.sampled_from([ids[:1] for ids in spelled] + [ids[1:] for ids in spelled])
    parts = st.one_of(st.sampled_from(spelled), broken, st.integers(0, 49_151).map(lambda i: (i,)))
    ids = [token for part in data.draw(st.lists(parts, max_size=12)) for token in part]
    assert streamed(codec.stream(), ids) == codec.decode(ids)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_of_tokens_for_single_bytes(fallback: Any, data: st.DataObject) -> None:
    emoji = [byte + 1 for byte in "🙂".encode()]
    parts = st.one_of(
        st.integers(0, fallback.get_vocab_size() - 1).map(lambda i: [i]),
        st.just(emoji),
        st.just([emoji[0], 0, *emoji[1:]]),
    )
    ids = [token for part in data.draw(st.lists(parts, max_size=16)) for token in part]

    def decode(ids: list[int]) -> str:  # leaves the first token out, as control tokens are
        text: str = fallback.decode([token for token in ids if token])
        return text

    stream = TextStream(decode, frozenset({0}), frozenset(range(1, 257)))
    assert streamed(stream, ids) == decode(ids)


@pytest.mark.parametrize("broken", [False, True])
def test_a_token_costs_the_same_at_the_end_of_a_long_text(codec: Codec, broken: bool) -> None:
    sizes: list[int] = []

    def counting(ids: list[int]) -> str:
        sizes.append(len(ids))
        return codec.decode(ids)

    (half, *_) = codec.encode("🙂", start=False).ids
    ids = [half] * 1500 if broken else list(codec.encode("one two, three. " * 300, start=False).ids)
    stream = TextStream(counting, frozenset(), frozenset())
    text = "".join(map(stream.add, ids))
    assert max(sizes) < 100
    assert text + stream.rest() == codec.decode(ids)
    assert len(text) > len(codec.decode(ids)) - 100


def test_half_a_character_is_held_back(codec: Codec) -> None:
    ids = codec.encode("🙂", start=False).ids
    assert len(ids) > 1
    stream = codec.stream()
    assert [stream.add(token) for token in ids] == [""] * (len(ids) - 1) + ["🙂"]
