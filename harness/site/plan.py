"""Publishing in two steps: everything is rendered and looked through, then written so that no link ever leads nowhere.

Written first is what nothing leads to yet (runs' folders, each whole or not at all; pages of pairs), then `latest/`,
then the index; what the index no longer leads to goes last. Stopped anywhere, the site is the old one or the new one,
and the same command completes it. Nothing that is not ours is overwritten or deleted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, UsageError
from harness.files import clear, copy_folder, make_folder, write_whole
from harness.runs import RunFolder
from harness.site.compared import page_name, render_pair
from harness.site.index import Row, ours, pairs, read_row, read_rows, render_index
from harness.site.staging import BADGE, PAGE, Staged, Wishes, look_at, stage
from harness.site.workflow import Workflow, workflow

if TYPE_CHECKING:
    from harness.contract import Section

INDEX, LATEST, COMPARE, NOJEKYLL = "index.html", "latest", "compare", ".nojekyll"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What leaves, before it does."""

    site: Path
    runs: tuple[Staged, ...]
    """New runs."""
    unchanged: tuple[str, ...]
    """Runs that are published already, byte for byte."""
    pages: Mapping[str, bytes]
    """Path below the site's folder → content of what is built from all runs, in the order of writing."""
    stale: tuple[str, ...]
    """Pages of ours that nothing leads to any more."""
    skipped: tuple[str, ...]
    """What lies in the site's folder and is no run, and why."""
    workflow: Workflow | None

    @property
    def files(self) -> dict[str, int]:
        """All files that are written, below the site's folder, with their sizes in bytes."""
        found = {
            f"{staged.name}/{path}": (staged.folder / path).stat().st_size
            for staged in self.runs
            for path in staged.files
        }
        return found | {path: len(content) for path, content in self.pages.items()}

    def write(self) -> Path:
        """Writes what is planned.

        Returns:
            The site's index.

        Raises:
            UsageError: Nothing can be written there.
            UnfinishedError: The disk is full.
        """
        make_folder(self.site)
        clear(self.site)
        for staged in self.runs:
            copy_folder(staged.folder, self.site / staged.name)
        for path, content in self.pages.items():
            write_whole(self.site / path, content)
        for path in self.stale:
            (self.site / path).unlink(missing_ok=True)
        if self.workflow is not None:
            write_whole(self.workflow.path, self.workflow.text)
        return self.site / INDEX


