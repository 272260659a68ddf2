"""A third-party section gets the same looks and the same safety in all four forms, and cannot break any of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console
from support.lab import call
from support.report import Page, make_results, write_run

from harness import blocks
from harness.blocks import Block, Results
from harness.errors import PluginError
from harness.plugins.discovery import discover
from harness.plugins.options import construct
from harness.report.page import render
from harness.report.sections import speak
from harness.report.writers.as_json import dumps, to_json
from harness.report.writers.markdown import to_markdown
from harness.report.writers.terminal import sections_to_terminal

EVERYTHING = '''
"""Somebody's section: one block of each type that a plugin may yield."""
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness.blocks import *


@dataclass(frozen=True, kw_only=True)
class Mine:
    name: ClassVar[str] = "mine"
    title: ClassVar[str] = "My section"

    def blocks(self, results):
        arm = results.data["arms"][0]["name"]
        axis = Axis(title="My axis")
        print("printed by the plugin")
        yield Text(text="My text with <b>angle</b> brackets")
        yield Passage(title="My passage", sentences=("My first sentence.", "My second."))
        yield Callout(text="My callout", level="warning")
        yield Tiles(tiles=(Tile(label="My tile", value="My value", detail="My detail"),))
        yield Table(
            caption="My table", columns=(Column(title="My column", head=True), Column(title="n", numeric=True)),
            rows=((Cell(text="My cell", arm=arm, note="My note", tags=("my tag",)), "1"),),
        )
        yield Chart(
            title="My chart", subtitle="s", x=axis, y=axis,
            series=(Series(arm=arm, points=(Point(x=1, y=2, low=1, high=3), Point(x=2, y=3))),),
        )
        yield Intervals(title="My intervals", subtitle="s", axis=axis, rows=(Interval(label="My row", value=1.0),))
        yield Dots(title="My dots", subtitle="s", axis=axis, rows=(DotRow(label="r", dots=(Dot(arm=arm, value=1),)),))
        yield Matrix(title="My matrix", subtitle="s", rows=("My label",), columns=("My label",), counts=((4,),))
        yield Histogram(
            title="My histogram", subtitle="s", axis=axis, edges=(0.0, 1.0, 2.0),
            rows=(Heap(arm=arm, counts=(3, 4), value=1.2),),
        )
        yield Code(text="my --command", caption="My code")


@harness.hookimpl
def harness_report_sections():
    return [Mine]
'''
SAID = (
    "My section", "My text with", "My passage", "My second.", "My callout", "My tile", "My value", "My detail",
    "My table", "My column", "My cell", "My note", "my tag", "My chart", "My intervals", "My row", "My dots",
    "My matrix", "My label", "My histogram", "my --command", "My code",
)  # fmt: skip
SHIPPED_ONLY = {blocks.Explorer, blocks.Calculator}
"""Blocks with scripts of their own: what they show elsewhere has tests beside them."""


def plugin(path: Path, source: str) -> Path:
    path.write_text(source, "utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "runs" / "reviews-0123abcd", make_results(n=40, arms=2))
    (folder / "manifest.json").write_text('{"name": "reviews"}', "utf-8")
    return folder


FORMS: dict[str, Callable[[Path, Path], Any]] = {
    "html": lambda run, file: call("report", run, "--plugin", file, "-o", run / "page.html"),
    "md": lambda run, file: call("report", run, "--plugin", file, "--format", "md"),
    "json": lambda run, file: call("report", run, "--plugin", file, "--format", "json"),
    "terminal": lambda run, file: call("show", run, "--plugin", file, "--section", "mine"),
}


@pytest.mark.parametrize("form", ["html", "md", "json"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_without_samples_no_form_quotes_a_text(run: Path, form: str, language: str) -> None:
    path = run / "results.json"
    data = json.loads(path.read_text("utf-8"))
    quoted = {"characters": 17, "prefix": "dear jane miller,"}
    message = 'all prompts begin with the same 17 characters: "dear jane miller,"'
    data["checks"] = [{"kind": "prompt-prefix", "level": "error", "message": message, "figures": quoted}]
    path.write_text(json.dumps(data), "utf-8")
    for samples in ("all", "errors", "none"):
        done = call("report", run, "--samples", samples, "--format", form, "--lang", language, "-o", run / "told")
        assert done.code == 0, done
        assert ("miller" in (run / "told").read_text("utf-8")) == (samples == "all")


@pytest.mark.parametrize("form", FORMS)
def test_a_plugin_file_speaks_in_every_form(run: Path, tmp_path: Path, form: str) -> None:
    done = FORMS[form](run, plugin(tmp_path / "mine.py", EVERYTHING))
    assert done.code == 0, done
    text = (run / "page.html").read_text("utf-8") if form == "html" else done.out
    missing = [said for said in SAID if said not in text.replace("\\", "")]
    assert not missing
    assert "could not be shown" not in text
    assert "printed by the plugin" in done.err
    assert "printed by the plugin" not in done.out
    assert form in ("json", "terminal") or "<b>angle" not in text


def test_the_plugin_yields_every_type_of_block(tmp_path: Path) -> None:
    [section] = sections(plugin(tmp_path / "mine.py", EVERYTHING))
    [spoken] = speak(make_results(n=30, arms=1), [section])
    assert {type(block) for block in spoken.blocks} | SHIPPED_ONLY == set(get_args(Block))


def sections(file: Path) -> list[Any]:
    return [construct(record.cls, {}, "sections") for record in discover([file]).of("section") if record.loose]


BROKEN = '''
"""Somebody's section that fails."""
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness.blocks import *
from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class Mine:
    name: ClassVar[str] = "mine"

    def blocks(self, results):
        yield Text(text="said before")
        {what}
        yield Text(text="said after")


