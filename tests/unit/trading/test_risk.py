import numpy as np
import pytest

from swarm_runtime.errors import ConfigError
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.broker import BlockResult, run_block
from swarm_runtime.trading.risk import DRIFT_BAND, RiskLimits
from tests.unit.trading.market_strategies import make_bars

SYMBOLS = ("AAPL", "IBM")


def trade(
    prices: list[list[float]], targets: list[list[float]], **limits: float
) -> tuple[Accounts, BlockResult]:
    """Trade some symbols at one price a bar with 10,000 USD."""
    bars = make_bars(prices, prices, prices, prices)
    opened = Accounts.open(1, len(prices[0]), 10_000.0)
    return run_block(
        opened,
        bars,
        0,
        len(targets),
        np.array([targets]),
        limits=RiskLimits.uniform(1, **limits),  # type: ignore[arg-type]
    )


def told(result: BlockResult) -> list[str]:
    return [result.events.explain(event, SYMBOLS) for event in range(len(result.events))]


def test_an_order_beyond_the_largest_position_is_cut_and_says_so() -> None:
    accounts, result = trade([[100.0]], [[0.62]], max_position=0.5)
    assert accounts.lots.tolist() == [[50]]
    assert told(result) == [
        "AAPL cut from 0.62 to 0.50 of equity: the order is beyond max_position"
    ]


def test_a_short_is_cut_like_a_long() -> None:
    accounts, result = trade([[100.0]], [[-1.0]], max_position=0.25)
    assert accounts.lots.tolist() == [[-25]]
    assert told(result) == [
        "short AAPL cut from 1.00 to 0.25 of equity: the order is beyond max_position"
    ]


def test_an_order_within_its_limits_causes_no_event() -> None:
    _, result = trade([[100.0, 100.0]], [[1.0, -1.0]], max_position=0.5, max_leverage=1.0)
    assert len(result.events) == 0


def test_orders_that_pass_the_leverage_together_shrink_in_proportion() -> None:
    accounts, result = trade([[1.0, 1.0]], [[1.0, -0.5]], max_leverage=0.6)
    assert accounts.lots[0, 0] == pytest.approx(4_000, abs=2)
    assert accounts.lots[0, 1] == pytest.approx(-2_000, abs=2)
    assert np.abs(accounts.lots).sum() <= 6_000
    assert told(result) == [
        "AAPL cut from 0.50 to 0.40 of equity: the order is beyond what is left of max_leverage",
        "short IBM cut from 0.25 to 0.20 of equity: "
        "the order is beyond what is left of max_leverage",
    ]


def test_an_order_gets_the_leverage_that_other_positions_leave() -> None:
    # AAPL is worth 15,000 of 15,000 when IBM is wanted too: nothing is left to pay with.
    accounts, result = trade(
        [[100.0, 100.0], [200.0, 100.0]],
        [[1.0, 0.0], [1.0, 1.0]],
        max_leverage=1.0,
    )
    assert accounts.lots.tolist() == [[50, pytest.approx(50, abs=1)]]
    assert accounts.cash_cents[0] >= 0
    assert result.events.symbol.tolist() == [1]


def test_a_position_that_grows_past_its_limit_is_cut_back_at_the_next_bar() -> None:
    prices = [[100.0, 100.0], [300.0, 100.0], [300.0, 100.0]]
    accounts, result = trade(prices, [[1.0, 0.0]] * 3, max_position=0.6)
    # 150 · 100 of 200 · 100 USD at the second close: 0.75
    assert result.fills.tolist() == [2]
    assert accounts.lots.tolist() == [[40, 0]]
    assert result.events.bar.tolist() == [2]
    assert told(result) == [
        "AAPL cut from 0.75 to 0.60 of equity: the position had grown past max_position"
    ]


def test_a_position_may_drift_within_a_band_around_its_limit() -> None:
    grown = 100.0 * (1.0 + DRIFT_BAND)
    _, result = trade([[100.0], [grown], [grown]], [[0.5]] * 3, max_position=0.5)
    assert len(result.events) == 0
    assert result.fills.tolist() == [1]


