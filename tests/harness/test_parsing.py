import hashlib
import re
import string
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parsing import RULES, UNREAD, lenient, read, rules, strict

CLASSES = ("negative", "neutral", "positive")
STARS = ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        ("positive", CLASSES, "positive"),
        (" Positive.\n", CLASSES, "positive"),
        ('"POSITIVE"', CLASSES, "positive"),
        ("**Label:** `positive`", CLASSES, "positive"),
        ("The sentiment is positive, I think.", CLASSES, "positive"),
        ("Here you go:\n\npositive", CLASSES, "positive"),
        (" positive\n\nReview: bad\nSentiment: negative", CLASSES, "positive"),
        ("positive positive", CLASSES, "positive"),
        ("positive or negative", CLASSES, None),
        ("positive/negative", CLASSES, None),
        ("not positive", CLASSES, None),
        ("It isn't positive", CLASSES, None),
        ("I'm not sure, but positive", CLASSES, "positive"),
        ("unpositive", CLASSES, None),
        ("pos", CLASSES, None),
        ("", CLASSES, None),
        ("\n \n", CLASSES, None),
        ("very positive", ("positive", "very positive"), "very positive"),
        ("not spam", ("spam", "not spam"), "not spam"),
        ("Card Arrival", ("card_arrival", "card_lost"), "card_arrival"),
        ("card-arrival", ("card_arrival", "card_lost"), "card_arrival"),
        ("4", STARS, "4"),
        ("4 stars", STARS, "4"),
        ("4-star", STARS, "4"),
        ("Four.", STARS, "4"),
        ("4.0", STARS, "4"),
        ("4/5", STARS, "4"),
        ("I give it 4 out of 5", STARS, "4"),
        ("Rating: 4", STARS, "4"),
        ("- 4", STARS, "4"),
        ("4.5", STARS, None),
        ("4-5", STARS, None),
        ("4 or 5", STARS, None),
        ("14", STARS, None),
        ("-4", STARS, None),
        ("-1", ("-1", "0", "1"), "-1"),
        ("1", ("-1", "0", "1"), "1"),
        ("This is a good one", ("A", "B"), None),
        ("Answer: A", ("A", "B"), "A"),
        ("(b)", ("A", "B"), "B"),
        ("four", CLASSES, None),
        ("Yes", ("yes", "Yes"), "Yes"),
        ("YES", ("yes", "Yes"), None),
        ("ＰＯＳＩＴＩＶＥ", CLASSES, "positive"),
        ("C++", ("c", "c++"), "c++"),
        *((text, ("C", "C#", "Java"), "C#") for text in ("c#", "C#.", "**C#**", "`C#`", '"C#".', "**c#.**", "- C#")),
        *((text, ("C", "C#", "Java"), "C") for text in ("c", "**C**.", "# C", "`c`")),
        *((text, ("A", "A*", "B"), "A*") for text in ("a*", "A*.", "**A***", "(A*)")),
        *((text, ("A", "A*", "B"), "A") for text in ("**A**", "**a**.", "*A*!", "A")),
        ("***", ("*", "**", "***"), "***"),
        ("(**)", ("*", "**", "***"), "**"),
    ],
)
def test_reads_leniently(text, labels, label):
    assert lenient(text, labels) == label


def test_reads_strictly():
    assert strict(" positive\n", CLASSES) == "positive"
    assert strict("Positive", CLASSES) is None
    assert strict("positive.", CLASSES) is None


label_sets = st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=6, unique_by=str.strip)


@given(label_sets, st.data(), st.sampled_from(["", " ", "\n", "\t "]))
def test_a_label_is_itself(labels, data, space):
    label = data.draw(st.sampled_from(labels))
    assert strict(space + label + space, labels) == label
    assert lenient(space + label + space, labels) == label


@given(st.text(), label_sets)
def test_any_text_gives_a_label_of_the_set_or_none(text, labels):
    assert lenient(text, labels) in {*labels, None}
    assert strict(text, labels) in {*labels, None}


