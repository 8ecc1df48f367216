"""The desk: trades a block for all accounts of a process at once, and knows what might have been.

It holds the market, every kind's targets over it, and *shadow accounts*: one for each candidate,
which always follows that candidate. A price-taker may ask afterwards what any candidate would
have brought; shadow accounts answer that with the same broker, costs and sizing, and because the
broker's kernel costs about the same however wide it is, nearly for nothing.

Targets are computed once over the whole history; that is the same as asking bar by bar because a
strategy that looks ahead is refused (``lookahead``). Shadow accounts have position and leverage
limits but no drawdown stop: a stop would make a candidate's outcome depend on its past.

Above: ``machines.host``. Below: ``broker``, ``features``, ``strategies``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import TradingSettings
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.broker import BlockResult, run_block
from swarm_runtime.trading.features import WARM_UP_BARS, context_features
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.orders import OrderStyle
from swarm_runtime.trading.risk import RiskLimits
from swarm_runtime.trading.rolling import age_bars, log_returns, window_sum
from swarm_runtime.trading.strategies.base import Strategy, checked_style, checked_targets
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["Desk", "DeskRound", "Outcome"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Bars over which the volatility that scales an outcome is measured.
_VOLATILITY_BARS = 63


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a block brought for S symbols, by candidate.

    Attributes
    ----------
    net_return : ndarray of float64, shape (S, K)
        After costs, on the capital set aside for a symbol (equity / S at the block's start).
        Candidate 0 is staying flat. The candidate that was carried out has its actual outcome,
        the others that of their shadow account.
    benchmark : ndarray of float64, shape (S,)
        Mean over the candidates' shadow outcomes: what choosing blindly would have brought.
    """

    net_return: Floats
    benchmark: Floats


@dataclass(frozen=True, slots=True, eq=False)
class DeskRound:
    """What a block brought to A accounts over n bars; arrays as in ``core.messages.HostRound``.

    Attributes
    ----------
    accounts : Accounts
        As they stand after the block.
    outcomes : tuple of Outcome
        One per account; empty without shadows.
    """

    accounts: Accounts
    equity_cents: Integers
    cost_cents: Integers
    fills: Integers
    trades: Integers
    cuts: tuple[tuple[int, str], ...]
    outcomes: tuple[Outcome, ...]


