"""Accounts: what A brokerage accounts hold of S symbols, as a struct of arrays.

A value, not an actor: ``broker.run_block`` takes one and returns the next. Rows are accounts, so a
host may stack the accounts of many agents, run them as one wide block and split them again, with
the same bits as one by one. Imports errors alone; ``broker`` and ``desk`` are above.

Money is counted in whole cents. Amounts stay below 2**53 cents (90 trillion USD), where a float64
counts whole numbers exactly; ``run_block`` refuses to go beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import ConfigError, DataError

__all__ = ["Accounts", "by_account", "by_lane"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Fields by name: (dtype, whether there is one value per account *and symbol*).
_FIELDS: dict[str, tuple[type[np.generic], bool]] = {
    "cash_cents": (np.int64, False),
    "peak_equity_cents": (np.int64, False),
    "pause_bars_left": (np.int64, False),
    "lots": (np.int64, True),
    "value_cents": (np.int64, True),
    "last_target": (np.float64, True),
    "entry_cents": (np.float64, True),
    "best_cents": (np.float64, True),
    "entry_bar": (np.int64, True),
    "trade_cents": (np.int64, True),
    "order_type": (np.int64, True),
    "order_limit_cents": (np.float64, True),
    "order_stop_cents": (np.float64, True),
    "order_bars_left": (np.int64, True),
}


def by_lane(table: npt.NDArray[Any], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return a copy of an (A, S) table as lanes: value ``s * A + a`` is that of account a in s."""
    return np.array(table.T, dtype, order="C").ravel()


def by_account(
    lanes: npt.NDArray[Any], accounts: int, dtype: npt.DTypeLike = np.float64
) -> npt.NDArray[Any]:
    """Return lanes as a table of shape (A, S): undoes ``by_lane``."""
    return np.array(lanes.reshape(-1, accounts).T, dtype, order="C")


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """A accounts in S symbols, as they stand after the close of some bar.

    Where a lane (an account's symbol) holds nothing, its entry, best, trade and value are 0 and
    its entry bar is -1; where no order rests, its order fields are 0. So accounts in the same
    situation are equal bit for bit, however they came there.

    Attributes
    ----------
    cash_cents : ndarray of int64, shape (A,)
        Negative while an account owes (leverage above 1, or a bankrupt short seller).
    peak_equity_cents : ndarray of int64, shape (A,)
        Highest equity at a close since the start, or since the last drawdown pause.
    pause_bars_left : ndarray of int64, shape (A,)
        Bars for which a drawdown stop still keeps the account flat.
    lots : ndarray of int64, shape (A, S)
        Whole lots held; negative is short.
    value_cents : ndarray of int64, shape (A, S)
        Their worth at the last close; negative is owed.
    last_target : ndarray of float64, shape (A, S), in [-1, 1]
        The target acted on last; an order is sent when the next one differs.
    entry_cents : ndarray of float64, shape (A, S)
        Average price paid (or got) for a lot of the position, slippage included, fees not.
    best_cents : ndarray of float64, shape (A, S)
        Best of the entry price and the closes since, per lot; what trailing stops hang on.
    entry_bar : ndarray of int64, shape (A, S)
        Bar in which the position was opened from flat.
    trade_cents : ndarray of int64, shape (A, S)
        Cash that the trade so far has brought (negative: cost), fees included.
    order_type : ndarray of int64, shape (A, S)
        The resting order: 0 is none, else an ``OrderType``. Its side is that of ``last_target``.
    order_limit_cents, order_stop_cents : ndarray of float64, shape (A, S)
        Its prices per lot; 0 where it has none.
    order_bars_left : ndarray of int64, shape (A, S)
        Tradable bars after which it is cancelled.
    """

    cash_cents: Integers
    peak_equity_cents: Integers
    pause_bars_left: Integers
    lots: Integers
    value_cents: Integers
    last_target: Floats
    entry_cents: Floats
    best_cents: Floats
    entry_bar: Integers
    trade_cents: Integers
    order_type: Integers
    order_limit_cents: Floats
    order_stop_cents: Floats
    order_bars_left: Integers

    @classmethod
    def open(cls, count: int, symbols: int, cash_usd: float) -> Accounts:
        """Return new accounts that hold cash alone.

        Parameters
        ----------
        count : int (>= 0)
            Number of accounts A.
        symbols : int (>= 1)
            Number of symbols S.
        cash_usd : float (> 0)
            What each starts with, rounded to whole cents.

        Raises
        ------
        ConfigError
            If there is no symbol, or the cash isn't between a cent and 1e12 USD.
        """
        if symbols < 1:
            raise ConfigError("symbols", symbols, "an account trades at least one symbol")
        if not 0.01 <= cash_usd <= 1e12:
            raise ConfigError("cash_usd", cash_usd, "must be between 0.01 and 1e12")
        arrays: dict[str, Any] = {
            name: np.zeros((count, symbols) if per_lane else count, dtype)
            for name, (dtype, per_lane) in _FIELDS.items()
        }
        cents = int(np.rint(cash_usd * 100.0))
        arrays["cash_cents"][:] = cents
        arrays["peak_equity_cents"][:] = cents
        arrays["entry_bar"][:] = -1
        return cls(**arrays)

    @property
    def count(self) -> int:
        """Number of accounts A."""
        return len(self.lots)

    @property
    def symbols(self) -> int:
        """Number of symbols S."""
        return int(self.lots.shape[1])

    @property
    def equity_cents(self) -> Integers:
        """Cash and positions at the last close, shape (A,)."""
        equity: Integers = self.cash_cents + self.value_cents.sum(axis=1)
        return equity

    def take(self, rows: slice | Sequence[int] | npt.NDArray[np.intp]) -> Accounts:
        """Return some of the accounts, in the order asked for."""
        return Accounts(**{name: array[rows] for name, array in self.to_arrays().items()})

    @staticmethod
    def concatenate(parts: Sequence[Accounts]) -> Accounts:
        """Return the accounts of all parts, one after the other.

        Raises
        ------
        ValueError
            If there is no part, or they differ in their number of symbols.
        """
        return Accounts(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS}
        )

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name: a checkpoint (they are not copied)."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Accounts:
        """Return the accounts of which ``to_arrays`` gave ``arrays``.

        Raises
        ------
        DataError
            If an array is missing, unknown, or of another shape or dtype.
        """
        if set(arrays) != set(_FIELDS):
            odd = sorted(set(arrays) ^ set(_FIELDS))
            raise DataError("accounts checkpoint", f"missing or unknown fields: {', '.join(odd)}")
        lots = np.asarray(arrays["lots"])
        if lots.ndim != 2:
            raise DataError("accounts checkpoint", f"lots has {lots.ndim} axes instead of 2")
        for name, (dtype, per_lane) in _FIELDS.items():
            found = np.asarray(arrays[name])
            shape = lots.shape if per_lane else lots.shape[:1]
            if found.dtype != dtype or found.shape != shape:
                raise DataError(
                    "accounts checkpoint",
                    f"{name} is {found.dtype}{found.shape} instead of {np.dtype(dtype)}{shape}",
                )
        return cls(**{name: np.asarray(arrays[name]) for name in _FIELDS})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Accounts):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]  # arrays may be written to
