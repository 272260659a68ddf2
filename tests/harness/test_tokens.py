import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.errors import DataError, UsageError
from harness.tokens import (
    GENERAL_SPECIAL,
    PER_MESSAGE,
    PER_REPLY,
    Vocabulary,
    base_model,
    line_tokens,
    training_limit,
    vocabulary_of,
)

CL100K = vocabulary_of("gpt-3.5-turbo")
O200K = vocabulary_of("gpt-4.1-mini")
any_text = st.text(st.characters(exclude_categories=()))


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory) -> Path:
    """A small tokenizer of the real library: bytes and a few merges, two special tokens, a limit of five tokens."""
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(["good goods, bad food"] * 20, trainer)
    tokenizer.add_tokens(["<tool>"])
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    path = tmp_path_factory.mktemp("small-model") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize(
    ("vocabulary", "text", "ids"),
    [  # published in the OpenAI cookbook and in tiktoken's own tests
        (CL100K, "hello world", [15339, 1917]),
        (CL100K, "tiktoken is great!", [83, 1609, 5963, 374, 2294, 0]),
        (CL100K, "antidisestablishmentarianism", [519, 85342, 34500, 479, 8997, 2191]),
        (CL100K, "2 + 2 = 4", [17, 489, 220, 17, 284, 220, 19]),
        (CL100K, "お誕生日おめでとう", [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699]),
        (O200K, "hello world", [24912, 2375]),
        (O200K, "antidisestablishmentarianism", [493, 129901, 376, 160388, 21203, 2367]),
        (O200K, "", []),
    ],
)
def test_known_tokens(vocabulary, text, ids):
    assert vocabulary.encode(text) == ids
    assert vocabulary.count([text]).tolist() == [len(ids)]


@pytest.mark.parametrize("vocabulary", [CL100K, O200K])
@given(texts=st.lists(any_text, max_size=5), seed=st.randoms())
@example(texts=["\ud800", "a"], seed=None)
@example(texts=["<|endoftext|><|fim_prefix|>"], seed=None)
def test_counting_is_encoding(vocabulary, texts, seed):
    counts = vocabulary.count(texts)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(vocabulary.encode(text)) for text in texts]
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in texts]
    assert all((0 < n <= size) if size else n == 0 for n, size in zip(counts, sizes, strict=True))
    order = list(range(len(texts)))
    if seed is not None:
        seed.shuffle(order)
    assert vocabulary.count([texts[place] for place in order]).tolist() == counts[order].tolist()


@given(st.lists(st.sampled_from([" good", " bad", " food", " the"]), max_size=1500))
def test_words_joined_have_the_tokens_of_the_words(words):
    """Each is a token of its own, and no token reaches over the space of the next; long batches use all cores."""
    assert O200K.count(["".join(words)]).tolist() == [len(words)]
    assert O200K.count(words).tolist() == [1] * len(words)


def test_a_special_token_in_a_text_is_plain_text():
    for vocabulary in (CL100K, O200K, vocabulary_of("gpt-oss-20b")):
        assert "<|endoftext|>" in vocabulary.special
        (count,) = vocabulary.count(["<|endoftext|>"])
        assert count == len(vocabulary.encode("<|endoftext|>")) > 1


def test_nothing_has_no_tokens():
    assert O200K.count([]).tolist() == []


@pytest.mark.parametrize(
    ("model", "name", "exact"),
    [
        ("gpt-4.1", "o200k_base", True),
        ("ft:gpt-4.1-mini-2025-04-14:acme:stars:A1b2", "o200k_base", True),
        ("ft:gpt-4o-mini-2024-07-18:acme::A1b2:ckpt-step-90", "o200k_base", True),
        ("GPT-4o", "o200k_base", True),
        ("chatgpt-4o-latest", "o200k_base", True),
        ("gpt-4.1-mini-2025-04-14.ft-0e208cf33a6a466994aff31a08aba678", "o200k_base", True),
        ("openai/gpt-5-nano", "o200k_base", True),
        ("o1", "o200k_base", True),
        ("o3-mini", "o200k_base", True),
        ("o4-mini-2025-04-16", "o200k_base", True),
        ("gpt-oss-120b", "o200k_harmony", True),
        ("gpt-4", "cl100k_base", True),
        ("gpt-4-0613", "cl100k_base", True),
        ("gpt-4-turbo-2024-04-09", "cl100k_base", True),
        ("gpt-4-1106-preview", "cl100k_base", True),
        ("ft:gpt-3.5-turbo-0125:acme::A1b2", "cl100k_base", True),
        ("gpt-35-turbo", "cl100k_base", True),
        ("davinci-002", "cl100k_base", True),
        ("ft:babbage-002:acme::A1b2", "cl100k_base", True),
        ("davinci", "o200k_base", False),
        ("o100-of-mine", "o200k_base", False),
        ("meta-llama/Llama-3.1-8B-Instruct", "o200k_base", False),
        ("llama3.2:3b", "o200k_base", False),
        ("", "o200k_base", False),
    ],
)
def test_the_vocabulary_of_a_model(model, name, exact):
    vocabulary = vocabulary_of(model)
    assert (vocabulary.name, vocabulary.exact, vocabulary.spells_special) == (name, exact, False)


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("ft:gpt-4.1-nano-2025-04-14:acme:tag:id", "gpt-4.1-nano"),
        ("gpt-35-turbo-0125.ft-0e208-tag", "gpt-3.5-turbo"),
        ("gpt-4-1106-preview", "gpt-4-preview"),
        ("openai/gpt-4o-2024-08-06", "gpt-4o"),
        ("Qwen/Qwen3-8B", "qwen/qwen3-8b"),
        ("ft:SmolLM2-135M-Instruct:harness:stars:1a", "smollm2-135m-instruct"),
        ("ft:", ""),
    ],
)
def test_the_base_of_a_model(model, base):
    assert base_model(model) == base


