"""`harness relabel`: blind sheets with controls, and a run rescored with the corrections."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.cli import Finished
from support.lab import LABELS, Lab, call, endpoint, few_shot, task
from support.provider import Provider

from harness import tables
from harness.finished.relabelling import CONTROLS, disputed
from harness.finished.stored import Stored
from harness.scoring.results import build
from harness.scoring.statistics import wilson
from harness.types import Example

KEY = "sk-test-relabel-0123456789abcdef"
SPLIT = "[prepare]\nsplit = { train = 0.3, validation = 0.1, test = 0.6 }\n"
ITEMS = 200


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three prompts that err often, so that some of them agree against a label, and of a stand-in."""
    lab = Lab.make(tmp_path_factory.mktemp("relabel"), ITEMS)
    with Provider.start(answers=task(ITEMS), api_key=KEY, accuracy=0.5, few_shot_accuracy=0.6, seed=5) as running:
        mock = '[[arms]]\nname = "pretend"\nbackend = { plugin = "mock", accuracy = 0.1 }\n'
        prompts = [few_shot("one"), few_shot("two", k=2), few_shot("three", model="gpt-4.1-nano")]
        lab.write("".join(prompts) + mock, dataset=SPLIT + endpoint(running.base_url))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FAKE_KEY", KEY)
            done = lab.run()
        assert done.code == 0, done
    return lab.folder  # the provider is gone: nothing can be asked any more


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def relabel(run: Path, *options: str | Path) -> Finished:
    return call("relabel", run, *options)


def sheet(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, labels: Mapping[str, str], out: Path, delimiter: str = ",") -> Path:
    rows = [{**row, "label": labels.get(row["example_id"], "")} for row in sheet(path)]
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return out


