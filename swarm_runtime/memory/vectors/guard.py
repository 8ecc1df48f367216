"""How many rows are proposed: enough for each query, and enough on average.

For each query, the signs say how likely it is that what is as near as the best that was found would
have been proposed at all; where that is doubtful, more is proposed. So a query that is far from
everything, or a mask that keeps only what is far, costs more and not recall.

The recall guard checks that this holds: it measures which share of the truly nearest is found, on
an index's own rows, and begins wider until it is what it should be. It reads every vector once, and
may run in a thread of its own beside one that searches and adds.

Above: ``vector_index``. Below: ``vector_signs``, ``vector_file``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from swarm_runtime.memory.vectors.file import Matrix, Rows, Vectors
from swarm_runtime.memory.vectors.signs import Mask, SignCodes, Widths

__all__ = ["Guarded", "guarded", "proposed"]

#: Expected recall that is enough for a query.
_ENOUGH = 0.9
#: How much wider it is tried again, and the widest, as multiples of the first widths.
_WIDER = 3
_WIDEST = 9
#: Rows that are asked for their neighbours.
_ASKED = 64
#: Neighbours that count.
_NEAREST = 10
#: How much two float32 scores of the same pair may differ, so that ties count as found.
_SLACK = 1e-5


class Guarded(NamedTuple):
    """What was measured last.

    Attributes
    ----------
    rows : int
        How many rows there were.
    recall : float
        Share of the ten nearest that were found.
    factor : int
        How many times as wide as at first the steps begin.
    """

    rows: int
    recall: float
    factor: int


def proposed(
    vectors: Vectors,
    codes: SignCodes,
    query: Matrix,
    count: int,
    mask: Mask | None = None,
    factor: int = 1,
    floor: float = -1.0,
) -> tuple[Rows, Matrix]:
    """Return rows among which the nearest are, and their vectors.

    Parameters
    ----------
    vectors : Vectors
    codes : SignCodes
        Of its first n rows.
    query : ndarray of float32, shape (dimension,)
    count : int
        How many are wanted.
    mask : ndarray of bool, shape (n,), or None
    factor : int
        How wide to begin.
    floor : float
        Cosine below which it doesn't matter what is found.

    Returns
    -------
    rows : ndarray of int64
    vectors : ndarray of float32
    """
    while True:
        found = codes.nearest(query, _widened(factor).at_least(count), mask)
        held = vectors.take(found.rows)
        if factor >= _WIDEST or not found.steps:
            return found.rows, held
        scores = held @ query
        best = scores if len(scores) <= count else np.partition(scores, -count)[-count:]
        if found.chance(best[best >= floor]) >= _ENOUGH:
            return found.rows, held
        factor *= _WIDER


def _widened(factor: int) -> Widths:
    first = Widths()
    # The first step is the widest already: the others gain more.
    return Widths(first.heads * max(1, factor // _WIDER), first.signs * factor, first.full * factor)


def guarded(
    vectors: Vectors, codes: SignCodes, target: float, stopped: Callable[[], bool]
) -> Guarded | None:
    """Measure the recall, with the narrowest beginning that reaches a target.

    Parameters
    ----------
    vectors : Vectors
    codes : SignCodes
        Of its first rows; those are measured.
    target : float
        Recall that is enough. Where even the widest doesn't reach it, the best counts.
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
    factor = 1
    while factor <= _WIDEST:
        found = 0
        for row, query, least in zip(asked.tolist(), queries, tenth.tolist(), strict=True):
            if stopped():
                return None
            # One more, because it finds itself.
            rows, held = proposed(vectors, codes, query, wanted + 1, factor=factor)
            scores = held[rows != row] @ query
            found += min(wanted, int(np.count_nonzero(scores >= least - _SLACK)))
        recall = found / (wanted * len(asked))
        if best is None or recall > best.recall:
            best = Guarded(count, recall, factor)
        if recall >= target or len(rows) >= count:
            break
        factor *= _WIDER
    return best


def _tenth_best(
    vectors: Vectors,
    asked: Rows,
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
