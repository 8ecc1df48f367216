"""Random markets, wishes, styles and limits for property tests of the broker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.broker import BlockResult, run_block
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.orders import OrderStyle, OrderType
from swarm_runtime.trading.risk import NO_LIMIT, RiskLimits
from swarm_runtime.trading.styles import StyleArrays


@dataclass(frozen=True)
class Scenario:
    """All that a run needs, for A accounts, n bars, S symbols."""

    bars: Bars
    targets: npt.NDArray[np.float64]
    styles: StyleArrays
    style_rows: list[list[OrderStyle]]
    limits: RiskLimits
    costs: Costs
    lot_shares: int
    cash_usd: float
    fill_at: str

    def open(self) -> Accounts:
        count, _, symbols = self.targets.shape
        return Accounts.open(count, symbols, self.cash_usd)

    def run(
        self,
        accounts: Accounts,
        start: int,
        stop: int,
        rows: list[int] | slice = slice(None),
    ) -> tuple[Accounts, BlockResult]:
        return run_block(
            accounts,
            self.bars,
            start,
            stop,
            self.targets[rows, start:stop],
            styles=self.styles.take(rows),
            limits=self.limits.take(rows),
            costs=self.costs,
            lot_shares=self.lot_shares,
            fill_at=self.fill_at,  # type: ignore[arg-type]
        )


def make_bars(
    open_: npt.ArrayLike,
    high: npt.ArrayLike,
    low: npt.ArrayLike,
    close: npt.ArrayLike,
    tradable: npt.ArrayLike | None = None,
) -> Bars:
    """Bars of lists, one value per time (one symbol) or one row per time."""
    prices = [
        np.asarray(array, np.float64).reshape(len(np.asarray(array)), -1)
        for array in (open_, high, low, close)
    ]
    shape = prices[0].shape
    traded = np.ones(shape, np.bool_) if tradable is None else np.asarray(tradable).reshape(shape)
    times = np.datetime64("2020-01-01") + np.arange(shape[0])
    return Bars(
        tuple(f"S{i}" for i in range(shape[1])),
        times.astype("datetime64[s]"),
        *prices,
        traded * 1_000.0,
        traded,
    )


def random_bars(seed: int, count: int, symbols: int, volatility: float, gaps: float) -> Bars:
    """Random walks, with bars missing at random."""
    draw = np.random.default_rng(seed)
    shape = (count, symbols)
    tradable = draw.random(shape) >= gaps
    open_, high, low, close = (np.empty(shape) for _ in range(4))
    last = draw.choice([0.05, 3.0, 100.0, 2_500.0], symbols)
    for i in range(count):
        first = last * np.exp(draw.normal(0, volatility / 2, symbols))
        final = first * np.exp(draw.normal(0, volatility, symbols))
        open_[i] = np.where(tradable[i], first, last)
        close[i] = np.where(tradable[i], final, last)
        reach = np.exp(np.abs(draw.normal(0, volatility / 2, (2, symbols))))
        high[i] = np.where(tradable[i], np.maximum(first, final) * reach[0], last)
        low[i] = np.where(tradable[i], np.minimum(first, final) / reach[1], last)
        last = close[i]
    return make_bars(open_, high, low, close, tradable)


_OFFSETS = st.sampled_from([0.0, 10.0, 50.0, 200.0])
_DISTANCES = st.sampled_from([0.0, 0.0, 30.0, 150.0, 600.0])
STYLES = st.builds(
    OrderStyle,
    order_type=st.sampled_from(OrderType),
    limit_offset_bps=_OFFSETS,
    stop_offset_bps=_OFFSETS,
    good_for_bars=st.integers(1, 4),
    stop_loss_bps=_DISTANCES,
    take_profit_bps=_DISTANCES,
    trailing_stop_bps=_DISTANCES,
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Anything a host may run, small."""
    count, symbols = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    bars = draw(st.integers(2, 30))
    fill_at = draw(st.sampled_from(["open", "open", "open", "close"]))
    seed = draw(st.integers(0, 2**32 - 1))
    market = random_bars(
        seed,
        bars,
        symbols,
        draw(st.sampled_from([0.002, 0.01, 0.05, 0.3])),
        draw(st.sampled_from([0.0, 0.0, 0.2])),
    )
    random = np.random.default_rng(seed + 1)
    levels = draw(
        st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0, 1.0), (-1.0, -0.4, 0.0, 0.3, 1.0)])
    )
    targets = random.choice(levels, (count, bars, symbols))
    stays = random.random(targets.shape) >= draw(st.sampled_from([0.1, 0.3, 1.0]))
    for i in range(1, bars):
        targets[:, i] = np.where(stays[:, i], targets[:, i - 1], targets[:, i])
    if fill_at == "close" or draw(st.integers(0, 3)) == 0:
        choice = [OrderStyle()]
    else:
        choice = draw(st.lists(STYLES, min_size=1, max_size=4))
    rows = [[choice[random.integers(len(choice))] for _ in range(symbols)] for _ in range(count)]
    fractions = st.sampled_from([0.1, 0.3, 0.5, 1.0, NO_LIMIT])
    limits = RiskLimits.concatenate(
        [
            RiskLimits.uniform(
                1,
                max_position=draw(fractions),
                max_leverage=draw(fractions),
                max_drawdown=draw(st.sampled_from([0.02, 0.1, 0.3, NO_LIMIT])),
                drawdown_pause_bars=draw(st.integers(1, 6)),
            )
            for _ in range(count)
        ]
    )
    costs = Costs(
        draw(st.sampled_from([0.0, 1.0, 10.0, 100.0])),
        draw(st.sampled_from([0.0, 4.0, 50.0])),
    )
    return Scenario(
        market,
        targets,
        StyleArrays.of(rows),
        rows,
        limits,
        costs,
        draw(st.sampled_from([1, 1, 10])),
        draw(st.sampled_from([1_000.0, 100_000.0])),
        fill_at,
    )
