"""Cascades replayed from stored answers: a cheap arm keeps what it is sure of, a dearer one gets the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from harness.scoring.answers import Answers, Figures, Flags, Floats, complete, confidences, is_right
from harness.scoring.comparisons import Panel, Resamples
from harness.scoring.confidence import WANTED, threshold
from harness.scoring.contenders import by_validation
from harness.scoring.costs import unbilled
from harness.scoring.facts import ArmFacts, RunFacts
from harness.types import PROMPTS, TUNED

PERSON = "a person"
"""Last stage that is taken to be right: the labels are a person's."""
LONGEST = 3
"""Arms of a cascade at most."""
TIERS = (("classical",), TUNED, PROMPTS)
"""Families of which the best arm on validation is a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One arm as a stage."""

    name: str
    sure: Floats
    right: Flags
    usd: Floats | None
    """Price of each request in USD; `None` where a price is not known."""
    machine_s: float | None
    """Seconds of this machine for a request."""
    validation: Mapping[str, tuple[float, bool]]
    """Validation example → confidence, right."""
    simulated: bool


def cascades(
    arms: Sequence[ArmFacts], answers: Mapping[str, Answers], lines: Sequence[Figures], run: RunFacts
) -> list[Figures]:
    """Replays cascades of the best classical, tuned and prompted arm, the cheapest first, and with a person at the end.

    Every stage but the last keeps an answer from the confidence on at which its answers to the validation items that
    reach it are right as often as wanted; what no stage keeps, the last one answers (Viola & Jones 2001, CVPR; for
    language models Chen, Zaharia & Zou 2023, arXiv:2305.05176).

    Args:
        arms: All arms.
        answers: Those of each arm.
        lines: The arms of `results.json`.
        run: The run; without a price of a person's answer no person is asked.

    Returns:
        One line for each cascade and wanted precision for which validation gives thresholds.
    """
    stages, review_usd = _stages(arms, answers, lines, run), run.decision.review_usd
    plans = list(_plans(stages, people=review_usd is not None))
    replayed = [_replay(chain, person, edges) for chain, person, _, edges in plans]
    if not replayed:
        return []
    panel = _panel(stages, [right for right, _ in replayed], answers[stages[0].name].ids, run)
    found = []
    for place, ((chain, person, wanted, edges), (_, asked)) in enumerate(zip(plans, replayed, strict=True)):
        against = panel.compare(f"cascade {place}", f"arm {chain[-1].name}", run.margin)
        interval, method = panel.accuracy_interval(f"cascade {place}")
        found.append(
            {
                "stages": [stage.name for stage in chain] + [PERSON] * person,
                "wanted": wanted,
                "thresholds": edges,
                "shares": [float(reached.mean()) for reached in asked],
                "accuracy": float(panel.column(f"cascade {place}").mean()),
                "accuracy_ci": interval,
                "ci_method": method,
                "against": chain[-1].name,
                "difference": against["difference"],
                "difference_ci": against["ci"],
                **_costs(chain, asked, (review_usd or 0.0) if person else 0.0),
                "simulated": any(stage.simulated for stage in chain),
            }
        )
    return found


def _plans(stages: Sequence[Stage], *, people: bool) -> Iterator[tuple[tuple[Stage, ...], bool, float, list[float]]]:
    """Yields arms, whether a person ends them, the wanted precision and thresholds, where validation gives these."""
    chains = [chain for size in range(1, LONGEST + 1) for chain in combinations(stages, size)]
    for chain, person, wanted in product(chains, (False, True) if people else (False,), WANTED):
        keeping = chain if person else chain[:-1]
        edges = _edges(keeping, wanted) if keeping else None
        if edges is not None:
            yield chain, person, wanted, edges


def _stages(
    arms: Sequence[ArmFacts], answers: Mapping[str, Answers], lines: Sequence[Figures], run: RunFacts
) -> list[Stage]:
    """Returns the best arm of each tier that answered every test item, the cheapest first."""
    able = complete(answers, run.n_test)
    named = {arm.name: arm for arm in arms if arm.name in able}
    ranked = sorted((line for line in lines if line["name"] in named and not line["barred"]), key=by_validation)
    best = [next((line for line in ranked if line["family"] in tier), None) for tier in TIERS]
    chosen = [line for line in best if line is not None]
    return [_stage(named[line["name"]], answers[line["name"]], line) for line in sorted(chosen, key=_bill)]


