import json
import math
from collections import Counter
from dataclasses import replace

import pytest
from support.preparing import prepared_alone

from harness.errors import DataError
from harness.prepare.leaks import find_leaks
from harness.prepare.normalise import fold
from harness.prepare.options import Fractions, PrepareOptions
from harness.prepare.stage import prepare
from harness.prepare.training import training_file
from harness.types import Example, Split

WORDS = ("good", "bad", "fine", "broken", "battery", "screen", "price", "sound", "case", "cable")


def example(text, label, **more):
    return Example(fields={"text": text}, label=label, **more)


def reviews(n=60):
    """Texts that are neither duplicates nor near ones, of two classes."""
    return [
        example(
            f"{number:04d} {WORDS[number % 10]} {WORDS[number // 10 % 10]} {number * 7919 % 9973}", "xy"[number % 2]
        )
        for number in range(n)
    ]


def check(prepared, kind):
    return next((check for check in prepared.checks if check.kind == kind), None)


def test_removed_rows_are_counted_by_rule():
    sentence = "the battery of this camera lasts for a whole week of holidays"
    loaded = [
        *reviews(),
        example("", "x"),
        example(" \u200b!", "y"),
        example("no label here at all", ""),
        example("Same text.", "x"),
        example("same TEXT", "x"),
        example("same, text", "y"),
        example(sentence, "x"),
        example(sentence + "s", "y"),
    ]
    prepared = prepared_alone(loaded, PrepareOptions())
    assert prepared.removed == {
        "missing-labels": 1,
        "empty-texts": 2,
        "exact-duplicates": 1,
        "conflicting-duplicates": 1,
        "near-duplicates": 1,
        "conflicting-clusters": 0,
        "downsampled": 0,
    }
    kept = [row for row in prepared.examples if fold(row.text) == "same text"]
    assert [row.label for row in kept] == ["x"]
    assert check(prepared, "conflicting-duplicates").level == "warning"
    assert check(prepared, "near-duplicates").figures["clusters"] == 1
    assert check(prepared, "conflicting-near-duplicates").figures["clusters"] == 1
    assert check(prepared, "rows").figures["rows_in"] == len(loaded)
    exact = prepared_alone(loaded, PrepareOptions(duplicates="exact"))
    assert exact.removed["near-duplicates"] == 0
    assert len(exact.examples) == len(prepared.examples) + 1


@pytest.mark.parametrize(("n", "level"), [(54, "ok"), (53, "warning")])
def test_where_more_than_a_tenth_goes_it_is_worth_a_look(n, level):
    rows = reviews(n)
    prepared = prepared_alone([*rows, *rows[: 60 - n]], PrepareOptions(duplicates="exact"))
    found = check(prepared, "exact-duplicates")
    assert (found.figures["rows"], found.level, bool(found.advice)) == (60 - n, level, level == "warning")


def test_repeated_ids_get_numbers_where_duplicates_stay():
    same = [example("the same", "x"), example("the same", "x"), example("the same", "y")]
    taken = example("another", "y", id=same[0].id + "-2")
    prepared = prepared_alone([*reviews(), *same, taken], PrepareOptions(duplicates="off"))
    base = same[0].id
    ids = {row.id for row in prepared.examples if row.text == "the same"}
    assert ids == {base, f"{base}-3", f"{base}-4"}
    assert len({row.split for row in prepared.examples if row.text == "the same"}) == 1


def test_given_splits_keep_their_rows_and_leaks_are_found():
    loaded = [replace(row, split=Split.TEST if n % 4 == 0 else Split.TRAIN) for n, row in enumerate(reviews(80))]
    sentence = "the battery of this camera lasts for a whole week of holidays"
    loaded += [
        example("A leaked text", "x", split=Split.TRAIN),
        example("a leaked text!", "x", split=Split.TEST),
        example("twice in train", "x", split=Split.TRAIN),
        example("twice in train.", "x", split=Split.TRAIN),
        example(sentence, "y", split=Split.TRAIN),
        example(sentence + "s", "y", split=Split.TEST),
    ]
    no_validation = Fractions(train=0.8, validation=0, test=0.2)
    prepared = prepared_alone(loaded, PrepareOptions(split=no_validation))
    assert sum(prepared.removed.values()) == 1
    assert Counter(leak.kind for leak in prepared.leaks) == {"exact": 1, "near": 1}
    text_of = {row.id: row.text for row in prepared.examples}
    assert {(text_of[leak.a], text_of[leak.b]) for leak in prepared.leaks} == {
        ("a leaked text!", "A leaked text"),
        (sentence + "s", sentence),
    }
    assert check(prepared, "exact-leak").level == check(prepared, "near-leak").level == "error"
    assert check(prepared, "exact-leak").figures["test_examples"] == 1
    assert find_leaks(prepared.examples) == prepared.leaks
    cut = prepared_alone(loaded, PrepareOptions())
    assert len(cut.of("test")) == len(prepared.of("test"))
    assert len(cut.of("validation")) == 7
    assert all(leak.split_a == Split.TEST for leak in cut.leaks)


