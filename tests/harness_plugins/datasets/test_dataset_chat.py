import json

import pytest

import harness
from harness_plugins.datasets.files import Files


def line(*messages, **more):
    return json.dumps({"messages": list(messages), **more})


def said(role, content, **more):
    return {"role": role, "content": content, **more}


SYSTEM = said("system", "How many stars?")
LINES = [
    line(SYSTEM, said("user", "Great."), said("assistant", "5"), user="u1"),
    line(
        SYSTEM, said("user", [{"type": "text", "text": "Ba"}, {"type": "text", "text": "d."}]), said("assistant", " 1")
    ),
]


def load(folder, lines, told=None, **options):
    (folder / "d.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ctx = harness.Context(folder=folder, tell=[].append if told is None else told.append)
    return list(Files(**({"path": "d.jsonl"} | options)).load(ctx))


def refused(folder, lines, **options):
    with pytest.raises(harness.DataError) as caught:
        load(folder, lines, **options)
    return str(caught.value)


def test_chat_lines_say_themselves_what_is_text_and_label(tmp_path):
    rows = load(tmp_path, LINES)
    assert [(row.fields, row.label) for row in rows] == [({"text": "Great."}, "5"), ({"text": "Bad."}, "1")]
    assert [row.group for row in load(tmp_path, LINES, group="user")] == ["u1", None]
    assert load(tmp_path, LINES, text=("instruction", "text"))[0].fields == {
        "instruction": "How many stars?",
        "text": "Great.",
    }


def test_chat_lines_as_rows(tmp_path):
    load(tmp_path, LINES)
    first, _ = Files(path="d.jsonl").rows(harness.Context(folder=tmp_path))
    assert first == {"user": "u1", "instruction": "How many stars?", "text": "Great.", "label": "5", "weight": 1}


def test_a_line_without_an_answer_has_no_label(tmp_path):
    lines = [line(said("developer", "a"), said("system", "b"), said("user", "c"))]
    assert [(row.text, row.label) for row in load(tmp_path, lines, text=("instruction", "text"))] == [("a\n\nb\nc", "")]


def test_several_turns_are_refused_unless_they_are_to_be_joined(tmp_path):
    turns = [SYSTEM, said("user", "Hi."), said("assistant", "Hello."), said("user", "Bad."), said("assistant", "1")]
    message = refused(tmp_path, [LINES[0], line(*turns)])
    assert message.startswith("d.jsonl, line 2: 3 messages before the answer, expected one user's message (multi-turn)")
    joined = load(tmp_path, [LINES[0], line(*turns)], turns="join")
    assert [(row.text, row.label) for row in joined] == [
        ("Great.", "5"),
        ("user: Hi.\nassistant: Hello.\nuser: Bad.", "1"),
    ]


def test_weights_and_instructions_that_differ_are_told(tmp_path):
    told = []
    lines = [
        line(SYSTEM, said("user", "a"), said("assistant", "1", weight=0)),
        line(SYSTEM, said("user", "b"), said("assistant", "2", weight=1)),
        line(said("system", "Other."), said("user", "c"), said("assistant", "3")),
    ]
    assert len(load(tmp_path, lines, told)) == 3
    assert [(check.kind, check.figures) for check in told] == [
        ("instructions-differ", {"count": 1, "first": "d.jsonl, line 3"}),
        ("zero-weight", {"count": 1, "first": "d.jsonl, line 1"}),
    ]


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ('{"text": "a"}', "no list of messages"),
        (line(), "no list of messages"),
        (line("hello"), "message 1 is no object"),
        (line(said("tool", "a")), 'message 1 has the role "tool", expected system, developer, user, assistant'),
        (line(said("user", None)), "message 1 (user) has no text as its content"),
        (line(said("user", [{"type": "image_url"}])), "message 1 (user) has no text as its content"),
        (line(SYSTEM), "no user's message"),
        (line(SYSTEM, said("assistant", "5")), "no user's message before the answer"),
        (line(said("user", "a"), said("assistant", "5", weight=0.5)), "weight 0.5, expected 0 or 1"),
    ],
)
def test_a_line_that_is_no_chat_is_refused(tmp_path, bad, what):
    assert f"d.jsonl, line 2: {what} (chat-format)" in refused(tmp_path, [LINES[0], bad])


PROMPTS = [
    {"prompt": "Great.\n\n###\n\n", "completion": " positive END"},
    {"prompt": "Bad.\n\n###\n\n", "completion": " negative END"},
    {"prompt": "So so.", "completion": "mixed"},
]


def test_prompt_and_completion_lose_separator_and_stop(tmp_path):
    told = []
    rows = load(tmp_path, map(json.dumps, PROMPTS), told, separator="\n\n###\n\n", stop=" END")
    assert [(row.fields, row.label) for row in rows] == [
        ({"prompt": "Great."}, "positive"),
        ({"prompt": "Bad."}, "negative"),
        ({"prompt": "So so."}, "mixed"),
    ]
    assert [(check.kind, check.figures["count"], check.figures["first"], check.mended) for check in told] == [
        ("label-format", 2, "d.jsonl, line 1", 2),
        ("rows-without-separator", 1, "d.jsonl, line 3", 0),
        ("rows-without-stop", 1, "d.jsonl, line 3", 0),
    ]


def test_prompt_and_completion_as_a_table(tmp_path):
    (tmp_path / "d.csv").write_text("prompt,completion\nGreat. ->, positive\nBad. ->, negative\n", encoding="utf-8")
    for options in ({}, {"text": "prompt", "label": "completion"}):
        dataset = Files(path="d.csv", separator=" ->", **options)
        rows = list(dataset.load(harness.Context(folder=tmp_path)))
        assert [(row.text, row.label) for row in rows] == [("Great.", "positive"), ("Bad.", "negative")]


def test_separator_and_stop_are_taken_off_the_last_text_alone(tmp_path):
    (tmp_path / "d.csv").write_text("title,body,label\na ->,b ->,x.\nc,,y.\n", encoding="utf-8")
    dataset = Files(path="d.csv", text=("title", "body"), label="label", separator=" ->", stop=".")
    told = []
    rows = list(dataset.load(harness.Context(folder=tmp_path, tell=told.append)))
    assert [(row.fields, row.label) for row in rows] == [
        ({"title": "a ->", "body": "b"}, "x"),
        ({"title": "c", "body": ""}, "y"),
    ]
    assert told == []
