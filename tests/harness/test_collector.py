"""The garbage collector rests while values are made, and is afterwards as it was, whatever happens."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from harness.collector import SELDOM, patient_collector, uncollected

State = tuple[bool, tuple[int, int, int]]


def state() -> State:
    return gc.isenabled(), gc.get_threshold()


def test_it_rests_and_goes_on() -> None:
    before = state()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()  # the outer one still wants it
    assert state() == before == (True, before[1])


def test_it_looks_seldom() -> None:
    before = state()
    with patient_collector():
        assert state() == (True, SELDOM)
    assert state() == before


@pytest.mark.parametrize("manager", [uncollected, patient_collector])
def test_an_error_leaves_it_as_it_was(manager: Callable[[], AbstractContextManager[None]]) -> None:
    before = state()
    with pytest.raises(KeyError), manager():
        raise KeyError
    assert state() == before
