"""How records get into a bank's file: once, whole, and never another one under the same name.

All functions but those that make rows work inside a transaction, which whoever calls them makes.
Above: ``store``. Below: ``store_rows``, ``retention``, ``sqlite_files``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from swarm_runtime.core.knowledge import Sealed
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.files import SqliteFile
from swarm_runtime.memory.log.filing import Filing
from swarm_runtime.memory.log.retention import kept_from_s
from swarm_runtime.memory.log.rows import about, author, seal_of
from swarm_runtime.memory.records.annotations import Annotation
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "AnnotationRow",
    "TrajectoryRow",
    "annotation_rows",
    "record_annotations",
    "record_experiences",
    "record_trajectories",
    "trajectory_rows",
]

#: Id, agent, known at, domain, task type, seal, body, number of the pattern.
TrajectoryRow = tuple[str, str, int, str, str, bytes, bytes, int]
#: Kind, id, about, agent, known at, seal, body.
AnnotationRow = tuple[str, str, str, str, int, bytes, bytes]


def record_experiences(file: SqliteFile, sealed: Iterable[Sealed]) -> int:
    """Record experiences; return how many were new."""
    return sum(
        [_record(file, one) for one in sorted(sealed, key=lambda one: (one.epoch, one.agent))]
    )


def _record(file: SqliteFile, one: Sealed) -> bool:
    seal = seal_of(one.blob)
    last = file.connection.execute(
        "SELECT max(epoch) FROM experiences WHERE agent = ?", (one.agent,)
    ).fetchone()[0]
    if one.epoch <= (last or 0):
        (known,) = file.connection.execute(
            "SELECT sha256 FROM experiences WHERE agent = ? AND epoch = ?", (one.agent, one.epoch)
        ).fetchone()
        if known != seal:
            raise StoreError(
                file.path,
                f"epoch {one.epoch} of {one.agent} is here already, with another content;"
                " runs that share a bank need agents of different names",
            )
        return False
    if one.epoch != (last or 0) + 1:
        raise StoreError(file.path, f"epoch {one.epoch} of {one.agent} came after {last or 0}")
    file.connection.execute(
        "INSERT INTO experiences (agent, epoch, known_at_s, domain, task_type, sha256, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (one.agent, one.epoch, one.known_at_s, one.domain, one.task_type, seal, one.blob),
    )
    return True


def trajectory_rows(trajectories: Iterable[Trajectory], filing: Filing) -> list[TrajectoryRow]:
    """Return trajectories as they are written, by id."""
    number = filing.number
    rows: list[TrajectoryRow] = []
    for one in trajectories:
        body, known = one.to_bytes(), one.known_at_s
        seal = seal_of(body)
        rows.append((one.id, one.agent, known, one.domain, one.task_type, seal, body, number(one)))
    return sorted(rows, key=lambda row: row[0])


def record_trajectories(
    file: SqliteFile, rows: Sequence[TrajectoryRow], noted: Mapping[str, str]
) -> tuple[int, int]:
    """Record trajectories; return how many were new, and how many came too late to be taken.

    Parameters
    ----------
    file : SqliteFile
    rows : sequence of TrajectoryRow
    noted : mapping
        What the file notes of its retention.
    """
    if not rows:
        return 0, 0
    from_s = kept_from_s(noted)
    wanted = [row for row in rows if from_s is None or row[2] > from_s]
    first = _next_row(file, "trajectories", noted)
    # Most are new, so what is here already is looked for only if something was not taken.
    new = file.connection.executemany(
        "INSERT INTO trajectories"
        " (seq, id, agent, known_at_s, domain, task_type, sha256, body, pattern)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS"
        " (SELECT 1 FROM pruned WHERE pattern = ?9 AND until_s >= ?4)"
        " ON CONFLICT (id) DO NOTHING",
        ((first + at, *row) for at, row in enumerate(wanted)),
    ).rowcount
    if new == len(rows):
        return new, 0
    here = _seals(file, "SELECT id, sha256 FROM trajectories WHERE id IN", rows)
    late = 0
    for id_, *_, seal, _, _ in rows:
        known = here.get(id_)
        if known is None:
            late += 1
        elif known != seal:
            raise StoreError(file.path, f"trajectory {id_!r} is here already, with another content")
    return new, late


def annotation_rows(annotations: Iterable[Annotation]) -> list[AnnotationRow]:
    """Return annotations as they are written, by kind and id."""
    rows: list[AnnotationRow] = []
    for one in annotations:
        body = one.to_bytes()
        names = (one.kind, one.id, about(one), author(one))
        rows.append((*names, one.known_at_s, seal_of(body), body))
    return sorted(rows, key=lambda row: row[:2])


def record_annotations(
    file: SqliteFile, rows: Sequence[AnnotationRow], noted: Mapping[str, str]
) -> int:
    """Record annotations; return how many were new."""
    if not rows:
        return 0
    first = _next_row(file, "annotations", noted)
    new = file.connection.executemany(
        "INSERT INTO annotations (seq, kind, id, about, agent, known_at_s, sha256, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO NOTHING",
        ((first + at, *row) for at, row in enumerate(rows)),
    ).rowcount
    if new == len(rows):
        return new
    for kind in sorted({row[0] for row in rows}):
        # A kind is a word of this program's.
        query = f"SELECT id, sha256 FROM annotations WHERE kind = '{kind}' AND id IN"
        here = _seals(file, query, [row[1:] for row in rows if row[0] == kind])
        for row in rows:
            if row[0] == kind and here[row[1]] != row[5]:
                raise StoreError(
                    file.path, f"{kind} {row[1]!r} is here already, with another content"
                )
    return new


def _seals(file: SqliteFile, query: str, rows: Sequence[tuple[Any, ...]]) -> dict[Any, Any]:
    """Return seals by id, of the rows that are here."""
    return dict(file.rows_of(query, [row[0] for row in rows]))


def _next_row(file: SqliteFile, table: str, noted: Mapping[str, str]) -> int:
    """Return the number of a table's next row; one that was deleted doesn't come again."""
    last = file.connection.execute(f"SELECT max(seq) FROM {table}").fetchone()[0]
    return max(last or 0, int(noted.get(f"{table}_end", "0"))) + 1
