"""The loader: what is wrong with a plugin is said, with its name, and harms only those who need it."""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.items import write_items
from support.lab import Lab, call

from harness.errors import PluginError, UnfinishedError
from harness.plugins import Plugins, attributed
from harness.plugins.discovery import KINDS, discover
from harness.plugins.options import construct
from harness.plugins.origins import ALLOW

HEAD = """
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
import harness
"""


def backend(
    name: str = "own", *, decorator: str = "@dataclass(frozen=True, kw_only=True)", body: str = "", answer: str = ""
) -> str:
    given = answer or '[harness.Answer(text="good") for _ in prompts]'
    return HEAD + textwrap.dedent(f"""
        {decorator}
        class Own:
            name: ClassVar[str] = "{name}"
            family: ClassVar[str] = "other"
        {textwrap.indent(body, "    " * 3)}
            @contextmanager
            def open(self, ctx):
                yield lambda prompts: {given}

        @harness.hookimpl
        def harness_backends():
            return [Own]
        """)


def install(folder: Path, distribution: str, module: str, source: str, *, point: str = "own") -> None:
    """Puts a distribution with one entry point into a folder, as pip would."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[finetune_harness]\n{point} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


CONSTANT = """\
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
import harness

@dataclass(frozen=True, kw_only=True)
class Constant:
    name: ClassVar[str] = "constant"
    family: ClassVar[str] = "other"
    label: str                                  # an option of the experiment's table

    @contextmanager
    def open(self, ctx):
        yield lambda prompts: [harness.Answer(text=self.label) for _ in prompts]

@harness.hookimpl
def harness_backends():
    return [Constant]
