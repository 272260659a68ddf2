import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import harness
from harness_plugins.formatters.chat import Chat
from harness_plugins.formatters.completion import Completion
from harness_plugins.formatters.plain import Plain

LABELS = ("negative", "neutral", "positive")
ITEM = harness.Example(fields={"title": "Hm", "body": "Not {title} bad"}, label="positive")
SHOTS = [
    harness.Example(fields={"title": "", "body": "Awful"}, label="negative"),
    harness.Example(fields={"title": "So", "body": "so"}, label="neutral"),
]
ALL = [Completion(), Plain(), Chat()]


def test_completion_asks_the_bare_text():
    prompt = Completion().prompt(ITEM, [], LABELS)
    assert prompt.text == "Hm\nNot {title} bad\n\n###\n\n"
    assert prompt.continuations == {"negative": " negative", "neutral": " neutral", "positive": " positive"}
    assert prompt.stop == ("\n",)
    assert Completion().training_line(ITEM, LABELS) == {"prompt": prompt.text, "completion": " positive"}


def test_completion_shows_shots_in_the_same_form():
    prompt = Completion(separator=" ->", stop=" END").prompt(ITEM, SHOTS, LABELS)
    assert prompt.text == "Awful -> negative END\n\nSo\nso -> neutral END\n\nHm\nNot {title} bad ->"
    assert prompt.stop == (" END", "\n")
    assert Completion(stop=" END").training_line(ITEM, LABELS)["completion"] == " positive END"


@given(st.text(alphabet="#\n a", max_size=40), st.sampled_from(["\n\n###\n\n", "#", "\n", "\n\n", " ->", "##"]))
@example("a\n", "\n\n")
@example("a\n\nb\n\n", "\n\n\n")
def test_the_separator_stands_at_the_end_and_nowhere_else(text, separator):
    asked = Completion(separator=separator)
    item = harness.Example(fields={"text": text}, label="x")
    prompt = asked.prompt(item, [], ("x", "y")).text
    assert prompt.find(separator) == len(prompt) - len(separator)
    assert asked.training_line(item, ("x", "y"))["prompt"] == prompt


@pytest.mark.parametrize("separator", ["\n", "\n\n", "\n###\n", " ->"])
def test_words_around_a_separator_stay_apart(separator):
    item = harness.Example(fields={"text": f"good{separator}bad"}, label="x")
    assert Completion(separator=separator).prompt(item, [], ("x",)).text.split(separator)[0].split() == ["good", "bad"]


@given(st.text())
def test_a_text_without_the_separator_is_left_alone(text):
    example = harness.Example(fields={"text": text}, label="x")
    if (text + "\n\n###\n\n").find("\n\n###\n\n") == len(text):
        assert Completion().prompt(example, [], ("x",)).text == text + "\n\n###\n\n"


def test_plain_fills_its_template():
    prompt = Plain(instruction="Judge.").prompt(ITEM, SHOTS, LABELS)
    assert prompt.text == (
        "Judge.\n\nReview: Awful\nSentiment: negative\n\nReview: So\nso\nSentiment: neutral\n\n"
        "Review: Hm\nNot {title} bad\nSentiment:"
    )
    assert prompt.stop == ("\n",)
    assert prompt.continuations["positive"] == " positive"


def test_data_is_never_a_template():
    asked = Plain(template='{body} | {title} | {"json": 1} ->')
    assert asked.prompt(ITEM, [], LABELS).text == 'Not {title} bad | Hm | {"json": 1} ->'


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{text}", "Hm\nFine"),
        ("{text} / {text}", "Hm\nFine / Hm\nFine"),
        ("{title}: {text}", "Hm: Fine"),
        ("{title}", "Hm"),
    ],
)
def test_text_is_all_fields_even_where_one_of_them_has_that_name(template, shown):
    named = harness.Example(fields={"title": "Hm", "text": "Fine"}, label="")
    assert Plain(template=template).prompt(named, [], LABELS).text == shown
    assert Chat(template=template).prompt(named, [], LABELS).messages[-1].content == shown


@pytest.mark.parametrize("name", ["리뷰", "Über", "1st_review", "Review (en)", "a}b", "{", "0", " body", "text"])
def test_a_field_is_filled_in_whatever_its_name(name):
    item = harness.Example(fields={name: "Fine {x}", "title": "Hm"}, label="good")
    asked = Plain(template=f'{{"json": {{}}, "of": {{3}}}} {{{name}}} / {{title}} {{리}} ->')
    assert asked.prompt(item, [], LABELS).text == '{"json": {}, "of": {3}} Fine {x} / Hm {리} ->'
    line = Chat(template=f"{{{name}}}", instruction="").training_line(item, LABELS)
    assert line["messages"][0]["content"] == ("Fine {x}\nHm" if name == "text" else "Fine {x}")


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("Sentiment:", "there is text, 본문, 제목"),
        ("{제목 } {}", 'did you mean "제목"?'),
        ("{내용}", "there is text, 본문, 제목"),
        ('{"json": 1}', "there is text, 본문, 제목"),
    ],
)
def test_a_template_that_shows_no_item_is_refused(template, hint):
    item = harness.Example(fields={"제목": "Hm", "본문": "Fine"}, label="good")
    for asked in (Plain(template=template), Chat(template=template)):
        for ask in (lambda asked=asked: asked.prompt(item, [], LABELS), lambda a=asked: a.training_line(item, LABELS)):
            with pytest.raises(harness.DataError) as refused:
                ask()
            assert refused.value.message == "formatter.template shows no item: no text field and no {text} stands in it"
            assert refused.value.hint == f"write {{text}}, or a field's name in braces, where the item goes; {hint}"


