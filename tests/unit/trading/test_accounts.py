import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.errors import ConfigError, DataError
from swarm_runtime.trading.accounts import Accounts, by_account, by_lane
from tests.unit.trading.market_strategies import Scenario, scenarios


def test_a_new_account_holds_its_cash_and_nothing_else() -> None:
    accounts = Accounts.open(2, 3, 1_000.5)
    assert accounts.count == 2
    assert accounts.symbols == 3
    assert accounts.cash_cents.tolist() == [100_050, 100_050]
    assert accounts.equity_cents.tolist() == [100_050, 100_050]
    assert not accounts.lots.any()


@pytest.mark.parametrize("cash_usd", [0.0, -5.0, float("nan"), 1e13])
def test_an_account_opens_with_a_sensible_amount(cash_usd: float) -> None:
    with pytest.raises(ConfigError, match="cash_usd"):
        Accounts.open(1, 1, cash_usd)


def test_an_account_trades_at_least_one_symbol() -> None:
    with pytest.raises(ConfigError, match="symbols"):
        Accounts.open(1, 0, 100.0)


def test_accounts_are_equal_when_all_they_hold_is() -> None:
    one, same, other = (Accounts.open(2, 2, cash) for cash in (100.0, 100.0, 101.0))
    assert one == same
    assert one != other
    assert one != Accounts.open(1, 2, 100.0)
    assert one != "accounts"
    same.entry_cents[1, 1] = 5.0
    assert one != same


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.data())
def test_stacked_accounts_come_apart_as_they_were(scenario: Scenario, data: st.DataObject) -> None:
    accounts, _ = scenario.run(scenario.open(), 0, scenario.bars.count)
    cut = data.draw(st.integers(0, accounts.count))
    first, second = accounts.take(slice(0, cut)), accounts.take(slice(cut, None))
    assert Accounts.concatenate([first, second]) == accounts


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_a_checkpoint_gives_the_same_accounts_back(scenario: Scenario) -> None:
    accounts, _ = scenario.run(scenario.open(), 0, scenario.bars.count)
    again = Accounts.from_arrays(decode(encode(accounts.to_arrays())))
    assert again == accounts
    assert encode(again.to_arrays()) == encode(accounts.to_arrays())


def test_a_checkpoint_that_lacks_a_field_is_refused() -> None:
    arrays = Accounts.open(1, 1, 100.0).to_arrays()
    del arrays["entry_bar"]
    with pytest.raises(DataError, match="entry_bar"):
        Accounts.from_arrays(arrays)


def test_a_checkpoint_with_a_field_of_another_form_is_refused() -> None:
    arrays = Accounts.open(2, 1, 100.0).to_arrays()
    with pytest.raises(DataError, match="lots is float64"):
        Accounts.from_arrays({**arrays, "lots": np.zeros((2, 1))})
    with pytest.raises(DataError, match=r"cash_cents is int64\(3,\)"):
        Accounts.from_arrays({**arrays, "cash_cents": np.zeros(3, np.int64)})
    with pytest.raises(DataError, match="axes"):
        Accounts.from_arrays({**arrays, "lots": np.zeros(2, np.int64)})


def test_lanes_run_over_accounts_first() -> None:
    table = np.array([[1, 2, 3], [4, 5, 6]])
    lanes = by_lane(table, np.int64)
    assert lanes.tolist() == [1, 4, 2, 5, 3, 6]
    assert by_account(lanes, 2, np.int64).tolist() == table.tolist()
