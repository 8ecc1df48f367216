"""How patterns of the catalogue stand: their confidence, and the pattern as people read it. Pure.

The moving average old·(1-η) + new·η of ``patterns.PatternFold`` in closed form over a pattern's
outcomes in order of time, so that a million of them take a second. Outcomes that retention folded
count as one step. Counts are as reported; how far an agent is trusted shows in what is recommended,
not in what is said of the record.

Above: ``search``, ``derived``. Below: ``catalogue``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.choice.recommendation import Confidence
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.patterns import Counts, Pattern

__all__ = ["Standings", "intervals", "pattern_at", "standings"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_DAY_S = 86_400
_Z95 = 1.96
_NOTHING = Counts(0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """Of m patterns, by column.

    Attributes
    ----------
    patterns : ndarray of int64, shape (m,)
        Their rows; increasing.
    counters : ndarray of int64, shape (m, 5)
        As reported: trials, successes, failures, sum of excess rewards and of their squares.
    success, usage, recency : ndarray of float64, shape (m,)
        Parts of the confidence.
    first_known_s, last_known_s : ndarray of int64, shape (m,)
    """

    patterns: Integers
    counters: Integers
    success: Floats
    usage: Floats
    recency: Floats
    first_known_s: Integers
    last_known_s: Integers

    def confidence(
        self, settings: MemorySettings, similarity: Floats | float = 1.0
    ) -> npt.NDArray[np.float64]:
        """Return the report's confidence for contexts that similar."""
        weights = settings.confidence_weights
        return np.asarray(
            weights[0] * self.success
            + weights[1] * self.usage
            + weights[2] * self.recency
            + weights[3] * similarity
        )


def standings(
    catalogue: Catalogue,
    settings: MemorySettings,
    recency: Floats,
    patterns: Integers | None = None,
    now_s: int | None = None,
) -> Standings:
    """Return how patterns stand at the catalogue's moment.

    Parameters
    ----------
    catalogue : Catalogue
    settings : MemorySettings
    recency : ndarray of float64
        From ``ranking.recency_table``.
    patterns : ndarray of int64 or None
        Their rows; None: all of which an outcome is counted.
    now_s : int or None
        The moment at which recency is read; None: that of the newest outcome of all.
    """
    outcomes = catalogue.outcomes
    if patterns is None:
        rows = np.flatnonzero(outcomes.counted.rows)
    else:
        parts = [catalogue.outcomes_of(one) for one in np.unique(patterns).tolist()]
        rows = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        rows = rows[outcomes.counted.rows[rows]]
    pair = outcomes.pair.rows[rows]
    pattern, agent = catalogue.pairs.pattern.rows[pair], catalogue.pairs.agent.rows[pair]
    known_s = outcomes.known_s.rows[rows]
    rank = catalogue.agents.ranks()
    order = np.lexsort((outcomes.number.rows[rows], rank[agent], known_s, pattern))
    rows, pattern, known_s = rows[order], pattern[order], known_s[order]
    starts = np.ones(len(pattern), dtype=np.bool_)
    starts[1:] = pattern[1:] != pattern[:-1]
    first = np.flatnonzero(starts)
    found, count = pattern[first], np.diff(first, append=len(pattern))
    sums = _running(outcomes.counters.rows[rows], first, count)
    success = (sums[:, 1] + 1.0) / (sums[:, 1] + sums[:, 2] + 2.0)
    usage = sums[:, 0] / (sums[:, 0] + 3.0)
    last = first + count - 1
    newest_s = known_s[last] if len(rows) else np.empty(0, dtype=np.int64)
    now = catalogue.newest_s() if now_s is None else now_s
    age_days = np.minimum(np.maximum((now - newest_s) // _DAY_S, 0), len(recency) - 1)
    weight = _weights(first, count, settings.learning_rate)
    return Standings(
        patterns=found.astype(np.int64),
        counters=sums[last] if len(rows) else np.empty((0, 5), dtype=np.int64),
        success=_averaged(success, weight, first),
        usage=_averaged(usage, weight, first),
        recency=recency[age_days],
        first_known_s=known_s[first] if len(rows) else np.empty(0, dtype=np.int64),
        last_known_s=newest_s,
    )


def _running(counters: Integers, first: Integers, count: Integers) -> Integers:
    """Return sums within each group, up to and with each row."""
    total = np.cumsum(counters, axis=0)
    before = np.zeros((len(first), counters.shape[1]), dtype=np.int64)
    before[1:] = total[first[1:] - 1]
    return np.asarray(total - np.repeat(before, count, axis=0))


def _weights(first: Integers, count: Integers, rate: float) -> Floats:
    """Return what each row counts in its group's moving average: the newest one most."""
    total = int(count.sum())
    place = np.arange(total) - np.repeat(first, count)
    weight = (1.0 - rate) ** (np.repeat(count, count) - 1 - place)
    return np.where(place > 0, rate * weight, weight)


def _averaged(values: Floats, weight: Floats, first: Integers) -> Floats:
    """Return the moving average of each group: the first value sets it, each later one moves it."""
    return np.add.reduceat(weight * values, first) if len(values) else values


def intervals(found: Standings) -> tuple[Floats, Floats]:
    """Return both ends of each pattern's 95 % interval of the mean excess reward, in σ.

    With one pseudo-outcome of unit variance, as in ``ranking.estimate``.
    """
    trials = np.maximum(found.counters[:, 0], 1).astype(np.float64)
    mean = found.counters[:, 3] / trials
    spread = np.maximum(found.counters[:, 4] / trials - mean * mean, 0.0) / REWARD_SCALE**2
    width = _Z95 * np.sqrt((trials * spread + 1.0) / (trials + 1.0) / trials)
    mean = mean / REWARD_SCALE
    return mean - width, mean + width


def pattern_at(catalogue: Catalogue, found: Standings, at: int) -> Pattern:
    """Return one of the patterns, as people read it."""
    row = int(found.patterns[at])
    place = int(catalogue.patterns.place.rows[row])
    trials, successes, failures, reward, square = found.counters[at].tolist()
    # As in ``intervals``, to the bit: whoever reads all patterns one by one can't have all each
    # time.
    mean = reward / trials
    spread = max(square / trials - mean * mean, 0.0) / REWARD_SCALE**2
    width = _Z95 * math.sqrt((trials * spread + 1.0) / (trials + 1.0) / trials)
    mean /= REWARD_SCALE
    return Pattern(
        id=catalogue.id_of(row),
        domain=catalogue.domains.texts[catalogue.places.domain.rows[place]],
        task_type=catalogue.task_types.texts[catalogue.places.task_type.rows[place]],
        approach=catalogue.approaches.texts[catalogue.patterns.approach.rows[row]],
        context=catalogue.reader.words(catalogue.cell(place)),
        actual=Counts(trials, successes, failures),
        shadow=_NOTHING,
        outcomes=trials,
        mean_excess=mean,
        interval=(mean - width, mean + width),
        confidence=Confidence(
            success=float(found.success[at]),
            usage=float(found.usage[at]),
            recency=float(found.recency[at]),
            similarity=1.0,
        ),
        agents=catalogue.agents_of(row),
        first_known_s=int(found.first_known_s[at]),
        last_known_s=int(found.last_known_s[at]),
    )