"""


def test_all_that_ships_loads() -> None:
    plugins = discover()
    assert plugins.failures == ()
    assert {record.kind for record in plugins.records} >= set(KINDS) - {"observer"}
    assert all(record.summary and record.distribution.startswith("finetune-harness ") for record in plugins.records)
    plugins.check()


def test_smallest_backend_runs(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    (tmp_path / "constant.py").write_text(CONSTANT)
    arm = '[[arms]]\nname = "c"\nbackend = { plugin = "constant", label = "good" }\n'
    lab.write(arm, head='plugins = ["constant.py"]')
    done = lab.run()
    assert done.code == 2, done
    assert "--plugin" in done.err
    done = lab.run("--plugin", tmp_path / "constant.py")
    assert done.code == 0, done
    assert {row["predicted"] for row in lab.predictions()} == {"good"}
    assert lab.arms()["c"]["answered"] == lab.arms()["c"]["n"] == 6
    lab.write(arm.replace("label = ", "lable = "))
    done = lab.run("--plugin", tmp_path / "constant.py")
    assert done.code == 2
    assert 'constant has no option "lable"; did you mean "label"?' in done.err


def test_a_family_may_hang_on_the_options(tmp_path: Path) -> None:
    field = backend().replace("family: ClassVar[str]", "family: str")
    asked = backend().replace('    family: ClassVar[str] = "other"\n', "") + (
        "Own.family = property(lambda self: 'few-shot')\n"
    )
    for number, source in enumerate((field, asked)):
        path = tmp_path / f"own{number}.py"
        path.write_text(source)
        assert discover([path]).get("backend", "own").distribution == str(path)


BROKEN = [
    (
        backend().replace("def harness_backends", "def harness_backend"),
        'no hook "harness_backend"; did you mean "harness_backends"?',
    ),
    (backend().replace("def harness_backends()", "def harness_backends(x)"), "Argument(s) {'x'}"),
    ("import does_not_exist_anywhere\n" + backend(), "does_not_exist_anywhere"),
    ("raise SystemExit(3)\n", "SystemExit"),
    ("def broken(:\n", "SyntaxError"),
    ("1 / 0\n", "ZeroDivisionError"),
    (backend().replace('    name: ClassVar[str] = "own"\n', ""), "has no ClassVar `name`"),
    (backend(""), "has no ClassVar `name`"),
    (backend(decorator="@dataclass"), "no frozen dataclass"),
    (backend(decorator=""), "no frozen dataclass"),
    (backend().replace("def open", "def opened"), "lacks `open`"),
    (backend().replace('    family: ClassVar[str] = "other"\n', ""), "lacks `family`"),
    (backend().replace('"other"', '"fine-tunned"'), 'Own.family is "fine-tunned"; did you mean "fine-tuned"?'),
    (backend().replace('"other"', '"bayesian"'), "there is classical, few-shot, fine-tuned, mock, other, zero-shot"),
    (backend().replace('"other"', "None"), 'Own.family is "None"; there is classical'),
    (backend().replace("[Own]", "[Own()]"), "must return classes"),
    (backend().replace("[Own]", "7"), "TypeError"),
]


@pytest.mark.parametrize(("source", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_broken_file_is_said_in_one_line(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(source)
    with pytest.raises(PluginError) as caught:
        discover([path])
    message = str(caught.value)
    assert f"--plugin {path}" in message
    assert said in message
    assert len(message.splitlines()) <= 2
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("source", "said"), BROKEN[:6], ids=[said for _, said in BROKEN[:6]])
def test_a_broken_package_is_data_and_stops_only_who_needs_it(
    site: Path, tmp_path: Path, source: str, said: str
) -> None:
    install(site, "broken-dist", f"broken_{abs(hash(said))}", source)
    plugins = discover()
    (failure,) = plugins.failures
    assert (failure.name, failure.distribution) == ("own", "broken-dist 1.0")
    assert said in failure.reason
    assert len(failure.reason.splitlines()) == 1
    with pytest.raises(PluginError, match=r"broken-dist 1\.0.*failed to load") as caught:
        plugins.get("backend", "own")
    assert "--no-plugin own" in caught.value.hint
    assert plugins.get("backend", "mock").name == "mock"
    done = call("plugins", "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["failed"][0]["name"] == "own"
    assert "FAILED" in call("plugins").out


def test_a_run_that_needs_no_broken_package_is_unharmed(site: Path, tmp_path: Path) -> None:
    install(site, "broken-dist", "broken_unneeded", "raise ValueError('no luck')\n")
    lab = Lab.make(tmp_path)
    lab.write('[[arms]]\nname = "m"\nbackend = { plugin = "majority" }\n')
    assert lab.run().code == 0
    lab.write('[[arms]]\nname = "m"\nbackend = { plugin = "own" }\n')
    done = lab.run()
    assert done.code == 2
    assert "broken-dist 1.0" in done.err
    assert "no luck" in done.err
    assert len(done.err.splitlines()) <= 3


def test_no_file_and_no_plugin_in_it(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no such file"):
        discover([tmp_path / "none.py"])
    (tmp_path / "empty.py").write_text("import harness\n")
    with pytest.raises(PluginError, match="declares no plugin"):
        discover([tmp_path / "empty.py"])
    (tmp_path / "plugin.txt").write_text(backend())
    with pytest.raises(PluginError, match="not a Python file"):
        discover([tmp_path / "plugin.txt"])


def test_what_a_plugin_prints_stays_off_stdout(tmp_path: Path) -> None:
    answer = '[print("asked") or harness.Answer(text="good") for _ in prompts]'
    (tmp_path / "own.py").write_text('print("loud import")\n' + backend(answer=answer))
    done = call("plugins", "--json", "--plugin", tmp_path / "own.py")
    assert "own" in {row["name"] for row in json.loads(done.out)["plugins"]}
    assert "loud import" in done.err
    lab = Lab.make(tmp_path)
    lab.write('[[arms]]\nname = "o"\nbackend = { plugin = "own" }\n')
    done = lab.run("--plugin", tmp_path / "own.py", "--json", "--quiet")
    assert json.loads(done.out)["unfinished"] is None
    assert "asked" in done.err


def test_blocked_before_import(site: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    install(site, "side-effects", "leaves_trace", f"open({str(trace)!r}, 'w').close()\n" + backend())
    for name in ("own", "side-effects"):
        plugins = discover(blocked=[name])
        assert not trace.exists()
        assert "own" not in {record.name for record in plugins.records}
    discover()
    assert trace.exists()


def test_only_what_is_allowed_is_imported(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    install(site, "side-effects", "leaves_trace_too", f"open({str(trace)!r}, 'w').close()\n" + backend())
    for limit in ([], ["another"]):
        assert "own" not in {record.name for record in discover(allowed=limit).records}
    monkeypatch.setenv(ALLOW, "another, third")
    assert {record.name for record in discover().records} >= {"few-shot", "accuracy"}, "what ships is always there"
    assert "own" not in {record.name for record in discover(allowed=["side-effects"]).records}
    assert not trace.exists()
    monkeypatch.setenv(ALLOW, "another,Side_Effects")
    assert "own" in {record.name for record in discover(allowed=["side.effects"]).records}


@pytest.mark.parametrize(("allow", "code"), [('["own-package"]', 0), ("[]", 2)])
def test_an_experiment_limits_plugins(site: Path, tmp_path: Path, allow: str, code: int) -> None:
    install(site, "own-package", f"own_of_{code}", backend("own-answers"))
    write_items(tmp_path / "items.csv")
    (tmp_path / "e.toml").write_text(
        f"""
        name = "limited"
        plugins = {{ allow = {allow} }}
        dataset = {{ plugin = "files", path = "items.csv", text = "text", label = "label" }}
        [[arms]]
        name = "own"
        backend = {{ plugin = "own-answers" }}
        formatter = {{ plugin = "plain" }}
        """
    )
    done = call("run", tmp_path / "e.toml", "--out", tmp_path / "runs", "--yes", "--quiet")
    assert done.code == code, done
    assert ('"own-answers"' in done.err) == bool(code)


@pytest.mark.parametrize("command", ["predict", "recheck", "export", "relabel", "prepare"])
def test_the_limits_of_a_run_hold_after_it(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    trace, file = tmp_path / "trace", tmp_path / "own.py"
    file.write_text(backend())
    lab = Lab.make(tmp_path)
    tables = f'plugins = {{ allow = [], files = ["{file.name}"] }}'
    lab.write('[[arms]]\nname = "o"\nbackend = { plugin = "own" }\n', head=tables)
    assert lab.run("--plugin", file).code == 0
    install(site, "side-effects", f"leaves_trace_{command}", f"open({str(trace)!r}, 'w').close()\n{backend('other')}")
    monkeypatch.chdir(tmp_path)
    known = pq.read_table(lab.folder / "data" / "examples.parquet").to_pylist()
    tested = next(row["id"] for row in known if row["split"] == "test")
    (lab.folder / "relabel").mkdir()
    key = {"items": [{"id": tested, "kind": "control"}]}
    (lab.folder / "relabel" / "00000000.json").write_text(json.dumps(key))
    Path("filled.csv").write_text(f"example_id,label\n{tested},good\n")
    given = {
        "predict": [lab.folder, "data.csv", "--arm", "o", "-o", "out.csv"],
        "recheck": [lab.folder, "data.csv"],
        "export": [lab.folder, "--arm", "o", "-o", "out"],
        "relabel": [lab.folder, "--apply", "filled.csv"],
        "prepare": ["experiment.toml", "-o", "prepared"],
    }[command]
    done = call(command, *given, "--plugin", file)
    if command == "export":
        assert "answers in process" in done.err, done
    else:
        assert done.code == 0, done
    assert not trace.exists()
    if command in {"predict", "recheck", "export"}:
        done = call(command, *given)
        assert done.code == 2, done
        assert "was made with the plugin file own.py\ngive it again: --plugin own.py" in done.err


def test_two_of_one_name_name_both(site: Path, tmp_path: Path) -> None:
    install(site, "first-dist", "first_of_two", backend("twin"), point="one")
    install(site, "second-dist", "second_of_two", backend("twin"), point="two")
    plugins = discover()
    for act in (plugins.check, lambda: plugins.get("backend", "twin")):
        with pytest.raises(PluginError) as caught:
            act()
        assert "first-dist 1.0" in caught.value.message
        assert "second-dist 1.0" in caught.value.message
        assert caught.value.hint == 'leave one out with --no-plugin "second-dist"'
    discover(blocked=["second-dist"]).check()
    done = call("plugins")
    assert done.code == 2
    assert "second-dist" in done.err


def test_a_loose_file_can_take_the_place_of_a_shipped_plugin(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(backend("mock"))
    with pytest.raises(PluginError) as caught:
        discover([path]).check()
    assert "finetune-harness" in caught.value.message
    assert str(path) in caught.value.message
    assert '--no-plugin "mock"' in caught.value.hint
    plugins = discover([path], blocked=["mock"])
    plugins.check()
    assert plugins.get("backend", "mock").distribution == str(path)


def test_what_a_module_imports_is_no_hook_of_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"from unittest.mock import call, ANY, MagicMock\nsome = MagicMock()\n{backend()}")
    assert discover([tmp_path / "own.py"]).get("backend", "own").loose


def test_the_same_file_twice_is_one_plugin(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(backend())
    (tmp_path / "x").mkdir()
    discover([tmp_path / "own.py", tmp_path / "x" / ".." / "own.py"]).check()


def test_listing_has_what_a_reader_needs(tmp_path: Path) -> None:
    (tmp_path / "constant.py").write_text(CONSTANT)
    done = call("plugins", "--json", "--plugin", tmp_path / "constant.py")
    (row,) = [row for row in json.loads(done.out)["plugins"] if row["name"] == "constant"]
    assert row["kind"] == "backend"
    assert row["distribution"].endswith("constant.py")
    assert row["options"] == ["label"]
    assert re.fullmatch(r"[0-9a-f]{12}", row["version"])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("[]", "returned 0 answers for"),
        ("[harness.Answer(text='good')]", "returned 1 answers for"),
        ("None", "returned NoneType for"),
        ("['good' for _ in prompts]", "returned a str where harness.Answer is due"),
        ("[harness.Answer(text=5) for _ in prompts]", "text"),
        ("[harness.Answer(text='good', input_tokens='7') for _ in prompts]", "input_tokens"),
        ("[harness.Answer(text='good', latency_s=float('nan')) for _ in prompts]", "latency_s"),
        ("[harness.Answer(text='good', probabilities={'good': object()}) for _ in prompts]", "probabilities"),
        ("[][1]", "IndexError"),
        ("exit(3)", "SystemExit"),
    ],
)
def test_what_a_backend_does_wrong_names_it(tmp_path: Path, answer: str, said: str) -> None:
    lab = Lab.make(tmp_path)
    (tmp_path / "own.py").write_text(backend(answer=answer))
    lab.write('[[arms]]\nname = "o"\nbackend = { plugin = "own" }\n')
    done = lab.run("--plugin", tmp_path / "own.py", "--quiet")
    assert done.code == 2, done
    assert said in done.err
    assert '"own"' in done.err
    assert len(done.err.splitlines()) <= 3
    assert not (lab.folder / "results.json").exists()


METRIC = (
    HEAD
    + """
