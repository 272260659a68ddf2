"""The explorer's data: all of the answers, in a page or beside it, the same bytes each time, and nothing withheld."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.explored import ODD_IDS, SCRIPTS, answers, explored, held, islands, joined, unpacked
from support.report import Page, make_results, write_run

from harness.blocks import Columns, Explorer, Results, Table
from harness.report import page
from harness.report.columns import Without, read
from harness.report.explorer import packing
from harness.report.explorer.packing import ABSENT, FAILED, UNPARSED, Packer, squeezed
from harness.report.page import Document, compose, json_island, render
from harness_plugins.sections.samples import Samples

SECTIONS = [Samples()]


def document(results: Results, **options: Any) -> Document:
    return compose(results, SECTIONS, **options)


def test_page_holds_every_answer() -> None:
    results = explored()
    given, texts = answers(results), dict(zip(results.examples["id"], results.examples["text"], strict=True))
    whole = held(document(results).html)
    ids, labels = whole["columns"]["id"], whole["columns"]["labels"]
    assert sorted(ids) == sorted(given["tuned"])
    assert joined(whole["rows"], "text") == [texts[key] for key in ids]
    pool = [shot for part in whole["shots"] for shot in part["shots"]]
    for place, arm in enumerate(whole["config"]["arms"]):
        column = whole["columns"]["answers"][place]["label"]
        [part] = whole["rows"]
        details = part["answers"][place]
        for row, key in enumerate(ids):
            answer = given[arm["name"]][key]
            assert labels[whole["columns"]["expected"][row]] == answer["expected"]
            shown = {UNPARSED: "unparsed", FAILED: "failed"}.get(column[row], "answered")
            assert shown == answer["status"]
            assert (labels[column[row]] if column[row] >= 0 else None) == answer["predicted"]
            for name in ("input_tokens", "attempts", "response"):
                assert (details[name][row] if name in details else None) == (answer[name] or None)
            for name in ("latency_s", "cost_usd", "confidence"):
                value = details[name][row] if name in details else None
                assert value == answer[name] or math.isclose(value, answer[name], rel_tol=1e-3)
            shots = [pool[n][1] for n in details["lists"][details["shots"][row]]] if "lists" in details else []
            assert shots == [texts[name] for name in answer["shot_ids"]]


def test_what_teaches_most_comes_first() -> None:
    results = explored()
    whole = held(document(results).html)
    first, second = (whole["columns"]["answers"][place]["label"] for place in whole["config"]["pair"])
    expected = whole["columns"]["expected"]
    apart = [(a != e) != (b != e) for a, b, e in zip(first, second, expected, strict=True)]
    assert 0 < sum(apart) < len(apart)
    assert apart == sorted(apart, reverse=True)


def test_same_bytes_whatever_the_order_of_rows() -> None:
    results = explored()
    places = list(range(len(results.predictions["arm"])))
    random.Random(1).shuffle(places)
    turned = replace(
        results, predictions={name: tuple(v[n] for n in places) for name, v in results.predictions.items()}
    )
    assert document(turned).html == document(results).html == document(explored()).html
    assert unpacked(squeezed({"a": "\ud800 <&>"})) == {"a": "? <&>"}


def test_a_run_is_read_back_to_the_same_page(tmp_path: Path) -> None:
    results = explored()
    folder = write_run(tmp_path / "run", results)
    out = page.build(folder, SECTIONS)
    without = {name: values for name, values in results.predictions.items() if name != "shot_ids"}
    assert out.read_text("utf-8") == document(replace(results, predictions=without)).html
    assert not (folder / "report.chunks").exists()


def test_without_samples_nothing_is_left() -> None:
    html = document(explored(), samples="none").html
    assert not islands(html, "x-.*?")
    assert "DecompressionStream" not in html
    assert not [key for key in ODD_IDS[:3] if key in html]


def test_errors_only_leave_out_what_everybody_got_right() -> None:
    results = explored(n=200, arms=2)
    wrong = {
        key for rows in answers(results).values() for key, row in rows.items() if row["predicted"] != row["expected"]
    }
    done = document(results, samples="errors")
    whole = held(done.html, done.files)
    assert 0 < len(wrong) < 200
    assert set(whole["columns"]["id"]) == wrong
    assert whole["shots"] == []
    told = json.dumps(whole, ensure_ascii=False)
    texts = zip(results.examples["id"], results.examples["text"], strict=True)
    assert not [text for key, text in texts if key not in wrong and json.dumps(text, ensure_ascii=False) in told]
    assert "A shot" not in told


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a page that holds 40 rows at most, in chunks of 20."""
    monkeypatch.setattr(packing, "ROWS", 20)
    monkeypatch.setattr(packing, "INLINE_ROWS", 40)


