"""Where the market's features become the memory's cells."""

from __future__ import annotations

import numpy as np

from swarm_runtime.machines.context import market_space
from swarm_runtime.trading.features import FEATURES


def test_an_edge_of_a_feature_belongs_to_the_bin_above_it() -> None:
    space = market_space()
    lower = np.array([[feature.edges[0] for feature in FEATURES]])
    upper = np.array([[feature.edges[1] for feature in FEATURES]])
    assert space.bins(int(space.cells(lower)[0])) == (1,) * len(FEATURES)
    assert space.bins(int(space.cells(upper)[0])) == (2,) * len(FEATURES)


def test_a_cell_is_told_in_the_features_words() -> None:
    space = market_space()
    cell = int(space.cells(np.array([[1.0, 0.5, 0.0, -0.2, 1.0]]))[0])
    assert list(space.words(cell).values()) == [
        "rising",
        "calm",
        "near its high",
        "reversing",
        "traded as usual",
    ]
