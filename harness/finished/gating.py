"""Conditions on a run for continuous integration: each with its figure and interval, passed or failed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.errors import UsageError, nearest
from harness.finished.stored import Stored
from harness.numbers import points, points_interval, significant
from harness.types import Prediction

Interval: TypeAlias = tuple[float, float]
TIMES = ("latency_s", "first_token_s", "queue_s", "retry_s")
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
STATES = ("answered", "unparsed", "failed")
REASONS = ("preview", "unfinished", "simulated", "leaks")
"""What makes figures no evidence, each with a switch that lets it pass."""
NO_FIGURES = (
    "of",
    "model",
    "price",
    "mode",
    "shutdown_date",
    "letter",
    "ci_method",
    "accuracy_ci",
    "barred",
    "confusion",
)
"""Texts and tables of `arms[]` that may be null, as figures may."""
SHARES = frozenset({"accuracy", "accuracy_strict", "macro_f1", "balanced_accuracy", "off_by_one"})
"""Figures that lie between 0 and 1 and that many write in percent."""
NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold (XML 1.0, §2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`--min` or `--max` of a metric."""

    metric: str
    side: Literal["min", "max"]
    bound: float

    @classmethod
    def read(cls, said: str, side: Literal["min", "max"]) -> Limit:
        """Reads `accuracy=0.9`.

        Raises:
            UsageError: It is not NAME=NUMBER.
        """
        name, _, value = said.partition("=")
        try:
            bound = float(value)
        except ValueError:
            bound = math.nan
        if not name.strip() or not math.isfinite(bound):
            raise UsageError(f"--{side} {said}: NAME=NUMBER is expected", f"for instance --{side} accuracy=0.9")
        if name.strip() in SHARES and bound > 1:
            share = f"{bound / 100:g}" if bound <= 100 else "0.9"
            raise UsageError(
                f"--{side} {said}: {name.strip()} lies between 0 and 1",
                f"did you mean --{side} {name.strip()}={share}?",
            )
        return cls(metric=name.strip(), side=side, bound=bound)

    def __str__(self) -> str:
        return f"{self.metric} {'≥' if self.side == 'min' else '≤'} {str(self.bound).removesuffix('.0')}"

    def holds(self, value: float) -> bool:
        """Whether a figure is on the right side of the bound."""
        return value >= self.bound if self.side == "min" else value <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition with what became of it."""

    condition: str
    passed: bool
    told: str
    """The figure with its interval, or why there is none."""
    value: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a run is held against."""

    limits: tuple[Limit, ...] = ()
    not_worse_than: tuple[str, ...] = ()
    arm: str | None = None
    """By default the arm that the verdict names."""
    strict: bool = False
    """Whether the interval's bound must hold, not the figure alone."""
    allowed: frozenset[str] = frozenset()
    """Of `REASONS`: what else fails the gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run held against a gate."""

    run: str
    arm: str
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The conditions that do not hold."""
        return tuple(each for each in self.findings if not each.passed)

    def sentence(self) -> str:
        """Says in one sentence whether all hold, or which do not."""
        n, failed = len(self.findings), self.failed
        if not failed:
            return f"pass: {n} of {n} conditions hold for {self.arm}"
        said = "; ".join(f"{each.condition} ({each.told})" for each in failed)
        return f"{len(failed)} of {n} conditions {'does' if len(failed) == 1 else 'do'} not hold for {self.arm}: {said}"


def check(run: Stored, gate: Gate) -> Held:
    """Holds a run against a gate.

    Raises:
        UsageError: An arm or metric that there is not; no condition; a strict one on a metric without interval.
        DataError: The run's files are missing or broken.
    """
    if not gate.limits and not gate.not_worse_than:
        raise UsageError("a gate needs a condition", "give --min, --max or --not-worse-than")
    name = gate.arm or run.results["verdict"]["arm"]
    if name is None:
        raise UsageError("the verdict names no arm", "say which with --arm")
    for each in (name, *gate.not_worse_than):
        if each not in run.arms:
            raise UsageError(f'there is no arm "{each}"; {nearest(each, run.arms)}')
    findings = [*_trusted(run, (name, *gate.not_worse_than), gate.allowed)]
    findings += [_limit(run, name, limit, strict=gate.strict) for limit in gate.limits]
    findings += [_not_worse(run, name, other) for other in gate.not_worse_than]
    return Held(run=run.results["run"]["id"], arm=name, findings=tuple(findings))


def _trusted(run: Stored, names: Sequence[str], allowed: frozenset[str]) -> Iterator[Finding]:
    """Yields a failure for whatever makes figures no evidence."""
    simulated = [name for name in dict.fromkeys(names) if run.arms[name]["simulated"]]
    leaks = [check for check in run.results["checks"] if check["level"] == "error" and "leak" in check["kind"]]
    reasons = {
        "preview": ("no preview", "the run is a preview (--limit)" if run.results["run"]["preview"] else ""),
        "unfinished": ("finished", "" if run.manifest.get("finished") else "the run is unfinished"),
        "simulated": ("not simulated", f"simulated: {', '.join(simulated)}" if simulated else ""),
        "leaks": ("no leak", str(leaks[0]["message"]) if leaks else ""),
    }
    for kind, (condition, reason) in reasons.items():
        if reason and kind not in allowed:
            yield Finding(condition=condition, passed=False, told=f"{reason}; --allow-{kind} lets it pass")


def _limit(run: Stored, name: str, limit: Limit, *, strict: bool) -> Finding:
    arm = run.arms[name]
    known = figures(arm)
    if limit.metric not in known:
        raise UsageError(f'--{limit.side}: there is no metric "{limit.metric}"; {nearest(limit.metric, known)}')
    value = known[limit.metric]
    if value is None:
        return Finding(condition=str(limit), passed=False, told=f"{limit.metric} is not known of {name}")
    interval = _interval(run, arm, limit.metric)
    told = f"{limit.metric} is {_plain(value)}"
    if interval is not None:
        told += f", 95% CI {_plain(interval[0])} to {_plain(interval[1])}"
    elif strict:
        raise UsageError(f"--strict: no interval is known of {limit.metric}", "leave --strict or this condition out")
    held = value if interval is None or not strict else interval[0 if limit.side == "min" else 1]
    return Finding(condition=str(limit), passed=limit.holds(held), told=told, value=value, interval=interval)


def figures(arm: Mapping[str, Any]) -> dict[str, float | None]:
    """Returns all figures of an arm by the names that a condition may use.

    Numbers of `arms[]` under their own names, those of metric plugins likewise, `p50_s`, `p95_s` and `p99_s` of the
    latency, other times as `queue_p95_s`, and `answered_share`, `unparsed_share`, `failed_share`.
    """
    known: dict[str, float | None] = {
        name: value
        for name, value in {**(arm.get("metrics") or {}), **arm}.items()
        if name not in (*TIMES, *NO_FIGURES) and isinstance(value, int | float | None) and not isinstance(value, bool)
    }
    for kind in TIMES:
        told = arm.get(kind) or {}
        prefix = "" if kind == "latency_s" else f"{kind.removesuffix('_s')}_"
        known |= {f"{prefix}{quantile}_s": told.get(quantile) for quantile in QUANTILES}
    known |= {f"{state}_share": arm[state] / arm["n"] if arm["n"] else None for state in STATES}
    return known


def _interval(run: Stored, arm: Mapping[str, Any], metric: str) -> Interval | None:
    """Returns the 95% interval of a figure, where one is known."""
    from harness.scoring.confidence import rows_interval

    if metric == "accuracy" and arm["accuracy_ci"]:
        return float(arm["accuracy_ci"][0]), float(arm["accuracy_ci"][1])
    stored = (arm.get("intervals") or {}).get(metric)
    if stored is not None:
        return float(stored["ci"][0]), float(stored["ci"][1])
    rows = run.predictions[arm["name"]]
    state = metric.removesuffix("_share")
    if metric.endswith("_share") and state in STATES:
        return rows_interval([row.status == state for row in rows], [row.example_id for row in rows], run.groups)
    quantile = metric.removesuffix("_s")
    if quantile in QUANTILES:
        timed = {row.example_id: row.latency_s for row in rows if row.latency_s is not None}
        if run.groups:
            return _clustered_quantile(timed, QUANTILES[quantile], run.groups)
        return quantile_interval([*timed.values()], QUANTILES[quantile])
    return _mean_interval(rows, run.groups) if metric == "cost_per_1k_usd" else None


def quantile_interval(values: Sequence[float], share: float) -> Interval | None:
    """Returns the 95% interval of a quantile between two order statistics.

    The number of values below the quantile is binomial, whatever their distribution (David & Nagaraja 2003, Order
    Statistics, §7.1). `None` where there are too few values for an interval on either side.
    """
    from scipy.stats import quantile_test

    if not values:
        return None
    low, high = map(float, quantile_test(values, p=share).confidence_interval())
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _clustered_quantile(timed: Mapping[str, float], share: float, groups: Mapping[str, str]) -> Interval | None:
    """Returns the same where values come in groups: the order statistics at both ends of the share's own interval.

    Woodruff (1952), J. Am. Stat. Assoc. 47:635–646; the share's interval is by the design effect of the groups.
    """
    import numpy as np

    from harness.scoring.confidence import rows_interval

    if not timed:
        return None
    values = np.sort(np.array([*timed.values()]))
    below = [value <= float(np.quantile(values, share)) for value in timed.values()]
    bounds = rows_interval(below, [*timed], groups)
    if bounds is None or all(below):
        return None
    low, high = math.floor(bounds[0] * len(values)), math.ceil(bounds[1] * len(values))
    return (float(values[low - 1]), float(values[high])) if low >= 1 and high < len(values) else None


def _mean_interval(rows: Sequence[Prediction], groups: Mapping[str, str]) -> Interval | None:
    """Returns the bootstrap interval of the mean price of 1,000 requests, by group where there are groups."""
    from harness.scoring.bootstrap import group_codes, percentile_interval, resampled_means

    priced = [row for row in rows if row.cost_usd is not None]
    if len(priced) < 2:
        return None
    codes = group_codes([row.example_id for row in priced], groups)
    means = resampled_means([(row.cost_usd or 0.0) * 1000 for row in priced], codes, 0, 2_000)
    low, high = percentile_interval(means[:, 0], int(codes.max()) + 1)
    return (max(0.0, low), high) if math.isfinite(high) else None


def _not_worse(run: Stored, name: str, other: str) -> Finding:
    """Whether an arm is shown to be no less accurate than another by more than the run's margin (non-inferiority)."""
    margin = run.results["run"]["margin"]
    condition = f"not worse than {other} by {points(margin, signed=False)}"
    if name == other:
        raise UsageError(f"--not-worse-than {other}: that is the arm itself", "name another arm, or another --arm")
    line = _comparison(run, name, other)
    if line is None:
        return Finding(condition=condition, passed=False, told="one of the arms has not answered every test item")
    low, high = line["ci"]
    told = f"{points(line['difference'])}, 95% CI {points_interval(low, high)}"
    return Finding(condition=condition, passed=low > -margin, told=told, value=line["difference"], interval=(low, high))


