"""What the further request of a calibrated answer takes: it is a part of the answer's bill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab import Lab, endpoint
from support.provider import Provider

PRICES = """
[prices."base-model"]
input = 1.0
output = 1.0
"""
ARM = """
[[arms]]
name = "calibrated"
backend = {{ plugin = "few-shot", endpoint = "fake", model = "base-model", answer = "choose", calibrate = true }}
formatter = {{ plugin = "plain" }}
shots = {{ selector = "{selector}", k = 4 }}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Lab, Provider]]:
    monkeypatch.setenv("FAKE_KEY", "sk-test-calibrated-0123456789")
    lab = Lab.make(tmp_path, n=80)
    with Provider.start(answers=dict(lab.answers), vocabulary="o200k_base") as provider:
        yield lab, provider


@pytest.mark.parametrize(("selector", "further"), [("nearest", None), ("random", 1)])
def test_an_arm_costs_what_its_requests_do(lab: tuple[Lab, Provider], selector: str, further: int | None) -> None:
    """Shots of its own give each item a further request of its own; the same shots give all items one."""
    task, provider = lab
    task.write(endpoint(provider.base_url) + PRICES + ARM.format(selector=selector))
    assert task.run("--yes").code == 0
    results = task.results()
    (arm,) = results["arms"]
    n = arm["n"]
    requests = provider.counts()["POST /v1/completions"]
    assert requests == n + (further or n)
    assert arm["cost_per_1k_usd"] * n / 1000 == pytest.approx(results["ledger"]["spent_usd"])
    spent = results["ledger"]["spent_usd"] * 1e6
    assert (arm["input_tokens_mean"] + arm["output_tokens_mean"]) * n == pytest.approx(spent, abs=n)
