"""Bodies of completion requests as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness_local.api.wire import ApiError, Fields, encodable, invalid
from harness_local.inference.work import Sampling
from harness_local.models.tokens import Codec, boundary

MOST_PROMPTS = 128
_MOST_N = 128
_SILENT = ("user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key")
_COMPLETION_ONLY_OPENAI = ("logit_bias", "stream_options", "suffix", "best_of")
_CHAT_ONLY_OPENAI = (
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "modalities",
    "moderation",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_retention",
    "reasoning_effort",
    "stream_options",
    "tool_choice",
    "tools",
    "verbosity",
    "web_search_options",
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a prompt: its tokens, and its text with where each token ends in it (None for token arrays)."""

    ids: tuple[int, ...]
    text: str
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts that begin alike, split where they part."""

    stem: Piece
    tails: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """A body of ``/v1/completions``."""

    model: str
    groups: tuple[Group, ...]
    sampling: Sampling
    n: int
    logprobs: int | None
    echo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A body of ``/v1/chat/completions``."""

    model: str
    messages: tuple[dict[str, str], ...]
    sampling: Sampling
    n: int
    logprobs: bool
    top: int


def completion(body: dict[str, Any], codec: Codec, vocabulary: int) -> CompletionRequest:
    """Reads a completion request.

    Raises:
        ApiError: 400, naming the field.
    """
    fields = Fields(body)
    model = fields.text("model")
    prompt = fields.raw("prompt")
    echo = fields.flag("echo")
    logprobs = fields.integer("logprobs", None, high=5)
    n = fields.integer("n", 1, low=1, high=_MOST_N)
    sampling = _sampling(fields, fields.integer("max_tokens", 16))
    fields.neutral("best_of", 1, n)
    fields.neutral("suffix", "")
    fields.finish(_COMPLETION_ONLY_OPENAI)
    if sampling.max_tokens == 0 and not echo:
        raise invalid("max_tokens", "'max_tokens' may be 0 only with 'echo': there would be nothing to answer.")
    groups = _groups(prompt, codec, vocabulary, together=echo)
    return CompletionRequest(model=model, groups=groups, sampling=sampling, n=n, logprobs=logprobs, echo=echo)


def chat(body: dict[str, Any]) -> ChatRequest:
    """Reads a chat request.

    Raises:
        ApiError: 400, naming the field.
    """
    fields = Fields(body)
    model = fields.text("model")
    messages = parse_messages(fields.raw("messages"))
    most = fields.integer("max_completion_tokens", None, low=1)
    most = fields.integer("max_tokens", 512, low=1) if most is None else most
    fields.ignored("max_tokens")
    logprobs = fields.flag("logprobs")
    top = fields.integer("top_logprobs", 0, high=20)
    if top and not logprobs:
        raise invalid("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.")
    n = fields.integer("n", 1, low=1, high=_MOST_N)
    form = fields.table("response_format", None)
    if form is not None:
        if form.text("type") != "text":
            raise invalid("response_format", "'response_format' is supported as text alone.", "unsupported_parameter")
        form.finish()
    sampling = _sampling(fields, most)
    fields.finish(_CHAT_ONLY_OPENAI)
    return ChatRequest(model=model, messages=messages, sampling=sampling, n=n, logprobs=logprobs, top=top)


def _sampling(fields: Fields, max_tokens: int) -> Sampling:
    stop = fields.raw("stop", [])
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or len(stops) > 4 or not all(isinstance(s, str) and s for s in stops):
        raise invalid("stop", "'stop' must be a string or a list of up to 4 strings, none of them empty.")
    fields.neutral("stream", False)
    fields.neutral("frequency_penalty", 0)
    fields.neutral("presence_penalty", 0)
    fields.neutral("logit_bias", {})
    fields.ignored(*_SILENT)
    return Sampling(
        max_tokens=max_tokens,
        temperature=fields.number("temperature", 1.0, high=2.0),
        top_p=fields.number("top_p", 1.0, high=1.0),
        stop=tuple(stops),
        seed=fields.integer("seed", None, low=-(2**63)),
    )


