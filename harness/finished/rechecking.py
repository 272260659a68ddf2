"""`harness recheck`: the arms of a run on fresh labelled data; does the verdict still hold?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import tables
from harness.console import Console
from harness.errors import DataError, UnfinishedError, UsageError
from harness.execution.work import digest
from harness.files import write_json
from harness.finished import new_data
from harness.finished.new_data import Source
from harness.finished.reopening import Reopened, tools
from harness.finished.stored import Stored, without_answer
from harness.numbers import counted
from harness.prepare import clean
from harness.prepare.labels import one_spelling
from harness.prepare.leaks import find_leaks
from harness.running.manifest import now
from harness.runs import RunFolder
from harness.types import Example, Prediction, Split

PLACE = "rechecks"
"""Folder in the run's, with a folder for each recheck."""
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """Labelled items that the arms have not learnt from."""

    examples: tuple[Example, ...]
    left_out: Mapping[str, int]
    """Reason → rows."""
    respelt: Mapping[str, str]
    """Spelling of a label → that of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """What a recheck came to."""

    folder: Path
    found: Mapping[str, Any]
    """`recheck.json`."""
    usd: float
    unfinished: UnfinishedError | None = None


def recheck(
    run: Reopened, data: Source, console: Console, *, max_usd: float | None = None, again: bool = False
) -> Rechecked:
    """Asks the arms of a run about fresh items, and holds their answers against those to the test.

    Args:
        run: The run; it must have been scored.
        data: Labelled data.
        console: Is told how far it has come.
        max_usd: What this may cost; what the run may where it is `None`.
        again: Ask anew what an earlier recheck of the same data has asked.

    Raises:
        UsageError: The run was never scored, or a column is not there.
        DataError: No row is left, or the run's answers cannot be read.
        GateError: The budget ends, or personal data would leave this machine.
    """
    old = _predictions(run, console)
    arms = [arm for arm in run.arms() if old.get(arm.name)]
    if not arms:
        raise UsageError(f"{run.id} has no scored arm", "finish the run first")
    given = new_data.read(run, data, labelled=True)
    fresh = _fresh(run, new_data.without_personal_data(run.experiment, arms, given.examples), data.path)
    folder = _place(run, fresh, again=again)
    # Nothing is taken over from the run: a model that changed behind its name would not show.
    with tools(run, arms, folder.journal, console, max_usd=max_usd) as work:
        answers = work.asking.ask([(arm, fresh.examples) for arm in arms], "asking the fresh items")
        rows = [one.prediction for answered in answers for one in answered]
        missing = without_answer(rows, work.asking.journal.known)
        unfinished, usd = work.asking.engine.unfinished(), work.asking.journal.spent()
    tables.write_predictions(folder.predictions, rows)
    new = {arm.name: [one.prediction for one in answered] for arm, answered in zip(arms, answers, strict=True)}
    told = _found(run, fresh, old, new, missing)
    found = {"schema": SCHEMA, "run": run.id, "data": given.name, "made": now(), **told}
    if unfinished is None:
        write_json(folder.path / "recheck.json", found)
    return Rechecked(folder=folder.path, found=found, usd=usd, unfinished=unfinished)


def _place(run: Reopened, fresh: Fresh, *, again: bool) -> RunFolder:
    """Returns the recheck's folder: that of the same data, or with `again` one that is not finished."""
    marks = sorted([one.id, one.label] for one in fresh.examples)
    first = run.folder.path / PLACE / digest(marks)[:8]
    place, number = first, 1
    while again and (place / "recheck.json").is_file():
        number += 1
        place = first.with_name(f"{first.name}-{number}")
    return RunFolder(place)


