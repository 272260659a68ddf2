"""The experiment file to start from: TOML whatever the data hold, loadable, sensible for small and large label sets."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from harness.experiment import Experiment
from harness.experiment.reader import load
from harness.guessing.forms import guessed_forms
from harness.guessing.guess import Given, guess
from harness.plugins.discovery import discover
from harness.starter import toml_writing
from harness.starter.own_prompt import read_prompt, shown
from harness.starter.start import Start, endpoint_of, sizes
from harness.starter.text import experiment_text

WORDS = ("amber", "bridge", "candle", "dune", "ember", "forest", "garnet", "harbour", "island", "jasper", "kernel")
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def rows(n: int = 60, labels: Sequence[str] = ("bad", "good"), **more: str) -> list[dict[str, str]]:
    """Returns n rows of text and label, and further columns that say the same in every row."""
    draw = random.Random(5)
    return [
        {"text": f"{' '.join(draw.choices(WORDS, k=12))} {number}", "label": labels[number % len(labels)], **more}
        for number in range(n)
    ]


def started(table: list[dict[str, Any]], given: Given | None = None, **changes: Any) -> Start:
    """Returns a start from a table."""
    guesses = guess(table, given)
    start = Start(
        name="task",
        path="data.csv",
        guesses=guesses,
        options=guesses.options,
        guessed=guesses.found,
        forms=guessed_forms(guesses.options, guesses),
        whole=True,
    )
    return replace(start, **changes)


def hosted(url: str = "https://api.openai.com/v1", model: str = "gpt-4.1-mini") -> dict[str, Any]:
    """Returns what an endpoint changes about a start."""
    return {"endpoint": endpoint_of(url), "model": model}


def loaded(folder: Path, start: Start) -> Experiment:
    """Loads the file that is written."""
    path = folder / "experiment.toml"
    path.write_text(experiment_text(start), encoding="utf-8")
    return load(path, discover())


def arms_of(start: Start) -> dict[str, Mapping[str, Any]]:
    """Returns the arms' tables by name."""
    return {arm["name"]: arm for arm in tomllib.loads(experiment_text(start))["arms"]}


def test_without_an_endpoint_everything_runs_on_this_machine(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, started(rows()))
    assert [arm.name for arm in experiment.arms] == ["majority", "classical", "zero-shot", "few-shot", "fine-tuned"]
    assert [arm.family for arm in experiment.arms][2:] == ["zero-shot", "few-shot", "fine-tuned"]
    assert set().union(*(arm.endpoint_names() for arm in experiment.arms)) == {"local"}
    assert experiment.decision.incumbent is None
    assert len(experiment.arms[3].candidates) > 1
    assert {arm.resolved()["backend"]["answer"] for arm in experiment.arms[2:]} == {"choose"}


def test_with_an_endpoint_its_model_is_prompted_and_trained(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, started(rows(), **hosted()))
    table = experiment.endpoints["openai"]
    assert (table.base_url, table.api_key_env) == ("https://api.openai.com/v1", "OPENAI_API_KEY")
    assert experiment.secret_names() == ("OPENAI_API_KEY",)
    asked = {arm.name: arm.resolved() for arm in experiment.arms if arm.endpoint_names()}
    assert {arm["backend"]["endpoint"] for arm in asked.values()} == {"openai"}
    assert {arm["formatter"]["plugin"] for arm in asked.values()} == {"chat"}
    assert asked["fine-tuned"]["backend"]["base"] == asked["zero-shot"]["backend"]["model"] == "gpt-4.1-mini"
    assert experiment.prepare.pii is None  # then texts that hold personal data stop the run


@pytest.mark.parametrize(
    ("url", "name", "key"),
    [
        ("https://api.openai.com/v1", "openai", "OPENAI_API_KEY"),
        ("https://api.mistral.ai/v1", "mistral", "MISTRAL_API_KEY"),
        ("https://open-router.ai/api", "open-router", "OPEN_ROUTER_API_KEY"),
        ("https://llm.intern.example.com/v1", "endpoint", "ENDPOINT_API_KEY"),
        ("https://local.net/v1", "endpoint", "ENDPOINT_API_KEY"),
        ("http://10.0.0.7:8000/v1", "endpoint", "ENDPOINT_API_KEY"),
    ],
)
def test_an_endpoint_is_named_after_its_host(url: str, name: str, key: str, tmp_path: Path) -> None:
    assert (endpoint_of(url).name, endpoint_of(url).key) == (name, key)
    assert loaded(tmp_path, started(rows(), **hosted(url))).endpoints[name].api_key_env == key


