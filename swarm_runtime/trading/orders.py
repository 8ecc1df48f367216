"""How a change of target becomes an order, and how an open position is protected.

``strategies`` say which style a parameter set trades with; ``broker`` carries it out. Pure data;
imports nothing of ours.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["OrderStyle", "OrderType"]


class OrderType(enum.IntEnum):
    """What is sent to the market when the target changes."""

    #: Filled at the next bar's open.
    MARKET = 0
    #: Filled at the limit or better, if the bar reaches it.
    LIMIT = 1
    #: Becomes a market order once the bar reaches the stop.
    STOP = 2
    #: Becomes a limit order once the bar reaches the stop.
    STOP_LIMIT = 3


@dataclass(frozen=True, slots=True)
class OrderStyle:
    """Order type, time in force and protection of one parameter set.

    Offsets are in basis points of the close at which the order was decided. A buy limit lies
    ``limit_offset_bps`` *below* that close, a buy stop ``stop_offset_bps`` *above* it; sells
    mirror this. A stop-limit's limit lies ``limit_offset_bps`` beyond its stop (the worst price
    accepted). An order that isn't filled within ``good_for_bars`` bars is cancelled, and sent
    anew only when the target changes again; one that *reduces* a position is always a market
    order, because a way out must not wait for a price.

    Protection lies around the average entry price; 0 switches a part off. Inside one bar the
    stop is assumed to come before the target. After a protective exit the lane stays flat until
    the target changes.

    Attributes
    ----------
    order_type : OrderType
    limit_offset_bps, stop_offset_bps : float (>= 0)
    good_for_bars : int (>= 1)
    stop_loss_bps, take_profit_bps : float (>= 0)
        Distance from the average entry price.
    trailing_stop_bps : float (>= 0)
        Distance from the best close since entry.
    """

    order_type: OrderType = OrderType.MARKET
    limit_offset_bps: float = 0.0
    stop_offset_bps: float = 0.0
    good_for_bars: int = 1
    stop_loss_bps: float = 0.0
    take_profit_bps: float = 0.0
    trailing_stop_bps: float = 0.0
