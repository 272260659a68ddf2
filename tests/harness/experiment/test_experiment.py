"""experiment.toml → Experiment: every kind of mistake is said in at most three lines, with key path, line and cure."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from harness.errors import ExperimentError, UsageError
from harness.experiment import Experiment
from harness.experiment.reader import load
from harness.plugins import Plugins
from harness.plugins.discovery import discover

GOOD = """\
name = "food"
seed = 7

[dataset]
plugin = "files"
path = "reviews.csv"
text = ["title", "body"]
label = "stars"

[prepare]
duplicates = "near"
split = { train = 0.8, validation = 0.1, test = 0.1, stratify = true }

[endpoints.api]
base_url = "https://api.example.com/v1"
api_key_env = "API_KEY"
headers = { X-Team = { env = "TEAM" }, X-Plain = "yes" }

[prices."my-model"]
input = 0.15
output = 0.60

[budget]
max_usd = 25.0

[decision]
incumbent = "8-shot"
error_usd = { default = 2.0, security = 50.0 }

[[arms]]
name = "8-shot"
backend = { plugin = "few-shot", endpoint = "api", model = "m" }
formatter = { plugin = "chat", instruction = "Say it." }
shots = { selector = "balanced", k = 8, draw = 1 }
[arms.choose]
"shots.k" = [0, 2, 4]
"shots.draw" = [1, 2]
budget = { trials = 12, usd = 5 }

