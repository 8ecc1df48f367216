import numpy as np
import pytest

from swarm_runtime.trading.orders import OrderType
from swarm_runtime.trading.strategies import (
    Breakout,
    MeanReversion,
    Momentum,
    NeuralForecast,
    Pairs,
    checked_targets,
)
from tests.markets import market_from_closes, random_market

RISE = 0.01 * np.ones(400)
UP_AND_DOWN = market_from_closes(50.0 * np.exp(np.cumsum(np.column_stack([RISE, -RISE]), axis=0)))


@pytest.mark.parametrize("parameters", Momentum.parameters)
def test_momentum_is_long_what_rises_and_short_what_falls(parameters):
    long, short = checked_targets(Momentum(), UP_AND_DOWN, parameters)[-1]
    assert long == 1.0
    assert short == -parameters["short_size"]


def test_momentum_holds_on_until_the_move_has_turned():
    closes = np.concatenate([np.linspace(50, 60, 60), np.linspace(60, 55, 60)])[:, None]
    targets = checked_targets(Momentum(), market_from_closes(closes), Momentum.parameters[0])[:, 0]
    assert (targets[30:60] == 1).all()
    turned = np.flatnonzero(targets[60:] <= 0)[0]
    assert closes[60 + turned, 0] < closes[60 + turned - 20, 0]
    assert targets[-1] == -1


def test_momentum_waits_for_its_lookback():
    targets = checked_targets(Momentum(), UP_AND_DOWN, Momentum.parameters[0])
    assert (targets[:20] == 0).all()
    assert targets[20, 0] == 1


@pytest.mark.parametrize("parameters", MeanReversion.parameters)
def test_mean_reversion_buys_a_sudden_fall_and_sells_a_sudden_rise(parameters):
    draw = np.random.Generator(np.random.Philox(key=3))
    closes = 50.0 * np.exp(0.002 * draw.standard_normal((120, 2)))
    closes[-1] *= [0.9, 1.1]
    long, short = checked_targets(MeanReversion(), market_from_closes(closes), parameters)[-1]
    assert long == 1.0
    assert short == -parameters.get("short_size", 1.0)


def test_mean_reversion_closes_when_the_price_is_back():
    closes = np.full((80, 1), 50.0)
    closes[::2] = 50.1
    closes[60] = 45.0
    targets = checked_targets(
        MeanReversion(), market_from_closes(closes), MeanReversion.parameters[1]
    )[:, 0]
    assert targets[60] == 1.0
    assert (targets[61:] == 0.0).all()


def test_mean_reversion_with_a_limit_waits_for_a_better_price_and_has_a_target():
    style = MeanReversion().order_style(MeanReversion.parameters[-1])
    assert style.order_type is OrderType.LIMIT
    assert style.limit_offset_bps > 0
    assert style.take_profit_bps > 0


@pytest.mark.parametrize("parameters", Breakout.parameters)
def test_breakout_is_long_above_the_channel_and_short_below_it(parameters):
    long, short = checked_targets(Breakout(), UP_AND_DOWN, parameters)[-1]
    assert (long, short) == (1.0, -1.0)


def test_breakout_compares_with_the_channel_before_the_bar_not_with_the_bar_itself():
    bars = random_market(300, 1)
    targets = checked_targets(Breakout(), bars, Breakout.parameters[0])[:, 0]
    opened = np.flatnonzero((targets[1:] == 1) & (targets[:-1] <= 0)) + 1
    assert len(opened) > 3
    for row in opened:
        assert bars.close[row, 0] > bars.high[row - 20 : row, 0].max()


def test_breakout_leaves_through_the_shorter_channel():
    bars = random_market(300, 1)
    targets = checked_targets(Breakout(), bars, Breakout.parameters[0])[:, 0]
    closed = np.flatnonzero((targets[1:] <= 0) & (targets[:-1] == 1)) + 1
    assert len(closed) > 3
    for row in closed:
        assert bars.close[row, 0] < bars.low[row - 10 : row, 0].min()


def test_breakout_sets_with_a_stop_trade_by_stop_orders_and_trail():
    style = Breakout().order_style(Breakout.parameters[-1])
    assert style.order_type is OrderType.STOP
    assert style.trailing_stop_bps > 0


def two_that_move_together(spread):
    """Two symbols on one random path; the first strays from it by ``spread``."""
    draw = np.random.Generator(np.random.Philox(key=11))
    path = np.cumsum(0.01 * draw.standard_normal(len(spread)))
    noise = 0.002 * draw.standard_normal((len(spread), 2))
    return market_from_closes(40.0 * np.exp(np.column_stack([path + spread, path]) + noise))


