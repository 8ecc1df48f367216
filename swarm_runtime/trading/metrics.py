"""Metrics of a track record, by the conventions that quantstats and empyrical share.

Returns are simple returns per bar; deviations use ddof=1; the risk-free rate and the target are 0;
252 bars make a year unless said otherwise. Win rate and profit factor count *trades* (flat to
flat, after costs), not days. What is undefined is None, never NaN or infinity, so that it can be
written as JSON and isn't mistaken for a number.

Amounts may be in any unit, cents say. Pure; imports nothing of ours; ``report`` is above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "BARS_PER_YEAR",
    "Metrics",
    "bar_returns",
    "cagr",
    "calmar",
    "max_drawdown",
    "measure",
    "profit_factor_per_trade",
    "sharpe",
    "sortino",
    "total_return",
    "volatility",
    "win_rate_per_trade",
]

Floats = npt.NDArray[np.float64]

#: Trading days in a year.
BARS_PER_YEAR = 252.0
#: A spread of returns below this is the rounding noise of a constant.
_NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True)
class Metrics:
    """A track record in numbers; None where one is undefined.

    Attributes
    ----------
    bars : int
        Number of returns.
    total_return, cagr, volatility : float or None
        Fractions: 0.1 is 10 %. The latter two per year.
    sharpe, sortino, calmar : float or None
        Per year.
    max_drawdown : float or None
        Deepest fall from a peak of equity, <= 0.
    trades : int
        Closed trades.
    win_rate_per_trade : float or None
        Share of closed trades with a profit.
    profit_factor_per_trade : float or None
        Sum of profits over sum of losses.
    """

    bars: int
    total_return: float | None
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float | None
    calmar: float | None
    trades: int
    win_rate_per_trade: float | None
    profit_factor_per_trade: float | None


def measure(
    equity: npt.ArrayLike,
    trade_pnl: npt.ArrayLike = (),
    *,
    capital: float | None = None,
    bars_per_year: float = BARS_PER_YEAR,
) -> Metrics:
    """Return all metrics of a track record.

    Parameters
    ----------
    equity : array_like, shape (T,)
        Equity at each close.
    trade_pnl : array_like, shape (number of closed trades,)
        Profit of each, after costs.
    capital : float, optional
        Equity before the first bar. If it isn't given, ``equity[0]`` is.
    bars_per_year : float (> 0)
    """
    curve = _numbers(equity)
    if capital is not None:
        curve = np.concatenate([[float(capital)], curve])
    profits = _numbers(trade_pnl)
    returns = bar_returns(curve)
    return Metrics(
        bars=max(curve.size - 1, 0),
        total_return=total_return(curve),
        cagr=cagr(curve, bars_per_year),
        volatility=None if returns is None else volatility(returns, bars_per_year),
        sharpe=None if returns is None else sharpe(returns, bars_per_year),
        sortino=None if returns is None else sortino(returns, bars_per_year),
        max_drawdown=max_drawdown(curve),
        calmar=calmar(curve, bars_per_year),
        trades=profits.size,
        win_rate_per_trade=win_rate_per_trade(profits),
        profit_factor_per_trade=profit_factor_per_trade(profits),
    )


def bar_returns(equity: npt.ArrayLike) -> Floats | None:
    """Return the T-1 simple returns of T values of equity; None if one has no positive base."""
    curve = _numbers(equity)
    if curve.size < 2 or not (curve[:-1] > 0).all():
        return None
    returns: Floats = curve[1:] / curve[:-1] - 1.0
    return returns


def total_return(equity: npt.ArrayLike) -> float | None:
    """Return last over first equity, less 1; None without a bar or without capital."""
    curve = _numbers(equity)
    if curve.size < 2 or not curve[0] > 0:
        return None
    return float(curve[-1] / curve[0] - 1.0)


def cagr(equity: npt.ArrayLike, bars_per_year: float = BARS_PER_YEAR) -> float | None:
    """Return the constant yearly return that gives the same total return.

    None if that is less than -1 (nothing grows into debt), or too large for a float.
    """
    gained = total_return(equity)
    if gained is None or gained < -1.0:
        return None
    years = (_numbers(equity).size - 1) / bars_per_year
    try:
        return float((1.0 + gained) ** (1.0 / years) - 1.0)
    except OverflowError:
        return None


def volatility(returns: npt.ArrayLike, bars_per_year: float = BARS_PER_YEAR) -> float | None:
    """Return the standard deviation of returns per year; None for less than 2 returns."""
    values = _numbers(returns)
    if values.size < 2:
        return None
    return float(np.std(values, ddof=1)) * math.sqrt(bars_per_year)


def sharpe(returns: npt.ArrayLike, bars_per_year: float = BARS_PER_YEAR) -> float | None:
    """Return mean over standard deviation of returns, per year; None if they don't vary.

    W. F. Sharpe, "The Sharpe ratio", Journal of Portfolio Management 21 (1994), with rf = 0.
    """
    values = _numbers(returns)
    if values.size < 2:
        return None
    spread = float(np.std(values, ddof=1))
    if spread <= _NO_SPREAD:
        return None
    return float(np.mean(values)) / spread * math.sqrt(bars_per_year)


def sortino(returns: npt.ArrayLike, bars_per_year: float = BARS_PER_YEAR) -> float | None:
    """Return mean return over downside deviation, per year; None if no return is negative.

    The downside deviation is √(mean of min(r, 0)²) over *all* returns: F. A. Sortino and L. N.
    Price, "Performance measurement in a downside risk framework", Journal of Investing 3 (1994),
    with target 0.
    """
    values = _numbers(returns)
    if values.size < 2:
        return None
    downside = math.sqrt(float(np.mean(np.minimum(values, 0.0) ** 2)))
    if downside <= _NO_SPREAD:
        return None
    return float(np.mean(values)) / downside * math.sqrt(bars_per_year)


def max_drawdown(equity: npt.ArrayLike) -> float | None:
    """Return the deepest fall from a peak of equity, <= 0; None without a bar or capital."""
    curve = _numbers(equity)
    if curve.size < 2 or not curve[0] > 0:
        return None
    return float(np.min(curve / np.maximum.accumulate(curve) - 1.0))


def calmar(equity: npt.ArrayLike, bars_per_year: float = BARS_PER_YEAR) -> float | None:
    """Return CAGR over the size of the maximum drawdown; None if there was no drawdown."""
    growth, fall = cagr(equity, bars_per_year), max_drawdown(equity)
    if growth is None or not fall:
        return None
    return growth / abs(fall)


def win_rate_per_trade(trade_pnl: npt.ArrayLike) -> float | None:
    """Return the share of trades with a profit above 0; None without trades."""
    profits = _numbers(trade_pnl)
    if not profits.size:
        return None
    return float(np.count_nonzero(profits > 0)) / profits.size


def profit_factor_per_trade(trade_pnl: npt.ArrayLike) -> float | None:
    """Return the sum of profits over the sum of losses; None if no trade lost."""
    profits = _numbers(trade_pnl)
    lost = -float(np.sum(profits[profits < 0]))
    if lost <= 0:
        return None
    return float(np.sum(profits[profits > 0])) / lost


def _numbers(values: npt.ArrayLike) -> Floats:
    # Contiguous, because the order of summation (and so the last bit) may depend on strides.
    return np.ascontiguousarray(values, dtype=np.float64)
