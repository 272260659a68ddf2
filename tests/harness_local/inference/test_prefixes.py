"""Kept beginnings: which is found, what is worth keeping, what leaves first, and that reuse is counted exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_local.inference.prefixes import SHORTEST, Prefix, PrefixCache, Room, common

pytestmark = pytest.mark.xdist_group("local")
SEQUENCES = st.lists(st.integers(0, 2), min_size=1, max_size=2 * SHORTEST).map(tuple)
LONG = st.tuples(st.lists(st.integers(0, 1), max_size=3), SEQUENCES).map(lambda p: (7,) * SHORTEST + (*p[0], *p[1]))


def prefix(ids: tuple[int, ...], size: int = 100) -> Prefix:
    import torch

    empty = torch.empty(0)
    return Prefix(ids, (torch.empty(size, dtype=torch.uint8),), (empty,), empty, ())


@given(st.lists(LONG | SEQUENCES, unique=True, max_size=20), LONG | SEQUENCES)
def test_the_longest_shared_beginning_is_found(held: list[tuple[int, ...]], ids: tuple[int, ...]) -> None:
    cache = PrefixCache(Room(10**6))
    for each in held:
        cache.keep(prefix(each))
    best = max((min(common(each, ids), len(ids) - 1) for each in held), default=0)
    found, length = cache.match(ids)
    assert length == (best if best >= SHORTEST else 0)
    assert (found is None) is (length == 0)
    assert found is None or found.ids[:length] == ids[:length]


def test_what_prompts_share_beyond_a_common_template_is_found_among_others() -> None:
    cache = PrefixCache(Room(10**6))
    template = tuple(range(SHORTEST))
    cache.keep(prefix(template))
    families = [(*template, *range(k, k + 2 * SHORTEST)) for k in (1000, 2000, 3000)]
    for family in families:
        assert cache.worth((*family, 1), SHORTEST) == 0
    for family in families:
        assert cache.worth((*family, 2), SHORTEST) == len(family)


def test_the_least_recently_used_leaves_first_whosever_it_is() -> None:
    room = Room(300)
    one, other = PrefixCache(room), PrefixCache(room)
    ids = [(k,) * SHORTEST for k in range(4)]
    one.keep(prefix(ids[0]))
    other.keep(prefix(ids[1]))
    one.keep(prefix(ids[2]))
    assert one.match((*ids[0], 9))[1] == SHORTEST
    one.keep(prefix(ids[3]))
    assert [one.match((*i, 9))[1] > 0 for i in ids] == [True, False, True, True]
    assert other.match((*ids[1], 9)) == (None, 0)
    one.clear()
    other.keep(prefix(ids[1], 290))
    assert other.match((*ids[1], 9))[1] == SHORTEST
    other.keep(prefix(ids[2], 10**4))  # larger than the room: held alone
    assert [other.match((*i, 9))[1] > 0 for i in ids] == [False, False, True, False]


def test_what_was_seen_is_remembered_in_a_bounded_memory() -> None:
    cache = PrefixCache(Room(1))
    for k in range(300):
        cache.worth((k, *range(2000)), 0)
    assert 190_000 < sum(map(len, cache._seen)) <= 200_000
    assert len(cache._seen_order._items) == len(cache._seen)
    assert cache.worth((299, *range(2000)), 0) == 2000
    assert cache.worth((0, *range(2000)), 0) == 0


def test_only_what_was_not_computed_counts_as_reused(build: Callable[..., Any], passes: list[int]) -> None:
    lab = build()
    shots = "Review: it broke after a week\nSentiment: negative\n\n" * 4
    for index in range(5):
        del passes[:]
        prompt = f"{shots}Review: number {index}\nSentiment:"
        outcome = lab.ask(prompt, max_tokens=1)
        assert sum(passes) == len(lab.codec.encode(prompt).ids) - outcome.reused
        assert (outcome.reused > 0) is (index >= 2)


def test_answers_are_the_same_with_and_without_a_prefix(build: Callable[..., Any]) -> None:
    shots = "Review: it broke after a week\nSentiment: negative\n\n" * 4
    prompts = [f"{shots}Review: number {index}\nSentiment:" for index in range(4)]
    warm, cold = build(), build()
    for prompt in prompts:
        warm.ask(prompt)
    for prompt in prompts:
        cold.engine._prefixes.clear()
        cold.engine._lanes.clear()
        again, alone = (x.ask(prompt, scored=True, top=2, tails=(" good", " bad")) for x in (warm, cold))
        assert again.reused > alone.reused == 0
        for a, b in zip(again.continuations, alone.continuations, strict=True):
            assert a.text == b.text
            assert [t.logprob for t in a.tail] == pytest.approx([t.logprob for t in b.tail], abs=1e-4, rel=0)
        scores = [[t.logprob for t in x.stem[1:]] for x in (again, alone)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4, rel=0)
