"""Guessing what the columns of a table are: every rule on tables where it holds and on ones that only look like it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from harness.guessing.columns import measure
from harness.guessing.guess import Given, guess
from harness.guessing.layout import find_header, find_quotes, find_separator, find_stop

WORDS = ("amber", "bridge", "candle", "dune", "ember", "forest", "garnet", "harbour", "island", "jasper", "kernel")


def sentence(number: int, length: int = 9) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=length)) + f" {number}"


def table(n: int = 60, **columns: Any) -> list[dict[str, Any]]:
    """Returns n rows: a list gives a column's values in turn, a function makes them from the row's number."""
    return [
        {name: values(row) if callable(values) else values[row % len(values)] for name, values in columns.items()}
        for row in range(n)
    ]


def title(number: int) -> str:
    return sentence(number, 2)


def test_the_example_of_the_guide() -> None:
    rows = table(user_id=lambda row: f"u{row // 3}", title=title, body=sentence, stars=["5", "1", "3", "4", "2"])
    found = guess(rows)
    assert found.options == {
        "text": ["title", "body"], "label": "stars", "group": "user_id", "ordered": True,
    }  # fmt: skip
    assert dict(found.labels) == {"1": 12, "2": 12, "3": 12, "4": 12, "5": 12}
    assert list(found.labels) == ["1", "2", "3", "4", "5"]
    assert all(each.reason for each in found.found)
    assert {each.option: each.confidence for each in found.found} == {
        "text": "sure", "label": "sure", "group": "likely", "ordered": "sure",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["label", "stars", "rating", "score", "category", "class", "sentiment", "target", "completion", "Intent"]
)
def test_a_label_is_known_by_its_name_and_its_few_values(name: str) -> None:
    rows = table(text=sentence, other=["red", "green"], **{name: ["1", "2", "3"]})
    found = guess(rows).get("label")
    assert found is not None
    assert (found.value, found.confidence) == (name, "sure")
    assert "3 different values in 60 rows" in found.reason


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        ({"text": sentence, "team": ["billing", "support"]}, "team"),
        ({"text": sentence, "label": lambda row: str(row), "team": ["billing", "support"]}, "team"),
        ({"text": sentence, "score": lambda row: row / 7, "team": ["billing", "support"]}, "team"),
        ({"text": sentence, "airline_sentiment": ["good", "bad"], "airline_sentiment_confidence": [1.0, 0.5]},
         "airline_sentiment"),
        ({"review_body": sentence, "star_rating": [1, 2, 5], "product_category": ["Books", "Toys"]}, "star_rating"),
        ({"text": sentence, "label": [0, 1, 2], "label_text": ["sad", "glad", "mad"]}, "label_text"),
        ({"text": sentence, "label": ["yes", "no"], "author": ["ann", "bob", "cy"]}, "label"),
        ({"text": sentence, "is_spam": [True, False]}, "is_spam"),
    ],
)  # fmt: skip
def test_what_is_taken_for_the_label(columns: dict[str, Any], label: str) -> None:
    assert guess(table(**columns)).label == label


def test_a_label_without_a_telling_name_is_less_sure_where_a_named_column_cannot_be_it() -> None:
    plain = guess(table(text=sentence, team=["a", "b"])).get("label")
    beside = guess(table(text=sentence, team=["a", "b"], score=lambda row: row * 1.5)).get("label")
    assert plain is not None
    assert beside is not None
    assert (plain.confidence, beside.confidence) == ("likely", "unsure")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": sentence, "id": lambda row: row}, ['"text" is free text', '"id" holds 60 different numbers']),
        ({"text": sentence, "when": lambda row: f"2026-01-{row % 28 + 1:02}"}, ['"when" holds dates']),
        ({"text": sentence, "label": ["same"]}, ['"label" has the same value everywhere']),
        ({"prompt": sentence, "completion": lambda row: sentence(row + 1000)}, ['"completion" is free text']),
        ({"text": sentence, "label": [["a"], ["b"]]}, ['"label" holds lists or tables']),
        ({"text": sentence, "label": lambda row: "ab"[row % 2] if row < 20 else None}, ["empty in more than half"]),
    ],
)
def test_a_table_without_a_label_says_why_and_what_to_pass(columns: dict[str, Any], said: Sequence[str]) -> None:
    with pytest.raises(DataError) as error:
        guess(table(**columns), source="data.csv")
    assert error.value.message.startswith("data.csv: no column looks like the label (")
    assert all(part in error.value.message for part in said)
    assert "--label" in error.value.hint
    assert all(f'"{name}"' in error.value.hint for name in columns)


@pytest.mark.parametrize(
    ("columns", "option", "named"),
    [
        ({"text": sentence, "stars": [1, 2, 3], "sentiment": ["good", "bad"]}, "--label", ("stars", "sentiment")),
        ({"text": sentence, "team": ["a", "b"], "queue": ["x", "y", "z"]}, "--label", ("team", "queue")),
        ({"pro_text": sentence, "con_text": lambda row: sentence(row + 99), "label": "ab"}, "--text",
         ("pro_text", "con_text")),
        ({"one": sentence, "two": lambda row: sentence(row + 99), "label": "ab"}, "--text", ("one", "two")),
    ],
)  # fmt: skip
def test_what_is_close_and_matters_is_an_error(columns: dict[str, Any], option: str, named: Sequence[str]) -> None:
    with pytest.raises(DataError) as error:
        guess(table(**columns), source="data.csv")
    assert all(f'"{name}"' in error.value.message for name in named)
    assert option in error.value.hint
    assert "\n" not in error.value.message + error.value.hint


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        ({"body": sentence, "title": title, "label": "ab"}, ("title", "body")),
        ({"Text": sentence, "Summary": title, "label": "ab"}, ("Summary", "Text")),
        ({"review_body": sentence, "review_headline": title, "product_title": title, "label": "ab"},
         ("review_headline", "review_body")),
        ({"premise": sentence, "hypothesis": lambda row: sentence(row + 99, 5), "label": "ab"},
         ("hypothesis", "premise")),
        ({"text": sentence, "clean_text": sentence, "label": "ab"}, ("text",)),
        ({"prompt": sentence, "completion": "ab"}, ("prompt",)),
        ({"instruction": ["Say which of the letters it is, a or b"], "text": sentence, "label": "ab"}, ("text",)),
        ({"what_happened": sentence, "url": lambda row: f"https://example.org/{row}", "label": "ab"},
         ("what_happened",)),
        ({"内容": lambda row: f"这个产品的质量非常好我很喜欢{row}", "label": "ab"}, ("内容",)),
        ({"title": title, "label": "ab"}, ("title",)),
    ],
)  # fmt: skip
def test_what_is_taken_for_the_text(columns: dict[str, Any], texts: tuple[str, ...]) -> None:
    assert guess(table(**columns)).text == texts


def test_a_table_without_a_text_says_why_and_what_to_pass() -> None:
    rows = table(code=lambda row: f"A-{row}", amount=lambda row: row * 1.5, label="ab")
    with pytest.raises(DataError) as error:
        guess(rows, source="data.csv")
    assert '"code" is no natural language; "amount" holds numbers' in error.value.message
    assert "--text" in error.value.hint


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        (lambda row: f"u{row // 3}", True),
        (lambda row: f"u{row}", False),
        (lambda row: "u", False),
        (lambda row: f"u{row % 4}", False),
        (lambda row: "u" if row < 30 else f"u{row // 2}", False),
        (lambda row: f"u{row // 2}" if row < 20 else None, False),
    ],
)
@pytest.mark.parametrize("name", ["user_id", "ProductId", "customer", "thread", "sessionid"])
def test_a_group_has_a_name_and_values_that_repeat(values: Any, taken: bool, name: str) -> None:
    found = guess(table(text=sentence, label="ab", **{name: values})).get("group")
    assert (found is not None) == taken


def test_a_column_of_another_name_is_no_group() -> None:
    assert guess(table(text=sentence, label="ab", colour=lambda row: f"c{row // 3}")).get("group") is None


def test_of_two_groups_the_one_that_repeats_most_is_taken() -> None:
    rows = table(text=sentence, label="ab", user_id=lambda row: f"u{row // 2}", product_id=lambda row: f"p{row // 5}")
    found = guess(rows).get("group")
    assert found is not None
    assert (found.value, found.confidence, found.alternatives) == ("product_id", "unsure", ("user_id",))


@pytest.mark.parametrize(
    ("name", "values", "taken"),
    [
        ("when", lambda row: (date(2026, 1, 1) + timedelta(row)).isoformat(), True),
        ("when", lambda row: date(2026, 1, 1) + timedelta(row), True),
        ("created_at", lambda row: f"2026-01-01T00:{row:02}:00Z", True),
        ("timestamp", lambda row: 1_700_000_000 + row, True),
        ("Time", lambda row: str(1_700_000_000_000 + row), True),
        ("number", lambda row: 1_700_000_000 + row, False),
        ("time", lambda row: row, False),
        ("date", lambda row: f"{row % 12 + 1}/3/2026", False),
        ("date", lambda row: "n/a" if row == 50 else f"2026-01-{row % 28 + 1:02}", False),
        ("date", lambda row: None if row == 50 else f"2026-01-{row % 28 + 1:02}", False),
        ("date", lambda row: "2026-01-01", False),
    ],
)
def test_a_date_has_to_be_read_in_every_row(name: str, values: Any, taken: bool) -> None:
    found = guess(table(text=sentence, label="ab", **{name: values})).get("time")
    assert (found is not None) == taken


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        (["train", "train", "dev", "test"], True),
        (["Train", "TEST"], True),
        (["train", "validation"], False),
        (["train", "holdout", "test"], False),
        (["train", "", "test"], False),
    ],
)
def test_a_split_says_nothing_but_splits_with_train_and_test(values: list[str], taken: bool) -> None:
    found = guess(table(text=sentence, label=lambda row: "ab"[row % 7 > 3], part=values)).get("split")
    assert (found is not None) == taken


@pytest.mark.parametrize(
    ("name", "values", "ordered"),
    [
        ("stars", ["1", "2", "3", "4", "5"], True),
        ("rating", [0, 1, 2, 3], True),
        ("stars", ["1.0", "2.0", "5.0"], True),
        ("label", ["1", "2", "3"], True),
        ("label", [-1, 0, 1], True),
        ("label", [0, 1, 2, 3], False),
        ("stars", [1, 2], False),
        ("score", [0, 50, 100], False),
        ("label", ["low", "mid", "high"], False),
    ],
)
def test_labels_are_a_scale_where_they_are_numbers_of_a_small_range(name: str, values: Any, ordered: bool) -> None:
    found = guess(table(text=sentence, **{name: values})).get("ordered")
    assert (found is not None) == ordered


def test_spellings_of_one_label_are_one_label() -> None:
    spelt = ["card", "Card", "card", "CARD ", "lost  card", "lost card", "lost card", "Lost\u00a0Card"]
    found = guess(table(80, text=sentence, label=spelt))
    assert dict(found.labels) == {"card": 40, "lost card": 40}
    assert {*found.of_rows} == {"card", "lost card"}
    label = found.get("label")
    assert label is not None
    assert "2 different values in 80 rows" in label.reason
    (note,) = found.notes
    assert note.startswith("4 spellings of labels that differ in case or white space alone")
    assert guess(table(text=sentence, label="ab")).notes == ()


def test_many_spellings_do_not_keep_a_column_from_being_the_label() -> None:
    spelt = [f"{word[:n].upper()}{word[n:]}" for word in ("billing", "support") for n in range(7)]
    found = guess(table(56, text=sentence, team=[*spelt, "billing", "support"])).labels
    assert [(label, rows > 20) for label, rows in found.items()] == [("billing", True), ("support", True)]


def test_the_spelling_that_is_kept_is_that_of_the_data_stage() -> None:
    spelt = ["b", "B", "a", "A", "A"]
    assert list(guess(table(text=sentence, label=spelt)).labels) == ["A", "B"]


@pytest.mark.parametrize("label", ["NA", "nan", "None", "null", "N/A"])
def test_a_label_that_reads_like_a_missing_one_is_named(label: str) -> None:
    (note,) = guess(table(text=sentence, label=["good", "bad", label])).notes
    assert note.startswith(f'labels that read like missing ones count as classes: "{label}" (20 rows)')


@pytest.mark.parametrize(
    ("user", "part", "astride"),
    [
        (lambda row: f"u{row // 3}", lambda row: ("train", "dev", "test")[row % 3], True),
        (lambda row: f"u{row // 3}", lambda row: ("train", "train", "test")[row // 3 % 3], False),
        (lambda row: f"u{row // 3}", lambda row: ("train", "Training", "test")[2 if row > 29 else row % 2], False),
    ],
)
def test_a_group_that_a_split_tears_apart_is_left_out(user: Any, part: Any, astride: bool) -> None:
    rows = table(text=sentence, label="ab", user_id=user, part=part)
    found = guess(rows)
    assert found.options["split"] == "part"
    assert ("group" in found.options) != astride
    assert [(each.option, each.value) for each in found.left_out] == [("group", "user_id")] * astride
    assert all("group leak" in each.reason for each in found.left_out)
    assert guess(rows, Given(group="user_id")).options["group"] == "user_id"


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("split", ["train", "holdout", "test"], 'holds "holdout"'),
        ("fold", ["train", "dev"], 'holds no "test"'),
        ("set", ["validation", "test"], 'holds no "train"'),
        ("phase", ["train", "validation"], 'holds no "test"'),
        ("part", ["train", "", "test"], "is empty in 20 rows"),
    ],
)
def test_what_is_nearly_a_split_is_left_out_and_named(name: str, values: list[str], why: str) -> None:
    rows = table(text=sentence, team=lambda row: "ab"[row % 7 > 3], **{name: values})
    found = guess(rows)
    assert (found.label, found.get("split")) == ("team", None)
    (left,) = found.left_out
    assert (left.option, left.value) == ("split", name)
    assert left.reason == f'"{name}" looks like one, but {why}: expected train, validation (val, dev), test'
    assert guess(rows, Given(split="", label="team")).left_out == ()


@pytest.mark.parametrize(
    ("name", "values"), [("fold", [0, 1, 2]), ("category", ["train", "validation"]), ("vehicle", ["train", "bus"])]
)
def test_what_only_shares_a_word_with_splits_is_not_named(name: str, values: list[Any]) -> None:
    assert guess(table(text=sentence, label="ab", **{name: values})).left_out == ()


def test_a_date_that_rows_lack_is_left_out_and_named() -> None:
    def day(row: int) -> str:
        return "" if row in (3, 4) else f"2026-01-{row % 28 + 1:02}"

    (left,) = guess(table(text=sentence, label="ab", date=day)).left_out
    assert (left.option, left.value, left.reason) == ("time", "date", '"date" is empty in 2 rows')
    both = guess(table(text=sentence, label="ab", date=day, day=lambda row: f"2026-02-{row % 28 + 1:02}"))
    assert (both.options["time"], both.left_out) == ("day", ())


def test_a_column_named_like_an_owner_is_the_label_where_nothing_else_can_be() -> None:
    feeling = {"Customer Feeling": ["glad", "sad", "mad"]}
    alone = guess(table(text=sentence, **feeling)).get("label")
    assert alone is not None
    assert (alone.value, alone.confidence) == ("Customer Feeling", "unsure")
    assert guess(table(text=sentence, team=["a", "b"], **feeling)).label == "team"
    for name, values in {"customer_id": ["a", "b"], "user": lambda row: f"u{row // 6}"}.items():
        with pytest.raises(DataError, match="names who or what a row belongs to"):
            guess(table(text=sentence, **{name: values}))


def test_what_is_given_is_taken_and_checked() -> None:
    rows = table(one=sentence, two=sentence, a="xy", b="xyz", user=lambda row: f"u{row // 3}")
    found = guess(rows, Given(text="two, one", label="b", group=""))
    assert found.options == {"text": ["two", "one"], "label": "b"}
    assert {each.confidence for each in found.found} == {"given"}
    with pytest.raises(DataError, match=r'has no column "labl" \(--label\); did you mean "label"\?'):
        guess(table(text=sentence, label="ab"), Given(label="labl"))
    with pytest.raises(DataError, match='column "a" is given as --text and as --label'):
        guess(rows, Given(text="one,a", label="a"))
    with pytest.raises(DataError, match="--text names no column"):
        guess(rows, Given(text="", label="a"))
    with pytest.raises(DataError, match='column "b" holds only "x"'):
        guess(table(text=sentence, b="x"), Given(label="b"))


def test_a_column_with_a_comma_in_its_name_can_be_given() -> None:
    rows = table(**{"what, exactly": sentence, "label": "ab"})
    assert guess(rows, Given(text="what, exactly")).text == ("what, exactly",)


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="the data has no rows"):
        guess([])


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (table(ham=["spam", "ham", "ham"], **{sentence(7): sentence}), ("label", "text")),
        (table(**{sentence(7): sentence, "5": ["1", "5", "2"]}), ("text", "label")),
        (table(**{"rare": ["a", "b"], sentence(7): sentence}), ("label", "text")),
        (table(**{"x": "xy", "p": "pq", sentence(7): sentence}), ("column_1", "column_2", "column_3")),
    ],
)
def test_a_first_row_of_data_is_no_header(rows: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    found = find_header(rows)
    assert found is not None
    assert found.value == names


def test_a_name_that_was_guessed_is_no_reason_for_a_guess() -> None:
    words = ["parcel", "refund", "login", "invoice", "crash", "colour", "size", "strap"]
    rows = [{"label": ["good", "bad"][n % 2], "text": f"The {words[n % 8]} came {n} days late"} for n in range(40)]
    told = {one.option: one.reason for one in guess(rows).found}
    assert told["label"].startswith("its name says so")
    assert told["text"].startswith("named like a text")
    told = {one.option: one.reason for one in guess(rows, named=False).found}
    assert told["label"] == "the only column with few different values: 2 different values in 40 rows"
    assert told["text"].startswith("the column of natural language")


@pytest.mark.parametrize(
    "rows",
    [
        table(label=["spam", "ham"], text=sentence),
        table(spam=["spam", "ham"], message=sentence),
        table(**{"0": sentence, "1": ["0", "1"]}),
        table(**{"text": sentence, "How would you rate the whole of it, all things considered?": "12345"}),
        [],
    ],
)
def test_a_header_is_left_one(rows: list[dict[str, Any]]) -> None:
    assert find_header(rows) is None


def test_quotes_around_cells_are_seen_and_quotes_within_are_not() -> None:
    wrapped = table(text=lambda row: f'"{sentence(row)} ""so"" they say"', label="ab")
    speech = table(text=lambda row: f'"Well," {sentence(row)}' if row % 9 == 0 else sentence(row), label="ab")
    found = find_quotes(wrapped)
    assert found is not None
    assert found.value is True
    assert find_quotes(speech) is None
    assert find_quotes(table(text=sentence, label="ab")) is None


@pytest.mark.parametrize("mark", ["\n\n###\n\n", " ->", " =>", "\n\nSentiment:", "\n\n"])
def test_the_ending_of_prompts_is_the_separator(mark: str) -> None:
    rows = table(prompt=lambda row: f"{sentence(row)}, it was good.{mark}", completion=[" positive", " negative"])
    found = guess(rows)
    assert found.options == {"text": ["prompt"], "label": "completion", "separator": mark}
    assert list(found.labels) == ["negative", "positive"]


@pytest.mark.parametrize("ending", ["", ".", " now.", " again", "?", "ing"])
def test_an_ending_of_sentences_is_no_separator(ending: str) -> None:
    (column,) = measure([{"prompt": f"{sentence(row)}{ending}"} for row in range(9)]).values()
    assert find_separator(column) is None


@pytest.mark.parametrize("mark", [" END", "###", " ###", "\n###\n", "<|end|>", "</s>", " [STOP]"])
def test_the_ending_of_completions_is_the_stop(mark: str) -> None:
    rows = table(prompt=lambda row: f"{sentence(row)} ->", completion=[f" positive{mark}", f" negative{mark}"])
    found = guess(rows)
    assert found.options["stop"] == mark
    assert list(found.labels) == ["negative", "positive"]


@pytest.mark.parametrize(
    "labels",
    [
        ["positive", "negative"], ["very good", "not good"], ["FRONT END", "BACK END"], ["2-star", "3-star"],
        ["#a", "#b"], ["C#", "F#"], ["pay (card)", "get (card)"], ["###", "a###"], ["x"], ["yes.", "no."],
    ],
)  # fmt: skip
def test_a_piece_of_the_labels_is_no_stop(labels: list[str]) -> None:
    (column,) = measure([{"completion": f" {label}"} for label in labels * 5]).values()
    assert find_stop(column) is None


@given(st.lists(st.from_regex(r"[a-z][a-z _-]{0,9}[a-z]", fullmatch=True), min_size=2, max_size=6, unique=True))
def test_words_are_never_cut_for_a_stop(labels: list[str]) -> None:
    (plain,) = measure([{"completion": label} for label in labels]).values()
    (ended,) = measure([{"completion": f" {label} END"} for label in labels]).values()
    found = find_stop(ended)
    assert find_stop(plain) is None
    assert found is not None
    assert [value.removesuffix(str(found.value)).strip() for value in ended.values] == labels


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.dates(), st.lists(st.integers())
)


@settings(max_examples=200)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["text", "label", "user_id", "date", "x", "", "split", "title", "stars", "\n"]), CELLS
        ),
        max_size=12,
    )
)
def test_any_table_is_guessed_or_refused(rows: list[dict[str, Any]]) -> None:
    find_header(rows)
    find_quotes(rows)
    found = refused = None
    try:
        found = guess(rows)
    except DataError as error:
        refused = error
    if found is None:
        assert refused is not None
        assert "\n" not in f"{refused.message}{refused.hint}"
        assert refused.hint
        return
    named = [found.label, *found.text]
    assert len(named) == len(set(named)) >= 2
    assert {name for name in named if name not in found.columns} == set()
    assert sum(found.labels.values()) <= found.rows == len(rows)


@pytest.mark.parametrize(("names", "said"), [(("text", ""), "column 2 looks like the label"),
                                             (("", "label"), "column 1 looks like the text")])  # fmt: skip
def test_a_column_without_a_name_can_be_no_text_and_no_label(names: tuple[str, str], said: str) -> None:
    text, label = names
    with pytest.raises(DataError, match=f"{said}, and has no name") as caught:
        guess(table(**{text: sentence, label: ["good", "bad"]}), source="d.csv")
    assert "write one into the line of column names" in caught.value.hint
    assert "if the names stand in a line below, delete what is above it" in caught.value.hint
    assert guess(table(**{"text": sentence, "label": ["good", "bad"], "": lambda row: row})).options["label"] == "label"
