"""The bank file's schema, as numbered steps; a step only adds.

Step n turns format n into format n + 1; a new file takes all of them. A step that has been
released is never changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

__all__ = ["FORMAT", "MIGRATIONS"]


def _log_of_outcomes(connection: sqlite3.Connection) -> None:
    """Format 1: experiences of agents, single trajectories, and what the file says of itself.

    ``seq`` numbers the rows in the order in which they were committed: there is one writer at a
    time, so whoever has read up to a row has read all before it. ``body`` is the truth,
    ``sha256`` its seal; the other columns repeat what has to be found without reading bodies.
    """
    connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute(
        """
        CREATE TABLE experiences (
            seq INTEGER PRIMARY KEY,
            agent TEXT NOT NULL,
            epoch INTEGER NOT NULL CHECK (epoch >= 1),
            known_at_s INTEGER NOT NULL,
            domain TEXT NOT NULL,
            task_type TEXT NOT NULL,
            sha256 BLOB NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (agent, epoch)
        )
        """
    )
    connection.execute(
        """
        CREATE TABLE trajectories (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            agent TEXT NOT NULL,
            known_at_s INTEGER NOT NULL,
            domain TEXT NOT NULL,
            task_type TEXT NOT NULL,
            sha256 BLOB NOT NULL,
            body BLOB NOT NULL
        )
        """
    )


def _annotations_and_retention(connection: sqlite3.Connection) -> None:
    """Format 2: what is said of tries, what retention leaves of them, and a name for the log.

    * ``trajectories.pattern`` is the number of the pattern that a trajectory teaches (``filing``).
      NULL: not filed yet; whoever opens the file next does it.
    * ``annotations``: verdicts, items, usages, links, tombstones; ``about`` is what one speaks of.
    * ``folded``, ``folded_usage``: counters of what was let go. Not append-only: each row's seal is
      of its present content. ``meta.kept_from_s`` is the time up to which all was let go.
    * ``pruned``: of these patterns nothing is taken that was known by then.
    * ``embeddings``: a cache, no truth.
    * ``meta.uuid`` names the log. Rows can be deleted now, and row numbers must not come again:
      ``meta.trajectories_end`` and ``annotations_end`` say which the highest ever was.
    """
    for statement in (
        "ALTER TABLE trajectories ADD COLUMN pattern INTEGER",
        "CREATE INDEX trajectories_pattern ON trajectories (pattern)",
        "CREATE INDEX trajectories_known_at_s ON trajectories (known_at_s)",
        """
        CREATE TABLE annotations (
            seq INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            about TEXT NOT NULL,
            agent TEXT NOT NULL,
            known_at_s INTEGER NOT NULL,
            sha256 BLOB NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (kind, id)
        )
        """,
        "CREATE INDEX annotations_about ON annotations (kind, about)",
        """
        CREATE TABLE folded (
            pattern INTEGER NOT NULL,
            agent TEXT NOT NULL,
            domain TEXT NOT NULL,
            task_type TEXT NOT NULL,
            approach TEXT NOT NULL,
            cell TEXT NOT NULL,
            trials INTEGER NOT NULL,
            successes INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            reward INTEGER NOT NULL,
            square INTEGER NOT NULL,
            first_known_s INTEGER NOT NULL,
            last_known_s INTEGER NOT NULL,
            seal BLOB NOT NULL,
            PRIMARY KEY (pattern, agent)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE folded_usage (
            target TEXT NOT NULL,
            agent TEXT NOT NULL,
            pattern INTEGER NOT NULL,
            given INTEGER NOT NULL,
            used INTEGER NOT NULL,
            propensity REAL NOT NULL,
            trials INTEGER NOT NULL,
            successes INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            reward INTEGER NOT NULL,
            square INTEGER NOT NULL,
            first_known_s INTEGER NOT NULL,
            last_known_s INTEGER NOT NULL,
            seal BLOB NOT NULL,
            PRIMARY KEY (target, agent, pattern, given, used, propensity)
        ) WITHOUT ROWID
        """,
        "CREATE TABLE pruned (pattern INTEGER PRIMARY KEY, until_s INTEGER NOT NULL)",
        """
        CREATE TABLE embeddings (
            seq INTEGER PRIMARY KEY,
            model TEXT NOT NULL,
            key TEXT NOT NULL,
            vector BLOB NOT NULL,
            UNIQUE (model, key)
        )
        """,
        "INSERT INTO meta VALUES ('uuid', lower(hex(randomblob(16))))",
    ):
        connection.execute(statement)


#: In order; their number is the newest format.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _log_of_outcomes,
    _annotations_and_retention,
)
#: The format that this version of the program writes.
FORMAT = len(MIGRATIONS)
