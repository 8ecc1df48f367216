"""Statistics of patterns, their confidence, and the choice among candidates. Pure.

Statistics are integer counters per (context cell, approach), so folding experiences in any order
gives the same numbers. What is read for a context is a similarity-weighted sum over the cells
around it; weights are small integers, so each product and sum is exact in float64 (below 2**53)
and the answer has the same bits whether one agent asks alone or fifty at once. All other steps are
elementwise.

Choice is by context first, then by a policy: a candidate is applied only if the lower bound of its
excess reward is above zero; otherwise the memory abstains and the agent explores.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.core.lessons import Teaching

__all__ = [
    "CONFIDENCE_WEIGHTS",
    "EVIDENCE",
    "NEVER",
    "SIMILARITY_SCALE",
    "Choice",
    "Estimates",
    "Reason",
    "Statistics",
    "choose",
    "clears_gate",
    "estimate",
    "explore",
    "recency_table",
]

Floats = npt.NDArray[np.float64]

#: Similarity 1 between two contexts is this weight; weights are integers.
SIMILARITY_SCALE = 64
#: Weights of the report's confidence: success rate, usage frequency, recency, context similarity.
CONFIDENCE_WEIGHTS = (0.4, 0.3, 0.2, 0.1)
#: In place of a time: no outcome is known. (Times before 1970 are negative.)
NEVER = -(2**62)
_DAY_S = 86_400
#: Rows of ``Statistics.counters``.
_TRIALS, _SUCCESSES, _FAILURES, _REWARD, _SQUARE = range(5)


#: What was known of a recommendation when it was made: the columns of ``Choice.evidence``.
EVIDENCE = (
    "mean",
    "lower_bound",
    "outcomes",
    "success",
    "usage",
    "recency",
    "similarity",
    "confidence",
)


class Reason(enum.IntEnum):
    """Why an approach was chosen."""

    #: The subject could not be acted on.
    NOT_TRADABLE = -1
    #: The agent has no memory and explores.
    NO_MEMORY = 0
    #: The memory recommended it.
    APPLIED = 1
    #: Nothing cleared the gate, so the agent explores.
    ABSTAINED = 2
    #: A recommendation was withheld at random, to measure what recommendations are worth.
    WITHHELD = 3
    #: A policy that explores by itself tried what it knows too little of (``memory.policies``).
    EXPLORED = 4


class Statistics:
    """Counters of one task type's patterns: C context cells, K approaches.

    Attributes
    ----------
    counters : ndarray of float64, shape (C, 5, K)
        Trials, successes, failures, sum of excess rewards and of their squares (rewards in
        1/REWARD_SCALE σ). Integers, held as float64 because that is what matrix products take.
    last_known_s : ndarray of int64, shape (C, K)
        When the newest outcome was known; NEVER where there is none.
    newest_s : int
        The largest of them, over all.
    """

    def __init__(self, cells: int, approaches: int) -> None:
        self.counters: Floats = np.zeros((cells, 5, approaches))
        self.last_known_s = np.full((cells, approaches), NEVER, dtype=np.int64)
        self.newest_s = NEVER

    def fold(self, experiences: Sequence[Teaching], *, shadow_teaches: bool) -> None:
        """Add experiences, in any order; ``safla.learn`` holds the guard that is needed before.

        Parameters
        ----------
        experiences : sequence of Experience or Taught
            Their approaches must be those of these statistics, in the same order.
        shadow_teaches : bool
            Whether outcomes of candidates that were not chosen count.

        Raises
        ------
        ValueError
            If the shape of an experience, or a cell, is not that of these statistics; then
            nothing was added.
        """
        if not experiences:
            return
        count, _, approaches = self.counters.shape
        chosen = np.concatenate([experience.chosen for experience in experiences])
        cells = np.concatenate([experience.cells for experience in experiences], dtype=np.intp)
        excess = np.concatenate([e.excess for e in experiences], dtype=np.float64)
        verdict = np.concatenate([experience.verdict for experience in experiences])
        known = np.repeat([e.known_at_s for e in experiences], [len(e.cells) for e in experiences])
        if excess.shape[1] != approaches:
            raise ValueError(f"{excess.shape[1]} approaches in statistics of {approaches}")
        rows = chosen >= 0
        if not rows.all():
            chosen, cells, excess = chosen[rows], cells[rows], excess[rows]
            verdict, known = verdict[rows], known[rows]
        if not len(cells):
            return
        if cells.min() < 0 or cells.max() >= count:
            raise ValueError(f"cells {cells.min()} to {cells.max()} in statistics of {count}")
        parts = np.empty((len(cells), 5, approaches))
        parts[:, _TRIALS] = 1.0
        parts[:, _SUCCESSES] = verdict > 0
        parts[:, _FAILURES] = verdict < 0
        parts[:, _REWARD] = excess
        np.multiply(excess, excess, out=parts[:, _SQUARE])
        if shadow_teaches:
            stamps = np.full(count, NEVER, dtype=np.int64)
            np.maximum.at(stamps, cells, known)
            np.maximum(self.last_known_s, stamps[:, None], out=self.last_known_s)
        else:
            parts *= (chosen[:, None] == np.arange(approaches))[:, None, :]
            np.maximum.at(self.last_known_s.reshape(-1), cells * approaches + chosen, known)
        # One flat axis: NumPy adds along it ten times as fast as into blocks of (5, K).
        at = (cells * (5 * approaches))[:, None] + np.arange(5 * approaches)
        np.add.at(self.counters.reshape(-1), at.reshape(-1), parts.reshape(-1))
        self.newest_s = max(self.newest_s, int(known.max()))


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """What the statistics say of K approaches in n contexts.

    Attributes
    ----------
    outcomes : ndarray of float64, shape (n, K)
        Effective number of outcomes: each counts by the similarity of its context.
    mean, standard_error : ndarray of float64, shape (n, K)
        Of the excess reward, in standard deviations of an outcome.
    success, usage, recency, similarity : ndarray of float64, shape (n, K)
        The four parts of the report's confidence, each in [0, 1].
    """

    outcomes: Floats
    mean: Floats
    standard_error: Floats
    success: Floats
    usage: Floats
    recency: Floats
    similarity: Floats

    @property
    def confidence(self) -> Floats:
        """0.4 success rate + 0.3 usage + 0.2 recency + 0.1 similarity (the report, 3.2)."""
        weights = CONFIDENCE_WEIGHTS
        return (
            weights[0] * self.success
            + weights[1] * self.usage
            + weights[2] * self.recency
            + weights[3] * self.similarity
        )

    def lower_bound(self, z: float) -> Floats:
        """Return mean - z·standard error."""
        return self.mean - z * self.standard_error


def recency_table(half_life_days: float, days: int = 36_525) -> Floats:
    """Return 2**(-age / half life) for ages of 0, 1, ... days.

    A table, because powers on arrays of different widths may differ in their last bit.
    """
    return np.array([0.5 ** (age / half_life_days) for age in range(days)])


def estimate(
    statistics: Statistics,
    cells: npt.NDArray[np.int32],
    similarity: Floats,
    recency: Floats,
    as_of_s: int,
    *,
    copies: int = 1,
) -> Estimates:
    """Read the statistics for some contexts.

    Parameters
    ----------
    statistics : Statistics
        Of outcomes known by ``as_of_s``; the caller holds the guard.
    cells : ndarray of int32, shape (n,)
    similarity : ndarray of float64, shape (C, C)
        Integer weights 0..SIMILARITY_SCALE between cells.
    recency : ndarray of float64
        From ``recency_table``.
    as_of_s : int
    copies : int (>= 1)
        How many teachers report the same fact: agents of one kind that trade the same symbols
        all compute the same shadow outcomes, and ten reports of one event are not ten outcomes.
    """
    counters = statistics.counters
    count, _, approaches = counters.shape
    weights = similarity[cells]
    sums = (weights @ counters.reshape(count, -1)).reshape(len(cells), 5, approaches)
    nearby = (weights > 0).astype(np.float64) @ counters[:, _TRIALS, :]
    trials = sums[:, _TRIALS]
    some = np.maximum(trials, 1.0)
    outcomes = trials / (SIMILARITY_SCALE * copies)
    mean = sums[:, _REWARD] / some
    # One pseudo-outcome of unit variance keeps two lucky outcomes from looking certain.
    spread = np.maximum(sums[:, _SQUARE] / some - mean * mean, 0.0) / REWARD_SCALE**2
    variance = (outcomes * spread + 1.0) / (outcomes + 1.0)
    decided = sums[:, _SUCCESSES] + sums[:, _FAILURES]
    success = (sums[:, _SUCCESSES] + SIMILARITY_SCALE) / (decided + 2.0 * SIMILARITY_SCALE)
    newest = statistics.last_known_s[cells]
    age_days = np.clip((as_of_s - newest) // _DAY_S, 0, len(recency) - 1)
    return Estimates(
        outcomes=outcomes,
        mean=mean / REWARD_SCALE,
        standard_error=np.sqrt(variance / np.maximum(outcomes, 1e-9)),
        success=success,
        usage=outcomes / (outcomes + 3.0),
        recency=np.where(newest > NEVER, recency[age_days], 0.0),
        similarity=trials / np.maximum(nearby * SIMILARITY_SCALE, 1.0),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen for n contexts.

    Attributes
    ----------
    chosen : ndarray of int16, shape (n,)
        Index of the approach, -1 where the subject can't be acted on.
    reason : ndarray of int8, shape (n,)
        A ``Reason``.
    propensity : ndarray of float32, shape (n,)
        Probability with which that approach was chosen.
    evidence : ndarray of float32, shape (n, len(EVIDENCE))
        What was known of the approach that was recommended (also where it was withheld); NaN
        where nothing was.
    """

    chosen: npt.NDArray[np.int16]
    reason: npt.NDArray[np.int8]
    propensity: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]


