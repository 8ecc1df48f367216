"""What is derived from the log: ledgers that follow it, patterns that are folded when asked for.

The ledgers are filled when they are first needed and then take what was added since, by whichever
process. Should reading the log fail half-way, they are thrown away, and filled anew next time:
nothing counts twice. Above: ``bank``. Below: ``store``, ``space_ledger``, ``open_ledger``,
``patterns``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.contexts import ContextReader
from swarm_runtime.memory.embedding import Embedder
from swarm_runtime.memory.ledger import Recall
from swarm_runtime.memory.open_ledger import OpenLedger
from swarm_runtime.memory.pattern import ContextSpace
from swarm_runtime.memory.patterns import Outcome, PatternFold, PatternKey, outcomes_of
from swarm_runtime.memory.ranking import Statistics
from swarm_runtime.memory.space_ledger import SpaceLedger
from swarm_runtime.memory.store import ExperienceStore, Position, Record
from swarm_runtime.memory.trajectory import Context, Trajectory

__all__ = ["Derived"]


class Derived:
    """Ledgers and patterns of a log.

    Parameters
    ----------
    store : ExperienceStore
    space : ContextSpace or None
    settings : MemorySettings
    dimension : int
        Of the embedding of open contexts.
    """

    def __init__(
        self,
        store: ExperienceStore,
        space: ContextSpace | None,
        settings: MemorySettings,
        dimension: int,
    ) -> None:
        self._store = store
        self._settings = settings
        self._reader = ContextReader(space)
        self._embedder = Embedder(dimension, space)
        self._cells = SpaceLedger(space, shadow_teaches=settings.shadow_teaches) if space else None
        self._forget()

    def recall(
        self,
        context: Context,
        task_type: str,
        candidates: Sequence[str],
        domain: str | None,
        as_of_s: int,
    ) -> Recall:
        """Return what was known by a moment of some candidates in contexts like one."""
        self._catch_up(as_of_s)
        cell = self._reader.number(context)
        if cell is None or self._cells is None:
            return self._open.recall(context, task_type, candidates, domain, as_of_s)
        return self._cells.recall(cell, task_type, candidates, domain)

    def statistics(
        self, task_type: str, approaches: Sequence[str], domain: str | None, as_of_s: int
    ) -> Statistics:
        """Return the counters of the space's cells as of a moment.

        Raises
        ------
        ConfigError
            If there is no space.
        """
        if self._cells is None:
            raise ConfigError("space", None, "only a bank with a space has statistics of its cells")
        self._catch_up(as_of_s)
        return self._cells.statistics(task_type, approaches, domain)

    def approaches(self, task_type: str, domain: str | None) -> list[str]:
        """Return every approach to a type of task that was recorded, in order of names."""
        self._catch_up(None)
        known = set(self._open.approaches(task_type, domain))
        if self._cells is not None:
            known.update(self._cells.approaches(task_type, domain))
        return sorted(known)

    def fold(self, as_of_s: int | None) -> PatternFold:
        """Return the fold of all that was known by a moment; reads the whole log."""
        fold = PatternFold(self._reader, self._settings)
        for record in self._store.in_order_of_time(as_of_s):
            fold.add(record)
        return fold

    def outcomes(self, key: PatternKey, as_of_s: int | None) -> list[Outcome]:
        """Return the outcomes that taught a pattern: those carried out first, the newest first."""
        found: list[Outcome] = []
        for record in self._store.in_order_of_time(as_of_s):
            found += outcomes_of(record, key, self._reader)
        taught = [one for one in found if one.actual or self._settings.shadow_teaches]
        return sorted(taught, key=lambda one: (one.actual, one.known_at_s), reverse=True)

    def _forget(self) -> None:
        self._open = OpenLedger(self._embedder, self._reader)
        if self._cells is not None:
            self._cells.clear()
        self._position = Position()

    def _catch_up(self, as_of_s: int | None) -> None:
        """Take what was added to the log, and let the space's ledger stand at a moment.

        With None, that ledger stays where it is.
        """
        try:
            for record in self._since(self._position):
                if not self._into_space(record) and isinstance(record, Trajectory):
                    self._open.add(record)
            if self._cells is None or as_of_s is None:
                return
            if as_of_s < self._cells.as_of_s:
                self._cells.clear()
                for record in self._since(Position(), self._position):
                    self._into_space(record)
            self._cells.advance(as_of_s)
        except BaseException:
            self._forget()
            raise

    def _since(self, position: Position, until: Position | None = None) -> Iterator[Record]:
        """Yield what the log has after a position, up to another or to its end."""
        while True:
            records, end = self._store.since(position, until)
            if end == position:
                break
            yield from records
            position = end
        self._position = position

    def _into_space(self, record: Record) -> bool:
        """Offer a record to the space's ledger; return whether it belongs there."""
        if self._cells is None:
            return False
        if isinstance(record, Experience):
            self._cells.offer(record)
            return True
        cell = self._reader.number(record.context)
        if cell is None:
            return False
        self._cells.offer_trajectory(record, cell)
        return True
