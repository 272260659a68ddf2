"""Text to tokens and back, with exact character offsets and without special tokens out of data.

Text of a request is data: a string such as ``<|im_end|>`` in it is spelled out, never read as a control token. Only
the chat template's own text and token arrays carry control tokens.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
        tokenizer: A `transformers` tokenizer with a fast backend. From now on it neither cuts nor pads by itself, as
            one does that was saved after a call with such settings.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._template = tokenizer.backend_tokenizer
        self._template.no_truncation()
        self._template.no_padding()
        self._plain = copy.deepcopy(self._template)
        self._plain.encode_special_tokens = True
        self._going_on = _unprefixed(self._plain)
        control = {i: t.content for i, t in self._template.get_added_tokens_decoder().items() if t.special}
        self._silent = frozenset(control)
        special = sorted({*control.values(), *map(str, tokenizer.all_special_tokens)}, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        self._bytes = frozenset(
            i for t in map("<0x{:02X}>".format, range(256)) if (i := self._template.token_to_id(t)) is not None
        )

    @property
    def serialized(self) -> str:
        """The tokenizer as the `tokenizers` library writes it, in JSON."""
        text: str = self._template.to_str()
        return text

    @property
    def has_chat_template(self) -> bool:
        """Whether the model says how a conversation is written."""
        return bool(self._tokenizer.chat_template)

    def encode(self, text: str, *, start: bool = True) -> Encoded:
        """Tokens of a text, which goes on from another one where it is no `start`.

        A start gets the model's own start token, where it has one, and the space that some tokenizers put first.
        """
        if not text:
            return Encoded((), ())
        encoding = (self._plain if start else self._going_on).encode(text, add_special_tokens=start)
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

    def stream(self, *, special: bool = False) -> TextStream:
        """Decodes tokens that come one by one, to the text that `decode` makes of all of them."""
        return TextStream(partial(self.decode, special=special), frozenset() if special else self._silent, self._bytes)

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
            text, control = part, ""
            if part in marks:
                text = messages[marks.index(part)]["content"]
            elif found := self._special.search(part):
                text, control = part[: found.start()], part[found.start() :]
            starts = not ids or ids[-1] in self._silent  # text after a control token is one of its own
            ids += (self._plain if starts else self._going_on).encode(text, add_special_tokens=False).ids
            ids += self._template.encode(control, add_special_tokens=False).ids
        return tuple(ids)

    def turn(self, text: str) -> tuple[int, ...]:
        """Tokens of an assistant's answer as it stands in a conversation.

        Tokenizers that put a space before every text put one here: so do the templates of their models, before the
        answer and not at the end of what asks for it.
        """
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as the model's chat template writes it, with the assistant's turn opened."""
        text: str = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        return text


def _unprefixed(tokenizer: Any) -> Any:
    """A tokenizer for text that goes on: the same, or where that puts a space before every text, one that does not."""
    from tokenizers.normalizers import Prepend, Sequence

    def puts_space(step: Any) -> bool:
        scheme = getattr(step, "prepend_scheme", "never")
        return isinstance(step, Prepend) or scheme != "never" or getattr(step, "add_prefix_space", False)

    if not any(map(puts_space, [*_steps(tokenizer.normalizer), *_steps(tokenizer.pre_tokenizer)])):
        return tokenizer
    bare = copy.deepcopy(tokenizer)
    bare.encode_special_tokens = tokenizer.encode_special_tokens  # no part of a copy
    if bare.normalizer is not None:
        bare.normalizer = Sequence([step for step in _steps(bare.normalizer) if not puts_space(step)])
    for step in filter(puts_space, _steps(bare.pre_tokenizer)):
        if hasattr(step, "prepend_scheme"):
            step.prepend_scheme = "never"
        else:
            step.add_prefix_space = False
    return bare


def _steps(part: Any) -> list[Any]:
    """The single steps of a normalizer or a pre-tokenizer, each in its order."""
    if part is None:
        return []
    return [step for inner in part for step in _steps(inner)] if hasattr(part, "__getitem__") else [part]


class TextStream:
    """Text of tokens that come one by one; the cost of a token does not grow with the text.

    Only those tokens are decoded whose text is not settled, behind the last ones whose text is: how a token is spelled
    can depend on what stands before it. Two things are not settled. A character may be spelled by several tokens, and
    half of it decodes to U+FFFD. And of tokens that stand for single bytes, a row counts as text only if all of it is
    UTF-8; so it is held until it ends, or is longer than any text is spelled in that way.

    Args:
        decode: Token ids to text.
        silent: Tokens that are left out of the text.
        single: Tokens that stand for single bytes.
    """

    _LONGEST = 64

    def __init__(self, decode: Callable[[list[int]], str], silent: frozenset[int], single: frozenset[int]) -> None:
        self._decode, self._silent, self._single = decode, silent, single
        self._context: list[int] = []
        self._open: list[int] = []
        self._given = 0  # characters of the context and the open tokens that were handed out

    def add(self, token: int) -> str:
        """The text that one more token settles; may be empty."""
        if token in self._silent:
            return ""
        self._open.append(token)
        if token in self._single and len(self._open) <= self._LONGEST:
            return ""
        text = self._decode(self._context + self._open)
        # Half a character at the end decodes to one U+FFFD: all before it is settled.
        end = len(text) - text.endswith("\ufffd")
        fresh = text[self._given : end]
        self._given = max(self._given, end)
        if end == len(text):
            self._context, self._open = (self._open if fresh else self._context + self._open), []
            self._given = len(self._decode(self._context))
        elif len(self._open) > self._LONGEST:
            self._shorten(text)
        return fresh

    def rest(self) -> str:
        """What is left at the end, half characters included."""
        return self._decode(self._context + self._open)[self._given :]

    def _shorten(self, text: str) -> None:
        """Lets go of the beginning of a row of broken characters, at a place between two of them."""
        for cut in range(len(self._open) - 1, len(self._open) - 5, -1):  # none has more than four bytes
            before = self._decode(self._context + self._open[:cut])
            if before + self._decode(self._open[cut:]) == text:
                self._context, self._open = [], self._open[cut:]
                self._given -= len(before)
                return


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
