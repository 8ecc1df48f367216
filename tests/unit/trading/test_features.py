import numpy as np
import pytest

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import load_bundled
from swarm_runtime.trading.features import (
    FEATURES,
    WARM_UP_BARS,
    context_features,
)
from tests.markets import market_from_closes, random_market

TREND, VOLATILITY, DRAWDOWN, AUTOCORRELATION, VOLUME = range(5)
NEUTRAL = [0.0, 1.0, 0.0, 0.0, 1.0]


def word(feature: int, value: float) -> str:
    """What a market with this value of a feature is called."""
    one = FEATURES[feature]
    return one.words[int(np.searchsorted(one.edges, value, side="right"))]


def by_the_book(bars: Bars, row: int, column: int) -> list[float]:
    """The formulas of the module's docstring, one bar at a time."""
    close = bars.close[: row + 1, column]
    r = np.diff(np.log(close), prepend=np.log(close[0]))
    rms = lambda values: np.sqrt(np.mean(values**2))  # noqa: E731
    x = np.zeros(row + 1)
    for t in range(row - 62, row + 1):
        x[t] = np.clip(r[t] / rms(r[max(0, t - 63) : t]), -3, 3)
    before = x[row - 63]
    if row >= 63:
        before = np.clip(r[row - 63] / rms(r[max(0, row - 126) : row - 63]), -3, 3)
    pairs = x[row - 62 :] * np.concatenate([[before], x[row - 62 : row]])
    volume = bars.volume[: row + 1, column]
    return [
        np.sum(r[-63:]) / np.sqrt(np.sum(r[-63:] ** 2)),
        rms(r[-21:]) / rms(r[-252:]),
        np.log(np.max(close[-252:]) / close[-1]) / (rms(r[-252:]) * np.sqrt(252)),
        np.sum(pairs) / np.sum(x[row - 62 :] ** 2),
        np.mean(volume[-21:]) / np.mean(volume[-252:]),
    ]


def test_the_context_has_the_five_features_in_their_order():
    assert [feature.name for feature in FEATURES] == [
        "trend",
        "volatility",
        "drawdown",
        "autocorrelation",
        "volume",
    ]


@pytest.mark.parametrize("row", [130, 251, 400, 599])
def test_features_are_what_their_formulas_say(row):
    bars = random_market(600, 3)
    features = context_features(bars)
    for column in range(3):
        np.testing.assert_allclose(
            features[row, column], by_the_book(bars, row, column), rtol=1e-9, atol=1e-9
        )


def test_a_straight_rise_is_the_strongest_trend_there_is():
    rise = market_from_closes(100.0 * 1.01 ** np.arange(300)[:, None])
    trend = context_features(rise)[-1, 0, TREND]
    assert trend == pytest.approx(np.sqrt(63))
    assert word(TREND, trend) == "rising"


def test_days_that_take_back_the_day_before_are_reversing_and_runs_are_persistent():
    there_and_back = np.where(np.arange(300) % 2, 0.01, -0.01)
    runs = np.where(np.arange(300) // 10 % 2, 0.01, -0.01)
    closes = 50.0 * np.exp(np.cumsum(np.column_stack([there_and_back, runs]), axis=0))
    reversing, persistent = context_features(market_from_closes(closes))[-1, :, AUTOCORRELATION]
    assert word(AUTOCORRELATION, reversing) == "reversing"
    assert word(AUTOCORRELATION, persistent) == "persistent"
    assert reversing == pytest.approx(-1.0, abs=0.02)


def test_one_crash_does_not_decide_the_autocorrelation():
    draw = np.random.Generator(np.random.Philox(key=5))
    returns = 0.01 * draw.standard_normal((400, 1))
    crash = returns.copy()
    crash[370], crash[371] = -0.7, -0.3
    calm, crashed = (
        context_features(market_from_closes(50 * np.exp(np.cumsum(some, axis=0))))[-1, 0]
        for some in (returns, crash)
    )
    assert abs(calm[AUTOCORRELATION] - crashed[AUTOCORRELATION]) < 0.2


def test_every_feature_is_neutral_until_a_symbol_has_enough_bars_of_its_own():
    bars = random_market(400, 2, listed_at=(0, 200))
    features = context_features(bars)
    assert (features[: WARM_UP_BARS - 1, 0] == NEUTRAL).all()
    assert (features[WARM_UP_BARS - 1, 0] != NEUTRAL).any()
    assert (features[: 200 + WARM_UP_BARS - 1, 1] == NEUTRAL).all()
    assert (features[200 + WARM_UP_BARS - 1, 1] != NEUTRAL).any()


def test_a_late_listing_looks_as_if_its_data_began_then():
    bars = random_market(600, 2, listed_at=(0, 200))
    late = context_features(bars)[200 + WARM_UP_BARS :, 1]
    alone = context_features(bars.rows(199, 600).select(["B"]))[1 + WARM_UP_BARS :, 0]
    np.testing.assert_allclose(late, alone, rtol=1e-7, atol=1e-9)


def test_a_symbol_is_described_by_its_own_bars_alone():
    bars = random_market(500, 4)
    alone = context_features(bars.select(["C"]))
    np.testing.assert_array_equal(context_features(bars)[:, [2]], alone)


def test_a_day_without_a_bar_counts_in_no_mean():
    bars = random_market(400, 1)
    keep = np.delete(np.arange(400), 395)
    missing = Bars(
        bars.symbols,
        bars.times,
        *(getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")),
        bars.tradable.copy(),
    )
    for name in ("open", "high", "low", "close"):
        getattr(missing, name)[395] = bars.close[394]
    missing.volume[395], missing.tradable[395] = 0.0, False
    month = bars.volume[keep][-20:, 0].mean()
    year = bars.volume[keep][-251:, 0].mean()
    assert context_features(missing)[-1, 0, VOLUME] == pytest.approx(month / year)


def test_a_price_that_never_moves_is_neutral_and_warns_of_nothing():
    still = market_from_closes(np.full((400, 2), 12.3), volume=0.0)
    assert (context_features(still) == NEUTRAL).all()


@pytest.mark.parametrize("count", [1, 2, 21, 64])
def test_short_histories_are_no_error(count):
    features = context_features(random_market(count, 2))
    assert features.shape == (count, 2, 5)
    assert np.isfinite(features).all()


def test_the_unit_of_a_price_does_not_matter():
    bars = random_market(500, 2)
    pence = Bars(
        bars.symbols,
        bars.times,
        *(100.0 * getattr(bars, name) for name in ("open", "high", "low", "close")),
        bars.volume,
        bars.tradable,
    )
    np.testing.assert_allclose(context_features(pence), context_features(bars), atol=1e-8)


def test_every_bin_holds_its_share_of_the_bundled_history():
    bars = load_bundled().bars
    warm = np.cumsum(bars.tradable, axis=0) >= WARM_UP_BARS
    features = context_features(bars)[warm]
    for place, feature in enumerate(FEATURES):
        bins = np.searchsorted(feature.edges, features[:, place], side="right")
        shares = np.bincount(bins, minlength=3) / len(bins)
        assert (shares > 0.2).all(), (feature.name, shares)
