"""Work on all cores, with results as if on one."""

import os
import threading

import pytest

from harness.prepare import threads
from harness.prepare.threads import in_threads, workers


@pytest.mark.parametrize(("cores", "wanted"), [(1, 1), (2, 2), (4, 4), (5, 4), (64, 4)])
def test_at_most_four_of_the_cores_that_the_process_may_use(monkeypatch, cores, wanted):
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda process: set(range(cores if process == 0 else 99)), raising=False
    )
    assert workers() == wanted


@pytest.mark.parametrize(("cores", "wanted"), [(3, 3), (None, 1), (32, 4)])
def test_where_the_system_does_not_say_which_all_count(monkeypatch, cores, wanted):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers() == wanted


@pytest.mark.parametrize(
    ("cores", "pieces", "apart"), [(1, 3, False), (2, 0, False), (2, 1, False), (2, 2, True), (4, 9, True)]
)
def test_what_comes_back_is_in_the_order_of_the_work(monkeypatch, cores, pieces, apart):
    monkeypatch.setattr(threads, "workers", lambda: cores)
    here = threading.get_ident()
    found = list(in_threads(lambda piece: (piece * 2, threading.get_ident()), iter(range(pieces))))
    assert [value for value, _ in found] == [piece * 2 for piece in range(pieces)]
    assert all((thread != here) == apart for _, thread in found)
    assert len({thread for _, thread in found}) <= cores
