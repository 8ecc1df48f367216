"""Small whole runs for tests: what to run, and how to run it in each shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarm_runtime.config import Settings, load
from swarm_runtime.machines.context import market_space
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan, make_plan
from swarm_runtime.replay.results import find
from swarm_runtime.simulator import Fault, Simulator
from swarm_runtime.trading.bars import Bars

__all__ = ["findings_digest", "simulated_digest", "small"]

#: Four years of three stocks and six agents of three kinds: enough to learn, quick to run.
_SMALL: dict[str, Any] = {
    "swarm.agents": 6,
    "swarm.kinds": ["momentum", "mean_reversion", "breakout"],
    "data.symbols": ["AAPL", "IBM", "MSFT"],
    "data.start": "2001-01-01",
    "data.stop": "2004-12-31",
    "faults.backoff_s": 0.05,
}


def small(**overrides: Any) -> Settings:
    """Return the settings of a small run; ``swarm__agents=3`` overrides ``swarm.agents``."""
    names = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(environment={}, overrides={**_SMALL, **names})


def findings_digest(plan: Plan, bars: Bars, journal: Path | str, bank: Path | str) -> str:
    """Return the digest of a finished run's files."""
    settings = plan.settings.memory
    with (
        Journal(journal) as written,
        ReasoningBank.open(str(bank), space=market_space(), settings=settings) as kept,
    ):
        return find(plan, bars, written, kept).digest


def simulated_digest(settings: Settings, *, hosts: int, fault: Fault | None = None) -> str:
    """Return the digest of a run in this process, with some hosts and faults."""
    plan, bars = make_plan(settings, hosts=hosts)
    space = market_space()
    with (
        Journal(":memory:") as journal,
        ReasoningBank.open(":memory:", space=space, settings=settings.memory) as bank,
    ):
        prepared = plan.prepare(bars)
        more = {} if fault is None else {"fault": fault}
        for arm in plan.arms:
            Simulator(plan, prepared, journal, bank, **more).run(arm)
        return find(plan, bars, journal, bank).digest
