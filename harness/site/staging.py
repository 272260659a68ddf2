"""A run as it is published: a run's folder with less in it, made beside the site and looked through before it leaves.

What a page is built from is published with it, so that it can be rebuilt, decided anew and compared: figures, settings,
each answer's label and tokens, and of the texts only what may be shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import numbers
from harness.errors import GateError, UsageError
from harness.files import json_text
from harness.report import scan
from harness.report.explorer.packing import unpacked
from harness.report.page import build
from harness.report.reading import Samples, read_results, unquoted
from harness.runs import RunFolder
from harness.site import private
from harness.site.badge import draw
from harness.words import language

if TYPE_CHECKING:
    from harness.contract import Section

FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
RESERVED = frozenset({"latest", "compare"})
"""Folders of the site that are no runs."""
PAGE, BADGE = "index.html", "badge.svg"

KEPT = (
    *("schema", "name", "id", "created", "finished", "command", "preview", "harness", "python", "machine", "git"),
    *("seeds", "experiment", "continued", "repeats", "plugins", "prices", "chain", "arms", "sections"),
)
"""What is published of a manifest: the experiment file's own tables stay, the experiment as resolved says the same.

Of them those of the page's sections leave, without which it could not be rebuilt.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How runs are to be published."""

    samples: Samples | None = None
    """Which texts and answers leave; `None`: none, unless the run's data set says `share = true`."""
    redact: bool = False
    """Take out what looks like a key or personal data."""
    pages: bool = False
    """Write a workflow that deploys the site to GitHub Pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A run's folder, ready to be moved into a site."""

    name: str
    folder: Path
    samples: Samples
    texts: int
    """Test examples whose texts leave."""
    columns: tuple[str, ...]
    """Columns of `predictions.parquet` that leave."""

    @property
    def files(self) -> tuple[str, ...]:
        """The folder's files, the page first."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return tuple(sorted((path.relative_to(self.folder).as_posix() for path in found), key=lambda p: (p != PAGE, p)))


def stage(run: Path, folder: Path, sections: Sequence[Section], wishes: Wishes) -> Staged:
    """Makes a run's folder as it is published; nothing that must not leave is in it.

    Args:
        run: Folder of a finished run, or of a published one.
        folder: Is made; the page stands in it when this returns.
        sections: Instances of section plugins.
        wishes: Which texts leave, and whether keys and personal data are taken out.

    Raises:
        DataError: The run has no results, or broken ones.
        UsageError: The run is a preview, or has a name that cannot be a folder's.
        GateError: Something that looks like a key or personal data would leave.
    """
    name = run.resolve().name
    data, manifest = read_results(run / "results.json"), RunFolder(run).read_manifest()
    _allow(name, data)
    shared = ((manifest.get("experiment") or {}).get("dataset") or {}).get("share") is True
    samples: Samples = wishes.samples or ("all" if shared else "none")
    folder.mkdir(parents=True)
    _keep_results(run, folder, data, samples)
    own = (manifest.get("tables") or {}).get("sections")
    kept = {key: manifest[key] for key in KEPT if key in manifest} | ({"sections": own} if own else {})
    kept |= {"id": name, "published": {"samples": samples, "redacted": wishes.redact, "lang": language()}}
    (folder / "manifest.json").write_text(json_text(kept), "utf-8")
    columns, wrong = private.keep_predictions(run, folder, samples)
    texts = private.keep_examples(run, folder, samples, wrong)
    if wishes.redact:
        private.redact(folder)
    _hold(name, private.suspicious(folder), "add --redact: it takes them out of all that is published")
    page = build(folder, sections, folder / PAGE, samples)
    (folder / BADGE).write_text(draw(read_results(folder / "results.json"), name), "utf-8")
    for path in (page, folder / BADGE):
        look_at(f"{name}/{path.name}", path.read_text("utf-8"))
    return Staged(name=name, folder=folder, samples=samples, texts=texts, columns=columns)


def _keep_results(run: Path, folder: Path, data: Mapping[str, Any], samples: Samples) -> None:
    """Writes the results: byte for byte as they are, where no check quotes a text that must not leave."""
    shown = data if samples == "all" else unquoted(data)
    content = (run / "results.json").read_bytes() if shown == data else json_text(shown).encode("utf-8", "replace")
    (folder / "results.json").write_bytes(content)


_ISLAND = re.compile(r'<script type="text/plain"[^>]*>([A-Za-z0-9+/=\s]*)</script>')
"""What `explorer.packing.squeezed` made, in a page."""


def look_at(place: str, text: str) -> None:
    """Looks through a rendered file for keys: a plugin may have put there what no result holds.

    What is packed in it is unpacked first: among millions of random letters some look like a key.

    Raises:
        GateError: It holds one.
    """
    packed = [unpacked(island[1]) for island in _ISLAND.finditer(text)]
    shown = {one for part in (_ISLAND.sub("", text), *packed) for one in scan.suspects(part)}
    found = [scan.Finding(place, scan.KEY, one) for one in sorted(shown)]
    _hold(place, found, "it is in none of the run's files: a section plugin or a setting brought it in")


def _hold(name: str, found: Sequence[scan.Finding], cure: str) -> None:
    if found:
        raise GateError(f"{name} would publish what looks like keys or personal data: {scan.first_of(found)}", cure)


def _allow(name: str, data: dict[str, Any]) -> None:
    run = data.get("run")
    if not isinstance(run, dict):
        raise UsageError(f"{name}: results.json names no run", "rebuild it: `harness run` scores again")
    if run.get("preview"):
        raise UsageError(f"{name} is a preview (--limit) and cannot be published", "run it whole: leave --limit out")
    if not FOLDER.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f'"{name}" cannot be a folder of the site',
            f"rename the run's folder: a-z, 0-9, dot, dash; not {' or '.join(sorted(RESERVED))}",
        )


def told(staged: Staged) -> str:
    """Says which texts of a run leave."""
    if staged.samples == "none":
        return "samples: none; no text and no answer of a model leaves"
    n = numbers.count(staged.texts)
    return f"samples: {staged.samples}; the texts of {n} test examples leave, and the models' answers to them"
