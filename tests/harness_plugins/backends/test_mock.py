from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness_plugins.backends.mock import Mock

LABELS = ("a", "b", "c")
N = 4000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "data").mkdir()
    columns = {"id": [f"e{n}" for n in range(N)], "label": [LABELS[n % 3] for n in range(N)], "split": ["test"] * N}
    pq.write_table(pa.table(columns), folder / "data" / "examples.parquet")
    return folder


def ask(mock, run, n=N, **more):
    context = harness.Context(**({"arm": "m", "seed": 1, "labels": LABELS, "run": run} | more))
    with mock.open(context) as answer:
        return answer([harness.Prompt(text="?", example_id=f"e{k}") for k in range(n)])


def outcome(answer, expected):
    if answer.error is not None:
        return "failed"
    return "unparsed" if answer.text not in LABELS else "right" if answer.text == expected else "wrong"


def counts(answers):
    return Counter(outcome(answer, LABELS[n % 3]) for n, answer in enumerate(answers))


def test_rates_are_what_was_asked_for(run):
    got = counts(ask(Mock(accuracy=0.7, unparsed_rate=0.1, fail_rate=0.05), run))
    # Five standard deviations of a binomial share.
    for kind, share in {"right": 0.7, "wrong": 0.15, "unparsed": 0.1, "failed": 0.05}.items():
        assert abs(got[kind] / N - share) < 5 * (share * (1 - share) / N) ** 0.5


def test_the_ends_are_exact(run):
    assert counts(ask(Mock(accuracy=1), run)) == {"right": N}
    assert counts(ask(Mock(accuracy=0), run)) == {"wrong": N}
    assert counts(ask(Mock(accuracy=1, fail_rate=1), run)) == {"failed": N}
    assert counts(ask(Mock(accuracy=1, unparsed_rate=1), run)) == {"unparsed": N}
    assert set(counts(ask(Mock(accuracy=1, unparsed_rate=0.5, fail_rate=0.5), run))) == {"failed", "unparsed"}


def test_draws_hang_on_seed_arm_and_example_alone(run):
    mock = Mock(accuracy=0.5)
    usual = ask(mock, run)
    assert ask(mock, run) == usual
    assert ask(mock, run, n=10) == usual[:10]
    assert ask(mock, run, seed=2) != usual
    assert ask(mock, run, arm="other") != usual


def test_a_better_mock_is_right_where_a_worse_one_is(run):
    worse, better = (ask(Mock(accuracy=accuracy), run) for accuracy in (0.6, 0.8))
    right = [[answer.text == LABELS[n % 3] for n, answer in enumerate(answers)] for answers in (worse, better)]
    assert all(second or not first for first, second in zip(*right, strict=True))


@pytest.mark.parametrize(
    ("tokens", "seen"),
    [(None, (None, None, None)), (120, (120, None, None)), ({"input": 9, "output": 2, "cached": 4}, (9, 2, 4))],
)
def test_reports_latency_and_tokens(run, tokens, seen):
    answer = ask(Mock(accuracy=1, latency_s=1.5, tokens=tokens), run, n=1)[0]
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == seen
    assert answer.latency_s == 1.5
    assert Mock.simulated is True


def test_an_unknown_item_gets_some_label(run):
    with Mock().open(harness.Context(labels=LABELS, run=run)) as answer:
        texts = {each.text for each in answer([harness.Prompt(text=str(n), example_id=f"new{n}") for n in range(60)])}
    assert texts == set(LABELS)


@given(st.floats(-1, 2), st.floats(-1, 2), st.floats(-1, 2))
def test_refuses_rates_that_are_none(accuracy, unparsed, fail):
    options = {"accuracy": accuracy, "unparsed_rate": unparsed, "fail_rate": fail}
    if all(0 <= value <= 1 for value in options.values()) and unparsed + fail <= 1:
        Mock(**options)
    else:
        with pytest.raises(ValueError, match="expected"):
            Mock(**options)


def test_refuses_unknown_counts():
    with pytest.raises(ValueError, match='did you mean "output"'):
        Mock(tokens={"outputs": 3})
    with pytest.raises(ValueError, match=r"tokens\.input = -1"):
        Mock(tokens=-1)
    with pytest.raises(ValueError, match="latency_s"):
        Mock(latency_s=-1)


def test_needs_the_examples_of_the_run(tmp_path):
    with pytest.raises(harness.DataError, match="finds no right answers"), Mock().open(harness.Context(run=tmp_path)):
        pass
