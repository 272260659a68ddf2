"""A provider for the tests of batches, and a bench that is new for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.batch_bench import ANSWERS, KEY, Bench
from support.provider import Provider

from harness_plugins.executors import _batch_desk


@pytest.fixture(scope="module")
def batch_provider() -> Iterator[Provider]:
    with Provider.start(answers=ANSWERS, api_key=KEY, accuracy=1.0) as running:
        yield running


@pytest.fixture
def bench(batch_provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(_batch_desk, "BACKOFF_S", 0.01)
    batch_provider.renew()
    return Bench(
        provider=batch_provider, path=tmp_path / "journal.sqlite", key=KEY, before=len(batch_provider.batches())
    )
