"""How the backends on OpenAI-compatible endpoints ask, and how they read what comes back.

Three ways to answer: `generate` (free text, parsed), `choose` (the most probable label of the set) and `schema` (a
JSON schema with the labels as an enum, each as the prompt says it).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import harness

Mode = Literal["generate", "choose", "schema"]

COMPLETION_LOGPROBS = 5
"""Most alternatives that a completion endpoint gives for a token."""
CHAT_LOGPROBS = 20
"""Most alternatives that a chat endpoint gives for a token."""
CHAT_TOKENS = 32
"""Room for an untrained chat model that answers in a sentence."""
LEAST = 1e-9
"""Least share of a label's probability that is its own, where other labels go on from it."""

_Path: TypeAlias = tuple[float, list[str]]
"""Log-probability of a continuation, and its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a model is asked."""

    endpoint: str
    model: str
    answer: Mode
    calibrate: bool
    max_tokens: int | None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the body, e.g. `reasoning_effort`, `seed`."""

    def calls(self, prompt: harness.Prompt, labels: Sequence[str]) -> tuple[harness.Call, ...]:
        """Describes the request, and with `calibrate` the same one around an input without content."""
        asked = [self._call(prompt, labels)]
        if self.calibrate and prompt.content_free is not None:
            asked.append(self._call(prompt.content_free, labels))
        return tuple(asked)

    def _call(self, prompt: harness.Prompt, labels: Sequence[str]) -> harness.Call:
        ways = {"generate": self._generate, "choose": self._choose, "schema": self._schema}
        path, body = ways[self.answer](prompt, labels)
        said = prompt.continuations
        ordered = {label: said[label] for label in labels if label in said}  # as scored prompts are
        note = {"continuations": ordered, "chars": len(prompt.text), "mode": self.answer}
        return harness.Call(
            endpoint=self.endpoint, path=path, body={"model": self.model, **body, **self.extra}, note=note
        )

    def _generate(self, prompt: harness.Prompt, labels: Sequence[str]) -> tuple[str, dict[str, Any]]:
        if prompt.chat:
            limit = self.max_tokens or (None if "reasoning_effort" in self.extra else CHAT_TOKENS)
            return "/chat/completions", self._chat(prompt, limit, stop=prompt.stop)
        # A label of n characters has at most n tokens, in practice a third; the rest is room for a stop sequence.
        longest = max((len(prompt.continuations.get(label, label)) for label in labels), default=8)
        limit = self.max_tokens or max(4, longest // 3 + 3)
        stop = {"stop": list(prompt.stop)} if prompt.stop else {}
        return "/completions", {"prompt": prompt.text, "max_tokens": limit, "temperature": 0, **stop}

    def _choose(self, prompt: harness.Prompt, labels: Sequence[str]) -> tuple[str, dict[str, Any]]:
        if prompt.chat:
            body = self._chat(prompt, 1)
            return "/chat/completions", {**body, "logprobs": True, "top_logprobs": CHAT_LOGPROBS}
        if self.endpoint == "local":  # it can echo, so each label is scored as it would be written
            scored = [prompt.text + prompt.continuations[label] for label in labels]
            return "/completions", {"prompt": scored, "max_tokens": 0, "echo": True, "logprobs": 0, "temperature": 0}
        return "/completions", {
            "prompt": prompt.text,
            "max_tokens": 1,
            "logprobs": COMPLETION_LOGPROBS,
            "temperature": 0,
        }

    def _schema(self, prompt: harness.Prompt, labels: Sequence[str]) -> tuple[str, dict[str, Any]]:
        schema = {
            "type": "object",
            "properties": {"label": {"type": "string", "enum": [_word(prompt, label) for label in labels]}},
            "required": ["label"],
            "additionalProperties": False,
        }
        wanted = {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": schema}}
        return "/chat/completions", {**self._chat(prompt, self.max_tokens or CHAT_TOKENS), "response_format": wanted}

    def _chat(self, prompt: harness.Prompt, limit: int | None, stop: Sequence[str] = ()) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        }
        if "reasoning_effort" not in self.extra:  # reasoning models refuse a temperature
            body["temperature"] = 0
        if limit is not None:
            body["max_completion_tokens"] = limit
        if stop:
            body["stop"] = list(stop)
        return body


def _word(prompt: harness.Prompt, label: str) -> str:
    """Returns what the model says for a label; without a word for it the label to the letter, and equal requests."""
    word = prompt.continuations.get(label, label).strip()
    return label if word == label.strip() else word


def read(bodies: Sequence[harness.Reply]) -> harness.Answer:
    """Reads the reply to the item and, where there is one, the reply to the input without content.

    What came is data: a reply that is none becomes an answer with an error, not an exception.
    """
    first = bodies[0]
    if any(not _choices(body) for body in bodies):
        return harness.Answer(error="the reply has no choices", **_usage(first))
    mode = first.call.note["mode"]
    if mode == "choose":
        return _read_choice(bodies)
    text = _text(first)
    if mode == "schema":
        text = _enum_value(text)
    return harness.Answer(text=text, truncated=_choices(first)[0].get("finish_reason") == "length", **_usage(first))


def _read_choice(bodies: Sequence[harness.Reply]) -> harness.Answer:
    first = bodies[0]
    continuations: Mapping[str, str] = first.call.note["continuations"]
    scored = [_label_logprobs(body) for body in bodies]
    if any(scores is None for scores in scored):
        needed = 'it gives no log-probabilities, which answer = "choose" needs'
        return harness.Answer(error=needed, **_usage(first))
    scores = scored[0]
    if scores and len(scored) > 1 and scored[1]:  # contextual calibration: Zhao et al. 2021, arXiv:2102.09690
        bias = scored[1]
        lowest = min(bias.values())
        scores = {label: score - bias.get(label, lowest) for label, score in scores.items()}
    if not scores:  # no label is among the most probable tokens: what the model would say counts as it is
        return harness.Answer(text=_text(first), **_usage(first))
    probabilities = _softmax(scores)
    best = max(probabilities, key=lambda label: probabilities[label])
    return harness.Answer(
        text=continuations[best].strip(),
        probabilities={label: probabilities.get(label, 0.0) for label in continuations},
        **_usage(first),
    )


def _label_logprobs(reply: harness.Reply) -> dict[str, float] | None:
    """Returns label → log-probability, of the labels that have one; `None` where the endpoint gives none at all."""
    continuations: Mapping[str, str] = reply.call.note["continuations"]
    choices = _choices(reply)
    if not isinstance(choices[0].get("logprobs"), dict):
        return None
    if reply.call.body.get("echo"):
        return _echoed(choices, continuations, reply.call.note["chars"])
    return _first_token_scores(_alternatives(choices[0]["logprobs"]), continuations)


def _echoed(choices: Sequence[Mapping[str, Any]], continuations: Mapping[str, str], chars: int) -> dict[str, float]:
    """Scores each label as it was written after the prompt; empty where the reply does not hold them all."""
    try:
        ranked = sorted(choices, key=lambda choice: choice["index"])
        scored = {
            label: _scored(choice["logprobs"], chars) for label, choice in zip(continuations, ranked, strict=True)
        }
    except (LookupError, TypeError, ValueError):
        return {}
    texts = sorted(continuations.values())
    if not any(longer.startswith(text) for text, longer in pairwise(texts)):
        return {label: score for label, (score, _) in scored.items()}
    return _ended(scored, continuations)


def _ended(scored: Mapping[str, _Path], continuations: Mapping[str, str]) -> dict[str, float]:
    """Takes from a label the probability of those that go on from it: that of "1" holds that of "10" until then.

    What is left is the probability that the label's tokens are followed by anything but the rest of another label.
    """
    ended: dict[str, float] = {}
    for label in sorted(scored, key=lambda label: -len(scored[label][1])):  # the longer ones first
        score, tokens = scored[label]
        beyond = math.fsum(
            math.exp(min(0.0, ended[other] - score))
            for other in ended
            if len(scored[other][1]) > len(tokens) > 0
            and scored[other][1][: len(tokens)] == tokens
            and continuations[other].startswith(continuations[label])
        )
        ended[label] = score + math.log(max(LEAST, 1.0 - beyond))
    return {label: ended[label] for label in scored}


def _alternatives(logprobs: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Returns the most probable first tokens with their log-probabilities; what is no such pair is left out."""
    if "content" in logprobs:
        first = (_list(logprobs["content"]) or [None])[0]
        pairs = [
            (top.get("token"), top.get("logprob")) for top in map(_table, _list(_table(first).get("top_logprobs")))
        ]
    else:
        pairs = list(_table((_list(logprobs.get("top_logprobs")) or [None])[0]).items())
    return [(token, value) for token, value in pairs if isinstance(token, str) and isinstance(value, int | float)]


