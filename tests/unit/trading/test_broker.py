"""The broker's rules, one by one, on bars drawn by hand. All at once: test_broker_properties.py."""

from typing import Any

import numpy as np
import pytest

from swarm_runtime.errors import ConfigError
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.broker import BlockResult, run_block
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.orders import OrderStyle, OrderType
from swarm_runtime.trading.risk import RiskLimits
from swarm_runtime.trading.styles import StyleArrays
from tests.unit.trading.market_strategies import make_bars

Bar = tuple[float, float, float, float]
#: A bar in which nothing happens.
FLAT: Bar = (100.0, 100.0, 100.0, 100.0)


def market(*rows: Bar, tradable: list[bool] | None = None) -> Bars:
    """One symbol: (open, high, low, close) of each bar."""
    return make_bars(*zip(*rows, strict=True), tradable=tradable)


def trade(
    bars: Bars, targets: list[float], style: OrderStyle | None = None, **keywords: Any
) -> tuple[Accounts, BlockResult]:
    """Trade one symbol with 10,000 USD and no limits but a leverage of 1."""
    opened = Accounts.open(1, 1, keywords.pop("cash_usd", 10_000.0))
    wanted = np.array(targets, np.float64)[np.newaxis, :, np.newaxis]
    styles = StyleArrays.of([[style or OrderStyle()]])
    return run_block(opened, bars, 0, len(targets), wanted, styles=styles, **keywords)


# --- sizes, costs and accounting -------------------------------------------------------------


def test_a_target_is_filled_at_the_open_of_its_bar() -> None:
    accounts, result = trade(market((100, 120, 90, 110)), [1.0])
    assert accounts.lots.tolist() == [[100]]
    assert accounts.cash_cents.tolist() == [0]
    assert result.equity_cents.tolist() == [[1_100_000]]
    assert result.pnl_cents.tolist() == [[100_000]]


def test_a_target_may_be_filled_at_the_close_instead() -> None:
    accounts, result = trade(market((100, 120, 90, 110)), [1.0], fill_at="close")
    assert accounts.lots.tolist() == [[90]]
    assert accounts.entry_cents.tolist() == [[11_000.0]]
    assert result.equity_cents.tolist() == [[1_000_000]]


def test_a_target_is_a_share_of_equity_over_the_number_of_symbols() -> None:
    bars = make_bars(*[[[100.0, 50.0]]] * 4)
    opened = Accounts.open(1, 2, 10_000.0)
    accounts, _ = run_block(opened, bars, 0, 1, np.array([[[1.0, -0.5]]]))
    assert accounts.lots.tolist() == [[50, -50]]


def test_positions_are_whole_lots_rounded_down() -> None:
    accounts, _ = trade(market((30.0, 30.0, 30.0, 30.0)), [1.0], lot_shares=10)
    assert accounts.lots.tolist() == [[33]]
    assert accounts.cash_cents.tolist() == [1_000_000 - 33 * 10 * 3_000]


def test_fee_and_slippage_are_paid_on_every_fill() -> None:
    costs = Costs(fee_bps=10.0, slippage_bps=50.0)
    accounts, result = trade(market(FLAT, FLAT), [1.0, 0.0], costs=costs)
    bought = 99  # 99 · 100.50 · 1.001 = 9959.45; another lot would be more than there is
    buy, sell = bought * 10_050, bought * 9_950
    fees = round(buy * 0.001), round(sell * 0.001)
    assert accounts.cash_cents.tolist() == [1_000_000 - buy - fees[0] + sell - fees[1]]
    assert result.cost_cents.tolist() == [[bought * 50 + fees[0], bought * 50 + fees[1]]]
    assert result.fills.tolist() == [2]
    assert result.trades.pnl_cents.tolist() == [-bought * 100 - sum(fees)]


