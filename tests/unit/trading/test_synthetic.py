"""The placebo holds nothing to be learnt, the planted market does, and both are reproducible."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest

from swarm_runtime.errors import ConfigError
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import load_bundled
from swarm_runtime.trading.synthetic import placebo, planted_regimes

Floats = npt.NDArray[np.float64]
#: Of each rule: mean bps a bar in trends, in reversion, over all.
Planted = list[dict[str, tuple[float, float, float]]]
COST = 5e-4


def some_bars(seed: int, times: int, symbols: int, holes: bool = True) -> Bars:
    """Random bars in which symbols are listed late, delisted early and miss single days."""
    generator = np.random.default_rng(seed)
    shape = (times, symbols)
    tradable = np.ones(shape, dtype=np.bool_)
    if holes:
        tradable = generator.random(shape) > 0.1
        for column in range(symbols):
            tradable[: generator.integers(times), column] = False
            tradable[times - generator.integers(times) :, column] = False
    ratio = np.exp(generator.normal(0.002, 0.02, (4, *shape)))
    open_, high, low, close = (np.empty(shape) for _ in range(4))
    last = generator.uniform(1, 500, symbols)
    for row in range(times):
        on = tradable[row]
        open_[row] = np.where(on, last * ratio[0, row], last)
        close[row] = np.where(on, last * ratio[1, row], last)
        high[row] = np.maximum(open_[row], close[row]) * np.where(on, 1 + ratio[2, row], 1)
        low[row] = np.minimum(open_[row], close[row]) / np.where(on, 1 + ratio[3, row], 1)
        last = close[row]
    for column in range(symbols):  # before its first bar a symbol has its first open
        first = int(np.argmax(tradable[:, column])) if tradable[:, column].any() else 0
        for prices in (open_, high, low, close):
            prices[:first, column] = open_[first, column]
    return Bars(
        tuple(f"S{number}" for number in range(symbols)),
        np.arange(times).astype("datetime64[D]").astype("datetime64[s]"),
        open_,
        high,
        low,
        close,
        np.where(tradable, np.rint(generator.uniform(0, 1e6, shape)), 0.0),
        tradable,
    )


def moves(bars: Bars, column: int) -> Floats:
    """Open, high, low and close of each bar but the first, over the close before; (4, N)."""
    rows = np.flatnonzero(bars.tradable[:, column])[1:]
    before = bars.close[rows - 1, column]
    return np.stack(
        [prices[rows, column] / before for prices in (bars.open, bars.high, bars.low, bars.close)]
    )


many_bars = st.builds(
    some_bars, st.integers(0, 10_000), st.integers(2, 80), st.integers(1, 4), st.booleans()
)


@hypothesis.given(many_bars, st.integers(0, 2**32 - 1), st.integers(1, 7))
@hypothesis.settings(max_examples=60, deadline=None)
def test_a_placebo_has_the_same_bars_in_another_order_some_of_them_mirrored(
    bars: Bars, seed: int, block_bars: int
) -> None:
    shuffled = placebo(bars, seed, block_bars)
    for column in range(len(bars.symbols)):
        real, fake = moves(bars, column), moves(shuffled, column)
        if real.shape[1]:
            # A mirrored bar has the same size of move, and the same reach on both sides of it.
            for part in (lambda m: np.abs(m[3] - 1), lambda m: m[1] - m[2]):
                np.testing.assert_allclose(np.sort(part(real)), np.sort(part(fake)), atol=1e-9)
        assert np.array_equal(np.sort(bars.volume[:, column]), np.sort(shuffled.volume[:, column]))


def test_a_placebo_is_a_fair_game_whatever_has_been_seen() -> None:
    bars = load_bundled().bars.select(["AAPL", "IBM", "MSFT"])
    bets = []
    for seed in range(40):
        shuffled = placebo(bars, seed)
        returns = shuffled.close[1:] / shuffled.close[:-1] - 1
        so_far = np.cumsum(returns, axis=0)
        scale = returns.std()
        bets.append(
            [
                returns.mean() / scale,  # being long
                (np.sign(returns[:-1]) * returns[1:]).mean() / scale,  # following the last bar
                (np.sign(so_far[:-1]) * returns[1:]).mean() / scale,  # following all of the past
            ]
        )
    z = np.mean(bets, axis=0) / (np.std(bets, axis=0, ddof=1) / np.sqrt(len(bets)))
    assert (np.abs(z) < 3.0).all()


def test_a_placebo_tosses_one_coin_for_all_symbols() -> None:
    bars = load_bundled().bars.select(["AAPL", "IBM", "MSFT"])
    returns = np.diff(np.log(bars.close), axis=0)
    fake = placebo(bars, 3)
    together = np.corrcoef(np.diff(np.log(fake.close), axis=0).T)[0, 1]
    assert together == pytest.approx(np.corrcoef(returns.T)[0, 1], abs=0.05)


@hypothesis.given(many_bars, st.integers(0, 2**32 - 1), st.integers(1, 7))
@hypothesis.settings(max_examples=60, deadline=None)
def test_a_placebo_keeps_what_bars_promise(bars: Bars, seed: int, block_bars: int) -> None:
    shuffled = placebo(bars, seed, block_bars)
    assert shuffled.symbols == bars.symbols
    assert np.array_equal(shuffled.times, bars.times)
    assert np.array_equal(shuffled.tradable, bars.tradable)
    assert (shuffled.high >= np.maximum(shuffled.open, shuffled.close)).all()
    assert (shuffled.low <= np.minimum(shuffled.open, shuffled.close)).all()
    assert (shuffled.low > 0).all()
    assert (shuffled.volume[~bars.tradable] == 0).all()
    for column in range(len(bars.symbols)):
        trades = np.flatnonzero(bars.tradable[:, column])
        until = trades[0] + 1 if len(trades) else bars.count
        for name in ("open", "high", "low", "close", "volume"):  # all up to the first bar stays
            before, after = getattr(bars, name), getattr(shuffled, name)
            assert np.array_equal(before[:until, column], after[:until, column])
        for row in range(until, bars.count):  # where there is no bar, the last close is carried
            if not bars.tradable[row, column]:
                for name in ("open", "high", "low", "close"):
                    prices = getattr(shuffled, name)
                    assert prices[row, column] == shuffled.close[row - 1, column]


def test_a_placebo_moves_all_symbols_together() -> None:
    bars = some_bars(3, 60, 3, holes=False)
    shuffled = placebo(bars, 1)
    came_from = [
        [int(np.argmin(np.abs(bars.volume[:, column] - v))) for v in shuffled.volume[:, column]]
        for column in range(3)
    ]
    assert came_from[0] == came_from[1] == came_from[2]
    assert came_from != [list(range(60))] * 3


def test_a_placebo_keeps_the_order_within_blocks_and_breaks_it_between() -> None:
    bars = some_bars(3, 301, 1, holes=False)
    for block_bars, least, most in ((1, 0.0, 0.1), (5, 0.75, 0.9), (50, 0.97, 1.0)):
        fake = placebo(bars, 1, block_bars).volume[1:, 0]
        real = list(bars.volume[1:, 0])
        place = np.array([real.index(volume) for volume in fake])
        followed = np.mean(np.diff(place) == 1)
        assert least <= followed <= most


def test_the_same_seed_gives_the_same_placebo_and_another_seed_another() -> None:
    bars = some_bars(5, 80, 3)
    assert placebo(bars, 7).fingerprint() == placebo(bars, 7).fingerprint()
    assert placebo(bars, 7).fingerprint() != placebo(bars, 8).fingerprint()


def test_a_symbol_that_never_trades_passes_through_a_placebo() -> None:
    bars = some_bars(5, 40, 2, holes=False)
    tradable = bars.tradable.copy()
    tradable[:, 1] = False
    idle = Bars(
        bars.symbols, bars.times, bars.open, bars.high, bars.low, bars.close, bars.volume, tradable
    )
    shuffled = placebo(idle, 1)
    assert np.array_equal(shuffled.close[:, 1], bars.close[:, 1])
    assert not np.array_equal(shuffled.close[:, 0], bars.close[:, 0])


def test_a_block_of_no_bars_is_refused() -> None:
    with pytest.raises(ConfigError, match="block_bars = 0: at least 1"):
        placebo(some_bars(1, 10, 1), 0, block_bars=0)


def earned(bars: Bars, position: Floats) -> Floats:
    """Return what each close's position earns from the next open to the one after, less costs."""
    returns = bars.open[2:] / bars.open[1:-1] - 1
    traded = np.abs(np.diff(position, axis=0, prepend=0.0))
    return np.asarray((position[:-2] * returns - COST * traded[:-2])[63:])


