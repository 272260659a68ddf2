"""Training files as they are written: order, byte order mark, weights."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.prepare import training
from harness.prepare.normalise import keyed_hash
from harness.prepare.profiles import AZURE, LOCAL, NEBIUS, OPENAI
from harness.prepare.training import training_file
from harness.types import Example
from harness_plugins.formatters.chat import Chat
from harness_plugins.formatters.completion import Completion


class Lines:
    """Whatever it is told, as a line."""

    name = "lines"

    def training_line(self, row, labels):
        return json.loads(row.fields["line"])


def example(line, label="x", **more):
    return Example(fields={"line": json.dumps(line)}, label=label, **more)


lines = st.one_of(
    st.fixed_dictionaries({"prompt": st.text(max_size=9), "completion": st.text(max_size=9) | st.none()}),
    st.dictionaries(st.sampled_from(["prompt", "completion", "z"]), st.text(max_size=9)),
)


@given(st.lists(lines, max_size=12), st.integers(-5, 2**40))
def test_lines_are_json_s_own_in_the_order_of_their_keyed_hashes(values, seed):
    rows = [example(value, id=f"{n}é{n % 3}") for n, value in enumerate(values)]
    content = training_file(rows, Lines(), ("x",), seed)
    wanted = b""
    for row in sorted(rows, key=lambda row: (keyed_hash(seed, "training", row.id), row.id)):
        line = json.loads(row.fields["line"])
        try:
            wanted += json.dumps(line, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:
            wanted += json.dumps(line).encode() + b"\n"
    assert content == wanted


ROWS = [Example(fields={"text": f"text {n}"}, label="ab"[n % 2]) for n in range(30)]


@pytest.mark.parametrize("formatter", [Completion(), Chat()])
def test_a_byte_order_mark_is_written_for_azure_alone(formatter):
    bare = training_file(ROWS, formatter, ("a", "b"), 1)
    assert training_file(ROWS, formatter, ("a", "b"), 1, AZURE) == b"\xef\xbb\xbf" + bare
    assert all(training_file(ROWS, formatter, ("a", "b"), 1, profile) == bare for profile in (OPENAI, NEBIUS, LOCAL))


@pytest.mark.parametrize("formatter", [Completion(), Chat()])
def test_weights_stand_in_each_line(formatter):
    bare = [json.loads(line) for line in training_file(ROWS, formatter, ("a", "b"), 1).splitlines()]
    weighted = [
        json.loads(line) for line in training_file(ROWS, formatter, ("a", "b"), 1, LOCAL, {"a": 2}).splitlines()
    ]
    assert [{key: line[key] for key in line if key != "weight"} for line in weighted] == bare
    for line in weighted:
        text = line["completion"] if "completion" in line else line["messages"][-1]["content"]
        assert line["weight"] == {"a": 2.0, "b": 1.0}[text.strip()]


@pytest.mark.parametrize("profile", [OPENAI, AZURE, NEBIUS, None])
def test_weights_are_refused_where_the_provider_takes_none(profile):
    with pytest.raises(DataError, match=profile.name if profile else "openai-compatible") as caught:
        training_file(ROWS, Completion(), ("a", "b"), 1, profile, {"a": 2.0})
    assert 'balance = "downsample"' in caught.value.hint


@pytest.mark.parametrize("weight", [0.0, -1.0, 100.1, float("nan"), float("inf")])
def test_weights_out_of_range_are_refused(weight):
    with pytest.raises(DataError, match='the weight of label "a" is'):
        training_file(ROWS, Completion(), ("a", "b"), 1, LOCAL, {"a": weight})


CONVERSATIONS = (
    {"messages": [{"role": "user", "content": "é\u2028"}, {"role": "assistant", "content": '"'}]},
    {"messages": []},
    {"messages": [{"role": "user", "content": None}]},
    {"messages": [{"role": 1, "content": "a"}]},
    {"messages": [{"content": "a", "role": "user"}]},
    {"messages": [{"role": "user", "content": "a", "weight": 0}]},
    {"messages": [{"role": "user", "content": "a"}], "weight": 2},
    {"prompt": 1, "completion": "a"},
    {"prompt": "a", "completion": None},
    {"completion": "a", "prompt": "b"},
    {"prompt": "\ud800", "completion": "é"},
)


@pytest.mark.parametrize("line", CONVERSATIONS)
def test_every_line_is_what_json_makes_of_it(line):
    written = training_file([example(line), example({"prompt": "ü", "completion": ""})], Lines(), ("x",), 1)
    assert sorted(map(json.loads, written.splitlines()), key=repr) == sorted(
        [line, {"prompt": "ü", "completion": ""}], key=repr
    )
    assert (b"\\u" in written) == ("\ud800" in repr(line.get("prompt")) or "\ud800" in str(line.get("prompt")))
    assert written.count(b"\n") == 2
    assert written.endswith(b"}\n")


def test_what_weights_may_be_is_said():
    with pytest.raises(DataError) as caught:
        training_file(ROWS, Completion(), ("a", "b"), 1, OPENAI, {"a": 2.0})
    assert caught.value.message == ("openai takes no weights of examples, but the classes are to be balanced by weight")
    assert caught.value.hint == 'set balance = "downsample", or train on the local endpoint'
    with pytest.raises(DataError) as caught:
        training_file(ROWS, Completion(), ("a", "b"), 1, LOCAL, {"b": 1.0, "a": 100.5})
    assert caught.value.message == 'the weight of label "a" is 100.5, expected more than 0 and at most 100'
    assert "downsample" in (caught.value.hint or "")
    assert b'"weight": 100.0' in training_file(ROWS, Completion(), ("a", "b"), 1, LOCAL, {"a": 100})


def test_many_lines_are_written_in_pieces(monkeypatch):
    whole = training_file(ROWS, Completion(), ("a", "b"), 1)
    monkeypatch.setattr(training, "_AT_ONCE", 7)
    assert training_file(ROWS, Completion(), ("a", "b"), 1) == whole
    assert training_file([], Completion(), ("a", "b"), 1) == b""
