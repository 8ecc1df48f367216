"""What a ledger is asked and answers: the outcomes near a context, behind the guard. Pure.

Two ledgers, one question. ``recall`` finds the contexts near the one that is asked about, takes of
their outcomes what was known by then, and returns statistics that ``safla.adapt`` can read:
``space_ledger`` for contexts of a declared space, ``open_ledger`` for contexts of any kind. Both
are derived from the log, and can be rebuilt from it at any time. Above: ``bank``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.choice.ranking import Statistics
from swarm_runtime.memory.choice.recommendation import Evidence

__all__ = ["MOST_EVIDENCE", "Recall"]

#: Patterns that are shown as evidence at most.
MOST_EVIDENCE = 5


@dataclass(frozen=True, slots=True)
class Recall:
    """What is known by then of some candidates in contexts like one.

    Attributes
    ----------
    statistics : Statistics
    cells : ndarray of int32, shape (1,)
    similarity : ndarray of float64
        As ``ranking.estimate`` wants them.
    evidence : callable
        From a candidate to the patterns that weigh most for it, by similarity times outcomes.
    """

    statistics: Statistics
    cells: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float64]
    evidence: Callable[[str], tuple[Evidence, ...]]
