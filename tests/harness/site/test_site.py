"""Publishing: what leaves, what may not, and what stays untouched."""

from __future__ import annotations

import json
import re
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.report import Page, make_results, shipped_sections
from support.site import publish, write_finished

from harness.blocks import Results
from harness.errors import DataError, GateError, UnfinishedError, UsageError
from harness.report.page import compose
from harness.report.reading import load
from harness.report.sentence import sentence
from harness.site.index import pairs, read_rows, render_index
from harness.site.plan import planned
from harness.site.publication import listed
from harness.site.staging import Wishes
from harness.words import speaking

SECTIONS = shipped_sections()[:3]
"""Enough for a page: what sections say is tested elsewhere."""
KEY = "sk-" + "proj1234567890abcdefghij"
NAME = "reviews-0123abcd"


def finished(day: int, dataset: str = "reviews.csv", **more: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["run"]["finished"] = f"2027-01-{day:02d}T00:00:00+00:00"
        data["run"]["dataset"]["name"] = dataset
        data["run"] |= more

    return change


@cache
def some_results() -> Results:
    return make_results(n=40, arms=2)


def a_run(folder: Path, day: int = 1, **options: Any) -> Path:
    settings = options.pop("settings", None)
    results = some_results()
    data = json.loads(json.dumps(results.data))
    finished(day, **options)(data)
    return write_finished(folder, replace(results, data=data), settings)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return a_run(tmp_path / NAME)


def files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_run_is_published_with_an_index(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with planned([run], site, lambda _: SECTIONS, Wishes()) as plan:
        assert not site.exists()
        assert plan.write() == site / "index.html"
        sizes = plan.files
    found = files(site)
    assert {path: len(content) for path, content in found.items()} == sizes
    mine = {"index.html", "results.json", "manifest.json", "badge.svg", "predictions.parquet", "data/examples.parquet"}
    others = {"index.html", ".nojekyll", "latest/index.html", "latest/badge.svg"}
    assert set(found) == {f"{NAME}/{name}" for name in mine} | others
    assert found[f"{NAME}/results.json"] == (run / "results.json").read_bytes()
    assert found["latest/index.html"] == found[f"{NAME}/index.html"]
    page = Page(found["index.html"].decode())
    assert page.attribute("a", "href") == [f"{NAME}/index.html"]
    assert json.loads(found[f"{NAME}/results.json"])["verdict"]["sentence"] in page.texts["a"]


def test_the_index_tells_when_a_run_has_paid_back(run: Path, tmp_path: Path) -> None:
    publish([run], tmp_path / "site", SECTIONS)
    (row,), skipped = read_rows(tmp_path / "site")
    (paid,) = {entry["requests"] for entry in some_results().data["payback"] if entry["role"] == "best-prompt"}
    assert (row.payback, skipped) == (paid, [])
    assert paid is not None


def test_what_is_published_is_enough_to_build_the_page_again(run: Path, tmp_path: Path) -> None:
    for samples in ("none", "errors", "all"):
        site = tmp_path / samples
        publish([run], site, shipped_sections(), samples=samples)
        again = compose(load(site / NAME), shipped_sections(), samples=samples, name="index")
        assert again.html == (site / NAME / "index.html").read_text()


def test_samples_stay_private_by_default(run: Path, tmp_path: Path) -> None:
    texts = some_results().examples["text"]
    publish([run], tmp_path / "none", shipped_sections())
    publish([run], tmp_path / "all", shipped_sections(), samples="all")
    hidden, shown = (files(tmp_path / name) for name in ("none", "all"))
    for path, content in hidden.items():
        assert not [text for text in texts if text.splitlines()[1].encode() in content], path
    table = pq.read_table(tmp_path / "none" / NAME / "predictions.parquet")
    assert not {"response", "error", "key"} & set(table.column_names)
    examples = pq.read_table(tmp_path / "none" / NAME / "data" / "examples.parquet").to_pylist()
    assert {(row["text"], row["fields"], row["split"]) for row in examples} == {("", "{}", "test")}
    assert not [row for row in examples if "user" in row["group"]]
    assert len({row["group"] for row in examples}) == 20
    assert "response" in pq.read_table(tmp_path / "all" / NAME / "predictions.parquet").column_names
    every = {row["text"] for row in pq.read_table(tmp_path / "all" / NAME / "data" / "examples.parquet").to_pylist()}
    assert every == set(texts)
    assert len(shown[f"{NAME}/index.html"]) > len(hidden[f"{NAME}/index.html"])


def quoting(folder: Path) -> Path:
    """A run whose checks quote the texts, as they do where many begin alike."""
    results = some_results()
    figures = {
        "found": [{"where": "start", "text": "dear jane miller", "rows": 9, "share": 0.3, "label": "1"}],
        "one_class": False, "rows_covered": 9, "rows_looked_at": 40, "rows": 40,
    }  # fmt: skip
    checks = [
        {"kind": "boilerplate", "level": "warning", "message": 'most often "dear jane miller"', "figures": figures},
        {
            "kind": "prompt-prefix",
            "level": "warning",
            "message": 'train.a.jsonl: all prompts begin with the same 17 characters: "dear jane miller,"',
            "figures": {"characters": 17, "prefix": "dear jane miller,", "file": "train.a.jsonl"},
        },
    ]
    checks = [{**check, "heading": "quality", "advice": "", "mended": 0} for check in checks]
    return write_finished(folder, replace(results, data={**results.data, "checks": checks}))


def test_what_checks_quote_of_texts_leaves_with_all_samples_alone(tmp_path: Path) -> None:
    run = quoting(tmp_path / NAME)
    for samples in ("none", "errors", "all"):
        site = tmp_path / samples
        publish([run], site, shipped_sections(), samples=samples)
        quoted = {path for path, content in files(site).items() if b"jane miller" in content}
        mine = {f"{NAME}/results.json", f"{NAME}/index.html", "latest/index.html"}
        assert quoted == (mine if samples == "all" else set())
        again = compose(load(site / NAME), shipped_sections(), samples=samples, name="index")
        assert again.html == (site / NAME / "index.html").read_text()
    page = Page((tmp_path / "none" / NAME / "index.html").read_text())
    assert 'all prompts begin with the same 17 characters: "…"' in " ".join(page.texts[".callout"])
    kept, whole = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "none" / NAME, run))
    assert {**kept, "checks": None} == {**whole, "checks": None}


