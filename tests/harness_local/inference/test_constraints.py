"""Answers that fit a JSON schema."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from harness_local.inference.constraints import ConstraintError, Constraints
from harness_local.inference.work import Progress

PROMPT = "Sentiment:"
LABELS = ["positive", "negative", "neutral", "naïve 🙂", 'a "b" \\ c', ""]
LABEL = json.dumps(
    {
        "type": "object",
        "properties": {"label": {"enum": LABELS}},
        "required": ["label"],
        "additionalProperties": False,
    }
)
NESTED = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "maxItems": 3},
        "why": {"type": ["string", "null"], "maxLength": 12},
    },
    "required": ["score", "tags", "why"],
    "additionalProperties": False,
    "$defs": {"tag": {"anyOf": [{"const": "x y"}, {"type": "boolean"}]}},
}


def texts(outcome: Any) -> list[str]:
    assert {c.finish for c in outcome.continuations} == {"stop"}
    return [c.text for c in outcome.continuations]


@pytest.mark.parametrize("temperature", [0.0, 2.0])
@pytest.mark.parametrize("top_p", [1.0, 0.3])
def test_a_label_is_always_one_of_the_labels(lab: Any, temperature: float, top_p: float) -> None:
    outcome = lab.ask(PROMPT, n=12, schema=LABEL, max_tokens=40, temperature=temperature, top_p=top_p, seed=1)
    answers = [json.loads(text) for text in texts(outcome)]
    assert all(list(answer) == ["label"] and answer["label"] in LABELS for answer in answers)
    if temperature and top_p == 1.0:
        assert len({answer["label"] for answer in answers}) > 1


def test_a_larger_schema(lab: Any) -> None:
    outcome = lab.ask(PROMPT, n=8, schema=json.dumps(NESTED), max_tokens=200, temperature=1.0, seed=2)
    for answer in map(json.loads, texts(outcome)):
        assert list(answer) == ["score", "tags", "why"]
        assert answer["score"] in range(1, 6)
        assert 1 <= len(answer["tags"]) <= 3
        assert all(tag in ("x y", True, False) for tag in answer["tags"])
        assert answer["why"] is None or len(answer["why"]) <= 12


def test_what_is_certain_takes_no_pass_of_its_own(lab: Any, passes: list[int]) -> None:
    schema = json.dumps({"type": "object", "properties": {"label": {"enum": ["good", "bad"]}}, "required": ["label"]})
    closed = schema.replace("}}", '}}, "additionalProperties": false', 1)
    (text,) = texts(lab.ask(PROMPT, schema=closed, max_tokens=40))
    assert text in ('{"label": "good"}', '{"label": "bad"}')
    assert len(passes) == 2


def test_log_probabilities_are_the_model_s_own(lab: Any) -> None:
    outcome = lab.ask(PROMPT, schema=LABEL, max_tokens=40, temperature=1.0, seed=4, top=2)
    stem, generated = list(lab.codec.encode(PROMPT).ids), outcome.continuations[0].generated
    table = lab.logprobs([*stem, *(token.id for token in generated)])[len(stem) - 1 :]
    assert len(generated) > 3
    for token, expected in zip(generated, table, strict=False):
        assert token.logprob == pytest.approx(float(expected[token.id]), abs=1e-3)
        assert [i for i, _ in token.top] == expected.topk(2).indices.tolist()


@pytest.mark.parametrize("most", range(1, 12))
def test_an_answer_is_cut_where_it_may_be_no_longer(lab: Any, most: int) -> None:
    whole = lab.ask(PROMPT, schema=LABEL, max_tokens=40).continuations[0]
    cut = lab.ask(PROMPT, schema=LABEL, max_tokens=most).continuations[0]
    needed = len(whole.generated)
    assert [t.id for t in cut.generated] == [t.id for t in whole.generated[:most]]
    assert whole.text.startswith(cut.text.rstrip("\ufffd"))
    assert cut.finish == ("stop" if most >= needed else "length")


def test_a_stream_a_bias_and_a_stop_text(lab: Any) -> None:
    heard: list[Progress] = []
    schema = LABEL.replace(', ""', "")  # so that the quotation mark before a label stands for itself
    token = lab.codec.encode("positive", start=False).ids[0]
    outcome = lab.ask(
        PROMPT, n=3, schema=schema, max_tokens=40, temperature=1.0, bias=((token, 100.0),), listener=heard.append
    )
    assert texts(outcome) == ['{"label": "positive"}'] * 3
    for branch in range(3):
        mine = [step for step in heard if step.branch == branch]
        assert "".join(step.text for step in mine) == '{"label": "positive"}'
        assert [t for step in mine for t in step.tokens] == outcome.continuations[branch].generated
        assert [step.finish for step in mine if step.finish] == ["stop"]
    stopped = lab.ask(PROMPT, schema=LABEL, stop=('": "',), max_tokens=40).continuations[0]
    assert (stopped.text, stopped.finish) == ('{"label', "stop")


@pytest.mark.parametrize("most", [1, 2, 40])
def test_what_is_drawn_after_certain_tokens_ends_the_answer_with_it(lab: Any, most: int) -> None:
    """Both come of one pass: the bracket that opens is certain, the one that closes is drawn and completes."""
    schema = '{"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": false}'
    close = lab.codec.encode("}", start=False).ids[0]
    answer = lab.ask(PROMPT, schema=schema, bias=((close, 100.0),), max_tokens=most).continuations[0]
    assert (answer.text, answer.finish) == ("{}"[:most], "length" if most == 1 else "stop")


def test_any_object(lab: Any) -> None:
    outcome = lab.ask(PROMPT, n=6, schema='{"type": "object"}', max_tokens=60, temperature=1.0, seed=5)
    for continuation in outcome.continuations:
        assert continuation.text.startswith("{")
        if continuation.finish == "stop":
            assert isinstance(json.loads(continuation.text), dict)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("nonsense", "Expecting"),
        ("[1]", "object"),
        ("true", "object"),
        ('{"type": "objekt"}', "objekt"),
        ('{"type": "object", "not": {}}', "not"),
        ('{"$ref": "#"}', "NoExtension"),
        ('{"$ref": "http://127.0.0.1:9/schema"}', "127.0.0.1"),
        ('{"type": "integer", "minimum": 5, "maximum": 1}', "minimum"),
        ('{"enum": []}', "Unsatisfiable"),
        ('{"type": "object", "x-guidance": {"lenient": true}}', "x-guidance"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "recursion"),
        (json.dumps({"enum": [f"label {k}" for k in range(10_000)]}), "longer"),
    ],
)
def test_what_cannot_be_done_is_refused(lab: Any, schema: str, reason: str) -> None:
    with pytest.raises(ConstraintError, match=reason) as caught:
        lab.engine.constraints.check(schema)
    assert 0 < len(str(caught.value)) <= 300
    good, bad = lab.submit(PROMPT), lab.submit(PROMPT, schema=schema)
    with pytest.raises(ConstraintError):
        bad.result(60)
    assert len(good.result(60).continuations[0].generated) == 8


HOSTILE = [
    {"type": "string", "pattern": "(a|b)*c(a|b){200}"},
    {"type": "string", "pattern": "(x+x+)+y{1000}{1000}"},
    {"type": "string", "minLength": 10**6},
    {"type": "array", "items": {"type": "string", "maxLength": 10**5}, "maxItems": 10**5},
    {"allOf": [{"type": "string", "pattern": f"(.*a.{{{n}}}b)"} for n in range(10, 20)]},
    {"allOf": [{"anyOf": [{"properties": {f"p{i}{j}": {}}} for i in range(6)]} for j in range(8)]},
    {"anyOf": [{"type": "object", "properties": {f"p{i}": {"type": "string"}}} for i in range(300)]},
    {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(1500)}},
    {"enum": [f"label {k}" for k in range(4000)]},
]


@pytest.mark.parametrize("schema", HOSTILE)
def test_a_hostile_schema_takes_no_time(lab: Any, schema: dict[str, Any]) -> None:
    constraints: Constraints = lab.engine.constraints
    constraints.check("{}")
    began = time.thread_time()
    try:
        constraints.check(json.dumps(schema))
    except ConstraintError:
        return
    finally:
        assert time.thread_time() - began < 2.0
    began = time.perf_counter()
    outcome = lab.submit(PROMPT, schema=json.dumps(schema), max_tokens=5, temperature=1.0)
    if outcome.exception(60) is None:
        assert outcome.result().continuations[0].finish in ("stop", "length")
    assert time.perf_counter() - began < 10.0
