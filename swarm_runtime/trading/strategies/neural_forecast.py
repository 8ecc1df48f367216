"""Neural forecast: a small network that learns, walking forward, what tends to follow what."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.rolling import (
    SMALLEST_DEVIATION,
    age_bars,
    lagged,
    log_returns,
    ratio,
    window_mean,
)
from swarm_runtime.trading.strategies.base import Floats, Parameters, Strategy

__all__ = ["NeuralForecast"]

#: The first and last bar back of each stretch of returns the network sees; shared by all symbols.
_STRETCHES = ((1, 1), (2, 5), (6, 21), (22, 63), (64, 126))
#: What it forecasts: the return over this many bars to come. One output each, so that all
#: parameter sets share one training.
_HORIZONS = (5, 21)
_HIDDEN = 8
_VOLATILITY_BARS = 63
#: Bars a symbol needs before it is learnt from or forecast.
_WARM_UP_BARS = 126
#: The network is fitted anew at rows that are multiples of this, on this many last bars at most.
_REFIT_BARS, _HISTORY_BARS = 126, 504
#: Samples (bars times symbols) below which nothing is learnt.
_SMALLEST_SAMPLE = 200
_FIRST_STEPS, _NEXT_STEPS = 100, 25
_LEARNING_RATE, _DECAY_1, _DECAY_2, _EPSILON = 0.02, 0.9, 0.999, 1e-8
_WEIGHT_PENALTY = 0.01
_OUTLIER = 3.0
#: Key of the generator of the initial weights. A constant: a strategy is a function of the bars.
_SEED = 20_170_412


class NeuralForecast(Strategy):
    """A two-layer perceptron, trained on the past alone.

    Inputs are a symbol's returns over five stretches of the last half year, each in units of its
    own volatility; outputs are its returns over the next 5 and 21 bars in the same units. One
    network serves all symbols. Every 126 bars, at rows that are multiples of 126, it is trained
    further (full-batch Adam, from where it stood) on samples of the last 504 bars whose outcome
    is known by then. The forecast is the mean of the network's last ``horizon_bars`` outputs for
    that horizon; half a position is taken beyond ``entry_score``, a whole one beyond twice that.

    The forecasts of the bars seen last are kept, since all parameter sets use the same ones.

    Kingma & Ba, "Adam", ICLR (2015); Rumelhart, Hinton & Williams, Nature 323 (1986).
    """

    kind: ClassVar[str] = "neural_forecast"
    parameters: ClassVar[tuple[Parameters, ...]] = (
        {"horizon_bars": 5, "entry_score": 0.05},
        {"horizon_bars": 5, "entry_score": 0.1},
        {"horizon_bars": 21, "entry_score": 0.1},
        {"horizon_bars": 21, "entry_score": 0.2},
    )

    def __init__(self) -> None:
        self._known: tuple[bytes, Floats] | None = None

    def target_position(self, bars: Bars, parameters: Parameters) -> Floats:
        """Return multiples of 0.5."""
        horizon = int(parameters["horizon_bars"])
        output = self._forecasts(bars)[:, :, _HORIZONS.index(horizon)]
        forecast = window_mean(output, horizon)
        size = np.abs(forecast) / parameters["entry_score"]
        return np.sign(forecast) * 0.5 * ((size > 1.0).astype(np.float64) + (size > 2.0))

    def _forecasts(self, bars: Bars) -> Floats:
        # The key is the content: bars that were changed in place are other bars.
        digest = hashlib.sha256(repr(bars.close.shape).encode())
        digest.update(np.ascontiguousarray(bars.close).tobytes())
        digest.update(np.ascontiguousarray(bars.tradable).tobytes())
        key = digest.digest()
        if self._known is None or self._known[0] != key:
            self._known = (key, _walk_forward(bars))
        return self._known[1]


def _walk_forward(bars: Bars) -> Floats:
    """Return the network's outputs, shape (T, S, horizons); 0 while there are none."""
    count, symbols = bars.close.shape
    returns = log_returns(bars)
    volatility = np.sqrt(np.maximum(window_mean(returns * returns, _VOLATILITY_BARS), 0.0))
    price = np.log(bars.close)
    inputs = [
        _in_deviations(lagged(price, first - 1) - lagged(price, last), volatility, last - first + 1)
        for first, last in _STRETCHES
    ]
    # Symbols first: one product of matrices per symbol, each of a size that BLAS never shares
    # among threads, whatever the number of symbols.
    sample = np.stack([*inputs, np.ones_like(price)], axis=-1).transpose(1, 0, 2).copy()
    outcome = np.zeros((symbols, count, len(_HORIZONS)))
    for output, horizon in enumerate(_HORIZONS):
        if count > horizon:
            outcome[:, :-horizon, output] = _in_deviations(
                price[horizon:] - price[:-horizon], volatility[:-horizon], horizon
            ).T
    usable = (age_bars(bars) >= _WARM_UP_BARS).T

    forecasts = np.zeros((symbols, count, len(_HORIZONS)))
    network = _Network(sample.shape[-1])
    fitted = False
    for row, start, stop in _refits(count):
        weight = usable[:, start:stop].astype(np.float64)[:, :, None]
        if weight.sum() >= _SMALLEST_SAMPLE:
            steps = _NEXT_STEPS if fitted else _FIRST_STEPS
            network.fit(sample[:, start:stop], outcome[:, start:stop], weight, steps)
            fitted = True
        if fitted:
            end = min(row + _REFIT_BARS, count)
            # Always a whole stretch, because the bits of a product may depend on its shape.
            stretch = np.zeros((symbols, _REFIT_BARS, sample.shape[-1]))
            stretch[:, : end - row] = sample[:, row:end]
            forecasts[:, row:end] = network.forecast(stretch)[:, : end - row]
    return np.where(usable[:, :, None], forecasts, 0.0).transpose(1, 0, 2).copy()


