"""Order styles of many lanes, as arrays: how the broker sees ``orders.OrderStyle``.

A lane is one symbol of one account. Imports ``orders`` alone; ``broker`` and ``desk`` are above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.orders import OrderStyle

__all__ = ["StyleArrays"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BPS = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class StyleArrays:
    """Order styles of A accounts in S symbols.

    Attributes
    ----------
    order_type : ndarray of int64, shape (A, S)
        An ``OrderType`` each.
    limit_offset, stop_offset : ndarray of float64, shape (A, S)
        As fractions of the close at which the order was decided.
    good_for_bars : ndarray of int64, shape (A, S)
    stop_loss, take_profit, trailing_stop : ndarray of float64, shape (A, S)
        As fractions of the entry price or of the best close; 0 is off.
    """

    order_type: Integers
    limit_offset: Floats
    stop_offset: Floats
    good_for_bars: Integers
    stop_loss: Floats
    take_profit: Floats
    trailing_stop: Floats

    @classmethod
    def market(cls, accounts: int, symbols: int) -> StyleArrays:
        """Return plain market orders without protection for all lanes."""
        return cls.pick([OrderStyle()], np.zeros((accounts, symbols), np.int64))

    @classmethod
    def pick(cls, catalogue: Sequence[OrderStyle], codes: npt.NDArray[np.integer]) -> StyleArrays:
        """Return for each lane one style of a catalogue: the fast way to build many.

        Parameters
        ----------
        catalogue : sequence of OrderStyle
        codes : ndarray of integers, shape (A, S)
            Index into the catalogue, of each lane.

        Raises
        ------
        IndexError
            If a code isn't in the catalogue.
        """

        def column(values: list[float]) -> Floats:
            chosen: Floats = np.array(values, np.float64)[codes]
            return chosen

        return cls(
            np.array([int(style.order_type) for style in catalogue], np.int64)[codes],
            column([style.limit_offset_bps * _BPS for style in catalogue]),
            column([style.stop_offset_bps * _BPS for style in catalogue]),
            np.array([style.good_for_bars for style in catalogue], np.int64)[codes],
            column([style.stop_loss_bps * _BPS for style in catalogue]),
            column([style.take_profit_bps * _BPS for style in catalogue]),
            column([style.trailing_stop_bps * _BPS for style in catalogue]),
        )

    @classmethod
    def of(cls, rows: Sequence[Sequence[OrderStyle]]) -> StyleArrays:
        """Return the styles of a list (accounts) of lists (symbols)."""
        table: dict[OrderStyle, int] = {}
        codes = [[table.setdefault(style, len(table)) for style in row] for row in rows]
        return cls.pick(list(table), np.array(codes, np.int64))

    def take(self, rows: slice | Sequence[int] | npt.NDArray[np.intp]) -> StyleArrays:
        """Return the styles of some accounts, in the order asked for."""
        return StyleArrays(*(array[rows] for array in self._arrays()))

    @staticmethod
    def concatenate(parts: Sequence[StyleArrays]) -> StyleArrays:
        """Return the styles of all parts' accounts, one after the other."""
        columns = zip(*(part._arrays() for part in parts), strict=True)
        return StyleArrays(*(np.concatenate(column) for column in columns))

    def _arrays(self) -> list[npt.NDArray[Any]]:
        return [getattr(self, field.name) for field in fields(self)]
