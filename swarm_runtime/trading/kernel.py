"""The broker's inner loop: all lanes of a block, one bar at a time.

A lane is one symbol of one account; lane ``s * A + a`` belongs to account a and symbol s, so sums
over an account's symbols run along whole rows. ``broker`` prepares a block, calls ``step`` for each
of its bars and reads the result; its docstring has the rules that are carried out here.

Why it looks as it does. NumPy costs about half a microsecond per operation on a few hundred lanes,
whatever their number, so the count of operations per bar is the cost. Marking to market and the
screening of risk limits run on all lanes in every bar; all else gathers the few lanes in which
something happens, and whole branches are skipped where no lane of the block uses a feature.

Why its bits don't depend on which accounts share a block. Whole cents are held in float64, exact
below 2**53, so sums over them are exact in any order; everything else is elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.fills import (
    EntryPath,
    order_prices,
    order_triggers,
    protective_exits,
    protective_levels,
    resting_fills,
)
from swarm_runtime.trading.orders import OrderType
from swarm_runtime.trading.risk import DRIFT_BAND, RiskCode, RiskLimits
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["Kernel", "Market"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


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
    reach_high, reach_low : ndarray of float64, shape (n, L)
        The same, but -inf and inf where there is no bar, so that nothing is reached.
    tradable : ndarray of bool, shape (n, L)
    all_tradable : bool
    """

    fill: Floats
    close: Floats
    previous_close: Floats
    high: Floats
    low: Floats
    reach_high: Floats
    reach_low: Floats
    tradable: Flags
    all_tradable: bool


