"""`harness compare`: paired and unpaired differences, flipped items, settings that differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.lab import Lab, call, endpoint, few_shot
from support.provider import Provider

from harness.finished.comparing import _flat, _two_samples, differing

SPLIT = "[prepare]\nsplit = { train = 0.3, validation = 0.1, test = 0.6 }\n"


def arms(accuracy: float, extra: str = "") -> str:
    mock = f'[[arms]]\nname = "m"\nbackend = {{ plugin = "mock", accuracy = {accuracy} }}\n'
    return f'{mock}[[arms]]\nname = "c"\nbackend = {{ plugin = "classical" }}\n{extra}'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab.make(tmp_path_factory.mktemp("compare"), 200)
    lab.write(arms(0.9), dataset=SPLIT, name="a.toml")
    lab.write(arms(0.6, '[[arms]]\nname = "new"\nbackend = { plugin = "majority" }\n'), dataset=SPLIT, name="b.toml")
    for file in ("a.toml", "b.toml"):
        assert lab.run(file=file).code == 0
    return lab


def found(lab: Lab, *runs: Path) -> dict[str, Any]:
    done = call("compare", *(runs or lab.runs), "--json")
    assert done.code == 0, done
    loaded: dict[str, Any] = json.loads(done.out)
    return loaded


def test_items_are_paired_by_id(lab: Lab) -> None:
    first, second = lab.runs
    told = found(lab)
    assert (told["paired"], told["warning"]) == (True, None)
    said = {(row["arm"], row["example_id"]): row for row in lab.predictions(first)}
    m = next(line for line in told["arms"] if line["name"] == "m")
    fixed, broken = [], []
    for row in lab.predictions(second):
        if row["arm"] == "m":
            was = said["m", row["example_id"]]["predicted"] == row["expected"]
            now = row["predicted"] == row["expected"]
            (fixed if now and not was else broken if was and not now else []).append(row["example_id"])
    assert (m["fixed"], m["broken"]) == (len(fixed), len(broken))
    assert m["fixed_ids"] == sorted(fixed)[:20]
    assert m["broken_ids"] == sorted(broken)[:20]
    assert len(broken) > 20
    assert m["difference"] == pytest.approx((len(fixed) - len(broken)) / 120)
    assert m["difference"] == pytest.approx(m["b"] - m["a"])
    assert m["ci"][0] < m["difference"] < m["ci"][1] < 0
    assert m["claimed"] is True
    c = next(line for line in told["arms"] if line["name"] == "c")
    assert (c["difference"], c["fixed"], c["broken"], c["claimed"]) == (0, 0, 0, False)


def test_the_other_way_round_negates(lab: Lab) -> None:
    forth, back = found(lab), found(lab, *reversed(lab.runs))
    for one, other in zip(forth["arms"], back["arms"], strict=True):
        assert one["difference"] == -other["difference"]
        assert one["ci"] == pytest.approx([-other["ci"][1], -other["ci"][0]])
        assert one["fixed_ids"] == other["broken_ids"]
        assert one["p_adjusted"] == pytest.approx(other["p_adjusted"])


def test_only_what_differs_is_listed(lab: Lab) -> None:
    told = found(lab)
    settings = {line["key"]: (line["a"], line["b"]) for line in told["settings"]}
    assert settings["experiment.arms[m].backend.accuracy"] == (0.9, 0.6)
    assert not [key for key in settings if "[c]" in key or "[new]" in key or key.startswith("chain")]
    assert told["only_b"] == ["new"]
    assert told["only_a"] == []


def test_the_last_line_is_one_sentence(lab: Lab) -> None:
    done = call("compare", *lab.runs)
    last = done.out.splitlines()[-1]
    assert last.startswith("m has become ")
    assert "worse" in last
    assert "experiment.arms[m].backend.accuracy: 0.9 → 0.6" in done.out
    assert "broken: " in done.out
    same = call("compare", lab.runs[0], lab.runs[0])
    assert same.out.splitlines()[-1].startswith("No arm's accuracy has changed by more than chance")


def test_other_data_are_not_paired(lab: Lab, tmp_path: Path) -> None:
    other = Lab.make(tmp_path, 140)
    other.write(arms(0.6), dataset=SPLIT)
    assert other.run().code == 0
    told = found(lab, lab.runs[0], other.folder)
    assert told["paired"] is False
    assert "different data" in told["warning"]
    m = next(line for line in told["arms"] if line["name"] == "m")
    assert m["fixed"] is None
    assert m["ci"][0] < m["difference"] < m["ci"][1]
    done = call("compare", lab.runs[0], other.folder)
    assert done.err.startswith("warning: ")


def test_other_test_items_of_the_same_data_are_not_paired(lab: Lab) -> None:
    lab.write(arms(0.9), head="seed = 99", dataset=SPLIT, name="seed.toml")
    before = set(lab.runs)
    try:
        assert lab.run(file="seed.toml").code == 0
        (fresh,) = set(lab.runs) - before
        told = found(lab, lab.runs[0], fresh)
    finally:
        for run in set(lab.runs) - before:
            shutil.rmtree(run)
    assert told["paired"] is False
    assert "different test items" in told["warning"]


def test_an_arm_that_a_run_has_not_finished_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab.make(tmp_path, 60)
    monkeypatch.setenv("FAKE_KEY", "sk-any")
    with Provider.start(answers=lab.answers, api_key="sk-any", accuracy=0.9) as provider:
        for seed, quota, code in ((1, None, 0), (2, 5, 4)):
            seeded = f", extra_body = {{ seed = {seed} }}"
            prompts = few_shot("zero", options=seeded) + few_shot("nano", model="gpt-4.1-nano", options=seeded)
            lab.write(prompts, dataset=SPLIT + endpoint(provider.base_url), name=f"{seed}.toml")
            provider.set(quota_after=quota)
            assert lab.run(file=f"{seed}.toml").code == code
    first, second = lab.runs
    told = found(lab)
    lost = {name: arm["failed"] for name, arm in lab.arms(second).items()}
    assert told["unfinished"] == {"a": {}, "b": lost}
    assert {line["reason"] for line in told["arms"]} == {"some items have no answer yet"}
    assert {(line["difference"], line["claimed"]) for line in told["arms"]} == {(None, False)}
    done = call("compare", second, first)
    assert done.out.splitlines()[-1] == "No arm can be compared yet: a run is unfinished."
    missing = f"{lost['zero']} of zero, {lost['nano']} of nano"
    assert done.err == f"warning: {second} is unfinished; answers that are missing: {missing}\n"


def test_items_refused_for_good_are_compared(lab: Lab, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(lab.runs[1], tmp_path / "refused"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "finished": None}), encoding="utf-8")
    table = pq.read_table(folder / "predictions.parquet")
    rows = table.to_pylist()
    key = next(iter(lab.journal("SELECT key FROM answers", folder)))[0]
    first = next(row for row in rows if row["arm"] == "m")
    first |= {"status": "failed", "predicted": None, "key": key}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / "predictions.parquet")
    told = found(lab, lab.runs[0], folder)
    assert told["unfinished"] == {"a": {}, "b": {}}
    assert next(line for line in told["arms"] if line["name"] == "m")["difference"] is not None
    first["key"] = "never asked"
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / "predictions.parquet")
    assert found(lab, lab.runs[0], folder)["unfinished"] == {"a": {}, "b": {"m": 1}}
    assert call("compare", lab.runs[0], folder).out.splitlines()[-1].startswith("No arm's accuracy has changed")


def test_a_run_without_results_is_an_error(lab: Lab, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(lab.runs[0], tmp_path / "bare"))
    (bare / "results.json").unlink()
    done = call("compare", lab.runs[0], bare)
    assert done.code == 2
    assert "results.json is missing" in done.err
    (bare / "results.json").write_text((lab.runs[0] / "results.json").read_text(encoding="utf-8"), encoding="utf-8")
    (bare / "predictions.parquet").write_bytes(b"no table")
    done = call("compare", lab.runs[0], bare)
    assert done.code == 2
    assert "cannot be read" in done.err


@pytest.mark.parametrize(
    ("x", "m", "y", "n", "interval"),
    [
        # Newcombe (1998), Stat. Med. 17:873-890, table II, method 10
        (56, 70, 48, 80, (0.0524, 0.3339)),
        (9, 10, 3, 10, (0.1705, 0.8090)),
        (5, 56, 0, 29, (-0.0381, 0.1926)),
        (0, 10, 0, 10, (-0.2775, 0.2775)),
        (10, 10, 0, 10, (0.6075, 1.0000)),
    ],
)
def test_two_samples_as_published(x: int, m: int, y: int, n: int, interval: tuple[float, float]) -> None:
    from harness.scoring.statistics import wilson

    sides = [{"accuracy": k / of, "accuracy_ci": wilson(k, of)} for k, of in ((y, n), (x, m))]
    assert _two_samples(*sides)["ci"] == pytest.approx(interval, abs=5e-5)


def test_members_of_lists_are_known_by_name() -> None:
    a = {"experiment": {"arms": [{"name": "x", "k": 1}, {"name": "y", "k": 2}]}, "seeds": [1, 2]}
    b = {"experiment": {"arms": [{"name": "y", "k": 3}, {"name": "x", "k": 1}]}, "seeds": [1, 3]}
    assert differing(a, b) == [
        {"key": "experiment.arms[y].k", "a": 2, "b": 3},
        {"key": "seeds", "a": [1, 2], "b": [1, 3]},
    ]
    assert _flat({}) == {"": {}}
    assert differing({"prices": {"own": {}}}, {"prices": {}}) == []
