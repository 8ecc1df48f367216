"""What the market looks like: five numbers for each symbol and bar, known at its close.

They are the context in which a memory looks up what worked before, so they tell markets apart in
which different strategies work: has it a direction (trend), does a move carry on or come back
(autocorrelation), how rough is it against its own past (volatility), how far has it fallen
(drawdown), is there more trade than usual (volume). Each is a pure number, comparable between
symbols and between decades, and has two edges that cut it into three bins with a word each.

Row t rests on bars <= t alone (``lookahead.check_features`` holds it to that). Below: ``bars``,
``rolling``. Above: the machines, which ask the memory with these numbers.

With r the log returns, W{n} those of the last n rows in which the symbol had a bar, and rms the
root of the mean square:

=============== ==========================================================================
trend           sum of r over W63 / square root of the sum of r² over W63: the move of a
                quarter in units of what a random walk of the same volatility covers, like a
                t statistic. |trend| is large where a market moves efficiently one way.
volatility      rms of r over W21 / rms of r over W252
drawdown        log(highest close of W252 / close) / (rms of r over W252 · √252): the fall
                from the year's high, in units of a year's volatility
autocorrelation sum of x_t·x_{t-1} over W63 / sum of x_t² over W63, where x is r divided by
                the rms of r over the 63 rows before, clipped to ±3, so that one crash does
                not decide it. Lo & MacKinlay (1988): positive where moves carry on.
volume          mean volume over W21 / mean volume over W252
=============== ==========================================================================

While a symbol has had fewer than ``WARM_UP_BARS`` bars, and where nothing moved (or nothing was
traded) so that a ratio has no meaning, a feature has its neutral value. Between 63 and 252 bars
of history W252 is what there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.rolling import (
    SMALLEST_DEVIATION,
    age_bars,
    lagged,
    log_returns,
    ratio,
    window_max,
    window_sum,
)

__all__ = [
    "FEATURES",
    "WARM_UP_BARS",
    "Feature",
    "context_features",
]

Floats = npt.NDArray[np.float64]

#: Bars a symbol needs before its features leave their neutral values.
WARM_UP_BARS = 63

_MONTH_BARS, _QUARTER_BARS, _YEAR_BARS = 21, 63, 252
_OUTLIER = 3.0
#: Mean volume, in shares, below which nothing is being traded.
_SMALLEST_VOLUME = 1e-9


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of the context.

    Attributes
    ----------
    name : str
    sentence : str
        What it says, for people.
    unit : str
    neutral : float
        Its value while there is too little history.
    edges : tuple of two float, increasing
        A value below the first is in bin 0, one from the second on in bin 2. Chosen so that
        each bin holds a fair share of the bars of liquid stocks.
    words : tuple of three str
        What a symbol is called in each bin: "it is ...".
    """

    name: str
    sentence: str
    unit: str
    neutral: float
    edges: tuple[float, float]
    words: tuple[str, str, str]


#: The context, in the order of the last axis of ``context_features``.
FEATURES = (
    Feature(
        "trend",
        "The last quarter's move, against what a random walk of the same volatility covers.",
        "random-walk deviations",
        0.0,
        (-0.5, 0.75),
        ("falling", "sideways", "rising"),
    ),
    Feature(
        "volatility",
        "The last month's volatility, against that of the last year.",
        "ratio",
        1.0,
        (0.75, 1.1),
        ("calm", "of usual volatility", "turbulent"),
    ),
    Feature(
        "drawdown",
        "How far the price is below the last year's high, against a year's volatility.",
        "yearly volatilities",
        0.0,
        (0.2, 0.65),
        ("near its high", "below its high", "far below its high"),
    ),
    Feature(
        "autocorrelation",
        "Whether a day's move tends to carry on (above 0) or to come back (below 0).",
        "correlation",
        0.0,
        (-0.08, 0.08),
        ("reversing", "without echo", "persistent"),
    ),
    Feature(
        "volume",
        "The last month's volume, against that of the last year.",
        "ratio",
        1.0,
        (0.85, 1.15),
        ("thinly traded", "traded as usual", "heavily traded"),
    ),
)


def context_features(bars: Bars) -> Floats:
    """Return the context of every symbol at the close of every bar.

    Parameters
    ----------
    bars : Bars, T times and S symbols

    Returns
    -------
    ndarray of float64, shape (T, S, F)
        In the order and the units of ``FEATURES``; finite everywhere. The formulas are in this
        module's docstring.
    """
    has_bar = bars.tradable.astype(np.float64)
    returns = log_returns(bars) * has_bar
    squares = returns * returns
    month, quarter, year = (
        _root_mean(squares, has_bar, window) for window in (_MONTH_BARS, _QUARTER_BARS, _YEAR_BARS)
    )
    price = np.log(bars.close)
    fall = window_max(price, _YEAR_BARS) - price
    moved = np.sqrt(np.maximum(window_sum(squares, _QUARTER_BARS), 0.0))
    scaled = ratio(returns, lagged(quarter, 1), SMALLEST_DEVIATION, 0.0)
    scaled = np.clip(scaled, -_OUTLIER, _OUTLIER)
    echo = window_sum(scaled * lagged(scaled, 1), _QUARTER_BARS)
    month_volume, year_volume = (
        _mean(bars.volume, has_bar, window) for window in (_MONTH_BARS, _YEAR_BARS)
    )
    by_name = {
        "trend": ratio(window_sum(returns, _QUARTER_BARS), moved, SMALLEST_DEVIATION, 0.0),
        "volatility": ratio(month, year, SMALLEST_DEVIATION, 1.0),
        "drawdown": ratio(fall, year * math.sqrt(_YEAR_BARS), SMALLEST_DEVIATION, 0.0),
        "autocorrelation": ratio(
            echo, window_sum(scaled * scaled, _QUARTER_BARS), SMALLEST_DEVIATION, 0.0
        ),
        "volume": ratio(month_volume, year_volume, _SMALLEST_VOLUME, 1.0),
    }
    warm = age_bars(bars) >= WARM_UP_BARS
    return np.stack(
        [np.where(warm, by_name[feature.name], feature.neutral) for feature in FEATURES], axis=-1
    )


def _mean(values: Floats, has_bar: Floats, window_bars: int) -> Floats:
    """Return the mean over those of the last rows in which the symbol had a bar; 0 if none."""
    total = np.maximum(window_sum(values, window_bars), 0.0)
    return ratio(total, window_sum(has_bar, window_bars), 1.0, 0.0)


def _root_mean(squares: Floats, has_bar: Floats, window_bars: int) -> Floats:
    return np.sqrt(_mean(squares, has_bar, window_bars))
