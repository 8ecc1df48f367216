"""What follows from the bars alone, computed once for a whole run: targets, contexts, what-ifs.

Every agent of a kind would compute the same, so the driver does it and all processes of a node
read it in place. That targets are computed over the whole history is the same as asking bar by
bar, because a strategy that looks ahead is refused (``lookahead``); what would have come of each
candidate lies here from the start, as the bars themselves do, and is read only for blocks that
are over.

*Shadow accounts* always follow one candidate. A price-taker may ask afterwards what any candidate
would have brought, and they answer it with the same broker, costs and sizing. They have position
and leverage limits but no drawdown stop: a stop would make a candidate's outcome depend on its
past.

Above: ``desk``. Below: ``broker``, ``features``, ``strategies``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import TradingSettings
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.broker import run_block
from swarm_runtime.trading.features import WARM_UP_BARS, context_features
from swarm_runtime.trading.fills import Costs
from swarm_runtime.trading.orders import OrderStyle
from swarm_runtime.trading.risk import RiskLimits
from swarm_runtime.trading.rolling import age_bars, log_returns, window_sum
from swarm_runtime.trading.strategies.base import Strategy, checked_style, checked_targets
from swarm_runtime.trading.styles import StyleArrays

__all__ = ["Prepared", "prepare"]

Floats = npt.NDArray[np.float64]

#: Bars over which the volatility that scales an outcome is measured.
_VOLATILITY_BARS = 63


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Bars of T times and S symbols, and what follows from them for C candidates of all kinds.

    Attributes
    ----------
    bars : Bars
    rows : dict of str to (int, int)
        Each kind's candidates (without flat): a range of rows of ``targets``. Row 0 is flat.
    targets : ndarray of float64, shape (C, T, S)
    styles : tuple of OrderStyle, length C
    features : ndarray of float64, shape (T, S, F)
    available : ndarray of bool, shape (T, S)
        Which symbols can be chosen for after a bar.
    volatility : ndarray of float64, shape (T, S)
        Standard deviation of one bar's log return, up to a bar.
    shadow_returns : dict of int to ndarray of float64, shape (C, S)
        By a block's first bar: what each candidate brought in it, after costs, on the capital
        set aside for a symbol (equity / S at the block's start). Empty if not asked for.
    """

    bars: Bars
    rows: dict[str, tuple[int, int]]
    targets: Floats
    styles: tuple[OrderStyle, ...]
    features: Floats
    available: npt.NDArray[np.bool_]
    volatility: Floats
    shadow_returns: dict[int, Floats]

    def candidate_returns(self, kind: str, start: int) -> Floats:
        """Return what a kind's candidates brought in a block that is over.

        Returns
        -------
        ndarray of float64, shape (S, K)
            Column 0 is flat.

        Raises
        ------
        KeyError
            If shadow returns were not asked for, or no block starts there.
        """
        first, last = self.rows[kind]
        table = self.shadow_returns[start]
        return np.ascontiguousarray(np.concatenate([table[:1], table[first:last]]).T)


def prepare(
    bars: Bars,
    strategies: Mapping[str, Strategy],
    settings: TradingSettings,
    blocks: Sequence[tuple[int, int]],
    *,
    with_shadows: bool,
) -> Prepared:
    """Compute all that follows from the bars.

    Parameters
    ----------
    bars : Bars
    strategies : mapping of kind to Strategy
    settings : TradingSettings
    blocks : sequence of (start, stop)
        In order, each starting where the last one ended.
    with_shadows : bool
        Whether candidates' returns are wanted.

    Raises
    ------
    StrategyError
        If a strategy raises, or returns what can't be traded.
    """
    styles, targets = [OrderStyle()], [np.zeros(bars.close.shape)]
    rows: dict[str, tuple[int, int]] = {}
    for kind, strategy in strategies.items():
        first = len(targets)
        for parameters in strategy.parameters:
            targets.append(checked_targets(strategy, bars, parameters))
            styles.append(checked_style(strategy, parameters))
        rows[kind] = (first, len(targets))
    squares = window_sum(log_returns(bars) ** 2, _VOLATILITY_BARS)
    stacked = np.stack(targets)
    return Prepared(
        bars=bars,
        rows=rows,
        targets=stacked,
        styles=tuple(styles),
        features=context_features(bars),
        available=bars.tradable & (age_bars(bars) >= WARM_UP_BARS),
        volatility=np.sqrt(np.maximum(squares, 0.0) / _VOLATILITY_BARS),
        shadow_returns=_shadows(bars, stacked, styles, settings, blocks) if with_shadows else {},
    )


def _shadows(
    bars: Bars,
    targets: Floats,
    styles: Sequence[OrderStyle],
    settings: TradingSettings,
    blocks: Sequence[tuple[int, int]],
) -> dict[int, Floats]:
    count, _, symbols = targets.shape
    accounts = Accounts.open(count, symbols, settings.cash_usd)
    follow = np.repeat(np.arange(count)[:, None], symbols, axis=1)
    style_arrays = StyleArrays.pick(styles, follow)
    limits = RiskLimits.uniform(
        count, max_position=settings.risk.max_position, max_leverage=settings.risk.max_leverage
    )
    found = {}
    for start, stop in blocks:
        capital = accounts.equity_cents / symbols
        accounts, result = run_block(
            accounts,
            bars,
            start,
            stop,
            targets[:, start - 1 : stop - 1],
            styles=style_arrays,
            limits=limits,
            costs=Costs(settings.costs.fee_bps, settings.costs.slippage_bps),
            lot_shares=settings.lot_shares,
        )
        found[start] = earned(result.pnl_cents, capital)
    return found


def earned(pnl_cents: npt.NDArray[np.int64], capital_cents: Floats) -> Floats:
    """Return profits on capital: shape (A, S) on (A,); nothing on capital that is gone."""
    return np.where(
        capital_cents[:, None] > 0, pnl_cents / np.maximum(capital_cents, 1.0)[:, None], 0.0
    )
