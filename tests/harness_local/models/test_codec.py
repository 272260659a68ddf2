"""Text to tokens: all of a text, whatever a tokenizer was saved with, and nothing but text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness_local.api.prompts import grouped
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


def prefixing(how: str) -> Any:
    """A tokenizer that puts a space before every text: as Llama 2 has it, as it is converted now, or over bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    space = "Ġ" if how == "bytes" else "▁"
    whole = [f"{space}{word}" for word in ("positive", "negative", "[/INST]")] + ["positive", "negative"]
    merges = list(dict.fromkeys((word[:end], word[end]) for word in whole for end in range(1, len(word))))
    spelled = [*pre_tokenizers.ByteLevel.alphabet(), "▁", *(a + b for a, b in merges)]
    pieces = ["<unk>", "<s>", "</s>", *dict.fromkeys(spelled)]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    if how == "bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=True)])
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    if how == "metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    if how == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    asked, told = "'<s>[INST] ' + m['content'] + ' [/INST]'", "' ' + m['content'] + '</s>'"
    template = f"{{% for m in messages %}}{{{{{asked} if m['role'] == 'user' else {told}}}}}{{% endfor %}}"
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, **named)


@pytest.mark.parametrize("how", ["prepend", "metaspace", "bytes"])
@pytest.mark.parametrize("prompt", ["Review: a\nSentiment:", "Review: a\nSentiment:\n\n"])
def test_text_that_goes_on_begins_with_no_space_of_the_tokenizer_s_own(how: str, prompt: str) -> None:
    codec = Codec(prefixing(how))
    space = "" if prompt.endswith("\n") else " "
    labels = [f"{space}positive", f"{space}negative"]
    texts = [prompt + label for label in labels]
    (group,) = grouped(texts, codec, vocabulary=10**6, context=10**6, together=True)
    trained = samples([Line(prompt=prompt, completion=label) for label in labels], codec, 2, 100)
    for text, tail, sample in zip(texts, group.tails, trained, strict=True):
        whole = codec.encode(text).ids
        assert (*group.stem.ids, *tail.ids) == whole
        assert sample.ids == (*whole, 2)
        assert len(tail.ids) == len(tail.ends) == 1


@pytest.mark.parametrize("how", ["prepend", "metaspace", "bytes"])
def test_a_control_token_s_name_in_a_message_moves_no_space_around_it(how: str) -> None:
    codec = Codec(prefixing(how))
    plain, odd = (codec.chat([{"role": "user", "content": content}] * 2) for content in ("a", "</s>"))
    assert codec.decode(odd) == codec.decode(plain).replace("a", "</s>")
    assert odd[:8] == plain[:8]
    assert odd[-1:] == plain[-1:]
    assert odd.count(2) == 0


@pytest.mark.parametrize("how", ["prepend", "metaspace", "bytes"])
def test_an_answer_is_learned_as_the_template_writes_it(how: str) -> None:
    tokenizer = prefixing(how)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "positive"}]
    (sample,) = samples([Line(messages=tuple(turns), weights=(True, True))], Codec(tokenizer), 2, 100)
    assert list(sample.ids) == tokenizer.apply_chat_template(turns, return_dict=False)
    assert len(sample.learned) == 2


@pytest.mark.parametrize("how", ["prepend", "metaspace", "bytes", "tiny"])
def test_a_prompt_of_tokens_is_spelled_as_a_whole(how: str, tiny: Path) -> None:
    codec = codec_of(tiny) if how == "tiny" else Codec(prefixing(how))
    text = "positive negative" if how != "tiny" else "Größe: naïve 🙂 café — 안녕"
    for ids in (codec.encode(text).ids, codec.chat([{"role": "user", "content": "negative"}])):
        (group,) = grouped([ids], codec, vocabulary=10**6, context=10**6, together=True)
        assert group.stem.text == codec.decode(ids, special=True)
        assert (len(group.stem.ends), group.stem.ends[-1]) == (len(ids), len(group.stem.text))
        assert list(group.stem.ends) == sorted(group.stem.ends)
    assert codec.decode(codec.encode(text).ids).strip() == text
