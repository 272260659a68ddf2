"""Which of several runs' records of one training job is gone on from, so that no job is bought a second time. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.journal import Job
from harness.training.following import ENDED
from harness.training.launching import attempt_of


def furthest(own: Job | None, others: Sequence[Job]) -> Job | None:
    """Returns the record from which a run goes on: its own, or another run's that has come further.

    Another run may have launched a job whose end it never saw. Where a third one saw that end, the job counts as ended.

    Args:
        own: The run's own record.
        others: Those of other runs, of the same job.

    Returns:
        A job that is under way, or may have been launched; otherwise the last that has ended; `None` where there is
        none at all.
    """
    if own is not None and own.status not in ENDED:
        return own
    ended = [job for job in (own, *others) if job is not None and job.status in ENDED]
    over = {job.job for job in ended}
    last = max(map(attempt_of, ended), default=0)
    going = [
        job
        for job in others
        if job.status not in ENDED and (job.job not in over if job.job is not None else attempt_of(job) > last)
    ]
    # Of one attempt, a record with the job's id is worth more than an intent.
    return max(going or ended, key=lambda job: (attempt_of(job), job.job is not None), default=None)