class Kernel:
    """State of all lanes within a block.

    Parameters
    ----------
    accounts : Accounts
    market : Market
    targets : ndarray of float64, shape (A, n, S)
    styles : StyleArrays
    limits : RiskLimits
    fee : float
        Fraction of the notional.
    slippage : float
        Fraction of the price.
    first_bar : int
        Number of the block's first bar.
    """

    def __init__(
        self,
        accounts: Accounts,
        market: Market,
        targets: Floats,
        styles: StyleArrays,
        limits: RiskLimits,
        fee: float,
        slippage: float,
        first_bar: int,
    ) -> None:
        count, bars, symbols = targets.shape
        self.shape = (symbols, count)
        self.first_bar = first_bar
        self.market = market
        self.fee = fee
        self.slippage = slippage
        # An order is sized as if it were a buy: dearer by slippage and fee.
        self.dearer = 1.0 + slippage
        self.with_fee = 1.0 + fee
        self.account_of = np.tile(np.arange(count), symbols)

        self.lots = _lanes(accounts.lots)
        self.side = np.sign(self.lots)
        self.entry = _lanes(accounts.entry_cents)
        self.best = _lanes(accounts.best_cents) * self.side  # times side: better is always higher
        self.entry_bar = np.array(accounts.entry_bar.T, np.int64, order="C").ravel()
        self.flow = np.zeros(symbols * count)  # cash that each lane has brought since the start
        self.trade_base = -_lanes(accounts.trade_cents)  # the flow at which its trade began
        self.values = _lanes(accounts.value_cents)
        self.first_values = self.values.copy()
        self.cash = accounts.cash_cents.astype(np.float64)
        self.equity = self.cash + np.add.reduce(self.values.reshape(self.shape), axis=0)
        self.peak = accounts.peak_equity_cents.astype(np.float64)
        self.pause = accounts.pause_bars_left.copy()
        self.some_paused = bool(self.pause.any())
        self._scratch = np.empty(symbols * count)

        self.max_position = limits.max_position
        self.max_leverage = limits.max_leverage
        self.max_drawdown = limits.max_drawdown
        self.pause_bars = limits.pause_bars
        self._drift_position = 1.0 / (limits.max_position * (1.0 + DRIFT_BAND))
        self._drift_leverage = 1.0 / (limits.max_leverage * (1.0 + DRIFT_BAND))
        self._stop_equity = 1.0 - limits.max_drawdown

        self._schedule(accounts, targets)
        self._take_styles(accounts, styles)

        #: What happened: (row, lanes, cost), (row, lanes, entry bar, profit), (row, accounts,
        #: symbols, code, asked, allowed); cents and fractions.
        self.fill_log: list[tuple[int, Integers, Floats]] = []
        self.trade_log: list[tuple[int, Integers, Integers, Floats]] = []
        self.event_log: list[tuple[int, Integers, Integers, int, Floats, Floats]] = []

    # --- what is wanted ----------------------------------------------------------------------

    def _schedule(self, accounts: Accounts, targets: Floats) -> None:
        """Lay out, for all bars, which target is acted on and where it changes.

        The target acted on stands while a symbol isn't tradable, so a change waits for the next
        bar that is. Everything but a drawdown stop is known beforehand.
        """
        count, bars, symbols = targets.shape
        self.raw_targets = targets
        self.before = _lanes(accounts.last_target)
        shape = (bars, symbols, count)
        self.targets = np.array(targets.transpose(1, 2, 0), order="C").reshape(bars, -1)
        self.changed = np.empty(self.targets.shape, np.bool_)
        self.shares = np.empty(self.targets.shape)  # fraction of equity asked for, limited
        self.targets_3d = self.targets.reshape(shape)
        self.changed_3d = self.changed.reshape(shape)
        self.shares_3d = self.shares.reshape(shape)
        for account in np.flatnonzero(self.pause):
            self.targets_3d[: self.pause[account], :, account] = 0.0
        self._settle(0, slice(None))
        self.some_limited = bool((np.abs(targets) / symbols).max() > self.max_position.min())

    def _settle(self, row: int, accounts: slice) -> None:
        """Work out from ``row`` on what is acted on, where it changes, and its share of equity."""
        targets = self.targets_3d[row:, :, accounts]
        before = self.before.reshape(self.shape)[:, accounts]
        if row:
            before = self.targets_3d[row - 1, :, accounts]
        if not self.market.all_tradable:
            tradable = self.market.tradable.reshape(self.targets_3d.shape)[row:, :, accounts]
            for i in np.flatnonzero(~tradable.all(axis=(1, 2))):
                earlier = targets[i - 1] if i else before
                targets[i] = np.where(tradable[i], targets[i], earlier)
        changed = self.changed_3d[row:, :, accounts]
        changed[0] = targets[0] != before
        np.not_equal(targets[1:], targets[:-1], out=changed[1:])
        self.shares_3d[row:, :, accounts] = np.minimum(
            np.abs(targets) / self.shape[0], self.max_position[accounts]
        )

    def _stop_trading(self, row: int, account: int) -> None:
        """Flatten an account at bar ``row`` and keep it flat for its pause."""
        pause = int(self.pause_bars[account])
        self.pause[account] = pause
        self.some_paused = True
        self.targets_3d[row:, :, account] = self.raw_targets[account, row:]
        self.targets_3d[row : row + pause, :, account] = 0.0
        self._settle(row, slice(account, account + 1))

    def _take_styles(self, accounts: Accounts, styles: StyleArrays) -> None:
        self.order_type = np.array(accounts.order_type.T, np.int64, order="C").ravel()
        self.some_resting = bool(self.order_type.any())
        self.uses_orders = self.some_resting or bool(styles.order_type.any())
        self.uses_protection = bool(
            styles.stop_loss.any() or styles.take_profit.any() or styles.trailing_stop.any()
        )
        self.order_limit = _lanes(accounts.order_limit_cents)
        self.order_stop = _lanes(accounts.order_stop_cents)
        self.order_bars = np.array(accounts.order_bars_left.T, np.int64, order="C").ravel()
        if self.uses_orders:
            self.style_type = np.array(styles.order_type.T, np.int64, order="C").ravel()
            self.limit_offset = _lanes(styles.limit_offset)
            self.stop_offset = _lanes(styles.stop_offset)
            self.good_for = np.array(styles.good_for_bars.T, np.int64, order="C").ravel()
            self.order_lower, self.order_upper = order_triggers(
                self.order_type, np.sign(self.before), self.order_limit, self.order_stop
            )
        # A lane without protection, or without a position, never leaves (-inf, inf).
        self.lower = np.full(self.lots.shape, -np.inf)
        self.upper = np.full(self.lots.shape, np.inf)
        self.path = np.zeros(self.lots.shape, np.int64)
        self.entered = np.zeros(self.lots.shape)
        if self.uses_protection:
            self.stop_loss = _lanes(styles.stop_loss)
            self.take_profit = _lanes(styles.take_profit)
            self.trailing_stop = _lanes(styles.trailing_stop)
            self.trails = self.trailing_stop > 0
            self.uses_trailing = bool(self.trails.any())
            self._set_levels(np.flatnonzero(self.lots))

    # --- one bar -----------------------------------------------------------------------------

    def step(self, row: int) -> None:
        """Carry out bar ``row`` of the block."""
        self._check_limits(row)
        lanes = self.changed[row].nonzero()[0]
        if lanes.size:
            self._trade(row, lanes)
        if self.some_resting:
            self._work_orders(row)
        if self.uses_protection:
            self._protect(row)
        self._close(row)

    def _mark(self, prices: Floats) -> None:
        """Value positions at ``prices``; sets ``values`` and ``equity``."""
        values = self.values
        np.multiply(self.lots, prices, out=values)
        np.rint(values, out=values)
        np.add(values, self.flow, out=self._scratch)
        self.equity = self.cash + np.add.reduce(self._scratch.reshape(self.shape), axis=0)

    def _close(self, row: int) -> None:
        close = self.market.close[row]
        self._mark(close)
        self.peak = np.maximum(self.peak, self.equity)
        np.multiply(self.side, close, out=self._scratch)
        np.maximum(self.best, self._scratch, out=self.best)
        if self.uses_protection and self.uses_trailing:
            self._set_levels((self.trails & (self.side != 0)).nonzero()[0])
        if self.some_paused:
            paused = self.pause > 0
            self.peak = np.where(paused, self.equity, self.peak)
            self.pause -= paused
            self.some_paused = bool(self.pause.any())

    # --- risk limits -------------------------------------------------------------------------

    def _check_limits(self, row: int) -> None:
        """Look at the last close for limits that are passed, and cut at this bar's fill price."""
        sizes = np.abs(self.values, out=self._scratch).reshape(self.shape)
        largest = np.maximum.reduce(sizes, axis=0)
        gross = np.add.reduce(sizes, axis=0)
        # Whether an account holds too much (drift), or has too little left (drawdown).
        too_much = np.maximum(largest * self._drift_position, gross * self._drift_leverage)
        passed = (too_much > self.equity) | (self.equity <= self.peak * self._stop_equity)
        if not np.count_nonzero(passed):
            return
        # The screening is coarse where equity is not positive; from here on it is exact.
        equity = np.maximum(self.equity, 0.0)
        stopped = (self.peak > 0) & (self.equity <= self.peak * self._stop_equity)
        for account in np.flatnonzero(stopped):
            self._stop_trading(row, int(account))
        if stopped.any():
            at = np.flatnonzero(stopped)
            fallen = 1.0 - self.equity[at] / self.peak[at]
            whole = np.full(at.size, -1, np.int64)
            self.event_log.append(
                (row, at, whole, RiskCode.DRAWDOWN, fallen, self.max_drawdown[at])
            )
        # Lanes that trade anyway in this bar are sized within the limits there.
        free = (self.market.tradable[row] & ~self.changed[row]).reshape(self.shape)
        too_large = (sizes * self._drift_position > equity) & free
        too_geared = ~stopped & (gross * self._drift_leverage > equity)
        asked = self.values / np.maximum(equity, 1.0)[self.account_of]
        geared = gross / np.maximum(equity, 1.0)
        if too_large.any():
            self._cut_positions(row, np.flatnonzero(too_large.ravel()), asked)
        if too_geared.any():
            self._cut_leverage(row, too_geared, free.ravel(), geared)

    def _cut_positions(self, row: int, lanes: Integers, asked: Floats) -> None:
        quote = self.market.fill[row]
        self._mark(quote)
        account = self.account_of[lanes]
        quote = quote[lanes]
        budget = self.max_position[account] * np.maximum(self.equity, 0.0)[account]
        held = self.lots[lanes]
        closing = np.abs(held) - np.floor(budget / (quote * self.dearer * self.with_fee))
        keep = closing > 0
        lanes, account, asked = lanes[keep], account[keep], asked[lanes][keep]
        self._reduce(row, lanes, held[keep], closing[keep], quote[keep], self.slippage)
        self.event_log.append(
            (
                row,
                account,
                lanes // self.shape[1],
                RiskCode.DRIFT_POSITION,
                asked,
                np.sign(asked) * self.max_position[account],
            )
        )

    def _cut_leverage(self, row: int, accounts: Flags, free: Flags, geared: Floats) -> None:
        quote = self.market.fill[row]
        self._mark(quote)
        gross = self._gross()
        allowed = self.max_leverage * np.maximum(self.equity, 0.0)
        accounts = accounts & (gross > allowed)
        factor = allowed / np.maximum(gross, 1.0)
        lanes = np.flatnonzero(free & accounts[self.account_of] & (self.lots != 0))
        held = self.lots[lanes]
        size = np.abs(held)
        closing = size - np.floor(size * factor[self.account_of[lanes]])
        keep = closing > 0
        self._reduce(row, lanes[keep], held[keep], closing[keep], quote[lanes][keep], self.slippage)
        at = np.unique(self.account_of[lanes[keep]])
        whole = np.full(at.size, -1, np.int64)
        self.event_log.append(
            (row, at, whole, RiskCode.DRIFT_LEVERAGE, geared[at], self.max_leverage[at])
        )

    def _gross(self) -> Floats:
        sizes = np.abs(self.values, out=self._scratch)
        gross: Floats = np.add.reduce(sizes.reshape(self.shape), axis=0)
        return gross

    # --- orders ------------------------------------------------------------------------------

    def _trade(self, row: int, lanes: Integers) -> None:
        """Act on changed targets: close at the market, open at the market or place an order."""
        fill = self.market.fill[row]
        self._mark(fill)
        account = self.account_of[lanes]
        quote = fill[lanes]
        target = self.targets[row][lanes]
        share = self.shares[row][lanes]
        held = self.lots[lanes]
        size = np.abs(held)
        budget = share * np.maximum(self.equity, 0.0)[account]
        wanted = np.floor(budget / (quote * self.dearer * self.with_fee))
        # What stays: nothing if the side turns, else at most what is held or wanted.
        kept = np.minimum(size, wanted) * (held * target > 0)
        if self.some_limited:
            self._report_limited(row, lanes, account, target)
        if self.some_resting:
            self._cancel(lanes)
        closing = size - kept
        if np.count_nonzero(closing):
            part = closing.nonzero()[0]
            self._reduce(row, lanes[part], held[part], closing[part], quote[part], self.slippage)
            self._mark(fill)
        opening = wanted > kept
        if self.uses_orders:
            waits = opening & (self.style_type[lanes] != OrderType.MARKET)
            if np.count_nonzero(waits):
                opening &= ~waits
                self._place(row, lanes[waits], np.sign(target[waits]))
        part = opening.nonzero()[0]
        if part.size:
            side = np.sign(target[part])
            self._increase(row, lanes[part], side, share[part], quote[part], self.slippage)

    def _report_limited(
        self, row: int, lanes: Integers, account: Integers, target: Floats
    ) -> None:
        asked = target / self.shape[0]
        allowed = self.max_position[account]
        cut = (np.abs(asked) > allowed).nonzero()[0]
        if cut.size:
            self.event_log.append(
                (
                    row,
                    account[cut],
                    lanes[cut] // self.shape[1],
                    RiskCode.ORDER_POSITION,
                    asked[cut],
                    np.sign(asked[cut]) * allowed[cut],
                )
            )

    def _reduce(
        self,
        row: int,
        lanes: Integers,
        held: Floats,
        closing: Floats,
        quote: Floats,
        slippage: float | Floats,
    ) -> None:
        """Sell (or cover) ``closing`` > 0 of the ``held`` lots."""
        side = np.sign(held)
        price = quote * (1.0 - side * slippage)
        notional = np.rint(closing * price)
        fee = np.rint(notional * self.fee)
        flow = self.flow[lanes] + (side * notional - fee)
        self.flow[lanes] = flow
        self.fill_log.append((row, lanes, fee + np.abs(np.rint(closing * quote) - notional)))
        left = held - side * closing
        self.lots[lanes] = left
        flat = (left == 0).nonzero()[0]
        if flat.size:
            closed = lanes[flat]
            profit = flow[flat] - self.trade_base[closed]
            self.trade_log.append((row, closed, self.entry_bar[closed], profit))
            self.side[closed] = 0.0
            self.entry[closed] = 0.0
            self.best[closed] = 0.0
            self.entry_bar[closed] = -1
            if self.uses_protection:
                self.lower[closed] = -np.inf
                self.upper[closed] = np.inf

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

        Equity and the other positions are those of the last ``_mark``, at this bar's fill price.
        """
        account = self.account_of[lanes]
        equity = np.maximum(self.equity, 0.0)
        budget = share * equity[account]
        size = np.abs(self.lots[lanes])
        dear = quote * (1.0 + slippage)
        unit = dear * self.with_fee
        more = np.maximum(np.floor(budget / unit) - size, 0.0)
        cost = self._cost(more, dear)
        # Rounding of notional and fee to whole cents may have passed the budget by a cent or two.
        over = (size * unit + cost > budget) & (more > 0)
        if np.count_nonzero(over):
            more = np.where(over, np.maximum(more - np.maximum(np.ceil(2.0 / unit), 1.0), 0.0), more)
            cost = self._cost(more, dear)
        need = np.bincount(account, cost, equity.size)
        room = self.max_leverage * equity - self._gross()
        short = need > room
        if np.count_nonzero(short):
            # Three cents a symbol are left for the rounding of the smaller orders.
            margin = 3.0 * self.shape[0]
            factor = np.maximum(room - margin, 0.0) / np.maximum(need, 1.0)
            cut = (short[account] & (more > 0)).nonzero()[0]
            worth = (side * unit / np.maximum(equity, 1.0)[account])[cut]
            asked = (size + more)[cut] * worth
            more[cut] = np.floor(more[cut] * factor[account[cut]])
            self.event_log.append(
                (
                    row,
                    account[cut],
                    lanes[cut] // self.shape[1],
                    RiskCode.ORDER_LEVERAGE,
                    asked,
                    (size + more)[cut] * worth,
                )
            )
        fills = more > 0
        if np.count_nonzero(fills) < fills.size:
            lanes, side, more, size = lanes[fills], side[fills], more[fills], size[fills]
            quote = quote[fills]
            if isinstance(slippage, np.ndarray):
                slippage = slippage[fills]
        self._open(row, lanes, side, more, size, quote, slippage)
        return fills

    def _cost(self, lots: Floats, price: Floats) -> Floats:
        notional = np.rint(lots * price)
        return notional + np.rint(notional * self.fee)

    def _open(
        self,
        row: int,
        lanes: Integers,
        side: Floats,
        more: Floats,
        size: Floats,
        quote: Floats,
        slippage: float | Floats,
    ) -> None:
        price = quote * (1.0 + side * slippage)
        notional = np.rint(more * price)
        fee = np.rint(notional * self.fee)
        before = self.flow[lanes]
        self.flow[lanes] = before - (side * notional + fee)
        self.fill_log.append((row, lanes, fee + np.abs(np.rint(more * quote) - notional)))
        whole = size + more
        fresh = size == 0
        entry, best, bars = price, side * price, np.int64(self.first_bar + row)
        if np.count_nonzero(fresh) == fresh.size:
            self.trade_base[lanes] = before
            self.best[lanes] = best
            self.entry_bar[lanes] = bars
        else:
            entry = np.where(fresh, price, (self.entry[lanes] * size + price * more) / whole)
            self.trade_base[lanes] = np.where(fresh, before, self.trade_base[lanes])
            self.best[lanes] = np.where(fresh, best, self.best[lanes])
            self.entry_bar[lanes] = np.where(fresh, bars, self.entry_bar[lanes])
        self.lots[lanes] = side * whole
        self.side[lanes] = side
        self.entry[lanes] = entry
        if self.uses_protection:
            self._set_levels(lanes)

    # --- resting orders ----------------------------------------------------------------------

    def _place(self, row: int, lanes: Integers, side: Floats) -> None:
        kind = self.style_type[lanes]
        limit, stop = order_prices(
            kind,
            side,
            self.market.previous_close[row][lanes],
            self.limit_offset[lanes],
            self.stop_offset[lanes],
        )
        self.order_type[lanes] = kind
        self.order_limit[lanes] = limit
        self.order_stop[lanes] = stop
        self.order_bars[lanes] = self.good_for[lanes]
        self.order_lower[lanes], self.order_upper[lanes] = order_triggers(kind, side, limit, stop)
        self.some_resting = True

    def _cancel(self, lanes: Integers) -> None:
        self.order_type[lanes] = 0
        self.order_limit[lanes] = 0.0
        self.order_stop[lanes] = 0.0
        self.order_bars[lanes] = 0
        self.order_lower[lanes] = -np.inf
        self.order_upper[lanes] = np.inf

    def _work_orders(self, row: int) -> None:
        market = self.market
        reached = (market.reach_low[row] <= self.order_lower) | (
            market.reach_high[row] >= self.order_upper
        )
        if np.count_nonzero(reached):
            self._fill_orders(row, reached.nonzero()[0])
        rests = self.order_type > 0
        self.order_bars -= rests & market.tradable[row]
        expired = (rests & (self.order_bars == 0)).nonzero()[0]
        if expired.size:
            self._cancel(expired)
        self.some_resting = bool(np.count_nonzero(self.order_type))

    def _fill_orders(self, row: int, lanes: Integers) -> None:
        market = self.market
        kind, target = self.order_type[lanes], self.targets[row][lanes]
        side = np.sign(target)
        limit, stop = self.order_limit[lanes], self.order_stop[lanes]
        opened = market.fill[row][lanes]
        filled, quote, slips, path = resting_fills(
            kind, side, limit, stop, opened, market.high[row][lanes], market.low[row][lanes]
        )
        waits = lanes[~filled]
        if waits.size:
            # A stop-limit whose stop was reached is a limit order from now on.
            self.order_type[waits] = OrderType.LIMIT
            self.order_stop[waits] = 0.0
            self.order_lower[waits], self.order_upper[waits] = order_triggers(
                self.order_type[waits], side[~filled], limit[~filled], stop[~filled]
            )
        # A position that is due to leave before the order's price is reached takes its order along.
        lower, upper = self.lower[lanes], self.upper[lanes]
        leaves = (quote <= lower) | (quote >= upper) | (opened <= lower) | (opened >= upper)
        goes = (filled & ~leaves).nonzero()[0]
        self._cancel(lanes[filled])
        if not goes.size:
            return
        lanes = lanes[goes]
        self._mark(market.fill[row])
        entered = self._increase(
            row,
            lanes,
            side[goes],
            self.shares[row][lanes],
            quote[goes],
            self.slippage * slips[goes],
        )
        self.path[lanes] = path[goes] * entered
        self.entered[lanes] = quote[goes]

    # --- protection --------------------------------------------------------------------------

    def _set_levels(self, lanes: Integers) -> None:
        if lanes.size:
            self.lower[lanes], self.upper[lanes] = protective_levels(
                self.side[lanes],
                self.entry[lanes],
                np.abs(self.best[lanes]),
                self.stop_loss[lanes],
                self.take_profit[lanes],
                self.trailing_stop[lanes],
            )

    def _protect(self, row: int) -> None:
        market = self.market
        reached = (market.reach_low[row] <= self.lower) | (market.reach_high[row] >= self.upper)
        if np.count_nonzero(reached):
            lanes = reached.nonzero()[0]
            exits, quote, slips = protective_exits(
                self.side[lanes],
                self.lower[lanes],
                self.upper[lanes],
                self.path[lanes],
                self.entered[lanes],
                market.fill[row][lanes],
                market.high[row][lanes],
                market.low[row][lanes],
                market.close[row][lanes],
            )
            part = exits.nonzero()[0]
            if part.size:
                lanes = lanes[part]
                held = self.lots[lanes]
                slippage = self.slippage * slips[part]
                self._reduce(row, lanes, held, np.abs(held), quote[part], slippage)
                if self.some_resting:
                    self._cancel(lanes)
        if self.uses_orders:
            self.path.fill(EntryPath.FROM_OPEN)


def _lanes(array: npt.NDArray[np.generic]) -> Floats:
    """Return an (A, S) array as float64 by lane."""
    return np.array(array.T, np.float64, order="C").ravel()
