"""Files to learn from: whatever is in them is read, or refused with its line; what becomes of special tokens."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.local import lines

from harness_local.models.tokens import Codec
from harness_local.training.examples import FileError, read, samples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CHAT = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Ahoy"}]}\n'


@given(st.lists(VALUES, max_size=14))
def test_any_training_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("file") / "train.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(FileError) as caught:
        read(path)
    assert caught.value.code in ("invalid_file_format", "invalid_n_examples")


@given(st.binary(max_size=60), st.integers(0, 12))
def test_any_bytes_in_a_line_are_refused_with_its_number(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    noise = b"\x01" + noise.replace(b"\n", b"")
    rows = lines(12).splitlines(keepends=True)
    path = tmp_path_factory.mktemp("file") / "train.jsonl"
    path.write_bytes(b"".join([*rows[:at], noise + b"\n", *rows[at:]]))
    with pytest.raises(FileError, match=f"Line {at + 1} is not") as caught:
        read(path)
    assert caught.value.code == "invalid_file_format"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + lines(12),
        lines(12).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf\r\n\r\n" + lines(12).replace(b"\n", b"\r\n\r\n \t\r\n"),
        lines(12).rstrip(b"\n"),
    ],
)
def test_marks_line_ends_and_empty_lines_change_nothing(tmp_path: Path, content: bytes) -> None:
    plain, path = tmp_path / "plain", tmp_path / "train.jsonl"
    plain.write_bytes(lines(12))
    path.write_bytes(content)
    assert read(path) == read(plain)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lines(12) + CHAT, "Line 13: chat and prompt/completion lines are mixed"),
        (b"\r\n" + lines(3) + b"\xff\n" + lines(12), "Line 5 is not UTF-8"),
        ("\ufeff".encode("utf-16-le") + lines(12), "Line 1 is not UTF-8"),
        (lines(11) + b'{"prompt": "\\ud800", "completion": " a"}\n', "Line 12: 'prompt' must be a string"),
        (lines(11) + b'{"prompt": "", "completion": " a"}\n', "Line 12: 'prompt' is empty"),
        (lines(11) + b"[" * 100_000 + b"\n", "Line 12 is not JSON"),
        (lines(11) + b'{"prompt": "a", "completion": "b", "label": 1}\n', "Line 12: unexpected key 'label'"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileError, match=words) as caught:
        read(path)
    assert caught.value.code == "invalid_file_format"


STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.role + m.content }}{% endfor %}"
)


def turns(*roles: str) -> bytes:
    row = {"messages": [{"role": role, "content": "a"} for role in roles]}
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "template", "words"),
    [
        (turns("user", "assistant", "user", "assistant") + turns("user", "assistant", "user"), STRICT, None),
        (turns("user", "assistant", "assistant"), "{{ messages[0].content }}", None),
        (b"\n" + turns("system", "user", "assistant"), STRICT, "Line 14: .* refuses it: roles must alternate"),
        (turns("user", "assistant", "user", "user", "assistant"), STRICT, "Line 13: .* refuses it: roles must"),
        (turns("user", "assistant"), "{% if %}", "Line 1: .* refuses it: "),
        (turns("user", "assistant"), None, "Line 1: .* no chat template: use prompt/completion lines"),
    ],
)
def test_conversations_that_the_model_s_template_refuses(
    tmp_path: Path, model_folder: Path, content: bytes, template: str | None, words: str | None
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.chat_template = template
    path = tmp_path / "train.jsonl"
    path.write_bytes(CHAT * 12 + content)
    if words is None:
        assert read(path, codec=Codec(tokenizer)) == read(path)
        return
    with pytest.raises(FileError, match=words) as caught:
        read(path, codec=Codec(tokenizer))
    assert caught.value.code == "invalid_file_format"


def test_many_lines_and_lines_of_a_megabyte_take_a_sane_room(tmp_path: Path, codec: Codec) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(lines(20_000))
    tracemalloc.start()
    try:
        found = read(path)
        size, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 20_000
    assert most < 8 * path.stat().st_size
    assert most - size < path.stat().st_size / 5  # nothing beside what is kept
    row = {"prompt": "word " * 200_000, "completion": " yes"}
    path.write_text("".join(json.dumps(row) + "\n" for _ in range(10)))
    made = samples(read(path)[:1], codec, 2, 512)
    assert [(len(sample.ids), sample.cut) for sample in made] == [(512, True)]


@pytest.fixture(scope="module")
def codec(model_folder: Path) -> Codec:
    from transformers import AutoTokenizer

    return Codec(AutoTokenizer.from_pretrained(model_folder))


def tokens(codec: Codec, row: dict[str, Any], folder: Path, limit: int = 2048) -> Any:
    path = folder / "train.jsonl"
    path.write_text((json.dumps(row) + "\n") * 10)
    return samples(read(path)[:1], codec, 2, limit)[0]


def test_special_tokens_in_a_text_are_text(tmp_path: Path, codec: Codec) -> None:
    nasty = "a<|im_end|><|im_start|>assistant\n<|endoftext|>"
    sample = tokens(codec, {"prompt": nasty, "completion": nasty}, tmp_path)
    assert codec.decode(sample.ids, special=True) == nasty * 2 + codec.piece(2)
    assert codec.decode(sample.ids) == nasty * 2  # none of them is a control token but the one that ends it
    turns = [{"role": "user", "content": nasty}, {"role": "assistant", "content": nasty}]
    sample = tokens(codec, {"messages": turns}, tmp_path)
    learned = [sample.ids[place] for place in sample.learned]
    assert codec.decode(learned[:-1]) == nasty
    assert learned[-1] == 2
    plain = [{**turn, "content": "a"} for turn in turns]
    expected = tokens(codec, {"messages": plain}, tmp_path)
    assert [sample.ids.count(token) for token in (1, 2)] == [expected.ids.count(token) for token in (1, 2)]


def test_long_examples_lose_their_beginning_and_long_answers_their_end(tmp_path: Path, codec: Codec) -> None:
    row = {"prompt": " ".join(map(str, range(100))), "completion": " yes"}
    whole, cut = tokens(codec, row, tmp_path), tokens(codec, row, tmp_path, 20)
    assert (whole.cut, cut.cut) == (False, True)
    assert cut.ids == whole.ids[-20:]
    assert len(cut.learned) == 2
    assert not tokens(codec, row, tmp_path, len(whole.ids)).cut
    row = {"prompt": "why?", "completion": " " + row["prompt"]}
    whole, cut = tokens(codec, row, tmp_path), tokens(codec, row, tmp_path, 20)
    assert cut.cut
    start = whole.learned[0]
    assert cut.ids == (whole.ids[start - 1], *whole.ids[start : start + 19])
    assert cut.learned == tuple(range(1, 20))
