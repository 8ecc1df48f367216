"""The bank's truth: an append-only log of outcomes, in one SQLite file.

What is acknowledged is on the disk (WAL, ``synchronous=FULL``, one commit for each batch, however
large) and is there once: experiences are identified by (agent, epoch), trajectories by their id,
annotations by kind and id. Recording one again changes nothing; recording *another* one under the
same name is refused, and so is a gap in an agent's epochs. Everything else that the bank knows is
derived from this log.

Ids of agents are the caller's: two runs that share a file give their agents different ids.

One process writes at a time (others wait), any number read meanwhile. A ``SqliteStore`` belongs to
the thread that opened it; another thread opens another one. Above: ``bank``. Below: ``log`` (the
protocol), ``sqlite_files``, ``store_rows``, ``retention``, ``backups``.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.errors import StoreError, did_you_mean
from swarm_runtime.memory import retention
from swarm_runtime.memory.backups import back_up, back_up_in_turn, restore
from swarm_runtime.memory.deltas import Packet
from swarm_runtime.memory.filing import Filing, pattern_number
from swarm_runtime.memory.log import (
    SPACE,
    ExperienceStore,
    FoldedRow,
    FoldedUsage,
    PatternName,
    Position,
    Progress,
    Record,
)
from swarm_runtime.memory.records import ANNOTATIONS, Annotation
from swarm_runtime.memory.seal_index import Seal
from swarm_runtime.memory.sqlite_files import MEMORY, SqliteFile
from swarm_runtime.memory.store_rows import (
    about,
    author,
    filing_of,
    opened,
    read_annotations,
    read_sealed,
    read_trajectories,
    seal_of,
)
from swarm_runtime.memory.store_seals import (
    chunk_ends,
    epoch_seals,
    fingerprint,
    packets_at,
    seals_between,
)
from swarm_runtime.memory.trajectory import Trajectory
from swarm_runtime.memory.verification import verify

__all__ = ["SPACE", "ExperienceStore", "Position", "Record", "SqliteStore"]

#: Rows that are read at once, of each kind.
_CHUNK = 4_096
#: Later than any time, further than any row.
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
        notes = [self._annotation_row(one) for one in annotations]
        filing = self._filing
        tries = self._trajectory_rows(trajectories)
        with self._file.transaction():
            noted = self._file.noted(SPACE, *retention.NOTES)
            if noted.get(SPACE) != filing.space:
                # Another handle noted a space since this one was opened.
                self._filing = filing_of(self._file)
                tries = self._trajectory_rows(trajectories)
            new = sum([self._record(one) for one in sorted(sealed, key=_canonical)])
            recorded, late = self._record_trajectories(tries, noted)
            new += recorded + self._record_annotations(notes, noted)
        self._late += late
        return new

    @property
    def late(self) -> int:
        """See ``ExperienceStore``."""
        return self._late

    def _record(self, one: Sealed) -> bool:
        seal = seal_of(one.blob)
        connection = self._file.connection
        last = connection.execute(
            "SELECT max(epoch) FROM experiences WHERE agent = ?", (one.agent,)
        ).fetchone()[0]
        if one.epoch <= (last or 0):
            (known,) = connection.execute(
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
        connection.execute(
            "INSERT INTO experiences"
            " (agent, epoch, known_at_s, domain, task_type, sha256, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.agent, one.epoch, one.known_at_s, one.domain, one.task_type, seal, one.blob),
        )
        return True

    def _trajectory_rows(self, trajectories: Sequence[Trajectory]) -> list[_TrajectoryRow]:
        number = self._filing.number
        rows: list[_TrajectoryRow] = []
        for one in trajectories:
            body = one.to_bytes()
            seal = hashlib.sha256(body).digest()
            known = one.known_at_s
            rows.append(
                (one.id, one.agent, known, one.domain, one.task_type, seal, body, number(one))
            )
        return sorted(rows, key=lambda row: row[0])

    def _record_trajectories(
        self, rows: list[_TrajectoryRow], noted: Mapping[str, str]
    ) -> tuple[int, int]:
        """Return how many were new, and how many came too late to be taken."""
        if not rows:
            return 0, 0
        kept_from_s = retention.kept_from_s(noted)
        wanted = [row for row in rows if kept_from_s is None or row[2] > kept_from_s]
        first = self._next_row("trajectories", noted)
        new = self._file.connection.executemany(
            "INSERT INTO trajectories"
            " (seq, id, agent, known_at_s, domain, task_type, sha256, body, pattern)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS"
            " (SELECT 1 FROM pruned WHERE pattern = ?9 AND until_s >= ?4)"
            " ON CONFLICT (id) DO NOTHING",
            ((first + at, *row) for at, row in enumerate(wanted)),
        ).rowcount
        if new == len(rows):
            return new, 0
        here = self._seals("SELECT id, sha256 FROM trajectories WHERE id IN", rows)
        late = 0
        for id_, *_, seal, _, _ in rows:
            known = here.get(id_)
            if known is None:
                late += 1
            elif known != seal:
                raise StoreError(
                    self.path, f"trajectory {id_!r} is here already, with another content"
                )
        return new, late

    def _annotation_row(self, one: Annotation) -> _AnnotationRow:
        body = one.to_bytes()
        return one.kind, one.id, about(one), author(one), one.known_at_s, seal_of(body), body

    def _record_annotations(self, rows: list[_AnnotationRow], noted: Mapping[str, str]) -> int:
        if not rows:
            return 0
        rows.sort(key=lambda row: row[:2])
        first = self._next_row("annotations", noted)
        new = self._file.connection.executemany(
            "INSERT INTO annotations (seq, kind, id, about, agent, known_at_s, sha256, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO NOTHING",
            ((first + at, *row) for at, row in enumerate(rows)),
        ).rowcount
        if new == len(rows):
            return new
        for kind in sorted({row[0] for row in rows}):
            query = f"SELECT id, sha256 FROM annotations WHERE kind = '{kind}' AND id IN"
            here = self._seals(query, ((row[1],) for row in rows if row[0] == kind))
            for row in rows:
                if row[0] == kind and here[row[1]] != row[5]:
                    raise StoreError(
                        self.path, f"{kind} {row[1]!r} is here already, with another content"
                    )
        return new

    def _seals(self, query: str, rows: Iterable[Sequence[object]]) -> dict[str, bytes]:
        return {
            str(id_): bytes(seal)  # type: ignore[call-overload]
            for id_, seal in self._file.rows_of(query, [row[0] for row in rows])
        }

    def _next_row(self, table: str, noted: Mapping[str, str]) -> int:
        """Return the number of a table's next row; one that was deleted doesn't come again."""
        last = self._file.connection.execute(f"SELECT max(seq) FROM {table}").fetchone()[0]
        return max(last or 0, int(noted.get(f"{table}_end", "0"))) + 1

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
        values = (pattern_number(pattern), _NO_LIMIT if until_s is None else until_s)
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
        limit = _NO_LIMIT if until_s is None else until_s
        where, order = f"{where} AND known_at_s <= ?", "known_at_s, id"
        return list(read_annotations(self._file, where, (*values, limit), order))

    def in_order_of_time(self, until_s: int | None = None) -> Iterator[Experience | Trajectory]:
        """See ``ExperienceStore``."""
        limit = _NO_LIMIT if until_s is None else until_s
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
        return retention.let_go(self._file, until_s)

    def prune(self, patterns: Sequence[PatternName], until_s: int) -> int:
        """See ``ExperienceStore``."""
        return retention.prune(self._file, [pattern_number(one) for one in patterns], until_s)

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


#: Id, agent, known at, domain, task type, seal, body, number of the pattern.
_TrajectoryRow = tuple[str, str, int, str, str, bytes, bytes, int]
#: Kind, id, about, agent, known at, seal, body.
_AnnotationRow = tuple[str, str, str, str, int, bytes, bytes]


def _canonical(one: Sealed) -> tuple[int, str]:
    return one.epoch, one.agent
