"""A report as Markdown, short enough for a comment on a pull request, its sections folded.

GitHub makes more of text than Markdown does: after it has parsed a comment it looks for `@names`, `#123`, addresses,
commit hashes and `:emoji:` in what is left, where no backslash protects it. Data must stay data, so such text gets an
invisible word joiner, and what may be a hash is set as code.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from harness import findings, numbers
from harness.blocks import (
    Block,
    Callout,
    Cell,
    Code,
    Explorer,
    Figure,
    Passage,
    Results,
    Table,
    Text,
    Tile,
    Tiles,
)
from harness.report import verdict
from harness.report.arms import Look, looks
from harness.report.gaps import alarms
from harness.report.reading import Samples, withhold
from harness.report.sections import Spoken
from harness.report.sentence import sentence
from harness.report.telling import tell
from harness.report.writers.common import about, figure_table, leaderboard, parts, printable, shortened
from harness.words import clipped, one_line, say, say_n

if TYPE_CHECKING:
    from harness.contract import Section

LIMIT = 65_536
"""Most characters of a comment on GitHub."""
ROWS = 20
"""Rows of a table: the page has all."""
ARMS = 50
"""Rows of the first table, which is not folded."""
LENGTH = 400
"""Most characters of a cell, a heading or a remark."""
PARAGRAPH = 4_000
"""Most characters of a paragraph or of a listing."""

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")
LIVE = re.compile(
    r"@|#(?=\d)|\bGH-(?=\d)|:(?=//)|\bwww(?=\.)|:(?=[\w+-]*[a-z_][\w+-]*:|[+-]1:|100:|1234:)", re.IGNORECASE
)
HASH = re.compile(r"(?<![\w-])[0-9a-f]{7,40}(?![\w-])", re.IGNORECASE)
OPENING = re.compile(r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|[-=]+$))")
"""Where a line begins like an item of a list, a rule or an underline."""
JOINER = "\u2060"


def to_markdown(results: Results, sections: Sequence[Section] = (), *, samples: Samples = "all") -> str:
    """Writes a report as Markdown: the verdict, its evidence, the arms, then each section folded.

    Args:
        results: What the report shows.
        sections: Instances of section plugins, in any order.
        samples: Which texts and answers any section sees.

    Returns:
        At most `LIMIT` characters; what had no room is named at the end.
    """
    told = tell(withhold(results, samples), sections)
    data = told.data
    among = looks(data)
    head = [f"## {escape(str(sentence(data)))}", ""]
    for check in alarms(data):
        head += [_callout(say("Check failed"), one_line(findings.message(check))), ""]
    head += [escape(about(data)), "", escape(verdict.paragraph(data), PARAGRAPH), ""]
    for part in (
        _tiles(verdict.tiles(data)),
        *(_callout(_level(gap), gap.text) for gap in told.gaps),
        _table(leaderboard(data), among, ARMS) if data["arms"] else "",
    ):
        head += [part, ""] if part else []
    begun = "\n".join(head) + "\n"
    if len(begun) > LIMIT // 2:
        begun = _cut(begun, LIMIT // 2)
    return _fitted(begun, [(spoken.title, _section(spoken, among)) for spoken in told.sections])


def _level(callout: Callout) -> str:
    """Returns what a callout begins with."""
    return {"ok": "✓", "note": say("Note"), "warning": say("Warning"), "error": say("Error")}[callout.level]


def _cut(text: str, most: int) -> str:
    """Returns whole lines of what has no room: no table or emphasis is left open."""
    return f"{text[:most].rpartition(chr(10))[0]}\n\n…\n"


def _fitted(begun: str, pieces: Sequence[tuple[str, str]]) -> str:
    """Adds the sections that have room; the others are named."""
    titles = [title for title, _ in pieces]
    text, left_out = begun, []
    reserve = len(_remark(titles)) + 1
    for title, piece in pieces:
        if len(text) + len(piece) + 1 + reserve <= LIMIT:
            text += f"{piece}\n"
        else:
            left_out.append(title)
    text += f"{_remark(left_out)}\n" if left_out else ""
    return text.rstrip("\n") + "\n"


def _remark(titles: Sequence[str]) -> str:
    names = "; ".join(escape(title, 60) for title in titles[:40])
    return say("Left out, because a comment has {n} characters: {sections}.", n=numbers.count(LIMIT), sections=names)


def _section(spoken: Spoken, among: Mapping[str, Look]) -> str:
    body = "\n\n".join(text for block in spoken.blocks for text in _block(block, among) if text)
    return _folded(spoken.title, body)


def _folded(title: str, body: str) -> str:
    # A heading within <summary> is HTML, which Markdown leaves as it is
    return f"<details>\n<summary>{_html(title)}</summary>\n\n{body}\n\n</details>\n"


def _block(block: Block, among: Mapping[str, Look]) -> Iterator[str]:
    """Yields a block as paragraphs."""
    if isinstance(block, Text):
        yield escape(block.text, PARAGRAPH)
    elif isinstance(block, Passage):
        yield f"**{escape(block.title)}**"
        begin = "- " if block.listed else ""
        yield ("\n" if block.listed else "\n\n").join(begin + escape(text, PARAGRAPH) for text in block.sentences)
    elif isinstance(block, Callout):
        yield _callout(_level(block), block.text)
    elif isinstance(block, Tiles):
        yield _tiles(block.tiles)
    elif isinstance(block, Table):
        yield from _captioned(block, among)
    elif isinstance(block, Explorer):
        yield from _captioned(block.errors, among)
    elif isinstance(block, Code):
        if block.caption:
            yield escape(block.caption)
        yield _code(block.text)
    elif isinstance(block, get_args(Figure)):
        yield f"**{escape(block.title)}**  \n{escape(block.subtitle)}"
        yield _table(figure_table(block), among, ROWS)


def _captioned(table: Table, among: Mapping[str, Look]) -> Iterator[str]:
    if table.folded:
        yield _folded(table.caption, _table(table, among, ROWS)).rstrip("\n")
    else:
        yield escape(table.caption)
        yield _table(table, among, ROWS)


def _callout(head: str, text: str) -> str:
    return f"> **{escape(head)}:** {escape(text, PARAGRAPH)}"


def _tiles(tiles: Sequence[Tile]) -> str:
    if not tiles:
        return ""
    lines = (
        [escape(tile.label) for tile in tiles],
        ["---"] * len(tiles),
        [f"**{escape(tile.value)}**" for tile in tiles],
        [escape(tile.detail) for tile in tiles],
    )
    return "\n".join(map(_row, lines))


def _table(table: Table, among: Mapping[str, Look], most: int) -> str:
    cut = shortened(table, most)
    lines = [
        _row(escape(column.title) for column in table.columns),
        _row("--:" if column.numeric else "---" for column in table.columns),
        *(_row(_cell(value, among) for value in row) for row in cut.table.rows),
    ]
    if cut.left_out:
        more = say_n(
            cut.left_out, "{n} more row: see the page.", "{n} more rows: see the page.", n=numbers.count(cut.left_out)
        )
        lines += ["", escape(more)]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: str | Cell, among: Mapping[str, Look]) -> str:
    letter, text, beside = parts(value, among)
    shown = escape(text)
    if isinstance(value, Cell) and value.strong and shown:
        shown = f"**{shown}**"
    return " ".join(part for part in (letter, shown, escape(beside)) if part)


def _code(text: str) -> str:
    """Writes a listing: within its fence nothing of it is markup, a mention or a link."""
    lines = "\n".join(printable(text))
    lines = lines if len(lines) <= PARAGRAPH else f"{lines[:PARAGRAPH]}\n…"
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{lines}\n{fence}"


def escape(text: str, most: int = LENGTH) -> str:
    """Writes data as one line of Markdown of which nothing becomes markup, a mention, a link or HTML.

    Args:
        text: Any text.
        most: Characters of it that are shown.
    """
    line = clipped(one_line(text), most)
    return OPENING.sub(lambda found: f"{found[1] or ''}\\", _escaped(_dead(line)))


def _escaped(line: str) -> str:
    """Escapes a line; hashes in it are set as code, where they are no link to a commit."""
    pieces, last = list[str](), 0
    for found in HASH.finditer(line):
        pieces += [SPECIAL.sub(r"\\\1", line[last : found.start()]), f"`{found[0]}`"]
        last = found.end()
    return "".join([*pieces, SPECIAL.sub(r"\\\1", line[last:])])


def _dead(line: str) -> str:
    return LIVE.sub(lambda found: found[0] + JOINER, line)


def _html(text: str) -> str:
    """Writes data as one line within an HTML element."""
    return html.escape(_dead(clipped(one_line(text), LENGTH)))
