"""Price rules: what a fill costs, and at which price resting orders and exits are filled in a bar.

Elementwise and stateless, over n lanes (a lane is one symbol of one account); ``kernel`` keeps the
state and calls these only for lanes in which something happens. Prices are in cents per lot.

A bar tells four prices and not the path between them. Where the path matters, these rules assume
what follows from the four prices, and the worse case where nothing follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import ConfigError
from swarm_runtime.trading.orders import OrderType

__all__ = [
    "Costs",
    "EntryPath",
    "order_prices",
    "order_triggers",
    "protective_exits",
    "protective_levels",
    "resting_fills",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Looking up an enum's member costs more than an operation on an array.
_MARKET, _LIMIT, _STOP = int(OrderType.MARKET), int(OrderType.LIMIT), int(OrderType.STOP)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fill costs.

    Attributes
    ----------
    fee_bps : float (0 to 1,000)
        Commission, in basis points of the notional, each side; rounded to whole cents per fill.
    slippage_bps : float (0 to 1,000)
        How much worse than the quoted price a market or stop fill is. Limit fills have none.

    Raises
    ------
    ConfigError
        If one is out of its range.
    """

    fee_bps: float = 0.0
    slippage_bps: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("fee_bps", self.fee_bps), ("slippage_bps", self.slippage_bps)):
            if not 0 <= value <= 1_000:
                raise ConfigError(name, value, "must be between 0 and 1000")


class EntryPath:
    """How a lane came by its position within a bar, which says what the bar's extremes tell."""

    #: Held before, or entered at the open: all of the bar came after it.
    FROM_OPEN = 0
    #: Entered where the price came *to* a limit, or at the open: the far extreme came after it.
    AT_LIMIT = 1
    #: Entered where the price ran through a stop: the far extreme may have come before it.
    AT_STOP = 2


def order_prices(
    order_type: Integers, side: Floats, close: Floats, limit_offset: Floats, stop_offset: Floats
) -> tuple[Floats, Floats]:
    """Return limit and stop price of new orders; that which a type doesn't have says nothing.

    A buy limit lies below the close at which the order was decided, a buy stop above it; a
    stop-limit's limit lies beyond its stop. Sells mirror this.

    Parameters
    ----------
    order_type : ndarray of int64, shape (n,)
        LIMIT, STOP or STOP_LIMIT.
    side : ndarray of float64, shape (n,)
        1 buys, -1 sells.
    close : ndarray of float64, shape (n,)
    limit_offset, stop_offset : ndarray of float64, shape (n,)
        Fractions.
    """
    at_limit = order_type == _LIMIT
    stop = close * (1.0 + side * stop_offset)
    beyond = side * limit_offset
    limit = np.where(at_limit, close * (1.0 - beyond), stop * (1.0 + beyond))
    return limit, stop


def order_triggers(
    order_type: Integers, side: Floats, limit: Floats, stop: Floats
) -> tuple[Floats, Floats]:
    """Return between which prices resting orders sleep.

    Something happens when a bar's low reaches the first (-inf: never) or its high the second
    (inf: never). Where there is no order, nothing ever happens.
    """
    at_limit = order_type == _LIMIT
    price = np.where(at_limit, limit, stop)
    from_above = at_limit == (side > 0)  # buy limits and sell stops wait below the market
    rests = order_type != _MARKET
    return (
        np.where(rests & from_above, price, -np.inf),
        np.where(rests & ~from_above, price, np.inf),
    )


