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

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["anchor_count", "anchor_rows", "nearest_anchors"]

Integers = npt.NDArray[np.int64]

#: Outcomes for each anchor, and the limits of their number.
_PER_ANCHOR = 20
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


def nearest_anchors(
    vectors: npt.NDArray[np.floating[Any]], anchors: npt.NDArray[np.floating[Any]]
) -> Integers:
    """Return for each vector which anchor is nearest by cosine; of several, the first.

    Parameters
    ----------
    vectors : ndarray of float, shape (m, d)
        Of length one.
    anchors : ndarray of float, shape (k, d), k > 0
        Of length one.

    Returns
    -------
    ndarray of int64, shape (m,)
        The same bits whatever is asked together.
    """
    fixed = np.rint(np.asarray(anchors, dtype=np.float32) * np.float32(_SCALE)).T
    found = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK], dtype=np.float32)
        scores = np.rint(block * np.float32(_SCALE)) @ fixed
        found[start : start + _BLOCK] = scores.argmax(axis=1)
    return found
