"""Searching the catalogue: patterns by what their context means, behind filters, diverse. Pure.

Filters come first and are exact, whatever the size: a pattern that doesn't pass takes nobody's
place. What passes is ordered by the cosine of its context to the query, then picked by maximal
marginal relevance (Carbonell & Goldstein, SIGIR 1998): each next one maximises
λ · similarity to the query - (1 - λ) · greatest similarity to what was picked before.

Above: ``derived``. Below: ``catalogue``, ``recall``, ``standing``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.memory.choice.recommendation import Confidence
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.patterns import Pattern
from swarm_runtime.memory.state.recall import nearest
from swarm_runtime.memory.state.standing import Standings, pattern_at, standings

__all__ = ["Filters", "Found", "Searcher", "diverse"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: So many times more than wanted are considered for diversity.
_SHORTLIST = 4
#: Answers to filters that are kept.
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Filters:
    """What a pattern must be to be found; None: anything.

    Attributes
    ----------
    task_type, domain, approach : str or None
    minimum_confidence : float
    minimum_usage : int
        Outcomes.
    known_from_s, known_until_s : int or None
        When its newest outcome was known, both inclusive.
    """

    task_type: str | None = None
    domain: str | None = None
    approach: str | None = None
    minimum_confidence: float = 0.0
    minimum_usage: int = 0
    known_from_s: int | None = None
    known_until_s: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A pattern that was found.

    Attributes
    ----------
    pattern : Pattern
    similarity : float
        Cosine of its context to the query; 1 where there was none.
    score : float
        Its marginal relevance when it was picked.
    confidence : Confidence
        With the similarity to the query as its last part.
    """

    pattern: Pattern
    similarity: float
    score: float
    confidence: Confidence

    def sentence(self) -> str:
        """Return why it was found, in words."""
        return f"{self.similarity:.2f} similar. {self.pattern.sentence()}"


def diverse(relevance: Floats, similarity: Floats, count: int, weight: float) -> list[int]:
    """Return which to pick, in order, by maximal marginal relevance.

    Parameters
    ----------
    relevance : ndarray of float64, shape (m,)
        Similarity of each candidate to the query; ties are decided by their order.
    similarity : ndarray of float64, shape (m, m)
        Between candidates.
    count : int
    weight : float
        λ: 1 picks by relevance alone, 0 by difference from what was picked.
    """
    return _picked(relevance, similarity, count, weight)[0]


def _picked(
    relevance: Floats, similarity: Floats, count: int, weight: float
) -> tuple[list[int], list[float]]:
    """Return what ``diverse`` does, and each one's greatest similarity to those before it."""
    picked: list[int] = []
    near: list[float] = []
    nearest_picked = np.zeros(len(relevance))
    relevant = weight * relevance
    while len(picked) < min(count, len(relevance)):
        # Rounded, so that a last bit does not decide between equals.
        best = int((relevant - (1.0 - weight) * nearest_picked).round(9).argmax())
        relevant[best] = -np.inf
        near.append(float(nearest_picked[best]))
        # Similarities may be negative: what was picked first sets the greatest one.
        if picked:
            np.maximum(nearest_picked, similarity[best], out=nearest_picked)
        else:
            nearest_picked = similarity[best].copy()
        picked.append(best)
    return picked, near


@dataclass(frozen=True, slots=True, eq=False)
class _Passing:
    """What passes some filters: patterns and places by row, whether any and all places do."""

    patterns: npt.NDArray[np.bool_]
    places: npt.NDArray[np.bool_]
    some: bool
    everywhere: bool


