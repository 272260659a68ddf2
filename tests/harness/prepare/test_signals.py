import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prepare.signals import Ranked, RankedItem, Signals, signals
from harness.types import Example

TOPICS = {"food": ("soup", "bread", "salt", "taste"), "phone": ("battery", "screen", "call", "sound")}
COMMON = ("the", "was", "and", "very", "good", "not", "my", "it", "of", "with")


def rows(n=200, seed=3):
    draw = random.Random(seed)
    made = []
    for number in range(n):
        label = draw.choice(list(TOPICS))
        words = [*draw.sample(TOPICS[label], 2), *draw.sample(COMMON, 5), f"n{number}"]
        made.append(Example(fields={"text": " ".join(draw.sample(words, 8))}, label=label))
    made[0] = Example(fields={"text": "soup bread salt with taste"}, label="phone")
    return [*made, Example(fields={"text": "ok"}, label="food")]


def test_no_rows_no_findings():
    assert signals([], (), 0) == Signals(checks=(), ranked=())


def test_each_rule_speaks_once_in_plain_sentences():
    found = signals(rows(), tuple(TOPICS), 7)
    kinds = [check.kind for check in found.checks]
    assert len(set(kinds)) == len(kinds)
    assert {
        "label-errors", "near-empty-texts", "unusual-length", "unusual-words", "unusual-script", "boilerplate",
        "label-in-text", "distinct-texts", "vocabulary", "text-lengths", "class-variety",
    } == set(kinds)  # fmt: skip
    for check in found.checks:
        assert check.heading in {"quality", "diversity"}
        assert "\n" not in check.message
        assert check.figures["rows"] == 201
        assert check.level == "ok" or check.advice
        assert not check.advice or check.advice.endswith(".")
    json.dumps([dict(check.figures) for check in found.checks], allow_nan=False)


def test_lists_name_rows_and_belong_to_a_check():
    examples = rows()
    found = signals(examples, tuple(TOPICS), 7)
    ids = {example.id for example in examples}
    assert {ranked.kind for ranked in found.ranked} <= {check.kind for check in found.checks}
    for ranked in found.ranked:
        assert ranked.title
        assert "Score: " in ranked.explanation
        assert {item.id for item in ranked.items} <= ids
        assert [item.score for item in ranked.items] == sorted((item.score for item in ranked.items), reverse=True)
    by_kind = {ranked.kind: ranked for ranked in found.ranked}
    assert by_kind["label-errors"].items[0].id == examples[0].id
    assert by_kind["near-empty-texts"].items[0].id == examples[-1].id


text = st.lists(st.sampled_from([*COMMON, "5", "!", "é", "汉", "👍"]), max_size=6).map(" ".join)
drawn = st.lists(
    st.builds(
        lambda text, label, group: Example(fields={"text": text}, label=label, group=group),
        text,
        st.sampled_from(["5", "1", "good", ""]),
        st.sampled_from([None, "g", "h"]),
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(drawn, st.randoms(), st.integers(-(2**70), 2**70))
def test_the_order_of_any_rows_changes_nothing(examples, shuffle, seed):
    found = signals(examples, ("1", "5", "good"), seed)
    assert signals(shuffle.sample(examples, len(examples)), ("1", "5", "good"), seed) == found
    json.dumps([dict(check.figures) for check in found.checks], allow_nan=False)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_hash_seed_of_the_process_changes_nothing(hash_seed):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_signals import TOPICS, rows, signals\n"
        "print(repr(signals(rows(), tuple(TOPICS), 7)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == repr(signals(rows(), tuple(TOPICS), 7))


def test_values_are_frozen():
    item = RankedItem(id="1", score=0.5, note="", figures={})
    with pytest.raises(AttributeError):
        item.score = 1.0
    assert Ranked(kind="k", title="t", explanation="e", items=(item,)).items == (item,)


def test_importing_it_imports_nothing_heavy():
    script = (
        "import sys, harness.prepare.signals\n"
        "assert not {'numpy', 'scipy', 'sklearn', 'pandas'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
