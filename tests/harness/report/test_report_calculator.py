"""The calculator and the first screen in a browser: Python's formulas, links that bring figures back, bad input."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from support.report import make_results, with_choices
from support.results import ARMS, make_arm, make_examples, make_run

from harness import numbers
from harness.report.page import render
from harness.scoring.coefficients import coefficients
from harness.scoring.costs import price_of
from harness.scoring.facts import Decision, Price
from harness.scoring.judging import Repricing, assumptions, rejudge
from harness.scoring.results import build
from harness_plugins.sections.decision import Decision as DecisionSection

pytestmark = pytest.mark.xdist_group("chromium")

EXAMPLES = make_examples(60)
CASES = 200
FIGURES = ("saving_per_1k", "monthly_saving", "total_saving", "months_to_break_even", "invested", "months")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calculator")


def written(folder: Path, name: str, results: Any) -> str:
    path = folder / f"{name}.html"
    path.write_text(render(results, [DecisionSection()]), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def address(folder: Path) -> str:
    return written(folder, "ordinary", make_results(n=80, arms=6))


def local(data: dict[str, Any]) -> None:
    """Makes all arms answers of a local endpoint: there are seconds, and no price."""
    for place, arm in enumerate(data["arms"]):
        arm |= {"local": True, "price": None, "cost_per_1k_usd": None, "training_cost_usd": None, "shutdown_date": None}
        arm["machine_s_per_1k"] = 3.0 + 5 * place
    data["arms"][0]["machine_s_per_1k"] = 2.0


def expiring(data: dict[str, Any]) -> None:
    data["arms"][0]["shutdown_date"] = "2027-03-01"
    for arm in data["arms"]:
        if arm["model"] == "large":
            arm["price"] |= {"cache_write": 3.1, "reasoning": 12.0, "hosting_hour": 0.02}
            arm["reasoning_tokens_mean"] = 1.2


def batched(data: dict[str, Any]) -> None:
    """Some of the arms were bought by the batch, in which what is cached costs as much as at once."""
    for arm in data["arms"][::2]:
        if arm["price"] is not None:
            arm["price_shares"] = {
                "input": 0.5,
                "cached_input": 1.0,
                "cache_write": 0.5,
                "output": 0.4,
                "reasoning": 0.4,
            }


def searched(data: dict[str, Any]) -> None:
    with_choices(data)
    data["choices"][0] |= {"usd": 3.0, "seconds": 2000.0}


def runs() -> list[dict[str, Any]]:
    """Returns results of unlike runs: plain, with all costs, by label, expiring, in seconds, by batch, …"""
    all_costs = Decision(
        incumbent="8-shot", setup_hours=3, hour_usd=60, upkeep_hours_per_month=0.5, retrainings_per_year=4,
        hosting_usd_per_month=12, label_usd=0.02, labelling_usd=20, cache_hit=0.3, requests_per_month=40_000,
    )  # fmt: skip
    by_label = replace(all_costs, error_usd={"neutral": 0.02, "default": 0.005}, setup_hours=0)
    plain = json.loads(json.dumps(build(make_run(EXAMPLES), [make_arm(arm, EXAMPLES) for arm in ARMS])))
    plain["cascades"] = []  # no formula has a use for them, and they are copied for each case
    for arm in plain["arms"]:
        arm["confidence"] = None
    found = [plain, *(rejudge(plain, each) for each in (all_costs, by_label, replace(by_label, error_usd=0.01)))]
    for change in (local, expiring, searched, batched):
        one = json.loads(json.dumps(plain))
        change(one)
        found.append(rejudge(one, assumptions(one)))
    return found


def drawn(draw: random.Random, data: Mapping[str, Any]) -> dict[str, Any]:
    """Draws what a reader may give; `None` is as in the run."""
    arms = {arm["name"]: arm for arm in data["arms"]}
    tuned = data["decision"]["arm"]
    against = draw.choice([name for name in arms if name != tuned])
    given: dict[str, Any] = {
        "against": against, "requests": draw.choice([None, 1.0, 10 ** draw.uniform(0, 8)]),
        "months": draw.choice([12.0, draw.uniform(0.1, 60)]), "cache_hit": draw.choice([None, draw.random()]),
        "error_usd": draw.choice([None, 0.0, draw.uniform(0, 0.2)]), "prices": {}, "per_1k": {},
        "hour_usd": draw.choice([None, draw.uniform(0, 3)]) if any(arm["local"] for arm in arms.values()) else None,
    }  # fmt: skip
    for name in (tuned, against):
        if arms[name]["price"] is not None and draw.random() < 0.4:
            price = {"input": 10 ** draw.uniform(-2, 2), "output": 10 ** draw.uniform(-2, 2)}
            given["prices"][arms[name]["model"]] = price
        elif arms[name]["price"] is None and not arms[name]["local"] and draw.random() < 0.5:
            given["per_1k"][name] = 10 ** draw.uniform(-3, 1)
    return given


def expected(data: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Decides as `harness decide` does."""
    models = {arm["model"]: arm for arm in data["arms"] if arm["price"] is not None}
    old = assumptions(data)
    error = given["error_usd"]
    decision = replace(
        old,
        incumbent=given["against"],
        requests_per_month=given["requests"],
        horizon_months=given["months"],
        cache_hit=given["cache_hit"],
        error_usd=(old.error_usd if isinstance(old.error_usd, Mapping) else None) if error is None else error,
    )
    prices = {name: replace(price_of(models[name]) or Price(), **price) for name, price in given["prices"].items()}
    now = rejudge(data, decision, Repricing(models=prices, hour_usd=given["hour_usd"], per_1k=given["per_1k"]))
    (entry,) = (line for line in now["payback"] if line["role"] == "incumbent")
    return {**now["decision"], **entry, "invested": entry["fixed"], "months": now["decision"]["months"]}


