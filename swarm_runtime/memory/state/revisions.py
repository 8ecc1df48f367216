"""What is said later of what was recorded: verdicts that replace others, and revocations. Pure.

Kept beside the ledgers, which ask at their moment: does this outcome still count, and with which
verdict? A tombstone wins whatever came first. Above: ``derived``. Below: ``records``.
"""

from __future__ import annotations

from dataclasses import replace

from swarm_runtime.core.knowledge import Experience
from swarm_runtime.memory.records.annotations import TargetKind, Tombstone, Verdict
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Revisions"]


class Revisions:
    """Verdicts and tombstones, by what they speak of."""

    def __init__(self) -> None:
        self._verdicts: dict[str, list[Verdict]] = {}
        self._tombstones: dict[tuple[str, str], int] = {}

    def add(self, one: Verdict | Tombstone) -> None:
        """Take one; doing so twice changes nothing."""
        if isinstance(one, Tombstone):
            key = (one.target_kind, one.target)
            self._tombstones[key] = min(self._tombstones.get(key, one.from_s), one.from_s)
            return
        known = self._verdicts.setdefault(one.trajectory, [])
        if one not in known:
            known.append(one)
            known.sort(key=lambda verdict: (verdict.known_at_s, verdict.id))

    def changed_between(self, earlier_s: int, later_s: int) -> bool:
        """Return whether something begins to stand after one moment and up to another."""
        if not self._verdicts and not self._tombstones:
            return False
        times = [one.known_at_s for known in self._verdicts.values() for one in known]
        times += self._tombstones.values()
        return any(earlier_s < time <= later_s for time in times)

    def revoked(self, kind: TargetKind, target: str, moment_s: int | None) -> bool:
        """Return whether something is revoked at a moment; None: at the end of time."""
        from_s = self._tombstones.get((kind, target))
        return from_s is not None and (moment_s is None or from_s <= moment_s)

    def revoked_patterns(self, moment_s: int | None) -> frozenset[str]:
        """Return the ids of the patterns that are revoked at a moment."""
        return frozenset(
            target
            for (kind, target), from_s in self._tombstones.items()
            if kind == "pattern" and (moment_s is None or from_s <= moment_s)
        )

    def standing(
        self, record: Experience | Trajectory, moment_s: int | None
    ) -> Experience | Trajectory | None:
        """Return a record as it stands at a moment; None where it is revoked."""
        if self.revoked("agent", record.agent, moment_s):
            return None
        if isinstance(record, Experience):
            return record
        if self.revoked("trajectory", record.id, moment_s):
            return None
        for one in self._verdicts.get(record.id, ()):
            if moment_s is None or one.known_at_s <= moment_s:
                excess = record.excess if one.excess is None else one.excess
                record = replace(record, verdict=one.verdict, excess=excess)
        return record
