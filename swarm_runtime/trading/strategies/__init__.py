"""Strategies: the base class and the five built-in kinds, one small file each."""

from swarm_runtime.trading.strategies.base import (
    Parameters,
    Strategy,
    approach_name,
    checked_style,
    checked_targets,
)
from swarm_runtime.trading.strategies.breakout import Breakout
from swarm_runtime.trading.strategies.mean_reversion import MeanReversion
from swarm_runtime.trading.strategies.momentum import Momentum
from swarm_runtime.trading.strategies.neural_forecast import NeuralForecast
from swarm_runtime.trading.strategies.pairs import Pairs

__all__ = [
    "BUILT_IN",
    "Breakout",
    "MeanReversion",
    "Momentum",
    "NeuralForecast",
    "Pairs",
    "Parameters",
    "Strategy",
    "approach_name",
    "checked_style",
    "checked_targets",
]

#: The built-in strategies by kind, in the order of ``config.KINDS``.
BUILT_IN: dict[str, type[Strategy]] = {
    strategy.kind: strategy
    for strategy in (Momentum, MeanReversion, Breakout, Pairs, NeuralForecast)
}
