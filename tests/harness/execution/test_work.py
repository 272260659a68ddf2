"""Keys, order and counted tokens of requests."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.work import BLOCK, Request, answer_key, digest, rounds, tokens_of
from harness.types import Call, Reply


def call(**body: Any) -> Call:
    return Call(endpoint="e", path="/chat/completions", body={"model": "m", "seed": 1, **body})


def request(arm: str, number: int) -> Request:
    return Request(endpoint="e", path="/p", body={}, arm=arm, key=f"{arm}{number}")


def test_a_key_covers_all_that_changes_an_answer_and_no_more() -> None:
    key = answer_key("https://a/v1", call(), "hash")
    assert key == answer_key("https://a/v1", Call(endpoint="renamed", path="/chat/completions",
                             body={"seed": 1, "model": "m"}, note={"own": 1}), "hash")  # fmt: skip
    others = [
        answer_key("https://b/v1", call(), "hash"),
        answer_key("https://a/v1", call(temperature=0), "hash"),
        answer_key("https://a/v1", call(model="n"), "hash"),
        answer_key("https://a/v1", Call(endpoint="e", path="/completions", body=call().body), "hash"),
        answer_key("https://a/v1", call(), "edited"),
        answer_key("https://a/v1", call(), "hash", repeat=1),
    ]
    assert len({key, *others}) == 7


def test_digest_of_what_is_no_plain_json() -> None:
    assert digest({"a": (1, 2)}) == digest({"a": [1, 2]})
    assert digest("\ud800") != digest("?")
    assert len(digest(None)) == 64


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 130), min_size=1), st.booleans(), st.integers(0, 9))
def test_order(sizes: dict[str, int], local: bool, seed: int) -> None:
    requests = [request(arm, number) for arm, size in sizes.items() for number in range(size)]
    first, *rest = rounds(requests, local=local, seed=seed)
    assert Counter(r.key for turn in (first, *rest) for r in turn) == Counter(r.key for r in requests)
    assert [r.key for r in first] == [f"{arm}0" for arm in sizes]
    assert [first, *rest] == rounds(requests, local=local, seed=seed)
    if local:  # one arm at a time, in turns of whole blocks
        assert all(len({r.arm for r in turn}) == 1 for turn in rest)
        assert all(a[0].arm != b[0].arm for a, b in itertools.pairwise(rest))
        assert len(rest) <= sum(-(-(size - 1) // BLOCK) for size in sizes.values())
    else:
        assert len(rest) == 1


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2}, (7, 0, 2)),
        ({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}, (7, 5, 2)),
        ({"prompt_tokens": 7, "prompt_tokens_details": None}, (7, 0, 0)),
        ({"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 9}}, (7, 7, 0)),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 1.5}, None),
        ({"prompt_tokens": -1}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_counted_tokens(usage: Any, tokens: tuple[int, int, int] | None) -> None:
    assert tokens_of(Reply({"usage": usage}, call())) == tokens
