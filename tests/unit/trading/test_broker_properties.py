"""What holds for the broker on any market: it is the reference, in any split and any company."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.broker import BlockResult
from tests.unit.trading.market_strategies import Scenario, scenarios
from tests.unit.trading.reference_broker import Limits, ReferenceAccount


def run_reference(scenario: Scenario, account: int) -> ReferenceAccount:
    limits = scenario.limits
    reference = ReferenceAccount(
        scenario.targets.shape[2],
        round(scenario.cash_usd * 100),
        scenario.style_rows[account],
        Limits(
            float(limits.max_position[account]),
            float(limits.max_leverage[account]),
            float(limits.max_drawdown[account]),
            int(limits.pause_bars[account]),
        ),
        scenario.costs.fee_bps,
        scenario.costs.slippage_bps,
        scenario.lot_shares,
        scenario.fill_at,
    )
    for bar in range(scenario.bars.count):
        reference.step(scenario.bars, bar, scenario.targets[account, bar].tolist())
    return reference


def trades_of(result: BlockResult) -> list[tuple[int, ...]]:
    trades = result.trades
    columns = (trades.account, trades.symbol, trades.entry_bar, trades.exit_bar, trades.pnl_cents)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def events_of(result: BlockResult) -> list[tuple[float, ...]]:
    events = result.events
    columns = (
        events.account,
        events.bar,
        events.symbol,
        events.code,
        events.asked,
        events.allowed,
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def assert_same(one: BlockResult, other: BlockResult) -> None:
    for name in ("equity_cents", "pnl_cents", "cost_cents", "fills"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert trades_of(one) == trades_of(other)
    assert events_of(one) == events_of(other)


@settings(max_examples=100, deadline=None)
@given(scenarios())
def test_the_wide_kernel_equals_the_plain_reference_bit_for_bit(scenario: Scenario) -> None:
    accounts, result = scenario.run(scenario.open(), 0, scenario.bars.count)
    for a in range(accounts.count):
        reference = run_reference(scenario, a)
        own = result.rows(a, a + 1)
        assert own.equity_cents[0].tolist() == reference.equity
        assert own.cost_cents[0].tolist() == reference.costs
        assert own.fills[0] == reference.fills
        assert [trade[1:] for trade in trades_of(own)] == sorted(
            reference.trades, key=lambda trade: (trade[2], trade[0])
        )
        assert [event[1:] for event in events_of(own)] == sorted(
            reference.events, key=lambda event: event[:2]
        )
        assert accounts.cash_cents[a] == reference.cash
        assert accounts.peak_equity_cents[a] == reference.peak
        assert accounts.pause_bars_left[a] == reference.pause
        for s, lane in enumerate(reference.lanes):
            position, order = lane.position, lane.order
            assert accounts.lots[a, s] == position.lots
            assert accounts.entry_cents[a, s] == position.entry
            assert accounts.best_cents[a, s] == position.best
            assert accounts.entry_bar[a, s] == position.entry_bar
            assert accounts.trade_cents[a, s] == position.trade_cash
            assert accounts.last_target[a, s] == lane.acted_on
            found = (
                accounts.order_type[a, s],
                accounts.order_limit_cents[a, s],
                accounts.order_stop_cents[a, s],
                accounts.order_bars_left[a, s],
            )
            assert found == (
                (order.kind, order.limit, order.stop, order.bars_left) if order else (0, 0, 0, 0)
            )


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.data())
def test_any_split_into_blocks_gives_the_same_bits(scenario: Scenario, data: st.DataObject) -> None:
    count = scenario.bars.count
    whole_accounts, whole = scenario.run(scenario.open(), 0, count)
    cuts = data.draw(st.sets(st.integers(1, count - 1), max_size=5))
    edges = [0, *sorted(cuts), count]
    accounts, parts = scenario.open(), []
    for start, stop in itertools.pairwise(edges):
        accounts, part = scenario.run(accounts, start, stop)
        parts.append(part)
    assert accounts == whole_accounts
    for name in ("equity_cents", "cost_cents"):
        joined = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(joined, getattr(whole, name))
    for name in ("pnl_cents", "fills"):
        np.testing.assert_array_equal(
            sum(getattr(part, name) for part in parts), getattr(whole, name)
        )
    trades = [trade for part in parts for trade in trades_of(part)]
    assert sorted(trades, key=lambda trade: (trade[0], trade[3], trade[1])) == trades_of(whole)
    events = [event for part in parts for event in events_of(part)]
    assert sorted(events, key=lambda event: event[:3]) == events_of(whole)


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.data())
def test_an_account_has_the_same_bits_alone_and_in_any_company(
    scenario: Scenario, data: st.DataObject
) -> None:
    count = scenario.targets.shape[0]
    rows = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=5))
    bars, opened = scenario.bars.count, scenario.open()
    alone = [scenario.run(opened.take([row]), 0, bars, [row]) for row in rows]
    accounts, together = scenario.run(opened.take(rows), 0, bars, rows)
    assert accounts == Accounts.concatenate([one for one, _ in alone])
    for place, (_, result) in enumerate(alone):
        assert_same(together.rows(place, place + 1), result)


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_the_profits_of_the_symbols_add_up_to_the_change_in_equity_to_the_cent(
    scenario: Scenario,
) -> None:
    opened = scenario.open()
    accounts, result = scenario.run(opened, 0, scenario.bars.count)
    change = accounts.equity_cents - opened.equity_cents
    np.testing.assert_array_equal(result.pnl_cents.sum(axis=1), change)
    np.testing.assert_array_equal(result.equity_cents[:, -1], accounts.equity_cents)


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_what_closed_and_open_trades_brought_is_what_the_account_earned(scenario: Scenario) -> None:
    opened = scenario.open()
    accounts, result = scenario.run(opened, 0, scenario.bars.count)
    closed = np.zeros(accounts.count, np.int64)
    np.add.at(closed, result.trades.account, result.trades.pnl_cents)
    in_cash = closed + accounts.trade_cents.sum(axis=1)
    np.testing.assert_array_equal(in_cash, accounts.cash_cents - opened.cash_cents)


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_a_position_always_lies_on_the_side_of_the_target_acted_on(scenario: Scenario) -> None:
    accounts, _ = scenario.run(scenario.open(), 0, scenario.bars.count)
    held = accounts.lots != 0
    assert (np.sign(accounts.lots) == np.sign(accounts.last_target))[held].all()


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_who_never_shorts_and_keeps_leverage_at_one_never_owes_money(scenario: Scenario) -> None:
    np.abs(scenario.targets, out=scenario.targets)
    np.minimum(scenario.limits.max_leverage, 1.0, out=scenario.limits.max_leverage)
    accounts = scenario.open()
    for bar in range(scenario.bars.count):
        accounts, _ = scenario.run(accounts, bar, bar + 1)
        assert (accounts.cash_cents >= 0).all()


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_no_argument_is_modified(scenario: Scenario) -> None:
    accounts, _ = scenario.run(scenario.open(), 0, 1)
    before = accounts.take([*range(accounts.count)])
    targets, prices = scenario.targets.copy(), scenario.bars.fingerprint()
    scenario.run(accounts, 1, scenario.bars.count)
    assert accounts == before
    np.testing.assert_array_equal(scenario.targets, targets)
    assert scenario.bars.fingerprint() == prices


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.data())
def test_bars_after_the_block_change_nothing(scenario: Scenario, data: st.DataObject) -> None:
    stop = data.draw(st.integers(1, scenario.bars.count))
    accounts, result = scenario.run(scenario.open(), 0, stop)
    scenario.bars.open[stop:] *= 2
    scenario.bars.close[stop:] *= 3
    again, same = scenario.run(scenario.open(), 0, stop)
    assert accounts == again
    assert_same(result, same)