def test_all_cash_in_never_spends_more_than_there_is() -> None:
    """Prices of a few cents, where the rounding of notional and fee is worth more than a lot."""
    amounts = [10.0 + cents / 100 for cents in range(300)]
    opened = Accounts.concatenate([Accounts.open(1, 1, amount) for amount in amounts])
    for price in (0.004, 0.01, 0.013, 0.05):
        row = (price,) * 4
        accounts, _ = run_block(
            opened,
            market(row),
            0,
            1,
            np.ones((300, 1, 1)),
            costs=Costs(fee_bps=37.0, slippage_bps=3.0),
        )
        assert (accounts.cash_cents >= 0).all()
        # What is left would not have bought three lots more.
        assert (accounts.cash_cents <= 3 * price * 100 + 3).all()


def test_what_prices_do_to_a_position_is_not_rebalanced() -> None:
    bars = market(FLAT, (100, 150, 100, 150), (150, 150, 80, 80), (80, 80, 80, 80))
    accounts, result = trade(bars, [0.5, 0.5, 0.5, 0.5])
    assert result.fills.tolist() == [1]
    assert accounts.lots.tolist() == [[50]]


def test_a_changed_target_is_sized_by_the_equity_of_its_bar() -> None:
    accounts, result = trade(market(FLAT, (200, 200, 200, 200)), [0.5, 1.0])
    assert accounts.lots.tolist() == [[75]]  # 15,000 USD by then
    assert accounts.entry_cents.tolist() == [[(50 * 10_000 + 25 * 20_000) / 75]]
    assert result.fills.tolist() == [2]


def test_a_smaller_target_sells_a_part_and_the_trade_goes_on() -> None:
    accounts, result = trade(market(FLAT, FLAT), [1.0, 0.5])
    assert accounts.lots.tolist() == [[50]]
    assert accounts.trade_cents.tolist() == [[-500_000]]
    assert len(result.trades) == 0


def test_a_flip_is_a_close_and_an_open() -> None:
    accounts, result = trade(market(FLAT, (110, 110, 110, 110)), [1.0, -1.0])
    assert accounts.lots.tolist() == [[-100]]
    assert accounts.entry_bar.tolist() == [[1]]
    assert result.fills.tolist() == [3]
    assert result.trades.pnl_cents.tolist() == [100_000]
    assert result.trades.entry_bar.tolist() == [0]
    assert result.trades.exit_bar.tolist() == [1]


def test_a_short_earns_when_the_price_falls() -> None:
    accounts, result = trade(market((100, 100, 80, 80), (80, 80, 80, 80)), [-1.0, 0.0])
    assert result.equity_cents.tolist() == [[1_200_000, 1_200_000]]
    assert result.trades.pnl_cents.tolist() == [200_000]
    assert accounts.cash_cents.tolist() == [1_200_000]


def test_what_is_closed_pays_for_what_is_opened() -> None:
    bars = make_bars(*[[[100.0, 100.0]] * 2] * 4)
    targets = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    accounts, _ = run_block(Accounts.open(1, 2, 200.0), bars, 0, 2, targets)
    assert accounts.lots.tolist() == [[0, 1]]
    assert accounts.cash_cents.tolist() == [10_000]


def test_an_account_that_lost_everything_opens_nothing_more() -> None:
    bars = market(FLAT, (100, 300, 100, 300), (300, 300, 300, 300), (300, 300, 300, 300))
    limits = RiskLimits.uniform(1)
    accounts, result = trade(bars, [-1.0, -1.0, -1.0, 1.0], limits=limits)
    assert result.equity_cents.tolist() == [[1_000_000, -1_000_000, -1_000_000, -1_000_000]]
    assert accounts.lots.tolist() == [[0]]


def test_an_account_that_lost_everything_closes_all_whatever_its_target() -> None:
    bars = market(FLAT, (100, 300, 100, 300), (300, 300, 300, 300))
    accounts, result = trade(bars, [-1.0, -1.0, -0.5], limits=RiskLimits.uniform(1))
    assert result.trades.pnl_cents.tolist() == [-2_000_000]
    assert accounts.cash_cents.tolist() == [-1_000_000]


# --- symbols without a bar -------------------------------------------------------------------


