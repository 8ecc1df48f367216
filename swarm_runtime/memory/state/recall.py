"""Reading the catalogue: what is known near a context, for choosing and for searching.

``recall`` collects the outcomes of some candidates in the contexts nearest to one, as statistics
that ``safla.adapt`` reads; what isn't known by the moment, or is filtered out, takes nobody's
place. Above: ``derived``. Below: ``catalogue``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.choice.ranking import NEVER, SIMILARITY_SCALE, Statistics
from swarm_runtime.memory.choice.recommendation import Evidence
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.ledger import MOST_EVIDENCE, Recall
from swarm_runtime.memory.state.tables import FULL_TRUST
from swarm_runtime.memory.trust.agents import FULL_LEVEL
from swarm_runtime.memory.vectors.nearness import NEAR_FLOOR, nearness

__all__ = ["NEIGHBOURS", "Near", "nearest", "recall"]

#: Contexts that are read at most.
NEIGHBOURS = 32
#: How many more are asked for, so that ties at the end can be put in order.
_MARGIN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Places near a context, the nearest first; ties by the places' own numbers.

    Attributes
    ----------
    places : ndarray of int64, shape (m,)
    cosines : ndarray of float64, shape (m,)
    """

    places: npt.NDArray[np.int64]
    cosines: npt.NDArray[np.float64]


def nearest(
    catalogue: Catalogue,
    query: npt.NDArray[np.float32],
    count: int,
    mask: npt.NDArray[np.bool_] | None,
    *,
    exact: bool = False,
    floor: float = -1.0,
) -> Near:
    """Return the places nearest to a vector.

    The order in which places were found first does not show: those that tie with the last one are
    all fetched before it is cut.
    """
    wanted, total = count + _MARGIN, len(catalogue.cells)
    while True:
        rows, cosines = catalogue.index.search(
            query, min(wanted, total), mask, exact=exact, floor=floor
        )
        if len(rows) <= count or cosines[-1] < cosines[count - 1] or wanted >= total:
            break
        wanted *= 4
    order = np.lexsort((catalogue.places.key.rows[rows], -cosines))[:count]
    return Near(rows[order], cosines[order])


def recall(
    catalogue: Catalogue,
    query: npt.NDArray[np.float32],
    task_type: str,
    candidates: Sequence[str],
    domain: str | None,
    *,
    levels: npt.NDArray[np.int64] | None = None,
    exact: bool = False,
) -> Recall:
    """Return what is known, at the catalogue's moment, of candidates in contexts like one.

    Parameters
    ----------
    catalogue : Catalogue
    query : ndarray of float32, shape (dimension,)
        The context's vector.
    task_type : str
    candidates : sequence of str, length K
    domain : str or None
        None: any.
    levels : ndarray of int64, shape (domains,), or None
        How much of what was found in each domain counts, in sixteenths; None: all of what was
        found in ``domain``, nothing of the others.
    exact : bool
        Whether the nearest contexts must be the very nearest, whatever it takes.
    """
    kind = catalogue.task_types.find(task_type)
    field = -1 if domain is None else catalogue.domains.find(domain)
    numbers = np.array([catalogue.approaches.find(one) for one in candidates], dtype=np.int64)
    known = frozenset(numbers[numbers >= 0].tolist())
    if kind < 0 or (domain is not None and field < 0 and levels is None) or not known:
        return _recall(catalogue, _NOWHERE, numbers, candidates, None)
    mask = catalogue.mask(field if levels is None else -1, kind, known)
    bits: npt.NDArray[np.bool_] | None = mask.bits.rows
    if levels is not None and not (levels > 0).all():
        bits = mask.bits.rows & (levels[catalogue.places.domain.rows] > 0)
    elif mask.count == len(catalogue.cells):
        bits = None
    if not mask.count or (bits is not None and not bits.any()):
        return _recall(catalogue, _NOWHERE, numbers, candidates, None)
    near = nearest(catalogue, query, NEIGHBOURS, bits, exact=exact, floor=NEAR_FLOOR)
    return _recall(catalogue, near, numbers, candidates, levels)


