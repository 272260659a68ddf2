"""A site in a real browser, from disk and from a static host: links work, the index sorts, nothing hostile runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from support.browser import COLOURS, RULES, TWO_FRAMES, violations
from support.report import make_results, shipped_sections, twins
from support.site import publish, served, write_finished

from harness.blocks import Results

pytestmark = pytest.mark.xdist_group("chromium")

PAIR = "compare/run-0..run-1.html"
WHOLE = [(1280, "light"), (390, "dark")]
"""Where all rules look at a page: in its other colours those of colours are enough."""
HOSTILE_ELEMENTS = (
    "main script:not([type]), main style, img, iframe, object, embed, base, form, video, math, template, link,"
    " [onload], [onerror], [onclick], [onfocus], [onmouseover], [ontoggle], [style*=display], a[href*='evil'],"
    " a[href^='javascript'], meta[http-equiv=refresh]"
)


def dated(results: Results, day: int, **more: Any) -> Results:
    data = json.loads(json.dumps(results.data))
    data["run"]["finished"] = f"2027-01-{day:02d}T00:00:00+00:00"
    data["run"] |= more
    return dataclasses.replace(results, data=data)


def site_of(folder: Path, results: Results, n: int, sections: Sequence[Any]) -> Path:
    runs = []
    for k in range(n):
        settings = {"seed": k, "arms": [{"name": "a", "formatter": {"instruction": results.data["arms"][0]["name"]}}]}
        one = dated(results, k + 1, n_test=results.data["run"]["n_test"] + (7 * k) % 5)
        predicted = list(one.predictions["predicted"])
        predicted[k :: n + 3] = [one.data["run"]["labels"][0]] * len(predicted[k :: n + 3])
        one = dataclasses.replace(one, predictions=dict(one.predictions) | {"predicted": tuple(predicted)})
        runs.append(write_finished(folder / f"run-{k}", one, settings))
    publish(runs, folder / "site", sections, samples="all")
    return folder / "site"


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Writes a site whose runs' pages are only passed through, and a hostile one with all sections."""
    folder, sections = tmp_path_factory.mktemp("sites"), shipped_sections()
    return {
        "ordinary": site_of(folder / "ordinary", make_results(n=60, arms=3), 3, sections[:1]),
        "hostile": site_of(folder / "hostile", twins()[0], 2, sections),
    }


