"""Rows of a bank's file as records, each checked against its seal. Above: ``store``, ``retention``.

Nothing that doesn't match its seal, or whose columns say something else than its body, is ever
returned. Below: ``sqlite_files``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from swarm_runtime.core.knowledge import Experience, Sealed
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.files import RESTORE, SqliteFile
from swarm_runtime.memory.log.filing import Filing
from swarm_runtime.memory.log.protocol import SPACE
from swarm_runtime.memory.records.annotations import (
    Annotation,
    Link,
    Tombstone,
    Usage,
    Verdict,
    annotation_from_bytes,
)
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "Filed",
    "about",
    "author",
    "filed_trajectories",
    "filing_of",
    "opened",
    "read_annotations",
    "read_sealed",
    "read_trajectories",
    "seal_of",
]


class Filed(NamedTuple):
    """A trajectory, its row, and the number of its pattern."""

    seq: int
    pattern: int | None
    trajectory: Trajectory


def seal_of(body: bytes) -> bytes:
    """Return what is kept beside a body to recognise damage."""
    return hashlib.sha256(body).digest()


def about(one: Annotation) -> str:
    """Return what an annotation speaks of."""
    if isinstance(one, (Verdict, Usage)):
        return one.trajectory
    if isinstance(one, (Link, Tombstone)):
        return one.target
    return one.task_type


def author(one: Annotation) -> str:
    """Return whose annotation it is."""
    return one.judge if isinstance(one, Verdict) else one.agent


def read_sealed(
    file: SqliteFile, where: str, values: tuple[object, ...], order: str = "seq"
) -> Iterator[Sealed]:
    """Return experiences as they were recorded."""
    with file.explained():
        rows = file.connection.execute(
            "SELECT agent, epoch, known_at_s, domain, task_type, body, sha256"
            f" FROM experiences WHERE {where} ORDER BY {order}",
            values,
        )
        for agent, epoch, known_at_s, domain, task_type, body, seal in rows:
            if seal_of(body) != seal:
                _refuse(file, f"epoch {epoch} of {agent} does not match its seal")
            yield Sealed(agent, epoch, known_at_s, domain, task_type, body)


def opened(file: SqliteFile, one: Sealed) -> Experience:
    """Return an experience that was recorded."""
    try:
        return one.open()
    except ValueError as problem:
        name = f"epoch {one.epoch} of {one.agent}"
        raise StoreError(file.path, f"{name}: {problem}; {RESTORE}") from problem


def filed_trajectories(
    file: SqliteFile, where: str, values: tuple[object, ...], order: str = "seq"
) -> Iterator[Filed]:
    """Return trajectories with where they are filed."""
    with file.explained():
        rows = file.connection.execute(
            "SELECT seq, pattern, sha256, body, id, agent, known_at_s, domain, task_type"
            f" FROM trajectories WHERE {where} ORDER BY {order}",
            values,
        )
        for seq, pattern, seal, body, *columns in rows:
            if seal_of(body) != seal:
                _refuse(file, f"trajectory {columns[0]!r} does not match its seal")
            try:
                one = Trajectory.from_bytes(body)
            except ValueError as problem:
                _refuse(file, f"trajectory {columns[0]!r}: {problem}", problem)
            if [one.id, one.agent, one.known_at_s, one.domain, one.task_type] != columns:
                _refuse(file, f"trajectory {columns[0]!r}: columns and body differ")
            yield Filed(seq, pattern, one)


def read_trajectories(
    file: SqliteFile, where: str, values: tuple[object, ...], order: str = "seq"
) -> Iterator[Trajectory]:
    """Return trajectories."""
    return (one.trajectory for one in filed_trajectories(file, where, values, order))


def read_annotations(
    file: SqliteFile, where: str, values: tuple[object, ...], order: str = "seq"
) -> Iterator[Annotation]:
    """Return annotations."""
    with file.explained():
        rows = file.connection.execute(
            "SELECT sha256, body, kind, id, about, agent, known_at_s"
            f" FROM annotations WHERE {where} ORDER BY {order}",
            values,
        )
        for seal, body, *columns in rows:
            kind, id_ = columns[:2]
            if seal_of(body) != seal:
                _refuse(file, f"{kind} {id_!r} does not match its seal")
            try:
                one = annotation_from_bytes(kind, body)
            except ValueError as problem:
                _refuse(file, f"{kind} {id_!r}: {problem}", problem)
            if [one.kind, one.id, about(one), author(one), one.known_at_s] != columns:
                _refuse(file, f"{kind} {id_!r}: columns and body differ")
            yield one


def filing_of(file: SqliteFile) -> Filing:
    """Return how a file's trajectories are filed at present."""
    try:
        return Filing(file.noted(SPACE).get(SPACE))
    except ValueError as problem:
        raise StoreError(file.path, f"{problem}; {RESTORE}") from problem


def _refuse(file: SqliteFile, what: str, cause: Exception | None = None) -> NoReturn:
    raise StoreError(file.path, f"{what}; {RESTORE}") from cause
