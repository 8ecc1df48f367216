"""Statistics of a declared space's cells, as agents' replicas have them. Pure.

The very counters and the very kernel of an agent's replica, so bank and agent give the same answer
bit by bit. The ledger stands at one moment and moves forward only; to go back, it is filled anew.
Above: ``bank``. Below: ``safla``, ``ranking``, ``embedding``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import NEVER, SIMILARITY_SCALE, Statistics
from swarm_runtime.memory.choice.recommendation import Evidence
from swarm_runtime.memory.choice.safla import learn
from swarm_runtime.memory.log.protocol import FoldedRow
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import ContextSpace, pattern_id
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state.ledger import MOST_EVIDENCE, Recall
from swarm_runtime.memory.vectors.embedding import cell_similarity

__all__ = ["SpaceLedger"]


@dataclass(slots=True)
class _Group:
    """What shares domain, task type and candidates, so that statistics fit."""

    domain: str
    task_type: str
    approaches: tuple[str, ...]
    statistics: Statistics
    #: Known only after the moment at which the ledger stands.
    waiting: list[Experience] = field(default_factory=list)
    folded: list[tuple[int, FoldedRow]] = field(default_factory=list)
    #: Who reported on a cell and an approach; column -1 stands for all approaches.
    agents: dict[tuple[int, int], set[str]] = field(default_factory=dict)


class SpaceLedger:
    """Statistics of a declared space's cells, folded up to a moment.

    Parameters
    ----------
    space : ContextSpace
    shadow_teaches : bool
    """

    def __init__(self, space: ContextSpace, *, shadow_teaches: bool) -> None:
        self._space = space
        self._reader = ContextReader(space)
        self._shadow_teaches = shadow_teaches
        self._groups: dict[tuple[str, str, tuple[str, ...]], _Group] = {}
        #: Weights between cells; also what an agent's replica uses.
        self.similarity = cell_similarity(space)
        #: The moment at which it stands.
        self.as_of_s = NEVER
        self._revoked: frozenset[str] = frozenset()

    def offer(self, experience: Experience) -> None:
        """Take an experience, to be learnt when its time has come."""
        key = (experience.domain, experience.task_type, experience.approaches)
        group = self._groups.get(key)
        if group is None:
            statistics = Statistics(self._space.cell_count, len(experience.approaches))
            group = self._groups[key] = _Group(*key, statistics)
        group.waiting.append(experience)

    def offer_trajectory(self, trajectory: Trajectory, cell: int) -> None:
        """Take a single try whose context lies in a cell of the space."""
        self.offer(
            Experience(
                agent=trajectory.agent,
                epoch=1,
                known_at_s=trajectory.known_at_s,
                domain=trajectory.domain,
                task_type=trajectory.task_type,
                approaches=(trajectory.approach,),
                subjects=(trajectory.id,),
                context=np.empty((1, 0), dtype=np.float32),
                cells=np.array([cell], dtype=np.int32),
                chosen=np.zeros(1, dtype=np.int16),
                reason=np.zeros(1, dtype=np.int8),
                propensity=np.ones(1, dtype=np.float32),
                evidence=np.empty((1, 0), dtype=np.float32),
                excess=np.array([[trajectory.excess_units]], dtype=np.int32),
                verdict=np.array([[trajectory.verdict]], dtype=np.int8),
                net_return=np.zeros((1, 1)),
            )
        )

    def offer_folded(self, row: FoldedRow, cell: int) -> None:
        """Take what retention left of one agent's tries in a cell of the space."""
        key = (row.domain, row.task_type, (row.approach,))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(*key, Statistics(self._space.cell_count, 1))
        group.folded.append((cell, row))

    def clear(self, revoked: frozenset[str] = frozenset()) -> None:
        """Forget everything, to be filled anew.

        Parameters
        ----------
        revoked : frozenset of str
            Ids of patterns that nothing is to be known of from now on.
        """
        self._groups = {}
        self.as_of_s = NEVER
        self._revoked = revoked

    def advance(self, as_of_s: int) -> None:
        """Learn what is known by a moment; the ledger then stands there, or later."""
        self.as_of_s = max(self.as_of_s, as_of_s)
        for group in self._groups.values():
            self._advance_folded(group)
            if not group.waiting:
                continue
            taught = [one for one in group.waiting if one.known_at_s <= self.as_of_s]
            learn(
                group.statistics,
                group.waiting,
                as_of_s=self.as_of_s,
                shadow_teaches=self._shadow_teaches,
            )
            group.waiting = [one for one in group.waiting if one.known_at_s > self.as_of_s]
            for one in taught:
                for cell, chosen in zip(one.cells.tolist(), one.chosen.tolist(), strict=True):
                    if chosen >= 0:
                        column = -1 if self._shadow_teaches else chosen
                        group.agents.setdefault((cell, column), set()).add(one.agent)

    def _advance_folded(self, group: _Group) -> None:
        statistics = group.statistics
        for cell, row in group.folded:
            if row.last_known_s <= self.as_of_s:
                statistics.counters[cell, :, 0] += row[5:10]
                newest = max(int(statistics.last_known_s[cell, 0]), row.last_known_s)
                statistics.last_known_s[cell, 0] = newest
                statistics.newest_s = max(statistics.newest_s, newest)
                group.agents.setdefault((cell, 0), set()).add(row.agent)
        group.folded = [one for one in group.folded if one[1].last_known_s > self.as_of_s]

    def approaches(self, task_type: str, domain: str | None) -> list[str]:
        """Return all approaches of which something was recorded, in order of their names."""
        groups = self._matching(task_type, domain)
        return sorted({approach for group in groups for approach in group.approaches})

    def statistics(
        self, task_type: str, candidates: Sequence[str], domain: str | None
    ) -> Statistics:
        """Return the statistics of some candidates, in their order."""
        whole = Statistics(self._space.cell_count, len(candidates))
        for group in self._matching(task_type, domain):
            at = {approach: column for column, approach in enumerate(group.approaches)}
            to = [column for column, approach in enumerate(candidates) if approach in at]
            of = [at[candidates[column]] for column in to]
            whole.counters[:, :, to] += group.statistics.counters[:, :, of]
            newest = np.maximum(whole.last_known_s[:, to], group.statistics.last_known_s[:, of])
            whole.last_known_s[:, to] = newest
            whole.newest_s = max(whole.newest_s, group.statistics.newest_s)
            for column, cell in self._forgotten(group, candidates):
                whole.counters[cell, :, column] = 0.0
                whole.last_known_s[cell, column] = NEVER
        return whole

    def _forgotten(self, group: _Group, candidates: Sequence[str]) -> list[tuple[int, int]]:
        """Return the candidates and cells of which nothing is to be known."""
        if not self._revoked:
            return []
        return [
            (column, cell)
            for column, approach in enumerate(candidates)
            if approach in group.approaches
            for cell in range(self._space.cell_count)
            if self._id(group, approach, cell) in self._revoked
        ]

    def _id(self, group: _Group, approach: str, cell: int) -> str:
        return pattern_id(group.domain, group.task_type, approach, self._reader.numbered(cell))

    def recall(
        self, cell: int, task_type: str, candidates: Sequence[str], domain: str | None
    ) -> Recall:
        """Return what is known in a cell and those like it, at the moment of the ledger."""
        return Recall(
            self.statistics(task_type, candidates, domain),
            np.array([cell], dtype=np.int32),
            self.similarity,
            lambda approach: self._evidence(cell, task_type, approach, domain),
        )

    def _matching(self, task_type: str, domain: str | None) -> list[_Group]:
        return [
            group
            for group in self._groups.values()
            if group.task_type == task_type and domain in (None, group.domain)
        ]

    def _evidence(
        self, cell: int, task_type: str, approach: str, domain: str | None
    ) -> tuple[Evidence, ...]:
        weights = self.similarity[cell]
        domains: dict[str, list[tuple[_Group, int]]] = {}
        for group in self._matching(task_type, domain):
            if approach in group.approaches:
                column = group.approaches.index(approach)
                domains.setdefault(group.domain, []).append((group, column))
        known: list[tuple[float, str, int]] = []
        for name in domains:
            trials = self.statistics(task_type, [approach], name).counters[:, 0, 0]
            heavy = weights * trials
            cells = np.argsort(-heavy, kind="stable")[:MOST_EVIDENCE].tolist()
            known += [(-float(heavy[at]), name, at) for at in cells if heavy[at] > 0.0]
        return tuple(
            self._found(name, task_type, approach, at, weights[at], domains[name])
            for _, name, at in sorted(known)[:MOST_EVIDENCE]
        )

    def _found(
        self,
        domain: str,
        task_type: str,
        approach: str,
        at: int,
        weight: float,
        columns: list[tuple[_Group, int]],
    ) -> Evidence:
        """Describe a pattern, of whose approach some groups' columns tell."""
        key = self._reader.numbered(at)
        sums = sum(group.statistics.counters[at, :, column] for group, column in columns)
        trials, successes, failures, reward, _ = np.asarray(sums).tolist()
        agents: set[str] = set()
        for group, column in columns:
            agents |= group.agents.get((at, -1), set()) | group.agents.get((at, column), set())
        return Evidence(
            pattern_id=pattern_id(domain, task_type, approach, key),
            domain=domain,
            approach=approach,
            context=self._reader.words(key),
            similarity=float(weight) / SIMILARITY_SCALE,
            trials=int(trials),
            successes=int(successes),
            failures=int(failures),
            mean_excess=reward / trials / REWARD_SCALE,
            agents=tuple(sorted(agents)),
            last_known_s=max(
                int(group.statistics.last_known_s[at, column]) for group, column in columns
            ),
        )
