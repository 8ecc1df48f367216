"""The broker: carries out targets over a block of bars, with orders, costs, limits and accounting.

``run_block`` is a pure function of accounts and a block: one wide kernel over all accounts and
symbols, so the host that runs many agents calls it once. Splitting a run into blocks, or accounts
into batches, changes no bit of the result. Below: ``kernel`` (the loop), ``fills`` (price rules),
``risk`` (limits), ``schedule``, ``styles``, ``accounts``, ``bars``. Above: ``desk``.

Rules
-----
*Calendar.* A target decided at the close of bar t-1 is acted on in bar t. Market orders are filled
at its open (or, with ``fill_at="close"``, at its close).

*Orders.* A target w in [-1, 1] of a symbol stands for w · equity / S, so that an account with all
|w| = 1 is invested once. An order is sent when the target differs from the one acted on last, and
then only: what prices do to a position meanwhile is not rebalanced. A symbol without a bar keeps
its order waiting; what is acted on then is the target that stands by then.

*Size.* Positions are whole lots, rounded down. An order is sized at its fill price, slippage and
fee included, from equity marked at the bar's fill price (open or close); so one symbol with w = 1
spends all cash and never more. What is to be closed is closed first, and its costs lessen what is
opened. Shorts are sized as if they were bought, and pay no borrow cost (not modelled). A flip is
a close and an open: two fills, one closed trade. When orders of one account together pass the
leverage left, all shrink in proportion.

*Order types.* ``orders.OrderStyle`` says which type opens or increases a position, and how it is
protected. What reduces a position is always a market order. Prices inside a bar: ``fills``. Within
one bar come, in this order: cuts of risk limits, market orders, resting orders, protective exits,
the close. A resting order is sized when it is filled, by the equity marked at that bar's open, and
lives ``good_for_bars`` *tradable* bars. A position that leaves before its resting order's price is
reached takes the order along. After a protective exit the lane stays flat until its target
changes. A trailing stop moves with closes, so it acts from the next bar on.

*Costs.* Fee and slippage are paid per fill, each rounded to whole cents; ``cost_cents`` is their
sum against the quoted price.

*Money.* Equity is cash + Σ rint(lots · lot_shares · price · 100), in whole cents throughout, and
the profits of the symbols add up to the change in equity to the cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import ConfigError
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.kernel import Kernel, Market
from swarm_runtime.trading.risk import RiskEvents, RiskLimits
from swarm_runtime.trading.schedule import Schedule
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["BlockResult", "ClosedTrades", "run_block"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: From here on a float64 can't tell neighbouring cents apart.
_MOST_CENTS = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class ClosedTrades:
    """Trades from flat to flat, in the order (account, bar of the exit, symbol).

    Attributes
    ----------
    account, symbol : ndarray of int64, shape (number of trades,)
    entry_bar, exit_bar : ndarray of int64, same shape
        Counted as the bars given to ``run_block``.
    pnl_cents : ndarray of int64, same shape
        Profit after fees and slippage.
    """

    account: Integers
    symbol: Integers
    entry_bar: Integers
    exit_bar: Integers
    pnl_cents: Integers

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, slots=True, eq=False)
class BlockResult:
    """What a block of n bars brought to A accounts in S symbols.

    Attributes
    ----------
    equity_cents : ndarray of int64, shape (A, n)
        At each close.
    pnl_cents : ndarray of int64, shape (A, S)
        Profit of the block by symbol, open positions marked at the last close, costs included.
    cost_cents : ndarray of int64, shape (A, n)
        Fees and slippage paid in each bar.
    fills : ndarray of int64, shape (A,)
    trades : ClosedTrades
    events : RiskEvents
    """

    equity_cents: Integers
    pnl_cents: Integers
    cost_cents: Integers
    fills: Integers
    trades: ClosedTrades
    events: RiskEvents

    def rows(self, start: int, stop: int) -> BlockResult:
        """Return the part of accounts ``start`` (inclusive) to ``stop`` (exclusive).

        Accounts are numbered from 0 in it: undoes stacking the accounts of several agents.
        """
        cut = slice(start, stop)
        trades, events = self.trades, self.events
        of_trades = slice(*np.searchsorted(trades.account, (start, stop)))
        of_events = slice(*np.searchsorted(events.account, (start, stop)))
        return BlockResult(
            self.equity_cents[cut],
            self.pnl_cents[cut],
            self.cost_cents[cut],
            self.fills[cut],
            ClosedTrades(
                trades.account[of_trades] - start,
                trades.symbol[of_trades],
                trades.entry_bar[of_trades],
                trades.exit_bar[of_trades],
                trades.pnl_cents[of_trades],
            ),
            RiskEvents(
                events.account[of_events] - start,
                events.bar[of_events],
                events.symbol[of_events],
                events.code[of_events],
                events.asked[of_events],
                events.allowed[of_events],
            ),
        )


def run_block(
    accounts: Accounts,
    bars: Bars,
    start: int,
    stop: int,
    targets: Floats,
    *,
    styles: StyleArrays | None = None,
    limits: RiskLimits | None = None,
    costs: Costs | None = None,
    lot_shares: int = 1,
    fill_at: Literal["open", "close"] = "open",
) -> tuple[Accounts, BlockResult]:
    """Trade bars ``start`` (inclusive) to ``stop`` (exclusive). No argument is modified.

    Parameters
    ----------
    accounts : Accounts
        A accounts in S symbols.
    bars : Bars
        All bars, of these S symbols. Bars from ``stop`` on are not looked at. (At bar 0 there is
        no earlier close; resting orders placed there hang on its open.)
    start, stop : int
    targets : ndarray of float64, shape (A, n, S), in [-1, 1]
        ``targets[:, i]`` was decided at the close of bar ``start + i - 1``.
    styles : StyleArrays, optional
        Market orders without protection unless given.
    limits : RiskLimits, optional
        None unless given, but for a leverage of 1.
    costs : Costs, optional
        No costs unless given.
    lot_shares : int (>= 1)
        Shares in a lot; the same over an account's life.
    fill_at : str
        ``open``, or ``close`` for market orders filled at the close of the bar (then there are no
        resting orders and no protection).

    Returns
    -------
    accounts : Accounts
        As they stand after the close of bar ``stop - 1``.
    result : BlockResult

    Raises
    ------
    ConfigError
        If shapes don't fit, a target isn't in [-1, 1], styles don't fit ``fill_at``, or an account
        has grown beyond what can be counted in cents.
    """
    styles = StyleArrays.market(accounts.count, accounts.symbols) if styles is None else styles
    limits = RiskLimits.uniform(accounts.count, max_leverage=1.0) if limits is None else limits
    costs = Costs() if costs is None else costs
    _check(accounts, bars, start, stop, targets, styles, limits, lot_shares, fill_at)
    schedule = Schedule(
        targets,
        accounts.last_target,
        bars.tradable[start:stop],
        accounts.pause_bars_left,
        limits.max_position,
    )
    market = _market(bars, start, stop, accounts.count, 100.0 * lot_shares, fill_at)
    kernel = Kernel(accounts, market, schedule, styles, limits, costs, start)
    equity = np.empty((stop - start, accounts.count))
    for row in range(stop - start):
        kernel.step(row)
        equity[row] = kernel.ledger.equity
    if not np.abs(equity).max() < _MOST_CENTS:
        raise ConfigError(
            "cash_usd", float(np.abs(equity).max()) / 100, "an account has outgrown whole cents"
        )
    return Accounts(**kernel.arrays()), _result(kernel, equity, start)


def _check(
    accounts: Accounts,
    bars: Bars,
    start: int,
    stop: int,
    targets: Floats,
    styles: StyleArrays,
    limits: RiskLimits,
    lot_shares: int,
    fill_at: str,
) -> None:
    count, symbols = accounts.lots.shape
    if not 0 <= start < stop <= bars.count:
        raise ConfigError("start, stop", (start, stop), f"must be a range of 0 to {bars.count}")
    if bars.open.shape[1] != symbols:
        raise ConfigError("bars", bars.open.shape[1], f"the accounts have {symbols} symbols")
    if count < 1:
        raise ConfigError("accounts", count, "there must be at least one")
    if lot_shares < 1:
        raise ConfigError("lot_shares", lot_shares, "must be at least 1")
    if targets.shape != (count, stop - start, symbols):
        expected = (count, stop - start, symbols)
        raise ConfigError("targets", targets.shape, f"the shape must be {expected}")
    if not np.abs(targets).max() <= 1.0:
        raise ConfigError("targets", float(np.abs(targets).max()), "must be within [-1, 1]")
    if styles.order_type.shape != (count, symbols):
        raise ConfigError("styles", styles.order_type.shape, f"must be {(count, symbols)}")
    if limits.max_position.shape != (count,):
        raise ConfigError("limits", limits.max_position.shape, f"must be {(count,)}")
    if fill_at not in ("open", "close"):
        raise ConfigError("fill_at", fill_at, "must be 'open' or 'close'")
    if fill_at == "close" and (
        accounts.order_type.any()
        or styles.order_type.any()
        or styles.stop_loss.any()
        or styles.take_profit.any()
        or styles.trailing_stop.any()
    ):
        raise ConfigError("fill_at", fill_at, "serves market orders without protection alone")


def _market(
    bars: Bars, start: int, stop: int, accounts: int, cents_per_lot: float, fill_at: str
) -> Market:
    """Return the block's prices, by lane."""

    def lanes(prices: npt.NDArray[np.float64]) -> Floats:
        return np.repeat(prices * cents_per_lot, accounts, axis=1)

    rows = slice(start, stop)
    close = lanes(bars.close[rows])
    earlier = bars.close[start - 1 : start] if start else bars.open[:1]
    tradable = np.repeat(bars.tradable[rows], accounts, axis=1)
    return Market(
        fill=close if fill_at == "close" else lanes(bars.open[rows]),
        close=close,
        previous_close=np.concatenate([lanes(earlier), close[:-1]]),
        high=np.where(tradable, lanes(bars.high[rows]), -np.inf),
        low=np.where(tradable, lanes(bars.low[rows]), np.inf),
        tradable=tradable,
    )


