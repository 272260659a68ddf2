"""The committed site: made of what stands in it, by this version, without a text, and small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.cli import ROOT
from support.report import shipped_sections
from support.site import publish

SITE = ROOT / "reports"
CURE = "the page's looks have changed: make demo-report RUN=reports/demo-…"


def files(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def runs() -> list[Path]:
    found = sorted(path.parent for path in SITE.glob("*/manifest.json"))
    assert found
    return found


def test_it_is_built_again_byte_for_byte_from_what_is_in_it(runs: list[Path], tmp_path: Path) -> None:
    for run in runs:
        shutil.copytree(run, tmp_path / "runs" / run.name)
    copies = sorted((tmp_path / "runs").iterdir())
    publish(copies, tmp_path / "site", shipped_sections(), samples="none")
    again, committed = files(tmp_path / "site"), files(SITE)
    assert set(again) == set(committed), CURE
    differ = [name for name in committed if not name.endswith(".parquet") and again[name] != committed[name]]
    assert differ == [], CURE
    for name in committed:
        if name.endswith(".parquet"):
            assert pq.read_table(SITE / name).equals(pq.read_table(tmp_path / "site" / name)), name


def test_it_holds_no_text_and_is_small(runs: list[Path]) -> None:
    found = files(SITE)
    assert sum(map(len, found.values())) <= 1_000_000
    assert max(len(content) for name, content in found.items() if name.endswith(".parquet")) <= 200_000
    for run in runs:
        assert json.loads((run / "manifest.json").read_text())["published"]["samples"] == "none"
        assert "response" not in pq.read_table(run / "predictions.parquet").column_names
        texts = pq.read_table(run / "data" / "examples.parquet").column("text").unique().to_pylist()
        assert texts == [""]
