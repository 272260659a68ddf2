"""Whole runs of arms that are trained: what providers do differently, and what the results say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lab import Lab, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

from harness.execution import fresh

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "sk-test-trained-0123456789"
CREATE, COMPLETIONS = "POST /v1/fine_tuning/jobs", "POST /v1/completions"
AZURE = 'profile = "azure"'


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(60), api_key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def _soon_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "WAIT_S", 0.01)
    monkeypatch.setattr(fresh, "FRESH_S", 20.0)


def write(lab: Lab, provider: Provider, *arms: str, seed: int, options: str = "") -> Path:
    """The experiment; the seed keeps training files of one test apart from those of another."""
    return lab.write("\n".join(arms), head=f"seed = {seed}", dataset=endpoint(provider.base_url, options=options))


def picked(figures: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: figures[name] for name in names}


def test_the_results_hold_the_training(lab: Lab, provider: Provider) -> None:
    provider.set(shutdown_dates={"base-model": "2027-01-14"})
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=801)
    done = lab.run()
    assert done.code == 0, done
    assert "base-model is shut down on 2027-01-14" in done.err
    results, remote = lab.results(), provider.jobs()[-1]
    (job,) = results["training"]
    assert picked(job, "arm", "job", "model", "base", "status", "reused", "n_train", "n_validation", "reason") == {
        "arm": "tuned", "job": remote["id"], "model": remote["fine_tuned_model"], "base": "base-model",
        "status": "succeeded", "reused": None, "n_train": 48, "n_validation": 6, "reason": None,
    }  # fmt: skip
    assert job["hyperparameters"]["n_epochs"] == 2
    assert job["trained_tokens"] == remote["trained_tokens"]
    assert [step["step"] for step in job["steps"]] == [48, 96]
    assert job["n_steps"] == 96
    assert [one["model"] for one in job["checkpoints"]] == [f"{job['model']}:ckpt-step-48", job["model"]]
    assert lab.arms()["tuned"]["shutdown_date"] == job["shutdown_date"] == "2027-01-14"
    assert results["decision"]["shutdown_date"] == "2027-01-14"
    page = (lab.folder / "report.html").read_text(encoding="utf-8")
    assert "2027-01-14" in page
    assert "Loss of tuned" in page
    (path,) = (lab.folder / "training").iterdir()
    assert path.name.startswith("tuned-")
    assert {json.loads(line)["kind"] for line in path.read_text().splitlines()} == {
        "job",
        "event",
        "step",
        "checkpoint",
    }


def test_a_training_that_was_taken_over_says_so(lab: Lab, provider: Provider) -> None:
    write(lab, provider, fine_tuned("tuned"), seed=802)
    assert lab.run().code == 0
    first = lab.results()["training"][0]
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=802)
    assert lab.run().code == 0
    (job,) = lab.results(lab.runs[-1])["training"]
    assert job["reused"] == lab.runs[0].name
    assert job["steps"] == first["steps"]
    assert len(list((lab.runs[-1] / "training").iterdir())) == 1


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"training_refused": True}, "refused", "refused to train"),
        ({"job_error": "server_error"}, "failed", "failed: The job failed"),
        ({"min_examples": 1000}, "failed", "at least 1000 examples"),
    ],
)
def test_a_training_that_does_not_come_about(
    lab: Lab, provider: Provider, fault: dict[str, Any], status: str, said: str
) -> None:
    provider.set(**fault)
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=803 + len(said))
    done = lab.run()
    assert done.code == 4, done
    assert said in done.err
    assert lab.arms()["zero"]["n"] == 6
    assert lab.arms()["tuned"]["n"] == 0
    (job,) = lab.results()["training"]
    assert (job["status"], job["model"]) == (status, None)
    assert said in job["reason"]
    kind = lab.results()["verdict"]["kind"]
    assert (kind == "unavailable") == (status == "refused")
    provider.set(training_refused=False, job_error=None, min_examples=10)
    assert lab.run().code == 0
    assert lab.results()["training"][0]["status"] == "succeeded"


def test_a_model_that_is_not_there_at_once_is_waited_for(lab: Lab, provider: Provider) -> None:
    provider.set(fresh_404=12)  # more than a request has attempts
    write(lab, provider, fine_tuned("tuned"), seed=901)
    done = lab.run()
    assert done.code == 0, done
    assert done.err.count("is trained, but not there yet (404)") == 1
    assert lab.arms()["tuned"]["answered"] == 6
    assert provider.counts()[COMPLETIONS] == 6 + 12
    assert lab.arms()["tuned"]["faults"] == {"fresh-model": 12}


def test_a_model_that_never_comes_leaves_the_others_finished(
    lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lab, provider, fine_tuned("tuned"), few_shot("zero"), seed=902)
    monkeypatch.setattr(fresh, "FRESH_S", -1.0)
    provider.set(fresh_404=1000)
    done = lab.run()
    assert done.code == 4, done
    assert "was trained by this run, but the endpoint does not know it" in done.err
    assert "the same command goes on" in done.err
    assert lab.arms()["zero"]["answered"] == 6
    assert provider.counts()[COMPLETIONS] == 1  # not each item again
    provider.set(fresh_404=0)
    done = lab.run()
    assert done.code == 0, done
    assert lab.arms()["tuned"]["answered"] == 6
    assert provider.counts()[CREATE] == 1


def test_a_wrong_model_name_is_still_an_error(lab: Lab, provider: Provider) -> None:
    write(lab, provider, fine_tuned("tuned"), few_shot("zero", model="base-modle"), seed=903)
    done = lab.run()
    assert done.code == 2
    assert "correct `model` in the experiment" in done.err
    assert CREATE not in provider.counts()


def test_azure_is_deployed_first(lab: Lab, provider: Provider) -> None:
    provider.set(deployments={"mine": ""})
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), seed=904, options=AZURE)
    done = lab.run()
    assert done.code == 4, done
    model = provider.jobs()[-1]["fine_tuned_model"]
    assert f"tuned: {model} is trained, but answers only when it is deployed" in done.err
    assert 'deployment = "NAME"' in done.err
    assert provider.file(provider.jobs()[-1]["training_file"]).startswith("\ufeff")
    (job,) = lab.results()["training"]
    assert (job["status"], job["model"]) == ("succeeded", model)
    assert "deployed" in job["reason"]
    assert COMPLETIONS not in provider.counts()
    assert lab.arms()["zero"]["answered"] == 6
    write(
        lab, provider, few_shot("zero"), fine_tuned("tuned", options=', deployment = "mine"'), seed=904, options=AZURE
    )
    done = lab.run()
    assert done.code == 0, done
    assert provider.counts()[CREATE] == 1
    arm = lab.arms(lab.runs[-1])["tuned"]
    assert (arm["model"], arm["answered"]) == (model, 6)
    asked = {request.body["model"] for request in provider.requests("/v1/completions")}
    assert asked == {"mine"}


def test_a_deployment_answers_for_one_model_alone(lab: Lab, provider: Provider) -> None:
    provider.set(deployments={"mine": ""})
    arms = [fine_tuned(name, options=f", deployment = 'mine', suffix = '{name}'") for name in ("a", "b")]
    write(lab, provider, *arms, seed=905, options=AZURE)
    done = lab.run()
    assert done.code == 4, done
    assert 'the deployment "mine" is taken to serve another model of this run' in done.err
    assert (lab.arms()["a"]["n"], lab.arms()["b"]["n"]) == (6, 0)


def test_a_deployment_of_another_model_is_asked_anew(lab: Lab, provider: Provider) -> None:
    provider.set(deployments={"mine": ""})
    for number, suffix in enumerate(("first", "second"), 1):
        arm = fine_tuned("tuned", options=f", deployment = 'mine', suffix = '{suffix}'")
        write(lab, provider, arm, seed=906, options=AZURE)
        assert lab.run().code == 0
        assert provider.counts()[COMPLETIONS] == 6 * number  # nothing is taken over from what is another model
