"""A host that survives bad plugins: each is named, with where it comes from, and harms only runs that need it."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from support.lab import Lab, call
from test_plugins import HEAD, install, site

from harness import findings
from harness.plugins import SLOW_S
from harness.plugins.discovery import discover
from harness.testing import FakeEndpoint, TinyRun, answer_key, asked_arm, tiny_run
from harness.words import speaking

__all__ = ["site"]  # a fixture

HOOKS = {
    "dataset": "harness_datasets",
    "formatter": "harness_formatters",
    "selector": "harness_selectors",
    "backend": "harness_backends",
    "metric": "harness_metrics",
    "section": "harness_report_sections",
    "executor": "harness_executors",
    "observer": "harness_observers",
}
USES = {
    "backend": '[[arms]]\nname = "own"\nbackend = { plugin = "own" }\n',
    "formatter": '[[arms]]\nname = "own"\nbackend = { plugin = "majority" }\nformatter = { plugin = "own" }\n',
    "selector": '[[arms]]\nname = "own"\nbackend = { plugin = "majority" }\nshots = { selector = "own", k = 2 }\n',
}
"""Kind → an arm that needs the plugin."""
FORMATTER = """
    def prompt(self, example, shots, labels): return harness.Prompt(text=example.text)
    def training_line(self, example, labels): return {"prompt": "x", "completion": "y"}
    def parse(self, text, labels): return harness.parsing.lenient(text, labels)
