"""The local endpoint's life: started when it is needed, ended however the run ends, and its failures said."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import UnfinishedError, UsageError
from harness.execution import local_endpoint
from harness.execution.local_endpoint import LocalEndpoint, adapter_of, adopt_state
from harness.experiment.file import EndpointTable
from harness.files import clear

PYTHON = sys.executable
SERVES = """
import os, sys
print("http://127.0.0.1:1/v1", flush=True)
open("{trace}", "w").write(" ".join(sys.argv[1:]) + "\\n" + str(os.getpid()) + "\\n" + os.environ["HARNESS_LOCAL_KEY"])
sys.stdin.read()  # ends when the parent does
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a program in the place of `python`, and returns the file in which it leaves what it was told."""
    trace = tmp_path / "trace"

    def put(source: str) -> Path:
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\n{source.replace('{trace}', str(trace))}")
        script.chmod(0o755)
        monkeypatch.setattr(local_endpoint.sys, "executable", str(script))
        return trace

    return put


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_it_starts_once_when_asked_and_ends_with_the_block(tmp_path: Path, program: Callable[[str], Path]) -> None:
    trace = program(SERVES)
    said: list[str] = []
    with LocalEndpoint(tmp_path / "endpoint", EndpointTable(model="m", timeout_s=1), said.append) as endpoint:
        assert not (tmp_path / "endpoint").exists()  # nothing happens before it is needed
        target = endpoint.target()
        assert endpoint.target() is target
        assert target.base_url == "http://127.0.0.1:1/v1"
        assert target.local
        while not trace.exists() or trace.read_text().count("\n") < 2:
            time.sleep(0.01)
        told, pid, key = trace.read_text().split("\n")
        assert alive(int(pid))
    assert not alive(int(pid))
    assert told.startswith("-P -m harness serve --port 0 --state ")  # -P: no `secrets.py` of the user's folder
    assert "--model m" in told
    assert key == target.api_key
    assert len(key) > 30
    assert key not in told  # a command line is everybody's to read
    assert key not in repr(target)
    assert said.count("starting the local endpoint") == 1


def test_every_start_has_a_key_of_its_own(tmp_path: Path, program: Callable[[str], Path]) -> None:
    program(SERVES)
    keys = set()
    for _ in range(2):
        with LocalEndpoint(tmp_path / "endpoint", EndpointTable(), lambda _: None) as endpoint:
            keys.add(endpoint.target().api_key)
    assert len(keys) == 2


def test_one_that_has_died_is_started_again(tmp_path: Path, program: Callable[[str], Path]) -> None:
    trace = program(SERVES)
    with LocalEndpoint(tmp_path / "endpoint", EndpointTable(), lambda _: None) as endpoint:
        first = endpoint.target()
        while not trace.exists() or trace.read_text().count("\n") < 2:
            time.sleep(0.01)
        pid = int(trace.read_text().split("\n")[1])
        os.kill(pid, signal.SIGKILL)
        while alive(pid):
            time.sleep(0.01)
        assert endpoint.target().api_key != first.api_key


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (1, UnfinishedError), (4, UnfinishedError)])
def test_one_that_does_not_start_is_said_with_its_last_words(
    tmp_path: Path, program: Callable[[str], Path], code: int, kind: type[Exception]
) -> None:
    program(f"import sys\nprint('no such model: x', file=sys.stderr)\nsys.exit({code})\n")
    with (
        LocalEndpoint(tmp_path / "endpoint", EndpointTable(), lambda _: None) as endpoint,
        pytest.raises(kind) as caught,
    ):
        endpoint.target()
    assert "no such model: x" in str(caught.value)
    assert "endpoint.log" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    assert "no such model: x" in (tmp_path / "endpoint" / "endpoint.log").read_text()


def test_one_that_says_something_else_is_ended(tmp_path: Path, program: Callable[[str], Path]) -> None:
    program("import sys\nprint('hello', flush=True)\nsys.stdin.read()\n")
    endpoint = LocalEndpoint(tmp_path / "endpoint", EndpointTable(), lambda _: None)
    with endpoint, pytest.raises(UnfinishedError, match="ended with code 0"):
        endpoint.target()


HOLDER = """
import sys, time
from pathlib import Path
from harness.execution import local_endpoint
from harness.experiment.file import EndpointTable
local_endpoint.sys.executable = sys.argv[1]
endpoint = local_endpoint.LocalEndpoint(Path(sys.argv[2]), EndpointTable(), lambda _: None)
endpoint.target()
print("up", flush=True)
time.sleep(60)
"""


def test_it_ends_also_when_the_harness_is_killed(tmp_path: Path, program: Callable[[str], Path]) -> None:
    trace = program(SERVES)
    command = [PYTHON, "-c", HOLDER, str(tmp_path / "python"), str(tmp_path / "endpoint")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        while not trace.exists() or trace.read_text().count("\n") < 2:
            time.sleep(0.01)
        pid = int(trace.read_text().split("\n")[1])
        assert alive(pid)
        holder.kill()
    limit = time.monotonic() + 30
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not alive(pid)


def test_state_is_taken_over_whole_and_only_once(tmp_path: Path) -> None:
    old = tmp_path / "old" / "endpoint"
    (old / "state" / "models").mkdir(parents=True)
    (old / "state" / "models" / "adapter").write_text("a")
    mine = tmp_path / "mine" / "endpoint"
    adopt_state(mine, [tmp_path / "none", old])
    assert (mine / "state" / "models" / "adapter").read_text() == "a"
    assert [path.name for path in mine.iterdir()] == ["state"]
    (old / "state" / "models" / "adapter").write_text("b")
    adopt_state(mine, [old])
    assert (mine / "state" / "models" / "adapter").read_text() == "a"
    adopt_state(tmp_path / "third", [tmp_path / "none"])
    assert not (tmp_path / "third").exists()


def trained(endpoint: Path, *models: str) -> None:
    """Makes an endpoint's memory, with adapters."""
    state = endpoint / "state"
    state.mkdir(parents=True)
    with closing(sqlite3.connect(state / "state.sqlite")) as database, database:
        database.execute("CREATE TABLE models (id TEXT, folder TEXT)")
        database.executemany("INSERT INTO models VALUES (?, ?)", [(model, f"jobs/{model}") for model in models])
    for model in models:
        (state / "jobs" / model).mkdir(parents=True)
        (state / "jobs" / model / "adapter_model.safetensors").write_text(model)