def test_an_order_waits_for_the_next_bar_in_which_its_symbol_trades() -> None:
    bars = market(FLAT, FLAT, (120, 120, 120, 120), tradable=[True, False, True])
    accounts, result = trade(bars, [0.0, 1.0, 1.0])
    assert accounts.entry_bar.tolist() == [[2]]
    assert accounts.lots.tolist() == [[83]]
    assert result.fills.tolist() == [1]


def test_an_order_that_waits_is_forgotten_when_its_target_is() -> None:
    bars = market(FLAT, FLAT, FLAT, tradable=[True, False, True])
    _, result = trade(bars, [0.0, 1.0, 0.0])
    assert result.fills.tolist() == [0]


# --- limit, stop and stop-limit orders -------------------------------------------------------

LIMIT = OrderStyle(OrderType.LIMIT, limit_offset_bps=500.0, good_for_bars=2)
STOP = OrderStyle(OrderType.STOP, stop_offset_bps=500.0, good_for_bars=2)
STOP_LIMIT = OrderStyle(OrderType.STOP_LIMIT, 200.0, 500.0, good_for_bars=2)
SLIPPAGE = Costs(slippage_bps=100.0)


def entry(style: OrderStyle, side: float, *rows: Bar, **keywords: Any) -> float | None:
    """Entry price of an order decided at a close of 100, or None while it isn't filled."""
    targets = [0.0] + [side] * len(rows)
    accounts, _ = trade(market(FLAT, *rows), targets, style, costs=SLIPPAGE, **keywords)
    return float(accounts.entry_cents[0, 0]) / 100 if accounts.lots.any() else None


def test_a_limit_is_filled_at_its_price_without_slippage() -> None:
    assert entry(LIMIT, 1.0, (100, 101, 94, 96)) == pytest.approx(95.0)
    assert entry(LIMIT, -1.0, (100, 106, 99, 104)) == pytest.approx(105.0)


def test_a_gap_through_a_limit_fills_at_the_better_open() -> None:
    assert entry(LIMIT, 1.0, (90, 101, 89, 96)) == 90.0
    assert entry(LIMIT, -1.0, (110, 112, 99, 104)) == 110.0


def test_a_limit_that_is_not_reached_is_not_filled() -> None:
    assert entry(LIMIT, 1.0, (100, 120, 96, 96)) is None


def test_a_stop_is_filled_at_its_price_with_slippage() -> None:
    assert entry(STOP, 1.0, (100, 106, 99, 104)) == pytest.approx(105.0 * 1.01)
    assert entry(STOP, -1.0, (100, 101, 94, 96)) == pytest.approx(95.0 * 0.99)


def test_a_gap_through_a_stop_fills_at_the_worse_open() -> None:
    assert entry(STOP, 1.0, (110, 112, 109, 110)) == pytest.approx(110.0 * 1.01)
    assert entry(STOP, -1.0, (90, 91, 89, 90)) == pytest.approx(90.0 * 0.99)


def test_a_stop_limit_is_filled_at_its_stop_when_the_price_runs_through() -> None:
    assert entry(STOP_LIMIT, 1.0, (100, 120, 99, 118)) == pytest.approx(105.0)


def test_a_stop_limit_takes_an_open_between_stop_and_limit() -> None:
    assert entry(STOP_LIMIT, 1.0, (106, 120, 104, 118)) == 106.0


def test_a_stop_limit_waits_for_its_limit_when_the_bar_opens_beyond_it() -> None:
    assert entry(STOP_LIMIT, 1.0, (110, 120, 107, 118)) == pytest.approx(107.1)
    assert entry(STOP_LIMIT, 1.0, (110, 120, 108, 118)) is None


def test_a_stop_limit_whose_stop_was_reached_is_a_limit_from_then_on() -> None:
    # The second bar does not reach the stop at 105 again, but lies below the limit of 107.10.
    assert entry(STOP_LIMIT, 1.0, (110, 120, 108, 109), (104, 104.5, 103, 104)) == 104.0


def test_an_order_ends_with_its_time_in_force() -> None:
    near = (100.0, 100.0, 96.0, 100.0)
    assert entry(LIMIT, 1.0, near, (100, 100, 94, 96)) == pytest.approx(95.0)
    assert entry(LIMIT, 1.0, near, near, (100, 100, 94, 96)) is None


