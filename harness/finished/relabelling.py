"""Disputed labels: handed out blind with random controls, and a run rescored with the corrections; nothing is asked."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import DataError, UsageError, nearest
from harness.execution.work import digest
from harness.files import json_text, write_json, write_together, write_whole
from harness.findings import finding
from harness.finished.stored import Stored, made_for
from harness.guessing.looking import check_file
from harness.numbers import counted
from harness.plugins import Plugins
from harness.types import Prediction, Status

PLACE = "relabel"
"""Folder of answer keys and corrected copies in a run's folder."""
CONTROLS = 20
"""Control items at least, as far as there are any; as many as disputed ones where those are more."""
ID, LABELS, LABEL = "example_id", "labels", "label"
"""Columns that are not text; a text field of such a name gets a bracket."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets take a cell that begins like this for a formula."""
NUMBER = re.compile(r"[\d.,:/ -]*\d([eE][+-]?\d+)?")
"""They take such an id for a number or a date, and write it as they like."""


class Judged(NamedTuple):
    """One row of a file that came back."""

    line: int
    id: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What was written for people to label."""

    path: Path
    disputed: int
    controls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """A run with corrected labels."""

    folder: Path
    results: Mapping[str, Any]

    @property
    def found(self) -> Mapping[str, Any]:
        """The part `relabel` of the results."""
        return dict(self.results["relabel"])

    def sentence(self) -> str:
        """Says in one sentence what the corrections did."""
        found, kinds = self.found, self.found["verdict"]
        changed = counted(found["corrected"], "label")
        now = f"the verdict is now: {kinds['after']}" if kinds["changed"] else f"the verdict stands: {kinds['after']}"
        return f"{changed} of {found['judged']} judged changed; {now}"


def disputed(run: Stored) -> dict[str, list[str]]:
    """Returns test example → why its label is in doubt: `arms` agree on another one, or `quality` found it unlikely.

    Arms agree against a label where at least two, and more than half of those that answered, give the same other one.
    Simulated arms have no opinion.
    """
    answers: dict[str, list[str]] = {}
    for name, rows in run.predictions.items():
        if not run.arms[name]["simulated"]:
            for row in rows:
                if row.status is Status.ANSWERED and row.predicted is not None:
                    answers.setdefault(row.example_id, []).append(row.predicted)
    found: dict[str, list[str]] = {}
    for name in sorted(answers):
        label, votes = Counter(answers[name]).most_common(1)[0]
        if votes > 1 and 2 * votes > len(answers[name]) and label != run.test[name].label:
            found.setdefault(name, []).append("arms")
    for name in sorted(_unlikely(run) & run.test.keys()):
        found.setdefault(name, []).append("quality")
    return found


def _unlikely(run: Stored) -> set[str]:
    """Returns the examples that the quality report lists as likely label errors."""
    from harness.prepare.signals.label_findings import KIND

    try:
        ranked = json.loads((run.folder.data / "quality.json").read_text(encoding="utf-8"))["ranked"]
    except (OSError, ValueError, LookupError):
        ranked = run.results.get("data", {}).get("ranked") or []
    return {item["id"] for each in ranked if each["kind"] == KIND for item in each["items"]}


def export(run: Stored, out: Path | None, controls: int | None, seed: int | None) -> Sheet:
    """Writes disputed test items and random controls, shuffled, for people to label; the answer key stays in the run.

    Args:
        run: The run.
        out: The file; by default in the run's folder.
        controls: How many; by default as many as are disputed, at least `CONTROLS`.
        seed: Of the draw and of the order; by default the run's.

    Raises:
        UsageError: The file is there already with something else in it.
        DataError: The run has no answers, or no texts.
    """
    seed = run.results["run"]["seed"] if seed is None else seed
    doubts = disputed(run)
    rest = sorted(run.test.keys() - doubts.keys())
    draw = random.Random(digest(["relabel", seed]))
    wanted = max(CONTROLS, len(doubts)) if controls is None else controls
    drawn = draw.sample(rest, min(wanted, len(rest)))
    order = sorted([*doubts, *drawn])
    draw.shuffle(order)
    key = {
        "schema": 1,
        "run": run.results["run"]["id"],
        "seed": seed,
        "items": [
            {"id": name, "kind": "disputed" if name in doubts else "control", "why": doubts.get(name, [])}
            for name in order
        ],
    }
    mark = digest(key)[:8]
    path, sheet = out or run.folder.path / PLACE / f"{mark}.csv", _sheet(run, order)
    if path.is_file() and path.read_bytes() != sheet.encode("utf-8", "replace"):
        raise UsageError(
            f"{path} is there already, and may be filled in", "apply it with --apply, or name another file"
        )
    write_json(run.folder.path / PLACE / f"{mark}.json", key)
    write_whole(path, sheet)
    return Sheet(path=path, disputed=len(doubts), controls=len(drawn))


def _sheet(run: Stored, order: Sequence[str]) -> str:
    """Returns the file: nothing in it tells disputed items from controls, or says what anybody answered."""
    texts = list(dict.fromkeys(name for key in order for name in run.test[key].fields))
    titles = [f"({name})" if name in (ID, LABELS, LABEL) else name for name in texts]
    allowed = " | ".join(run.results["run"]["labels"])
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([_cell(title) for title in (ID, *titles, LABELS, LABEL)])
    for key in order:
        fields = run.test[key].fields
        writer.writerow([_cell(key, NUMBER), *(_cell(fields.get(name, "")) for name in texts), _cell(allowed), ""])
    return "\ufeff" + written.getvalue()  # by its mark spreadsheets know the file for UTF-8


def _cell(text: str, odd: re.Pattern[str] | None = None) -> str:
    """Returns a text that no spreadsheet takes for a formula, nor for what `odd` matches."""
    return f"'{text}" if text.startswith(FORMULA) or (odd and odd.fullmatch(text)) else text


def apply(run: Stored, file: Path, plugins: Plugins) -> Rescored:
    """Rescores a copy of the run with the labels of `file`; the run's own files stay as they are.

    Args:
        run: The run.
        file: What `export` wrote, filled in.
        plugins: Metrics and sections are taken from them.

    Raises:
        UsageError: The file names an item or a label that there is not, or an item twice.
        DataError: The file cannot be read.
    """
    keys = dict(_keys(run))
    if not keys:
        raise UsageError("no item of this run was handed out", "begin with `harness relabel RUN`, without --apply")
    judged = _judged(run, file)
    mark = max(keys, key=lambda mark: (sum(each.id in keys[mark] for each in judged), mark))
    kinds = keys[mark]
    for each in judged:
        if each.id not in kinds:
            raise UsageError(f'{file}, line {each.line}: "{each.id}" was not handed out; {nearest(each.id, kinds)}')
    labels = {each.id: each.label for each in judged}
    folder = run.folder.path / PLACE / digest([mark, sorted(labels.items())])[:8]
    results = _rescored(run, labels, kinds, plugins)
    files = {"results.json": json_text(results), "report.html": _page(run, labels, results, plugins)}
    write_together(folder, {name: text.encode("utf-8", "replace") for name, text in files.items()})
    return Rescored(folder=folder, results=results)


def _keys(run: Stored) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the answer keys of a run: mark → example → `disputed` or `control`."""
    for path in sorted((run.folder.path / PLACE).glob("*.json")):
        try:
            items = json.loads(path.read_text(encoding="utf-8"))["items"]
            yield path.stem, {item["id"]: item["kind"] for item in items}
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DataError(f"{path} is broken: {error}", "hand the items out again: `harness relabel RUN`") from None


