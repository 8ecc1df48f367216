"""Several callers' records in one commit, each caller with an answer of its own.

What a commit costs is the wait for the disk, however much is in it. So a server that records for
many callers at once puts what they sent meanwhile into one commit; a savepoint for each of them
keeps apart what can't be taken. Above: the bank's actor. Below: ``store``,
``recording``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from swarm_runtime.core.knowledge import Sealed
from swarm_runtime.memory.log import retention
from swarm_runtime.memory.log.protocol import SPACE
from swarm_runtime.memory.log.recording import (
    annotation_rows,
    record_annotations,
    record_experiences,
    record_trajectories,
    trajectory_rows,
)
from swarm_runtime.memory.log.rows import filing_of
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.annotations import Annotation
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Batch", "GroupStore"]


class Batch(NamedTuple):
    """What one caller wants to be recorded: all of it, or nothing."""

    sealed: Sequence[Sealed] = ()
    trajectories: Sequence[Trajectory] = ()
    annotations: Sequence[Annotation] = ()

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self.sealed) + len(self.trajectories) + len(self.annotations)


class GroupStore(SqliteStore):
    """A log that takes the batches of several callers in one commit."""

    def record_each(self, batches: Sequence[Batch]) -> list[int | Exception]:
        """Make batches durable in one commit, in their order: each wholly, or not at all.

        Returns
        -------
        list of int or Exception, as long as ``batches``
            How many of a batch's records were new; or why nothing of it was recorded, which is
            what ``record_all`` would have raised for it alone.

        Raises
        ------
        StoreError
            If the file or the disk refuses. Then nothing of any batch was recorded.
        """
        outcomes: list[int | Exception] = []
        passed_over = 0
        with self._file.transaction():
            noted = self._file.noted(SPACE, *retention.NOTES)
            if noted.get(SPACE) != self._filing.space:
                # Another handle noted a space since this one was opened.
                self._filing = filing_of(self._file)
            for batch in batches:
                self._file.connection.execute("SAVEPOINT batch")
                try:
                    new, late = self._take(batch, noted)
                except sqlite3.Error:
                    raise  # of the file, not of this batch
                except Exception as problem:
                    self._file.connection.execute("ROLLBACK TO batch")
                    outcomes.append(problem)
                else:
                    outcomes.append(new)
                    passed_over += late
                self._file.connection.execute("RELEASE batch")
        self._late += passed_over
        return outcomes

    def _take(self, batch: Batch, noted: Mapping[str, str]) -> tuple[int, int]:
        """Return how many were new, and how many came too late to be taken."""
        tries = trajectory_rows(batch.trajectories, self._filing)
        notes = annotation_rows(batch.annotations)
        new = record_experiences(self._file, batch.sealed)
        recorded, late = record_trajectories(self._file, tries, noted)
        return new + recorded + record_annotations(self._file, notes, noted), late
