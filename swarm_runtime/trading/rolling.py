"""Windows that end at each row: sums, means, extremes and switches over time, without a loop.

All functions work down axis 0 (time) of an array of shape (T, ...) and are *causal*: row t of a
result depends on rows <= t alone, bit for bit, because sums are differences of one running sum
and extremes are exact. Below: NumPy alone. Above: ``features`` and ``strategies``. A user's own
strategy may use them too.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.bars import Bars

__all__ = [
    "SMALLEST_DEVIATION",
    "age_bars",
    "lagged",
    "latch",
    "log_returns",
    "ratio",
    "two_sided",
    "window_max",
    "window_mean",
    "window_min",
    "window_sum",
    "z_score",
]

Floats = npt.NDArray[np.float64]
_Scalar = TypeVar("_Scalar", bound=np.generic)

#: A standard deviation below this counts as none: what a running sum leaves of a constant series
#: is rounding, and dividing by it would make numbers of nothing.
SMALLEST_DEVIATION = 1e-6


def lagged(values: npt.NDArray[_Scalar], bars: int) -> npt.NDArray[_Scalar]:
    """Return ``values`` moved ``bars`` (>= 0) rows later; the first rows repeat row 0."""
    if bars == 0 or not len(values):
        return values.copy()
    moved = np.empty_like(values)
    moved[:bars] = values[0]
    moved[bars:] = values[:-bars]
    return moved


def window_sum(values: Floats, window_bars: int) -> Floats:
    """Return the sum of the last ``window_bars`` (>= 1) rows; of all rows while there are fewer."""
    total = np.cumsum(values, axis=0)
    result = total.copy()
    result[window_bars:] -= total[:-window_bars]
    return result


def window_mean(values: Floats, window_bars: int) -> Floats:
    """Return the mean of the last ``window_bars`` rows; of all rows while there are fewer."""
    rows = np.minimum(np.arange(1, len(values) + 1), window_bars)
    return window_sum(values, window_bars) / rows.reshape(-1, *[1] * (values.ndim - 1))


def window_max(values: Floats, window_bars: int) -> Floats:
    """Return the largest of the last ``window_bars`` (>= 1) rows.

    Windows of doubling width are put together, so the work grows with log2 of the width.
    """
    result = values.copy()
    width = 1
    while width < window_bars:
        step = min(width, window_bars - width)
        longer = result.copy()
        np.maximum(result[step:], result[:-step], out=longer[step:])
        result = longer
        width += step
    return result


def window_min(values: Floats, window_bars: int) -> Floats:
    """Return the smallest of the last ``window_bars`` (>= 1) rows."""
    return -window_max(-values, window_bars)


def ratio(above: Floats, below: Floats, smallest: float, otherwise: float) -> Floats:
    """Return ``above / below``, and ``otherwise`` where ``below`` is under ``smallest`` (> 0)."""
    usable = below >= smallest
    return np.where(usable, above / np.where(usable, below, 1.0), otherwise)


def z_score(values: Floats, window_bars: int) -> Floats:
    """Return how many standard deviations each value lies above its window's mean (ddof = 0).

    0 where the window doesn't vary. ``values`` should be of the order of 1 (log prices, not
    prices): the variance is a difference of running sums.
    """
    centred = values - values[:1]
    mean = window_mean(centred, window_bars)
    variance = window_mean(centred * centred, window_bars) - mean * mean
    return ratio(centred - mean, np.sqrt(np.maximum(variance, 0.0)), SMALLEST_DEVIATION, 0.0)


def latch(on: npt.NDArray[np.bool_], off: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a switch's state: on from a row where ``on`` holds until one where ``off`` does.

    It starts off, and ``off`` wins where both hold. The state is read off the row of the latest
    event of each sort, so no loop over time is needed.
    """
    rows = np.arange(1, len(on) + 1).reshape(-1, *[1] * (on.ndim - 1))
    last_on = np.maximum.accumulate(np.where(on, rows, 0), axis=0)
    last_off = np.maximum.accumulate(np.where(off, rows, 0), axis=0)
    state: npt.NDArray[np.bool_] = last_on > last_off
    return state


def two_sided(score: Floats, enter: float, leave: float) -> Floats:
    """Return a position with hysteresis: 1, 0 or -1, in the direction of ``score``.

    It is 1 from a row where ``score > enter`` until one where ``score < leave``, -1 in the mirror
    image. The gap between the two thresholds keeps it from flickering.

    Parameters
    ----------
    score : ndarray of float64, shape (T, ...)
    enter : float (> 0)
    leave : float (-enter <= leave <= enter)
    """
    long = latch(score > enter, score < leave)
    short = latch(score < -enter, score > -leave)
    return long.astype(np.float64) - short


def log_returns(bars: Bars) -> Floats:
    """Return close-to-close log returns, shape (T, S); 0 in row 0 and where there is no bar."""
    price = np.log(bars.close)
    return np.asarray(price - lagged(price, 1))


def age_bars(bars: Bars) -> npt.NDArray[np.int64]:
    """Return how many bars each symbol has had by each row, shape (T, S)."""
    return np.cumsum(bars.tradable, axis=0, dtype=np.int64)
