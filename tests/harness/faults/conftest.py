"""One provider, and one run that nothing happens to, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.lab import Lab, task
from support.provider import Provider, Settings
from support.stops import ITEMS, KEY, PLANNED, QUALITY, asked, twin, whole, write

SET = (
    "rate_429", "error_500_rate", "reset_rate", "cut_rate", "blank_rate", "empty_rate", "hang_rate", "latency_s",
    "latency_jitter_s", "reply_s", "fault_paths", "quota_after", "fail_first", "retry_after_s",
)  # fmt: skip
"""What tests of this folder change."""


@pytest.fixture(scope="session")
def _provider() -> Iterator[Provider]:
    with Provider.start(answers=task(ITEMS), api_key=KEY, job_s=0.0, keep_requests=2000, **QUALITY) as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A finished run without any fault."""
    lab = Lab.make(tmp_path_factory.mktemp("undisturbed"), ITEMS)
    write(lab, _provider)
    _settle(_provider)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_KEY", KEY)
        done = lab.run()
    assert done.code == 0, done
    assert asked(_provider) == PLANNED
    whole(lab)
    return lab


def _settle(provider: Provider) -> None:
    provider.set(job_s=0.0, **{name: getattr(Settings(), name) for name in SET})
    provider.reset()


@pytest.fixture(scope="session")
def settle() -> Callable[[Provider], None]:
    """Brings the provider in order, whatever the last test has made of it."""
    return _settle


@pytest.fixture
def provider(_provider: Provider, undisturbed: Lab) -> Provider:
    """The provider, in order and with nothing counted."""
    _settle(_provider)
    return _provider


@pytest.fixture
def lab(undisturbed: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The same experiment, not yet run."""
    monkeypatch.setenv("FAKE_KEY", KEY)
    return twin(undisturbed, tmp_path / "lab")
