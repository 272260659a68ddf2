"""What every finished page must keep to: its size, one look for each arm, and intervals where results have them."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from html import unescape
from typing import Any

import pytest
from support.report import Page, everything, labelled, make_results, shipped_sections, with_choices

from harness.blocks import Results
from harness.report.arms import looks
from harness.report.page import render
from harness.report.reading import Samples

KB = 1000
BUDGETS: dict[str, tuple[int, Samples, int]] = {
    "six arms without samples": (0, "none", 250 * KB),
    "1,000 examples": (0, "all", 512 * KB),
    "1,000 examples of 77 labels": (77, "all", 512 * KB),
}
ARM = re.compile(
    r'<span class="arm (k\d)">(<svg[^>]*class="mk"[^>]*>.*?</svg>)<b>([A-Z]+)</b></span> ?<bdi>([^<]*)</bdi>'
)


@cache
def results_of(arms: int, n: int) -> Results:
    return make_results(n=n, arms=arms, change=with_choices if n > 500 else everything)


@pytest.mark.parametrize("name", BUDGETS)
def test_a_page_keeps_to_its_budget(name: str) -> None:
    labels, samples, most = BUDGETS[name]
    results = results_of(4 if labels else 6, 1000)
    page = render(labelled(results, labels) if labels else results, shipped_sections(), samples=samples)
    assert most / 4 < len(page.encode()) <= most


def drawn(svg: str) -> str:
    """Returns an arm's marker without its place: colour, hollow or not, and the outline's kind."""
    mark = re.search(r"<(circle|path|polygon)([^>]*)/>", svg)
    assert mark is not None
    paint = sorted(set(re.findall(r"--k\d", mark[2])))
    hollow = 'fill="var(--paper' in mark[2]
    points = re.search(r'points="([^"]*)"', mark[2])
    if points is None:
        path = re.search(r' d="([^"]*)"', mark[2])
        thick = re.findall(r"stroke-width=\S+", mark[2])
        return f"{mark[1]} {paint} {hollow} {thick} {re.sub('[^A-Z]', '', path[1]) if path else ''}"
    spots = [tuple(map(float, spot.split(","))) for spot in points[1].split()]
    (x0, y0), (x1, y1) = spots[:2]
    return f"{len(spots)} corners {paint} {hollow} {x0 > x1} {y0 > y1} {abs(y0 - y1) < 0.05}"


@pytest.mark.parametrize(("arms", "n"), [(6, 200), (14, 120)])
def test_an_arm_has_one_letter_colour_and_marker_in_tables_and_keys(arms: int, n: int) -> None:
    results = results_of(arms, n)
    html = render(results, shipped_sections())
    known = looks(results.data)
    by_letter = {look.letter: name for name, look in known.items()}
    seen: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    places: dict[str, int] = defaultdict(int)
    for key, svg, letter, name in ARM.findall(html):
        owner = by_letter[letter]
        assert unescape(name) == owner or unescape(name) not in known
        seen[owner].add((key, letter, drawn(svg)))
        places[owner] += 1
    assert seen.keys() == known.keys()
    assert {name: len(found) for name, found in seen.items()} == dict.fromkeys(known, 1)
    assert {name: next(iter(found))[:2] for name, found in seen.items()} == {
        name: (look.key, look.letter) for name, look in known.items()
    }
    assert min(places.values()) >= 5
    assert len({next(iter(found))[::2] for found in seen.values()}) == arms  # told apart without the letter


@pytest.mark.parametrize(("arms", "n"), [(6, 200), (14, 120)])
def test_an_arm_has_its_letter_and_colour_in_every_figure(arms: int, n: int) -> None:
    results = results_of(arms, n)
    html = render(results, shipped_sections())
    known = looks(results.data)
    figures = re.findall(r"<figure(?: class=\"big\")?>.*?</figure>", html, re.DOTALL)
    named = 0
    for figure in figures:
        for attributes, text in re.findall(r"<text([^>]*)>([^<]*)</text>", figure):
            letter, _, name = unescape(text).partition(" ")
            look = known.get(name)
            if look is None or not re.fullmatch("[A-Z]{1,2}", letter):
                continue
            named += 1
            assert letter == look.letter, text
            paint = re.search(r'fill="var\((--k\d)', attributes)
            assert paint is None or paint[1] == f"--{look.key}", text
        shown = {look.key for look in known.values()}
        assert set(re.findall(r"var\(--(k\d)", figure)) <= shown
    assert named >= 4 * arms


def test_every_figure_of_answers_says_how_many_they_are() -> None:
    page = Page(render(results_of(6, 200), shipped_sections()))
    told = {
        "among the surest ones of 200 test items": 1,
        "answers: tuned 200; 8-shot ": 1,
        "95% CI, 200 test examples": 3,
    }
    captions = " ".join(page.texts["figcaption"])
    assert {text: captions.count(text) >= number for text, number in told.items()} == dict.fromkeys(told, True)


def test_intervals_of_other_figures_are_shown() -> None:
    results = results_of(6, 200)
    page = Page(render(results, shipped_sections()))
    small = {text.strip() for text in page.texts["small"]}
    low, high = results.data["arms"][0]["intervals"]["macro_f1"]["ci"]
    assert f"{low:.3f}–{high:.3f}" in small
    [line] = results.data["differences"]
    assert f"{line['ci'][0]:+.3f} to {line['ci'][1]:+.3f}".replace("-", "−") in small
    gain = results.data["decomposition"][0]
    assert any(f"{gain['task_ci'][0] * 100:+.1f} to".replace("-", "−") in text for text in small)


def test_an_arm_that_is_shown_to_be_no_worse_is_told() -> None:
    def level(data: dict[str, Any]) -> None:
        data["comparisons"][0] |= {"ci": [-0.01, 0.03], "not_worse": ["tuned"]}
        data["comparisons"][1] |= {"ci": [0.01, 0.03], "not_worse": ["tuned"]}

    page = Page(render(make_results(n=60, arms=3, change=level), shipped_sections()))
    told = [text for text in page.texts["p"] if "not to be worse" in text]
    assert told == ["tuned is shown not to be worse than 8-shot: less accurate by 2.0 points at most, if at all."]


@pytest.mark.parametrize("ordered", [False, True])
def test_labels_stand_by_their_gaps_unless_they_have_an_order(ordered: bool) -> None:
    results = labelled(make_results(n=200, arms=2, change=lambda data: data["run"].update(ordered=ordered)), 8)
    page = render(results, [section for section in shipped_sections() if section.name == "errors"])
    table = re.search(r"<table class=\"plain[^>]*>\s*<caption>[^<]*furthest ahead.*?</table>", page, re.DOTALL)
    assert table is not None
    rows = re.findall(r"<td>([^<]*)</td><td class=\"n\">([\d.]+)</td><td class=\"n\">([\d.]+)</td>", table[0])
    gaps = [abs(float(one) - float(other)) for _, one, other in rows]
    assert len(rows) == 8
    assert [name for name, _, _ in rows] == sorted(name for name, _, _ in rows) or not ordered
    assert gaps == sorted(gaps, reverse=True) or ordered
