"""Tokens without a network: which vocabulary a model has, how many tokens a text or a training line has in it.

What is counted here is for estimates and warnings; what is billed always comes from an answer's `usage`. Texts are
data: a special-token string such as ``<|endoftext|>`` in a text is counted as the characters that it consists of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import Tokenizer

    Counts = npt.NDArray[np.int64]

PER_MESSAGE = 3
"""Tokens around each message of a chat: the OpenAI cookbook, "How to count tokens with tiktoken"; an estimate."""

PER_REPLY = 3
"""Tokens that open the assistant's reply, once for each conversation (same source)."""

_CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_FIM = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>")
_OPENAI = (*_CHATML, *_FIM[:3], "<|im_sep|>", "<|endofprompt|>")

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "qwen": (*_CHATML, *_FIM, "<|repo_name|>", "<|file_sep|>"),
    "smollm": (*_CHATML, "<repo_name>", "<file_sep>"),
    "llama-4": ("<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>", "<|eom|>"),
    "llama-3": (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        *("<|eom_id|>", "<|python_tag|>", "<|finetune_right_pad_id|>"),
    ),
    "llama-2": ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "mistral": ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    "gemma": ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    "phi": ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"),
    "deepseek": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    "starcoder": ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<|endoftext|>"),
    "harmony": ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>"),
}
"""Control strings of open model families, by a part of their names: the published tokenizer files and templates."""

GENERAL_SPECIAL: tuple[str, ...] = tuple(sorted({*_OPENAI, *(text for texts in FAMILIES.values() for text in texts)}))
"""Strings that some widely used model reads as control tokens."""

_ENCODINGS = (
    (re.compile(r"gpt-oss"), "o200k_harmony"),
    (re.compile(r"gpt-4\.[15]|(?:chat)?gpt-4o|gpt-5|o[134](?:-|$)"), "o200k_base"),
    (re.compile(r"gpt-3\.5|gpt-4(?:-|$)|(?:davinci|babbage)-002$"), "cl100k_base"),
)
_ESTIMATE = "o200k_base"

_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{4})(?=$|-preview)")

_LIMITS: Mapping[str, tuple[int, str]] = {
    "gpt-4.1": (65_536, "Azure's list of models to fine-tune"),
    "gpt-4.1-mini": (65_536, "Azure's list of models to fine-tune"),
    "gpt-4.1-nano": (32_768, "Azure's list of models to fine-tune"),
    "gpt-4o": (65_536, "Azure's list of models to fine-tune"),
    "gpt-4o-mini": (65_536, "Azure's list of models to fine-tune"),
    "gpt-3.5-turbo": (16_385, "Azure's list of models to fine-tune"),
    "gpt-3.5-turbo-0613": (4_096, "OpenAI's guide on fine-tuning"),
    "babbage-002": (16_384, "OpenAI's guide on fine-tuning"),
    "davinci-002": (16_384, "OpenAI's guide on fine-tuning"),
}
_CONTEXTS = (
    (re.compile(r"gpt-4\.1"), 1_047_576),
    (re.compile(r"(?:chat)?gpt-4o|gpt-4-turbo"), 128_000),
    (re.compile(r"gpt-4(?:-\d+)?$"), 8_192),
    (re.compile(r"gpt-3\.5-turbo-instruct|gpt-3\.5-turbo-0613"), 4_096),
    (re.compile(r"gpt-3\.5-turbo(?:-\d+)?$"), 16_385),
    (re.compile(r"(?:davinci|babbage)-002$"), 16_384),
)
"""Tokens of prompt and answer together: OpenAI's pages of its models."""
_LOCAL_LIMITS: Mapping[str, tuple[int, str]] = {"smollm2-135m-instruct": (8_192, "the model's own configuration")}


