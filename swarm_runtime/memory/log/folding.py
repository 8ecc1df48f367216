"""What trajectories that are let go leave behind: counters that add up in any order. Pure.

One row per pattern and agent, and one per kind of usage; integers, so the order in which
trajectories are folded can't show. Above: ``retention``. Below: ``log``, ``records``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from swarm_runtime.memory.log.protocol import FoldedRow, FoldedUsage
from swarm_runtime.memory.records.annotations import Tombstone, Usage, Verdict
from swarm_runtime.memory.records.contexts import Cell
from swarm_runtime.memory.records.trajectory import Trajectory, excess_units

__all__ = ["Fate", "Outcome", "fate_of", "fold_trajectory", "fold_usage", "merged", "outcome_of"]

Folded = TypeVar("Folded", FoldedRow, FoldedUsage)


class Outcome(NamedTuple):
    """How a try ended, as it is counted: 1, 0 or -1, and 1/REWARD_SCALE standard deviations."""

    verdict: int
    excess: int


class Fate(NamedTuple):
    """What becomes of a trajectory when all until a moment is let go."""

    stays: bool
    counts: bool


def outcome_of(one: Trajectory, verdicts: Iterable[Verdict]) -> Outcome:
    """Return how a trajectory ended, by the latest verdict on it.

    The latest by (known_at_s, id) stands; the excess is that of the latest verdict that has one.
    """
    verdict, excess = one.verdict, one.excess_units
    for later in sorted(verdicts, key=lambda given: (given.known_at_s, given.id)):
        verdict = later.verdict
        if later.excess is not None:
            excess = excess_units(later.excess)
    return Outcome(verdict, excess)


def fate_of(said: Iterable[Verdict | Usage], tombstones: Sequence[Tombstone], until_s: int) -> Fate:
    """Return what becomes of a trajectory when all until a moment is let go.

    It stays while something is known of it only later, since nothing could be taken back after it
    was folded. What is revoked by then is not counted. (What an agent's or a pattern's tombstone
    revokes later is known by agent and pattern, and can be left out by whoever reads.)

    Parameters
    ----------
    said : iterable of Verdict and Usage
        On the trajectory.
    tombstones : sequence of Tombstone
        Of the trajectory, its agent and its pattern.
    until_s : int
    """
    if any(one.from_s <= until_s for one in tombstones):
        return Fate(stays=False, counts=False)
    later = any(one.known_at_s > until_s for one in said) or any(
        one.target_kind == "trajectory" for one in tombstones
    )
    return Fate(stays=later, counts=True)


def fold_trajectory(one: Trajectory, cell: Cell, outcome: Outcome) -> FoldedRow:
    """Return one trajectory's row."""
    verdict, excess = outcome
    known_s = one.known_at_s
    return FoldedRow(
        one.domain, one.task_type, one.approach, cell, one.agent,
        1, int(verdict > 0), int(verdict < 0), excess, excess * excess, known_s, known_s,
    )  # fmt: skip


def fold_usage(one: Usage, pattern: str, known_at_s: int, outcome: Outcome) -> FoldedUsage:
    """Return one usage's row, with pattern, time and outcome of its trajectory."""
    verdict, excess = outcome
    known_s = max(one.known_at_s, known_at_s)
    return FoldedUsage(
        one.target, one.agent, pattern, one.given, one.used, one.propensity,
        1, int(verdict > 0), int(verdict < 0), excess, excess * excess, known_s, known_s,
    )  # fmt: skip


def merged(first: Folded, second: Folded) -> Folded:
    """Return two rows of the same name as one."""
    return first._replace(
        trials=first.trials + second.trials,
        successes=first.successes + second.successes,
        failures=first.failures + second.failures,
        reward=first.reward + second.reward,
        square=first.square + second.square,
        first_known_s=min(first.first_known_s, second.first_known_s),
        last_known_s=max(first.last_known_s, second.last_known_s),
    )
