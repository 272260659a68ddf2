"""`repeats`: every test item asked several times, the first answers bought once, what comes of it counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.lab import Lab, endpoint, few_shot, task
from support.provider import Provider

pytestmark = pytest.mark.usefixtures("impatient")

CHAT = "POST /v1/chat/completions"
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n"
N = 30
OWN = '''
"""A backend that is not sure of itself."""
import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
import harness

_LABELS = itertools.cycle(["bad", "good", "mixed", "mixed"])

@dataclass(frozen=True, kw_only=True)
class Unsure:
    name: ClassVar[str] = "unsure"
    family: ClassVar[str] = "other"

    @contextmanager
    def open(self, ctx):
        yield lambda prompts: [harness.Answer(text=next(_LABELS)) for _ in prompts]

@harness.hookimpl
def harness_backends():
    return [Unsure]
'''


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=task(60), accuracy=0.6, seed=5, flip_rate=0.5) as running:
        yield running


def write(lab: Lab, provider: Provider, *arms: str, repeats: int, more: str = "") -> None:
    lab.write("\n".join(arms), head=f"repeats = {repeats}", dataset=SPLIT + more + endpoint(provider.base_url))


def stability(lab: Lab) -> dict[str, dict[str, Any]]:
    return {entry["arm"]: entry for entry in lab.results()["repeats"]}


def trials(lab: Lab) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(lab.folder / "trials.parquet").to_pylist()
    return [row for row in rows if row["candidate"].startswith("repeat ")]


def test_more_repeats_ask_only_the_further_times(lab: Lab, provider: Provider) -> None:
    arms = [few_shot("zero"), '[[arms]]\nname = "most"\nbackend = { plugin = "majority" }\n']
    write(lab, provider, *arms, repeats=1)
    assert lab.run().code == 0
    assert provider.counts()[CHAT] == N
    assert lab.results()["repeats"] == []
    before = lab.predictions()
    write(lab, provider, *arms, repeats=3)
    done = lab.run()
    assert done.code == 0, done
    assert provider.counts()[CHAT] == 3 * N
    assert lab.predictions() == before  # the same run, the same first answers, with their own times
    assert "asked once only, for they always answer the same: most" in done.err

    asked: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in trials(lab):
        asked[row["candidate"]].append(row)
    assert {name: len(rows) for name, rows in asked.items()} == dict.fromkeys(("repeat 0", "repeat 1", "repeat 2"), N)
    first = {row["example_id"]: row["predicted"] for row in before if row["arm"] == "zero"}
    assert {row["example_id"]: row["predicted"] for row in asked["repeat 0"]} == first
    by_item: dict[str, Counter[str]] = defaultdict(Counter)
    for row in trials(lab):
        by_item[row["example_id"]][row["predicted"]] += 1
    found = stability(lab)
    assert found["zero"]["agreement"] == sum(len(labels) == 1 for labels in by_item.values()) / N
    assert 0 < found["zero"]["agreement"] < 1
    assert 0 < found["zero"]["flip_rate"] < 1
    assert found["zero"]["accuracy"][0] == lab.arms()["zero"]["accuracy"]
    assert (found["zero"]["repeats"], found["zero"]["n"], found["zero"]["reason"]) == (3, N, None)
    assert (found["most"]["repeats"], found["most"]["reason"]) == (1, "deterministic")
    page = (lab.folder / "report.html").read_text()
    assert "Answer stability" in page
    assert "Asked once, because they always answer the same: most." in page

    provider.reset()
    assert "everything is there" in lab.run().err
    write(lab, provider, *arms, repeats=1)
    assert lab.run().code == 0
    assert lab.results()["repeats"] == []
    assert provider.counts() == {}


def test_a_sibling_takes_repeats_over_by_their_own_keys(lab: Lab, provider: Provider) -> None:
    write(lab, provider, few_shot("zero"), repeats=2)
    assert lab.run().code == 0
    first = lab.folder
    before = lab.results(first)["repeats"]
    provider.reset()
    write(lab, provider, few_shot("zero"), few_shot("four", k=4), repeats=2)
    assert lab.run().code == 0
    assert provider.counts()[CHAT] == 2 * N  # the new arm alone
    (second,) = [folder for folder in lab.runs if folder != first]
    after = {entry["arm"]: entry for entry in lab.results(second)["repeats"]}
    assert after["zero"] == before[0]


def test_an_arm_that_was_left_out_is_asked_again_later(lab: Lab, provider: Provider) -> None:
    arms = [few_shot("zero"), few_shot("four", k=4)]
    write(lab, provider, *arms, repeats=1)
    assert lab.run().code == 0
    write(lab, provider, *arms, repeats=2)
    provider.reset()
    assert lab.run("--only", "zero").code == 0
    assert provider.counts()[CHAT] == N
    assert (stability(lab)["four"]["repeats"], stability(lab)["four"]["reason"]) == (1, "not-asked")
    assert lab.run().code == 0
    assert provider.counts()[CHAT] == 2 * N
    assert stability(lab)["four"]["repeats"] == 2
    assert lab.run("--only", "zero").code == 0
    assert stability(lab)["four"]["repeats"] == 2
    assert provider.counts()[CHAT] == 2 * N


def test_a_budget_that_ends_with_the_repeats_leaves_the_results(lab: Lab, provider: Provider) -> None:
    arms = [few_shot("zero")]
    prices = '[prices."base-model"]\ninput = 1000\noutput = 1000\n'
    write(lab, provider, *arms, repeats=1, more=prices)
    assert lab.run().code == 0
    (spent,) = lab.journal("SELECT sum(usd) FROM answers")[0]
    write(lab, provider, *arms, repeats=2, more=prices)
    cut = lab.run("--max-usd", str(spent * 1.5))
    assert cut.code == 3, cut
    assert lab.arms()["zero"]["answered"] == N
    (entry,) = lab.results()["repeats"]
    assert (entry["repeats"], entry["reason"]) == (1, "not-asked")
    assert lab.run("--max-usd", str(spent * 3)).code == 0
    assert stability(lab)["zero"]["repeats"] == 2
    assert lab.journal("SELECT count(*) FROM answers") == [(2 * N,)]


def test_a_backend_in_process_is_asked_again_unless_it_says_that_it_need_not(lab: Lab, tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(OWN)
    own = '[[arms]]\nname = "own"\nbackend = { plugin = "unsure" }\n'
    mock = '[[arms]]\nname = "mock"\nbackend = { plugin = "mock" }\n'
    lab.write(own + mock, head='repeats = 2\nplugins = ["own.py"]', dataset=SPLIT)
    done = lab.run("--plugin", plugin)
    assert done.code == 0, done
    found = stability(lab)
    assert found["own"]["repeats"] == 2
    assert found["own"]["agreement"] < 1  # 30 items, a cycle of 4: the second time begins elsewhere in it
    assert found["mock"]["reason"] == "deterministic"
