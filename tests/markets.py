"""Small markets for tests: random but always the same, or drawn by hand."""

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.bars import Bars

__all__ = ["market_from_closes", "random_market"]

DAY = np.timedelta64(86_400, "s")


def market_from_closes(
    close: npt.ArrayLike, volume: npt.ArrayLike = 1e6, listed_at: tuple[int, ...] | None = None
) -> Bars:
    """Return bars that open at the close before, without shadows, from closes of shape (T, S)."""
    prices = np.atleast_2d(np.asarray(close, dtype=np.float64))
    count, symbols = prices.shape
    tradable = np.ones(prices.shape, dtype=np.bool_)
    for column, row in enumerate(listed_at or ()):
        tradable[:row, column] = False
        prices[:row, column] = prices[row, column]
    opens = np.vstack([prices[:1], prices[:-1]])
    return Bars(
        tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:symbols]),
        np.datetime64("2001-01-01", "s") + DAY * np.arange(count),
        opens,
        np.maximum(opens, prices),
        np.minimum(opens, prices),
        prices,
        np.where(tradable, np.broadcast_to(volume, prices.shape), 0.0),
        tradable,
    )


def random_market(
    count: int = 900, symbols: int = 4, seed: int = 1, listed_at: tuple[int, ...] | None = None
) -> Bars:
    """Return correlated symbols with changing volatility, fat tails and random volume."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    rough = np.exp(np.cumsum(0.1 * draw.standard_normal((count, 1)), axis=0) * 0.3)
    returns = 0.01 * np.clip(rough, 0.3, 3.0) * draw.standard_normal((count, 1))
    returns = returns + 0.012 * draw.standard_t(4, (count, symbols)) / np.sqrt(2)
    close = 40.0 * np.exp(np.cumsum(returns, axis=0))
    volume = np.rint(1e6 * np.exp(0.3 * draw.standard_normal((count, symbols))))
    plain = market_from_closes(close, volume, listed_at)
    reach = 1.0 + np.abs(0.004 * draw.standard_normal((2, count, symbols)))
    return Bars(
        plain.symbols,
        plain.times,
        plain.open,
        np.where(plain.tradable, plain.high * reach[0], plain.high),
        np.where(plain.tradable, plain.low / reach[1], plain.low),
        plain.close,
        plain.volume,
        plain.tradable,
    )
