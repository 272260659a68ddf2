"""A quota that ends in mid-run: one episode, a message, and the same command finishes when the quota is back."""

from __future__ import annotations

import json
from collections import Counter

from support.lab import Lab
from support.provider import Provider
from support.stops import CONCURRENCY, CREATE, PLANNED, TEST, VALIDATION, asked, run, same, whole


def test_a_quota_that_ends_is_met_once_and_what_was_answered_is_not_asked_again(
    undisturbed: Lab, provider: Provider, lab: Lab
) -> None:
    quota = 3 * VALIDATION + TEST
    provider.set(quota_after=quota)
    done = run(lab)
    assert done.code == 4, done
    assert "unfinished: " in done.err
    assert "insufficient_quota" in done.err
    assert "add credit, or raise the limit there; then the same command goes on" in done.err
    refused = provider.statuses()["429"]
    assert 1 <= refused <= CONCURRENCY
    assert asked(provider) == quota + refused
    # the others are finished and reported; of these, every item is accounted for
    arms = lab.arms()
    assert arms["classical"]["answered"] == arms["mock"]["answered"] == TEST
    remote = [arms[name] for name in ("zero", "best", "tuned")]
    assert sum(arm["answered"] for arm in remote) == TEST
    assert sum(arm["failed"] for arm in remote) == 2 * TEST
    assert (lab.folder / "report.html").is_file()

    provider.set(quota_after=None)
    done = run(lab)
    assert done.code == 0, done
    bodies = Counter(json.dumps(r.body, sort_keys=True) for r in provider.requests() if "completions" in r.path)
    assert asked(provider) == sum(bodies.values()) == PLANNED + refused
    assert sorted(bodies.values())[-refused - 1 :] == [1] + [2] * refused  # only those that were refused came again
    assert provider.counts()[CREATE] == 1
    whole(lab)
    same(lab, undisturbed)
