"""The process that forks outlives whoever asks it and goes, at any moment: a killed process asks no more."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from support import forks

ASKED = json.dumps({"arguments": ["-m", "this"], "cwd": os.curdir, "env": {}}).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_whoever_goes_before_the_answer_ends_nobody_else(tmp_path: Path) -> None:
    request = len(ASKED).to_bytes(8, "big") + ASKED
    address = forks.ready(forks.RUN)
    with Path(os.devnull).open("r+b") as nothing:
        for said in (0, 3, 8, 20, len(request)) * 4:
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(address)
                if said:
                    socket.send_fds(line, [request[: min(said, 8)]], [nothing.fileno()] * 3)
                if said > 8:  # else it may have been read, and the line closed
                    line.sendall(request[8:said])
    env = dict(os.environ)
    after = forks.start(["--version"], cwd=tmp_path, env=env, out=tmp_path / "out", err=tmp_path / "err")
    assert isinstance(after, forks.Fork)
    assert after.wait(30) == 0, (tmp_path / "err").read_text()
    assert (tmp_path / "out").read_text().strip()