def test_a_bar_without_trading_does_not_use_up_the_time_in_force() -> None:
    bars = market(
        FLAT,
        (100, 100, 96, 100),
        FLAT,
        (100, 100, 94, 96),
        tradable=[True, True, False, True],
    )
    accounts, _ = trade(bars, [0.0, 1.0, 1.0, 1.0], LIMIT)
    assert accounts.entry_bar.tolist() == [[3]]


def test_a_new_target_replaces_the_order_that_rests() -> None:
    bars = market(FLAT, (100, 100, 96, 100), (100, 100, 94, 96))
    accounts, result = trade(bars, [0.0, 1.0, 0.0], LIMIT)
    assert result.fills.tolist() == [0]
    assert not accounts.order_type.any()


def test_the_way_out_is_a_market_order_whatever_the_style() -> None:
    bars = market(FLAT, (94, 95, 94, 95), (95, 95, 95, 95))
    accounts, result = trade(bars, [0.0, 1.0, 0.0], LIMIT)
    assert result.fills.tolist() == [2]
    assert not accounts.lots.any()


def test_a_flip_closes_at_the_market_and_opens_by_its_order() -> None:
    bars = market(FLAT, (95, 95, 94, 100), (100, 104, 100, 100), (100, 106, 100, 106))
    accounts, result = trade(bars, [0.0, 1.0, -1.0, -1.0], LIMIT)
    assert result.trades.exit_bar.tolist() == [2]
    assert accounts.entry_bar.tolist() == [[3]]
    assert accounts.entry_cents.tolist() == [[pytest.approx(10_500.0)]]


# --- protection ------------------------------------------------------------------------------


def exit_price(style: OrderStyle, side: float, *rows: Bar) -> float | None:
    """Price at which a position opened at 100 (bar 1) is left, or None while it is held."""
    _, result = trade(market(FLAT, *rows), [0.0] + [side] * len(rows), style)
    assert len(result.trades) <= 1, "no way back before the target changes"
    if not len(result.trades):
        return None
    return 100.0 + side * float(result.trades.pnl_cents[0]) / 100 / 100


BRACKET = OrderStyle(stop_loss_bps=500.0, take_profit_bps=1_000.0)
TRAILING = OrderStyle(trailing_stop_bps=1_000.0)


def test_a_stop_loss_leaves_at_its_price() -> None:
    assert exit_price(BRACKET, 1.0, FLAT, (100, 101, 94, 100)) == pytest.approx(95.0)
    assert exit_price(BRACKET, -1.0, FLAT, (100, 106, 99, 100)) == pytest.approx(105.0)


def test_a_take_profit_leaves_at_its_price() -> None:
    assert exit_price(BRACKET, 1.0, FLAT, (100, 111, 99, 100)) == pytest.approx(110.0)
    assert exit_price(BRACKET, -1.0, FLAT, (100, 101, 89, 100)) == pytest.approx(90.0)


def test_a_stop_is_filled_before_a_target_in_the_same_bar() -> None:
    assert exit_price(BRACKET, 1.0, FLAT, (100, 115, 90, 112)) == pytest.approx(95.0)
    assert exit_price(BRACKET, -1.0, FLAT, (100, 115, 85, 88)) == pytest.approx(105.0)


def test_gaps_fill_a_stop_worse_and_a_target_better() -> None:
    assert exit_price(BRACKET, 1.0, FLAT, (90, 91, 89, 90)) == pytest.approx(90.0)
    assert exit_price(BRACKET, 1.0, FLAT, (120, 121, 119, 120)) == pytest.approx(120.0)


def test_a_position_opened_at_the_open_may_be_stopped_out_in_the_same_bar() -> None:
    assert exit_price(BRACKET, 1.0, (100, 111, 94, 110)) == pytest.approx(95.0)


