"""Whether prompts fit is known before they are sent; what does not fit loses its far shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from harness.execution.answers import predictions
from harness.execution.counting import prompt_tokens
from harness.execution.fitting import Fitting
from harness.execution.questions import Asker, Question
from harness.experiment import Arm, Shots
from harness.tokens import context_limit, vocabulary_of
from harness.types import Call, Example
from harness_plugins.backends.few_shot import FewShot
from harness_plugins.formatters.chat import Chat
from harness_plugins.formatters.completion import Completion
from harness_plugins.formatters.plain import Plain

LABELS = ("good", "bad")
TRAIN = tuple(Example(fields={"text": f"review {n}: " + "word " * (40 + n)}, label=LABELS[n % 2]) for n in range(12))
TEST = tuple(Example(fields={"text": f"item {n}: " + "thing " * (10 * n)}, label="good") for n in range(6))
MODEL = "gpt-3.5-turbo"


@dataclass(frozen=True)
class First:
    name: ClassVar[str] = "first"

    def fit(self, train: Sequence[Example], seed: int) -> First:
        return self

    def pick(self, example: Example, k: int) -> Sequence[Example]:
        return TRAIN[:k]


def arm(formatter: Any = None, k: int = 8, **options: Any) -> Arm:
    backend = FewShot(endpoint="e", model=MODEL, **options)
    return Arm(
        name="a",
        backend=backend,
        formatter=formatter or Chat(),
        shots=Shots(selector=First(), k=k, draw=1) if k else None,
    )


def asker(**contexts: int) -> Asker:
    return Asker(
        train=TRAIN, labels=LABELS, seed=7, identities={"e": "http://e/v1", "local": "local"},
        source_hash=lambda _: "h", fitting=Fitting(contexts=contexts),
    )  # fmt: skip


def size(call: Call) -> int:
    bodies = [call.body]
    if isinstance(call.body.get("prompt"), list):
        bodies = [{**call.body, "prompt": one} for one in call.body["prompt"]]
    return max(prompt_tokens(bodies, vocabulary_of(MODEL)))


def one_more(formatter: Any, answer: dict[str, Any], example: Example, k: int) -> Question:
    """Asks with the last k of the eight shots."""

    class Last(First):
        def pick(self, example: Example, k: int) -> Sequence[Example]:
            return TRAIN[8 - k : 8]

    made = arm(formatter, **answer)
    return asker().questions(replace(made, shots=Shots(selector=Last(), k=k, draw=1)), [example])[0]


@pytest.mark.parametrize("formatter", [Chat(), Plain(), Completion()], ids=lambda each: each.name)
@pytest.mark.parametrize("calibrated", [False, True])
def test_as_many_shots_are_shown_as_fit_and_the_farthest_go_first(formatter: Any, calibrated: bool) -> None:
    answer = {"answer": "choose", "calibrate": True} if calibrated else {"answer": "generate"}
    one = arm(formatter, **answer)
    shown = set()
    for context in (90, 150, 250, 400, 520, 5_000):
        for question in asker(e=context).questions(one, TEST):
            longest = max(request.body.get("max_completion_tokens", 0) or request.body["max_tokens"]
                          for request in question.requests)  # fmt: skip
            kept = len(question.prompt.shot_ids)
            assert question.dropped == 8 - kept
            assert question.prompt.shot_ids == tuple(shot.id for shot in TRAIN[8 - kept : 8])
            fits = all(size(request) + longest <= context for request in question.requests)
            assert fits or kept == 0
            if kept < 8:  # one more would not have fitted
                more = one_more(formatter, answer, question.example, kept + 1)
                assert any(size(request) + longest > context for request in more.requests)
            shown.add(kept)
    assert {0, 8} < shown


def test_nothing_is_dropped_where_no_limit_is_known_or_no_shots_are_asked_for() -> None:
    assert asker().questions(arm(), TEST) == asker(e=10**6).questions(arm(), TEST)
    unknown = Arm(name="a", backend=FewShot(endpoint="e", model="my-own"), formatter=Chat(), shots=arm().shots)
    assert not any(question.dropped for question in asker().questions(unknown, TEST))
    assert not any(question.dropped for question in asker(e=20).questions(arm(k=0), TEST))


def test_dropped_shots_come_with_the_answers() -> None:
    questions = asker(e=300).questions(arm(), TEST)
    rows = predictions(questions, {}, {}, LABELS, lambda *_: None)
    assert [row.dropped for row in rows] == [question.dropped for question in questions]
    assert any(row.dropped for row in rows)
    assert all(len(row.prediction.shot_ids) == 8 - row.dropped for row in rows)


def test_each_distinct_line_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    real = vocabulary_of(MODEL)

    class Counting:
        name, exact = real.name, True

        def count(self, texts: Sequence[str]) -> Any:
            counted.extend(texts)
            return real.count(texts)

    monkeypatch.setattr("harness.tokens.vocabulary_of", lambda *_: Counting())
    limit = max(size(question.requests[0]) for question in asker().questions(arm(), TEST)) + 40
    made = asker(e=limit).questions(arm(), TEST)
    assert not any(question.dropped for question in made)
    assert counted  # the bound by bytes alone would not do
    assert len(counted) == len(set(counted))
    counted.clear()
    asker(e=100_000).questions(arm(), TEST)
    assert not counted


def test_another_models_vocabulary_leaves_room_for_doubt() -> None:
    call = Call(endpoint="e", path="/completions", body={"model": "my-own", "prompt": "word " * 450, "max_tokens": 1})
    assert not Fitting(contexts={"e": 500}).fits(call)
    assert Fitting(contexts={"e": 500}).fits(Call(endpoint="e", path="", body={**call.body, "model": MODEL}))
    assert Fitting(contexts={"e": 600}).fits(call)


def test_prompts_that_are_scored_label_by_label_are_measured_one_by_one() -> None:
    body = {"model": "smollm2-135m-instruct", "prompt": ["word " * 6_000] * 5, "max_tokens": 0}
    assert Fitting().fits(Call(endpoint="local", path="/completions", body=body))
    longer = {**body, "prompt": ["word " * 6_000, "word " * 8_000]}
    assert not Fitting().fits(Call(endpoint="local", path="/completions", body=longer))


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-4.1-mini", 1_047_576),
        ("ft:gpt-4.1-nano-2025-04-14:acme::abc", 1_047_576),
        ("gpt-4o-2024-08-06", 128_000),
        ("gpt-4-0613", 8_192),
        ("gpt-3.5-turbo-0125", 16_385),
        ("gpt-35-turbo", 16_385),
        ("gpt-3.5-turbo-instruct", 4_096),
        ("ft:babbage-002:acme::abc", 16_384),
        ("llama-3", None),
    ],
)
def test_contexts_of_models(model: str, limit: int | None) -> None:
    assert context_limit(model) == limit
    assert context_limit("ft:smollm2-135m-instruct::abc", endpoint_local=True) == 8_192


# Beginnings that providers can cache


@pytest.mark.parametrize("formatter", [Chat(), Plain()], ids=lambda each: each.name)
def test_prompts_begin_with_the_same_bytes_up_to_the_item(formatter: Any) -> None:
    from harness_plugins.selectors.balanced import Balanced
    from harness_plugins.selectors.diverse import Diverse
    from harness_plugins.selectors.fixed import Fixed
    from harness_plugins.selectors.random import Random

    for selector in (Fixed(), Random(order=2), Balanced(), Diverse(per_item=False), Diverse(relevance=0)):
        one = Arm(
            name="a", backend=FewShot(endpoint="e", model=MODEL), formatter=formatter,
            shots=Shots(selector=selector, k=1, draw=1),
        )  # fmt: skip
        pool = tuple(Example(fields={"text": f"{word} " * 9}, label=LABELS[n % 2]) for n, word in enumerate("abcdefgh"))
        prompts = [q.prompt for q in Asker(
            train=pool, labels=LABELS, seed=7, identities={"e": "u"}, source_hash=lambda _: "h"
        ).questions(one, TEST)]  # fmt: skip
        if formatter.name == "chat":
            assert len({prompt.messages[:-1] for prompt in prompts}) == 1
            assert [prompt.messages[-1].content for prompt in prompts] == [item.text for item in TEST]
        else:
            heads = {prompt.text[: prompt.text.rindex("Review: ")] for prompt in prompts}
            assert len(heads) == 1
            assert heads.pop().startswith("Review: ")