def _bill(line: Figures) -> tuple[float, float, str]:
    """Sort key: dollars, then seconds of this machine; an arm whose price is not known comes last."""
    usd = 0.0 if unbilled(line) else line["cost_per_1k_usd"]
    seconds = line["machine_s_per_1k"]
    unknown = math.inf if seconds is None else 0.0
    return (unknown if usd is None else usd, 0.0 if seconds is None else seconds, str(line["name"]))


def _stage(arm: ArmFacts, answers: Answers, line: Figures) -> Stage:
    usd: Floats | None = None
    if unbilled(line):
        usd = np.zeros(len(answers))
    elif line["cost_per_1k_usd"] is not None:
        # A failed request without a price was not billed
        usd = np.nan_to_num(answers.usd)
    seconds = line["machine_s_per_1k"]
    known = confidences(arm.validation), is_right(arm.validation)
    return Stage(
        name=arm.name,
        sure=answers.sure,
        right=answers.right,
        usd=usd,
        machine_s=None if seconds is None else seconds / 1000,
        validation={
            row.example_id: (float(sure), bool(right)) for row, sure, right in zip(arm.validation, *known, strict=True)
        },
        simulated=arm.simulated,
    )


def _edges(stages: Sequence[Stage], wanted: float) -> list[float] | None:
    """Returns the threshold of each stage that keeps answers; `None` where validation gives none for one of them."""
    left = set(stages[0].validation)
    edges: list[float] = []
    for stage in stages:
        reach = sorted(left & set(stage.validation))
        told = [stage.validation[name] for name in reach]
        sure = np.array([each[0] for each in told], dtype=np.float64)
        edge = threshold(sure, np.array([each[1] for each in told], dtype=np.bool_), wanted)
        if edge is None:
            return None
        edges.append(edge)
        left = {name for name, kept in zip(reach, sure >= edge, strict=True) if not kept}
    return edges


def _replay(chain: Sequence[Stage], person: bool, edges: Sequence[float]) -> tuple[Flags, list[Flags]]:
    """Returns which items the cascade gets right, and which items reach each of its stages."""
    n = len(chain[0].right)
    reached, right = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    asked = []
    for place, stage in enumerate(chain):
        asked.append(reached)
        kept = reached & (stage.sure >= edges[place]) if place < len(edges) else reached
        right = right | (kept & stage.right)
        reached = reached & ~kept
    if person:
        asked.append(reached)
        right = right | reached
    return right, asked


def _panel(stages: Sequence[Stage], found: Sequence[Flags], ids: Sequence[str], run: RunFacts) -> Panel:
    """Sets cascades and their arms side by side."""
    names = (*(f"arm {stage.name}" for stage in stages), *(f"cascade {place}" for place in range(len(found))))
    right = np.stack([*(stage.right for stage in stages), *found], axis=1)
    return Panel(names=names, right=right, resamples=Resamples.of(right, ids, run.groups, run.seed))


def _costs(chain: Sequence[Stage], asked: Sequence[Flags], review_usd: float) -> Figures:
    """Returns what 1,000 requests cost; `None` where a stage has no price, or no time on this machine.

    Args:
        chain: The arms.
        asked: Which items reach each of them, and a person after them where one ends the cascade.
        review_usd: What a person's answer costs; 0 where none is asked.
    """
    n = len(asked[0])
    priced = [stage.usd for stage in chain]
    known = [usd for usd in priced if usd is not None]
    total = None
    if len(known) == len(priced):
        spent = [float(usd[reached].sum()) for usd, reached in zip(known, asked, strict=False)]
        total = (math.fsum(spent) + review_usd * int(asked[-1].sum())) / n * 1000
    timed = [stage.machine_s for stage in chain if stage.machine_s is not None]
    seconds = None
    if len(timed) == len(chain):
        shares = [float(reached.mean()) for reached in asked[: len(chain)]]
        seconds = math.fsum(each * share for each, share in zip(timed, shares, strict=True)) * 1000
    return {"cost_per_1k_usd": total, "machine_s_per_1k": seconds}