def test_browser_and_python_agree_on_two_hundred_cases(browser: Any, address: str) -> None:
    draw, cases, wanted = random.Random(9), [], []
    stored = runs()
    for number in range(CASES):
        data = stored[number % len(stored)]
        given = drawn(draw, data)
        cases.append({"run": coefficients(data), "given": given})
        wanted.append(expected(data, given))
    page = browser.new_page()
    page.goto(address)
    got = page.evaluate("cases => cases.map(c => Decision.decide(c.run, c.given))", cases)
    page.close()
    for case, mine, other in zip(cases, wanted, got, strict=True):
        for name in FIGURES:
            value = None if mine[name] is None else pytest.approx(mine[name], rel=1e-9, abs=1e-9)
            assert other[name] == value, (name, case["given"])
        assert other["requests"] == mine["requests"], case["given"]
        assert other["break_even_date"] == mine["break_even_date"], case["given"]
        assert other["comparable"] == (mine["saving_per_1k"] is not None)
    assert {one["unit"] for one in got} == {"usd", "machine_s"}
    assert 20 < sum(one["requests"] is not None for one in got) < CASES - 20
    assert sum(bool(one["total_saving"] and one["total_saving"] > 0) for one in got) > 20


def test_browser_writes_numbers_as_python_does(browser: Any, address: str) -> None:
    draw = random.Random(4)
    values = [0.0, *(draw.choice([1, -1]) * 10 ** draw.uniform(-6, 9) for _ in range(200))]
    words = {"s": "{n} s", "min": "{n} min", "h": "{n} h", "h_min": "{hours} h {minutes} min"}
    page = browser.new_page()
    page.goto(address)
    got = page.evaluate(
        "([values, words]) => values.map(x => [Decision.dollars(x), Decision.duration(x, words), Decision.number(x)])",
        [values, words],
    )
    page.close()
    assert got == [[numbers.usd(x), numbers.duration(x), numbers.count(x)] for x in values]


def shown(page: Any) -> dict[str, str]:
    cells = page.eval_on_selector_all(
        ".outcomes dd", "cells => cells.map(c => [c.dataset.key, c.firstChild.textContent])"
    )
    return dict(cells) | {"answer": page.inner_text(".answer")}


