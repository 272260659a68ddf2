"""The page: what stands on it, that nothing else does, and that it is the same each time."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from support.prose import strange_numbers
from support.report import Page, make_results, shipped_sections, twins, with_choices, write_run
from support.verdicts import CASES, run

from harness.blocks import Axis, Chart, Matrix, Point, Results, Series, Table, Text
from harness.errors import DataError
from harness.numbers import p_value
from harness.report import verdict
from harness.report.complete import completed
from harness.report.page import build, render
from harness.report.writers.markdown import to_markdown
from harness.scoring.results import build as build_results
from harness.scoring.verdict import judge

SECTIONS = shipped_sections()


def page_of(results: Results, **options: Any) -> Page:
    return Page(render(results, SECTIONS, **options))


def test_heading_is_the_verdict_letter_for_letter() -> None:
    results = make_results()
    page = page_of(results)
    assert page.texts["h1"] == [results.data["verdict"]["sentence"]]
    assert page.texts["title"] == page.texts["h1"]


def test_right_to_left_names_are_isolated_in_every_sentence_and_letter_for_letter_in_the_heading() -> None:
    case = CASES["win"]
    text = json.dumps(build_results(run(**case.changes), list(case.arms)))
    data = json.loads(text.replace('"small"', '"נמוך"').replace('"large"', '"גבוה"'))
    data["verdict"] = dict(data["verdict"]) | judge(data)
    sentence = data["verdict"]["sentence"]
    assert re.findall("[^ ]*[\u0590-\u05ff]+[^ :,]*", sentence) == ["\u2068נמוך\u2069", "\u2068גבוה\u2069"]
    page = page_of(Results(data=data))
    assert page.texts["h1"] == page.texts["title"] == [sentence]
    assert to_markdown(Results(data=data)).startswith("## " + sentence.partition(" $")[0])


def test_results_without_the_p_that_decides_show_mcnemars() -> None:
    def early(data: dict[str, Any]) -> None:
        for entry in data["comparisons"]:
            del entry["p"]

    results = make_results(change=early)
    [primary] = [entry for entry in results.data["comparisons"] if entry["primary"]]
    text = verdict.paragraph(completed(results.data).data)
    assert p_value(primary["mcnemar_p"]) in text


def test_all_shipped_sections_stand_in_order() -> None:
    page = page_of(make_results(change=with_choices))
    assert page.texts["h2"] == [
        "Decision", "Results", "Trade-offs", "Payback", "Choices", "Significance", "Confidence", "Errors",
        "Speed and tokens", "Samples", "Data", "Reproduce",
    ]  # fmt: skip
    links = [href for href in page.attribute("a", "href") if href.startswith("#section-")]
    assert links == [f"#{value}" for value in page.attribute("section", "id")]


def test_policy_comes_first_and_its_hashes_are_right() -> None:
    html = render(make_results(), SECTIONS)
    head = html[html.index("<head>") + 6 :].lstrip()
    assert head.startswith('<meta http-equiv="Content-Security-Policy"')
    [policy] = [value for value in Page(html).attribute("meta", "content") if "default-src" in value]
    assert policy.startswith("default-src 'none';")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_page_needs_nothing_from_elsewhere() -> None:
    page = page_of(make_results(change=with_choices))
    assert not {"img", "link", "iframe", "object", "form", "base", "image", "use"} & set(page.elements)
    kinds = page.attribute("script", "type")
    assert set(kinds) <= {"application/json", "text/plain"}  # data, which no browser runs
    assert page.elements["script"] - len(kinds) == page.elements["style"] == 1
    for tag, name, value in page.attributes:
        assert name != "style", tag
        assert not name.startswith("on"), (tag, name)
        assert name not in {"src", "srcset", "action", "xlink:href"}, (tag, name)
        assert name != "href" or value.startswith("#"), value


def test_hostile_text_never_becomes_markup() -> None:
    hostile, harmless = (page_of(results) for results in twins())
    # Lines to labels depend on the room that labels take: the only elements that text may add
    for page in (hostile, harmless):
        del page.elements["line"]
    assert hostile.elements == harmless.elements
    assert {(tag, name) for tag, name, _ in hostile.attributes} == {(tag, name) for tag, name, _ in harmless.attributes}
    assert hostile.texts["h1"] == ["Verdict <script>alert(1)</script>"]
    assert "{{7*7}}{% raw %}" in "".join(hostile.texts["bdi"])


def test_hostile_names_stay_in_the_terminal_line_and_the_page_title() -> None:
    hostile, _ = twins()
    html = render(hostile, SECTIONS)
    assert html.count("<title>") == 1
    assert html.count("alert(1)</script>") == 0


@pytest.mark.parametrize("arms", [1, 2, 6, 8])
@pytest.mark.parametrize("groups", [False, True])
def test_each_number_in_prose_stands_in_the_results(arms: int, groups: bool) -> None:
    results = make_results(arms=arms, groups=groups)
    page, strange = page_of(results), strange_numbers(results.data)
    counted = 0
    for key in ("h1", ".lead", ".value", ".detail", "figcaption", ".callout", ".passage"):
        for text in page.texts.get(key, ()):
            found, unknown = strange(text)
            counted += found
            assert not unknown, text
    assert counted > (3 if arms == 1 else 20)


def test_same_bytes_each_time(tmp_path: Any) -> None:
    folder = write_run(tmp_path / "run", make_results(change=with_choices))
    first = build(folder, SECTIONS).read_bytes()
    assert build(folder, SECTIONS).read_bytes() == first
    assert build(folder, SECTIONS[::-1], tmp_path / "again.html").read_bytes() == first
    assert not list(folder.glob(".report*"))


def test_row_order_of_the_files_changes_nothing() -> None:
    results = make_results()
    turned = Results(
        data=results.data,
        predictions={name: values[::-1] for name, values in results.predictions.items()},
        examples={name: values[::-1] for name, values in results.examples.items()},
    )
    assert render(turned, SECTIONS) == render(results, SECTIONS)


@pytest.mark.parametrize("arms", [1, 2, 6, 14])
def test_every_arm_has_one_letter_everywhere(arms: int) -> None:
    results = make_results(arms=arms, n=60)
    page = page_of(results)
    badges = {tuple(text.split(maxsplit=1)) for text in page.texts["td"] if re.match(r"[A-Z] ", text)}
    names = {arm["name"] for arm in results.data["arms"]}
    letters = {name: {letter for letter, rest in badges if rest.startswith(name)} for name in names}
    exact = {name for name in names if not any(other != name and other.startswith(name) for other in names)}
    assert all(len(letters[name]) == 1 for name in exact)
    assert sum(page.elements[tag] for tag in ("h1", "main")) == 2


def no_numbers(data: dict[str, Any]) -> None:
    for arm in data["arms"]:
        for key, value in arm.items():
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                arm[key] = None
        arm["accuracy_ci"], arm["latency_s"] = None, {"p50": None, "p95": None, "p99": None}
    data.update(comparisons=[], payback=[], checks=[], decision=None)


def only_promised(data: dict[str, Any]) -> None:
    keys = (
        "name family model of shots n answered unparsed failed simulated imported accuracy accuracy_strict accuracy_ci",
        "macro_f1 mae mae_all off_by_one input_tokens_mean output_tokens_mean cached_tokens_mean reasoning_tokens_mean",
        "cost_per_1k_usd training_cost_usd training_s latency_s",
    )
    data["arms"] = [{key: arm[key] for line in keys for key in line.split()} for arm in data["arms"]]


def nothing_at_all(data: dict[str, Any]) -> None:
    for key in list(data):
        if key != "schema":
            del data[key]


def failed_arm(data: dict[str, Any]) -> None:
    arm = data["arms"][0]
    for key in ("accuracy", "accuracy_ci", "macro_f1", "cost_per_1k_usd", "input_tokens_mean", "rank"):
        arm[key] = None
    arm.update(answered=0, failed=arm["n"], latency_s={"p50": None, "p95": None, "p99": None})


@pytest.mark.parametrize("change", [no_numbers, only_promised, nothing_at_all, failed_arm])
def test_page_is_built_whatever_is_missing(change: Any) -> None:
    results = make_results(n=60, change=change)
    for one in (results, Results(data=results.data)):
        page = page_of(one)
        assert page.elements["h1"] == 1
        assert not [text for text in page.texts.get(".callout", []) if "could not be shown" in text]
        assert "None" not in "".join(page.texts["main"])
        assert "nan" not in "".join(page.texts["main"]).lower().split()


def test_one_label() -> None:
    def one(data: dict[str, Any]) -> None:
        data["run"]["labels"] = ["positive"]

    results = make_results(n=40, arms=2, change=one)
    everything = tuple("positive" for _ in results.predictions["arm"])
    predictions = {**results.predictions, "expected": everything, "predicted": everything}
    page = page_of(Results(data=results.data, predictions=predictions, examples=results.examples))
    assert not [text for text in page.texts.get(".callout", []) if "could not be shown" in text]


def test_simulated_and_imported_are_marked_wherever_they_show() -> None:
    def mark(data: dict[str, Any]) -> None:
        data["arms"][0]["simulated"] = data["arms"][1]["imported"] = True

    page = page_of(make_results(change=mark))
    text = page.texts["header"][0]
    assert "partly simulated" in text
    assert "partly imported" in text
    assert page.texts[".lead"][0].startswith("tuned (simulated) answers")
    rows = [row for row in page.texts["tr"] if "\ntuned" in row.replace(" A ", "\n") or "tuned simulated" in row]
    assert page.texts[".tag"].count("simulated") >= 4
    assert rows


def test_failed_check_stands_above_the_verdict() -> None:
    def leak(data: dict[str, Any]) -> None:
        data["checks"].append({"kind": "exact-leak", "level": "error", "message": "3 test examples stand in train."})

    html = render(make_results(change=leak), SECTIONS)
    assert 0 < html.index("3 test examples stand in train.") < html.index("<h1>")
    quiet = render(make_results(), SECTIONS)
    assert "Check failed" not in quiet


SECRET = "response that nobody may see"


def private() -> Results:
    results = make_results(n=80, arms=3)
    size = len(results.predictions["arm"])
    return Results(
        data=results.data,
        predictions={**results.predictions, "response": (SECRET,) * size, "predicted": (None,) * size},
        examples=results.examples,
    )


def test_without_samples_no_text_leaves() -> None:
    results = private()
    shown = render(results, SECTIONS)
    hidden = render(results, [*SECTIONS, Greedy()], samples="none")
    assert SECRET in shown
    assert SECRET not in hidden
    assert not [text for text in results.examples["text"] if text in hidden]


def test_errors_only_shows_only_what_some_arm_got_wrong() -> None:
    results = make_results(n=80, arms=2)
    table = zip(
        results.predictions["example_id"],
        results.predictions["expected"],
        results.predictions["predicted"],
        strict=True,
    )
    wrong = {key for key, expected, predicted in table if expected != predicted}
    html = render(results, [Greedy()], samples="errors")
    pairs = list(zip(results.examples["id"], results.examples["text"], strict=True))
    assert 0 < len(wrong) < len(pairs)
    for key, text in pairs:
        assert (text.splitlines()[1] in html) == (key in wrong)


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """Shows all that it is given."""

    name: ClassVar[str] = "greedy"

    def blocks(self, results: Results) -> Any:
        yield Text(text=repr(results.examples.get("text")) + repr(results.predictions.get("response")))


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Fails in one of several ways."""

    name: ClassVar[str] = "broken <b>"
    how: str

    def blocks(self, results: Results) -> Any:
        yield Text(text="before")
        if self.how == "raises":
            raise RuntimeError("<i>no</i>")
        if self.how == "no block":
            yield "<b>markup</b>"
        if self.how == "bad figure":
            point = Point(x=float("nan"), y=1.0)
            yield Chart(
                title="t",
                subtitle="s",
                x=Axis(title="x"),
                y=Axis(title="y"),
                series=(Series(arm="a", points=(point, point)),),
            )
        if self.how == "ragged":
            yield Matrix(title="t", subtitle="s", rows=("a", "b"), columns=("a",), counts=((1,),))


