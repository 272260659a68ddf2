"""The kit names what a plugin breaks: for every promise of every kind, a plugin that breaks it."""

from __future__ import annotations

import importlib.util
import itertools
import random
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import harness
from harness import blocks
from harness.testing import BrokenPromisesError, check_plugin, promises
from harness.testing._promises import COMMON, KINDS

plugin = dataclass(frozen=True, kw_only=True)
COUNT = itertools.count()
"""What makes a plugin answer otherwise each time."""


@plugin
class Data:
    """Yields three examples."""

    name: ClassVar[str] = "data"

    def load(self, ctx):
        for text in ("one", "two", "three"):
            yield harness.Example(fields={"text": text}, label="good")


@plugin
class Form:
    """Asks in one line."""

    name: ClassVar[str] = "form"

    def prompt(self, example, shots, labels):
        shown = "".join(f"{shot.text} = {shot.label}\n" for shot in shots)
        return harness.Prompt(text=f"{shown}{example.text} =", continuations={label: f" {label}" for label in labels})

    def training_line(self, example, labels):
        return {"prompt": f"{example.text} =", "completion": f" {example.label}"}

    def parse(self, text, labels):
        return harness.parsing.lenient(text, labels)


class Picker:
    def __init__(self, train, seed=0):
        self.train = sorted(train, key=lambda one: one.id)

    def pick(self, example, k):
        text = harness.fold(example.text)
        found = [one for one in self.train if one.id != example.id and harness.fold(one.text) != text][:k]
        if len(found) < k:
            raise harness.DataError("too few")
        return found


@plugin
class Shots:
    """Picks the first."""

    name: ClassVar[str] = "shots"
    picker: ClassVar[type] = Picker

    def fit(self, train, seed):
        return self.picker(train, seed)


@plugin
class Asked:
    """Describes a request."""

    name: ClassVar[str] = "asked"
    family: ClassVar[str] = "other"

    def calls(self, prompt, labels):
        body = {"model": "m", "messages": [{"role": "user", "content": prompt.text or prompt.source}]}
        return (harness.Call(endpoint="sample", path="/chat/completions", body=body),)

    def read(self, bodies):
        try:
            return harness.Answer(text=str(bodies[0]["choices"][0]["message"]["content"]))
        except (LookupError, TypeError):
            return harness.Answer(error="no answer")


@plugin
class Here:
    """Answers in process."""

    name: ClassVar[str] = "here"
    family: ClassVar[str] = "other"

    def one(self, prompt):
        return harness.Answer(text="good")

    @contextmanager
    def open(self, ctx):
        yield lambda prompts: [self.one(prompt) for prompt in prompts]


@plugin
class Score:
    """Counts."""

    name: ClassVar[str] = "score"

    def score(self, rows):
        return {"n": len(rows)}


@plugin
class Part:
    """Says a word."""

    name: ClassVar[str] = "part"

    def blocks(self, results):
        yield blocks.Text(text=f"{len(results.data.get('arms') or ())} arms")


@plugin
class Run:
    """Sends all."""

    name: ClassVar[str] = "run"

    def run(self, calls, send, done):
        send(calls, done)


@plugin
class Watch:
    """Watches."""

    name: ClassVar[str] = "watch"

    def on(self, event):
        event.figures.get("done")


SOUND = {"dataset": Data, "formatter": Form, "selector": Shots, "backend": Here, "metric": Score, "section": Part,
         "executor": Run, "observer": Watch}  # fmt: skip


def but(base: type, **changed: Any) -> type:
    """Returns a plugin like another, with some of its members changed."""
    return plugin(type(base.__name__, (base,), {"__doc__": base.__doc__, "__module__": __name__, **changed}))


def shots(pick: Callable[..., Any], **more: Any) -> type:
    return but(Shots, picker=type("Bad", (Picker,), {"pick": pick, **more}))


def yields(*given: Any) -> Callable[..., Any]:
    return lambda self, _: iter(given)


def here(**fields: Any) -> type:
    return but(Here, one=lambda self, prompt: harness.Answer(**{"text": "good", **fields}))


def example(text: str = "x", **fields: Any) -> harness.Example:
    return harness.Example(fields={"text": text}, **{"label": "good", **fields})


