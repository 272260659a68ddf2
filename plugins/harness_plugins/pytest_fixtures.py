"""Fixtures for the tests of plugins; pytest finds them once the harness is installed.

pytest loads this module at every start, in anybody's project: it imports nothing but pytest until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.testing import FakeEndpoint, TinyRun


@pytest.fixture
def harness_endpoint() -> Iterator[FakeEndpoint]:
    """A fake OpenAI-compatible endpoint on loopback that knows the answers of `harness_run`'s data.

    `endpoint.profile = "flaky"` makes it misbehave; `harness.testing.PROFILES` lists how. `endpoint.requests` is what
    came, attempt by attempt.
    """
    from harness.testing import FakeEndpoint, answer_key

    with FakeEndpoint(answers=answer_key()) as running:
        yield running


@pytest.fixture
def harness_run(tmp_path: Path) -> Callable[..., TinyRun]:
    """Runs a tiny experiment in this process: `harness_run(arms, plugins=[file])`; see `harness.testing.tiny_run`."""
    from harness.testing import tiny_run

    def run(*arguments: Any, **options: Any) -> TinyRun:
        return tiny_run(tmp_path / "tiny", *arguments, **options)

    return run


@pytest.fixture(scope="session")
def _harness_recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from harness.testing import FakeEndpoint, answer_key, asked_arm, tiny_run

    with FakeEndpoint(answers=answer_key()) as endpoint:
        done = tiny_run(tmp_path_factory.mktemp("harness"), asked_arm(endpoint.base_url))
    if done.code:
        raise RuntimeError(f"the tiny run failed: {done.err}")
    return done.journal


@pytest.fixture
def harness_journal(_harness_recorded: Path, tmp_path: Path) -> Path:
    """The journal of a tiny run over the fake endpoint: a copy of one's own.

    `harness.testing.recorded_replies(journal)` gives its replies, to try a backend's `read` on.
    """
    import shutil

    return Path(shutil.copy(_harness_recorded, tmp_path / "journal.sqlite"))