@pytest.mark.usefixtures("few")
def test_what_a_page_cannot_hold_stands_beside_it() -> None:
    results = explored(n=150)
    done, whole = document(results, name="my page"), document(results, inline_all=True)
    parts = held(done.html, done.files)
    assert parts["rows"] == held(whole.html)["rows"]
    assert [bool(file) for _, _, file in parts["config"]["chunks"]] == [False, False, *[True] * 6]
    assert all(path.startswith("my page.chunks/") for path in done.files)
    assert whole.files == {}
    policies = [Page(html).attribute("meta", "content")[0] for html in (done.html, whole.html)]
    assert ["'strict-dynamic'" in policy for policy in policies] == [True, False]
    assert "40 of 150 examples have their texts in this page" in done.html
    assert "have their texts in this page" not in whole.html


@pytest.mark.usefixtures("few")
def test_files_beside_a_page_come_and_go_with_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", explored(n=150))
    beside = folder / "report.chunks"
    page.build(folder, SECTIONS)
    first = {path.name: path.read_bytes() for path in beside.iterdir()}
    page.build(folder, SECTIONS)
    assert {path.name: path.read_bytes() for path in beside.iterdir()} == first
    (beside / "0123456789abcdef.js").write_text("of an older page")
    (beside / "mine.txt").write_text("foreign")
    page.build(folder, SECTIONS, samples="errors")
    left = {path.name for path in beside.iterdir()}
    assert "mine.txt" in left
    assert "0123456789abcdef.js" not in left
    (beside / "mine.txt").unlink()
    page.build(folder, SECTIONS, inline_all=True)
    assert not beside.exists()


def test_long_texts_end_a_chunk_early_and_a_page_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LETTERS", 100_000)
    monkeypatch.setattr(packing, "INLINE_BYTES", 300_000)
    draw = random.Random(2)
    results = make_results(n=60, arms=2)
    texts = tuple("".join(draw.choices("abcdefghijklmnopqrstuvwxyz     ", k=20_000)) for _ in range(60))
    done = document(replace(results, examples={**results.examples, "text": texts}))
    chunks = held(done.html, done.files)["config"]["chunks"]
    assert all(last - first <= 5 for first, last, _ in chunks)
    assert not chunks[0][2]
    assert 200_000 < sum(map(len, islands(done.html, "x-chunk"))) < 300_000 < sum(map(len, done.files.values()))


def test_ten_thousand_answers_fit_into_a_small_page() -> None:
    """As many rows as a page holds, without the figures of the other sections."""
    results = make_results(n=1000, arms=4)
    predictions, examples = _tenfold(results.predictions, "example_id"), _tenfold(results.examples, "id")
    done = document(replace(results, predictions=predictions, examples=examples))
    assert done.files == {}
    assert len(done.html.encode()) < 1_500_000


def _tenfold(columns: Columns, key: str) -> Columns:
    return {
        name: [f"{value[:15]}{turn}" if name == key else value for turn in range(10) for value in values]
        for name, values in columns.items()
    }


def _bare(results: Results) -> Results:
    return replace(results, predictions=dict.fromkeys(results.predictions, ()))


def _odd(results: Results) -> Results:
    """Arms that results lack, two answers to one example, numbers that are none, lone surrogates, texts that lack."""
    columns = {name: list(values) for name, values in results.predictions.items()}
    columns["arm"][0] = columns["arm"][5] = "unknown <i>arm</i>"
    columns["confidence"] = [float("nan") if place % 3 else None for place in range(len(columns["arm"]))]
    columns["latency_s"][1] = float("inf")
    columns["response"][2] = "\ud800 lone"
    columns["status"][3] = "something else"
    columns["predicted"][4] = "a label nobody knows"
    columns["example_id"][6] = "\udfff"
    doubled = {name: values + values[:10] for name, values in columns.items()}
    kept = {
        name: [None if name == "text" else value for value in values[1:]] for name, values in results.examples.items()
    }
    return replace(results, predictions=doubled, examples=kept)


