"""Where visible strings are: in code, templates and scripts, and which of them are said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file

from support.cli import ROOT

TEMPLATES = ROOT / "harness" / "report" / "templates"
KEYWORDS: dict[str, tuple[int, ...] | None] = {"say": None, "say_n": (2, 3), "tally": (1, 2), "noted": None}
"""As the Makefile's target `words` gives them to Babel."""
SPEAKING = re.compile(r"^\s*from harness\.words import .*(noted|say)", re.MULTILINE)
PROSE = re.compile(r"[A-Za-z]{2,}[ ,:;]+[A-Za-z]{2,}|^[A-Z][a-z]{2,}$")
"""Two words, or one that begins with a capital."""


def speaking_modules() -> list[Path]:
    """Returns the modules whose words are collected."""
    found = [path for folder in ("harness", "plugins") for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if SPEAKING.search(path.read_text("utf-8")))


def collected() -> Catalog:
    """Returns what `make words` collects."""
    catalog = Catalog()
    for path in (*speaking_modules(), *sorted(TEMPLATES.glob("*.j2"))):
        method = "python" if path.suffix == ".py" else "jinja2"
        for _, message, comments, _ in extract_from_file(method, path, keywords=KEYWORDS, options={"silent": "false"}):
            catalog.add(message, auto_comments=comments)
    return catalog


def unsaid(path: Path) -> Iterator[tuple[int, str]]:
    """Yields line and text of literals that read like prose and are not handed to `say`, `say_n` or `noted`.

    Docstrings, types, keys and what is raised are no words of a page.
    """
    tree = ast.parse(path.read_text("utf-8"))
    passed = {inner for node in ast.walk(tree) for part in _passed(node) for inner in ast.walk(part)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and node not in passed else None
        if isinstance(text, str) and PROSE.search(text.strip()):
            yield node.lineno, text


def _passed(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.Raise | ast.Assert):
        yield node
    if isinstance(node, ast.Subscript):
        yield node.slice
    for name in ("annotation", "returns"):
        if isinstance(getattr(node, name, None), ast.AST):
            yield getattr(node, name)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in KEYWORDS:
            yield from node.args
        elif name.endswith("Error"):
            yield node
        elif name == "get":
            yield from node.args[:1]


def composed(path: Path) -> Iterator[int]:
    """Yields the lines on which a message is put together where it is said: nothing could collect it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        parts = node.args if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KEYWORDS else []
        if any(isinstance(part, ast.JoinedStr | ast.BinOp) for part in parts):
            yield node.lineno
