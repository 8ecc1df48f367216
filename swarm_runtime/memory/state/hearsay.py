"""Whether what is known from another domain comes true in this one. Derived from the catalogue.

``assessment`` measures how well outcomes of two domains go together where both have some. At first
there are few, and what was tried was chosen by what the other domain says: all of it was expected
to go well, so it can't be seen whether what is expected to go better does. But it can be seen
whether it goes well at all. For the first outcomes in the new domain, with p what the other
domain's linear model expected of each and r how it went,

    s = (2 + Σ p·r) / (2 + Σ p²)

is one where expectations come true (two right ones are taken for granted) and falls to zero after
three or four that fail. Below 0.6 the other domain counts half, below 0.25 not at all.

Above: ``derived``. Below: ``beliefs``, ``catalogue``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.state.beliefs import Beliefs
from swarm_runtime.memory.state.catalogue import Catalogue

__all__ = ["Hearsay"]

Integers = npt.NDArray[np.int64]

#: Patterns of the new domain that are looked at: those with the smallest ids.
_MOST_PATTERNS = 48
#: Other domains that are looked at: those that count most. (Each takes a model.)
_MOST_DOMAINS = 12
#: Expectations that are taken to have come true beforehand, as a sum of squares.
_GRANTED = 2.0
#: Shares from which on another domain counts in full, and half.
_FULL, _HALF = 0.6, 0.25


class Hearsay:
    """Says how much of what other domains know is to be believed in one.

    Parameters
    ----------
    catalogue : Catalogue
    beliefs : Beliefs
        Of the same catalogue.
    """

    def __init__(self, catalogue: Catalogue, beliefs: Beliefs) -> None:
        self._catalogue = catalogue
        self._beliefs = beliefs
        self._shares: dict[tuple[int, int, int], tuple[tuple[int, int], float]] = {}
        self._expected: dict[tuple[int, int], tuple[int, dict[int, float]]] = {}

    def weighed(self, kind: int, to: int, levels: Integers) -> Integers:
        """Return the levels of other domains, lowered where their expectations fail.

        Parameters
        ----------
        kind : int
            Task type.
        to : int
            The domain that is asked about.
        levels : ndarray of int64, shape (domains,)
        """
        if kind < 0 or to < 0:
            return levels
        weighed = levels.copy()
        names = self._catalogue.domains.texts
        others = [one for one in np.flatnonzero(levels).tolist() if one != to]
        for one in sorted(others, key=lambda one: (-levels[one], names[one]))[:_MOST_DOMAINS]:
            share = self._share(kind, one, to)
            if share < _FULL:
                weighed[one] = levels[one] // 2 if share >= _HALF else 0
        return weighed

    def _share(self, kind: int, one: int, to: int) -> float:
        """Return how far what one domain expects comes true in another."""
        mine, theirs = self._beliefs.of(kind, to), self._beliefs.of(kind, one)
        stands = mine.version, theirs.version
        known = self._shares.get((kind, one, to))
        if known is not None and known[0] == stands:
            return known[1]
        patterns, sums = mine.sums()
        here = sums[:, 0] > 0.0
        patterns, sums = patterns[here], sums[here]
        numbers = self._catalogue.patterns.number.rows[patterns]
        first = np.argsort(numbers)[:_MOST_PATTERNS]
        expected = self._expectations(kind, one, patterns[first])
        outcomes, excess = sums[first, 0], sums[first, 1]
        squares = float((outcomes * expected * expected).sum())
        share = (_GRANTED + float((expected * excess).sum())) / (_GRANTED + squares)
        self._shares[kind, one, to] = stands, share
        return share

    def _expectations(self, kind: int, one: int, patterns: Integers) -> npt.NDArray[np.float64]:
        """Return what a domain's model expects of some patterns' approaches in their contexts."""
        theirs = self._beliefs.of(kind, one)
        version, kept = self._expected.get((kind, one), (-1, {}))
        if version != theirs.version:
            kept = {}
            self._expected[kind, one] = theirs.version, kept
        for pattern in patterns.tolist():
            if pattern not in kept:
                kept[pattern] = self._beliefs.expected(theirs, pattern)
        return np.array([kept[pattern] for pattern in patterns.tolist()])