class Codec(Protocol):
    """What a vocabulary needs of a tokenizer; special-token strings are plain text to it."""

    def count(self, texts: Sequence[str]) -> Counts:
        """Returns the tokens of each text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of a text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """How a model divides texts into tokens."""

    name: str
    """`cl100k_base`, `o200k_base`, `o200k_harmony`, or the name of a model whose tokenizer file was read."""
    exact: bool
    """Whether this is the model's own; else counts are estimates in another one's."""
    special: tuple[str, ...]
    """Strings that the model's tokenizer knows as control tokens, sorted."""
    spells_special: bool = False
    """Whether the service spells such strings out where they stand in a text: they then do no harm."""
    codec: Codec = field(repr=False, compare=False)

    @classmethod
    def from_tokenizer_json(cls, path: Path, *, name: str = "", spells_special: bool = False) -> Vocabulary:
        """Reads a `tokenizer.json` of the tokenizers library (comes with the extra `local`).

        Args:
            path: The file.
            name: What the vocabulary is called; by default the name of the file's folder.
            spells_special: Whether the service spells special-token strings of texts out.

        Raises:
            UsageError: The library is not installed.
            DataError: There is no such file, or it is no tokenizer.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise UsageError(
                f"{path}: reading a tokenizer needs the library tokenizers, which is not installed",
                "install finetune-harness[local]",
            ) from None
        try:
            tokenizer = Tokenizer.from_buffer(path.read_bytes())
        except Exception as error:  # the library raises nothing more precise
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
            raise DataError(
                f"{path}: expected a tokenizer in the JSON form of the tokenizers library: {reason}",
                "name the file tokenizer.json of the model's folder",
            ) from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        return cls(
            name=name or path.resolve().parent.name,
            exact=True,
            special=tuple(sorted(special)),
            spells_special=spells_special,
            codec=_FromFile(tokenizer),
        )

    def count(self, texts: Sequence[str]) -> Counts:
        """Returns the tokens of each text, in order, as an array of int64."""
        import numpy as np

        if not len(texts):
            return np.zeros(0, dtype=np.int64)
        try:
            return self.codec.count(texts)
        except UnicodeEncodeError:
            return self.codec.count([_encodable(text) for text in texts])

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of a text."""
        return self.codec.encode(_encodable(text))


@dataclass(frozen=True, slots=True)
class _Published:
    """An OpenAI vocabulary out of toktok, which holds them compiled in and caches what it has loaded."""

    encoding: str

    def count(self, texts: Sequence[str]) -> Counts:
        import numpy as np
        import toktok

        threads = 1 if len(texts) < 1_000 else 0  # 0: every core; below, starting threads costs more than counting
        return np.asarray(toktok.batch_count(texts, self.encoding, threads), dtype=np.int64)

    def encode(self, text: str) -> list[int]:
        import toktok

        ids: list[int] = toktok._encoding(self.encoding).encode_ordinary(text)
        return ids


@dataclass(frozen=True, slots=True)
class _FromFile:
    """A tokenizer that was read from a file."""

    tokenizer: Tokenizer

    def count(self, texts: Sequence[str]) -> Counts:
        import numpy as np

        size = 4_096  # the library keeps an object with the ids of each text of a batch
        counts = (
            len(encoding)
            for start in range(0, len(texts), size)
            for encoding in self.tokenizer.encode_batch_fast(
                [_encodable(text) for text in texts[start : start + size]], add_special_tokens=False
            )
        )
        return np.fromiter(counts, dtype=np.int64, count=len(texts))

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLimit:
    """How long a training example may be."""

    tokens: int
    source: str
    """Who says so."""
    cut: Literal["end", "start"] = "end"
    """What is left out of a longer one: the end, with the label, or the start of the text."""


def base_model(model: str) -> str:
    """Returns the lower-case name of the model that `model` was trained from, without provider and snapshot date.

    `ft:gpt-4.1-mini-2025-04-14:acme:tag:id` (OpenAI), `gpt-4.1-mini-2025-04-14.ft-id-tag` and `gpt-35-turbo` (Azure)
    and `openai/gpt-4o` (routers) are understood.
    """
    return undated(_snapshot(model))


def undated(model: str) -> str:
    """Returns a model's name without the date of its snapshot: gpt-4.1-mini-2025-04-14 and gpt-3.5-turbo-0125."""
    return _SNAPSHOT.sub("", model)


def _snapshot(model: str) -> str:
    """Returns the lower-case name of the base model with its date."""
    name = model.strip().lower()
    if name.startswith("ft:"):
        name = name.split(":")[1]
    name = re.sub(r"\.ft-[0-9a-z].*$", "", name.removeprefix("openai/"))
    return re.sub(r"^gpt-35\b", "gpt-3.5", name)