def opened(browser: Any, address: str, width: int = 1280, scheme: str = "light") -> tuple[Any, dict[str, list[str]]]:
    """Opens a page and notes what it does beyond showing itself."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    did: dict[str, list[str]] = {"dialogs": [], "requests": [], "console": []}
    page.on("dialog", lambda dialog: (did["dialogs"].append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: did["console"].append(message.text))
    page.on("pageerror", lambda error: did["console"].append(str(error)))
    page.on("request", lambda request: did["requests"].append(request.url))
    page.goto(address)
    did["requests"] = did["requests"][1:]
    return page, did


@pytest.mark.parametrize("name", ["index.html", "run-1/index.html", PAIR])
def test_hostile_text_runs_nowhere(browser: Any, sites: dict[str, Path], name: str) -> None:
    page, did = opened(browser, (sites["hostile"] / name).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.mouse.move(300, 300)
    page.keyboard.press("Tab")
    page.evaluate(TWO_FRAMES)  # what comes by a listener or with the next picture has come
    found = page.eval_on_selector_all(HOSTILE_ELEMENTS, "all => all.map((one) => one.outerHTML.slice(0, 80))")
    polluted = page.evaluate("({}).polluted === undefined")
    page.close()
    assert did == {"dialogs": [], "requests": [], "console": []}
    assert found == []
    assert polluted


def test_a_hostile_badge_is_a_picture(browser: Any, sites: dict[str, Path]) -> None:
    page, did = opened(browser, (sites["hostile"] / "run-1" / "badge.svg").as_uri())
    root = page.evaluate("document.documentElement.tagName + ' ' + document.documentElement.childElementCount")
    page.close()
    assert root == "svg 5"  # title, desc, the frame, backgrounds, texts
    assert did == {"dialogs": [], "requests": [], "console": []}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")])
def test_nothing_is_wrong_with_the_pages_of_a_site(
    browser: Any, sites: dict[str, Path], width: int, scheme: str
) -> None:
    looked_at = {"ordinary": RULES if (width, scheme) in WHOLE else COLOURS}
    if (width, scheme) == (390, "light"):
        looked_at["hostile"] = RULES
    for which, rules in looked_at.items():
        site = sites[which]
        for name in ("index.html", PAIR):
            page, did = opened(browser, (site / name).as_uri(), width, scheme)
            wide = page.evaluate("document.documentElement.scrollWidth")
            cut = page.eval_on_selector_all(
                "main .scroll",
                "all => all.filter((box) => !box.closest('details') && box.scrollWidth > box.clientWidth + 1)"
                ".map((box) => box.innerText.slice(0, 80))",
            )
            found = violations(page, rules)
            page.close()
            assert found == [], name
            assert wide <= width, name
            assert cut == [], name
            assert did == {"dialogs": [], "requests": [], "console": []}


def test_links_work_from_disk_and_from_a_static_host(browser: Any, sites: dict[str, Path]) -> None:
    site = sites["ordinary"]
    with served(site) as address:
        for root in (f"{site.as_uri()}/index.html", address):
            page, did = opened(browser, root)
            page.click("tbody tr:first-child td.head a")
            page.wait_for_url("**/run-2/index.html")
            page.go_back()
            page.click("text=compared with run-1")
            page.wait_for_url("**/compare/run-1..run-2.html")
            page.click("text=All runs")
            expect(page).to_have_title("Fine-tune or few-shot? Published runs")
            page.goto(root.replace("index.html", "") + "latest/index.html")
            assert (
                page.text_content("h1")
                == json.loads((site / "run-2" / "results.json").read_text())["verdict"]["sentence"]
            )
            page.close()
            assert did["console"] == []


RUNS = "rows => rows.map((row) => row.cells[6].dataset.v)"


def test_index_sorts_by_keyboard_and_says_so(browser: Any, sites: dict[str, Path]) -> None:
    page, _ = opened(browser, (sites["ordinary"] / "index.html").as_uri())
    sorted_by = "all => all.filter((one) => one.ariaSort).map((one) => [one.innerText.trim(), one.ariaSort])"
    said = [page.eval_on_selector_all("th", sorted_by)]
    orders = [page.eval_on_selector_all("tbody tr", RUNS)]
    page.focus("th:nth-child(7) button")
    for _ in range(2):
        page.keyboard.press("Enter")
        said.append(page.eval_on_selector_all("th", sorted_by))
        orders.append(page.eval_on_selector_all("tbody tr", RUNS))
    page.click("th:nth-child(5) button")
    numbers = page.eval_on_selector_all("tbody tr", "rows => rows.map((row) => Number(row.cells[4].dataset.v))")
    stops = page.evaluate("document.querySelectorAll('th button').length")
    page.close()
    assert [label for ((label, _),) in said] == ["Date", "Run", "Run"]
    assert [way for ((_, way),) in said] == ["descending", "ascending", "descending"]
    assert orders == [["run-2", "run-1", "run-0"], ["run-0", "run-1", "run-2"], ["run-2", "run-1", "run-0"]]
    assert numbers == sorted(numbers)
    assert stops == 7


def test_index_sorts_on_a_phone(browser: Any, sites: dict[str, Path]) -> None:
    page, _ = opened(browser, (sites["ordinary"] / "index.html").as_uri(), 390)
    shown = page.is_visible("#sort")
    page.select_option("#sort", "6 ascending")
    order = page.eval_on_selector_all("tbody tr", RUNS)
    hidden_stops = page.eval_on_selector_all("th button", "all => all.filter((one) => one.tabIndex >= 0).length")
    page.close()
    assert shown
    assert order == ["run-0", "run-1", "run-2"]
    assert hidden_stops == 0
