"""The page of two runs beside each other: differences with intervals, settings that differ, answers that changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import numbers, terms, words
from harness.blocks import Axis, Block, Callout, Cell, Column, Interval, Intervals, Table, Text
from harness.finished.comparing import compare
from harness.finished.stored import Stored
from harness.report import cells
from harness.report.arms import looks
from harness.report.complete import completed
from harness.report.facts import cost_measure, latency
from harness.report.page import assets, environment, own, policy
from harness.report.view import views
from harness.runs import RunFolder
from harness.site.index import Row
from harness.site.staging import PAGE
from harness.words import say

LONGEST = 400
"""Characters of a setting or a text that are shown."""


def page_name(a: str, b: str) -> str:
    """Returns where the page of two runs lies in the site."""
    return f"compare/{a}..{b}.html"


def render_pair(rows: tuple[Row, Row], folders: tuple[Path, Path], *, texts: bool) -> str:
    """Renders the page of two published runs, the earlier first.

    Args:
        rows: Their lines of the index.
        folders: Where they lie.
        texts: Whether texts and answers of the later run may be shown.
    """
    a, b = (Stored(RunFolder(folder)) for folder in folders)
    among = looks(completed(b.results).data)
    found = compare(a, b)
    order = list(among)
    found["arms"].sort(key=lambda line: order.index(line["name"]) if line["name"] in among else len(order))
    env = environment()
    template = env.get_template("section.html.j2")
    parts = [
        {"title": title, "body": own(template.render(views=views(blocks, among), looks=among))}
        for title, blocks in _sections(a, b, found, texts=texts)
        if blocks
    ]
    css, script = assets("base.css", "site.css"), assets("theme.js")
    return str(
        env.get_template("compare.html.j2").render(
            policy=policy(css, script),
            css=own(css),
            script=own(script),
            lang=words.language(),
            sentence=found["sentence"],
            dataset=rows[1].dataset,
            earlier=rows[0],
            later=rows[1],
            page=PAGE,
            parts=parts,
        )
    )


def _sections(a: Stored, b: Stored, found: Mapping[str, Any], *, texts: bool) -> Iterator[tuple[str, list[Block]]]:
    yield say("Accuracy"), list(_accuracy(found))
    yield say("Other figures"), [*_scores(a, b, found), *_others(a, b, found["arms"])]
    yield say("Settings that differ"), list(_settings(a, b, found["settings"]))
    if texts and found["paired"]:
        yield say("Answers that changed"), list(_flipped(a, b, found["arms"]))


def _accuracy(found: Mapping[str, Any]) -> Iterator[Block]:
    if found["warning"]:
        yield Callout(text=f"{found['warning'][:1].upper()}{found['warning'][1:]}.", level="warning")
    lines = found["arms"]
    measured = [line for line in lines if line["difference"] is not None]
    if measured:
        yield _forest(measured)
        yield Table(
            caption=say("Accuracy in both runs; p is adjusted for the number of arms (Holm)."),
            half=True,
            columns=cells.heads(say("Arm"), say("Earlier"), say("Later"), say("p"), say("Fixed"), say("Broken")),
            rows=tuple(_line(line) for line in lines),
        )
    for line in lines:
        if line["reason"]:
            yield Text(text=say("{arm}: {reason}.", arm=line["name"], reason=say(str(line["reason"]))))
    for side, said in (("a", say("Only in the earlier run: {arms}.")), ("b", say("Only in the later run: {arms}."))):
        if found[f"only_{side}"]:
            yield Text(text=said.replace("{arms}", ", ".join(found[f"only_{side}"])))


def _forest(lines: Sequence[Mapping[str, Any]]) -> Intervals:
    methods = ", ".join(dict.fromkeys(terms.method(str(line["ci_method"])) for line in lines))
    changed = [line for line in lines if line["claimed"]]
    if not changed:
        title = say("No arm's accuracy has changed by more than chance")
    elif len(changed) == 1:
        title = say("{arm} has changed by more than chance", arm=changed[0]["name"])
    else:
        title = say("{n} arms have changed by more than chance", n=numbers.count(len(changed)))
    return Intervals(
        title=title,
        subtitle=say("Accuracy in the later run minus that in the earlier. Bars: 95% CI ({method}).", method=methods),
        axis=Axis(title=say("Change of accuracy, points"), unit="points"),
        rows=tuple(
            Interval(
                label=line["name"],
                value=line["difference"],
                low=line["ci"][0],
                high=line["ci"][1],
                arm=line["name"],
                text=numbers.points(line["difference"]),
            )
            for line in lines
        ),
        reference=0.0,
    )


def _line(line: Mapping[str, Any]) -> tuple[str | Cell, ...]:
    p = line["p_adjusted"]
    return (
        Cell(text=line["name"], arm=line["name"]),
        numbers.percent(line["a"]),
        numbers.percent(line["b"]),
        numbers.p_value(p).removeprefix("p = ").removeprefix("p "),
        numbers.count(line["fixed"]),
        numbers.count(line["broken"]),
    )


def _scores(a: Stored, b: Stored, found: Mapping[str, Any]) -> Iterator[Block]:
    """Yields figures of the answers whose differences have an interval: the runs are paired item by item."""
    known = {"macro_f1": say("Macro-F1"), "mae_all": say("Mean absolute error")}
    paired = [line["name"] for line in found["arms"] if line["fixed"] is not None]
    lines = {name: {one["metric"]: one for one in _differences(a, b, name)} for name in paired}
    shown = [metric for metric in known if any(metric in line for line in lines.values())]
    if not shown:
        return
    rows = tuple(
        (Cell(text=name, arm=name), *(_score(run_a, run_b, line.get(metric)) for metric in shown))
        for name, line in lines.items()
        for run_a, run_b in [(a.arms[name], b.arms[name])]
    )
    named = dict.fromkeys(str(one["ci_method"]) for line in lines.values() for one in line.values())
    methods = ", ".join(terms.method(name) for name in named)
    yield Table(
        caption=say(
            "Scores of the answers, earlier → later; the difference with its 95% CI ({method}).", method=methods
        ),
        columns=(Column(title=say("Arm"), head=True), *(Column(title=known[metric]) for metric in shown)),
        rows=rows,
    )


def _score(was: Mapping[str, Any], now: Mapping[str, Any], line: Mapping[str, Any] | None) -> Cell:
    if line is None:
        return Cell(text=numbers.MISSING)
    sides = [numbers.decimal(arm.get(line["metric"])) for arm in (was, now)]
    gap = numbers.number(line["difference"], 3, signed=True)
    if line["ci"] is None:
        return Cell(text=" → ".join(sides), note=gap)
    low, high = (numbers.number(bound, 3, signed=True) for bound in line["ci"])
    return Cell(text=" → ".join(sides), note=f"{gap} ({numbers.span(low, high)})")


def _differences(a: Stored, b: Stored, name: str) -> list[dict[str, Any]]:
    """Compares an arm's other scores by the paired bootstrap, later − earlier."""
    import numpy as np

    from harness.scoring.bootstrap import group_codes
    from harness.scoring.drift import panel_of
    from harness.scoring.intervals import Items, differences

    run = a.results["run"]
    answers, _ = panel_of({"a": a.predictions[name], "b": b.predictions[name]}, len(a.test), None, run["seed"])
    ids = answers["a"].ids
    items = Items(
        labels=tuple(run["labels"]),
        ordered=bool(run.get("ordered")),
        groups=group_codes(ids, a.groups) if a.groups else np.arange(len(ids)),
        clustered=bool(a.groups),
        seed=run["seed"],
    )
    return differences(answers["b"], answers["a"], (b.arms[name], a.arms[name]), items)