class Desk:
    """Trades for the accounts of one process.

    Parameters
    ----------
    bars : Bars
        T times, S symbols.
    strategies : mapping of kind to Strategy
    settings : TradingSettings

    Raises
    ------
    StrategyError
        If a strategy raises, or returns what can't be traded.
    """

    def __init__(
        self, bars: Bars, strategies: Mapping[str, Strategy], settings: TradingSettings
    ) -> None:
        self._bars = bars
        self._settings = settings
        self._costs = Costs(settings.costs.fee_bps, settings.costs.slippage_bps)
        count, symbols = bars.close.shape
        styles, targets = [OrderStyle()], [np.zeros((count, symbols))]
        #: Each kind's candidates (without flat) as a range of rows of ``targets``; row 0 is flat.
        self._rows: dict[str, range] = {}
        for kind, strategy in strategies.items():
            first = len(targets)
            for parameters in strategy.parameters:
                targets.append(checked_targets(strategy, bars, parameters))
                styles.append(checked_style(strategy, parameters))
            self._rows[kind] = range(first, len(targets))
        self._targets = np.stack(targets)
        self._styles = styles
        self._features = context_features(bars)
        self._available = bars.tradable & (age_bars(bars) >= WARM_UP_BARS)
        squares = window_sum(log_returns(bars) ** 2, _VOLATILITY_BARS)
        self._volatility = np.sqrt(np.maximum(squares, 0.0) / _VOLATILITY_BARS)
        # Shadow accounts as they stand before a bar; the last two, so that a block may be redone.
        self._shadows: dict[int, Accounts] = {settings.warm_up_bars: self._opened(len(targets) - 1)}

    @property
    def features(self) -> Floats:
        """Context features, shape (T, S, F)."""
        return self._features

    def known_at_s(self, bar: int) -> int:
        """Return when a bar's close was known, in seconds since 1970."""
        return self._bars.known_at_s(bar)

    def available(self, bar: int) -> npt.NDArray[np.bool_]:
        """Return which symbols can be chosen for after a bar, shape (S,)."""
        row: npt.NDArray[np.bool_] = self._available[bar]
        return row

    def volatility(self, bar: int) -> Floats:
        """Return the standard deviation of one bar's log return, up to a bar, shape (S,)."""
        row: Floats = self._volatility[bar]
        return row

    def open_accounts(self, count: int) -> Accounts:
        """Return new accounts with the starting capital."""
        return self._opened(count)

    def _opened(self, count: int) -> Accounts:
        return Accounts.open(count, len(self._bars.symbols), self._settings.cash_usd)

    def trade(
        self,
        accounts: Accounts,
        kinds: Sequence[str],
        chosen: npt.NDArray[np.int16],
        start: int,
        stop: int,
        *,
        with_shadows: bool,
    ) -> DeskRound:
        """Trade bars ``start`` (inclusive) to ``stop`` (exclusive).

        Parameters
        ----------
        accounts : Accounts
            A accounts.
        kinds : sequence of str, length A
        chosen : ndarray of int16, shape (A, S)
            Candidate of each account's kind by symbol; 0 and -1 are flat.
        start, stop : int
        with_shadows : bool
            Whether the outcomes of all candidates are wanted.
        """
        firsts = np.array([self._rows[kind].start for kind in kinds], dtype=np.int64)
        codes = np.where(chosen > 0, chosen + (firsts - 1)[:, None], 0)
        count = accounts.count
        everybody = accounts
        if with_shadows:
            shadows = self._shadows_before(start)
            follow = np.arange(1, len(self._targets))[:, None] + np.zeros_like(codes[:1])
            codes = np.concatenate([codes, follow])
            everybody = Accounts.concatenate([accounts, shadows])
        after, result = self._run(everybody, codes, start, stop, shadows_from=count)
        outcomes: tuple[Outcome, ...] = ()
        if with_shadows:
            self._remember(start, stop, shadows, after.take(slice(count, None)))
            outcomes = self._outcomes(accounts, after, result, kinds, chosen, shadows)
        mine = result.rows(0, count)
        dates = self._bars.times
        return DeskRound(
            accounts=after.take(slice(0, count)),
            equity_cents=mine.equity_cents,
            cost_cents=mine.cost_cents,
            fills=mine.fills,
            trades=np.stack(
                [mine.trades.account, mine.trades.exit_bar, mine.trades.pnl_cents], axis=1
            ),
            cuts=tuple(
                (
                    int(mine.events.account[at]),
                    f"{dates[mine.events.bar[at]].astype('datetime64[D]')}: "
                    f"{mine.events.explain(at, self._bars.symbols)}",
                )
                for at in range(len(mine.events))
            ),
            outcomes=outcomes,
        )

    def _run(
        self, accounts: Accounts, codes: Integers, start: int, stop: int, *, shadows_from: int
    ) -> tuple[Accounts, BlockResult]:
        """Run the broker for accounts that follow these rows of ``targets``, by symbol."""
        rows = np.arange(start - 1, stop - 1)
        lanes = np.arange(codes.shape[1])
        risk = self._settings.risk
        limits = RiskLimits.concatenate(
            [
                RiskLimits.uniform(
                    shadows_from,
                    max_position=risk.max_position,
                    max_leverage=risk.max_leverage,
                    max_drawdown=risk.max_drawdown,
                    drawdown_pause_bars=risk.drawdown_pause_bars,
                ),
                RiskLimits.uniform(
                    accounts.count - shadows_from,
                    max_position=risk.max_position,
                    max_leverage=risk.max_leverage,
                ),
            ]
        )
        return run_block(
            accounts,
            self._bars,
            start,
            stop,
            self._targets[codes[:, None, :], rows[None, :, None], lanes],
            styles=StyleArrays.pick(self._styles, codes),
            limits=limits,
            costs=self._costs,
            lot_shares=self._settings.lot_shares,
        )

    def _shadows_before(self, bar: int) -> Accounts:
        """Return the shadow accounts before a bar, replaying them if this process is new."""
        if bar not in self._shadows:
            first = self._settings.warm_up_bars
            opened = self._opened(len(self._targets) - 1)
            lanes = len(self._bars.symbols)
            follow = np.repeat(np.arange(1, len(self._targets))[:, None], lanes, axis=1)
            self._shadows[bar], _ = self._run(opened, follow, first, bar, shadows_from=0)
        return self._shadows[bar]

    def _remember(self, start: int, stop: int, before: Accounts, after: Accounts) -> None:
        # The start stays too: a second arm of the run begins there again.
        first = self._settings.warm_up_bars
        kept = {first: self._shadows[first]} if first in self._shadows else {}
        self._shadows = {**kept, start: before, stop: after}

    def _outcomes(
        self,
        before: Accounts,
        after: Accounts,
        result: BlockResult,
        kinds: Sequence[str],
        chosen: npt.NDArray[np.int16],
        shadows: Accounts,
    ) -> tuple[Outcome, ...]:
        count, symbols = before.count, len(self._bars.symbols)
        capital = np.concatenate([before.equity_cents, shadows.equity_cents]) / symbols
        # An account that lost everything has no capital to earn on; it earns nothing.
        returns = np.where(
            capital[:, None] > 0, result.pnl_cents / np.maximum(capital, 1.0)[:, None], 0.0
        )
        stopped = (before.pause_bars_left > 0) | (after.pause_bars_left[:count] > 0)
        lanes = np.arange(symbols)
        found, by_kind = [], {}
        for kind in dict.fromkeys(kinds):
            rows = self._rows[kind]
            shadow = np.zeros((symbols, len(rows) + 1))
            shadow[:, 1:] = returns[count + rows.start - 1 : count + rows.stop - 1].T
            by_kind[kind] = shadow, shadow.mean(axis=1)
        for at, kind in enumerate(kinds):
            shadow, benchmark = by_kind[kind]
            net = shadow.copy()
            if not stopped[at]:
                # A stopped account did not carry its choice out, so it has no actual outcome.
                carried = chosen[at] >= 0
                net[lanes[carried], chosen[at][carried]] = returns[at][carried]
            found.append(Outcome(net, benchmark))
        return tuple(found)
