"""Logs for tests that are nothing but dicts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.memory.log.deltas import Packet
from swarm_runtime.memory.log.protocol import Position
from swarm_runtime.memory.log.seal_index import Seal
from swarm_runtime.memory.records.annotations import Annotation
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["DictLog", "kind_of"]


def kind_of(record: Trajectory | Annotation) -> str:
    return "trajectory" if isinstance(record, Trajectory) else record.kind


class DictLog:
    """Holds records in the order in which they came; what ``let_go`` took is passed over."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Trajectory | Annotation] = {}
        self.experiences: dict[tuple[str, int], Sealed] = {}
        self.commits = 0
        self._places: list[tuple[tuple[str, str], Seal] | None] = []
        self._kept: int | None = None
        self._pruned: dict[str, int] = {}
        self._generation = 0

    def kept_from_s(self) -> int | None:
        return self._kept

    def generation(self) -> int:
        return self._generation

    def seals(self, after: Position, most: int = 1_000) -> tuple[list[Seal], Position]:
        chunk = self._places[after.trajectories : after.trajectories + most]
        end = Position(0, after.trajectories + len(chunk), 0)
        return [one[1] for one in chunk if one is not None], end

    def packets(self, places: Sequence[int]) -> list[Packet]:
        here = [place for place in places if place < len(self._places)]
        found = [one for place in here if (one := self._places[place]) is not None]
        return [Packet(name[0], self.records[name].to_bytes()) for name, _ in found]

    def view(self) -> View:
        last: View = {}
        for agent, epoch in self.experiences:
            last[agent] = max(epoch, last.get(agent, 0))
        return last

    def epoch_seals(self, view: View) -> dict[str, bytes]:
        return {
            agent: hashlib.sha256(self.experiences[agent, epoch].blob).digest()
            for agent, epoch in view.items()
            if (agent, epoch) in self.experiences
        }

    def sealed(self, after: View | None = None, until: View | None = None) -> list[Sealed]:
        after, until = after or {}, self.view() if until is None else until
        return [
            one
            for (agent, epoch), one in sorted(
                self.experiences.items(), key=lambda item: (item[0][1], item[0][0])
            )
            if after.get(agent, 0) < epoch <= until.get(agent, 0)
        ]

    def record_all(
        self,
        sealed: Sequence[Sealed] = (),
        trajectories: Sequence[Trajectory] = (),
        annotations: Sequence[Annotation] = (),
    ) -> int:
        self.commits += 1
        before = len(self.records) + len(self.experiences)
        for one in sorted(sealed, key=lambda one: one.epoch):
            known = self.experiences.setdefault((one.agent, one.epoch), one)
            assert known == one
            assert one.epoch == 1 or (one.agent, one.epoch - 1) in self.experiences
        for record in (*trajectories, *annotations):
            name = kind_of(record), record.id
            if isinstance(record, Trajectory):
                late = self._kept is not None and record.known_at_s <= self._kept
                pruned = self._pruned.get(record.approach)
                if late or (pruned is not None and record.known_at_s <= pruned):
                    continue
            if name not in self.records:
                self.records[name] = record
                seal = hashlib.sha256(record.to_bytes()).digest()
                place = len(self._places)
                self._places.append((name, Seal(*name, record.known_at_s, seal, place)))
            assert self.records[name] == record
        return len(self.records) + len(self.experiences) - before

    def let_go(self, until_s: int) -> None:
        self._kept = until_s
        self._drop(lambda one: one.known_at_s <= until_s)

    def prune(self, approach: str, until_s: int) -> None:
        self._pruned[approach] = until_s
        self._drop(lambda one: one.approach == approach and one.known_at_s <= until_s)

    def _drop(self, gone) -> None:
        self._generation += 1
        for place, one in enumerate(self._places):
            if one is not None:
                record = self.records[one[0]]
                if isinstance(record, Trajectory) and gone(record):
                    del self.records[one[0]]
                    self._places[place] = None
