"""Nearness: weights on the scale of the neighbourhood itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.memory.vectors.nearness import NEAR_FLOOR, nearness

COSINES = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=40).map(
    lambda found: np.round(np.array(sorted(found, reverse=True)), 6)
)


@given(COSINES)
def test_weights_are_whole_numbers_that_fall_with_distance(cosines: np.ndarray) -> None:
    weights = nearness(cosines, 64)
    np.testing.assert_array_equal(weights, np.rint(weights))
    assert (weights >= 0).all() and (weights <= 64).all()
    assert (np.diff(weights) <= 0).all()
    assert (weights[cosines <= NEAR_FLOOR] == 0).all()


def test_the_same_context_counts_in_full() -> None:
    assert nearness(np.array([1.0, 0.9, 0.8]), 64)[0] == 64.0


def test_the_scale_is_that_of_the_neighbourhood() -> None:
    # The same picture at a hundredth of the distance gives the same weights.
    distances = np.linspace(0.01, 0.6, 20)
    far, near = 1.0 - distances / 2.0, 1.0 - distances / 200.0
    np.testing.assert_allclose(nearness(far, 64), nearness(near, 64), atol=1.0)


def test_a_lonely_stranger_hardly_counts_but_the_only_thing_known_does() -> None:
    assert nearness(np.array([0.4]), 64)[0] <= 8.0
    assert nearness(np.array([0.6]), 64)[0] >= 16.0
    assert nearness(np.array([0.6] * 8), 64)[0] <= 1.0
    assert len(nearness(np.empty(0), 64)) == 0
