import itertools

import numpy as np
import pytest

from swarm_runtime.errors import DataError, StrategyError
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import load_bundled
from swarm_runtime.trading.features import context_features
from swarm_runtime.trading.lookahead import check_features, check_strategy, default_cuts
from swarm_runtime.trading.rolling import window_mean
from swarm_runtime.trading.strategies import Strategy
from tests.markets import market_from_closes, random_market

BARS = random_market(400, 3, listed_at=(0, 0, 90))


class Honest(Strategy):
    parameters = ({"window_bars": 5}, {"window_bars": 20})

    def target_position(self, bars, parameters):
        return np.sign(bars.close - window_mean(bars.close, parameters["window_bars"]))


class Tomorrow(Honest):
    """Knows the next close."""

    def target_position(self, bars, parameters):
        ahead = np.vstack([bars.close[1:], bars.close[-1:]])
        return np.sign(ahead - bars.close)


class FullSampleNormal(Honest):
    """Normalises by the mean and deviation of all bars there will ever be."""

    def target_position(self, bars, parameters):
        score = (bars.close - bars.close.mean(axis=0)) / bars.close.std(axis=0)
        return np.clip(np.round(score), -1, 1)


class CentredWindow(Honest):
    """Smooths with a window that reaches as far ahead as back."""

    def target_position(self, bars, parameters):
        kernel = np.ones(7) / 7
        smooth = np.apply_along_axis(np.convolve, 0, bars.close, kernel, mode="same")
        return np.sign(bars.close - smooth)


class Gradient(Honest):
    """np.gradient looks one bar to either side."""

    def target_position(self, bars, parameters):
        return np.sign(np.gradient(bars.close, axis=0))


class GlobalRange(Honest):
    """Knows the highest and the lowest price to come."""

    def target_position(self, bars, parameters):
        low, high = bars.low.min(axis=0), bars.high.max(axis=0)
        return 1.0 - 2.0 * (bars.close - low) / (high - low)