@pytest.mark.parametrize("parameters", Pairs.parameters)
def test_pairs_sells_the_one_that_got_dear_and_buys_the_other(parameters):
    spread = np.zeros(400)
    spread[-1] = 0.05
    targets = checked_targets(Pairs(), two_that_move_together(spread), parameters)
    assert targets[-1].tolist() == [-1.0, 1.0]
    assert (targets.sum(axis=1) == 0).all()


def test_pairs_closes_when_the_spread_is_back():
    spread = np.zeros(400)
    spread[380:390] = 0.05
    targets = checked_targets(Pairs(), two_that_move_together(spread), Pairs.parameters[1])
    assert targets[380].tolist() == [-1.0, 1.0]
    assert (targets[390:] >= 0).all(axis=1)[0]
    assert targets[390, 0] >= 0 >= targets[390, 1]


def test_pairs_waits_for_a_year_of_both_symbols():
    bars = random_market(900, 2, listed_at=(0, 300))
    targets = checked_targets(Pairs(), bars, Pairs.parameters[0])
    assert not targets[: 300 + 251].any()
    assert targets[300 + 251 + 63 :].any()


@pytest.mark.parametrize("parameters", Pairs.parameters)
def test_pairs_closes_what_is_open_against_a_former_partner(parameters):
    # A moves with B and C with D, and from row 400 on A with C and B with D. Over 252 bars the new
    # pairs prevail first when partners are chosen at row 567.
    draw = np.random.Generator(np.random.Philox(key=7))
    one, other = 0.01 * draw.standard_normal((2, 700))
    returns = np.column_stack([one, one, other, other])
    returns[400:] = returns[400:, [0, 2, 1, 3]]
    returns += 0.003 * draw.standard_normal(returns.shape)
    bars = market_from_closes(40.0 * np.exp(np.cumsum(returns, axis=0)))
    targets = checked_targets(Pairs(), bars, parameters)
    assert targets[400:567].any(axis=0).all()
    assert not targets[567].any()


def test_pairs_does_nothing_with_what_does_not_move_together():
    draw = np.random.Generator(np.random.Philox(key=2))
    path = np.cumsum(0.01 * draw.standard_normal(900))
    opposite = market_from_closes(40.0 * np.exp(np.column_stack([path, -path])))
    assert not checked_targets(Pairs(), opposite, Pairs.parameters[0]).any()


def test_pairs_legs_cancel_unless_a_symbol_is_partner_to_many():
    targets = checked_targets(Pairs(), random_market(900, 4), Pairs.parameters[0])
    whole = np.abs(targets).max(axis=1) < 1.0
    assert targets.any()
    assert (targets[whole].sum(axis=1) == 0).all()


def trending(count: int, seed: int):
    """Symbols whose drift changes sign every 150 bars: the last month tells the next."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    sign = np.where(np.arange(count)[:, None] // 150 % 2 == np.arange(4) % 2, 1.0, -1.0)
    returns = 0.004 * sign + 0.008 * draw.standard_normal((count, 4))
    return market_from_closes(50.0 * np.exp(np.cumsum(returns, axis=0)))


@pytest.mark.parametrize("parameters", NeuralForecast.parameters)
def test_the_network_learns_what_is_there_to_be_learnt(parameters):
    bars = trending(1500, seed=8)
    targets = checked_targets(NeuralForecast(), bars, parameters)
    gain = targets[504:-1] * np.diff(np.log(bars.close[504:]), axis=0)
    assert gain.mean() > 0.002  # half of the drift of 0.004


def test_the_network_says_nothing_before_it_was_trained():
    strategy = NeuralForecast()
    targets = checked_targets(strategy, trending(600, seed=8), strategy.parameters[0])
    first = np.flatnonzero(targets.any(axis=1))[0]
    assert first >= 252


def test_the_network_is_the_same_for_another_instance_and_after_other_bars():
    first, second = NeuralForecast(), NeuralForecast()
    bars, others = random_market(700, 3, seed=1), random_market(700, 3, seed=2)
    one = first.parameters[0]
    expected = checked_targets(first, bars, one)
    checked_targets(second, others, one)
    assert (checked_targets(second, bars, one) == expected).all()
    assert (checked_targets(first, others, one) != expected).any()


def test_the_network_sees_that_bars_were_changed_in_place():
    strategy = NeuralForecast()
    bars = random_market(700, 2)
    one = strategy.parameters[0]
    checked_targets(strategy, bars, one)
    bars.close[100:] *= np.linspace(1, 3, 600)[:, None]
    changed = checked_targets(strategy, bars, one)
    assert (changed == checked_targets(NeuralForecast(), bars, one)).all()
