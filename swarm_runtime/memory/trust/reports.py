"""What reporters found under keys that can be compared, one row each. Pure.

Above: ``trust`` compares agents by it, and domains; ``assessment`` makes the keys.
Below: ``core.knowledge``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import REWARD_SCALE

__all__ = ["Reports"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Columns of ``Reports.counters``.
_TRIALS, _SUCCESSES, _FAILURES, _REWARD, _SQUARE = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Reports:
    """What each reporter found under each key, ordered by key and reporter.

    Attributes
    ----------
    keys, reporters : ndarray of int64, shape (m,)
        Each pair occurs once. A key stands for what can be compared (domain, task type, approach
        and neighbourhood); a reporter is an agent, or a domain in ``transfer_levels``.
    counters : ndarray of int64, shape (m, 5)
        Trials (> 0), successes, failures, sum of excess rewards and of their squares, the last two
        in 1/REWARD_SCALE σ.
    """

    keys: Integers
    reporters: Integers
    counters: Integers

    @classmethod
    def collect(
        cls,
        keys: npt.NDArray[np.integer[Any]],
        reporters: npt.NDArray[np.integer[Any]],
        counters: npt.NDArray[np.integer[Any]],
    ) -> Self:
        """Add up rows of the same key and reporter.

        Parameters
        ----------
        keys, reporters : ndarray of int, shape (n,)
            In any order, any number of times. Reporters are not negative.
        counters : ndarray of int, shape (n, 5)

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        if counters.shape != (len(keys), 5) or len(keys) != len(reporters):
            raise ValueError(
                f"counters of shape {counters.shape} for {len(keys)} keys and {len(reporters)}"
                " reporters"
            )
        order = np.lexsort((reporters, keys))
        key = np.asarray(keys[order], dtype=np.int64)
        reporter = np.asarray(reporters[order], dtype=np.int64)
        first = np.ones(len(key), dtype=np.bool_)
        first[1:] = (key[1:] != key[:-1]) | (reporter[1:] != reporter[:-1])
        starts = np.flatnonzero(first)
        if not len(starts):
            return cls(key, reporter, np.empty((0, 5), dtype=np.int64))
        sums = np.add.reduceat(np.asarray(counters[order], dtype=np.int64), starts, axis=0)
        some = sums[:, _TRIALS] > 0
        return cls(key[starts][some], reporter[starts][some], sums[some])

    def trials(self) -> Floats:
        """Return how many outcomes each row stands for."""
        return self.counters[:, _TRIALS].astype(np.float64)

    def groups(self) -> Integers:
        """Return the number of each row's key, counted from 0."""
        fresh = np.ones(len(self.keys), dtype=np.int64)
        fresh[1:] = self.keys[1:] != self.keys[:-1]
        return np.asarray(np.cumsum(fresh) - 1, dtype=np.int64)

    def channels(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Return sum and sum of squares of the excess rewards, in σ, and of the verdicts."""
        reward = self.counters[:, _REWARD] / REWARD_SCALE
        square = self.counters[:, _SQUARE] / REWARD_SCALE**2
        successes, failures = self.counters[:, _SUCCESSES], self.counters[:, _FAILURES]
        verdict = (successes - failures).astype(np.float64)
        return (reward, square), (verdict, (successes + failures).astype(np.float64))
