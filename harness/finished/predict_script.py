"""Labels texts with the arm in arm.json: python predict.py [FILE], one text a line; prints a label for each.

An arm with several texts takes a JSON object a line: {"title": "…", "body": "…"}.
"""
# Needs openai alone. OPENAI_BASE_URL says where the model is, if elsewhere; arm.json names the key's variable.

import io
import json
import math
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any


def filled(value: Any, item: dict[str, str]) -> Any:
    """A request with an item's texts in their places."""
    if isinstance(value, dict):
        if "$text" in value:
            return "".join(part if isinstance(part, str) else item[part["field"]] for part in value["$text"])
        return {key: filled(each, item) for key, each in value.items()}
    return [filled(each, item) for each in value] if isinstance(value, list) else value


def parsed(arm: dict[str, Any], text: str) -> str:
    """The label that the first line with a label names; "" if several."""
    for line in text.splitlines():
        said = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", line).casefold())
        for find, put in arm["parser"]["replace"]:
            said = " ".join(re.sub(find, put, said).split())
        named = {arm["parser"]["keys"][match.group()] for match in re.finditer(arm["parser"]["pattern"], said)}
        if named:
            return str(named.pop()) if len(named) == 1 else ""
    return ""


def value(text: str) -> str:
    """The label in an answer that is JSON."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return str(found.get("label", text)) if isinstance(found, dict) else text


def ended(words: dict[str, str], found: dict[str, float], paths: dict[str, list[str]]) -> dict[str, float]:
    """The same without what belongs to labels that go on from one: the probability of "1" holds that of "10"."""
    own: dict[str, float] = {}
    for label in sorted(found, key=lambda label: -len(paths[label])):
        n, more = len(paths[label]), [one for one in own if words[one].startswith(words[label])]
        longer = [one for one in more if len(paths[one]) > n > 0 and paths[one][:n] == paths[label]]
        beyond = math.fsum(math.exp(min(0.0, own[one] - found[label])) for one in longer)
        own[label] = found[label] + math.log(max(1e-9, 1 - beyond))
    return {label: own[label] for label in found}


def scores(arm: dict[str, Any], body: dict[str, Any], reply: Any) -> dict[str, float]:
    """Label → log-probability."""
    found: dict[str, float] = {}
    if body.get("echo"):  # one choice a label: the sum over the tokens after the prompt
        paths: dict[str, list[str]] = {}
        for (label, end), prompt, choice in zip(arm["words"].items(), body["prompt"], reply["choices"], strict=True):
            told = (choice["logprobs"][name] for name in ("text_offset", "token_logprobs", "tokens"))
            after = [row for row in zip(*told, strict=True) if row[0] >= len(prompt) - len(end)]
            found[label], paths[label] = math.fsum(row[1] or 0 for row in after), [row[2] for row in after]
        return ended(arm["words"], found, paths)
    logprobs = reply["choices"][0].get("logprobs") or {}
    first = logprobs["content"][0]["top_logprobs"] if logprobs.get("content") else None
    tops = {top["token"]: top["logprob"] for top in first} if first else (logprobs.get("top_logprobs") or [{}])[0]
    for token, value in tops.items():
        words = {label: word.strip().casefold() for label, word in arm["words"].items()}
        begun = token.strip().casefold()
        meant = [label for label in words if begun and words[label] == begun]
        meant = meant or [label for label in words if begun and words[label].startswith(begun)]
        if len(meant) == 1:
            found[meant[0]] = math.log(math.exp(found.get(meant[0], -math.inf)) + math.exp(value))
    return found


def answer(arm: dict[str, Any], bodies: list[Any], replies: list[Any]) -> str:
    """The label; "" where none is named."""
    if arm["answer"] == "choose" and (found := scores(arm, bodies[0], replies[0])):
        bias = scores(arm, bodies[1], replies[1]) if len(bodies) > 1 else {}  # of an input without content
        return max(found, key=lambda label: found[label] - bias.get(label, min(bias.values(), default=0.0)))
    choice = replies[0]["choices"][0]
    text = (choice["message"]["content"] if "message" in choice else choice["text"]) or ""
    return parsed(arm, value(text) if arm["answer"] == "schema" else text)


def texts(arm: dict[str, Any], line: str, number: int) -> dict[str, str]:
    """The texts of a line; ends the program where they are not all there."""
    if len(arm["fields"]) == 1:
        return {arm["fields"][0]: line.rstrip("\n")}
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in arm["fields"]):
        shape = ", ".join(f'{json.dumps(name, ensure_ascii=False)}: "…"' for name in arm["fields"])
        sys.exit(f"line {number}: expected a JSON object with these texts: {{{shape}}}")
    return {name: found[name] for name in arm["fields"]}


def main() -> None:
    """Reads lines, asks, prints."""
    from openai import OpenAI

    arm = json.loads(Path(__file__).with_name("arm.json").read_text(encoding="utf-8"))
    url = os.environ.get("OPENAI_BASE_URL") or arm["base_url"]
    key = os.environ.get(arm["api_key_env"] or "", "none").strip()
    headers = {name: os.environ[variable].strip() for name, variable in arm["headers"].items()}
    client = OpenAI(base_url=url, api_key=key, default_headers=headers, default_query=arm["query"])
    lines = io.StringIO(Path(sys.argv[1]).read_text(encoding="utf-8")) if len(sys.argv) > 1 else sys.stdin
    for number, line in enumerate(lines, 1):
        fields = texts(arm, line, number)
        item = {"": "\n".join(text for text in fields.values() if text), **fields}
        if find := arm["separator"]["find"]:  # within a text it would end it too early
            item = {name: text.replace(find, arm["separator"]["put"]) for name, text in item.items()}
        bodies = [filled(request["body"], item) for request in arm["requests"]]
        paths = [request["path"] for request in arm["requests"]]
        replies: Any = [client.post(path, body=body, cast_to=object) for path, body in zip(paths, bodies, strict=True)]
        sys.stdout.write(answer(arm, bodies, replies) + "\n")


if __name__ == "__main__":
    main()
