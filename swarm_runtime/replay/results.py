"""What a run found: results, and the digest over them.

Results depend on seed, data and settings alone: not on the shell, on how agents are packed, on
scheduling or on faults. Whatever does is kept out of them. Above: ``api``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from swarm_runtime.core.knowledge import Experience
from swarm_runtime.machines.context import market_space
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.choice.ranking import EVIDENCE, Reason
from swarm_runtime.replay.assemble import arm_series
from swarm_runtime.replay.evidence import patterns_that_mattered
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan
from swarm_runtime.report.compare import compare
from swarm_runtime.report.digest import digest, series_digest
from swarm_runtime.report.series import ArmSeries
from swarm_runtime.report.summary import arm_report, walk_forward_start
from swarm_runtime.trading.bars import Bars

__all__ = ["Findings", "find"]

#: Settings that change how a run is carried out, but not what it finds.
_HOW: Any = {"shell": True, "faults": True, "swarm": {"agents_per_actor"}, "data": {"paths"}}


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found.

    Attributes
    ----------
    results : dict
        What ``results.json`` holds.
    digest : str
        SHA-256 over its canonical form.
    arms : tuple of ArmSeries
    """

    results: dict[str, Any]
    digest: str
    arms: tuple[ArmSeries, ...]


def find(plan: Plan, bars: Bars, journal: Journal, bank: ReasoningBank) -> Findings:
    """Return what a finished run found.

    Raises
    ------
    ValueError
        If an arm isn't finished.
    """
    trading = plan.settings.trading
    arms = tuple(arm_series(plan, bars, journal, arm) for arm in plan.arms)
    reports = {
        arm.name: arm_report(arm, cash_usd=trading.cash_usd, learn_fraction=trading.learn_fraction)
        for arm in arms
    }
    experiences = bank.experiences()
    main = reports[plan.arms[-1]]
    comparison = None
    if len(arms) == 2:
        off, on = arms
        _, first_bar = walk_forward_start(on, trading.learn_fraction)
        comparison = dataclasses.asdict(
            compare(on=on, off=off, first_bar=first_bar, seed=plan.settings.seed)
        )
    results: dict[str, Any] = {
        "config": plan.settings.model_dump(mode="json", exclude=_HOW),
        "data": plan.describe_data(),
        "rounds": len(plan.blocks),
        "agents": main["agents"],
        "swarm": main["swarm"],
        "memory": {**main["memory"], **_kept(experiences)},
        "comparison": comparison,
        "patterns": patterns_that_mattered(experiences, market_space()),
        "arms": reports,
        "series_sha256": {arm.name: series_digest(arm) for arm in arms},
    }
    # As it will be read from the file again: a report in memory equals the one on disk.
    results = json.loads(json.dumps(results))
    return Findings(results, digest(results), arms)


def _kept(experiences: list[Experience]) -> dict[str, Any]:
    """Return how much the bank holds, and the mean confidence of what it recommended."""
    patterns: set[tuple[str, str, int]] = set()
    trajectories, confidence = 0, []
    for one in experiences:
        rows = [row for row in range(len(one.subjects)) if one.chosen[row] >= 0]
        trajectories += len(rows)
        for row in rows:
            cell = int(one.cells[row])
            patterns |= {(one.task_type, approach, cell) for approach in one.approaches}
            if one.reason[row] == Reason.APPLIED:
                confidence.append(float(one.evidence[row, EVIDENCE.index("confidence")]))
    return {
        "patterns": len(patterns),
        "trajectories": trajectories,
        "mean_confidence": round(sum(confidence) / len(confidence), 10) if confidence else None,
    }
