"""Results as Markdown: what a pull request shows, and that no data in it comes alive."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.report import PAYLOADS, make_results, shipped_sections, twins, with_choices

from harness.blocks import Cell, Column, Results, Table, Text
from harness.report.writers.markdown import LIMIT, escape, to_markdown

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
LIVE = {
    "mention": r"(?<![\w`])@[a-z\d]",
    "issue": r"#\d|\bgh-\d",
    "address": r"(?:https?|ftp)://|www\.\w|mailto:\S+@|\w@\w+\.\w",
    "commit": r"(?<![\w-])[0-9a-f]{7,40}(?![\w-])",
    "emoji": r":(?:[a-z_]+|[+-]1|100):",
}
"""What GitHub looks for in text after it has parsed the Markdown."""
MORE = (
    "@octocat", "#1", "GH-12", "o/r#3", "https://evil.example/x", "www.evil.example", "mail@evil.example", ":tada:",
    "deadbeefcafe", "~~x~~", "**b**", "[l](https://evil.example)", "![i](https://evil.example/i.png)", "$x$ $`y`$",
    "<details><summary>a</summary>", "</details>", "|cell|", "[^1]", "- [ ] item", "1. one", "```\ncode",
    "<https://evil.example>", "&#64;octocat", "`@octocat`", "\\@octocat", "# h", "> q", "</summary><b>", "---", "\\",
)  # fmt: skip


class Seen(HTMLParser):
    """Elements of rendered Markdown, and its text outside of code."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.text = ""
        self._code = 0
        self.feed(PARSER.render(markdown))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self._code += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        self.text += data if not self._code else " "


def alive(text: str) -> dict[str, list[str]]:
    found = {name: re.findall(pattern, text, re.IGNORECASE) for name, pattern in LIVE.items()}
    return {name: hits for name, hits in found.items() if hits}


def test_markdown_begins_with_the_verdict() -> None:
    results = make_results()
    assert to_markdown(results).splitlines()[0].replace("\\", "") == f"## {results.data['verdict']['sentence']}"


def test_tables_have_as_many_cells_in_each_row() -> None:
    hostile, _ = twins()
    for results in (make_results(arms=6, change=with_choices), hostile):
        for table in re.findall(r"(?:^\|.*\n)+", to_markdown(results, shipped_sections()), re.MULTILINE):
            rows = [re.sub(r"\\.", "", line).count("|") for line in table.splitlines()]
            assert len(set(rows)) == 1, table


def test_each_section_is_folded() -> None:
    results = make_results(n=80, change=with_choices)
    text = to_markdown(results, shipped_sections())
    seen = Seen(text)
    assert seen.elements["details"] == seen.elements["summary"] == text.count("</details>")
    for title in ("Results", "Significance", "Errors", "Data", "Reproduce"):
        assert f"<details>\n<summary>{title}</summary>\n" in text
    top = text.partition("<details>")[0]
    assert len(top.splitlines()) <= 40
    assert seen.elements["table"] > 10


def test_hostile_text_never_comes_alive() -> None:
    texts = [to_markdown(results, shipped_sections()) for results in twins((*PAYLOADS, *MORE))]
    hostile, harmless = map(Seen, texts)
    for seen in (hostile, harmless):
        del seen.elements["code"]  # what may be a commit's hash
    assert hostile.elements == harmless.elements
    assert not {"a", "img", "script", "del", "em", "input"} & set(hostile.elements)
    assert not alive(hostile.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", texts[0])


@pytest.mark.parametrize("payload", [*MORE, *PAYLOADS])
def test_an_escaped_payload_is_one_paragraph_of_text(payload: str) -> None:
    seen = Seen(escape(payload))
    assert set(seen.elements) <= {"p", "code"}
    assert not alive(seen.text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab1 @#:/.-_*`~|\\[]()<>&$!+=w\n\t:"), max_size=30))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    seen = Seen(f"x {escape(text)} x")
    assert set(seen.elements) <= {"p", "code"}
    if not seen.elements["code"]:
        assert seen.text.replace("\u2060", "").split() == ["x", *text.split(), "x"]
    assert set(Seen(escape(text)).elements) <= {"p", "code"}


class Long:
    """A section of one very long table and much text."""

    name = title = "long"

    def blocks(self, results: Results) -> Any:
        yield Table(
            caption="Much", columns=(Column(title="a"),), rows=tuple((Cell(text="é" * 3_000),) for _ in range(500))
        )
        for _ in range(60):
            yield Text(text="word " * 2_000)


def test_a_comment_never_exceeds_what_github_takes() -> None:
    text = to_markdown(make_results(n=60), [Long(), *shipped_sections()])  # type: ignore[list-item]
    assert len(text) <= LIMIT
    assert "<summary>long</summary>" not in text
    assert text.rstrip().endswith("Left out, because a comment has 65,536 characters: long.")
    assert "<summary>Reproduce</summary>" in text


def test_even_the_head_is_cut_where_it_must_be() -> None:
    def many(data: dict[str, Any]) -> None:
        data["checks"] += [{"kind": "k", "level": "error", "message": "m" * 5_000} for _ in range(200)]
        data["verdict"]["sentence"] = "S" * 100_000

    text = to_markdown(make_results(n=30, arms=2, change=many), shipped_sections())
    assert len(text) <= LIMIT
    assert text.startswith("## SSS")
    assert "<summary>Reproduce</summary>" in text


def test_without_samples_no_text_leaves() -> None:
    results = make_results(n=80, arms=3)
    shown, hidden = (to_markdown(results, shipped_sections(), samples=which) for which in ("all", "none"))  # type: ignore[arg-type]
    texts = [" ".join(text.split()) for text in results.examples["text"]]
    assert [text for text in texts if text in shown]
    assert not [text for text in texts if text in hidden]
