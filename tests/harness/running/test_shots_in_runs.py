"""Whole runs whose shots are picked by likeness, or do not fit, against a provider over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lab import Lab, call, endpoint, few_shot, task
from support.provider import Provider

from harness.execution import engine as engine_module

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "sk-test-shots-0123456789"
CHAT, EMBEDDINGS = "POST /v1/chat/completions", "POST /v1/embeddings"
SPLIT = "[prepare]\nsplit = { train = 0.6, validation = 0.2, test = 0.2 }\n"
GIVEN = 'embeddings = { endpoint = "fake", model = "embedding-model" }'
N = 150
TRAIN, VALIDATION, TEST = 90, 30, 30


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(N), api_key=KEY, few_shot_accuracy=0.7, seed=5) as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path, N)


def alike(name: str, *, selector: str = "nearest", k: int = 3, options: str = GIVEN, extra: str = "") -> str:
    shots = f'shots = {{ selector = "{selector}", k = {k}{", " if options else ""}{options} }}'
    return few_shot(name, extra=f"{shots}\n{extra}")


def write(lab: Lab, provider: Provider, *arms: str, more: str = "", options: str = "", head: str = "") -> Path:
    return lab.write("\n".join(arms), head=head, dataset=SPLIT + more + endpoint(provider.base_url, options=options))


PRICES = '[prices."base-model"]\ninput = 1\noutput = 1\n[prices."embedding-model"]\ninput = 4\noutput = 0\n'


def test_vectors_are_bought_once_before_anything_else_and_cost_what_they_cost(lab: Lab, provider: Provider) -> None:
    arms = [alike("nearest"), alike("diverse", selector="diverse"), few_shot("zero")]
    write(lab, provider, *arms, more=PRICES)
    finished = lab.run()
    assert finished.code == 0, finished.err
    paths = [request.path for request in provider.requests()]
    train_first = paths[:2]
    assert train_first == ["/v1/embeddings"] * 2  # 90 texts, 64 in a request; both arms need the same
    bodies = [request.body for request in provider.requests() if request.path == "/v1/embeddings"]
    texts = [text for body in bodies for text in body["input"]]
    assert len(set(texts)) == N
    assert all(list(body) == ["model", "input", "encoding_format"] for body in bodies)
    # Validation is asked about (three arms), the first test item is not tried twice beyond one text
    assert len(texts) <= N + 1
    rows = lab.predictions()
    assert all(row["status"] == "answered" and len(row["shot_ids"]) == 3 for row in rows if row["arm"] != "zero")
    # Each item pays its part of the request that brought its vector: 9 + 2 words at 4 USD for a million, on average.
    by_arm = {name: sum(row["cost_usd"] for row in rows if row["arm"] == name) for name in ("nearest", "zero")}
    tokens = {name: sum(row["input_tokens"] + row["output_tokens"] for row in rows if row["arm"] == name)
              for name in by_arm}  # fmt: skip
    assert by_arm["zero"] == pytest.approx(tokens["zero"] / 1e6)
    test_words = sum(len(row["response"]) >= 0 for row in rows if row["arm"] == "nearest") * 11
    assert by_arm["nearest"] == pytest.approx(tokens["nearest"] / 1e6 + test_words * 4 / 1e6, rel=0.01)
    journaled = lab.journal("SELECT total(usd) FROM answers WHERE arm = 'nearest (embeddings)'")[0][0]
    assert journaled == pytest.approx(len(texts) * 11 * 4 / 1e6, rel=0.01)
    assert lab.results()["ledger"]["spent_usd"] == pytest.approx(lab.journal("SELECT total(usd) FROM answers")[0][0])
    # The same command sends nothing, and a changed experiment takes the vectors over.
    provider.reset()
    assert lab.run().code == 0
    write(lab, provider, *arms, alike("five", k=5), more=PRICES)
    assert lab.run().code == 0
    assert provider.counts().get(EMBEDDINGS, 0) == 0
    assert provider.counts()[CHAT] == TEST + VALIDATION


def test_shots_by_vectors_are_those_that_the_selector_picks(lab: Lab, provider: Provider) -> None:
    from support.provider.embeddings import vector

    from harness.types import Example
    from harness_plugins.selectors.nearest import Nearest

    write(lab, provider, alike("nearest"))
    assert lab.run().code == 0
    import pyarrow.parquet as pq

    rows = pq.read_table(lab.folder / "data" / "examples.parquet").to_pylist()
    made = {row["id"]: (row["split"], Example(fields=dict(_fields(row)), label="", id=row["id"])) for row in rows}
    train = [example for split, example in made.values() if split == "train"]
    vectors = {example.text: vector(example.text) for _, example in made.values()}
    picker = Nearest().fit(train, 1, vectors=vectors)
    for row in lab.predictions():
        expected = [shot.id for shot in picker.pick(made[row["example_id"]][1], 3)]
        assert list(row["shot_ids"]) == expected


def _fields(row: dict[str, Any]) -> Any:
    fields = row["fields"]
    return json.loads(fields) if isinstance(fields, str) else fields


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"without": ("embeddings",)}, "404"),
        ({"embedding_models": ()}, "embedding-model"),
        ({"embeddings_at_most": 1}, "64 vectors were asked for, 1 came"),
    ],
)
def test_an_endpoint_without_vectors_ends_the_run_before_anything_else(
    lab: Lab, provider: Provider, settings: dict[str, Any], said: str
) -> None:
    provider.set(**settings)
    # The choice of the first arm would be asked about before the second arm is.
    write(lab, provider, few_shot("picked", k=2, extra='[arms.choose]\n"shots.k" = [0, 2]\n'), alike("nearest"))
    finished = lab.run()
    assert finished.code == 2
    assert "the arm nearest needs embeddings for its shots" in finished.err
    assert said in finished.err
    assert "shots.embeddings" in finished.err
    assert provider.counts() == {EMBEDDINGS: 1}


def test_lost_vectors_leave_the_other_arms_to_finish_and_the_same_command_goes_on(
    lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "ATTEMPTS", 2)
    provider.set(fault_paths=("/v1/embeddings",), error_500_rate=1.0)
    write(lab, provider, few_shot("zero"), alike("nearest"))
    finished = lab.run()
    assert finished.code == 4, finished.err
    arms = lab.arms()
    assert (arms["zero"]["answered"], arms["nearest"]["failed"]) == (TEST, TEST)
    assert {row["status"] for row in lab.predictions() if row["arm"] == "nearest"} == {"failed"}
    provider.set(error_500_rate=0.0)
    finished = lab.run()
    assert finished.code == 0, finished.err
    assert lab.arms()["nearest"]["answered"] == TEST


def test_vectors_count_in_the_budget(lab: Lab, provider: Provider) -> None:
    write(lab, provider, alike("nearest"), more=PRICES)
    finished = lab.run("--max-usd", "0.0001")
    assert finished.code == 3, finished.err
    assert provider.counts().get(CHAT, 0) == 0
    write(lab, provider, alike("nearest"), more=PRICES.partition('[prices."embedding')[0])
    finished = lab.run("--max-usd", "1")
    assert finished.code == 2
    assert "no price is known for embedding-model" in finished.err


def test_wrong_names_are_said_before_anything_is_read(lab: Lab, provider: Provider) -> None:
    path = write(lab, provider, alike("nearest", options='embeddings = { endpoint = "fqke", model = "m" }'))
    finished = lab.run()
    assert finished.code == 2
    assert 'arms[0].shots.embeddings.endpoint: there is no endpoint "fqke"' in finished.err
    assert '"fake"' in finished.err
    write(lab, provider, alike("nearest", options='embeddings = { endpoint = "fake", modle = "m" }'))
    assert "arms[0].shots.embeddings" in lab.run().err
    assert path.is_file()


def test_an_estimate_sends_nothing_and_counts_the_vectors(lab: Lab, provider: Provider) -> None:
    path = write(lab, provider, alike("nearest"), more=PRICES)
    before = json.loads(call("estimate", path, "--out", lab.path / "runs", "--json").out)
    assert provider.counts() == {}
    assert _requests(before) == TEST + 3
    assert "no token limit" not in json.dumps(before)  # vectors have no tokens of output
    assert lab.run().code == 0
    after = json.loads(call("estimate", path, "--out", lab.path / "runs", "--json").out)
    assert _requests(after) == 0  # the real shots are known by now
    provider.reset()
    assert call("estimate", path, "--out", lab.path / "other", "--probe").code == 0
    assert provider.counts().get(EMBEDDINGS, 0) == 0


def _requests(estimate: dict[str, Any]) -> int:
    (arm,) = estimate["arms"]
    return int(arm["requests"])


def test_choosing_among_selectors_by_vectors_and_without(lab: Lab, provider: Provider) -> None:
    choose = '[arms.choose]\n"shots.selector" = ["nearest", "diverse"]\n"shots.k" = [0, 2]\n'
    write(lab, provider, alike("chosen", extra=choose))
    finished = lab.run()
    assert finished.code == 0, finished.err
    (choice,) = lab.results()["choices"]
    assert len(choice["candidates"]) >= 3


def test_shots_that_do_not_fit_are_left_out_and_counted(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("many", k=30), options="context = 400")
    finished = lab.run()
    assert finished.code == 0, finished.err
    assert "shots do not fit into the model's context" in finished.err
    (check,) = [check for check in lab.results()["checks"] if check["kind"] == "shots-dropped"]
    rows = lab.predictions()
    assert check["level"] == "warning"
    assert check["figures"]["items"] == check["figures"]["n"] == TEST
    assert check["figures"]["shots"] == sum(30 - len(row["shot_ids"]) for row in rows) > 0
    assert all(0 < len(row["shot_ids"]) < 30 and row["status"] == "answered" for row in rows)
    longest = max(
        len(request.body["messages"]) for request in provider.requests() if request.path.endswith("chat/completions")
    )
    assert longest == 2 + 2 * max(len(row["shot_ids"]) for row in rows)
    # Another context is another experiment; without one nothing is left out.
    write(lab, provider, few_shot("many", k=30))
    assert lab.run().code == 0
    assert len(lab.runs) == 2
    newest = lab.runs[-1]
    assert not [check for check in lab.results(newest)["checks"] if check["kind"] == "shots-dropped"]


def test_all_that_trains_in_this_process_trains_once_in_the_same_stage(lab: Lab) -> None:
    names = ("majority", "classical", "neighbours")
    arms = [f'[[arms]]\nname = "{name}"\nbackend = {{ plugin = "{name}" }}\n' for name in names]
    lab.write("\n".join(arms), dataset=SPLIT)
    finished = lab.run()
    assert finished.code == 0, finished.err
    shown = lab.arms()
    assert {name: shown[name]["answered"] for name in names} == dict.fromkeys(names, TEST)
    assert all(shown[name]["family"] == "classical" and shown[name]["training_s"] > 0 for name in names)
    kept = {path: path.stat().st_mtime_ns for path in (lab.folder / "models").rglob("*") if path.is_file()}
    assert {path.name for path in kept} >= {"majority.json", "classical.npz", "neighbours.npz"}
    predicted = lab.said()
    for name in ("results.json", "journal.sqlite"):
        (lab.folder / name).unlink()
    assert lab.run().code == 0
    assert lab.said() == predicted
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
