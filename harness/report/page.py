"""Results → one HTML file under a strict Content-Security-Policy. No clock, no randomness: the same bytes each time."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from harness.errors import DataError
from harness.report import facts, verdict
from harness.report.arms import Look, look_of, looks
from harness.report.blocks import Callout, Results

if TYPE_CHECKING:
    from jinja2 import Environment

    from harness.contract import Section

Samples: TypeAlias = Literal["all", "errors", "none"]
"""Which of the examples' texts and answers may stand in the page."""

EXAMPLE_COLUMNS = ("id", "split", "label", "text", "fields", "group", "slices", "time")
"""What the page reads of `examples.parquet`; its other columns repeat the text fields."""

STYLES = ("base.css",)
SCRIPTS = ("theme.js",)
"""What a run's page is styled and driven by: files of `assets/`, in this order."""

SCHEMA = 1
"""The schema of `results.json` that this page reads."""


def render(results: Results, sections: Sequence[Section], *, samples: Samples = "all") -> str:
    """Renders the page.

    Args:
        results: What the page shows.
        sections: Instances of section plugins, in any order.
        samples: With `none` no section sees a text or an answer; with `errors` only those that some arm got wrong.

    Returns:
        One HTML document that requests nothing.
    """
    allowed = withhold(results, samples)
    env = environment()
    among = looks(allowed.data)
    bodies = []
    for section in sorted(sections, key=lambda s: (getattr(s, "order", 10_000), str(s.name))):
        shown = _section(env, section, allowed, among)
        if shown is not None:
            bodies.append(shown)
    data = allowed.data
    first, second = facts.contenders(data)
    css, script = assets(*STYLES), assets(*SCRIPTS)
    page = env.get_template("page.html.j2").render(
        policy=policy(css, script),
        css=own(css),
        script=own(script),
        sentence=str((data.get("verdict") or {}).get("sentence") or "No verdict"),
        eyebrow=verdict.eyebrow(data),
        remarks=verdict.remarks(data),
        alarms=[check for check in data.get("checks") or () if check.get("level") == "error"],
        versus=[look_of(str(arm["name"]), among) for arm in (first, second) if arm is not None],
        paragraph=verdict.paragraph(data),
        tiles=verdict.tiles(data),
        sections=bodies,
    )
    return str(page).encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no place in a file


def build(folder: Path, sections: Sequence[Section], out: Path | None = None, samples: Samples = "all") -> Path:
    """Rebuilds a run's page from its three result files, atomically.

    Args:
        folder: The run's folder.
        sections: Instances of section plugins.
        out: Where the page goes, by default `report.html` in the run's folder.
        samples: See `render`.

    Returns:
        The page's path.

    Raises:
        DataError: `results.json` is missing, broken or of another schema.
    """
    from harness.files import write_whole

    out = out or folder / "report.html"
    write_whole(out, render(load(folder), sections, samples=samples))
    return out


def load(folder: Path) -> Results:
    """Reads `results.json` and, as far as they are there, predictions and examples of a run's folder.

    Raises:
        DataError: `results.json` is missing, broken or of another schema.
    """
    predictions = _columns(folder / "predictions.parquet", ("arm", "example_id"))
    examples = _columns(folder / "data" / "examples.parquet", ("id",), EXAMPLE_COLUMNS)
    return Results(data=read_results(folder / "results.json"), predictions=predictions, examples=examples)


def read_results(path: Path) -> dict[str, Any]:
    """Reads one `results.json`.

    Raises:
        DataError: It is missing, broken or of another schema.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing", "finish the run first: `harness run` goes on where it stopped")
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON: {error}", "rebuild it: `harness run` scores again, sending nothing"
        ) from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise DataError(
            f"{path} has schema {found!r}, this version reads schema {SCHEMA}",
            "rebuild it with `harness run`, or use the version that wrote it",
        )
    return data


def _columns(path: Path, order: tuple[str, ...], wanted: Sequence[str] = ()) -> Mapping[str, Sequence[Any]]:
    if not path.is_file():
        return {}
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    table = table.select([name for name in wanted or table.column_names if name in table.column_names])
    keys = [(name, "ascending") for name in order if name in table.column_names]
    table = table.sort_by(keys) if keys else table
    return {name: tuple(table.column(name).to_pylist()) for name in table.column_names}


def withhold(results: Results, samples: Samples) -> Results:
    """Takes texts and answers away before any section sees them, as far as `samples` says."""
    if samples == "all":
        return results
    predictions = {k: v for k, v in results.predictions.items() if k not in ("response", "error")}
    if samples == "none":
        return Results(data=results.data, predictions=predictions)
    columns = results.predictions
    pairs = zip(columns.get("example_id", ()), columns.get("expected", ()), columns.get("predicted", ()), strict=True)
    wrong = {key for key, expected, predicted in pairs if expected != predicted}
    kept = [n for n, key in enumerate(results.examples.get("id", ())) if key in wrong]
    examples = {name: tuple(values[n] for n in kept) for name, values in results.examples.items()}
    for name in ("response", "error"):
        if name in columns:
            keys = columns["example_id"]
            predictions[name] = tuple(
                value if key in wrong else None for key, value in zip(keys, columns[name], strict=True)
            )
    return Results(data=results.data, predictions=predictions, examples=examples)


def _section(env: Environment, section: Section, results: Results, among: Mapping[str, Look]) -> dict[str, Any] | None:
    """Renders one section; whatever a plugin raises becomes a remark in its place."""
    from harness.report.view import views

    name = str(section.name)
    title = str(getattr(section, "title", "") or name)
    private = Results(data=copy.deepcopy(results.data), predictions=results.predictions, examples=results.examples)
    template = env.get_template("section.html.j2")
    try:
        shown = views(section.blocks(private), among)
        if not shown:
            return None
        body = template.render(views=shown, looks=among)
    except Exception as error:  # the page must be built whatever a plugin does
        said = f"{type(error).__name__}: {error}"[:300]
        remark = Callout(text=f'The section "{name}" could not be shown. The plugin raised {said}', level="error")
        body = template.render(views=[{"kind": "callout", "block": remark}], looks=among)
    return {"id": f"section-{_slug(name)}", "title": title, "body": own(body)}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or hashlib.sha256(name.encode()).hexdigest()[:8]


def policy(css: str, script: str) -> str:
    """Returns the page's Content-Security-Policy: nothing but our own style and script, by their hashes."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(css)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def assets(*names: str) -> str:
    """Returns files of `assets/`, such as `base.css`, one after the other."""
    folder = resources.files("harness.report").joinpath("assets")
    return "\n".join(folder.joinpath(name).read_text("utf-8").rstrip("\n") for name in names) + "\n"


def own(text: str) -> Any:
    """Marks our own text (CSS, script, rendered templates) as safe; never anything that came from data."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


@cache
def environment() -> Environment:
    """Returns the templates' environment: autoescape on, undefined names are errors."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from harness.report.view import badge, cell

    env = Environment(
        loader=PackageLoader("harness.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(badge=badge, cell=cell, look_of=look_of)
    return env
