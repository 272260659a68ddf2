import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import harness
from harness_plugins.backends.classical import Classical

GOOD, BAD, FINE = ("great", "lovely", "superb"), ("awful", "broken", "poor"), ("usual", "plain", "average")


def reviews(classes, n=60, start=0):
    return [
        harness.Example(
            fields={"text": f"a {words[k % 3]} {('cable', 'camera')[k % 2]} no {k} {words[(k + 1) % 3]}"}, label=label
        )
        for k in range(start, start + n)
        for label, words in [classes[k % len(classes)]]
    ]


TWO = (("bad", BAD), ("good", GOOD))
THREE = (*TWO, ("fine", FINE))


def asked(examples):
    return [harness.Prompt(source=example.text, example_id=example.id) for example in examples]


def context(folder, labels=()):
    return harness.Context(arm="classical", labels=labels, folder=folder)


@pytest.mark.parametrize("classes", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("balanced", [False, True])
def test_answers_as_scikit_learn_does(tmp_path, classes, balanced):
    train, test = sorted(reviews(classes), key=lambda row: row.id), reviews(classes, 20, start=500)
    Classical(c=2.0, balanced=balanced).fit(train[::-1], [], tmp_path)
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    reference = LogisticRegression(C=2.0, max_iter=2000, class_weight="balanced" if balanced else None)
    reference.fit(vectoriser.fit_transform(row.text for row in train), [row.label for row in train])
    expected = reference.predict_proba(vectoriser.transform(row.text for row in test))
    with Classical(c=2.0).open(context(tmp_path)) as answer:
        answers = answer(asked(test))
        assert answer([]) == []
    got = np.array([[each.probabilities[label] for label in reference.classes_] for each in answers])
    assert got == pytest.approx(expected, abs=1e-3)
    assert [each.text for each in answers] == list(reference.classes_[expected.argmax(axis=1)])
    assert all(each.input_tokens is None and each.latency_s is None for each in answers)
    assert sum(each.text == row.label for each, row in zip(answers, test, strict=True)) == len(test)


def test_order_of_rows_changes_no_byte(tmp_path):
    for name, rows in (("a", reviews(THREE)), ("b", reviews(THREE)[::-1])):
        (tmp_path / name).mkdir()
        Classical().fit(rows, reviews(THREE, 12, start=900), tmp_path / name)
    assert (tmp_path / "a/classical.json").read_bytes() == (tmp_path / "b/classical.json").read_bytes()
    with np.load(tmp_path / "a/classical.npz") as first, np.load(tmp_path / "b/classical.npz") as second:
        assert first.files == second.files
        assert all((first[name] == second[name]).all() for name in first.files)


def test_the_penalty_is_chosen_on_validation_unless_it_is_given(tmp_path):
    train = reviews(TWO)
    swapped = {"good": "bad", "bad": "good"}
    # Labels that say the opposite: the less a model has learned, the better it does.
    against = [harness.Example(fields=row.fields, label=swapped[row.label]) for row in train]
    Classical().fit(train, against, tmp_path)
    assert json.loads((tmp_path / "classical.json").read_text())["c"] == 0.3
    Classical(c=5.0).fit(train, against, tmp_path)
    assert json.loads((tmp_path / "classical.json").read_text())["c"] == 5.0
    Classical().fit(train, [], tmp_path)
    assert json.loads((tmp_path / "classical.json").read_text())["c"] == 1.0


def test_a_label_that_train_lacks_has_no_probability(tmp_path):
    Classical(c=1.0).fit(reviews(TWO), [], tmp_path)
    with Classical().open(context(tmp_path, ("bad", "fine", "good"))) as answer:
        probabilities = answer(asked(reviews(TWO, 1)))[0].probabilities
    assert probabilities["fine"] == 0.0
    assert sum(probabilities.values()) == pytest.approx(1)


def test_says_what_is_wrong(tmp_path):
    with pytest.raises(harness.DataError, match="single class"):
        Classical().fit(reviews(TWO[:1]), [], tmp_path)
    with pytest.raises(harness.DataError, match="no word features"):
        Classical().fit([harness.Example(fields={"text": t}, label=t) for t in "?!"], [], tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(harness.DataError, match=r"no readable classical\.json"), Classical().open(context(tmp_path)):
        pass
    with pytest.raises(ValueError, match=r"ngrams = 0, expected a number above 0"):
        Classical(ngrams=0)


def test_a_pickle_is_no_model(tmp_path):
    Classical(c=1.0).fit(reviews(TWO), [], tmp_path)
    np.savez(tmp_path / "classical.npz", idf=np.array([object()]), coefficients=[1], intercepts=[1])
    with pytest.raises(harness.DataError, match="no readable"), Classical().open(context(tmp_path)):
        pass


def test_half_a_model_is_none(tmp_path):
    Classical(c=1.0).fit(reviews(TWO), [], tmp_path)
    whole = (tmp_path / "classical.npz").read_bytes()
    (tmp_path / "classical.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(harness.DataError, match="no readable"), Classical().open(context(tmp_path)):
        pass