def test_a_validation_leak_is_a_warning_and_a_group_leak_is_found():
    loaded = [replace(row, split=list(Split)[n % 3]) for n, row in enumerate(reviews())]
    loaded += [
        example("seen before", "x", split=Split.VALIDATION),
        example("seen before", "x", split=Split.TRAIN),
        example("of one author", "x", split=Split.TEST, group="author"),
        example("by the same hand", "y", split=Split.TRAIN, group="author"),
    ]
    prepared = prepared_alone(loaded, PrepareOptions())
    assert check(prepared, "exact-leak").level == "warning"
    assert check(prepared, "group-leak").level == "error"
    assert [leak.kind for leak in prepared.leaks] == ["exact", "group"]


def test_each_leaked_test_row_is_named_however_many_copies_there_are():
    loaded = [replace(row, split=Split.TRAIN if n % 2 else Split.TEST) for n, row in enumerate(reviews())]
    loaded += [example("copy", "x", split=Split.TEST, id=f"t{n}") for n in range(3)]
    loaded += [example("copy", "x", split=Split.TRAIN, id=f"r{n}") for n in range(2)]
    prepared = prepared_alone(
        loaded, PrepareOptions(duplicates="off", split=Fractions(train=0.8, validation=0, test=0.2))
    )
    assert [leak.a for leak in prepared.leaks] == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(("b", "a"), ("a", "b")), (("10", "9", "1"), ("1", "9", "10")), (("0.5", "-1", "2"), ("-1", "0.5", "2"))],
)
def test_labels_are_sorted_as_numbers_where_they_are(labels, expected):
    loaded = [replace(row, label=labels[n % len(labels)]) for n, row in enumerate(reviews())]
    assert prepared_alone(loaded, PrepareOptions()).labels == expected


def test_labels_outside_the_set_are_refused_with_the_nearest():
    loaded = [replace(row, label=("positive", "negative", "positve")[n % 3]) for n, row in enumerate(reviews())]
    with pytest.raises(DataError, match=r'label "positve" \(20 rows.*\n.*did you mean "positive"'):
        prepared_alone(loaded, PrepareOptions(labels=("negative", "positive")))
    given = ("positve", "neutral", "negative", "positive")
    prepared = prepared_alone(loaded, PrepareOptions(labels=given, ordered=True))
    assert prepared.labels == given
    assert check(prepared, "missing-class").figures["labels"] == ["neutral"]


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        ([], "no usable rows"),
        ([example("", "x")], "no usable rows: 1 for empty-texts"),
        ([example(str(n), "x") for n in range(9)], 'all 9 usable rows have the label "x"'),
    ],
)
def test_says_why_there_is_nothing_to_do(loaded, message):
    with pytest.raises(DataError) as caught:
        prepare(loaded, PrepareOptions())
    assert message in caught.value.message


def test_order_without_numbers_must_be_told():
    loaded = [replace(row, label=("low", "mid", "high")[n % 3]) for n, row in enumerate(reviews())]
    with pytest.raises(DataError, match=r"list dataset\.labels"):
        prepare(loaded, PrepareOptions(ordered=True))


def test_the_fingerprint_is_that_of_the_loaded_rows():
    loaded = reviews()
    fingerprint = prepared_alone(loaded, PrepareOptions()).fingerprint
    assert prepared_alone(loaded[::-1], PrepareOptions(seed=5, duplicates="off")).fingerprint == fingerprint
    assert prepared_alone([*loaded, loaded[0]], PrepareOptions()).fingerprint != fingerprint
    assert prepared_alone([replace(loaded[0], label="y"), *loaded[1:]], PrepareOptions()).fingerprint != fingerprint


def test_personal_data_is_counted_masked_or_an_error():
    secret = "sk-" + "a1B2" * 6
    found = {
        "email": "write to jane.doe@example.org today",
        "phone": "call +44 20 7946 0958 now",
        "card": "paid with 4111 1111 1111 1111 there",
        "key": f"the key is {secret} ok",
    }
    loaded = [*reviews(), *(example(text, "x") for text in found.values()), example("order 4111 1111 1111 1112", "y")]
    warned = check(prepared_alone(loaded, PrepareOptions()), "personal-data")
    assert warned.level == "warning"
    assert warned.figures == dict.fromkeys(found, 1)
    assert check(prepared_alone(loaded, PrepareOptions(pii="stop")), "personal-data").level == "error"
    masked = prepared_alone(loaded, PrepareOptions(pii="mask"))
    told = "\n".join(row.text for row in masked.examples)
    assert all(f"[{kind.upper()}]" in told for kind in found)
    assert secret not in told
    assert "jane" not in told
    assert "4111 1111 1111 1112" in told
    assert {row.id for row in masked.examples} != {row.id for row in prepared_alone(loaded, PrepareOptions()).examples}
    assert check(prepared_alone(reviews(), PrepareOptions()), "personal-data") is None


