"""Breakout: a price that leaves its range goes on leaving it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.orders import OrderStyle, OrderType
from swarm_runtime.trading.rolling import age_bars, lagged, latch, window_max, window_min
from swarm_runtime.trading.strategies.base import Floats, Parameters, Strategy

__all__ = ["Breakout"]


class Breakout(Strategy):
    """Donchian channel: long above the highest high of ``entry_bars``, short below the lowest low.

    A long is closed under the lowest low of the shorter ``exit_bars``, a short above their
    highest high; channels end one bar before the close they are compared with. Sets with a
    ``trailing_stop_bps`` also leave when the price gives back that much of its best close, and
    those with a ``stop_bps`` enter by a stop order, so only if the next bars go on that way.

    The "turtle" rules; Faith, "Way of the Turtle" (2007).
    """

    kind: ClassVar[str] = "breakout"
    parameters: ClassVar[tuple[Parameters, ...]] = (
        {"entry_bars": 20, "exit_bars": 10},
        {"entry_bars": 55, "exit_bars": 20},
        {"entry_bars": 55, "exit_bars": 20, "trailing_stop_bps": 800},
        {"entry_bars": 100, "exit_bars": 50},
        {"entry_bars": 20, "exit_bars": 10, "stop_bps": 30, "trailing_stop_bps": 500},
    )

    def target_position(self, bars: Bars, parameters: Parameters) -> Floats:
        """Return 1, 0 or -1."""
        entry, leave = int(parameters["entry_bars"]), int(parameters["exit_bars"])
        highs, lows = lagged(bars.high, 1), lagged(bars.low, 1)
        ready = age_bars(bars) > entry
        # The exit channel lies inside the entry channel, so never are both sides on.
        long = latch(
            ready & (bars.close > window_max(highs, entry)), bars.close < window_min(lows, leave)
        )
        short = latch(
            ready & (bars.close < window_min(lows, entry)), bars.close > window_max(highs, leave)
        )
        return long.astype(np.float64) - short

    def order_style(self, parameters: Parameters) -> OrderStyle:
        """Return market or stop orders, with the set's trailing stop."""
        stop = parameters.get("stop_bps", 0.0)
        return OrderStyle(
            order_type=OrderType.STOP if stop else OrderType.MARKET,
            stop_offset_bps=stop,
            good_for_bars=5 if stop else 1,
            trailing_stop_bps=parameters.get("trailing_stop_bps", 0.0),
        )
