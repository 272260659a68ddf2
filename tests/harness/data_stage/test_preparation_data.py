"""The data stage in a run: what it reads of the experiment, its gates, what it finds in prompts and training files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

from harness.tables import read_examples

MOCK = '[[arms]]\nname = "pretend"\nbackend = { plugin = "mock", accuracy = 1.0 }\n'


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path, n=90, split=("train", "train", "validation", "test", "test"))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("FAKE_KEY", "sk-of-the-tests")
    with Provider.start(answers=task(90), api_key="sk-of-the-tests") as started:
        yield started


def quality(lab: Lab) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((lab.folder / "data" / "quality.json").read_text(encoding="utf-8"))
    return loaded


def test_a_test_text_in_a_prompt_stops_the_run(lab: Lab) -> None:
    shown = next(text for number, text in enumerate(lab.answers) if number % 5 == 3)
    chat = f'formatter = {{ plugin = "chat", instruction = """Sort reports. E.g. {shown.upper()}! is good.""" }}\n'
    lab.write(MOCK + chat, dataset='split = "split"')
    done = lab.run()
    assert done.code == 3, done
    assert "1 test example in a prompt" in done.err
    assert "in that of pretend" in done.err
    assert lab.run("--allow-leaks").code == 0
    assert lab.results()["verdict"]["kind"] == "invalid"
    of_train = next(text for number, text in enumerate(lab.answers) if number % 5 == 0)
    lab.write(MOCK + chat.replace(shown.upper(), of_train), dataset='split = "split"', name="fine.toml")
    assert lab.run(file="fine.toml").code == 0


def test_leaked_items_are_told_apart_where_a_run_goes_on(lab: Lab) -> None:
    lines = (lab.path / "data.csv").read_text(encoding="utf-8").splitlines()
    train = [line.removesuffix(",train") for line in lines if line.endswith(",train")]
    (lab.path / "data.csv").write_text("\n".join([*lines, *(f"{line},test" for line in train[:9])]) + "\n")
    lab.write('[[arms]]\nname = "knows"\nbackend = { plugin = "classical" }\n' + MOCK, dataset='split = "split"')
    assert lab.run().code == 3
    assert lab.run("--allow-leaks").code == 0
    for arm in lab.results()["arms"]:
        rows = [row for row in lab.predictions() if row["arm"] == arm["name"]]
        leaked = {leak["a"] for leak in quality(lab)["leaks"]}  # type: ignore[attr-defined]
        clean = [row["predicted"] == row["expected"] for row in rows if row["example_id"] not in leaked]
        assert len(leaked) == 9
        assert len(clean) == len(rows) - 9
        assert arm["accuracy_without_leaks"] == pytest.approx(sum(clean) / len(clean))
    page = (lab.folder / "report.html").read_text(encoding="utf-8")
    assert "Accuracy with and without the test items that also stand in train or validation" in page


def test_a_leak_that_is_allowed_opens_no_other_gate(lab: Lab, provider: Provider) -> None:
    lines = (lab.path / "data.csv").read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace("report", "<|endoftext|> report", 1)
    (lab.path / "data.csv").write_text("\n".join([*lines, lines[2].replace(",train", ",test")]) + "\n")
    arm = fine_tuned("tuned", base="gpt-4.1-mini")
    lab.write(arm + endpoint(provider.base_url), dataset='split = "split"')
    assert lab.run().code == 3
    done = lab.run("--allow-leaks")
    assert done.code == 2, done
    assert "special-token-strings" in done.err
    assert provider.counts() == {}


def test_a_preview_keeps_the_shots_that_are_named(lab: Lab, provider: Provider) -> None:
    lab.write(MOCK, dataset='split = "split"')
    assert lab.run().code == 0
    whole = lab.folder
    kept = read_examples(whole / "data" / "examples.parquet") or ()
    named = [example.id for example in kept if example.split == "train"][::9]
    arm = few_shot("shown", k=len(named)).replace('"balanced"', f'"fixed", ids = {json.dumps(named)}')
    lab.write(arm + endpoint(provider.base_url), dataset='split = "split"', name="shown.toml")
    assert lab.run("--limit", "2", file="shown.toml").code == 0
    (preview,) = set(lab.runs) - {whole}
    assert {tuple(row["shot_ids"]) for row in lab.predictions(preview)} == {tuple(named)}


def test_without_leaks_there_is_nothing_to_tell_apart(lab: Lab) -> None:
    lab.write(MOCK, dataset='split = "split"')
    assert lab.run().code == 0
    assert [arm["accuracy_without_leaks"] for arm in lab.results()["arms"]] == [None]


def test_a_split_is_given_once(lab: Lab) -> None:
    lab.write(MOCK, dataset='split = "split"\n[prepare]\nsplit = { train = 0.5, validation = 0.2, test = 0.3 }')
    done = lab.run()
    assert done.code == 2
    assert "prepare.split: dataset.split names a column that says it" in done.err
    assert "line 10" in done.err


def test_what_a_job_would_fail_for_is_said_before_anything_is_sent(lab: Lab, provider: Provider) -> None:
    text = (lab.path / "data.csv").read_text(encoding="utf-8").replace("report 0000:", "report <|endoftext|> 0000:")
    (lab.path / "data.csv").write_text(text, encoding="utf-8")
    lab.write(endpoint(provider.base_url) + fine_tuned("tuned", base="gpt-4.1-mini"), dataset='split = "split"')
    done = lab.run()
    assert done.code == 2, done
    assert "special-token-strings" in done.err
    assert "<|endoftext|>" in done.err
    assert provider.counts() == {}


def test_lines_for_a_local_model_in_a_folder_are_counted_by_its_own_tokenizer(lab: Lab) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    place = lab.path / "my-model"
    place.mkdir()
    arm = '[[arms]]\nname = "tuned"\nbackend = { plugin = "fine-tuned", endpoint = "local", base = "my-model" }\n'
    lab.write(arm, dataset=f'split = "split"\n[endpoints.local]\nmodel = "{place}"')

    def counted() -> dict[str, Any]:
        done = call("prepare", lab.path / "experiment.toml", "-o", lab.path / "out", "--json")
        assert done.code == 0, done
        return next(check for check in json.loads(done.out)["checks"] if check["kind"] == "training-tokens")

    guessed = counted()
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(place / "tokenizer.json"))
    own = counted()
    assert "estimated" in guessed["message"]
    assert "estimated" not in own["message"]


def test_a_label_that_train_lacks_is_said_before_anything_is_sent(lab: Lab, provider: Provider) -> None:
    rows = (lab.path / "data.csv").read_text(encoding="utf-8").splitlines()
    rows = [row.replace(",good,test", ",excellent,test") for row in rows]
    (lab.path / "data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    arms = endpoint(provider.base_url) + fine_tuned("tuned") + few_shot("zero", k=0)
    lab.write(arms, dataset='split = "split"')
    done = lab.run()
    assert done.code == 2, done
    assert 'train has no example of the label "excellent"' in done.err
    assert "the arm tuned could not learn it" in done.err
    assert provider.counts() == {}
    assert lab.run("--only", "zero").code == 0  # a prompt needs no example of it


def test_a_given_split_without_validation_may_have_a_class_of_one_row(lab: Lab) -> None:
    lines = (lab.path / "data.csv").read_text(encoding="utf-8").replace(",validation", ",train")
    (lab.path / "data.csv").write_text(f"{lines}a text of a kind of its own,rare,train\nanother one,rare,test\n")
    lab.write(MOCK, dataset='split = "split"')
    assert lab.run().code == 0
    rare = {row.split for row in read_examples(lab.folder / "data" / "examples.parquet") or () if row.label == "rare"}
    assert rare == {"train", "test"}


def test_a_validation_file_of_one_class_is_trained_with(lab: Lab, provider: Provider) -> None:
    table = (lab.path / "data.csv").read_text(encoding="utf-8")
    lines = [line for line in table.splitlines() if not line.endswith("validation") or ",bad," in line]
    (lab.path / "data.csv").write_text("\n".join([*lines, ""]))
    lab.write(fine_tuned("tuned"), dataset=f'split = "split"\n{endpoint(provider.base_url)}')
    done = lab.run()
    assert done.code == 0, done
    lines = (lab.folder / "data" / "validation.tuned.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["completion"] for line in lines} == {" bad"}
    told = {check["kind"] for check in quality(lab)["checks"]}  # type: ignore[attr-defined]
    assert "missing-class" in told
    assert "identical-completions" not in told


def test_stratified_where_possible_a_model_can_be_trained_whatever_is_rare(lab: Lab, provider: Provider) -> None:
    rows = (lab.path / "data.csv").read_text(encoding="utf-8").splitlines()
    rows += [f"note {number} of a kind of its own: {'xyz' * number},rare {number}," for number in range(6)]
    (lab.path / "data.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    split = "[prepare]\nsplit = {{ train = 0.5, validation = 0.15, test = 0.35, stratify = {} }}\n"
    refused = ("true", "fewer than the splits"), ("false", "train has no example of the label")
    for stratify, said in refused:
        lab.write(fine_tuned("tuned"), dataset=f"{split.format(stratify)}{endpoint(provider.base_url)}")
        done = lab.run()
        assert (done.code, said in done.err) == (2, True), done
    possible = split.format('"where-possible"')
    lab.write(fine_tuned("tuned"), dataset=f"{possible}{endpoint(provider.base_url)}")
    done = lab.run()
    assert done.code == 0, done


def test_weights_go_to_endpoints_that_take_them_alone(lab: Lab, provider: Provider) -> None:
    arms = endpoint(provider.base_url) + fine_tuned("tuned")
    lab.write(arms, dataset='split = "split"\n[prepare]\nbalance = "weights"')
    done = lab.run()
    assert done.code == 2, done
    assert "takes no weights" in done.err
    assert 'balance = "downsample"' in done.err
    assert provider.counts() == {}
    named = endpoint(provider.base_url, options='profile = "local"') + fine_tuned("tuned")
    lab.write(named, dataset='split = "split"\n[prepare]\nbalance = "weights"', name="local.toml")
    assert lab.run(file="local.toml").code == 0
    lines = (lab.folder / "data" / "train.tuned.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["weight"] for line in lines} == set(quality(lab)["weights"].values())  # type: ignore[attr-defined]


def test_azure_gets_a_byte_order_mark(lab: Lab, provider: Provider) -> None:
    arms = endpoint(provider.base_url, options='profile = "azure"') + fine_tuned("tuned")
    lab.write(arms, dataset='split = "split"')
    assert lab.run().code == 4  # what was trained there has to be deployed before it answers
    for split in ("train", "validation"):
        assert (lab.folder / "data" / f"{split}.tuned.jsonl").read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_run_says_what_its_training_takes_and_what_its_test_can_show(lab: Lab, provider: Provider) -> None:
    arms = endpoint(provider.base_url) + fine_tuned("tuned") + few_shot("zero")
    lab.write(arms, dataset='split = "split"')
    assert lab.run().code == 0
    checks = {check["kind"]: check for check in lab.results()["checks"]}
    assert checks["training-tokens"]["message"].startswith("train.tuned.jsonl: ")
    assert checks["power"]["figures"]["test"] == 36
    assert checks["power"]["figures"]["needed_for_margin"] > 1000
    assert checks["rows"]["heading"] == "quantity"
    data = lab.results()["data"]
    assert data["rows_in"] == 90 == sum(data["rows_out"].values()) + sum(data["removed"].values())


ODD = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import harness

@dataclass(frozen=True, kw_only=True)
class Own:
    name: ClassVar[str] = "own"
    path: Path | None = None
    reads: str = "what it likes"
    def load(self, ctx):
        return [harness.Example(fields={"text": f"item {n}"}, label="ab"[n % 2]) for n in range(60)]

@dataclass(frozen=True, kw_only=True)
class First:
    name: ClassVar[str] = "first"
    ids: tuple[str, ...] | None = None
    def fit(self, train, seed):
        self.__dict__["train"] = train
        return self
    def pick(self, example, k):
        return [each for each in self.train if each.id != example.id][:k]

@harness.hookimpl
def harness_datasets():
    return [Own]

@harness.hookimpl
def harness_selectors():
    return [First]
"""


@pytest.mark.parametrize("path", ["", '\npath = "there"'])
def test_options_of_a_plugin_of_ones_own_may_have_any_name(lab: Lab, path: str) -> None:
    (lab.path / "odd.py").write_text(ODD, encoding="utf-8")
    arm = MOCK + 'shots = { selector = "first", k = 1 }\n'
    experiment = lab.path / "odd.toml"
    experiment.write_text(f'name = "odd"\n[dataset]\nplugin = "own"{path}\n{arm}', encoding="utf-8")
    assert lab.run("--plugin", lab.path / "odd.py", "--limit", "5", file="odd.toml").code == 0
    done = call("prepare", experiment, "-o", lab.path / "out", "--plugin", lab.path / "odd.py")
    assert done.code == 0, done


def test_a_template_that_shows_no_item_names_its_arm(lab: Lab, provider: Provider) -> None:
    arm = few_shot("mute") + 'formatter = { plugin = "plain", template = "Good or bad?" }\n'
    lab.write(MOCK + arm + endpoint(provider.base_url), dataset='split = "split"')
    done = lab.run()
    assert done.code == 2, done
    assert 'error: the arm "mute": formatter.template shows no item' in done.err
    assert provider.counts() == {}
