"""Checks what is in the wheel and the source distribution: what must be there is, and nothing that must not be."""

import sys
import tarfile
import zipfile
from pathlib import Path

SOURCES = (Path("harness"), Path("plugins/harness_local"), Path("plugins/harness_plugins"))
SDIST_NEEDS = ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "Makefile", "tests/support/local.py")


def problems(wheel: Path, sdist: Path) -> list[str]:
    """Returns what is wrong, one line each."""
    names = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {name for source in SOURCES for name in _files(source)}
    strange = {name for name in names - wanted if not name.split("/")[0].endswith(".dist-info")}
    found = [f"the wheel lacks {name}" for name in sorted(wanted - names)]
    found += [f"the source distribution lacks {name}" for name in SDIST_NEEDS if name not in packed]
    found += [f"the wheel holds {name}, which is no file of its packages" for name in sorted(strange)]
    for ending, what in (("/licenses/LICENSE", "licence"), ("/entry_points.txt", "entry points")):
        if not any(name.endswith(ending) for name in names):
            found.append(f"the wheel lacks its {what}")
    return found


def _files(source: Path) -> list[str]:
    """Names that a package's files have in a wheel, those that Python itself writes left out."""
    paths = (path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [f"{source.name}/{path.relative_to(source).as_posix()}" for path in paths]


if __name__ == "__main__":
    errors = problems(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.writelines(f"{line}\n" for line in errors or ["wheel and source distribution are complete"])
    sys.exit(bool(errors))