def test_a_server_on_this_machine_needs_no_key(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, started(rows(), **hosted("http://localhost:8000/v1", "qwen")))
    assert experiment.secret_names() == ()
    assert experiment.prepare.pii == "warn"


def test_another_local_model_is_named_where_the_endpoint_starts_it(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, started(rows(), model="owner/small"))
    assert experiment.endpoints["local"].model == "owner/small"
    assert experiment.arms[2].resolved()["backend"]["model"] == "owner/small"


@pytest.mark.parametrize(("n", "listed"), [(2, True), (20, True), (77, False)])
def test_many_labels_are_not_listed(n: int, listed: bool) -> None:
    labels = [f"intent_{number:02}" for number in range(n)]
    start = started(rows(800, labels))
    table = tomllib.loads(experiment_text(start))["dataset"]
    assert table.get("labels") == (labels if listed else None)
    assert "labels" not in tomllib.loads(experiment_text(replace(start, whole=False)))["dataset"]


def test_more_labels_get_more_shots_and_small_data_fewer() -> None:
    counts = {
        n: arms_of(started(rows(n * 40, [f"c{k}" for k in range(n)])))["few-shot"]["choose"]["shots.k"]
        for n in (2, 12, 77)
    }
    assert counts == {2: [4, 8, 16], 12: [8, 16, 32], 77: [16, 32, 64]}
    many = rows(800, [f"c{k}" for k in range(77)])
    assert arms_of(started(many))["few-shot"]["choose"]["shots.draw"] == [1]
    assert arms_of(started(many, **hosted()))["few-shot"]["choose"]["shots.draw"] == [1, 2]
    assert arms_of(started(rows(8)))["few-shot"]["choose"]["shots.k"] == [2]
    long = [{**row, "text": f"{row['text']} {'word ' * 500}"} for row in rows(400)]
    assert arms_of(started(long))["few-shot"]["choose"]["shots.k"] == [4]
    assert arms_of(started(long, **hosted()))["few-shot"]["choose"]["shots.k"] == [4, 8, 16]


def test_very_many_labels_are_not_scored_one_by_one_and_all_arms_answer_alike() -> None:
    arms = arms_of(started(rows(1200, [f"class {number}" for number in range(120)])))
    assert {arms[name]["backend"].get("answer", "generate") for name in ("zero-shot", "few-shot", "fine-tuned")} == {
        "generate"
    }
    assert "class 119" in arms["zero-shot"]["formatter"]["instruction"]
    assert "choose" not in arms["zero-shot"]


@pytest.mark.parametrize(("n", "test"), [(60, 0.35), (700, 0.25), (2000, 0.1)])
def test_the_less_data_the_larger_the_share_of_the_test(n: int, test: float) -> None:
    split = tomllib.loads(experiment_text(started(rows(n))))["prepare"]["split"]
    assert split["test"] == test
    assert sum(split[part] for part in ("train", "validation", "test")) == pytest.approx(1)


def test_a_class_that_is_too_small_to_split_is_named_and_does_not_stop_the_run() -> None:
    table = [*rows(90), {"text": "nothing else is like this one", "label": "rare"}]
    table.append({"text": "nothing else is like this one!", "label": "rare"})
    table += [
        {"text": f"amber bridge candle dune ember {n} number of a row in a very long table", "label": "alike"}
        for n in range(6)
    ]
    start = started(table)
    assert sizes(start.guesses).classes["rare"] == 1
    assert sizes(start.guesses).classes["alike"] < 6
    text = experiment_text(start)
    assert tomllib.loads(text)["prepare"]["split"]["stratify"] == "where-possible"
    assert '"rare"' in " ".join(sizes(start.guesses).notes)
    assert tomllib.loads(experiment_text(started(rows(90))))["prepare"]["split"]["stratify"] is True


