"""Bars: prices of several symbols on one calendar, as rectangular arrays.

The one form in which market data travels: ``data`` and ``synthetic`` make it, ``features``,
``strategies`` and ``broker`` read it. Pure; imports only errors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bars"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Adjusted prices and volumes of S symbols at T times.

    Where a symbol has no bar (before its listing, or a day missing in its file) ``tradable`` is
    False, volume is 0, and prices carry the last close forward (before the first bar: the first
    open), so no array holds NaN and marking to market needs no special case.

    Attributes
    ----------
    symbols : tuple of str, length S
    times : ndarray of datetime64[s], shape (T,)
        When each bar *closes*, strictly increasing (daily bars: the date).
    open, high, low, close : ndarray of float64, shape (T, S)
        Adjusted for splits and dividends, in USD, > 0.
    volume : ndarray of float64, shape (T, S)
        In shares, >= 0.
    tradable : ndarray of bool, shape (T, S)
    """

    symbols: tuple[str, ...]
    times: npt.NDArray[np.datetime64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    tradable: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of times T."""
        return len(self.times)

    def rows(self, start: int, stop: int) -> Bars:
        """Return bars ``start`` (inclusive) to ``stop`` (exclusive), as views."""
        cut = slice(start, stop)
        return Bars(
            self.symbols,
            self.times[cut],
            self.open[cut],
            self.high[cut],
            self.low[cut],
            self.close[cut],
            self.volume[cut],
            self.tradable[cut],
        )

    def select(self, symbols: Sequence[str]) -> Bars:
        """Return the bars of some symbols, in the order asked for.

        Raises
        ------
        DataError
            If a symbol isn't there.
        """
        for symbol in symbols:
            if symbol not in self.symbols:
                raise DataError(
                    "symbols", f"no bars of {symbol!r}.{did_you_mean(symbol, self.symbols)}"
                )
        at = [self.symbols.index(symbol) for symbol in symbols]
        return Bars(
            tuple(symbols),
            self.times,
            np.ascontiguousarray(self.open[:, at]),
            np.ascontiguousarray(self.high[:, at]),
            np.ascontiguousarray(self.low[:, at]),
            np.ascontiguousarray(self.close[:, at]),
            np.ascontiguousarray(self.volume[:, at]),
            np.ascontiguousarray(self.tradable[:, at]),
        )

    def known_at_s(self, row: int) -> int:
        """Return when bar ``row`` closed, in seconds since 1970-01-01 UTC."""
        return int(self.times[row].astype("datetime64[s]").astype(np.int64))

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that is in here, as hex: same bars, same string."""
        digest = hashlib.sha256("\0".join(self.symbols).encode())
        digest.update(self.times.astype("datetime64[s]").astype(np.int64).tobytes())
        for array in (self.open, self.high, self.low, self.close, self.volume, self.tradable):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def frame(self, symbol: str) -> pd.DataFrame:
        """Return one symbol as a frame: DatetimeIndex; Open, High, Low, Close, Volume.

        Rows in which the symbol has no bar are left out.

        Raises
        ------
        DataError
            If the symbol isn't there.
        """
        import pandas as pd  # here alone: strategies that stay in NumPy never load pandas

        one = self.select([symbol])
        keep = one.tradable[:, 0]
        columns = {
            name.capitalize(): getattr(one, name)[keep, 0]
            for name in ("open", "high", "low", "close", "volume")
        }
        return pd.DataFrame(columns, index=pd.DatetimeIndex(self.times[keep]))
