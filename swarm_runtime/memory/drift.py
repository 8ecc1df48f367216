"""Forgetting in the catalogue: what was known before the world changed no longer counts.

For each domain and task type the outcomes that are known, in the order (known_s, number of the
id), are watched by ``forgetting``; those before the latest change are taken out of the counters.
That follows from what is known at the moment alone: an outcome that comes late, or is revoked or
judged anew, lets its series be watched from the beginning.

Above: ``derived``. Below: ``forgetting``, ``catalogue``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.catalogue import Catalogue
from swarm_runtime.memory.forgetting import Watch

__all__ = ["Drift"]

Integers = npt.NDArray[np.int64]
_Key = tuple[int, int]

_BEGINNING = (-(2**62), -(2**63))


class _Series:
    """Outcomes of one domain and task type."""

    def __init__(self) -> None:
        self.watch = Watch()
        #: Their rows, in order; folded ones are not among them.
        self.rows: list[int] = []
        #: (known_s, number) of the last.
        self.mark: _Key = _BEGINNING
        #: (known_s, number) of the first that counts.
        self.start: _Key = _BEGINNING


class Drift:
    """Says which outcomes of the catalogue are forgotten.

    Parameters
    ----------
    catalogue : Catalogue
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._series: dict[_Key, _Series] = {}
        #: Outcomes that were counted or taken out since the last update; None: any.
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
        ordered = self._in_order(known)
        first = self._key(ordered[0]) if len(ordered) else None
        if series is None or len(known) < len(rows) or (first and first <= series.mark):
            # Anew: something is known that lies before what was watched, or no longer known.
            series = self._series[key] = _Series()
            everything = np.arange(len(outcomes.pair), dtype=np.int64)
            rows = everything[self._regions(everything) == region]
            ordered = self._in_order(self._known(rows))
        single = ordered[outcomes.number.rows[ordered] != -1]
        before = series.start
        if len(single):
            series.rows += single.tolist()
            start = series.watch.extend(outcomes.counters.rows[single, 3])
            series.mark = self._key(series.rows[-1])
            if start:
                series.start = self._key(series.rows[start])
        if series.start != before:
            everything = np.arange(len(outcomes.pair), dtype=np.int64)
            rows = everything[self._regions(everything) == region]
        known_s, number = outcomes.known_s.rows[rows], outcomes.number.rows[rows]
        start_s, start_number = series.start
        forgotten = (known_s < start_s) | ((known_s == start_s) & (number < start_number))
        changed = outcomes.forgotten.rows[rows] != forgotten
        if changed.any():
            self._catalogue.forget(rows[changed], forgotten[changed])

    def _known(self, rows: Integers) -> Integers:
        """Return those that are known at the moment and not revoked, forgotten or not."""
        outcomes, moment_s = self._catalogue.outcomes, self._catalogue.moment_s
        known = outcomes.known_s.rows[rows] <= moment_s
        return rows[known & (moment_s < outcomes.revoked_s.rows[rows])]

    def _in_order(self, rows: Integers) -> Integers:
        outcomes = self._catalogue.outcomes
        return rows[np.lexsort((outcomes.number.rows[rows], outcomes.known_s.rows[rows]))]

    def _key(self, row: int) -> _Key:
        outcomes = self._catalogue.outcomes
        return int(outcomes.known_s.rows[row]), int(outcomes.number.rows[row])
