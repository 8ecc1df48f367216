"""How patterns stand to each other: alike, contradicting, and in groups. Derived when read. Pure.

Nothing is merged away. Two patterns of one approach to one type of task, found in near contexts,
are *similar* if their outcomes agree as far as one can tell (their intervals overlap), and
*contradict* each other if one surely pays and the other surely doesn't (the intervals lie on
different sides of zero). Anything else is no link: contexts that are not near never contradict,
whatever happened in them. What somebody recorded as a link (``records.Link``) is listed beside what
is seen.

Similar patterns are shown in groups: the connected components of their links.

Above: ``bank``. Below: ``neighbourhoods`` (cosines that do not depend on what is compared
together), ``records``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.records.annotations import Link, LinkKind
from swarm_runtime.memory.trust.neighbourhoods import similarities

__all__ = ["NEAR", "PatternColumns", "Related", "grouped", "recorded", "related"]

#: Cosine from which on contexts are near.
NEAR = 0.9
#: Links of each sort that are kept of a pattern: the strongest.
_MOST = 8
#: Patterns that are compared with all others of their approach at once.
_BLOCK = 512
#: ``similarities`` are cosines times this.
_SCALE = float(1 << 20)


@dataclass(frozen=True, slots=True, eq=False)
class PatternColumns:
    """Patterns, one row each.

    Attributes
    ----------
    ids : sequence of str, length n
        All different.
    vectors : ndarray of float32, shape (n, d)
        Of their contexts; of length one.
    task_type, approach : ndarray of int, shape (n,)
    low, high : ndarray of float64, shape (n,)
        Interval of the mean excess reward, in σ. NaN where nothing is known: no link.
    """

    ids: Sequence[str]
    vectors: npt.NDArray[np.floating[Any]]
    task_type: npt.NDArray[np.integer[Any]]
    approach: npt.NDArray[np.integer[Any]]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.ids)
        for name in ("vectors", "task_type", "approach", "low", "high"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name}: {len(getattr(self, name))} rows for {count} patterns")


@dataclass(frozen=True, slots=True)
class Related:
    """A link.

    Attributes
    ----------
    relation : str
        ``similar``, ``contradicts`` or ``derived_from``.
    first, second : str
        Ids; the smaller one first, but in ``derived_from`` the one that is derived.
    strength : float
        In (0, 1]. Similar: the cosine of the contexts. Contradicting: the cosine times the distance
        of the intervals in σ, if that is less than 1. Recorded: 1.
    gap : float or None
        Distance of the intervals, in σ; None for recorded links.
    said_by : tuple of str
        Who recorded it; empty: it is seen from contexts and outcomes.
    """

    relation: LinkKind
    first: str
    second: str
    strength: float
    gap: float | None = None
    said_by: tuple[str, ...] = ()


def related(
    patterns: PatternColumns,
    *,
    near: float = NEAR,
    most: int = _MOST,
    only: Sequence[int] | None = None,
) -> list[Related]:
    """Return which patterns are similar, and which contradict each other.

    Parameters
    ----------
    patterns : PatternColumns
        In any order.
    near : float
        Cosine from which on contexts are near, in (0, 1].
    most : int (>= 1)
        Links of each sort that are kept for a pattern, the strongest (by cosine, then by id). A
        link is there if either end keeps it.
    only : sequence of int, or None
        Rows whose links are wanted; None: all. One row costs a comparison with every pattern of its
        approach.

    Returns
    -------
    list of Related
        Contradictions first, then by strength, then by ids.
    """
    ids = np.array(patterns.ids, dtype=object)
    rank = np.empty(len(ids), dtype=np.int64)
    rank[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    known = ~(np.isnan(patterns.low) | np.isnan(patterns.high))
    wanted = np.zeros(len(ids), dtype=np.bool_)
    wanted[np.arange(len(ids)) if only is None else np.asarray(only, dtype=np.int64)] = True
    rows = np.flatnonzero(known)
    kinds = np.stack([patterns.task_type, patterns.approach], axis=1)[rows]
    found: set[tuple[int, int, bool]] = set()
    if len(rows):
        _, group = np.unique(kinds, axis=0, return_inverse=True)
        ends = np.cumsum(np.bincount(group))
        for members in np.split(rows[np.argsort(group, kind="stable")], ends)[:-1]:
            asked = members[wanted[members]]
            for start in range(0, len(asked), _BLOCK):
                block = asked[start : start + _BLOCK]
                found |= _strongest(patterns, rank, block, members, near, most)
    links = [_described(patterns, *one) for one in found]
    return sorted(links, key=lambda one: (one.relation, -one.strength, one.first, one.second))


def _strongest(
    patterns: PatternColumns,
    rank: npt.NDArray[np.int64],
    block: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    near: float,
    most: int,
) -> set[tuple[int, int, bool]]:
    """Return pairs of rows, the one with the smaller id first, and whether they contradict."""
    scores = similarities(patterns.vectors[block], patterns.vectors[members])
    at, place = np.nonzero(scores >= near * _SCALE)
    first, second, score = block[at], members[place], scores[at, place]
    low, high = patterns.low, patterns.high
    apart = (low[first] > high[second]) | (low[second] > high[first])
    against = apart & (np.maximum(low[first], low[second]) > 0.0)
    against &= np.minimum(high[first], high[second]) < 0.0
    found: set[tuple[int, int, bool]] = set()
    for contradicts, mask in ((False, ~apart), (True, against)):
        pairs = np.flatnonzero(mask & (first != second))
        # By cosine, then by id: no two are equal, and no order of the patterns can show.
        pairs = pairs[np.lexsort((rank[second[pairs]], -score[pairs], at[pairs]))]
        starts = np.searchsorted(at[pairs], at[pairs])
        pairs = pairs[np.arange(len(pairs)) - starts < most]
        for one, other in zip(first[pairs].tolist(), second[pairs].tolist(), strict=True):
            pair = (one, other) if rank[one] < rank[other] else (other, one)
            found.add((*pair, contradicts))
    return found


def _described(patterns: PatternColumns, first: int, second: int, contradicts: bool) -> Related:
    vectors, low, high = patterns.vectors, patterns.low, patterns.high
    exact = np.multiply(vectors[first], vectors[second], dtype=np.float64).sum()
    cosine = min(round(float(exact), 6), 1.0)
    gap = max(float(low[first] - high[second]), float(low[second] - high[first]), 0.0)
    return Related(
        relation="contradicts" if contradicts else "similar",
        first=patterns.ids[first],
        second=patterns.ids[second],
        strength=cosine * min(gap, 1.0) if contradicts else cosine,
        gap=gap,
    )


def recorded(links: Iterable[Link]) -> list[Related]:
    """Return what somebody said, each once, with all who said so.

    Parameters
    ----------
    links : iterable of Link
        In any order; revoked ones are not among them.
    """
    by: dict[tuple[LinkKind, str, str], set[str]] = {}
    for one in links:
        ends = (one.source, one.target)
        if one.relation != "derived_from" and one.source > one.target:
            ends = (one.target, one.source)
        by.setdefault((one.relation, *ends), set()).add(one.agent)
    return [
        Related(relation, first, second, 1.0, said_by=tuple(sorted(by[relation, first, second])))
        for relation, first, second in sorted(by)
    ]


def grouped(links: Iterable[Related]) -> list[tuple[str, ...]]:
    """Return the groups of patterns that are similar, directly or through others.

    Parameters
    ----------
    links : iterable of Related
        Seen or recorded, in any order; only the similar ones count.

    Returns
    -------
    list of tuple of str
        Each in the order of its ids, and all in the order of their first ids.
    """
    leader: dict[str, str] = {}

    def head(one: str) -> str:
        while leader[one] != one:
            leader[one] = leader[leader[one]]
            one = leader[one]
        return one

    for link in links:
        if link.relation == "similar":
            ends = [head(leader.setdefault(one, one)) for one in (link.first, link.second)]
            # The smaller id leads, so the groups do not depend on the order of the links.
            leader[max(ends)] = min(ends)
    groups: dict[str, list[str]] = {}
    for one in sorted(leader):
        groups.setdefault(head(one), []).append(one)
    return [tuple(groups[one]) for one in sorted(groups)]
