"""The samples: the errors that teach most, and what is said where there are none to show."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from support.report import make_results, text_of

from harness.blocks import Explorer, Results, Text
from harness.report.explorer.rows import Matched
from harness_plugins.sections.samples import Samples, instructive


def explorer(results: Results) -> Explorer:
    [block] = Samples().blocks(results)
    assert isinstance(block, Explorer)
    return block


def test_instructive_errors_are_balanced_and_most_confident_first() -> None:
    rows = [(arm, f"{n:02}", n) for arm in ("a", "b") for n in range(90)]
    columns = {
        "arm": [arm for arm, _, _ in rows],
        "example_id": [key for _, key, _ in rows],
        "expected": ["yes"] * 180,
        "predicted": ["no" if n % 3 == (0 if arm == "a" else 1) else "yes" for arm, _, n in rows],
        "confidence": [n / 100 for _, _, n in rows],
    }
    matched = Matched(Results(data={}, predictions=columns))
    chosen = instructive(("a", "b"), matched)
    kinds = Counter((matched.wrong("a", key), matched.wrong("b", key)) for key in chosen)
    assert len(chosen) == len(set(chosen)) == 20
    assert kinds == {(True, False): 12, (False, True): 8}
    sure = [matched.confidence("a", key) for key in chosen[:12]]
    assert sure == sorted(sure, reverse=True)


def test_texts_and_answers_of_the_contenders_are_shown() -> None:
    results = make_results(n=150)
    table = explorer(results).errors
    texts = dict(zip(results.examples["id"], results.examples["text"], strict=True))
    assert 0 < len(table.rows) <= 20
    assert all(text_of(line[0]) in texts.values() for line in table.rows)
    for line in table.rows:
        assert any(text_of(cell).startswith("✗") for cell in line[2:4])
        assert re.fullmatch(r"\d of 6", text_of(line[4]))


def test_left_out_samples_are_said_to_be() -> None:
    results = make_results(n=50)
    hidden = replace(results, predictions=results.predictions, examples={}, samples="none")
    assert [type(block) for block in Samples().blocks(hidden)] == [Text]


def test_where_nobody_errs_that_is_said() -> None:
    results = make_results(n=20, arms=2)
    right = {**results.predictions, "predicted": results.predictions["expected"]}
    table = explorer(replace(results, predictions=right)).errors
    assert (table.caption, table.rows) == ("No error was made.", ())


@pytest.mark.parametrize("missing", ["response", "status", "confidence"])
def test_a_column_may_be_missing(missing: str) -> None:
    results = make_results(n=60, arms=3)
    fewer: dict[str, Any] = {name: values for name, values in results.predictions.items() if name != missing}
    table = explorer(replace(results, predictions=fewer)).errors
    assert table.rows
    assert "None" not in repr(table.rows)
