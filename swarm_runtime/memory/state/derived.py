"""What is derived from the log, and kept in step with it: ledgers, catalogue, items.

It is filled when it is first needed and then takes what was added since, by whichever process.
Should reading the log fail half-way, or the log let go of something, all is thrown away and filled
anew: nothing counts twice. Contexts of the declared space go to the ledger of its cells, all others
to the catalogue.

Above: ``bank``. Below: ``log``, ``space_ledger``, ``catalogue``, ``recall``, ``search``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.choice.policies import Belief
from swarm_runtime.memory.choice.ranking import Statistics, recency_table
from swarm_runtime.memory.log.protocol import ExperienceStore, Position, Record
from swarm_runtime.memory.records.annotations import Item, TargetKind, Tombstone, Verdict
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import ContextSpace, pattern_id
from swarm_runtime.memory.records.trajectory import Context, Trajectory
from swarm_runtime.memory.state.beliefs import Beliefs
from swarm_runtime.memory.state.catalogue import LATEST, Catalogue
from swarm_runtime.memory.state.drift import Drift
from swarm_runtime.memory.state.hearsay import Hearsay
from swarm_runtime.memory.state.ledger import Recall
from swarm_runtime.memory.state.patterns import Outcome, Pattern, PatternFold, outcomes_of
from swarm_runtime.memory.state.recall import recall
from swarm_runtime.memory.state.revisions import Revisions
from swarm_runtime.memory.state.search import Filters, Found, Searcher
from swarm_runtime.memory.state.shelf import FoundItem, Shelf
from swarm_runtime.memory.state.snapshots import Snapshots
from swarm_runtime.memory.state.space_ledger import SpaceLedger
from swarm_runtime.memory.state.standing import Standings, pattern_at
from swarm_runtime.memory.state.tables import Embeds, Vectors
from swarm_runtime.memory.trust.agents import (
    FULL_LEVEL,
    TRANSFER_PRIOR,
    Doubt,
    standing_count,
)
from swarm_runtime.memory.trust.assessment import Assessed, Assessor, OutcomeColumns, PlaceColumns

__all__ = ["Derived"]

#: Moments lie before it.
_END_S = 2**60


class Derived:
    """What follows a log.

    Parameters
    ----------
    store : ExperienceStore
    space : ContextSpace or None
    settings : MemorySettings
    embedder : Embeds
    new_index : callable
        Makes an empty index of the embedder's dimension, in memory.
    snapshots : Snapshots or None
        Where what was derived is kept for the next start; None: nowhere.
    """

    catalogue: Catalogue
    shelf: Shelf
    _searcher: Searcher
    _revisions: Revisions
    _assessor: Assessor
    _drift: Drift
    _beliefs: Beliefs
    _hearsay: Hearsay
    _assessed: Assessed | None
    _assessed_version: int
    _position: Position
    _generation: int
    _stamp: tuple[int, int] | None
    _stale: bool

    def __init__(
        self,
        store: ExperienceStore,
        space: ContextSpace | None,
        settings: MemorySettings,
        embedder: Embeds,
        new_index: Callable[[], Vectors],
        snapshots: Snapshots | None = None,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._settings = settings
        self.reader = ContextReader(space)
        self._embedder = embedder
        self._new_index = new_index
        self._recency = recency_table(settings.half_life_days)
        self._cells = SpaceLedger(space, shadow_teaches=settings.shadow_teaches) if space else None
        #: Grows whenever an answer may change, except by the moment that is asked about.
        self.serial = 0
        self._forget()

    # --- what is known by a moment -----------------------------------------------------------

    def recall(
        self,
        context: Context,
        task_type: str,
        candidates: Sequence[str],
        domain: str | None,
        as_of_s: int,
    ) -> Recall:
        """Return what was known by a moment of some candidates in contexts like one."""
        self.follow()
        cell = self.reader.number(context)
        if cell is not None and self._cells is not None:
            self._stand(as_of_s)
            return self._cells.recall(cell, task_type, candidates, domain)
        self._open_at(as_of_s)
        query = self._embedder.embed_many([context])[0]
        levels = self._levels(domain, task_type)
        return recall(self.catalogue, query, task_type, candidates, domain, levels=levels)

    def belief(
        self, context: Context, task_type: str, candidates: Sequence[str], domain: str | None
    ) -> Belief | None:
        """Return what a linear model predicts at the moment of the last ``recall``.

        None where it has nothing to go by; so it is in the declared space, which has no model.
        """
        if self.reader.number(context) is not None:
            return None
        levels = self._levels(domain, task_type)
        return self._beliefs.predict(context, task_type, candidates, domain, levels)

    def search(
        self,
        context: Context | None,
        filters: Filters,
        count: int,
        as_of_s: int | None,
        diversity: float,
    ) -> list[Found]:
        """Return the patterns of open contexts that pass and are nearest to a context."""
        self.follow()
        self._open_at(as_of_s)
        query = None if context is None else self._embedder.embed_many([context])[0]
        return self._searcher.search(query, filters, count, now_s=as_of_s, diversity=diversity)

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
        self.follow()
        self._stand(as_of_s)
        return self._cells.statistics(task_type, approaches, domain)

    def approaches(self, task_type: str, domain: str | None) -> list[str]:
        """Return every approach to a type of task that was recorded, in order of names."""
        self.follow()
        known = set(self._cells.approaches(task_type, domain)) if self._cells is not None else set()
        catalogue = self.catalogue
        kind = catalogue.task_types.find(task_type)
        field = -1 if domain is None else catalogue.domains.find(domain)
        if kind >= 0 and (domain is None or field >= 0):
            place = catalogue.patterns.place.rows
            here = catalogue.places.task_type.rows[place] == kind
            if field >= 0:
                here &= catalogue.places.domain.rows[place] == field
            numbers = np.unique(catalogue.patterns.approach.rows[here]).tolist()
            known.update(catalogue.approaches.texts[number] for number in numbers)
        return sorted(known)

    def standings(self, as_of_s: int | None) -> Standings:
        """Return how all patterns of open contexts stand at a moment (None: no limit)."""
        self.follow()
        self._open_at(as_of_s)
        return self._searcher.standings(as_of_s)

    def find_items(
        self,
        context: Context,
        task_type: str,
        domain: str | None,
        as_of_s: int,
        experiences: int,
        minimum_similarity: float,
        keep: Callable[[Item], bool] | None = None,
    ) -> list[FoundItem]:
        """Return what the experiences nearest to a task teach; see ``shelf.Shelf.find``."""
        self.follow()
        return self.shelf.find(
            context,
            task_type,
            domain=domain,
            as_of_s=as_of_s,
            experiences=experiences,
            minimum_similarity=minimum_similarity,
            keep=keep,
        )

    # --- patterns ----------------------------------------------------------------------------

    def patterns(self, as_of_s: int | None) -> list[Pattern]:
        """Return what was known by a moment (None: no limit), by pattern.

        Patterns of the declared space are folded from the whole log.
        """
        standings = self.standings(as_of_s)
        found = [pattern_at(self.catalogue, standings, at) for at in range(len(standings.patterns))]
        if self._cells is not None:
            found += self._fold(as_of_s).patterns(as_of_s)
        return sorted(found, key=lambda one: (one.domain, one.task_type, one.approach, one.id))

    def pattern(self, id_: str, as_of_s: int | None) -> tuple[Pattern, list[Outcome]] | None:
        """Return a pattern and the outcomes that taught it; None if nothing is known of it.

        Outcomes that were carried out come first, the newest first.
        """
        self.follow()
        self._open_at(as_of_s)
        row = self.catalogue.pattern_of(id_)
        if row is not None:
            rows = np.array([row], dtype=np.int64)
            standings = self._searcher.of(rows, as_of_s)
            if not len(standings.patterns):
                return None
            found = pattern_at(self.catalogue, standings, 0)
            outcomes = self._outcomes(id_, self._store.tries(id_, as_of_s), as_of_s)
            return found, sorted(outcomes, key=lambda one: one.known_at_s, reverse=True)
        if self._cells is None:
            return None
        fold = self._fold(as_of_s)
        key = fold.key(id_)
        if key is None or id_ in self._revisions.revoked_patterns(as_of_s):
            return None
        (found,) = (one for one in fold.patterns(as_of_s) if one.id == id_)
        taught = [
            one
            for record in self._tries_in_space(as_of_s)
            for one in outcomes_of(record, key, self.reader)
            if one.actual or self._settings.shadow_teaches
        ]
        return found, sorted(taught, key=lambda one: (one.actual, one.known_at_s), reverse=True)

    def is_revoked(self, kind: TargetKind, target: str, as_of_s: int | None) -> bool:
        """Return whether something is revoked at a moment; None: at the end of time."""
        return self._revisions.revoked(kind, target, as_of_s)

    def standing(self, one: Trajectory, as_of_s: int | None) -> Trajectory | None:
        """Return a try with the verdict that stands at a moment; None where it is revoked."""
        found = self._revisions.standing(one, as_of_s)
        return found if isinstance(found, Trajectory) else None

    def tries_of(self, task_type: str, most: int) -> list[Trajectory]:
        """Return tries at tasks of a type, those that were known first."""
        some: list[Trajectory] = []
        for one in self._store.in_order_of_time():
            if isinstance(one, Trajectory) and one.task_type == task_type:
                some.append(one)
                if len(some) == most:
                    break
        return some

    def _outcomes(
        self, id_: str, tries: Sequence[Trajectory], as_of_s: int | None
    ) -> list[Outcome]:
        found: list[Outcome] = []
        for one in tries:
            record = self._revisions.standing(one, as_of_s)
            if record is not None:
                cell = self.reader.cell(one.context)
                key = (one.domain, one.task_type, one.approach, cell)
                if pattern_id(*key) == id_:
                    found += outcomes_of(record, key, self.reader)
        return found

    def _fold(self, as_of_s: int | None) -> PatternFold:
        fold = PatternFold(self.reader, self._settings)
        fold.leave_out(self._revisions.revoked_patterns(as_of_s))
        for record in self._tries_in_space(as_of_s):
            fold.add(record)
        return fold

    def _tries_in_space(self, as_of_s: int | None) -> Iterator[Experience | Trajectory]:
        for record in self._store.in_order_of_time(as_of_s):
            if isinstance(record, Experience) or self.reader.number(record.context) is not None:
                standing = self._revisions.standing(record, as_of_s)
                if standing is not None:
                    yield standing

    # --- trust and transfer ------------------------------------------------------------------

    def _open_at(self, as_of_s: int | None) -> None:
        """Let the catalogue stand at a moment, and believe its agents as far as they deserve."""
        catalogue = self.catalogue
        catalogue.advance(_END_S if as_of_s is None else as_of_s)
        if self._settings.forgets:
            self._drift.update()
        if catalogue.version == self._assessed_version:
            return
        if self._settings.trust or self._settings.transfer:
            rows = np.flatnonzero(catalogue.outcomes.counted.rows)
            standing = self._assessed is not None and (
                self._assessed.count == standing_count(len(rows))
                and self._assessed.until < catalogue.disturbed
            )
            if not standing:
                self._assess(rows)
        self._assessed_version = catalogue.version

    def _assess(self, rows: npt.NDArray[np.int64]) -> None:
        catalogue = self.catalogue
        pair = catalogue.outcomes.pair.rows[rows]
        pattern = catalogue.pairs.pattern.rows[pair]
        outcomes = OutcomeColumns(
            place=catalogue.patterns.place.rows[pattern],
            approach=catalogue.patterns.approach.rows[pattern],
            agent=catalogue.pairs.agent.rows[pair],
            counters=catalogue.outcomes.counters.rows[rows],
            known_s=catalogue.outcomes.known_s.rows[rows],
            number=catalogue.outcomes.number.rows[rows],
        )
        places = PlaceColumns(
            number=catalogue.places.key.rows,
            domain=catalogue.places.domain.rows,
            task_type=catalogue.places.task_type.rows,
        )
        agents, domains = len(catalogue.agents), len(catalogue.domains)
        self._assessed = self._assessor.assess(outcomes, places, agents, domains)
        catalogue.disturbed = LATEST
        if self._settings.trust:
            catalogue.set_trust(self._assessed.trust.levels)

    def _levels(self, domain: str | None, task_type: str) -> npt.NDArray[np.int64] | None:
        """Return how much of each domain counts where one is asked about."""
        catalogue = self.catalogue
        if domain is None or not self._settings.transfer or len(catalogue.domains) == 0:
            return None
        to = catalogue.domains.find(domain)
        known = self._assessed.transfer if self._assessed is not None else None
        levels = np.full(len(catalogue.domains), TRANSFER_PRIOR, dtype=np.int64)
        if known is not None and 0 <= to < len(known):
            levels[: len(known)] = known[:, to]
        if to >= 0:
            levels[to] = FULL_LEVEL
        return self._hearsay.weighed(catalogue.task_types.find(task_type), to, levels)

    def doubts(self, as_of_s: int | None) -> list[Doubt]:
        """Return which agents count for less at a moment, and why."""
        self.follow()
        self._open_at(as_of_s)
        if self._assessed is None or not self._settings.trust:
            return []
        return self._assessed.trust.doubts(self.catalogue.agents.texts)

    # --- in step with the log ----------------------------------------------------------------

    def follow(self) -> None:
        """Take what was added to the log since it was last read."""
        stamp = self._store.stamp()
        if stamp == self._stamp:
            return
        try:
            # At one go: between two reads another process might let go of something.
            with self._store.reading():
                self._follow()
            self._stamp = stamp
            if self._snapshots is not None and self._snapshots.due(len(self.catalogue.cells)):
                self.snapshot()
        except BaseException:
            self._forget()
            raise

    def _follow(self) -> None:
        generation = self._store.generation()
        if generation != self._generation:
            self._forget()
            self._generation = generation
            if not self._take_up():
                self._take_folded()
        tries: list[Trajectory] = []
        items: list[Item] = []
        before = self._position
        for record in self._since(self._position):
            if isinstance(record, (Verdict, Tombstone)):
                self._revise(record)
            elif isinstance(record, Item):
                items.append(record)
            elif isinstance(record, Experience):
                self._into_space(record)
            elif isinstance(record, Trajectory) and not self._into_space(record):
                tries.append(record)
        self.catalogue.offer(tries)
        self.shelf.add(items)
        if self._position != before:
            self.serial += 1

    def _take_up(self) -> bool:
        """Go on from the last snapshot, if there is one of this log."""
        if self._snapshots is None:
            return False
        kept = self._snapshots.load(self._store, self._new_catalogue)
        if kept is None:
            self._snapshots.forget()
            return False
        catalogue, self._position = kept
        self._attach(catalogue)
        for kind in ("verdict", "tombstone", "item"):
            # Some may be newer than the snapshot; taking them twice changes nothing.
            for record in self._store.annotations(kind):
                if isinstance(record, Item):
                    self.shelf.add([record])
                elif isinstance(record, (Verdict, Tombstone)):
                    self._revise(record)
        return True

    def snapshot(self) -> bool:
        """Keep what was derived for the next start; return whether that was possible."""
        if self._snapshots is None:
            return False
        return self._snapshots.save(self._store, self.catalogue, self._position)

    def _revise(self, record: Verdict | Tombstone) -> None:
        self._revisions.add(record)
        # What the ledger of cells has folded can't be taken out of it.
        self._stale = True
        if isinstance(record, Verdict):
            self.catalogue.judge([record])
        else:
            self.catalogue.revoke([record])
            self.shelf.revoke(record.target_kind, record.target, record.from_s)

    def close(self) -> None:
        """Keep what is worth keeping, and let go of files."""
        if self._snapshots is not None and self._generation == self._store.generation():
            self._snapshots.save_if_new(self._store, self.catalogue, self._position)

    def discard(self) -> None:
        """Throw away what was derived; it is derived anew when it is next needed."""
        if self._snapshots is not None:
            self._snapshots.discard()
        self._forget()

    def stand(self, moment_s: int) -> None:
        """Let the catalogue stand at a moment, forgotten what is forgotten by then."""
        self.catalogue.advance(moment_s)
        if self._settings.forgets:
            self._drift.update()

    def fresh(self) -> Derived:
        """Return another one, derived from the whole log."""
        other = Derived(
            self._store, self.reader.space, self._settings, self._embedder, self._new_index
        )
        other.follow()
        return other

    def _forget(self) -> None:
        self._attach(self._new_catalogue(self._new_index()))
        self._revisions = Revisions()
        self.shelf = Shelf(self._embedder, self._new_index())
        if self._cells is not None:
            self._cells.clear()
        self._stale = False
        self._position = Position()
        self._generation = -1
        self._stamp = None
        self.serial += 1

    def _new_catalogue(self, index: Vectors) -> Catalogue:
        return Catalogue(self._embedder, self.reader, index)

    def _attach(self, catalogue: Catalogue) -> None:
        """Answer from another catalogue."""
        self.catalogue = catalogue
        self._searcher = Searcher(catalogue, self._settings, self._recency)
        self._assessor = Assessor(catalogue.vectors)
        self._assessed = None
        self._assessed_version = -1
        self._drift = Drift(catalogue)
        self._beliefs = Beliefs(catalogue)
        self._hearsay = Hearsay(catalogue, self._beliefs)
        # What the ledger of cells needs is not in a snapshot of the catalogue.
        self._stale = True

    def _take_folded(self) -> None:
        rows = list(self._store.folded_rows())
        if self._cells is None:
            self.catalogue.offer(rows)
            return
        open_rows = []
        for row in rows:
            cell = self.reader.number(self.reader.centre(row.cell))
            if cell is None:
                open_rows.append(row)
            elif not self._revisions.revoked("agent", row.agent, self._cells.as_of_s):
                self._cells.offer_folded(row, cell)
        self.catalogue.offer(open_rows)

    def _since(self, position: Position, until: Position | None = None) -> Iterator[Record]:
        """Yield what the log has after a position, up to another or to its end."""
        while True:
            records, end = self._store.since(position, until)
            if end == position:
                break
            yield from records
            position = end
        self._position = position

    def _stand(self, as_of_s: int) -> None:
        """Let the space's ledger stand at a moment; it is filled anew where it can't just go on."""
        assert self._cells is not None
        stands_s = self._cells.as_of_s
        if self._stale or as_of_s < stands_s or self._revisions.changed_between(stands_s, as_of_s):
            self._cells.clear(self._revisions.revoked_patterns(as_of_s))
            self._cells.as_of_s = as_of_s
            self._fill_cells(as_of_s)
            self._stale = False
        self._cells.advance(as_of_s)

    def _fill_cells(self, as_of_s: int) -> None:
        assert self._cells is not None
        with self._store.reading():
            for row in self._store.folded_rows():
                cell = self.reader.number(self.reader.centre(row.cell))
                if cell is not None and not self._revisions.revoked("agent", row.agent, as_of_s):
                    self._cells.offer_folded(row, cell)
            for record in self._since(Position(), self._position):
                if isinstance(record, (Experience, Trajectory)):
                    self._into_space(record)

    def _into_space(self, record: Experience | Trajectory) -> bool:
        """Offer a record to the space's ledger; return whether it belongs there."""
        if self._cells is None:
            return False
        cell = None if isinstance(record, Experience) else self.reader.number(record.context)
        if not isinstance(record, Experience) and cell is None:
            return False
        standing = self._revisions.standing(record, self._cells.as_of_s)
        if isinstance(standing, Experience):
            self._cells.offer(standing)
        elif standing is not None and cell is not None:
            self._cells.offer_trajectory(standing, cell)
        return True
