"""A commented experiment file to start from, written from what was guessed about a table. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from harness.guessing.remarks import LEAST_DAYS, days, why_not_by_time
from harness.guessing.rules import quoted
from harness.starter import toml_writing as toml
from harness.starter.arms import arms
from harness.starter.start import Sizes, Start, sizes

WIDTH = 120
MOST_LISTED = 20
"""Labels up to which the file lists them."""

_WHAT = {
    "text": "The text, in the order in which a model sees it",
    "label": "The right answer",
    "ordered": "The labels are a scale: a near miss is a smaller error than a far one (mean absolute error)",
    "group": "Rows with the same value are never on both sides of a split",
    "time": "The date of a row",
    "split": "Which part a row is in: train, validation (val, dev) or test",
    "columns": "Names for the columns, for the file has no header line",
    "quotes": "Whether cells may stand in quotes",
    "separator": "Ends every text and is no part of it",
    "stop": "Ends every label and is no part of it",
    "delimiter": "What separates the cells",
    "turns": "The messages before an answer are joined to one text",
    "encoding": "How the file is written",
    "sheet": "The sheet of the workbook",
}


def experiment_text(start: Start, size: Sizes | None = None) -> str:
    """Returns the experiment file.

    Args:
        start: What it is written from.
        size: What `sizes` says about the same guesses, where that is known already.

    Raises:
        DataError: A name in the data cannot be written.
    """
    known = size or sizes(start.guesses, whole=start.whole)
    tables = (_head(start), _dataset(start), _prepare(start, known), _endpoint(start), _verdict(start))
    lines = [line for table in (*tables, arms(start, known)) for line in (*table, "")]
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(start: Start) -> Iterator[str]:
    yield "# Should you fine-tune for this task, or is a prompt enough? `harness run` on this file answers."
    yield "# Written by `harness init`: what it guessed is marked; correct it where it is wrong."
    yield f"name = {toml.string(start.name)}"
    yield "seed = 7                       # where all randomness comes from"


def _dataset(start: Start) -> Iterator[str]:
    yield "[dataset]"
    yield 'plugin = "files"'
    yield f"path = {toml.string(start.path)}"
    for option, given in start.options.items():
        yield from _comment(_about(start, option))
        yield f"{option} = {toml.value(given)}"
        if option == "label":
            yield from _labels(start)
    left_out = {left.option: left for left in start.guesses.left_out}
    for option, left in left_out.items():
        yield from _comment(f"{_WHAT[option]}. Left out: {left.reason}.")
        yield f"# {option} = {toml.string(str(left.value))}"
    if "group" not in start.options and "group" not in left_out:
        yield '# group = "COLUMN"             # rows with the same value are never on both sides of a split'
    yield '# slices = ["COLUMN"]          # columns by whose values the report breaks accuracy down'
    yield "# share = true                 # allows a published report to show texts of this data"


def _about(start: Start, option: str) -> str:
    """Says what an option is for, and for a guess how sure it is and why."""
    what = _WHAT.get(option, option)
    found = next((each for each in start.guessed if each.option == option), None)
    if found is None or found.confidence == "given":
        return f"{what}."
    close = f" Close to it: {quoted(found.alternatives)}." if found.alternatives else ""
    return f"{what}. Guessed ({found.confidence}): {found.reason}.{close}"


def _comment(text: str) -> list[str]:
    """Returns lines of comment; whatever a column is called, it stays in them."""
    kept = "".join(character if character.isprintable() else " " for character in text)
    return [f"# {line}" for line in wrap(kept, WIDTH - 2, break_long_words=False, break_on_hyphens=False)]


def _labels(start: Start) -> Iterator[str]:
    labels, counts = list(start.guesses.labels), start.guesses.labels
    for note in start.guesses.notes:
        yield from _comment(f"Note: {note}.")
    if len(labels) <= MOST_LISTED and start.whole:
        shown = ", ".join(f"{label[:40]} ({counts[label]:,})" for label in labels)
        yield from _comment(f"Every label; another one in the data is an error. Rows of each: {shown}.")
        yield f"labels = {toml.value(labels)}"
    else:
        among = "" if start.whole else " among the rows looked at"
        yield from _comment(
            f"{len(labels)} labels{among}, e.g. {quoted(labels[:3])}: those that occur. To have others refused, list "
            "them all."
        )
        yield "# labels = [ … ]"


def _prepare(start: Start, size: Sizes) -> Iterator[str]:
    yield "[prepare]"
    yield 'duplicates = "near"            # off | exact | near: what is removed before the split'
    if "split" in start.options:
        yield from _comment(
            "The column [dataset].split says which part a row is in. Where it has no validation rows, some of the "
            "training rows become them."
        )
    else:
        yield from _split(start, size)
    if start.endpoint is not None and not start.endpoint.loopback:
        yield "# Texts leave this machine, so personal data and keys in them stop the run; mask replaces them."
        yield '# pii = "mask"                 # warn | mask | stop'
    else:
        yield 'pii = "warn"                   # warn | mask | stop: personal data and keys in texts'


def _split(start: Start, size: Sizes) -> Iterator[str]:
    some = "" if start.whole else " of those looked at"
    train, validation, test = (f"{size.rows * share:,.0f}" for share in size.shares)
    yield from _comment(
        "Shots and training come from train, every choice is made on validation, the verdict comes from test: about "
        f"{train}, {validation} and {test} rows{some}."
    )
    for note in size.notes:
        yield from _comment(f"Note: {note}.")
    shares = "train = {}, validation = {}, test = {}".format(*size.shares)
    yield f"split = {{ {shares}, stratify = {toml.value(size.stratify)} }}"
    if "time" in start.options:
        yield from _by_time(start, f'split = {{ {shares}, by = "time" }}')


def _by_time(start: Start, line: str) -> Iterator[str]:
    dates = start.guesses.columns[str(start.options["time"])]
    if why := why_not_by_time(dates):
        yield from _comment(f"A split by time (train on the past, test on what came after) needs every date: {why}.")
        return
    different = days(dates)
    few = f" There are only {different} different days." if different < LEAST_DAYS else ""
    few = " All dates fall on one day." if different == 1 else few
    yield from _comment(
        f"Rows have a date: to train on the past and test on what came after, use this line instead.{few}"
    )
    yield f"# {line}"


def _endpoint(start: Start) -> Iterator[str]:
    endpoint = start.endpoint
    if endpoint is None:
        yield "# The endpoint `local` is started by the harness on this machine: a real small model, no key, no network"
        yield "# service. For a hosted one: harness init … --endpoint URL --model M"
        if start.model is not None:
            yield "[endpoints.local]"
            yield f"model = {toml.string(start.model)}"
        return
    yield f"[endpoints.{endpoint.name}]"
    yield f"base_url = {toml.string(endpoint.url)}"
    if endpoint.loopback:
        yield f'# api_key_env = "{endpoint.key}"   # the name of the variable that holds the key, if it wants one'
    else:
        yield f'api_key_env = "{endpoint.key}"   # the name of the variable; the key itself never stands in a file'
    yield "concurrency = 16               # an upper limit; the rate adapts below it"
    yield ""
    yield "# What the run may spend, and prices where the price list has none: USD for a million tokens."
    yield "# [budget]"
    yield "# max_usd = 25.0"
    yield f"# [prices.{toml.string(start.model or '')}]"
    yield "# input = 0.15"
    yield "# output = 0.60"
    yield "# training = 3.00"


def _verdict(start: Start) -> Iterator[str]:
    yield "[verdict]"
    yield "margin = 0.02                  # less than two points of accuracy does not matter here"
    yield ""
    yield "# What the money side assumes; it changes no answer, so it can be changed at any time."
    mark = "# " if start.prompt is None else ""
    yield f"{mark}[decision]"
    yield f'{mark}incumbent = "{"few-shot" if start.prompt is None else "incumbent"}"        # the arm in use today'
    yield "# requests_per_month = 15_000"
    yield "# error_usd = 2.0              # what a wrong answer costs"
    yield "# setup_hours = 16"
    yield "# hour_usd = 90"