def _fresh(run: Reopened, examples: Sequence[Example], data: Path) -> Fresh:
    """Leaves out what cannot be asked, what says the same twice, and what the arms have learnt from.

    Labels get the spelling that they have in the run.
    """
    table = run.experiment.prepare
    rows = clean.items(replace(example, split=None) for example in examples)
    kept, left_out = clean.usable(rows)
    kept, respelt, _ = one_spelling(kept, run.data.labels)
    exact = clean.without_exact(kept, table.conflicts)
    left_out = {**left_out, **exact.removed}
    kept = clean.with_distinct_ids(exact.rows)
    if table.duplicates == "near":
        near = clean.without_near(kept, table.conflicts)
        kept, left_out = near.rows, {**left_out, **near.removed}
    fresh = [replace(row.example, split=Split.TEST) for row in kept]
    learnt = [example for split in (Split.TRAIN, Split.VALIDATION) for example in run.data.of(split)]
    leaks = find_leaks([*(replace(one, group=None) for one in fresh), *(replace(one, group=None) for one in learnt)])
    seen = {leak.a: leak.split_b for leak in leaks if leak.split_a == Split.TEST}
    for split in (Split.TRAIN, Split.VALIDATION):
        left_out[f"in {split}"] = sum(place == split for place in seen.values())
    fresh = [replace(one, split=None) for one in fresh if one.id not in seen]
    if not fresh:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in left_out.items() if n)
        raise DataError(
            f"{data}: no row is left to ask about ({reasons})", "bring labelled rows that were not in train"
        )
    return Fresh(examples=tuple(sorted(fresh, key=lambda one: one.id)), left_out=left_out, respelt=respelt)


def _predictions(run: Reopened, console: Console) -> Mapping[str, Sequence[Prediction]]:
    """Returns the run's answers to its test items, by arm; arms that lack some are told, and left out."""
    if not run.results:
        raise UsageError(
            f"{run.id} has not been scored yet", f"finish it: {run.manifest.get('command') or 'harness run'}"
        )
    stored = Stored(run.folder)
    for name, n in stored.unanswered.items():
        console.say(f"{name} is left out: the run has no answer to {counted(n, 'item')} of its test yet")
    return {name: rows for name, rows in stored.predictions.items() if name not in stored.unanswered}


def _found(
    run: Reopened,
    fresh: Fresh,
    old: Mapping[str, Sequence[Prediction]],
    new: Mapping[str, Sequence[Prediction]],
    missing: Mapping[str, int],
) -> dict[str, Any]:
    """Holds new answers against old ones.

    Nothing is claimed of arms that lack some (`missing`: how many), nor of simulated ones.
    """
    from harness.scoring import drift
    from harness.scoring.facts import groups_of

    test = run.data.of(Split.TEST)
    seed, margin = run.experiment.seed, run.experiment.verdict.margin
    groups = groups_of(fresh.examples)
    before = drift.panel_of({name: old[name] for name in new}, len(test), groups_of(test), seed)
    after = drift.panel_of(new, len(fresh.examples), groups, seed)
    labels = {example.id: example.label for example in test}
    lines = {
        name: drift.arm_drift(name, (before[0][name], before[1]), (after[0][name], after[1]), groups, seed)
        for name in new
    }
    simulated = {arm["name"] for arm in run.results["arms"] if arm["simulated"]}
    duel = _duel(run, before[1], after[1], missing)
    claim = drift.claim_of(duel["test"]) if duel else None
    telling = duel and duel["fresh"] and not simulated & set(duel["pair"])
    found = {
        "n": len(fresh.examples),
        "n_test": len(test),
        "left_out": dict(fresh.left_out),
        "respelt": dict(fresh.respelt),
        "n_shared": sum(example.id in labels for example in fresh.examples),
        "relabelled": sum(labels.get(one.id, one.label) != one.label for one in fresh.examples),
        "labels": _label_shift(test, fresh.examples, run.data.labels),
        "arms": [drift.untold(line, missing.get(name, 0), simulated=name in simulated) for name, line in lines.items()],
        "contenders": duel,
        "verdict": {
            "kind": run.results["verdict"]["kind"],
            "sentence": run.results["verdict"]["sentence"],
            "claim": claim,
            "holds": drift.ruling(claim, duel["test"], duel["fresh"], margin) if duel and telling else None,
        },
    }
    return {**found, "sentence": drift.sentence(found)}