def test_with_errors_only_what_an_arm_got_wrong_leaves(run: Path, tmp_path: Path) -> None:
    publish([run], tmp_path / "site", SECTIONS, samples="errors")
    rows = pq.read_table(tmp_path / "site" / NAME / "predictions.parquet").to_pylist()
    wrong = {row["example_id"] for row in rows if row["expected"] != row["predicted"]}
    assert {row["example_id"] for row in rows if row["response"] is not None} <= wrong
    examples = pq.read_table(tmp_path / "site" / NAME / "data" / "examples.parquet").to_pylist()
    assert {row["id"] for row in examples if row["text"]} == wrong
    assert 0 < len(wrong) < 40


def test_a_shared_dataset_leaves_with_its_texts_and_its_neighbour_does_not(tmp_path: Path) -> None:
    shared = a_run(tmp_path / "shared", settings={"dataset": {"share": True}})
    private = a_run(tmp_path / "private", 2)
    with planned([shared, private], tmp_path / "site", lambda _: SECTIONS, Wishes()) as plan:
        assert {run.name: run.samples for run in plan.runs} == {"shared": "all", "private": "none"}
        told = "\n".join(listed(plan))
    assert "shared · samples: all; the texts of 40 test examples leave" in told
    assert "private · samples: none" in told
    assert "each answer's arm, example_id, expected" in told
    assert "kB" in told


