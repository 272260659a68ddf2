"""Figures and tables in a real browser: real fonts, turned texts, foreign scripts, many labels, and paper."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.browser import violations
from support.report import everything, make_results, shipped_sections

from harness.blocks import Results
from harness.report.page import render
from harness_plugins.sections.errors import Errors

pytestmark = pytest.mark.xdist_group("chromium")

PAPER = 718
"""Width of an A4 sheet without its margins, CSS px."""

TURNED_TEXTS = """() => {
  const wrong = [];
  const over = (a, b) => Math.min(...[a, b].flatMap((box) => [[0, 1], [1, 2]].map(([i, k]) => {
    const long = Math.hypot(box[k].x - box[i].x, box[k].y - box[i].y) || 1;
    const on = (p) => (p.x * (box[k].x - box[i].x) + p.y * (box[k].y - box[i].y)) / long;
    const [s, t] = [a.map(on), b.map(on)];
    return Math.min(Math.max(...s), Math.max(...t)) - Math.max(Math.min(...s), Math.min(...t));
  })));
  for (const svg of document.querySelectorAll("figure > svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const found = [...svg.querySelectorAll("text")].map((text) => {
      const b = text.getBBox(), m = text.getScreenCTM();
      const trim = b.height * 0.12;  // a font's own leading
      const box = [[b.x, b.y + trim], [b.x + b.width, b.y + trim], [b.x + b.width, b.y + b.height - trim],
        [b.x, b.y + b.height - trim]].map(([x, y]) => new DOMPoint(x, y).matrixTransform(m));
      return { text: text.textContent, box, x: box.map((p) => p.x), y: box.map((p) => p.y) };
    });
    const told = (kind, ...texts) => wrong.push([svg.getAttribute("aria-label").slice(0, 60), kind, ...texts]);
    found.forEach((one) => {
      if (Math.min(...one.x) < frame.left - 1 || Math.max(...one.x) > frame.right + 1
          || Math.min(...one.y) < frame.top - 1 || Math.max(...one.y) > frame.bottom + 1) told("outside", one.text);
    });
    found.sort((a, b) => Math.min(...a.x) - Math.min(...b.x));
    found.forEach((one, n) => {
      const right = Math.max(...one.x);
      for (const other of found.slice(n + 1)) {
        if (Math.min(...other.x) >= right) break;
        if (over(one.box, other.box) > 2) told("covered", one.text, other.text);
      }
    });
  }
  return wrong;
}"""
CUT_OFF = """() => [...document.querySelectorAll("main .scroll")]
  .filter((box) => !box.closest("details") && box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.innerText.slice(0, 80))"""
OFF_PAPER = """(wide) => [...document.querySelectorAll("main td, main th, main figure > svg, main caption")]
  .filter((box) => box.getClientRects().length && box.getBoundingClientRect().right > wide + 1)
  .map((box) => box.textContent.slice(0, 80))"""
NAMES = (
    "tuned on everything that was there, for as long as it took it",
    "نموذج مضبوط بدقة على بيانات كثيرة جدا من السنة الماضية",
    "微調整済みモデルの非常に長い名前がここにあります（第二版）",
    "מודל מכוונן היטב עם שם ארוך מאוד",
)
LABELS = (
    "refund",
    "a label of more than a hundred characters, which nobody should want but somebody has, as there are such files",
    "طلب استرداد الأموال من البنك بعد تأخير طويل",
    "ある日本語の非常に長いラベル名がここにあります",
    "תווית בעברית ארוכה מאוד",
    "한국어 라벨",
    "emoji 🎉🎈",
    "<b>&amp;",
)


def renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items()}
    return [renamed(item, names) for item in value] if isinstance(value, list) else value


def with_labels(results: Results, labels: tuple[str, ...], splits: bool = True) -> Results:
    """Returns results over other labels, 85% of the answers right."""
    draw = random.Random(5)
    ids = results.predictions["example_id"]
    of = {key: labels[n % len(labels)] for n, key in enumerate(dict.fromkeys(ids))}
    expected = tuple(of[key] for key in ids)
    predicted = tuple(label if draw.random() < 0.85 else draw.choice([*labels, None]) for label in expected)
    data = {**results.data, "run": {**results.data["run"], "labels": list(labels)}}
    if splits:
        counts = [{"label": label, "train": 80, "validation": 9, "test": 11} for label in labels]
        data["data"] = {**(data.get("data") or {}), "labels": counts}
    return replace(
        results, data=data, predictions={**results.predictions, "expected": expected, "predicted": predicted}
    )


def in_many_scripts() -> Results:
    results = with_labels(make_results(n=120, arms=14, change=everything), LABELS)
    names = {arm["name"]: f"{NAMES[n % 4]} {n}" for n, arm in enumerate(results.data["arms"])}
    arms = tuple(names[name] for name in results.predictions["arm"])
    return replace(results, data=renamed(results.data, names), predictions={**results.predictions, "arm": arms})


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Writes pages of 77 labels, of 1,000 labels, of names and labels in many scripts, and of their errors alone."""
    folder = tmp_path_factory.mktemp("pages")
    small = make_results(n=600, arms=2)
    results = {
        "intents": with_labels(small, tuple(f"intent_{n:02}_of_a_bank" for n in range(77))),
        "thousand": with_labels(small, tuple(f"category {n:04}" for n in range(1000))),
        "scripts": in_many_scripts(),
    }
    results["errors"] = results["scripts"]
    found = {}
    for name, one in results.items():
        left = ("reproduce",) if name == "intents" else ("samples", "reproduce")
        sections = [section for section in shipped_sections() if section.name not in left]
        found[name] = folder / f"{name}.html"
        found[name].write_text(render(one, [Errors()] if name == "errors" else sections), "utf-8")
    return found


