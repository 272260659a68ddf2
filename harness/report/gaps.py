"""What a run lacks, and how to get it: said once, before everything that is missing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness import numbers
from harness.blocks import Callout, Columns, Results
from harness.report.arms import Arm
from harness.report.facts import Data
from harness.words import say, say_n

ANSWERS = ("arm", "example_id", "expected", "predicted")
"""Columns without which answers say nothing."""


def readable(results: Results) -> Results:
    """Returns results without predictions where these lack a column without which they would be misread."""
    if not results.predictions or all(name in results.predictions for name in ANSWERS):
        return results
    return replace(results, predictions={})


def gaps(results: Results, data: Data, *, dropped: int = 0) -> tuple[Callout, ...]:
    """Returns a remark for each thing that is missing, the most serious first.

    Args:
        results: As they were read.
        data: Their completed data.
        dropped: Entries of `results.json` that could not be read.
    """
    look = _failed(results, data)
    said = [*_arms(data, look), *_items(data, look), *_files(results)]
    if dropped:
        said.append(
            say_n(
                dropped,
                "{n} entry of results.json lacks what it is about and is left out.",
                "{n} entries of results.json lack what they are about and are left out.",
                n=numbers.count(dropped),
            )
        )
    return tuple(Callout(text=text, level="warning") for text in said)


def _arms(data: Data, look: str | None) -> Iterator[str]:
    """Says which arms have no answers, and why."""
    arms = data.get("arms") or ()
    if not arms:
        yield say("This run has no arms with results yet: the same command goes on where it stopped.")
    reasons = {job["arm"]: job["reason"] for job in data.get("training") or () if job.get("reason")}
    for arm in arms:
        if not unanswered(arm):
            continue
        name, reason = str(arm["name"]), reasons.get(arm["name"])
        if reason:
            yield say("{arm} has no answers. Its training came to nothing: {reason}", arm=name, reason=reason)
        elif arm.get("refused"):
            yield say("{arm} has no answers: its training was refused.", arm=name)
        elif arm.get("n"):
            none = say("{arm} has no answers: none of its {n} items was answered.", arm=name, n=numbers.count(arm["n"]))
            again = say("`{command}` lists the attempts; the same command as before asks again.", command=look)
            yield f"{none} {again}" if look else none
        else:
            yield say("{arm} was not asked: the same command goes on where it stopped.", arm=name)


def unanswered(arm: Arm) -> bool:
    """Tells whether nothing was answered by an arm."""
    known = [arm.get("answered"), arm.get("unparsed")]
    return arm.get("accuracy") is None if None in known else not any(known)


def _items(data: Data, look: str | None) -> Iterator[str]:
    """Says how many items have no answer in arms that answered others."""
    lost = [arm for arm in data.get("arms") or () if arm.get("failed") and not unanswered(arm)]
    if lost:
        shares = "; ".join(
            say(
                "{arm}: {failed} of {n}",
                arm=arm["name"],
                failed=numbers.count(arm["failed"]),
                n=numbers.count(arm.get("n")),
            )
            for arm in lost
        )
        wrong = say("Items without an answer, which count as wrong: {shares}.", shares=shares)
        each = say("`{command}` lists them with each attempt.", command=look)
        yield f"{wrong} {each}" if look else wrong


def _failed(results: Results, data: Data) -> str | None:
    """Returns what lists attempts; `None` of a published run, whose answers lack the keys by which they are found."""
    if results.predictions and "key" not in results.predictions:
        return None
    run = data.get("run") or {}
    return f"harness show {run.get('id') or run.get('name') or 'RUN'} --failed"


def _files(results: Results) -> Iterator[str]:
    absent = [name for name in ANSWERS if name not in results.predictions]
    if not results.predictions:
        yield say(
            "The single answers (predictions.parquet) are missing, and with them what is said of labels, samples and "
            "the spread of times. `harness run` writes them again and sends nothing."
        )
    elif absent:
        yield say(
            "The single answers (predictions.parquet) lack the columns {columns} and are left out. `harness run` "
            "writes them again and sends nothing.",
            columns=", ".join(absent),
        )
    if results.samples != "none" and not _has_texts(results.examples):  # else they are left out on purpose
        yield say(
            "The texts (data/examples.parquet) are missing, so no sample can be shown. `harness prepare` or "
            "`harness run` writes them again."
        )


def _has_texts(examples: Columns) -> bool:
    return "id" in examples and ("text" in examples or "fields" in examples)


def alarms(data: Data) -> list[dict[str, Any]]:
    """Returns the checks that failed: they stand above the verdict."""
    return [check for check in data.get("checks") or () if check.get("level") == "error"]
