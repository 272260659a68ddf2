import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness_plugins.selectors.balanced import Balanced
from harness_plugins.selectors.diverse import Diverse
from harness_plugins.selectors.fixed import Fixed
from harness_plugins.selectors.nearest import Nearest
from harness_plugins.selectors.random import Random


def sentence(n):
    """Nine words drawn from many: no two sentences are nearly the same."""
    draw = random.Random(n)
    return " ".join("".join(draw.choices("abdefgiklmnoprstuvwz", k=draw.randint(3, 8))) for _ in range(9))


TRAIN = [harness.Example(fields={"text": sentence(n)}, label="aab bbc cccd"[n % 12].strip() or "d") for n in range(96)]
STRANGER = harness.Example(fields={"text": "seen nowhere"}, label="a")
SAME = [Fixed(), Random(), Balanced(), Diverse(per_item=False), Diverse(relevance=0)]
ALL = [*SAME, Random(per_item=True), Nearest(), Nearest(features="words"), Diverse()]


@pytest.mark.parametrize("selector", ALL, ids=repr)
@settings(max_examples=10)
@given(seed=st.integers(0, 50), k=st.integers(0, 12), data=st.data())
def test_picks_k_others_whatever_the_order_of_train(selector, seed, k, data):
    item = data.draw(st.sampled_from([*TRAIN, STRANGER]))
    shots = selector.fit(TRAIN, seed).pick(item, k)
    assert len({shot.id for shot in shots}) == k
    assert item not in shots
    assert list(selector.fit(TRAIN[::-1], seed).pick(item, k)) == list(shots)


@pytest.mark.parametrize("selector", ALL, ids=repr)
def test_never_shows_the_item_in_other_spelling(selector):
    few = TRAIN[:8]
    for example in few:
        item = harness.Example(fields={"text": example.text.upper() + "!"}, label="a")
        shots = selector.fit(few, 1).pick(item, 7)
        assert example.id not in {shot.id for shot in shots}
        with pytest.raises(harness.DataError, match=r"shots\.k = 8, but only 7"):
            selector.fit(few, 1).pick(item, 8)


@pytest.mark.parametrize("selector", ALL, ids=repr)
def test_never_shows_nearly_the_same_text(selector):
    few = TRAIN[:8]
    for example in few:
        item = harness.Example(fields={"text": f"{example.text} too"}, label="a")
        assert example.id not in {shot.id for shot in selector.fit(few, 1).pick(item, 7)}
        # The item may be a training example itself, with a near-duplicate beside it.
        twin = replace(item, label=example.label)
        shots = selector.fit([*few, twin], 1).pick(example, 7)
        assert not {example.id, twin.id} & {shot.id for shot in shots}


@pytest.mark.parametrize("selector", SAME, ids=repr)
def test_shows_every_item_the_same_and_another_seed_others(selector):
    picker = selector.fit(TRAIN, 3)
    usual = list(picker.pick(STRANGER, 8))
    shown = {shot.id for shot in usual}
    for item in TRAIN:
        shots = list(picker.pick(item, 8))
        if item.id not in shown:
            assert shots == usual
        else:
            assert sum(shot not in usual for shot in shots) == 1
    assert any(list(selector.fit(TRAIN, seed).pick(STRANGER, 8)) != usual for seed in range(3))


@pytest.mark.parametrize("selector", [Fixed(), Random(), Random(per_item=True), Balanced()], ids=repr)
def test_other_orders_show_the_same_shots_in_places_that_are_the_same_for_every_item(selector):
    picker = selector.fit(TRAIN, 3)
    usual = [list(picker.pick(item, 6)) for item in TRAIN]
    orders = []
    for order in range(1, 5):
        picker = replace(selector, order=order).fit(TRAIN, 3)
        other = [list(picker.pick(item, 6)) for item in TRAIN]
        places = [usual[0].index(shot) for shot in other[0]]
        orders.append(tuple(places))
        assert other == [[shots[place] for place in places] for shots in usual]
    assert len(set(orders)) == 4
    assert list(replace(selector, order=0).fit(TRAIN, 3).pick(STRANGER, 6)) == list(
        selector.fit(TRAIN, 3).pick(STRANGER, 6)
    )
    with pytest.raises(ValueError, match=r"order = -1, expected 0"):
        replace(selector, order=-1)


def test_picks_stay_what_they_were():
    """Answers that were bought are found again by their prompts: picks are promises."""
    picks = {
        type(selector).name: [TRAIN.index(shot) for shot in selector.fit(TRAIN, 3).pick(STRANGER, 5)]
        for selector in (Fixed(), Random(), Balanced())
    }
    assert picks == {
        "fixed": [83, 92, 47, 88, 57],
        "random": [85, 43, 48, 19, 36],
        "balanced": [49, 68, 29, 20, 63],
    }


def test_random_can_draw_for_each_item():
    picker = Random(per_item=True).fit(TRAIN, 3)
    assert list(picker.pick(TRAIN[0], 8)) != list(picker.pick(TRAIN[1], 8))
    assert list(picker.pick(TRAIN[0], 8)) == list(picker.pick(TRAIN[0], 8))


@given(seed=st.integers(0, 200), k=st.integers(0, 20))
def test_balanced_shows_classes_equally(seed, k):
    shown = Counter(shot.label for shot in Balanced().fit(TRAIN, seed).pick(STRANGER, k))
    counts = [shown[label] for label in "abcd"]
    assert max(counts) - min(counts) <= 1


def test_balanced_takes_from_others_what_a_class_lacks():
    train = [harness.Example(fields={"text": f"t{n}"}, label="rare" if n < 2 else "often") for n in range(20)]
    shown = Counter(shot.label for shot in Balanced().fit(train, 1).pick(STRANGER, 10))
    assert shown == {"rare": 2, "often": 8}


def test_balanced_ends_with_every_class_and_gives_the_surplus_to_every_class():
    last, surplus = Counter(), Counter()
    for seed in range(200):
        shots = Balanced().fit(TRAIN, seed).pick(STRANGER, 5)
        last[shots[-1].label] += 1
        surplus[Counter(shot.label for shot in shots).most_common(1)[0][0]] += 1
    assert min(last.values()) > 20
    assert min(surplus.values()) > 20
    assert set(last) == set(surplus) == set("abcd")


def test_a_substitute_is_of_the_same_class_in_the_same_place():
    picker = Balanced().fit(TRAIN, 5)
    usual = list(picker.pick(STRANGER, 8))
    for item in usual:
        shots = list(picker.pick(item, 8))
        assert [shot.label for shot in shots] == [shot.label for shot in usual]


def test_fixed_shows_the_named_ones_in_their_order():
    ids = (TRAIN[5].id, TRAIN[2].id, TRAIN[9].id)
    picker = Fixed(ids=ids).fit(TRAIN, 1)
    assert tuple(shot.id for shot in picker.pick(STRANGER, 3)) == ids
    assert tuple(shot.id for shot in picker.pick(TRAIN[5], 2)) == ids[1:]
    with pytest.raises(harness.DataError, match="only 3"):
        picker.pick(STRANGER, 4)
    with pytest.raises(harness.DataError, match='"nobody", which is no example of the train split'):
        Fixed(ids=("nobody",)).fit(TRAIN, 1)