def leaves_a_pickle(self, train, validation, folder):
    (folder / "model.bin").write_bytes(b"\x80\x04.")


def changing(self, rows):
    rows.rows[0].slices["country"] = "de"


class Keeper:
    """Marks its text as markup."""

    def __new__(cls, text):
        return type("Markup", (str,), {"__html__": lambda self: self})(text)


BROKEN: list[tuple[str, str, type]] = [
    ("metric", "frozen", type("Plain", (), {"__doc__": "x", "name": "plain", "score": Score.score})),
    ("metric", "name", but(Score, name=" spaces ")),
    ("metric", "described", but(Score, __doc__=None)),
    ("metric", "methods", but(Score, score=lambda self: {})),
    ("metric", "options", but(Score, __annotations__={"bins": "int"}, bins="ten")),
    ("metric", "options", but(Score, __annotations__={"bins": "Unknown"}, bins=1)),
    ("metric", "equal", but(Score, __annotations__={"at": "list"}, at=field(default_factory=lambda: [next(COUNT)]))),
    ("metric", "works", but(Score, score=lambda self, rows: 1 / 0)),
    ("metric", "works", but(Score, score=lambda self, rows: sys.exit(3))),
    ("metric", "pure", but(Score, __annotations__={"seen": "list"}, seen=field(default_factory=list),
                           score=lambda self, rows: self.seen.append(1) or {"n": 1})),
    ("section", "pure", but(Part, blocks=lambda self, results: iter(results.data["arms"].clear() or ()))),
    ("metric", "quiet", but(Score, score=lambda self, rows: sys.stdout.write("loud") and {"n": 1})),
    ("dataset", "examples", but(Data, load=yields())),
    ("dataset", "examples", but(Data, load=yields("a text"))),
    ("dataset", "examples", but(Data, load=yields(example(label=5)))),
    ("dataset", "examples", but(Data, load=yields(harness.Example(fields={"n": 5}, label="x", id="1")))),
    ("dataset", "ids", but(Data, load=yields(example("a", id="1"), example("b", id="1")))),
    ("dataset", "deterministic", but(Data, load=lambda self, ctx: [example(str(next(COUNT)))])),
    ("formatter", "prompt", but(Form, prompt=lambda self, e, s, ls: e.text)),
    ("formatter", "prompt", but(Form, prompt=lambda self, e, s, ls: harness.Prompt())),
    ("formatter", "blind", but(Form, prompt=lambda self, e, s, ls: harness.Prompt(text=f"{e.text} {e.label} {s}"))),
    ("formatter", "tells-apart", but(Form, prompt=lambda self, e, s, ls: harness.Prompt(text="Which?"))),
    ("formatter", "tells-apart", but(Form, prompt=lambda self, e, s, ls: harness.Prompt(text=e.text))),
    ("formatter", "data-is-data", but(Form, prompt=lambda self, e, s, ls: harness.Prompt(
        text=f"{e.text} {len(s)}".replace("{label}", "?")))),
    ("formatter", "continuations", but(Form, prompt=lambda self, e, s, ls: replace(
        Form.prompt(self, e, s, ls), continuations={"good": "good"}))),
    ("formatter", "training-line", but(Form, training_line=lambda self, e, ls: {"text": e.text})),
    ("formatter", "training-line", but(Form, training_line=lambda self, e, ls: {"prompt": e, "completion": "x"})),
    ("formatter", "round-trip", but(Form, training_line=lambda self, e, ls: {"prompt": "x", "completion": "fine"})),
    ("formatter", "parse", but(Form, parse=lambda self, text, ls: text.strip())),
    ("formatter", "deterministic", but(Form, prompt=lambda self, e, s, ls: harness.Prompt(
        text=f"{e.text} {s} {random.random()}"))),
    ("selector", "from-train", shots(lambda self, e, k: [replace(o, label="?") for o in Picker.pick(self, e, k)])),
    ("selector", "not-itself", shots(lambda self, e, k: [o for o in self.train if o.id == e.id] or self.train[:k])),
    ("selector", "not-itself", shots(lambda self, e, k: [o for o in self.train if o.id != e.id][:k] if not [
        o for o in self.train if o.text == e.text] else [o for o in self.train if o.text == e.text])),
    ("selector", "k", shots(lambda self, e, k: Picker.pick(self, e, 1) * k)),
    ("selector", "k", shots(lambda self, e, k: [o for o in self.train if o.id != e.id and o.text != e.text][:k])),
    ("selector", "deterministic", shots(Picker.pick, __init__=lambda self, train, seed: setattr(
        self, "train", list(train)))),
    ("selector", "blind", shots(lambda self, e, k: Picker.pick(self, e, k + 1)[bool(e.label):][:k])),
    ("selector", "pick-all", shots(Picker.pick, pick_all=lambda self, es, k: [self.train[:k] for _ in es])),
    ("selector", "embeddings", but(Shots, embeddings="there", fit=lambda self, train, seed, vectors=None: Picker(train),
        embedding_calls=lambda self, texts: (harness.Call(endpoint="x", path="/embeddings", body={"input": texts}),),
        read_embeddings=lambda self, bodies: {})),
    ("backend", "family", but(Here, family="mine")),
    ("backend", "calls", but(Asked, calls=lambda self, prompt, labels: ())),
    ("backend", "calls", but(Asked, calls=lambda self, prompt, labels: (
        harness.Call(endpoint="x", path="chat", body={}),))),
    ("backend", "calls", but(Asked, calls=lambda self, prompt, labels: (
        harness.Call(endpoint="x", path="/chat", body={"x": {1, 2}}),))),
    ("backend", "portable", but(Asked, calls=lambda self, prompt, labels: (
        harness.Call(endpoint="x", path="/chat", body={}, note={"f": lambda: 1}),))),
    ("backend", "read", but(Asked, read=lambda self, bodies: harness.Answer(text=bodies[0]["choices"][0]["text"]))),
    ("backend", "read", but(Asked, read=lambda self, bodies: "good")),
    ("backend", "job", but(Asked, job=lambda self, files: {"base": "m"}, __annotations__={"model": "str | None"},
        model=None)),
    ("backend", "one-each", but(Here, open=contextmanager(lambda self, ctx: iter([lambda ps: [harness.Answer()]])))),
    ("backend", "one-each", but(Here, open=contextmanager(lambda self, ctx: iter([lambda ps: ["good" for _ in ps]])))),
    ("backend", "in-order", but(Here, open=contextmanager(lambda self, ctx: iter([
        lambda ps: [harness.Answer(text=str(place)) for place, _ in enumerate(ps)]])))),
    ("backend", "fields", here(input_tokens=-1)),
    ("backend", "fields", here(probabilities={"good": 0.9, "bad": 0.9})),
    ("backend", "fields", here(probabilities={"excellent": 1.0})),
    ("backend", "no-pickle", but(Here, fit=leaves_a_pickle)),
    ("backend", "deterministic", but(Here, one=lambda self, prompt: harness.Answer(text=str(next(COUNT))))),
    ("metric", "figures", but(Score, score=lambda self, rows: {"n": float("nan")})),
    ("metric", "figures", but(Score, score=lambda self, rows: [1])),
    ("metric", "figures", but(Score, score=lambda self, rows: {"n": True})),
    ("metric", "same-names", but(Score, score=lambda self, rows: {"n": 1} if rows else {})),
    ("metric", "deterministic", but(Score, score=lambda self, rows: {"n": next(COUNT)})),
    ("metric", "order-free", but(Score, score=lambda self, rows: {"n": float(rows[0].right) if rows else None,
        "m": sum(place * row.right for place, row in enumerate(rows))})),
    ("section", "blocks", but(Part, blocks=lambda self, results: ["<b>bold</b>"])),
    ("section", "blocks", but(Part, blocks=lambda self, results: [blocks.Text(text=Keeper("<b>"))])),
    ("section", "copes", but(Part, blocks=lambda self, results: [
        blocks.Text(text=f"{results.data['arms'][0]['accuracy']:.1%}")])),
    ("section", "copes", but(Part, blocks=lambda self, results: [
        blocks.Text(text=results.predictions["response"][0])])),
    ("section", "renders", but(Part, blocks=lambda self, results: _twice(results))),
    ("section", "deterministic", but(Part, blocks=lambda self, results: [blocks.Text(text=str(next(COUNT)))])),
    ("executor", "all", but(Run, run=lambda self, calls, send, done: send(calls[:-1], done))),
    ("executor", "once", but(Run, run=lambda self, calls, send, done: send([*calls, *calls[:1]], done))),
    ("executor", "given", but(Run, run=lambda self, calls, send, done: send([replace(c) for c in calls], done))),
    ("executor", "close", but(Run, close=lambda self: 1 / 0)),
    ("observer", "any-event", but(Watch, on=lambda self, event: event.figures["done"])),
    ("observer", "any-event", but(Watch, on=lambda self, event: {"stage": 1}[event.kind])),
]  # fmt: skip


