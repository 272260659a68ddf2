"""What a seed decides stays what it was: a run of yesterday is found again, and its answers are not bought twice."""

import hashlib
import json
from collections import Counter
from dataclasses import replace

import pytest
from support.preparing import prepared_alone

from harness.prepare.limit import limited
from harness.prepare.options import Fractions, Prepared, PrepareOptions
from harness.prepare.signals.corpus import read_corpus
from harness.prepare.split import assign
from harness.prepare.stage import fingerprint
from harness.prepare.subsets import subset
from harness.prepare.training import training_file
from harness.types import Example, Split
from harness_plugins.formatters.chat import Chat
from harness_plugins.formatters.completion import Completion


def rows(n=60, **more):
    return [
        Example(
            fields={"text": f"{number * 7919 % 9973} text {number}"},
            label="xyz"[number % 5 % 3],
            id=f"id{number}",
            time=f"2026-0{1 + number * 7 % 5}-{10 + number * 5 % 9}",
            **more,
        )
        for number in range(n)
    ]


def grouped(n=60):
    return [
        Example(fields=row.fields, label=row.label, id=row.id, group=f"g{number // 3 * 5 % 11}")
        for number, row in enumerate(rows(n))
    ]


def mark(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def marked(splits):
    return mark(sorted((name, str(split)) for name, split in splits.items()))


@pytest.mark.parametrize(
    ("examples", "fractions", "seed", "sizes", "wanted"),
    [
        (rows(), Fractions(), 7, (48, 7, 5), "c558f8854b30c54b"),
        (rows(), Fractions(), 8, (48, 7, 5), "c0ffd2afd396b267"),
        (rows(), Fractions(stratify=False, train=0.5, validation=0.2, test=0.3), 7, (30, 12, 18), "bbe5d6c68e086698"),
        (rows(), Fractions(by="time"), 7, (48, 6, 6), "024fee079c0eced2"),
        (grouped(), Fractions(train=0.6, validation=0.2, test=0.2), 7, (36, 12, 12), "0fb380878eb563f9"),
        (rows(), Fractions(train=0.7, validation=0, test=0.3), 7, (42, 18), "4d7006a3998cc72b"),
    ],
)
def test_splits(examples, fractions, seed, sizes, wanted):
    splits = assign(examples, fractions, seed)
    counts = Counter(splits.values())
    assert tuple(counts[split] for split in Split if counts[split]) == sizes
    assert marked(splits) == wanted


def test_validation_cut_from_a_given_train_split():
    given = [
        Example(fields=row.fields, label=row.label, id=row.id, split=Split.TEST if n % 3 == 0 else Split.TRAIN)
        for n, row in enumerate(rows())
    ]
    assert marked(assign(given, Fractions(), 7)) == "6ab93c6f3f60d317"


def test_subsets():
    assert mark([row.id for row in subset(rows(), 7, 3)]) == "a10a079f861fd9e3"
    assert mark([[row.id for row in subset(grouped(), n, 3)] for n in range(1, 60)]) == "3235fc5c8c486b2a"


@pytest.mark.parametrize(("formatter", "wanted"), [(Completion(), "7724224c34dad654"), (Chat(), "55a6f40f7babbcc9")])
def test_training_files(formatter, wanted):
    content = training_file(rows(), formatter, ("x", "y", "z"), 5)
    assert hashlib.sha256(content).hexdigest()[:16] == wanted


def test_the_fingerprint():
    found = fingerprint(rows())
    assert found == prepared_alone(rows()[::-1], PrepareOptions()).fingerprint
    assert found == "e1b8cace4f8f640c524d34dcc7507e379e7b90aae9e4757fe2f2131c51400735"


def test_previews():
    splits = [Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALIDATION]
    data = Prepared(
        examples=tuple(replace(row, split=splits[n % 4]) for n, row in enumerate(rows(200))),
        labels=("x", "y", "z"), removed={}, rows_in=200, leaks=(), checks=(), fingerprint="",
    )  # fmt: skip
    small = limited(data, 9, 7)
    assert [len(small.of(split)) for split in Split] == [40, 9, 9]
    assert [len(limited(data, 11, 7).of(split)) for split in Split] == [44, 11, 11]
    assert list(small.examples) == sorted(small.examples, key=lambda example: example.id)
    assert mark([row.id for row in small.examples]) == "1b36a224a0368dc3"
    assert (small.labels, small.rows_in) == (data.labels, data.rows_in)


def test_previews_of_uneven_classes():
    """One of each class, the largest share first; then each class its share."""
    sizes = {"a": 37, "b": 11, "c": 4, "d": 1}
    examples = tuple(
        Example(fields={"text": f"{label} {n}"}, label=label, split=Split.TEST, id=f"{label}{n}")
        for label, size in sizes.items() for n in range(size)
    )  # fmt: skip
    data = Prepared(
        examples=examples, labels=(), removed={}, rows_in=53, leaks=(), checks=(), fingerprint=""
    )  # fmt: skip
    order, before = "", set()
    for limit in range(1, 54):
        now = {row.id for row in limited(data, limit, 7).examples}
        assert before < now
        order += (now - before).pop()[0]
        before = now
    assert order == "abcdaaaabaaabaaaabaacabaaaabaaabacaabaaaabaaabcaaabaa"


def test_which_rows_are_left_out_to_balance_classes():
    data = prepared_alone(rows(), PrepareOptions(balance="downsample"))
    assert set(Counter(row.label for row in data.of("train")).values()) == {10}
    assert mark([row.id for row in data.examples]) == "6c01c0b26850fabd"


def test_the_order_of_the_signals():
    assert mark([row.id for row in read_corpus(rows(), 7).rows]) == "a396c81e7511f2a4"


def test_units_of_duplicates_that_stay():
    sentence = "the battery of this camera lasts for a whole week of holidays"
    same = [Example(fields={"text": sentence + end}, label="xy"[n % 2], id=f"same{n}") for n, end in enumerate("abcd!")]
    torn = [Example(fields={"text": f"{n}"}, label="x", id=f"torn{n}", group="g") for n in range(3)]
    torn.append(Example(fields={"text": f"{sentence}?"}, label="x", id="torn3", group="g"))
    data = prepared_alone([*rows(), *same, *torn], PrepareOptions(duplicates="off", seed=2))
    assert len({row.split for row in data.examples if row.id[:4] in {"same", "torn"}}) == 1
    assert marked({row.id: row.split for row in data.examples}) == "4962f0124984f1f8"
    assert not data.leaks
    disputed = [cluster for cluster in data.clusters if cluster.kind == "near"]
    assert disputed
    assert all(cluster.labels == {"x": 1, "y": 1} and cluster.removed == () for cluster in disputed)
