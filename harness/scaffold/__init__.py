"""`harness new plugin`: a pip-installable package of plugins that work and whose tests pass."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.hookspecs import PROJECT
from harness.plugins.discovery import KINDS

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*")
TAKEN = frozenset({"harness", "harness_plugins", "harness_local", "finetune_harness", "tests", "test", "src"})
TESTS = frozenset({"test_installed", *(f"test_{kind}" for kind in KINDS)})
"""Modules of its tests, which pytest imports by these names."""
LONGEST = 60
"""Characters of a name: it stands in paths and columns."""

HEAD: Mapping[str, str] = {
    "executor": 'executor = {{ plugin = "{}" }}',
    "observer": 'observers = [{{ plugin = "{}", path = "notes.txt" }}]',
    "dataset": '\n[dataset]\nplugin = "{}"\npath = "lines.tsv"',
}
"""Kind → how an experiment names its plugin, before the arms."""
ARM: Mapping[str, str] = {
    "backend": 'backend = {{ plugin = "{}", words = {{ lovely = "good", awful = "bad" }} }}',
    "formatter": 'formatter = {{ plugin = "{}" }}',
    "selector": 'shots = {{ selector = "{}", k = 4 }}',
}
"""Kind → how an arm names its plugin."""
CHECKS: Mapping[str, str] = {
    "dataset": " --option path=lines.tsv",
    "backend": """ --option 'words={lovely = "good", awful = "bad"}'""",
    "observer": " --option path=notes.txt",
}
"""Kind → the options that `harness plugins --check` needs for its plugin."""


def package_of(name: str) -> str:
    """Returns the import name of a distribution.

    Raises:
        UsageError: It is no name for one.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f'"{name}" is no name for a package',
            f"expected letters and digits with - between them, such as my-plugins, at most {LONGEST} characters",
        )
    package = re.sub(r"[-_.]+", "_", name).lower()
    reason = ""
    if package in TAKEN or package in sys.stdlib_module_names or keyword.iskeyword(package):
        reason = f"a module is named {package}"
    elif package in TESTS:
        reason = f"a file of its tests is named {package}.py"
    elif (other := _installed(package)) is not None:
        reason = f"{other} is installed and brings {package}"
    if reason:
        raise UsageError(f'"{name}" is taken: {reason}', "choose another name, such as my-plugins")
    return package


def _installed(package: str) -> str | None:
    """Returns the installed distribution that is named as a package or brings a module of its name.

    Distributions of plugins do not count: a package of one's own may be begun anew.
    """
    from importlib.metadata import distributions, entry_points, packages_distributions

    own = {point.dist.name for point in entry_points(group=PROJECT) if point.dist is not None}
    named = [dist.name for dist in distributions() if re.sub(r"[-_.]+", "_", dist.name or "").lower() == package]
    return next((name for name in (*named, *packages_distributions().get(package, ())) if name not in own), None)


def files(name: str, kinds: Sequence[str]) -> dict[str, str]:
    """Returns the files of a package of plugins: path → content.

    Args:
        name: The distribution's name.
        kinds: Which plugins it holds, one of each.

    Raises:
        UsageError: The name is none.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    package, chosen = package_of(name), list(dict.fromkeys(kinds))
    # Delimiters of our own: braces mean something in Python and in workflows
    env = Environment(  # noqa: S701 - code and TOML, no markup
        loader=PackageLoader("harness.scaffold", "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, variable_start_string="<<", variable_end_string=">>",
        block_start_string="<%", block_end_string="%>", comment_start_string="<#", comment_end_string="#>",
    )  # fmt: skip

    def plugin(kind: str) -> str:
        return f"{package.replace('_', '-')}-{kind}"

    head, arm = ([how.format(plugin(k)) for k, how in named.items() if k in chosen] for named in (HEAD, ARM))
    usage = "\n".join([*head, *(['\n[[arms]]\nname = "mine"', *arm] if arm else [])]).lstrip("\n")
    values = {
        "name": name, "package": package, "kinds": chosen, "plugin": plugin, "usage": usage,
        "check_options": lambda kind: CHECKS.get(kind, ""),
    }  # fmt: skip
    wanted = {
        "pyproject.toml": "pyproject.toml", "README.md": "README.md", ".gitignore": "gitignore",
        ".github/workflows/tests.yml": "tests.yml", f"src/{package}/__init__.py": "init.py",
        "tests/test_installed.py": "test_installed.py",
    }  # fmt: skip
    for kind in chosen:
        wanted |= {f"src/{package}/{kind}.py": f"{kind}.py", f"tests/test_{kind}.py": f"test_{kind}.py"}
    return {path: env.get_template(f"{template}.j2").render(values) for path, template in wanted.items()}


def write(parent: Path, name: str, kinds: Sequence[str]) -> Path:
    """Writes a package into a new folder `name` under `parent`, all of it or nothing.

    Raises:
        UsageError: There is a file or folder of that name, or the name is none.
    """
    from harness.files import folder_whole

    content = files(name, kinds)
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already", "choose another name, or move it away: nothing is overwritten")
    with folder_whole(folder) as filling:
        filling.chmod(0o755)  # it was private while it was filled
        for path, text in content.items():
            (filling / path).parent.mkdir(parents=True, exist_ok=True)
            (filling / path).write_text(text, encoding="utf-8")
    return folder
