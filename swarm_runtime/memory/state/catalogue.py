"""What is known of contexts of any kind, in columns. Derived from the log; pure but for its index.

Four tables, linked by row numbers:

* *places*: a context cell of a domain and task type; its row is its vector's row in the index;
* *patterns*: an approach at a place, with its counters;
* *pairs*: what one agent found of a pattern;
* *outcomes*: what was recorded, one row each (or one for many that retention folded).

The catalogue *stands at a moment*. An outcome is counted while it is known (``known_at_s`` <=
moment) and not revoked; ``advance`` moves the moment, forward by counting what has become known,
backward by counting anew. Counters are integers and each step adds or takes away, so the order in
which records arrive can't show. An agent's outcomes count in sixteenths, by how far it is trusted.

Above: ``recall`` reads it, ``derived`` keeps it in step with the log. Below: ``columns``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.choice.ranking import NEVER
from swarm_runtime.memory.log.protocol import FoldedRow
from swarm_runtime.memory.records.annotations import Tombstone, Verdict
from swarm_runtime.memory.records.contexts import Cell, ContextReader
from swarm_runtime.memory.records.pattern import pattern_id
from swarm_runtime.memory.records.trajectory import Context, Trajectory, excess_units
from swarm_runtime.memory.state.columns import Growing, Names
from swarm_runtime.memory.state.tables import (
    FULL_TRUST,
    NOT_REVOKED,
    Embeds,
    Mask,
    Outcomes,
    Pairs,
    Patterns,
    Places,
    Standing,
    Vectors,
    number_of,
)

__all__ = ["LATEST", "Catalogue"]

#: Later than any outcome.
LATEST = (2**62, 0)

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Masks that are kept.
_MASKS = 16
#: Contexts that are embedded at once.
_CHUNK = 4_096


#: JSON in one form; made once, since making it takes as long as using it.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def _counted(one: Trajectory | FoldedRow) -> tuple[int, int, tuple[int, ...], int]:
    """Return when an outcome was known, its trajectory's number, its counters and its verdict."""
    if isinstance(one, FoldedRow):
        return one.last_known_s, -1, one[5:10], 0
    excess, verdict = one.excess_units, one.verdict
    counters = (1, int(verdict > 0), int(verdict < 0), excess, excess * excess)
    return one.known_at_s, number_of(one.id), counters, verdict