def _result(kernel: Kernel, equity: Floats, start: int) -> BlockResult:
    """Return what happened in the block, in an order that doesn't depend on who shares it."""
    ledger = kernel.ledger
    bars, count = equity.shape

    rows, account, paid = ledger.fill_costs()
    cost = np.bincount(account * bars + rows, paid, count * bars)  # whole cents: exact
    return BlockResult(
        equity.T.astype(np.int64, order="C"),
        ledger.profit_cents(),
        cost.astype(np.int64).reshape(count, bars),
        np.bincount(account, minlength=count),
        _trades(kernel, start),
        _events(kernel, start),
    )


def _trades(kernel: Kernel, start: int) -> ClosedTrades:
    rows, lanes, entry, profit = kernel.ledger.trades.joined()
    symbol, account = np.divmod(lanes, kernel.ledger.accounts)
    order = np.lexsort((symbol, rows, account))  # stable: what happened first stays first
    return ClosedTrades(
        account[order], symbol[order], entry[order], rows[order] + start, profit[order]
    )


def _events(kernel: Kernel, start: int) -> RiskEvents:
    rows, account, symbol, code, asked, allowed = kernel.events.joined()
    order = np.lexsort((symbol, rows, account))
    return RiskEvents(
        account[order],
        rows[order] + start,
        symbol[order],
        code[order],
        asked[order],
        allowed[order],
    )
