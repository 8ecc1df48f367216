"""Recall guard: how many of the truly nearest an index proposes, measured on its own rows.

The widths of each step are doubled until the recall is what it should be. What was measured is
kept with the index, and measured again when it has doubled. Reads every vector once; may run in a
thread of its own beside one that searches and adds. Above: ``vector_index``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from swarm_runtime.memory.vector_file import Matrix, Vectors
from swarm_runtime.memory.vector_signs import SignCodes, Widths

__all__ = ["Guarded", "guarded", "widened"]

#: Rows that are asked for their neighbours.
_ASKED = 64
#: Neighbours that count.
_NEAREST = 10
#: How much two float32 scores of the same pair may differ, so that ties count as found.
_SLACK = 1e-5
_FACTORS = (1, 2, 4, 8, 16)


class Guarded(NamedTuple):
    """What was measured last.

    Attributes
    ----------
    rows : int
        How many rows there were.
    recall : float
        Share of the ten nearest that were found.
    factor : int
        How many times as wide as at first the steps were.
    """

    rows: int
    recall: float
    factor: int


def widened(factor: int) -> Widths:
    """Return the widths that belong to a factor."""
    first = Widths()
    # Half of the signs is the coarsest step but the widest already: the others gain more.
    return Widths(first.heads * max(1, factor // 2), first.signs * factor, first.full * factor)


def guarded(
    vectors: Vectors, codes: SignCodes, target: float, stopped: Callable[[], bool]
) -> Guarded | None:
    """Measure the recall, with the narrowest widths that reach a target.

    Parameters
    ----------
    vectors : Vectors
    codes : SignCodes
        Of its first rows; those are measured.
    target : float
        Recall that is enough. Where even the widest steps don't reach it, the best counts.
    stopped : callable
        Whether to give up.

    Returns
    -------
    Guarded or None
        None if it gave up.
    """
    count = len(codes)
    if count < 2:
        return Guarded(count, 1.0, 1)
    asked = np.unique(np.linspace(0, count - 1, _ASKED).astype(np.int64))
    queries = vectors.take(asked)
    wanted = min(_NEAREST, count - 1)
    tenth = _tenth_best(vectors, asked, queries, count, wanted, stopped)
    if tenth is None:
        return None
    best: Guarded | None = None
    for factor in _FACTORS:
        found = 0
        for row, query, least in zip(asked.tolist(), queries, tenth.tolist(), strict=True):
            if stopped():
                return None
            # One more, because it finds itself.
            rows = codes.nearest(query, widened(factor).at_least(wanted + 1))
            scores = vectors.take(rows[rows != row]) @ query
            found += min(wanted, int(np.count_nonzero(scores >= least - _SLACK)))
        recall = found / (wanted * len(asked))
        if best is None or recall > best.recall:
            best = Guarded(count, recall, factor)
        if recall >= target or widened(factor).full >= count:
            break
    return best


def _tenth_best(
    vectors: Vectors,
    asked: np.ndarray[tuple[int], np.dtype[np.int64]],
    queries: Matrix,
    count: int,
    wanted: int,
    stopped: Callable[[], bool],
) -> Matrix | None:
    """Return the score of each query's last wanted neighbour, itself left out."""
    best = np.full((len(asked), wanted), -np.inf, dtype=np.float32)
    for start, rows in vectors.passes(0, count):
        if stopped():
            return None
        scores = queries @ rows.T
        own = (asked >= start) & (asked < start + len(rows))
        scores[own, asked[own] - start] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = np.partition(both, both.shape[1] - wanted, axis=1)[:, both.shape[1] - wanted :]
    return np.asarray(best.min(axis=1), dtype=np.float32)
