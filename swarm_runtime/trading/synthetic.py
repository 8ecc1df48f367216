"""Synthetic markets: one in which nothing can be learnt, one in which something must be.

`placebo` takes the order out of real bars: what a swarm gains there, it gained by luck.
`planted_regimes` hides regimes that the recent past gives away: who recognises them earns, who
doesn't earns nothing. Pure (the seed is an argument); imports only ``bars`` and errors.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import ConfigError
from swarm_runtime.trading.bars import Bars

__all__ = ["PlantedMarket", "placebo", "planted_regimes"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


#: A placebo mirrors moves up to this ratio of the previous close.
_LARGEST_MIRRORED = 1.9


@dataclass(frozen=True, slots=True, eq=False)
class PlantedMarket:
    """A synthetic market and its hidden regimes.

    Attributes
    ----------
    bars : Bars
    trending : ndarray of bool, shape (T, S)
        True where a symbol trends, False where it reverts. For tests and plots: an agent never
        sees it.
    """

    bars: Bars
    trending: Mask


def placebo(bars: Bars, seed: int, block_bars: int = 5) -> Bars:
    """Return bars with the returns' order and directions drawn by lot: a fair game.

    Each bar is expressed by the previous close (open, high, low and close divided by it; volume
    as it is). These rows are cut into blocks, and the blocks are permuted, all symbols together,
    so that volatility still comes in clusters and symbols keep what they have in common in one
    bar. Then a fair coin is tossed for each row: on tails its moves are mirrored (a bar that rose
    by 2 % falls by 2 %, its high becomes its low). Last the paths are built up again.

    So whatever has been seen, the next move is as likely up as down by the same amount: neither
    long nor short, neither following nor fading a move pays, and nothing can be learnt but what
    costs. Permuting alone is not enough: it is drawing without replacement, so what went up must
    come down, and a memory that learns which side has won is then *harmed*.

    Blocks move only among rows with the same symbols listed; a row in which one of those has no
    bar stays where it is. So the calendar, ``tradable`` and each symbol's first bar are kept.

    Parameters
    ----------
    bars : Bars
    seed : int (>= 0)
    block_bars : int (>= 1)
        Length of a block.

    Raises
    ------
    ConfigError
        If ``block_bars`` is below one.
    """
    if block_bars < 1:
        raise ConfigError("block_bars", block_bars, "at least 1")
    generator = np.random.Generator(np.random.Philox(key=seed))
    moves = _moves(bars)
    taken_from = np.repeat(np.arange(bars.count)[:, np.newaxis], len(bars.symbols), axis=1)
    listed = _listed(bars)
    changes = 1 + np.flatnonzero((listed[1:] != listed[:-1]).any(axis=1))
    for start, stop in zip([0, *changes], [*changes, bars.count], strict=True):
        columns = np.flatnonzero(listed[start])
        rows = start + np.flatnonzero(moves[start:stop, columns].all(axis=1))
        if len(columns) and len(rows):
            mixed = _blocks_permuted(rows, block_bars, generator)
            taken_from[rows[:, np.newaxis], columns] = mixed[:, np.newaxis]
    fair = np.ones(len(bars.symbols))
    return _rebuilt(bars, taken_from, generator.random(bars.count) < 0.5, fair)


def planted_regimes(
    seed: int,
    symbols: int = 5,
    bars: int = 2_520,
    *,
    regime_bars: tuple[int, int] = (150, 250),
    common: bool = False,
) -> PlantedMarket:
    """Return daily bars, from 2000-01-03 on business days, in which hidden regimes alternate.

    With σ a symbol's volatility a day (drawn from 0.8 to 1.6 %), r the log return of bar t and
    ε, ε' standard normal:

    - *trending*: r = ±0.3 σ + 0.15 r(t-1) + σ ε, the sign drawn anew every 40 to 80 bars;
    - *reverting*: r = 0.4 (level - price) - 0.1 r(t-1) + 1.75 σ ε, where the level goes a tenth
      of the way back to its anchor, the price at the regime's start, and moves by 1.1 · 1.75 σ ε'
      besides. So breakouts happen, and fail.

    The strengths are balanced so that a rule that is always on earns about nothing, and as the
    mean simple return of each symbol is exactly zero, so do long and short. Measured over 40
    seeds, in basis points a bar of a full position, 5 bps a side, traded at the next open:

    ===================================== ======== ========= ======
    rule                                  trending reverting always
    ===================================== ======== ========= ======
    sign of the last 20 bars' return           +28       -32     -2
    against the last 5 bars' return            -26       +22     -2
    the better one of the two, known           +28       +22    +25
    the same, told by autocorrelation          +15       +10    +12
    ===================================== ======== ========= ======

    The last row chooses every 21 bars by the lag-1 autocorrelation of the last 63. What else
    gives a regime away: the last month's volatility against the last year's (a choppy market is
    a rough one) and the efficiency of the last quarter's move. A quarter of each day's move
    happens overnight, before the open; volume tells nothing.

    Parameters
    ----------
    seed : int (>= 0)
    symbols : int (>= 1)
    bars : int (>= 2)
    regime_bars : (int, int)
        Shortest and longest length of a regime.
    common : bool
        One sequence of regimes for all symbols, or one for each.

    Raises
    ------
    ConfigError
        If an argument is out of its bounds.
    """
    for name, value, least in (("symbols", symbols, 1), ("bars", bars, 2)):
        if value < least:
            raise ConfigError(name, value, f"at least {least}")
    if not 1 <= regime_bars[0] <= regime_bars[1]:
        raise ConfigError("regime_bars", regime_bars, "two lengths of 1 or more, rising")
    generator = np.random.Generator(np.random.Philox(key=seed))
    shape = (bars, symbols)
    each = [_alternation(generator, bars, regime_bars) for _ in range(1 if common else symbols)]
    trending = np.broadcast_to(np.column_stack(each), shape).copy()
    signs = np.column_stack([_drift_signs(generator, bars) for _ in range(symbols)])
    sigma = generator.uniform(*_SIGMA, symbols)
    night, day, steps = generator.standard_normal((3, *shape))
    reach_up, reach_down = np.abs(generator.standard_normal((2, *shape)))
    log_volume = 0.3 * generator.standard_normal(shape)

    overnight = np.empty(shape)  # log moves: previous close to open, open to close
    intraday = np.empty(shape)
    price, level, anchor, move = (np.zeros(symbols) for _ in range(4))
    noise = np.where(trending, 1.0, _ROUGHNESS) * sigma
    for row in range(bars):
        trends = trending[row]
        begins = trending[row - 1] if row else trends  # while it trends both follow the price
        anchor = np.where(begins, price, anchor)
        wandered = level + _TO_ANCHOR * (anchor - level) + _LEVEL_STEP * noise[row] * steps[row]
        level = np.where(begins, price, wandered)
        on = _DRIFT * sigma * signs[row] + _ECHO * move
        back = _REVERSION * (level - price) - _BOUNCE * move
        pull = np.where(trends, on, back)
        overnight[row] = _NIGHT * pull + np.sqrt(_NIGHT) * noise[row] * night[row]
        intraday[row] = (1 - _NIGHT) * pull + np.sqrt(1 - _NIGHT) * noise[row] * day[row]
        move = overnight[row] + intraday[row]
        price = price + move

    log_close = np.log(_START_PRICE) + np.cumsum(overnight + intraday, axis=0)
    log_open = log_close - intraday
    market = Bars(
        tuple(f"PLANTED{number}" for number in range(1, symbols + 1)),
        np.busday_offset([datetime.date(2000, 1, 3)], np.arange(bars)).astype("datetime64[s]"),
        np.exp(log_open),
        np.exp(np.maximum(log_open, log_close) + _REACH * noise * reach_up),
        np.exp(np.minimum(log_open, log_close) - _REACH * noise * reach_down),
        np.exp(log_close),
        np.rint(1e6 * np.exp(log_volume)),
        np.ones(shape, dtype=np.bool_),
    )
    in_place = np.repeat(np.arange(bars)[:, np.newaxis], symbols, axis=1)
    never = np.zeros(bars, dtype=np.bool_)
    return PlantedMarket(_rebuilt(market, in_place, never, _mean_ratios(market)), trending)


#: Price of a planted symbol before its first bar, in USD.
_START_PRICE = 100.0
#: Lowest and highest volatility a day.
_SIGMA = (0.008, 0.016)
#: Trending: drift in σ a bar, for how many bars it keeps its sign, and how much of the last
#: bar's return comes again.
_DRIFT, _RUN_BARS, _ECHO = 0.3, (40, 80), 0.15
#: Reverting: share of the distance to the level covered in a bar, how much of the last bar's
#: return is taken back, and volatility against a trending market's.
_REVERSION, _BOUNCE, _ROUGHNESS = 0.4, 0.1, 1.75
#: The level: how much of its distance to the anchor it covers in a bar, its step in volatilities.
_TO_ANCHOR, _LEVEL_STEP = 0.1, 1.1
#: Share of a day's variance and drift that falls between close and open.
_NIGHT = 0.25
#: How far high and low reach beyond open and close, in volatilities (0.8 of it on average).
_REACH = 0.4


def _alternation(generator: np.random.Generator, bars: int, regime_bars: tuple[int, int]) -> Mask:
    """Return a regime for each bar, alternating; the first is drawn, shape (T,)."""
    out = np.empty(bars, dtype=np.bool_)
    trends, row = bool(generator.integers(2)), 0
    while row < bars:
        length = int(generator.integers(*regime_bars, endpoint=True))
        out[row : row + length] = trends
        trends, row = not trends, row + length
    return out


def _drift_signs(generator: np.random.Generator, bars: int) -> Floats:
    """Return +1 or -1 for each bar, constant over runs, shape (T,)."""
    out = np.empty(bars)
    row = 0
    while row < bars:
        length = int(generator.integers(*_RUN_BARS, endpoint=True))
        out[row : row + length] = 2 * generator.integers(2) - 1
        row += length
    return out


def _listed(bars: Bars) -> Mask:
    """Return where a symbol has had its first bar before, and has its last one still to come.

    Shape (T, S). The first bar itself is left out: there is no close before it.
    """
    had = np.logical_or.accumulate(bars.tradable, axis=0)
    before = np.zeros_like(had)
    before[1:] = had[:-1]
    has = np.logical_or.accumulate(bars.tradable[::-1], axis=0)[::-1]
    return before & has


def _moves(bars: Bars) -> Mask:
    """Return which bars move from an earlier close of the same symbol; shape (T, S)."""
    return _listed(bars) & bars.tradable


def _blocks_permuted(rows: Integers, block_bars: int, generator: np.random.Generator) -> Integers:
    """Return the rows with their blocks in random order.

    The first block is cut short by a random number of bars, so that no border is the same in all
    seeds; the last takes what is left.
    """
    first = int(generator.integers(1, block_bars, endpoint=True))
    borders = np.arange(first, len(rows), block_bars)
    blocks = np.split(rows, borders)
    return np.concatenate([blocks[place] for place in generator.permutation(len(blocks))])


def _previous(bars: Bars) -> Floats:
    """Return the close before each bar; the open, before the first."""
    previous = np.empty_like(bars.close)
    previous[0] = bars.open[0]
    previous[1:] = bars.close[:-1]
    return previous


def _mean_ratios(bars: Bars) -> Floats:
    """Return each symbol's mean of close / previous close, 1 where it never moves; shape (S,).

    Dividing by it makes the mean *simple* return zero: that is what a position earns on average.
    (With the mean log return at zero, long would still earn half the variance.)
    """
    moves = _moves(bars)
    # Symbols with no move at all divide nothing; any number but zero does for them.
    counts = np.maximum(moves.sum(axis=0), 1)
    total = ((bars.close / _previous(bars)) * moves).sum(axis=0)
    return np.where(moves.any(axis=0), total / counts, 1.0)


def _rebuilt(bars: Bars, taken_from: Integers, tails: Mask, divisor: Floats) -> Bars:
    """Build bars anew from each cell's move in another row, some rows mirrored.

    Parameters
    ----------
    bars : Bars
    taken_from : ndarray of int64, shape (T, S)
        The row whose move each cell takes; cells that don't move take their own.
    tails : ndarray of bool, shape (T,)
        The rows to mirror.
    divisor : ndarray of float64, shape (S,)
        By which each price ratio is divided.
    """
    moves = _moves(bars)
    previous = _previous(bars)
    highest = np.take_along_axis(bars.high / previous, taken_from, axis=0)
    # Mirroring a rise of (nearly) 100 % would end at zero; such a bar stays as it is.
    mirrored = tails[:, np.newaxis] & (highest < _LARGEST_MIRRORED)

    def moved(prices: Floats, opposite: Floats) -> Floats:
        ratio = np.take_along_axis(prices / previous, taken_from, axis=0)
        other = np.take_along_axis(opposite / previous, taken_from, axis=0)
        return np.where(mirrored, 2.0 - other, ratio) / divisor

    # One multiplication a bar, in the order of time: each close is previous close × ratio exactly
    # as each high is, and rounding is monotone, so high >= close holds bit for bit.
    steps = np.where(moves, moved(bars.close, bars.close), 1.0)
    had = np.logical_or.accumulate(bars.tradable, axis=0)
    begins = had.copy()
    begins[1:] &= ~had[:-1]
    steps[begins] = bars.close[begins]
    path = np.where(had, np.multiply.accumulate(steps, axis=0), bars.close)
    before = np.empty_like(path)
    before[0] = path[0]
    before[1:] = path[:-1]

    def rebuilt(prices: Floats, opposite: Floats) -> Floats:
        # Where a symbol has no bar its last close is carried; a first bar stays as it is.
        still = np.where(bars.tradable | ~had, prices, path)
        return np.where(moves, before * moved(prices, opposite), still)

    return Bars(
        bars.symbols,
        bars.times,
        rebuilt(bars.open, bars.open),
        rebuilt(bars.high, bars.low),
        rebuilt(bars.low, bars.high),
        path,
        np.take_along_axis(bars.volume, taken_from, axis=0),
        bars.tradable,
    )
