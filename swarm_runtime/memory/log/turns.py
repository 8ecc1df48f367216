"""Waits until nobody else writes to a bank's file, and says so; whoever writes next need not.

SQLite lets a writer wait in silence. A person who looks at a command that does nothing wants to
know why. Above: the doors. Beside: ``sqlite_files``, whose writers wait as long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from swarm_runtime.errors import RunFolderError

__all__ = ["await_turn"]


def await_turn(path: Path, say: Callable[[str], None], *, patience_s: float = 30.0) -> None:
    """Return when nobody writes to a file; only its turn is waited for, nothing is changed.

    What else is wrong with the file is for whoever opens it to find.

    Parameters
    ----------
    path : Path
        There.
    say : callable
        Told once, if there is something to wait for.
    patience_s : float

    Raises
    ------
    RunFolderError
        If somebody writes for longer.
    """
    try:
        with closing(_opened(path)) as probe:
            if _is_free(probe):
                return
            say(f"{path}: another process is writing; waiting for up to {patience_s:.0f} s")
            probe.execute(f"PRAGMA busy_timeout = {round(patience_s * 1_000)}")
            if _is_free(probe):
                return
    except sqlite3.Error:
        return
    raise RunFolderError(
        str(path), f"another process has been writing for {patience_s:.0f} s; try again"
    )


def _opened(path: Path) -> sqlite3.Connection:
    name = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(name, uri=True, timeout=0.0, isolation_level=None)


def _is_free(probe: sqlite3.Connection) -> bool:
    try:
        probe.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as problem:
        if "locked" in str(problem):
            return False
        raise
    probe.execute("ROLLBACK")
    return True
