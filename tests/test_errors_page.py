"""`docs/reference/errors.md` holds what is really printed."""

from __future__ import annotations

import re

from support.mistakes import MISTAKES, PAGE, page


def test_the_page_holds_what_is_printed() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make hooks writes it anew; then read it aloud"


def test_it_shows_at_least_thirty_mistakes() -> None:
    titles = [mistake.title for mistakes in MISTAKES.values() for mistake in mistakes]
    assert len(titles) == len(set(titles)) >= 30


def test_it_speaks_in_one_tone() -> None:
    """What to do stands in the second line, which goes on where the first one ends: no capital, no full stop."""
    blocks = re.findall(r"^(?:error|unfinished): .*\n(?!```)(.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(blocks) > 20
    assert [line for line in blocks if line[0].isupper() or line.endswith(".")] == []