def last_change(bars: Bars, lookback_bars: int) -> Floats:
    change = np.zeros_like(bars.close)
    change[lookback_bars:] = bars.close[lookback_bars:] - bars.close[:-lookback_bars]
    return change


def autocorrelation(bars: Bars, window_bars: int) -> Floats:
    """Lag-1 autocorrelation of the last log returns, mean taken as zero; 0 at the start."""
    returns = np.diff(np.log(bars.close), axis=0, prepend=np.log(bars.close[:1]))
    out = np.zeros_like(returns)
    for row in range(window_bars, bars.count):
        past = returns[row + 1 - window_bars : row + 1]
        out[row] = (past[1:] * past[:-1]).sum(axis=0) / (past**2).sum(axis=0)
    return out


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Mean bps a bar of four rules in trends, in reversion and over all, for some seeds."""
    out: Planted = []
    for seed in range(8):
        market = planted_regimes(seed)
        bars, trending = market.bars, market.trending
        follow, against = np.sign(last_change(bars, 20)), -np.sign(last_change(bars, 5))
        looks = np.repeat((autocorrelation(bars, 63) > 0)[::21], 21, axis=0)[: bars.count]
        rules = {
            "follow": follow,
            "against": against,
            "told": np.where(looks, follow, against),
            "long": np.ones_like(follow),
        }
        out.append({})
        for name, position in rules.items():
            result, trend = 1e4 * earned(bars, position), trending[63:-2]
            out[-1][name] = (result[trend].mean(), result[~trend].mean(), result.mean())
    return out


def test_following_20_bars_earns_in_every_planted_trend_and_loses_in_reversion(
    planted: Planted,
) -> None:
    assert all(one["follow"][0] > 10 and one["follow"][1] < -10 for one in planted)


def test_betting_against_5_bars_loses_in_every_planted_trend_and_earns_in_reversion(
    planted: Planted,
) -> None:
    assert all(one["against"][0] < -10 and one["against"][1] > 10 for one in planted)


def test_no_rule_that_is_always_on_earns_anything_worth_having_in_a_planted_market(
    planted: Planted,
) -> None:
    for rule in ("follow", "against", "long"):
        assert abs(np.mean([one[rule][2] for one in planted])) < 4


def test_telling_the_planted_regime_by_past_autocorrelation_earns_after_costs_with_every_seed(
    planted: Planted,
) -> None:
    assert all(one["told"][2] > 5 for one in planted)
    assert np.mean([one["told"][2] for one in planted]) > 9


@hypothesis.given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 400), st.booleans())
@hypothesis.settings(max_examples=25, deadline=None)
def test_planted_bars_are_what_bars_promise(
    seed: int, symbols: int, count: int, common: bool
) -> None:
    market = planted_regimes(seed, symbols, count, common=common)
    bars = market.bars
    assert market.trending.shape == bars.close.shape == (count, symbols)
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.low > 0).all() and (bars.volume > 0).all() and bars.tradable.all()
    returns = bars.close[1:] / bars.close[:-1] - 1
    assert np.abs(returns.mean(axis=0)).max() < 1e-12
    assert (market.trending == market.trending[:, :1]).all() or not common


def test_planted_bars_close_on_business_days_from_the_third_of_january_2000() -> None:
    times = planted_regimes(1, bars=300).bars.times
    assert times[0] == np.datetime64("2000-01-03")
    assert np.is_busday(times.astype("datetime64[D]")).all()
    assert (np.diff(times) > np.timedelta64(0, "s")).all()


def test_planted_regimes_alternate_and_last_as_long_as_asked() -> None:
    trending = planted_regimes(4, symbols=3, regime_bars=(30, 60)).trending
    for column in trending.T:
        changes = np.flatnonzero(column[1:] != column[:-1])
        lengths = np.diff(changes)
        assert len(changes) > 30 and lengths.min() >= 30 and lengths.max() <= 60


def test_the_same_seed_plants_the_same_market_and_another_seed_another() -> None:
    assert planted_regimes(3).bars.fingerprint() == planted_regimes(3).bars.fingerprint()
    assert planted_regimes(3).bars.fingerprint() != planted_regimes(4).bars.fingerprint()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbols": 0}, "symbols = 0: at least 1"),
        ({"bars": 1}, "bars = 1: at least 2"),
        ({"regime_bars": (60, 30)}, "rising"),
    ],
)
def test_a_planted_market_that_cannot_be_is_refused(
    arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        planted_regimes(0, **arguments)  # type: ignore[arg-type]
