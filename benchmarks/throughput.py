"""How many bar decisions per second, with everything on, and what learning costs.

One bar decision is one (agent, symbol, bar) with target, risk limits, fills, fees and accounting.
Each case runs its two arms (without and with memory, learning, gossip, durable records) in turn,
several times, on 20 symbols and 8,000 bars in blocks of 63 unless it is the default data. The
reference is plain vectorised NumPy doing the least that could be called trading: position times
return minus costs, for the same number of decisions, in the same run.

    python -m benchmarks.throughput [--repeats 3] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table

from swarm_runtime.config import Settings, load
from swarm_runtime.machines.context import market_space
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan, make_plan
from swarm_runtime.simulator import Simulator
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import load_bundled
from swarm_runtime.trading.prepared import Prepared
from swarm_runtime.trading.synthetic import planted_regimes

#: What a case is: name, agents, agents per actor (0: all in this process), default data.
CASES = (
    ("this process, default data", 5, 0, True),
    ("this process", 5, 0, False),
    ("this process", 50, 0, False),
    ("Ray, one agent per actor, default data", 5, 1, True),
    ("Ray, one agent per actor", 5, 1, False),
    ("Ray, one agent per actor", 50, 1, False),
    ("Ray, 25 agents per actor", 50, 25, False),
)


def reference_decisions_per_s(bars: Bars, agents: int) -> float:
    """Return decisions per second of plain NumPy on these bars: no orders, lots or limits."""
    returns = np.diff(bars.close, axis=0) / bars.close[:-1]
    draw = np.random.Generator(np.random.Philox(key=1))
    position = np.sign(draw.standard_normal((agents, *returns.shape), dtype=np.float32))
    started_s = time.perf_counter()
    turnover = np.abs(np.diff(position, axis=1, prepend=0.0))
    profit = position * returns - turnover * 5e-4
    np.cumprod(1.0 + profit.mean(axis=2), axis=1)
    return position.size / (time.perf_counter() - started_s)


def case_settings(agents: int, per_actor: int, default_data: bool) -> Settings:
    """Return the settings of a case."""
    overrides: dict[str, Any] = {
        "swarm.agents": agents,
        "swarm.agents_per_actor": max(per_actor, 1),
    }
    if not default_data:
        overrides |= {"trading.block_bars": 63, "swarm.hops_per_round": 1}
    return load(environment={}, overrides=overrides)


def prepared_for(plan: Plan, arm: str, bars: Bars) -> Prepared:
    """Return what an arm needs of the market; without memory, what-ifs are not computed."""
    return dataclasses.replace(plan, arms=(arm,)).prepare(bars)


def once_here(plan: Plan, bars: Bars) -> dict[str, float]:
    """Return the seconds of each arm in this process, preparing the market included."""
    seconds = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.sqlite") as journal,
        ReasoningBank.open(str(Path(folder) / "bank.sqlite"), space=market_space()) as bank,
    ):
        for arm in plan.arms:
            started_s = time.perf_counter()
            Simulator(plan, prepared_for(plan, arm, bars), journal, bank).run(arm)
            seconds[arm] = time.perf_counter() - started_s
    return seconds


def once_on_ray(plan: Plan, bars: Bars) -> dict[str, float]:
    """Return the seconds of each arm on Ray, once its actors are up; preparing included."""
    from actors.swarm import RaySwarm

    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        journal, bank = Path(folder) / "journal.sqlite", Path(folder) / "bank.sqlite"
        for arm in plan.arms:
            started_s = time.perf_counter()
            prepared = prepared_for(plan, arm, bars)
            preparing_s = time.perf_counter() - started_s
            with RaySwarm(plan, prepared, journal, bank) as swarm:
                swarm.pids()
                started_s = time.perf_counter()
                swarm.run(arm)
                seconds[arm] = preparing_s + time.perf_counter() - started_s
    return seconds


def measure(
    once: Callable[[Plan, Bars], dict[str, float]], plan: Plan, bars: Bars, repeats: int
) -> dict[str, float]:
    """Return medians over repeats: decisions per second, and the paired cost of learning."""
    decisions = len(plan.agents) * len(plan.symbols) * sum(b - a for a, b in plan.blocks)
    runs = [once(plan, bars) for _ in range(repeats)]
    reference = [reference_decisions_per_s(bars, len(plan.agents)) for _ in range(repeats)]
    on = statistics.median(decisions / run["on"] for run in runs)
    return {
        "decisions": decisions,
        "on_per_s": on,
        "off_per_s": statistics.median(decisions / run["off"] for run in runs),
        "learning_cost": statistics.median(run["on"] / run["off"] - 1.0 for run in runs),
        "learning_us_per_agent_round": statistics.median(
            (run["on"] - run["off"]) * 1e6 / (len(plan.agents) * len(plan.blocks)) for run in runs
        ),
        "reference_per_s": statistics.median(reference),
        "ratio_to_reference": on / statistics.median(reference),
    }


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="only what runs in this process")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    wide = planted_regimes(0, symbols=20, bars=8_000).bars
    bundled = load_bundled().bars
    found = []
    console = Console()
    from contextlib import nullcontext

    if given.quick:
        connection: Any = nullcontext()
    else:
        from actors.cluster import connected

        connection = connected()
    with connection:
        for name, agents, per_actor, default_data in CASES:
            if per_actor and given.quick:
                continue
            settings = case_settings(agents, per_actor, default_data)
            bars = bundled if default_data else wide
            plan, _ = make_plan(settings, hosts=None if per_actor else 1, bars=bars)
            once = once_on_ray if per_actor else once_here
            figures = measure(once, plan, bars, given.repeats)
            found.append({"case": name, "agents": agents, **figures})
            print(f"{name}, {agents} agents: done", file=sys.stderr, flush=True)
    table = Table(title="Bar decisions per second (medians)")
    columns = ("case", "agents", "with learning", "without", "learning costs", "NumPy", "ratio")
    for column in columns:
        table.add_column(column, justify="left" if column == "case" else "right")
    for one in found:
        table.add_row(
            str(one["case"]),
            str(one["agents"]),
            f"{one['on_per_s']:,.0f}",
            f"{one['off_per_s']:,.0f}",
            f"{one['learning_cost']:+.0%}, {one['learning_us_per_agent_round']:,.0f} µs",
            f"{one['reference_per_s']:,.0f}",
            f"{one['ratio_to_reference']:.3f}",
        )
    console.print(table)
    console.print("learning costs: of the time without it; and per agent and round")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
