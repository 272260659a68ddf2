"""A quota that ends in mid-run: one episode, a message, and the same command finishes when the quota is back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from support.lab import Lab, task
from support.provider import Provider
from support.stops import CREATE, ITEMS, KEY, PLANNED, QUALITY, TEST, VALIDATION, asked, run, same, twin, whole, write

CONCURRENCY = 8


def test_a_quota_that_ends_is_met_once_and_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    quota = 3 * VALIDATION + 60
    with Provider.start(answers=task(ITEMS), api_key=KEY, job_s=0.0, keep_requests=2000, **QUALITY) as provider:
        undisturbed = Lab.make(tmp_path, ITEMS)
        write(undisturbed, provider, options=f"concurrency = {CONCURRENCY}")
        lab = twin(undisturbed, tmp_path / "lab")
        assert run(undisturbed).code == 0
        provider.reset()
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
        assert sum(arm["answered"] for arm in remote) == 60
        assert sum(arm["failed"] for arm in remote) == 3 * TEST - 60
        assert (lab.folder / "report.html").is_file()

        provider.set(quota_after=None)
        done = run(lab)
        assert done.code == 0, done
        bodies = Counter(json.dumps(r.body, sort_keys=True) for r in provider.requests() if "completions" in r.path)
        assert asked(provider) == sum(bodies.values()) == PLANNED + refused
        assert max(bodies.values()) <= 2  # those that were refused
        assert sum(count == 2 for count in bodies.values()) == refused
        assert provider.counts()[CREATE] == 1
    whole(lab)
    same(lab, undisturbed)
