"""Text to tokens and back, with exact character offsets and without special tokens out of data.

Text of a request is data: a string such as ``<|im_end|>`` in it is spelled out, never read as a control token. Only
the chat template's own text and token arrays carry control tokens.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of a text.

    Attributes:
        ids: Token ids.
        ends: For each token, the offset in characters of the text at which it ends; the next begins there. A
            character that several tokens spell belongs to the first of them.
    """

    ids: tuple[int, ...]
    ends: tuple[int, ...]


class Codec:
    """A tokenizer as requests and training need it.

    Args:
        tokenizer: A `transformers` tokenizer with a fast backend.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._template = tokenizer.backend_tokenizer
        self._plain = copy.deepcopy(self._template)
        self._plain.encode_special_tokens = True
        special = sorted(map(str, tokenizer.all_special_tokens), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")

    @property
    def has_chat_template(self) -> bool:
        """Whether the model says how a conversation is written."""
        return bool(self._tokenizer.chat_template)

    def encode(self, text: str, *, start: bool = True) -> Encoded:
        """Tokens of a text; `start` adds the model's own start token, where it has one."""
        if not text:
            return Encoded((), ())
        encoding = self._plain.encode(text, add_special_tokens=start)
        ends, last = [], 0
        for _, end in encoding.offsets:
            last = max(last, end)
            ends.append(last)
        if ends:
            ends[-1] = len(text)
        return Encoded(tuple(encoding.ids), tuple(ends))

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """Text of tokens; control tokens are left out unless `special`."""
        text: str = self._template.decode(list(ids), skip_special_tokens=not special)
        return text

    def piece(self, token: int) -> str:
        """How one token is shown in a list of log-probabilities."""
        return self.decode([token], special=True)

    def chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Tokens of a conversation, up to where the assistant's answer begins."""
        text = self.render(messages)
        if not any(self._special.search(message["content"]) for message in messages):
            return tuple(self._template.encode(text, add_special_tokens=False).ids)
        marks = [f"\ue000{index}\ue001" for index in range(len(messages))]
        marked = self.render([{**m, "content": mark} for m, mark in zip(messages, marks, strict=True)])
        ids: list[int] = []
        for part in re.split("(\ue000\\d+\ue001)", marked):
            if part in marks:
                ids += self.encode(messages[marks.index(part)]["content"], start=False).ids
            else:
                ids += self._template.encode(part, add_special_tokens=False).ids
        return tuple(ids)

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as the model's chat template writes it, with the assistant's turn opened."""
        text: str = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        return text


def boundary(prompts: Sequence[str]) -> int:
    """Where prompts that differ only in their ends should be split, as a number of characters.

    That is the end of their longest common prefix, backed up to the start of the word it breaks off in, and to
    before the space in front of that word: ``…Sentiment: positive`` and ``…Sentiment: poor`` part before the space.
    Tokenising both sides apart makes the common part's tokens independent of what follows.

    Args:
        prompts: Two or more texts.
    """
    low, high = min(prompts), max(prompts)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    while length and low[length - 1].isalnum():
        length -= 1
    if length and low[length - 1] == " ":
        length -= 1
    return length
