"""`harness export`: the folder answers as the run did, with openai alone."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

from harness.finished import exporting, predict_script

KEY = "sk-test-export-0123456789abcdef"
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"
CLASSICAL = '[[arms]]\nname = "classical"\nbackend = { plugin = "classical" }\n'


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    template = "The answer is: {label}."
    with Provider.start(
        answers=task(60), api_key=KEY, accuracy=0.6, answer_template=template, seed=5, keep_requests=2000
    ) as running:
        yield running


@pytest.fixture(scope="module")
def ran(shared: Provider, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, set[str]]:
    """A finished run, and path and body of each of its requests."""
    shared.renew()  # whatever a test before has set
    lab = Lab.make(tmp_path_factory.mktemp("export"), 60)
    arms = [
        few_shot("few", k=3, extra='formatter = { plugin = "chat", words = { mixed = "so-so" } }'),
        few_shot("chooses", options=', answer = "choose"'),
        few_shot("schema", options=', answer = "schema"'),
        fine_tuned("tuned"),
        CLASSICAL,
    ]
    lab.write("\n".join(arms), dataset=SPLIT + endpoint(shared.base_url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_KEY", KEY)
        done = lab.run()
    assert done.code == 0, done
    return lab, requests(shared)


@pytest.fixture(scope="module")
def finished(ran: tuple[Lab, set[str]]) -> Lab:
    return ran[0]


@pytest.fixture(scope="module")
def sent(ran: tuple[Lab, set[str]]) -> set[str]:
    return ran[1]


def requests(provider: Provider) -> set[str]:
    return {json.dumps([one.path, one.body], sort_keys=True) for one in provider.requests() if "files" not in one.path}


@pytest.fixture
def provider(shared: Provider, sent: set[str], monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("FAKE_KEY", KEY)
    shared.renew()
    return shared


def export(lab: Lab, arm: str, out: Path) -> Any:
    return call("export", lab.folder, "--arm", arm, "-o", out)


def alone(script: Path, texts: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the script where this project cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", _ALONE, script], input=texts, env={**os.environ, **env}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


_ALONE = """
import runpy, sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"harness", "harness_plugins", "harness_local"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refused())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("arm", ["tuned", "few", "chooses", "schema"])
def test_the_script_answers_as_the_run_did(
    arm: str, finished: Lab, provider: Provider, sent: set[str], tmp_path: Path
) -> None:
    done = export(finished, arm, tmp_path / "deploy")
    assert done.code == 0, done
    assert done.out == f"{tmp_path / 'deploy'}\n"
    texts = {row["id"]: row["text"] for row in pq.read_table(finished.folder / "data" / "examples.parquet").to_pylist()}
    answers = [row for row in finished.predictions() if row["arm"] == arm]
    said = alone(tmp_path / "deploy" / "predict.py", "".join(f"{texts[row['example_id']]}\n" for row in answers), {})
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [row["predicted"] or "" for row in answers]
    assert requests(provider) <= sent  # byte for byte what the run asked
    assert len(requests(provider)) == len(answers)
    told = json.loads((tmp_path / "deploy" / "arm.json").read_text())
    assert told["verdict"] == finished.results()["verdict"]["sentence"]
    assert told["labels"] == ["bad", "good", "mixed"]
    assert len(told["shots"]) == (3 if arm == "few" else 0)
    assert {path.name for path in (tmp_path / "deploy").iterdir()} == {"arm.json", "predict.py", "README.md"}
    assert KEY not in "".join(path.read_text() for path in (tmp_path / "deploy").iterdir())


