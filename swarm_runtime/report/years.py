"""How many bars make a year, inferred from when the bars closed.

Daily bars of a stock exchange are annualised at 252, the convention of TRADING's metrics; markets
that also trade at weekends at 365. Other spacings follow from those.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bars_per_year"]

_DAY_S = 86_400
_EXCHANGE_DAYS = 252.0
_CALENDAR_DAYS = 365.0
#: A market that never closes has 2/7 of its days on weekends; an exchange has none.
_WEEKEND_SHARE = 0.15
#: Up to this median spacing bars are daily (a long weekend never is the median).
_DAILY_UP_TO_S = 4 * _DAY_S
#: From this median spacing on, bars are daily or longer.
_DAILY_FROM_S = 20 * 3_600


def bars_per_year(times: npt.NDArray[np.datetime64]) -> float:
    """Return the factor that annualises a mean per bar.

    Parameters
    ----------
    times : ndarray of datetime64, shape (T,)
        When each bar closed, ascending.

    Returns
    -------
    float
        252 or 365 for daily bars; that times the median number of bars in a day with bars for
        shorter ones; 365.25 days over the median spacing for longer ones. 252 if T < 2.

    Examples
    --------
    >>> bars_per_year(np.arange("2024-01-01", "2024-02-01", dtype="datetime64[W]").astype("M8[s]"))
    52.17857142857143
    """
    if len(times) < 2:
        return _EXCHANGE_DAYS
    seconds = times.astype("datetime64[s]").astype(np.int64)
    spacing = float(np.median(np.diff(seconds)))
    if spacing > _DAILY_UP_TO_S:
        return 365.25 * _DAY_S / spacing
    days, bars = np.unique(seconds // _DAY_S, return_counts=True)
    weekend = float(np.mean((days + 3) % 7 >= 5))  # day 0, 1970-01-01, was a Thursday
    days_per_year = _CALENDAR_DAYS if weekend > _WEEKEND_SHARE else _EXCHANGE_DAYS
    if spacing >= _DAILY_FROM_S:
        return days_per_year
    return days_per_year * float(np.median(bars))
