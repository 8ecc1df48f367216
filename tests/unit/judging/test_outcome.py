"""The outcome judge: against benchmark, volatility and time, with room for luck."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.judging.outcome import LUCK_BAND, Judgement, judge


def judged(
    net: float, benchmark: float = 0.0, volatility: float = 0.01, bars: int = 4
) -> Judgement:
    return judge(np.array([[net]]), np.array([benchmark]), np.array([volatility]), bars)


def test_excess_is_the_return_above_the_benchmark_in_deviations_of_a_block() -> None:
    found = judged(0.05, benchmark=0.02, volatility=0.01, bars=9)
    assert found.excess.item() == round(0.03 / (0.01 * 3.0) * REWARD_SCALE)
    assert found.verdict.item() == 1


def test_a_gain_that_is_below_the_benchmark_is_a_failure() -> None:
    assert judged(0.05, benchmark=0.09).verdict.item() == -1


@pytest.mark.parametrize(("share", "verdict"), [(0.9, 0), (-0.9, 0), (1.1, 1), (-1.1, -1)])
def test_within_the_band_of_luck_there_is_no_verdict(share: float, verdict: int) -> None:
    assert judged(share * LUCK_BAND * 0.01 * 2.0).verdict.item() == verdict


def test_one_crash_is_cut_so_that_it_can_not_rule_a_mean() -> None:
    assert judged(-0.99, volatility=0.001).excess.item() == -8 * REWARD_SCALE


def test_prices_that_never_moved_do_not_divide_by_zero() -> None:
    assert judged(0.0, volatility=0.0).excess.item() == 0


@pytest.mark.parametrize("field", ["net", "benchmark", "volatility"])
def test_an_outcome_that_can_not_be_told_gets_no_verdict(field: str) -> None:
    found = judged(**{"net": 0.05, field: float("nan")})
    assert (found.excess.item(), found.verdict.item()) == (0, 0)


@given(st.integers(0, 2**16))
def test_each_subject_and_candidate_is_judged_by_itself(seed: int) -> None:
    random = np.random.default_rng(seed)
    net, benchmark = random.normal(0, 0.05, (5, 3)), random.normal(0, 0.01, 5)
    volatility = random.uniform(0.001, 0.03, 5)
    together = judge(net, benchmark, volatility, 21)
    for row in range(5):
        alone = judge(net[[row]], benchmark[[row]], volatility[[row]], 21)
        np.testing.assert_array_equal(alone.excess[0], together.excess[row])
        np.testing.assert_array_equal(alone.verdict[0], together.verdict[row])
    assert together.excess.dtype == np.int32
    assert together.verdict.dtype == np.int8
