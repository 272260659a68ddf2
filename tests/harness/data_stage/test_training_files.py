"""Reading training files, and what is said of those that the harness writes itself."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data_stage.training_files import chat_lines, completion_table, extra_columns, file_findings
from harness.errors import DataError
from harness.prepare.format.raw import layout
from harness.prepare.profiles import AZURE, LOCAL, OPENAI
from harness.prepare.training import training_file
from harness.types import Example
from harness_plugins.formatters.chat import Chat
from harness_plugins.formatters.completion import Completion

BOM = b"\xef\xbb\xbf"


def file(tmp_path, content, name="train.jsonl"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table_of(path):
    return completion_table(data := path.read_bytes(), path, layout(data))


def rows(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


def columns(table):
    return {name: table[name].to_pylist() for name in table.column_names}


A = {"prompt": "a", "completion": " b"}


@pytest.mark.parametrize(
    ("content", "prompts", "extra"),
    [
        (rows(A, A), ["a", "a"], ()),
        (BOM + rows(A).replace("\n", "\r\n").encode(), ["a"], ()),
        (rows(A) + "\n \n" + rows(A), ["a", "a"], ()),
        (rows(A).strip(), ["a"], ()),
        (rows({**A, "z": 1, "b": [{"c": None}]}, A), ["a", "a"], ("b", "z")),
        (rows({**A, "z": 1}, {**A, "z": "text"}, {"y": {}}), ["a", "a", None], ("y", "z")),
        (rows({"prompt": "\ud83d!", "completion": "x"}), ["?!"], ()),
        (rows({"prompt": None, "completion": "x"}, {"completion": "y"}), [None, None], ()),
        (rows({"prompt": "\x00\u2028é", "completion": "x"}), ["\x00\u2028é"], ()),
        ("", [], ()),
        ("\n", [], ()),
    ],
)
def test_lines_become_columns(tmp_path, content, prompts, extra):
    table = table_of(file(tmp_path, content))
    assert table["prompt"].to_pylist() == prompts
    assert (table["prompt"].type, table["completion"].type) == (pa.string(), pa.string())
    assert extra_columns(table) == extra


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('{"prompt": "a"', "line 3 is not JSON: "),
        ('{"prompt": "a",\n"completion": "b"}', "line 3 is not JSON: "),
        ('{"prompt": "a"} {"prompt": "b"}', "line 3 is not JSON: Extra data"),
        ('{"prompt": "a",\n"completion": "b"} {"prompt": "a"}', "line 3 is not JSON: "),
        ("[1]", "line 3 is no JSON object but a list"),
        ('"a"', "line 3 is no JSON object but a text"),
        ("null", "line 3 is no JSON object but null"),
        ('{"prompt": 1, "completion": "b"}', "line 3: prompt is a number, expected a text"),
        ('{"prompt": "a", "completion": ["b"]}', "line 3: completion is a list, expected a text"),
        ('{"prompt": "a", "prompt": "b"}', 'line 3 is not JSON: the key "prompt" is given twice'),
        ('{"prompt": "a", "weight": "1"}', "line 3: weight is a text, expected a number"),
        ('{"prompt": "a", "weight": true}', "line 3: weight is true or false, expected a number"),
        (f'{{"prompt": {"[" * 100_000}', "line 3 is "),
    ],
)
def test_a_broken_line_is_named(tmp_path, wrong, message):
    raw = wrong if isinstance(wrong, bytes) else wrong.encode()
    path = file(tmp_path, rows(A).encode() + b"\n" + raw + b"\n" + rows(A).encode())
    with pytest.raises(DataError) as caught:
        table_of(path)
    assert caught.value.message.startswith(f"{path}, {message}")
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_line_longer_than_a_block_and_many_blocks_are_read(tmp_path):
    long = {"prompt": "x" * 5_000_000, "completion": " y"}
    many = [{"prompt": f"{n} {'z' * 900}", "completion": " y", f"k{n % 3}": n} for n in range(12_000)]
    path = file(tmp_path, rows(*many[:6_000], long, *many[6_000:]))
    table = table_of(path)
    wanted = [row["prompt"] for row in (*many[:6_000], long, *many[6_000:])]
    assert table["prompt"].to_pylist() == wanted
    assert extra_columns(table) == ("k0", "k1", "k2")
    before = pa.cpu_count()
    try:
        pa.set_cpu_count(1)
        assert table_of(path).equals(table, check_metadata=True)
    finally:
        pa.set_cpu_count(before)


def test_weights_are_read_as_numbers(tmp_path):
    whole = table_of(file(tmp_path, rows({**A, "weight": 1}, {**A, "weight": 2.5}, A)))
    assert whole["weight"].to_pylist() == [1.0, 2.5, None]
    slowly = table_of(file(tmp_path, rows({**A, "weight": 1, "prompt": "\ud800"}, A)))
    assert slowly["weight"].to_pylist() == [1.0, None]
    found = {check.kind: check for check in file_findings(tmp_path / "train.jsonl", LOCAL)}
    assert found["example-weight"].figures == {"rows": 1, "first": [2]}
    assert found["lone-surrogates"].figures["lines"] == [1]


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["prompt", "completion", "x"]), st.text(max_size=6) | st.none()), max_size=6
    )
)
def test_both_ways_of_reading_give_the_same_table(tmp_path_factory, values):
    from harness.data_stage.training_files import _slow

    path = file(
        tmp_path_factory.mktemp("rows"), "".join(json.dumps(value, ensure_ascii=True) + "\n" for value in values)
    )
    table = table_of(path)
    assert table.equals(_slow(path, path.read_bytes()), check_metadata=True)
    told = [{k: v if v is None else v.encode("utf-8", "replace").decode() for k, v in row.items()} for row in values]
    assert table["prompt"].to_pylist() == [row.get("prompt") for row in told]
    assert extra_columns(table) == tuple(sorted({name for row in values for name in row if name == "x"}))


@given(st.binary(max_size=80) | st.text(max_size=40).map(lambda text: json.dumps(text).encode()))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = file(tmp_path_factory.mktemp("raw"), content)
    said = str(path)
    try:
        told = file_findings(path, OPENAI)
    except DataError as error:
        said, told = error.message, ()
    assert said.startswith(str(path))
    assert all(check.kind for check in told)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        file_findings(tmp_path / "none.jsonl", OPENAI)


def test_chat_lines_are_read_and_told_from_others(tmp_path):
    line = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path = file(tmp_path, BOM + rows(line, line, A).encode())
    assert chat_lines(path.read_bytes(), path) == [line, line, A]
    found = {check.kind for check in file_findings(path, OPENAI)}
    assert {"byte-order-mark", "mixed-lines", "duplicate-rows"} <= found
    other = {check.kind for check in file_findings(file(tmp_path, rows(A, line)), OPENAI)}
    assert "mixed-lines" in other


EXAMPLES = [
    Example(fields={"text": f"{'abcdef'[n % 6]} review number {n}"}, label=["good", "bad"][n % 2]) for n in range(120)
]


@pytest.mark.parametrize("profile", [OPENAI, AZURE, LOCAL])
@pytest.mark.parametrize("formatter", [Completion(), Completion(stop=" END"), Chat(), Chat(instruction="")])
def test_nothing_is_said_against_what_the_harness_writes(tmp_path, profile, formatter):
    weights = {"good": 0.5, "bad": 2.0} if profile is LOCAL else None
    path = file(tmp_path, training_file(EXAMPLES, formatter, ("bad", "good"), 7, profile, weights))
    found = file_findings(path, profile)
    assert {check.level for check in found} == {"ok"}
    assert {check.figures.get("examples") for check in found} >= {120}


def test_weights_are_refused_by_name_where_they_are_not_taken(tmp_path):
    path = file(tmp_path, training_file(EXAMPLES, Completion(), ("bad", "good"), 7, LOCAL, {"good": 3.0}))
    found = {check.kind: check for check in file_findings(path, OPENAI)}
    assert found["extra-columns"].figures == {"columns": ["weight"]}
