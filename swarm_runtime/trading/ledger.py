"""The ledger: positions and cash of all lanes within a block, and what every fill does to them.

A lane is one symbol of one account (see ``accounts.by_lane``). ``kernel`` decides what is traded at
which price; here it is booked. Below: ``accounts``.

Whole cents are held in float64, exact below 2**53, so that sums over them are exact in any order
and the bits don't depend on which accounts share a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.accounts import Accounts, by_account, by_lane
from swarm_runtime.trading.batches import Batches

__all__ = ["Ledger"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Ledger:
    """Positions and cash of A accounts in S symbols (L = A·S lanes).

    Parameters
    ----------
    accounts : Accounts
    fee : float
        Fraction of the notional.

    Attributes
    ----------
    lots : ndarray of float64, shape (L,)
        Whole numbers; negative is short.
    side : ndarray of float64, shape (L,)
        Their sign.
    entry : ndarray of float64, shape (L,)
        Average entry price, in cents per lot.
    best : ndarray of float64, shape (L,)
        Best price since the entry times side, so that higher is better for shorts too.
    values : ndarray of float64, shape (L,)
        Worth of the positions at the last ``mark``, in cents.
    equity : ndarray of float64, shape (A,)
        The same with cash, by account.
    account_of : ndarray of int64, shape (L,)
    fills : Batches
        Every fill: lane, lots, quote, notional, fee; in cents.
    trades : Batches
        Every closed trade: lane, entry bar, profit in cents.
    """

    def __init__(self, accounts: Accounts, fee: float) -> None:
        self.accounts = accounts.count
        self.symbols = accounts.symbols
        self._shape = (self.symbols, self.accounts)
        self._fee = fee
        self.account_of = np.tile(np.arange(self.accounts), self.symbols)
        self.lots: Floats = by_lane(accounts.lots)
        self.side = np.sign(self.lots)
        self.entry: Floats = by_lane(accounts.entry_cents)
        self.best = by_lane(accounts.best_cents) * self.side
        self._entry_bar: Integers = by_lane(accounts.entry_bar, np.int64)
        self._cash = accounts.cash_cents.astype(np.float64)
        # Cash that each lane has brought since the block began, and the flow at which its trade
        # began: one write per fill instead of two.
        self._flow = np.zeros(self.lots.shape)
        self._trade_base = -by_lane(accounts.trade_cents)
        self.values: Floats = by_lane(accounts.value_cents)
        self._first_values = self.values.copy()
        self._scratch = np.empty(self.lots.shape)
        self.equity: Floats = self._cash + np.add.reduce(self.values.reshape(self._shape), axis=0)
        self.fills = Batches(np.int64, np.float64, np.float64, np.float64, np.float64)
        self.trades = Batches(np.int64, np.int64, np.int64)

    def mark(self, prices: Floats) -> None:
        """Value positions at ``prices`` of shape (L,); sets ``values`` and ``equity``."""
        values = self.values
        np.multiply(self.lots, prices, out=values)
        np.rint(values, out=values)
        np.add(values, self._flow, out=self._scratch)
        self.equity = self._cash + np.add.reduce(self._scratch.reshape(self._shape), axis=0)

    def close(self, prices: Floats) -> None:
        """Mark at a bar's close, which may be the best price since an entry."""
        np.multiply(self.side, prices, out=self._scratch)
        np.maximum(self.best, self._scratch, out=self.best)
        self.mark(prices)

    def exposure(self) -> tuple[Floats, Floats]:
        """Return each account's largest |position| and the sum of them, at the last mark."""
        sizes = np.abs(self.values, out=self._scratch).reshape(self._shape)
        return np.maximum.reduce(sizes, axis=0), np.add.reduce(sizes, axis=0)

    def gross(self) -> Floats:
        """Return the sum of each account's |positions|, at the last mark."""
        sizes = np.abs(self.values, out=self._scratch).reshape(self._shape)
        total: Floats = np.add.reduce(sizes, axis=0)
        return total

    def sum_by_account(self, lanes: Integers, cents: Floats) -> Floats:
        """Return the sum of whole cents in some lanes, by account, shape (A,)."""
        # Weighted counts are float64, whatever the stubs of NumPy say.
        total: Any = np.bincount(self.account_of[lanes], cents, self.accounts)
        summed: Floats = total
        return summed

    def cost(self, lots: Floats, price: Floats) -> Floats:
        """Return what buying costs, fee included, in cents."""
        notional = np.rint(lots * price)
        return notional + np.rint(notional * self._fee)

    def reduce(
        self,
        row: int,
        lanes: Integers,
        held: Floats,
        closing: Floats,
        quote: Floats,
        slippage: float | Floats,
    ) -> Integers:
        """Sell (or cover) some of the lots held; return the lanes that are flat now.

        Parameters
        ----------
        row : int
            Bar of the block.
        lanes : ndarray of int64, shape (n,)
        held : ndarray of float64, shape (n,)
            ``lots[lanes]``, not 0.
        closing : ndarray of float64, shape (n,)
            How many lots of them, > 0.
        quote : ndarray of float64, shape (n,)
            Price before slippage.
        slippage : float or ndarray of float64, shape (n,)
        """
        side = np.sign(held)
        notional = np.rint(closing * (quote * (1.0 - side * slippage)))
        fee = np.rint(notional * self._fee)
        flow = self._flow[lanes] + (side * notional - fee)
        self._flow[lanes] = flow
        self.fills.add(row, lanes, closing, quote, notional, fee)
        left = held - side * closing
        self.lots[lanes] = left
        flat = (left == 0).nonzero()[0]
        closed: Integers = lanes[flat]
        if closed.size:
            profit = flow[flat] - self._trade_base[closed]
            self.trades.add(row, closed, self._entry_bar[closed], profit)
            self.side[closed] = 0.0
            self.entry[closed] = 0.0
            self.best[closed] = 0.0
            self._entry_bar[closed] = -1
        return closed

    def increase(
        self,
        row: int,
        bar: int,
        lanes: Integers,
        side: Floats,
        size: Floats,
        more: Floats,
        quote: Floats,
        slippage: float | Floats,
    ) -> None:
        """Buy (or short) ``more`` > 0 lots in lanes that hold ``size`` >= 0 on this ``side``."""
        price = quote * (1.0 + side * slippage)
        notional = np.rint(more * price)
        fee = np.rint(notional * self._fee)
        before = self._flow[lanes]
        self._flow[lanes] = before - (side * notional + fee)
        self.fills.add(row, lanes, more, quote, notional, fee)
        whole = size + more
        self.lots[lanes] = side * whole
        self.side[lanes] = side
        fresh = size == 0
        if np.count_nonzero(fresh) == fresh.size:
            self._trade_base[lanes] = before
            self._entry_bar[lanes] = bar
            self.best[lanes] = side * price
            self.entry[lanes] = price
        else:
            new, added = lanes[fresh], lanes[~fresh]
            self._trade_base[new] = before[fresh]
            self._entry_bar[new] = bar
            self.best[new] = (side * price)[fresh]
            average = (self.entry[lanes] * size + price * more) / whole
            self.entry[new] = price[fresh]
            self.entry[added] = average[~fresh]

    def fill_costs(self) -> tuple[Integers, Integers, Floats]:
        """Return row, account and cost (fee, and slippage against the quote) of every fill."""
        rows, lanes, lots, quote, notional, fee = self.fills.joined()
        cost: Floats = fee + np.abs(np.rint(lots * quote) - notional)
        return rows, lanes % self.accounts, cost

    def profit_cents(self) -> Integers:
        """Return the profit of each lane since the block began, at the last mark, shape (A, S)."""
        profit: Integers = by_account(
            self._flow + self.values - self._first_values, self.accounts, np.int64
        )
        return profit

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fields of ``Accounts`` that are kept here."""
        cash = self._cash + np.add.reduce(self._flow.reshape(self._shape), axis=0)
        trade = np.where(self.lots == 0, 0.0, self._flow - self._trade_base)
        return {
            "cash_cents": cash.astype(np.int64),
            "lots": by_account(self.lots, self.accounts, np.int64),
            "value_cents": by_account(self.values, self.accounts, np.int64),
            "entry_cents": by_account(self.entry, self.accounts),
            "best_cents": by_account(np.abs(self.best), self.accounts),
            "entry_bar": by_account(self._entry_bar, self.accounts, np.int64),
            "trade_cents": by_account(trade, self.accounts, np.int64),
        }
