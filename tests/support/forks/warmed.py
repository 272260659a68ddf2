"""What a process does before commands are forked off it: a run, so that they find all imported, compiled and read."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from support.lab import Lab, call, few_shot

ARMS = '[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n'
ARMS += '[[arms]]\nname = "mock"\nbackend = { plugin = "mock" }\n'
ENDPOINT = '[endpoints.fake]\nbase_url = "http://127.0.0.1:9/v1"\n'


def warm() -> None:
    """Carries a small run out, refuses another, and makes the clients of an endpoint that nobody asks."""
    from harness.execution.targets import Target, blocking_client, client
    from harness.prices import Prices
    from harness.types import Usage

    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.make(Path(folder))
        lab.write(ARMS)
        assert (done := lab.run()).code == 0, done
        lab.write(ARMS + few_shot("zero"), dataset=ENDPOINT)
        assert call("estimate", lab.path / "experiment.toml").code == 0
        lab.write(ARMS + few_shot("zero", model=""), dataset=ENDPOINT)
        assert lab.run().code != 0
    Prices(own={}, urls={}).request_usd("fake", "base-model", Usage())
    url = "http://127.0.0.1:9/v1"
    target = Target(name="fake", base_url=url, api_key="none", headers={}, query={}, concurrency=1, timeout_s=1.0)
    blocking_client(target).close()
    asyncio.run(client(target).close())


warm()
