"""`base = "run:NAME/ARM"` against a provider over real HTTP: that model is trained on, or nothing is launched."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

from harness.experiment.file import PriceTable
from harness.prices import Prices

CREATE = "POST /v1/fine_tuning/jobs"
KEY = "sk-test-continuing-0123456789abcdef"
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n"
PRICE = '[prices."base-model"]\ntraining = 1000.0\n[prices."ft:base-model"]\ninput = 10.0\noutput = 20.0\n'


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(200), api_key=KEY, tuned_accuracy=0.9, seed=5) as running:
        yield running


def write(
    lab: Lab,
    provider: Provider,
    arms: str,
    *,
    name: str = "first",
    seed: int = 1,
    more: str = "",
    data: str = "data.csv",
) -> Path:
    path = lab.path / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\nseed = {seed}\n[dataset]\nplugin = "files"\npath = "{data}"\n'
        'text = "text"\nlabel = "label"\n'
        f"{SPLIT}{more}{endpoint(provider.base_url)}{arms}"
    )
    return path


def more_data(lab: Lab, *, labels: dict[str, str] | None = None) -> str:
    """New examples, beyond those of the first run."""
    with (lab.path / "more.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, (labels or {}).get(label, label)] for text, label in list(task(160).items())[60:])
    return "more.csv"


@pytest.fixture
def lab(provider: Provider, tmp_path: Path) -> Lab:
    """A lab whose first run has a trained arm."""
    lab = Lab.make(tmp_path, 60)
    write(lab, provider, few_shot("zero") + fine_tuned("tuned"), seed=100 + len(provider.jobs()), more=PRICE)
    done = lab.run(file="first.toml")
    assert done.code == 0, done
    return lab


def models(lab: Lab, folder: Path) -> dict[str, str]:
    loaded: dict[str, str] = json.loads((folder / "manifest.json").read_text())["chain"]["models"]
    return loaded


def second(lab: Lab, provider: Provider, base: str = "run:first/tuned", **options: str) -> Path:
    arms = fine_tuned("further", base=base) + options.pop("arms", "")
    return write(lab, provider, arms, name="second", data=more_data(lab), more=PRICE + options.pop("more", ""))


def test_training_goes_on_from_the_runs_model(lab: Lab, provider: Provider) -> None:
    (first,) = lab.runs
    model = models(lab, first)["tuned"]
    provider.reset()
    second(lab, provider)
    done = lab.run(file="second.toml")
    assert done.code == 0, done
    assert f"training goes on from {model} of {first.name}/tuned" in done.err
    (created,) = [request.body for request in provider.requests("/v1/fine_tuning/jobs") if request.method == "POST"]
    assert created["model"] == model
    folder = lab.runs[-1]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["experiment"]["arms"][0]["backend"]["base"] == model
    told = manifest["continued"][model]
    assert told["base"] == "base-model"
    assert [(step["run"], step["arm"], step["model"]) for step in told["chain"]] == [(first.name, "tuned", model)]
    arm, before = lab.arms(folder)["further"], lab.arms(first)["tuned"]
    # Training and answers at the price of the first base, this run's training alone
    (tokens,) = [json.loads(row[0])["trained_tokens"] for row in lab.journal("SELECT result FROM jobs", folder)]
    assert arm["training_cost_usd"] == pytest.approx(tokens * 1000 / 1e6)
    assert told["chain"][0]["usd"] == pytest.approx(before["training_cost_usd"])
    assert arm["cost_per_1k_usd"] > 0
    provider.reset()
    assert lab.run(file="second.toml").out == done.out
    assert provider.counts() == {}


def test_a_chain_of_three_keeps_price_and_history(lab: Lab, provider: Provider) -> None:
    second(lab, provider)
    assert lab.run(file="second.toml").code == 0
    second_run = next(folder for folder in lab.runs if folder.name.startswith("second"))
    model = models(lab, second_run)["further"]
    write(
        lab, provider, fine_tuned("third", base="run:second/further"), name="third", seed=3, more=PRICE, data="more.csv"
    )
    done = lab.run("--max-usd", "100", file="third.toml")
    assert done.code == 0, done
    folder = next(folder for folder in lab.runs if folder.name.startswith("third"))
    told = json.loads((folder / "manifest.json").read_text())["continued"][model]
    assert told["base"] == "base-model"
    assert [step["arm"] for step in told["chain"]] == ["tuned", "further"]
    assert lab.arms(folder)["third"]["training_cost_usd"] > 0


def test_estimate_prices_what_goes_on(lab: Lab, provider: Provider) -> None:
    second(lab, provider)
    done = call("estimate", lab.path / "second.toml", "--out", lab.path / "runs", "--json")
    assert done.code == 0, done
    (arm,) = json.loads(done.out)["arms"]
    assert arm["usd"] is not None
    assert provider.counts().get(CREATE, 0) == 1  # that of the first run


WRONG = {
    "run": ("run:frist/tuned", 'no run "frist"'),
    "arm": ("run:first/tunde", 'no arm "tunde" that is trained; did you mean "tuned"?'),
    "prompt": ("run:first/zero", 'no arm "zero" that is trained'),
    "no arm": ("run:first", "names no arm"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_there_launches_nothing(case: str, lab: Lab, provider: Provider) -> None:
    base, said = WRONG[case]
    second(lab, provider, base)
    provider.reset()
    done = lab.run(file="second.toml")
    assert done.code == 2, done
    assert said in done.err
    assert "second.toml" in done.err
    assert provider.counts() == {}


def test_another_label_set_launches_nothing(lab: Lab, provider: Provider) -> None:
    second(lab, provider)
    more_data(lab, labels={"mixed": "so-so"})
    provider.reset()
    done = lab.run(file="second.toml")
    assert done.code == 2, done
    assert 'not there: "so-so"; only there: "mixed"' in done.err
    assert provider.counts() == {}


def test_another_endpoint_launches_nothing(lab: Lab, provider: Provider) -> None:
    path = second(lab, provider)
    path.write_text(path.read_text().replace(provider.base_url, provider.base_url.replace("127.0.0.1", "localhost")))
    provider.reset()
    done = lab.run(file="second.toml")
    assert (done.code, "was trained on another endpoint" in done.err) == (2, True), done
    assert provider.counts() == {}


def test_a_training_that_was_refused_is_no_model(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    provider.set(training_refused=True)
    write(lab, provider, few_shot("zero") + fine_tuned("tuned"), seed=77)
    assert lab.run(file="first.toml").code == 4
    second(lab, provider)
    done = lab.run(file="second.toml")
    assert (done.code, "has no trained model" in done.err) == (2, True), done


def test_prices_follow_a_chain_to_its_beginning() -> None:
    own = {"base": PriceTable(training=8.0), "ft:base": PriceTable(input=1.0, output=2.0)}
    prices = Prices(own=own, urls={"fake": None}, trained={"b": "a", "a": "ft:base:org::1", "loop": "loop"})
    assert prices.root("b") == "base"
    assert prices.training_usd("b", 1_000_000) == 8.0
    assert prices.table("b") == own["ft:base"]
    assert prices.known("fake", "", base="b")
    assert prices.root("loop") == "loop"
    assert not prices.known("fake", "", base="other")
