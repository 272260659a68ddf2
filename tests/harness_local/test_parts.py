"""The parts that need no model: splitting prompts, sharing prefixes, what the processor can do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_local.inference.prefixes import common
from harness_local.models.loading import processor_flags, threads
from harness_local.models.tokens import boundary


@given(st.text(), st.lists(st.text("abc", min_size=1), min_size=2, max_size=4, unique=True))
def test_labels_after_a_space_are_split_off_at_or_before_it(prompt: str, labels: list[str]) -> None:
    texts = [f"{prompt} {label}" for label in labels]
    split = boundary(texts)
    assert split == len(prompt)


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_the_boundary_lies_within_what_is_common(texts: list[str]) -> None:
    split = boundary(texts)
    assert len({text[:split] for text in texts}) == 1
    assert 0 <= split <= min(map(len, texts))


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_is_the_longest_shared_beginning(a: list[int], b: list[int]) -> None:
    length = common(a, b)
    assert a[:length] == b[:length]
    assert length == min(len(a), len(b)) or a[length] != b[length]


def test_processor_flags(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags\t\t: fpu amx_bf16 avx2\n\nprocessor : 1\nflags\t\t: fpu\n")
    assert processor_flags(info) == {"fpu", "amx_bf16", "avx2"}
    assert processor_flags(tmp_path / "none") == frozenset()


@pytest.mark.parametrize(
    ("asked", "computing"), [("3", 3), ("5,2", 5), (" 4 ", 4), ("0", None), ("", None), ("²", None)]
)
def test_threads_are_as_many_as_openmp_is_told(
    monkeypatch: pytest.MonkeyPatch, asked: str, computing: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    told = threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert told == (computing or threads())
