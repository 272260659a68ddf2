"""GitHub Pages: a workflow that deploys the site's folder, and where the site will be, without asking a network."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

OURS = "# Written by finetune-harness (harness publish --pages): it is replaced when that is called again."
PLACE = Path(".github") / "workflows" / "pages.yml"
SETTING = "in the repository's Settings → Pages → Build and deployment, set Source to “GitHub Actions”"
_PLAIN = re.compile(r"[A-Za-z0-9_./ -]+")
_GITHUB = re.compile(
    r"(?:https?://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|(?:[^@/]*@)?)github\.com(?::\d+)?[/:]([^/]+)/([^/]+?)(?:\.git)?/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow that deploys a site."""

    path: Path
    """Where it belongs."""
    text: str
    address: str | None
    """Where the site will be, where the repository's origin is on GitHub."""


def workflow(site: Path) -> Workflow:
    """Makes the workflow of a site.

    Raises:
        UsageError: There is another workflow of that name, or the site's folder cannot be deployed by one.
    """
    root = repository(site)
    folder = site.resolve()
    if not folder.is_relative_to(root):
        raise UsageError(f"{site} is not in the repository {root}", "publish into a folder of it: --site DIR")
    place = folder.relative_to(root).as_posix()
    if place == ".":
        raise UsageError(
            f"{site} is the repository's root: all of it would be deployed", "give the site a folder: --site DIR"
        )
    if not _PLAIN.fullmatch(place):
        raise UsageError(f'"{place}" cannot stand in a workflow', "name the site's folder with a-z, 0-9, dot, dash")
    path = root / PLACE
    if path.exists() and not (path.is_file() and path.read_text("utf-8", errors="replace").startswith(OURS)):
        raise UsageError(f"{path} is not ours and stays as it is", "rename it, or deploy the folder from it")
    return Workflow(path=path, text=_text(place), address=address(_origin(root)))


def repository(site: Path) -> Path:
    """Returns the root of the repository that holds a site's folder, or the current folder where none does."""
    for folder in (site.resolve(), *site.resolve().parents):
        if (folder / ".git").exists():
            return folder
    return Path.cwd().resolve()


def address(origin: str) -> str | None:
    """Returns where GitHub shows the pages of a repository; `None` where it is not on GitHub.

    Args:
        origin: A remote's URL, in any of the forms that git knows.
    """
    found = _GITHUB.fullmatch(origin.strip())
    if found is None:
        return None
    owner, name = found[1].lower(), found[2]
    return f"https://{owner}.github.io/" + ("" if name.lower() == f"{owner}.github.io" else f"{name}/")


def _origin(root: Path) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "remote", "get-url", "origin"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout


def _text(place: str) -> str:
    """Writes the workflow: official actions alone, each at its major version, with no more rights than it needs."""
    return f"""{OURS}
name: Pages
on:
  push:
    paths: [{json.dumps(f"{place}/**")}, "{PLACE.as_posix()}"]
  workflow_dispatch:
permissions:
  contents: read
concurrency:
  group: pages
  cancel-in-progress: false
jobs:
  deploy:
    if: github.ref_name == github.event.repository.default_branch
    runs-on: ubuntu-latest
    permissions:
      contents: read
      pages: write
      id-token: write
    environment:
      name: github-pages
      url: ${{{{ steps.deployment.outputs.page_url }}}}
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - uses: actions/configure-pages@v5
      - uses: actions/upload-pages-artifact@v4
        with:
          path: {json.dumps(place)}
      - id: deployment
        uses: actions/deploy-pages@v4
"""