def test_the_readme_is_a_model_card(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    assert export(finished, "tuned", tmp_path / "deploy").code == 0
    card = ModelCard.load(tmp_path / "deploy" / "README.md")
    (scored,) = (arm for arm in finished.results()["arms"] if arm["name"] == "tuned")
    assert card.data.model_name == "tuned"
    figures = {one.metric_type: one.metric_value for one in card.data.eval_results or ()}
    assert figures == {"accuracy": scored["accuracy"], "macro_f1": scored["macro_f1"]}
    assert card.text.lstrip().startswith("# tuned")


def test_texts_are_data_and_never_places(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    assert export(finished, "tuned", tmp_path / "deploy").code == 0
    odd = '{text} {"$text": ["x"]} \\1 %s ⟦harness-text⟧\n\n###\n\nend'
    told = json.loads((tmp_path / "deploy" / "arm.json").read_text())
    item = {"": odd.replace(told["separator"]["find"], told["separator"]["put"])}
    body = predict_script.filled(told["requests"][0]["body"], {**item, "text": item[""]})
    import harness
    from harness_plugins.formatters.completion import Completion

    prompt = Completion().prompt(harness.Example(fields={"text": odd}, label=""), (), ("bad", "good", "mixed"))
    assert body["prompt"] == prompt.text


def test_what_cannot_be_exported_says_what_works_instead(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    done = export(finished, "classical", tmp_path / "deploy")
    assert (done.code, "harness predict" in done.err) == (2, True), done
    done = export(finished, "tune", tmp_path / "deploy")
    assert (done.code, 'did you mean "tuned"?' in done.err) == (2, True), done
    assert not (tmp_path / "deploy").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    done = export(finished, "tuned", tmp_path / "full")
    assert (done.code, "there is something already" in done.err) == (2, True), done
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


PICKY = '''
from dataclasses import dataclass
from typing import ClassVar
import harness

@dataclass(frozen=True, kw_only=True)
class Alike:
    """Shots by the item."""
    name: ClassVar[str] = "alike"

    def fit(self, train, seed):
        self_train = sorted(train, key=lambda one: one.id)
        class Picker:
            def pick(self, example, k):
                start = int(example.id, 16) % (len(self_train) - k)
                return self_train[start:start + k]
        return Picker()

@harness.hookimpl
def harness_selectors():
    return [Alike]
'''


def test_shots_that_hang_on_the_item_are_refused(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    (tmp_path / "alike.py").write_text(PICKY)
    picky = few_shot("alike", extra='shots = { selector = "alike", k = 2 }')
    lab.write(picky, head='plugins = ["alike.py"]', dataset=SPLIT + endpoint(provider.base_url))
    assert lab.run("--plugin", tmp_path / "alike.py").code == 0
    done = call("export", lab.folder, "--arm", "alike", "-o", tmp_path / "deploy")
    assert (done.code, "--plugin alike.py" in done.err) == (2, True), done
    done = call("export", lab.folder, "--arm", "alike", "-o", tmp_path / "deploy", "--plugin", tmp_path / "alike.py")
    assert (done.code, "picks other shots for each item (alike)" in done.err) == (2, True), done


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Positive", "positive"),
        ("very-positive!", "very positive"),
        ("It is negative.", "negative"),
        ("positive or negative", ""),
    ],
)
def test_the_parser_of_the_folder_reads_plainly(text: str, label: str) -> None:
    from harness.finished.exporting import _parser

    words = {"positive": " positive", "negative": " negative", "very positive": " very positive"}
    assert predict_script.parsed({"parser": _parser(words)}, text) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (r'{"label": "n\u00e9gatif"}', "négatif"),
        ('{\n  "label": "the \\"best\\""\n}', 'the "best"'),
        ('{"label": "label"}', "label"),
        ('{"label": "négatif"}', "négatif"),
        ('"label"', "label"),
        ("négatif", "négatif"),
        ('{"', ""),
    ],
)
def test_answers_in_json_are_read_as_the_run_reads_them(text: str, label: str) -> None:
    from harness import parsing
    from harness.finished.exporting import _parser
    from harness_plugins.openai_answers import _enum_value

    labels = ("négatif", 'the "best"', "label")
    arm = {"answer": "schema", "parser": _parser({label: label for label in labels})}
    reply = {"choices": [{"message": {"content": text}}]}
    assert predict_script.answer(arm, [{}], [reply]) == label
    assert (parsing.lenient(_enum_value(text), labels) or "") == label


def test_numbers_are_read_however_they_are_spelt() -> None:
    from harness.finished.exporting import _parser

    arm = {"parser": _parser({label: f" {label}" for label in "12345"})}
    said = ["4", "four stars", "4.0", "4/5", "**4**", "10", "3 or 4", ""]
    assert [predict_script.parsed(arm, text) for text in said] == ["4", "4", "4", "4", "4", "", "", ""]


def test_an_arm_of_several_texts_takes_an_object_a_line(tmp_path: Path) -> None:
    told = {"arm": "a", "run": "r", "harness": "1", "verdict": None, "model": "m", "base_url": "u", "api_key_env": None}
    one, two = (exporting._readme({**told, "fields": fields}, adapter=False, agreement=(1, 1))
                for fields in (["text"], ["title", "body"]))  # fmt: skip
    assert ": a text a line, a label a line." in one
    assert ': a JSON object a line, `{"title": "…", "body": "…"}`, a label a line.' in two

    arm = {"fields": ["title", "body"], "base_url": "http://127.0.0.1:9/v1", "api_key_env": None, "headers": {},
           "query": {}}  # fmt: skip
    (tmp_path / "arm.json").write_text(json.dumps(arm))
    (tmp_path / "predict.py").write_text(inspect.getsource(predict_script))
    for line in ("a text", '"a text"', '{"title": "a"}', '{"title": "a", "body": 1}'):
        done = alone(tmp_path / "predict.py", f"{line}\n", {})
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == 'line 1: expected a JSON object with these texts: {"title": "…", "body": "…"}\n'
