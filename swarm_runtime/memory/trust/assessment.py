"""Trust in agents and transfer between domains, from columns of outcomes. Pure.

``Assessor`` gathers what was known by some moment into neighbourhoods and asks ``trust`` what the
agents are believed and what the domains are worth to each other. Its answer is a function of the
outcomes it is given alone: not of their order, nor of when or how often it was asked before. (It
keeps which place belongs to which anchor, so that a place is compared with the anchors once.)

Outcomes come one by one, and an answer that changes with each of them would have to be computed
with each of them. So it is computed from the first ``trust.standing_count(n)`` of n outcomes, in
the order of time: while that number stays, and nothing before ``Assessed.until`` is added, taken
away or judged anew, the answer stays. Of many outcomes a sample is taken: those with the smallest
numbers, which are hashes.

Above: ``catalogue`` or whoever holds it. Below: ``trust``, ``neighbourhoods``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.trust.agents import (
    FULL_LEVEL,
    Trust,
    settled,
    standing_count,
    transfer_levels,
)
from swarm_runtime.memory.trust.neighbourhoods import Neighbourhoods, anchor_count
from swarm_runtime.memory.trust.reports import Reports

__all__ = ["Assessed", "Assessor", "OutcomeColumns", "PlaceColumns", "sample_size"]

Integers = npt.NDArray[np.int64]

#: Outcomes that are looked at; of more, a sample: so many for each agent, within limits. With 8,192
#: of ten agents all liars of ``benchmarks/liars`` are found, and looking takes a tenth of a second.
_PER_AGENT = 256
_FEWEST_SAMPLED, _MOST_SAMPLED = 8_192, 32_768
#: Large neighbourhoods are this many times as large as small ones, while there are enough.
_COARSER = 8
_FEWEST = 8


@dataclass(frozen=True, slots=True, eq=False)
class PlaceColumns:
    """Places, one row each.

    Attributes
    ----------
    number : ndarray of int64, shape (P,)
        A hash of what the place is.
    domain, task_type : ndarray of int, shape (P,)
    """

    number: npt.NDArray[np.integer]
    domain: npt.NDArray[np.integer]
    task_type: npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeColumns:
    """Outcomes that are known and not revoked, one row each, in any order.

    Attributes
    ----------
    place : ndarray of int, shape (n,)
        Row of its place.
    approach, agent : ndarray of int, shape (n,)
    counters : ndarray of int64, shape (n, 5)
        See ``reports.Reports``; a row may stand for many outcomes that were folded.
    known_s : ndarray of int64, shape (n,)
    number : ndarray of int64, shape (n,)
        A hash of the trajectory's id; -1 for folded ones, which every sample holds.
    """

    place: npt.NDArray[np.integer]
    approach: npt.NDArray[np.integer]
    agent: npt.NDArray[np.integer]
    counters: npt.NDArray[np.integer]
    known_s: npt.NDArray[np.integer]
    number: npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Assessed:
    """What agents are believed, and domains worth to each other.

    Attributes
    ----------
    trust : Trust
        Its levels are by agent.
    transfer : ndarray of int64, shape (D, D)
        Sixteenths, by (from, to).
    count : int
        Outcomes it was computed from: the first so many, in the order of time.
    until : tuple of two int
        (known_s, number) of the last of them; (0, 0) if there were none.
    """

    trust: Trust
    transfer: Integers
    count: int
    until: tuple[int, int]


class Assessor:
    """Computes trust and transfer.

    Parameters
    ----------
    vectors : callable
        From rows of places to their vectors, of length one, shape (m, d). Rows keep their vectors.
    start : int
        Level of an agent of which nothing could be compared yet; see ``trust.levels_of``.
    """

    def __init__(
        self,
        vectors: Callable[[Integers], npt.NDArray[np.float32]],
        *,
        start: int = FULL_LEVEL,
    ) -> None:
        self._vectors = vectors
        self._start = start
        self._near: dict[int, tuple[Neighbourhoods, Neighbourhoods]] = {}

    def assess(
        self, outcomes: OutcomeColumns, places: PlaceColumns, agent_count: int, domain_count: int
    ) -> Assessed:
        """Return what follows from some outcomes.

        Parameters
        ----------
        outcomes : OutcomeColumns
        places : PlaceColumns
            All that there are; only those with outcomes are looked at.
        agent_count, domain_count : int
            Agents and domains are numbered from 0.
        """
        rows, until = _first(outcomes, places, standing_count(len(outcomes.place)))
        count = len(rows)
        most = sample_size(agent_count)
        if count > most:
            # Of equal numbers (folded outcomes) all are in, whatever order they came in.
            numbers = outcomes.number[rows]
            rows = rows[numbers <= np.partition(numbers, most - 1)[most - 1]]
        place = np.asarray(outcomes.place[rows], dtype=np.int64)
        approach = np.asarray(outcomes.approach[rows], dtype=np.int64)
        domain = np.asarray(places.domain[place], dtype=np.int64)
        counters = np.asarray(outcomes.counters[rows], dtype=np.int64)
        agent = np.asarray(outcomes.agent[rows], dtype=np.int64)
        approaches = int(approach.max(initial=0)) + 1
        # Anchors are rows of places, so they tell task types apart as well.
        fine, coarse = (spot * approaches + approach for spot in self._spots(place, places))
        domains = max(domain_count, 1)
        trust = settled(
            Reports.collect(fine * domains + domain, agent, counters),
            agent_count,
            coarse=Reports.collect(coarse * domains + domain, agent, counters),
            start=self._start,
        )
        transfer = np.full((domain_count, domain_count), FULL_LEVEL, dtype=np.int64)
        if domain_count > 1:
            believed = trust.levels[agent] > FULL_LEVEL // 2
            shared = Reports.collect(coarse[believed], domain[believed], counters[believed])
            transfer = transfer_levels(shared, domain_count)
        return Assessed(trust, transfer, count, until)

    def _spots(self, place: Integers, places: PlaceColumns) -> tuple[Integers, Integers]:
        """Return for each outcome the anchor of its small neighbourhood, and of its large one."""
        fine, coarse = np.zeros(len(place), dtype=np.int64), np.zeros(len(place), dtype=np.int64)
        kinds = places.task_type[place]
        for kind in np.unique(kinds).tolist():
            at = np.flatnonzero(kinds == kind)
            here, where = np.unique(place[at], return_inverse=True)
            count = anchor_count(len(at))
            small, large = self._near.setdefault(
                kind, (Neighbourhoods(self._vectors), Neighbourhoods(self._vectors))
            )
            fine[at] = small.of(here, places.number, count)[where]
            coarse[at] = large.of(here, places.number, max(count // _COARSER, _FEWEST))[where]
        return fine, coarse


def sample_size(agents: int) -> int:
    """Return how many outcomes are looked at for so many agents."""
    return min(max(_PER_AGENT * agents, _FEWEST_SAMPLED), _MOST_SAMPLED)


def _first(
    outcomes: OutcomeColumns, places: PlaceColumns, count: int
) -> tuple[Integers, tuple[int, int]]:
    """Return the rows of the first outcomes in the order of time, and the last one's place in it.

    Of folded ones that were known in the same second, what they are decides, never their row.
    """
    if not count:
        return np.empty(0, dtype=np.int64), (0, 0)
    numbers, known = outcomes.number, outcomes.known_s
    if count < len(known):
        what = (*outcomes.counters.T, places.number[outcomes.place])
        order = np.lexsort((*what, numbers, known))
        rows = order[:count]
        last = int(rows[-1])
        return np.sort(rows).astype(np.int64), (int(known[last]), int(numbers[last]))
    newest = int(known.max())
    return np.arange(count, dtype=np.int64), (newest, int(numbers[known == newest].max()))
