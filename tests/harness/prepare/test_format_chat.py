"""Rules for chat files: each with lines that it speaks of and lines that it does not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare import format as rules
from harness.prepare.format import chat, chat_findings, raw
from harness.prepare.format.plain_chat import plain_chat_findings
from harness.prepare.profiles import LOCAL, OPENAI


def line(n, *messages, **more):
    messages = messages or (said("user", f"question {n}"), said("assistant", f"answer {n}"))
    return {"messages": list(messages), **more}


def said(role, content, **more):
    return {"role": role, "content": content, **more}


SYSTEM = said("system", "Be brief.")
USER, ANSWER = said("user", "again?"), said("assistant", "yes")
GOOD = [line(n, SYSTEM, said("user", f"question {n}"), said("assistant", f"answer {n}")) for n in range(120)]


def findings(lines, profile=OPENAI):
    return {check.kind: check for check in chat_findings(lines, profile=profile)}


def with_first(*lines):
    return [*lines, *GOOD[len(lines) :]]


def test_a_good_file_has_facts_alone():
    found = findings(GOOD)
    assert {kind: check.level for kind, check in found.items()} == {"training-examples": "ok"}


CASES = {
    "few": (GOOD[:9], "training-examples", "error", {"examples": 9}),
    "completion": (with_first({"prompt": "a", "completion": "b"}), "mixed-lines", "error", {"first": [1]}),
    "no-list": (with_first({"messages": "hi"}), "missing-messages", "error", {"rows": 1}),
    "empty-list": (with_first({"messages": []}, {}), "missing-messages", "error", {"rows": 2}),
    "misspelt": (with_first({"mesages": [USER]}), "missing-messages", "error", {"rows": 1}),
    "line-key": (with_first(line(0, id=1)), "line-keys", "error", {"rows": 1}),
    "line-weight": (with_first(line(0, weight=0.5)), "line-keys", "error", {"rows": 1}),
    "no-role": (with_first(line(0, {"content": "a"}, ANSWER)), "message-keys", "error", {"rows": 1}),
    "message-key": (with_first(line(0, said("user", "a", lable=1), ANSWER)), "message-keys", "error", {"rows": 1}),
    "no-object": (with_first(line(0, "hi", ANSWER)), "message-keys", "error", {"rows": 1}),
    "role": (with_first(line(0, said("User", "a"), ANSWER)), "unknown-role", "error", {"rows": 1}),
    "odd-role": (with_first(line(0, said(None, "a"), said(["x"], "a"), ANSWER)), "unknown-role", "error", {"rows": 1}),
    "no-content": (with_first(line(0, {"role": "user"}, ANSWER)), "missing-content", "error", {"rows": 1}),
    "empty": (with_first(line(0, said("user", ""), ANSWER)), "missing-content", "error", {"rows": 1}),
    "odd-content": (with_first(line(0, said("user", [1]), ANSWER)), "missing-content", "error", {"rows": 1}),
    "no-answer": (with_first(line(0, USER)), "no-assistant", "error", {"rows": 1}),
    "unlearned": (with_first(line(0, USER, {**ANSWER, "weight": 0})), "no-assistant", "error", {"rows": 1}),
    "first": (with_first(line(0, ANSWER, USER, ANSWER)), "first-assistant", "error", {"rows": 1}),
    "last": (with_first(line(0, USER, ANSWER, USER)), "last-not-assistant", "error", {"rows": 1}),
    "half": (with_first(line(0, USER, {**ANSWER, "weight": 0.5})), "message-weight", "error", {"rows": 1}),
    "true": (with_first(line(0, USER, {**ANSWER, "weight": True})), "message-weight", "error", {"rows": 1}),
    "user-weight": (with_first(line(0, {**USER, "weight": 1}, ANSWER)), "message-weight", "error", {"rows": 1}),
    "tools": (with_first(line(0, USER, ANSWER, tools=[])), "tool-lines", "error", {"rows": 1}),
    "call": (with_first(line(0, USER, {"role": "assistant", "tool_calls": [1]})), "tool-lines", "error", {"rows": 1}),
    "tool-role": (with_first(line(0, USER, said("tool", "4"), ANSWER)), "tool-lines", "error", {"rows": 1}),
    "some-system": (with_first(line(0)), "missing-system", "warning", {"rows": 1, "first": [1]}),
    "no-system": ([line(n) for n in range(120)], "missing-system", "ok", {"rows": 120}),
    "systems": (with_first(line(0, said("system", "Be long."), USER, ANSWER)), "inconsistent-system", "warning", {}),
    "twice": ([*GOOD, GOOD[0]], "duplicate-rows", "warning", {"rows": 1, "first": [121]}),
    "conflict": (with_first(*[line(0, SYSTEM, USER, said("assistant", a)) for a in "ab"]), "conflicting-completions",
                 "warning", {"rows": 2, "prompts": 1, "first": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_with_its_figures(case):
    lines, kind, level, figures = CASES[case]
    check = findings(lines)[kind]
    assert check.level == level
    assert {key: check.figures[key] for key in figures} == figures
    assert kind not in findings(GOOD) or kind == "training-examples"


def test_each_rule_has_a_case():
    named = {rule.__doc__.split("`")[1] for rule in rules.CHAT_RULES}
    assert {case[1] for case in CASES.values()} | {"example-weight"} == named


@pytest.mark.parametrize(
    ("messages", "kinds"),
    [
        ([USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 1}], set()),
        ([said("developer", "Be brief."), USER, ANSWER], set()),
        ([said("user", [{"type": "text", "text": "hi"}], name="jo"), {**ANSWER, "refusal": None}], set()),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [1]}], {"tool-lines"}),
        ([USER, {**ANSWER, "tool_calls": None}], set()),
    ],
)
def test_what_is_fine_is_not_found(messages, kinds):
    quiet = {"training-examples", "missing-system"}
    assert set(findings([line(n, *messages[:-1], messages[-1]) for n in range(1)])) - quiet == kinds


@pytest.mark.parametrize("weight", [0, -1, 101, "1", True, None])
def test_weights_of_lines_are_checked_where_the_provider_takes_them(weight):
    weighted = [{**each, "weight": 2.5} for each in GOOD]
    assert "example-weight" not in findings(weighted, LOCAL)
    assert "example-weight" not in findings(GOOD, LOCAL)
    found = findings([*weighted, line(0, weight=weight), line(1)], LOCAL)
    assert found["example-weight"].figures == {"rows": 2, "first": [121, 122]}
    assert "line-keys" not in found


def test_names_are_said():
    assert 'did you mean "user"?' in findings([line(0, said("usr", "a"), ANSWER)])["unknown-role"].advice
    assert 'did you mean "mesages"?' in findings([{"mesages": []}])["missing-messages"].advice
    assert (
        'did you mean "content"?' in findings([line(0, said("user", "a", contents=1), ANSWER)])["message-keys"].message
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.sampled_from(["", "user", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "weight", "messages", "x", "tools"]), inner, max_size=4)
    ),
    max_leaves=8,
)
roles = st.sampled_from(["system", "user", "assistant", "tool", "User", None, 1])
messages = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {"role": roles, "content": json_values},
        optional={"weight": json_values, "name": json_values, "tool_calls": json_values},
    ),
)
conversations = st.one_of(json_values, st.fixed_dictionaries({"messages": st.lists(messages, max_size=4)}))


@given(st.lists(conversations, max_size=6), st.sampled_from([OPENAI, LOCAL]))
def test_any_lines_are_spoken_of(lines, profile):
    seen = chat.Chat(lines=chat.lines(lines), profile=profile)
    for rule in rules.CHAT_RULES:
        for check in rule(seen):
            assert check.kind == rule.__doc__.split("`")[1]
            assert "\n" not in check.message + check.advice
            assert all(1 <= row <= len(lines) for row in check.figures.get("first", []))
    if not any(isinstance(each, dict) and "messages" in each for each in lines):
        assert not lines or {"missing-messages", "mixed-lines"} & set(findings(lines, profile))


def quick(lines, profile=OPENAI, bom=b""):
    data = bom + b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in lines)
    return plain_chat_findings(data, raw.layout(data), profile)


@pytest.mark.parametrize(
    ("lines", "profile"),
    [
        (GOOD, OPENAI),
        (GOOD[:3], OPENAI),
        ([line(n) for n in range(120)], OPENAI),
        ([line(n, weight=0.5) for n in range(120)], LOCAL),
        ([line(n, said("user", f"ü {n}\u2028"), said("assistant", "é")) for n in range(120)], OPENAI),
    ],
)
def test_files_in_order_are_read_without_a_step_for_each_line(lines, profile):
    assert quick(lines, profile) == chat_findings(lines, profile=profile)
    assert quick(lines, profile, b"\xef\xbb\xbf") == chat_findings(lines, profile=profile)


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_wrong_is_left_to_the_rules(case):
    lines = CASES[case][0]
    assert quick(lines) in (None, chat_findings(lines, profile=OPENAI))


ALIKE = {
    "a key in every line": [{**each, "id": 1} for each in GOOD],
    "a key in every message": [line(n, said("user", f"{n}", name="jo"), said("assistant", f"{n}")) for n in range(120)],
    "a weight in every line": [{**each, "weight": 0.5} for each in GOOD],
    "no content": [line(n, {"role": "user"}, said("assistant", f"{n}")) for n in range(120)],
    "no role": [line(n, {"content": f"{n}"}, said("assistant", f"{n}")) for n in range(120)],
    "an empty content": [line(n, said("user", ""), said("assistant", f"{n}")) for n in range(120)],
    "another role": [line(n, said("tool", f"{n}"), said("assistant", f"{n}")) for n in range(120)],
    "another order": [line(n, said("assistant", f"{n}"), said("user", f"{n}")) for n in range(120)],
    "one message": [line(n, said("user", f"{n}")) for n in range(120)],
    "four messages": [line(n, SYSTEM, USER, ANSWER, said("user", f"{n}")) for n in range(120)],
    "roles that differ": with_first(line(0, said("developer", "Be brief."), USER, ANSWER)),
    "two instructions": with_first(line(0, said("system", "Be long."), USER, ANSWER)),
    "a question twice": [*GOOD, {"messages": [*GOOD[0]["messages"][:2], ANSWER]}],
    "no messages": [{"messages": []} for _ in range(120)],
    "a list of null": [{"messages": None} for _ in range(120)],
    "a message of null": [{"messages": [None, None]} for _ in range(120)],
}


@pytest.mark.parametrize("case", ALIKE)
def test_lines_that_are_alike_but_not_in_order_are_left_to_the_rules(case):
    assert quick(ALIKE[case]) is None


@pytest.mark.parametrize("weights", [[0.0] * 3, [0.5, None, 0.5], [0.5, 100.5, 1], [-1, 1, 1]])
def test_weights_that_are_not_in_order_are_left_to_the_rules(weights):
    lines = [line(n, weight=weight) for n, weight in enumerate(weights)]
    assert quick(lines, LOCAL) is None
    assert quick([line(n, weight=100) for n in range(3)], LOCAL) is not None


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"[1]\n", b'{"messages": []}\r{"messages": []}\n', b'{"messages": [\n]}\n']
)
def test_files_of_another_layout_are_left_to_the_rules(data):
    assert plain_chat_findings(data, raw.layout(data), OPENAI) is None


@given(
    st.lists(
        st.lists(
            st.builds(said, st.sampled_from(["system", "user", "assistant"]), st.sampled_from(["", "a", "b", "c"])),
            max_size=3,
        ).map(lambda messages: {"messages": messages}),
        min_size=1,
        max_size=4,
    )
)
def test_the_quick_way_says_what_the_rules_say_or_nothing(lines):
    assert quick(lines) in (None, chat_findings(lines, profile=OPENAI))
