import pytest

import harness
from harness_plugins.backends.majority import Majority


def examples(labels):
    return [harness.Example(fields={"text": str(n)}, label=label) for n, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "known", "text", "probabilities"),
    [
        ("aab", ("a", "b"), "a", {"a": 2 / 3, "b": 1 / 3}),
        ("abbc", ("c", "a", "b"), "b", {"c": 0.25, "a": 0.25, "b": 0.5}),
        ("ab", ("b", "a"), "b", {"a": 0.5, "b": 0.5}),
        ("aab", ("a", "b", "c"), "a", {"a": 2 / 3, "b": 1 / 3, "c": 0.0}),
    ],
)
def test_answers_the_largest_class(tmp_path, labels, known, text, probabilities):
    Majority().fit(examples(labels), examples("bbbbbb"), tmp_path)
    with Majority().open(harness.Context(labels=known, folder=tmp_path)) as answer:
        answers = answer([harness.Prompt(source="x"), harness.Prompt(source="y")])
    assert [each.text for each in answers] == [text, text]
    assert answers[0].probabilities == probabilities


def test_says_what_is_missing(tmp_path):
    with pytest.raises(harness.DataError, match="no training examples"):
        Majority().fit([], [], tmp_path)
    context = harness.Context(arm="base", folder=tmp_path)
    with pytest.raises(harness.DataError, match=r'arm "base" has no readable majority\.json'), Majority().open(context):
        pass
