"""What the documents show works: commands run, files load, links lead somewhere, tables name what is there.

In a document, ```` ```console ```` blocks are run (`$ harness …`, in a copy of `examples/`; a quotation may go on in
the next line), and a block after `<!-- file: NAME -->` is first written to that file. Blocks marked `sh` need a
network, a key or time, and are not run.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.cli import ROOT, harness

from harness.experiment.file import ExperimentFile
from harness.hookspecs import PROJECT
from harness.plugins.discovery import KINDS, discover

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
KOREAN = ROOT / "docs" / "ko"
TRANSLATED = {path: ROOT / path.name if path.name == "README.md" else ROOT / "docs" / path.relative_to(KOREAN)
              for path in sorted(KOREAN.rglob("*.md"))}  # fmt: skip
"""Translation → original. Its commands are the original's, and are not run again."""
OWN = frozenset({"from-labelled-data-to-a-deployed-model.md"})
"""Documents whose commands are run by a test of their own, which looks at what comes of them."""
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
FIGURES = re.compile(r"`[^`]+`|\d[\d.,–]*\d|\d|\*\*")


def blocks(document: Path) -> list[tuple[str | None, str, str]]:
    text = document.read_text(encoding="utf-8")
    return [(match["file"], match["kind"], match["text"]) for match in BLOCK.finditer(text)]


def commands(document: Path) -> list[str]:
    lines = [line for _, kind, text in blocks(document) if kind == "console" for line in text.splitlines()]
    found: list[str] = []
    for line in lines:
        if found and found[-1].count('"') % 2:  # a quotation that goes on
            found[-1] += f" {line.strip()}"
        elif line.startswith("$ "):
            found.append(line.removeprefix("$ "))
    return found


def runnable(document: Path) -> bool:
    return document not in TRANSLATED and any(command.startswith("harness ") for command in commands(document))


