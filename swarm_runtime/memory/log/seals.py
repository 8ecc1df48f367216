"""Seals of a bank's file: which records are here, without reading them. Above: ``store``.

A *place* names a row for good: twice its number, plus one where it is an annotation. Below:
``sqlite_files``, ``store_rows``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from swarm_runtime.core.codec import encode
from swarm_runtime.core.knowledge import View
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.deltas import Packet
from swarm_runtime.memory.log.files import RESTORE, SqliteFile
from swarm_runtime.memory.log.protocol import Position
from swarm_runtime.memory.log.rows import seal_of
from swarm_runtime.memory.log.seal_index import Seal

__all__ = ["chunk_ends", "epoch_seals", "fingerprint", "packets_at", "seals_between"]


def chunk_ends(file: SqliteFile, position: Position, until: Position | None, most: int) -> Position:
    """Return the position after the next rows of each table; rows never change once they are here.

    Parameters
    ----------
    file : SqliteFile
    position : Position
        After which.
    until : Position or None
        Up to which; None: no limit.
    most : int
        Rows of each table.
    """
    ends: list[int] = []
    for at, table in enumerate(Position._fields):
        after, last = position[at], 2**62 if until is None else until[at]
        (end,) = file.connection.execute(
            "SELECT max(seq) FROM (SELECT seq"
            f" FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)",
            (after, last, most),
        ).fetchone()
        ends.append(after if end is None else int(end))
    return Position(*ends)


def seals_between(file: SqliteFile, after: Position, end: Position) -> list[Seal]:
    """Return seals of trajectories, then of annotations, in a span of rows."""
    found: list[Seal] = []
    span = "WHERE seq > ? AND seq <= ? ORDER BY seq"
    with file.explained():
        for at, columns in ((1, "'trajectory', id"), (2, "kind, id")):
            table = Position._fields[at]
            rows = file.connection.execute(
                f"SELECT {columns}, known_at_s, sha256, 2 * seq + {at - 1} FROM {table} {span}",
                (after[at], end[at]),
            )
            found += map(Seal._make, rows)
    return found


def packets_at(file: SqliteFile, places: Sequence[int]) -> list[Packet]:
    """Return records by place; those that are gone are left out."""
    found: list[Packet] = []
    queries = (
        "SELECT 'trajectory', body, sha256, id FROM trajectories WHERE seq = ?",
        "SELECT kind, body, sha256, id FROM annotations WHERE seq = ?",
    )
    with file.reading():
        for place in places:
            row = file.connection.execute(queries[place % 2], (place // 2,)).fetchone()
            if row is None:
                continue
            kind, body, seal, id_ = row
            if seal_of(body) != seal:
                raise StoreError(file.path, f"{kind} {id_!r} does not match its seal; {RESTORE}")
            found.append(Packet(kind, body))
    return found


def epoch_seals(file: SqliteFile, view: View) -> dict[str, bytes]:
    """Return the SHA-256 of one epoch of each agent, of those that are here."""
    query = "SELECT sha256 FROM experiences WHERE agent = ? AND epoch = ?"
    with file.reading():
        found = {
            agent: file.connection.execute(query, (agent, epoch)).fetchone()
            for agent, epoch in view.items()
        }
    return {agent: bytes(row[0]) for agent, row in found.items() if row is not None}


def fingerprint(file: SqliteFile, name: str, generation: int, position: Position) -> str:
    """Return a proof of what a log of a name and generation holds up to a position.

    Of each table the last row counts, the one before it, those two, four, eight, ... before: a log
    that was restored from a backup and went on differently differs in one of them.
    """
    parts: list[object] = [name, generation]
    with file.reading():
        for table, last in zip(Position._fields, position, strict=True):
            query = f"SELECT seq, sha256 FROM {table} WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
            for step in (0, *(1 << bit for bit in range(last.bit_length()))):
                row = file.connection.execute(query, (last - step,)).fetchone()
                parts.append(None if row is None else [row[0], row[1].hex()])
    return hashlib.sha256(encode(parts)).hexdigest()
