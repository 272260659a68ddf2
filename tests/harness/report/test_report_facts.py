"""What several pages say of the same figures."""

from __future__ import annotations

from typing import Any

import pytest

from harness.report.facts import never_paid_back, paid_back_after

ENTRY = {"requests": 100, "saving_per_1k": 2.0, "fixed": 0.2, "monthly": None}
MONTHLY = {"cost": 3.0, "requests_per_month": 1000, "requests": None}


@pytest.mark.parametrize(
    ("changes", "after", "never"),
    [
        ({}, 100, False),
        ({"monthly": MONTHLY}, None, True),
        ({"monthly": {**MONTHLY, "requests": 700}}, 700, False),
        ({"monthly": {**MONTHLY, "requests_per_month": None}}, 100, False),
        ({"requests": None, "saving_per_1k": -1.0}, None, True),
        ({"requests": None, "saving_per_1k": 0.0, "fixed": None}, None, True),
        ({"requests": None, "fixed": None}, None, False),  # what training cost is not known
        ({"requests": None, "saving_per_1k": None}, None, False),  # nor what a request saves
        ({"requests": None, "saving_per_1k": None, "monthly": MONTHLY}, None, False),
    ],
)
def test_never_is_what_is_known_not_to_pay(changes: dict[str, Any], after: int | None, never: bool) -> None:
    entry = {**ENTRY, **changes}
    assert paid_back_after(entry) == after
    assert never_paid_back(entry) is never