def _others(a: Stored, b: Stored, lines: Iterable[Mapping[str, Any]]) -> Iterator[Block]:
    """Yields what else was measured, as it was and as it is: differences of these have no interval."""
    sides = [completed(run.results).data for run in (a, b)]
    measures = [cost_measure(side) for side in sides]
    kinds: list[tuple[str, Any, Any]] = [
        (say("p95 latency"), latency, numbers.ms),
        (say("Input tokens"), lambda arm: arm.get("input_tokens_mean"), numbers.count),
    ]
    if measures[0] == measures[1]:
        kinds.insert(0, (measures[0].title, measures[0].of, measures[0].write))
    known = [{str(arm["name"]): arm for arm in side["arms"]} for side in sides]
    rows = []
    for line in lines:
        row: list[str | Cell] = [Cell(text=line["name"], arm=line["name"])]
        for _, value, write in kinds:
            was, now = (value(arms.get(line["name"]) or {}) for arms in known)
            none = was is None and now is None
            row.append(Cell(text=numbers.MISSING if none else f"{write(was)} → {write(now)}", note=_change(was, now)))
        rows.append(tuple(row))
    if rows:
        yield Table(
            caption=say("What else was measured, earlier → later; the change in brackets, without an interval."),
            columns=(Column(title=say("Arm"), head=True), *(Column(title=title) for title, _, _ in kinds)),
            rows=tuple(rows),
        )


