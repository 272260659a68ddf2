"""The top of the page: what a decision-maker sees in ten seconds. Chosen by rule from the results."""

from __future__ import annotations

from typing import Any

from harness import numbers
from harness.report.arms import Arm
from harness.report.blocks import Tile
from harness.report.facts import Data, Measure, comparison, contenders, cost_measure, payback, tags


def eyebrow(data: Data) -> list[str]:
    """Returns data set, date, size and seed."""
    run = data.get("run") or {}
    parts = [str((run.get("dataset") or {}).get("name") or run.get("name") or "")]
    parts.append(str(run.get("finished") or run.get("started") or "")[:10])
    if run.get("n_test") is not None:
        parts.append(f"{numbers.count(run['n_test'])} test examples")
    if run.get("seed") is not None:
        parts.append(f"seed {run['seed']}")
    return [part for part in parts if part]


def remarks(data: Data) -> list[str]:
    """Returns what must be known before any number is read."""
    run = data.get("run") or {}
    found = ["preview"] if run.get("preview") else []
    for remark in ("simulated", "imported"):
        marked = [arm for arm in data.get("arms") or () if arm.get(remark)]
        if marked:
            found.append(remark if len(marked) == len(data["arms"]) else f"partly {remark}")
    return found


def paragraph(data: Data) -> str:
    """Returns the verdict's evidence in one paragraph; every number in it stands in `results.json`."""
    first, second = contenders(data)
    if first is None:
        return "No arm has a measured accuracy."
    said = [_accuracy(first, "of the test examples correctly")]
    if second is not None:
        said[0] += f"; {second['name']}{_marked(second)} {numbers.percent(second.get('accuracy'))}"
        against = comparison(data, first["name"], second["name"])
        if against is not None and against.get("difference") is not None:
            said.append(f"The difference is {numbers.points(against['difference'])}{_evidence(against)}")
        said += _cost(data, first, second)
    return " ".join(f"{sentence}." for sentence in said)


def _accuracy(arm: Arm, what: str) -> str:
    ci = arm.get("accuracy_ci") or (None, None)
    interval = f" (95% CI {numbers.percent_interval(*ci)})" if ci[0] is not None else ""
    return f"{arm['name']}{_marked(arm)} answers {numbers.percent(arm.get('accuracy'))} {what}{interval}"


def _marked(arm: Arm) -> str:
    marks = tags(arm)
    return f" ({', '.join(marks)})" if marks else ""


def _evidence(against: dict[str, Any]) -> str:
    ci = against.get("ci") or (None, None)
    parts = [f"95% CI {numbers.points_interval(*ci)}"] if ci[0] is not None else []
    p = against.get("p", against.get("mcnemar_p"))
    if p is not None:
        parts.append(f"{against.get('p_method') or 'McNemar'}: {numbers.p_value(p)}")
    return f" ({'; '.join(parts)})" if parts else ""


def _brief(against: dict[str, Any]) -> str:
    ci = against.get("ci") or (None, None)
    parts = [f"95% CI {numbers.points_interval(*ci)}"] if ci[0] is not None else []
    p = against.get("p", against.get("mcnemar_p"))
    parts += [numbers.p_value(p).replace(" ", "\u00a0")] if p is not None else []
    return ", ".join(parts)


def _cost(data: Data, first: Arm, second: Arm) -> list[str]:
    measure = cost_measure(data)
    mine, other = measure.of(first), measure.of(second)
    said = []
    if mine is not None and other is not None:
        verb = "costs" if measure.unit == "usd" else "takes"
        of_what = "" if measure.unit == "usd" else " of this machine"
        said.append(
            f"{first['name']} {verb} {measure.write(mine)} instead of {measure.write(other)}{of_what}"
            " per 1,000 requests"
        )
    entry = payback(data, [first["name"], second["name"]])
    if entry is not None and entry.get("requests") is not None:
        fixed = _fixed(entry)
        training = f"The {fixed}" if fixed else "Training"
        said.append(
            f"{training} of {entry['arm']} is paid back after {numbers.count(entry['requests'])}"
            f" requests against {entry['against']}"
        )
    return said


def _fixed(entry: dict[str, Any]) -> str:
    return "" if entry.get("fixed") is None else numbers.invested(entry)


def tiles(data: Data) -> tuple[Tile, ...]:
    """Returns the four tiles: accuracy, cost, p95 latency, payback; of one arm alone where there is no opponent."""
    first, second = contenders(data)
    if first is None:
        return ()
    measure = cost_measure(data)
    if second is None:
        return _alone(data, first, measure)
    gap = comparison(data, first["name"], second["name"]) or {}
    difference = gap.get("difference")
    if difference is None and first.get("accuracy") is not None and second.get("accuracy") is not None:
        difference = first["accuracy"] - second["accuracy"]
    both = f"{numbers.percent(first.get('accuracy'))} against {numbers.percent(second.get('accuracy'))}"
    evidence = _brief(gap)
    latency = _latency(first), _latency(second)
    return (
        Tile(label="Accuracy", value=numbers.points(difference), detail=evidence or both),
        _change(measure.title, measure.of(first), measure.of(second), measure.write),
        _change("p95 latency", latency[0], latency[1], numbers.ms),
        _payback(data, first, second),
    )


def _latency(arm: Arm, which: str = "p95") -> float | None:
    value = (arm.get("latency_s") or {}).get(which)
    return None if value is None else float(value)


def _change(label: str, mine: float | None, other: float | None, write: Any) -> Tile:
    if mine is None or other is None:
        detail = "not measured" if mine is None and other is None else f"{write(mine)} against {write(other)}"
        return Tile(label=label, value=numbers.MISSING, detail=detail)
    value = numbers.change(mine / other - 1) if other else numbers.MISSING
    return Tile(label=label, value=value, detail=f"{write(mine)} instead of {write(other)}")


def _payback(data: Data, first: Arm, second: Arm) -> Tile:
    entry = payback(data, [first["name"], second["name"]])
    if entry is None:
        return Tile(label="Payback", value=numbers.MISSING, detail="nothing was trained")
    if entry.get("requests") is None:
        never = (entry.get("saving_per_1k") or 0) <= 0 and entry.get("saving_per_1k") is not None
        detail = str(entry.get("reason") or "saves nothing per request")
        return Tile(label="Payback", value="Never" if never else numbers.MISSING, detail=detail)
    fixed = _fixed(entry)
    detail = f"for {fixed}" if fixed else f"against {entry['against']}"
    return Tile(
        label="Payback",
        value=f"{numbers.count(entry['requests'])} requests",
        detail=detail,
    )


def _alone(data: Data, arm: Arm, measure: Measure) -> tuple[Tile, ...]:
    ci = arm.get("accuracy_ci") or (None, None)
    interval = f"95% CI {numbers.percent_interval(*ci)}" if ci[0] is not None else ""
    of_all = f"{numbers.count(arm.get('answered'))} of {numbers.count(arm.get('n'))} answered"
    return (
        Tile(label="Accuracy", value=numbers.percent(arm.get("accuracy")), detail=interval),
        Tile(label="Macro-F1", value=numbers.decimal(arm.get("macro_f1")), detail=of_all),
        Tile(label=measure.title, value=measure.write(measure.of(arm)), detail=""),
        Tile(
            label="p95 latency",
            value=numbers.ms(_latency(arm)),
            detail=f"median {numbers.ms(_latency(arm, 'p50'))}",
        ),
    )
