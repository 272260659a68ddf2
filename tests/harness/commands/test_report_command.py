"""`harness report`, `publish` and `show`: sections with the options that a run's experiment gave them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.lab import MINE, Lab, call

ARMS = '[[arms]]\nname = "m"\nbackend = { plugin = "majority" }\n'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two runs whose sections say something else."""
    lab = Lab.make(tmp_path_factory.mktemp("report"), 60)
    (lab.path / "mine.py").write_text(MINE, encoding="utf-8")
    for seed, words in ((1, ("first", "again")), (2, ("second",))):
        tables = "".join(f'[[sections]]\nplugin = "mine"\nword = "{word}"\n' for word in words)
        lab.write(ARMS + tables, head=f'seed = {seed}\nplugins = ["mine.py"]')
        done = lab.run("--plugin", lab.path / "mine.py")
        assert done.code == 0, done
    return lab


def test_the_page_is_rebuilt_byte_for_byte(lab: Lab) -> None:
    for run, word in zip(lab.runs, ("first", "second"), strict=True):
        page = (run / "report.html").read_bytes()
        assert f"Mine says {word}.".encode() in page
        done = call("report", run, "--plugin", lab.path / "mine.py")
        assert (done.code, done.err) == (0, ""), done
        assert (run / "report.html").read_bytes() == page


def test_a_section_that_is_not_loaded_is_named(lab: Lab, tmp_path: Path) -> None:
    run = lab.runs[0]
    done = call("report", run, "-o", tmp_path / "page.html")
    assert done.code == 0, done
    assert done.err.startswith(f'warning: {run.name} was made with the section "mine" ({lab.path / "mine.py"})')
    assert "--plugin" in done.err
    assert "Mine says" not in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert call("report", run, "-o", tmp_path / "page.html", "--no-plugin", "mine").err == ""


def test_sections_are_shown_with_their_options(lab: Lab) -> None:
    done = call("show", lab.runs[1], "--plugin", lab.path / "mine.py", "--section", "mine")
    assert done.code == 0, done
    assert "Mine says second." in done.out


def test_each_published_run_has_its_own_options(lab: Lab, tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = call("publish", *lab.runs, "--site", site, "--plugin", lab.path / "mine.py", "--yes")
    assert done.code == 0, done
    for run, word, other in zip(lab.runs, ("first", "second"), ("second", "first"), strict=True):
        page = (site / run.name / "index.html").read_text(encoding="utf-8")
        assert f"Mine says {word}." in page
        assert f"Mine says {other}." not in page
        again = tmp_path / "index.html"
        done = call("report", site / run.name, "--plugin", lab.path / "mine.py", "--samples", "none", "-o", again)
        assert done.code == 0, done
        assert again.read_text(encoding="utf-8") == page
        assert "tables" not in json.loads((site / run.name / "manifest.json").read_text(encoding="utf-8"))


def test_an_edited_section_that_takes_other_options_is_an_error(lab: Lab, tmp_path: Path) -> None:
    edited = tmp_path / "mine.py"
    edited.write_text(MINE.replace("word", "text"), encoding="utf-8")
    done = call("report", lab.runs[0], "--plugin", edited, "-o", tmp_path / "page.html")
    assert done.code == 2, done
    assert 'sections[0].word: mine has no option "word"' in done.err