def _comparison(run: Stored, name: str, other: str) -> Mapping[str, Any] | None:
    """Returns the comparison of two arms that the page shows, else one that is made as those were.

    `None` where the two have not answered the same items.
    """
    from harness.scoring.drift import panel_of
    from harness.scoring.duel import between

    stored = between(run.results, run.arms[name], run.arms[other])
    if stored is not None:
        return stored
    # Of all arms: the resamples of groups are theirs together
    _, panel = panel_of(run.predictions, len(run.test), run.groups, run.results["run"]["seed"])
    able = {name, other} <= set(panel.names)
    return panel.compare(name, other, run.results["run"]["margin"]) if able else None


def _plain(value: float) -> str:
    """Writes a figure as it would be typed: four significant digits."""
    return str(int(value)) if value == int(value) else significant(value, 4).replace(",", "")


def to_junit(held: Held) -> str:
    """Writes JUnit XML: one test case for each condition."""
    failures = str(len(held.failed))
    totals = {"tests": str(len(held.findings)), "failures": failures, "errors": "0", "skipped": "0", "time": "0"}
    suites = Element("testsuites", {"name": "harness gate", **totals})
    suite = SubElement(suites, "testsuite", {"name": _xml(f"harness gate {held.run}"), **totals})
    for each in held.findings:
        case = SubElement(suite, "testcase", {"classname": _xml(held.arm), "name": _xml(each.condition), "time": "0"})
        if each.passed:
            SubElement(case, "system-out").text = _xml(each.told)
        else:
            failure = SubElement(case, "failure", {"message": _xml(each.told), "type": "condition"})
            failure.text = _xml(f"{each.condition}: {each.told}")
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Returns a text without the characters that XML cannot hold; the writer escapes the others."""
    return NO_XML.sub("\ufffd", text)


def to_markdown(held: Held) -> str:
    """Writes the step summary: a table of the conditions."""
    from harness.report.writers.markdown import escape

    title = "passed" if not held.failed else "failed"
    lines = [
        f"### Gate {title}: {escape(held.run)}, {escape(held.arm)}",
        "",
        "| condition | | figure |",
        "|---|---|---|",
    ]
    lines += [
        f"| {escape(each.condition)} | {'pass' if each.passed else '**fail**'} | {escape(each.told)} |"
        for each in held.findings
    ]
    return "\n".join(lines) + "\n"
