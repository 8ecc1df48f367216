"""Statistics of contexts of any kind: near ones are found by the index, as of any moment.

Each approach in each context cell has its outcomes as running sums over time, so what was known by
a moment is one bisection away. The index only proposes: the guard comes after it, and a context of
which nothing was known by then takes nobody's place. Above: ``bank``. Below: ``index``,
``embedding``, ``contexts``.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.contexts import Cell, ContextReader
from swarm_runtime.memory.embedding import OPEN_FLOOR, Embedder, similarity_weight
from swarm_runtime.memory.index import ContextIndex
from swarm_runtime.memory.ledger import MOST_EVIDENCE, Recall
from swarm_runtime.memory.pattern import pattern_id
from swarm_runtime.memory.ranking import NEVER, SIMILARITY_SCALE, Statistics
from swarm_runtime.memory.recommendation import Evidence
from swarm_runtime.memory.trajectory import Context, Trajectory

__all__ = ["NEIGHBOURS", "OpenLedger"]

#: Contexts that are read at most.
NEIGHBOURS = 32


#: Trials, successes, failures, sum of excess rewards and of their squares.
_Sums = tuple[int, int, int, int, int]
_NOTHING: _Sums = (0, 0, 0, 0, 0)


class _History:
    """Outcomes of one approach in one context, as running sums over time."""

    __slots__ = ("agents", "known_s", "sums")

    def __init__(self) -> None:
        self.known_s: list[int] = []
        #: Of all outcomes up to each one.
        self.sums: list[_Sums] = []
        self.agents: list[str] = []

    def add(self, trajectory: Trajectory) -> None:
        """Put an outcome where its time is; one that comes late moves those after it."""
        excess, verdict = trajectory.excess_units, trajectory.verdict
        new = (1, int(verdict > 0), int(verdict < 0), excess, excess * excess)
        at = bisect.bisect_right(self.known_s, trajectory.known_at_s)
        self.known_s.insert(at, trajectory.known_at_s)
        self.agents.insert(at, trajectory.agent)
        self.sums.insert(at, self.sums[at - 1] if at else _NOTHING)
        for later in range(at, len(self.sums)):
            a, b, c, d, e = self.sums[later]
            self.sums[later] = (a + new[0], b + new[1], c + new[2], d + new[3], e + new[4])

    def count(self, as_of_s: int) -> int:
        """Return how many outcomes were known by then."""
        return bisect.bisect_right(self.known_s, as_of_s)


@dataclass(slots=True)
class _Place:
    """One open context: its cell, and what was tried in it."""

    cell: Cell
    histories: dict[str, _History] = field(default_factory=dict)


@dataclass(slots=True)
class _Region:
    """The open contexts of one domain and task type."""

    index: ContextIndex
    places: dict[int, _Place] = field(default_factory=dict)


class OpenLedger:
    """Statistics of contexts of any kind.

    Parameters
    ----------
    embedder : Embedder
    reader : ContextReader
        Of the embedder's space.
    """

    def __init__(self, embedder: Embedder, reader: ContextReader) -> None:
        self._embedder = embedder
        self._reader = reader
        self._regions: dict[tuple[str, str], _Region] = {}

    def add(self, trajectory: Trajectory) -> None:
        """Take an outcome; it counts from the time at which it was known."""
        key = (trajectory.domain, trajectory.task_type)
        region = self._regions.get(key)
        if region is None:
            region = self._regions[key] = _Region(ContextIndex(self._embedder.dimension))
        cell = self._reader.cell(trajectory.context)
        id_ = _cell_id(cell)
        place = region.places.get(id_)
        if place is None:
            place = region.places[id_] = _Place(cell)
            # The middle of the cell, not this context: whoever comes first must not matter.
            region.index.add([id_], self._embedder.embed(self._reader.centre(cell))[None, :])
        place.histories.setdefault(trajectory.approach, _History()).add(trajectory)

    def approaches(self, task_type: str, domain: str | None) -> list[str]:
        """Return all approaches of which something was recorded, in order of their names."""
        return sorted(
            {
                approach
                for _, region in self._matching(task_type, domain)
                for place in region.places.values()
                for approach in place.histories
            }
        )

    def recall(
        self,
        context: Context,
        task_type: str,
        candidates: Sequence[str],
        domain: str | None,
        as_of_s: int,
    ) -> Recall:
        """Return what was known by a moment in the contexts nearest to one."""
        query = self._embedder.embed(context)
        near: list[tuple[int, int, str, _Place]] = []
        for name, region in self._matching(task_type, domain):

            def known(id_: int, places: dict[int, _Place] = region.places) -> bool:
                histories = places[id_].histories
                for approach in candidates:
                    history = histories.get(approach)
                    if history is not None and history.known_s[0] <= as_of_s:
                        return True
                return False

            for id_, cosine in region.index.search(query, NEIGHBOURS, known):
                weight = similarity_weight(cosine, OPEN_FLOOR)
                if weight > 0:
                    near.append((-weight, id_, name, region.places[id_]))
        near = sorted(near, key=lambda one: one[:3])[:NEIGHBOURS]
        # Row 0 stands for the context that is asked about; what is near fills the rows behind it.
        statistics = Statistics(len(near) + 1, len(candidates))
        similarity = np.zeros((1, len(near) + 1))
        if near:
            known_by = [
                [_known_by(place.histories.get(approach), as_of_s) for approach in candidates]
                for _, _, _, place in near
            ]
            similarity[0, 1:] = [-weight for weight, *_ in near]
            statistics.counters[1:] = np.array(
                [[sums for sums, _ in row] for row in known_by], dtype=np.float64
            ).transpose(0, 2, 1)
            statistics.last_known_s[1:] = [[last for _, last in row] for row in known_by]
            statistics.last_known_s[0] = statistics.last_known_s.max(axis=0)
            statistics.newest_s = int(statistics.last_known_s.max())
        return Recall(
            statistics,
            np.zeros(1, dtype=np.int32),
            similarity,
            lambda approach: self._evidence(near, task_type, approach, as_of_s),
        )

    def _matching(self, task_type: str, domain: str | None) -> list[tuple[str, _Region]]:
        return [
            (name, region)
            for (name, kind), region in sorted(self._regions.items())
            if kind == task_type and domain in (None, name)
        ]

    def _evidence(
        self,
        near: list[tuple[int, int, str, _Place]],
        task_type: str,
        approach: str,
        as_of_s: int,
    ) -> tuple[Evidence, ...]:
        known: list[tuple[int, int, str, _Place, _History, int]] = []
        for weight, id_, domain, place in near:
            history = place.histories.get(approach)
            count = history.count(as_of_s) if history else 0
            if history is not None and count:
                known.append((weight * count, id_, domain, place, history, count))
        known.sort(key=lambda one: one[:3])
        return tuple(
            Evidence(
                pattern_id=pattern_id(domain, task_type, approach, place.cell),
                domain=domain,
                approach=approach,
                context=self._reader.words(place.cell),
                similarity=-weight / count / SIMILARITY_SCALE,
                trials=count,
                successes=history.sums[count - 1][1],
                failures=history.sums[count - 1][2],
                mean_excess=history.sums[count - 1][3] / count / REWARD_SCALE,
                agents=tuple(sorted(set(history.agents[:count]))),
                last_known_s=history.known_s[count - 1],
            )
            for weight, _, domain, place, history, count in known[:MOST_EVIDENCE]
        )


def _known_by(history: _History | None, as_of_s: int) -> tuple[_Sums, int]:
    """Return the sums of what was known by a moment, and when the newest of it was."""
    count = history.count(as_of_s) if history is not None else 0
    if history is None or not count:
        return _NOTHING, NEVER
    return history.sums[count - 1], history.known_s[count - 1]


def _cell_id(cell: Cell) -> int:
    """Return a number for a cell that depends on nothing else; 63 bits, as FAISS's ids are."""
    text = json.dumps(cell, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1