[[arms]]
name = "tuned"
backend = { plugin = "fine-tuned", endpoint = "api", base = "m", n_epochs = 3 }
"""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return discover()


def read(tmp_path: Path, text: str | bytes, plugins: Plugins) -> Experiment:
    path = tmp_path / "experiment.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, plugins)


def test_the_whole_file(tmp_path: Path, plugins: Plugins) -> None:
    experiment = read(tmp_path, GOOD, plugins)
    assert [arm.name for arm in experiment.arms] == ["8-shot", "tuned"]
    assert [arm.family for arm in experiment.arms] == ["few-shot", "fine-tuned"]
    chosen = [dict(settings) for settings, _ in experiment.arms[0].candidates]
    # with no shot every draw is the same prompt, so k = 0 stands once
    assert chosen == [{"shots.k": 0}, *({"shots.k": k, "shots.draw": d} for k in (2, 4) for d in (1, 2))]
    assert [arm.shots.k for _, arm in experiment.arms[0].candidates if arm.shots] == [0, 2, 2, 4, 4]
    assert experiment.secret_names() == ("API_KEY", "TEAM")
    assert {metric.name for metric in experiment.metrics} >= {"accuracy", "macro-f1", "mae"}
    assert experiment.endpoints.keys() == {"api", "local"}


def test_what_changes_no_answer_is_no_part_of_the_settings(tmp_path: Path, plugins: Plugins) -> None:
    before = read(tmp_path, GOOD, plugins).answer_settings()
    for old, new in (
        ("max_usd = 25.0", "max_usd = 1.0"),
        ("input = 0.15", "input = 9.0"),
        ('incumbent = "8-shot"', 'incumbent = "tuned"'),
        ('api_key_env = "API_KEY"', 'api_key_env = "OTHER"\nconcurrency = 3'),
    ):
        assert old in GOOD
        assert read(tmp_path, GOOD.replace(old, new), plugins).answer_settings() == before
    for old, new in (("seed = 7", "seed = 8"), ("k = 8", "k = 4"), ("n_epochs = 3", "n_epochs = 4")):
        assert read(tmp_path, GOOD.replace(old, new), plugins).answer_settings() != before


def test_two_models_of_one_name_on_this_machine_are_two_endpoints(
    tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for run in ("run-a", "run-b"):
        (tmp_path / run / "checkpoint-500").mkdir(parents=True)
        (tmp_path / run / "m.gguf").write_bytes(b"weights")

    def identity(model: str | None, weights: str = "") -> str:
        local = f'[endpoints.local]\nmodel = "{model}"\n' if model else ""
        loaded = read(tmp_path, GOOD.replace("[prices", f"{local}[prices", 1), plugins)
        found = loaded.identities(loaded.local_weights(weights))
        assert found["api"] == "https://api.example.com/v1"
        return found["local"]

    # As ever where the name by which it is asked says all of the model: what was answered and trained stays known.
    assert {identity(model) for model in (None, "SmolLM2-135M-Instruct", "Qwen/Qwen2.5-0.5B")} == {"local"}
    for name in ("checkpoint-500", "m.gguf"):
        there = identity(f"run-a/{name}")
        assert there.startswith(f"local {tmp_path.resolve()}/run-a/{name}")
        assert {
            identity(f"./run-b/../run-a/{name}"),
            identity(f"~/run-a/{name}"),
            identity(f"{tmp_path}/run-a/{name}"),
        } == {there}
        assert identity(f"run-b/{name}") != there
    place = tmp_path / "run-a" / "checkpoint-500"
    nameless = identity(str(place))
    (place / "model.safetensors").write_bytes(b"weights")
    before = identity(str(place))
    (place / "model.safetensors").write_bytes(b"weighty")
    assert identity(str(place)) not in (before, nameless)  # a training has replaced them
    shutil.rmtree(place)
    assert identity(str(place)) == nameless
    assert identity(str(place), before.split()[-1]) == before  # all that it has answered is still there
    assert identity("run-a/checkpoint-500", before.split()[-1]) == before
    assert identity("one/Qwen-GGUF/q.gguf") != identity("two/Qwen-GGUF/q.gguf")  # both are asked for as "q"


def swap(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, old
    return GOOD.replace(old, new, 1)


MISTAKES = [
    # old, new, key path, also said
    ("seed = 7", "sead = 7", "sead", 'did you mean "seed"?'),
    ('name = "food"', 'nmae = "food"', "nmae", 'there is no such key; did you mean "name"?'),
    ("[dataset]", "[datset]", "datset", 'there is no such key; did you mean "dataset"?'),
    ("backend = {", "bakend = {", "arms[0].bakend", 'there is no such key; did you mean "backend"?'),
    ('duplicates = "near"', 'duplicate = "near"', "prepare.duplicate", 'did you mean "duplicates"?'),
    ("stratify = true", "startify = true", "prepare.split.startify", 'did you mean "stratify"?'),
    ("stratify = true", 'stratify = "maybe"', "prepare.split.stratify", "where-possible"),
    ('base_url = "', 'base_uri = "', "endpoints.api.base_uri", 'did you mean "base_url"?'),
    ('{ env = "TEAM" }', '{ enw = "TEAM" }', "endpoints.api.headers.X-Team.enw", ""),
    ("input = 0.15", "inputs = 0.15", "prices.my-model.inputs", 'did you mean "input"?'),
    ("max_usd = 25.0", "max_usb = 25.0", "budget.max_usb", 'did you mean "max_usd"?'),
    ('incumbent = "8', 'incumbant = "8', "decision.incumbant", 'did you mean "incumbent"?'),
    ("shots = {", "shot = {", "arms[0].shot", 'did you mean "shots"?'),
    ("usd = 5 }", "usb = 5 }", "arms[0].choose.budget.usb", 'did you mean "usd"?'),
    ('name = "food"', "name = 3", "name", "string"),
    ("seed = 7", 'seed = "x"', "seed", "must be a whole number"),
    ("train = 0.8", 'train = "most"', "prepare.split.train", "number"),
    ("train = 0.8", "train = 0.7", "prepare.split", "train + validation + test must be 1; 0.7 + 0.1 + 0.1 is 0.9"),
    ("input = 0.15", "input = -0.15", "prices.my-model.input", "greater than or equal to 0"),
    ("max_usd = 25.0", "max_usd = -1", "budget.max_usd", "greater than or equal to 0"),
    ("error_usd = { default = 2.0, security = 50.0 }", "error_usd = -1", "decision.error_usd", "0 or more"),
    ("{ default = 2.0, security = 50.0 }", "{ default = -2.0 }", "decision.error_usd", "0 or more"),
    ("error_usd = { default = 2.0, security = 50.0 }", 'error_usd = "much"', "decision.error_usd", ""),
    ('incumbent = "8-shot"', "cache_hit = 1.5", "decision.cache_hit", "less than or equal to 1"),
    ('incumbent = "8-shot"', "label_usd = 1\nlabelling_usd = 2", "decision.label_usd", "give one"),
    ('incumbent = "8-shot"', "label_us = 1", "decision.label_us", 'did you mean "label_usd"?'),
    ("max_usd = 25.0", "max_usd = nan", "budget.max_usd", "finite"),
    ('"near"', '"fuzzy"', "prepare.duplicates", "'near'"),
    ('name = "food"\n', "", "name", "is missing"),
    ("k = 8, ", "", "arms[0].shots.k", "is missing"),
    ('plugin = "files"\n', "", "dataset", 'names no dataset: plugin = "…" is missing'),
    ('"files"', '"filez"', "dataset.plugin", 'there is no dataset "filez"; did you mean "files"?'),
    ('"files"', '"chat"', "dataset.plugin", '"chat" is a formatter, not a dataset'),
    ('plugin = "few-shot"', 'plugin = "fewshot"', "arms[0].backend.plugin", 'did you mean "few-shot"?'),
    ('selector = "balanced"', 'selector = "balance"', "arms[0].shots.selector", 'did you mean "balanced"?'),
    ("n_epochs = 3", "epochs = 3", "arms[1].backend.epochs", 'did you mean "n_epochs"?'),
    ("n_epochs = 3", "n_epochs = 0", "arms[1].backend", "n_epochs must be at least 1"),
    ("n_epochs = 3", 'n_epochs = "many"', "arms[1].backend.n_epochs", "'auto'"),
    ('base = "m", ', "", "arms[1].backend", "give `base`, the model to train, or `model`"),
    (', model = "m"', "", "arms[0].backend", 'few-shot needs the option "model"'),
    ('instruction = "Say it."', 'instructoin = "x"', "arms[0].formatter.instructoin", 'did you mean "instruction"?'),
    ("draw = 1 }", "draws = 1 }", "arms[0].shots.draws", ""),
    ("text = [", "txt = [", "dataset.txt", 'did you mean "text"?'),
    ('name = "tuned"', 'name = "8-shot"', "arms[1].name", 'two arms are named "8-shot"'),
    ('endpoint = "api", model', 'endpoint = "apo", model', "arms[0].backend.endpoint", 'did you mean "api"?'),
    ('incumbent = "8-shot"', 'incumbent = "8shot"', "decision.incumbent", 'did you mean "8-shot"?'),
    ('name = "tuned"', 'name = "tuned"\nof = "9-shot"', "arms[1].of", 'did you mean "8-shot"?'),
    ("https://api", "https://user:pw@api", "endpoints.api.base_url", "must not hold a name or password"),
    ("https://api", "ftp://api", "endpoints.api.base_url", "a URL like"),
    ("example.com/v1", "example.com:99999/v1", "endpoints.api.base_url", "a number from 1 to 65535"),
    ("example.com/v1", "example.com:0/v1", "endpoints.api.base_url", "a number from 1 to 65535"),
    ("example.com/v1", "example.com:https/v1", "endpoints.api.base_url", "a number from 1 to 65535"),
    ("[endpoints.api]", '[endpoints.api]\nprofile = "azzure"', "endpoints.api.profile", 'did you mean "azure"?'),
    ("[endpoints.api]", "[endpoints.local]", "endpoints.local", "the harness starts this endpoint itself"),
    ('base_url = "https://api.example.com/v1"\n', "", "endpoints.api", "base_url is missing"),
    ('"shots.k" = [0, 2, 4]', '"shots.kk" = [0]', "arms[0].choose.shots.kk", ""),
    ('"shots.k" = [0, 2, 4]', '"shots.k" = ["x"]', "arms[0].choose.shots.k", "must be a whole number"),
    ('"shots.k" = [0, 2, 4]', '"shots.k.x" = [1]', "arms[0].choose.shots.k.x", "k is no table"),
    ('"shots.k" = [0, 2, 4]', '"backend.modle" = ["a"]', "arms[0].choose.backend.modle", 'did you mean "model"?'),
    ('"shots.k" = [0, 2, 4]', '"backend" = ["a"]', "arms[0].choose.backend", "a table is expected"),
    ('"shots.k" = [0, 2, 4]', '"name" = ["a"]', "arms[0].choose.name", "only backend, formatter, shots can be chosen"),
    ('"shots.k" = [0, 2, 4]', '"shots.k" = 3', "arms[0].choose.shots.k", "a list of values to try is expected"),
    ('"shots.k" = [0, 2, 4]', '"shots.k" = []', "arms[0].choose.shots.k", "a list of values to try is expected"),
    ('"shots.draw" = [1, 2]', "items = 0", "arms[0].choose.items", "a number of validation examples is expected"),
    ("trials = 12", "trials = 0", "arms[0].choose.budget.trials", "greater than or equal to 1"),
    ("seed = 7", 'seed = 7\nplugins = ["mine.py"]', "plugins[0]", "--plugin"),
    ("seed = 7", "seed = 7\nrepeats = 0", "repeats", "greater than or equal to 1"),
    ("seed = 7", "seed = 7\nrepeats = 21", "repeats", "less than or equal to 20"),
    ("seed = 7", "seed = 7\nrepeats = 2.5", "repeats", "must be a whole number"),
    ("seed = 7", 'seed = 7\nmetrics = [{ plugin = "f2" }]', "metrics[0].plugin", 'there is no metric "f2"'),
]


@pytest.mark.parametrize(
    ("old", "new", "path", "said"), MISTAKES, ids=[new[:40] or f"no {old[:20]}" for old, new, *_ in MISTAKES]
)
def test_mistake(tmp_path: Path, plugins: Plugins, old: str, new: str, path: str, said: str) -> None:
    text = swap(old, new)
    tomllib.loads(text)
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text, plugins)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert len(message.splitlines()) <= 3, message
    assert f"{path}: " in message
    assert said in message
    assert str(tmp_path / "experiment.toml") in message
    assert ":pw" not in message
    if new and "is missing" not in said:
        line = int(message.split(", line ")[1].split(":")[0])
        begin = GOOD[: GOOD.index(old)].count("\n") + 1
        assert line in range(begin, begin + new.count("\n") + 1), message


def test_a_missing_key_is_said_where_it_is_missing(tmp_path: Path, plugins: Plugins) -> None:
    path = tmp_path / "experiment.toml"
    line = GOOD[: GOOD.index("[[arms]]")].count("\n") + 1
    cases = {
        GOOD.replace("arms", "arm"): f'{path}, line {line}: arm: there is no such key; did you mean "arms"?',
        swap('name = "food"\n', "").replace("duplicates", "duplicats"): f"{path}: name: is missing",
        swap('name = "food"\n', 'subject = "food"\n'): f"{path}: name: is missing",
    }
    for text, said in cases.items():
        with pytest.raises(ExperimentError) as caught:
            read(tmp_path, text, plugins)
        assert str(caught.value) == said


def test_not_utf8_not_toml_not_there(tmp_path: Path, plugins: Plugins) -> None:
    for text, said in ((b'name = "\xff"', "not UTF-8 (byte 8)"), (b"name = ", "not TOML"), (b"", "name: is missing")):
        with pytest.raises(ExperimentError) as caught:
            read(tmp_path, text, plugins)
        assert said in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 3
    with pytest.raises(ExperimentError, match=r'did you mean "experiment\.toml"'):
        load(tmp_path / "experimint.toml", plugins)
    with pytest.raises(ExperimentError, match="no such file"):
        load(tmp_path / "nowhere" / "e.toml", plugins)
    with pytest.raises(ExperimentError, match=r"is a folder; .*\nthere is .*experiment\.toml"):
        load(tmp_path, plugins)
    (tmp_path / "d.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"d\.csv looks like data; .*\n`harness init .*d\.csv`"):
        load(tmp_path / "d.csv", plugins)


def test_a_loose_file_that_the_command_repeats_is_allowed(tmp_path: Path, plugins: Plugins) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(swap("seed = 7", 'plugins = ["mine.py"]'))
    assert load(path, plugins, allowed_files=[tmp_path / "sub" / ".." / "mine.py"]).name == "food"
    with pytest.raises(ExperimentError, match="--plugin"):
        load(path, plugins, allowed_files=[tmp_path / "other.py"])


def test_a_grid_beyond_counting_is_drawn_from(tmp_path: Path, plugins: Plugins) -> None:
    many = "\n".join(f'"backend.extra_body.o{n}" = {list(range(10))}' for n in range(12))
    text = swap('"shots.k" = [0, 2, 4]\n"shots.draw" = [1, 2]', many)
    drawn = [dict(settings) for settings, _ in read(tmp_path, text, plugins).arms[0].candidates]
    assert len(drawn) == 12
    assert drawn == [dict(settings) for settings, _ in read(tmp_path, text, plugins).arms[0].candidates]
    assert len({str(settings) for settings in drawn}) == 12


def test_an_arm_without_shots_is_zero_shot_also_where_nothing_else_is_offered(tmp_path: Path, plugins: Plugins) -> None:
    none = swap('"shots.k" = [0, 2, 4]', '"shots.k" = [0]')
    assert read(tmp_path, none, plugins).arms[0].family == "zero-shot"
    assert read(tmp_path, swap("shots = {", "# "), plugins).arms[0].family == "few-shot"  # chosen among 2 and 4 too


@pytest.mark.parametrize("key", ["sk-proj-abcdefghij0123456789ABCD", "hf_abcdefghijklmnopqrstuvwxyz012345", "a key"])
@pytest.mark.parametrize("name", ["API_KEY", "TEAM"])
def test_a_key_where_a_variables_name_belongs_is_refused_and_not_said(tmp_path: Path, key: str, name: str) -> None:
    file = tmp_path / "e.toml"
    file.write_text(GOOD.replace(f'"{name}"', f'"{key}"'), encoding="utf-8")
    with pytest.raises(ExperimentError, match="the name of an environment variable is expected") as caught:
        load(file, discover())
    assert key not in f"{caught.value}{caught.value.hint}"