def test_calculator_starts_as_the_run_and_its_link_brings_figures_back(browser: Any, folder: Path) -> None:
    results = make_results(n=80, arms=6)
    decision, data = results.data["decision"], results.data
    address = written(folder, "link", results)
    page = browser.new_page()
    page.goto(address)
    page.click(".calculator summary")
    first = shown(page)
    assert first["monthly_saving"] == numbers.usd(decision["monthly_saving"])
    assert first["total_saving"] == numbers.usd(decision["total_saving"])
    assert first["requests"] == f"{numbers.count(data['payback'][0]['requests'])} requests"
    assert page.evaluate("location.hash") == ""
    page.select_option("[data-key=against]", "zero-shot")
    page.fill("[data-key=requests]", "250000")
    page.fill("[data-key=a_input]", "0.5")
    page.fill("[data-key=error]", "0.01")
    changed = shown(page)
    link = page.get_attribute(".permalink", "href")
    page.goto("about:blank")
    page.goto(address + link)
    again = shown(page)
    opened = page.evaluate("document.querySelector('.calculator').open")
    page.click(".reset")
    reset = shown(page)
    page.close()
    assert link == "#d=against:zero-shot,requests:250000,error:0.01,a_input:0.5"
    assert again == changed != first == reset
    assert opened
    model = next(arm["model"] for arm in data["arms"] if arm["name"] == "tuned")
    given = {
        "against": "zero-shot", "requests": 250_000.0, "months": 12.0, "cache_hit": None, "error_usd": 0.01,
        "prices": {model: {"input": 0.5}}, "hour_usd": None, "per_1k": {},
    }  # fmt: skip
    assert changed["total_saving"] == numbers.usd(expected(dict(data), given)["total_saving"])


@pytest.mark.parametrize("value", ["-1", "1e99", "1e400", "e"])
def test_what_is_no_number_gets_a_sentence(browser: Any, address: str, value: str) -> None:
    page = browser.new_page()
    page.goto(address + "#d=months:24")
    page.focus("[data-key=requests]")
    page.keyboard.press("Control+A")
    page.keyboard.type(value)
    said = shown(page)
    marked = page.get_attribute("[data-key=requests]", "aria-invalid")
    page.close()
    assert said.pop("answer") == "“Requests a month” must be a number from 0 to 1,000,000,000,000."
    assert set(said.values()) == {numbers.MISSING}
    assert marked == "true"