def resting_fills(
    order_type: Integers,
    side: Floats,
    limit: Floats,
    stop: Floats,
    bar_open: Floats,
    bar_high: Floats,
    bar_low: Floats,
) -> tuple[Flags, Floats, Flags, Integers]:
    """Return what a bar does to the orders that it triggers.

    * LIMIT: at the open if that is better than the limit, else at the limit.
    * STOP: at the open if that is already beyond the stop, else at the stop; with slippage.
    * STOP_LIMIT: once the bar reaches the stop. At the stop if the bar opened short of it; at the
      open if that lies between stop and limit; at the limit if the bar opened beyond it and comes
      back. Else it isn't filled, and is a plain limit order from now on.

    Returns
    -------
    filled : ndarray of bool, shape (n,)
        False for stop-limits that were triggered but not filled.
    quote : ndarray of float64, shape (n,)
        Price before slippage.
    slips : ndarray of bool, shape (n,)
        Whether slippage applies.
    path : ndarray of int64, shape (n,)
        An ``EntryPath``.
    """
    at_stop = order_type == _STOP
    # Prices times side, so that for buys and sells alike a higher one is a worse one.
    opened, limited, stopped = side * bar_open, side * limit, side * stop
    best = np.where(side > 0, bar_low, -bar_high)
    runs_through = (order_type != _LIMIT) & (opened < stopped)
    at_stop_or_worse = at_stop | runs_through
    filled = at_stop_or_worse | (best <= limited)
    quote = np.where(at_stop_or_worse, np.maximum(opened, stopped), np.minimum(opened, limited))
    path = np.where(runs_through, EntryPath.AT_STOP, EntryPath.AT_LIMIT)
    return filled, side * quote, at_stop, path


def protective_levels(
    side: Floats,
    entry: Floats,
    best: Floats,
    stop_loss: Floats,
    take_profit: Floats,
    trailing_stop: Floats,
) -> tuple[Floats, Floats]:
    """Return between which prices positions stay open.

    Parameters
    ----------
    side : ndarray of float64, shape (n,)
        1 long, -1 short.
    entry, best : ndarray of float64, shape (n,)
        Average entry price; best of it and the closes since. Above 0.
    stop_loss, take_profit, trailing_stop : ndarray of float64, shape (n,)
        Fractions of entry, entry and best; inf is off.

    Returns
    -------
    lower, upper : ndarray of float64, shape (n,)
        The exit is due when the low reaches the first (-inf: never) or the high the second
        (inf: never). For a long position the lower one is the stop, for a short one the upper.
    """
    # Prices times side: a stop lies below, a target above, and the nearer stop is the higher.
    # What is off ends at -inf (stops) or inf (targets) by itself.
    signed = side * entry
    stop = np.maximum(signed * (1.0 - side * stop_loss), side * best * (1.0 - side * trailing_stop))
    target = signed * (1.0 + side * take_profit)
    long = side > 0
    return np.where(long, stop, -target), np.where(long, target, -stop)


def protective_exits(
    side: Floats,
    lower: Floats,
    upper: Floats,
    path: Integers,
    entered: Floats,
    bar_open: Floats,
    bar_high: Floats,
    bar_low: Floats,
    bar_close: Floats,
) -> tuple[Flags, Floats, Flags]:
    """Return which positions a bar closes, and where.

    The stop comes before the target. A stop is filled at its level, or at the open if the bar
    opened beyond it; a target at its level, or at a better open. A position entered *within* the
    bar has no target in it, and its stop counts

    * after a limit: when the bar's far extreme reaches it (the price came from the other side,
      so the extreme came later);
    * after a stop order: when the bar closes beyond it, which is certain; or when the bar opened
      on the near side and reached it, which may have been before the entry: the worse case.

    Parameters
    ----------
    side, lower, upper : ndarray of float64, shape (n,)
        From ``protective_levels``.
    path : ndarray of int64, shape (n,)
        An ``EntryPath``.
    entered : ndarray of float64, shape (n,)
        Price at which a position was entered within the bar, before slippage.

    Returns
    -------
    exits : ndarray of bool, shape (n,)
    quote : ndarray of float64, shape (n,)
        Price before slippage.
    slips : ndarray of bool, shape (n,)
        Whether slippage applies (stops).
    """
    long = side > 0
    stop = np.where(long, lower, -upper)
    target = np.where(long, upper, -lower)
    opened = side * bar_open
    worst = np.where(long, bar_low, -bar_high)
    best = np.where(long, bar_high, -bar_low)
    stopped = worst <= stop
    taken = best >= target
    reference = opened
    if np.count_nonzero(path):
        from_open = path == EntryPath.FROM_OPEN
        certain = (side * bar_close <= stop) | (opened > stop)
        stopped &= certain | (path != EntryPath.AT_STOP)
        taken &= from_open
        reference = np.where(from_open, opened, side * entered)
    quote = np.where(stopped, np.minimum(reference, stop), np.maximum(opened, target))
    return stopped | taken, side * quote, stopped
