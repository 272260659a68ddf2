"""Pages for tests: results as the report takes them, hostile twins, and a look at a page as a parser sees it."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from harness.blocks import Cell, Results, Table
from harness.plugins.discovery import discover
from harness.plugins.options import construct, needs_options
from harness.scoring.curves import Measured, crossing, fit, summary
from harness.scoring.statistics import wilson
from harness.types import Example, Prediction
from support.results import example_results

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% raw %}",
    "</style><style>*{display:none}",
    "</title><script>alert(2)</script>",
    "--><svg onload=alert(1)>",
    "]]><b>",
    "&lt;b&gt;&amp;",
    "line\u2028separator\u2029",
    "\u202eright to left\u202c",
    "javascript:alert(1)",
    "x" * 60,
    "\x00\x07\x1b[31m",
    "\ud800 lone",
    "=cmd|' /C calc'!A0",
    "<a href=//evil.example>x</a>",
    "`${alert(1)}`",
    "</script><script>alert(3)</script>",
    "<!--<script>",
    "<iframe srcdoc='<script>alert(4)</script>'>",
    "<svg><animate onbegin=alert(5) attributeName=x>",
    "<math><mtext></p><img src=x onerror=alert(6)>",
    "<template><script>alert(7)</script>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example><input autofocus onfocus=alert(8)>",
    "<details open ontoggle=alert(9)>",
    "<video><source onerror=alert(10)>",
    '" autofocus onfocus=alert(11) x="',
    "url(//evil.example/x)",
    "</textarea><b>out</b>",
    "&#60;b&#62; &#x3c;i&#x3e;",
    "\\u003cscript\\u003ealert(12)\\u003c/script\\u003e",
    '{"__proto__": {"polluted": 1}}',
    "[link](javascript:alert(13)) ![x](//evil.example/x.png)",
    "@everyone #1 <!-- x -->",
    "| a | b |\n|---|---|\n# heading",
    "../../etc/passwd\x00.html",
    "C:\\CON\\nul",
    "%3Cscript%3Ealert(14)%3C/script%3E",
    "data:text/html,<script>alert(15)</script>",
    "Z\u0351\u036b\u0343a\u0329\u032bl\u0321g\u0320o\u0323" * 3,
    "\u2066\u200b\ufeff\u00ad hidden \u2069",
    "-2+3+cmd|' /C calc'!A0",
    '\t=HYPERLINK("//evil.example")',
    "$(touch x); `touch y` && rm -rf z",
)
"""Texts that would do harm where they were taken for markup, script, a formula, a path, a link or a command."""


def shipped_sections() -> list[Any]:
    """Returns instances of the installed section plugins, as the command line makes them."""
    records = discover([], []).of("section")
    return [construct(record.cls, {}, "sections") for record in records if not needs_options(record.cls)]


def make_results(
    n: int = 200,
    arms: int = 6,
    change: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> Results:
    """Makes results of a run that never happened, through the real scoring."""
    written, predictions, examples = _made(n, arms, **options)
    data = json.loads(written)
    if change is not None:
        change(data)
    return Results(data=data, predictions=dict(predictions), examples=dict(examples))


@lru_cache(maxsize=64)
def _made(n: int, arms: int, **options: Any) -> tuple[str, dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]]]:
    """Scores once what many tests change copies of."""
    data, predictions, examples = example_results(n, arms, **options)
    return json.dumps(data, allow_nan=False), columns(predictions), example_columns(examples)


def columns(predictions: Sequence[Prediction]) -> dict[str, tuple[Any, ...]]:
    """Turns predictions into columns, as Parquet has them."""
    names = [field.name for field in dataclasses.fields(Prediction)]
    table = {name: tuple(getattr(row, name) for row in predictions) for name in names}
    return table | {"status": tuple(str(value) for value in table["status"])}


def example_columns(examples: Sequence[Example]) -> dict[str, tuple[Any, ...]]:
    """Turns examples into the columns of `examples.parquet` that a page needs."""
    return {
        "id": tuple(example.id for example in examples),
        "text": tuple(example.text for example in examples),
        "label": tuple(example.label for example in examples),
    }


def text_of(cell: str | Cell) -> str:
    """Returns what a table's cell says."""
    return cell.text if isinstance(cell, Cell) else cell


def words(table: Table) -> list[list[str]]:
    """Returns what a table says, row by row."""
    return [[text_of(cell) for cell in row] for row in table.rows]


