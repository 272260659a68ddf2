"""What the data stage says, word for word and figure for figure: `said.txt` is to be read aloud.

Each finding stands there with its kind, level, heading and what was mended, its sentence, its advice and its figures.
"""

import json
import random
from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import test_format_chat as chat_files
import test_format_completion as completion_files
import test_format_raw as raw_files

from harness.prepare import checks, clean
from harness.prepare.clean import Cluster
from harness.prepare.format import chat_findings, completion_findings, raw_findings
from harness.prepare.format.raw import layout
from harness.prepare.options import Fractions, Leak, PrepareOptions
from harness.prepare.profiles import LOCAL, OPENAI
from harness.prepare.signals import signals
from harness.prepare.token_rules import TrainingCounts, label_findings, special_token_findings, token_findings
from harness.tokens import TrainingLimit, vocabulary_of
from harness.types import Example, Split

SAID = Path(__file__).with_name("said.txt")
P, C = completion_files.good()
O200K, UNKNOWN = vocabulary_of("gpt-4.1-mini"), vocabulary_of("some-model")


def plain(value):
    """Figures as JSON, with as many digits as every version of numpy agrees on."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return float(f"{round(value, 6):.3g}") if isinstance(value, float) else value


def told(found):
    """Findings as they stand in the file."""
    blocks = []
    for check in found:
        mended = f" · mended {check.mended}" if check.mended else ""
        lines = [f"{check.kind} · {check.level} · {check.heading}{mended}", check.message]
        lines += [f"→ {check.advice}"] if check.advice else []
        blocks.append("\n".join([*lines, json.dumps(plain(dict(check.figures)), ensure_ascii=False)]))
    return "\n\n".join(blocks)


def of_kind(found, kind):
    return [check for check in found if check.kind == kind]


def completion(case, **more):
    prompts, completions, *_ = case
    return completion_findings(*completion_files.table(prompts, completions), **({"profile": OPENAI} | more))


def chat(*lines, profile=OPENAI):
    return chat_findings([*lines, *chat_files.GOOD[len(lines) :]], profile=profile)


def odd(**more):
    """A chat line that is wrong in one way."""
    return {"messages": [chat_files.SYSTEM, chat_files.USER, chat_files.ANSWER], **more}


def messages(*said):
    return {"messages": list(said)}


def formats():
    """Name → findings about training files."""
    for name, case in completion_files.CASES.items():
        yield f"completion {name}", of_kind(completion(case), case[2])
    yield "completion of a good file", completion((P, C))
    yield "completion that generates", completion(completion_files.generated(200))
    yield "completion in three rows with one empty", completion((["a", "", "b"], [" x", " y", ""]))
    for columns in (("Prompt", "text"), ("promt",), ("a", "b"), ()):
        found = completion(([None] * 20, C[:20]), extra_columns=columns)
        yield f"completion with columns {', '.join(columns)}", of_kind(found, "missing-column")
    extra = completion((P, C), extra_columns=("id", "messages", "weight", *"abcdef"))
    yield "completion with more columns", [*of_kind(extra, "extra-columns"), *of_kind(extra, "mixed-lines")]
    weights = pa.array([1.0, None, 0.0, 100.5, 100.0] + [2.0] * 115)
    yield "completion with weights", of_kind(completion((P, C), profile=LOCAL, weights=weights), "example-weight")
    yield "completion with weights that nobody takes", of_kind(completion((P, C), weights=weights), "example-weight")
    for name, case in chat_files.CASES.items():
        yield f"chat {name}", of_kind(chat_findings(case[0], profile=OPENAI), case[1])
    keys = of_kind(chat(odd(z=1, y=1, x=1, w=1, v=1, u=1, t=1)), "line-keys")
    yield "chat with seven keys", keys
    user, answer = chat_files.USER, chat_files.ANSWER
    strange = {f"key{number}": 1 for number in range(7)}
    yield "chat with seven keys of a message", of_kind(chat(messages(user, {**answer, **strange})), "message-keys")
    yield "chat with a message key", of_kind(chat(messages(user, {**answer, "nane": 1})), "message-keys")
    roles = [chat_files.said(f"role{number}", "a") for number in range(7)]
    yield "chat with seven roles", of_kind(chat(messages(*roles, answer)), "unknown-role")
    yield "chat with another name", of_kind(chat({"mesages": [user]}), "missing-messages")
    yield "chat with unlike names", of_kind(chat({"qqqq": [user]}), "missing-messages")
    yield "chat with weights", of_kind(chat(odd(weight=0), odd(weight=100), profile=LOCAL), "example-weight")
    yield "chat with two prompts", of_kind(chat(*[messages(user, chat_files.said("assistant", a)) for a in "abc"]),
                                           "conflicting-completions")  # fmt: skip
    for name, (data, profile, kind, *_) in raw_files.CASES.items():
        yield f"raw {name}", of_kind(raw_findings(data, profile, layout(data)), kind)
    row = raw_files.ROW
    mixed, halves = row.replace(b"\n", b"\r\n") + b"\r" + row, b'{"prompt": "\\ud83d"}\n' * 25
    yield "raw with windows and one old line end", raw_findings(mixed, OPENAI, layout(mixed))
    yield "raw with many halves", raw_findings(halves, OPENAI, layout(halves))


def counts(tokens, **more):
    ids = [f"id-{place}" for place in range(len(tokens))]
    given = {"model": "gpt-4.1-mini", "vocabulary": O200K, "limit": TrainingLimit(tokens=100, source="a test")} | more
    return TrainingCounts(ids=ids, tokens=np.asarray(tokens, dtype=np.int64), **given)


def tokens():
    """Name → findings about tokens."""
    yield "tokens", token_findings(counts([100, 150, 300, 50, 101, 7, 8, 9, 10, 11], usd_per_million=4.0))
    yield "tokens of a chat", token_findings(counts([5, 6], chat=True, epochs=1))
    yield "tokens of an unknown model", token_findings(counts([5, 6], vocabulary=UNKNOWN, limit=None))
    local = TrainingLimit(tokens=100, source="a test", cut="start")
    yield "tokens of the local endpoint", of_kind(token_findings(counts([500], limit=local)), "over-long-texts")
    texts = ["<|endoftext|> <s>", "<|endoftext|>", *["<s> </s> [INST] <|im_end|> <|eot_id|> <|im_start|>"] * 2]
    yield "special tokens", special_token_findings(["a", "b", "c", "d"], texts, [O200K])
    own = [replace(O200K, special=tuple(f"<{n}>" for n in range(size))) for size in (5, 6)]
    for vocabulary in own:
        found = special_token_findings(["a"], [" ".join(vocabulary.special)], [vocabulary])
        yield f"{len(vocabulary.special)} special tokens", found
    words = {label: f" {label}" for label in ("newness", "new york", "new deal", "new wave", "old")} | {"none": ""}
    yield "labels", label_findings(words, [O200K, UNKNOWN])
    three = {"newness": " newness", "new": " new y", "new york": " new york"}
    yield "labels of an unknown model", label_findings(three, [UNKNOWN], choose=False)


def facts(sizes, **more):
    """Facts on so many examples of each label in each split."""
    examples = tuple(
        Example(fields={"text": f"{split} {label} {n}"}, label=label, split=split, id=f"{split}-{label}{n}",
                time=f"2026-01-{1 + n % 9:02d}")
        for split, labels in zip(Split, sizes, strict=True) for label, size in labels.items() for n in range(size)
    )  # fmt: skip
    known = tuple(sorted({label for labels in sizes for label in labels}))
    given = {
        "examples": examples, "labels": known, "removed": dict.fromkeys(clean.RULES, 0), "rows_in": len(examples),
        "clusters": (), "leaks": (), "respelt": {}, "respelt_rows": 0, "pii": {}, "split_given": False,
        "options": PrepareOptions(),
    }  # fmt: skip
    return checks.Facts(**(given | more))


def leak(kind, a, b, split_a=Split.TEST, split_b=Split.TRAIN):
    return Leak(kind=kind, a=a, b=b, split_a=split_a, split_b=split_b)


EVEN = ({"a": 50, "b": 50}, {"a": 10, "b": 10}, {"a": 50, "b": 50})


def stage():
    """Name → findings about the data as a whole."""
    yield "data in order", checks.findings(facts(EVEN))
    small = facts(({"a": 66, "b": 6, "c": 6}, {"a": 1, "b": 1}, {"a": 98, "b": 1}), split_given=True)
    yield "small and uneven data", checks.findings(small)
    few = facts(({"a": 4, "b": 5}, {}, {"a": 1, "b": 1}))
    yield "hardly any data", checks.findings(few)
    yield "ten training rows", checks.findings(facts(({"a": 5, "b": 5}, {}, {})))
    removed = {rule: place + 1 for place, rule in enumerate(clean.RULES)}
    near = Cluster(kind="near", kept=("k",), removed=("r", "s"), labels={"a": 2, "b": 1})
    exact = Cluster(kind="exact", kept=(), removed=("t", "u"), labels={"b": 1, "a": 1})
    alike = Cluster(kind="near", kept=("v",), removed=("w",), labels={"a": 2})
    clusters = (alike, near, exact, replace(near, kept=("z",)))
    yield "removed rows", checks.findings(facts(EVEN, removed=removed, rows_in=70, clusters=clusters))[:9]
    yield "removed rows of many", checks.findings(facts(EVEN, removed=removed, rows_in=1_200, clusters=clusters))[:7]
    downsample = PrepareOptions(balance="downsample")
    yield "balanced", of_kind(checks.findings(facts(EVEN, options=downsample, removed=removed)), "downsampled")
    yield "weighted", of_kind(checks.findings(facts(EVEN, weights={"a": 0.5, "b": 1.75})), "weighted")
    spelt = facts(EVEN, respelt={"A ": "a", "B": "b"}, respelt_rows=1_234)
    yield "spellings", of_kind(checks.findings(spelt), "similar-labels")
    by_time = PrepareOptions(split=Fractions(by="time"))
    yield "by time", of_kind(checks.findings(facts(EVEN, options=by_time)), "split")
    yield "by time but given", of_kind(checks.findings(facts(EVEN, options=by_time, split_given=True)), "split")
    validation = leak("exact", "v1", "t1", Split.VALIDATION)
    leaks = (validation, leak("exact", "x1", "t1"), leak("exact", "x1", "v1", split_b=Split.VALIDATION),
             leak("near", "x2", "t2"), leak("near", "x3", "t2"),
             leak("group", "v9", "t9", Split.VALIDATION))  # fmt: skip
    found = checks.findings(facts(EVEN, leaks=leaks))
    yield "leaks", [check for check in found if check.kind.endswith("leak")]
    for mode in ("warn", "mask", "stop"):
        flagged = facts(EVEN, pii={"phone": 1_200, "email": 3}, options=PrepareOptions(pii=mode))
        yield f"personal data: {mode}", of_kind(checks.findings(flagged), "personal-data")


def reviews(n=240):
    """Texts of two classes with everything in them that a signal looks for."""
    draw = random.Random(3)
    topics = {"food": ("soup", "bread", "salt", "taste"), "phone": ("battery", "screen", "call", "sound")}
    common = ("the", "was", "and", "very", "good", "not", "my", "it", "of", "with")
    made = []
    for number in range(n):
        label = list(topics)[number % 2]
        words = [*draw.sample(topics[label], 2), *draw.sample(common, 5), *([] if number % 3 else [f"n{number}"])]
        text = " ".join(draw.sample(words, len(words))) + (" sent from my green device" if number % 18 == 0 else "")
        text += " phone" if number % 4 == 1 else ""
        made.append(Example(fields={"text": text}, label=label, id=f"row{number}"))
    made[2:6] = [replace(row, label="phone" if row.label == "food" else "food") for row in made[2:6]]
    odd_texts = ("ok", "no thanks", "12 34 5678 // 90 / 12 : 30 - 100 200", "отличный товар рекомендую всем друзьям",
                 "qwer tzui opas dfgh good", "good battery " * 90, "it")  # fmt: skip
    return made + [Example(fields={"text": text}, label="food", id=f"odd{n}") for n, text in enumerate(odd_texts)]


def ranked(found):
    """Lists of rows as they stand in the file."""
    blocks = []
    for each in found.ranked:
        rows = [f"{item.id} {item.score:.3g} {item.note}" for item in each.items]
        blocks.append("\n".join([f"{each.kind} · {each.title}", each.explanation, *rows]))
    return "\n\n".join(blocks)


def texts():
    """Name → findings about single texts."""
    found = signals(reviews(), ("food", "phone"), 7)
    yield "signals", found.checks
    yield "signals of rows", ranked(found)
    plain_texts = [replace(row, fields={"text": f"{row.text} n{n}"}) for n, row in enumerate(reviews(30)[:30])]
    yield "signals of few rows", signals(plain_texts, ("food", "phone"), 7).checks
    words = ("card", "account", "loan", "transfer", "please", "cancel", "open", "now")
    same = [f"{' '.join(each)} {n % 3}" for n, each in enumerate(permutations(words, 3))]
    templates = [Example(fields={"text": text}, label="ab"[n % 2], id=str(n)) for n, text in enumerate(same * 2)]
    yield "signals of templates", signals(templates, ("a", "b", "c"), 7).checks
    rare = [*reviews(40), *(Example(fields={"text": f"rare {n} the"}, label=f"r{n % 2}", id=f"r{n}") for n in range(6))]
    yield "signals with rare classes", signals(rare, ("food", "phone"), 7).checks[:1]
    yield "signals of one class", signals([replace(row, label="a") for row in reviews(20)], ("a",), 7).checks[:1]


PARTS = (formats, tokens, stage, texts)


@cache
def now(part):
    """Name → what a part says."""
    return {name: found if isinstance(found, str) else told(found) for name, found in part()}


def written():
    """The file as it should be."""
    return "\n".join(f"## {name}\n\n{text}\n" for part in PARTS for name, text in now(part).items())


def sections():
    """The file's texts by their names."""
    for section in SAID.read_text(encoding="utf-8").removeprefix("## ").split("\n## "):
        name, _, text = section.partition("\n")
        yield name, text.strip("\n")


@pytest.mark.parametrize("part", PARTS)
def test_findings_are_those_of_the_file(part):
    wanted = dict(sections())
    for name, text in now(part).items():
        assert text == wanted[name], name


def test_the_file_tells_of_nothing_else():
    assert [name for name, _ in sections()] == [name for part in PARTS for name in now(part)]