def test_unbalanced_and_small_data_is_said():
    loaded = [replace(row, label="x" if n < 55 else "y") for n, row in enumerate(reviews())]
    prepared = prepared_alone(loaded, PrepareOptions())
    balance = check(prepared, "class-balance")
    assert balance.level == "warning"
    assert balance.figures["classes"] == {"x": 55, "y": 5}
    assert balance.figures["ratio"] == 11.0
    shares = (55 / 60, 5 / 60)
    assert balance.figures["entropy_bits"] == pytest.approx(-sum(share * math.log2(share) for share in shares))
    assert check(prepared, "few-test-rows").figures["test"] == len(prepared.of("test"))


class Lines:
    name = "lines"

    def training_line(self, row, labels):
        return {"prompt": row.text, "completion": row.label}


def test_a_training_file_is_shuffled_by_seed_and_the_same_on_repeat():
    rows = [example(f"text {n} \u00e9\u2028", "x") for n in range(50)] + [example("\ud800", "y")]
    content = training_file(rows, Lines(), ("x", "y"), 3)
    assert training_file(rows[::-1], Lines(), ("x", "y"), 3) == content
    assert training_file(rows, Lines(), ("x", "y"), 4) != content
    lines = [json.loads(line) for line in content.decode("utf-8").split("\n")[:-1]]
    assert [line["prompt"] for line in lines] != [row.text for row in rows]
    assert Counter(line["prompt"] for line in lines) == Counter(row.text for row in rows)
    assert "é".encode() in content


SENTENCE = "the battery of this camera lasts for a whole week of holidays"


def variants_of(labels):
    """Near-duplicates of one another, one for each label."""
    return [example(SENTENCE + end, label) for end, label in zip(" abcdefgh", labels, strict=False)]


@pytest.mark.parametrize(
    ("conflicts", "labels", "kept", "removed"),
    [
        ("majority", "xyy", ["y"], {"near-duplicates": 2}),
        ("majority", "yyx", ["y"], {"near-duplicates": 2}),
        ("drop", "xyy", [], {"conflicting-clusters": 3}),
        ("drop", "yyy", ["y"], {"near-duplicates": 2}),
        ("keep", "xyy", ["x", "y"], {"near-duplicates": 1}),
    ],
)
def test_conflicting_clusters_follow_the_policy(conflicts, labels, kept, removed):
    prepared = prepared_alone([*reviews(), *variants_of(labels)], PrepareOptions(conflicts=conflicts))
    rows = [row for row in prepared.examples if row.text.startswith(SENTENCE)]
    assert sorted(row.label for row in rows) == kept
    assert len({row.split for row in rows}) <= 1
    assert {rule: n for rule, n in prepared.removed.items() if n} == removed
    (cluster,) = [cluster for cluster in prepared.clusters if cluster.conflicting == (len(set(labels)) > 1)]
    assert set(cluster.kept) == {row.id for row in rows}
    assert cluster.labels == Counter([row.label for row in rows] if conflicts == "keep" else labels)
    assert (check(prepared, "conflicting-near-duplicates") is not None) == (len(set(labels)) > 1)


@pytest.mark.parametrize(("conflicts", "n"), [("majority", 1), ("drop", 0), ("keep", 2)])
def test_equal_texts_with_different_labels_follow_the_policy(conflicts, n):
    loaded = [*reviews(), example("the same", "x"), example("the same!", "y"), example("The same", "y")]
    prepared = prepared_alone(loaded, PrepareOptions(conflicts=conflicts))
    rows = [row for row in prepared.examples if fold(row.text) == "the same"]
    assert len(rows) == n
    assert conflicts != "majority" or rows[0].label == "y"
    assert prepared.rows_in == len(prepared.examples) + sum(prepared.removed.values())


def test_labels_that_differ_in_case_or_white_space_become_one():
    loaded = [
        replace(row, label=("positive", "negative", "positive", " Positive")[n % 4]) for n, row in enumerate(reviews())
    ]
    prepared = prepared_alone(loaded, PrepareOptions())
    assert prepared.labels == ("negative", "positive")
    mended = check(prepared, "similar-labels")
    assert (mended.level, mended.mended, mended.figures["labels"]) == ("ok", 15, {" Positive": "positive"})
    listed = ("Positive", "negative")
    assert prepared_alone(loaded, PrepareOptions(labels=listed)).labels == listed
    apart = prepared_alone(loaded, PrepareOptions(labels=(" Positive", "positive", "negative")))
    assert {row.label for row in apart.examples} == {" Positive", "positive", "negative"}


