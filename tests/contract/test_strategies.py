"""What every built-in strategy promises; one suite over all of them."""

import inspect
import pickle

import numpy as np
import pytest

from swarm_runtime.config import KINDS
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import load_bundled
from swarm_runtime.trading.lookahead import check_strategy
from swarm_runtime.trading.orders import OrderStyle
from swarm_runtime.trading.registry import load_source
from swarm_runtime.trading.strategies import (
    BUILT_IN,
    Strategy,
    approach_name,
    checked_style,
    checked_targets,
)
from tests.markets import market_from_closes, random_market

CANDIDATES = [
    pytest.param(kind, parameters, id=approach_name(kind, parameters))
    for kind in KINDS
    for parameters in BUILT_IN[kind].parameters
]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_candidate = pytest.mark.parametrize(("kind", "parameters"), CANDIDATES)


@pytest.fixture(scope="module")
def history() -> Bars:
    return load_bundled().bars


@pytest.fixture(scope="module")
def market() -> Bars:
    return random_market(1000, 5, listed_at=(0, 0, 0, 350, 900))


@pytest.fixture(scope="module")
def strategies() -> dict[str, Strategy]:
    """Shared, so that what a strategy keeps between its parameter sets is kept here too."""
    return {kind: BUILT_IN[kind]() for kind in KINDS}


def test_every_kind_in_the_configuration_has_a_strategy_and_no_other_is_there():
    assert tuple(BUILT_IN) == KINDS
    assert all(strategy.kind == kind for kind, strategy in BUILT_IN.items())


@each_kind
def test_a_kind_offers_a_few_distinct_candidates(kind):
    sets = BUILT_IN[kind].parameters
    assert 3 <= len(sets) <= 6
    assert len({approach_name(kind, one) for one in sets}) == len(sets)


@each_kind
def test_it_says_what_it_does(kind):
    assert len(inspect.getdoc(BUILT_IN[kind]) or "") > 200


@each_kind
def test_it_does_not_look_ahead_on_random_bars(kind, market):
    report = check_strategy(BUILT_IN[kind](), market)
    assert report.ok, str(report)


@each_kind
def test_it_does_not_look_ahead_on_real_history(kind, history):
    report = check_strategy(BUILT_IN[kind](), history)
    assert report.ok, str(report)


@each_candidate
def test_targets_are_few_coarse_steps(kind, parameters, strategies, history):
    targets = checked_targets(strategies[kind], history, parameters)
    assert targets.shape == history.close.shape
    assert (targets * 4 == np.rint(targets * 4)).all()


@each_candidate
def test_it_takes_positions_but_not_all_the_time(kind, parameters, strategies, history):
    targets = checked_targets(strategies[kind], history, parameters)[:, [0, 3, 4]]
    busy = (targets != 0).mean()
    assert 0.05 < busy < 0.95
    changes = (np.diff(targets, axis=0) != 0).mean()
    assert 0.001 < changes < 0.3


@each_kind
def test_candidates_do_different_things_or_trade_in_different_ways(kind, strategies, history):
    strategy = strategies[kind]
    seen = [
        (checked_targets(strategy, history, one).tobytes(), strategy.order_style(one))
        for one in strategy.parameters
    ]
    assert len(set(seen)) == len(seen)


@each_candidate
def test_nothing_is_wanted_of_a_symbol_with_less_history_than_a_day(
    kind, parameters, strategies, market
):
    raw = strategies[kind].target_position(market, parameters)
    assert (raw[:350, 3] == 0).all()
    assert (raw[:900, 4] == 0).all()
    assert (raw[:2] == 0).all()


@each_candidate
@pytest.mark.parametrize("count", [1, 2, 30, 127, 253])
def test_short_histories_are_no_error(kind, parameters, count):
    targets = BUILT_IN[kind]().target_position(random_market(count, 2), parameters)
    assert targets.shape == (count, 2)


@each_candidate
def test_one_symbol_is_no_error(kind, parameters, strategies):
    bars = random_market(400, 1)
    targets = strategies[kind].target_position(bars, parameters)
    assert targets.shape == (400, 1)
    assert targets.any() == (kind != "pairs")


@each_candidate
def test_prices_that_never_move_are_not_traded(kind, parameters, strategies):
    still = market_from_closes(np.full((400, 3), 12.3))
    assert not strategies[kind].target_position(still, parameters).any()


@each_candidate
def test_the_bars_stay_as_they_were(kind, parameters, strategies, market):
    before = market.fingerprint()
    strategies[kind].target_position(market, parameters)
    assert market.fingerprint() == before


@each_candidate
def test_another_instance_says_the_same(kind, parameters, strategies, market):
    again = BUILT_IN[kind]().target_position(market, parameters)
    np.testing.assert_array_equal(again, strategies[kind].target_position(market, parameters))


@each_candidate
def test_a_day_without_a_bar_is_no_error(kind, parameters):
    bars = random_market(600, 2)
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[300:310, 1] = bars.close[299, 1]
    bars.volume[300:310, 1] = 0.0
    bars.tradable[300:310, 1] = False
    targets = checked_targets(BUILT_IN[kind](), bars, parameters)
    assert np.isfinite(targets).all()


@each_candidate
def test_its_order_style_can_be_carried_out(kind, parameters):
    assert isinstance(checked_style(BUILT_IN[kind](), parameters), OrderStyle)


@each_kind
def test_it_can_be_sent_to_another_machine(kind):
    strategy = pickle.loads(pickle.dumps(load_source(kind))).build()
    assert type(strategy) is BUILT_IN[kind]
