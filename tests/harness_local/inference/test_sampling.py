"""What is drawn and what is reported, against plain transformers."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import Future
from typing import Any

import pytest

from harness_local.inference.work import Outcome

PROMPT = "The capital of France is"


def ids(outcome: Outcome, branch: int = 0) -> list[int]:
    return [token.id for token in outcome.continuations[branch].generated]


@pytest.mark.parametrize("prompt", [PROMPT, "Größe: naïve 🙂\n\n", "one two " * 40])
def test_a_greedy_answer_is_that_of_generate(lab: Any, prompt: str) -> None:
    stem = list(lab.codec.encode(prompt).ids)
    ours = lab.ask(prompt, max_tokens=12, n=2, top=3)
    for step, (one, two) in enumerate(zip(*(c.generated for c in ours.continuations), strict=True)):
        expected = lab.logprobs([*stem, *ids(ours)[:step]])[-1]
        assert one.id == two.id == int(expected.argmax())
        assert one.logprob == pytest.approx(float(expected[one.id]), abs=1e-3)
        values, tokens = expected.topk(3)
        assert [token for token, _ in one.top] == tokens.tolist()
        assert [value for _, value in one.top] == pytest.approx(values.tolist(), abs=1e-3)
    assert len(ids(ours)) == 12


def test_an_echo_scores_each_token(lab: Any) -> None:
    tails = (" Paris", " London, or so")
    ours = lab.ask(PROMPT, tails=tails, max_tokens=0, scored=True, top=2)
    stem = list(lab.codec.encode(PROMPT).ids)
    for tail, continuation in zip(tails, ours.continuations, strict=True):
        whole = [*stem, *lab.codec.encode(tail, start=False).ids]
        table = lab.logprobs(whole)
        expected = [float(table[place - 1, whole[place]]) for place in range(1, len(whole))]
        scores = [*ours.stem, *continuation.tail]
        assert [token.id for token in scores] == whole
        assert scores[0].logprob is None
        assert [token.logprob for token in scores[1:]] == pytest.approx(expected, abs=1e-3)
        assert [t.top[0][0] for t in scores[1:]] == table[:-1].argmax(-1).tolist()
        assert (continuation.text, continuation.finish) == ("", "length")


def test_a_stop_text_ends_an_answer_in_front_of_it(lab: Any) -> None:
    whole = lab.ask(PROMPT, max_tokens=12).continuations[0].text
    stop = whole[5:8]
    cut = lab.ask(PROMPT, max_tokens=12, stop=("never", stop)).continuations[0]
    assert (cut.text, cut.finish) == (whole[: whole.index(stop)], "stop")
    assert len(cut.generated) < 12


def test_an_end_token_ends_an_answer(lab: Any) -> None:
    (end, *_) = sorted(lab.engine._ends)
    done = lab.ask(PROMPT, bias=((end, 100.0),)).continuations[0]
    assert (done.text, done.finish, done.generated) == ("", "stop", [])


def test_draws_have_the_probabilities_of_the_nucleus(lab: Any) -> None:
    expected = (lab.logprobs(list(lab.codec.encode(PROMPT).ids))[-1] / 0.3).softmax(-1)
    ordered, order = expected.sort(descending=True)
    inside = int((ordered.cumsum(-1) - ordered < 0.5).sum())
    nucleus = {int(token): float(p / ordered[:inside].sum()) for token, p in zip(order[:inside], ordered, strict=False)}
    outcomes = [lab.submit(PROMPT, n=100, max_tokens=1, temperature=0.3, top_p=0.5, seed=seed) for seed in range(8)]
    drawn = Counter(token for outcome in outcomes for branch in range(100) for token in ids(outcome.result(60), branch))
    assert set(drawn) <= set(nucleus)
    assert len(nucleus) > 1
    for token, p in nucleus.items():
        assert drawn[token] / 800 == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 800) + 1e-9)


@pytest.mark.parametrize("seed", [0, 1, -(2**63), 2**63 - 1])
def test_a_seed_repeats_an_answer_in_any_company(lab: Any, seed: int) -> None:
    def draw(seed: int | None) -> Future[Outcome]:
        return lab.submit(PROMPT, n=2, max_tokens=6, temperature=1.5, seed=seed)

    alone = draw(seed).result(60)
    company = [draw(seed), draw(None), draw(seed + 1 if seed < 5 else 7), draw(seed)]
    together = [each.result(60) for each in company]
    for branch in (0, 1):
        assert ids(alone, branch) == ids(together[0], branch) == ids(together[3], branch)
    assert ids(alone, 0) != ids(alone, 1)
    assert ids(alone) != ids(together[2])


@pytest.mark.parametrize("odd", [{"temperature": 1e-300}, {"temperature": 2.0, "top_p": 0.0}, {"top_p": 1e-300}])
def test_extreme_settings_draw_the_most_probable_token(lab: Any, odd: dict[str, Any]) -> None:
    assert ids(lab.ask(PROMPT, **{"temperature": 1.0, **odd})) == ids(lab.ask(PROMPT))


def test_a_bias_changes_what_is_drawn_and_not_what_is_reported(lab: Any) -> None:
    expected = lab.logprobs(list(lab.codec.encode(PROMPT).ids))[-1]
    first, second = expected.topk(2).indices.tolist()
    gap = float(expected[first] - expected[second])
    for bias, chosen in (
        (((second, gap - 0.01),), first),
        (((second, gap + 0.01),), second),
        (((first, -100.0),), second),
        (((5, 100.0), (second, 30.0)), 5),
        (((5, 100.0), (5, -100.0)), first),
    ):
        for temperature in (0.0, 0.01):
            outcome = lab.ask(PROMPT, max_tokens=1, bias=bias, temperature=temperature, seed=1, top=1)
            if temperature == 0 or abs(abs(bias[0][1]) - gap) > 1:
                assert ids(outcome) == [chosen]
                (token,) = outcome.continuations[0].generated
                assert token.logprob == pytest.approx(float(expected[chosen]), abs=1e-3)
                assert token.top[0][0] == first


def test_a_bias_weighs_each_draw(lab: Any) -> None:
    expected = lab.logprobs(list(lab.codec.encode(PROMPT).ids))[-1]
    other = float(expected[5].exp())
    p = other * math.exp(12) / (1 - other + other * math.exp(12))
    outcome = lab.ask(PROMPT, n=400, max_tokens=1, temperature=1.0, seed=3, bias=((5, 12.0),))
    share = sum(ids(outcome, branch) == [5] for branch in range(400)) / 400
    assert 0.01 < p < 0.99
    assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 400))


def test_a_bias_on_a_token_that_is_not_there_fails_its_request_alone(lab: Any) -> None:
    import torch

    good, bad = lab.submit(PROMPT), lab.submit(PROMPT, bias=((10**6, 1.0),))
    with pytest.raises((IndexError, RuntimeError)):
        bad.result(60)
    assert len(ids(good.result(60))) == 8
    assert torch.is_inference_mode_enabled() is False