def test_a_trailing_stop_hangs_on_the_best_close_and_acts_from_the_next_bar() -> None:
    assert exit_price(TRAILING, 1.0, (100, 100, 91, 100)) is None
    up = (100.0, 130.0, 100.0, 120.0)
    assert exit_price(TRAILING, 1.0, up, (120, 120, 107, 110)) == pytest.approx(108.0)
    assert exit_price(TRAILING, 1.0, up, (120, 120, 109, 110)) is None
    down = (100.0, 100.0, 75.0, 80.0)
    assert exit_price(TRAILING, -1.0, down, (80, 89, 80, 85)) == pytest.approx(88.0)


def test_after_a_protective_exit_the_lane_stays_flat_until_its_target_changes() -> None:
    bars = market(FLAT, (100, 100, 94, 96), FLAT, FLAT, FLAT)
    accounts, result = trade(bars, [1.0, 1.0, 1.0, 1.0, 0.5], BRACKET)
    assert result.trades.exit_bar.tolist() == [1]
    assert accounts.entry_bar.tolist() == [[4]]


def protected(kind: OrderType, offset_bps: float, **protection: float) -> OrderStyle:
    return OrderStyle(kind, limit_offset_bps=offset_bps, stop_offset_bps=offset_bps, **protection)


def test_no_target_is_taken_in_the_bar_in_which_an_order_was_filled() -> None:
    style = protected(OrderType.LIMIT, 500.0, take_profit_bps=300.0)  # at 95, target 97.85
    bars = market(FLAT, (100, 104, 94, 96), (96, 98, 96, 98))
    _, result = trade(bars, [0.0, 1.0, 1.0], style)
    assert result.trades.entry_bar.tolist() == [1]
    assert result.trades.exit_bar.tolist() == [2]


def test_a_limit_entry_is_stopped_out_when_the_bar_goes_on_to_the_stop() -> None:
    style = protected(OrderType.LIMIT, 500.0, stop_loss_bps=200.0)  # at 95, stop 93.10
    _, result = trade(market(FLAT, (100, 100, 93, 99)), [0.0, 1.0], style)
    assert result.trades.exit_bar.tolist() == [1]


def test_a_stop_entry_is_stopped_out_when_it_may_have_been() -> None:
    style = protected(OrderType.STOP, 500.0, stop_loss_bps=1_000.0)  # at 105, stop 94.50
    _, result = trade(market(FLAT, (100, 106, 94, 104)), [0.0, 1.0], style)
    assert result.trades.exit_bar.tolist() == [1]


def test_a_low_that_the_price_had_to_leave_before_a_stop_entry_proves_nothing() -> None:
    style = protected(OrderType.STOP, 500.0, stop_loss_bps=200.0)  # at 105, stop 102.90
    kept, _ = trade(market(FLAT, (100, 106, 99, 104)), [0.0, 1.0], style)
    assert kept.lots.any()
    left, _ = trade(market(FLAT, (100, 106, 99, 102)), [0.0, 1.0], style)
    assert not left.lots.any()


def test_a_position_that_leaves_before_its_order_is_reached_takes_it_along() -> None:
    style = protected(OrderType.LIMIT, 800.0, stop_loss_bps=500.0)
    opened = Accounts.open(1, 1, 10_000.0)
    styles = StyleArrays.of([[style]])
    # Half at 92 at the market, so the stop lies at 87.40; then more is wanted at 92 at most,
    # but the bar opens below both.
    bars = market((92, 100, 92, 100), (86, 86, 80, 82))
    targets = np.array([[[0.5], [1.0]]])
    half, _ = run_block(opened, bars, 0, 1, targets[:, :1], styles=StyleArrays.market(1, 1))
    assert half.lots.tolist() == [[54]]
    accounts, result = run_block(half, bars, 1, 2, targets[:, 1:], styles=styles)
    assert result.trades.pnl_cents.tolist() == [-54 * 600]
    assert not accounts.lots.any()
    assert not accounts.order_type.any()


def increased(style: OrderStyle, *rows: Bar) -> tuple[Accounts, BlockResult]:
    """Half a position at 100 at the market (bar 0), then more is wanted by the style's order."""
    bars, count = market(FLAT, *rows), len(rows)
    half, _ = trade(bars, [0.5])
    styles = StyleArrays.of([[style]])
    return run_block(half, bars, 1, 1 + count, np.ones((1, count, 1)), styles=styles)