def test_few_rows_are_said_to_be_few_and_enough_are_not() -> None:
    assert any("a test of about 21 rows" in note for note in sizes(started(rows(60)).guesses).notes)
    assert sizes(started(rows(2000)).guesses).notes == ()


def test_a_part_of_the_rows_shows_no_class_too_small() -> None:
    few = [{"text": f"Nothing like the others, {label}", "label": label} for label in ("rare", "rarer")]
    table = [*rows(400), *few]
    start = started(table, whole=False)
    assert sizes(start.guesses).notes
    assert sizes(start.guesses, whole=False).notes == ()
    text = experiment_text(start)
    assert "fewer than" not in text
    assert "# 4 labels among the rows looked at" in text


def test_a_date_offers_a_split_by_time_that_is_not_in_force(tmp_path: Path) -> None:
    dated = [{**row, "date": f"2026-01-{n % 28 + 1:02}"} for n, row in enumerate(rows())]
    text = experiment_text(started(dated))
    (line,) = (line for line in text.splitlines() if 'by = "time"' in line)
    assert line.startswith("# split = {")
    assert "by" not in tomllib.loads(text)["prepare"]["split"]
    kept = [each for each in text.splitlines() if not each.startswith("split = ")]
    path = tmp_path / "experiment.toml"
    path.write_text("\n".join(kept).replace(line, line.removeprefix("# ")), encoding="utf-8")
    assert load(path, discover()).prepare.split.by == "time"
    assert 'by = "time"' not in experiment_text(started(rows()))


@pytest.mark.parametrize(("different", "said"), [(9, True), (10, False)])
def test_few_different_days_are_said_where_a_split_by_time_is_offered(different: int, said: bool) -> None:
    dated = [{**row, "date": f"2026-01-{n % different + 1:02}T0{n % 9}:00:00"} for n, row in enumerate(rows())]
    text = experiment_text(started(dated)).replace("\n# ", " ")
    assert (f"There are only {different} different days." in text) == said


def test_days_are_counted_in_seconds_since_1970_too() -> None:
    dated = [{**row, "created_at": str(1_700_000_000 + n)} for n, row in enumerate(rows())]
    assert "All dates fall on one day." in experiment_text(started(dated)).replace("\n# ", " ")


def test_a_split_by_time_is_not_offered_where_dates_are_missing() -> None:
    dated = [{**row, "date": f"2026-01-{n % 28 + 1:02}" if n > 4 else ""} for n, row in enumerate(rows())]
    guessed = experiment_text(started(dated))
    assert "time" not in tomllib.loads(guessed)["dataset"]
    assert '# time = "date"' in guessed
    told = experiment_text(started(dated, Given(time="date")))
    assert tomllib.loads(told)["dataset"]["time"] == "date"
    assert 'by = "time"' not in guessed + told
    assert all('"date" is empty in 5 rows' in text for text in (guessed, told))


def test_what_was_left_out_stands_as_a_comment() -> None:
    torn = [{**row, "user_id": f"u{n // 3}", "part": ("train", "test")[n % 2]} for n, row in enumerate(rows())]
    text = experiment_text(started(torn))
    assert "group" not in tomllib.loads(text)["dataset"]
    assert '# group = "user_id"' in text
    assert "Left out: rows of one" in text
    assert text.count("# group = ") == 1


def test_labels_are_listed_in_one_spelling(tmp_path: Path) -> None:
    text = experiment_text(started(rows(labels=("good", "bad", "Good", "bad", "good"))))
    assert tomllib.loads(text)["dataset"]["labels"] == ["bad", "good"]
    assert "1 spelling of labels" in text


def test_a_given_split_is_not_cut_again() -> None:
    table = [{**row, "part": "test" if n % 4 == 0 else "train"} for n, row in enumerate(rows())]
    tables = tomllib.loads(experiment_text(started(table)))
    assert tables["dataset"]["split"] == "part"
    assert "split" not in tables["prepare"]


