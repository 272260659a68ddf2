"""When Python's garbage collector looks for cycles: seldom, while there are millions of values that have none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (20_000, 20, 50)
"""Thresholds of a collector that has new cycles to find, but few of them."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps Python from looking for cycles among many small values that are made at once and have none.

    Measured with 1.2 million reviews: a third of the processor's time from the split on. Of a run of 20,000 items,
    where questions are made, answers read and results written: 1.3 of 14.4 s.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@contextmanager
def patient_collector() -> Iterator[None]:
    """Lets the garbage collector look less often: what is under way would be looked at again and again."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
