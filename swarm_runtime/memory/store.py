"""The bank's truth: an append-only log of outcomes, in one SQLite file.

What is acknowledged is on the disk (WAL, ``synchronous=FULL``, one commit for each batch) and is
there once: experiences are identified by (agent, epoch), trajectories by their id. Recording one
again changes nothing; recording *another* one under the same name is refused, and so is a gap in
an agent's epochs. Everything else that the bank knows is derived from this log.

Ids of agents are the caller's: two runs that share a file give their agents different ids.

One process writes at a time (others wait), any number read meanwhile. A ``SqliteStore`` belongs to
the thread that opened it. Above: ``bank``. A server's database may stand in behind
``ExperienceStore``.
"""

from __future__ import annotations

import hashlib
import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.migrations import FORMAT, MIGRATIONS
from swarm_runtime.memory.trajectory import Trajectory

__all__ = ["ExperienceStore", "Position", "Record", "SqliteStore"]

#: What the log holds.
Record = Experience | Trajectory

#: How long a writer waits for another one.
_BUSY_S = 30.0
#: Rows that are read at once.
_CHUNK = 4_096
_RESTORE = "restore the file from a backup, or move it away and start a new bank"


class Position(NamedTuple):
    """How far the log has been read: the last row of each table."""

    experiences: int = 0
    trajectories: int = 0


class ExperienceStore(Protocol):
    """A durable log of outcomes."""

    def record_all(self, sealed: Sequence[Sealed], trajectories: Sequence[Trajectory]) -> int:
        """Make all of them durable, or none; return how many were new.

        Raises
        ------
        StoreError
            If one has the name of another one that is here, or leaves a gap.
        """
        ...

    def sealed(self, after: View | None = None, until: View | None = None) -> list[Sealed]:
        """Return experiences by (epoch, agent): those above ``after`` and up to ``until``.

        None means: above nothing, up to everything.

        Raises
        ------
        StoreError
            If not everything that ``until`` names is here.
        """
        ...

    def experiences(self, after: View | None = None, until: View | None = None) -> list[Experience]:
        """Return the same, opened."""
        ...

    def since(
        self, position: Position, until: Position | None = None
    ) -> tuple[list[Record], Position]:
        """Return what was added after a position (and up to another), and the position after it.

        At most a chunk at a time: ask again until the position stays the same.
        """
        ...

    def in_order_of_time(self, until_s: int | None = None) -> Iterator[Record]:
        """Return what was known by a time (None: everything), in one canonical order.

        By (known_at_s, epoch, agent); a trajectory counts as epoch 0, further by its id.
        """
        ...

    def view(self) -> View:
        """Return how many epochs of each agent are here."""
        ...

    def setting(self, key: str) -> str | None:
        """Return what the file says of itself under a key."""
        ...

    def set_setting(self, key: str, value: str) -> None:
        """Note something about the file."""
        ...

    def verify(self) -> int:
        """Read everything, check it against its seals; return how many records there are.

        Raises
        ------
        StoreError
            Names the first thing that is wrong.
        """
        ...

    def close(self) -> None:
        """Let go of the file; doing so twice is fine."""
        ...


