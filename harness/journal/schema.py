"""The journal's tables, and how those of earlier versions become today's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from harness.errors import UsageError

VERSION = 3

_META = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"

_ANSWERS = """
CREATE TABLE answers (
    key TEXT NOT NULL UNIQUE,  -- SHA-256 over endpoint, model, complete request, repeat and plugin source
    arm TEXT NOT NULL,         -- the arm that asked first
    endpoint TEXT NOT NULL,    -- '' where the answer was given in process
    body BLOB NOT NULL,        -- the reply's JSON, deflated
    error TEXT,                -- set where the request failed for good: asking again would not help
    started REAL NOT NULL,     -- seconds since the epoch at which the successful attempt began
    service_s REAL NOT NULL,   -- seconds the successful attempt took
    queue_s REAL NOT NULL,     -- seconds it waited for the endpoint's rate
    retry_s REAL NOT NULL,     -- seconds spent in attempts that failed and between them
    attempts INTEGER NOT NULL,
    reused TEXT,               -- the run it was taken over from
    usd REAL,                  -- what it cost when it was bought, where a price was known
    first_token_s REAL,        -- seconds to the first token, where the answer was streamed
    tier TEXT NOT NULL DEFAULT '' -- what it was bought as: '' at once, 'batch'
); -- rows stand in the order in which they came: keys are random, and each would touch a page of its own
"""

_FAULTS = """
CREATE TABLE faults (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, key TEXT NOT NULL, arm TEXT NOT NULL, endpoint TEXT NOT NULL,
    attempt INTEGER NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL,
    usd REAL                   -- what came instead of an answer and is billed all the same
);
"""

_JOBS = """
CREATE TABLE jobs (
    tag TEXT PRIMARY KEY,      -- unique to files, base, hyperparameters and endpoint; stands in the job's metadata;
                               -- of an attempt that failed, and after which another was made, with its number
    arm TEXT NOT NULL,
    spec TEXT NOT NULL,        -- JSON
    files TEXT NOT NULL,       -- JSON: content hash -> id at the endpoint
    job TEXT,                  -- id at the endpoint
    model TEXT,                -- id of the trained model
    status TEXT NOT NULL,      -- intent, then as the endpoint words it
    created REAL NOT NULL,
    finished REAL,
    result TEXT                -- JSON: trained tokens, seconds, events, losses
) WITHOUT ROWID;
"""

_SINCE_2 = """
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID; -- what an executor must not forget
CREATE INDEX faults_by_key ON faults (key);
CREATE VIEW requests AS    -- the answers for people who look: times in UTC, no bodies
    SELECT arm, endpoint, datetime(started, 'unixepoch') AS started, round(service_s, 3) AS service_s,
        round(queue_s, 3) AS queue_s, round(retry_s, 3) AS retry_s, attempts, usd, tier, reused, error, key
    FROM answers;
"""

_FROM_1 = """
ALTER TABLE answers ADD COLUMN first_token_s REAL;
ALTER TABLE answers ADD COLUMN tier TEXT NOT NULL DEFAULT '';
"""

_FROM_2 = "ALTER TABLE faults ADD COLUMN usd REAL;"
_STEPS = {
    None: (_META, _ANSWERS, _FAULTS, _JOBS, _SINCE_2),
    1: (_FROM_1, _SINCE_2, _FROM_2),
    2: (_FROM_2,),
}
"""Version that is found → what makes it today's."""


def bring_up(connection: sqlite3.Connection, path: Path) -> None:
    """Creates the tables, or turns those of an earlier version into today's; all of it or nothing.

    Raises:
        UsageError: A newer version wrote the file.
        sqlite3.Error: It is no journal, or cannot be written.
    """
    found = _version(connection)
    if found == VERSION:
        return
    if found is not None and found > VERSION:
        raise UsageError(
            f"{path}: written by a newer version (schema {found}, this one knows {VERSION})", "update finetune-harness"
        )
    mark = f"INSERT OR REPLACE INTO meta VALUES ('schema', '{VERSION}');"  # noqa: S608 - a number of ours
    connection.executescript("".join(["BEGIN IMMEDIATE;", *_STEPS[found], mark, "COMMIT;"]))


def answer_columns(connection: sqlite3.Connection) -> str:
    """Returns the columns of an answer, in order, also of a journal of an earlier version that may not be changed."""
    first = "key, arm, endpoint, body, error, started, service_s, queue_s, retry_s, attempts, reused, usd"
    return f"{first}, NULL, ''" if _version(connection) == 1 else f"{first}, first_token_s, tier"


def fault_usd(connection: sqlite3.Connection) -> str:
    """Returns the column of what failed attempts were billed; nothing where an earlier version wrote the journal."""
    return "usd" if (_version(connection) or VERSION) > 2 else "NULL"


def _version(connection: sqlite3.Connection) -> int | None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return None
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is None or not str(row[0]).isdecimal() or int(row[0]) < 1:
        raise sqlite3.DatabaseError(f"its schema is {row[0]!r}" if row else "it has no schema")
    return int(row[0])
