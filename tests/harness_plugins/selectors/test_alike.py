"""Shots by likeness: nearest and diverse, over TF-IDF and over an endpoint's vectors."""

from __future__ import annotations

import base64
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from support.provider.embeddings import vector

import harness
from harness_plugins.selectors import _vectors
from harness_plugins.selectors._embeddings import Embeddings
from harness_plugins.selectors.diverse import Diverse
from harness_plugins.selectors.nearest import Nearest

TOPICS = {
    "card": ("card", "chip", "payment", "terminal", "contactless", "declined", "cashier", "shop"),
    "trip": ("flight", "hotel", "passport", "airport", "luggage", "journey", "harbour", "island"),
    "food": ("soup", "bread", "kitchen", "pepper", "salad", "dinner", "recipe", "garlic"),
}


def example(seed: int, topic: str) -> harness.Example:
    draw = random.Random(f"{topic} {seed}")
    return harness.Example(fields={"text": " ".join(draw.choices(TOPICS[topic], k=7))}, label=topic)


TRAIN = [example(seed, topic) for seed in range(30) for topic in TOPICS]
ITEMS = [example(seed, topic) for seed in range(900, 940) for topic in TOPICS]
VECTORS = {each.text: vector(each.text) for each in (*TRAIN, *ITEMS)}
EMBEDDED = Embeddings(endpoint="e", model="m")


def shown(picker: object, item: harness.Example, k: int = 4) -> list[str]:
    return [shot.text for shot in picker.pick(item, k)]  # type: ignore[attr-defined]


def test_the_nearest_are_those_of_scikit_learn_and_the_closest_stands_last() -> None:
    model = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    cosines = (model.fit_transform(e.text for e in TRAIN) @ model.transform(e.text for e in ITEMS).T).toarray()
    picked = Nearest().fit(TRAIN, 1).pick_all(ITEMS, 4)
    for place, (item, shots) in enumerate(zip(ITEMS, picked, strict=True)):
        mine = [cosines[TRAIN.index(shot), place] for shot in shots]
        allowed = [
            cosine
            for each, cosine in zip(TRAIN, cosines[:, place], strict=True)
            if harness.nearly_same(harness.shingles(each.text), harness.shingles(item.text)) is None
        ]
        assert mine == pytest.approx(sorted(allowed)[-4:], abs=1e-4)
        assert {shot.label for shot in shots} == {item.label}
    first = Nearest(order="closest-first").fit(TRAIN, 1).pick_all(ITEMS, 4)
    assert [list(shots)[::-1] for shots in first] == [list(shots) for shots in picked]


@pytest.mark.parametrize("selector", [Nearest(), Nearest(features="words"), Diverse()], ids=repr)
@pytest.mark.parametrize("vectors", [None, VECTORS], ids=["tf-idf", "embeddings"])
def test_neither_the_order_of_rows_nor_the_other_items_change_a_pick(selector, vectors) -> None:
    expected = selector.fit(TRAIN, 1, vectors=vectors).pick_all(ITEMS, 5)
    for seed in range(3):
        rows, items = random.Random(seed).sample(TRAIN, len(TRAIN)), random.Random(seed).sample(ITEMS, len(ITEMS))
        picker = selector.fit(rows, seed, vectors=vectors)
        assert [expected[ITEMS.index(item)] for item in items] == picker.pick_all(items, 5)
        assert [list(picker.pick(item, 5)) for item in items[:9]] == [
            list(expected[ITEMS.index(item)]) for item in items[:9]
        ]


def test_equally_similar_ones_are_told_apart_by_content() -> None:
    twins = [harness.Example(fields={"text": text}, label="a") for text in ("soup card", "card soup", "soup, card")]
    far = [harness.Example(fields={"text": f"flight {word}"}, label="b") for word in TOPICS["trip"]]
    item = harness.Example(fields={"text": "nothing in common 0123"}, label="a")
    pool = [*twins, *far]
    picked = {
        tuple(shown(Nearest(features="words").fit(random.Random(n).sample(pool, len(pool)), n), item, 3))
        for n in range(8)
    }
    assert len(picked) == 1


@given(st.integers(1, 40), st.integers(1, 60), st.randoms())
@settings(max_examples=60)
def test_top_is_a_stable_sort(m: int, n: int, draw: random.Random) -> None:
    row = np.array([draw.randint(0, 6) for _ in range(n)], dtype=np.float32)
    assert _vectors.top(row, m) == np.argsort(-row, kind="stable")[:m].tolist()


def test_spread_is_maximal_marginal_relevance_as_it_is_defined() -> None:
    draw = np.random.default_rng(4)
    points = draw.normal(size=(25, 6))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    alike, relevance = points @ points.T, points @ points[0]
    for weight in (0.0, 0.3, 0.5, 0.9, 1.0):
        expected: list[int] = [int(relevance.argmax())] if weight else [3]
        while len(expected) < 7:
            rest = [place for place in range(25) if place not in expected]
            expected.append(
                max(rest, key=lambda p: weight * relevance[p] - (1 - weight) * max(alike[p][q] for q in expected))
            )
        first = None if weight else 3
        assert _vectors.spread(relevance, alike.__getitem__, weight, 7, first=first) == expected