class SqliteStore:
    """The log in a SQLite file, or in memory.

    Parameters
    ----------
    path : str or Path
        The file, made if it is missing; ``":memory:"`` for one that is gone when it is closed.

    Raises
    ------
    StoreError
        If the file is no bank, damaged, or of a newer format.
    RunFolderError
        If its folder is missing or can't be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        #: Bytes that whole pages must make up; unknown where a log beside the file may hold more.
        self._bytes: int | None = None
        if self.path != ":memory:":
            folder = Path(self.path).absolute().parent
            if not folder.is_dir():
                raise RunFolderError(str(folder), "no such folder; make it first")
            if Path(self.path).is_dir():
                raise RunFolderError(self.path, "is a folder; name a file in it")
            if Path(self.path).exists() and not Path(f"{self.path}-wal").exists():
                self._bytes = Path(self.path).stat().st_size
        try:
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        except sqlite3.OperationalError as problem:
            raise RunFolderError(self.path, f"can't be opened: {problem}") from problem
        try:
            with self._explained():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        connection = self._connection
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if tables and "meta" not in tables:
            raise StoreError(self.path, "is a SQLite file, but no bank; name another file")
        if tables:
            # SQLite reads a last page that was cut off as if zeros followed.
            if (self._bytes or 0) % connection.execute("PRAGMA page_size").fetchone()[0]:
                raise StoreError(self.path, f"is damaged (its end is cut off); {_RESTORE}")
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
            if found != ["ok"]:
                raise StoreError(self.path, f"is damaged ({found[0]}); {_RESTORE}")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if not tables or self._format() < FORMAT:
            with self._transaction():
                self._migrate()
        if self._format() > FORMAT:
            raise StoreError(
                self.path,
                f"has format {self._format()}, this program knows {FORMAT}; update the program",
            )

    def _format(self) -> int:
        row = self._connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if row is None or not str(row[0]).isdecimal():
            raise StoreError(self.path, "is a SQLite file, but no bank; name another file")
        return int(row[0])

    def _migrate(self) -> None:
        """Take the steps that are missing; inside a transaction, so another process may have."""
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        for step in MIGRATIONS[self._format() if tables else 0 :]:
            step(self._connection)
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (str(FORMAT),))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says into what to do about it."""
        try:
            yield
        except sqlite3.OperationalError as problem:
            reason = str(problem)
            if "locked" in reason:
                reason = f"another process has been writing for {_BUSY_S:.0f} s; try again"
            elif "readonly" in reason or "unable to open" in reason:
                raise RunFolderError(self.path, f"can't be written: {problem}") from problem
            raise StoreError(self.path, reason) from problem
        except sqlite3.ProgrammingError as problem:
            # Closed, or used by another thread: a fault of the caller, not of the file.
            raise StoreError(self.path, f"can't be used: {problem}") from problem
        except sqlite3.DatabaseError as problem:
            reason = str(problem)
            if "not a database" in reason:
                raise StoreError(self.path, "is no SQLite file; name another file") from problem
            raise StoreError(self.path, f"is damaged ({reason}); {_RESTORE}") from problem

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    # --- writing -----------------------------------------------------------------------------

    def record_all(self, sealed: Sequence[Sealed], trajectories: Sequence[Trajectory] = ()) -> int:
        """See ``ExperienceStore``."""
        if not sealed and not trajectories:
            return 0
        with self._transaction():
            return sum(
                [self._record(one) for one in sorted(sealed, key=_canonical)]
                + [self._record_trajectory(one) for one in sorted(trajectories, key=lambda t: t.id)]
            )

    def _record(self, one: Sealed) -> bool:
        seal = hashlib.sha256(one.blob).digest()
        last = self._connection.execute(
            "SELECT max(epoch) FROM experiences WHERE agent = ?", (one.agent,)
        ).fetchone()[0]
        if one.epoch <= (last or 0):
            (known,) = self._connection.execute(
                "SELECT sha256 FROM experiences WHERE agent = ? AND epoch = ?",
                (one.agent, one.epoch),
            ).fetchone()
            if known != seal:
                raise StoreError(
                    self.path,
                    f"epoch {one.epoch} of {one.agent} is here already, with another content;"
                    " runs that share a bank need agents of different names",
                )
            return False
        if one.epoch != (last or 0) + 1:
            raise StoreError(self.path, f"epoch {one.epoch} of {one.agent} came after {last or 0}")
        self._connection.execute(
            "INSERT INTO experiences"
            " (agent, epoch, known_at_s, domain, task_type, sha256, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.agent, one.epoch, one.known_at_s, one.domain, one.task_type, seal, one.blob),
        )
        return True

    def _record_trajectory(self, one: Trajectory) -> bool:
        body = one.to_bytes()
        seal = hashlib.sha256(body).digest()
        known = self._connection.execute(
            "SELECT sha256 FROM trajectories WHERE id = ?", (one.id,)
        ).fetchone()
        if known is not None:
            if known[0] != seal:
                raise StoreError(
                    self.path, f"trajectory {one.id!r} is here already, with another content"
                )
            return False
        self._connection.execute(
            "INSERT INTO trajectories (id, agent, known_at_s, domain, task_type, sha256, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.id, one.agent, one.known_at_s, one.domain, one.task_type, seal, body),
        )
        return True

    def set_setting(self, key: str, value: str) -> None:
        """See ``ExperienceStore``."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # --- reading -----------------------------------------------------------------------------

    def setting(self, key: str) -> str | None:
        """See ``ExperienceStore``."""
        with self._explained():
            row = self._connection.execute(
                "SELECT value FROM meta WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else str(row[0])

    def view(self) -> View:
        """See ``ExperienceStore``."""
        with self._explained():
            return dict(
                self._connection.execute(
                    "SELECT agent, max(epoch) FROM experiences GROUP BY agent ORDER BY agent"
                ).fetchall()
            )

    def sealed(self, after: View | None = None, until: View | None = None) -> list[Sealed]:
        """See ``ExperienceStore``."""
        here = self.view()
        wanted = here if until is None else until
        found: list[Sealed] = []
        for agent, last in wanted.items():
            if last > here.get(agent, 0):
                raise StoreError(
                    self.path, f"{agent} up to epoch {last}: only {here.get(agent, 0)} are here"
                )
            first = (after or {}).get(agent, 0)
            found += self._sealed("agent = ? AND epoch > ? AND epoch <= ?", (agent, first, last))
        return sorted(found, key=_canonical)

    def experiences(self, after: View | None = None, until: View | None = None) -> list[Experience]:
        """See ``ExperienceStore``."""
        return [self._opened(one) for one in self.sealed(after, until)]

    def since(
        self, position: Position, until: Position | None = None
    ) -> tuple[list[Record], Position]:
        """See ``ExperienceStore``."""
        last = until or Position(2**62, 2**62)
        ends = Position(
            self._chunk_end("experiences", position.experiences, last.experiences),
            self._chunk_end("trajectories", position.trajectories, last.trajectories),
        )
        span = "seq > ? AND seq <= ?"
        records: list[Record] = []
        if ends.experiences > position.experiences:
            sealed = self._sealed(span, (position.experiences, ends.experiences))
            records += [self._opened(one) for one in sealed]
        if ends.trajectories > position.trajectories:
            records += self._trajectories(span, (position.trajectories, ends.trajectories))
        return records, ends

    def _chunk_end(self, table: str, after: int, last: int) -> int:
        """Return the last row of a table's next chunk; rows never change once they are here."""
        with self._explained():
            (end,) = self._connection.execute(
                "SELECT max(seq) FROM (SELECT seq"
                f" FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {_CHUNK})",
                (after, last),
            ).fetchone()
        return after if end is None else int(end)

    def in_order_of_time(self, until_s: int | None = None) -> Iterator[Record]:
        """See ``ExperienceStore``."""
        most = 2**62 if until_s is None else until_s
        return heapq.merge(
            self._trajectories("known_at_s <= ?", (most,), "known_at_s, agent, id"),
            map(self._opened, self._sealed("known_at_s <= ?", (most,), "known_at_s, epoch, agent")),
            key=lambda one: (one.known_at_s, one.epoch if isinstance(one, Experience) else 0),
        )

    def _sealed(
        self, where: str, values: tuple[object, ...], order: str = "seq"
    ) -> Iterator[Sealed]:
        with self._explained():
            rows = self._connection.execute(
                "SELECT agent, epoch, known_at_s, domain, task_type, body, sha256"
                f" FROM experiences WHERE {where} ORDER BY {order}",
                values,
            )
            for agent, epoch, known_at_s, domain, task_type, body, seal in rows:
                self._check(body, seal, f"epoch {epoch} of {agent}")
                yield Sealed(agent, epoch, known_at_s, domain, task_type, body)

    def _trajectories(
        self, where: str, values: tuple[object, ...], order: str = "seq"
    ) -> Iterator[Trajectory]:
        with self._explained():
            rows = self._connection.execute(
                "SELECT id, agent, known_at_s, domain, task_type, body, sha256"
                f" FROM trajectories WHERE {where} ORDER BY {order}",
                values,
            )
            for *columns, body, seal in rows:
                name = f"trajectory {columns[0]!r}"
                self._check(body, seal, name)
                try:
                    one = Trajectory.from_bytes(body)
                except ValueError as problem:
                    raise StoreError(self.path, f"{name}: {problem}; {_RESTORE}") from problem
                if [one.id, one.agent, one.known_at_s, one.domain, one.task_type] != columns:
                    raise StoreError(self.path, f"{name}: columns and body differ; {_RESTORE}")
                yield one

    def _opened(self, one: Sealed) -> Experience:
        try:
            return one.open()
        except ValueError as problem:
            name = f"epoch {one.epoch} of {one.agent}"
            raise StoreError(self.path, f"{name}: {problem}; {_RESTORE}") from problem

    def _check(self, body: bytes, seal: bytes, name: str) -> None:
        if hashlib.sha256(body).digest() != seal:
            raise StoreError(self.path, f"{name} does not match its seal; {_RESTORE}")

    def verify(self) -> int:
        """See ``ExperienceStore``."""
        with self._explained():
            found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
            if found != ["ok"]:
                raise StoreError(self.path, f"is damaged ({found[0]}); {_RESTORE}")
            rows = self._connection.execute(
                "SELECT agent, max(epoch), count(*) FROM experiences GROUP BY agent"
            ).fetchall()
        for agent, last, count in rows:
            if last != count:
                raise StoreError(self.path, f"{agent}: {count} of {last} epochs; {_RESTORE}")
        return sum(1 for _ in self.in_order_of_time())

    def close(self) -> None:
        """See ``ExperienceStore``."""
        self._connection.close()


def _canonical(one: Sealed) -> tuple[int, str]:
    return one.epoch, one.agent