def test_downsampling_takes_from_train_alone():
    loaded = [replace(row, label="x" if n % 5 else "y") for n, row in enumerate(reviews(100))]
    whole, prepared = (
        prepared_alone(loaded, PrepareOptions()),
        prepared_alone(loaded, PrepareOptions(balance="downsample")),
    )
    counts = Counter(row.label for row in prepared.of("train"))
    assert counts == {"x": 16, "y": 16}
    assert prepared.of("test") == whole.of("test")
    assert prepared.of("validation") == whole.of("validation")
    assert {row.id for row in prepared.of("train")} < {row.id for row in whole.of("train")}
    assert prepared.removed["downsampled"] == 48
    assert prepared.rows_in == len(prepared.examples) + sum(prepared.removed.values())


def test_weights_are_inverse_to_the_size_of_a_class():
    loaded = [replace(row, label="x" if n % 5 else "y") for n, row in enumerate(reviews(100))]
    prepared = prepared_alone(loaded, PrepareOptions(balance="weights"))
    assert Counter(row.label for row in prepared.of("train")) == {"x": 64, "y": 16}
    assert prepared.weights == {"x": 0.625, "y": 2.5}
    assert list(prepared.weights) == ["x", "y"]
    assert prepared_alone(loaded, PrepareOptions()).weights is None


def test_duplicates_that_stay_are_told_as_kept():
    loaded = [*reviews(), example("the same", "x"), example("the same", "y"), example("The same!", "y")]
    prepared = prepared_alone(loaded, PrepareOptions(duplicates="off"))
    assert len(prepared.examples) == len(loaded)
    (cluster,) = [cluster for cluster in prepared.clusters if cluster.kind == "exact"]
    assert len(cluster.kept) == 3
    assert (cluster.removed, cluster.labels) == ((), {"y": 2, "x": 1})
    assert {rule: n for rule, n in prepared.removed.items() if n} == {}


@pytest.mark.parametrize("given", [False, True])
def test_progress_is_told_in_order_and_to_its_end(given):
    told = []
    rows = [replace(row, split=list(Split)[n % 3] if given else None) for n, row in enumerate(reviews())]
    prepare(rows, PrepareOptions(), lambda *step: told.append(step))
    by_name = {}
    for name, done, total in told:
        assert by_name.get(name, -1) < done <= total
        by_name[name] = done
    assert {name: done for name, done, total in told if done == total} == by_name
    steps = ["looking for near-duplicates", "comparing the splits", "looking at quality"]
    assert list(by_name) == [name for name in steps if given or name != "comparing the splits"]


def test_each_held_back_row_of_a_torn_group_is_a_leak():
    loaded = [replace(row, split=list(Split)[n % 3]) for n, row in enumerate(reviews())]
    loaded += [example(f"by one hand, sheet {n} of a pile", "x", split=Split.TEST, group="author") for n in range(4)]
    loaded += [example("something else by that hand", "y", split=Split.TRAIN, group="author")]
    prepared = prepared_alone(loaded, PrepareOptions(duplicates="exact"))
    groups = [leak for leak in prepared.leaks if leak.kind == "group"]
    assert len(groups) == len({leak.a for leak in groups}) == 4
    assert {leak.split_a for leak in groups} == {Split.TEST}
    assert check(prepared, "group-leak").figures["test_examples"] == 4


@pytest.mark.parametrize("wanted", [{"duplicates": "off"}, {"conflicts": "keep"}, {"conflicts": "drop"}, {}])
def test_equal_texts_with_different_labels_are_always_told(wanted):
    loaded = [*reviews(), example("the same", "x"), example("the same", "y"), example("alone", "y")]
    told = check(prepared_alone(loaded, PrepareOptions(**wanted)), "conflicting-texts")
    assert (told.level, told.figures["clusters"], told.figures["rows"]) == ("warning", 1, 2)
    assert check(prepared_alone(reviews(), PrepareOptions(**wanted)), "conflicting-texts") is None


def test_what_is_quoted_of_texts_holds_no_personal_data():
    loaded = [replace(row, fields={"text": f"{row.text} please write to joe.bloggs@example.com"}) for row in reviews()]
    for mode in ("warn", "stop"):
        prepared = prepare(loaded, PrepareOptions(pii=mode))
        told = json.dumps([[c.message, c.figures] for c in prepared.checks], default=str)
        assert "bloggs" not in told
        assert {row.id for row in prepared.examples} == {row.id for row in prepare(loaded, PrepareOptions()).examples}
