"""The broker's inner loop: all lanes of a block, one bar at a time.

``broker`` prepares a block, calls ``step`` for each of its bars and reads the result; its docstring
has the rules that are carried out here. Below: ``schedule`` (what is wanted), ``ledger`` (what is
held), ``resting`` (what waits for a price), ``fills`` (price rules), ``risk``.

Why it looks as it does. NumPy costs about half a microsecond per operation on a few hundred lanes,
whatever their number, so the count of operations per bar is the cost. Marking to market and the
screening of risk limits run on all lanes in every bar; all else gathers the few lanes in which
something happens, and whole branches are skipped where no lane of the block uses a feature.

Everything is elementwise, or a sum of whole cents: no bit depends on who else is in the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.accounts import Accounts, by_account
from swarm_runtime.trading.batches import Batches
from swarm_runtime.trading.fills import Costs, EntryPath, protective_exits, resting_fills
from swarm_runtime.trading.ledger import Ledger
from swarm_runtime.trading.orders import OrderType
from swarm_runtime.trading.resting import Protection, RestingOrders
from swarm_runtime.trading.risk import DRIFT_BAND, RiskCode, RiskLimits
from swarm_runtime.trading.schedule import Schedule
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["Kernel", "Market"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_MARKET = int(OrderType.MARKET)


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Prices of a block of n bars, in cents per lot, spread over the L lanes.

    Attributes
    ----------
    fill : ndarray of float64, shape (n, L)
        Where market orders are filled and orders are sized: the open, or the close.
    close : ndarray of float64, shape (n, L)
    previous_close : ndarray of float64, shape (n, L)
        Row i is the close before bar i.
    high, low : ndarray of float64, shape (n, L)
        -inf and inf where there is no bar, so that nothing is reached.
    tradable : ndarray of bool, shape (n, L)
    """

    fill: Floats
    close: Floats
    previous_close: Floats
    high: Floats
    low: Floats
    tradable: Flags


