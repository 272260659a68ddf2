"""The explorer in a real browser: filters, search, dialog, links, the CSV file, and what is there without a script."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect
from support.browser import TWO_FRAMES, violations
from support.explored import ODD_IDS, SCRIPTS, answers, explored, held
from support.report import PAYLOADS, twins
from support.site import served

from harness import numbers
from harness.blocks import Matrix, Results
from harness.report import page as pages
from harness.report.charts.matrix import address
from harness.report.explorer import packing
from harness_plugins.sections.errors import Errors
from harness_plugins.sections.samples import Samples

pytestmark = pytest.mark.xdist_group("chromium")

READY = ".explorer.x-ready"
OURS = """div fieldset legend label span input small select option p button table caption thead tbody tr th td nav bdi b
h3 h4 dl dt dd svg circle path rect polygon line details summary ol li"""
KINDS = """async (steps) => {
  const kinds = new Set(), seen = new Set(), title = () => document.querySelector(".x-title").textContent;
  for (let step = 0; step < steps; step++) {
    for (const one of document.querySelectorAll(".x-live *, .x-dialog *")) kinds.add(one.localName);
    const before = title();
    seen.add(before);
    document.querySelector(".x-next").click();
    for (let frame = 0; frame < 600 && title() === before; frame++) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
  }
  return [seen.size, [...kinds]];
}"""
"""Steps through examples in the dialog; gives how many there were, and the kinds of elements in table and dialog."""
FOLLOWED = """(hash) => new Promise((done) => {
  addEventListener("hashchange", done, { once: true });
  location.hash = hash;
})"""
"""Follows a link within the page; the page's own listeners have heard of it afterwards."""
ROWS = "[...document.querySelectorAll('.x-live .x-open')].map((button) => button.ariaLabel)"


@pytest.fixture(scope="module")
def results() -> Results:
    return explored(n=130)