def explore(
    available: npt.NDArray[np.bool_], approaches: int, draws: Floats, reason: Reason
) -> Choice:
    """Choose uniformly: what an agent does that has nothing to go by.

    Parameters
    ----------
    available : ndarray of bool, shape (n,)
    approaches : int
        K.
    draws : ndarray of float64, shape (n,)
        Uniform in [0, 1).
    reason : Reason
        Why it explores.
    """
    picked = np.minimum((draws * approaches).astype(np.int16), approaches - 1)
    return Choice(
        chosen=np.where(available, picked, -1).astype(np.int16),
        reason=np.where(available, int(reason), int(Reason.NOT_TRADABLE)).astype(np.int8),
        propensity=np.full(len(draws), 1.0 / approaches, dtype=np.float32),
        evidence=np.full((len(draws), len(EVIDENCE)), np.nan, dtype=np.float32),
    )


def clears_gate(estimates: Estimates, settings: MemorySettings) -> npt.NDArray[np.bool_]:
    """Return which candidates may be applied.

    The gate: enough outcomes, enough confidence, and a lower bound of the excess reward above
    zero.

    Returns
    -------
    ndarray of bool, shape (n, K)
    """
    return _cleared(
        estimates, settings, estimates.lower_bound(settings.bound_z), estimates.confidence
    )


