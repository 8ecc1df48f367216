"""From the journal to series: what an arm's agents did, in one array each.

Above: ``results``. Reads the journal and the plan; computes nothing that isn't there.
"""

from __future__ import annotations

import numpy as np

from swarm_runtime.core.messages import HostRound
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.trading.bars import Bars

__all__ = ["arm_series"]


def arm_series(plan: Plan, bars: Bars, journal: Journal, arm: str) -> ArmSeries:
    """Return an arm's series.

    Raises
    ------
    ValueError
        If the arm isn't finished.
    """
    rounds = list(journal.rounds(arm))
    if len(rounds) != len(plan.blocks):
        raise ValueError(f"arm {arm!r}: {len(rounds)} of {len(plan.blocks)} rounds are finished")
    first, last = plan.blocks[0][0], plan.blocks[-1][1]
    agents = []
    for host, specs in enumerate(plan.placement):
        mine = [one[host] for one in rounds]
        agents += [_agent(plan, mine, at, host, first) for at in range(len(specs))]
    return ArmSeries(arm, bars.times[first:last], plan.settings.trading.block_bars, tuple(agents))


def _agent(plan: Plan, rounds: list[HostRound], at: int, host: int, first: int) -> AgentSeries:
    spec = plan.placement[host][at]
    trades = np.concatenate([one.trades[one.trades[:, 0] == at] for one in rounds])
    return AgentSeries(
        agent=spec.agent,
        kind=spec.kind,
        symbols=spec.symbols,
        candidates=spec.candidates,
        first_bar=first,
        equity_cents=np.concatenate([one.equity_cents[at] for one in rounds]),
        cost_cents=np.concatenate([one.cost_cents[at] for one in rounds]),
        trade_bar=trades[:, 1] - first,
        trade_pnl_cents=trades[:, 2],
        chosen=np.stack([one.chosen[at] for one in rounds]),
        reason=np.stack([one.reason[at] for one in rounds]),
        known=np.array([one.known[at] for one in rounds], dtype=np.int64),
        confidence=np.stack([one.confidence[at] for one in rounds]),
        risk_cuts=tuple(text for one in rounds for agent, text in one.cuts if agent == at),
        fills=int(sum(int(one.fills[at]) for one in rounds)),
    )