class Searcher:
    """Finds patterns in a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    settings : MemorySettings
    recency : ndarray of float64
        From ``ranking.recency_table``.
    """

    def __init__(self, catalogue: Catalogue, settings: MemorySettings, recency: Floats) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._recency = recency
        self._passing: dict[tuple[Filters, int | None], _Passing] = {}
        self._version = -1
        self._all: tuple[tuple[int, int | None], Standings] | None = None

    def standings(self, now_s: int | None) -> Standings:
        """Return how all patterns stand at the catalogue's moment; kept until something changes."""
        key = (self._catalogue.version, now_s)
        if self._all is None or self._all[0] != key:
            found = standings(self._catalogue, self._settings, self._recency, now_s=now_s)
            self._all = (key, found)
        return self._all[1]

    def of(self, patterns: Integers, now_s: int | None) -> Standings:
        """Return how some patterns stand, by their rows."""
        return standings(self._catalogue, self._settings, self._recency, patterns, now_s)

    def passing(self, filters: Filters, now_s: int | None) -> npt.NDArray[np.bool_]:
        """Return which patterns pass, by row."""
        return self._kept(filters, now_s).patterns

    def _kept(self, filters: Filters, now_s: int | None) -> _Passing:
        if self._version != self._catalogue.version:
            self._passing.clear()
            self._version = self._catalogue.version
        # Only confidence changes as time goes by.
        key = (filters, now_s if filters.minimum_confidence > 0.0 else None)
        kept = self._passing.get(key)
        if kept is None:
            if len(self._passing) >= _KEPT:
                del self._passing[next(iter(self._passing))]
            passes = self._pass(filters, now_s)
            places = np.zeros(len(self._catalogue.cells), dtype=np.bool_)
            places[self._catalogue.patterns.place.rows[passes]] = True
            kept = self._passing[key] = _Passing(
                passes, places, bool(places.any()), bool(places.all())
            )
        return kept

    def _pass(self, filters: Filters, now_s: int | None) -> npt.NDArray[np.bool_]:
        catalogue = self._catalogue
        patterns, places = catalogue.patterns, catalogue.places
        passes = patterns.counters.rows[:, 0] > 0
        place = patterns.place.rows
        for value, names, column in (
            (filters.approach, catalogue.approaches, patterns.approach.rows),
            (filters.domain, catalogue.domains, places.domain.rows[place]),
            (filters.task_type, catalogue.task_types, places.task_type.rows[place]),
        ):
            if value is not None:
                passes &= column == names.find(value)
        if filters.known_from_s is not None:
            passes &= patterns.newest_s.rows >= filters.known_from_s
        if filters.known_until_s is not None:
            passes &= patterns.newest_s.rows <= filters.known_until_s
        if filters.minimum_usage > 0 or filters.minimum_confidence > 0.0:
            found = self.standings(now_s)
            enough = found.counters[:, 0] >= filters.minimum_usage
            enough &= found.confidence(self._settings) >= filters.minimum_confidence
            allowed = np.zeros(len(passes), dtype=np.bool_)
            allowed[found.patterns[enough]] = True
            passes &= allowed
        return np.asarray(passes)

    def search(
        self,
        query: npt.NDArray[np.float32] | None,
        filters: Filters,
        count: int,
        *,
        now_s: int | None,
        diversity: float,
        exact: bool = False,
    ) -> list[Found]:
        """Return the patterns that pass and are nearest to a query, diverse, best first.

        Parameters
        ----------
        query : ndarray of float32, shape (dimension,), or None
            None: whatever passes, the most confident first.
        filters : Filters
        count : int
        now_s : int or None
            The moment at which recency is read; None: that of the newest outcome.
        diversity : float
            λ of ``diverse``.
        exact : bool
            As in ``recall.recall``.
        """
        passing = self._kept(filters, now_s)
        passes = passing.patterns
        catalogue = self._catalogue
        if query is None:
            found = self.standings(now_s)
            rows = found.patterns[passes[found.patterns]]
            worth = found.confidence(self._settings)[passes[found.patterns]]
            order = np.lexsort((catalogue.patterns.number.rows[rows], -worth))[:count]
            return self._found(rows[order], np.ones(len(order)), worth[order], now_s)
        if not passing.some:
            return []
        wide = count * _SHORTLIST if diversity < 1.0 else count
        mask = None if passing.everywhere else passing.places
        near = nearest(catalogue, query, wide, mask, exact=exact)
        patterns, at = _patterns_of(catalogue, near.places, passes)
        cosines = near.cosines[at]
        if diversity == 1.0:
            # They are in order already.
            return self._found(patterns[:count], cosines[:count], cosines[:count], now_s)
        vectors = catalogue.index.vectors(near.places).astype(np.float64)
        between = vectors @ vectors.T
        if len(at) != len(between) or (np.diff(at) != 1).any():
            between = between[np.ix_(at, at)]
        picked, nearest_picked = _picked(cosines, between, count, diversity)
        chosen = np.array(picked, dtype=np.int64)
        score = diversity * cosines[chosen] - (1.0 - diversity) * np.array(nearest_picked)
        return self._found(patterns[chosen], cosines[chosen], score, now_s)

    def _found(
        self, rows: Integers, similarity: Floats, score: Floats, now_s: int | None
    ) -> list[Found]:
        found = self.of(rows, now_s)
        at = np.searchsorted(found.patterns, rows)
        answer: list[Found] = []
        for step, where in enumerate(at.tolist()):
            pattern = pattern_at(self._catalogue, found, where)
            own = pattern.confidence
            near = max(0.0, float(similarity[step]))
            confidence = Confidence(own.success, own.usage, own.recency, near)
            answer.append(Found(pattern, float(similarity[step]), float(score[step]), confidence))
        return answer


def _patterns_of(
    catalogue: Catalogue, places: Integers, passes: npt.NDArray[np.bool_]
) -> tuple[Integers, Integers]:
    """Return the passing patterns at some places, and at which of the places each is."""
    parts: list[tuple[Integers, Integers]] = []
    at, pattern = np.arange(len(places)), catalogue.places.first_pattern.rows[places]
    while True:
        here = pattern >= 0
        if not here.all():
            at, pattern = at[here], pattern[here]
        if not len(at):
            break
        parts.append((at, pattern))
        pattern = catalogue.patterns.following.rows[pattern]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    place = np.concatenate([one for one, _ in parts])
    found = np.concatenate([one for _, one in parts]).astype(np.int64)
    some = passes[found]
    place, found = place[some], found[some]
    # By place, then by id: the order in which they came must not show.
    order = np.lexsort((catalogue.patterns.number.rows[found], place))
    return found[order], place[order]
