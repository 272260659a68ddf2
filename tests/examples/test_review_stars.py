"""The founding case, end to end against a provider over real HTTP: what is reported is what the provider answered."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.cli import ROOT, Finished, harness, run_folder
from support.provider import Provider, Settings
from support.provider.model import Oracle

EXAMPLE = ROOT / "examples" / "review-stars"
KEY = "sk-test-0123456789-review-stars"
QUALITY = {"seed": 11, "accuracy": 0.45, "few_shot_accuracy": 0.55, "tuned_accuracy": 0.85}


def answers() -> dict[str, str]:
    with (EXAMPLE / "reviews.csv").open(encoding="utf-8", newline="") as file:
        return {f"{row['title']}\n{row['body']}": row["stars"] for row in csv.DictReader(file)}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start(answers=answers(), api_key=KEY, **QUALITY) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, provider: Provider) -> Path:
    shutil.copy(EXAMPLE / "reviews.csv", tmp_path)
    text = (EXAMPLE / "experiment.toml").read_text(encoding="utf-8")
    assert text.count("https://api.example.com/v1") == 1
    (tmp_path / "experiment.toml").write_text(text.replace("https://api.example.com/v1", provider.base_url))
    return tmp_path


def run(folder: Path, *options: str) -> Finished:
    return harness("run", "experiment.toml", *options, cwd=folder, env={"OPENAI_API_KEY": KEY})


def arms_of(folder: Path) -> dict[str, dict[str, Any]]:
    results = json.loads((run_folder(folder / "runs") / "results.json").read_text(encoding="utf-8"))
    return {arm["name"]: arm for arm in results["arms"]}


def test_synthetic_reviews_are_what_the_script_writes(tmp_path: Path) -> None:
    import runpy

    runpy.run_path(str(EXAMPLE / "make_reviews.py"))["main"](tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (EXAMPLE / "reviews.csv").read_bytes()


def test_offline_variant_needs_nothing(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example")
    done = harness("run", "example/offline.toml", cwd=tmp_path)
    assert done.code == 0, done
    arms = arms_of(tmp_path)
    assert arms["classical"]["accuracy"] > arms["majority"]["accuracy"] + 0.1
    assert arms["classical"]["mae"] < arms["majority"]["mae"]


def test_whole_comparison(folder: Path, provider: Provider) -> None:
    done = run(folder)
    assert done.code == 0, done
    made = run_folder(folder / "runs")
    results = json.loads((made / "results.json").read_text(encoding="utf-8"))
    assert results["verdict"]["sentence"] in done.out
    assert str(made.name) in done.out
    arms = arms_of(folder)
    assert list(arms) == ["majority", "classical", "zero-shot", "8-shot", "tuned"]
    assert {arm["n"] for arm in arms.values()} == {results["run"]["n_test"]}
    _reported_as_answered(made, arms)
    _trained_once_in_completion_form(made, provider)
    assert arms["tuned"]["cost_per_1k_usd"] > 0
    assert arms["tuned"]["training_cost_usd"] > 0
    assert arms["8-shot"]["input_tokens_mean"] > arms["zero-shot"]["input_tokens_mean"] > 0
    for path in made.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    _again_sends_nothing(folder, provider)


def _reported_as_answered(made: Path, arms: dict[str, dict[str, Any]]) -> None:
    """Each prediction is what the provider says to that example: nothing was shifted, dropped or made up."""
    key = answers()
    oracle = Oracle(Settings(answers=key, **QUALITY))  # type: ignore[arg-type]
    texts = {row["id"]: row["text"] for row in pq.read_table(made / "data" / "examples.parquet").to_pylist()}
    prefixes = {"zero-shot": "", "8-shot": "{shot}\n", "tuned": ""}
    right = dict.fromkeys(prefixes, 0)
    for row in pq.read_table(made / "predictions.parquet").to_pylist():
        if row["arm"] not in prefixes:
            continue
        text = texts[row["example_id"]]
        shot = next(other for other in key if other != text)
        prompt = prefixes[row["arm"]].format(shot=shot) + text
        expected = oracle.decide(prompt, oracle.find(prompt), tuned=row["arm"] == "tuned").label
        assert row["predicted"] == expected, row
        assert row["expected"] == key[text]
        right[row["arm"]] += row["predicted"] == row["expected"]
    for name, count in right.items():
        assert arms[name]["accuracy"] == pytest.approx(count / arms[name]["n"])


def _trained_once_in_completion_form(made: Path, provider: Provider) -> None:
    (job,) = provider.jobs()
    assert job["hyperparameters"]["n_epochs"] == 3
    lines = [json.loads(line) for line in provider.file(job["training_file"]).splitlines()]
    assert all(line["prompt"].endswith("\n\n###\n\n") and line["prompt"].count("###") == 1 for line in lines)
    assert {line["completion"] for line in lines} == {" 1", " 2", " 3", " 4", " 5"}
    tested = {row["example_id"] for row in pq.read_table(made / "predictions.parquet").to_pylist()}
    splits = {row["id"]: row["split"] for row in pq.read_table(made / "data" / "examples.parquet").to_pylist()}
    assert {splits[example_id] for example_id in tested} == {"test"}
    assert len(lines) == sum(split == "train" for split in splits.values())


def _again_sends_nothing(folder: Path, provider: Provider) -> None:
    before = provider.counts()
    done = run(folder)
    assert done.code == 0, done
    assert provider.counts() == before


def test_training_refused_now_and_allowed_later(folder: Path, provider: Provider) -> None:
    provider.set(training_refused=True)
    done = run(folder)
    assert done.code == 4, done
    arms = arms_of(folder)
    assert arms["8-shot"]["answered"] > 0
    assert arms["tuned"]["answered"] == 0
    assert arms["tuned"]["accuracy"] is None
    provider.set(training_refused=False)
    before = provider.counts()
    done = run(folder)
    assert done.code == 0, done
    after = provider.counts()
    assert after["POST /v1/chat/completions"] == before["POST /v1/chat/completions"]
    assert arms_of(folder)["tuned"]["accuracy"] > 0.7


def test_missing_key_is_said_before_anything_is_sent(folder: Path, provider: Provider) -> None:
    done = harness("run", "experiment.toml", cwd=folder, env={"OPENAI_API_KEY": ""})
    assert done.code == 2, done
    assert "OPENAI_API_KEY" in done.err
    assert len(done.err.strip().splitlines()) <= 3
    assert provider.counts() == {}
