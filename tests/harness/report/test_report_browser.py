"""The page in a real browser: nothing requested, nothing cut off, nothing that axe-core objects to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.browser import COLOURS, RULES, TWO_FRAMES, violations
from support.report import everything, labelled, make_results, shipped_sections, twins, with_choices
from support.site import publish, write_finished

from harness.blocks import Results
from harness.report.page import render
from harness.words import speaking

pytestmark = pytest.mark.xdist_group("chromium")

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
VIEWS = (("wide", "light"), ("wide", "dark"), ("narrow", "dark"), ("narrow", "light"))
FURTHER = ("intents", "failed", "korean")
"""Pages whose blocks other pages have too."""
STOPS = 25
"""Tab stops before the explorer at most."""

SVG_TEXTS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("figure > svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    for (const text of svg.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
          || box.bottom > frame.bottom + 1) found.push([svg.getAttribute("aria-label"), text.textContent]);
    }
  }
  return found;
}"""
COVERED = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("figure > svg")) {
    if (!svg.getBoundingClientRect().width) continue;
    const shown = [...svg.querySelectorAll("text:not([transform])")];
    const texts = shown.map((text) => [text.textContent, text.getBoundingClientRect()]);
    for (let i = 0; i < texts.length; i++) for (let k = i + 1; k < texts.length; k++) {
      const [a, b] = [texts[i][1], texts[k][1]];
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 3) found.push([svg.getAttribute("aria-label"), texts[i][0], texts[k][0]]);
    }
  }
  return found;
}"""
STOP = """(() => {
  const at = document.activeElement;
  return (at.closest("nav") ? "NAV " : "") + at.tagName + " " + at.textContent.slice(0, 40);
})()"""
CUT_OFF = """() => [...document.querySelectorAll("main .scroll")]
  .filter((box) => !box.closest("details") && box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.innerText.slice(0, 80))"""


def failed(data: dict[str, Any]) -> None:
    arm = data["arms"][0]
    for key in ("accuracy", "accuracy_ci", "macro_f1", "cost_per_1k_usd", "input_tokens_mean", "rank"):
        arm[key] = None
    data["checks"].append({"kind": "endpoint-down", "level": "error", "message": "The endpoint is down."})


def long_names(data: dict[str, Any]) -> None:
    data["checks"].append({"kind": "k", "level": "warning", "message": "word " * 40})
    for arm in data["arms"]:
        arm["mae"] = 0.25


RESULTS: dict[str, Callable[[], Results]] = {
    "ordinary": lambda: make_results(arms=6, change=with_choices),
    "hostile": lambda: twins()[0],
    "fourteen": lambda: make_results(arms=14, n=40, change=long_names),
    "failed": lambda: make_results(arms=4, n=80, change=failed),
    "alone": lambda: make_results(arms=1, n=80),
    "everything": lambda: make_results(arms=6, change=everything),
    "intents": lambda: labelled(make_results(arms=2, n=400), 77),
}


class Pages(dict[str, Path]):
    """Pages by name, each written when it is first asked for: those of `RESULTS`, a Korean one, a site's index."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, name: str) -> Path:
        if name == "index":  # which no section has a part in
            runs = [write_finished(self.folder / f"run-{n}", make_results(n=30, arms=2)) for n in range(3)]
            path = publish(runs, self.folder / "site", shipped_sections()[:1])
        else:
            path = self.folder / f"{name}.html"
            with speaking("ko") if name == "korean" else nullcontext():
                results = RESULTS["everything" if name == "korean" else name]()
                path.write_text(render(results, shipped_sections()), "utf-8")
        self[name] = path
        return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("pages"))


