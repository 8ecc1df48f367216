"""What one arm of a run (memory on, or off) leaves behind, as arrays: the report's raw material.

N agents, T bars, R rounds, S symbols, K candidates of an agent's kind (``flat`` is candidate 0).
Written by the shells through ``replay``, read by everything else in this package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["AgentSeries", "ArmSeries"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class AgentSeries:
    """One agent's run.

    Attributes
    ----------
    agent, kind : str
    symbols : tuple of str, length S
    candidates : tuple of str, length K
        Names of the approaches it chose among.
    first_bar : int
        Bar at which its first round began; series below start there, so T is bars replayed.
    equity_cents, cost_cents : ndarray of int64, shape (T,)
        Equity at each close; fees and slippage paid in each bar.
    trade_bar : ndarray of int64, shape (number of closed trades,)
        Bar (counted from ``first_bar``) in which each trade was closed.
    trade_pnl_cents : ndarray of int64, same shape
    chosen : ndarray of int16, shape (R, S)
        Index of the candidate chosen, or -1 where the symbol could not be traded yet.
    reason : ndarray of int8, shape (R, S)
        Why: a ``memory.ranking.Reason``.
    known : ndarray of int64, shape (R,)
        Experiences (of any agent) it knew when round r was opened.
    confidence : ndarray of float64, shape (R, S)
        The report's confidence of what was recommended, NaN where nothing was.
    risk_cuts : tuple of str
        In words, what risk limits cut, in order.
    fills : int
    """

    agent: str
    kind: str
    symbols: tuple[str, ...]
    candidates: tuple[str, ...]
    first_bar: int
    equity_cents: Integers
    cost_cents: Integers
    trade_bar: Integers
    trade_pnl_cents: Integers
    chosen: npt.NDArray[np.int16]
    reason: npt.NDArray[np.int8]
    known: Integers
    confidence: npt.NDArray[np.float64]
    risk_cuts: tuple[str, ...]
    fills: int


@dataclass(frozen=True, slots=True, eq=False)
class ArmSeries:
    """One arm of a run.

    Attributes
    ----------
    name : str
        ``off`` or ``on``.
    times : ndarray of datetime64[s], shape (T,)
        When each replayed bar closed.
    block_bars : int
        Bars in a round; the last round may be shorter.
    agents : tuple of AgentSeries
        All with the same ``first_bar``.
    """

    name: str
    times: npt.NDArray[np.datetime64]
    block_bars: int
    agents: tuple[AgentSeries, ...]