_NOWHERE = Near(np.empty(0, dtype=np.int64), np.empty(0))
#: The context that is asked about, in a ``Recall``'s statistics.
_ROW = np.zeros(1, dtype=np.int32)
#: Patterns that count, one each: at which of some places, of which candidate, and its row.
_Counted = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _recall(
    catalogue: Catalogue,
    near: Near,
    numbers: npt.NDArray[np.int64],
    candidates: Sequence[str],
    levels: npt.NDArray[np.int64] | None,
) -> Recall:
    weights = nearness(near.cosines, SIMILARITY_SCALE)
    if levels is not None:
        # Sixteenths of integers: sums of them are exact too.
        weights *= levels[catalogue.places.domain.rows[near.places]] / FULL_LEVEL
    some = weights > 0
    places, weights = near.places[some], weights[some]
    found = _counted_at(catalogue, places, numbers)
    # Row 0 stands for the context that is asked about; what is near fills the rows behind it.
    statistics = Statistics(len(places) + 1, len(candidates))
    similarity = np.zeros((1, len(places) + 1))
    similarity[0, 1:] = weights
    newest = statistics.last_known_s
    for row, column, pattern in found:
        counters = catalogue.patterns.counters.rows[pattern] / FULL_TRUST
        statistics.counters[row + 1, :, column] = counters
        newest[row + 1, column] = catalogue.patterns.newest_s.rows[pattern]
    if found:
        newest[0] = newest[1:].max(axis=0)
        statistics.newest_s = int(newest[0].max())
    return Recall(statistics, _ROW, similarity, _evidence(catalogue, weights, found, candidates))


def _counted_at(
    catalogue: Catalogue, places: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
) -> list[_Counted]:
    """Return the patterns of some approaches that count at some places.

    Parameters
    ----------
    catalogue : Catalogue
    places : ndarray of int64, shape (m,)
    numbers : ndarray of int64, shape (K,)
        Approaches; -1 for one that isn't known.
    """
    patterns = catalogue.patterns
    column = np.empty(len(catalogue.approaches) + 1, dtype=np.int64)
    column.fill(-1)
    column[numbers] = np.arange(len(numbers))
    column[-1] = -1
    found: list[_Counted] = []
    rows, at = np.arange(len(places)), catalogue.places.first_pattern.rows[places]
    # Each step is one further along the chains of all places.
    while len(at):
        to = column[patterns.approach.rows[at]]
        wanted = (to >= 0) & (patterns.counters.rows[at, 0] > 0)
        if wanted.all():
            found.append((rows, to, at))
        elif wanted.any():
            found.append((rows[wanted], to[wanted], at[wanted]))
        at = patterns.following.rows[at]
        more = at >= 0
        if not more.all():
            rows, at = rows[more], at[more]
    return found


def _evidence(
    catalogue: Catalogue,
    weights: npt.NDArray[np.float64],
    found: list[_Counted],
    candidates: Sequence[str],
) -> Callable[[str], tuple[Evidence, ...]]:
    def of(approach: str) -> tuple[Evidence, ...]:
        wanted = candidates.index(approach)
        heavy: list[tuple[float, int, int, int]] = []
        for row, column, pattern in found:
            mine = column == wanted
            rows, patterns = row[mine], pattern[mine]
            trials = catalogue.patterns.counters.rows[patterns, 0]
            keys = catalogue.places.key.rows[catalogue.patterns.place.rows[patterns]]
            weight = -weights[rows] * trials
            heavy += zip(
                weight.tolist(), keys.tolist(), rows.tolist(), patterns.tolist(), strict=True
            )
        return tuple(
            described(catalogue, one, weights[row] / SIMILARITY_SCALE)
            for _, _, row, one in sorted(heavy)[:MOST_EVIDENCE]
        )

    return of


def described(catalogue: Catalogue, pattern: int, similarity: float) -> Evidence:
    """Return what is counted of a pattern, in words and whole outcomes."""
    place = int(catalogue.patterns.place.rows[pattern])
    trials, successes, failures, reward, _ = raw_counters(catalogue, pattern)
    newest_s = int(catalogue.patterns.newest_s.rows[pattern])
    return Evidence(
        pattern_id=catalogue.id_of(pattern),
        domain=catalogue.domains.texts[catalogue.places.domain.rows[place]],
        approach=catalogue.approaches.texts[catalogue.patterns.approach.rows[pattern]],
        context=catalogue.reader.words(catalogue.cell(place)),
        similarity=float(similarity),
        trials=trials,
        successes=successes,
        failures=failures,
        mean_excess=reward / max(trials, 1) / REWARD_SCALE,
        agents=catalogue.agents_of(pattern),
        last_known_s=newest_s if newest_s > NEVER else 0,
    )


def raw_counters(catalogue: Catalogue, pattern: int) -> tuple[int, ...]:
    """Return a pattern's counters, each agent's outcomes counted whole."""
    total = np.zeros(5, dtype=np.int64)
    at = int(catalogue.patterns.first_pair.rows[pattern])
    while at >= 0:
        total += catalogue.pairs.counters.rows[at]
        at = int(catalogue.pairs.following.rows[at])
    return tuple(total.tolist())
