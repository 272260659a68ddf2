"""Parts of the data, from a column of the file to every form of the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.lab import Lab, call, task

COUNTRIES = ("de", "kr", "us", "")
ARMS = """
[[arms]]
name = "words"
backend = { plugin = "classical" }
[[arms]]
name = "largest"
backend = { plugin = "majority" }
"""
UNTOLD = "were not told apart"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    path, answers = tmp_path_factory.mktemp("sliced"), task(120)
    with (path / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "country"])
        writer.writerows([*item, COUNTRIES[place * 7 % 11 % 4]] for place, item in enumerate(answers.items()))
    return Lab(path=path, answers=answers)


def test_a_report_breaks_results_down_by_the_columns_that_the_experiment_names(lab: Lab) -> None:
    lab.write(ARMS, dataset='slices = ["country"]')
    done = lab.run("--yes", "--quiet")
    assert done.code == 0, done
    results = lab.results()
    [column] = results["slices"]
    assert column["name"] == "country"
    assert {part["value"] for part in column["values"]} == set(COUNTRIES)
    assert sum(part["n"] for part in column["values"]) == results["run"]["n_test"]
    said = "Accuracy (95% CI) by country."
    page = (lab.folder / "report.html").read_text("utf-8")
    assert said in page
    assert UNTOLD not in page
    assert said in call("report", lab.folder, "--format", "md", "-o", lab.path / "report.md").out + (
        (lab.path / "report.md").read_text("utf-8").replace("\\", "")
    )
    shown = call("show", lab.folder, "--section", "errors").out
    assert said in " ".join(shown.split())
    assert "(no value)" in shown
    site = lab.path / "site"
    assert call("publish", lab.folder, "--site", site, "--yes").code == 0
    published = json.loads((site / lab.folder.name / "results.json").read_text("utf-8"))
    assert published["slices"] == results["slices"]
    assert said in (site / lab.folder.name / "index.html").read_text("utf-8")


def test_a_run_without_slices_says_so(lab: Lab, tmp_path: Path) -> None:
    lab.write(ARMS, name="plain.toml")
    done = call("run", lab.path / "plain.toml", "--out", tmp_path, "--yes", "--quiet")
    assert done.code == 0, done
    [folder] = [path.parent for path in tmp_path.glob("*/results.json")]
    assert lab.results(folder)["slices"] == []
    assert UNTOLD in (folder / "report.html").read_text("utf-8")
