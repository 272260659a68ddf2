"""Results files of all eras, read as one."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.results_file import FIGURES, canonical, joined, may_be_results, read_results, thinned

OPENAI = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,1.5,0.25,,\n2,0.75,0.5,0.875,0.625\n"
ERAS = {
    "OpenAI": (OPENAI, {"train_loss": 0.75, "train_accuracy": 0.5, "valid_loss": 0.875, "valid_accuracy": 0.625}),
    "first models": (
        ("step,elapsed_tokens,elapsed_examples,training_loss,training_sequence_accuracy,training_token_accuracy,"
        "validation_loss,validation_token_accuracy\n2,1024,8,0.75,0.1,0.5,0.875,0.625\n"),
        {"train_loss": 0.75, "train_accuracy": 0.5, "valid_loss": 0.875, "valid_accuracy": 0.625},
    ),
    "Azure": (
        ("step,train_loss,train_mean_token_accuracy,validation_loss,validation_mean_token_accuracy,full_valid_loss,"
        "full_validation_mean_token_accuracy\n2,0.75,0.5,0.875,0.625,1.25,0.375\n"),
        {
            "train_loss": 0.75, "train_accuracy": 0.5, "valid_loss": 0.875, "valid_accuracy": 0.625,
            "full_valid_loss": 1.25, "full_valid_accuracy": 0.375,
        },
    ),
    "capitals and spaces": ("Step, Train_Loss\n2, 0.75\n", {"train_loss": 0.75}),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "base64"])
@pytest.mark.parametrize("era", ERAS)
def test_columns_of_every_era(era: str, packed: bool) -> None:
    text, wanted = ERAS[era]
    for raw in (text.encode(), text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + text.encode()):
        content = base64.b64encode(raw) if packed else raw
        assert read_results(content)[-1] == {"step": 2, **wanted}
        assert may_be_results(content)
        assert may_be_results(content[:50])
    wrapped = "\n".join(textwrap.wrap(base64.b64encode(text.encode()).decode(), 60)).encode()
    assert read_results(wrapped)[-1]["step"] == 2


def test_bad_rows_and_cells_are_left_out() -> None:
    text = (
        "step,train_loss,valid_loss,grade\n1,0.5,-1.0,A\n,0.4,0.4,\nx,1,1,\n-1,1,1,\n2,nan,inf,\n3.0,0.25\n4,0.1,0.2,B,C\n"
        '5,"0.5\n'
    )
    steps = read_results(text.encode())
    assert steps == [
        {"step": 1, "train_loss": 0.5}, {"step": 2}, {"step": 3, "train_loss": 0.25},
        {"step": 4, "train_loss": 0.1, "valid_loss": 0.2}, {"step": 5, "train_loss": 0.5},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\x01PK", b"<html><body>step,</body></html>", b'{"step": 1}', b"Og==", b"a" * 200_000 + b","]
)
def test_what_is_no_results_file_has_no_steps(raw: bytes) -> None:
    assert read_results(raw) == []
    assert not may_be_results(raw[:4096])


def test_the_first_source_counts_and_the_others_fill_gaps() -> None:
    file = read_results(OPENAI.encode())
    events = [{"step": 2, "train_loss": 0.7, "full_valid_loss": 1.0}, {"step": 3, "train_loss": 0.5}, {"loss": 1}]
    assert joined(file, events) == [
        {"step": 1, "train_loss": 1.5, "train_accuracy": 0.25},
        {
            "step": 2, "train_loss": 0.75, "train_accuracy": 0.5, "valid_loss": 0.875, "valid_accuracy": 0.625,
            "full_valid_loss": 1.0,
        },
        {"step": 3, "train_loss": 0.5},
    ]  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["step", "STEP ", *FIGURES, "validation_loss", "other", 3, None]),
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=4), st.lists(st.integers())),
    )
)
def test_whatever_comes_is_a_step_or_nothing(row: dict[Any, Any]) -> None:
    step = canonical(row)
    assert step is None or (
        isinstance(step["step"], int)
        and set(step) <= {"step", *FIGURES}
        and all(value >= 0 and value < float("inf") for value in step.values())
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_read(raw: bytes) -> None:
    assert isinstance(read_results(raw), list)


@given(st.integers(0, 300), st.integers(2, 50), st.integers(1, 40))
def test_thinned_keeps_the_order_and_both_ends(number: int, most: int, every: int) -> None:
    steps = [{"step": n, **({"valid_loss": 1.0} if n % every == every - 1 else {})} for n in range(number)]
    kept = thinned(steps, most)
    assert len(kept) <= most
    assert [step["step"] for step in kept] == sorted({step["step"] for step in kept})
    assert len(kept) == min(number, most)
    measured = [step for step in steps if "valid_loss" in step]
    if len(measured) <= most // 2:
        assert [step for step in kept if "valid_loss" in step] == measured