def test_a_target_before_the_price_of_an_order_comes_first() -> None:
    style = protected(OrderType.STOP, 500.0, take_profit_bps=300.0)
    accounts, result = increased(style, (100, 106, 99, 104))
    assert result.trades.pnl_cents.tolist() == [50 * 300]
    assert not accounts.lots.any()


def test_a_protective_exit_takes_an_order_along_that_was_not_reached() -> None:
    style = OrderStyle(OrderType.LIMIT, 800.0, good_for_bars=5, stop_loss_bps=500.0)
    accounts, result = increased(style, (100, 100, 94, 100), (90, 90, 90, 90))
    assert result.trades.pnl_cents.tolist() == [-50 * 500]
    assert not accounts.lots.any()
    assert not accounts.order_type.any()


def test_an_order_that_adds_is_filled_before_a_stop_that_lies_beyond_it() -> None:
    style = protected(OrderType.LIMIT, 300.0, stop_loss_bps=500.0)
    accounts, result = increased(style, (100, 100, 90, 91))
    assert result.fills.tolist() == [2]
    assert not accounts.lots.any()


# --- what the host may ask -------------------------------------------------------------------


def test_the_results_of_stacked_accounts_come_apart() -> None:
    bars = market(FLAT, (100, 110, 100, 110), (110, 110, 110, 110))
    targets = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])[:, :, np.newaxis]
    _, result = run_block(Accounts.open(3, 1, 1_000.0), bars, 0, 3, targets)
    assert result.trades.account.tolist() == [1, 2]
    part = result.rows(1, 3)
    assert part.equity_cents.tolist() == result.equity_cents[1:].tolist()
    assert part.trades.account.tolist() == [0, 1]
    assert part.trades.pnl_cents.tolist() == [10_000, 0]
    assert len(result.rows(0, 1).trades) == 0


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("targets", {"targets": np.zeros((1, 2, 2))}),
        ("targets", {"targets": np.array([[[1.5], [0.0]]])}),
        ("targets", {"targets": np.array([[[np.nan], [0.0]]])}),
        ("start, stop", {"start": 1, "stop": 3}),
        ("start, stop", {"start": -1, "stop": 1}),
        ("start, stop", {"start": 1, "stop": 1}),
        ("bars", {"accounts": Accounts.open(1, 2, 100.0)}),
        ("accounts", {"accounts": Accounts.open(1, 1, 100.0).take([])}),
        ("styles", {"styles": StyleArrays.market(2, 1)}),
        ("limits", {"limits": RiskLimits.uniform(2)}),
        ("lot_shares", {"lot_shares": 0}),
        ("fill_at", {"fill_at": "noon"}),
        ("fill_at", {"fill_at": "close", "styles": StyleArrays.of([[LIMIT]])}),
        ("fill_at", {"fill_at": "close", "styles": StyleArrays.of([[TRAILING]])}),
        ("cash_usd", {"accounts": Accounts.open(1, 1, 1e12), "bars": "skyrocketing"}),
    ],
)
def test_what_does_not_fit_is_refused_by_name(field: str, change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "accounts": Accounts.open(1, 1, 100.0),
        "bars": market(FLAT, FLAT),
        "start": 0,
        "stop": 2,
        "targets": np.ones((1, 2, 1)),
        **change,
    }
    if arguments["bars"] == "skyrocketing":
        arguments["bars"] = market((1.0, 1.0, 1.0, 1.0), (1.0, 1e3, 1.0, 1e3))
    with pytest.raises(ConfigError) as refusal:
        run_block(**arguments)
    assert refusal.value.field == field


@pytest.mark.parametrize(("fee", "slippage"), [(-1.0, 0.0), (0.0, 2_000.0), (float("nan"), 0.0)])
def test_costs_have_a_range(fee: float, slippage: float) -> None:
    with pytest.raises(ConfigError, match="_bps"):
        Costs(fee, slippage)
