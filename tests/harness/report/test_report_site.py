"""Publishing: what leaves, what may not, and what stays untouched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.report import Page, make_results, shipped_sections, write_run

from harness.errors import GateError, UsageError
from harness.report.blocks import Results
from harness.report.scan import KEYS, redact
from harness.report.site import plan_publication, publish, render_index

SECTIONS = shipped_sections()
KEY = "sk-" + "proj1234567890abcdefghij"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "reviews-0123abcd", make_results(n=60, arms=3))


def test_run_is_published_with_an_index(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    plan = plan_publication([run], site, SECTIONS)
    assert not site.exists()
    assert plan.files == ("reviews-0123abcd/index.html", "reviews-0123abcd/results.json", "index.html", ".nojekyll")
    assert publish(plan) == site / "index.html"
    assert sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()) == sorted(plan.files)
    assert (site / run.name / "results.json").read_bytes() == (run / "results.json").read_bytes()
    page = Page((site / "index.html").read_text())
    assert page.attribute("a", "href") == ["reviews-0123abcd/index.html"]
    assert json.loads((run / "results.json").read_text())["verdict"]["sentence"] in page.texts["a"]


def test_samples_stay_private_by_default(run: Path, tmp_path: Path) -> None:
    texts = make_results(n=60, arms=3).examples["text"]
    hidden = plan_publication([run], tmp_path / "site", SECTIONS).pages[f"{run.name}/index.html"]
    shown = plan_publication([run], tmp_path / "site", SECTIONS, samples="all").pages[f"{run.name}/index.html"]
    assert not [text for text in texts if text.splitlines()[1] in hidden]
    assert [text for text in texts if text.splitlines()[1] in shown]


def test_publishing_again_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    contents = []
    for _ in range(2):
        publish(plan_publication([run], site, SECTIONS))
        contents.append({path: path.read_bytes() for path in site.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]


def test_preview_is_refused(tmp_path: Path) -> None:
    def preview(data: dict[str, Any]) -> None:
        data["run"]["preview"] = True

    run = write_run(tmp_path / "run", make_results(n=30, arms=1, change=preview))
    with pytest.raises(UsageError, match="preview"):
        plan_publication([run], tmp_path / "site", SECTIONS)


def leaking(tmp_path: Path, where: str) -> Path:
    results = make_results(n=60, arms=2)
    data = dict(results.data)
    examples = dict(results.examples)
    if where == "check":
        data["checks"] = [{"kind": "k", "level": "warning", "message": f"see {KEY}", "figures": {}}]
    else:
        examples["text"] = tuple(f"{text} {KEY}" for text in examples["text"])
    return write_run(tmp_path / "run", Results(data=data, predictions=results.predictions, examples=examples))


@pytest.mark.parametrize("where", ["check", "text"])
def test_key_shaped_string_stops_the_publication(tmp_path: Path, where: str) -> None:
    run, site = leaking(tmp_path, where), tmp_path / "site"
    with pytest.raises(GateError, match="looks like a key") as caught:
        plan_publication([run], site, SECTIONS, samples="all")
    assert KEY not in str(caught.value)
    assert caught.value.exit_code == 3
    assert not site.exists()
    publish(plan_publication([run], site, SECTIONS, samples="all", redact=True))
    written = b"".join(path.read_bytes() for path in site.rglob("*") if path.is_file())
    assert KEY.encode() not in written
    assert b"[REDACTED]" in written
    json.loads((site / "run" / "results.json").read_text())


def test_text_that_does_not_leave_does_not_stop_it(tmp_path: Path) -> None:
    plan_publication([leaking(tmp_path, "text")], tmp_path / "site", SECTIONS, samples="none")


def test_foreign_files_stay(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "other").mkdir(parents=True)
    foreign = {"CNAME": "example.org", "other/results.json": '{"schema": 99}', "other/page.html": "<p>mine"}
    for name, text in foreign.items():
        (site / name).write_text(text)
    publish(plan_publication([run], site, SECTIONS))
    assert {name: (site / name).read_text() for name in foreign} == foreign
    assert "other" not in Page((site / "index.html").read_text()).texts["tbody"][0]


@pytest.mark.parametrize("name", ["index.html", "reviews-0123abcd/index.html"])
def test_foreign_pages_are_never_overwritten(run: Path, tmp_path: Path, name: str) -> None:
    page = tmp_path / "site" / name
    page.parent.mkdir(parents=True)
    page.write_text("<h1>my own page</h1>")
    with pytest.raises(UsageError, match="is not ours"):
        plan_publication([run], tmp_path / "site", SECTIONS)
    assert page.read_text() == "<h1>my own page</h1>"


def test_index_follows_the_folders(run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"

    def later(data: dict[str, Any]) -> None:
        data["run"]["finished"] = "2027-01-01T00:00:00+00:00"
        data["verdict"]["sentence"] = "<b>Later</b>"

    second = write_run(tmp_path / "second-0123abcd", make_results(n=30, arms=2, change=later))
    publish(plan_publication([run, second], site, SECTIONS))
    page = Page((site / "index.html").read_text())
    assert page.attribute("a", "href") == ["second-0123abcd/index.html", "reviews-0123abcd/index.html"]
    assert page.texts["a"][0] == "<b>Later</b>"
    for path in (site / "second-0123abcd").iterdir():
        path.unlink()
    assert Page(render_index(site)).attribute("a", "href") == ["reviews-0123abcd/index.html"]


def test_empty_site_has_an_index(tmp_path: Path) -> None:
    assert "No run is published yet." in render_index(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        "ghp_" + "a1" * 18,
        "hf_" + "aB" * 16,
        "AKIA" + "A1B2" * 4,
        "xoxb-" + "1" * 12,
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_keys_are_recognised(text: str) -> None:
    assert KEYS.search(f"see {text}.")
    assert text not in redact({"a": [f"see {text}."]})["a"][0]


@pytest.mark.parametrize(
    "text",
    ["sk-learn", "task-force-of-the-city", "sha256-" + "Ab1" * 14, "5f" * 32, "a risk-adjusted-and-weighted-average"],
)
def test_ordinary_text_is_no_key(text: str) -> None:
    assert not KEYS.search(text)