def look(browser: Any, path: Path, views: Sequence[tuple[str, str]] = VIEWS) -> dict[str, Any]:
    """Opens a page, turns it to each of some sizes and colour schemes, and returns what is wrong with it in any."""
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for size, scheme in views:
        wide, high = SIZES[size]
        page.set_viewport_size({"width": wide, "height": high})
        page.emulate_media(color_scheme=scheme)
        page.evaluate(TWO_FRAMES)  # the page has heard of its size
        first, seen = size not in seen, {*seen, size}
        found |= {
            f"{size} {scheme}: wider": max(0, page.evaluate("document.documentElement.scrollWidth") - wide),
            f"{size} {scheme}: outside": page.evaluate(SVG_TEXTS),
            f"{size} {scheme}: covered": page.evaluate(COVERED),
            f"{size} {scheme}: cut off": page.evaluate(CUT_OFF),
            f"{size} {scheme}: axe": violations(page, RULES if first else COLOURS),
        }
    page.close()
    found |= {"console": said, "requests": asked[1:]}
    return {what: value for what, value in found.items() if value}


def thorough(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.thorough)


@pytest.mark.parametrize(
    ("name", "views"),
    [
        ("everything", [VIEWS[0], VIEWS[2]]),
        ("hostile", VIEWS[1:2]),
        ("fourteen", VIEWS[3:4]),
        *(thorough(name, VIEWS) for name in ("everything", "hostile", "fourteen", *FURTHER)),
    ],
)
def test_nothing_is_wrong_with_a_page(browser: Any, pages: Pages, name: str, views: Sequence[tuple[str, str]]) -> None:
    """At 1280 and 390 px, in light and in dark; the index and compare pages are looked at with their site."""
    assert look(browser, pages[name], views) == {}


def test_nothing_is_wrong_with_one_arm_alone(browser: Any, pages: Pages) -> None:
    assert look(browser, pages["alone"], [("narrow", "dark")]) == {}


def test_first_screen_of_a_phone_shows_verdict_and_tiles(browser: Any, pages: Pages) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(pages["ordinary"].as_uri())
    boxes = page.eval_on_selector_all(".tile", "tiles => tiles.map(t => t.getBoundingClientRect().toJSON())")
    page.close()
    assert len(boxes) == 4
    assert len({round(box["left"]) for box in boxes}) == 2
    assert max(box["bottom"] for box in boxes) <= 844


@pytest.mark.parametrize("wide", [600, 800, 1000])
def test_nothing_is_cut_off_between_phone_and_desk(browser: Any, pages: Pages, wide: int) -> None:
    page = browser.new_page(viewport={"width": wide, "height": 900})
    found = {}
    for name in ("ordinary", "fourteen", "index"):
        page.goto(pages[name].as_uri())
        found[name] = page.evaluate("document.documentElement.scrollWidth"), page.evaluate(CUT_OFF)
    page.close()
    assert found == dict.fromkeys(found, (wide, []))


def test_keyboard_reaches_controls_and_the_theme_turns(browser: Any, pages: Pages) -> None:
    """On a page with all sections; links to the sections are one stop, with arrow keys between them."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.goto(pages["everything"].as_uri())
    page.wait_for_selector(".explorer.x-ready")
    stops: list[str] = []
    while len(stops) < 60 and not page.evaluate("document.activeElement.closest('.explorer') !== null"):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(STOP))
    sections = page.locator(".links a")
    sections.first.focus()
    walked = []
    for _ in range(sections.count()):
        walked.append(page.evaluate("document.activeElement.getAttribute('href')"))
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash !== ''")
    jumped = page.evaluate("location.hash")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    page.focus("#theme")
    page.keyboard.press("Enter")
    after = page.evaluate(paper)
    sectioned = page.eval_on_selector_all("main > section", "all => all.map((one) => one.id)")
    page.close()
    assert any(stop.startswith("BUTTON") for stop in stops)
    assert 10 <= len(stops[:-1]) <= STOPS
    assert len([stop for stop in stops if stop.startswith("NAV")]) == 1
    assert walked == [f"#{section}" for section in sectioned]
    assert jumped == walked[-1]
    assert before != after


def test_paper_is_light_and_whole(browser: Any, pages: Pages) -> None:
    page = browser.new_page(viewport={"width": 700, "height": 900}, color_scheme="dark")
    page.goto(pages["ordinary"].as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    cut = page.evaluate(CUT_OFF)
    wide = page.evaluate("document.documentElement.scrollWidth")
    written = page.pdf()
    page.close()
    assert paper == "rgb(255, 255, 255)"
    assert cut == []
    assert wide <= 700
    assert written.startswith(b"%PDF")
