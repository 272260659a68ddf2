import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prepare.signals import label_errors, label_findings
from harness.prepare.signals.corpus import read_corpus
from harness.prepare.signals.features import MAX_FEATURES, features, word_vectors
from harness.prepare.signals.label_findings import label_signals
from harness.types import Example

WORDS = {
    "1": ("awful", "broken", "refund", "worst", "useless", "angry"),
    "3": ("average", "okay", "fair", "decent", "mixed", "usable"),
    "5": ("great", "love", "perfect", "excellent", "happy", "best"),
}
COMMON = ("the", "camera", "phone", "battery", "screen", "box", "price", "sound", "it", "was", "and", "with")


def reviews(n=300, seed=0):
    draw = random.Random(seed)
    made = []
    for number in range(n):
        label = draw.choice(list(WORDS))
        words = draw.sample(WORDS[label], 2) + draw.sample(COMMON, 5)
        made.append(Example(fields={"text": " ".join([*draw.sample(words, 7), str(number)])}, label=label))
    return made


def wrong(examples, n=9):
    """Gives the first `n` another label."""
    other = {"1": "5", "3": "1", "5": "1"}
    return [replace(row, label=other[row.label]) if place < n else row for place, row in enumerate(examples)]


def search(examples, seed=7):
    found = label_signals(read_corpus(examples, seed), seed)
    return found.checks[0], found.ranked[0] if found.ranked else None


def test_finds_wrong_labels_and_says_which_is_more_likely():
    examples = wrong(reviews())
    check, ranked = search(examples)
    assert {item.id for item in ranked.items} == {row.id for row in examples[:9]}
    assert [item.score for item in ranked.items] == sorted((item.score for item in ranked.items), reverse=True)
    truth = {row.id: row.label for row in reviews()}
    given_label = {row.id: row.label for row in examples}
    for item in ranked.items:
        apart = abs(int(truth[item.id]) - int(given_label[item.id]))
        assert item.note.startswith(f'"{given_label[item.id]}" → more likely "{truth[item.id]}" (')
        assert item.note.endswith(f", {apart} apart)")
    assert check.level == "warning"
    assert check.figures["likely_errors"] == 9
    assert check.figures["share"] == 9 / 300
    assert check.figures["planted"] == 15
    assert check.figures["planted_found"] > 0.6
    assert check.advice


def test_right_labels_are_left_alone():
    check, ranked = search(reviews())
    assert check.level == "ok"
    assert check.figures["likely_errors"] == 0
    assert check.advice == ""
    assert ranked is None


def test_where_words_tell_nothing_the_self_test_says_so():
    draw = random.Random(3)
    examples = [replace(row, label=draw.choice("abc")) for row in reviews()]
    check, _ = search(examples)
    assert check.figures["planted_found"] < label_findings.WEAK
    assert check.level == "ok"


@settings(max_examples=5, deadline=None)
@given(st.randoms(), st.integers(0, 5))
def test_the_order_of_the_rows_changes_nothing(shuffle, seed):
    examples = wrong(reviews(120), 5)
    assert search(shuffle.sample(examples, len(examples)), seed) == search(examples, seed)


def test_small_classes_are_left_out_and_told():
    examples = reviews(60) + [Example(fields={"text": f"rare {n}"}, label="rare") for n in range(4)]
    check, _ = search(examples)
    assert check.figures["classes_left_out"] == 1
    assert "1 class was not judged" in check.message
    assert check.figures["rows_looked_at"] == 60


@pytest.mark.parametrize(
    ("examples", "why"),
    [
        (reviews(4), "fewer than two classes"),
        ([Example(fields={"text": chr(97 + n)}, label="ab"[n % 2]) for n in range(20)], "no two texts share a word"),
        ([Example(fields={"text": "!"}, label="ab"[n % 2], id=str(n)) for n in range(20)], "no two texts share a word"),
    ],
)
def test_says_why_labels_cannot_be_judged(examples, why):
    check, ranked = search(examples)
    assert why in check.message
    assert check.level == "ok"
    assert ranked is None


