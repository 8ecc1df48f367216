"""The bank's truth: an append-only log of outcomes, in one SQLite file.

What is acknowledged is on the disk (WAL, ``synchronous=FULL``, one commit for each batch, however
large) and is there once: experiences are identified by (agent, epoch), trajectories by their id,
annotations by kind and id. Recording one again changes nothing; recording *another* one under the
same name is refused, and so is a gap in an agent's epochs. Everything else that the bank knows is
derived from this log.

Ids of agents are the caller's: two runs that share a file give their agents different ids.

One process writes at a time (others wait), any number read meanwhile. A ``SqliteStore`` belongs to
the thread that opened it; another thread opens another one. Above: ``bank``. Below: ``log`` (the
protocol), ``recording``, ``store_rows``, ``store_seals``, ``retention``, ``backups``,
``sqlite_files``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from numbers import Integral
from pathlib import Path

from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.errors import StoreError, did_you_mean
from swarm_runtime.memory.log import retention
from swarm_runtime.memory.log.backups import back_up, back_up_in_turn, restore
from swarm_runtime.memory.log.deltas import Packet
from swarm_runtime.memory.log.files import MEMORY, SqliteFile
from swarm_runtime.memory.log.filing import Filing, pattern_number
from swarm_runtime.memory.log.protocol import (
    SPACE,
    ExperienceStore,
    FoldedRow,
    FoldedUsage,
    PatternName,
    Position,
    Progress,
    Record,
)
from swarm_runtime.memory.log.recording import (
    annotation_rows,
    record_annotations,
    record_experiences,
    record_trajectories,
    trajectory_rows,
)
from swarm_runtime.memory.log.rows import (
    filing_of,
    opened,
    read_annotations,
    read_sealed,
    read_trajectories,
)
from swarm_runtime.memory.log.seal_index import Seal
from swarm_runtime.memory.log.seals import (
    chunk_ends,
    epoch_seals,
    fingerprint,
    packets_at,
    seals_between,
)
from swarm_runtime.memory.log.verification import verify
from swarm_runtime.memory.records.annotations import ANNOTATIONS, Annotation
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["SPACE", "ExperienceStore", "Position", "Record", "SqliteStore"]

#: Rows that are read at once, of each kind.
_CHUNK = 4_096
#: Later than any time.
_NO_LIMIT = 2**62
#: Tables whose rows are counted, besides annotations by kind.
_COUNTED = ("experiences", "trajectories", "folded", "folded_usage", "pruned", "embeddings")
_SPAN = "seq > ? AND seq <= ?"


class SqliteStore:
    """The log in a SQLite file, or in memory: an ``ExperienceStore``, where all is described.

    Parameters
    ----------
    path : str or Path
        The file, made if it is missing; ``":memory:"`` for one that is gone when it is closed.
    patience_s : float
        How long a writer waits for another one.
    check : bool
        Whether the structure of the file is checked on opening, which takes longer the larger it
        is. For further handles of a file that was checked already, it need not be.

    Raises
    ------
    StoreError
        If the file is no bank, damaged, or of a newer format.
    RunFolderError
        If its folder is missing or can't be written.
    """

    def __init__(self, path: str | Path, *, patience_s: float = 30.0, check: bool = True) -> None:
        self._file = SqliteFile(path, patience_s=patience_s, check=check)
        self.path = self._file.path
        self._late = 0
        try:
            with self._file.explained():
                self._filing = filing_of(self._file)
                self._uuid = self._file.noted("uuid")["uuid"]
                if retention.unfiled(self._file):
                    with self._file.transaction():
                        self._filing = filing_of(self._file)
                        retention.file_anew(self._file, None, self._filing)
        except BaseException:
            self._file.close()
            raise

    # --- writing -----------------------------------------------------------------------------

    def record_all(
        self,
        sealed: Sequence[Sealed] = (),
        trajectories: Sequence[Trajectory] = (),
        annotations: Sequence[Annotation] = (),
    ) -> int:
        """See ``ExperienceStore``."""
        if not sealed and not trajectories and not annotations:
            return 0
        # All that can be done beforehand is, so that others wait as short as possible.
        notes = annotation_rows(annotations)
        filing = self._filing
        tries = trajectory_rows(trajectories, filing)
        with self._file.transaction():
            noted = self._file.noted(SPACE, *retention.NOTES)
            if noted.get(SPACE) != filing.space:
                # Another handle noted a space since this one was opened.
                self._filing = filing_of(self._file)
                tries = trajectory_rows(trajectories, self._filing)
            new = record_experiences(self._file, sealed)
            recorded, late = record_trajectories(self._file, tries, noted)
            new += recorded + record_annotations(self._file, notes, noted)
        self._late += late
        return new

    @property
    def late(self) -> int:
        """See ``ExperienceStore``."""
        return self._late

    def set_setting(self, key: str, value: str) -> None:
        """See ``ExperienceStore``."""
        filing = Filing(value) if key == SPACE else None
        with self._file.transaction():
            before = self._file.noted(key).get(key)
            self._file.note(key, value)
            if filing is not None and value != before:
                retention.file_anew(self._file, Filing(before), filing)
        self._filing = filing or self._filing

    def keep_embeddings(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """See ``ExperienceStore``."""
        with self._file.transaction():
            self._file.connection.executemany(
                "INSERT INTO embeddings (model, key, vector) VALUES (?, ?, ?)"
                " ON CONFLICT (model, key) DO NOTHING",
                [(model, key, vectors[key]) for key in sorted(vectors)],
            )

    # --- reading -----------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[None]:
        """See ``ExperienceStore``."""
        return self._file.reading()

    def setting(self, key: str) -> str | None:
        """See ``ExperienceStore``."""
        with self._file.explained():
            return self._file.noted(key).get(key)

    def view(self) -> View:
        """See ``ExperienceStore``."""
        with self._file.explained():
            return dict(
                self._file.connection.execute(
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
            values = (agent, (after or {}).get(agent, 0), last)
            found += read_sealed(self._file, "agent = ? AND epoch > ? AND epoch <= ?", values)
        return sorted(found, key=_canonical)

    def experiences(self, after: View | None = None, until: View | None = None) -> list[Experience]:
        """See ``ExperienceStore``."""
        return [opened(self._file, one) for one in self.sealed(after, until)]

    def since(
        self, position: Position, until: Position | None = None
    ) -> tuple[list[Record], Position]:
        """See ``ExperienceStore``."""
        file, records = self._file, list[Record]()
        with file.reading():
            ends = chunk_ends(file, position, until, _CHUNK)
            spans = list(zip(position, ends, strict=True))
            if ends.experiences > position.experiences:
                records += [opened(file, one) for one in read_sealed(file, _SPAN, spans[0])]
            if ends.trajectories > position.trajectories:
                records += read_trajectories(file, _SPAN, spans[1])
            if ends.annotations > position.annotations:
                records += read_annotations(file, _SPAN, spans[2])
        return records, ends

    def seals(self, after: Position) -> tuple[list[Seal], Position]:
        """See ``ExperienceStore``."""
        with self._file.reading():
            end = chunk_ends(self._file, after, None, _CHUNK)
            return seals_between(self._file, after, end), end

    def packets(self, places: Sequence[int]) -> list[Packet]:
        """See ``ExperienceStore``."""
        return packets_at(self._file, places)

    def epoch_seals(self, view: View) -> dict[str, bytes]:
        """See ``ExperienceStore``."""
        return epoch_seals(self._file, view)

    def trajectory(self, id_: str) -> Trajectory | None:
        """See ``ExperienceStore``."""
        return next(read_trajectories(self._file, "id = ?", (id_,)), None)

    def trajectories(self, ids: Sequence[str]) -> list[Trajectory]:
        """See ``ExperienceStore``."""
        with self._file.reading():
            found = (self.trajectory(id_) for id_ in ids)
            return [one for one in found if one is not None]

    def tries(self, pattern: PatternName, until_s: int | None = None) -> list[Trajectory]:
        """See ``ExperienceStore``."""
        values = (pattern_number(pattern), _limit(until_s))
        where = "pattern = ? AND known_at_s <= ?"
        return list(read_trajectories(self._file, where, values, "known_at_s, id"))

    def annotations(
        self, kind: str, *, target: str | None = None, until_s: int | None = None
    ) -> list[Annotation]:
        """See ``ExperienceStore``."""
        if kind not in ANNOTATIONS:
            raise ValueError(f"kind = {kind!r}: not known.{did_you_mean(kind, ANNOTATIONS)}")
        where, values = "kind = ?", [kind]
        if target is not None:
            where, values = f"{where} AND about = ?", [kind, target]
        where, order = f"{where} AND known_at_s <= ?", "known_at_s, id"
        return list(read_annotations(self._file, where, (*values, _limit(until_s)), order))

    def in_order_of_time(self, until_s: int | None = None) -> Iterator[Experience | Trajectory]:
        """See ``ExperienceStore``."""
        limit = _limit(until_s)
        where, file = "known_at_s <= ?", self._file
        return heapq.merge(
            read_trajectories(file, where, (limit,), "known_at_s, agent, id"),
            (
                opened(file, one)
                for one in read_sealed(file, where, (limit,), "known_at_s, epoch, agent")
            ),
            key=lambda one: (one.known_at_s, one.epoch if isinstance(one, Experience) else 0),
        )

    def folded_rows(self) -> Iterator[FoldedRow]:
        """See ``ExperienceStore``."""
        return (row for _, row in retention.folded_rows(self._file))

    def folded_usage(self) -> Iterator[FoldedUsage]:
        """See ``ExperienceStore``."""
        return retention.folded_usage(self._file)

    def embedding(self, model: str, keys: Sequence[str]) -> dict[str, bytes]:
        """See ``ExperienceStore``."""
        with self._file.explained():
            find = "SELECT vector FROM embeddings WHERE model = ? AND key = ?"
            found = {
                key: self._file.connection.execute(find, (model, key)).fetchone()
                for key in dict.fromkeys(keys)
            }
        return {key: bytes(row[0]) for key, row in found.items() if row is not None}

    def counts(self) -> dict[str, int]:
        """See ``ExperienceStore``."""
        connection = self._file.connection
        with self._file.reading():
            found = dict.fromkeys(ANNOTATIONS, 0)
            found.update(connection.execute("SELECT kind, count(*) FROM annotations GROUP BY kind"))
            for table in _COUNTED:
                found[table] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found

    def size_bytes(self) -> int:
        """See ``ExperienceStore``."""
        if self.path == MEMORY:
            with self._file.explained():
                connection = self._file.connection
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                return int(pages * connection.execute("PRAGMA page_size").fetchone()[0])
        files = [Path(self.path), Path(f"{self.path}-wal")]
        return sum(one.stat().st_size for one in files if one.exists())

    # --- whose log, and in which state -------------------------------------------------------

    @property
    def uuid(self) -> str:
        """See ``ExperienceStore``."""
        return self._uuid

    def stamp(self) -> tuple[int, int]:
        """See ``ExperienceStore``."""
        with self._file.explained():
            connection = self._file.connection
            seen = connection.execute("PRAGMA data_version").fetchone()[0]
            return int(seen), connection.total_changes

    def generation(self) -> int:
        """See ``ExperienceStore``."""
        return int(self.setting("generation") or 0)

    def fingerprint(self, position: Position) -> str:
        """See ``ExperienceStore``."""
        return fingerprint(self._file, self._uuid, self.generation(), position)

    # --- upkeep ------------------------------------------------------------------------------

    def let_go(self, until_s: int) -> int:
        """See ``ExperienceStore``."""
        return retention.let_go(self._file, _moment(until_s))

    def prune(self, patterns: Sequence[PatternName], until_s: int) -> int:
        """See ``ExperienceStore``."""
        numbers = [pattern_number(one) for one in patterns]
        return retention.prune(self._file, numbers, _moment(until_s))

    def kept_from_s(self) -> int | None:
        """See ``ExperienceStore``."""
        with self._file.explained():
            return retention.kept_from_s(self._file.noted(*retention.NOTES))

    def vacuum(self) -> int:
        """See ``ExperienceStore``."""
        before = self.size_bytes()
        with self._file.explained():
            self._file.connection.execute("VACUUM")
            self._file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return before - self.size_bytes()

    def backup(self, path: str | Path, progress: Progress | None = None) -> None:
        """See ``ExperienceStore``."""
        back_up(self._file, path, progress)

    def backup_in_turn(
        self, folder: str | Path, kept: int, progress: Progress | None = None
    ) -> Path:
        """See ``ExperienceStore``."""
        return back_up_in_turn(self._file, folder, kept, progress)

    #: Put a backup in a bank's place: see ``backups.restore``.
    restore = staticmethod(restore)

    def verify(self) -> int:
        """See ``ExperienceStore``."""
        return verify(self._file)

    def close(self) -> None:
        """See ``ExperienceStore``."""
        self._file.close()


def _canonical(one: Sealed) -> tuple[int, str]:
    return one.epoch, one.agent


def _limit(until_s: int | None) -> int:
    """Return the last moment that is asked for, as one that SQLite can compare."""
    return _NO_LIMIT if until_s is None else max(-_NO_LIMIT, min(until_s, _NO_LIMIT))


def _moment(until_s: int) -> int:
    """Return a moment that is to be written down."""
    if isinstance(until_s, bool) or not isinstance(until_s, Integral) or abs(until_s) > 2**53:
        raise ValueError(f"until_s = {until_s!r}: whole seconds since 1970")
    return int(until_s)
