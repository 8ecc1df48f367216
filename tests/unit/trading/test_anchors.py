"""Figures that other engines and libraries agree on (facts: 20 US stocks, closes, 1990 to 2022)."""

import csv
import gzip
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.broker import run_block
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.metrics import bar_returns, measure
from tests.markets import market_from_closes


def closes_of(symbol: str) -> npt.NDArray[np.float64]:
    """The last 8,000 closes in the panel, read as a file: its package is not imported."""
    package = importlib.util.find_spec("skfolio")
    assert package is not None, "the test dependency group `panel` is not installed"
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / "sp500_dataset.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        closes = [float(row[symbol]) for row in csv.DictReader(file)]
    assert len(closes) == 8_313
    return np.array(closes[-8_000:])


def test_the_metrics_of_a_share_are_those_of_three_other_libraries() -> None:
    closes = closes_of("JNJ")
    found = measure(closes)
    returns = bar_returns(closes)
    assert returns is not None
    assert found.bars == returns.size == 7_999
    assert found.sharpe == pytest.approx(0.6177, abs=5e-5)
    assert found.sortino == pytest.approx(0.9048, abs=5e-5)
    assert found.max_drawdown == pytest.approx(-0.36527, abs=5e-6)
    assert found.cagr == pytest.approx(0.11407, abs=5e-6)
    assert found.calmar == pytest.approx(0.3123, abs=5e-5)


def test_a_crossover_earns_what_two_other_engines_say() -> None:
    """20/100 simple averages, all cash in, 10 bps a side, filled at the close of t+1."""
    closes = closes_of("AAPL")
    fast, slow = (
        np.convolve(closes, np.full(window, 1.0 / window), "valid")[100 - window :]
        for window in (20, 100)
    )
    target = np.zeros(closes.size)
    target[99:] = fast > slow
    bars = market_from_closes(closes[:, np.newaxis])
    opened = Accounts.open(1, 1, 10_000_000.0)
    _, result = run_block(
        opened,
        bars,
        1,
        bars.count,
        target[np.newaxis, :-1, np.newaxis],
        costs=Costs(fee_bps=10.0),
        fill_at="close",
    )
    found = measure(result.equity_cents[0], result.trades.pnl_cents, capital=1e9)
    assert found.total_return == pytest.approx(42.2768, abs=5e-5)
    assert found.trades == 49