@pytest.mark.parametrize(
    ("name", "wide"),
    [("intents", 1280), ("intents", 390), ("thousand", 390), ("scripts", 1280), ("scripts", 1000), ("scripts", 390)],
)
def test_no_text_of_a_figure_covers_another_or_leaves_it(
    browser: Any, pages: dict[str, Path], name: str, wide: int
) -> None:
    page = browser.new_page(viewport={"width": wide, "height": 900})
    page.goto(pages[name].as_uri())
    found = page.evaluate(TURNED_TEXTS), page.evaluate(CUT_OFF), page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert found == ([], [], wide)


def test_nothing_is_wrong_with_many_labels(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 900}, color_scheme="light")
    page.goto(pages["errors"].as_uri())
    page.eval_on_selector_all("#section-errors details", "all => all.forEach((one) => { one.open = true; })")
    found = violations(page, inside="#section-errors")
    page.close()
    assert found == []


def test_cells_are_clicked_and_pairs_are_reached_by_tab(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(pages["intents"].as_uri())
    page.wait_for_selector(".explorer.x-ready")
    cells = page.locator("#section-errors .figures.whole svg.wide .cells").first
    left, top, side = (float(x) for x in cells.get_attribute("data-grid").split(" "))
    svg = page.locator("#section-errors .figures.whole svg.wide").first
    svg.scroll_into_view_if_needed()
    spot = svg.bounding_box()
    page.mouse.move(spot["x"] + left + side / 2, spot["y"] + top + side / 2)
    told = svg.locator("> title").text_content()
    page.mouse.down()
    page.mouse.up()
    clicked = page.evaluate("location.hash")
    in_figures = page.evaluate("[...document.querySelectorAll('svg a')].filter((a) => a.tabIndex >= 0).length")
    summary = page.locator("#section-errors .figures.whole summary").first
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.tagName") == "DIV":  # the list scrolls
        page.keyboard.press("Tab")
    reached = page.evaluate("document.activeElement.getAttribute('href')")
    page.close()
    assert clicked == "#f=tuned:intent_00_of_a_bank:intent_00_of_a_bank"
    assert told.startswith("intent_00_of_a_bank → intent_00_of_a_bank: ")
    assert in_figures == 0
    assert reached.startswith("#f=tuned:intent_")


@pytest.mark.parametrize("name", ["intents", "scripts"])
def test_paper_cuts_no_table(browser: Any, pages: dict[str, Path], name: str) -> None:
    page = browser.new_page(viewport={"width": PAPER, "height": 1000}, color_scheme="dark")
    page.goto(pages[name].as_uri())
    page.emulate_media(media="print")
    outside, cut = page.evaluate(OFF_PAPER, PAPER), page.evaluate(CUT_OFF)
    turned = page.evaluate(TURNED_TEXTS)
    shown = page.eval_on_selector_all("figure > svg.wide", "all => all.filter((one) => one.clientWidth).length")
    narrow = page.eval_on_selector_all("figure > svg.narrow", "all => all.filter((one) => one.clientWidth).length")
    written = page.pdf()
    page.close()
    assert (outside, cut, turned) == ([], [], [])
    assert shown > 5
    assert narrow == 0
    assert written.startswith(b"%PDF")
