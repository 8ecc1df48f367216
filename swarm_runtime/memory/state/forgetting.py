"""When to forget: outcomes that fall far below what they were say that the world has changed. Pure.

Whoever acts on a memory notices a change by its own failures: what used to work stops working. So
what is watched is one series for each domain and task type, the excess rewards of all its outcomes
in the order in which they were known, whatever was tried. After each outcome, for windows of the
last 16, 32 and 64,

    (mean before the window - mean in it) · √window / spread before it   >   5

is a change. (A plain two-sample z; the spread is never taken for less than 0.2 σ, and there must be
twice the window's outcomes before it.) With noise alone it did not happen in 200,000 outcomes (a
test); a fall of one standard deviation is seen after 32 outcomes, a collapse after five or ten.
What was known before the change no longer counts: not a little either, for a thousand old outcomes
at a sixteenth each outvote the first dozens of new ones. Nothing is deleted: asked about a moment
before the change, the memory still knows.

Only falls are watched. That something else has become better is seen by exploring, and a memory
that does better than it did has nothing to forget. Gradual decay by age was tried too: a half-life
of 500 outcomes lost 4 points on the digits where nothing changed, and recovered later where
something did (in a simulation of ``benchmarks/bandit``).

What counts is a fold over outcomes in order of time, so it does not depend on when records arrived;
one that comes late is watched by starting over. Above: ``catalogue`` or whoever counts outcomes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import REWARD_SCALE

__all__ = ["Watch", "first_counted"]

Integers = npt.NDArray[np.int64]

_WINDOWS = (16, 32, 64)
#: Outcomes before a window, as a multiple of it.
_BEFORE = 2
#: Standard errors by which the mean must fall.
_THRESHOLD = 5.0
#: Spread that is assumed at least.
_LEAST_SPREAD = 0.2 * REWARD_SCALE
#: Outcomes that are looked at in one go: where one is a change, those after it are looked at again.
_CHUNK = 4_096


class Watch:
    """Says from which outcome on a series counts.

    Attributes
    ----------
    seen : int
        Outcomes so far.
    start : int
        Index of the first that counts: after the latest change, 0 while there was none.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.start = 0
        #: Of the outcomes that count: the last ones themselves, the sums of all.
        self._last: Integers = np.empty(0, dtype=np.int64)
        self._sum = self._square = 0

    def extend(self, excess_units: Integers) -> int:
        """Take the next outcomes, in order of time; return ``start``.

        Parameters
        ----------
        excess_units : ndarray of int64
            Excess rewards in 1/REWARD_SCALE standard deviations.
        """
        rest = np.asarray(excess_units, dtype=np.int64)
        while len(rest):
            rest = rest[self._take(rest[:_CHUNK]) :]
        return self.start

    def _take(self, values: Integers) -> int:
        """Take outcomes up to the first change; return how many were taken."""
        held = len(self._last)
        series = np.concatenate([self._last, values])
        # sums[i], squares[i]: of all that count before series[held + i]; exact integers.
        sums = self._sum + np.concatenate([[0], np.cumsum(values)])
        squares = self._square + np.concatenate([[0], np.cumsum(values * values)])
        running = np.concatenate([[0], np.cumsum(series)])
        running_squares = np.concatenate([[0], np.cumsum(series * series)])
        known = self.seen - self.start
        found: tuple[int, int] | None = None
        for window in _WINDOWS:
            first = max(0, (1 + _BEFORE) * window - known - 1)
            at = np.arange(first, len(values))
            if not len(at) or held + first + 1 < window:
                continue
            inside = running[held + at + 1] - running[held + at + 1 - window]
            inner = running_squares[held + at + 1] - running_squares[held + at + 1 - window]
            before = (known + at + 1 - window).astype(np.float64)
            mean = (sums[at + 1] - inside) / before
            spread = np.sqrt(np.maximum((squares[at + 1] - inner) / before - mean * mean, 0.0))
            fall = (mean - inside / window) * math.sqrt(window)
            changed = np.flatnonzero(fall > _THRESHOLD * np.maximum(spread, _LEAST_SPREAD))
            if len(changed) and (found is None or int(at[changed[0]]) < found[0]):
                found = int(at[changed[0]]), window
        if found is None:
            self._keep(series, len(values), int(sums[-1]), int(squares[-1]))
            return len(values)
        at_change, window = found
        recent = series[held + at_change + 1 - window : held + at_change + 1]
        # It began where the fall below the window's own mean sums up to most.
        below = np.cumsum((recent.sum() - window * recent)[::-1])[::-1]
        left = recent[int(below.argmax()) :]
        self.seen += at_change + 1
        self.start = self.seen - len(left)
        self._last = left
        self._sum, self._square = int(left.sum()), int((left * left).sum())
        return at_change + 1

    def _keep(self, series: Integers, count: int, total: int, square: int) -> None:
        self.seen += count
        self._last = series[-min(_WINDOWS[-1], self.seen - self.start) :]
        self._sum, self._square = total, square


def first_counted(excess_units: Integers) -> int:
    """Return the index of the first outcome that still counts.

    Parameters
    ----------
    excess_units : ndarray of int64, shape (n,)
        All outcomes of one domain and task type that are known, in order of time (ties by id).

    Returns
    -------
    int
        In 0..n; those before it are forgotten.
    """
    return Watch().extend(excess_units)
