"""Checks what is in the wheel and the source distribution: what must be there is, and nothing that must not be."""

import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGES = ("harness", "harness_local", "harness_plugins")
WHEEL_NEEDS = (
    *(f"{package}/py.typed" for package in PACKAGES),
    *(f"{package}/__init__.py" for package in PACKAGES),
    "harness/cli.py",
)
SDIST_NEEDS = ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "Makefile", "tests/support/provider.py")


def problems(wheel: Path, sdist: Path) -> list[str]:
    """Returns what is wrong, one line each."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    strange = {top for top in tops if top not in PACKAGES and not top.endswith(".dist-info")}
    found = [f"the wheel lacks {name}" for name in WHEEL_NEEDS if name not in names]
    found += [f"the source distribution lacks {name}" for name in SDIST_NEEDS if name not in packed]
    found += [f"the wheel holds {name}, which is none of its packages" for name in sorted(strange)]
    for ending, what in (("/licenses/LICENSE", "licence"), ("/entry_points.txt", "entry points")):
        if not any(name.endswith(ending) for name in names):
            found.append(f"the wheel lacks its {what}")
    templates = [path for path in Path("harness/report/templates").rglob("*") if path.is_file()]
    found += [f"the wheel lacks {path.as_posix()}" for path in templates if path.as_posix() not in names]
    found += [f"the wheel holds {name}" for name in names if "/tests/" in name or name.endswith((".pyc", ".sqlite"))]
    if not templates:
        found.append("there are no report templates")
    return found


if __name__ == "__main__":
    errors = problems(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.writelines(f"{line}\n" for line in errors or ["wheel and source distribution are complete"])
    sys.exit(bool(errors))