@pytest.mark.parametrize("names", [("title", "body"), ("title", "text")])
def test_every_text_column_has_its_place_and_calibration_its_chance(names: tuple[str, str]) -> None:
    head, body = names
    table = [{head: f"Number {n}", body: row["text"], "stars": row["label"]} for n, row in enumerate(rows())]
    arms = arms_of(started(table, Given(text=f"{head},{body}", label="stars")))
    template = f"{head.capitalize()}: {{{head}}}\n{body.capitalize()}: {{{body}}}\nStars:"
    assert arms["zero-shot"]["formatter"]["template"] == template
    assert arms["zero-shot"]["choose"]["backend.calibrate"] == [False, True]


def test_the_marks_of_a_prompt_file_are_kept_for_training() -> None:
    table = [{"prompt": f"{row['text']}\n\n###\n\n", "completion": f" {row['label']} END"} for row in rows()]
    arms = arms_of(started(table))
    assert arms["fine-tuned"]["formatter"] == {"plugin": "completion", "separator": "\n\n###\n\n", "stop": " END"}
    assert arms["zero-shot"]["formatter"]["template"] == "Text: {text}\nLabel:"


def test_the_one_system_message_of_a_chat_file_is_the_prompt() -> None:
    said = "Is the report bad or good?\nAnswer with one word."
    assert arms_of(started(rows(instruction=said)))["few-shot"]["formatter"]["instruction"] == said
    assert arms_of(started(rows(instruction=said), **hosted()))["zero-shot"]["formatter"]["instruction"] == said
    several = [{**row, "instruction": f"Ask number {n}"} for n, row in enumerate(rows())]
    assert "instruction" not in arms_of(started(several))["few-shot"]["formatter"]


@pytest.mark.parametrize("where", [{}, hosted()], ids=["local", "hosted"])
def test_a_prompt_becomes_the_incumbent(where: dict[str, Any], tmp_path: Path) -> None:
    template = read_prompt("Report: {text}\nIts verdict:", ("text",), ("text", "label"), "label", source="p")
    start = started(rows(), prompt=template, **where)
    experiment = loaded(tmp_path, start)
    assert experiment.decision.incumbent == "incumbent"
    formatter = arms_of(start)["incumbent"]["formatter"]
    assert formatter["template"] == "Report: {text}\nIts verdict:"
    assert not formatter.get("instruction")
    before = read_prompt('Say "bad" or "good".', ("text",), ("text", "label"), "label", source="p")
    formatter = arms_of(started(rows(), prompt=before, **where))["incumbent"]["formatter"]
    assert formatter["instruction"] == 'Say "bad" or "good".'
    assert "incumbent" not in arms_of(started(rows(), **where))


COLUMNS = ("title", "body", "user", "stars")


@pytest.mark.parametrize(
    ("prompt", "text", "template"),
    [
        ("Rate: {body}", "Rate: {body}", True),
        ("Rate: {{ body }} of {{title}}\n", "Rate: {body} of {title}", True),
        ("Rate: {text}", "Rate: {text}", True),
        ("Rate: {review}", "Rate: {title}\n{body}", True),
        ('Rate it as {"stars": 5}', 'Rate it as {"stars": 5}', False),
        ("Rate it.", "Rate it.", False),
    ],
)
def test_where_a_prompt_has_a_place_for_the_item(prompt: str, text: str, template: bool) -> None:
    found = read_prompt(prompt, ("title", "body"), COLUMNS, "stars", source="prompt.txt")
    assert (found.text, found.template) == (text, template)
    assert found.said


@pytest.mark.parametrize(
    ("prompt", "said", "hint"),
    [
        (" \n", "prompt.txt is empty", "{text}"),
        ("Rate {body}: {stars}", "names {stars}, which is the label", "braces"),
        ("Rate {body} of {user}", 'names {user}, but the text columns are "title", "body"', "--text title,body,user"),
        ("Rate {body} in {titel}", "names {titel}", 'did you mean "title"?'),
    ],
)
def test_a_prompt_that_names_something_else_is_refused(prompt: str, said: str, hint: str) -> None:
    with pytest.raises(DataError) as error:
        read_prompt(prompt, ("title", "body"), COLUMNS, "stars", source="prompt.txt")
    assert said in error.value.message
    assert hint in error.value.hint