def vocabulary_of(model: str, endpoint_local: bool = False, tokenizer: Path | None = None) -> Vocabulary:
    """Returns the vocabulary of a model.

    OpenAI's models by the mapping of the tiktoken library, save that a fine-tuned model has its base model's: the
    library takes `ft:gpt-4.1-…` for cl100k_base. Every other model is counted in o200k_base, as an estimate.

    Args:
        model: The model's id, fine-tuned ones included.
        endpoint_local: Whether the local endpoint serves it.
        tokenizer: `tokenizer.json` of a local model; without it, or without the library that reads it, an estimate.

    Raises:
        DataError: `tokenizer` is no tokenizer.
    """
    base = base_model(model)
    if endpoint_local:
        if tokenizer is not None and find_spec("tokenizers") is not None:
            return Vocabulary.from_tokenizer_json(tokenizer, name=base, spells_special=True)
        return replace(_estimate(base), spells_special=True)
    for pattern, encoding in _ENCODINGS:
        if pattern.match(base):
            special = {*_OPENAI, *(FAMILIES["harmony"] if encoding == "o200k_harmony" else ())}
            return Vocabulary(name=encoding, exact=True, special=tuple(sorted(special)), codec=_Published(encoding))
    return _estimate(base)


def _estimate(base: str) -> Vocabulary:
    name = re.sub(r"llama-?(?=\d)", "llama-", base)
    special = {text for family, texts in FAMILIES.items() if family in name for text in texts}
    return Vocabulary(name=_ESTIMATE, exact=False, special=tuple(sorted(special)), codec=_Published(_ESTIMATE))


def training_limit(model: str, endpoint_local: bool = False) -> TrainingLimit | None:
    """Returns how many tokens of a training example are used, or `None` where that is not known.

    Args:
        model: The base model's id.
        endpoint_local: Whether the local endpoint trains it; that one keeps an example's end.
    """
    table = _LOCAL_LIMITS if endpoint_local else _LIMITS
    known = table.get(_snapshot(model)) or table.get(base_model(model))
    if known is None:
        return None
    tokens, source = known
    return TrainingLimit(tokens=tokens, source=source, cut="start" if endpoint_local else "end")


def context_limit(model: str, endpoint_local: bool = False) -> int | None:
    """Returns how many tokens prompt and answer may have together, or `None` where that is not known.

    Args:
        model: The model's id; a fine-tuned one has its base model's context.
        endpoint_local: Whether the local endpoint serves it.
    """
    base = base_model(model)
    if endpoint_local:
        return _LOCAL_LIMITS[base][0] if base in _LOCAL_LIMITS else None
    named = (limit for name in (_snapshot(model), base) for pattern, limit in _CONTEXTS if pattern.match(name))
    return next(named, None)


def line_tokens(lines: Iterable[Mapping[str, Any]], vocabulary: Vocabulary) -> Counts:
    """Returns the tokens of each line of a training file, as an array of int64.

    `{"prompt", "completion"}`: the sum of both, tokenised apart. `{"messages"}`: all texts of the messages, role and
    name included, with `PER_MESSAGE` and `PER_REPLY` added: an estimate, for no provider says what it adds.

    Raises:
        DataError: A line has neither form.
    """
    import numpy as np

    texts: list[str] = []
    added: list[int] = []
    ends = [0]
    for row, line in enumerate(lines):
        beside, said = _texts(line, row)
        added.append(beside)
        texts += said
        ends.append(len(texts))
    # Instructions, roles and labels repeat in every line: each distinct text is counted once.
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    counts = vocabulary.count(list(places))
    parts = counts[np.fromiter(map(places.__getitem__, texts), dtype=np.int64, count=len(texts))]
    before = np.concatenate(([0], np.cumsum(parts)))
    return np.diff(before[ends]) + np.asarray(added, dtype=np.int64)


def _texts(line: Mapping[str, Any], row: int) -> tuple[int, list[str]]:
    """Returns the tokens that a line has beside its texts, and the texts."""
    prompt, completion = line.get("prompt"), line.get("completion")
    if isinstance(prompt, str) and isinstance(completion, str):
        return 0, [prompt, completion]
    messages = line.get("messages")
    if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
        beside = PER_REPLY
        values: list[Any] = []
        for message in messages:
            beside += PER_MESSAGE + ("name" in message)
            values += message.values()
        plain = set(map(type, values)) <= {str}
        return beside, values if plain else [text for value in values for text in _said(value)]
    raise DataError(
        f"training line {row + 1}: expected messages (a list of objects), or prompt and completion (texts)",
        f"it has the keys {', '.join(sorted(line)) or '(none)'}: check the formatter's training_line",
    )


def _said(value: object) -> Iterator[str]:
    """Yields the texts of a message's value: its own, or those of its parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def _encodable(text: str) -> str:
    """Returns the text with lone surrogates, which have no UTF-8 form, as U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
