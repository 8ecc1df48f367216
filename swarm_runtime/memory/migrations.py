"""The bank file's schema, as numbered steps; the log is append-only, so a step only adds.

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


#: In order; their number is the newest format.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_log_of_outcomes,)
#: The format that this version of the program writes.
FORMAT = len(MIGRATIONS)
