"""The site's index: a table of the runs that are there, built from their `results.json`, one read at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import numbers, words
from harness.errors import DataError
from harness.report import facts, verdict
from harness.report.complete import completed
from harness.report.page import assets, environment, own, policy
from harness.report.reading import read_results
from harness.report.sentence import sentence
from harness.site.staging import PAGE, RESERVED
from harness.words import say, say_n

OURS = '<meta name="generator" content="finetune-harness">'
"""Stands in every page that is ours: others are never overwritten."""
HEAD = 20_000
"""Characters in which a page says whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run in the index."""

    id: str
    """Its folder."""
    sentence: str
    dataset: str
    finished: str
    n: int | None
    difference: float | None
    payback: float | None
    """Requests."""
    remarks: tuple[str, ...]
    lang: str = ""
    """The sentence's language, where that is not the page's."""

    @property
    def age(self) -> tuple[str, str]:
        """What runs are ordered by, the earliest first."""
        return self.finished, self.id

    @property
    def date(self) -> str:
        """The day on which it finished."""
        return self.finished[:10]


def ours(page: Path) -> bool:
    """Whether a page was written by the harness."""
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            return OURS in file.read(HEAD)
    except OSError:
        return False


def read_row(folder: Path) -> Row:
    """Reads a run's line of the index.

    Raises:
        DataError: Its `results.json` is missing, broken or of another schema.
    """
    whole = read_results(folder / "results.json")
    data = completed(_few(whole)).data
    # Another language has the rules speak again, and these ask for more than the index does
    said = sentence(data if words.language() == words.ENGLISH else completed(whole).data)
    run = data["run"]
    first, second = facts.contenders(data)
    names = [str(arm["name"]) for arm in (first, second) if arm is not None]
    gap = facts.comparison(data, *names) if len(names) == 2 else None
    paid = facts.payback(data, names) if names else None
    return Row(
        id=folder.name,
        sentence=said.text,
        lang=said.lang,
        dataset=str((run.get("dataset") or {}).get("name") or ""),
        finished=str(run.get("finished") or run.get("started") or "")[:19],
        n=run.get("n_test"),
        difference=None if gap is None else gap.get("difference"),
        payback=None if paid is None else facts.paid_back_after(paid),
        remarks=tuple(verdict.remarks(data)),
    )


_FEW = {
    "arms": ("name", "family", "accuracy", "simulated", "imported"),
    "comparisons": ("a", "b", "metric", "primary", "difference"),
    "payback": ("arm", "against", "unit", "requests", "monthly"),
}
"""What the index says of each list's entries: completing all of them takes three times as long as reading them."""


def _few(data: Mapping[str, Any]) -> dict[str, Any]:
    few = {key: data.get(key) for key in ("schema", "run", "verdict")}
    for key, names in _FEW.items():
        entries = [entry for entry in data.get(key) or () if isinstance(entry, Mapping)]
        few[key] = [{name: entry[name] for name in names if name in entry} for entry in entries]
    return few


def read_rows(site: Path) -> tuple[list[Row], list[str]]:
    """Reads the runs of a site, the earliest first, and says what is no run of ours and why it is left out."""
    rows, skipped = [], []
    for path in sorted(site.glob("*/results.json")):
        folder = path.parent
        if folder.name in RESERVED or folder.name.startswith("."):
            continue
        if not ours(folder / PAGE):
            skipped.append(f"{path} has no page of ours beside it")
            continue
        try:
            rows.append(read_row(folder))
        except (DataError, OSError) as error:
            skipped.append(getattr(error, "message", str(error)))
        except (LookupError, TypeError, ValueError, AttributeError):
            skipped.append(f"{path} is not what a run writes")
    return sorted(rows, key=lambda row: row.age), skipped


def pairs(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Returns which runs are compared: each with the latest earlier one of the same data set's name."""
    last: dict[str, str] = {}
    found = []
    for row in sorted(rows, key=lambda row: row.age):
        if row.dataset in last:
            found.append((last[row.dataset], row.id))
        last[row.dataset] = row.id
    return found


def render_index(rows: Sequence[Row], compared: Iterable[tuple[str, str]] = ()) -> str:
    """Renders the index, the latest run first.

    Args:
        rows: The runs.
        compared: Pairs that have a page.
    """
    css, script = assets("base.css", "site.css"), assets("theme.js", "site.js")
    earlier = {b: a for a, b in compared}
    shown = [_shown(row, earlier.get(row.id)) for row in sorted(rows, key=lambda row: row.age, reverse=True)]
    lead = say_n(
        len(rows),
        "{n} published run, which compares fine-tuned models with prompts on a labelled task.",
        "{n} published runs, each of which compares fine-tuned models with prompts on a labelled task.",
        n=numbers.count(len(rows)),
    )
    return str(
        environment()
        .get_template("index.html.j2")
        .render(
            policy=policy(css, script),
            css=own(css),
            script=own(script),
            lang=words.language(),
            lead=lead if rows else say("No run is published yet."),
            rows=shown,
        )
    )


def _shown(row: Row, earlier: str | None) -> dict[str, Any]:
    return {
        "row": row,
        "difference": numbers.points(row.difference),
        "payback": numbers.count(row.payback),
        "n": numbers.count(row.n),
        "earlier": earlier,
    }
