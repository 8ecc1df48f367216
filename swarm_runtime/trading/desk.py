"""The desk: trades a block for all accounts of a process at once.

The broker's kernel costs about the same however wide it is, so a process with many agents runs
all their accounts in one call. Above: ``machines.host``. Below: ``broker``, ``prepared``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import TradingSettings
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.broker import run_block
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.prepared import Prepared, earned
from swarm_runtime.trading.risk import RiskLimits
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["Desk", "DeskRound", "Outcome"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


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
        One per account; empty if not asked for.
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
    prepared : Prepared
    settings : TradingSettings
    """

    def __init__(self, prepared: Prepared, settings: TradingSettings) -> None:
        #: What follows from the bars alone.
        self.prepared = prepared
        self._settings = settings
        self._costs = Costs(settings.costs.fee_bps, settings.costs.slippage_bps)

    def open_accounts(self, count: int) -> Accounts:
        """Return new accounts with the starting capital."""
        symbols = len(self.prepared.bars.symbols)
        return Accounts.open(count, symbols, self._settings.cash_usd)

    def trade(
        self,
        accounts: Accounts,
        kinds: Sequence[str],
        chosen: npt.NDArray[np.int16],
        start: int,
        stop: int,
        *,
        with_outcomes: bool,
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
        with_outcomes : bool
            Whether the outcomes of all candidates are wanted.
        """
        prepared, risk = self.prepared, self._settings.risk
        firsts = np.array([prepared.rows[kind][0] for kind in kinds], dtype=np.int64)
        codes = np.where(chosen > 0, chosen + (firsts - 1)[:, None], 0)
        rows = np.arange(start - 1, stop - 1)
        lanes = np.arange(codes.shape[1])
        after, result = run_block(
            accounts,
            prepared.bars,
            start,
            stop,
            prepared.targets[codes[:, None, :], rows[None, :, None], lanes],
            styles=StyleArrays.pick(prepared.styles, codes),
            limits=RiskLimits.uniform(
                accounts.count,
                max_position=risk.max_position,
                max_leverage=risk.max_leverage,
                max_drawdown=risk.max_drawdown,
                drawdown_pause_bars=risk.drawdown_pause_bars,
            ),
            costs=self._costs,
            lot_shares=self._settings.lot_shares,
        )
        trades, events, times = result.trades, result.events, prepared.bars.times
        outcomes: tuple[Outcome, ...] = ()
        if with_outcomes:
            outcomes = self._outcomes(accounts, after, result.pnl_cents, kinds, chosen, start)
        return DeskRound(
            accounts=after,
            equity_cents=result.equity_cents,
            cost_cents=result.cost_cents,
            fills=result.fills,
            trades=np.stack([trades.account, trades.exit_bar, trades.pnl_cents], axis=1),
            cuts=tuple(
                (
                    int(events.account[at]),
                    f"{times[events.bar[at]].astype('datetime64[D]')}: "
                    f"{events.explain(at, prepared.bars.symbols)}",
                )
                for at in range(len(events))
            ),
            outcomes=outcomes,
        )

    def _outcomes(
        self,
        before: Accounts,
        after: Accounts,
        pnl_cents: Integers,
        kinds: Sequence[str],
        chosen: npt.NDArray[np.int16],
        start: int,
    ) -> tuple[Outcome, ...]:
        lanes = np.arange(before.symbols)
        returns = earned(pnl_cents, before.equity_cents / before.symbols)
        stopped = (before.pause_bars_left > 0) | (after.pause_bars_left > 0)
        shadows = {kind: self.prepared.candidate_returns(kind, start) for kind in set(kinds)}
        benchmarks = {kind: table.mean(axis=1) for kind, table in shadows.items()}
        found = []
        for at, kind in enumerate(kinds):
            net = shadows[kind].copy()
            if not stopped[at]:
                # A stopped account did not carry its choice out, so it has no actual outcome.
                carried = chosen[at] >= 0
                net[lanes[carried], chosen[at][carried]] = returns[at][carried]
            found.append(Outcome(net, benchmarks[kind]))
        return tuple(found)
