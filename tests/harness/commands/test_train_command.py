"""`harness train`: the training stage alone, against a provider over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Finished
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "sk-test-train-0123456789"
CREATE = "POST /v1/fine_tuning/jobs"
CLASSICAL = '[[arms]]\nname = "tf-idf"\nbackend = { plugin = "classical" }\n'


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(60), api_key=KEY) as running:
        yield running


def write(lab: Lab, provider: Provider, *arms: str, seed: int, more: str = "") -> Path:
    """The experiment; the seed keeps training files of one test apart from those of another."""
    return lab.write("\n".join(arms), head=f"seed = {seed}", dataset=more + endpoint(provider.base_url))


def train(lab: Lab, *options: str) -> Finished:
    return call("train", lab.path / "experiment.toml", "--out", lab.path / "runs", *options)


def test_a_run_goes_on_from_what_was_trained(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), CLASSICAL, seed=701)
    done = train(lab)
    assert done.code == 0, done
    model = provider.jobs()[-1]["fine_tuned_model"]
    assert done.out == f"{model}\n"
    assert "launched" in done.err
    assert f"{model} is trained" in done.err
    assert "Step" not in done.err
    assert "Files validated" not in done.err
    counts = provider.counts()
    assert "POST /v1/completions" not in counts
    assert "POST /v1/chat/completions" not in counts
    assert train(lab).out == done.out
    assert provider.counts() == counts  # all is there
    ran = lab.run()
    assert ran.code == 0, ran
    assert len(lab.runs) == 1
    assert provider.counts()[CREATE] == 1
    assert lab.arms()["tuned"]["model"] == model
    assert lab.arms()["tuned"]["training_s"] is not None


def test_what_a_finished_run_says_of_itself_holds_until_it_is_scored_again(
    lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = [few_shot("zero"), fine_tuned("tuned")]
    write(lab, provider, *arms, seed=711)
    assert lab.run().code == 0
    manifest = (lab.folder / "manifest.json").read_bytes()

    def holds(folder: str) -> None:
        assert (lab.folder / "manifest.json").read_bytes() == manifest
        gated = call("gate", lab.folder, "--min", "accuracy=0.1", "--arm", "tuned")
        assert gated.code == 0, gated
        exported = call("export", lab.folder, "--arm", "tuned", "-o", lab.path / folder)
        assert exported.code == 0, exported

    assert train(lab).code == 0
    holds("trained")
    lab.write("\n".join(arms), head="seed = 711\nrepeats = 2", dataset=endpoint(provider.base_url))
    with monkeypatch.context() as patch:
        patch.setenv("FAKE_KEY", "sk-another-0123456789")
        assert lab.run().code == 2
    holds("refused")
    assert lab.run().code == 0
    finished, before = json.loads((lab.folder / "manifest.json").read_bytes()), json.loads(manifest)
    assert finished["repeats"] == 2
    assert finished["judged_with"] != before["judged_with"]
    assert finished["chain"]["answers"] == before["chain"]["answers"]


def test_follow_streams_events_and_losses(lab: Lab, provider: Provider) -> None:
    write(lab, provider, fine_tuned("tuned"), seed=702)
    done = train(lab, "--follow")
    assert done.code == 0, done
    assert "Files validated" in done.err
    lines = [line for line in done.err.splitlines() if "tuned: step" in line]
    assert len(lines) == 2
    assert all("train loss" in line and "valid loss" in line for line in lines)
    assert done.out.count("\n") == 1


def test_several_arms_and_candidates_are_named(lab: Lab, provider: Provider) -> None:
    choose = '[arms.choose]\n"backend.n_epochs" = [1, 3]\n'
    write(lab, provider, fine_tuned("a"), fine_tuned("b", options=", suffix = 'b'") + choose, seed=703)
    done = train(lab)
    assert done.code == 0, done
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [arm for arm, _ in lines] == ["a", "b", "b"]
    assert {model for _, model in lines} == {job["fine_tuned_model"] for job in provider.jobs()[-3:]}
    as_json = json.loads(train(lab, "--json").out)
    assert [[one["arm"], one["model"]] for one in as_json["models"]] == lines
    assert as_json["unfinished"] is None
    assert train(lab, "--arm", "a").out == f"{lines[0][1]}\n"


def test_an_arm_that_learns_in_process_gives_its_folder(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), CLASSICAL, seed=704)
    done = train(lab, "--arm", "tf-idf")
    assert done.code == 0, done
    assert (Path(done.out.strip()) / "fit.json").is_file()
    assert provider.counts() == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arm", "zero"], "--arm zero: this arm needs no training; trained are tuned, tf-idf"),
        (["--arm", "tunde"], 'there is no arm "tunde"; did you mean "tuned"?'),
    ],
)
def test_arms_that_cannot_be_trained(lab: Lab, provider: Provider, options: list[str], said: str) -> None:
    write(lab, provider, few_shot("zero"), fine_tuned("tuned"), CLASSICAL, seed=705)
    done = train(lab, *options)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
    assert provider.counts() == {}


def test_nothing_to_train_and_a_choice_that_decides_on_the_way(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), CLASSICAL, seed=706)
    done = train(lab)
    assert done.code == 2
    assert "no arm of it is trained by an endpoint" in done.err
    assert "tf-idf: name one with --arm" in done.err
    choose = '[arms.choose]\n"backend.n_epochs" = [1, 3]\nbudget = { seconds = 60 }\n'
    write(lab, provider, fine_tuned("tuned") + choose, seed=707)
    done = train(lab)
    assert done.code == 2
    assert "--only tuned" in done.err
    assert provider.counts() == {}


def test_a_base_model_that_is_not_there_uploads_nothing(lab: Lab, provider: Provider) -> None:
    write(lab, provider, fine_tuned("tuned", base="gpt-4.1-mimi"), seed=708)
    for done in (train(lab), lab.run()):
        assert done.code == 2
        assert 'has no base model "gpt-4.1-mimi"; did you mean "gpt-4.1-mini"?' in done.err
    assert not [route for route in provider.counts() if route.startswith("POST")]


def test_a_refused_training_leaves_the_other_model(lab: Lab, provider: Provider) -> None:
    write(lab, provider, fine_tuned("a"), fine_tuned("b", options=", suffix = 'b'"), seed=709)
    first = train(lab, "--arm", "a")
    assert first.code == 0, first
    provider.set(training_refused=True)
    done = train(lab)
    assert done.code == 4
    assert done.out == first.out
    assert "refused to train" in done.err
    as_json = json.loads(train(lab, "--json").out)
    assert "refused to train" in as_json["unfinished"]


def test_a_budget_that_does_not_cover_a_job(lab: Lab, provider: Provider) -> None:
    price = '[prices."base-model"]\ntraining = 10000\n[prices."ft:base-model"]\ninput = 1\noutput = 1\n'
    write(lab, provider, fine_tuned("tuned"), seed=710, more=price)
    done = train(lab, "--max-usd", "0.01")
    assert done.code == 3
    assert "training tuned would cost about" in done.err
    assert not [route for route in provider.counts() if route.startswith("POST")]