def _twice(results: Any) -> Any:
    """Yields what is right when it is looked at, and raises when the page asks."""
    if sys._getframe(3).f_code.co_name != "_blocks" and "testing" not in sys._getframe(3).f_code.co_filename:
        raise RuntimeError("not today")
    yield blocks.Text(text="fine")


@pytest.mark.parametrize("kind", KINDS)
def test_sound_plugins_pass(kind: str) -> None:
    kept = {cls: set(check_plugin(kind, cls)) for cls in (SOUND[kind], *([Asked] if kind == "backend" else []))}
    assert all({promise for of, promise, _ in BROKEN if of == kind} & each for each in kept.values())


@pytest.mark.parametrize(
    ("kind", "promise", "cls"), BROKEN, ids=[f"{kind}-{promise}-{n}" for n, (kind, promise, _) in enumerate(BROKEN)]
)
def test_what_a_plugin_breaks_is_named(kind: str, promise: str, cls: type) -> None:
    with pytest.raises(BrokenPromisesError) as caught:
        check_plugin(kind, cls)
    found = {one.promise: one for one in caught.value.violations}
    assert promise in found, str(caught.value)
    message = str(caught.value)
    assert f'the {kind} "{getattr(cls, "name", "")}"' in message
    assert promises(kind)[promise].cure in message
    assert len(found) == len(caught.value.violations) <= 3, message


