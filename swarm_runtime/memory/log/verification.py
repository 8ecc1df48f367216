"""Reads all that a bank's file holds, and checks it. Above: ``store``. Below: ``store_rows``."""

from __future__ import annotations

from typing import NoReturn

from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.files import RESTORE, SqliteFile
from swarm_runtime.memory.log.filing import pattern_number
from swarm_runtime.memory.log.retention import folded_rows, folded_usage
from swarm_runtime.memory.log.rows import (
    filed_trajectories,
    filing_of,
    opened,
    read_annotations,
    read_sealed,
)

__all__ = ["verify"]


def verify(file: SqliteFile) -> int:
    """Return how many records there are; see ``log.ExperienceStore.verify``.

    Annotations may speak of what is not here: it may come later, or have been let go.
    """
    count = 0
    with file.reading():
        found = [str(row[0]) for row in file.connection.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            _refuse(file, f"is damaged ({found[0]})")
        rows = file.connection.execute(
            "SELECT agent, max(epoch), count(*) FROM experiences GROUP BY agent"
        ).fetchall()
        for agent, last, epochs in rows:
            if last != epochs:
                _refuse(file, f"{agent}: {epochs} of {last} epochs")
        for sealed in read_sealed(file, "true", ()):
            opened(file, sealed)
            count += 1
        filing = filing_of(file)
        for _, number, one in filed_trajectories(file, "true", ()):
            if number != filing.number(one):
                _refuse(file, f"trajectory {one.id!r}: is filed elsewhere")
            count += 1
        for _ in read_annotations(file, "true", ()):
            count += 1
        for number, row in folded_rows(file):
            name = f"what is folded of {row.approach!r} by {row.agent!r}"
            if number != pattern_number((row.domain, row.task_type, row.approach, row.cell)):
                _refuse(file, f"{name}: is filed elsewhere")
        for _ in folded_usage(file):
            pass
    return count


def _refuse(file: SqliteFile, what: str) -> NoReturn:
    raise StoreError(file.path, f"{what}; {RESTORE}")