def _refits(count: int) -> Iterator[tuple[int, int, int]]:
    """Yield each row at which to fit, with the first and the end row of the samples for it.

    A sample of row t is complete at the close of t + 21, so the samples end 21 rows before.
    """
    for row in range(_REFIT_BARS, count, _REFIT_BARS):
        yield row, max(row - _HISTORY_BARS + 1, 0), row - max(_HORIZONS) + 1


def _in_deviations(moves: Floats, volatility: Floats, bars: int) -> Floats:
    """Return log returns over ``bars`` bars in units of what a random walk covers, clipped."""
    score = ratio(moves, volatility * math.sqrt(bars), SMALLEST_DEVIATION, 0.0)
    return np.clip(score, -_OUTLIER, _OUTLIER)


class _Network:
    """inputs → 8 tanh units → one linear output per horizon; trained by full-batch Adam."""

    def __init__(self, inputs: int) -> None:
        draw = np.random.Generator(np.random.Philox(key=_SEED))
        shapes = ((inputs, _HIDDEN), (_HIDDEN, len(_HORIZONS)))
        # Uniform with variance 1 / inputs (Glorot & Bengio 2010, for one side).
        self.layers = [
            (2.0 * draw.random(shape) - 1.0) * math.sqrt(3.0 / shape[0]) for shape in shapes
        ]
        self.mean = [np.zeros(shape) for shape in shapes]
        self.square = [np.zeros(shape) for shape in shapes]
        self.step = 0

    def forecast(self, sample: Floats) -> Floats:
        """Return outputs of shape (S, rows, horizons) for inputs of shape (S, rows, inputs)."""
        outputs: Floats = np.tanh(sample @ self.layers[0]) @ self.layers[1]
        return outputs

    def fit(self, sample: Floats, outcome: Floats, weight: Floats, steps: int) -> None:
        """Take ``steps`` steps down the weighted mean squared error plus penalty."""
        share = weight * (2.0 / weight.sum())
        for _ in range(steps):
            hidden = np.tanh(sample @ self.layers[0])
            error = (hidden @ self.layers[1] - outcome) * share
            back = (error @ self.layers[1].T) * (1.0 - hidden * hidden)
            slopes = (
                (sample.transpose(0, 2, 1) @ back).sum(axis=0),
                (hidden.transpose(0, 2, 1) @ error).sum(axis=0),
            )
            self._adam(slopes)

    def _adam(self, slopes: tuple[Floats, Floats]) -> None:
        self.step += 1
        for at, slope in enumerate(slopes):
            slope = slope + _WEIGHT_PENALTY * self.layers[at]
            self.mean[at] += (1.0 - _DECAY_1) * (slope - self.mean[at])
            self.square[at] += (1.0 - _DECAY_2) * (slope * slope - self.square[at])
            mean = self.mean[at] / (1.0 - _DECAY_1**self.step)
            deviation = np.sqrt(self.square[at] / (1.0 - _DECAY_2**self.step))
            self.layers[at] = self.layers[at] - _LEARNING_RATE * mean / (deviation + _EPSILON)
