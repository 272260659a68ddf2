import json
import random

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import harness
from harness_plugins.backends.neighbours import Neighbours
from harness_plugins.selectors import _vectors

TOPICS = {
    "card": ("card", "chip", "payment", "terminal", "contactless", "declined", "cashier", "shop"),
    "trip": ("flight", "hotel", "passport", "airport", "luggage", "journey", "harbour", "island"),
    "food": ("soup", "bread", "kitchen", "pepper", "salad", "dinner", "recipe", "garlic"),
}


def rows(n, start=0, noise=0.0):
    made = []
    for number in range(start, start + n):
        draw = random.Random(number)
        topic = list(TOPICS)[number % 3]
        words = draw.choices(TOPICS[topic], k=3) + draw.choices([w for ws in TOPICS.values() for w in ws], k=5)
        label = draw.choice(list(TOPICS)) if draw.random() < noise else topic
        made.append(harness.Example(fields={"text": " ".join(words)}, label=label))
    return made


def asked(examples):
    return [harness.Prompt(source=example.text, example_id=example.id) for example in examples]


def context(folder, labels=()):
    return harness.Context(arm="neighbours", labels=labels, folder=folder)


def answers(folder, examples, labels=(), **options):
    with Neighbours(**options).open(context(folder, labels)) as answer:
        assert answer([]) == []
        return answer(asked(examples))


@pytest.mark.parametrize("features", ["characters", "words"])
@pytest.mark.parametrize("k", [1, 5])
def test_votes_as_scikit_learn_does(tmp_path, features, k):
    train, test = rows(150), rows(300, start=1000)
    Neighbours(k=k, features=features).fit(train[::-1], [], tmp_path)
    model = _vectors.vectoriser(features)
    points = model.fit_transform(row.text for row in train)
    reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=lambda away: 1 - away + 1e-12)
    reference.fit(points, [row.label for row in train])
    expected = reference.predict_proba(model.transform(row.text for row in test))
    got = answers(tmp_path, test, features=features)
    assert np.array([[one.probabilities[label] for label in reference.classes_] for one in got]) == pytest.approx(
        expected, abs=1e-3
    )
    assert all(one.probabilities[one.text] == max(one.probabilities.values()) for one in got)


def test_the_number_of_voters_is_chosen_on_validation_unless_it_is_given(tmp_path):
    def chosen(validation, **options):
        Neighbours(**options).fit(rows(300, noise=0.4), validation, tmp_path)
        return json.loads((tmp_path / "neighbours.json").read_text())["k"]

    assert chosen(rows(200, start=2000)) >= 8  # where every second label is wrong, one voter is a bad adviser
    assert chosen(rows(300, noise=0.4)) == 1  # the same rows again: the nearest one knows
    assert chosen(rows(300, noise=0.4), k=3) == 3
    assert chosen([]) == 8


def test_order_of_rows_changes_no_byte(tmp_path):
    for name, order in (("a", 1), ("b", -1)):
        (tmp_path / name).mkdir()
        Neighbours().fit(rows(60)[::order], rows(20, start=700)[::order], tmp_path / name)
    for file in ("neighbours.json", "neighbours.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_where_nothing_is_similar_the_classes_vote(tmp_path):
    Neighbours().fit(rows(9)[:4], [], tmp_path)
    (one,) = answers(tmp_path, [harness.Example(fields={"text": "0123 4567"}, label="")], labels=("other", *TOPICS))
    assert one.probabilities == {"card": 0.5, "food": 0.25, "other": 0.0, "trip": 0.25}
    assert one.text == "card"


def test_says_what_is_wrong(tmp_path):
    with pytest.raises(harness.DataError, match="no training examples"):
        Neighbours().fit([], [], tmp_path)
    with pytest.raises(harness.DataError, match=r"no readable neighbours\.json"):
        answers(tmp_path, [])
    with pytest.raises(ValueError, match=r"k = 0, expected 1 or more"):
        Neighbours(k=0)
    Neighbours().fit(rows(9), [], tmp_path)
    np.savez(tmp_path / "neighbours.npz", idf=np.array([object()]), answers=[0])  # a pickle is no model
    with pytest.raises(harness.DataError, match="no readable"):
        answers(tmp_path, [])
