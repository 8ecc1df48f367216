"""Which contexts are compared with each other: neighbourhoods around a few of them. Pure.

Contexts of real tasks are often nearly unique, so most patterns have one agent, and one domain. To
compare agents (or domains), places are gathered around *anchors*: the places with the smallest
numbers, which are hashes of what they are, so that the anchors are a random sample that depends on
nothing but what is known. Each place belongs to the anchor with the nearest vector. With more
outcomes there are more anchors, and neighbourhoods get smaller.

Buckets by random hyperplanes (Charikar, STOC 2002) would need no anchors, but embedded numbers lie
in a narrow cone: at as many buckets they were a third as pure, and an honest agent that explores
looked like a liar.

Above: ``assessment``. Below: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Neighbourhoods", "anchor_count", "anchor_rows", "similarities"]

Integers = npt.NDArray[np.int64]
Vectors = Callable[[Integers], npt.NDArray[np.float32]]

#: Outcomes for each anchor, and the limits of their number.
_PER_ANCHOR = 12
_FEWEST, _MOST = 8, 256
#: Coordinates are rounded to this fraction: then all sums are integers below 2**24, which float32
#: holds exactly, and no order of adding can show.
_SCALE = 1_024.0
#: Vectors that are compared at once.
_BLOCK = 4_096


def anchor_count(outcomes: int) -> int:
    """Return how many anchors so many outcomes deserve: a power of two, 8 to 256."""
    wanted = max(outcomes // _PER_ANCHOR, 1)
    return min(max(1 << (wanted.bit_length() - 1), _FEWEST), _MOST)


def anchor_rows(numbers: npt.NDArray[np.integer[Any]], count: int) -> Integers:
    """Return the rows of the smallest numbers, in the order of the numbers.

    Parameters
    ----------
    numbers : ndarray of int, shape (m,)
        A hash of each place; all different.
    count : int
    """
    if len(numbers) > count:
        first = np.argpartition(numbers, count - 1)[:count]
    else:
        first = np.arange(len(numbers))
    return np.asarray(first[np.argsort(numbers[first])], dtype=np.int64)


def similarities(
    vectors: npt.NDArray[np.floating[Any]], anchors: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.float32]:
    """Return the cosines of vectors with anchors, times 2**20, as whole numbers.

    Parameters
    ----------
    vectors : ndarray of float, shape (m, d)
        Of length one.
    anchors : ndarray of float, shape (k, d)
        Of length one.

    Returns
    -------
    ndarray of float32, shape (m, k)
        The same bits whatever is asked together.
    """
    scale = np.float32(_SCALE)
    fixed = np.rint(np.asarray(anchors, dtype=np.float32) * scale)
    return np.asarray(np.rint(np.asarray(vectors, dtype=np.float32) * scale) @ fixed.T)


class Neighbourhoods:
    """Which places belong to which anchors, kept while anchors come and go.

    Parameters
    ----------
    vectors : callable
        From rows of places to their vectors, of length one, shape (m, d). Rows keep their vectors.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._anchors = np.empty(0, dtype=np.int64)
        #: By place: its anchor's row, or -1, and the similarity to it.
        self._nearest = np.empty(0, dtype=np.int64)
        self._score = np.empty(0, dtype=np.float32)

    def of(self, places: Integers, numbers: npt.NDArray[np.integer[Any]], count: int) -> Integers:
        """Return the row of the nearest anchor of each place; of several, the smallest number's.

        Parameters
        ----------
        places : ndarray of int64, shape (m,)
            Rows, all different. The anchors are taken from them.
        numbers : ndarray of int, shape (P,)
            A hash of every place, by row.
        count : int
            How many anchors there are to be.
        """
        anchors = places[anchor_rows(numbers[places], count)]
        self._make_room(len(numbers))
        gone = np.setdiff1d(self._anchors, anchors)
        come = anchors[~np.isin(anchors, self._anchors)]
        self._anchors = anchors
        if len(gone):
            self._nearest[np.isin(self._nearest, gone)] = -1
        known = self._nearest[places] >= 0
        self._compare(places[known], come, numbers)
        self._compare(places[~known], anchors, numbers)
        # A place that wasn't asked about this time has not been compared with the new anchors.
        if len(come):
            others = self._nearest >= 0
            others[places] = False
            self._nearest[others] = -1
        return self._nearest[places]

    def _make_room(self, count: int) -> None:
        missing = count - len(self._nearest)
        if missing > 0:
            room = missing + len(self._nearest) // 2
            self._nearest = np.concatenate([self._nearest, np.full(room, -1, dtype=np.int64)])
            self._score = np.concatenate([self._score, np.zeros(room, dtype=np.float32)])

    def _compare(
        self, places: Integers, anchors: Integers, numbers: npt.NDArray[np.integer[Any]]
    ) -> None:
        """Let anchors, in the order of their numbers, take places that are nearer to them."""
        if not len(anchors) or not len(places):
            return
        fixed = self._vectors(anchors)
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            scores = similarities(self._vectors(block), fixed)
            best = scores.argmax(axis=1)
            score, rows = scores[np.arange(len(block)), best], anchors[best]
            now, was = self._nearest[block], self._score[block]
            better = (now < 0) | (score > was)
            better |= (score == was) & (numbers[rows] < numbers[np.maximum(now, 0)])
            self._nearest[block] = np.where(better, rows, now)
            self._score[block] = np.where(better, score, was)
