"""Rules for prompt/completion files: each with files that it speaks of and files that it does not."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.prepare import format as rules
from harness.prepare.format import completion_findings
from harness.prepare.format.facts import facts_of
from harness.prepare.profiles import LOCAL, OPENAI
from harness.types import Check

DOCUMENTED = re.findall(
    r"^\| `([a-z0-9-]+)` \|", (Path(__file__).parents[3] / "docs/reference/checks.md").read_text(encoding="utf-8"), re.M
)
SEPARATOR = "\n\n###\n\n"


def kinds(rule):
    """The kinds that a rule names at the beginning of its docstring."""
    return set(re.findall(r"^`([a-z0-9-]+)`", rule.__doc__.strip()))


def table(prompts, completions):
    return pa.array(prompts, pa.string()), pa.array(completions, pa.string())


def findings(prompts, completions, **more):
    return {
        check.kind: check for check in completion_findings(*table(prompts, completions), **({"profile": OPENAI} | more))
    }


def good(n=120):
    """A file that nothing is to be said of but facts: separator, leading space, labels that begin differently."""
    prompts = [f"{'abcdefghij'[i % 10]} text number {i}{SEPARATOR}" for i in range(n)]
    return prompts, [f" {['yes', 'no'][i % 2]}" for i in range(n)]


def generated(n=40, end=" END"):
    """A file of conditional generation."""
    return [f"{i} in{SEPARATOR}" for i in range(n)], [f" {i * 7919 % 997} out{end}" for i in range(n)]


def replaced(values, *new):
    """`values` with its first ones replaced."""
    return [*new, *values[len(new) :]]


def test_every_rule_names_its_kind_and_the_documentation_has_each():
    every = [*rules.RAW_RULES, *rules.COMPLETION_RULES, *rules.CHAT_RULES]
    assert all(len(kinds(rule)) == 1 for rule in every)
    assert set().union(*map(kinds, every)) <= set(DOCUMENTED)


def test_a_good_file_has_facts_alone():
    found = findings(*good())
    assert set(found) == {"training-examples", "task-type", "separator"}
    assert {check.level for check in found.values()} == {"ok"}
    assert found["separator"].figures == {"separator": SEPARATOR}
    assert findings(P[:100], C[:100])["training-examples"].level == "ok"  # 99 are few
    assert set(findings(*generated(120))) == {"training-examples", "task-type", "separator", "stop-sequence"}


P, C = good()
GP, GC = generated()
CASES = {
    "few-for-provider": (P[:9], C[:9], "training-examples", "error", {"examples": 9, "least": 10}),
    "few": (P[:99], C[:99], "training-examples", "warning", {"examples": 99}),
    "no-rows": ([], [], "training-examples", "error", {"examples": 0}),
    "empty-prompts": (replaced(P, "", None, " \n"), C, "empty-prompts", "warning", {"rows": 3, "first": [1, 2, 3]}),
    "empty-completions": (P, replaced(C, "", None, "\t"), "empty-completions", "warning", {"rows": 3}),
    "duplicates": (P[:1] + P, C[:1] + C, "duplicate-rows", "warning", {"rows": 1, "first": [2]}),
    "conflicts": (P[:1] + P, C[1:2] + C, "conflicting-completions", "warning", {"rows": 2, "prompts": 1}),
    "long": (replaced(P, "x" * 10_000 + SEPARATOR), C, "long-rows", "warning", {"rows": 1, "longest": 10_011}),
    "capitals": ([text.upper() for text in P], C, "upper-case-prompts", "warning", {"lower": 0}),
    "capital-answers": (P, [text.upper() for text in C], "upper-case-completions", "warning", {"lower": 0}),
    "capital-cyrillic": (P, [" ДА"] * 60 + [" НЕТ"] * 60, "upper-case-completions", "warning", {"upper": 300}),
    "no-separator": ([f"text {i}" for i in range(120)], C, "missing-separator", "warning", {"suggestion": " ->"}),
    "two-prompts": (["good", "poor"] * 60, [" yes", " no"] * 60, "missing-separator", "warning", {"suggestion": " ->"}),
    "lines": ([f"a\n{i}" for i in range(120)], C, "missing-separator", "warning", {"suggestion": SEPARATOR}),
    "long-end": ([f"{i} is it good or bad?" for i in range(120)], C, "long-separator", "warning", {"characters": 19}),
    "inside": (replaced(P, f"a{SEPARATOR}b{SEPARATOR}"), C, "separator-inside", "warning", {"rows": 1, "first": [1]}),
    "in-answer": (P, replaced(C, f" a{SEPARATOR}b"), "separator-inside", "warning", {"rows": 0, "completions": 1}),
    "one-prompt": (["a" + SEPARATOR] * 120, C, "identical-prompts", "error", {"rows": 120}),
    "one-answer": (P, [" yes"] * 120, "identical-completions", "error", {"rows": 120}),
    "instruction": ([f"Is it good?! {t}" for t in P], C, "prompt-prefix", "warning", {"characters": 13}),
    "answer-prefix": (P, [" It is" + t for t in C], "completion-prefix", "warning", {"prefix": " It is "}),
    "no-stop": (GP, [f" {i * 7919 % 997} out{i}" for i in range(40)], "missing-stop", "warning", {"suggestion": "\n"}),
    "long-stop": (GP, generated(end=" that was all")[1], "long-stop", "warning", {"characters": 17}),
    "stop-inside": (GP, replaced(GC, " an END of it END"), "stop-inside", "warning", {"rows": 1, "first": [1]}),
    "no-space": (P, replaced(C, "yes", "no"), "leading-space", "warning", {"rows": 2, "first": [1, 2]}),
    "prefixes": (P, [" pos", " positive"] * 60, "ambiguous-labels", "warning", {"labels": [[" pos", " positive"]]}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_with_its_figures(case):
    prompts, completions, kind, level, figures = CASES[case]
    check = findings(prompts, completions)[kind]
    assert check.level == level
    assert {key: check.figures[key] for key in figures} == figures
    assert check.advice
    assert check.heading


NEGATIVE = {
    "empty-prompts": ([""] * 120, [f" {i}" for i in range(120)]),
    "empty-completions": good(),
    "duplicate-rows": ([*P[:3], P[0]], [*[" yes"] * 3, " no"]),
    "conflicting-completions": (P[:1] + P, C[:1] + C),
    "long-rows": (replaced(P, "x" * 9_980 + SEPARATOR), C),
    "upper-case-prompts": (["NO no no" + text for text in P], C),
    "upper-case-completions": good(),
    "missing-separator": (["a"] * 120, C),
    "long-separator": good(),
    "separator-inside": good(),
    "identical-prompts": ([""] * 120, C),
    "identical-completions": (P[:1], C[:1]),
    "prompt-prefix": ([f"Is it good? {text}" for text in P], C),
    "completion-prefix": (P, [" its" + text[1:] for text in C]),
    "stop-sequence": (P, [" positive", " negative"] * 60),
    "missing-stop": good(),
    "long-stop": generated(),
    "stop-inside": generated(),
    "leading-space": good(),
    "ambiguous-labels": (P, [" pos END", " positive END"] * 60),
    "missing-column": good(),
    "extra-columns": good(),
    "mixed-lines": good(),
    "example-weight": good(),
}


@pytest.mark.parametrize("kind", NEGATIVE)
def test_what_is_fine_is_not_found(kind):
    assert kind not in findings(*NEGATIVE[kind])


def test_each_rule_has_both_cases():
    positive = {case[2] for case in CASES.values()}
    named = set().union(*map(kinds, rules.COMPLETION_RULES))
    facts = {"task-type", "separator", "stop-sequence"}
    columns = {"missing-column", "extra-columns", "mixed-lines", "example-weight"}
    assert positive | facts | columns == named
    assert set(NEGATIVE) | {"training-examples", "task-type", "separator"} == named


@pytest.mark.parametrize(
    ("labels", "stop"),
    [
        ([" positive", " negative"], None),
        ([" very positive", " positive"], None),
        ([" not good", " very good"], None),
        ([" yes END", " no END"], " END"),
        ([" yes\n", " no\n"], "\n"),
        ([" 1.", " 2."], "."),
        ([" END", " no END"], None),
        ([" naïve", " massive"], None),
    ],
)
def test_a_label_s_own_letters_are_no_stop_sequence(labels, stop):
    found = findings(P, labels * 60)
    assert (found["stop-sequence"].figures["stop"] if "stop-sequence" in found else None) == stop
    assert "missing-stop" not in found


@pytest.mark.parametrize(("completions", "stop"), [(["a-END", "b.END"], "END"), (["1END", "b.END"], None)])
def test_an_ending_of_generated_texts_begins_a_word(completions, stop):
    found = findings(["q1?", "q2?"], completions)
    assert (found["stop-sequence"].figures["stop"] if "stop-sequence" in found else None) == stop


@pytest.mark.parametrize(
    ("prompts", "completions", "task"),
    [
        (P, C, "classification"),
        (P[:6], [" a", " b"] * 3, "conditional generation"),
        (P[:7], [" a", " b"] * 3 + [" a"], "classification"),
        (["", None, " "], [" a", " b", " c"], "open-ended generation"),
    ],
)
def test_the_task_is_inferred(prompts, completions, task):
    check = findings(prompts, completions)["task-type"]
    assert (check.level, check.figures["task"]) == ("ok", task)


@pytest.mark.parametrize(
    ("columns", "advice"),
    [
        (("Prompt", "text"), 'Rename "Prompt" to "prompt": upper and lower case count.'),
        (("promt",), 'Name the column "prompt": did you mean "promt"?'),
        ((), 'Give every row a "prompt".'),
    ],
)
def test_a_missing_column_is_said_with_the_nearest_name(columns, advice):
    found = findings([None] * 20, C[:20], extra_columns=columns)
    assert found["missing-column"].advice == advice
    assert found["training-examples"].figures["examples"] == 20
    assert not {"empty-completions", "missing-separator", "task-type", "extra-columns"} & set(found)


def test_extra_columns_chat_lines_and_weights():
    found = findings(P, C, extra_columns=("id", "messages", "weight"))
    assert found["extra-columns"].figures == {"columns": ["id", "weight"]}
    assert found["extra-columns"].mended == 2
    assert found["mixed-lines"].level == "error"
    weights = pa.array([1.0, None, 0.0, 101.0, float("nan")] + [2] * 115)
    found = findings(P, C, extra_columns=("weight",), profile=LOCAL, weights=weights)
    assert "extra-columns" not in found
    assert found["example-weight"].figures == {"rows": 4, "first": [2, 3, 4, 5]}
    fine = pa.array([1.0] * 120)
    assert "example-weight" not in findings(P, C, extra_columns=("weight",), profile=LOCAL, weights=fine)


def test_a_suggestion_stands_nowhere_even_where_all_candidates_do():
    full = " ->".join(["", "\n\n###\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n===>\n\n", "\n\n--->\n\n", "\n\n####\n\n"])
    offered = findings([f"{full} {i}" for i in range(12)], C[:12])["missing-separator"].figures["suggestion"]
    assert offered == "\n\n#####\n\n"
    assert offered not in full


def test_a_stop_sequence_is_offered_that_no_answer_holds_even_where_all_candidates_do():
    full = "\n END ### \n### *** +++ &&& $$$ @@@ %%% ####"
    offered = findings(GP, [f" {full} {i * 7919 % 997}" for i in range(40)])["missing-stop"].figures["suggestion"]
    assert offered == " #####"
    assert offered not in full


def test_row_numbers_are_those_of_the_file_where_rows_are_set_apart():
    found = findings(["", *P], replaced(["", *C], "", "yes", "no"))
    assert found["empty-completions"].figures["first"] == [1]
    assert found["leading-space"].figures["first"] == [2, 3]


def test_columns_in_chunks_or_codes_give_the_same_findings():
    prompts, completions = table(P, replaced(C, "", "yes"))
    chunked = pa.chunked_array([prompts[:50], prompts[50:]]), completions.dictionary_encode()
    whole = completion_findings(prompts, completions, profile=OPENAI)
    assert completion_findings(*chunked, profile=OPENAI) == whole
    padded = pa.concat_arrays([prompts[:3], prompts])[3:], pa.concat_arrays([completions[:3], completions])[3:]
    assert completion_findings(*padded, profile=OPENAI) == whole


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 prompts and 1 completions"):
        completion_findings(*table(["a", "b"], ["c"]), profile=OPENAI)


texts = st.one_of(
    st.none(),
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace").decode("utf-8")),
    st.sampled_from(["", " ", " yes", "no", SEPARATOR, f"a{SEPARATOR}", "é", " 🎉", "🎊", "tive", " positive", "\x00"]),
)
files = st.lists(st.tuples(texts, texts), max_size=25).map(
    lambda rows: tuple(map(list, zip(*rows, strict=True))) or ([], [])
)


@given(files)
@example(([], []))
@example(([None], [None]))
@example(([""], [""]))
@example((["a"], ["b"]))
@example((["a", "a"], ["b", "b"]))
@example((["é", "è"], ["🎉", "🎊"]))
@example((["\n\n###\n\n", "0", "\n"], [None, "0", "0"]))
def test_any_file_is_spoken_of(rows):
    prompts, completions = rows
    for rule in rules.COMPLETION_RULES:
        seen = facts_of(*table(prompts, completions), OPENAI)
        for check in rule(seen):
            assert isinstance(check, Check)
            assert {check.kind} == kinds(rule)
            assert "\n" not in check.message + check.advice
            assert 0 <= check.figures.get("rows", 0) <= max(1, len(prompts))
    found = findings(prompts, completions)
    asked, told = (column.to_pylist() for column in (seen.prompts, seen.completions))  # rows that go unread left out
    for kind, key, values in (
        ("missing-separator", "suggestion", [*asked, *told]),
        ("separator-inside", "suggestion", [*asked, *told]),
        ("missing-stop", "suggestion", told),
    ):
        if kind in found:
            assert not any(found[kind].figures[key] in value for value in values if value is not None)


def shared(values):
    """The longest beginning of all values, step by step."""
    return max(
        (values[0][:n] for n in range(len(values[0]) + 1) if all(v.startswith(values[0][:n]) for v in values)), key=len
    )


@given(files)
def test_common_beginnings_and_endings_are_the_longest(rows):
    prompts = [prompt for prompt, completion in zip(*rows, strict=True) if prompt and prompt.strip()]
    seen = facts_of(*table(prompts, ["x"] * len(prompts)), OPENAI)
    if len(set(prompts)) > 1:
        assert seen.beginning == shared(prompts)
        longest = shared([prompt[::-1] for prompt in prompts])[::-1]
        assert longest.endswith(seen.ending)
        assert not longest[: len(longest) - len(seen.ending)].strip() or longest[:1].isalnum() or longest[:1] == "_"


@given(files)
def test_letters_are_counted_as_python_counts_them(rows):
    from harness.prepare.format.texts import cased_letters

    values = [value for column in rows for value in column if value is not None]
    upper, lower = cased_letters(pa.array(values, pa.large_string()))
    letters = "".join(values)
    assert upper == sum(map(str.isupper, letters))
    assert lower == sum(map(str.islower, letters))
