"""Mean reversion: what has strayed far from its average comes back."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.orders import OrderStyle, OrderType
from swarm_runtime.trading.rolling import age_bars, two_sided, z_score
from swarm_runtime.trading.strategies.base import Floats, Parameters, Strategy

__all__ = ["MeanReversion"]


class MeanReversion(Strategy):
    """Against the price's distance from its moving average.

    The score is the log price's z-score within the last ``window_bars``. A position against it is
    opened at |z| > ``entry_z`` and closed when |z| < ``exit_z`` (or z has crossed over). Sets
    with a ``limit_bps`` wait for a better price than the close, and take profit at
    ``take_profit_bps``: liquidity is given, not taken, and trades that run away are missed. One set
    only buys what has fallen (``short_size`` 0).

    The bands are those of Bollinger, "Bollinger on Bollinger Bands" (2001).
    """

    kind: ClassVar[str] = "mean_reversion"
    parameters: ClassVar[tuple[Parameters, ...]] = (
        {"window_bars": 5, "entry_z": 1.5, "exit_z": 0.25},
        {"window_bars": 20, "entry_z": 2.0, "exit_z": 0.5},
        {"window_bars": 20, "entry_z": 2.0, "exit_z": 0.5, "short_size": 0.0},
        {"window_bars": 50, "entry_z": 2.0, "exit_z": 0.5},
        {
            "window_bars": 10,
            "entry_z": 1.5,
            "exit_z": 0.25,
            "limit_bps": 50,
            "take_profit_bps": 400,
        },
        {"window_bars": 20, "entry_z": 2.0, "exit_z": 0.5, "limit_bps": 50, "take_profit_bps": 600},
    )

    def target_position(self, bars: Bars, parameters: Parameters) -> Floats:
        """Return 1, 0 or -``short_size`` (1 unless given)."""
        window = int(parameters["window_bars"])
        score = z_score(np.log(bars.close), window)
        score[age_bars(bars) < window] = 0.0
        side = -two_sided(score, parameters["entry_z"], parameters["exit_z"])
        return np.where(side < 0, parameters.get("short_size", 1.0) * side, side)

    def order_style(self, parameters: Parameters) -> OrderStyle:
        """Return market orders, or for sets with ``limit_bps`` limit orders with a target."""
        if "limit_bps" not in parameters:
            return OrderStyle()
        return OrderStyle(
            order_type=OrderType.LIMIT,
            limit_offset_bps=parameters["limit_bps"],
            good_for_bars=3,
            take_profit_bps=parameters["take_profit_bps"],
        )
