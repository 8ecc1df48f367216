"""The broker's rules once more, for one account, as slow and as plain as they can be written.

Plain Python numbers, one symbol after the other, no arrays in the loop and nothing shared with the
kernel but ``Bars``, ``OrderStyle`` and the numbers of risk codes. The kernel is held to this, bit
for bit, in test_broker_properties.py. Prices are in cents per lot here too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.orders import OrderStyle, OrderType
from swarm_runtime.trading.risk import RiskCode

BAND = 0.05


@dataclass
class Limits:
    max_position: float
    max_leverage: float
    max_drawdown: float
    pause_bars: int


@dataclass
class Order:
    kind: OrderType
    side: int
    limit: float
    stop: float
    bars_left: int


@dataclass
class Position:
    lots: int = 0
    entry: float = 0.0
    best: float = 0.0
    entry_bar: int = -1
    trade_cash: int = 0


@dataclass
class Lane:
    position: Position = field(default_factory=Position)
    acted_on: float = 0.0
    order: Order | None = None
    #: Within the current bar: None (from the open), or (came through a stop, price).
    entered: tuple[bool, float] | None = None
    value: int = 0


class ReferenceAccount:
    """One account; ``step`` carries out one bar."""

    def __init__(
        self,
        symbols: int,
        cash_cents: int,
        styles: list[OrderStyle],
        limits: Limits,
        fee_bps: float,
        slippage_bps: float,
        lot_shares: int,
        fill_at: str = "open",
    ) -> None:
        self.cash = cash_cents
        self.peak = cash_cents
        self.pause = 0
        self.lanes = [Lane() for _ in range(symbols)]
        self.styles = styles
        self.limits = limits
        self.fee = fee_bps * 1e-4
        self.slippage = slippage_bps * 1e-4
        self.scale = 100.0 * lot_shares
        self.fill_at = fill_at
        self.equity: list[int] = []
        self.costs: list[int] = []
        self.fills = 0
        #: (symbol, entry bar, exit bar, profit)
        self.trades: list[tuple[int, int, int, int]] = []
        #: (bar, symbol, code, asked, allowed)
        self.events: list[tuple[int, int, int, float, float]] = []

    # Money

    def worth(self, lots: int, price: float) -> int:
        return round(lots * price)

    def equity_at(self, prices: list[float]) -> int:
        return self.cash + sum(
            self.worth(lane.position.lots, price)
            for lane, price in zip(self.lanes, prices, strict=True)
        )

    def gross_at(self, prices: list[float]) -> int:
        return sum(
            abs(self.worth(lane.position.lots, price))
            for lane, price in zip(self.lanes, prices, strict=True)
        )

    def book(self, lane: Lane, lots: int, side: int, quote: float, slips: bool) -> float:
        """Buy (side 1) or sell (-1); return the price."""
        price = quote * (1.0 + side * self.slippage) if slips else quote
        notional = round(lots * price)
        fee = round(notional * self.fee)
        cash = -side * notional - fee
        self.cash += cash
        lane.position.trade_cash += cash
        self.costs[-1] += fee + abs(round(lots * quote) - notional)
        self.fills += 1
        return price

    def reduce(self, symbol: int, lots: int, quote: float, slips: bool = True) -> None:
        lane = self.lanes[symbol]
        position = lane.position
        side = 1 if position.lots > 0 else -1
        self.book(lane, lots, -side, quote, slips)
        position.lots -= side * lots
        if position.lots == 0:
            self.trades.append((symbol, position.entry_bar, self.bar, position.trade_cash))
            lane.position = Position()

    def increase(self, symbol: int, side: int, lots: int, quote: float, slips: bool) -> None:
        lane = self.lanes[symbol]
        position = lane.position
        price = self.book(lane, lots, side, quote, slips)
        size = abs(position.lots)
        if size == 0:
            position.entry = position.best = price
            position.entry_bar = self.bar
        else:
            position.entry = (position.entry * size + price * lots) / (size + lots)
        position.lots = side * (size + lots)

    # One bar

    def step(self, bars: Bars, bar: int, targets: list[float]) -> None:
        self.bar = bar
        self.costs.append(0)
        for lane in self.lanes:
            lane.entered = None
        symbols = range(len(self.lanes))
        opens, highs, lows, closes = (
            [float(array[bar, s]) * self.scale for s in symbols]
            for array in (bars.open, bars.high, bars.low, bars.close)
        )
        earlier = bars.close[bar - 1] if bar else bars.open[0]
        before = [float(earlier[s]) * self.scale for s in symbols]
        tradable = [bool(bars.tradable[bar, s]) for s in symbols]
        fill = closes if self.fill_at == "close" else opens

        last_equity = self.cash + sum(lane.value for lane in self.lanes)
        self.check_drawdown(last_equity)
        wanted = [0.0 if self.pause else target for target in targets]
        changed = [tradable[s] and wanted[s] != self.lanes[s].acted_on for s in symbols]
        free = [tradable[s] and not changed[s] for s in symbols]
        self.check_drift(last_equity, free, fill)
        self.trade(changed, wanted, fill, before)
        self.work_orders(tradable, opens, highs, lows)
        for s in symbols:
            if tradable[s]:
                self.protect(s, opens[s], highs[s], lows[s], closes[s])
        self.close(closes)

    def close(self, closes: list[float]) -> None:
        for lane, price in zip(self.lanes, closes, strict=True):
            position = lane.position
            lane.value = self.worth(position.lots, price)
            if position.lots:
                better = max if position.lots > 0 else min
                position.best = better(position.best, price)
        equity = self.equity_at(closes)
        self.equity.append(equity)
        self.peak = max(self.peak, equity)
        if self.pause:
            self.pause -= 1
            self.peak = equity

    # Risk limits

    def check_drawdown(self, equity: int) -> None:
        limit = self.limits.max_drawdown
        if self.peak > 0 and equity <= self.peak * (1.0 - limit):
            self.pause = self.limits.pause_bars
            fallen = 1.0 - equity / self.peak
            self.events.append((self.bar, -1, RiskCode.DRAWDOWN, fallen, limit))

    def check_drift(self, last_equity: int, free: list[bool], prices: list[float]) -> None:
        limits = self.limits
        equity = max(last_equity, 0)
        values = [lane.value for lane in self.lanes]
        gross = sum(abs(value) for value in values)
        most = 1.0 / (limits.max_position * (1.0 + BAND))
        # All cuts of one kind are sized by the equity before the first of them.
        now = max(self.equity_at(prices), 0)
        for s, value in enumerate(values):
            if free[s] and abs(value) * most > equity:
                unit = prices[s] * (1.0 + self.slippage) * (1.0 + self.fee)
                held = abs(self.lanes[s].position.lots)
                closing = held - math.floor(limits.max_position * now / unit)
                if closing > 0:
                    self.reduce(s, closing, prices[s])
                    side = 1.0 if value > 0 else -1.0
                    self.events.append(
                        (
                            self.bar,
                            s,
                            RiskCode.DRIFT_POSITION,
                            value / max(equity, 1),
                            side * limits.max_position,
                        )
                    )
        if gross * (1.0 / (limits.max_leverage * (1.0 + BAND))) > equity:
            allowed = limits.max_leverage * max(self.equity_at(prices), 0)
            factor = min(allowed / max(self.gross_at(prices), 1), 1.0)
            cut = False
            for s, lane in enumerate(self.lanes):
                held = abs(lane.position.lots)
                closing = held - math.floor(held * factor)
                if free[s] and closing > 0:
                    self.reduce(s, closing, prices[s])
                    cut = True
            if cut:
                self.events.append(
                    (
                        self.bar,
                        -1,
                        RiskCode.DRIFT_LEVERAGE,
                        gross / max(equity, 1),
                        limits.max_leverage,
                    )
                )

    # Orders

    def share(self, target: float) -> float:
        return min(abs(target) / len(self.lanes), self.limits.max_position)

    def trade(
        self,
        changed: list[bool],
        wanted: list[float],
        prices: list[float],
        before: list[float],
    ) -> None:
        equity = max(self.equity_at(prices), 0)
        opening = []
        for s, lane in enumerate(self.lanes):
            if not changed[s]:
                continue
            target, price = wanted[s], prices[s]
            lane.acted_on = target
            lane.order = None
            asked = target / len(self.lanes)
            limit = self.limits.max_position
            if abs(asked) > limit:
                allowed = math.copysign(limit, asked)
                self.events.append((self.bar, s, RiskCode.ORDER_POSITION, asked, allowed))
            unit = price * (1.0 + self.slippage) * (1.0 + self.fee)
            size = math.floor(self.share(target) * equity / unit)
            held = lane.position.lots
            kept = min(abs(held), size) if held * target > 0 else 0
            if abs(held) > kept:
                self.reduce(s, abs(held) - kept, price)
            if size > kept:
                opening.append(s)
        at_market = []
        for s in opening:
            style, side = self.styles[s], 1 if wanted[s] > 0 else -1
            if style.order_type == OrderType.MARKET:
                at_market.append((s, side, prices[s], True))
            else:
                self.lanes[s].order = self.new_order(style, side, before[s])
        self.increase_all(at_market, prices)

    def new_order(self, style: OrderStyle, side: int, close: float) -> Order:
        limit_offset, stop_offset = style.limit_offset_bps * 1e-4, style.stop_offset_bps * 1e-4
        stop = limit = 0.0
        if style.order_type == OrderType.LIMIT:
            limit = close * (1.0 - side * limit_offset)
        else:
            stop = close * (1.0 + side * stop_offset)
            if style.order_type == OrderType.STOP_LIMIT:
                limit = stop * (1.0 + side * limit_offset)
        return Order(style.order_type, side, limit, stop, style.good_for_bars)

    def increase_all(
        self, asks: list[tuple[int, int, float, bool]], marks: list[float]
    ) -> list[int]:
        """Open or increase (symbol, side, quote, slips), within leverage; return which were."""
        equity = max(self.equity_at(marks), 0)
        sized = []
        for s, side, quote, slips in asks:
            price = quote * (1.0 + self.slippage) if slips else quote
            unit = price * (1.0 + self.fee)
            budget = self.share(self.lanes[s].acted_on) * equity
            size = abs(self.lanes[s].position.lots)
            more = max(math.floor(budget / unit) - size, 0)
            if size * unit + self.cost(more, price) > budget:
                more = max(more - max(math.ceil(2.0 / unit), 1), 0)
            sized.append((s, side, quote, slips, more, self.cost(more, price), unit, size))
        need = sum(cost for *_, cost, _, _ in sized)
        room = self.limits.max_leverage * equity - self.gross_at(marks)
        factor = max(room - 3.0 * len(self.lanes), 0.0) / max(need, 1) if need > room else None
        done = []
        for s, side, quote, slips, asked, _, unit, size in sized:
            more = asked
            if factor is not None and asked > 0:
                more = math.floor(asked * factor)
                worth = side * unit / max(equity, 1)
                self.events.append(
                    (
                        self.bar,
                        s,
                        RiskCode.ORDER_LEVERAGE,
                        (size + asked) * worth,
                        (size + more) * worth,
                    )
                )
            if more > 0:
                self.increase(s, side, more, quote, slips)
                done.append(s)
        return done

    def cost(self, lots: int, price: float) -> int:
        notional = round(lots * price)
        return notional + round(notional * self.fee)

    def work_orders(
        self, tradable: list[bool], opens: list[float], highs: list[float], lows: list[float]
    ) -> None:
        asks = []
        through_stop = {}
        for s, lane in enumerate(self.lanes):
            order = lane.order
            if order is None or not tradable[s]:
                continue
            found = self.price_in_bar(order, opens[s], highs[s], lows[s])
            if found is not None:
                quote, through = found
                lane.order = None
                lower, upper = self.levels(s)
                if not (quote <= lower or quote >= upper or opens[s] <= lower or opens[s] >= upper):
                    asks.append((s, order.side, quote, order.kind == OrderType.STOP))
                    through_stop[s] = (through, quote)
        for s in self.increase_all(asks, opens):
            self.lanes[s].entered = through_stop[s]
        for s, lane in enumerate(self.lanes):
            if lane.order is not None and tradable[s]:
                lane.order.bars_left -= 1
                if lane.order.bars_left == 0:
                    lane.order = None

    def price_in_bar(
        self, order: Order, opened: float, high: float, low: float
    ) -> tuple[float, bool] | None:
        """Return (price, whether the bar ran through a stop to it), or None if not filled."""
        buys = order.side > 0
        if order.kind == OrderType.LIMIT:
            if low > order.limit if buys else high < order.limit:
                return None
            return (min if buys else max)(opened, order.limit), False
        if high < order.stop if buys else low > order.stop:
            return None
        beyond = opened >= order.stop if buys else opened <= order.stop
        if not beyond:
            return order.stop, True
        if order.kind == OrderType.STOP:
            return opened, False
        if opened <= order.limit if buys else opened >= order.limit:
            return opened, False
        if low <= order.limit if buys else high >= order.limit:
            return order.limit, False
        order.kind, order.stop = OrderType.LIMIT, 0.0
        return None

    # Protection

    def levels(self, s: int) -> tuple[float, float]:
        position, style = self.lanes[s].position, self.styles[s]
        lower, upper = -math.inf, math.inf
        loss, profit, trail = (
            style.stop_loss_bps * 1e-4,
            style.take_profit_bps * 1e-4,
            style.trailing_stop_bps * 1e-4,
        )
        if position.lots > 0:
            if loss:
                lower = position.entry * (1.0 - loss)
            if trail:
                lower = max(lower, position.best * (1.0 - trail))
            if profit:
                upper = position.entry * (1.0 + profit)
        elif position.lots < 0:
            if loss:
                upper = position.entry * (1.0 + loss)
            if trail:
                upper = min(upper, position.best * (1.0 + trail))
            if profit:
                lower = position.entry * (1.0 - profit)
        return lower, upper

    def protect(self, s: int, opened: float, high: float, low: float, close: float) -> None:
        lane = self.lanes[s]
        lots = lane.position.lots
        if lots == 0:
            return
        long = lots > 0
        lower, upper = self.levels(s)
        stop, target = (lower, upper) if long else (upper, lower)
        reached = low <= stop if long else high >= stop
        worse = min if long else max
        if lane.entered is None:
            if reached:
                self.leave(s, worse(opened, stop), True)
            elif high >= target if long else low <= target:
                self.leave(s, (max if long else min)(opened, target), False)
            return
        through_stop, quote = lane.entered
        if through_stop:
            closed_beyond = close <= stop if long else close >= stop
            opened_short_of_it = opened > stop if long else opened < stop
            reached = closed_beyond or (opened_short_of_it and reached)
        if reached:
            self.leave(s, worse(quote, stop), True)

    def leave(self, s: int, quote: float, slips: bool) -> None:
        self.reduce(s, abs(self.lanes[s].position.lots), quote, slips)
        self.lanes[s].order = None
