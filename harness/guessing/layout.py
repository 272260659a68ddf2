"""How a table is laid out: whether its first row is a header, what quotes mean, what its texts and labels end with.

Prompt/completion files mark where a prompt and a completion end, with `###`, ` ->` or ` END` for example, as OpenAI's
guide for base models advised. The marks belong to that form and not to the text. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from harness.errors import DataError
from harness.guessing.columns import Column, as_text, is_number, measure, name_words
from harness.guessing.rules import ROLE_WORDS, Guess, Table, find_label, find_text

_TEXT_MARK = re.compile(r"\s*(?:#{2,}|[-=]+>|\|{2,}|<\|[^<>|]{1,30}\|>|</?s>|\n[^\n:]{1,30}:)\s*\Z")
_LABEL_MARK = re.compile(r"\s*(?:#{2,}|<\|[^<>|]{1,30}\|>|</?s>|(?<=\s)\[?(?:END|STOP|EOS|EOT)\]?)\s*\Z")


def find_header(rows: Sequence[Mapping[str, Any]]) -> Guess | None:
    """Guesses whether what was read as column names is the first row of the data; then names the columns.

    It is, where a name is one of the few values of its own column (`ham` above ham and spam), or as long as a text, and
    no other name says what its column is. The columns become text and label where these can be told, else column_1,
    column_2, …

    Args:
        rows: As read with the first row as names.
    """
    if not rows:
        return None
    names = list(map(str, rows[0]))
    if names == [str(number) for number in range(len(names))]:
        return None  # written by a program that numbers its columns
    columns = measure(rows)
    value = next((name for name in names if _among_few(name.strip(), columns[name])), None)
    text = next((name for name in names if _sentence(name)), None)
    spoken = any(name_words(name) and {*name_words(name)} <= ROLE_WORDS for name in names if name != value)
    if spoken or (value is None and text is None):
        return None
    numbered = [f"column_{number}" for number in range(1, len(names) + 1)]
    first: dict[str, Any] = dict(zip(numbered, names, strict=True))
    data = [first, *(dict(zip(numbered, (row.get(name) for name in names), strict=True)) for row in rows)]
    why = f'its first row is data: "{value}" is a value of its own column' if value is not None else ""
    return Guess(
        option="columns",
        value=_named(numbered, measure(data)),
        confidence="sure" if value is not None else "likely",
        reason=why or "its first row is data: a sentence stands where a column's name would",
    )


def find_quotes(rows: Sequence[Mapping[str, Any]]) -> Guess | None:
    """Guesses whether the quotes of a tab-separated file are marks around cells, which were read as plain text."""
    cells = [as_text(value).strip() for row in rows for value in row.values() if isinstance(value, str)]
    begun = [cell for cell in cells if cell.startswith('"')]
    wrapped = [cell for cell in begun if len(cell) > 1 and cell.endswith('"')]
    inner = sum(cell[1:-1].replace('""', "").count('"') for cell in wrapped)
    if len(wrapped) < 3 or len(wrapped) < len(begun) or inner:
        return None
    columns = measure(rows).values()
    whole = any(column.filled and all(value.startswith('"') for value in column.counts) for column in columns)
    doubled = any('""' in cell[1:-1] for cell in wrapped)
    if not whole and not doubled:
        return None
    reason = f"{len(wrapped)} cells stand in quotes, none with a single quote inside"
    return Guess(option="quotes", value=True, confidence="likely", reason=reason)


def find_separator(column: Column) -> Guess | None:
    """Guesses the mark that ends every text: ` ->`, `###`, a last line like `Label:`; white space alone in prompts."""
    ending = _ending(value.replace("\r\n", "\n") for value in column.values if value.strip())
    mark = _TEXT_MARK.search(ending)
    blank = re.search(r"\n\s*\n\Z", ending) if "prompt" in column.words else None
    found = mark or blank
    if found is None:
        return None
    return Guess(option="separator", value=found[0], confidence="sure", reason=f'every "{column.name}" ends with it')


def find_stop(column: Column) -> Guess | None:
    """Guesses the mark that ends every label: `###`, ` END`, `<|end|>`; never a piece of the labels themselves."""
    values = [value for value in column.values if value.strip()]
    mark = _LABEL_MARK.search(_ending(values))
    if mark is None:
        return None
    labels = {value.removesuffix(mark[0]).strip() for value in values}
    if "" in labels or (mark[0].strip(" []\n").isupper() and any(label.isupper() for label in labels)):
        return None  # FRONT END and BACK END are labels
    return Guess(option="stop", value=mark[0], confidence="sure", reason=f'every "{column.name}" ends with it')


def _ending(values: Iterable[str]) -> str:
    """Returns the longest common ending of the different values; "" where they are too few to say."""
    distinct = set(values)
    if len(distinct) < 2:
        return ""
    first, last = min(distinct, key=_backwards), max(distinct, key=_backwards)  # what these share, all share
    same = takewhile(lambda pair: pair[0] == pair[1], zip(reversed(first), reversed(last), strict=False))
    return "".join(character for character, _ in same)[::-1]


def _backwards(value: str) -> str:
    return value[::-1]


def _among_few(name: str, column: Column) -> bool:
    few = column.distinct <= max(2, column.filled // 5)
    return bool(name) and few and column.counts.get(name, 0) >= 2


def _sentence(name: str) -> bool:
    return len(name.split()) >= 6 and len(name) > 30 and not is_number(name)


def _named(numbered: Sequence[str], columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Returns names for columns without any: label and text where they can be told apart."""
    table = Table(columns=tuple(columns.values()), rows=len(columns[numbered[0]].values), source="")
    try:
        label = str(find_label(table.columns, table).value)
        texts = find_text([column for column in table.columns if column.name != label], table).value
    except DataError:
        return tuple(numbered)
    names = {label: "label"}
    if isinstance(texts, tuple) and len(texts) == 1:
        names[texts[0]] = "text"
    return tuple(names.get(name, name) for name in numbered)
