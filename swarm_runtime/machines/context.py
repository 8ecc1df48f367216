"""The market's features as a context space: where trading and memory meet.

``trading`` measures features and knows no memory; ``memory`` cuts contexts into cells and knows
no market.
"""

from __future__ import annotations

from swarm_runtime.memory.records.pattern import ContextSpace, FeatureBins
from swarm_runtime.trading.features import FEATURES

__all__ = ["market_space"]


def market_space() -> ContextSpace:
    """Return the space of the market's features, in their order."""
    return ContextSpace(
        tuple(FeatureBins(one.name, tuple(one.edges), tuple(one.words)) for one in FEATURES)
    )