class BackFilled(Honest):
    """Decides at each week's end, and fills the decision back over the week."""

    def target_position(self, bars, parameters):
        last = np.minimum(np.arange(bars.count) // 5 * 5 + 4, bars.count - 1)
        return np.sign(bars.close - window_mean(bars.close, 20))[last]


class WinnerOfAll(Honest):
    """Holds the symbol that will have done best."""

    def target_position(self, bars, parameters):
        best = np.argmax(bars.close[-1] / bars.close[0])
        targets = np.zeros(bars.close.shape)
        targets[:, best] = 1.0
        return targets


class OnlyAtFullLength(Honest):
    """Peeks only when there are as many bars as usual, so taking bars away shows nothing."""

    def target_position(self, bars, parameters):
        honest = super().target_position(bars, parameters)
        return Tomorrow().target_position(bars, parameters) if bars.count == 400 else honest


class ChangedOnly(Honest):
    """Gives away at full length alone, and all the time, which price is the last one."""

    def target_position(self, bars, parameters):
        size = 0.5 if bars.count == 400 and bars.close[-1, 0] > BARS.close[-1, 0] else 0.25
        return np.full(bars.close.shape, size)


class Remembers(Honest):
    """Keeps the longest history it was shown, and looks tomorrow up in it."""

    def __init__(self):
        self.close = np.zeros((0, 3))

    def target_position(self, bars, parameters):
        if bars.count > len(self.close):
            self.close = bars.close.copy()
        ahead = np.vstack([self.close[1:], self.close[-1:]])
        return np.sign(ahead - self.close)[: bars.count]


class LargeMovesOnly(Honest):
    """Peeks, but acts rarely: only on the few days before a very large move."""

    def target_position(self, bars, parameters):
        move = np.zeros(bars.close.shape)
        move[:-1] = bars.close[1:] / bars.close[:-1] - 1.0
        size = np.abs(move)
        return np.where((size > 0.07) & (size < 0.2), np.sign(move), 0.0)


CHEATERS = (
    Tomorrow,
    FullSampleNormal,
    CentredWindow,
    Gradient,
    GlobalRange,
    BackFilled,
    WinnerOfAll,
    OnlyAtFullLength,
    ChangedOnly,
    Remembers,
    LargeMovesOnly,
)


@pytest.mark.parametrize("cheater", CHEATERS, ids=lambda one: one.__name__)
def test_a_cheater_is_caught_whichever_way_it_peeks(cheater):
    report = check_strategy(cheater(), BARS)
    assert not report.ok
    assert "looks ahead" in str(report)
    assert {offence.test for offence in report.offences} <= {"truncated", "changed"}


def test_who_peeks_rarely_is_caught_on_the_days_it_acts():
    rarely = (LargeMovesOnly().target_position(BARS, {}) != 0).sum()
    assert 0 < rarely < 20
    (offence, _) = check_strategy(LargeMovesOnly(), BARS, cuts=[200]).offences
    assert offence.test == "truncated"
    assert offence.row != 199


def test_an_honest_strategy_passes():
    report = check_strategy(Honest(), BARS)
    assert report.ok
    assert str(report).startswith("honest does not look ahead")
    assert report.names == ("honest(window_bars=5)", "honest(window_bars=20)")


def test_each_guilty_candidate_is_named_with_its_first_offence():
    class HalfHonest(Honest):
        def target_position(self, bars, parameters):
            if parameters["window_bars"] == 20:
                return Gradient().target_position(bars, parameters)
            return super().target_position(bars, parameters)

    (offence,) = check_strategy(HalfHonest(), BARS).offences
    assert offence.name == "half_honest(window_bars=20)"


def test_an_offence_says_where_when_and_what_the_value_is_with_and_without_the_future():
    prices = np.full((100, 1), 10.0)
    prices[50:] = 11.0
    (offence, _) = check_strategy(Tomorrow(), market_from_closes(prices), cuts=[50]).offences
    assert (offence.row, offence.symbol) == (49, "A")
    assert (offence.with_future, offence.without_future) == (1.0, 0.0)
    assert str(offence) == (
        "tomorrow(window_bars=5): the value for A on 2001-02-19 (row 49) "
        "is 0 if the bars end on 2001-02-19, 1 if they go on"
    )


def test_a_peek_that_stops_when_bars_are_taken_away_is_found_by_changing_them():
    (offence, _) = check_strategy(OnlyAtFullLength(), BARS, cuts=[200]).offences
    assert offence.row < 200
    text = str(check_strategy(ChangedOnly(), BARS, cuts=[200, 201]).offences[0])
    assert text.endswith("if prices after 2001-07-20 are other ones")


def test_a_value_that_is_nan_without_the_future_is_an_offence_not_a_failure():
    class NeedsTheFuture(Honest):
        def target_position(self, bars, parameters):
            targets = np.zeros(bars.close.shape)
            targets[-50:] = np.nan if bars.count < 400 else 0.0
            return targets

    offence = check_strategy(NeedsTheFuture(), BARS, cuts=[100]).offences[0]
    assert (offence.row, offence.with_future) == (50, 0.0)
    assert np.isnan(offence.without_future)


def test_a_strategy_that_does_not_repeat_itself_is_caught():
    class Moody(Honest):
        calls = itertools.count()

        def target_position(self, bars, parameters):
            return np.full(bars.close.shape, 0.5 if next(self.calls) % 2 else -0.5)

    class Steady(Moody):
        parameters = ({"window_bars": 5},)

    report = check_strategy(Steady(), BARS)
    assert [offence.test for offence in report.offences] == ["repeated"]
    assert "does not repeat itself" in str(report)
    assert "in one call and" in str(report)


def test_a_strategy_that_fails_on_a_short_history_says_how_short():
    class NeedsMuch(Honest):
        def target_position(self, bars, parameters):
            if bars.count < 300:
                raise ValueError("too short")
            return super().target_position(bars, parameters)

    with pytest.raises(StrategyError, match=r"with the first \d+ bars alone: .*too short"):
        check_strategy(NeedsMuch(), BARS)


def test_a_dozen_cuts_and_six_in_a_row_are_made():
    cuts = default_cuts(400)
    assert len(cuts) == 18
    assert all(0 < cut < 400 for cut in cuts)
    assert sum(later - cut == 1 for cut, later in itertools.pairwise(cuts)) >= 5
    assert len({cut % 5 for cut in cuts}) == 5


@pytest.mark.parametrize("cut", [0, 400, -1])
def test_a_cut_outside_the_bars_is_refused(cut):
    with pytest.raises(ValueError, match="from 1 to 399"):
        check_strategy(Honest(), BARS, cuts=[cut])


def test_too_few_bars_to_tell_are_refused():
    with pytest.raises(DataError, match="too few"):
        check_strategy(Honest(), BARS.rows(0, 30))


def test_the_features_do_not_look_ahead():
    report = check_features(BARS)
    assert report.ok, str(report)
    assert "trend" in str(report)


def test_the_features_do_not_look_ahead_on_the_bundled_history():
    report = check_features(load_bundled().bars)
    assert report.ok, str(report)


def test_a_feature_that_looks_ahead_is_caught_and_named():
    def normalised(bars: Bars):
        features = context_features(bars)
        features[:, :, 1] /= features[:, :, 1].mean(axis=0)
        return features

    report = check_features(BARS, compute=normalised)
    assert [offence.name for offence in report.offences] == ["volatility"]