def test_a_position_that_a_gap_brought_back_is_left_alone() -> None:
    prices = [[100.0, 100.0], [300.0, 100.0], [100.0, 100.0]]
    _, result = trade(prices, [[1.0, 0.0]] * 3, max_position=0.6)
    assert len(result.events) == 0
    assert result.fills.tolist() == [1]


def test_positions_that_grow_past_the_leverage_are_all_cut_in_proportion() -> None:
    prices = [[100.0, 100.0], [120.0, 120.0], [120.0, 120.0]]
    accounts, result = trade(prices, [[-1.0, -1.0]] * 3, max_leverage=1.0)
    # 12,000 short with 8,000 left
    assert accounts.lots.tolist() == [[-33, -33]]
    assert told(result) == [
        "all positions cut from 1.50 to 1.00 of equity: together they had grown past max_leverage"
    ]


def test_a_drawdown_flattens_the_account_and_pauses_it() -> None:
    prices = [[100.0], [100.0], [70.0], [70.0], [70.0], [70.0], [70.0]]
    accounts, result = trade(
        prices, [[1.0]] * 7, max_drawdown=0.3, max_leverage=1.0, drawdown_pause_bars=3
    )
    assert result.trades.exit_bar.tolist() == [3]
    assert accounts.entry_bar.tolist() == [[6]]
    assert result.events.bar.tolist() == [3]
    assert told(result) == [
        "all positions closed and trading paused: equity is 30.0% below its peak, "
        "max_drawdown is 30.0%"
    ]


def test_after_a_pause_the_peak_is_counted_anew() -> None:
    prices = [[100.0], [60.0], [60.0], [60.0], [50.0], [41.0], [41.0]]
    accounts, result = trade(
        prices, [[1.0]] * 7, max_drawdown=0.3, max_leverage=1.0, drawdown_pause_bars=1
    )
    # Out at 60 after 100; in again one bar later; out once more only below 70 % of 6,000 USD.
    assert result.events.bar.tolist() == [2, 6]
    assert result.events.asked.tolist() == [pytest.approx(0.4), pytest.approx(19 / 60, abs=0.01)]
    assert accounts.pause_bars_left.tolist() == [0]


def test_a_pause_outlasts_the_block_in_which_it_began() -> None:
    prices = [[100.0]] + [[60.0]] * 9
    bars = make_bars(prices, prices, prices, prices)
    limits = RiskLimits.uniform(1, max_drawdown=0.3, max_leverage=1.0, drawdown_pause_bars=5)
    accounts = Accounts.open(1, 1, 10_000.0)
    held = []
    for bar in range(10):
        accounts, _ = run_block(accounts, bars, bar, bar + 1, np.ones((1, 1, 1)), limits=limits)
        held.append(bool(accounts.lots.any()))
    assert held == [True, True, False, False, False, False, False, True, True, True]


def test_an_account_without_limits_has_no_events_in_the_company_of_one_that_has() -> None:
    prices = [[100.0], [60.0], [60.0]]
    bars = make_bars(prices, prices, prices, prices)
    limits = RiskLimits.concatenate(
        [RiskLimits.uniform(1), RiskLimits.uniform(1, max_drawdown=0.1)]
    )
    accounts, result = run_block(
        Accounts.open(2, 1, 1_000.0), bars, 0, 3, np.ones((2, 3, 1)), limits=limits
    )
    assert accounts.lots.tolist() == [[10], [0]]
    assert result.events.account.tolist() == [1]


@pytest.mark.parametrize(
    "limits",
    [
        {"max_position": 0.0},
        {"max_leverage": -1.0},
        {"max_drawdown": float("nan")},
        {"drawdown_pause_bars": 0},
    ],
)
def test_a_limit_that_allows_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(limits))):
        RiskLimits.uniform(1, **limits)  # type: ignore[arg-type]
