"""The data stage without its search for rows to look at, which decides about no row and takes most of the time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.prepare.options import Prepared, PrepareOptions
from harness.prepare.signals.values import Signals
from harness.prepare.stage import prepare
from harness.types import Example


def prepared_alone(examples: Sequence[Example], options: PrepareOptions) -> Prepared:
    """Prepares examples, and finds no signals: for what is drawn many times and is about rows alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.prepare.stage.signals", lambda *_: Signals(checks=(), ranked=()))
        return prepare(examples, options)