@dataclass(frozen=True)
class Own:
    name: ClassVar[str] = "own"
    def score(self, rows):
        return {value}

@harness.hookimpl
def harness_metrics():
    return [Own]
"""
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"x": float("nan")}', "nan"),
        ('{"x": "high"}', "high"),
        ("1 / 0", "ZeroDivisionError"),
        ('{"x": float("inf")}', "inf"),
    ],
)
def test_a_metric_that_gives_no_figure_is_named(tmp_path: Path, value: str, said: str) -> None:
    lab = Lab.make(tmp_path)
    (tmp_path / "own.py").write_text(METRIC.replace("{value}", value))
    lab.write('[[arms]]\nname = "m"\nbackend = { plugin = "majority" }\n')
    done = lab.run("--plugin", tmp_path / "own.py", "--quiet")
    assert done.code == 2, done
    assert said in done.err
    assert '"own"' in done.err
    # the answers are kept: the same command goes on once the metric is mended
    (tmp_path / "own.py").write_text(METRIC.replace("{value}", '{"x": None, "y": 2}'))
    assert lab.run("--plugin", tmp_path / "own.py").code == 0


def test_an_edited_file_is_read_anew_whatever_its_time_and_size(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    for value in ("1", "2"):
        file.write_text(METRIC.replace("{value}", f'{{"x": {value}}}'))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        [record] = [one for one in discover([file]).records if one.loose]
        assert construct(record.cls, {}, "metric").score(()) == {"x": int(value)}


def test_attribution() -> None:
    class Sample:
        name = "sample"

    with (
        pytest.raises(PluginError, match=r'the plugin "sample" \(.*\) failed in reading: KeyError'),
        attributed(Sample(), "reading"),
    ):
        raise KeyError("x")
    with pytest.raises(UnfinishedError) as caught, attributed(Sample(), "reading"):
        raise UnfinishedError("later")
    assert 'in the plugin "sample"' in caught.value.__notes__[0]
    with pytest.raises(KeyboardInterrupt), attributed(Sample(), "reading"):
        raise KeyboardInterrupt


def test_nearest_name_and_wrong_kind() -> None:
    plugins: Plugins = discover()
    with pytest.raises(PluginError, match='did you mean "majority"') as caught:
        plugins.get("backend", "majorty")
    assert caught.value.hint
    with pytest.raises(PluginError, match='"accuracy" is a metric, not a backend'):
        plugins.get("backend", "accuracy")