@contextmanager
def planned(
    runs: Sequence[Path], site: Path, sections: Callable[[Path], Sequence[Section]], wishes: Wishes
) -> Iterator[Plan]:
    """Renders what would be published, in a folder that is gone after the block; writes nothing to the site.

    Args:
        runs: Folders of finished runs.
        site: The site's folder; it need not exist.
        sections: Returns instances of section plugins for a run, given its folder.
        wishes: Which texts may leave, and the like.

    Raises:
        DataError: A run has no results.
        UsageError: A run is a preview, is published with another content, or files that are not ours stand in the way.
        GateError: Something that looks like a key or personal data would leave.
    """
    if site.exists() and not site.is_dir():
        raise UsageError(f"{site} is a file", "name a folder: --site DIR")
    deploys = workflow(site) if wishes.pages else None
    folders = list(dict.fromkeys(run.resolve() for run in runs))
    names = [folder.name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two runs are called {twice[0]}", "rename the folder of one of them")
    _allow(site / INDEX)
    _own_folder(site / LATEST)
    with tempfile.TemporaryDirectory(prefix="harness-publish-") as scratch:
        staged = [stage(run, Path(scratch) / run.name, sections(run), wishes) for run in folders]
        new = tuple(one for one in staged if not _published(one, site))
        yield _plan(site, tuple(staged), new, deploys)


def _plan(site: Path, staged: tuple[Staged, ...], new: tuple[Staged, ...], deploys: Workflow | None) -> Plan:
    rows, skipped = read_rows(site)
    fresh = {one.name: one for one in new}
    known = {row.id: row for row in rows} | {name: read_row(one.folder) for name, one in fresh.items()}
    wanted = pairs(known.values())
    pages, failed = _pair_pages(site, wanted, known, fresh)
    there = {page for page in _pages_of_pairs(site) if page in {page_name(*pair) for pair in wanted}}
    compared = [pair for pair in wanted if page_name(*pair) in pages or page_name(*pair) in there]
    pages |= _latest(site, max(known.values(), key=lambda row: row.age), fresh) if known else {}
    if not (site / NOJEKYLL).exists():
        pages[NOJEKYLL] = b""
    pages[INDEX] = render_index(list(known.values()), compared).encode("utf-8", "replace")
    for path, content in pages.items():
        if path.endswith((".html", ".svg")):
            look_at(path, content.decode("utf-8", "replace"))
    keep = {page_name(*pair) for pair in compared} | set(pages)
    return Plan(
        site=site,
        runs=new,
        unchanged=tuple(one.name for one in staged if one not in new),
        pages=pages,
        stale=tuple(sorted({*_pages_of_pairs(site), *_old_parts(site)} - keep)),
        skipped=(*skipped, *failed),
        workflow=deploys,
    )


def _pair_pages(
    site: Path, wanted: Sequence[tuple[str, str]], known: Mapping[str, Row], fresh: Mapping[str, Staged]
) -> tuple[dict[str, bytes], list[str]]:
    """Renders the pages of pairs that have none yet; texts stand on it where the later run is published with them."""
    pages: dict[str, bytes] = {}
    failed = []
    for a, b in wanted:
        name = page_name(a, b)
        if a not in fresh and b not in fresh and ours(site / name):
            continue
        _allow(site / name)
        folders = tuple(fresh[one].folder if one in fresh else site / one for one in (a, b))
        try:
            page = render_pair((known[a], known[b]), (folders[0], folders[1]), texts=_with_texts(folders[1]))
        except (DataError, LookupError, TypeError, ValueError) as error:  # another version's run: the others go on
            failed.append(f"{name} cannot be made: {getattr(error, 'message', repr(error))}")
        else:
            pages[name] = page.encode("utf-8", "replace")
    return pages, failed


def _with_texts(folder: Path) -> bool:
    """Whether a run lies in the site, or is staged for it, with texts and answers."""
    told = RunFolder(folder).read_manifest().get("published") or {}
    return bool(told.get("samples", "none") != "none")


def _latest(site: Path, row: Row, fresh: Mapping[str, Staged]) -> dict[str, bytes]:
    """Returns the newest run's page, what it loads and its badge: a copy, which needs no redirection."""
    source = fresh[row.id].folder if row.id in fresh else site / row.id
    names = [*_parts(source), BADGE, PAGE]  # the page last: what it leads to is there before it
    return {f"{LATEST}/{name}": (source / name).read_bytes() for name in names if (source / name).is_file()}


def _parts(folder: Path) -> list[str]:
    """Returns what a page loads: files in a folder beside it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*.chunks/*.js"))


def _old_parts(site: Path) -> list[str]:
    return [f"{LATEST}/{name}" for name in _parts(site / LATEST)]


def _pages_of_pairs(site: Path) -> list[str]:
    found = sorted((site / COMPARE).glob("*..*.html"))
    return [path.relative_to(site).as_posix() for path in found if ours(path)]


def _allow(page: Path) -> None:
    if page.exists() and not ours(page):
        raise UsageError(f"{page} is not ours and stays as it is", "publish into another folder: --site DIR")


def _own_folder(folder: Path) -> None:
    """Lets a folder pass that is empty, missing, or has a page of ours."""
    _allow(folder / PAGE)
    if folder.exists() and not (folder / PAGE).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} holds files that are not ours", "publish into another folder: --site DIR")


def _published(staged: Staged, site: Path) -> bool:
    """Whether a run is in the site already, with the same content.

    Raises:
        UsageError: It is there with another content, or the folder is not ours.
    """
    folder = site / staged.name
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    _own_folder(folder)
    other = [path for path in staged.files if not _same(staged.folder / path, folder / path)]
    if not other:
        return True
    same = "the same figures, made by another version, in another language, or with other --samples or --redact"
    what = "other figures" if "results.json" in other else same
    raise UsageError(
        f"{staged.name} is published in {site} already, with {what} ({', '.join(other)} would change); "
        "what is published stays as it is",
        f"to replace it, delete {folder} and publish again",
    )


def _same(new: Path, old: Path) -> bool:
    """Whether two files say the same: tables by their rows, for their bytes depend on the version that wrote them."""
    if not old.is_file():
        return False
    if new.read_bytes() == old.read_bytes():
        return True
    if new.suffix != ".parquet":
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_table(new).equals(pq.read_table(old)))
    except (OSError, pa.ArrowException):
        return False
