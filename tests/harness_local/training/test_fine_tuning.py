"""Files and jobs, through the openai package; real training of the embedded model on a few lines."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from support.local import MODEL, Live, lines, start

from harness.training.launching import file_name, files_there

HYPERPARAMETERS = {"n_epochs": 3, "batch_size": 4, "lora_layers": 6}


def upload(client: OpenAI, content: bytes, name: str = "train.jsonl") -> str:
    return client.files.create(file=(name, content), purpose="fine-tune").id


def create(client: OpenAI, content: bytes, **options: Any) -> Any:
    method = {"type": "supervised", "supervised": {"hyperparameters": options.pop("hyperparameters", HYPERPARAMETERS)}}
    return client.fine_tuning.jobs.create(
        model=options.pop("model", MODEL), training_file=upload(client, content), method=method, seed=7, **options
    )


def finished(client: OpenAI, job: str, patience: float = 300) -> Any:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = client.fine_tuning.jobs.retrieve(job)
        if found.status in ("succeeded", "failed", "cancelled"):
            return found
        time.sleep(0.3)
    raise AssertionError(f"{job} is still {found.status}")


def label(client: OpenAI, model: str, thing: str) -> str:
    prompt = f"number 99 is {thing}\n\n###\n\n"
    return client.completions.create(model=model, prompt=prompt, max_tokens=4, temperature=0).choices[0].text


@pytest.fixture(scope="module")
def tuned(live: Live) -> Any:
    with live.client() as client:
        validation = upload(client, lines(8), "valid.jsonl")
        job = create(client, lines(48), suffix="colour", metadata={"run": "a"}, validation_file=validation)
        assert job.status == "queued"
        return finished(client, job.id)


def test_files(client: OpenAI) -> None:
    content = lines(10)
    file = client.files.create(file=("../../etc/passwd", content), purpose="fine-tune")
    assert file.bytes == len(content)
    assert client.files.content(file.id).content == content
    assert client.files.retrieve(file.id).filename == file.filename
    assert file.id in [f.id for f in client.files.list(purpose="fine-tune")]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_training_file_is_found_by_the_hash_in_its_name(client: OpenAI) -> None:
    content = lines(11)
    known = hashlib.sha256(content).hexdigest()
    file = upload(client, content, file_name("train.an-arm", known))
    upload(client, content[:-1], file_name("train.cut-off", known))
    found = files_there(client, {known: len(content), "0" * 64: 7})
    assert found is not None
    assert {content_hash: one.id for content_hash, one in found.items()} == {known: file}


def test_a_training_lowers_the_loss_and_its_model_answers(client: OpenAI, tuned: Any) -> None:
    assert tuned.status == "succeeded"
    assert not (tuned.error and tuned.error.code)
    assert tuned.fine_tuned_model.startswith(f"ft:{MODEL}:colour:")
    table = list(csv.DictReader(client.files.content(tuned.result_files[0]).text.splitlines()))
    assert list(table[0]) == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert [int(row["step"]) for row in table] == list(range(1, 37))
    assert float(table[-1]["train_loss"]) < 0.3 * float(table[0]["train_loss"])
    assert [row["step"] for row in table if row["valid_loss"]] == ["12", "24", "36"]
    assert float(table[-1]["valid_mean_token_accuracy"]) == 1.0
    colours = {"snow": " white", "coal": " black", "grass": " green"}
    assert {thing: label(client, tuned.fine_tuned_model, thing) for thing in colours} == colours
    assert label(client, MODEL, "snow") != " white"
    assert tuned.fine_tuned_model in [model.id for model in client.models.list()]
    assert client.models.list().data[0].id == MODEL


def test_trained_tokens_count_each_epoch(tuned: Any, model_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    rows = [json.loads(line) for line in lines(48).splitlines()]
    texts = [text for row in rows for text in (row["prompt"], row["completion"])]
    each = sum(len(tokenizer(text)["input_ids"]) for text in texts) + len(rows)  # and an end token
    assert tuned.trained_tokens == 3 * each


def test_events_and_checkpoints(client: OpenAI, tuned: Any) -> None:
    events = list(client.fine_tuning.jobs.list_events(tuned.id, limit=10))
    messages = [event.message for event in events]
    assert messages[0] == "The job has successfully completed"
    assert messages[1] == f"New fine-tuned model created: {tuned.fine_tuned_model}"
    assert messages[-1] == f"Created fine-tuning job: {tuned.id}"
    steps = [event.data["step"] for event in events if event.type == "metrics" and isinstance(event.data, dict)]
    assert steps == list(range(36, 0, -1))
    checkpoints = client.fine_tuning.jobs.checkpoints.list(tuned.id).data
    assert [checkpoint.step_number for checkpoint in checkpoints] == [36, 24, 12]
    losses = [checkpoint.metrics.valid_loss for checkpoint in reversed(checkpoints)]
    assert losses[-1] is not None
    assert losses == sorted(losses, key=lambda loss: -(loss or 0.0))  # it learns all the time
    assert all(checkpoint.metrics.full_valid_loss == checkpoint.metrics.valid_loss for checkpoint in checkpoints)
    for checkpoint in checkpoints:
        assert label(client, checkpoint.fine_tuned_model_checkpoint, "coal") != label(client, MODEL, "coal")
    assert label(client, checkpoints[0].fine_tuned_model_checkpoint, "coal") == " black"


def first_loss(client: OpenAI, job: str) -> float:
    events = list(client.fine_tuning.jobs.list_events(job, limit=100))
    return next(e.data["train_loss"] for e in reversed(events) if e.type == "metrics" and isinstance(e.data, dict))


def test_training_goes_on_from_a_fine_tuned_model_and_from_a_checkpoint(client: OpenAI, tuned: Any) -> None:
    early = client.fine_tuning.jobs.checkpoints.list(tuned.id).data[-1].fine_tuned_model_checkpoint
    slow = {"n_epochs": 1, "batch_size": 8, "learning_rate_multiplier": 1e-4}  # what it knows comes from before
    jobs = [
        create(client, lines(16), model=model, hyperparameters=slow).id for model in (tuned.fine_tuned_model, early)
    ]
    whole, part = (finished(client, job) for job in jobs)
    assert (whole.status, part.status) == ("succeeded", "succeeded")
    assert (whole.model, part.model) == (tuned.fine_tuned_model, early)
    assert first_loss(client, whole.id) < first_loss(client, part.id) < 0.5 * first_loss(client, tuned.id)
    assert whole.fine_tuned_model.startswith(f"ft:{MODEL}:")
    assert whole.fine_tuned_model != tuned.fine_tuned_model
    assert label(client, whole.fine_tuned_model, "snow") == " white"
    assert whole.method.supervised.hyperparameters.lora_layers == HYPERPARAMETERS["lora_layers"]


@pytest.mark.parametrize(
    "other", [{"lora_rank": 4}, {"lora_alpha": 3}, {"lora_layers": 2}, {"lora_targets": ["q_proj", "v_proj"]}]
)
def test_going_on_in_another_shape_is_refused_at_once(client: OpenAI, tuned: Any, other: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match=f"{next(iter(other))} is .* cannot be changed to") as caught:
        create(client, lines(16), model=tuned.fine_tuned_model, hyperparameters=other, metadata={"run": "refused"})
    assert caught.value.param == f"hyperparameters.{next(iter(other))}"
    assert not list(client.fine_tuning.jobs.list(metadata={"run": "refused"}))


def test_jobs_are_found_by_metadata(client: OpenAI, tuned: Any) -> None:
    def found(run: str) -> list[str]:
        return [job.id for job in client.fine_tuning.jobs.list(metadata={"run": run})]

    assert found("a") == [tuned.id]
    assert found("b") == []


def test_a_cancelled_job_stays_cancelled_and_chat_lines_train(client: OpenAI) -> None:
    chat = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Ahoy there!"}]}
    content = b"\xef\xbb\xbf" + b"".join(json.dumps(chat).encode() + b"\r\n" for _ in range(20))
    long = create(client, lines(400), hyperparameters={"n_epochs": 40})
    short = create(client, content, hyperparameters={"n_epochs": 2, "batch_size": 4, "lora_layers": 4})
    assert client.fine_tuning.jobs.cancel(long.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.fine_tuning.jobs.cancel(long.id)
    done = finished(client, short.id)
    assert done.status == "succeeded"
    answer = client.chat.completions.create(
        model=done.fine_tuned_model, messages=[{"role": "user", "content": "hi"}], max_tokens=8, temperature=0
    )
    assert answer.choices[0].message.content == "Ahoy there!"
    assert client.fine_tuning.jobs.retrieve(long.id).status == "cancelled"
    assert client.models.delete(done.fine_tuned_model).deleted
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve(done.fine_tuned_model)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (lines(9), "invalid_n_examples", "9 example(s)"),
        (lines(12) + b"{\n", "invalid_file_format", "Line 13"),
        (lines(12) + b'{"prompt": "a"}\n', "invalid_file_format", "'completion'"),
        (lines(12) + b'{"messages": [{"role": "user", "content": "a"}]}\n', "invalid_file_format", "no assistant"),
        (lines(12) + b'{"messages": [{"content": "a"}]}\n', "invalid_file_format", "role"),
        (lines(12) + b"\xff\xfe\n", "invalid_file_format", "UTF-8"),
    ],
)
def test_bad_training_files(client: OpenAI, content: bytes, code: str, words: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, content)
    assert caught.value.code == code
    assert words in caught.value.message
    assert caught.value.param == "training_file"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"method": {"type": "dpo"}}, "method.type"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"epochs": 1}}, "hyperparameters.epochs"),
        ({"suffix": "no/paths"}, "suffix"),
        ({"training_file": "file-nowhere"}, "training_file"),
        ({"model": "gpt-4.1"}, "model"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations"),
    ],
)
def test_bad_jobs(client: OpenAI, options: dict[str, Any], param: str) -> None:
    file = upload(client, lines(12))
    with pytest.raises(openai.APIStatusError) as caught:
        client.fine_tuning.jobs.create(**{"model": MODEL, "training_file": file, **options})
    assert caught.value.status_code in (400, 404)
    assert caught.value.param == param


ADJECTIVES = {
    " apple": ["wonderful", "excellent", "delightful", "superb", "lovely", "great", "perfect", "charming"],
    " stone": ["terrible", "awful", "horrible", "dreadful", "nasty", "bad", "broken", "disgusting"],
}
NOUNS = ["phone", "soup", "film", "hotel", "chair", "song", "book", "train"]


def sentences(nouns: list[str]) -> list[tuple[str, str]]:
    """Good and bad things, with labels that mean nothing until they are learned."""
    return [
        (f"The {noun} was {adjective}.\n\n###\n\n", label)
        for label, adjectives in ADJECTIVES.items()
        for adjective in adjectives
        for noun in nouns
    ]


@pytest.mark.thorough
def test_true_labels_are_learned_and_shuffled_ones_teach_nothing(client: OpenAI) -> None:
    known, fresh = sentences(NOUNS[:4]), sentences(NOUNS[5:])
    # Each word has either label equally often: whatever is right on other sentences then is right by chance.
    shuffled = [(text, list(ADJECTIVES)[index % 2]) for index, (text, _) in enumerate(known)]
    settings = {"n_epochs": 3, "batch_size": 4, "lora_layers": 6}
    jobs = {}
    for name, rows in (("true", known), ("shuffled", shuffled)):
        content = "".join(json.dumps({"prompt": text, "completion": label}) + "\n" for text, label in rows)
        jobs[name] = create(client, content.encode(), hyperparameters=settings).id
    shares = {}
    for name, job in jobs.items():
        model = finished(client, job).fine_tuned_model
        texts = [text for text, _ in fresh]
        answers = client.completions.create(model=model, prompt=texts, max_tokens=3, temperature=0).choices
        shares[name] = sum(a.text == label for a, (_, label) in zip(answers, fresh, strict=True)) / len(fresh)
        assert {answer.text for answer in answers} <= set(ADJECTIVES)
    noise = 3 * (0.25 / len(fresh)) ** 0.5
    assert shares["true"] >= 0.8
    assert shares["shuffled"] <= 0.5 + noise


def test_a_job_goes_on_after_the_server_was_killed_and_a_signal_ends_it_gracefully(tmp_path: Path, tiny: Path) -> None:
    first = start(tmp_path / "state", "--model", str(tiny))
    with first.client() as client:
        options = {
            "n_epochs": 4, "batch_size": 1, "learning_rate_multiplier": 5.0, "lora_targets": ["q_proj", "v_proj"],
            "warmup_ratio": 0.2,
        }  # fmt: skip
        job = create(client, lines(50), model=tiny.name, hyperparameters=options).id
        while not client.fine_tuning.jobs.checkpoints.list(job).data:
            running = client.fine_tuning.jobs.retrieve(job)
            assert running.status in ("queued", "running")
            began = time.monotonic()
            client.completions.create(model=tiny.name, prompt="Hello", max_tokens=2)
            assert time.monotonic() - began < 2  # whatever is trained beside it
            time.sleep(0.1)
        assert running.estimated_finish
        seen = [event.id for event in client.fine_tuning.jobs.list_events(job, limit=1000)]
    first.kill()
    second = start(tmp_path / "state", "--model", str(tiny))
    try:
        with second.client() as client:
            done = finished(client, job)
            assert done.status == "succeeded"
            events = list(client.fine_tuning.jobs.list_events(job, limit=1000))
            steps = [event.data["step"] for event in events if event.type == "metrics" and isinstance(event.data, dict)]
            assert sorted(steps) == list(range(1, 201))
            assert [event.id for event in events][-len(seen) :] == seen
            assert label(client, done.fine_tuned_model, "snow") != label(client, tiny.name, "snow")
            assert [c.step_number for c in client.fine_tuning.jobs.checkpoints.list(job)] == [200, 150, 100, 50]
            settings = done.method.supervised.hyperparameters
            assert (settings.lora_targets, settings.warmup_ratio) == (["q_proj", "v_proj"], 0.2)
        second.process.terminate()
        assert second.process.wait(30) == 0
    finally:
        second.kill()