@pytest.mark.parametrize(
    "change",
    [
        _bare,
        _odd,
        lambda results: replace(results, examples={}),
        lambda results: replace(results, data={"schema": 1}),
        lambda results: replace(results, predictions={}),
        lambda results: replace(
            results, examples={**results.examples, "slices": ("[", "3", "null") * 40 + ("{}",) * 20}
        ),
    ],
)
@pytest.mark.parametrize("samples", ["all", "errors"])
def test_whatever_is_missing_or_odd_the_page_is_built(change: Any, samples: Any) -> None:
    done = document(change(explored()), samples=samples)
    shown = Page(done.html)
    assert not [text for text in shown.texts.get(".callout", []) if "could not be shown" in text]
    main = "".join(shown.texts["main"])
    assert not [word for word in ("None", "NaN", "nan%", "undefined") if word in main]
    for chunk in islands(done.html, "x-(?:chunk|columns)"):
        assert unpacked(chunk)


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_examples(n: int) -> None:
    html = document(make_results(n=5, arms=2)).html if n else document(_bare(explored(n=10))).html
    assert bool(islands(html, "x-columns")) == bool(n)


def test_a_broken_explorer_of_a_plugin_becomes_a_remark() -> None:
    class Broken:
        name = "broken"

        def blocks(self, results: Results) -> Any:
            table = Table(caption="", columns=(), rows=())
            yield Explorer(errors=table, pair=("a",), labels=(), examples={}, slices={}, answers={}, shots={})

    assert "could not be shown" in "".join(Page(compose(explored(n=10), [Broken()]).html).texts[".callout"])


def test_second_explorer_of_a_page_has_ids_of_its_own() -> None:
    class Again(Samples):
        name = "again"

    shown = Page(compose(explored(n=20), [Samples(), Again()]).html)
    ids = [value for _, name, value in shown.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert sum(value.startswith("x-title-") for value in ids) == 2


def test_an_island_cannot_be_left() -> None:
    value = {"a": "</script><!--&\u2028\u2029", "한": [1, None]}
    text = str(json_island(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_columns_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    results = explored(n=30)
    folder = write_run(tmp_path / "run", results)
    columns = read(folder / "predictions.parquet", ("arm", "example_id"))
    assert columns["arm"] == tuple(sorted(results.predictions["arm"]))
    assert "response" in columns
    assert columns.get("no such column") is None
    rows = zip(columns["arm"], columns["example_id"], columns["latency_s"], strict=True)
    given = answers(results)
    assert all(given[arm][key]["latency_s"] == latency for arm, key, latency in rows)
    hidden = Without(columns, ("response",))
    assert "response" not in hidden
    assert len(hidden) == len(columns) - 1
    with pytest.raises(KeyError):
        hidden["response"]
    (folder / "predictions.parquet").write_bytes(b"PAR1 cut off")
    assert read(folder / "predictions.parquet", ("arm",)) == read(folder / "none.parquet", ()) == {}


def test_render_needs_nothing_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "INLINE_ROWS", 10)
    monkeypatch.setattr(packing, "ROWS", 10)
    whole = held(render(explored(n=60), SECTIONS))
    assert len(joined(whole["rows"], "text")) == 60
    assert SCRIPTS[1] in "".join(joined(whole["rows"], "text"))


def test_an_arm_that_was_not_asked_is_absent() -> None:
    results = explored(n=30, arms=2)
    kept = [n for n, arm in enumerate(results.predictions["arm"]) if arm == "tuned" or n % 2]
    fewer = {name: tuple(values[n] for n in kept) for name, values in results.predictions.items()}
    whole = held(document(replace(results, predictions=fewer)).html)
    labels = {
        arm["name"]: column["label"]
        for arm, column in zip(whole["config"]["arms"], whole["columns"]["answers"], strict=True)
    }
    assert ABSENT not in labels["tuned"]
    assert labels["8-shot"].count(ABSENT) == 30 - len([n for n in kept if results.predictions["arm"][n] == "8-shot"])


def test_packer_counts_what_it_packs() -> None:
    packer = Packer(folder="x")
    [block] = Samples().blocks(explored(n=10))
    assert isinstance(block, Explorer)
    assert [packer.pack(block, {}).number for _ in range(2)] == [1, 2]
