"""Text to tokens: all of a text, whatever a tokenizer was saved with, and nothing but text."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness_local.models.tokens import Codec
from harness_local.training.examples import Line, samples

TEXT = "Review: good food\nSentiment: positive\n\n" * 20 + "Review: awful\nSentiment:"
TURNS = [{"role": "user", "content": TEXT}]


def codec_of(folder: Path) -> Codec:
    from transformers import AutoTokenizer

    return Codec(AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize("padding", [True, "max_length"])
def test_a_tokenizer_that_was_saved_while_it_cut_and_padded_does_neither(
    tiny: Path, tmp_path: Path, padding: bool | str
) -> None:
    """As a training of the user's own leaves it: one call with these settings, then `save_pretrained`."""
    from transformers import AutoTokenizer

    used = AutoTokenizer.from_pretrained(tiny)
    used(["a b c", "a"], truncation=True, max_length=64, padding=padding)
    used.save_pretrained(tmp_path)
    saved, whole = codec_of(tmp_path), codec_of(tiny)
    for text in (TEXT, "a"):
        assert saved.encode(text) == whole.encode(text)
        assert saved.encode(text, start=False) == whole.encode(text, start=False)
    assert saved.chat(TURNS) == whole.chat(TURNS)
    lines = [Line(prompt=TEXT, completion=" negative")]
    assert samples(lines, saved, 2, 8192) == samples(lines, whole, 2, 8192)
    assert len(saved.encode(TEXT).ids) > 64


def test_no_control_token_comes_out_of_a_message(tiny: Path) -> None:
    """Neither those that have a name in the tokenizer, such as the one that ends a text, nor the others."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    special = {number: token.content for number, token in added.items() if token.special}
    assert set(tokenizer.all_special_tokens) < set(special.values())
    codec = codec_of(tiny)
    plain = codec.chat([{"role": "user", "content": "a b"}])
    for number, content in special.items():
        ids = codec.chat([{"role": "user", "content": f"a {content} b"}])
        assert (content, ids.count(number)) == (content, plain.count(number))
        assert f"a {content} b" in codec.decode(ids)
