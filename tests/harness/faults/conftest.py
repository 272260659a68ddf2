"""One provider, and one run that nothing happens to, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab import Lab, task
from support.provider import Provider
from support.stops import ITEMS, KEY, PLANNED, QUALITY, asked, twin, whole, write


@pytest.fixture(scope="session")
def _provider() -> Iterator[Provider]:
    with Provider.start(answers=task(ITEMS), api_key=KEY, job_s=0.0, keep_requests=2000, **QUALITY) as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A finished run without any fault."""
    lab = Lab.make(tmp_path_factory.mktemp("undisturbed"), ITEMS)
    write(lab, _provider)
    _provider.renew()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_KEY", KEY)
        done = lab.run()
    assert done.code == 0, done
    assert asked(_provider) == PLANNED
    whole(lab)
    return lab


@pytest.fixture
def provider(_provider: Provider, undisturbed: Lab) -> Provider:
    """The provider, in order and with nothing counted."""
    _provider.renew()
    return _provider


@pytest.fixture
def lab(undisturbed: Lab, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The same experiment, not yet run; the provider is in order, whatever the test before asked of it."""
    monkeypatch.setenv("FAKE_KEY", KEY)
    return twin(undisturbed, tmp_path / "lab")
