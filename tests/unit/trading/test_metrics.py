import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.trading.metrics import (
    bar_returns,
    cagr,
    calmar,
    max_drawdown,
    measure,
    profit_factor_per_trade,
    sharpe,
    sortino,
    total_return,
    volatility,
    win_rate_per_trade,
)


def test_doubling_in_a_year_is_a_cagr_of_one() -> None:
    curve = 100.0 * 2.0 ** (np.arange(253) / 252.0)
    assert total_return(curve) == pytest.approx(1.0)
    assert cagr(curve) == pytest.approx(1.0)


def test_a_year_may_have_another_number_of_bars() -> None:
    curve = 100.0 * 2.0 ** (np.arange(13) / 12.0)
    assert cagr(curve, bars_per_year=12.0) == pytest.approx(1.0)


def test_drawdown_is_measured_from_the_highest_peak_before() -> None:
    assert max_drawdown([100, 120, 90, 110, 60, 200, 150]) == pytest.approx(-0.5)


def test_calmar_is_growth_over_the_deepest_fall() -> None:
    curve = [100.0, 50.0, 200.0]
    assert calmar(curve, bars_per_year=2.0) == pytest.approx(1.0 / 0.5)


def test_sharpe_takes_the_sample_deviation() -> None:
    returns = [0.01, 0.03]
    assert sharpe(returns) == pytest.approx(0.02 / (0.02 / math.sqrt(2)) * math.sqrt(252))
    assert volatility(returns) == pytest.approx(0.02 / math.sqrt(2) * math.sqrt(252))


def test_sortino_divides_by_the_downside_over_all_returns() -> None:
    assert sortino([0.03, -0.01]) == pytest.approx(0.01 / math.sqrt(0.0001 / 2) * math.sqrt(252))


def test_a_trade_that_brings_nothing_is_no_win_and_no_loss() -> None:
    assert win_rate_per_trade([10, 0, -5, 20]) == 0.5
    assert profit_factor_per_trade([10, 0, -5, 20]) == 6.0


def test_what_is_undefined_is_none() -> None:
    assert total_return([100.0]) is None
    assert total_return([0.0, 1.0]) is None
    assert cagr([100.0, -1.0]) is None
    assert cagr([1.0, 1_000.0]) is None
    assert volatility([0.01]) is None
    assert sharpe([]) is None
    assert sharpe([0.01]) is None
    assert sortino([0.01]) is None
    assert sortino([0.01, 0.02]) is None
    assert max_drawdown([]) is None
    assert calmar([1.0, 2.0, 3.0]) is None
    assert win_rate_per_trade([]) is None
    assert profit_factor_per_trade([]) is None
    assert profit_factor_per_trade([5.0]) is None
    assert bar_returns([100.0, 0.0, 50.0]) is None


def test_a_curve_that_grows_evenly_has_no_sharpe_ratio() -> None:
    returns = bar_returns(100.0 * 1.01 ** np.arange(300))
    assert returns is not None
    assert sharpe(returns) is None


def test_losing_everything_is_a_cagr_of_minus_one() -> None:
    assert cagr([100.0, 0.0]) == -1.0


def test_capital_before_the_first_bar_counts_the_first_return() -> None:
    found = measure([110.0, 121.0], [21.0], capital=100.0)
    assert found.bars == 2
    assert found.total_return == pytest.approx(0.21)
    assert found.trades == 1
    assert found.win_rate_per_trade == 1.0
    assert found.profit_factor_per_trade is None
    assert measure([100.0, 110.0, 121.0]).total_return == found.total_return


def test_a_record_without_a_bar_has_no_metrics() -> None:
    found = measure([], capital=100.0)
    assert (found.bars, found.trades) == (0, 0)
    assert found.total_return is found.sharpe is found.max_drawdown is None


@settings(deadline=None)
@given(
    st.lists(st.integers(-(10**12), 10**12), max_size=30),
    st.lists(st.integers(-(10**9), 10**9), max_size=10),
)
def test_no_record_gives_nan_or_infinity(equity: list[int], pnl: list[int]) -> None:
    found = measure(equity, pnl, capital=1_000)
    for name in found.__slots__:
        value = getattr(found, name)
        assert value is None or math.isfinite(value), name
    assert found.max_drawdown is None or found.max_drawdown <= 0
