"""A static site of published runs: relative links only, works from disk and on any static host.

Two steps: `plan_publication` renders everything and says what would leave, `publish` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import numbers
from harness.errors import DataError, GateError, UsageError
from harness.files import write_whole
from harness.keys import KEYS
from harness.report import scan, verdict
from harness.report.blocks import Results
from harness.report.page import Samples, assets, environment, load, own, policy, read_results, render

if TYPE_CHECKING:
    from harness.contract import Section

FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
OURS = '<meta name="generator" content="finetune-harness">'
"""Stands in every page that is ours: others are never overwritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What leaves, before it does."""

    site: Path
    pages: Mapping[str, str]
    """Path below the site's folder → content of the files of the runs; the index is built when it is written."""

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are written, below the site's folder."""
        return (*self.pages, "index.html", ".nojekyll")


def plan_publication(
    runs: Sequence[Path], site: Path, sections: Sequence[Section], *, samples: Samples = "none", redact: bool = False
) -> Plan:
    """Renders what would be published; writes nothing.

    Args:
        runs: Folders of finished runs.
        site: The site's folder; it need not exist.
        sections: Instances of section plugins.
        samples: Which texts and answers may leave.
        redact: Put `[REDACTED]` in place of what looks like a key.

    Raises:
        DataError: A run has no results.
        UsageError: A run is a preview, or files that are not ours stand in the way.
        GateError: Something shaped like a key would leave.
    """
    pages: dict[str, str] = {}
    for run in runs:
        name = run.resolve().name
        results = load(run)
        _allow(name, results, site)
        text = (run / "results.json").read_text("utf-8")
        if redact:
            text = KEYS.sub(scan.REDACTED, text)
            results = _redacted(results)
        pages[f"{name}/index.html"] = render(results, sections, samples=samples)
        pages[f"{name}/results.json"] = text
    if _foreign(site / "index.html"):
        raise UsageError(f"{site / 'index.html'} is not ours", "publish into another folder: --site DIR")
    for path, text in pages.items():
        found = scan.suspects(text)
        if found:
            raise GateError(f"{path} would hold what looks like a key: {', '.join(found[:3])}", "add --redact")
    return Plan(site=site, pages=pages)


def publish(plan: Plan) -> Path:
    """Writes the planned files, each whole or not at all, then the index; deletes nothing.

    Returns:
        The site's index.
    """
    for path, text in plan.pages.items():
        write_whole(plan.site / path, text)
    index = plan.site / "index.html"
    write_whole(index, render_index(plan.site))
    write_whole(plan.site / ".nojekyll", "")
    return index


def render_index(site: Path) -> str:
    """Renders the index from the `results.json` files that are there, the latest run first."""
    rows = [row for path in site.glob("*/results.json") if (row := _row(path)) is not None]
    rows.sort(key=lambda row: row["id"])
    rows.sort(key=lambda row: row["date"], reverse=True)
    css, script = assets("base.css"), assets("site.js")
    return (
        environment()
        .get_template("index.html.j2")
        .render(policy=policy(css, script), css=own(css), script=own(script), rows=rows, n=numbers.count(len(rows)))
    )


def _row(path: Path) -> dict[str, Any] | None:
    """Returns a run's line of the index; `None` where the file is not ours or of another schema."""
    try:
        data = read_results(path)
    except (DataError, OSError):
        return None
    run = data.get("run") or {}
    return {
        "id": path.parent.name,
        "sentence": str((data.get("verdict") or {}).get("sentence") or "No verdict"),
        "dataset": str((run.get("dataset") or {}).get("name") or ""),
        "date": str(run.get("finished") or run.get("started") or "")[:10],
        "n": run.get("n_test"),
        "shown": numbers.count(run.get("n_test")),
        "remarks": verdict.remarks(data),
    }


def _allow(name: str, results: Results, site: Path) -> None:
    if (results.data.get("run") or {}).get("preview"):
        raise UsageError(f"{name} is a preview (--limit) and cannot be published", "run it whole: leave --limit out")
    if not FOLDER.fullmatch(name):
        raise UsageError(f'"{name}" cannot be a folder of the site', "rename the run: a-z, 0-9, dot, dash")
    if _foreign(site / name / "index.html"):
        raise UsageError(f"{site / name / 'index.html'} is not ours", "publish into another folder: --site DIR")


def _foreign(page: Path) -> bool:
    return page.is_file() and OURS not in page.read_text("utf-8", errors="replace")[:20_000]


def _redacted(results: Results) -> Results:
    return Results(
        data=scan.redact(dict(results.data)),
        predictions=scan.redact(dict(results.predictions)),
        examples=scan.redact(dict(results.examples)),
    )
