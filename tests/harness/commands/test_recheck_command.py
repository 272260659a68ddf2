"""`harness recheck` against a provider over real HTTP: fresh items, drift, leaks, the sentence."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.lab import Lab, call, endpoint, few_shot, fine_tuned, task
from support.provider import Provider

KEY = "sk-test-recheck-0123456789abcdef"
CHAT, COMPLETIONS = "POST /v1/chat/completions", "POST /v1/completions"
SPLIT = "[prepare]\nsplit = { train = 0.3, validation = 0.1, test = 0.6 }\n"
ALL = task(400)
NEW = dict(list(ALL.items())[200:])


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=ALL, api_key=KEY, accuracy=0.4, tuned_accuracy=0.9, seed=5) as running:
        yield running


@pytest.fixture(scope="module")
def finished(shared: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    shared.renew()  # whatever a test before has set
    lab = Lab.make(tmp_path_factory.mktemp("recheck"), 200)
    lab.write(few_shot("zero") + fine_tuned("tuned"), dataset=SPLIT + endpoint(shared.base_url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_KEY", KEY)
        done = lab.run()
    assert done.code == 0, done
    return lab


def write(path: Path, rows: Sequence[tuple[str, str]], heads: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([heads, *rows])
    return path


def recheck(lab: Lab, data: Path, *options: str) -> Any:
    return call("recheck", lab.folder, data, *options)


def split(lab: Lab, name: str) -> list[tuple[str, str]]:
    rows = pq.read_table(lab.folder / "data" / "examples.parquet").to_pylist()
    return [(row["text"], row["label"]) for row in rows if row["split"] == name]


def test_a_verdict_that_holds(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    before = [(finished.folder / name).read_bytes() for name in ("results.json", "predictions.parquet")]
    train = split(finished, "train")
    rows = [
        *list(NEW.items())[:100],
        *train[:7],
        (train[8][0].upper() + "!", train[8][1]),
        ("", "bad"),
        ("no label", ""),
    ]
    data = write(tmp_path / "march.csv", [*rows, rows[0]])
    done = recheck(finished, data)
    assert done.code == 0, done
    assert done.out.splitlines()[-1].startswith("The verdict still holds on 100 fresh items: tuned ")
    assert "left out: 8 rows, in train" in done.out
    assert provider.counts() == {CHAT: 100, COMPLETIONS: 100}
    told_again = recheck(finished, data, "--json")
    assert provider.counts() == {CHAT: 100, COMPLETIONS: 100}
    folder = Path(json.loads(told_again.out)["folder"])
    assert folder.parent == finished.folder / "rechecks"
    found = json.loads((folder / "recheck.json").read_text())
    assert found["verdict"]["holds"] is True
    assert found["left_out"]["in train"] == 8
    assert {arm["name"]: arm["n"] for arm in found["arms"]} == {"zero": 100, "tuned": 100}
    assert {arm["how"] for arm in found["arms"]} == {"unpaired"}
    answers = pq.read_table(folder / "predictions.parquet").to_pylist()
    right = [row["predicted"] == row["expected"] for row in answers if row["arm"] == "tuned"]
    told = next(arm for arm in found["arms"] if arm["name"] == "tuned")
    assert told["accuracy"] == sum(right) / len(right)
    assert recheck(finished, data, "--no-reuse").code == 0
    assert provider.counts() == {CHAT: 200, COMPLETIONS: 200}
    assert [(finished.folder / name).read_bytes() for name in ("results.json", "predictions.parquet")] == before


def test_a_model_that_got_worse_shows_on_the_same_items(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    data = write(tmp_path / "golden.csv", split(finished, "test"))
    provider.set(tuned_accuracy=0.3, seed=77)
    done = recheck(finished, data, "--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert found["n_shared"] == found["n"] == 120
    told = {arm["name"]: arm for arm in found["arms"]}
    assert told["tuned"]["how"] == "paired"
    assert told["tuned"]["drift"]
    assert told["tuned"]["change"] < -0.3
    assert told["tuned"]["test_accuracy"] == finished.arms()["tuned"]["accuracy"]
    assert found["verdict"]["holds"] is not True
    assert "accuracy of tuned fell by" in found["sentence"]


def test_items_of_groups_are_compared_by_whole_groups(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 120)
    rows = [(text, label, f"user {place // 3}") for place, (text, label) in enumerate(lab.answers.items())]
    with (tmp_path / "data.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label", "user"), *rows])
    arms = [f'[[arms]]\nname = "{name}"\nbackend = {{ plugin = "{name}" }}\n' for name in ("classical", "majority")]
    lab.write("".join(arms), dataset=f'group = "user"\n{SPLIT}')
    assert lab.run().code == 0
    done = recheck(lab, tmp_path / "data.csv", "--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert found["n"] == found["n_shared"] == 72
    assert {(arm["how"], arm["paired"]["groups"]) for arm in found["arms"]} == {("paired", 24)}


def test_what_was_never_asked_is_no_drift(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    data = write(tmp_path / "quota.csv", list(NEW.items())[60:160])
    provider.set(quota_after=10)
    done = recheck(finished, data)
    assert done.code == 4, done
    assert "fell by" not in done.out
    last = done.out.splitlines()[-1]
    lost = re.fullmatch(
        r"Whether the verdict holds cannot be told yet; missing: (\d+) of 100 answers of zero, (\d+) of 100 answers of "
        r"tuned\.",
        last,
    )
    assert lost, done.out
    assert int(lost[1]) + int(lost[2]) == 190
    assert f"missing: {lost[1]} of 100 answers of zero" in done.out.splitlines()
    found = json.loads(recheck(finished, data, "--json").out)
    assert found["unfinished"].startswith("190 requests have no answer; ")
    assert (found["verdict"]["holds"], found["contenders"]["fresh"]) == (None, None)
    for arm in found["arms"]:
        assert (arm["accuracy"], arm["change"], arm["drift"], arm["n"]) == (None, None, None, 100), arm
        assert arm["missing"] == arm["failed"] > 0
    assert not (Path(found["folder"]) / "recheck.json").exists()
    provider.set(quota_after=None)
    done = recheck(finished, data, "--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert (found["unfinished"], found["verdict"]["holds"]) == (None, True)
    assert {arm["missing"] for arm in found["arms"]} == {0}


def test_an_arm_that_the_run_has_not_finished_is_left_out(provider: Provider, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    majority = '[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n'
    lab.write(few_shot("zero") + majority, dataset=SPLIT + endpoint(provider.base_url))
    provider.set(quota_after=5)
    assert lab.run().code == 4
    provider.set(quota_after=None)
    before = provider.counts()
    done = recheck(lab, write(tmp_path / "fresh.csv", list(NEW.items())[:20]))
    assert done.code == 0, done
    assert "zero is left out: the run has no answer to 31 items of its test yet" in done.err
    assert "zero" not in done.out
    assert provider.counts() == before


def test_labels_that_shift_and_labels_never_seen_are_told(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    kept = [(text, label) for text, label in list(NEW.items())[100:] if label != "mixed"]
    data = write(tmp_path / "shift.csv", [*kept, ("something else entirely, of a new kind", "ugly")], ("body", "stars"))
    done = recheck(finished, data, "--text", "body", "--label", "stars")
    assert done.code == 0, done
    assert "labels occur in other shares than in the test" in done.out
    assert 'labels that the run has never seen, wrong for every arm: "ugly" (1)' in done.out
    assert provider.counts()[CHAT] == len(kept) + 1


def test_labels_get_the_spelling_of_the_run(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    rows = [
        (text, label.title() if place % 3 else label) for place, (text, label) in enumerate(split(finished, "test"))
    ]
    data = write(tmp_path / "spelt.csv", [*rows, ("a new kind of text", "Ugly"), (rows[0][0], rows[0][1].upper())])
    done = recheck(finished, data, "--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert (found["relabelled"], found["labels"]["unseen"]) == (0, {"Ugly": 1})
    assert found["respelt"] == {label: label.lower() for label in ("Bad", "Good", "Mixed", rows[0][1].upper())}
    assert (found["left_out"]["exact-duplicates"], found["left_out"]["conflicting-duplicates"]) == (1, 0)
    assert {arm["name"]: arm["drift"] for arm in found["arms"]} == {"zero": False, "tuned": False}
    assert 'labels in the spelling of the run: "Bad" as "bad", "Good" as "good"' in recheck(finished, data).out


@pytest.mark.parametrize("halves", [True, False])
def test_whole_numbers_are_labels_of_the_run_however_each_file_writes_them(tmp_path: Path, halves: bool) -> None:
    lab = Lab.make(tmp_path)
    texts = list(lab.answers)
    stars = ["1.0", "2.0", "1.5" if halves else "3.0"]
    write(tmp_path / "data.csv", [(text, stars[place % 3]) for place, text in enumerate(texts)])
    lab.write('[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n', dataset=SPLIT)
    assert lab.run().code == 0
    assert lab.results()["run"]["labels"] == (["1.0", "1.5", "2.0"] if halves else ["1", "2", "3"])
    spellings = ["1", "2"] if halves else ["1.0", "2", "2.5"]
    fresh = [(text, spellings[place % len(spellings)]) for place, text in enumerate(list(NEW)[:30])]
    found = json.loads(recheck(lab, write(tmp_path / "fresh.csv", fresh), "--json").out)
    assert found["labels"]["unseen"] == ({} if halves else {"2.5": 10})
    shares = {one["label"]: one["fresh"] for one in found["labels"]["shares"]}
    assert [shares[label] for label in (("1.0", "2.0") if halves else ("1", "2"))] == [0.5 if halves else 1 / 3] * 2


def test_of_simulated_arms_no_drift_is_claimed(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 120)
    mock = '[[arms]]\nname = "{0}"\nbackend = {{ plugin = "mock", accuracy = {1} }}\n'
    lab.write(mock.format("good", 1.0) + mock.format("poor", 0.5), dataset=SPLIT)
    assert lab.run().code == 0
    assert lab.results()["verdict"]["simulated"]
    data = write(tmp_path / "fresh.csv", list(NEW.items()))
    found = json.loads(recheck(lab, data, "--json").out)
    assert [(arm["simulated"], arm["drift"]) for arm in found["arms"]] == [(True, None)] * 2
    assert (found["verdict"]["claim"], found["verdict"]["holds"]) == ("ahead", None)
    assert found["sentence"].startswith("Simulated: Whether the verdict holds cannot be told from ")
    assert "simulated, so nothing is claimed of them: good, poor" in recheck(lab, data).out


def test_wrong_commands_ask_nothing(finished: Lab, provider: Provider, tmp_path: Path) -> None:
    unlabelled = write(tmp_path / "a.csv", [(text, "") for text in list(NEW)[:3]], ("text", "labels"))
    done = recheck(finished, unlabelled)
    assert (done.code, 'no column "label" (the label); did you mean "labels"?' in done.err) == (2, True), done
    learnt = write(tmp_path / "b.csv", split(finished, "train")[:4])
    done = recheck(finished, learnt)
    assert (done.code, "no row is left" in done.err) == (2, True), done
    assert "in train: 4" in done.err
    lost = Lab.make(tmp_path, 60)
    lost.write(few_shot("zero"), dataset=SPLIT + endpoint(provider.base_url))
    provider.set(quota_after=0)
    assert lost.run().code == 4
    (lost.folder / "results.json").unlink()
    done = recheck(lost, write(tmp_path / "c.csv", list(NEW.items())[:3]))
    assert (done.code, "has not been scored yet" in done.err) == (2, True), done
