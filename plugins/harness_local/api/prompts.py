"""The prompts of a completion request as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness_local.api.errors import ApiError, invalid
from harness_local.models.tokens import Codec, boundary


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a prompt: its tokens, and its text with where each token ends in it."""

    ids: tuple[int, ...] = ()
    text: str = ""
    ends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts that begin alike, split where they part."""

    stem: Piece
    tails: tuple[Piece, ...] = (Piece(),)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return len(self.stem.ids) + max(len(tail.ids) for tail in self.tails)


def grouped(
    prompt: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]],
    codec: Codec,
    *,
    vocabulary: int,
    context: int,
    together: bool,
) -> tuple[Group, ...]:
    """Splits prompts into what they share and their tails.

    Args:
        prompt: As the request has it.
        codec: The model's tokenizer.
        vocabulary: Number of its tokens.
        context: Most tokens that can be computed.
        together: Whether what they share is to be computed once: where tails are short and scored.

    Raises:
        ApiError: 400, a prompt is empty or holds a token that does not exist.
    """
    if isinstance(prompt, str):
        return (Group(_text(prompt, codec)),)
    texts = [p for p in prompt if isinstance(p, str)]
    if together and len(texts) > 1 and (split := boundary(texts)):
        stem = _text(texts[0][:split], codec)
        return (Group(stem, tuple(_text(text[split:], codec, start=False) for text in texts)),)
    if texts:
        return tuple(Group(_text(text, codec)) for text in texts)
    numbers = [p for p in prompt if isinstance(p, int)]
    arrays = [numbers] if numbers else [p for p in prompt if not isinstance(p, int | str)]
    return tuple(Group(_tokens(ids, codec, vocabulary, context)) for ids in arrays)


def _text(text: str, codec: Codec, *, start: bool = True) -> Piece:
    encoded = codec.encode(text, start=start)
    if start and not encoded.ids:
        raise invalid("prompt", "'prompt' must not be empty.")
    return Piece(encoded.ids, text, encoded.ends)


def _tokens(ids: Sequence[int], codec: Codec, vocabulary: int, context: int) -> Piece:
    check_context(len(ids), 0, context, "prompt")  # before each of a million is spelled
    if max(ids) >= vocabulary:
        raise invalid("prompt", f"A token array must hold integers from 0 to {vocabulary - 1}.")
    stream, ends, text = codec.stream(special=True), [], ""
    for piece in map(stream.add, ids):  # apart, half a character is none, and a space may be lost
        text += piece
        ends.append(len(text))
    text += stream.rest()
    return Piece(tuple(ids), text, (*ends[:-1], len(text)))


def check_context(prompt: int, answer: int, limit: int, field: str) -> None:
    """Refuses what does not fit into the model's context.

    Args:
        prompt: Tokens of the prompt.
        answer: Tokens that the answer may have.
        limit: Tokens of the context.
        field: The request's field that holds the prompt.

    Raises:
        ApiError: 400 with ``context_length_exceeded``.
    """
    if prompt + answer > limit:
        raise ApiError(
            400,
            f"This model's maximum context length is {limit} tokens; the request has {prompt} in the prompt "
            f"and 'max_tokens' asks for {answer} more.",
            code="context_length_exceeded",
            param=field if prompt > limit else "max_tokens",
        )