def test_every_promise_can_be_broken() -> None:
    tried = {(kind, promise) for kind, promise, _ in BROKEN}
    light = {"light"}  # in the test below
    assert {promise for _, promise in tried} >= set(COMMON) - light
    assert {(kind, promise) for kind, those in KINDS.items() for promise in those} <= tried


def test_all_that_is_broken_is_named_at_once() -> None:
    cls = but(Score, name="", score=lambda self, rows: sys.stdout.write("x") and {"n": float("inf")})
    with pytest.raises(BrokenPromisesError, match="breaks 3 promises") as caught:
        check_plugin("metric", cls)
    assert {one.promise for one in caught.value.violations} == {"name", "quiet", "figures"}
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize(
    ("line", "promise", "said"),
    [("import sqlite3, pandas", "light", "pandas"), ("print('hello')", "quiet", "hello")],
)
def test_a_heavy_or_loud_import_is_named(tmp_path: Path, line: str, promise: str, said: str) -> None:
    file = tmp_path / "heavy_plugin.py"
    file.write_text(
        f"{line}\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n\n@dataclass(frozen=True)\nclass M:\n"
        '    """Counts."""\n    name: ClassVar[str] = "m"\n'
        '    def score(self, rows):\n        return {"n": len(rows)}\n'
    )
    spec = importlib.util.spec_from_file_location("heavy_plugin", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["heavy_plugin"] = module
    spec.loader.exec_module(module)
    with pytest.raises(BrokenPromisesError) as caught:
        check_plugin("metric", module.M)
    assert [one.promise for one in caught.value.violations] == [promise]
    assert said in caught.value.violations[0].said
    check_plugin("metric", module.M, skip=[promise])


def test_wrong_arguments_of_the_kit_itself() -> None:
    with pytest.raises(ValueError, match="there is no kind 'metrics'"):
        check_plugin("metrics", Score)
    with pytest.raises(ValueError, match="makes no promise 'speed'"):
        check_plugin("metric", Score, skip=["speed"])
    with pytest.raises(ValueError, match='has no option "bins"'):
        check_plugin("metric", Score, {"bins": 3})


def test_an_instance_can_be_checked() -> None:
    assert check_plugin("metric", Score()) == check_plugin("metric", Score)
