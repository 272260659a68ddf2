"""How the fake provider answers: pure functions of the prompt, the answer key and the seed."""

from __future__ import annotations

import bisect
import hashlib
import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.provider.settings import Settings

_TOKEN = re.compile(r"\s*\S+|\s+$")


def draw(*parts: object) -> float:
    """Returns a number in [0, 1) that follows from `parts` alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def tokens(text: str) -> list[str]:
    """Splits into words, each with the white space before it: this provider's tokens."""
    return _TOKEN.findall(text)


def size(settings: Settings, text: str) -> int:
    """Returns how many tokens `usage` takes a text for."""
    if settings.vocabulary is None:
        return len(tokens(text))
    import toktok

    return int(toktok.batch_count([text], settings.vocabulary, 1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The item that a prompt asks about."""

    text: str | None
    end: int
    """Where it ends in the prompt."""
    shots: bool
    """Whether another text of the answer key stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a model thinks of a prompt."""

    label: str
    probabilities: Mapping[str, float]
    unparsed: bool = False


class Oracle:
    """Knows the answer key and errs as often as it is told to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.labels = settings.labels or tuple(sorted(set(settings.answers.values())))
        self.labels = self.labels or ("negative", "neutral", "positive")
        self._texts = sorted(text for text in settings.answers if text)
        self._head = min([8, *map(len, self._texts)])
        self._longest = max(map(len, self._texts), default=0)
        self._heads = {text[: self._head] for text in self._texts}

    def _hit(self, prompt: str, start: int) -> str:
        """Returns the longest text of the answer key that stands at `start`."""
        if prompt[start : start + self._head] not in self._heads:
            return ""
        here = prompt[start : start + self._longest]
        while here:
            index = bisect.bisect_right(self._texts, here) - 1
            if index < 0 or here.startswith(self._texts[index]):
                return self._texts[index] if index >= 0 else ""
            here = os.path.commonprefix([here, self._texts[index]])  # noqa: RUF071 - characters are meant
        return ""

    def find(self, prompt: str) -> Found:
        """Finds the text of the answer key that ends last in `prompt`; of several, the longest."""
        best, begin, end = "", 0, -1
        start = len(prompt) - self._head
        while self._texts and start >= max(0, end - self._longest):
            hit = self._hit(prompt, start)
            if hit and start + len(hit) >= end:
                best, begin, end = hit, start, start + len(hit)
            start -= 1
        if not best:
            return Found(text=None, end=0, shots=False)
        needed = self.settings.few_shot_accuracy is not None
        return Found(text=best, end=end, shots=needed and self._earlier(prompt, best, begin))

    def _earlier(self, prompt: str, text: str, begin: int) -> bool:
        hits = (self._hit(prompt, start) for start in range(begin - self._head, -1, -1))
        return any(hit and hit not in text for hit in hits)

    def decide(self, prompt: str, found: Found, *, tuned: bool) -> Decision:
        """Decides on a label: right with the model's accuracy, the same for the same item, seed and kind of prompt."""
        s, labels = self.settings, self.labels
        item = found.text if found.text is not None else prompt.strip()
        kind = "tuned" if tuned else "shots" if found.shots else "base"
        truth = s.answers.get(item) or labels[int(draw(s.seed, "guess", item) * len(labels))]
        accuracy = {"tuned": s.tuned_accuracy, "shots": s.few_shot_accuracy, "base": s.accuracy}[kind]
        others = [label for label in labels if label != truth]
        right = draw(s.seed, "right", kind, item) < (accuracy or 0.0) or not others
        label = truth if right else others[int(draw(s.seed, "wrong", kind, item) * len(others))]
        sure = 0.55 + 0.4 * draw(s.seed, "sure", kind, item)
        rest = [other for other in labels if other != label]
        weights = [0.1 + draw(s.seed, "rest", kind, item, other) for other in rest]
        probabilities = {o: (1 - sure) * w / sum(weights) for o, w in zip(rest, weights, strict=True)}
        unparsed = not tuned and s.unparsed_rate > 0 and draw(s.seed, "unparsed", kind, item) < s.unparsed_rate
        return Decision(label=label, probabilities={label: sure, **probabilities}, unparsed=unparsed)

    def continuation(self, prompt: str, found: Found) -> tuple[str, int]:
        """Returns the label that `prompt` ends with, after the item, and where that label begins; ``""`` if none."""
        end = len(prompt.rstrip())
        named = [label for label in self.labels if prompt.endswith(label, found.end, end)]
        label = max(named, key=len, default="")
        return label, end - len(label)


def first_tokens(decision: Decision, space: str) -> dict[str, float]:
    """Returns first token → log-probability, most probable first."""
    sums: dict[str, float] = defaultdict(float)
    for label, probability in decision.probabilities.items():
        sums[space + label.split()[0]] += probability
    return {token: math.log(p) for token, p in sorted(sums.items(), key=lambda item: -item[1])}


def _schema_field(body: Mapping[str, Any]) -> str | None:
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
    for name, field in (schema.get("properties") or {}).items():
        if isinstance(field, Mapping) and "enum" in field:
            return str(name)
    return None


def _say(oracle: Oracle, decision: Decision, *, tuned: bool) -> str:
    if decision.unparsed:
        return "That is hard to say."
    return decision.label if tuned else oracle.settings.answer_template.format(label=decision.label)


def _limit(text: str, limit: int | None, stop: Sequence[str] | str | None) -> tuple[str, str]:
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    for sequence in stops:
        text = text.split(sequence, 1)[0] if sequence else text
    parts = tokens(text)
    if limit is not None and len(parts) > limit:
        return "".join(parts[:limit]), "length"
    return text, "stop"


def usage(settings: Settings, prompt_tokens: int, completion_tokens: int) -> dict[str, Any] | None:
    """Returns the `usage` object, with the details that the settings ask for."""
    if not settings.usage:
        return None
    extra = settings.reasoning_tokens or 0
    result: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens + extra,
        "total_tokens": prompt_tokens + completion_tokens + extra,
    }
    if settings.cached_share is not None:
        result["prompt_tokens_details"] = {"cached_tokens": int(settings.cached_share * prompt_tokens)}
    if settings.reasoning_tokens is not None:
        result["completion_tokens_details"] = {"reasoning_tokens": extra}
    return result


def _logprobs_completion(prompt: str, decision: Decision, k: int, *, text: str) -> dict[str, Any]:
    """Log-probabilities of `text`, the answer that follows `prompt`."""
    parts, top = tokens(text), first_tokens(decision, " ")
    offsets, position = [], len(prompt)
    for part in parts:
        offsets.append(position)
        position += len(part)
    first = top.get(parts[0], -9.0) if parts else 0.0
    values = [first if i == 0 else -0.001 for i in range(len(parts))]
    tops = [dict(list(top.items())[: max(k, 1)]) if i == 0 else {p: -0.001} for i, p in enumerate(parts)]
    return {"tokens": parts, "token_logprobs": values, "top_logprobs": tops if k else None, "text_offset": offsets}


def _logprobs_echo(oracle: Oracle, prompt: str, *, tuned: bool, k: int) -> dict[str, Any]:
    """Log-probabilities of the prompt's own tokens: a label at its end is as probable as the model thinks it is."""
    found = oracle.find(prompt)
    label, begin = oracle.continuation(prompt, found)
    stem = prompt[:begin] if label else prompt
    decision = oracle.decide(stem, oracle.find(stem), tuned=tuned)
    parts = tokens(prompt)
    values: list[float | None] = []
    offsets, position = [], 0
    for index, part in enumerate(parts):
        start = position + len(part) - len(part.lstrip())
        position += len(part)
        offsets.append(position - len(part))
        if label and start == begin:
            values.append(math.log(decision.probabilities[label]))
        elif label and start > begin:
            values.append(-0.001)
        else:
            values.append(None if index == 0 else -1.0 - 3.0 * draw("token", part))
    top = [None if v is None else {part: v} for part, v in zip(parts, values, strict=True)] if k else None
    return {"tokens": parts, "token_logprobs": values, "top_logprobs": top, "text_offset": offsets}


def _join(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {key: None if first[key] is None else first[key] + (second[key] or []) for key in first}


def completion(oracle: Oracle, body: Mapping[str, Any], *, tuned: bool, empty: bool) -> dict[str, Any]:
    """Answers ``/v1/completions``."""
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    k, echo, limit = body.get("logprobs"), bool(body.get("echo")), body.get("max_tokens", 16)
    choices: list[dict[str, Any]] = []
    used_in = used_out = 0
    for prompt in prompts:
        decision = oracle.decide(prompt, oracle.find(prompt), tuned=tuned)
        text, reason = _limit(" " + _say(oracle, decision, tuned=tuned), limit, body.get("stop"))
        text = "" if empty else text
        used_in += size(oracle.settings, prompt)
        logprobs = None
        if k is not None:
            logprobs = _logprobs_completion(prompt, decision, k, text=text)
            if echo:
                logprobs = _join(_logprobs_echo(oracle, prompt, tuned=tuned, k=k), logprobs)
        for _ in range(body.get("n") or 1):
            used_out += size(oracle.settings, text)
            shown = prompt + text if echo else text
            choices.append({"index": len(choices), "text": shown, "logprobs": logprobs, "finish_reason": reason})
    return {
        "object": "text_completion",
        "model": body["model"],
        "choices": choices,
        "usage": usage(oracle.settings, used_in, used_out),
    }


def chat_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """Returns the messages' contents, one after another."""
    parts = []
    for message in messages:
        content = message.get("content") or ""
        parts.append(content if isinstance(content, str) else "".join(p.get("text", "") for p in content))
    return "\n".join(parts)


def _chat_size(settings: Settings, body: Mapping[str, Any]) -> int:
    """Counts a chat's prompt: the texts alone in words, else with three tokens around each message and the reply."""
    messages = body["messages"]
    if settings.vocabulary is None:
        return len(tokens(chat_text(messages)))
    each = sum(size(settings, chat_text([message])) + size(settings, message["role"]) + 3 for message in messages)
    return each + 3


def chat(oracle: Oracle, body: Mapping[str, Any], *, tuned: bool, empty: bool) -> dict[str, Any]:
    """Answers ``/v1/chat/completions``."""
    prompt = chat_text(body["messages"])
    decision = oracle.decide(prompt, oracle.find(prompt), tuned=tuned)
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    field = _schema_field(body)
    said = json.dumps({field: decision.label}) if field else _say(oracle, decision, tuned=tuned)
    text, reason = _limit(said, limit, body.get("stop"))
    text = "" if empty else text
    logprobs = None
    if body.get("logprobs"):
        top = first_tokens(decision, "")
        content = []
        for index, part in enumerate(tokens(text)):
            value = top.get(part, -9.0) if index == 0 else -0.001
            shown = list(top.items())[: body.get("top_logprobs") or 0] if index == 0 else []
            rows = [{"token": t, "logprob": v, "bytes": list(t.encode())} for t, v in shown]
            content.append({"token": part, "logprob": value, "bytes": list(part.encode()), "top_logprobs": rows})
        logprobs = {"content": content, "refusal": None}
    message = {"role": "assistant", "content": text, "refusal": None}
    number = body.get("n") or 1
    return {
        "object": "chat.completion",
        "model": body["model"],
        "choices": [
            {"index": i, "message": message, "logprobs": logprobs, "finish_reason": reason} for i in range(number)
        ],
        "usage": usage(oracle.settings, _chat_size(oracle.settings, body), number * size(oracle.settings, text)),
    }
