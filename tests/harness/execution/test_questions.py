"""From examples to requests and back: matched by id, every question ended, no label shown to a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from harness.errors import PluginError, UsageError
from harness.execution.answers import inspect, predictions
from harness.execution.questions import Asker, draw_seed
from harness.execution.refusals import Failed
from harness.experiment import Arm, Shots
from harness.journal import Entry
from harness.types import Answer, Call, Example, Prompt, Reply, Split, Status

LABELS = ("good", "bad")
TRAIN = tuple(Example(fields={"text": f"train {n}"}, label=LABELS[n % 2], split=Split.TRAIN) for n in range(8))
TEST = tuple(Example(fields={"text": f"test {n}"}, label=LABELS[n % 2], split=Split.TEST) for n in range(6))


@dataclass(frozen=True)
class Form:
    name: ClassVar[str] = "form"
    seen: list[Example] = field(default_factory=list)

    def prompt(self, example: Example, shots: Sequence[Example], labels: Sequence[str]) -> Prompt:
        self.seen.append(example)
        shown = "".join(f"{shot.text}={shot.label};" for shot in shots)
        return Prompt(text=f"{shown}{example.text}=")

    def training_line(self, example: Example, labels: Sequence[str]) -> dict[str, Any]:
        return {}

    def parse(self, text: str, labels: Sequence[str]) -> str | None:
        return text.strip() if text.strip() in labels else None


@dataclass(frozen=True)
class Remote:
    name: ClassVar[str] = "remote"
    family: ClassVar[str] = "few-shot"
    endpoint: str = "e"
    calibrate: bool = False
    broken: bool = False

    def calls(self, prompt: Prompt, labels: Sequence[str]) -> tuple[Call, ...]:
        texts = [prompt.text, *([prompt.content_free.text] if prompt.content_free else [])]
        return tuple(Call(endpoint=self.endpoint, path="/p", body={"prompt": text}) for text in texts)

    def read(self, bodies: Sequence[Reply]) -> Answer:
        if self.broken:
            raise KeyError("text")
        return Answer(text=bodies[0]["text"], error=bodies[0].get("wrong"), probabilities={"good": 0.75, "bad": 0.25})


@dataclass(frozen=True)
class First:
    name: ClassVar[str] = "first"

    def fit(self, train: Sequence[Example], seed: int) -> First:
        assert {example.split for example in train} == {Split.TRAIN}
        return self

    def pick(self, example: Example, k: int) -> Sequence[Example]:
        assert example.label == ""  # the picker must not see the answer
        return TRAIN[:k]


def asker() -> Asker:
    return Asker(train=TRAIN, labels=LABELS, seed=7, identities={"e": "http://e/v1"}, source_hash=lambda _: "h")


def arm(**changes: Any) -> Arm:
    given: dict[str, Any] = {"name": "a", "backend": Remote(), "formatter": Form(), "shots": None}
    return Arm(**{**given, **changes})


def entry(key: str, **body: Any) -> Entry:
    return Entry(
        key=key, arm="a", endpoint="e", body=body, started=10.0, service_s=0.5, queue_s=0.1, retry_s=0.2, attempts=2
    )


def test_no_prompt_sees_a_label_or_a_split() -> None:
    form = Form()
    made = asker().questions(arm(formatter=form, shots=Shots(selector=First(), k=2, draw=1)), TEST)
    assert {example.label for example in form.seen} == {""}
    assert {example.split for example in form.seen} == {None}
    assert made[0].prompt.text == "train 0=good;train 1=bad;test 0="
    assert made[0].prompt.shot_ids == (TRAIN[0].id, TRAIN[1].id)
    assert [question.prompt.example_id for question in made] == [example.id for example in TEST]


def test_answers_are_matched_by_key_and_id_in_whatever_order_they_lie() -> None:
    questions = asker().questions(arm(), TEST)
    said = {q.key: entry(q.key, text=LABELS[n % 2] if n != 3 else "who knows") for n, q in enumerate(questions)}
    found = predictions(questions, dict(reversed(said.items())), {}, LABELS, lambda *_: 0.25)
    rows = [answered.prediction for answered in found]
    assert [row.example_id for row in rows] == [example.id for example in TEST]
    assert [row.predicted for row in rows] == ["good", "bad", "good", None, "good", "bad"]
    assert [str(row.status) for row in rows].count("unparsed") == 1
    first = rows[0]
    assert (first.latency_s, first.queue_s, first.retry_s, first.attempts, first.reused) == (0.5, 0.1, 0.2, 2, False)
    assert (first.confidence, first.cost_usd, first.strict) == (0.75, 0.25, "good")


def test_every_question_ends_as_answered_unparsed_or_failed() -> None:
    questions = asker().questions(arm(), TEST)
    keys = [question.key for question in questions]
    entries = {
        keys[0]: entry(keys[0], text="good"),
        keys[1]: entry(keys[1], text="?"),
        keys[2]: Entry(key=keys[2], arm="a", endpoint="e", body={}, error="400 refused"),
        keys[3]: entry(keys[3], text="", wrong="no choices"),
    }
    failed = {keys[4]: Failed(message="500 again", endpoint_down=False)}
    rows = [answered.prediction for answered in predictions(questions, entries, failed, LABELS, lambda *_: None)]
    assert [row.status for row in rows] == [Status.ANSWERED, Status.UNPARSED, *[Status.FAILED] * 4]
    assert [row.error for row in rows] == [None, None, "400 refused", "no choices", "500 again", "not asked"]
    assert all(row.predicted is None for row in rows[1:])


def test_reused_answers_have_no_time_of_this_run() -> None:
    (question,) = asker().questions(arm(), TEST[:1])
    taken = Entry(key=question.key, arm="a", endpoint="e", body={"text": "good"}, service_s=9.0, reused="other-run")
    (answered,) = predictions([question], {question.key: taken}, {}, LABELS, lambda *_: None)
    assert answered.prediction.reused
    assert answered.prediction.latency_s is answered.prediction.queue_s is answered.prediction.retry_s is None


def test_calibrated_arms_ask_twice_and_need_both() -> None:
    backend = Remote(calibrate=True)
    first, second = asker().questions(arm(backend=backend), TEST[:2])
    assert len(first.keys) == 2
    assert first.keys[1] == second.keys[1]  # the prompt without content is the same, so it is sent once
    assert first.requests[1].body == {"prompt": "N/A="}
    given = {key: entry(key, text="good") for key in (*first.keys, *second.keys)}
    both = predictions([first, second], given, {}, LABELS, lambda *_: 0.25)
    assert [one.further for one in both] == [(), ()]  # asked once, however many items there are
    assert [one.prediction.cost_usd for one in both] == [0.375, 0.375]
    (alone,) = predictions([first], given, {}, LABELS, lambda *_: 0.25)
    assert [one.key for one in alone.further] == [first.keys[1]]
    half = {first.keys[0]: entry(first.keys[0], text="good")}
    (answered,) = predictions([first], half, {}, LABELS, lambda *_: None)
    assert answered.prediction.status is Status.FAILED


def test_every_text_field_of_the_content_free_prompt_is_without_content() -> None:
    @dataclass(frozen=True)
    class Named(Form):
        def prompt(self, example: Example, shots: Sequence[Example], labels: Sequence[str]) -> Prompt:
            return Prompt(text=f"{len(shots)} {example.fields['title']}: {example.fields['body']}")

    item = Example(fields={"title": "Hm", "body": "Fine"}, label="good", split=Split.TEST)
    given = {"formatter": Named(), "shots": Shots(selector=First(), k=2, draw=1)}
    (question,) = asker().questions(arm(backend=Remote(calibrate=True), **given), [item])
    assert [request.body["prompt"] for request in question.requests] == ["2 Hm: Fine", "2 N/A: N/A"]


def test_keys_tell_apart_what_is_not_the_same() -> None:
    def key(made: Asker, of: Arm) -> str:
        return made.questions(of, TEST[:1])[0].key

    other = Asker(train=TRAIN, labels=LABELS, seed=7, identities={"e": "http://other/v1"}, source_hash=lambda _: "h")
    edited = Asker(train=TRAIN, labels=LABELS, seed=7, identities={"e": "http://e/v1"}, source_hash=lambda _: "i")
    assert len({key(asker(), arm()), key(other, arm()), key(edited, arm())}) == 3
    assert key(asker(), arm()) == key(asker(), arm(name="renamed"))  # the same request: bought once


def test_each_repeat_has_keys_of_its_own_and_asks_the_same() -> None:
    @dataclass(frozen=True)
    class InProcess:
        name: ClassVar[str] = "here"
        family: ClassVar[str] = "other"

    for backend in (Remote(), Remote(calibrate=True), InProcess()):
        made = [asker().questions(arm(backend=backend), TEST, repeat) for repeat in range(3)]
        keys = [{key for question in questions for key in question.keys} for questions in made]
        assert len(set.union(*keys)) == 3 * len(keys[0])
        assert made[0] == asker().questions(arm(backend=backend), TEST)
        bodies = [[request.body for question in questions for request in question.requests] for questions in made]
        assert bodies[0] == bodies[1] == bodies[2]


def test_a_failed_item_names_its_request_and_streamed_answers_their_first_token() -> None:
    first, second, third = asker().questions(arm(backend=Remote(calibrate=True)), TEST[:3])
    entries = {
        first.keys[0]: entry(first.keys[0], text="good"),
        first.keys[1]: Entry(key=first.keys[1], arm="a", endpoint="e", body={}, error="400 refused"),
        second.keys[0]: entry(second.keys[0], text="good"),
    }
    rows = [one.prediction for one in predictions([first], entries, {}, LABELS, lambda *_: None)]
    del entries[first.keys[1]]
    rows += [one.prediction for one in predictions([second, third], entries, {}, LABELS, lambda *_: None)]
    assert [row.key for row in rows] == [first.keys[1], second.keys[1], third.keys[0]]
    (plain,) = asker().questions(arm(), TEST[:1])
    for reused, first_token in ((None, 0.2), ("other", None)):
        given = Entry(
            key=plain.key, arm="a", endpoint="e", body={"text": "good"}, first_token_s=0.2, service_s=0.3, reused=reused
        )
        (answered,) = predictions([plain], {plain.key: given}, {}, LABELS, lambda *_: None)
        assert answered.prediction.first_token_s == first_token
        assert answered.prediction.key is None


def test_draws_have_seeds_of_their_own() -> None:
    seeds = {draw_seed(seed, draw) for seed in range(20) for draw in range(20)}
    assert len(seeds) == 400
    assert draw_seed(7, 1) == draw_seed(7, 1)


def test_inspection_of_the_first_reply() -> None:
    (question,) = asker().questions(arm(), TEST[:1])
    inspect(question, Reply({"text": "good"}, question.requests[0]))
    with pytest.raises(UsageError, match="the arm a: the endpoint e cannot answer as asked: no logprobs"):
        inspect(question, Reply({"text": "", "wrong": "no logprobs"}, question.requests[0]))
    (broken,) = asker().questions(arm(backend=Remote(broken=True)), TEST[:1])
    with pytest.raises(PluginError, match=r'the plugin "remote" .* failed in read: KeyError'):
        inspect(broken, Reply({"text": "good"}, broken.requests[0]))