def files(folder: Path) -> dict[str, str]:
    """Returns the digests of a run's files, those of `relabel/` left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "relabel" not in path.parts
    }


def results(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def other(label: str) -> str:
    return LABELS[(LABELS.index(label) + 1) % len(LABELS)]


def test_a_stored_run_is_scored_again_to_the_same_results(run: Path) -> None:
    stored = Stored.find(str(run))
    again = build(*stored.facts())
    assert {name: stored.results[name] for name in again} == again


def test_disputed_are_items_where_most_arms_agree_on_another_label(run: Path) -> None:
    votes: dict[str, list[str]] = {}
    for row in pq.read_table(run / "predictions.parquet").to_pylist():
        if row["arm"] != "pretend" and row["predicted"] is not None:
            votes.setdefault(row["example_id"], []).append(row["predicted"])
    stored = Stored.find(str(run))
    expected = {
        name
        for name, said in votes.items()
        for label, n in [Counter(said).most_common(1)[0]]
        if n >= 2 and n > len(said) / 2 and label != stored.test[name].label
    }
    found = {name for name, why in disputed(stored).items() if "arms" in why}
    assert found == expected
    assert expected


def test_the_sheet_is_blind_and_has_controls(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    done = relabel(run, "-o", path)
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == str(path)
    assert f"then harness relabel {run} --apply {path}" in done.err  # by its folder: --runs may have said where
    stored, rows = Stored.find(str(run)), sheet(path)
    doubts = disputed(stored)
    assert list(rows[0]) == ["example_id", "text", "labels", "label"]
    assert {row["label"] for row in rows} == {""}
    assert {row["labels"] for row in rows} == {" | ".join(LABELS)}
    assert {row["text"] for row in rows} <= {example.text for example in stored.test.values()}
    text = path.read_text(encoding="utf-8")
    for name in ("one", "two", "three", "pretend", "disputed", "control"):
        assert f"{name}," not in text
    ids = [row["example_id"] for row in rows]
    assert doubts.keys() <= set(ids)
    assert len(ids) == len(doubts) + max(CONTROLS, len(doubts))
    places = [place for place, name in enumerate(ids) if name in doubts]
    assert places != list(range(len(doubts)))  # shuffled
    assert ids != sorted(ids)


def test_the_same_seed_gives_the_same_sheet_and_another_one_another(run: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{place}.csv" for place in range(3)]
    for path, seed in zip(paths, ("3", "3", "4"), strict=True):
        assert relabel(run, "-o", path, "--seed", seed, "--controls", "30").code == 0
    first, again, other_seed = (path.read_bytes() for path in paths)
    assert first == again != other_seed
    n = len(disputed(Stored.find(str(run))))
    assert len(sheet(paths[0])) == n + 30
    assert relabel(run, "-o", tmp_path / "all.csv", "--controls", "9999").code == 0
    assert len(sheet(tmp_path / "all.csv")) == len(Stored.find(str(run)).test)


def test_a_sheet_that_may_be_filled_in_is_not_overwritten(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    assert relabel(run, "-o", path).code == 0
    assert relabel(run, "-o", path).code == 0
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    done = relabel(run, "-o", path)
    assert done.code == 2
    assert "is there already" in done.err


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_corrections_are_applied_to_a_copy(run: Path, tmp_path: Path, delimiter: str) -> None:
    path, before = tmp_path / "sheet.csv", files(run)
    assert relabel(run, "-o", path).code == 0
    stored = Stored.find(str(run))
    doubts = disputed(stored)
    rows = [row["example_id"] for row in sheet(path)]
    controls = [name for name in rows if name not in doubts]
    judged = {name: stored.test[name].label for name in rows}
    wrong = [*list(doubts)[:6], *controls[:2]]
    judged |= {name: other(judged[name]) for name in wrong}
    done = relabel(run, "--apply", fill(path, judged, tmp_path / "filled.csv", delimiter))
    assert done.code == 0, done
    assert f"8 labels of {len(rows)} judged changed; " in done.out.splitlines()[-1]
    assert files(run) == before
    (copy,) = (run / "relabel").glob("*/results.json")
    found = results(copy)
    for line in found["relabel"]["arms"]:
        said = {row.example_id: row.predicted for row in stored.predictions[line["arm"]]}
        labels = {name: judged.get(name, example.label) for name, example in stored.test.items()}
        accuracy = sum(said[name] == label for name, label in labels.items()) / len(labels)
        assert line["before"] == stored.arms[line["arm"]]["accuracy"]
        assert line["after"] == pytest.approx(accuracy)
        after = next(arm for arm in found["arms"] if arm["name"] == line["arm"])
        assert after["accuracy"] == line["after"]
        assert after["metrics"]["balanced_accuracy"] != stored.arms[line["arm"]]["metrics"]["balanced_accuracy"]
    rate = found["relabel"]["controls"]
    assert (rate["judged"], rate["wrong"]) == (len(controls), 2)
    assert rate["ci"] == pytest.approx(wilson(2, len(controls)))
    n = len(stored.test)
    overall = (6 + 2 / len(controls) * (n - len(doubts))) / n
    assert found["relabel"]["label_error_rate"] == pytest.approx(overall)
    assert found["relabel"]["labels"] == {name: judged[name] for name in wrong}
    page = copy.with_name("report.html").read_text(encoding="utf-8")
    assert "Accuracy before and after 8 labels were corrected." in page
    assert "were corrected after the run" in page
    assert "could not be shown" not in page


def test_nothing_corrected_changes_no_figure(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    assert relabel(run, "-o", path).code == 0
    stored = Stored.find(str(run))
    labels = {name: example.label for name, example in stored.test.items()}
    done = relabel(run, "--apply", fill(path, labels, tmp_path / "same.csv"))
    assert "0 labels of" in done.out
    assert "the verdict stands" in done.out
    (copy,) = (run / "relabel").glob("*/results.json")
    found = results(copy)
    for part in ("arms", "comparisons", "verdict", "payback", "decision"):
        assert found[part] == stored.results[part], part


def test_rows_without_a_label_are_not_judged(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    assert relabel(run, "-o", path).code == 0
    stored = Stored.find(str(run))
    one = next(iter(disputed(stored)))
    done = relabel(run, "--apply", fill(path, {one: other(stored.test[one].label)}, tmp_path / "one.csv"))
    assert done.out.splitlines()[-1].startswith("1 label of 1 judged changed; ")
    (copy,) = (run / "relabel").glob("*/results.json")
    found = results(copy)["relabel"]
    assert found["controls"]["rate"] is found["label_error_rate"] is None


def test_wrong_files_are_code_2_with_line_and_nearest(run: Path, tmp_path: Path) -> None:
    path, filled = tmp_path / "sheet.csv", tmp_path / "filled.csv"
    assert relabel(run, "--apply", path).code == 2
    assert "no item of this run was handed out" in relabel(run, "--apply", path).err
    assert relabel(run, "-o", path).code == 0
    rows = sheet(path)
    first, second = rows[0]["example_id"], rows[1]["example_id"]
    done = relabel(run, "--apply", fill(path, {first: "good", second: "goood"}, filled))
    assert done.code == 2
    assert 'line 3: there is no label "goood"; did you mean "good"?' in done.err
    text = fill(path, {first: "good"}, filled).read_text(encoding="utf-8")
    filled.write_text(text.replace(first, first[:-1] + ("0" if first[-1] != "0" else "1")), encoding="utf-8")
    done = relabel(run, "--apply", filled)
    assert done.code == 2
    assert "line 2: " in done.err
    assert f'did you mean "{first}"?' in done.err
    filled.write_text(text + text.splitlines()[1].replace("good", "bad") + "\n", encoding="utf-8")
    assert "has another label in line 2" in relabel(run, "--apply", filled).err
    filled.write_text("id,answer\n1,good\n", encoding="utf-8")
    assert 'has no column "example_id"' in relabel(run, "--apply", filled).err
    filled.write_bytes(b"\xff\xfe\x00broken")
    assert relabel(run, "--apply", filled).code == 2
    done = relabel(run, "--apply", tmp_path / "fild.csv")
    assert (done.code, done.err.splitlines()[-1]) == (2, 'did you mean "filled.csv"?'), done
    assert relabel(run, "--apply", filled, "--seed", "3").code == 2
    assert not list((run / "relabel").glob("*/results.json"))


def test_long_texts_come_back(run: Path, tmp_path: Path) -> None:
    path, filled, limit = tmp_path / "sheet.csv", tmp_path / "filled.csv", csv.field_size_limit()
    assert relabel(run, "-o", path).code == 0
    first = sheet(path)[0]
    text = fill(path, {first["example_id"]: "good"}, filled).read_text(encoding="utf-8")
    filled.write_text(text.replace(first["text"], "long " * 30_000), encoding="utf-8")
    done = relabel(run, "--apply", filled)
    assert (done.code, " of 1 judged changed; " in done.out) == (0, True), done
    assert csv.field_size_limit() == limit


def test_a_quote_that_is_never_closed_swallows_no_label(run: Path, tmp_path: Path) -> None:
    path, filled = tmp_path / "sheet.csv", tmp_path / "filled.csv"
    assert relabel(run, "-o", path).code == 0
    fill(path, {row["example_id"]: "good" for row in sheet(path)}, filled)
    head, first, second, *rest = filled.read_text(encoding="utf-8").splitlines()
    filled.write_text("\n".join([head, first, second.replace(",", ',"', 1), *rest]), encoding="utf-8")
    done = relabel(run, "--apply", filled)
    assert (done.code, f"error: {filled}, line 3: a quoted cell is never closed" in done.err) == (2, True), done


def saved(cell: str) -> str:
    """Returns a cell as a spreadsheet saves it: what reads like a number has become one."""
    return f"{float(cell):.14E}" if re.fullmatch(r"\d+(e\d+)?", cell) else cell


def test_ids_that_read_like_numbers_come_back_from_a_spreadsheet(tmp_path: Path) -> None:
    named = {text: Example(fields={"text": text}, label="").id for text in (f"odd text {n}" for n in range(20_000))}
    odd = [text for text, name in named.items() if re.fullmatch(r"\d+(e\d+)?", name)]
    assert {"e" in named[text] for text in odd} == {True, False}
    lab = Lab.make(tmp_path, 20)
    with (tmp_path / "data.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{text},{LABELS[place % 3]}\n" for place, text in enumerate(odd))
    lab.write('[[arms]]\nname = "classical"\nbackend = { plugin = "classical" }\n', dataset=SPLIT)
    assert lab.run().code == 0
    path = tmp_path / "sheet.csv"
    assert relabel(lab.folder, "-o", path, "--controls", "99").code == 0
    rows = [{name: saved(cell) for name, cell in {**row, "label": "good"}.items()} for row in sheet(path)]
    assert any(row["example_id"].removeprefix("'") in {named[text] for text in odd} for row in rows)
    for mark in ("'", ""):  # as it is written today, and as it was
        with (tmp_path / "filled.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows({**row, "example_id": row["example_id"].replace("'", mark)} for row in rows)
        done = relabel(lab.folder, "--apply", tmp_path / "filled.csv")
        assert done.code == 0, done
        assert f"of {len(rows)} judged changed" in done.out


def test_cells_are_no_formulas_and_columns_keep_apart(run: Path, tmp_path: Path) -> None:
    stored = Stored.find(str(run))
    examples = [
        Example(
            id=example.id,
            fields={"text": f"=HYPERLINK({example.text})", "label": "a\nb", "labels": "-1"},
            label=example.label,
            split=example.split,
        )
        for example in stored.examples
    ]
    tables.write_examples(run / "data" / "examples.parquet", examples)
    path = tmp_path / "sheet.csv"
    assert relabel(run, "-o", path).code == 0
    rows = sheet(path)
    assert list(rows[0]) == ["example_id", "text", "(label)", "(labels)", "labels", "label"]
    assert all(row["text"].startswith("'=HYPERLINK") for row in rows)
    assert {(row["(label)"], row["(labels)"], row["label"]) for row in rows} == {("a\nb", "'-1", "")}