words = st.lists(
    st.text(alphabet=string.ascii_lowercase, min_size=2, max_size=8), min_size=2, max_size=6, unique=True
).filter(lambda labels: not {"label", "not", "never", "nor", "neither", "non", "or"} & set(labels))


@given(words, st.data(), st.sampled_from(["{}.", '"{}"', "Label: {}", "**{}**", "{}\n\nmore text", "({})", "{}!"]))
def test_what_stands_around_a_label_does_not_matter(labels, data, form):
    label = data.draw(st.sampled_from(labels))
    assert lenient(form.format(label.upper()), labels) == label


@given(words, st.data())
def test_two_labels_are_none(labels, data):
    first, second = data.draw(st.permutations(labels))[:2]
    assert lenient(f"{first} or {second}", labels) is None


def test_the_order_of_labels_does_not_matter():
    assert lenient("very positive", (*CLASSES, "very positive")) == "very positive"
    assert lenient("very positive", ("very positive", *CLASSES)) == "very positive"


@pytest.mark.parametrize(
    ("text", "labels", "rule"),
    [
        (" positive\n", CLASSES, "exact"),
        ("POSITIVE", CLASSES, "case"),
        ("ＰＯＳＩＴＩＶＥ", CLASSES, "spelling"),
        ("Card-Arrival", ("card_arrival", "card_lost"), "spelling"),
        ("4.0", STARS, "spelling"),
        ('"Positive".', CLASSES, "markup"),
        ("Here you go:\n\npositive", CLASSES, "line"),
        ("positive\n\nReview: bad", CLASSES, "line"),
        ("Label: positive", CLASSES, "in-a-sentence"),
        ("4 stars", STARS, "in-a-sentence"),
        ("4/5", STARS, "in-a-sentence"),
        ("Four.", STARS, "number-word"),
        ("four stars", STARS, "number-word"),
        ("four: 4", STARS, "in-a-sentence"),
        ("not positive", CLASSES, "denied"),
        ("not positive but negative", CLASSES, "denied"),
        ("positive or negative", CLASSES, "several"),
        ("", CLASSES, "none"),
        ("I cannot say", CLASSES, "none"),
    ],
)
def test_names_the_rule(text, labels, rule):
    reading = read(text, labels)
    assert reading.rule == rule
    assert reading.label == lenient(text, labels)
    assert (reading.label is None) == (rule in UNREAD)


@given(st.text(), label_sets)
def test_every_reading_has_a_rule_of_its_kind(text, labels):
    label, rule = read(text, labels)
    assert label == lenient(text, labels)
    assert rule in (UNREAD if label is None else RULES)


PARTS = (
    "not ",
    "four",
    "4",
    "4.0",
    "/5",
    "-",
    "\n",
    " ",
    ".",
    "**",
    "label: ",
    "Positive",
    "negative",
    "B",
    "a ",
    "spam",
)
SETS = (CLASSES, STARS, ("A", "B"), ("-1", "0", "1"), ("spam", "not spam"))


def test_naming_rules_has_changed_no_label():
    """Labels of 20,000 texts are those that were read before rules had names; a change here changes stored results."""
    read_as = [lenient("".join(parts), labels) for parts in product(PARTS, repeat=3) for labels in SETS]
    assert hashlib.sha256(repr(read_as).encode()).hexdigest()[:16] == "fe63498709ef07df"


@pytest.mark.parametrize(("labels", "numeric"), [(STARS, True), (CLASSES, False), ((), False)])
def test_rules_are_data_for_a_program_that_is_not_this_one(labels: tuple[str, ...], numeric: bool) -> None:
    told = rules(labels)
    assert told["keys"] == {label: label for label in labels}
    assert (len(told["replace"]) > 2) is numeric
    for word, found in (("four out of five", "4"), ("positive", "positive")) if labels else ():
        line = word
        for pattern, replacement in told["replace"]:
            line = " ".join(re.sub(pattern, replacement, line).split())
        match = re.search(told["pattern"], line)
        assert (match is not None and told["keys"][match[0]] == found) is (found in labels)
        assert (lenient(word, labels) == found) is (found in labels)