def _judged(run: Stored, file: Path) -> list[Judged]:
    """Reads the rows of a file that have a label."""
    check_file(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{file} cannot be read: {error.strerror}", "name the CSV file that `harness relabel` wrote"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start})", "save it as CSV in UTF-8") from None
    allowed = run.results["run"]["labels"]
    found: dict[str, Judged] = {}
    for line, row in _rows(file, text):
        name, label = _bare(row[ID] or "", NUMBER), _bare(row[LABEL] or "")
        if not label:
            continue
        each = Judged(line, name, label)
        if label not in allowed:
            raise UsageError(f'{file}, line {each.line}: there is no label "{label}"; {nearest(label, allowed)}')
        before = found.setdefault(name, each)
        if before.label != label:
            raise UsageError(f'{file}, line {each.line}: "{name}" has another label in line {before.line}')
    return list(found.values())


def _rows(file: Path, text: str) -> list[tuple[int, dict[str, str | None]]]:
    """Returns the rows of a file that came back, each with the number of its last line; a cell may be of any length.

    Raises:
        DataError: A quoted cell is never closed, or a column is missing.
    """
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # spreadsheets write what their country's numbers leave free
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, str | None]]] = []
    limit, done = csv.field_size_limit(len(text)), 0
    try:
        missing = [name for name in (ID, LABEL) if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f'{file} has no column "{missing[0]}"', f"columns {ID} and {LABEL} are expected")
        done = reader.line_num
        for row in reader:
            done = reader.line_num
            rows.append((done, row))
    except csv.Error as error:
        reason = "a quoted cell is never closed" if "unexpected end" in str(error) else str(error)
        raise DataError(f"{file}, line {done + 1}: {reason}", 'double the quotes within quoted cells ("")') from None
    finally:
        csv.field_size_limit(limit)
    return rows


