"""The process that forks outlives whoever asks it and goes, at any moment: a killed process asks no more."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_whoever_goes_takes_the_fork_along_even_one_that_is_just_made(tmp_path: Path) -> None:
    long = tmp_path / "long.py"
    long.write_text(f'import os, time\nopen(f"{tmp_path}/{{os.getpid()}}.pid", "w").close()\ntime.sleep(600)\n')
    asked = json.dumps({"arguments": [str(long)], "cwd": os.curdir, "env": {}}).encode()
    address = forks.ready(forks.RUN)
    with Path(os.devnull).open("r+b") as nothing:
        for number in range(60):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(address)
                socket.send_fds(line, [len(asked).to_bytes(8, "big")], [nothing.fileno()] * 3)
                line.sendall(asked)
                if number % 2:
                    line.recv(8)
    forks.start(["--version"], cwd=tmp_path, env=dict(os.environ), out=tmp_path / "o", err=tmp_path / "e").wait(30)
    begun = [int(path.stem) for path in tmp_path.glob("*.pid")]
    until = time.monotonic() + 10
    while left := [pid for pid in begun if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < until, left
        time.sleep(0.05)
