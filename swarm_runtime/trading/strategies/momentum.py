"""Momentum: what has moved one way goes on that way."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.rolling import (
    SMALLEST_DEVIATION,
    age_bars,
    log_returns,
    ratio,
    two_sided,
    window_sum,
)
from swarm_runtime.trading.strategies.base import Floats, Parameters, Strategy

__all__ = ["Momentum"]


class Momentum(Strategy):
    """Time-series momentum: long what rose by more than noise would explain, short what fell.

    The score is the log return over ``lookback_bars``, divided by the root of the sum of squared
    returns, as in the ``trend`` feature. A position is opened at |score| > ``entry_score`` and
    held until the score's sign turns. ``short_size`` (0 to 1) is how far it goes short.

    Moskowitz, Ooi & Pedersen, "Time series momentum", Journal of Financial Economics 104 (2012).
    """

    kind: ClassVar[str] = "momentum"
    parameters: ClassVar[tuple[Parameters, ...]] = (
        {"lookback_bars": 20, "entry_score": 1.0, "short_size": 1.0},
        {"lookback_bars": 60, "entry_score": 0.5, "short_size": 1.0},
        {"lookback_bars": 120, "entry_score": 0.5, "short_size": 1.0},
        {"lookback_bars": 120, "entry_score": 0.5, "short_size": 0.0},
        {"lookback_bars": 250, "entry_score": 0.25, "short_size": 0.5},
    )

    def target_position(self, bars: Bars, parameters: Parameters) -> Floats:
        """Return 1, 0 or -``short_size``."""
        lookback = int(parameters["lookback_bars"])
        returns = log_returns(bars)
        covered = np.sqrt(np.maximum(window_sum(returns * returns, lookback), 0.0))
        score = ratio(window_sum(returns, lookback), covered, SMALLEST_DEVIATION, 0.0)
        score[age_bars(bars) <= lookback] = 0.0
        side = two_sided(score, parameters["entry_score"], 0.0)
        return np.where(side < 0, parameters["short_size"] * side, side)
