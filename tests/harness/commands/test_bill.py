"""What the bill says after a run: both ledgers, and answers that the token limit has cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab import Lab, call, endpoint, few_shot, task
from support.provider import Provider

KEY = "sk-test-bill-0123456789"
PRICES = '[prices."base-model"]\ninput = 200.0\noutput = 800.0\ncached_input = 20.0\nreasoning = 1000.0\n'


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(40), api_key=KEY, cached_share=0.5, reasoning_tokens=2) as running:
        yield running


@pytest.fixture
def lab(shared: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    shared.set(answer_template="{label}")
    monkeypatch.setenv("FAKE_KEY", KEY)
    return Lab.make(tmp_path, 40)


def test_both_ledgers_are_told_where_they_differ(lab: Lab, shared: Provider) -> None:
    lab.write(few_shot("zero"), head=endpoint(shared.base_url) + PRICES)
    first = lab.run()
    assert first.code == 0, first
    bought = lab.results()["ledger"]
    assert bought["spent_usd"] == bought["without_reuse_usd"] > 0
    assert f"spent ${bought['spent_usd']:.2f}\n" in first.err
    assert "without what was taken over" not in first.err
    lab.write(few_shot("zero") + few_shot("shots", k=2), head=endpoint(shared.base_url) + PRICES)
    second = lab.run()
    assert second.code == 0, second
    newest = lab.runs[-1]
    found = lab.results(newest)["ledger"]
    assert found["without_reuse_usd"] == pytest.approx(found["spent_usd"] + bought["spent_usd"])
    assert found["answers_reused"] == bought["answers"] < found["answers"]
    said = f"${found['without_reuse_usd']:.2f} without what was taken over from other runs"
    assert said in second.err
    shown = call("show", newest.name, "--runs", lab.path / "runs")
    assert f"spent ${found['spent_usd']:.2f}; {said}" in shown.out


def test_each_answer_costs_its_kinds_of_tokens(lab: Lab, shared: Provider) -> None:
    lab.write(few_shot("zero"), head=endpoint(shared.base_url) + PRICES)
    assert lab.run().code == 0
    for row in lab.predictions():
        cached = row["input_tokens"] // 2
        assert (row["cached_tokens"], row["reasoning_tokens"]) == (cached, 2)
        read = (row["input_tokens"] - cached) * 200 + cached * 20
        assert row["cost_usd"] == pytest.approx((read + (row["output_tokens"] - 2) * 800 + 2 * 1000) / 1e6)
    assert lab.results()["ledger"]["spent_usd"] == pytest.approx(sum(row["cost_usd"] for row in lab.predictions()))


def test_cut_answers_are_counted_with_their_cost(lab: Lab, shared: Provider) -> None:
    shared.set(answer_template="The answer, if I may say so, is {label}.")
    cut = few_shot("cut", options=", max_tokens = 3")
    lab.write(cut + few_shot("whole"), head=endpoint(shared.base_url) + PRICES)
    assert lab.run().code == 0
    arms, rows = lab.arms(), [row for row in lab.predictions() if row["arm"] == "cut"]
    assert arms["cut"]["truncated"] == len(rows) == arms["cut"]["unparsed"]
    assert arms["cut"]["truncated_cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows))
    assert arms["cut"]["tokens_estimated"] is False
    assert (arms["whole"]["truncated"], arms["whole"]["truncated_cost_usd"]) == (0, None)
    assert "Cut by the token limit: cut:" in (lab.folder / "report.html").read_text(encoding="utf-8")
