"""Forgetting: a collapse is noticed soon, luck is not, and the order of arrival doesn't show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.state.forgetting import Watch, first_counted


def outcomes(shares: list[tuple[int, float]], seed: int = 0) -> np.ndarray:
    """Successes and failures: so many, with that share of successes."""
    generator = np.random.default_rng(seed)
    parts = [np.where(generator.random(count) < share, 1, -1) for count, share in shares]
    return np.concatenate(parts) * REWARD_SCALE


def test_a_collapse_is_noticed_within_a_dozen_outcomes_and_dated_rightly() -> None:
    series = outcomes([(500, 0.95), (12, 0.05)])
    start = first_counted(series)
    assert abs(start - 500) <= 3


@pytest.mark.parametrize("seed", range(20))
def test_a_fall_of_a_standard_deviation_is_noticed(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0.0, REWARD_SCALE, 1_200)
    noise[1_000:] -= REWARD_SCALE
    start = first_counted(noise.astype(np.int64))
    assert 960 <= start <= 1_040


def test_noise_alone_is_hardly_ever_a_change() -> None:
    generator = np.random.default_rng(1)
    changes = 0
    for _ in range(20):
        changes += first_counted(generator.normal(0.0, REWARD_SCALE, 10_000).astype(np.int64)) > 0
    assert changes == 0


def test_doing_better_than_before_is_nothing_to_forget() -> None:
    assert first_counted(outcomes([(300, 0.1), (300, 0.95)])) == 0


def test_after_a_change_the_next_one_is_measured_against_the_new_time() -> None:
    series = outcomes([(300, 0.95), (200, 0.05), (300, 0.9), (60, 0.05)])
    assert abs(first_counted(series) - 800) <= 4


def test_a_start_needs_no_memory() -> None:
    assert first_counted(np.empty(0, dtype=np.int64)) == 0
    assert first_counted(outcomes([(40, 0.0)])) == 0


@settings(deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(0, 70), max_size=30))
def test_one_by_one_or_at_once_gives_the_same(seed: int, cuts: list[int]) -> None:
    series = outcomes([(150, 0.95), (90, 0.2), (150, 0.9), (40, 0.1)], seed)
    watch = Watch()
    at = 0
    for cut in [*cuts, len(series)]:
        assert watch.extend(series[at : at + cut]) <= watch.seen
        at = min(at + cut, len(series))
    assert watch.seen == len(series)
    assert watch.start == first_counted(series)


def test_a_long_series_is_read_as_a_short_one_is() -> None:
    series = outcomes([(9_000, 0.9), (3_000, 0.1), (6_000, 0.9)])
    watch = Watch()
    for value in series:
        watch.extend(np.array([value]))
    assert watch.start == first_counted(series) >= 8_990
