"""Results → one HTML file under a strict Content-Security-Policy. No clock, no randomness: the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import findings, numbers, words
from harness.blocks import Explorer, Results
from harness.report import facts, verdict
from harness.report.arms import Look, look_of, looks
from harness.report.explorer.packing import Packer
from harness.report.gaps import alarms
from harness.report.reading import Samples, load, withhold
from harness.report.sections import Spoken, remark
from harness.report.sentence import sentence
from harness.report.telling import tell

if TYPE_CHECKING:
    from jinja2 import Environment

    from harness.contract import Section

STYLES = ("base.css", "decision.css")
SCRIPTS = ("theme.js", "decision.js", "calculator.js")
"""What a run's page is styled and driven by: files of `assets/`, in this order."""

_COMMENT = re.compile(r"//.*|/\*[^*]*\*/")

CHUNK = re.compile(r"[0-9a-f]{16}\.js")
"""Names of the files beside a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A page, and what must stand beside it."""

    html: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Path, relative to the page → content: texts of examples, where they are too many for the page itself."""


def render(results: Results, sections: Sequence[Section], *, samples: Samples = "all") -> str:
    """Renders a page that holds everything itself, however large; see `compose`.

    Returns:
        One HTML document that requests nothing.
    """
    return compose(results, sections, samples=samples, inline_all=True).html


def compose(
    results: Results,
    sections: Sequence[Section],
    *,
    samples: Samples = "all",
    inline_all: bool = False,
    name: str = "report",
) -> Document:
    """Renders a page.

    Args:
        results: What the page shows.
        sections: Instances of section plugins, in any order.
        samples: With `none` no section sees a text or an answer; with `errors` only those that some arm got wrong.
        inline_all: Leave nothing beside the page, whatever its size.
        name: The page's file name, without its suffix: files beside it are in the folder `NAME.chunks`.
    """
    told = tell(withhold(results, samples), sections)
    env, data = environment(), told.data
    among = looks(data)
    packer = Packer(folder=f"{name}.chunks", inline_all=inline_all)
    bodies = [_section(env, spoken, among, packer) for spoken in told.sections]
    first, second = facts.contenders(data)
    explored = packer.count > 0
    css = assets(*STYLES, *(["explorer.css"] if explored else []))
    cells = any('class="cells"' in str(body["body"]) for body in bodies)
    script = assets(*SCRIPTS, *(["matrix.js"] if cells else []), *(["parts.js", "explorer.js"] if explored else []))
    page = env.get_template("page.html.j2").render(
        lang=words.language(),
        policy=policy(css, script, loads=bool(packer.files)),
        css=own(css),
        script=own(script),
        sentence=sentence(data),
        eyebrow=verdict.eyebrow(data),
        remarks=verdict.remarks(data),
        alarms=[{"kind": check["kind"], "said": findings.said(check)} for check in alarms(data)],
        gaps=told.gaps,
        versus=[look_of(str(arm["name"]), among) for arm in (first, second) if arm is not None],
        paragraph=verdict.paragraph(data),
        tiles=verdict.tiles(data),
        sections=bodies,
    )
    html = str(page).encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no place in a file
    return Document(html=html, files=packer.files)


def build(
    folder: Path,
    sections: Sequence[Section],
    out: Path | None = None,
    samples: Samples = "all",
    inline_all: bool = False,
) -> Path:
    """Rebuilds a run's page from its three result files, atomically.

    Args:
        folder: The run's folder.
        sections: Instances of section plugins.
        out: Where the page goes, by default `report.html` in the run's folder.
        samples: See `compose`.
        inline_all: See `compose`.

    Returns:
        The page's path.

    Raises:
        DataError: `results.json` is missing, broken or of another schema.
    """
    out = out or folder / "report.html"
    write(compose(load(folder), sections, samples=samples, inline_all=inline_all, name=out.stem), out)
    return out


def write(document: Document, out: Path) -> None:
    """Writes a page and the files beside it; at no moment does a page lack its files, and those of older pages go."""
    from harness.files import write_together, write_whole

    beside = out.parent / f"{out.stem}.chunks"
    files = {Path(path).name: text.encode() for path, text in document.files.items()}
    if files:
        write_together(beside, files)
    write_whole(out, document.html)
    if beside.is_dir():
        for path in beside.iterdir():
            if CHUNK.fullmatch(path.name) and path.name not in files:
                path.unlink()
        if not any(beside.iterdir()):
            beside.rmdir()


def _section(env: Environment, spoken: Spoken, among: Mapping[str, Look], packer: Packer) -> dict[str, Any]:
    """Renders one section; blocks that cannot be drawn become a remark in its place."""
    from harness.report.view import views

    template = env.get_template("section.html.j2")
    try:
        blocks = [packer.pack(block, among) if isinstance(block, Explorer) else block for block in spoken.blocks]
        body = template.render(views=views(blocks, among), looks=among)
    except Exception as error:  # the page must be built whatever a plugin yields
        body = template.render(views=views([remark(spoken.plugin, error)], among), looks=among)
    return {"id": f"section-{_slug(spoken.name)}", "title": spoken.title, "body": own(body)}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or hashlib.sha256(name.encode()).hexdigest()[:8]


def policy(css: str, script: str, *, loads: bool = False) -> str:
    """Returns the page's Content-Security-Policy: nothing but our own style and script, by their hashes.

    Where there are files beside the page, what our script loads may run as well (`strict-dynamic`): of all the ways to
    allow them, the only one that names no address and works both from disk and from a host.
    """
    trusted = "' 'strict-dynamic'" if loads else "'"
    return (
        f"default-src 'none'; script-src '{_hash(script)}{trusted}; style-src '{_hash(css)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def assets(*names: str) -> str:
    """Returns files of `assets/`, such as `base.css`, one after the other, without indents and lines of comment."""
    folder = resources.files("harness.report").joinpath("assets")
    lines = [line.strip() for name in names for line in folder.joinpath(name).read_text("utf-8").splitlines()]
    return "\n".join(line for line in lines if line and not _COMMENT.fullmatch(line)) + "\n"


def json_island(value: Any) -> Any:
    """Returns a value as JSON that may stand in a `<script>` of data: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return own(text)


def own(text: str) -> Any:
    """Marks our own text (CSS, script, rendered templates) as safe; never anything that came from data."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


@cache
def environment() -> Environment:
    """Returns the templates' environment: autoescape on, undefined names are errors."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from harness.report.view import anchor, badge, cell, classes, stacks

    env = Environment(
        loader=PackageLoader("harness.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        count=numbers.count,
        say=words.say,
        anchor=anchor,
        badge=badge,
        cell=cell,
        classes=classes,
        look_of=look_of,
        stacks=stacks,
    )
    env.filters["json_island"] = json_island
    return env
