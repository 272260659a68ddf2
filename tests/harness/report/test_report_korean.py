"""A page in another language: the same verdict and figures, no English left but names, data and code."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from support.report import everything, make_results, shipped_sections
from support.verdicts import CASES, run

from harness import findings
from harness.blocks import Results
from harness.report.page import render
from harness.report.sentence import sentence
from harness.report.writers.markdown import to_markdown
from harness.report.writers.terminal import to_terminal
from harness.scoring.results import build
from harness.scoring.verdict import judge
from harness.scoring.wording import LONGEST
from harness.words import speaking

SECTIONS = shipped_sections()
SAID = ("message", "advice", "sentence", "reason", "ci_method", "p_method", "title", "explanation", "note", "level")
"""Keys of `results.json` that hold English sentences or codes: these are no data."""
ALLOWED = """CI CSV F1 JSON USD UTF TF IDF Macro McNemar Holm Tango Wilson Heaps Brier SHA ms mid GitHub QWK MAE
    harness run show report predict prepare recheck relabel failed arms choose thresholds true verdict shots draw answer
    generate schema max tokens default macro balance downsample quality json labels dataset margin conflicts pii mask
    predictions parquet data examples test prices experiment toml few shot zero lang"""
"""Names, commands, keys and units that stay as they are in any language."""
DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?(?:-\d+)*")


def groups(data: dict[str, Any]) -> None:
    for arm in data["arms"]:
        arm["simulated"] = True


SHAPES: Mapping[str, Callable[[], Results]] = {
    "everything": lambda: make_results(200, 6, change=everything),
    "one arm": lambda: make_results(60, 1),
    "few items": lambda: make_results(12, 3),
    "simulated": lambda: make_results(80, 2, change=groups),
}


def data_of(value: Any, key: str = "") -> Iterator[str]:
    """Yields the strings that a run brings along: names, labels, models."""
    if isinstance(value, str):
        if key not in SAID:
            yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from () if name in SAID else data_of(str(name))
            yield from data_of(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from data_of(item, key)


def english_in(text: str, results: Results) -> list[str]:
    """Returns the words of Latin letters in a text that are neither data nor allowed."""
    columns = [*results.predictions.values(), *results.examples.values()]
    brought = {
        word.casefold()
        for line in (*data_of(results.data), *data_of(columns))
        for word in re.findall(r"[A-Za-z]{2,}", line)
    }
    found = re.findall(r"[A-Za-z]{2,}", text)
    allowed = set(re.findall(r"[a-z]{2,}|f1", ALLOWED.casefold()))
    return sorted({word for word in found if word.casefold() not in brought | allowed})


def visible(page: str) -> str:
    """Returns what is read or read out of a page, but for what is marked as English."""
    body = re.sub(r"<script.*?</script>", " ", page[page.index("<body") :], flags=re.DOTALL)
    body = re.sub(r'<(bdi|p|h1)[^>]* lang="en"[^>]*>.*?</\1>', " ", body, flags=re.DOTALL)
    spoken = re.findall(r'(?:aria-label|title|placeholder|alt|data-h)="([^"]*)"', body)
    told = re.findall(r'<title>(.*?)</title>|name="description" content="([^"]*)"|og:\w+" content="([^"]*)"', page)
    return html.unescape(
        " ".join([re.sub(r"<[^>]+>", " ", body), *spoken, *(text for one in told for text in one if text != "article")])
    )


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_korean_page_has_no_english_of_ours(shape: str) -> None:
    results = SHAPES[shape]()
    with speaking("ko"):
        page, text = render(results, SECTIONS), to_markdown(results, SECTIONS)
    assert '<html lang="ko">' in page
    assert english_in(visible(page), results) == []
    for check in results.data["checks"]:  # Markdown has no way to mark what is English
        text = text.replace(check["message"], "")
    assert english_in(re.sub(r"</?\w+[^>]*>|&\w+;|^`+\w+$", " ", text, flags=re.MULTILINE), results) == []


def test_markdown_and_a_terminal_say_verdict_and_checks_in_korean() -> None:
    case = CASES["leak"]
    data = build(run(**case.changes), list(case.arms))
    data["checks"] = [
        {"kind": "exact-leak", "level": "error", "heading": "quality", "advice": "", "mended": 0,
         "message": "12 test examples stand in train, e.g. a1 and b2",
         "figures": {"test_examples": 12, "pairs": [["a1", "b2"]], "splits": [["test", "train"]]}},
    ]  # fmt: skip
    with speaking("ko"):
        console = Console(width=400, record=True, file=StringIO())
        console.print(to_terminal(Results(data=data)))
        written = (to_markdown(Results(data=data), SECTIONS), console.export_text())
        verdict, check = sentence(data), findings.said(data["checks"][0])
    assert verdict.lang == check.lang == ""
    for text in written:
        assert verdict.text in text
        assert check.message in text
        for english in (data["verdict"]["sentence"], data["checks"][0]["message"]):
            assert english not in text


def test_strings_of_scripts_come_from_the_page_in_its_language() -> None:
    results = make_results(120, 3)
    with speaking("ko"):
        page = render(results, SECTIONS)
    islands = [json.loads(text) for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)]
    words = [island["words"] for island in islands if "words" in island]
    assert words
    for one in words:
        told = " ".join(str(text) for text in (one.values() if isinstance(one, dict) else one))
        assert re.search("[가-힣]", told)
        assert english_in(re.sub(r"\{\w+\}", " ", told), results) == []


@pytest.mark.parametrize("rule", list(CASES))
def test_the_verdict_is_said_anew_by_the_same_rule(rule: str) -> None:
    case = CASES[rule]
    results = build(run(**case.changes), list(case.arms))
    assert str(sentence(results)) == results["verdict"]["sentence"]
    with speaking("ko"):
        said = sentence(results)
    assert said.lang == ""
    assert re.search("[가-힣]", said.text)
    assert sorted(DIGITS.findall(said.text)) == sorted(DIGITS.findall(results["verdict"]["sentence"]))
    left = english_in(said.text, Results(data=results))
    assert left == [] or rule == "leak"  # the check of this run has no figures to write it from


@pytest.mark.parametrize("rule", list(CASES))
def test_long_names_do_not_make_it_longer_than_promised(rule: str) -> None:
    case = CASES[rule]
    data = build(run(**case.changes), list(case.arms))
    longer = {arm["name"]: arm["name"] + " 아주 긴 이름" * 12 for arm in data["arms"]}
    text = json.dumps(data, ensure_ascii=False)
    for name, long in longer.items():
        text = text.replace(json.dumps(name), json.dumps(long, ensure_ascii=False))
    with speaking("ko"):
        assert len(judge(json.loads(text))["sentence"]) <= LONGEST


def test_results_of_another_version_keep_their_english_sentence() -> None:
    for spoil in ({"comparisons": []}, {"contenders": None}, {"arms": []}):
        data = dict(make_results(60, 2).data) | spoil
        with speaking("ko"):
            said = sentence(data)
        assert (said.text, said.lang) == (data["verdict"]["sentence"], "en")
    with speaking("ko"):
        page = render(Results(data=data), SECTIONS)
    assert re.search(r'<h1[^>]* lang="en"', page)


def test_a_check_that_cannot_be_written_anew_is_marked_as_english() -> None:
    known = {"kind": "few-test-rows", "message": "12 test rows show large differences only",
             "advice": "Label at least 100 test rows for a verdict, or give test a larger share.",
             "figures": {"test": 12, "advised": 100}}  # fmt: skip
    with speaking("ko"):
        said = findings.said(known)
        assert (said.lang, DIGITS.findall(said.message + said.advice)) == ("", ["12", "100"])
        for other in ({"figures": {}}, {"kind": "of-a-plugin"}, {"kind": "limited-rows", "figures": {"rows": 5}}):
            said = findings.said(known | {"advice": "Do something else."} | other)
            assert (said.message, said.advice, said.lang) == (known["message"], "Do something else.", "en")
    assert findings.said(known).message == known["message"]