def parse_messages(value: Any, where: str = "messages") -> tuple[dict[str, str], ...]:
    """Messages of text, with lists of text parts joined.

    Raises:
        ApiError: 400, naming the field.
    """
    if not isinstance(value, list) or not value:
        raise invalid(where, f"'{where}' must be a list of at least one message.", "invalid_type")
    return tuple(_message(message, f"{where}[{index}]") for index, message in enumerate(value))


def _message(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise invalid(where, f"'{where}' must be an object with 'role' and 'content'.", "invalid_type")
    fields = Fields(value, f"{where}.")
    role = fields.text("role")
    if role == "developer":
        role = "system"
    if role not in ("system", "user", "assistant"):
        raise invalid(f"{where}.role", f"Invalid value for '{where}.role': {role[:50]!r}; system, user or assistant.")
    content = fields.raw("content")
    fields.ignored("name", "refusal", "annotations", "audio")
    fields.neutral("tool_calls", [])
    fields.finish()
    if isinstance(content, list):
        content = "".join(_part(part, f"{where}.content[{i}]") for i, part in enumerate(content))
    if not isinstance(content, str) or not encodable(content):
        raise invalid(f"{where}.content", f"'{where}.content' must be text or a list of text parts.", "invalid_type")
    return {"role": role, "content": content}


def _part(value: Any, where: str) -> str:
    if not isinstance(value, dict) or value.get("type") != "text" or not isinstance(value.get("text"), str):
        raise invalid(where, f"'{where}': text parts alone are supported.", "unsupported_parameter")
    return str(value["text"])


def _groups(prompt: Any, codec: Codec, vocabulary: int, *, together: bool) -> tuple[Group, ...]:
    """Splits prompts into what they share and their tails, where sharing saves work."""
    if isinstance(prompt, str):
        prompt = [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise invalid("prompt", "'prompt' must be a string, a list of strings, or token arrays.", "invalid_type")
    if all(isinstance(p, int) for p in prompt):
        prompt = [prompt]
    if len(prompt) > MOST_PROMPTS:
        raise invalid("prompt", f"'prompt' holds {len(prompt)} prompts; at most {MOST_PROMPTS} are taken.", "too_long")
    if all(isinstance(p, list) for p in prompt):
        return tuple(Group(_tokens(p, codec, vocabulary), (Piece((), "", ()),)) for p in prompt)
    if not all(isinstance(p, str) and encodable(p) for p in prompt):
        raise invalid("prompt", "'prompt' must be a string, a list of strings, or token arrays.", "invalid_type")
    if together and len(prompt) > 1 and (split := boundary(prompt)):
        stem = _text(prompt[0][:split], codec)
        return (Group(stem, tuple(_text(p[split:], codec, start=False) for p in prompt)),)
    return tuple(Group(_text(p, codec), (Piece((), "", ()),)) for p in prompt)


def _text(text: str, codec: Codec, *, start: bool = True) -> Piece:
    encoded = codec.encode(text, start=start)
    if start and not encoded.ids:
        raise invalid("prompt", "'prompt' must not be empty.")
    return Piece(encoded.ids, text, encoded.ends)


def _tokens(ids: list[Any], codec: Codec, vocabulary: int) -> Piece:
    if not ids or not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < vocabulary for i in ids):
        raise invalid("prompt", f"A token array must hold one or more integers from 0 to {vocabulary - 1}.")
    ends, text = [], ""
    for i in ids:
        text += codec.piece(i)
        ends.append(len(text))
    return Piece(tuple(ids), text, tuple(ends))


def check_context(prompt: int, answer: int, limit: int, field: str) -> None:
    """Refuses what does not fit into the model's context.

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
