"""`harness new plugin`: what it writes installs, is found, and its own tests pass untouched."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from support.lab import call

from harness import scaffold
from harness.errors import UsageError
from harness.plugins.discovery import KINDS
from harness.testing import check_plugin


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kinds(*chosen: str) -> list[str]:
    return [word for kind in chosen for word in ("--kind", kind)]


OPTIONS = {"dataset": {"path": "lines.tsv"}, "backend": {"words": {"lovely": "good"}}, "observer": {"path": "x"}}
"""Kind → what its plugin cannot be made without."""


def test_plugins_of_every_kind_keep_their_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scaffold.write(tmp_path, "scaffolded", list(KINDS))
    monkeypatch.syspath_prepend(str(folder / "src"))
    (tmp_path / "lines.tsv").write_text("good\tlovely\nbad\tawful\n")
    for kind, (hook, _) in KINDS.items():
        module = importlib.import_module(f"scaffolded.{kind}")
        (cls,) = getattr(module, hook)()
        check_plugin(kind, cls, OPTIONS.get(kind), folder=tmp_path, skip=("light",))


@pytest.mark.thorough
def test_its_own_tests_pass_for_every_kind(here: Path) -> None:
    done = call("new", "plugin", "all-kinds", *kinds(*KINDS))
    assert done.code == 0, done
    assert done.out == "all-kinds\n"
    assert "pip install" in done.err
    site = here / "site"
    pip = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *pip, "--target", str(site), "./all-kinds"]
    subprocess.run(install, check=True, capture_output=True)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "all-kinds"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    passed = re.search(r"(\d+) passed", tested.stdout)
    assert passed is not None
    assert int(passed[1]) >= 2 * len(KINDS)
    assert not (here / "all-kinds" / "runs").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_is_a_package(here: Path, kind: str) -> None:
    assert call("new", "plugin", "My.Own_Thing", *kinds(kind, kind)).code == 0
    folder = here / "My.Own_Thing"
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    points = project["project"]["entry-points"]["finetune_harness"]
    assert points == {f"my-own-thing-{kind}": f"my_own_thing.{kind}"}
    assert project["project"]["name"] == "My.Own_Thing"
    assert {path.name for path in (folder / "src" / "my_own_thing").iterdir()} == {"__init__.py", f"{kind}.py"}
    assert {path.name for path in (folder / "tests").iterdir()} == {"test_installed.py", f"test_{kind}.py"}
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "tests.yml").read_text())
    assert workflow["jobs"]["tests"]["steps"][-1] == {"run": "pytest"}
    readme = (folder / "README.md").read_text()
    assert f"`my-own-thing-{kind}`" in readme
    for toml in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL):
        tomllib.loads(toml)
    assert folder.stat().st_mode & 0o777 == 0o755


def test_what_is_written_is_clean(tmp_path: Path) -> None:
    folder = scaffold.write(tmp_path, "clean", list(KINDS))
    for path in folder.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
    assert "<<" not in text
    assert "<%" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert all(path.read_bytes().endswith(b"\n") for path in folder.rglob("*") if path.is_file())
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.exists():
        for rule in (["check", "--isolated", "--select", "E,F,UP,B", "--line-length", "120"], ["format", "--check"]):
            options = ["--line-length", "120"] if rule[0] == "format" else []
            done = subprocess.run(
                [ruff, *rule, *options, "--target-version", "py311", folder],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout


def test_what_is_written_imports_the_public_names_alone(tmp_path: Path) -> None:
    folder = scaffold.write(tmp_path, "public", list(KINDS))
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "harness":
                assert node.module in {"harness", "harness.testing"}, (path.name, node.module)
                known = importlib.import_module(node.module)
                for name in node.names:
                    assert name.name == "blocks" or name.name in known.__all__, (path.name, name.name)


def test_nothing_is_overwritten(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "precious.txt").write_text("x")
    done = call("new", "plugin", "mine", "--kind", "metric")
    assert done.code == 2
    assert "mine is there already" in done.err
    assert [path.name for path in here.rglob("*")] == ["mine", "precious.txt"]
    (here / "link").symlink_to(here / "nowhere")
    assert call("new", "plugin", "link", "--kind", "metric").code == 2


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "1st",
        "-x",
        "x-",
        "a b",
        "x" * 61,
        "json",
        "harness",
        "harness-plugins",
        "class",
        "tests",
        "ä",
        "datasets",
        "Pandas",
        "scikit-learn",
        "sklearn",
        "test-metric",
        "test.installed",
    ],
)
def test_a_name_that_is_none_is_refused(here: Path, name: str) -> None:
    with pytest.raises(UsageError):
        scaffold.package_of(name)
    done = call("new", "plugin", "--kind", "metric", "--", name)
    assert done.code == 2
    assert len(done.err.splitlines()) <= 3
    assert list(here.iterdir()) == []


def test_a_name_that_is_taken_says_by_whom_and_plugins_may_be_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r'"sklearn" is taken: scikit-learn is installed and brings sklearn'):
        scaffold.package_of("sklearn")
    with pytest.raises(UsageError, match=r'"SciKit.Learn" is taken: scikit-learn is installed'):
        scaffold.package_of("SciKit.Learn")
    info = tmp_path / "my_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugins\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("my_plugins\n")
    (info / "entry_points.txt").write_text("[finetune_harness]\nmine = my_plugins\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert scaffold.package_of("my-plugins") == "my_plugins"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plugin", "x"], "--kind"),
        (["plugin", "x", "--kind", "gadget"], "gadget"),
        (["plugn", "x"], 'did you mean "plugin"?'),
        (["plugin"], "NAME"),
    ],
)
def test_a_wrong_command_is_said(here: Path, arguments: list[str], said: str) -> None:
    done = call("new", *arguments)
    assert done.code == 2
    assert said in done.err
    assert list(here.iterdir()) == []


def test_help_fits_one_screen() -> None:
    done = call("new", "plugin", "--help")
    assert done.code == 0
    assert len(done.out.splitlines()) <= 24
    assert done.out.rstrip().splitlines()[-1].startswith("Example: harness new plugin ")
