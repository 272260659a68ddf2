"""Rules that say what a column is, each with its reason in words. Pure.

All of them look at names and at values; a name alone never decides. What is close between two columns and matters for
the comparison is an error that names the option to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import DataError
from harness.findings.files import quoted as quoted_one
from harness.guessing.columns import Column, as_labels, is_date, is_epoch
from harness.prepare.labels import same_label

Confidence = Literal["given", "sure", "likely", "unsure"]

MOST_LABELS = 500
LONGEST_LABEL = 80
"""Characters; what is longer is a text."""
MOST_NUMBERS = 20
"""Different numbers up to which they are classes and not a quantity."""
SCALE = 11
"""Most steps of a scale: 0 to 10."""
LEAST_GROUPS = 10

_LABEL_WORDS = frozenset({"label", "labels", "target", "class", "gold", "y", "completion"})
_TASK_WORDS = frozenset(
    {
        "category", "emotion", "grade", "intent", "overall", "polarity", "rating", "ratings", "score", "sentiment",
        "spam", "star", "stars", "topic", "toxicity",
    }
)  # fmt: skip
_SCALE_WORDS = frozenset({"grade", "overall", "rating", "ratings", "score", "star", "stars"})
_ABOUT_WORDS = frozenset(
    {"at", "by", "confidence", "count", "date", "id", "ids", "length", "num", "number", "time", "url"}
)
"""Words that make `label_count` something else than a label."""
_BODY_WORDS = frozenset(
    {
        "abstract", "article", "body", "comment", "complaint", "content", "context", "description", "document", "email",
        "feedback", "hypothesis", "input", "message", "narrative", "post", "premise", "prompt", "query", "question",
        "request", "review", "sentence", "sms", "snippet", "statement", "text", "ticket", "transcript", "tweet",
        "utterance",
    }
)  # fmt: skip
_HEAD_WORDS = frozenset({"headline", "heading", "subject", "summary", "title"})
_GROUP_WORDS = frozenset(
    {
        "account", "article", "asin", "author", "buyer", "client", "company", "conversation", "customer", "dialog",
        "dialogue", "doc", "document", "group", "item", "listing", "patient", "person", "product", "reviewer", "seller",
        "session", "speaker", "subscriber", "thread", "user", "visitor",
    }
)  # fmt: skip
_OWNER_WORDS = _GROUP_WORDS - _BODY_WORDS
"""Words that make `product_title` and `product_category` something about the product, not about the text."""
_TIME_WORDS = frozenset({"at", "created", "date", "datetime", "day", "time", "timestamp", "ts", "updated"})
ROLE_WORDS = _LABEL_WORDS | _TASK_WORDS | _BODY_WORDS | _HEAD_WORDS | _TIME_WORDS | {"id", "ids", "split"}
"""Words of which the names of columns are made."""
_TRAIN = frozenset({"train", "training"})
_SPLITS = _TRAIN | {"validation", "valid", "val", "dev", "test"}
_SPLIT_WORDS = frozenset({"fold", "part", "partition", "set", "split", "subset"})
_OWNER = "names who or what a row belongs to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One thing that was guessed."""

    option: str
    """The dataset's option: text, label, group, time, split, ordered, separator, stop; columns, quotes, delimiter and
    turns, which say how the file is read."""
    value: str | tuple[str, ...] | bool
    confidence: Confidence
    """How sure: sure, likely, unsure; or given, where the user said it."""
    reason: str
    """Why, in words."""
    alternatives: tuple[str, ...] = ()
    """Columns that were close."""

    @property
    def line(self) -> str:
        """The guess and why, in one line."""
        if isinstance(self.value, bool):
            value = str(self.value).lower()
        elif isinstance(self.value, tuple):
            value = ", ".join(self.value)
        else:
            value = self.value if self.value.isprintable() else repr(self.value)
        if self.confidence == "given":
            return f"{self.option}: {value} (given)"
        close = f"; close to it: {', '.join(self.alternatives)}" if self.alternatives else ""
        return f"{self.option}: {value} ({self.confidence}: {self.reason}{close})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What all rules may know."""

    columns: tuple[Column, ...]
    rows: int
    source: str
    """What errors call the table."""
    named: bool = True
    """Whether the source names its columns; where it does not, their names are guesses and no reason for any."""


