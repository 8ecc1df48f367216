"""From an arm's series to the figures of ``report.json``: per agent, for the swarm, for the memory.

Everything is made of JSON types: floats rounded to ten digits, None where a figure isn't defined
(no NaN), counts as integers. Above: ``api``, ``compare`` (which takes the swarm's total and the
split from here), ``curves``. Below: ``trading.metrics`` for the formulas.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.report.years import bars_per_year
from swarm_runtime.trading.metrics import measure

__all__ = ["arm_report", "rounded", "swarm_cents", "walk_forward_start"]

Integers = npt.NDArray[np.int64]

_DIGITS = 10
#: Fields of ``trading.metrics.Metrics`` that are reported, under the same names.
_MEASURED = (
    "total_return",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "win_rate_per_trade",
    "profit_factor_per_trade",
)


def rounded(value: float | None) -> float | None:
    """Return ``value`` rounded to ten digits; None for what isn't finite, and 0.0 for -0.0."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), _DIGITS) + 0.0


def walk_forward_start(arm: ArmSeries, learn_fraction: float) -> tuple[int, int]:
    """Return the first round and the first bar of the walk-forward remainder.

    Parameters
    ----------
    arm : ArmSeries
    learn_fraction : float
        Share of the rounds, rounded down, that is the period learnt on.
    """
    rounds = len(arm.agents[0].chosen)
    first_round = math.floor(rounds * learn_fraction)
    return first_round, min(first_round * arm.block_bars, len(arm.times))


def swarm_cents(arm: ArmSeries) -> tuple[Integers, Integers]:
    """Return equity and costs of the swarm, the sums of its agents', in cents, shape (T,) each."""
    equity = np.zeros(len(arm.times), dtype=np.int64)
    costs = np.zeros(len(arm.times), dtype=np.int64)
    for agent in arm.agents:
        equity += agent.equity_cents
        costs += agent.cost_cents
    return equity, costs


def arm_report(arm: ArmSeries, *, cash_usd: float, learn_fraction: float) -> dict[str, Any]:
    """Return an arm's part of ``report.json``.

    Parameters
    ----------
    arm : ArmSeries
    cash_usd : float
        Each agent's starting capital.
    learn_fraction : float
        Share of the rounds that is the period learnt on.

    Returns
    -------
    dict
        ``agents``, ``swarm`` and ``memory``. An agent and the swarm have the same figures thrice:
        at the top for the whole run, in ``learnt`` and in ``walk_forward`` for its two periods.
    """
    per_year = bars_per_year(arm.times)
    _, split = walk_forward_start(arm, learn_fraction)
    cash_cents = round(cash_usd * 100)
    agents = [
        {
            "id": agent.agent,
            "kind": agent.kind,
            "symbols": list(agent.symbols),
            **_three_periods(
                cash_cents,
                agent.equity_cents,
                agent.cost_cents,
                agent.trade_bar,
                agent.trade_pnl_cents,
                len(agent.symbols),
                split,
                per_year,
            ),
            "fills": agent.fills,
            "risk_cuts": len(agent.risk_cuts),
        }
        for agent in arm.agents
    ]
    equity, costs = swarm_cents(arm)
    swarm = {
        "agents": len(arm.agents),
        **_three_periods(
            cash_cents * len(arm.agents),
            equity,
            costs,
            np.concatenate([agent.trade_bar for agent in arm.agents]),
            np.concatenate([agent.trade_pnl_cents for agent in arm.agents]),
            sum(len(agent.symbols) for agent in arm.agents),
            split,
            per_year,
        ),
        "fills": sum(agent.fills for agent in arm.agents),
        "risk_cuts": sum(len(agent.risk_cuts) for agent in arm.agents),
    }
    return {"agents": agents, "swarm": swarm, "memory": _memory(arm.agents)}


def _three_periods(
    start_cents: int,
    equity: Integers,
    costs: Integers,
    trade_bar: Integers,
    trade_pnl: Integers,
    symbols: int,
    split: int,
    per_year: float,
) -> dict[str, Any]:
    def period(first: int, stop: int) -> dict[str, Any]:
        closed = (trade_bar >= first) & (trade_bar < stop)
        found = measure(
            equity[first:stop],
            trade_pnl[closed],
            capital=start_cents if first == 0 else int(equity[first - 1]),
            bars_per_year=per_year,
        )
        return {
            "decisions": (stop - first) * symbols,
            "trades": found.trades,
            **{name: rounded(getattr(found, name)) for name in _MEASURED},
            "costs_usd": rounded(int(costs[first:stop].sum()) / 100),
        }

    bars = len(equity)
    return {
        **period(0, bars),
        "learnt": period(0, split),
        "walk_forward": period(split, bars),
    }


def _memory(agents: tuple[AgentSeries, ...]) -> dict[str, Any]:
    """Return how often the memory was asked, and what it answered."""
    counts = dict.fromkeys(Reason, 0)
    confidence_sum, confident = 0.0, 0
    for agent in agents:
        for reason in Reason:
            counts[reason] += int(np.count_nonzero(agent.reason == int(reason)))
        given = agent.confidence[~np.isnan(agent.confidence)]
        confidence_sum += math.fsum(given)
        confident += len(given)
    choices = sum(number for reason, number in counts.items() if reason >= 0)
    applied = counts[Reason.APPLIED]
    return {
        "choices": choices,
        "recommendations": applied,
        "abstentions": counts[Reason.ABSTAINED],
        "withheld": counts[Reason.WITHHELD],
        "no_memory": counts[Reason.NO_MEMORY],
        "explored": choices - applied,
        "reuse_rate": rounded(applied / choices) if choices else None,
        "mean_confidence": rounded(confidence_sum / confident) if confident else None,
    }
