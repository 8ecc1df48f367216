import numpy as np
import pytest

from swarm_runtime.errors import StrategyError
from swarm_runtime.trading.orders import OrderStyle, OrderType
from swarm_runtime.trading.strategies import (
    Strategy,
    approach_name,
    checked_style,
    checked_targets,
)
from tests.markets import random_market

BARS = random_market(50, 2, listed_at=(0, 20))
ONE = {"size": 1}


def strategy_returning(answer):
    class Mine(Strategy):
        parameters = (ONE,)

        def target_position(self, bars, parameters):
            return answer(bars)

    return Mine()


def complaint(answer) -> str:
    with pytest.raises(StrategyError) as caught:
        checked_targets(strategy_returning(answer), BARS, ONE)
    text = str(caught.value)
    assert text.startswith("strategy mine(size=1): ")
    assert "\n" not in text
    return text


def test_an_approach_is_the_kind_with_its_numbers():
    assert approach_name("momentum", {"lookback_bars": 50}) == "momentum(lookback_bars=50)"
    assert approach_name("a", {"x": np.float64(0.5), "y": 2.0}) == "a(x=0.5, y=2.0)"
    assert approach_name("a", {}) == "a()"


def test_a_kind_is_the_class_in_snake_case_unless_set():
    class MyRSI2Strategy(Strategy):
        pass

    class Named(Strategy):
        kind = "other"

    assert MyRSI2Strategy.kind == "my_rsi2_strategy"
    assert Named.kind == "other"


def test_targets_before_a_symbols_first_bar_are_zero_and_all_others_stay():
    targets = checked_targets(strategy_returning(lambda b: np.ones((50, 2))), BARS, ONE)
    assert (targets[:, 0] == 1).all()
    assert (targets[:20, 1] == 0).all()
    assert (targets[20:, 1] == 1).all()


def test_a_target_stays_on_a_day_that_a_symbol_misses():
    gap = random_market(50, 1)
    gap.tradable[30] = False
    assert (checked_targets(strategy_returning(lambda b: np.ones((50, 1))), gap, ONE) == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_any_kind_of_number_will_do(dtype):
    targets = checked_targets(strategy_returning(lambda b: np.ones((50, 2), dtype)), BARS, ONE)
    assert targets.dtype == np.float64


def test_minus_zero_becomes_zero():
    targets = checked_targets(strategy_returning(lambda b: np.full((50, 2), -0.0)), BARS, ONE)
    assert not np.signbit(targets).any()


def test_what_comes_back_belongs_to_the_caller():
    kept = np.ones((50, 2))
    strategy = strategy_returning(lambda b: kept)
    checked_targets(strategy, BARS, ONE)[:] = 9.0
    assert (kept == 1).all()


def test_a_wrong_shape_is_refused_with_both_shapes():
    assert "(50,)" in (text := complaint(lambda b: np.zeros(50)))
    assert "50 bars of 2 symbols need (50, 2)" in text


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.0000001, -2.0])
def test_a_value_that_is_no_target_is_named_with_its_row_day_and_symbol(value):
    def answer(bars):
        targets = np.zeros((50, 2))
        targets[31, 1] = targets[40, 0] = value
        return targets

    text = complaint(answer)
    assert f"returned {value!r} for B at 2001-02-01 (row 31)" in text


@pytest.mark.parametrize("answer", [None, "long", [["a", "b"]] * 50, np.ones((50, 2)) * 1j])
def test_what_is_no_number_is_refused(answer):
    complaint(lambda b: answer)


def test_an_exception_is_told_in_one_line_with_the_place_in_the_users_file():
    def answer(bars):
        return np.zeros((50, 2)) + np.zeros((3, 3))

    text = complaint(answer)
    assert "raised ValueError: operands could not be broadcast" in text
    assert "test_base.py, line" in text


def test_an_exception_without_words_is_named():
    def answer(bars):
        raise KeyError

    assert "raised KeyError (" in complaint(answer)


def test_leaving_the_program_is_no_way_out():
    def answer(bars):
        raise SystemExit("bye")

    assert "SystemExit: bye" in complaint(answer)


def test_a_strategy_cannot_spoil_the_bars_of_others():
    before = BARS.fingerprint()

    def answer(bars):
        bars.close[:] = 1.0

    assert "read-only" in complaint(answer)
    assert BARS.fingerprint() == before
    assert BARS.close.flags.writeable


def test_division_by_zero_inside_a_strategy_warns_no_one():
    checked_targets(strategy_returning(lambda b: np.nan_to_num(np.zeros((50, 2)) / 0.0)), BARS, ONE)


def styled(style):
    class Mine(Strategy):
        parameters = (ONE,)

        def target_position(self, bars, parameters):
            return np.zeros(bars.close.shape)

        def order_style(self, parameters):
            return style()

    return Mine()


def test_orders_go_to_the_market_unless_a_strategy_says_otherwise():
    assert checked_style(strategy_returning(None), ONE).order_type is OrderType.MARKET


@pytest.mark.parametrize(
    ("style", "answer"),
    [
        (lambda: None, "not an OrderStyle"),
        (lambda: OrderStyle(stop_loss_bps=-1), "stop_loss_bps = -1"),
        (lambda: OrderStyle(limit_offset_bps=float("nan")), "limit_offset_bps = nan"),
        (lambda: OrderStyle(good_for_bars=0), "good_for_bars = 0"),
        (lambda: OrderStyle(good_for_bars=1.5), "good_for_bars = 1.5"),
        (lambda: 1 / 0, "raised ZeroDivisionError: division by zero (" + __file__),
    ],
)
def test_an_order_style_that_makes_no_sense_is_refused(style, answer):
    with pytest.raises(StrategyError) as caught:
        checked_style(styled(style), ONE)
    assert str(caught.value).startswith("strategy mine(size=1): ")
    if "raised" not in answer:
        assert answer in str(caught.value)
    else:
        assert "raised ZeroDivisionError" in str(caught.value)