def test_a_group_gives_no_evidence_for_its_own_rows():
    """Each group repeats a phrase of its own under one label: only a model that saw the group could learn it."""
    draw = random.Random(1)
    examples = []
    for group in range(40):
        label = draw.choice("ab")
        for number in range(5):
            text = f"phrase{group} signed{group} {draw.choice(COMMON)} {number}"
            examples.append(Example(fields={"text": text}, label=label, group=f"g{group}"))
    apart, _ = search([replace(row, group=None) for row in examples])
    together, _ = search(examples)
    assert apart.figures["model_accuracy"] > 0.9
    assert together.figures["model_accuracy"] < 0.75


labels_and_groups = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, "a", "b", "c", "d"])), min_size=1)


@given(labels_and_groups)
def test_folds_keep_groups_together(rows):
    fold = label_errors.folds(np.array([code for code, _ in rows]), [group for _, group in rows])
    assert set(fold) <= set(range(label_errors.FOLDS))
    for group in {group for _, group in rows} - {None}:
        assert len({number for number, (_, own) in zip(fold, rows, strict=True) if own == group}) == 1


@given(st.lists(st.integers(0, 3), min_size=1))
def test_folds_spread_each_class(codes):
    fold = label_errors.folds(np.array(codes), [None] * len(codes))
    for code in set(codes):
        sizes = np.bincount(fold[np.array(codes) == code], minlength=label_errors.FOLDS)
        assert sizes.max() - sizes.min() <= 1


def test_the_largest_groups_are_placed_first():
    """Six rows in one group and 24 alone: only if the group comes first have all folds six rows."""
    groups = [None] * 24 + ["g"] * 6
    fold = label_errors.folds(np.zeros(30, dtype=np.int64), groups)
    assert np.bincount(fold).tolist() == [6] * label_errors.FOLDS


def test_a_class_needs_five_groups():
    labels = ["a"] * 10 + ["b"] * 5 + ["c"] * 4 + [""] * 9
    groups = ["one"] * 5 + ["two"] * 5 + [None] * 4 + ["g"] + [None] * 13
    assert label_errors.usable(labels, groups, 10) == ("b",)
    assert label_errors.usable(labels, [None] * 28, 10) == ("a", "b")
    assert label_errors.usable(labels, [None] * 28, 1) == ("a",)


def test_a_row_whose_class_the_other_folds_lack_is_not_judged():
    examples = reviews(60)
    codes = np.array([list(WORDS).index(row.label) for row in examples])
    fold = np.arange(60) % label_errors.FOLDS
    codes[:5], fold[:5] = 3, 0
    judged = label_errors.judge(features([tuple(row.text.split()) for row in examples]), codes, fold)
    assert judged.places.tolist() == list(range(5, 60))
    assert not np.isin(judged.other[fold[5:] != 0], [3]).all()


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_probabilities_and_scores_stay_in_bounds(data):
    text = st.lists(st.sampled_from(COMMON), min_size=1, max_size=5).map(tuple)
    words = data.draw(st.lists(text, min_size=12, max_size=30))
    vectors = features([*words, words[0]])
    codes = np.arange(len(words) + 1) % 2
    judged = label_errors.judge(vectors, codes, label_errors.folds(codes, [None] * len(codes)))
    assert ((judged.p_given >= 0) & (judged.p_given + judged.p_other <= 1 + 1e-9)).all()
    assert ((judged.scores >= 0) & (judged.scores <= 1)).all()
    assert (judged.other != judged.given).all()
    assert sorted(judged.ranking) == list(range(len(codes)))
    assert (np.diff(judged.scores[judged.ranking]) <= 1e-9).all()


def test_the_confident_joint_by_hand():
    """Thresholds are the mean self-confidence of each class; rows above another class's threshold are filed there."""
    words = [("good", "fine")] * 10 + [("bad", "poor")] * 10
    codes = np.array([0] * 9 + [1] + [1] * 10)
    fold = label_errors.folds(codes, [None] * 20)
    judged = label_errors.judge(features(words), codes, fold)
    assert judged.confident.tolist() == [False] * 9 + [True] + [False] * 10
    assert judged.ranking[0] == 9
    assert judged.likely.tolist() == [9]
    assert judged.other[9] == 0
    assert judged.accuracy == 19 / 20