def _bare(cell: str, odd: re.Pattern[str] | None = None) -> str:
    """Returns what `_cell` was given."""
    said = cell.strip()
    own = said.removeprefix("'")
    return own if _cell(own, odd) != own else said


def _rescored(run: Stored, labels: Mapping[str, str], kinds: Mapping[str, str], plugins: Plugins) -> dict[str, Any]:
    """Scores the corrected copy and says what has changed."""
    from harness.outcome.measures import Tested, measured
    from harness.scoring.results import build

    facts, arms = run.facts()
    corrected = {name: label for name, label in labels.items() if label != run.test[name].label}
    test = {name: replace(example, label=corrected.get(name, example.label)) for name, example in run.test.items()}
    rows = {arm.name: tuple(_corrected(row, corrected) for row in arm.predictions) for arm in arms}
    tested = Tested(examples=test, labels=facts.labels, ordered=facts.ordered)
    scored, lost = measured(made_for(run.manifest, "metric", plugins), tested, rows, lambda _: False)
    # What a plugin that is not here once computed was about the old labels
    fresh = [
        replace(arm, predictions=rows[arm.name], metrics=dict.fromkeys(arm.metrics) | scored[arm.name]) for arm in arms
    ]
    found = _summary(run, labels, corrected, kinds)
    judged = {"corrected": found["corrected"], "labels_judged": found["judged"]}
    check = finding("relabelled", "warning", {**found["controls"], **judged})
    results = build(replace(facts, checks=(*facts.checks, check, *lost)), fresh)
    after = {arm["name"]: arm["accuracy"] for arm in results["arms"]}
    lines = [
        {"arm": name, "before": was["accuracy"], "after": after[name], "change": _change(was["accuracy"], after[name])}
        for name, was in run.arms.items()
    ]
    old, new = run.results["verdict"], results["verdict"]
    changed = (old["kind"], old["arm"]) != (new["kind"], new["arm"])
    verdict = {"before": old["sentence"], "after": new["sentence"], "changed": changed}
    kept = {name: value for name, value in run.results.items() if name not in results}
    return {**kept, **results, "relabel": {**found, "arms": lines, "verdict": verdict}}


def _corrected(row: Prediction, labels: Mapping[str, str]) -> Prediction:
    return replace(row, expected=labels[row.example_id]) if row.example_id in labels else row


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _summary(
    run: Stored, labels: Mapping[str, str], corrected: Mapping[str, str], kinds: Mapping[str, str]
) -> dict[str, Any]:
    """Counts what was judged; the controls alone say how many labels are wrong that nobody disputed."""
    from harness.scoring.statistics import wilson

    judged = {kind: [name for name in labels if kinds[name] == kind] for kind in ("disputed", "control")}
    wrong = {kind: sum(name in corrected for name in names) for kind, names in judged.items()}
    n, k = len(judged["control"]), wrong["control"]
    rest = len(run.test) - sum(kind == "disputed" for kind in kinds.values())
    shares = (k / n, *wilson(k, n)) if n else None
    overall = None if shares is None else [(wrong["disputed"] + share * rest) / len(run.test) for share in shares]
    return {
        "judged": len(labels),
        "corrected": len(corrected),
        "labels": dict(corrected),
        "disputed": {"judged": len(judged["disputed"]), "wrong": wrong["disputed"]},
        "controls": {"judged": n, "wrong": k, "rate": k / n if n else None, "ci": list(wilson(k, n)) if n else None},
        "label_error_rate": overall[0] if overall else None,
        "label_error_ci": overall[1:] if overall else None,
    }


def _page(run: Stored, labels: Mapping[str, str], results: dict[str, Any], plugins: Plugins) -> str:
    """Renders the copy's page over the run's own texts and answers, their labels corrected."""
    from harness.report.page import render
    from harness.report.reading import load

    told = load(run.folder.path)
    answers, examples = dict(told.predictions), dict(told.examples)
    answers["expected"] = _patched(answers["example_id"], answers["expected"], labels)
    examples["label"] = _patched(examples["id"], examples["label"], labels)
    page = replace(told, data=results, predictions=answers, examples=examples)
    return render(page, made_for(run.manifest, "section", plugins))


def _patched(ids: Sequence[str], values: Sequence[str], labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, value) for name, value in zip(ids, values, strict=True))
