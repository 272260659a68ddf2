"""Publishing: what leaves is listed before it does, and samples stay private unless the data may be shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.runs import RunFolder

if TYPE_CHECKING:
    from harness.site.plan import Plan
    from harness.site.staging import Wishes

HOLDS = {
    "index.html": "the page",
    "results.json": "every figure, names of arms, models, labels and slices, the command, checks",
    "manifest.json": "the experiment's settings with its prompts, versions, hashes",
    "data/examples.parquet": "ids and labels of the test examples, groups numbered",
    "badge.svg": "the verdict in a line",
}
"""File of a run → what is in it."""


def publish_runs(
    folders: Sequence[RunFolder],
    site: Path,
    sections: Callable[[Path], Sequence[Any]],
    wishes: Wishes,
    agree: Callable[[str], bool],
    tell: Callable[[str], object],
) -> Path:
    """Adds runs to a site.

    Args:
        folders: The runs.
        site: The site's folder.
        sections: Returns the sections of a run's report, given its folder.
        wishes: Which texts may leave, and the like.
        agree: Asked with the list of what leaves; publishing goes on where it says yes.
        tell: Takes what is to be done by hand afterwards, line for line.

    Returns:
        The site's index.

    Raises:
        UsageError: A run is a preview, unfinished, or published with another content; or nobody agreed.
        GateError: Something that looks like a key or personal data would leave.
    """
    from harness.site.plan import planned
    from harness.site.workflow import SETTING

    with planned([folder.path for folder in folders], site, sections, wishes) as plan:
        if not agree("\n".join(listed(plan))):
            raise UsageError("not published")
        index = plan.write()
    if plan.workflow is not None:
        tell(f"GitHub Pages: {SETTING}; then commit and push.")
        tell(
            f"The site will be at {plan.workflow.address}"
            if plan.workflow.address
            else "The site's address is shown there after the first deployment: origin is not a repository on GitHub."
        )
    return index


def listed(plan: Plan) -> Iterator[str]:
    """Yields, line for line, what leaves: files with their sizes, and which texts and columns are in them."""
    from harness.site.staging import told

    for reason in plan.skipped:
        yield f"left out: {reason}"
    for name in plan.unchanged:
        yield f"{name} is published already, with the same content"
    for staged in plan.runs:
        yield f"{staged.name} · {told(staged)}"
    yield f"these files are written to {plan.site}:"
    holds = {f"{staged.name}/{path}": what for staged in plan.runs for path, what in HOLDS.items()}
    holds |= {
        f"{staged.name}/predictions.parquet": f"each answer's {', '.join(staged.columns)}" for staged in plan.runs
    }
    for path, size in plan.files.items():
        what = holds.get(path)
        yield f"  {path}  {_size(size)}{f'  {what}' if what else ''}"
    for path in plan.stale:
        yield f"  {path}  is removed: nothing leads to it any more"
    if plan.workflow is not None:
        yield f"  {plan.workflow.path}  deploys the site's folder to GitHub Pages"


def _size(n: int) -> str:
    return f"{n / 1e6:,.1f} MB" if n >= 1e6 else f"{-(-n // 1000):,} kB"
