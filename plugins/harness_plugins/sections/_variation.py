"""How far figures move with what varies beside the test items: draws of shots, training seeds, asking again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness import numbers
from harness.blocks import Block, Table, Text
from harness.report import cells
from harness.report.facts import Data
from harness.words import say, say_n


def _sources() -> dict[str, str]:
    """Returns what can vary beside the test items, of which every interval speaks."""
    return {
        "shot-draw": say("the draw of shots"),
        "training-seed": say("the training seed"),
        "repeats": say("repeated asking"),
    }


def varied(data: Data) -> Iterable[Block]:
    """Says what the experiment varied and what it did not; with several draws or seeds, how much they matter."""
    run = data.get("run") or {}
    sources = _sources()
    varied, fixed = (
        [sources[name] for name in run.get(key) or () if name in sources] for key in ("varied", "not_varied")
    )
    if run.get("varied"):
        said = [say("Intervals say how figures move with other test items.")]
        said += [say("The run also varied {sources}.", sources=listed(varied))] if varied else []
        said += [say("On the test items the run did not vary {sources}.", sources=_either(fixed))] if fixed else []
        yield Text(text=" ".join(said))
    lines = [line for line in data.get("variation") or () if line.get("sd_between") is not None]
    if not lines:
        return
    rows = tuple(
        (
            cells.named(data, line["of"]),
            _tested(line),
            numbers.percent(line["mean"]),
            numbers.points(line["sd_between"], signed=False),
            numbers.points(line["sd_sample"], signed=False),
            numbers.percent(line["share_between"], 0),
        )
        for line in lines
    )
    titles = (
        say("Tested"),
        say("Mean accuracy"),
        say("SD by draw or seed"),
        say("SD by test items"),
        say("Due to draw or seed"),
    )
    columns = cells.heads(say("Arm"), *titles)
    yield Table(
        caption=say("How far one accuracy moves with another draw or seed, and with other test items."),
        columns=columns,
        rows=rows,
    )


def _tested(line: Mapping[str, Any]) -> str:
    n, count = len(line["arms"]), numbers.count(len(line["arms"]))
    if line["what"] == "draw":
        return say_n(n, "{n} draw", "{n} draws", n=count)
    return say_n(n, "{n} seed", "{n} seeds", n=count) if line["what"] == "seed" else f"{count} × {line['what']}"


def stability(data: Data) -> Iterable[Block]:
    """Says how far an arm agrees with itself, where the test items were asked several times."""
    entries = data.get("repeats") or ()
    asked = [entry for entry in entries if (entry.get("repeats") or 0) > 1]
    rows = tuple(
        (
            cells.named(data, entry["arm"]),
            numbers.count(entry["repeats"]),
            numbers.percent(entry.get("agreement")),
            numbers.percent(entry.get("flip_rate")),
            _span(entry.get("accuracy") or ()),
            numbers.points(entry.get("accuracy_sd"), 2, signed=False),
        )
        for entry in asked
    )
    if rows:
        titles = (
            say("Asked"),
            say("Same label each time"),
            say("Two askings differ"),
            say("Accuracy"),
            say("Standard deviation"),
        )
        columns = cells.heads(say("Arm"), *titles)
        caption = say(
            "Answer stability: every test item asked several times; the figures elsewhere are those of the first time."
        )
        lost = sum(entry.get("left_out") or 0 for entry in asked)
        if lost:
            caption += " " + say_n(
                lost,
                "Labels are not compared where an answer is missing ({n} item).",
                "Labels are not compared where an answer is missing ({n} items).",
                n=numbers.count(lost),
            )
        yield Table(caption=caption, columns=columns, rows=rows)
    same = [entry["arm"] for entry in entries if entry.get("reason") == "deterministic"]
    if same:
        yield Text(text=say("Asked once, because they always answer the same: {arms}.", arms=", ".join(same)))


def _span(accuracy: Sequence[float]) -> str:
    if not accuracy:
        return numbers.MISSING
    return numbers.percent_interval(min(accuracy), max(accuracy))


def listed(names: Sequence[str]) -> str:
    """Writes names with `and` before the last."""
    if len(names) < 2:
        return "".join(names)
    return say("{names} and {last}", names=", ".join(names[:-1]), last=names[-1])


def _either(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return say("{names} or {last}", names=", ".join(names[:-1]), last=names[-1])
