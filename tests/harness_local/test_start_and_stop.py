"""A server's life: what it says, how it ends, what goes on when it is started again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion
from support import forks
from support.local import Live, lines, start
from support.models import hub_cache
from support.training import add_job

from harness.errors import UsageError
from harness_local import serving
from harness_local.state import State


@pytest.fixture
def served(tiny: Path, tmp_path: Path) -> Iterator[Live]:
    server = start(tmp_path / "state", "--model", str(tiny))
    yield server
    if server.process.poll() is None:
        server.kill()
    else:
        server.close()


def said(server: Live) -> str:
    return server.state.with_suffix(".log").read_text()


def interrupt(server: Live) -> int:
    server.process.send_signal(signal.SIGINT)
    return server.process.wait(60)


def wait_for(reached: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_model_of_hugging_face_s_cache_is_trained_across_a_restart(tiny: Path, tmp_path: Path) -> None:
    """Its id has a slash in it, which every route has to bear; no network is there."""
    hub_cache(forks.hub(forks.ready(forks.SERVE)), "owner/small", tiny)
    state = tmp_path / "state"
    server = start(state, "--model", "owner/small")
    with server.client() as client:
        assert [model.id for model in client.models.list()] == ["owner/small"]
        assert client.models.retrieve("owner/small").owned_by == "local"
        file = client.files.create(file=("train.jsonl", lines(40)), purpose="fine-tune")
        method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 50, "batch_size": 1}}}
        job = client.fine_tuning.jobs.create(
            model="owner/small", training_file=file.id, method=method, suffix="mine", seed=1
        )
        wait_for(lambda: list(client.fine_tuning.jobs.checkpoints.list(job.id)))
    assert interrupt(server) == 0
    assert f"training {job.id} goes on when this is started again" in said(server)
    server.close()

    server = start(state, "--model", "owner/small")
    assert f"training {job.id} goes on\n" in said(server)
    with server.client() as client:
        name = client.fine_tuning.jobs.checkpoints.list(job.id).data[0].fine_tuned_model_checkpoint
        assert name.startswith("ft:owner/small:mine:")
        assert client.models.retrieve(name).id == name
        assert client.completions.create(model=name, prompt="number 1 is grass\n\n###\n\n", max_tokens=1).model == name
        client.fine_tuning.jobs.cancel(job.id)
        assert client.models.delete(name).deleted
        with pytest.raises(openai.NotFoundError):
            client.completions.create(model=name, prompt="x", max_tokens=1)
    server.end()
    server.close()


def test_what_belongs_to_another_model_of_the_name_is_let_be(tiny: Path, tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.weights = "of another run's checkpoint"
    folder = state.job_folder("x")
    folder.mkdir()
    folder.joinpath("adapter_model.safetensors").touch()
    state.add_model("ft:mine", tiny.name, folder)
    job = add_job(state, model=tiny.name)
    state.close()
    server = start(tmp_path / "state", "--model", str(tiny))
    with server.client() as client:
        assert [model.id for model in client.models.list()] == [tiny.name]
        wait_for(lambda: list(client.fine_tuning.jobs.list_events(job)))
        (event,) = client.fine_tuning.jobs.list_events(job)
        assert "another model of that name" in event.message
    assert interrupt(server) == 0
    server.close()
    for unsaid in (f"training {job}", "fine-tuned here"):
        assert unsaid not in said(server)


def test_requests_name_models_and_never_open_them(live: Live, tiny: Path) -> None:
    banner = said(live)
    for part in (live.url, str(live.state), "device cpu", "from openai import OpenAI", "Ctrl-C"):
        assert part in banner
    with urllib.request.urlopen(live.url.removesuffix("/v1") + "/health", timeout=30) as response:
        assert json.load(response)["status"] == "ok"
    with live.client() as client:
        for name in (str(tiny), "owner/small", "../state", "ft:x", "/etc/hostname"):
            with pytest.raises(openai.NotFoundError):
                client.completions.create(model=name, prompt="x", max_tokens=1)
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve(name)


@contextmanager
def long_answer(server: Live, tokens: int) -> Iterator[openai.Stream[Completion]]:
    """An answer that has begun to arrive."""
    with server.client() as client:
        model = client.models.list().data[0].id
        bias = {"0": -100, "1": -100, "2": -100}  # it must not end before its time
        with client.completions.create(
            model=model, prompt="Once", max_tokens=tokens, temperature=0, logit_bias=bias, stream=True
        ) as stream:
            next(stream)
            yield stream


def test_an_interrupt_finishes_what_is_in_flight(served: Live) -> None:
    with long_answer(served, 300) as stream:
        served.process.send_signal(signal.SIGINT)
        assert list(stream)[-1].choices[0].finish_reason == "length"
    assert served.process.wait(60) == 0
    assert "finishing the requests in flight" in said(served)
    assert said(served).endswith("stopped\n")


def test_a_second_interrupt_ends_at_once(served: Live) -> None:
    with long_answer(served, 1500) as stream:
        served.process.send_signal(signal.SIGINT)
        wait_for(lambda: "finishing" in said(served))
        assert interrupt(served) == 130
        with pytest.raises((openai.APIError, httpx2.HTTPError)):
            list(stream)


HASTY = """
import os, signal
from types import SimpleNamespace
from harness_local import serving

stopper = serving._Stopper()
stopper.attach(SimpleNamespace(server_state=SimpleNamespace(tasks={1}), config=SimpleNamespace()))
write = os.write
os.write = lambda *what: (write(*what), signal.raise_signal(signal.SIGINT))
signal.raise_signal(signal.SIGINT)
os._exit(0)
"""


def test_a_second_interrupt_while_the_first_is_answered_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", HASTY], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("finishing the requests in flight")) == (130, 1)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "harness", "serve", "--port", port, "--state", str(tmp_path)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_a_port_that_another_server_takes_while_this_one_loads(tmp_path: Path, model_folder: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-m", "harness", "serve", "--model", str(model_folder), "--port", port,
             "--state", str(tmp_path / "state")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as server:  # fmt: skip
            wait_for(lambda: (tmp_path / "state").exists())  # the port is bound before
            other.listen()
            out, err = server.communicate(timeout=60)
    assert (server.returncode, out) == (2, "")
    assert f"cannot listen on 127.0.0.1 port {port}" in err
    assert "OpenAI(base_url" not in err


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "3000")
    monkeypatch.setattr(serving, "_NEEDED", ("json", "no_such_module"))
    with pytest.raises(UsageError, match="no_such_module") as caught:
        serving.serve(state=tmp_path)
    assert "pip install 'finetune-harness[local]'" in str(caught.value)


def test_help_fits_one_screen_and_ends_with_an_example() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "serve", "--help"], capture_output=True, text=True, check=True
    )
    shown = done.stdout.strip().splitlines()
    assert len(shown) <= 24
    assert shown[-1].startswith("Example: harness serve")