def _scored(logprobs: Mapping[str, Any], chars: int) -> _Path:
    """Sums the log-probabilities of the tokens after the prompt, and returns these tokens as well."""
    rows = zip(logprobs["text_offset"], logprobs["token_logprobs"], logprobs["tokens"], strict=True)
    after = [(value, token) for offset, value, token in rows if offset >= chars]
    return math.fsum(value for value, _ in after if value is not None), [token for _, token in after]


def _first_token_scores(
    alternatives: Sequence[tuple[str, float]], continuations: Mapping[str, str]
) -> dict[str, float]:
    """Adds up, for each label, the probability of the tokens that are it, or with which only it begins."""
    words = {label: text.strip().casefold() for label, text in continuations.items()}
    mass: dict[str, float] = {}
    for token, logprob in alternatives:
        begun = token.strip().casefold()
        meant = [label for label, word in words.items() if begun and word == begun]
        meant = meant or [label for label, word in words.items() if begun and word.startswith(begun)]
        if len(meant) == 1:
            mass[meant[0]] = mass.get(meant[0], 0.0) + math.exp(logprob)
    return {label: math.log(value) for label, value in mass.items() if value > 0}


def _softmax(scores: Mapping[str, float]) -> dict[str, float]:
    top = max(scores.values())
    weights = {label: math.exp(score - top) for label, score in scores.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def _choices(reply: harness.Reply) -> list[dict[str, Any]]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        return []
    return choices


def _text(reply: harness.Reply) -> str:
    choice = _choices(reply)[0]
    message = choice.get("message")
    said = message.get("content") if isinstance(message, dict) else choice.get("text")
    if isinstance(said, list):  # content in parts
        said = "".join(str(part.get("text") or "") for part in said if isinstance(part, dict))
    return said if isinstance(said, str) else ""


def _enum_value(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return str(value.get("label", text)) if isinstance(value, dict) else text


def _usage(reply: harness.Reply) -> dict[str, Any]:
    usage = _table(reply.get("usage"))
    return {
        "input_tokens": _count(usage.get("prompt_tokens")),
        "output_tokens": _count(usage.get("completion_tokens")),
        "cached_tokens": _count(_table(usage.get("prompt_tokens_details")).get("cached_tokens")),
        "reasoning_tokens": _count(_table(usage.get("completion_tokens_details")).get("reasoning_tokens")),
    }


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