def write_run(folder: Path, results: Results) -> Path:
    """Writes the three files from which a page is rebuilt."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results.data), "utf-8")
    kept = {name: values for name, values in results.predictions.items() if name not in ("shot_ids", "probabilities")}
    pq.write_table(
        pa.table({name: pa.array(list(values)) for name, values in kept.items()}), folder / "predictions.parquet"
    )
    pq.write_table(
        pa.table({name: pa.array(list(values)) for name, values in results.examples.items()}),
        folder / "data" / "examples.parquet",
    )
    return folder


def with_choices(data: dict[str, Any]) -> None:
    """Adds what a search on validation tried."""
    data["choices"] = [
        {
            "arm": data["arms"][0]["name"],
            "chosen": {"shots.k": 8, "shots.draw": 2},
            "skipped": 0,
            "candidates": [
                {
                    "settings": {"shots.k": k, "shots.draw": d},
                    "n": 150,
                    "accuracy": 0.5 + k / 40 + d / 100,
                    "accuracy_ci": [0.45 + k / 40 + d / 100, 0.55 + k / 40 + d / 100],
                    "unparsed": d,
                    "failed": 0,
                }
                for k in (4, 8)
                for d in (1, 2)
            ],
        }
    ]


def with_curves(data: dict[str, Any]) -> None:
    """Adds a learning curve of five sizes and three seeds, and a shot curve of six numbers and three draws."""
    learning = {32: 0.58, 64: 0.70, 128: 0.79, 256: 0.86, 512: 0.90}
    shots = {0: 0.70, 1: 0.74, 2: 0.78, 4: 0.80, 8: 0.83, 16: 0.82}
    tuned = _curve(data["arms"][0]["name"], "learning", learning, draw=random.Random(1))
    points = [Measured(x=point["x"], run=point["seed"], right=point.pop("right")) for point in tuned["points"]]
    prompt = {name: float(number % 100 < 82) for number, name in enumerate(points[0].right)}
    found = crossing(points, prompt, {}, 1)
    assert found is not None
    tuned |= {"fit": fit(points), "crossing": {"against": data["arms"][1]["name"], "shots": None, **found}}
    few = _curve(data["arms"][1]["name"], "shots", shots, draw=random.Random(2))
    few["points"] = [point for point in few["points"] if point["x"] or point["draw"] == 1]
    for point in few["points"]:
        point.pop("right")
    data["curves"] = [few, tuned]


def _curve(arm: str, kind: str, means: Mapping[int, float], draw: random.Random) -> dict[str, Any]:
    points: list[dict[str, Any]] = []
    for x, mean in means.items():
        for run in range(3):
            level = mean + draw.uniform(-0.03, 0.03)
            right = {f"item {number:03d}": float(draw.random() < level) for number in range(300)}
            hits = int(sum(right.values()))
            numbered = {"seed": run, "n_train": x} if kind == "learning" else {"draw": run + 1, "shots": x}
            points.append({
                "x": x, **numbered, "accuracy": hits / 300, "accuracy_ci": list(wilson(hits, 300)), "unparsed": 0,
                "failed": 0, "cost_usd": 0.01, "training_usd": x / 900 if kind == "learning" else None,
                "training_s": 60.0 + x if kind == "learning" else None, "seconds": None,
                "input_tokens_mean": 40.0 + 30 * x if kind == "shots" else 40.0, "reason": None, "right": right,
            })  # fmt: skip
    lines = summary([Measured(x=point["x"], run=number, right=point["right"]) for number, point in enumerate(points)])
    return {
        "arm": arm, "kind": kind, "split": "validation", "n_items": 300, "points": points, "summary": lines,
        "fit": None, "crossing": None,
    }  # fmt: skip


def with_training(data: dict[str, Any]) -> None:
    """Adds two training jobs: one that begins to overfit, one of a single epoch that another run has trained."""
    draw = random.Random(3)
    names = [arm["name"] for arm in data["arms"] if arm["family"] == "fine-tuned"] or [data["arms"][0]["name"]]
    long = [
        {
            "step": step,
            "train_loss": 2.5 / (1 + step / 40) + abs(draw.gauss(0, 0.1)),
            **({"valid_loss": 2.4 / (1 + step / 60) + step / 300} if step % 25 == 0 else {}),
        }
        for step in range(1, 301)
    ]
    short = [{"step": step, "train_loss": 2.0 / step, "valid_loss": 2.2 / step} for step in range(1, 7)]
    data["training"] = [
        {
            "arm": name, "job": f"ftjob-{number}", "model": f"ft:gpt-4.1-mini-2025-04-14:reviews::abc{number}",
            "base": "gpt-4.1-mini-2025-04-14", "status": "succeeded", "seconds": 840.0, "trained_tokens": 283_355,
            "hyperparameters": {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.8}, "n_train": 800,
            "n_validation": 100, "n_steps": steps[-1]["step"], "steps": steps,
            "checkpoints": [{"model": "ft:x:ckpt-step-100", "step": 100}], "reused": reused,
            "shutdown_date": "2027-01-14", "reason": None,
        }
        for number, (name, steps, reused) in enumerate(zip(names, (long, short), (None, "reviews-1"), strict=False))
    ]  # fmt: skip


def everything(data: dict[str, Any]) -> None:
    """Adds what a search tried, curves and training: a page of it has all sections."""
    with_choices(data)
    with_curves(data)
    with_training(data)


def labelled(results: Results, number: int, accuracy: float = 0.85) -> Results:
    """Returns results over so many labels, each answer right with the probability `accuracy`."""
    draw = random.Random(5)
    labels = tuple(f"intent_{n:02}_of_a_bank" for n in range(number))
    ids = results.predictions["example_id"]
    of = {key: labels[n % number] for n, key in enumerate(dict.fromkeys(ids))}
    expected = tuple(of[key] for key in ids)
    predicted = tuple(label if draw.random() < accuracy else draw.choice([*labels, None]) for label in expected)
    data = {**results.data, "run": {**results.data["run"], "labels": list(labels)}}
    counts = [{"label": label, "train": 80, "validation": 9, "test": 11} for label in labels]
    data["data"] = {**(data.get("data") or {}), "labels": counts}
    changed = {**results.predictions, "expected": expected, "predicted": predicted}
    return dataclasses.replace(results, data=data, predictions=changed)


def twins(payloads: Sequence[str] = PAYLOADS) -> tuple[Results, Results]:
    """Returns results with payloads in every field that reaches a page, and the same with harmless letters."""

    results = make_results(n=120, arms=6, change=everything)
    hostile, harmless = (_replaced(results, payloads, harm=harm) for harm in (True, False))
    return hostile, harmless


WORDS = frozenset(
    {"family", "kind", "unit", "role", "metric", "level", "status", "split", "started", "finished", "letter"}
    | {"rule", "chosen_on", "cheaper", "mode"}
)
"""Keys of `results.json` whose strings are words of the schema or times: their values choose what is written."""


def _replaced(results: Results, payloads: Sequence[str], *, harm: bool) -> Results:
    """Puts a payload in the place of each string that is no word of the schema, the same for the same string."""
    known: dict[str, str] = {}

    def text(place: int, before: str = "") -> str:
        payload = payloads[place % len(payloads)]
        return f"{before}{payload if harm else 'y' * len(payload)}"

    def named(value: str) -> str:
        """Ends in what would be an element wherever it stood unescaped: one page shows it of every field."""
        return known.setdefault(value, text(len(known), f"{len(known)}") + ("'\"><i>" if harm else "yyyyyy"))

    def mapped(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            return value if key in WORDS or not value else named(value)
        if isinstance(value, dict):
            plain = value.keys() <= set(results.data["run"]["labels"]) or key in ("figures", "settings", "versions")
            return {named(name) if plain else name: mapped(item, name) for name, item in value.items()}
        return [mapped(item, key) for item in value] if isinstance(value, list) else value

    data = copy.deepcopy(dict(results.data))
    data["run"]["versions"] = {"library": "1.0"}
    data = mapped(data)
    data["verdict"]["sentence"] = text(0, "Verdict ")
    data["checks"] = [
        {"kind": text(n), "level": level, "message": text(n + 1), "figures": {text(n + 2): text(n + 3)}}
        for n in range(len(payloads))
        for level in ("ok", "warning", "error")
    ]
    for place, entry in enumerate(data["payback"]):
        entry["reason"] = text(place + 4)
    data["choices"][0]["candidates"][0]["settings"] = {text(1): text(2), "prompt": text(18)}
    for place, job in enumerate(data["training"]):
        names = ("model", "base", "status", "shutdown_date", "reason", "job", "reused")
        job |= {name: text(place + n) for n, name in enumerate(names)}
        job["hyperparameters"] = {text(place + 20): text(place + 21)}
    ids = {name: text(place, f"{place}") for place, name in enumerate(results.examples["id"])}
    predictions = dict(results.predictions)
    for name in ("arm", "expected", "predicted"):
        predictions[name] = tuple(known.get(value, value) for value in predictions[name])
    predictions["example_id"] = tuple(ids[value] for value in predictions["example_id"])
    rows = range(len(predictions["arm"]))
    predictions["response"] = tuple(text(place) for place in rows)
    predictions["error"] = tuple(text(place + 1) for place in rows)
    predictions["shot_ids"] = tuple((next(iter(ids.values())), text(place)) for place in rows)
    examples = dict(results.examples)
    examples["id"] = tuple(ids.values())
    examples["label"] = tuple(known.get(value, value) for value in examples["label"])
    examples["text"] = tuple(text(place, f"{place} ") for place in range(len(examples["id"])))
    return Results(data=data, predictions=predictions, examples=examples)


class Page(HTMLParser):
    """What a parser finds in a page: elements, attributes, and text by element."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[list[Any]] = []
        self.feed(html)
        self.close()

    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self._open.append([tag, dict(attrs).get("class") or "", ""])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        unread = self._open and self._open[-1][0] in ("script", "style")
        for entry in self._open[-1:] if unread else self._open:
            entry[2] += data

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        opened, classes, text = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        for key in (tag, *(f".{name}" for name in classes.split())):
            self.texts.setdefault(key, []).append(text)

    def attribute(self, tag: str, name: str) -> list[str]:
        """Returns the values of an attribute of all elements of a name, in order."""
        return [value for found, key, value in self.attributes if (found, key) == (tag, name)]