def test_what_is_there_is_named_once():
    with pytest.raises(harness.DataError, match=r"there is text\Z"):
        Chat(template="Its label:").prompt(harness.Example(fields={"text": "Fine"}, label="good"), [], LABELS)


def test_a_single_field_is_shown_as_it_stands():
    for fields in ({"text": " a \n"}, {"body": " a \n"}):
        assert Chat().prompt(harness.Example(fields=fields, label=""), [], LABELS).messages[-1].content == " a \n"


def test_an_unknown_place_names_the_nearest_field():
    with pytest.raises(harness.DataError, match='did you mean "title"'):
        Plain(template="{titel}:").prompt(ITEM, [], LABELS)


def test_chat_takes_turns():
    prompt = Chat(instruction="Judge.").prompt(ITEM, SHOTS, LABELS)
    assert [(message.role, message.content) for message in prompt.messages] == [
        ("system", "Judge."),
        ("user", "Awful"),
        ("assistant", "negative"),
        ("user", "So\nso"),
        ("assistant", "neutral"),
        ("user", "Hm\nNot {title} bad"),
    ]
    assert prompt.continuations == {label: label for label in LABELS}


def test_chat_names_the_labels_unless_told_otherwise():
    assert all(label in Chat().prompt(ITEM, [], LABELS).messages[0].content for label in LABELS)
    assert [message.role for message in Chat(instruction="").prompt(ITEM, [], LABELS).messages] == ["user"]


def test_the_chat_training_line_is_the_question_and_its_answer():
    line = Chat().training_line(ITEM, LABELS)
    asked = [{"role": m.role, "content": m.content} for m in Chat().prompt(ITEM, [], LABELS).messages]
    assert line == {"messages": [*asked, {"role": "assistant", "content": "positive"}]}


@pytest.mark.parametrize("formatter", ALL, ids=lambda each: each.name)
def test_training_asks_what_is_asked_later_and_no_prompt_tells_the_answer(formatter):
    line = json.dumps(formatter.training_line(ITEM, LABELS))
    other = harness.Example(fields=ITEM.fields, label="negative")
    assert formatter.prompt(ITEM, SHOTS, LABELS) == formatter.prompt(other, SHOTS, LABELS)
    assert line != json.dumps(formatter.training_line(other, LABELS))
    prompt = formatter.prompt(ITEM, [], LABELS)
    if not prompt.chat:
        assert json.loads(line)["prompt"] == prompt.text
        assert json.loads(line)["completion"].startswith(prompt.continuations["positive"])


@pytest.mark.parametrize("formatter", ALL, ids=lambda each: each.name)
def test_the_beginning_is_the_same_for_every_item(formatter):
    prompts = [
        formatter.prompt(harness.Example(fields={"title": text, "body": ""}, label=""), SHOTS, LABELS)
        for text in ("one", "two")
    ]
    if prompts[0].chat:
        assert prompts[0].messages[:-1] == prompts[1].messages[:-1]
    else:
        first, second = (prompt.text for prompt in prompts)
        assert first.replace("one", "two") == second


@pytest.mark.parametrize("formatter", ALL, ids=lambda each: each.name)
def test_parses_its_own_continuations(formatter):
    for label, continuation in formatter.prompt(ITEM, SHOTS, LABELS).continuations.items():
        assert formatter.parse(continuation, LABELS) == label
    assert formatter.parse("no idea", LABELS) is None


@pytest.mark.parametrize("formatter", [Plain, Chat], ids=lambda each: each.name)
def test_other_words_stand_for_labels(formatter):
    asked = formatter(words={"1": "awful", "5": "great"})
    prompt = asked.prompt(harness.Example(fields={"text": "t"}, label="5"), [], ("1", "3", "5"))
    assert [word.strip() for word in prompt.continuations.values()] == ["awful", "3", "great"]
    assert "great" in json.dumps(asked.training_line(harness.Example(fields={"text": "t"}, label="5"), ("1", "3", "5")))
    assert asked.parse("Great!", ("1", "3", "5")) == "5"
    assert asked.parse("3", ("1", "3", "5")) == "3"
    assert asked.parse("5", ("1", "3", "5")) is None
    with pytest.raises(harness.DataError, match="same word"):
        formatter(words={"1": "3"}).parse("3", ("1", "3", "5"))


def test_an_empty_separator_is_refused():
    with pytest.raises(ValueError, match="separator is empty"):
        Completion(separator="")
