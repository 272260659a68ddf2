"""Publishing: what leaves is listed before it does, and samples stay private unless the data may be shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.report.page import Samples
from harness.runs import RunFolder


def publish_runs(
    folders: Sequence[RunFolder],
    site: Path,
    sections: Sequence[Any],
    *,
    samples: Samples | None,
    redact: bool,
    agree: Callable[[str], bool],
) -> Path:
    """Adds runs to a site.

    Args:
        folders: The runs.
        site: The site's folder.
        sections: The report's sections.
        samples: `all`, `errors` or `none`; by default `none`, unless every run's dataset says `share = true`.
        redact: Take out what looks like a key.
        agree: Asked with the list of files; publishing goes on where it says yes.

    Returns:
        The site's index.

    Raises:
        UsageError: A run is a preview or unfinished, or nobody agreed.
        GateError: Something that looks like a key would leave.
    """
    from harness.report.site import plan_publication, publish

    shared = all(_may_be_shared(folder.read_manifest()) for folder in folders)
    wanted: Samples = samples or ("all" if shared else "none")
    paths = [folder.path for folder in folders]
    plan = plan_publication(paths, site, sections, samples=wanted, redact=redact)
    listed = "\n".join(f"  {file}" for file in plan.files)
    if not agree(f"samples: {wanted}; these files are written:\n{listed}"):
        raise UsageError("not published")
    return publish(plan)


def _may_be_shared(manifest: Mapping[str, Any]) -> bool:
    """Whether the experiment says that the data's texts may be published."""
    dataset = (manifest.get("experiment") or {}).get("dataset") or {}
    return dataset.get("share") is True