def _change(was: float | None, now: float | None) -> str:
    return "" if not was or now is None else f"({numbers.change(now / was - 1)})"


def _settings(a: Stored, b: Stored, settings: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if not all("experiment" in run.manifest for run in (a, b)):
        yield Text(text=say("The settings of one of the runs were not published, so they cannot be compared."))
        return
    shown = [line for line in settings if not str(line["key"]).startswith("published")]
    code = [line for line in shown if str(line["key"]).startswith("plugins")]
    own = [line for line in shown if line not in code]
    if own:
        yield _differing(say("All settings but these are the same in both runs."), own)
    else:
        yield Text(text=say("No setting differs."))
    if code:
        yield _differing(say("Plugins whose version or source differs"), code, folded=True)


def _differing(caption: str, lines: Iterable[Mapping[str, Any]], *, folded: bool = False) -> Table:
    return Table(
        caption=caption,
        columns=(Column(title=say("Setting"), head=True), Column(title=say("Earlier")), Column(title=say("Later"))),
        rows=tuple((str(line["key"]), _cut(_said(line["a"])), _cut(_said(line["b"]))) for line in lines),
        folded=folded,
    )


def _said(value: Any) -> str:
    import json

    return numbers.MISSING if value is None else value if isinstance(value, str) else json.dumps(value)


def _flipped(a: Stored, b: Stored, lines: Iterable[Mapping[str, Any]]) -> Iterator[Block]:
    for line in lines:
        name = line["name"]
        answers = [{row.example_id: row for row in run.predictions[name]} for run in (a, b)]
        rows = []
        for kind, said in (("fixed", say("fixed")), ("broken", say("broken"))):
            for one in line[f"{kind}_ids"]:
                was, now = (answer[one] for answer in answers)
                rows.append(
                    (
                        _cut(b.test[one].text),
                        str(now.expected),
                        _predicted(was.predicted),
                        _predicted(now.predicted),
                        said,
                    )
                )
        if rows:
            yield Table(
                caption=say(
                    "{arm}: fixed {n}, broken {m}; up to 20 of each are shown.",
                    arm=name,
                    n=numbers.count(line["fixed"]),
                    m=numbers.count(line["broken"]),
                ),
                columns=(
                    Column(title=say("Text"), prose=True),
                    Column(title=say("Expected")),
                    Column(title=say("Earlier")),
                    Column(title=say("Later")),
                    Column(title=say("Change")),
                ),
                rows=tuple(rows),
            )


def _predicted(label: str | None) -> str:
    return say("unparsed") if label is None else str(label)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