@cache
def help_of(*command: str) -> str:
    return harness(*command, "--help", cwd=ROOT).out


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def test_there_are_documents_with_commands() -> None:
    assert len(DOCUMENTS) > 8
    assert sum(map(runnable, DOCUMENTS)) >= 3


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if runnable(path) and path.name not in OWN], ids=name)
def test_commands_run(document: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "examples" / "review-stars" / "reviews.csv", tmp_path)
    for file, _, text in blocks(document):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
    for command in commands(document):
        program, *arguments = shlex.split(command)
        if program != "harness" or any("experiment.toml" in argument for argument in arguments):
            continue  # needs a key
        done = harness(*arguments, cwd=tmp_path)
        assert done.code == 0, f"$ {command}\n{done}"
        assert done.out.strip(), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_toml_is_toml(document: Path) -> None:
    for _, kind, text in blocks(document):
        if kind == "toml":
            tomllib.loads(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_document_has_a_title_and_short_lines(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert text.startswith("# ")
    prose = [line for line in BLOCK.sub("", text).splitlines() if not line.startswith(("|", "!["))]
    assert max(map(len, prose)) <= 120


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_and_options_exist(document: Path) -> None:
    """Each `harness …` of any block or code span names a command and options that its help knows."""
    text = document.read_text(encoding="utf-8")
    shown = [line for _, kind, body in blocks(document) if kind in {"sh", "console"} for line in body.splitlines()]
    shown += re.findall(r"`(harness [^`]*)`", text)
    for line in shown:
        words = line.removeprefix("$ ").split("#")[0].split()
        if len(words) < 2 or words[0] != "harness" or words[1].startswith("-"):
            continue
        assert re.search(rf"^\s*{re.escape(words[1])}\b", help_of(), re.MULTILINE), f"no such command: {line}"
        for option in (word for word in words[2:] if word.startswith("--")):
            assert option in help_of(words[1]), f"no such option: {option} in {line}"


def shape(document: Path) -> list[str]:
    """Returns what a translation leaves as it is: headings, items, and the figures of tables and quotations."""
    lines = BLOCK.sub("", document.read_text(encoding="utf-8")).splitlines()
    quoted = " ".join(line for line in lines if line.startswith(">"))
    rows = [line for line in lines if line.startswith("|")]
    figures = [" ".join(FIGURES.findall(line)) for line in (quoted, *rows)]
    return [match[0] for line in lines if (match := re.match(r"#+ |- |!", line))] + figures


def targets(document: Path) -> set[Path]:
    """Returns the files that a document leads to, the originals in the place of their translations."""
    found = {(document.parent / target).resolve() for target in LINK.findall(document.read_text(encoding="utf-8"))}
    return {TRANSLATED.get(path, path) for path in found}


def test_there_are_translations() -> None:
    assert {path.name for path in TRANSLATED} >= {"README.md", "tutorial.md"}


@pytest.mark.parametrize("document", TRANSLATED, ids=name)
def test_a_translation_shows_what_its_original_shows(document: Path) -> None:
    original = TRANSLATED[document]
    for shown, wanted in zip(blocks(document), blocks(original), strict=True):
        assert shown == wanted
    assert shape(document) == shape(original)
    assert targets(document) - {original} == targets(original) - {original}
    for here, other in ((document, original), (original, document)):
        (line,) = re.findall(r"^\[(?:English|한국어)\]\((.*)\)$", here.read_text(encoding="utf-8"), re.MULTILINE)
        assert (here.parent / line).resolve() == other


def test_readme_and_guide_show_the_same_smallest_plugin() -> None:
    first = [
        next(text for _, kind, text in blocks(path) if kind == "python" and "hookimpl" in text)
        for path in (ROOT / "README.md", ROOT / "docs" / "how-to" / "own-plugin.md")
    ]
    assert first[0] == first[1]


def test_guide_names_every_hook_and_method() -> None:
    guide = (ROOT / "docs" / "how-to" / "own-plugin.md").read_text(encoding="utf-8")
    for kind, (hook, members) in KINDS.items():
        (row,) = re.findall(rf"^\| {kind} \|.*$", guide, re.MULTILINE)
        assert f"`{hook}`" in row
        for member in members:
            assert member in row
    assert f"`{PROJECT}`" in guide


def test_reference_names_every_key_of_an_experiment() -> None:
    reference = (ROOT / "docs" / "reference" / "experiment.md").read_text(encoding="utf-8")
    missing = [key for key in ExperimentFile.model_fields if not re.search(rf"\b{key}\b", reference)]
    for model in ExperimentFile.model_fields.values():
        table = model.annotation
        if isinstance(table, type) and hasattr(table, "model_fields"):
            missing += [key for key in table.model_fields if not re.search(rf"\b{key}\b", reference)]
    assert missing == []


@pytest.mark.parametrize("kind", ["backend", "formatter", "selector", "dataset"])
def test_reference_names_every_shipped_plugin_and_option(kind: str) -> None:
    reference = (ROOT / "docs" / "reference" / "experiment.md").read_text(encoding="utf-8")
    shipped = [record for record in discover().of(kind) if record.distribution.startswith("finetune-harness ")]
    assert shipped
    for record in shipped:
        assert f"`{record.name}`" in reference, record.name
        for field in fields(record.cls):
            assert f"`{field.name}`" in reference, f"{record.name}.{field.name}"


def test_reference_names_every_key_of_the_results() -> None:
    reference = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[\w-]+", reference))
    results = json.loads(next((ROOT / "reports").glob("demo-*/results.json")).read_text(encoding="utf-8"))
    assert keys(results) - words == set()


OPEN = {"figures", "settings", "chosen", "hyperparameters", "removed"}
"""Keys of the results whose members are named by plugins, endpoints and experiments."""


def keys(value: Any) -> set[str]:
    """The keys of all objects within a value."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys(each) for key, each in value.items() if key not in OPEN))


def test_reference_names_every_check_of_the_data() -> None:
    from harness import findings

    reference = (ROOT / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
    folders = ("harness/prepare", "harness/data_stage", "plugins/harness_plugins/datasets")
    sources = [path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")]
    emitted = r'(?:Check\(\s*kind=|finding\(\s*)"([a-z0-9-]+)"'
    kinds = {kind for source in sources for kind in re.findall(emitted, source)}
    kinds |= {*findings.data.MESSAGES, *findings.texts.MESSAGES, *findings.files.MESSAGES, *findings.runs.READING}
    assert len(kinds) > 70
    assert sorted(kind for kind in kinds if f"`{kind}`" not in reference) == []