@harness.hookimpl
def harness_report_sections():
    return [Mine]
'''
CHART = "Chart(title='t', subtitle='s', x=Axis(title='x'), y=Axis(title='y'), series=({}))"
NAN = "Series(arm='a', points=(Point(x=float('nan'), y=1),)),"
FAULTS = {
    "raises": ("raise RuntimeError('<i>no</i>')", "RuntimeError", False),
    "exits": ("raise SystemExit(3)", "SystemExit", False),
    "no block": ("yield '<b>x</b>'", "yielded str, which is not a block", True),
    "no text": ("yield Text(text=3)", "Text.text is of type int", True),
    "not a number": (f"yield {CHART.format(NAN)}", "x is nan", True),
    "no series": (f"yield {CHART.format('')}", "Chart.series is empty", True),
    "ragged table": (
        "yield Table(caption='c', columns=(Column(title='a'),), rows=(('1', '2'),))",
        "2 cells for 1 columns",
        True,
    ),
    "ragged matrix": (
        "yield Matrix(title='t', subtitle='s', rows=('a', 'b'), columns=('a',), counts=((1,),))",
        "1 rows for 2 labels",
        True,
    ),
    "unknown level": ("yield Callout(text='x', level='loud')", "Callout.level is", True),
    "generator": ("yield from results.data['no such key']", "KeyError", False),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_becomes_a_remark_in_every_form(tmp_path: Path, fault: str) -> None:
    what, said, goes_on = FAULTS[fault]
    made = sections(plugin(tmp_path / "my_section.py", BROKEN.replace("{what}", what)))
    results = make_results(n=30, arms=2)
    for text in in_all_forms(results, made):
        assert 'The section "mine" could not be shown in full.' in text
        assert "(from my_section.py)" in text
        assert said in text
        assert "said before" in text
        assert ("said after" in text) == goes_on


def in_all_forms(results: Results, made: list[Any]) -> list[str]:
    console = Console(width=1000, file=io.StringIO(), record=True)
    for part in sections_to_terminal(speak(results, made), {}):
        console.print(part)
    page = "".join(Page(render(results, made)).texts["section"])
    markdown = to_markdown(results, made).replace("\\", "")
    return [page, markdown, console.export_text(), "".join(strings(json.loads(to_json(results, made))["sections"]))]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_a_remark_names_the_distribution() -> None:
    from harness_plugins.sections.errors import Errors

    class Failing(Errors):
        __module__ = Errors.__module__

        def blocks(self, results: Results) -> Any:
            raise RuntimeError("no")

    [spoken] = speak(make_results(n=20, arms=1), [Failing()])
    [remark] = spoken.blocks
    assert "(from finetune-harness " in remark.text  # type: ignore[union-attr]


def test_text_that_claims_to_be_markup_is_text(tmp_path: Path) -> None:
    what = "yield Text(text=Markup('<u>x</u>')); yield Tiles(tiles=[Tile(label=Markup('<u>y</u>'), value='1')])"
    page = Page(render(make_results(n=20, arms=1), sections(plugin(tmp_path / "m.py", BROKEN.replace("{what}", what)))))
    assert not page.elements["u"]
    assert "<u>x</u>" in page.texts[".text"]
    assert "<u>y</u>" in page.texts["dt"]


def test_numbers_of_numpy_and_lists_are_as_good(tmp_path: Path) -> None:
    what = (
        "import numpy; yield Chart(title='t', subtitle='s', x=Axis(title='x'), y=Axis(title='y'), series=["
        "Series(arm='a', points=[Point(x=numpy.float64(1.5), y=numpy.int64(2))])])"
    )
    [spoken] = speak(make_results(n=20, arms=1), sections(plugin(tmp_path / "m.py", BROKEN.replace("{what}", what))))
    chart = spoken.blocks[1]
    assert isinstance(chart, blocks.Chart)
    assert type(chart.series[0].points[0].x) is float
    assert json.loads(dumps({"x": chart.series[0].points[0].y})) == {"x": 2.0}


def test_json_keeps_the_results_and_adds_the_sections(run: Path) -> None:
    done = call("report", run, "--format", "json")
    assert done.code == 0, done
    found = json.loads(done.out)
    stored = json.loads((run / "results.json").read_text("utf-8"))
    assert {key: found[key] for key in stored} == stored
    assert set(found) - set(stored) == {"sections"}
    names = [section["name"] for section in found["sections"]]
    assert names[0] != "reproduce" == names[-1]
    kinds = {block["type"] for section in found["sections"] for block in section["blocks"]}
    assert {"table", "chart", "intervals", "matrix", "text", "code"} <= kinds
    written = run / "report.json"
    assert call("report", run, "--format", "json", "-o", written).out.strip() == str(written)
    assert json.loads(written.read_text("utf-8")) == found


def test_half_a_surrogate_is_written_as_its_code() -> None:
    text = dumps({"a": "x \ud800 y", "b": "\U0001f600"})
    assert text.encode("utf-8")
    assert json.loads(text) == {"a": "x \ud800 y", "b": "\U0001f600"}


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_language_is_chosen(run: Path, form: str) -> None:
    done = call("report", run, "--format", form, "--lang", "ko", "-o", run / "out")
    assert done.code == 0, done
    text = (run / "out").read_text("utf-8")
    assert any("\uac00" <= char <= "\ud7a3" for char in text)
    if form == "html":
        assert '<html lang="ko">' in text
    assert call("report", run, "--lang", "xx").code == 2


def test_two_plugins_of_one_name_are_refused(tmp_path: Path) -> None:
    files = [plugin(tmp_path / name, EVERYTHING) for name in ("a.py", "b.py")]
    with pytest.raises(PluginError, match="two sections are named"):
        discover(files).check()