def test_a_model_of_another_run_is_brought_to_an_endpoint_that_runs(
    tmp_path: Path, program: Callable[[str], Path]
) -> None:
    trace = program(SERVES)
    trained(tmp_path / "one", "m-1")
    trained(tmp_path / "two", "m-1", "m-2")
    others = [tmp_path / "none", tmp_path / "one", tmp_path / "two"]

    def told() -> str:
        while not trace.exists() or trace.read_text().count("\n") < 2:
            time.sleep(0.01)
        return trace.read_text().split("\n")[0]

    with LocalEndpoint(tmp_path / "mine", EndpointTable(), lambda _: None) as endpoint:
        assert endpoint.bring("m-9", others)  # nothing says that anybody asks for it: it has no memory
        (tmp_path / "mine" / "state").mkdir(parents=True)
        first = endpoint.target()
        assert "--adapter" not in told()
        assert not endpoint.bring("m-9", others)
        assert endpoint.target() is first
        trace.unlink()
        assert endpoint.bring("m-2", others)
        assert endpoint.target() is not first
        (folder,) = (tmp_path / "mine" / "adapters").iterdir()
        assert told().endswith(f"--adapter {folder}")
    brought = adapter_of(tmp_path / "mine", "m-2")
    assert brought is not None
    assert (brought / "adapter_model.safetensors").read_text() == "m-2"
    trace.unlink()
    with LocalEndpoint(tmp_path / "mine", EndpointTable(), lambda _: None) as endpoint:  # the other run may be gone
        assert endpoint.bring("m-2", [])
        endpoint.target()
        assert told().endswith(f"--adapter {folder}")


FILLS = """
import resource, sys
from pathlib import Path
from harness.errors import UnfinishedError
from harness.execution.local_endpoint import adopt_state
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    adopt_state(Path(sys.argv[1]), [Path(sys.argv[2])])
except UnfinishedError as error:
    print(error)
"""
DIES = """
import os, shutil, signal, sys
from pathlib import Path
from harness.execution.local_endpoint import adopt_state
copy = shutil.copytree
shutil.copytree = lambda *given, **more: (copy(*given, **more), os.kill(os.getpid(), signal.SIGKILL))
adopt_state(Path(sys.argv[1]), [Path(sys.argv[2])])
"""


@pytest.mark.parametrize(("way", "said"), [(FILLS, "cannot write"), (DIES, "")], ids=["full", "killed"])
def test_a_copy_of_a_state_that_is_broken_off_leaves_nothing(tmp_path: Path, way: str, said: str) -> None:
    old, mine = tmp_path / "old" / "endpoint", tmp_path / "mine" / "endpoint"
    (old / "state" / "models").mkdir(parents=True)
    (old / "state" / "models" / "adapter").write_bytes(b"a" * 3_000_000)
    done = subprocess.run([PYTHON, "-c", way, mine, old], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(said)
    assert ("free some space; the same command goes on" in done.stdout) == bool(said), done.stderr
    clear(tmp_path / "mine", deep=True)  # as a run does when it is opened
    assert list(mine.iterdir()) == []
    adopt_state(mine, [old])
    assert (mine / "state" / "models" / "adapter").stat().st_size == 3_000_000