@pytest.fixture(scope="module")
def path(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explorer") / "page.html"
    pages.write(pages.compose(results, [Errors(), Samples()], name="page"), out)
    return out


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; at the end no page has said or asked for anything that it should not."""
    wrong = []

    def open_page(path: Path | str, wide: int = 1280, scheme: str = "light", scripts: bool = True) -> Any:
        page = browser.new_page({"width": wide, "height": 900}, scheme, scripts=scripts)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(path if isinstance(path, str) else path.as_uri())
        if scripts:
            page.wait_for_selector(READY)
        return page

    yield open_page
    browser.close_tabs()
    assert wrong == []


def settled(page: Any, count: int) -> None:
    page.wait_for_selector(f'.x-count:text-matches("^{count} of ")')


def expected_counts(results: Results) -> dict[str, int]:
    rows = answers(results)
    a, b = rows["tuned"], rows["8-shot"]
    wrong = [(a[k]["predicted"] != a[k]["expected"], b[k]["predicted"] != b[k]["expected"]) for k in a]
    kind = {key: {"failed": "no answer"}.get(row["status"], row["predicted"]) for key, row in a.items()}
    other = {key: {"failed": "no answer"}.get(row["status"], row["predicted"]) for key, row in b.items()}
    return {
        "all": len(a),
        "differ": sum(kind[key] != other[key] for key in a),
        "onlyA": wrong.count((True, False)),
        "onlyB": wrong.count((False, True)),
        "both": wrong.count((True, True)),
        "unparsed": sum(a[key]["predicted"] is None or b[key]["predicted"] is None for key in a),
    }


def test_presets_show_what_they_say(opened: Any, path: Path, results: Results) -> None:
    page = opened(path)
    counts = expected_counts(results)
    assert min(counts.values()) > 0
    for name, count in counts.items():
        page.check(f'.x-presets input[value="{name}"]', force=True)
        settled(page, count)
        assert page.evaluate(f"{ROWS}.length") == min(count, 50)
    texts = page.eval_on_selector_all(".x-presets small", "all => all.map((one) => one.textContent)")
    assert [int(text) for text in texts] == list(counts.values())


def test_filters_and_search_find_what_is_there(opened: Any, path: Path, results: Results) -> None:
    page, rows = opened(path), answers(results)["tuned"]
    page.select_option(".x-expected", label="negative")
    settled(page, sum(row["expected"] == "negative" for row in rows.values()))
    page.select_option(".x-predicted", label="positive")
    settled(page, sum((row["expected"], row["predicted"]) == ("negative", "positive") for row in rows.values()))
    page.click(".x-clear")
    settled(page, 130)
    page.select_option(".x-slice", label="country = مصر")
    settled(page, len([place for place in range(130) if place % 3 == 1]))
    page.click(".x-clear")
    page.fill(".x-query", SCRIPTS[2][7:14])
    settled(page, len([place for place in range(130) if place % len(SCRIPTS) == 2]))
    assert page.evaluate("getComputedStyle(document.querySelector('.x-live td.prose')).direction") == "rtl"
    page.fill(".x-query", "nothing has this")
    settled(page, 0)
    assert "Take a filter away" in page.inner_text(".x-live tbody")


def test_arms_can_be_chosen(opened: Any, path: Path, results: Results) -> None:
    page, rows = opened(path), answers(results)
    page.select_option(".x-a", label="D · tf-idf")
    page.select_option(".x-b", label="C · zero-shot")
    page.check('.x-presets input[value="onlyA"]', force=True)
    right = {name: {key for key, row in rows[name].items() if row["predicted"] == row["expected"]} for name in rows}
    settled(page, len(right["zero-shot"] - right["tf-idf"]))
    assert page.inner_text(".x-presets label:nth-of-type(3)").startswith("Only D wrong")
    assert page.locator(".x-live thead").inner_text().split()[3:7] == ["D", "tf-idf", "C", "zero-shot"]


def test_presets_keep_the_focus(opened: Any, path: Path) -> None:
    page = opened(path)
    page.focus('.x-presets input[value="all"]')
    for name in ("differ", "onlyA"):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f'.x-presets input[value="{name}"]:focus:checked', state="attached")


def test_pages_of_the_table_turn(opened: Any, path: Path) -> None:
    page = opened(path)
    seen = page.evaluate(ROWS)
    for number in (2, 3, 3):  # the last press is one too many
        page.focus(".x-on")
        page.keyboard.press("Enter")
        expect(page.locator(".x-page")).to_have_text(f"Page {number} of 3")
        seen += [name for name in page.evaluate(ROWS) if name not in seen]
    assert len(seen) == len(set(seen)) == 130
    assert page.get_attribute(".x-on", "aria-disabled") == "true"


def test_dialog_by_keyboard(opened: Any, path: Path) -> None:
    page = opened(path)
    names = [name.removeprefix("Open example ") for name in page.evaluate(ROWS)]
    page.focus(".x-live tbody tr:nth-child(2) button")
    page.keyboard.press("Enter")
    title = page.locator(".x-title bdi")
    page.wait_for_selector(".x-dialog[open]")
    assert title.text_content() == names[1]
    assert page.evaluate("location.hash") == f"#s={quote(names[1], safe='')}"
    for key, name in (("ArrowRight", names[2]), ("PageDown", names[3]), ("ArrowLeft", names[2]), ("PageUp", names[1])):
        page.keyboard.press(key)
        expect(title).to_have_text(name)
    page.keyboard.press("ArrowRight")
    expect(title).to_have_text(names[2])
    page.keyboard.press("Escape")
    expect(page.locator(".x-dialog")).to_be_hidden()
    expect(
        page.get_by_label(f"Open example {names[2]}", exact=True)
    ).to_be_focused()  # the browser itself goes back to the first


@pytest.mark.parametrize("key", ODD_IDS)
def test_a_link_leads_to_an_example(opened: Any, path: Path, results: Results, key: str) -> None:
    page = opened(f"{path.as_uri()}#s={quote(key, safe='')}")
    page.wait_for_selector(".x-dialog[open]")
    assert page.locator(".x-title bdi").text_content() == key
    texts = dict(zip(results.examples["id"], results.examples["text"], strict=True))
    assert page.locator(".x-text").text_content() == texts[key]


def test_a_cell_of_the_confusion_leads_to_its_answers(opened: Any, path: Path, results: Results) -> None:
    rows, page = answers(results)["8-shot"], opened(path)
    empty = Matrix(title="", subtitle="", rows=(), columns=(), counts=(), arm="8-shot", missing="none")
    for expected, predicted in (("positive", "negative"), ("negative", None), ("neutral", "neutral")):
        link = address(empty, expected, "none" if predicted is None else predicted)
        count = sum((row["expected"], row["predicted"]) == (expected, predicted) for row in rows.values())
        cells = page.locator(f'svg.wide a[href="{link}"]')
        assert count == 0 or cells.count() == 1
        if count:
            cells.click()
        else:
            page.evaluate("(link) => { location.hash = link; }", link)
        settled(page, count)
        expect(page.locator(".x-count")).to_be_focused()
    for wrong in ("#f=no%20arm:a:b", "#f=%E0%A4%A"):
        page.evaluate(FOLLOWED, wrong)
        page.evaluate(TWO_FRAMES)
        settled(page, count)


def test_dialog_shows_all_that_is_known_of_an_answer(opened: Any, path: Path, results: Results) -> None:
    page, rows = opened(path), answers(results)
    texts = dict(zip(results.examples["id"], results.examples["text"], strict=True))
    labels = dict(zip(results.examples["id"], results.examples["label"], strict=True))
    page.click(".x-live tbody tr:nth-child(1) button")
    seen = 0
    for _ in range(15):
        key = page.locator(".x-title bdi").text_content()
        shown = [" ".join(text.split()) for text in page.locator(".x-answer").all_text_contents()]
        for text, arm in zip(shown, ("tuned", "8-shot", "zero-shot", "tf-idf"), strict=True):
            row = rows[arm][key]
            known = [] if row["latency_s"] is None else [numbers.ms(_four(row["latency_s"]))]
            known += [] if row["cost_usd"] is None else [numbers.usd(_four(row["cost_usd"]))]
            known += [] if row["input_tokens"] is None else [f"{numbers.count(row['input_tokens'])} / "]
            known += [row["predicted"]] if row["predicted"] else [row["response"]]
            assert [value for value in known if value not in text] == []
            seen += len(known)
        shown_to = [rows[arm][key]["shot_ids"] for arm in ("tuned", "8-shot")]
        shots = [labels[name] + texts[name] for names in shown_to for name in names]
        expect(page.locator(".x-shots li")).to_have_text(shots)  # they are read a moment later
        assert page.locator(".x-shots li").all_text_contents() == shots
        assert page.locator(".x-shots details[open]").count() == 0
        page.click(".x-next")
        expect(page.locator(".x-title bdi")).not_to_have_text(key)
    assert seen > 150


def _four(x: float) -> float:
    return float(f"{x:.4g}")


def test_csv_has_the_rows_that_are_shown_and_no_formula(opened: Any, path: Path, results: Results) -> None:
    page, rows = opened(path), answers(results)
    page.select_option(".x-expected", label="positive")
    wanted = {key for key, row in rows["tuned"].items() if row["expected"] == "positive"}
    settled(page, len(wanted))
    with page.expect_download() as download:
        page.click(".x-save")
    raw = Path(download.value.path()).read_bytes()
    table = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    texts = dict(zip(results.examples["id"], results.examples["text"], strict=True))
    assert {line["id"] for line in table} == wanted
    assert any(texts[key].startswith("=") for key in wanted)
    known = set()
    for line in table:
        text = texts[line["id"]]
        assert line["text"] == ("'" + text if text.startswith("=") else text)
        for arm in rows:
            row = rows[arm][line["id"]]
            assert line[f"{arm} predicted"] == (row["predicted"] or "")
            assert line[f"{arm} status"] == row["status"]
            if row["latency_s"] is not None:
                assert float(line[f"{arm} latency_s"]) == pytest.approx(row["latency_s"], rel=1e-3)
            for name in ("error", "cached_tokens", "reasoning_tokens"):
                assert line[f"{arm} {name}"] == ("" if row[name] is None else str(row[name])), name
                known |= {name} if row[name] else set()
            assert line[f"{arm} reused"] == ("1" if row["reused"] else "")
            assert line[f"{arm} shots"] == str(len(row["shot_ids"]))
    assert known == {"error", "cached_tokens", "reasoning_tokens"}


def test_of_two_turns_of_the_page_the_last_one_stands(opened: Any, large: Path, host: str) -> None:
    page = opened(f"{host}{quote(large.name)}")
    page.click(".x-on")
    expect(page.locator(".x-page")).to_have_text("Page 2 of 3")
    second = page.evaluate(ROWS)
    waiting: list[Any] = []
    page.route("**/*.js", lambda route: waiting.append(route), times=1)
    page.click(".x-on")
    expect(page.locator(".x-progress")).not_to_be_empty()  # the rows of page 3 are on their way
    page.click(".x-back")
    page.evaluate(TWO_FRAMES)
    [late] = waiting
    with page.expect_event("requestfinished"):
        late.continue_()
    page.evaluate(TWO_FRAMES)
    expect(page.locator(".x-progress")).to_be_empty()
    assert page.inner_text(".x-page") == "Page 2 of 3"
    assert page.evaluate(ROWS) == second


def test_shots_that_come_late_are_those_of_the_example(
    monkeypatch: pytest.MonkeyPatch, opened: Any, tmp_path: Path, host: str
) -> None:
    """Their texts are in files of five. The dialog waits for none; what comes for the one before is not shown."""
    monkeypatch.setattr(packing, "ROWS", 5)
    monkeypatch.setattr(packing, "INLINE_BYTES", 0)
    results, out = explored(n=40, arms=1), tmp_path / "late.html"
    pages.write(pages.compose(results, [Samples()], name=out.stem), out)
    files = {f"{path.parent.name}/{path.name}": path.read_text("utf-8") for path in tmp_path.glob("*.chunks/*.js")}
    packed = held(out.read_text("utf-8"), files)
    parts = {file: chunk["shots"] for (*_, file), chunk in zip(packed["config"]["shots"], packed["shots"], strict=True)}
    page, waiting = opened(f"{host}{out.name}"), {}
    names = [name.removeprefix("Open example ") for name in page.evaluate(ROWS)]
    shots = {key: row["shot_ids"] for key, row in answers(results)["tuned"].items()}
    texts = dict(zip(results.examples["id"], results.examples["text"], strict=True))
    needed = [
        {
            Path(file).name
            for file, part in parts.items()
            if {texts[shot] for shot in shots[key]} & {text for _, text in part}
        }
        for key in names
    ]
    at = next(at for at in range(len(names) - 1) if needed[at] - needed[at + 1])
    page.route("**/*.chunks/*.js", lambda route: waiting.update({Path(route.request.url).name: route}))
    page.locator(".x-live .x-open").nth(at).click()
    title, told = page.locator(".x-title bdi"), page.locator(".x-shots li")
    expect(title).to_have_text(names[at])
    page.click(".x-next")
    expect(title).to_have_text(names[at + 1])
    expect(told).to_have_count(0)
    for late in (needed[at + 1], needed[at] - needed[at + 1]):
        for file in late:
            limit = time.monotonic() + 60
            while file not in waiting:
                assert time.monotonic() < limit
                page.evaluate(TWO_FRAMES)
            with page.expect_event("requestfinished"):
                waiting[file].continue_()
        page.evaluate(TWO_FRAMES)
        expect(told).to_contain_text([texts[shot] for shot in shots[names[at + 1]]])


@pytest.mark.parametrize(("wide", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_is_wrong_with_explorer_and_dialog(opened: Any, path: Path, wide: int, scheme: str) -> None:
    page = opened(path, wide, scheme)
    assert violations(page, inside=".explorer") == []
    page.click(".x-live tbody tr:nth-child(3) button")
    page.wait_for_selector(".x-shots summary")
    page.locator(".x-shots summary").first.click()
    assert violations(page, inside=".explorer") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    assert page.eval_on_selector(".x-dialog", "dialog => dialog.scrollWidth - dialog.clientWidth") <= 0


def test_without_a_script_and_on_paper_the_errors_stand(opened: Any, path: Path) -> None:
    page = opened(path, scripts=False)
    assert page.locator(".x-static tbody tr").count() == 20
    assert page.is_visible(".x-static")
    assert not page.is_visible(".x-controls")
    page = opened(path)
    assert not page.is_visible(".x-static")
    page.emulate_media(media="print")
    assert page.is_visible(".x-static")
    assert not page.is_visible(".x-controls")


def test_hostile_texts_stay_texts(opened: Any, tmp_path: Path) -> None:
    out = tmp_path / "hostile.html"
    out.write_text(pages.render(twins()[0], [Samples()]), "utf-8")
    page = opened(out)
    page.click(".x-live tbody tr button")
    page.wait_for_selector(".x-answer")
    steps = len(PAYLOADS) + 2
    seen, kinds = page.evaluate(KINDS, steps)
    found = set(kinds)
    assert seen == steps
    assert "dl" in found
    assert found <= set(OURS.split())


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, results: Results) -> Path:
    """Writes a page that holds 40 of 130 texts, the others in files beside it; returns its path."""
    monkeypatch.setattr(packing, "ROWS", 20)
    monkeypatch.setattr(packing, "INLINE_ROWS", 40)
    out = tmp_path / "a page #1.html"
    pages.write(pages.compose(results, [Samples()], name=out.stem), out)
    return out


@pytest.fixture
def host(browser: Any, tmp_path: Path) -> Iterator[str]:
    """Serves the folder on this machine for as long as its pages are open."""
    with served(tmp_path) as address:
        yield address
        browser.close_tabs()


@pytest.mark.parametrize("where", ["disk", "host"])
def test_files_beside_a_page_are_read_when_needed(opened: Any, large: Path, host: str, where: str) -> None:
    address_ = large.as_uri() if where == "disk" else f"{host}{quote(large.name)}"
    page = opened(address_)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.fill(".x-query", "no. 1")  # in texts of all parts
    settled(page, len([n for n in range(130) if str(n).startswith("1")]))
    assert len(asked) == 4  # of seven parts two are in the page, and its first 50 rows needed a third
    assert all("a%20page%20%231.chunks/" in url for url in asked if not url.endswith("favicon.ico"))
    assert "is not in this page" not in page.inner_text(".x-live tbody")


def test_lost_files_are_said_to_be(browser: Any, large: Path) -> None:
    for path in large.with_suffix(".chunks").iterdir():
        path.unlink()
    page = browser.new_page()
    page.goto(large.as_uri())
    page.wait_for_selector(READY)
    page.click(".x-on")
    expect(page.locator(".x-progress")).to_contain_text("a page #1.chunks")
    assert "Its text is not in this page." in page.inner_text(".x-live tbody")
    page.click(".x-live tbody tr:nth-child(1) button")
    page.wait_for_selector(".x-dialog[open]")
    assert "Its text is not in this page." in page.inner_text(".x-text")
    page.close()


def test_one_arm_alone_and_one_example(opened: Any, tmp_path: Path) -> None:
    results = explored(n=1, arms=1)
    out = tmp_path / "alone.html"
    out.write_text(pages.render(replace(results, data={"schema": 1}), [Samples()]), "utf-8")
    page = opened(out)
    assert page.locator(".x-presets label").count() == 3
    assert page.locator(".x-b").count() == 0
    settled(page, 1)
