"""What is imported is declared, what is declared is imported, and each has its line in docs/decisions/0002."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from typing import Any

import pytest
from support.cli import ROOT

TABLES = ROOT / "docs" / "decisions" / "0002-dependencies.md"
BROUGHT = {
    "aiohttp": "openai",
    "httpx2": "openai",
    "huggingface-hub": "datasets",
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
    "starlette": "fastapi",
    "threadpoolctl": "scikit-learn",
    "tokenizers": "transformers",
    "yarl": "aiohttp",
}
"""Imported, but not declared: each belongs to the interface of what brings it, which decides on its version."""
NOT_IMPORTED = {"gguf", "python-multipart"}
"""Declared, but imported by others alone, and not brought by them: transformers reads .gguf files, FastAPI forms."""
OPTIONAL = {"tokenizers"}
"""What the engine uses where it is there."""
NO_DEPENDENCY = {"_typeshed", "pytest"}
"""For type checkers alone; and pytest loads the fixtures that it finds by itself."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def split(requirement: str) -> tuple[str, str]:
    """Name and bounds of a requirement, its extras and marker left out."""
    match = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*([^;]*)", requirement)
    assert match is not None
    return canonical(match[1]), match[2].strip()


def declared(*groups: str) -> dict[str, str]:
    """Name → bounds of some groups: `core`, an extra's name, or a dependency group's."""
    table = project()["project"]
    all_groups = {"core": table["dependencies"], **table["optional-dependencies"], **project()["dependency-groups"]}
    return dict(split(requirement) for group in groups for requirement in all_groups[group])


def extras() -> list[str]:
    return list(project()["project"]["optional-dependencies"])


@cache
def imported(folder: str) -> frozenset[str]:
    """Distributions of which a module is imported in a folder, wherever in a file."""
    modules: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    foreign = modules - sys.stdlib_module_names - NO_DEPENDENCY
    own = {path.name for path in (ROOT, ROOT / "plugins") for path in path.iterdir()}
    known = metadata.packages_distributions()
    return frozenset(canonical(known.get(module, [module])[0]) for module in foreign - own)


@pytest.mark.parametrize("folder", ["harness", "plugins"])
def test_every_import_is_declared(folder: str) -> None:
    allowed = declared("core", *extras()) if folder == "plugins" else declared("core")
    undeclared = imported(folder) - allowed.keys()
    assert "openai" in imported("harness")
    assert undeclared <= BROUGHT.keys()
    bringing = {BROUGHT.get(BROUGHT[name], BROUGHT[name]) for name in undeclared - OPTIONAL}
    assert bringing <= allowed.keys()


@pytest.mark.parametrize(("name", "by"), BROUGHT.items())
def test_what_is_not_declared_comes_with_what_is(name: str, by: str) -> None:
    assert name in {split(requirement)[0] for requirement in metadata.requires(by) or ()}


def test_every_dependency_is_imported() -> None:
    used = imported("harness") | imported("plugins")
    assert declared("core", *extras()).keys() - used == NOT_IMPORTED
    assert BROUGHT.keys() <= used


def test_what_is_declared_twice_has_the_same_bounds() -> None:
    shipped = declared("core", *extras())
    for group in project()["dependency-groups"]:
        for name, bounds in declared(group).items():
            assert shipped.get(name, bounds) == bounds, f"{name}, in the group {group}"


def test_every_dependency_has_its_line() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", TABLES.read_text(encoding="utf-8"), re.MULTILINE)
    names = [canonical(name.partition("[")[0]) for name in rows]
    assert len(names) == len(set(names))
    assert set(names) == declared("core", *extras(), *project()["dependency-groups"]).keys()
