"""The journal: every finished round of a run, durable before the next one begins.

One SQLite file in the run folder. It is all that a restarted coordinator, or ``swarm resume``,
needs: each host's state after a round, and what the report is made of. Rounds are written by
one process at a time; others may read, and note faults.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.core.knowledge import View
from swarm_runtime.core.messages import HostRound, WriteRound
from swarm_runtime.errors import RunFolderError

__all__ = ["Journal", "LastRound"]

_FORMAT = 1
#: Parts of a ``HostRound`` that are kept elsewhere: experiences in the bank, states in ``states``.
_ELSEWHERE = ("sealed", "checkpoint")
_TABLES = """
CREATE TABLE IF NOT EXISTS rounds (
    arm TEXT NOT NULL, cycle INTEGER NOT NULL, messages INTEGER NOT NULL, report BLOB NOT NULL,
    PRIMARY KEY (arm, cycle)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (
    arm TEXT NOT NULL PRIMARY KEY, cycle INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lives (number INTEGER PRIMARY KEY, arm TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    number INTEGER PRIMARY KEY, arm TEXT NOT NULL, cycle INTEGER NOT NULL, part TEXT NOT NULL,
    reason TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class LastRound:
    """Where an arm stands.

    Attributes
    ----------
    cycle : int
        The last finished cycle; -1 if there is none.
    checkpoints : tuple of bytes
        Each host's state after it; empty if there is none.
    view : dict
        The experiences these states rest on.
    """

    cycle: int
    checkpoints: tuple[bytes, ...]
    view: View


class Journal:
    """The journal of one run.

    Parameters
    ----------
    path : path or ``:memory:``
        Created when it isn't there.

    Raises
    ------
    RunFolderError
        If the file can't be written, or is no journal.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        try:
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=30.0)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _FORMAT):
                raise RunFolderError(
                    self._path, f"journal format {version}; this version reads {_FORMAT}"
                )
            self._database.executescript(_TABLES)
            self._database.execute(f"PRAGMA user_version={_FORMAT}")
        except sqlite3.Error as error:
            raise RunFolderError(self._path, f"the journal can't be used: {error}") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def begin_life(self, arm: str) -> int:
        """Count that a coordinator takes up an arm; return how many did, over all arms."""
        cursor = self._database.execute("INSERT INTO lives (arm) VALUES (?)", (arm,))
        return int(cursor.lastrowid or 0)

    def write(self, finished: WriteRound) -> None:
        """Make a finished round durable; writing the same round again changes nothing."""
        arm, cycle, rounds = finished.step.arm, finished.step.cycle, finished.rounds
        report = encode([_report(one) for one in rounds])
        state = encode(
            {"view": finished.view, "checkpoints": [_as_array(one.checkpoint) for one in rounds]}
        )
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.execute(
                "INSERT OR IGNORE INTO rounds VALUES (?, ?, ?, ?)",
                (arm, cycle, finished.messages, report),
            )
            self._database.execute(
                "INSERT INTO states VALUES (?, ?, ?) ON CONFLICT (arm) DO UPDATE "
                "SET cycle = excluded.cycle, state = excluded.state "
                "WHERE excluded.cycle > states.cycle",
                (arm, cycle, state),
            )
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def last(self, arm: str) -> LastRound:
        """Return where an arm stands."""
        row = self._database.execute(
            "SELECT cycle, state FROM states WHERE arm = ?", (arm,)
        ).fetchone()
        if row is None:
            return LastRound(-1, (), {})
        state = self._read(row[1])
        checkpoints = tuple(array.tobytes() for array in state["checkpoints"])
        return LastRound(row[0], checkpoints, state["view"])

    def last_cycle(self, arm: str) -> int:
        """Return the last finished cycle of an arm; -1 if there is none."""
        row = self._database.execute("SELECT cycle FROM states WHERE arm = ?", (arm,)).fetchone()
        return -1 if row is None else int(row[0])

    def write_fault(self, arm: str, cycle: int, part: str, reason: str) -> None:
        """Note that a part of the infrastructure failed, and was or will be masked."""
        self._database.execute(
            "INSERT INTO faults (arm, cycle, part, reason) VALUES (?, ?, ?, ?)",
            (arm, cycle, part, reason),
        )

    def faults(self) -> list[tuple[str, int, str, str]]:
        """Return (arm, cycle, part, reason) of all faults, oldest first."""
        return list(
            self._database.execute("SELECT arm, cycle, part, reason FROM faults ORDER BY number")
        )

    def rounds(self, arm: str) -> Iterator[list[HostRound]]:
        """Yield the finished rounds of an arm in order, one ``HostRound`` per host.

        Experiences and checkpoints are left empty.
        """
        for (blob,) in self._database.execute(
            "SELECT report FROM rounds WHERE arm = ? ORDER BY cycle", (arm,)
        ):
            yield [_round(values) for values in self._read(blob)]

    def messages(self, arm: str) -> int:
        """Return how many messages hosts exchanged in all finished rounds of an arm."""
        row = self._database.execute(
            "SELECT COALESCE(SUM(messages), 0) FROM rounds WHERE arm = ?", (arm,)
        ).fetchone()
        return int(row[0])

    def _read(self, blob: bytes) -> Any:
        try:
            return decode(blob)
        except ValueError as error:
            raise RunFolderError(
                self._path, f"the journal is damaged ({error}); start the run anew"
            ) from error


def _as_array(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)


def _report(one: HostRound) -> dict[str, Any]:
    return {
        field.name: getattr(one, field.name)
        for field in fields(one)
        if field.name not in _ELSEWHERE
    }


def _round(values: dict[str, Any]) -> HostRound:
    cuts = tuple((int(agent), str(text)) for agent, text in values.pop("cuts"))
    return HostRound(**values, cuts=cuts, sealed=(), checkpoint=b"")