@given(st.text())
def test_any_name_has_a_vocabulary(model):
    assert vocabulary_of(model).count(["good"]).tolist() == [1]
    assert base_model(base_model(model)) == base_model(model) or ":" in model or model.lower().count("openai/") > 1


@pytest.mark.parametrize(
    ("model", "token"),
    [
        ("gpt-4.1", "<|fim_suffix|>"),
        ("gpt-3.5-turbo", "<|im_start|>"),
        ("gpt-oss-20b", "<|channel|>"),
        ("Qwen/Qwen3-8B", "<|im_end|>"),
        ("llama3.2:3b", "<|eot_id|>"),
        ("meta-llama/Llama-2-7b-chat-hf", "[INST]"),
        ("google/gemma-3-4b-it", "<start_of_turn>"),
    ],
)
def test_special_tokens_by_model(model, token):
    special = vocabulary_of(model).special
    assert token in special
    assert list(special) == sorted(set(special))
    assert token in GENERAL_SPECIAL
    assert token not in vocabulary_of("some-model").special


def test_a_tokenizer_file_is_read(tokenizer_json):
    vocabulary = Vocabulary.from_tokenizer_json(tokenizer_json)
    assert vocabulary.name == tokenizer_json.parent.name
    assert vocabulary.exact
    assert vocabulary.special == ("<|im_end|>", "<|im_start|>")
    texts = ["good", "", "good goods, bad food", "a good word " * 40, "<|im_end|>", "caf\u00e9 \ud800"] * 900
    counts = vocabulary.count(texts)
    assert counts.tolist() == [len(vocabulary.encode(text)) for text in texts]
    assert counts[0] == 1
    assert counts[1] == 0
    assert counts[3] > 40  # the file's own limit does not hold
    assert counts[4] == len("<|im_end|>")


def test_a_local_model_has_its_own_vocabulary_or_an_estimate(tokenizer_json, monkeypatch):
    own = vocabulary_of("SmolLM2-135M-Instruct", True, tokenizer_json)
    assert (own.name, own.exact, own.spells_special) == ("smollm2-135m-instruct", True, True)
    guessed = vocabulary_of("SmolLM2-135M-Instruct", endpoint_local=True)
    assert (guessed.name, guessed.exact, guessed.spells_special) == ("o200k_base", False, True)
    assert "<|im_end|>" in guessed.special
    monkeypatch.setattr("harness.tokens.find_spec", lambda name: None)
    assert not vocabulary_of("SmolLM2-135M-Instruct", True, tokenizer_json).exact


def test_what_is_no_tokenizer_is_said(tmp_path, monkeypatch):
    pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match="No such file") as caught:
        Vocabulary.from_tokenizer_json(path)
    assert str(path) in caught.value.message
    path.write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="expected a tokenizer") as caught:
        Vocabulary.from_tokenizer_json(path)
    assert "\n" not in caught.value.message
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match="not installed"):
        Vocabulary.from_tokenizer_json(path)


@pytest.mark.parametrize(
    ("model", "local", "tokens"),
    [
        ("gpt-4.1-mini-2025-04-14", False, 65_536),
        ("ft:gpt-4o-mini-2024-07-18:acme::id", False, 65_536),
        ("gpt-3.5-turbo-0125", False, 16_385),
        ("gpt-3.5-turbo-0613", False, 4_096),
        ("gpt-35-turbo-1106", False, 16_385),
        ("babbage-002", False, 16_384),
        ("SmolLM2-135M-Instruct", True, 8_192),
        ("SmolLM2-135M-Instruct", False, None),
        ("gpt-4.1", True, None),
        ("some-model", False, None),
    ],
)
def test_the_limit_of_a_model(model, local, tokens):
    limit = training_limit(model, local)
    assert (limit.tokens if limit else None) == tokens
    if limit:
        assert limit.cut == ("start" if local else "end")
        assert limit.source


def test_tokens_of_completion_lines():
    lines = [{"prompt": "hello world", "completion": " good"}, {"prompt": "", "completion": " good"}]
    assert line_tokens(lines, O200K).tolist() == [3, 1]
    assert line_tokens([], O200K).tolist() == []


def test_tokens_of_chat_lines():
    user = {"role": "user", "content": "hello world"}
    assistant = {"role": "assistant", "content": "good", "weight": 1}
    plain = 2 * PER_MESSAGE + PER_REPLY + 2 + 2 + 1
    lines = [
        {"messages": [user, assistant]},
        {"messages": [{**user, "name": "good"}, assistant]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hello world"}, {"type": "x"}]},
                assistant,
            ]
        },
        {"messages": [user, {**assistant, "content": None}]},
        {"messages": []},
    ]
    assert line_tokens(lines, O200K).tolist() == [plain, plain + 2, plain, plain - 1, PER_REPLY]


@given(st.lists(st.tuples(any_text, any_text), max_size=6))
def test_a_line_has_the_tokens_of_its_parts(pairs):
    lines = [{"prompt": prompt, "completion": completion} for prompt, completion in pairs]
    expected = [len(O200K.encode(prompt)) + len(O200K.encode(completion)) for prompt, completion in pairs]
    assert line_tokens(lines, O200K).tolist() == expected


@pytest.mark.parametrize(
    "line", [{}, {"prompt": "a"}, {"messages": "a"}, {"messages": ["a"]}, {"prompt": "a", "completion": 1}]
)
def test_a_line_of_another_form_is_an_error(line):
    with pytest.raises(DataError, match="training line 2: expected messages"):
        line_tokens([{"prompt": "a", "completion": "b"}, line], O200K)
