"""A bank's SQLite file: opened, checked, brought up to date; what SQLite says, explained.

A file that is no bank, damaged, or of a newer format is recognised before anything is read from it
or written to it, and the message says what to do. Above: ``store``, ``retention``, ``backups``.
Below: ``migrations``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.log.migrations import FORMAT, MIGRATIONS

__all__ = ["MEMORY", "RESTORE", "SqliteFile", "explained", "format_of", "refuse_damage"]

#: The name of a file that is gone when it is closed.
MEMORY = ":memory:"
RESTORE = "restore it from a backup (`swarm bank restore`), or move it away and start a new bank"
#: How many values one statement may name; all versions of SQLite take as many.
_VALUES = 900


@contextmanager
def explained(path: str, patience_s: float = 0.0) -> Iterator[None]:
    """Turn what SQLite says of a file into what to do about it.

    Raises
    ------
    StoreError
        If the file is damaged or no database, somebody else writes for too long, or the disk
        refuses.
    RunFolderError
        If the file can't be written or read.
    """
    try:
        yield
    except sqlite3.OperationalError as problem:
        reason = str(problem)
        if "locked" in reason or "busy" in reason:
            reason = f"another process has been writing for {patience_s:.0f} s; try again"
        elif "readonly" in reason or "unable to open" in reason:
            raise RunFolderError(
                path, f"can't be written ({problem}); a bank needs a file and a folder that can be"
            ) from problem
        elif "full" in reason or "disk I/O" in reason:
            reason = (
                f"the disk refuses ({problem}); make room and try again: what was acknowledged is"
                " safe"
            )
        raise StoreError(path, reason) from problem
    except sqlite3.ProgrammingError as problem:
        # Closed, or used by another thread: a fault of the caller, not of the file.
        raise StoreError(path, f"can't be used: {problem}") from problem
    except UnicodeDecodeError as problem:
        raise StoreError(path, f"is damaged (a text is none); {RESTORE}") from problem
    except sqlite3.DatabaseError as problem:
        reason = str(problem)
        if "not a database" in reason:
            raise StoreError(path, "is no SQLite file; name another file") from problem
        raise StoreError(path, f"is damaged ({reason}); {RESTORE}") from problem


def format_of(connection: sqlite3.Connection, path: str) -> int:
    """Return a bank's format.

    Raises
    ------
    StoreError
        If it is no bank.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    row = None
    if "meta" in tables:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(meta)")}
        if {"key", "value"} <= columns:
            row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise StoreError(path, "is a SQLite file, but no bank; name another file")
    return int(row[0])


def refuse_newer(connection: sqlite3.Connection, path: str) -> None:
    """Raise StoreError if a bank is of a format that this program doesn't know."""
    found = format_of(connection, path)
    if found > FORMAT:
        raise StoreError(
            path, f"has format {found}, this program knows {FORMAT}; update the program"
        )


def refuse_damage(connection: sqlite3.Connection, path: str, size_bytes: int | None) -> None:
    """Raise StoreError if the structure of a file is damaged.

    Parameters
    ----------
    connection : sqlite3.Connection
    path : str
    size_bytes : int or None
        Bytes that whole pages must make up; None where a log beside the file may hold more.
    """
    # SQLite reads a last page that was cut off as if zeros followed.
    if (size_bytes or 0) % connection.execute("PRAGMA page_size").fetchone()[0]:
        raise StoreError(path, f"is damaged (its end is cut off); {RESTORE}")
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise StoreError(path, f"is damaged ({found[0]}); {RESTORE}")


class SqliteFile:
    """A bank's file, open.

    Parameters
    ----------
    path : str or Path
        The file, made if it is missing; ``":memory:"`` for one that is gone when it is closed.
    patience_s : float
        How long a writer waits for another one.
    check : bool
        Whether the structure of the file is checked on opening.

    Raises
    ------
    StoreError
        If the file is no bank, damaged, or of a newer format.
    RunFolderError
        If its folder is missing or can't be written.
    """

    def __init__(self, path: str | Path, *, patience_s: float = 30.0, check: bool = True) -> None:
        self.path = str(path)
        self.patience_s = patience_s
        size_bytes: int | None = None
        if self.path != MEMORY:
            folder = Path(self.path).absolute().parent
            if not folder.is_dir():
                raise RunFolderError(str(folder), "no such folder; make it first")
            if Path(self.path).is_dir():
                raise RunFolderError(self.path, "is a folder; name a file in it")
            if Path(self.path).exists() and not Path(f"{self.path}-wal").exists():
                size_bytes = Path(self.path).stat().st_size
        with explained(self.path, patience_s):
            self.connection = sqlite3.connect(
                self.path, timeout=patience_s, isolation_level=None, cached_statements=256
            )
        try:
            with self.explained():
                self._open(size_bytes, check)
        except BaseException:
            self.connection.close()
            raise

    def _open(self, size_bytes: int | None, check: bool) -> None:
        connection = self.connection
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables:
            refuse_newer(connection, self.path)
            if check:
                refuse_damage(connection, self.path, size_bytes)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if not tables or format_of(connection, self.path) < FORMAT:
            with self.transaction():
                # Another process may have taken the steps meanwhile.
                tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                for step in MIGRATIONS[format_of(connection, self.path) if tables else 0 :]:
                    step(connection)
                self.note("format", str(FORMAT))

    def explained(self) -> AbstractContextManager[None]:
        """Turn what SQLite says into what to do about it."""
        return explained(self.path, self.patience_s)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let everything inside be written in one commit, or nothing."""
        with self.explained():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let everything read inside come from one state."""
        with self.explained():
            if self.connection.in_transaction:
                yield
                return
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    def noted(self, *keys: str) -> dict[str, str]:
        """Return what the file says of itself under some keys."""
        marks = ",".join("?" * len(keys))
        return dict(
            self.connection.execute(f"SELECT key, value FROM meta WHERE key IN ({marks})", keys)
        )

    def note(self, key: str, value: str) -> None:
        """Let the file say something of itself; inside a transaction."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def rows_of(self, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
        """Run a query that ends in ``IN`` for many values."""
        wanted = list(values)
        for start in range(0, len(wanted), _VALUES):
            some = wanted[start : start + _VALUES]
            yield from self.connection.execute(f"{query} ({','.join('?' * len(some))})", some)

    def close(self) -> None:
        """Let go of the file; doing so twice is fine."""
        self.connection.close()
