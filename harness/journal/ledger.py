"""The two ledgers of a run: what it has cost, and what it would have cost had nothing been taken over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.journal import reading
from harness.journal.schema import fault_usd
from harness.numbers import counted, usd

_BILLED = "endpoint NOT IN ('', 'local') AND error IS NULL"
"""Answers that somebody may send a bill for: neither in-process ones nor those of the run's own endpoint."""

_ANSWERS = f"""
SELECT count(*), count(reused), count(*) FILTER (WHERE {_BILLED}), count(usd) FILTER (WHERE {_BILLED}),
    total(usd) FILTER (WHERE {_BILLED}), count(*) FILTER (WHERE {_BILLED} AND reused IS NULL),
    count(usd) FILTER (WHERE {_BILLED} AND reused IS NULL), total(usd) FILTER (WHERE {_BILLED} AND reused IS NULL)
FROM answers
"""  # noqa: S608 - constants of ours
_JOBS = """
SELECT total(json_extract(result, '$.usd')), sum(json_extract(result, '$.usd'))
    FILTER (WHERE json_extract(result, '$.reused') IS NULL)
FROM jobs
"""
_FAILED_JOBS = """
SELECT arm, json_extract(spec, '$.base'), json_extract(result, '$.trained_tokens') FROM jobs
WHERE model IS NULL AND finished IS NOT NULL AND json_extract(spec, '$.base') IS NOT NULL
    AND json_extract(result, '$.trained_tokens') > 0 AND json_extract(result, '$.reused') IS NULL
"""


def of(journal: Path) -> dict[str, Any]:
    """Returns `results.json["ledger"]` from a journal.

    Dollars are those of the time at which an answer was bought. They are `None` where nothing was asked that costs
    any, or where no price is known; `answers_without_price` counts the answers that are missing in a sum.
    """
    with reading(journal) as connection:
        answers, reused, billed, priced, all_usd, own, own_priced, own_usd = connection.execute(_ANSWERS).fetchone()
        jobs_usd, training_usd = connection.execute(_JOBS).fetchone()
        column = fault_usd(connection)
        failed, charged, in_vain = connection.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {column} > 0), total({column}) FROM faults"  # noqa: S608 - a column of ours
        ).fetchone()
    known = bool(own_priced or charged) or bool(billed and not own)
    spent = _sum(own_usd + in_vain, known=known, beside=training_usd)
    without = _sum(all_usd + in_vain, known=bool(priced or charged), beside=jobs_usd or None)
    return {
        "spent_usd": spent,
        "without_reuse_usd": without,
        "training_usd": training_usd,
        "answers": answers,
        "answers_reused": reused,
        "answers_without_price": billed - priced,
        "failed_attempts": failed,
    }


def _sum(answers: float, *, known: bool, beside: float | None) -> float | None:
    return answers + (beside or 0.0) if known or beside is not None else None


def failed_jobs(journal: Path) -> list[tuple[str, str, int]]:
    """Returns arm, base model and trained tokens of the jobs that came to nothing after some training.

    Providers bill what was trained before a job was cancelled.
    """
    with reading(journal) as connection:
        rows = connection.execute(_FAILED_JOBS).fetchall()
    return [(str(arm), str(base), int(tokens)) for arm, base, tokens in rows]


def line(results: Mapping[str, Any]) -> str | None:
    """Says what a run has cost, and beside it what it would have cost; `None` where nothing has a price.

    Args:
        results: The parsed `results.json`.
    """
    ledger = results.get("ledger") or {}
    spent, without = ledger.get("spent_usd"), ledger.get("without_reuse_usd")
    if spent is None:
        return None
    about = "about " if any(arm.get("tokens_estimated") for arm in results.get("arms") or ()) else ""
    said = f"spent {about}{usd(spent)}"
    if without is not None and usd(without) != usd(spent):
        said += f"; {about}{usd(without)} without what was taken over from other runs"
    missing = ledger.get("answers_without_price")
    return f"{said}; {counted(missing, 'answer')} without a known price" if missing else said
