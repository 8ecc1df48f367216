"""Resting orders and protective exits of all lanes within a block.

Both wait for a price, and both are kept as an interval of prices in which nothing happens, so that
two comparisons per bar find the few lanes that need a closer look. The price rules are in
``fills``; ``kernel`` is above.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.accounts import Accounts, by_account, by_lane
from swarm_runtime.trading.fills import (
    EntryPath,
    order_prices,
    order_triggers,
    protective_levels,
)
from swarm_runtime.trading.ledger import Ledger
from swarm_runtime.trading.orders import OrderType
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["Protection", "RestingOrders"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_LIMIT, _STOP, _STOP_LIMIT = (
    int(kind) for kind in (OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT)
)


class RestingOrders:
    """At most one order per lane that waits for its price.

    Attributes
    ----------
    used : bool
        Whether there is one, or a lane could place one in this block.
    some : bool
        Whether there is one now.
    style : ndarray of int64, shape (L,)
        The type that each lane's style opens positions with.
    kind : ndarray of int64, shape (L,)
        ``OrderType`` of the order; 0 is none.
    limit, stop : ndarray of float64, shape (L,)
        Cents per lot; say nothing where the order has none.
    lower, upper : ndarray of float64, shape (L,)
        Between these nothing happens (see ``fills.order_triggers``).
    """

    def __init__(self, accounts: Accounts, styles: StyleArrays) -> None:
        self._accounts = accounts.count
        self.style: Integers = by_lane(styles.order_type, np.int64)
        self.kind: Integers = by_lane(accounts.order_type, np.int64)
        self.some = bool(self.kind.any())
        self.used = self.some or bool(self.style.any())
        self.limit: Floats = by_lane(accounts.order_limit_cents)
        self.stop: Floats = by_lane(accounts.order_stop_cents)
        # Where there is no order these three say nothing, and count down below 0.
        self._bars_left: Integers = by_lane(accounts.order_bars_left, np.int64)
        if self.used:
            self._limit_offset: Floats = by_lane(styles.limit_offset)
            self._stop_offset: Floats = by_lane(styles.stop_offset)
            self._good_for: Integers = by_lane(styles.good_for_bars, np.int64)
            side = np.sign(by_lane(accounts.last_target))
            self.lower, self.upper = order_triggers(self.kind, side, self.limit, self.stop)

    def place(self, lanes: Integers, side: Floats, close: Floats) -> None:
        """Place orders of the lanes' styles, decided at ``close``."""
        kind = self.style[lanes]
        limit, stop = order_prices(
            kind, side, close, self._limit_offset[lanes], self._stop_offset[lanes]
        )
        self.kind[lanes] = kind
        self.limit[lanes] = limit
        self.stop[lanes] = stop
        self._bars_left[lanes] = self._good_for[lanes]
        self.lower[lanes], self.upper[lanes] = order_triggers(kind, side, limit, stop)
        self.some = True

    def become_limits(self, lanes: Integers, side: Floats) -> None:
        """Turn stop-limits whose stop was reached into limit orders."""
        self.kind[lanes] = _LIMIT
        self.lower[lanes], self.upper[lanes] = order_triggers(
            self.kind[lanes], side, self.limit[lanes], self.stop[lanes]
        )

    def cancel(self, lanes: Integers) -> None:
        """Take away the orders of some lanes (which may have none)."""
        if not self.some:
            return
        self.kind[lanes] = 0
        self.lower[lanes] = -np.inf
        self.upper[lanes] = np.inf

    def age(self, tradable: Flags) -> None:
        """Let a bar pass; orders whose time in force is over are cancelled."""
        self._bars_left -= tradable
        expired = (self._bars_left == 0).nonzero()[0]
        if expired.size:
            self.cancel(expired)
        self.some = bool(np.count_nonzero(self.kind))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fields of ``Accounts`` that are kept here."""
        kind = by_account(self.kind, self._accounts, np.int64)
        limit = by_account(self.limit, self._accounts)
        stop = by_account(self.stop, self._accounts)
        left = by_account(self._bars_left, self._accounts, np.int64)
        return {
            "order_type": kind,
            "order_limit_cents": np.where((kind == _LIMIT) | (kind == _STOP_LIMIT), limit, 0.0),
            "order_stop_cents": np.where((kind == _STOP) | (kind == _STOP_LIMIT), stop, 0.0),
            "order_bars_left": np.where(kind > 0, left, 0),
        }


class Protection:
    """Stop-loss, take-profit and trailing stop of every position.

    Attributes
    ----------
    used : bool
        Whether a lane's style has any.
    lower, upper : ndarray of float64, shape (L,)
        Between these a position stays open (see ``fills.protective_levels``).
    path : ndarray of int64, shape (L,)
        How each lane came by its position in the current bar: an ``EntryPath``.
    entered : ndarray of float64, shape (L,)
        At which price, where that was within the bar.
    """

    def __init__(self, ledger: Ledger, styles: StyleArrays) -> None:
        self._trails: Flags = by_lane(styles.trailing_stop > 0, np.bool_)
        self._some_trail = bool(self._trails.any())
        self.used = self._some_trail or bool(styles.stop_loss.any() or styles.take_profit.any())
        self._stop_loss = _inf_for_zero(styles.stop_loss)
        self._take_profit = _inf_for_zero(styles.take_profit)
        self._trailing_stop = _inf_for_zero(styles.trailing_stop)
        self.lower = np.full(ledger.lots.shape, -np.inf)
        self.upper = np.full(ledger.lots.shape, np.inf)
        self.path = np.full(ledger.lots.shape, EntryPath.FROM_OPEN, np.int64)
        self.entered = np.zeros(ledger.lots.shape)
        self._due = [ledger.lots.nonzero()[0]]
        self.settle(ledger)

    def set(self, lanes: Integers) -> None:
        """Note lanes whose position was opened or increased: their levels are due."""
        if self.used:
            self._due.append(lanes)

    def settle(self, ledger: Ledger) -> None:
        """Work out the levels that are due."""
        if self.used and self._due:
            lanes = self._due[0] if len(self._due) == 1 else np.concatenate(self._due)
            self._due.clear()
            self.lower[lanes], self.upper[lanes] = protective_levels(
                ledger.side[lanes],
                ledger.entry[lanes],
                np.abs(ledger.best[lanes]),
                self._stop_loss[lanes],
                self._take_profit[lanes],
                self._trailing_stop[lanes],
            )

    def clear(self, lanes: Integers) -> None:
        """Forget the levels of lanes whose position was closed."""
        if self.used:
            self.lower[lanes] = -np.inf
            self.upper[lanes] = np.inf

    def trail(self, ledger: Ledger) -> None:
        """Let trailing stops follow the close."""
        if self._some_trail:
            lanes = (self._trails & (ledger.side != 0)).nonzero()[0]
            if lanes.size:
                side = ledger.side[lanes]
                stop = ledger.best[lanes] * (1.0 - side * self._trailing_stop[lanes])
                long = side > 0
                bought, sold = lanes[long], lanes[~long]
                self.lower[bought] = np.maximum(self.lower[bought], stop[long])
                self.upper[sold] = np.minimum(self.upper[sold], -stop[~long])


def _inf_for_zero(distances: Floats) -> Floats:
    return np.where(by_lane(distances) > 0, by_lane(distances), np.inf)