class Catalogue:
    """Places, patterns, pairs and outcomes, standing at a moment.

    Parameters
    ----------
    embedder : Embeds
    reader : ContextReader
    index : Vectors
        Of the embedder's dimension, and empty.
    """

    def __init__(self, embedder: Embeds, reader: ContextReader, index: Vectors) -> None:
        self.reader = reader
        self.index = index
        self._embedder = embedder
        self.domains, self.task_types, self.approaches, self.agents = (Names() for _ in range(4))
        self.places, self.patterns, self.pairs = Places(), Patterns(), Pairs()
        self.outcomes = Outcomes()
        #: Cells by place, as JSON.
        self.cells: list[str] = []
        self._place_of: dict[int, int] = {}
        #: How far each agent is trusted, 0 to FULL_TRUST.
        self.trust = Growing(np.int64)
        #: The moment at which it stands.
        self.moment_s = NEVER
        #: Grows with every change of what is counted.
        self.version = 0
        self._newest: tuple[int, int] | None = None
        #: (known_s, number) of the earliest outcome that was counted, or taken out, since somebody
        #: set this to LATEST.
        self.disturbed = LATEST
        #: Told which outcomes were counted, taken out or, though forgotten, changed; None: any.
        self.listeners: list[Callable[[Integers | None], None]] = []
        self._waiting: set[int] = set()
        self._earliest_s = NOT_REVOKED
        #: The newest change that has happened by the moment.
        self._latest_s = NEVER
        #: By the number of the trajectory's id.
        self.verdicts: dict[int, list[Standing]] = {}
        self.revoked: dict[tuple[str, str], int] = {}
        self._masks: dict[tuple[int, int, frozenset[int] | None], Mask] = {}

    # --- taking records ----------------------------------------------------------------------

    def offer(self, tries: Sequence[Trajectory | FoldedRow]) -> None:
        """Take outcomes, each counted once its time has come."""
        for start in range(0, len(tries), _CHUNK):
            self._take(tries[start : start + _CHUNK])

    def _take(self, tries: Sequence[Trajectory | FoldedRow]) -> None:
        fresh: list[Context] = []
        patterns: list[int] = []
        pairs: list[int] = []
        for one in tries:
            cell = one.cell if isinstance(one, FoldedRow) else self.reader.cell(one.context)
            place = self._place(one.domain, one.task_type, cell, fresh)
            pattern = self._pattern(place, one, cell)
            patterns.append(pattern)
            pairs.append(self._pair(pattern, self._agent(one.agent)))
        if fresh:
            # The middle of each cell, not the context at hand: who comes first must not matter.
            self.index.add(self._embedder.embed_many(fresh))
        at = self._add_outcomes(tries, np.array(patterns, dtype=np.int64), pairs)
        self._revoke(at, tries)
        self._settle(at)

    def _place(self, domain: str, task_type: str, cell: Cell, fresh: list[Context]) -> int:
        text = _to_json(cell)
        key = number_of(f"{domain}\0{task_type}\0{text}")
        place = self._place_of.get(key)
        if place is None:
            place = self._place_of[key] = len(self.cells)
            self.cells.append(text)
            self.places.domain.append(self.domains.number(domain))
            self.places.task_type.append(self.task_types.number(task_type))
            self.places.key.append(key)
            self.places.first_pattern.append(-1)
            fresh.append(self.reader.centre(cell))
        return place

    def _pattern(self, place: int, one: Trajectory | FoldedRow, cell: Cell) -> int:
        approach = self.approaches.number(one.approach)
        patterns, first = self.patterns, self.places.first_pattern.rows
        at = int(first[place])
        while at >= 0:
            if patterns.approach.rows[at] == approach:
                return at
            at = int(patterns.following.rows[at])
        at = patterns.place.append(place)
        patterns.approach.append(approach)
        patterns.number.append(int(pattern_id(one.domain, one.task_type, one.approach, cell), 16))
        patterns.following.append(first[place])
        patterns.first_pair.append(-1)
        patterns.last_outcome.append(-1)
        patterns.counters.append(0)
        patterns.newest_s.append(NEVER)
        first[place] = at
        return at

    def _agent(self, name: str) -> int:
        number = self.agents.number(name)
        if number == len(self.trust):
            self.trust.append(FULL_TRUST)
        return number

    def _pair(self, pattern: int, agent: int) -> int:
        pairs, first = self.pairs, self.patterns.first_pair.rows
        at = int(first[pattern])
        while at >= 0:
            if pairs.agent.rows[at] == agent:
                return at
            at = int(pairs.following.rows[at])
        at = pairs.pattern.append(pattern)
        pairs.agent.append(agent)
        pairs.following.append(first[pattern])
        pairs.counters.append(0)
        first[pattern] = at
        return at

    def _add_outcomes(
        self, tries: Sequence[Trajectory | FoldedRow], patterns: Integers, pairs: list[int]
    ) -> Integers:
        known_s, numbers, counters, verdicts = zip(*map(_counted, tries), strict=True)
        count, outcomes = len(tries), self.outcomes
        first = outcomes.pair.extend(pairs)
        rows = np.arange(first, first + count, dtype=np.int64)
        # Those of one pattern are chained, in the order in which they came.
        last = self.patterns.last_outcome.rows
        previous = last[patterns]
        order = np.argsort(patterns, kind="stable")
        again = np.flatnonzero(np.diff(patterns[order]) == 0) + 1
        previous[order[again]] = rows[order[again - 1]]
        last[patterns[order]] = rows[order]
        outcomes.previous.extend(previous)
        outcomes.known_s.extend(known_s)
        outcomes.revoked_s.fill(first + count, NOT_REVOKED)
        outcomes.number.extend(numbers)
        outcomes.counters.extend(counters)
        outcomes.verdict.extend(verdicts)
        outcomes.counted.fill(first + count, False)
        outcomes.forgotten.fill(first + count, False)
        return rows

    # --- what changes later ------------------------------------------------------------------

    def judge(self, verdicts: Iterable[Verdict]) -> None:
        """Take later verdicts; each stands from its time on, until a later one does."""
        numbers: list[int] = []
        for one in verdicts:
            number = number_of(one.trajectory)
            known = self.verdicts.setdefault(number, [])
            excess = None if one.excess is None else excess_units(one.excess)
            entry = Standing(one.known_at_s, one.id, one.verdict, excess)
            if entry not in known:
                known.append(entry)
                known.sort(key=lambda one: one[:2])
                numbers.append(number)
        if numbers:
            rows = np.flatnonzero(np.isin(self.outcomes.number.rows, np.array(numbers)))
            self._settle(rows)

    def revoke(self, tombstones: Iterable[Tombstone]) -> None:
        """Let nothing use what they name, whether it is here already or comes later."""
        for one in tombstones:
            key = (one.target_kind, one.target)
            self.revoked[key] = min(self.revoked.get(key, NOT_REVOKED), one.from_s)
            rows = self._named(one)
            if len(rows):
                revoked = self.outcomes.revoked_s.rows
                revoked[rows] = np.minimum(revoked[rows], one.from_s)
                self._settle(rows)

    def _named(self, one: Tombstone) -> Integers:
        outcomes = self.outcomes
        if one.target_kind == "trajectory":
            return np.flatnonzero(outcomes.number.rows == number_of(one.target))
        if one.target_kind == "agent":
            agent = self.agents.find(one.target)
            return np.flatnonzero(self.pairs.agent.rows[outcomes.pair.rows] == agent)
        if one.target_kind == "pattern":
            pattern = self.pattern_of(one.target)
            if pattern is not None:
                return self.outcomes_of(pattern)
        return np.empty(0, dtype=np.int64)

    def _revoke(self, rows: Integers, tries: Sequence[Trajectory | FoldedRow]) -> None:
        """Revoke what tombstones name that came before it."""
        if not self.revoked:
            return
        patterns = {id_ for kind, id_ in self.revoked if kind == "pattern"}
        for row, one in zip(rows.tolist(), tries, strict=True):
            names = [("agent", one.agent)]
            if isinstance(one, Trajectory):
                names.append(("trajectory", one.id))
            if patterns:
                pattern = self.pairs.pattern.rows[self.outcomes.pair.rows[row]]
                names.append(("pattern", self.id_of(int(pattern))))
            times = [self.revoked.get(name, NOT_REVOKED) for name in names]
            self.outcomes.revoked_s.rows[row] = min(times)

    # --- the moment --------------------------------------------------------------------------

    def advance(self, moment_s: int) -> None:
        """Stand at a moment: count what was known by then, and nothing else."""
        if moment_s == self.moment_s:
            return
        # Between the newest change and now all moments are alike.
        back = moment_s < self._latest_s
        self.moment_s = moment_s
        if back:
            self._count_anew()
        elif moment_s >= self._earliest_s:
            # Also what is revoked or judged again from a moment on that has now come.
            self._settle(np.array(sorted(self._waiting), dtype=np.int64))

    def _count_anew(self) -> None:
        self.pairs.counters.rows[:] = 0
        self.patterns.counters.rows[:] = 0
        self.patterns.newest_s.rows[:] = NEVER
        self.outcomes.counted.rows[:] = False
        # Whoever forgets starts over too.
        self.outcomes.forgotten.rows[:] = False
        self._waiting, self._earliest_s, self._latest_s = set(), NOT_REVOKED, NEVER
        self._masks.clear()
        self.version += 1
        self._settle(np.arange(len(self.outcomes.pair), dtype=np.int64))
        self._tell(None)

    def forget(self, rows: Integers, forgotten: Bools) -> None:
        """Let outcomes count no more though they are known, or count again.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
        forgotten : ndarray of bool, shape (m,)
        """
        self.outcomes.forgotten.rows[rows] = forgotten
        self._settle(rows)

    def _tell(self, rows: Integers | None) -> None:
        for listener in self.listeners:
            listener(rows)

    def _settle(self, rows: Integers) -> None:
        """Count outcomes as they should be counted at the moment, and note when that changes."""
        if not len(rows):
            return
        outcomes = self.outcomes
        known, revoked = outcomes.known_s.rows[rows], outcomes.revoked_s.rows[rows]
        here = (known <= self.moment_s) & (self.moment_s < revoked)
        wanted = here & ~outcomes.forgotten.rows[rows]
        counted = outcomes.counted.rows[rows]
        self._uncount(rows[counted & ~wanted])
        self._judged(rows, counted & wanted)
        self._count(rows[wanted & ~counted])
        if outcomes.forgotten.rows[rows].any():
            # They are not counted either way, but what was forgotten may depend on them.
            self._tell(rows[outcomes.forgotten.rows[rows]])
        # When each changes next: when it is known, revoked, or judged anew.
        changes = np.where(known > self.moment_s, known, revoked)
        if self.verdicts:
            for at, number in enumerate(outcomes.number.rows[rows].tolist()):
                for one in self.verdicts.get(number, ()):
                    if one.known_s <= self.moment_s:
                        self._latest_s = max(self._latest_s, one.known_s)
                    elif one.known_s < changes[at]:
                        changes[at] = one.known_s
        for times in (known, revoked):
            past = times[times <= self.moment_s]
            self._latest_s = max(self._latest_s, int(past.max(initial=NEVER)))
        later = (changes > self.moment_s) & (changes < NOT_REVOKED)
        self._waiting.difference_update(rows.tolist())
        if not self._waiting:
            self._earliest_s = NOT_REVOKED
        if later.any():
            self._waiting.update(rows[later].tolist())
            self._earliest_s = min(self._earliest_s, int(changes[later].min()))

    def _judged(self, rows: Integers, counted: Bools) -> None:
        """Let each outcome have the verdict that stands at the moment."""
        if not self.verdicts:
            return
        verdict, counters = self.outcomes.verdict.rows, self.outcomes.counters.rows
        for row, is_counted in zip(rows.tolist(), counted.tolist(), strict=True):
            known = self.verdicts.get(int(self.outcomes.number.rows[row]))
            if not known:
                continue
            if known[0].known_s != NEVER:
                # The first verdict came with the outcome itself.
                own = Standing(NEVER, "", int(verdict[row]), int(counters[row, 3]))
                known.insert(0, own)
            stands = [one for one in known if one.known_s <= self.moment_s] or known[:1]
            measured = [one.excess for one in stands if one.excess is not None]
            verdict_now, excess = stands[-1].verdict, measured[-1]
            if verdict_now == verdict[row] and excess == counters[row, 3]:
                continue
            at = np.array([row])
            if is_counted:
                self._uncount(at)
            verdict[row] = verdict_now
            counters[row, 1:] = verdict_now > 0, verdict_now < 0, excess, excess * excess
            if is_counted:
                self._count(at)

    def _count(self, rows: Integers) -> None:
        if not len(rows):
            return
        outcomes, patterns, pairs = self.outcomes, self.patterns, self.pairs
        pair = outcomes.pair.rows[rows]
        pattern, agent = pairs.pattern.rows[pair], pairs.agent.rows[pair]
        counters = outcomes.counters.rows[rows]
        np.add.at(pairs.counters.rows, pair, counters)
        weighted = counters * self.trust.rows[agent][:, None]
        np.add.at(patterns.counters.rows, pattern, weighted)
        np.maximum.at(patterns.newest_s.rows, pattern, outcomes.known_s.rows[rows])
        outcomes.counted.rows[rows] = True
        self._changed(rows)
        for mask in self._masks.values():
            self._widen(mask, pattern)

    def _uncount(self, rows: Integers) -> None:
        if not len(rows):
            return
        outcomes, patterns, pairs = self.outcomes, self.patterns, self.pairs
        pair = outcomes.pair.rows[rows]
        pattern, agent = pairs.pattern.rows[pair], pairs.agent.rows[pair]
        counters = outcomes.counters.rows[rows]
        np.subtract.at(pairs.counters.rows, pair, counters)
        np.subtract.at(patterns.counters.rows, pattern, counters * self.trust.rows[agent][:, None])
        outcomes.counted.rows[rows] = False
        for one in np.unique(pattern).tolist():
            left = self.outcomes_of(one)
            left = left[outcomes.counted.rows[left]]
            newest = outcomes.known_s.rows[left].max() if len(left) else NEVER
            patterns.newest_s.rows[one] = newest
        self._changed(rows)
        self._masks.clear()

    def _changed(self, rows: Integers) -> None:
        self.version += 1
        known_s = self.outcomes.known_s.rows[rows]
        earliest_s = int(known_s.min())
        numbers = self.outcomes.number.rows[rows[known_s == earliest_s]]
        self.disturbed = min(self.disturbed, (earliest_s, int(numbers.min())))
        self._tell(rows)

    def restored(self) -> None:
        """Find its way in tables that were filled from a snapshot."""
        keys = self.places.key.rows.tolist()
        self._place_of = dict(zip(keys, range(len(keys)), strict=True))
        self.version += 1
        self._masks.clear()
        self._waiting, self._earliest_s, self._latest_s = set(), NOT_REVOKED, NEVER
        self._settle(np.arange(len(self.outcomes.pair), dtype=np.int64))
        self._tell(None)

    # --- trust -------------------------------------------------------------------------------

    def set_trust(self, levels: Integers) -> None:
        """Let each agent's outcomes count by its level, in sixteenths.

        Parameters
        ----------
        levels : ndarray of int64, shape (agents,)
            In the order of ``agents``.
        """
        change = levels - self.trust.rows
        if not change.any():
            return
        agent = self.pairs.agent.rows
        rows = np.flatnonzero(change[agent])
        difference = self.pairs.counters.rows[rows] * change[agent[rows]][:, None]
        np.add.at(self.patterns.counters.rows, self.pairs.pattern.rows[rows], difference)
        self.trust.rows[:] = levels
        self.version += 1
        self._masks.clear()
        self._tell(None)

    # --- finding -----------------------------------------------------------------------------

    def mask(self, domain: int, task_type: int, approaches: frozenset[int] | None) -> Mask:
        """Return the places of which something is known; kept up to date as outcomes come.

        Parameters
        ----------
        domain, task_type : int
            -1: any.
        approaches : frozenset of int or None
            None: any.
        """
        key = (domain, task_type, approaches)
        mask = self._masks.get(key)
        if mask is None:
            if len(self._masks) >= _MASKS:
                del self._masks[next(iter(self._masks))]
            mask = self._masks[key] = Mask(domain, task_type, approaches, Growing(np.bool_))
            self._widen(mask, np.arange(len(self.patterns.place), dtype=np.int64))
        mask.bits.fill(len(self.cells), False)
        return mask

    def _widen(self, mask: Mask, patterns: npt.NDArray[np.integer[Any]]) -> None:
        mask.bits.fill(len(self.cells), False)
        live = self.patterns.counters.rows[patterns, 0] > 0
        if mask.approaches is not None:
            wanted = np.zeros(len(self.approaches) + 1, dtype=np.bool_)
            wanted[list(mask.approaches)] = True
            live &= wanted[self.patterns.approach.rows[patterns]]
        place = self.patterns.place.rows[patterns[live]]
        for column, number in (
            (self.places.domain, mask.domain),
            (self.places.task_type, mask.task_type),
        ):
            if number >= 0:
                place = place[column.rows[place] == number]
        bits = mask.bits.rows
        fresh = np.unique(place[~bits[place]])
        bits[fresh] = True
        mask.count += len(fresh)

    def vectors(self, places: Integers) -> npt.NDArray[np.float32]:
        """Return places' vectors, wherever they lie by now."""
        return self.index.vectors(places)

    def newest_s(self) -> int:
        """Return when the newest outcome that is counted was known; NEVER where there is none."""
        if self._newest is None or self._newest[0] != self.version:
            self._newest = self.version, int(self.patterns.newest_s.rows.max(initial=NEVER))
        return self._newest[1]

    def cell(self, place: int) -> Cell:
        """Return a place's cell."""
        return tuple((name, value) for name, value in json.loads(self.cells[place]))

    def id_of(self, pattern: int) -> str:
        """Return a pattern's id."""
        return f"{int(self.patterns.number.rows[pattern]):016x}"

    def pattern_of(self, id_: str) -> int | None:
        """Return the row of the pattern of an id; None where there is none."""
        try:
            found = np.flatnonzero(self.patterns.number.rows == np.uint64(int(id_, 16)))
        except (ValueError, OverflowError):
            return None
        return int(found[0]) if len(found) else None

    def outcomes_of(self, pattern: int) -> Integers:
        """Return the rows of a pattern's outcomes, counted or not."""
        rows: list[int] = []
        at = int(self.patterns.last_outcome.rows[pattern])
        while at >= 0:
            rows.append(at)
            at = int(self.outcomes.previous.rows[at])
        return np.array(rows[::-1], dtype=np.int64)

    def agents_of(self, pattern: int) -> tuple[str, ...]:
        """Return who found out what is counted of a pattern, sorted."""
        names: list[str] = []
        at = int(self.patterns.first_pair.rows[pattern])
        while at >= 0:
            if self.pairs.counters.rows[at, 0]:
                names.append(self.agents.texts[self.pairs.agent.rows[at]])
            at = int(self.pairs.following.rows[at])
        return tuple(sorted(names))