class Kernel:
    """State of all lanes within a block.

    Parameters
    ----------
    accounts : Accounts
    market : Market
    schedule : Schedule
    styles : StyleArrays
    limits : RiskLimits
    costs : Costs
    first_bar : int
        Number of the block's first bar.

    Attributes
    ----------
    ledger : Ledger
    orders : RestingOrders
    peak : ndarray of float64, shape (A,)
    pause : ndarray of int64, shape (A,)
    events : Batches
        Every cut: account, symbol, code, asked, allowed.
    """

    def __init__(
        self,
        accounts: Accounts,
        market: Market,
        schedule: Schedule,
        styles: StyleArrays,
        limits: RiskLimits,
        costs: Costs,
        first_bar: int,
    ) -> None:
        fee = costs.fee_bps * 1e-4
        self.market = market
        self.schedule = schedule
        self.limits = limits
        self.ledger = Ledger(accounts, fee)
        self.orders = RestingOrders(accounts, styles)
        self.protection = Protection(self.ledger, styles)
        self.peak = accounts.peak_equity_cents.astype(np.float64)
        self.pause = accounts.pause_bars_left.copy()
        self.events = Batches(np.int64, np.int64, np.int64, np.float64, np.float64)
        self._some_paused = bool(self.pause.any())
        self._first_bar = first_bar
        self._slippage = costs.slippage_bps * 1e-4
        # Orders are sized as if they were buys: dearer by slippage and fee.
        self._dearer, self._with_fee = 1.0 + self._slippage, 1.0 + fee
        self._drift_position = 1.0 / (limits.max_position * (1.0 + DRIFT_BAND))
        self._drift_leverage = 1.0 / (limits.max_leverage * (1.0 + DRIFT_BAND))
        self._left_at_stop = 1.0 - limits.max_drawdown

    def step(self, row: int) -> None:
        """Carry out bar ``row`` of the block."""
        self._check_limits(row)
        lanes = self.schedule.changed[row].nonzero()[0]
        if lanes.size:
            self._trade(row, lanes)
        if self.orders.some:
            self._work_orders(row)
        if self.protection.used:
            self._protect(row)
        ledger = self.ledger
        ledger.close(self.market.close[row])
        self.peak = np.maximum(self.peak, ledger.equity)
        if self.protection.used:
            self.protection.trail(ledger)
        if self._some_paused:
            paused = self.pause > 0
            self.peak = np.where(paused, ledger.equity, self.peak)
            self.pause -= paused
            self._some_paused = bool(self.pause.any())

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all fields of ``Accounts``."""
        return {
            "peak_equity_cents": self.peak.astype(np.int64),
            "pause_bars_left": self.pause,
            "last_target": by_account(self.schedule.targets[-1], self.ledger.accounts),
            **self.ledger.arrays(),
            **self.orders.arrays(),
        }

    # --- risk limits -------------------------------------------------------------------------

    def _check_limits(self, row: int) -> None:
        """Look at the last close for limits that are passed, and cut at this bar's fill price."""
        ledger = self.ledger
        largest, gross = ledger.exposure()
        too_much = np.maximum(largest * self._drift_position, gross * self._drift_leverage)
        passed = (too_much > ledger.equity) | (ledger.equity <= self.peak * self._left_at_stop)
        if np.count_nonzero(passed):
            self._cut(row, gross)

    def _cut(self, row: int, gross: Floats) -> None:
        # The screening is coarse where equity is not positive; from here on it is exact.
        ledger, limits = self.ledger, self.limits
        equity = np.maximum(ledger.equity, 0.0)
        stopped = (self.peak > 0) & (ledger.equity <= self.peak * self._left_at_stop)
        if stopped.any():
            at = stopped.nonzero()[0]
            self.pause[at] = limits.pause_bars[at]
            self._some_paused = True
            for account in at:
                self.schedule.pause(row, int(account), int(limits.pause_bars[account]))
            fallen = 1.0 - ledger.equity[at] / self.peak[at]
            self._report(row, RiskCode.DRAWDOWN, at, None, fallen, limits.max_drawdown[at])
        # Lanes that trade anyway in this bar are sized within the limits there.
        free = self.market.tradable[row] & ~self.schedule.changed[row]
        relative = ledger.values / np.maximum(equity, 1.0)[ledger.account_of]
        excess = np.abs(ledger.values) * self._drift_position[ledger.account_of]
        lanes = (free & (excess > equity[ledger.account_of])).nonzero()[0]
        geared = (gross * self._drift_leverage > equity).nonzero()[0]
        if lanes.size:
            self._cut_positions(row, lanes, relative[lanes])
        if geared.size:
            self._cut_leverage(row, geared, free, gross[geared] / np.maximum(equity[geared], 1.0))

    def _cut_positions(self, row: int, lanes: Integers, reached: Floats) -> None:
        """Reduce positions to ``max_position`` at the prices of this bar."""
        ledger, prices = self.ledger, self.market.fill[row]
        ledger.mark(prices)
        account = ledger.account_of[lanes]
        allowed = self.limits.max_position[account]
        budget = allowed * np.maximum(ledger.equity, 0.0)[account]
        closing = np.abs(ledger.lots[lanes]) - np.floor(
            budget / (prices[lanes] * self._dearer * self._with_fee)
        )
        cut = closing > 0  # a gap may have mended it
        if self._sell(row, lanes[cut], closing[cut], prices):
            self._report(
                row,
                RiskCode.DRIFT_POSITION,
                account[cut],
                lanes[cut],
                reached[cut],
                np.sign(reached[cut]) * allowed[cut],
            )

    def _cut_leverage(self, row: int, accounts: Integers, free: Flags, reached: Floats) -> None:
        """Reduce all free positions of some accounts in proportion, to ``max_leverage``."""
        ledger, prices = self.ledger, self.market.fill[row]
        ledger.mark(prices)
        gross = ledger.gross()
        factor = np.ones(ledger.accounts)
        allowed = self.limits.max_leverage[accounts] * np.maximum(ledger.equity[accounts], 0.0)
        factor[accounts] = np.minimum(allowed / np.maximum(gross[accounts], 1.0), 1.0)
        size = np.abs(ledger.lots)
        closing = np.where(free, size - np.floor(size * factor[ledger.account_of]), 0.0)
        lanes = closing.nonzero()[0]
        if self._sell(row, lanes, closing[lanes], prices):
            cut = np.isin(accounts, ledger.account_of[lanes])
            at = accounts[cut]
            self._report(
                row, RiskCode.DRIFT_LEVERAGE, at, None, reached[cut], self.limits.max_leverage[at]
            )

    def _sell(self, row: int, lanes: Integers, closing: Floats, prices: Floats) -> bool:
        """Reduce positions at the market; return whether there was one to reduce."""
        if not lanes.size:
            return False
        ledger = self.ledger
        self.protection.clear(
            ledger.reduce(row, lanes, ledger.lots[lanes], closing, prices[lanes], self._slippage)
        )
        return True

    def _report(
        self,
        row: int,
        code: RiskCode,
        accounts: Integers,
        lanes: Integers | None,
        asked: Floats,
        allowed: Floats,
    ) -> None:
        """Log cuts in some lanes; None: of whole accounts."""
        if lanes is None:
            symbols = np.full(accounts.shape, -1, np.int64)
        else:
            symbols = lanes // self.ledger.accounts
        codes = np.full(accounts.shape, int(code), np.int64)
        self.events.add(row, accounts, symbols, codes, asked, allowed)

    # --- orders ------------------------------------------------------------------------------

    def _trade(self, row: int, lanes: Integers) -> None:
        """Act on changed targets: close at the market, open at the market or place an order."""
        ledger, orders, prices = self.ledger, self.orders, self.market.fill[row]
        ledger.mark(prices)
        account = ledger.account_of[lanes]
        quote = prices[lanes]
        target = self.schedule.targets[row][lanes]
        share = self.schedule.shares[row][lanes]
        held = ledger.lots[lanes]
        size = np.abs(held)
        budget = share * np.maximum(ledger.equity, 0.0)[account]
        wanted = np.floor(budget / (quote * self._dearer * self._with_fee))
        # What stays: nothing if the side turns, else at most what is held or wanted.
        kept = np.minimum(size, wanted) * (held * target > 0)
        if self.schedule.some_limited:
            self._report_limited(row, lanes, account, target)
        orders.cancel(lanes)
        closing = size - kept
        part = closing.nonzero()[0]
        if part.size:
            flat = ledger.reduce(
                row, lanes[part], held[part], closing[part], quote[part], self._slippage
            )
            self.protection.clear(flat)
            ledger.mark(prices)
        opening = wanted > kept
        if orders.used:
            waits = opening & (orders.style[lanes] != _MARKET)
            if np.count_nonzero(waits):
                opening &= ~waits
                later = lanes[waits]
                close = self.market.previous_close[row][later]
                orders.place(later, np.sign(target[waits]), close)
        part = opening.nonzero()[0]
        if part.size:
            side = np.sign(target[part])
            self._increase(row, lanes[part], side, share[part], quote[part], self._slippage)

    def _report_limited(self, row: int, lanes: Integers, account: Integers, target: Floats) -> None:
        asked = target / self.ledger.symbols
        allowed = self.limits.max_position[account]
        cut = (np.abs(asked) > allowed).nonzero()[0]
        if cut.size:
            self._report(
                row,
                RiskCode.ORDER_POSITION,
                account[cut],
                lanes[cut],
                asked[cut],
                np.sign(asked[cut]) * allowed[cut],
            )

    def _increase(
        self,
        row: int,
        lanes: Integers,
        side: Floats,
        share: Floats,
        quote: Floats,
        slippage: float | Floats,
    ) -> Flags:
        """Buy (or short) up to ``share`` of equity, within leverage; return which lanes did.

        Equity and the other positions are those of the last mark, at this bar's fill price.
        """
        ledger = self.ledger
        account = ledger.account_of[lanes]
        equity = np.maximum(ledger.equity, 0.0)
        budget = share * equity[account]
        size = np.abs(ledger.lots[lanes])
        dear = quote * (1.0 + slippage)
        unit = dear * self._with_fee
        more = np.maximum(np.floor(budget / unit) - size, 0.0)
        cost = ledger.cost(more, dear)
        # Rounding notional and fee to whole cents may have passed the budget by a cent or two.
        over = size * unit + cost > budget
        if np.count_nonzero(over):
            fewer = np.maximum(more - np.maximum(np.ceil(2.0 / unit), 1.0), 0.0)
            more = np.where(over, fewer, more)
            cost = ledger.cost(more, dear)
        need = ledger.sum_by_account(lanes, cost)
        room = self.limits.max_leverage * equity - ledger.gross()
        short = need > room
        if np.count_nonzero(short):
            more = self._share_leverage(row, lanes, side, unit, size, more, short, need, room)
        fills: Flags = more > 0
        filled = np.count_nonzero(fills)
        if not filled:
            return fills
        if filled < fills.size:
            lanes, side, quote = lanes[fills], side[fills], quote[fills]
            size, more = size[fills], more[fills]
            if isinstance(slippage, np.ndarray):
                slippage = slippage[fills]
        ledger.increase(row, self._first_bar + row, lanes, side, size, more, quote, slippage)
        self.protection.set(lanes)
        return fills

    def _share_leverage(
        self,
        row: int,
        lanes: Integers,
        side: Floats,
        unit: Floats,
        size: Floats,
        more: Floats,
        short: Flags,
        need: Floats,
        room: Floats,
    ) -> Floats:
        """Return smaller orders for accounts that are ``short`` of leverage."""
        ledger = self.ledger
        # Three cents a symbol are left for the rounding of the smaller orders.
        factor = np.maximum(room - 3.0 * ledger.symbols, 0.0) / np.maximum(need, 1.0)
        account = ledger.account_of[lanes]
        cut = (short[account] & (more > 0)).nonzero()[0]
        account = account[cut]
        worth = side[cut] * unit[cut] / np.maximum(ledger.equity[account], 1.0)
        asked = (size + more)[cut] * worth
        more = more.copy()
        more[cut] = np.floor(more[cut] * factor[account])
        granted = (size + more)[cut] * worth
        self._report(row, RiskCode.ORDER_LEVERAGE, account, lanes[cut], asked, granted)
        return more

    # --- what waits for a price --------------------------------------------------------------

    def _work_orders(self, row: int) -> None:
        market, orders = self.market, self.orders
        reached = (market.low[row] <= orders.lower) | (market.high[row] >= orders.upper)
        if np.count_nonzero(reached):
            self._fill_orders(row, reached.nonzero()[0])
        orders.age(market.tradable[row])

    def _fill_orders(self, row: int, lanes: Integers) -> None:
        market, orders, protection = self.market, self.orders, self.protection
        prices = market.fill[row]
        side = np.sign(self.schedule.targets[row][lanes])
        opened = prices[lanes]
        filled, quote, slips, path = resting_fills(
            orders.kind[lanes],
            side,
            orders.limit[lanes],
            orders.stop[lanes],
            opened,
            market.high[row][lanes],
            market.low[row][lanes],
        )
        waits = ~filled
        if np.count_nonzero(waits):
            orders.become_limits(lanes[waits], side[waits])
        orders.cancel(lanes[filled])
        # A position that leaves before the order's price is reached takes its order along.
        if protection.used:
            stays = np.minimum(quote, opened) > protection.lower[lanes]
            stays &= np.maximum(quote, opened) < protection.upper[lanes]
            goes = (filled & stays).nonzero()[0]
        else:
            goes = filled.nonzero()[0]
        if not goes.size:
            return
        lanes, quote = lanes[goes], quote[goes]
        self.ledger.mark(prices)
        share = self.schedule.shares[row][lanes]
        slippage = np.where(slips[goes], self._slippage, 0.0)
        entered = self._increase(row, lanes, side[goes], share, quote, slippage)
        protection.path[lanes] = np.where(entered, path[goes], EntryPath.FROM_OPEN)
        protection.entered[lanes] = quote

    def _protect(self, row: int) -> None:
        market, ledger, protection = self.market, self.ledger, self.protection
        protection.settle(ledger)
        reached = (market.low[row] <= protection.lower) | (market.high[row] >= protection.upper)
        if np.count_nonzero(reached):
            lanes = reached.nonzero()[0]
            exits, quote, slips = protective_exits(
                ledger.side[lanes],
                protection.lower[lanes],
                protection.upper[lanes],
                protection.path[lanes],
                protection.entered[lanes],
                market.fill[row][lanes],
                market.high[row][lanes],
                market.low[row][lanes],
                market.close[row][lanes],
            )
            part = exits.nonzero()[0]
            if part.size:
                lanes = lanes[part]
                held = ledger.lots[lanes]
                slippage = np.where(slips[part], self._slippage, 0.0)
                ledger.reduce(row, lanes, held, np.abs(held), quote[part], slippage)
                protection.clear(lanes)
                self.orders.cancel(lanes)
        if self.orders.used:
            protection.path.fill(EntryPath.FROM_OPEN)
