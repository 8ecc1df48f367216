"""Pairs: two prices that move together and have come apart come together again."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.rolling import (
    SMALLEST_DEVIATION,
    age_bars,
    log_returns,
    ratio,
    two_sided,
    z_score,
)
from swarm_runtime.trading.strategies.base import Floats, Parameters, Strategy

__all__ = ["Pairs"]

#: Bars between two choices of partners, at rows that are multiples of it: choosing depends on
#: where the bars begin, never on where they end.
_CHOICE_BARS = 63
#: Bars whose returns decide who is whose partner; a multiple of ``_CHOICE_BARS``.
_HISTORY_BARS = 252
#: Correlation that a partner must have at least.
_SMALLEST_CORRELATION = 0.2
#: Half a position is what a symbol trades on its own account, half is for those it is partner to.
_LEG = 0.5


class Pairs(Strategy):
    """Each symbol against the one it is most correlated with, in two opposite legs.

    Every 63 bars a symbol takes as its partner the one whose returns over the last 252 bars are
    most correlated with its own (0.2 at least; both need 252 bars). The score is the z-score,
    within ``window_bars``, of the difference of the two log prices. At |z| > ``entry_z`` half a
    position is taken in the symbol and the opposite half in its partner, until |z| < ``exit_z``
    or the partner changes. A symbol's target sums its own leg and those it is partner to, cut to
    [-1, 1]: two symbols that are each other's partner trade full positions.

    With a single symbol there is no partner, and all targets are 0.

    Gatev, Goetzmann & Rouwenhorst, "Pairs trading", Review of Financial Studies 19 (2006).
    """

    kind: ClassVar[str] = "pairs"
    parameters: ClassVar[tuple[Parameters, ...]] = (
        {"window_bars": 10, "entry_z": 1.5, "exit_z": 0.25},
        {"window_bars": 20, "entry_z": 2.0, "exit_z": 0.5},
        {"window_bars": 60, "entry_z": 2.0, "exit_z": 0.5},
        {"window_bars": 120, "entry_z": 1.5, "exit_z": 0.25},
    )

    def target_position(self, bars: Bars, parameters: Parameters) -> Floats:
        """Return multiples of 0.5."""
        targets = np.zeros(bars.close.shape)
        if len(bars.symbols) < 2 or bars.count <= _HISTORY_BARS:
            return targets
        partner = _partners(bars)
        score = _spread_scores(np.log(bars.close), partner, int(parameters["window_bars"]))
        rows = bars.count - _HISTORY_BARS
        chosen = np.repeat(partner, _CHOICE_BARS, axis=0)[:rows]
        score = np.where(chosen >= 0, score[:rows], 0.0)
        changed = np.zeros(chosen.shape, dtype=np.bool_)
        changed[1:] = chosen[1:] != chosen[:-1]
        # A score of 0 on the row of a change closes what was open against the former partner.
        score[changed] = 0.0
        leg = -_LEG * two_sided(score, parameters["entry_z"], parameters["exit_z"])
        total = leg.copy()
        row = np.arange(rows)
        for symbol in range(len(bars.symbols)):
            # Rows differ, so no place is met twice; where there is no partner the leg is 0.
            total[row, chosen[:, symbol]] -= leg[:, symbol]
        targets[_HISTORY_BARS:] = np.clip(total, -1.0, 1.0)
        return targets


def _partners(bars: Bars) -> npt.NDArray[np.int64]:
    """Return each symbol's partner from rows 252, 315, 378, ... on, or -1; shape (K, S).

    Choice k rests on the returns of the 252 rows that end at row 252 + 63 k, inclusive.
    """
    returns = log_returns(bars)
    at = np.arange(_HISTORY_BARS, bars.count, _CHOICE_BARS)
    ends = at[:, None] - np.arange(_HISTORY_BARS)[::-1]
    windows = returns[ends]  # (K, 252, S)
    length = np.sqrt(np.einsum("kts,kts->ks", windows, windows))
    unit = ratio(windows, length[:, None, :], SMALLEST_DEVIATION, 0.0)
    # Rounded, so that the last bits of a matrix product never decide who wins a tie.
    correlation = np.round(unit.transpose(0, 2, 1) @ unit, 9)
    old_enough = age_bars(bars)[at] >= _HISTORY_BARS
    possible = old_enough[:, :, None] & old_enough[:, None, :]
    possible &= ~np.eye(len(bars.symbols), dtype=np.bool_)
    correlation = np.where(possible, correlation, -np.inf)
    best = np.argmax(correlation, axis=2)
    enough = np.max(correlation, axis=2) >= _SMALLEST_CORRELATION
    return np.where(enough, best, -1)


def _spread_scores(price: Floats, partner: npt.NDArray[np.int64], window_bars: int) -> Floats:
    """Return the z-score of each symbol's spread against its partner of the time.

    After a new choice the window must hold the *new* spread's past, so each choice gets a strip
    of rows of its own, with a window's worth of rows before it; strips lie side by side.

    Parameters
    ----------
    price : ndarray of float64, shape (T, S)
        Log prices.
    partner : ndarray of int64, shape (K, S)
    window_bars : int (2 <= window_bars <= 252)

    Returns
    -------
    ndarray of float64, shape (63 K, S)
        Row 0 is row 252 of ``price``; rows past the last price repeat it.
    """
    choices, symbols = partner.shape
    first = _HISTORY_BARS + _CHOICE_BARS * np.arange(choices) - (window_bars - 1)
    rows = first + np.arange(window_bars - 1 + _CHOICE_BARS)[:, None]  # (rows of a strip, K)
    strips = price[np.minimum(rows, len(price) - 1)]  # (rows of a strip, K, S)
    spread = strips - np.take_along_axis(strips, partner[None] % symbols, axis=2)
    score = z_score(spread, window_bars)[window_bars - 1 :]
    return score.transpose(1, 0, 2).reshape(choices * _CHOICE_BARS, symbols)
