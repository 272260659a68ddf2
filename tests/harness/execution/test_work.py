"""Keys, order and counted tokens of requests."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.work import BLOCK, Request, answer_key, digest, interleave, tokens_of
from harness.types import Call, Reply, Usage


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
    # A key that changed would ask anew what earlier versions have asked.
    assert answer_key("local", call(), "hash") == "b1dbc73a54f58fd9ce62df80815d24bcba8a5465d1698b4bf6feb0395d9cdb5b"


def test_digest_of_what_is_no_plain_json() -> None:
    assert digest({"a": (1, 2)}) == digest({"a": [1, 2]})
    assert digest("\ud800") != digest("?")
    assert len(digest(None)) == 64


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 130), min_size=1), st.booleans(), st.integers(0, 9))
def test_order(sizes: dict[str, int], local: bool, seed: int) -> None:
    requests = [request(arm, number) for arm, size in sizes.items() for number in range(size)]
    order = interleave(requests, local="e" if local else "other", seed=seed)
    assert Counter(r.key for r in order) == Counter(r.key for r in requests)
    assert [r.key for r in order[: len(sizes)]] == [f"{arm}0" for arm in sizes]
    assert order == interleave(requests, local="e" if local else "other", seed=seed)
    turns = [arm for arm, _ in itertools.groupby(order[len(sizes) :], key=lambda r: r.arm)]
    if local:  # turns of whole blocks
        assert len(turns) <= sum(-(-(size - 1) // BLOCK) for size in sizes.values())
    elif min(sizes.values()) > 60 and len(sizes) > 1:
        assert len(turns) > 20


READ, MADE = "prompt_tokens_details", "completion_tokens_details"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2}, Usage(input=7, output=2)),
        ({"prompt_tokens": 7, "completion_tokens": 2, READ: {"cached_tokens": 5}}, Usage(input=7, cached=5, output=2)),
        ({"prompt_tokens": 7, READ: None}, Usage(input=7)),
        ({"prompt_tokens": 7, READ: {"cached_tokens": 9}}, Usage(input=7, cached=7)),
        (
            {"prompt_tokens": 7, READ: {"cached_tokens": 4, "cache_write_tokens": 2}},
            Usage(input=7, cached=4, cache_write=2),
        ),
        ({"prompt_tokens": 7, READ: {"cache_creation_tokens": 9}}, Usage(input=7, cache_write=7)),
        ({"prompt_tokens": 7, "cache_creation_input_tokens": 3}, Usage(input=7, cache_write=3)),
        (
            {"prompt_tokens": 7, "completion_tokens": 5, MADE: {"reasoning_tokens": 4}},
            Usage(input=7, output=5, reasoning=4),
        ),
        (
            {"prompt_tokens": 7, "completion_tokens": 5, MADE: {"reasoning_tokens": 6}},
            Usage(input=7, output=5, reasoning=5),
        ),
        ({"prompt_tokens": 7, "completion_tokens": 5, MADE: "none"}, Usage(input=7, output=5)),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 1.5}, None),
        ({"prompt_tokens": -1}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_counted_tokens(usage: Any, tokens: Usage | None) -> None:
    assert tokens_of(Reply({"usage": usage}, call())) == tokens
