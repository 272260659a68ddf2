"""Supervisors of trainings, as fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.training import PLACEMENT, PLAYER, Lab, Play

from harness_local.models.loading import Source
from harness_local.state import OPEN, State
from harness_local.training.supervisor import Supervisor


@pytest.fixture
def here() -> Iterator[None]:
    """Lets a training run in this process: what it sets in torch is set back."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.set_num_threads(threads)


@pytest.fixture
def lab(tmp_path: Path, tiny: Path) -> Lab:
    return Lab(tmp_path, tiny)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Has a supervisor carry out the jobs of a state with a trainer that only plays."""
    number = 0

    def play(
        state: State,
        script: str,
        *,
        until: Callable[[], bool] | None = None,
        then: Callable[[Supervisor], Awaitable[None]] | None = None,
        base: str = "tiny",
        silence: float = 30,
    ) -> None:
        nonlocal number
        number += 1
        file = tmp_path / f"player{number}.py"
        file.write_text(PLAYER + script)

        class Playing(Supervisor):
            trainer = ("-P", str(file))
            silence_s = silence

        async def main() -> None:
            supervisor = Playing(state, Source(id=base, location="nowhere"), PLACEMENT)
            running = asyncio.create_task(supervisor.run())
            async with asyncio.timeout(30):
                while not (until() if until is not None else not state.jobs(*OPEN)):
                    assert not running.done()
                    await asyncio.sleep(0.01)
                if then is not None:
                    await then(supervisor)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(main())

    return play