@pytest.mark.parametrize(("share", "n", "draws"), [(0.001, 1, 5), (0.05, 6, 5), (0.5, 60, 4), (1.0, 120, 2)])
def test_small_data_are_tried_several_times(monkeypatch, share, n, draws):
    examples = reviews(120)
    codes = np.array([list(WORDS).index(row.label) for row in examples])
    seen = []

    def planted(given, size, draw):
        seen.append((size, draw.integers(10**9)))
        return given, np.arange(size)

    monkeypatch.setattr(label_errors, "planted", planted)
    vectors = features([tuple(row.text.split()) for row in examples])
    fold = label_errors.folds(codes, [None] * 120)
    told, found = label_errors.self_test(vectors, codes, fold, -3, share)
    assert told == n
    assert seen == [(n, np.random.default_rng([3, draw]).integers(10**9)) for draw in range(draws)]
    first = label_errors.judge(vectors, codes, fold)
    assert found == pytest.approx(np.isin(np.arange(n), first.places[first.ranking[:n]]).mean())


def test_planted_errors_are_real_changes():
    codes = np.arange(100) % 4
    changed, places = label_errors.planted(codes, 10, np.random.default_rng(0))
    assert sorted(np.flatnonzero(changed != codes)) == sorted(places)
    assert set(changed) <= set(range(4))
    assert len(set(places.tolist())) == 10


def test_vectors_have_unit_length_for_each_kind_and_few_terms():
    words = [tuple(row.text.split()) for row in reviews(50)]
    vectors = features(words)
    assert vectors.shape[0] == 50
    assert vectors.shape[1] <= 2 * MAX_FEATURES
    assert np.allclose(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel(), 2.0, atol=1e-5)
    assert features([(), ()]) is None
    assert word_vectors([("a",), ("b",)]) is None
    assert word_vectors([(), ()]) is None
    assert word_vectors([("a", "b"), ("a", "c")]).shape == (2, 1)


def test_pairs_of_words_tell_what_single_words_do_not():
    words = [("not", "good", "but", "bad"), ("not", "bad", "but", "good")] * 2
    first, second = features(words).toarray()[:2]
    assert not np.allclose(first, second)


def test_only_a_part_is_judged_where_there_is_much(monkeypatch):
    monkeypatch.setattr(label_findings, "MAX_ROWS", 100)
    check, _ = search(reviews(150))
    assert check.figures["rows_looked_at"] == 100
    assert check.figures["rows"] == 150
    assert "of 100 rows looked at (of 150)" in check.message


def test_a_list_has_at_most_200_rows(monkeypatch):
    monkeypatch.setattr(label_findings, "MAX_ITEMS", 3)
    check, ranked = search(wrong(reviews()))
    assert check.figures["likely_errors"] == 9
    assert len(ranked.items) == 3


@pytest.mark.parametrize(("a", "b", "told"), [("1", "4.5", 3.5), ("-1", "1", 2), ("a", "1", None), ("nan", "1", None)])
def test_distance_is_told_for_numbers_alone(a, b, told):
    assert label_findings.distance(a, b) == told


@pytest.mark.parametrize(("rows", "classes"), [(60, 1), (60, 2), (500, 4)])
def test_the_model_is_scikit_learn_s_naive_bayes_to_the_last_digit(rows, classes):
    from scipy.sparse import random_array
    from sklearn.naive_bayes import MultinomialNB

    draw = np.random.default_rng(rows + classes)
    vectors = random_array((rows, 300), density=0.05, rng=draw, format="csr")
    codes = draw.integers(0, classes, rows)
    codes[0] = classes  # one row of a class of its own: its own fold's model has never seen it
    fold = draw.integers(0, label_errors.FOLDS, rows)
    expected = np.full((rows, classes + 1), -np.inf)
    for each in range(label_errors.FOLDS):
        model = MultinomialNB(alpha=label_errors.SMOOTHING).fit(vectors[fold != each], codes[fold != each])
        expected[np.ix_(fold == each, model.classes_)] = model.predict_log_proba(vectors[fold == each])
    np.testing.assert_array_equal(label_errors._out_of_fold(vectors, codes, fold), expected)
    assert np.isneginf(expected[0, classes])
