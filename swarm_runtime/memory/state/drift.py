"""Forgetting in the catalogue: what was known before the world changed no longer counts.

For each domain and task type the outcomes that are known, in the order (known_s, number of the
id), are watched by ``forgetting``; those before the latest change are taken out of the counters.
That follows from what is known at the moment alone: an outcome that comes very late, or is revoked
or judged anew, lets its series be watched from the beginning.

Above: ``derived``. Below: ``forgetting``, ``catalogue``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.forgetting import Watch

__all__ = ["Drift"]

Integers = npt.NDArray[np.int64]
_Key = tuple[int, int]

#: Keys before all others, and of nothing at all.
_BEGINNING = (-(2**62), -(2**63))
_NOWHERE = (-(2**63), -(2**63))
#: In place of the number of an outcome that stands for many.
_FOLDED = -1
#: Outcomes at the end of a series among which late ones can be put.
_TAIL = 2_048


class _Series:
    """Outcomes of one domain and task type, in order; the last ones can still be put in between.

    Agents' outcomes come in a little late now and then. So of the last few thousand the rows are
    kept, with the watch as it stood before them, and only what comes later than that costs reading
    the series from the beginning.
    """

    def __init__(self) -> None:
        self.watch = Watch()
        #: As it stood before the tail.
        self._before = Watch()
        #: Rows of the last outcomes, in order, and their (known_s, number).
        self.tail: Integers = np.empty(0, dtype=np.int64)
        self._keys: list[_Key] = []
        #: The first that counts, and the first that counted before the tail.
        self.start: _Key = _BEGINNING
        self._start_before: _Key = _BEGINNING

    def takes(self, first: _Key) -> bool:
        """Return whether outcomes from this one on can be put where they belong."""
        return not self._before.seen or first > self._keys[0]

    def put(self, rows: Integers, keys: list[_Key], excess: Callable[[Integers], Integers]) -> None:
        """Put outcomes where they belong.

        Parameters
        ----------
        rows : ndarray of int64
            In order.
        keys : list of tuple
            Their (known_s, number).
        excess : callable
            From rows to excess rewards in 1/REWARD_SCALE standard deviations.
        """
        late = bool(self._keys) and keys[0] < self._keys[-1]
        self.tail = np.concatenate([self.tail, rows])
        self._keys += keys
        if late:
            order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
            self.tail = self.tail[order]
            self._keys = [self._keys[at] for at in order]
            self.watch = copy.copy(self._before)
            start = self.watch.extend(excess(self.tail))
        else:
            start = self.watch.extend(excess(rows))
        inside = start - self._before.seen
        if inside >= 0:
            self.start = self._keys[inside] if start else _BEGINNING
        else:
            self.start = self._start_before
        if len(self._keys) > 2 * _TAIL:
            self._shorten(excess)

    def _shorten(self, excess: Callable[[Integers], Integers]) -> None:
        surplus = len(self._keys) - _TAIL
        seen = self._before.seen
        start = self._before.extend(excess(self.tail[:surplus]))
        if start > seen:
            self._start_before = self._keys[start - seen]
        self.tail, self._keys = self.tail[surplus:], self._keys[surplus:]


class Drift:
    """Says which outcomes of the catalogue are forgotten.

    Parameters
    ----------
    catalogue : Catalogue
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._series: dict[_Key, _Series] = {}
        #: Outcomes that were counted, taken out or changed since the last update; None: any.
        self._touched: list[Integers] | None = None
        self._busy = False
        catalogue.listeners.append(self._changed)

    def _changed(self, rows: Integers | None) -> None:
        if self._busy:
            return
        if rows is None:
            self._touched = None
        elif self._touched is not None:
            self._touched.append(rows)

    def update(self) -> None:
        """Bring what is forgotten in step with what is known at the catalogue's moment."""
        if self._touched is not None and not self._touched:
            return
        self._busy = True
        try:
            self._update()
        finally:
            self._busy = False
        self._touched = []

    def _update(self) -> None:
        outcomes = self._catalogue.outcomes
        if self._touched is None:
            self._series.clear()
            rows = np.arange(len(outcomes.pair), dtype=np.int64)
        else:
            rows = np.unique(np.concatenate(self._touched))
        if not len(rows):
            return
        regions = self._regions(rows)
        for region in np.unique(regions).tolist():
            key = (region >> 32, region & 0xFFFFFFFF)
            self._region(key, region, rows[regions == region])

    def _regions(self, rows: Integers) -> Integers:
        """Return domain and task type of outcomes, as one number."""
        catalogue = self._catalogue
        pattern = catalogue.pairs.pattern.rows[catalogue.outcomes.pair.rows[rows]]
        place = catalogue.patterns.place.rows[pattern]
        domain = catalogue.places.domain.rows[place].astype(np.int64)
        return np.asarray((domain << 32) | catalogue.places.task_type.rows[place])

    def _region(self, key: _Key, region: int, rows: Integers) -> None:
        series = self._series.get(key)
        outcomes = self._catalogue.outcomes
        known = self._known(rows)
        single = self._in_order(known)
        keys = self._keys(single)
        anew = (
            series is None or len(known) < len(rows) or (bool(keys) and not series.takes(keys[0]))
        )
        if series is None or anew or self._seen_before(single, series):
            # Something is not known any more, was known otherwise, or lies far before the tail.
            series = self._series[key] = _Series()
            rows = self._all_of(region)
            single = self._in_order(self._known(rows))
            keys = self._keys(single)
            before = _NOWHERE
        else:
            before = series.start
        if keys:
            series.put(single, keys, self._excess)
        if series.start != before:
            rows = self._all_of(region)
        known_s, number = outcomes.known_s.rows[rows], outcomes.number.rows[rows]
        start_s, start_number = series.start
        forgotten = (known_s < start_s) | ((known_s == start_s) & (number < start_number))
        changed = outcomes.forgotten.rows[rows] != forgotten
        if changed.any():
            self._catalogue.forget(rows[changed], forgotten[changed])

    def _seen_before(self, rows: Integers, series: _Series) -> bool:
        """Return whether one of these outcomes is in the series: it was judged anew."""
        return bool(np.isin(rows, series.tail).any())

    def _all_of(self, region: int) -> Integers:
        everything = np.arange(len(self._catalogue.outcomes.pair), dtype=np.int64)
        return np.flatnonzero(self._regions(everything) == region)

    def _excess(self, rows: Integers) -> Integers:
        return np.asarray(self._catalogue.outcomes.counters.rows[rows, 3])

    def _known(self, rows: Integers) -> Integers:
        """Return those that are known at the moment and not revoked, forgotten or not."""
        outcomes, moment_s = self._catalogue.outcomes, self._catalogue.moment_s
        known = outcomes.known_s.rows[rows] <= moment_s
        return rows[known & (moment_s < outcomes.revoked_s.rows[rows])]

    def _in_order(self, rows: Integers) -> Integers:
        """Return those that are one outcome each, in order of time."""
        outcomes = self._catalogue.outcomes
        rows = rows[outcomes.number.rows[rows] != _FOLDED]
        return rows[np.lexsort((outcomes.number.rows[rows], outcomes.known_s.rows[rows]))]

    def _keys(self, rows: Integers) -> list[_Key]:
        outcomes = self._catalogue.outcomes
        times = outcomes.known_s.rows[rows].tolist()
        return list(zip(times, outcomes.number.rows[rows].tolist(), strict=True))