"""


def source(kind: str, body: str, name: str = "own") -> str:
    """Returns a module with one plugin."""
    extra = '    family: ClassVar[str] = "other"\n' if kind == "backend" else ""
    return (
        f'{HEAD}\n@dataclass(frozen=True, kw_only=True)\nclass Own:\n    """Bad."""\n'
        f'    name: ClassVar[str] = "{name}"\n'
        f"{extra}{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n\n"
        f"@harness.hookimpl\ndef {HOOKS[kind]}():\n    return [Own]\n"
    )


def installed(site: Path, kind: str, *bodies: str) -> None:
    """Installs a distribution for each plugin: `bad-dist` with `own`, `bad-dist-1` with `own-1`, …"""
    for place, body in enumerate(bodies):
        end = f"-{place}" if place else ""
        module = f"bad_{abs(hash((kind, body, str(site))))}"
        install(site, f"bad-dist{end}", module, source(kind, body, f"own{end}"), point=f"own{end}")


def picker(pick: str) -> str:
    return f"def fit(self, train, seed):\n    class P:\n        def pick(p, e, k): return {pick}\n    return P()"


def opened(ask: str) -> str:
    return f"@contextmanager\ndef open(self, ctx):\n    yield {ask}"


READ = "def read(self, bodies): return None"
DATASET = '[dataset]\nplugin = "own"\n'
NEEDED = [
    ("dataset", "def load(self, ctx):\n    yield harness.Example(fields={'t': 'x'}, label='a')\n    1 / 0", "ZeroDiv"),
    ("dataset", "def load(self, ctx):\n    return ['text']", "example 0: a str where harness.Example is due"),
    ("dataset", "def load(self, ctx):\n    return 7", "TypeError"),
    ("dataset", "def load(self, ctx):\n    yield harness.Example(fields={'t': 'x'}, label=5)", "label is a int"),
    ("dataset", "def load(self, ctx):\n    ctx.tell('hm')\n    yield 1", "ctx.tell was given a str"),
    ("dataset", "def load(self, ctx):\n    raise SystemExit(0)", "SystemExit"),
    ("formatter", FORMATTER.replace("harness.Prompt(text=example.text)", "'text'"), "a str where harness.Prompt"),
    ("formatter", FORMATTER.replace("harness.Prompt(text=example.text)", "harness.Prompt()"), "without text"),
    ("formatter", FORMATTER.replace("harness.parsing.lenient(text, labels)", "'great'"), "'great', which is no label"),
    ("formatter", FORMATTER.replace("return harness.Prompt", "example.fields['x'] = '1'; return harness.Prompt"),
     "this is shared and cannot be changed"),
    ("selector", picker("[e]"), "which is no example of the train split"),
    ("selector", picker("train[:1]"), "returned 1 shots for k = 2"),
    ("selector", picker("[harness.Example(fields=dict(x='y'), label='good')] * k"), "no example of the train split"),
    ("selector", picker("None"), "a NoneType where a sequence"),
    ("selector", picker("[train[0].fields.clear()] * k"), "this is shared and cannot be changed"),
    ("backend", opened("lambda prompts: [harness.Answer()] * (len(prompts) + 1)"), "answers for"),
    ("backend", opened("lambda prompts: 'good'"), "returned str for"),
    ("backend", opened("lambda prompts: [harness.Answer(text='good')] * exit(3)"), "SystemExit: 3"),
    ("backend", "def open(self, ctx):\n    return None", "TypeError"),
    ("backend", f"def depends_on(self, folder): return (folder / 'gone').read_text()\n{opened('None')}", "FileNotF"),
    ("formatter", FORMATTER.replace("text=example.text", "text=7"), "text is a int"),
    ("formatter", FORMATTER.replace("text=example.text", "messages=({'role': 'user', 'content': 'x'},)"),
     "messages[0] is a dict where harness.Message is due"),
    ("formatter", FORMATTER.replace("text=example.text", "messages=(harness.Message(role='user', content=None),)"),
     "messages[0].content is a NoneType"),
    ("backend", f"def calls(self, prompt, labels): return None\n{READ}", "harness.Call is due"),
    ("backend", f"def calls(self, prompt, labels): return (harness.Call(endpoint='no', path='/x', body={{}}),)\n{READ}",
     "names the endpoint 'no'"),
    ("executor", "def run(self, calls, send, done): 1 / 0", "ZeroDivisionError"),
    ("executor", "def run(self, calls, send, done): calls[0].body['model'] = 'other'", "cannot be changed"),
    ("executor", "def run(self, calls, send, done): send.key(harness.Call(endpoint='fake', path='/x', body={}))",
     "may only send the calls that it was given"),
    ("metric", "def score(self, rows): return {'x': float('nan')}", "returned x = nan"),
    ("metric", "def score(self, rows): return {'x': rows[0].slices.update(a='b')}", "cannot be changed"),
    ("metric", "def score(self, rows): return 7", "a int where a mapping is due"),
]  # fmt: skip


def carried_out(path: Path, kind: str) -> TinyRun:
    """Runs an experiment that names the plugin."""
    if kind == "dataset":
        return tiny_run(path, dataset=DATASET)
    if kind == "executor":
        with FakeEndpoint(answers=answer_key()) as endpoint:
            return tiny_run(path, asked_arm(endpoint.base_url), head='executor = { plugin = "own" }')
    if kind in USES:
        return tiny_run(path, USES[kind])
    return tiny_run(path, head=f'{kind}s = [{{ plugin = "own" }}]')


@pytest.mark.parametrize(("kind", "body", "said"), NEEDED, ids=[f"{kind}-{said}" for kind, _, said in NEEDED])
def test_a_run_that_needs_a_bad_plugin_ends_with_its_name(
    site: Path, tmp_path: Path, kind: str, body: str, said: str
) -> None:
    installed(site, kind, body)
    done = carried_out(tmp_path / "run", kind)
    assert done.code == 2, done
    assert said in done.err
    assert 'the plugin "own" (bad-dist 1.0)' in done.err
    assert done.err.count("bad-dist") == 1
    assert len(done.err.splitlines()) <= 3
    assert done.out == ""


@pytest.mark.parametrize("body", ["raise SystemExit(0)", "return 'good'", "return bodies[0]['nothing']"])
def test_a_backend_that_cannot_read_is_named(site: Path, tmp_path: Path, body: str) -> None:
    calls = "def calls(self, prompt, labels):\n    return (harness.Call(endpoint='fake', path='/completions',"
    installed(
        site, "backend", f"{calls} body={{'prompt': prompt.text, 'model': 'm'}}),)\ndef read(self, bodies):\n    {body}"
    )
    with FakeEndpoint() as endpoint:
        arm = f'[endpoints.fake]\nbase_url = "{endpoint.base_url}"\n{USES["backend"]}'
        done = tiny_run(tmp_path / "run", arm)
    assert done.code == 2, done
    assert 'the plugin "own" (bad-dist 1.0)' in done.err


def test_metrics_that_nobody_asked_for_are_left_out(site: Path, tmp_path: Path) -> None:
    installed(
        site,
        "metric",
        "def score(self, rows): return {'x': float('nan')}",
        "def score(self, rows): return {'x': 1 / 0}",
        "def score(self, rows): exit(1)",
        "def score(self, rows): return {'x': 'high'}",
    )
    done = tiny_run(tmp_path / "run")
    assert done.code == 0, done
    assert all("x" not in arm["metrics"] and "micro_f1" in arm["metrics"] for arm in done.arms.values())
    checks = [check for check in done.results["checks"] if check["kind"] == "metric-failed"]
    assert [(check["figures"]["metric"], check["figures"]["origin"]) for check in checks] == [
        (f"own{end}", f"bad-dist{end} 1.0") for end in ("", "-1", "-2", "-3")
    ]
    for check in checks:
        with speaking("ko"):
            said = findings.said(check)
        assert said.message == f"지표 하나를 제외했습니다: {check['figures']['reason']}"
        assert (said.advice, said.lang) == ("고치거나 갱신하십시오. 아니면 --no-plugin으로 제외하십시오.", "")
        assert f'the plugin "{check["figures"]["metric"]}" ({check["figures"]["origin"]})' in check["message"]
        assert check["figures"]["origin"] in done.page


def test_sections_that_fail_become_remarks(site: Path, tmp_path: Path) -> None:
    installed(
        site,
        "section",
        "def blocks(self, results):\n    yield harness.blocks.Text(text='first')\n    1 / 0",
        "def blocks(self, results): exit(1)",
        "def blocks(self, results): return ['<b>']",
        "def blocks(self, results): return 7",
        "def blocks(self, results):\n    results.data['arms'].clear()\n    return [1]",
    )
    done = tiny_run(tmp_path / "run")
    assert done.code == 0, done
    assert done.page.count("could not be shown") == 5
    for end in ("", "-1", "-2", "-3", "-4"):
        assert f"bad-dist{end} 1.0" in done.page
    assert done.page.count("largest class") > 3  # the others stand as they are


def test_observers_that_fail_are_named_and_harm_nothing(site: Path, tmp_path: Path) -> None:
    installed(
        site,
        "observer",
        "def on(self, event): 1 / 0",
        "def on(self, event): exit(1)",
        "def on(self, event): event.figures['x'] = 1",
    )
    done = tiny_run(tmp_path / "run")
    assert done.code == 0, done
    err = call("run", tmp_path / "run" / "experiment.toml", "--out", tmp_path / "other").err  # --quiet says nothing
    lines = [line for line in err.splitlines() if "unharmed" in line]
    assert len(lines) == 3
    assert all(f'"own{end}"' in err for end in ("", "-1", "-2"))
    assert "cannot be changed" in err  # nor what the others see


@pytest.mark.parametrize(
    ("raising", "said"), [("{}['x']", "failed in prompt: KeyError"), ("'text'", "a str where harness.Prompt is due")]
)
@pytest.mark.parametrize("command", ["prepare", "estimate"])
def test_a_formatter_of_training_lines_that_cannot_prompt_is_named(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, raising: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    installed(site, "formatter", FORMATTER.replace("harness.Prompt(text=example.text)", raising))
    arm = '[[arms]]\nname = "t"\nbackend = { plugin = "fine-tuned", endpoint = "e", base = "m" }\n'
    table = '[endpoints.e]\nbase_url = "http://127.0.0.1:9/v1"\n'
    lab = Lab.make(tmp_path)
    done = call(command, lab.write(f'{arm}formatter = {{ plugin = "own" }}\n', dataset=table))
    assert done.code == 2, done
    assert said in done.err
    assert 'the plugin "own" (bad-dist 1.0)' in done.err


UNMADE = [
    ("import os; os.environ['NO_SUCH_VARIABLE']", " failed in being made: KeyError: 'NO_SUCH_VARIABLE'"),
    ("raise ValueError('set MY_VARIABLE first')", " cannot be made: set MY_VARIABLE first"),
    ("exit(3)", " failed in being made: SystemExit: 3"),
    ("raise harness.DataError('no table')", ": no table"),
]
WORKS = {
    "metric": "def score(self, rows): return {'x': 1.0}",
    "section": "def blocks(self, results): return ()",
    "observer": "def on(self, event): pass",
}


def unmade(kind: str, raising: str) -> str:
    return f"def __post_init__(self):\n    {raising}\n{WORKS[kind]}"


def test_what_cannot_be_made_and_nobody_asked_for_is_left_out(site: Path, tmp_path: Path) -> None:
    for kind in WORKS:
        for place, (raising, _) in enumerate(UNMADE):
            module = source(kind, unmade(kind, raising), f"{kind}-{place}")
            install(site, f"{kind}-dist-{place}", f"unmade_{kind}_{place}", module, point=f"{kind}-{place}")
    tiny = tiny_run(tmp_path / "run")
    assert tiny.code == 0, tiny
    checks = [check for check in tiny.results["checks"] if check["kind"] == "metric-failed"]
    assert [check["figures"]["reason"] for check in checks] == [
        f'the plugin "metric-{n}" (metric-dist-{n} 1.0){said}' for n, (_, said) in enumerate(UNMADE)
    ]
    assert all("x" not in arm["metrics"] and "micro_f1" in arm["metrics"] for arm in tiny.arms.values())
    done = call("run", tmp_path / "run" / "experiment.toml", "--out", tmp_path / "other")
    for n, (_, said) in enumerate(UNMADE):
        assert (
            f'"observer-{n}" failed: PluginError: the plugin "observer-{n}" (observer-dist-{n} 1.0){said}' in done.err
        )
    (tiny.folder / "report.html").unlink()
    done = call("report", tiny.folder)
    assert done.code == 0, done
    for page in (tiny.page, (tmp_path / "other" / tiny.folder.name / "report.html").read_text(encoding="utf-8")):
        assert page.count("could not be shown") == len(UNMADE)
        assert all(f"section-dist-{n} 1.0" in page for n in range(len(UNMADE)))


@pytest.mark.parametrize(("raising", "said"), UNMADE, ids=[said for _, said in UNMADE])
@pytest.mark.parametrize("kind", WORKS)
def test_what_is_asked_for_and_cannot_be_made_ends_the_run(
    site: Path, tmp_path: Path, kind: str, raising: str, said: str
) -> None:
    (tmp_path / "own.py").write_text(source(kind, unmade(kind, raising)))
    done = tiny_run(tmp_path / "loose", plugins=[tmp_path / "own.py"])
    assert done.code == 2, done
    assert f'the plugin "own" (own.py){said}' in done.err
    installed(site, kind, unmade(kind, raising))
    done = tiny_run(tmp_path / "named", head=f'{kind}s = [{{ plugin = "own" }}]')
    assert done.code == 2, done
    assert said.rpartition(": ")[2] in done.err
    assert '"own" (bad-dist 1.0)' in done.err or f"{kind}s[0]: own: " in done.err


def test_types_that_cannot_be_read_matter_where_an_option_is_given(site: Path, tmp_path: Path) -> None:
    body = f"bins: 'Nowhere[int]' = (1, 2)\n{WORKS['metric']}"
    installed(site, "metric", body)
    done = tiny_run(tmp_path / "run")
    assert done.code == 0, done
    assert all(arm["metrics"]["x"] == 1.0 for arm in done.arms.values())
    done = tiny_run(tmp_path / "given", head='metrics = [{ plugin = "own", bins = [1] }]')
    assert done.code == 2, done
    said = "failed in the types of its options: NameError: name 'Nowhere' is not defined"
    assert f'experiment.toml, line 2: metrics[0].plugin: the plugin "own" (bad-dist 1.0) {said}' in done.err


def test_a_metric_that_refuses_the_data_is_left_out_as_one_that_fails(site: Path, tmp_path: Path) -> None:
    refuses = "def score(self, rows):\n    raise harness.DataError({}) from None"
    installed(
        site, "metric", refuses.format("'needs numbers', 'leave it out'"), refuses.format("ValueError('no numbers')")
    )
    done = tiny_run(tmp_path / "run")
    assert done.code == 0, done
    checks = [check for check in done.results["checks"] if check["kind"] == "metric-failed"]
    assert [check["figures"]["reason"] for check in checks] == [
        'the plugin "own" (bad-dist 1.0): needs numbers',
        'the plugin "own-1" (bad-dist-1 1.0): no numbers',
    ]
    done = tiny_run(tmp_path / "named", head='metrics = [{ plugin = "own" }]')
    assert done.code == 2, done
    assert "needs numbers" in done.err


SIGNATURES = [
    ("dataset", "def load(self): ...", "Own.load cannot be called as load(ctx)"),
    ("formatter", FORMATTER.replace("shots, labels", "shots"), "Own.prompt cannot be called as prompt(example, shots"),
    ("selector", "def fit(self, train, seed, more): ...", "Own.fit cannot be called as fit(train, seed)"),
    ("backend", "async def open(self, ctx): ...", "Own.open is async"),
    ("metric", "def score(): ...", "Own.score cannot be called as score(rows)"),
    ("section", "def blocks(self, results, page): ...", "Own.blocks cannot be called as blocks(results)"),
    ("executor", "def run(self, calls, send): ...", "Own.run cannot be called as run(calls, send, done)"),
    ("observer", "def on(self, *, event): ...", "Own.on cannot be called as on(event)"),
]


@pytest.mark.parametrize(("kind", "body", "said"), SIGNATURES, ids=[kind for kind, _, _ in SIGNATURES])
def test_a_wrong_signature_is_found_when_it_is_loaded(
    site: Path, tmp_path: Path, kind: str, body: str, said: str
) -> None:
    installed(site, kind, body)
    (failure,) = discover().failures
    assert failure.name == "own"
    assert failure.distribution == "bad-dist 1.0"
    assert said in failure.reason


def test_one_bad_class_harms_no_other_of_its_package(site: Path) -> None:
    good = source("metric", "def score(self, rows): return {'n': len(rows)}")
    bad = "@dataclass(frozen=True)\nclass Bad:\n    name: ClassVar[str] = 'bad'\n\n@dataclass\nclass Open:\n    pass\n"
    install(site, "half-dist", "half_bad", f"{good.replace('[Own]', '[Bad, Own, Open, 7]')}\n{bad}")
    found = discover()
    assert found.get("metric", "own").distribution == "half-dist 1.0"
    assert [failure.name for failure in found.failures] == ["bad", "own", "own"]  # those without a name: their entry


def test_a_hook_that_raises_half_way_keeps_what_it_yielded(site: Path) -> None:
    whole = source("metric", "def score(self, rows): return {'n': len(rows)}")
    install(site, "half-dist", "half_way", whole.replace("return [Own]", "yield Own\n    1 / 0"))
    found = discover()
    assert found.get("metric", "own")
    assert "ZeroDivisionError" in found.failures[0].reason


def test_a_slow_import_is_named(site: Path) -> None:
    body = source("metric", "def score(self, rows): return {'n': len(rows)}")
    install(site, "slow-dist", "slow_plugin", f"import time\ntime.sleep({SLOW_S + 0.05})\n{body}")
    done = call("plugins")
    assert done.code == 0, done
    (line,) = [line for line in done.err.splitlines() if "slow" in line]
    assert "slow_plugin (slow-dist 1.0) took 1." in line
    assert "took" not in call("plugins").err  # it is loaded by now
    listed = {row["name"]: row for row in json.loads(call("plugins", "--json").out)["plugins"]}
    assert listed["own"]["import_s"] < SLOW_S


def test_what_is_printed_goes_to_stderr_under_the_plugins_name(site: Path, tmp_path: Path) -> None:
    body = source("metric", "def score(self, rows):\n    print('counting\\nrows')\n    return {'n': len(rows)}")
    install(site, "loud-dist", "loud_plugin", f"print('here I am')\n{body}")
    done = call("plugins", "--json")
    json.loads(done.out)
    assert 'the plugin "own" (loud-dist 1.0) printed: here I am\n' in done.err
    done = tiny_run(tmp_path / "run", options=["--json"])
    assert json.loads(done.out)["unfinished"] is None
    for line in ("counting", "rows"):
        assert f'the plugin "own" (loud-dist 1.0) printed: {line}\n' in done.err


def test_what_a_section_prints_stays_out_of_a_report_on_stdout(site: Path, tmp_path: Path) -> None:
    installed(site, "section", "def blocks(self, results):\n    print('drawing')\n    return ()")
    run = tiny_run(tmp_path / "run")
    done = call("report", run.folder, "--format", "json")
    assert done.code == 0, done
    json.loads(done.out)
    assert "drawing" not in done.out
    assert 'the plugin "own" (bad-dist 1.0) printed: drawing' in done.err


def test_check_from_the_command_line(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    installed(site, "metric", "bins: int\ndef score(self, rows):\n    return {'x': self.bins / len(rows)}")
    done = call("plugins", "--check", "own")
    assert done.code == 2
    assert 'needs the option "bins"' in done.err
    done = call("plugins", "--check", "own", "--option", "bins=x")
    assert done.code == 2
    assert "must be a whole number" in done.err
    done = call("plugins", "--check", "own", "--option", "bins=3")
    assert done.code == 2
    assert 'the metric "own" (bad-dist 1.0) breaks 1 promise:' in done.out
    assert "ZeroDivisionError" in done.out
    assert 'the metric "own" broke promises' in done.err
    done = call("plugins", "--check", "accuracy")
    assert done.code == 0, done
    assert "keeps its" in done.out
    (kept,) = json.loads(call("plugins", "--check", "accuracy", "--json").out)["checked"]
    assert (kept["kind"], kept["broken"]) == ("metric", [])
    assert "light" in kept["kept"]
    done = call("plugins", "--check", "own", "--option", "bins=3", "--json")
    assert done.code == 2
    ((broken,),) = (each["broken"] for each in json.loads(done.out)["checked"])
    assert "ZeroDivisionError" in broken["said"]
    done = call("plugins", "--check", "acuracy")
    assert 'did you mean "accuracy"?' in done.err
    assert call("plugins", "--option", "a=b").code == 2
    assert call("plugins", "--check", "accuracy", "--option", "ab").code == 2
    assert list(tmp_path.iterdir()) == [site]