def test_publishing_again_changes_nothing(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    publish([run], site, SECTIONS)
    before = files(site)
    with planned([run], site, lambda _: SECTIONS, Wishes()) as plan:
        assert (plan.runs, plan.unchanged) == ((), (NAME,))
        assert f"{NAME} is published already" in "\n".join(listed(plan))
        plan.write()
    assert files(site) == before


def test_a_published_run_is_never_replaced(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    publish([run], site, SECTIONS)
    before = files(site)
    with pytest.raises(UsageError, match="the same figures, made by another") as caught:
        publish([run], site, SECTIONS, samples="all", redact=True)
    assert f"delete {site / NAME}" in str(caught.value)
    other = json.loads((run / "results.json").read_text())
    other["verdict"]["sentence"] = "Another verdict."
    (run / "results.json").write_text(json.dumps(other))
    with pytest.raises(UsageError, match=r"with other figures .*results\.json"):
        publish([run], site, SECTIONS)
    assert files(site) == before
    shutil.rmtree(site / NAME)
    publish([run], site, SECTIONS)
    assert "Another verdict." in (site / "index.html").read_text()


def test_preview_and_names_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    for name, message in (("latest", "cannot be a folder"), ("Käse run", "cannot be a folder")):
        with pytest.raises(UsageError, match=message):
            publish([a_run(tmp_path / name)], tmp_path / "site", SECTIONS)
    with pytest.raises(UsageError, match="preview"):
        publish([a_run(tmp_path / "run", preview=True)], tmp_path / "site", SECTIONS)
    with pytest.raises(UsageError, match="two runs are called run"):
        publish([tmp_path / "run", a_run(tmp_path / "b" / "run")], tmp_path / "site", SECTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        publish([tmp_path / "run"], tmp_path / "file", SECTIONS)
    with pytest.raises(DataError, match="is missing"):
        publish([tmp_path], tmp_path / "site", SECTIONS)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("name", ["predictions.parquet", "data/examples.parquet"])
def test_a_broken_table_is_said(run: Path, tmp_path: Path, name: str) -> None:
    (run / name).write_bytes((run / name).read_bytes()[:100])
    with pytest.raises(DataError, match=re.escape(f"{run / name} cannot be read")):
        publish([run], tmp_path / "site", SECTIONS)
    assert not (tmp_path / "site").exists()


def test_foreign_files_stay(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    foreign = {
        "CNAME": "example.org", "other/results.json": '{"schema": 99}', "other/page.html": "<p>mine",
        "mine/results.json": "not JSON", "compare/a..b.html": "<p>mine", "latest/notes.txt": "mine", ".nojekyll": "x",
        "copied/index.html": '<meta name="generator" content="finetune-harness">',
        "copied/results.json": '{"schema": 2}',
    }  # fmt: skip
    publish([run], site, SECTIONS)
    for name, text in foreign.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    second = a_run(tmp_path / "second", 2)
    with planned([second], site, lambda _: SECTIONS, Wishes()) as plan:
        told = "\n".join(listed(plan))
        plan.write()
    assert {name: (site / name).read_text() for name in foreign} == foreign
    for name in ("other", "mine", "copied"):
        assert f"{name}/results.json" in told
        assert name not in Page((site / "index.html").read_text()).texts["tbody"][0]
    assert "schema 2" in told


@pytest.mark.parametrize(
    "name", ["index.html", f"{NAME}/index.html", f"{NAME}/x.txt", "latest/index.html", "latest/badge.svg"]
)
def test_foreign_pages_are_never_overwritten(run: Path, tmp_path: Path, name: str) -> None:
    page = tmp_path / "site" / name
    page.parent.mkdir(parents=True)
    page.write_text("<h1>my own page</h1>")
    with pytest.raises(UsageError, match="not ours"):
        publish([run], tmp_path / "site", SECTIONS)
    assert files(tmp_path / "site") == {name: b"<h1>my own page</h1>"}


def test_index_follows_the_folders(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    second = a_run(tmp_path / "second", 2, dataset="other")
    publish([run, second], site, SECTIONS)
    page = Page((site / "index.html").read_text())
    assert page.attribute("a", "href") == ["second/index.html", f"{NAME}/index.html"]
    assert (site / "latest" / "index.html").read_bytes() == (site / "second" / "index.html").read_bytes()
    shutil.rmtree(site / "second")
    publish([run], site, SECTIONS)
    assert Page((site / "index.html").read_text()).attribute("a", "href") == [f"{NAME}/index.html"]
    assert (site / "latest" / "index.html").read_bytes() == (site / NAME / "index.html").read_bytes()


def test_each_run_is_compared_with_the_latest_earlier_one_of_its_dataset(tmp_path: Path) -> None:
    site = tmp_path / "site"
    runs = {name: a_run(tmp_path / name, day, dataset=dataset) for name, day, dataset in (
        ("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y"), ("d", 4, "x"))}  # fmt: skip
    publish([runs["a"], runs["d"]], site, SECTIONS)
    there = lambda: sorted(path.name for path in (site / "compare").iterdir())  # noqa: E731
    assert there() == ["a..d.html"]
    publish([runs["b"], runs["c"]], site, SECTIONS)
    assert there() == ["a..b.html", "b..d.html"]
    assert pairs(read_rows(site)[0]) == [("a", "b"), ("b", "d")]
    links = Page((site / "index.html").read_text()).attribute("a", "href")
    assert [link for link in links if "compare" in link] == ["compare/b..d.html", "compare/a..b.html"]
    for link in links:
        assert (site / link).is_file()
    for link in Page((site / "compare" / "b..d.html").read_text()).attribute("a", "href"):
        assert link.startswith("#") or (site / "compare" / link).is_file()
    shutil.rmtree(site / "b")
    publish([runs["c"]], site, SECTIONS)
    assert there() == ["a..d.html"]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_answers_that_changed_are_shown_in_whatever_order_runs_are_published(tmp_path: Path, order: str) -> None:
    runs = {name: a_run(tmp_path / name, day) for name, day in (("a", 1), ("b", 2))}
    answers = pq.read_table(runs["b"] / "predictions.parquet")
    turned = answers["predicted"].to_pylist()[::-1]
    place = answers.column_names.index("predicted")
    pq.write_table(answers.set_column(place, "predicted", [turned]), runs["b"] / "predictions.parquet")
    for name in order:
        publish([runs[name]], tmp_path / "site", SECTIONS, samples="all" if name == "b" else "none")
    page = Page((tmp_path / "site" / "compare" / "a..b.html").read_text())
    assert "Answers that changed" in page.texts["h2"]


def test_a_run_without_answers_is_published_and_compared_as_a_sample(tmp_path: Path) -> None:
    bare, whole = a_run(tmp_path / "bare"), a_run(tmp_path / "whole", 2)
    (bare / "predictions.parquet").unlink()
    shutil.rmtree(bare / "data")
    publish([bare, whole], tmp_path / "site", SECTIONS, samples="errors")
    page = Page((tmp_path / "site" / "compare" / "bare..whole.html").read_text())
    assert "single answers are missing" in " ".join(page.texts[".callout"])
    (whole / "predictions.parquet").unlink()
    publish([whole], tmp_path / "errors", SECTIONS, samples="errors")
    rows = pq.read_table(tmp_path / "errors" / "whole" / "data" / "examples.parquet").to_pylist()
    assert {row["text"] for row in rows} == {""}  # nobody knows what an arm got wrong


def test_empty_site_has_an_index() -> None:
    assert "No run is published yet." in render_index([])


def test_a_run_that_cannot_be_moved_leaves_the_site_as_it_was(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    publish([run], site, SECTIONS)
    before = files(site)
    second = a_run(tmp_path / "second", 2)
    with planned([second], site, lambda _: SECTIONS, Wishes()) as plan:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copytree", lambda *_, **__: (_ for _ in ()).throw(OSError("no room")))
            with pytest.raises(OSError, match="no room"):
                plan.write()
        assert files(site) == before
        plan.write()
    assert "second/index.html" in files(site)


def test_a_full_disk_leaves_the_site_as_it_was_and_is_unfinished(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    publish([run], site, SECTIONS)
    before = files(site)
    with planned([a_run(tmp_path / "second", 2)], site, lambda _: SECTIONS, Wishes()) as plan:
        free = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, free[1]))  # files that may not grow are a full disk
        try:
            with pytest.raises(UnfinishedError, match="cannot write"):
                plan.write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, free)
        assert files(site) == before
        plan.write()
    assert "second/index.html" in files(site)
    assert (site / "second").stat().st_mode == (site / "latest").stat().st_mode  # no longer private


def leaking(folder: Path, where: str, what: str) -> Path:
    results = some_results()
    data, predictions, examples = dict(results.data), dict(results.predictions), dict(results.examples)
    if where == "check":
        data["checks"] = [{"kind": "k", "level": "warning", "message": f"see {what}", "figures": {what: 1}}]
    elif where == "text":
        examples["text"] = tuple(f"{text}\n{what} and more" for text in examples["text"])
    elif where == "response":
        predictions["response"] = tuple(f"it is {what}" for _ in predictions["response"])
    elif where == "label":
        old = data["run"]["labels"][0]
        data = json.loads(json.dumps(data).replace(json.dumps(old), json.dumps(what)))
    settings = {"arms": [{"name": "a", "formatter": {"instruction": f"Use {what}."}}]} if where == "prompt" else None
    return write_finished(folder, Results(data=data, predictions=predictions, examples=examples), settings)


@pytest.mark.parametrize("what", [KEY, "jane.doe@mail.example.org"])
@pytest.mark.parametrize("where", ["check", "text", "response", "label", "prompt"])
def test_keys_and_personal_data_stop_the_publication_unless_redacted(tmp_path: Path, where: str, what: str) -> None:
    run, site = leaking(tmp_path / "run", where, what), tmp_path / "site"
    with pytest.raises(GateError, match="keys or personal data") as caught:
        publish([run], site, SECTIONS, samples="all")
    assert what not in str(caught.value)
    assert "--redact" in str(caught.value)
    assert caught.value.exit_code == 3
    assert not site.exists()
    publish([run], site, SECTIONS, samples="all", redact=True)
    for path, content in files(site).items():
        assert what.encode() not in content, path
    for path in site.rglob("*.parquet"):
        assert what not in str(pq.read_table(path).to_pylist())
    assert [path for path, content in files(site).items() if b"[REDACTED]" in content or b"[EMAIL]" in content] or (
        where in ("text", "response")
    )


def test_text_that_does_not_leave_does_not_stop_it(tmp_path: Path) -> None:
    for where in ("text", "response"):
        publish([leaking(tmp_path / where, where, KEY)], tmp_path / "site", SECTIONS)


def test_what_a_section_brings_in_is_looked_at_too(run: Path, tmp_path: Path) -> None:
    from harness.blocks import Text

    class Careless:
        name, title, order = "careless", "Careless", 1

        def blocks(self, results: Results) -> list[Text]:
            return [Text(text=f"the key is {KEY}")]

    with pytest.raises(GateError, match="section plugin"):
        publish([run], tmp_path / "site", [Careless()], redact=True)
    assert not (tmp_path / "site").exists()


def test_a_korean_site_says_verdicts_and_what_changed_in_korean(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / f"reviews-0000000{day}", day=day) for day in (1, 2)]
    with speaking("ko"):
        text = publish(runs, tmp_path / "site", SECTIONS).read_text("utf-8")
        said = sentence(some_results().data)
    assert said.lang == ""
    assert text.count(said.text) >= len(runs)
    assert some_results().data["verdict"]["sentence"] not in text
    (compared,) = (tmp_path / "site").glob("compare/*.html")
    assert re.search("<h1>.*[가-힣]", compared.read_text("utf-8"))