@pytest.mark.parametrize("how", ["raises", "no block", "bad figure", "ragged"])
def test_broken_section_becomes_a_remark_that_names_it(how: str) -> None:
    page = Page(render(make_results(n=40, arms=2), [*SECTIONS, Broken(how=how)]))
    [remark] = [text for text in page.texts[".callout"] if "could not be shown" in text]
    assert 'The section "broken <b>"' in remark
    assert "Reproduce" in page.texts["h2"]


def test_a_section_cannot_change_what_others_see() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Vandal:
        name: ClassVar[str] = "vandal"
        order: ClassVar[int] = 1

        def blocks(self, results: Results) -> Any:
            results.data["arms"].clear()  # type: ignore[attr-defined]
            return ()

    results = make_results(n=40, arms=2)
    before = copy.deepcopy(results.data)
    assert render(results, [Vandal(), *SECTIONS]) == render(results, SECTIONS)
    assert results.data == before


def test_every_figure_has_its_data_table() -> None:
    html = render(make_results(change=with_choices), SECTIONS)
    page = Page(html)
    figures = page.elements["figure"] - 1  # the command is no figure of numbers
    assert figures >= 9
    behind = re.findall(r'<details class="behind">.*?</details>', html, re.DOTALL)
    tables = [re.findall(r"<caption>([^<]*)</caption>", details) for details in behind]
    assert sum(map(len, tables)) == figures
    for details, captions in zip(behind, tables, strict=True):
        summary = details.partition("</summary>")[0]
        assert ("Data tables" in summary) == (len(captions) > 1)
        assert all(caption.partition(": 21 points")[0] in summary for caption in captions)
    assert page.texts["figcaption"]


def test_columns_of_a_third_party_table_keep_their_cells() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Own:
        name: ClassVar[str] = "own"

        def blocks(self, results: Results) -> Any:
            from harness.blocks import Column

            yield Table(caption="Mine", columns=(Column(title="a"), Column(title="b")), rows=(("1", "<2>"),))

    page = Page(render(make_results(n=40, arms=1), [Own()]))
    assert page.texts["td"] == ["1", "<2>"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        ("{", "is not JSON"),
        (json.dumps({"schema": 2}), "has schema 2"),
        ("[]", "holds no JSON object"),
    ],
)
def test_bad_results_file_is_named(tmp_path: Any, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        build(tmp_path, SECTIONS)
    assert str(tmp_path / "results.json") in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "report.html").exists()


def test_page_of_a_thousand_items_is_small() -> None:
    html = render(make_results(n=1000, arms=4, change=with_choices), SECTIONS)
    assert len(html.encode()) <= 500_000