def _label_shift(test: Sequence[Example], fresh: Sequence[Example], known: Sequence[str]) -> dict[str, Any]:
    from harness.scoring.bootstrap import group_codes
    from harness.scoring.drift import label_shift
    from harness.scoring.facts import groups_of

    old, new = ([one.label for one in examples] for examples in (test, fresh))
    codes = [
        group_codes([one.id for one in examples], groups) if (groups := groups_of(examples)) else None
        for examples in (test, fresh)
    ]
    return label_shift(old, new, known, (codes[0], codes[1]))


def _duel(run: Reopened, before: Any, after: Any, missing: Mapping[str, int]) -> dict[str, Any] | None:
    """Compares the two arms of the verdict, then and now; the contenders where the verdict names no two.

    Where one of them lacks answers, what is now is `None`.
    """
    from harness.scoring.drift import moved

    verdict, contenders = run.results["verdict"], run.results.get("contenders") or {}
    pairs = ((verdict.get("arm"), verdict.get("against")), (contenders.get("a"), contenders.get("b")))
    able = set(before.names) & set(after.names)
    pair = next(((a, b) for a, b in pairs if a in able and b in able and a != b), None)
    if pair is None:
        return None
    margin = run.experiment.verdict.margin
    old = before.compare(*pair, margin)
    if missing.keys() & set(pair):
        return {"pair": list(pair), "test": old, "fresh": None, "change": None, "change_ci": None}
    new = after.compare(*pair, margin)
    change, ci = moved(old["difference"], tuple(old["ci"]), new["difference"], tuple(new["ci"]))
    return {"pair": list(pair), "test": old, "fresh": new, "change": change, "change_ci": list(ci)}


def remarks(found: Mapping[str, Any]) -> list[str]:
    """Returns what a reader must know beside the table, a line each."""
    from harness.numbers import p_value, points
    from harness.scoring.drift import lacking, made_up

    lines = [f"left out: {counted(n, 'row')}, {reason}" for reason, n in found["left_out"].items() if n]
    if found["respelt"]:
        said = ", ".join(f'"{label}" as "{own}"' for label, own in sorted(found["respelt"].items()))
        lines.append(f"labels in the spelling of the run: {said}")
    if found["n_shared"]:
        none_new = "; none is new to the run" if found["n_shared"] == found["n"] else ""
        lines.append(f"{counted(found['n_shared'], 'item')} of them stood in the run's test{none_new}")
    if found["relabelled"]:
        lines.append(f"{counted(found['relabelled'], 'item')} of these have another label now")
    shift = found["labels"]
    if shift["p"] < 0.05:
        moves = sorted(shift["shares"], key=lambda one: -abs(one["fresh"] - one["test"]))[:3]
        said = ", ".join(f'"{one["label"]}" {points(one["fresh"] - one["test"])}' for one in moves)
        lines.append(f"labels occur in other shares than in the test ({p_value(shift['p'])}): {said}")
    if shift["unseen"]:
        said = ", ".join(f'"{label}" ({n:,})' for label, n in shift["unseen"].items())
        lines.append(f"labels that the run has never seen, wrong for every arm: {said}")
    lines += [f"missing: {said}" for said in lacking(found["arms"])]
    if simulated := made_up(found["arms"]):
        lines.append(f"simulated, so nothing is claimed of them: {', '.join(simulated)}")
    duel = found["contenders"]
    if duel and duel["fresh"]:
        lines.append(_gap(duel))
    return lines


def _gap(duel: Mapping[str, Any]) -> str:
    from harness.numbers import points, points_interval

    a, b = duel["pair"]
    return (
        f"{a} − {b}: {points(duel['test']['difference'])} on the test, {points(duel['fresh']['difference'])} here; "
        f"a change of {points(duel['change'])} (95% CI {points_interval(*duel['change_ci'])})"
    )
