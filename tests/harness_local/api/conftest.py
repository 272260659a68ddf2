"""One server over a model that fits into nothing, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.local import Live, start


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Live]:
    server = start(tmp_path_factory.mktemp("small") / "state", "--model", str(tiny))
    yield server
    server.kill()