def test_several_columns_have_a_place_each_where_they_can() -> None:
    assert shown(("title", "body")) == "{title}\n{body}"
    assert shown(("body",)) == "{text}"
    assert shown(("标题", "review (en)")) == "{标题}\n{review (en)}"
    assert shown(("", "body")) == "{text}"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("평가: {{ 리뷰 }} / {1st (en)}", "평가: {리뷰} / {1st (en)}"),
        ("평가: {내용}", "평가: {리뷰}\n{1st (en)}"),
        ('{"별점": 5} {3}', None),
    ],
)
def test_a_prompt_names_columns_whatever_they_are_called(prompt: str, text: str | None) -> None:
    texts = ("리뷰", "1st (en)")
    found = read_prompt(prompt, texts, (*texts, "별점"), "별점", source="prompt.txt")
    assert (found.text, found.template) == (text or prompt, text is not None)
    with pytest.raises(DataError, match=r"names \{별점\}, which is the label"):
        read_prompt(f"{prompt} {{별점}} {{리뷰}}", texts, (*texts, "별점"), "별점", source="prompt.txt")


@given(TEXT)
def test_strings_come_back_from_toml(text: str) -> None:
    written = (
        f"line = {toml_writing.string(text)}\nblock = {toml_writing.block(text)}\nlist = {toml_writing.value([text])}"
    )
    assert tomllib.loads(written) == {"line": text, "block": text, "list": [text]}
    assert "\n" not in toml_writing.string(text)


@given(st.text(st.sampled_from("\"\\\n\r\t'#{}\x7f\x00 a"), max_size=12))
def test_quotes_backslashes_and_line_ends_come_back_from_toml(text: str) -> None:
    assert tomllib.loads(f"x = {toml_writing.block(text)}") == {"x": text}


@pytest.mark.parametrize("value", [True, False, 3, 0.25, [1, 2], [True, False], [], "a"])
def test_values_come_back_from_toml(value: Any) -> None:
    assert tomllib.loads(f"x = {toml_writing.value(value)}") == {"x": value}


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(DataError, match="surrogate"):
        toml_writing.string("a\ud800")


NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def named(label: str) -> bool:
    """Whether a label is there: beside numbers alone, `nan` is a missing one."""
    return label.strip().casefold() not in ("", "nan")


@settings(max_examples=150)
@given(
    st.lists(NAME.filter(str.strip), min_size=4, max_size=4, unique=True),
    st.lists(NAME.filter(named), min_size=2, max_size=5, unique_by=str.strip),
    TEXT,
    TEXT,
    st.booleans(),
)
def test_the_file_is_toml_whatever_columns_labels_and_prompt_are_called(
    names: list[str], labels: list[str], path: str, prompt: str, at_endpoint: bool
) -> None:
    first, second, group, label = names
    assume(first not in second.split(",") and "," not in first + second)
    assume(first.strip() == first and second.strip() == second)
    table = [
        {first: f"{n} one", second: f"text {n}", group: f"g{n // 2}", label: labels[n % len(labels)]} for n in range(20)
    ]
    start = started(table, Given(text=f"{first},{second}", label=label, group=group), path=path, name=path or "x")
    try:
        own = read_prompt(prompt, start.guesses.text, names, label, source="p")
    except DataError:
        own = None
    start = replace(start, prompt=own, **(hosted(model=prompt or "m") if at_endpoint else {}))
    tables = tomllib.loads(experiment_text(start))
    expected = {"path": path, "text": [first, second], "label": label, "group": group}
    assert {key: tables["dataset"][key] for key in expected} == expected
    assert tables["dataset"]["labels"] == list(start.guesses.labels)
    arms = {arm["name"]: arm for arm in tables["arms"]}
    if own is not None:
        assert own.text in arms["incumbent"]["formatter"].values()
    if at_endpoint:
        assert arms["zero-shot"]["backend"]["model"] == (prompt or "m")