def quoted(names: Iterable[str]) -> str:
    """Lists names for a message, each in quotes and on one line, the first twelve of them."""
    listed = list(map(quoted_one, names))
    return ", ".join(listed[:12]) + (", …" if len(listed) > 12 else "")


def why_not_label(column: Column, rows: int) -> str:
    """Returns what keeps a column from being a label, in words; "" where nothing does."""
    named = _label_rank(column) > 0
    least = 2 if named else 5
    classes = _classes(column)
    reasons = {
        "holds lists or tables": column.kind == "nested",
        "is empty in more than half of the rows": column.filled * 2 < rows,
        "has the same value everywhere": column.distinct < 2,
        "holds dates": column.kind == "date",
        f"holds {column.distinct:,} different numbers, a quantity": (
            column.kind in ("whole", "number") and column.distinct > MOST_NUMBERS
        ),
        "is free text": column.word_count > 6 or max(map(len, column.counts), default=0) > LONGEST_LABEL,
        f"has {classes:,} different values in {column.filled:,} rows": (
            classes > min(MOST_LABELS, max(2, column.filled // least))
        ),
        _OWNER: not named and (_group_word(column) or column.words[-1:] == ("id",)),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def find_label(columns: Sequence[Column], table: Table) -> Guess:
    """Guesses the label: few different values for many rows, best with a name that says so.

    Args:
        columns: Those that are nothing else yet.
        table: What they are of.

    Raises:
        DataError: No column can be it, or several could.
    """
    plausible = [column for column in columns if not why_not_label(column, table.rows)]
    owned = not plausible
    if owned:  # "Customer Feeling" is about a customer, and may be the label all the same
        plausible = [column for column in columns if _only_named_like_an_owner(column, table.rows)]
    if not plausible:
        shown = sorted(table.columns, key=lambda column: -_label_rank(column))[:4]
        why = "; ".join(f"{quoted([column.name])} {_why_not(column, columns, table)}" for column in shown)
        raise DataError(
            f"{table.source}: no column looks like the label ({why})",
            f"pass --label COL; its columns: {quoted(column.name for column in table.columns)}",
        )
    ranked = sorted(plausible, key=lambda column: -_label_rank(column))
    best = [column for column in ranked if _label_rank(column) == _label_rank(ranked[0])]
    words = next((column for column in ranked if _spells_out(column, best[0])), None)
    unheeded = [column for column in columns if _label_rank(column) and column not in plausible]
    if len(best) == 1 and words is not None:
        return Guess(
            option="label",
            value=words.name,
            confidence="likely",
            reason=f'says in words what "{best[0].name}" numbers',
            alternatives=(best[0].name,),
        )
    if len(best) > 1:
        raise DataError(
            f"{table.source}: {quoted(column.name for column in best)} could each be the label",
            f"pass --label with one of them, e.g. --label {quoted([best[0].name])}",
        )
    chosen, rank = best[0], _label_rank(best[0])
    told = rank and table.named
    name = "its name says so, and it has" if told else "the only column with few different values:"
    return Guess(
        option="label",
        value=chosen.name,
        confidence="sure" if rank >= 5 else "unsure" if rank == 0 and (unheeded or owned) else "likely",
        reason=f"{name} {_classes(chosen):,} different values in {chosen.filled:,} rows",
        alternatives=tuple(column.name for column in ranked[1:5]),
    )


def _classes(column: Column) -> int:
    """Returns how many labels a column's values are, spellings of one that differ in case or white space as one."""
    return len({same_label(value) for value in column.counts if len(value) <= LONGEST_LABEL})


def _only_named_like_an_owner(column: Column, rows: int) -> bool:
    numbered = any(word.endswith("id") for word in column.words)
    return why_not_label(column, rows) == _OWNER and not numbered and not _groups(column, rows)


def _why_not(column: Column, free: Sequence[Column], table: Table) -> str:
    return why_not_label(column, table.rows) or ("" if column in free else "is taken for something else")


def why_not_text(column: Column) -> str:
    """Returns what keeps a column from being natural language, in words; "" where nothing does."""
    named = bool({*column.words} & (_BODY_WORDS | _HEAD_WORDS))
    reasons = {
        "holds lists or tables": column.kind == "nested",
        "is empty": column.kind == "empty",
        "holds numbers": column.kind in ("whole", "number"),
        "holds dates": column.kind == "date",
        "is no natural language": column.letters < 0.5 or column.word_count < (1.2 if named else 3),
        "repeats itself": column.distinct < min(5, column.filled) or column.distinct < 0.02 * column.filled,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def find_text(columns: Sequence[Column], table: Table) -> Guess:
    """Guesses the texts: natural language with many different values; a title goes before its body.

    Raises:
        DataError: No column can be it, or several could.
    """
    plausible = [column for column in columns if not why_not_text(column)]
    exact = [column for column in plausible if len(column.words) == 1 and column.words[0] in _BODY_WORDS]
    heads = [column for column in plausible if {*column.words} & _HEAD_WORDS and not {*column.words} & _OWNER_WORDS]
    bodies = exact or [column for column in plausible if {*column.words} & _BODY_WORDS and column not in heads]
    if not exact and len(bodies) > 1:
        bodies = _longest(bodies, table.source)
    chosen = sorted([*heads, *bodies], key=lambda column: column.length)
    if chosen and not table.named:
        reason = "the column of"
    elif chosen:
        reason = "named like texts and" if len(chosen) > 1 else "named like a text and"
    elif plausible:
        chosen, reason = _longest(plausible, table.source), "the longest"
    else:
        why = "; ".join(f"{quoted([column.name])} {why_not_text(column)}" for column in columns[:4])
        raise DataError(
            f"{table.source}: no column looks like the text ({why or 'there is none beside the label'})",
            f"pass --text COL; its columns: {quoted(column.name for column in table.columns)}",
        )
    lengths = " and ".join(f"{column.length:.0f}" for column in chosen)
    return Guess(
        option="text",
        value=tuple(column.name for column in chosen),
        confidence="likely" if reason == "the longest" else "sure",
        reason=f"{reason} natural language, {lengths} characters on average" + ("; short first" * (len(chosen) > 1)),
        alternatives=tuple(column.name for column in plausible if column not in chosen)[:4],
    )


def find_group(columns: Sequence[Column], table: Table) -> Guess | None:
    """Guesses what rows belong together by: a name like user or thread, and values that repeat without ruling."""
    found = [column for column in columns if _group_word(column) and _groups(column, table.rows)]
    if not found:
        return None
    ranked = sorted(found, key=lambda column: column.distinct)
    chosen = ranked[0]
    return Guess(
        option="group",
        value=chosen.name,
        confidence="likely" if len(found) == 1 else "unsure",
        reason=f"named like one, with {chosen.distinct:,} values for {chosen.filled:,} rows"
        + (": they repeat most often" if len(found) > 1 else ""),
        alternatives=tuple(column.name for column in ranked[1:]),
    )


def find_time(columns: Sequence[Column], table: Table) -> Guess | None:
    """Guesses the date of a row: ISO 8601, or seconds or milliseconds since 1970 under a name that says time."""
    found = [(not {*column.words} & _TIME_WORDS, column) for column in columns if dated(column) == table.rows]
    if not found:
        return None
    ranked = [column for _, column in sorted(found, key=lambda each: each[0])]
    what = "seconds or milliseconds since 1970" if ranked[0].kind == "whole" else "ISO 8601 dates"
    return Guess(
        option="time",
        value=ranked[0].name,
        confidence="likely" if len(found) == 1 else "unsure",
        reason=f"every value is one of {what}",
        alternatives=tuple(column.name for column in ranked[1:]),
    )


def dated(column: Column) -> int:
    """Returns in how many rows a column has a date; 0 where it is no column of dates."""
    named = bool({*column.words} & _TIME_WORDS)
    reader: Callable[[str], bool] = is_epoch if column.kind == "whole" else is_date
    asked = column.kind in ("date", "whole") and (named or column.kind == "date")
    return column.filled if asked and column.distinct > 1 and all(map(reader, column.counts)) else 0


def find_split(columns: Sequence[Column], table: Table) -> Guess | None:
    """Guesses the column that says which split a row is in: nothing but train, validation (val, dev) and test."""
    for column in columns:
        said = {value.casefold() for value in column.counts}
        if said <= _SPLITS and said & _TRAIN and "test" in said and column.filled == table.rows:
            reason = f"says nothing but {', '.join(sorted(said))}"
            return Guess(option="split", value=column.name, confidence="sure", reason=reason)
    return None


def why_not_split(column: Column, rows: int) -> str:
    """Returns what is wrong with a column that looks like the split; "" where nothing is, or it does not look so."""
    said = {value.casefold() for value in column.counts}
    named = bool({*column.words} & _SPLIT_WORDS)
    alone = said <= _SPLITS and len(said) > 1 and not _label_rank(column)
    if not said & _SPLITS or len(said) > MOST_NUMBERS or not (named or alone):
        return ""
    reasons = {
        f"holds {quoted(sorted(value for value in column.counts if value.casefold() not in _SPLITS)[:3])}": (
            not said <= _SPLITS
        ),
        'holds no "train"': not said & _TRAIN,
        'holds no "test"': "test" not in said,
        f"is empty in {rows - column.filled:,} rows": column.filled < rows,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def find_order(label: Column) -> Guess | None:
    """Guesses whether the labels are a scale: whole numbers of a small range. From 0 they may be numbers of classes."""
    labels = {value for value in as_labels(label.counts) if value}
    if len(labels) < 3 or label.kind != "whole":
        return None
    low, high = min(map(int, labels)), max(map(int, labels))
    named = bool({*label.words} & _SCALE_WORDS)
    if high - low >= SCALE or (low == 0 and not named):
        return None
    reason = f"whole numbers from {low} to {high}" + (" under a name that says scale" if named else "")
    return Guess(option="ordered", value=True, confidence="sure" if named else "unsure", reason=reason)


def _label_rank(column: Column) -> int:
    """Returns how much the name says label: 6 to 8 by its only word, 1 to 4 by one among others, 0 not at all."""
    words = {*column.words}
    if words & _ABOUT_WORDS or not words & (_LABEL_WORDS | _TASK_WORDS):
        return 0
    rank = (4 if len(column.words) == 1 else 0) + (4 if words & _LABEL_WORDS else 2)
    return rank - 1 if words & _OWNER_WORDS else rank


def _spells_out(column: Column, numbers: Column) -> bool:
    """Whether a column has a word for each number of another, one to one."""
    if (
        numbers.kind != "whole"
        or {*numbers.words} & _SCALE_WORDS
        or column.kind != "text"
        or column.distinct != numbers.distinct
    ):
        return False
    pairs = {(a.strip(), b.strip()) for a, b in zip(column.values, numbers.values, strict=True)}
    return len(pairs) == column.distinct


def _group_word(column: Column) -> bool:
    joined = {word.removesuffix("id") for word in column.words}
    return bool(({*column.words} | joined) & _GROUP_WORDS) and not {*column.words} & {"count", "name", "title"}


def _groups(column: Column, rows: int) -> bool:
    """Whether a column's values cut the rows into groups: repeated, enough of them, none with a third of the rows."""
    if column.kind in ("nested", "date") or column.distinct < LEAST_GROUPS or column.filled * 2 < rows:
        return False
    sharing = sum(count for count in column.counts.values() if count > 1)
    return sharing >= 0.02 * column.filled and max(column.counts.values()) * 3 <= column.filled


def _longest(columns: Sequence[Column], source: str) -> list[Column]:
    """Returns the longest text if it stands out, being twice as long as the next."""
    ranked = sorted(columns, key=lambda column: -column.length)
    if len(ranked) > 1 and ranked[1].length * 2 > ranked[0].length:
        names = [column.name for column in ranked if column.length * 2 > ranked[0].length]
        raise DataError(
            f"{source}: {quoted(names)} could each be the text, or be it together",
            f"pass --text with one of them, or several in the order to show them: --text {','.join(names[:2])}",
        )
    return ranked[:1]