def _cleared(
    estimates: Estimates, settings: MemorySettings, lower: Floats, confidence: Floats
) -> npt.NDArray[np.bool_]:
    return (
        (lower > 0.0)
        & (estimates.outcomes >= settings.minimum_usage)
        & (confidence >= settings.confidence_threshold)
    )


def choose(
    estimates: Estimates,
    settings: MemorySettings,
    available: npt.NDArray[np.bool_],
    explore_draws: Floats,
    withhold_draws: Floats,
) -> Choice:
    """Apply the best candidate that clears the gate; explore where none does.

    Among those that clear it the one with the highest lower bound wins, ties by order. A share of
    the recommendations is withheld at random, and the agent explores instead.

    Parameters
    ----------
    estimates : Estimates
        For n contexts and K approaches.
    settings : MemorySettings
    available : ndarray of bool, shape (n,)
    explore_draws, withhold_draws : ndarray of float64, shape (n,)
        Uniform in [0, 1).
    """
    rows = np.arange(len(available))
    approaches = estimates.mean.shape[1]
    lower = estimates.lower_bound(settings.bound_z)
    confidence = estimates.confidence
    cleared = _cleared(estimates, settings, lower, confidence)
    best = np.where(cleared, lower, -np.inf).argmax(axis=1)
    recommended = cleared[rows, best] & available
    withheld = recommended & (withhold_draws < settings.withheld_fraction)
    applied = recommended & ~withheld
    blind = explore(available, approaches, explore_draws, Reason.ABSTAINED)
    chosen = np.where(applied, best, blind.chosen).astype(np.int16)
    evidence = np.full((len(rows), len(EVIDENCE)), np.nan, dtype=np.float32)
    at = np.flatnonzero(recommended)
    if len(at):
        computed = {"lower_bound": lower, "confidence": confidence}
        for column, name in enumerate(EVIDENCE):
            part = computed[name] if name in computed else getattr(estimates, name)
            evidence[at, column] = part[at, best[at]]
    share = settings.withheld_fraction / approaches
    kept = np.where(chosen == best, 1.0 - settings.withheld_fraction + share, share)
    return Choice(
        chosen=chosen,
        reason=np.where(
            applied, int(Reason.APPLIED), np.where(withheld, int(Reason.WITHHELD), blind.reason)
        ).astype(np.int8),
        propensity=np.where(recommended, kept, 1.0 / approaches).astype(np.float32),
        evidence=evidence,
    )