def test_no_months_ahead_are_no_shutdown(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    page.goto(written(folder, "months", make_results(n=80, arms=6)) + "#d=months:0")
    said = shown(page)
    marked = page.get_attribute("[data-key=months]", "aria-invalid")
    page.fill("[data-key=months]", "0.5")
    assert shown(page)["answer"].startswith("tuned")
    page.goto("about:blank")
    page.goto(written(folder, "over", make_results(n=80, arms=6, change=over)) + "#d=months:0")
    ended = shown(page)["answer"]
    page.close()
    assert said.pop("answer") == "“Months ahead” must be a number above 0, at most 1,200."
    assert set(said.values()) == {numbers.MISSING}
    assert marked == "true"
    assert ended == "The model of tuned is shut down before it could save anything."


def over(data: dict[str, Any]) -> None:
    data["arms"][0]["shutdown_date"] = "2026-01-01"
    data.update({key: value for key, value in rejudge(data, assumptions(data)).items() if key != "arms"})


def priced_errors(data: dict[str, Any]) -> None:
    now = rejudge(data, replace(assumptions(data), error_usd=0.01, requests_per_month=40_000))
    data.update(decision=now["decision"], payback=now["payback"], verdict=now["verdict"])


def test_an_emptied_field_counts_as_in_the_run(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    page.goto(written(folder, "emptied", make_results(n=80, arms=6, change=priced_errors)))
    page.click(".calculator summary")
    first = shown(page)
    assert page.input_value("[data-key=error]") == "0.01"
    for key in ("requests", "months", "error", "a_input"):
        page.fill(f"[data-key={key}]", "7")
        changed = shown(page)
        page.fill(f"[data-key={key}]", "")
        assert shown(page) == first != changed, key
        assert page.get_attribute(f"[data-key={key}]", "placeholder") == "as in the run", key
    page.close()


def zero_cost(data: dict[str, Any]) -> None:
    for arm in data["arms"][:2]:
        arm.update(cost_per_1k_usd=0.0, price=None)
    data["decision"].update(rejudge(data, assumptions(data))["decision"])


def no_price(data: dict[str, Any]) -> None:
    for arm in data["arms"]:
        arm.update(cost_per_1k_usd=None, price=None, machine_s_per_1k=None)
    now = rejudge(data, assumptions(data))
    data.update(decision=now["decision"], payback=now["payback"], verdict=now["verdict"])


def dear(data: dict[str, Any]) -> None:
    price = replace(price_of(data["arms"][0]) or Price(), input=900.0)
    now = rejudge(data, assumptions(data), Repricing(models={data["arms"][0]["model"]: price}))
    data.update(arms=now["arms"], decision=now["decision"], payback=now["payback"], verdict=now["verdict"])


def unfinished(data: dict[str, Any]) -> None:
    data["arms"][0].update(n=0, accuracy=None, accuracy_ci=None, cost_per_1k_usd=None, input_tokens_mean=None)


ANSWERS = {
    "zero_cost": (zero_cost, "tuned never pays: its requests cost as much as those of 8-shot."),
    "no_price": (no_price, "What a request costs is not known for tuned and 8-shot in one unit: give their prices."),
    "dear": (dear, "tuned never pays: 1,000 of its requests cost $"),
    "local": (lambda data: local(data) or data.update(rejudge(data, assumptions(data))), "tuned pays: at 15,000"),
    "unfinished": (unfinished, None),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_whatever_a_run_lacks_there_are_honest_words(browser: Any, folder: Path, case: str) -> None:
    change, answer = ANSWERS[case]
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(written(folder, case, make_results(n=60, arms=2, change=change)))
    text = page.evaluate("(document.querySelectorAll('details').forEach(d => d.open = true), document.body.innerText)")
    assert [word for word in ("NaN", "undefined", "Infinity", "null") if word in text] == []
    assert said == []
    if answer is None:
        assert page.query_selector(".calculator") is None
    else:
        assert page.inner_text(".answer").startswith(answer)
    page.close()


def test_fields_are_those_of_what_the_arms_pay_for(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    page.goto(written(folder, "fields", make_results(n=60, arms=6)) + "#d=against:tf-idf")
    labels = page.eval_on_selector_all(".field:not([hidden]) > span", "spans => spans.map(s => s.textContent)")
    page.fill("[data-key=b_1k]", "5")
    answer = page.inner_text(".answer")
    page.close()
    assert "1,000 requests of tf-idf, USD" in labels
    assert "A million input tokens of tuned, USD" in labels
    assert "An hour of this machine, USD" not in labels
    assert not [label for label in labels if not label or "{" in label]
    assert answer.startswith("tuned pays")


def test_without_scripts_the_table_stands_and_the_calculator_does_not(browser: Any, address: str) -> None:
    page = browser.new_page(scripts=False)
    page.goto(address)
    text = page.inner_text("#section-decision")
    hidden = page.is_hidden(".calculator")
    page.close()
    assert "100,000" in text
    assert hidden


LONG = "Tuned wins: " + "9.0 points more accurate than eight shots of a prompt, and cheaper for each request; " * 3


def lengthy(data: dict[str, Any]) -> None:
    data["verdict"]["sentence"] = f"{LONG[:219]}."


def leaky(data: dict[str, Any]) -> None:
    lengthy(data)
    data["checks"].append({"kind": "exact-leak", "level": "error", "message": "12 test examples stand in train."})


@pytest.mark.parametrize("change", [lengthy, leaky])
def test_first_screen_of_a_phone_holds_a_long_verdict_and_four_tiles(browser: Any, folder: Path, change: Any) -> None:
    results = make_results(n=80, arms=6, change=change)
    assert len(results.data["verdict"]["sentence"]) == 220
    names = {"tuned": "fine-tuned on everything that we have " * 2, "8-shot": "eight shots of the longest prompt " * 2}
    text = json.dumps(results.data)
    for name, longer in names.items():
        text = text.replace(f'"{name}"', json.dumps(longer[:60]))
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(written(folder, f"phone-{change.__name__}", replace(results, data=json.loads(text), predictions={})))
    boxes = page.eval_on_selector_all("h1, header .tile", "all => all.map(e => e.getBoundingClientRect().toJSON())")
    wide = page.evaluate("document.documentElement.scrollWidth")
    bar = page.eval_on_selector(".top", "bar => bar.getBoundingClientRect().height")
    page.close()
    assert len(boxes) == 5
    assert len({round(box["left"]) for box in boxes[1:]}) == 2
    assert max(box["bottom"] for box in boxes) <= 844
    assert wide == 390
    assert bar < 60


def test_prices_of_the_run_survive_the_island(address: str) -> None:
    data = make_results(n=80, arms=6).data
    stake = coefficients(data)
    assert stake is not None
    price = stake["arms"]["tuned"]["price"]
    assert {each.name: price[each.name] for each in fields(Price)} == data["arms"][0]["price"]
    assert "</" not in json.dumps(stake)
