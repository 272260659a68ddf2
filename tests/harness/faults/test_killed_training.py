"""`kill -9` between any two steps of a launch: the same command goes on, with one job and without a second upload.

The provider holds a request before it is served, or the reply to one that was, until the process is gone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.cli import Finished
from support.lab import Lab, endpoint, fine_tuned, task
from support.provider import Provider
from support.stops import COMPLETIONS, CREATE, KEY, PRICES, QUALITY, SPLIT, complete, running, same, twin

N, TEST = 60, 30
UPLOAD, RETRIEVE = "POST /v1/files", "GET /v1/fine_tuning/jobs/{id}"
READS = {
    "list of files": ("GET /v1/files", 0),
    "first look": (RETRIEVE, 0),
    "events": (f"{RETRIEVE}/events", 0),
    "checkpoints": (f"{RETRIEVE}/checkpoints", 0),
}
WRITES = {"upload 1": (UPLOAD, 0), "upload 2": (UPLOAD, 1), "create": (CREATE, 0), "first answer": (COMPLETIONS, 0)}
"""Step → route, and how many requests to it pass before one is held."""


@pytest.fixture(scope="module")
def _provider() -> Iterator[Provider]:
    with Provider.start(answers=task(N), api_key=KEY, job_s=0.0, keep_requests=2000, **QUALITY) as running:
        yield running


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    _provider.renew()
    _provider.forget()
    return _provider


@pytest.fixture(scope="module")
def undisturbed(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A finished run that nothing happens to."""
    lab = Lab.make(tmp_path_factory.mktemp("in_peace"), N)
    lab.write(fine_tuned("tuned"), dataset=SPLIT + PRICES + endpoint(_provider.base_url))
    _provider.renew()
    _provider.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_KEY", KEY)
        done = lab.run()
    assert done.code == 0, done
    once(_provider)
    assert _provider.counts()[CREATE] == 1
    assert _provider.counts()[COMPLETIONS] == TEST
    return lab


@pytest.fixture
def lab(undisturbed: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The same experiment, not yet run."""
    monkeypatch.setenv("FAKE_KEY", KEY)
    return twin(undisturbed, tmp_path / "lab")


def once(provider: Provider) -> None:
    """Checks that one job was launched, on one file of each kind."""
    (job,) = provider.jobs()
    assert [file["id"] for file in provider.files()] == [job["training_file"], job["validation_file"]]


@contextmanager
def killed_when_held(lab: Lab, provider: Provider) -> Iterator[None]:
    """Starts the run; once the provider holds something, does what stands in the block, then kills the run."""
    with running(lab) as process:
        process.wait_until(lambda: provider.held() > 0)
        yield
        process.kill()
        assert process.process.poll() == -signal.SIGKILL
    provider.set(hold=None)


def finished(lab: Lab, undisturbed: Lab, provider: Provider) -> Finished:
    """Runs the command again: it comes to the same as if nothing had happened, with one job."""
    done = lab.run()
    assert done.code == 0, done
    once(provider)
    complete(lab)
    same(lab, undisturbed)
    return done


@pytest.mark.parametrize("step", WRITES)
def test_killed_before_the_reply_nothing_is_launched_or_uploaded_again(
    undisturbed: Lab, provider: Provider, lab: Lab, step: str
) -> None:
    route, before = WRITES[step]
    provider.set(hold=route, hold_after=before, hold_reply=True)
    with killed_when_held(lab, provider):
        if step == "create":  # nor by a second command at the same time
            second = lab.run()
            assert second.code == 2, second
            assert "is working on this run" in second.err
    done = finished(lab, undisturbed, provider)
    counts = provider.counts()
    assert (counts[UPLOAD], counts[CREATE]) == (2, 1)
    assert counts[COMPLETIONS] == TEST + (step == "first answer")  # what was in flight is asked again
    assert ("found ftjob-000001, which was launched before" in done.err) == (step == "create")


@pytest.mark.parametrize("steps", [WRITES, READS], ids=["writes", "reads"])
def test_killed_at_one_request_after_another_before_it_is_served(
    undisturbed: Lab, provider: Provider, lab: Lab, steps: Mapping[str, tuple[str, int]]
) -> None:
    for route, before in steps.values():
        provider.reset()
        provider.set(hold=route, hold_after=before)
        with killed_when_held(lab, provider):
            pass
        assert len(provider.jobs()) <= 1
    provider.reset()
    finished(lab, undisturbed, provider)
    assert not {UPLOAD, CREATE} & set(provider.counts())
    assert provider.counts()[COMPLETIONS] == TEST


@pytest.mark.parametrize("fault", ["lose_job_replies", "lose_file_replies"])
def test_replies_that_get_lost_launch_and_upload_nothing_more(
    undisturbed: Lab, provider: Provider, lab: Lab, fault: str
) -> None:
    provider.set(**{fault: 1})
    finished(lab, undisturbed, provider)
    assert (provider.counts()[CREATE], provider.counts()[UPLOAD]) == (1, 2)