def test_relevance_is_weighed_against_difference() -> None:
    def within(shots: object) -> float:
        rows = np.array([vector(shot.text) for shot in shots])  # type: ignore[attr-defined]
        return float((rows @ rows.T).sum())

    def near(item: harness.Example, shots: object) -> float:
        return sum(float(np.dot(vector(item.text), vector(shot.text))) for shot in shots)  # type: ignore[attr-defined]

    for item in ITEMS[:6]:
        sets = [Diverse(relevance=w).fit(TRAIN, 1, vectors=VECTORS).pick(item, 5) for w in (0.2, 1.0)]
        assert within(sets[0]) < within(sets[1])
        assert near(item, sets[0]) < near(item, sets[1])
    pure = [shot.id for shot in Diverse(relevance=1).fit(TRAIN, 1).pick(ITEMS[0], 5)]
    assert pure == [shot.id for shot in Nearest().fit(TRAIN, 1).pick(ITEMS[0], 5)]


@pytest.mark.parametrize("vectors", [None, VECTORS], ids=["tf-idf", "embeddings"])
def test_one_diverse_set_covers_the_topics_and_is_drawn(vectors) -> None:
    sets = [shown(Diverse(relevance=0).fit(TRAIN, seed, vectors=vectors), ITEMS[0], 3) for seed in range(6)]
    labels = {each.text: each.label for each in TRAIN}
    assert all({labels[text] for text in texts} == set(TOPICS) for texts in sets)
    assert len(set(map(tuple, sets))) > 1
    assert len({shown(Diverse(per_item=False).fit(TRAIN, seed), ITEMS[0], 3)[0] for seed in range(6)}) > 1


def test_one_set_serves_every_item_even_if_most_of_it_is_taken_away() -> None:
    picker = Diverse(per_item=False).fit(TRAIN[:24], 1)
    usual = shown(picker, ITEMS[0], 20)
    for item in TRAIN[:24]:
        texts = shown(picker, item, 20)
        assert item.text not in texts
        assert [text for text in usual if text in texts] == texts[: len(texts) - (item.text in usual)]


@pytest.mark.parametrize(
    ("options", "message"), [({"relevance": 1.5}, "relevance = 1.5"), ({"pool": 0}, "pool = 0, expected 1 or more")]
)
def test_options_out_of_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        Diverse(**options)


def test_what_cannot_be_compared() -> None:
    empty = [harness.Example(fields={"text": "?"}, label="a", id=str(n)) for n in range(2)]
    with pytest.raises(harness.DataError, match="training texts cannot be compared"):
        Nearest(features="words").fit(empty, 1)


# Embeddings: what is asked, and what is made of what comes


def reply(call: harness.Call, data: object) -> harness.Reply:
    return harness.Reply({"data": data}, call)


def rows(call: harness.Call, packed: bool) -> list[dict[str, object]]:
    given = [vector(text) for text in call.body["input"]]
    return [
        {
            "index": n,
            "embedding": base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() if packed else v,
        }
        for n, v in enumerate(given)
    ]


def test_texts_go_in_parts_each_once_whatever_their_order() -> None:
    texts = [each.text for each in TRAIN]
    calls = Nearest(embeddings=EMBEDDED).embedding_calls([*texts, *texts])
    assert [len(call.body["input"]) for call in calls] == [64, 26]
    assert {(call.endpoint, call.path) for call in calls} == {("e", "/embeddings")}
    assert sorted(text for call in calls for text in call.body["input"]) == sorted(texts)
    assert calls == Nearest(embeddings=EMBEDDED).embedding_calls(texts[::-1])
    assert list(calls[0].body) == ["model", "input", "encoding_format"]
    assert EMBEDDED.calls([]) == Nearest().embedding_calls(texts) == ()
    sized = Embeddings(endpoint="e", model="m", dimensions=8).calls(["a"])[0]
    assert sized.body["dimensions"] == 8


def test_long_and_empty_texts_are_sent_so_that_they_are_answered() -> None:
    (call,) = EMBEDDED.calls(["", "ü" * 9_000])
    assert call.body["input"] == [" ", "ü" * 4_000]
    long = [f"{n} " + "x" * 7_000 for n in range(50)]
    assert [len(call.body["input"]) for call in EMBEDDED.calls(long)] == [35, 15]


@pytest.mark.parametrize("packed", [True, False])
def test_vectors_are_read_by_their_places(packed: bool) -> None:
    calls = EMBEDDED.calls([each.text for each in TRAIN])
    read = Nearest(embeddings=EMBEDDED).read_embeddings([reply(call, rows(call, packed)[::-1]) for call in calls])
    assert read.keys() == {each.text for each in TRAIN}
    assert all(read[text] == pytest.approx(VECTORS[text], abs=1e-6) for text in read)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: None,
        lambda data: [{**each, "index": 0} for each in data],
        lambda data: [{"index": 0}, *data[1:]],
        lambda data: [{"index": 0, "embedding": "no base64!"}, *data[1:]],
        lambda data: [{"index": 0, "embedding": [1.0, float("nan")]}, *data[1:]],
        lambda data: [{"index": 0, "embedding": [1.0]}, *data[1:]],
        lambda data: [{"index": 0, "embedding": [[1.0]]}, *data[1:]],
        lambda data: "text",
    ],
)
def test_what_is_no_vector_is_refused(spoil) -> None:
    (call,) = EMBEDDED.calls(["one", "two"])
    with pytest.raises(harness.DataError, match="embeddings: "):
        Nearest(embeddings=EMBEDDED).read_embeddings([reply(call, spoil(rows(call, packed=True)))])


def test_vectors_that_are_given_decide() -> None:
    points = {each.text: [0.0, 1.0] for each in TRAIN}
    close = TRAIN[7]
    points[close.text], points[ITEMS[0].text] = [1.0, 0.05], [2.0, 0.0]
    assert shown(Nearest(embeddings=EMBEDDED).fit(TRAIN, 1, vectors=points), ITEMS[0], 3)[-1] == close.text
