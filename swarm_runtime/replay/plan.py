"""A run's plan: settings turned into bars, agents and blocks, everything checked.

Whatever is wrong with what the user gave is found here, before a folder is made or an actor
started. Above: the shells and the results. Below: trading, machines.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import topologies
from swarm_runtime.config import Settings
from swarm_runtime.core.topology import Topology
from swarm_runtime.errors import ConfigError, StrategyError
from swarm_runtime.machines.agent import AgentSpec, Learning
from swarm_runtime.machines.context import market_space
from swarm_runtime.machines.coordinator import Coordinator
from swarm_runtime.machines.host import Host
from swarm_runtime.trading import data
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.desk import Desk
from swarm_runtime.trading.lookahead import check_strategy
from swarm_runtime.trading.prepared import Prepared, prepare
from swarm_runtime.trading.registry import StrategySource, load_strategy
from swarm_runtime.trading.strategies.base import checked_targets

__all__ = ["FLAT", "Plan", "make_plan"]

#: The candidate that every agent has: hold nothing.
FLAT = "flat"
#: Rounds below which splitting and comparing mean nothing.
_FEWEST_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run rests on; the same in every process, and cheap to send but for the bars.

    Attributes
    ----------
    settings : Settings
    sources : tuple of StrategySource
        One per kind in the swarm.
    placement : tuple of tuple of AgentSpec
        The agents of each host.
    blocks : tuple of (start, stop)
        The bars of each round.
    arms : tuple of str
        ``off``, ``on`` or both, in the order in which they run.
    symbols : tuple of str
    bars_count : int
    bars_fingerprint : str
    first_date, last_date : str
        ISO dates of the first and last bar loaded.
    repairs : tuple of str
        What was mended in the user's files.
    """

    settings: Settings
    sources: tuple[StrategySource, ...]
    placement: tuple[tuple[AgentSpec, ...], ...]
    blocks: tuple[tuple[int, int], ...]
    arms: tuple[str, ...]
    symbols: tuple[str, ...]
    bars_count: int
    bars_fingerprint: str
    first_date: str
    last_date: str
    repairs: tuple[str, ...]

    @property
    def agents(self) -> tuple[AgentSpec, ...]:
        """All agents, in canonical order."""
        return tuple(spec for specs in self.placement for spec in specs)

    def topology(self) -> Topology:
        """Return the swarm's topology."""
        swarm = self.settings.swarm
        return topologies.build(
            swarm.topology,
            [spec.agent for spec in self.agents],
            seed=self.settings.seed,
            fanout=swarm.fanout,
        )

    def prepare(self, bars: Bars) -> Prepared:
        """Return what follows from the bars alone; computed once for all processes.

        Raises
        ------
        StrategyError
            If a strategy fails on these bars.
        """
        strategies = [source.build() for source in self.sources]
        return prepare(
            bars,
            {strategy.kind: strategy for strategy in strategies},
            self.settings.trading,
            self.blocks,
            with_shadows="on" in self.arms,
        )

    def coordinator(self, arm: str, first_attempt: int) -> Coordinator:
        """Return the coordinator's machine for an arm, in its first state."""
        topology = self.topology()
        homes = {spec.agent: at for at, specs in enumerate(self.placement) for spec in specs}

        def speakers(cycle: int, hop: int) -> list[int]:
            return sorted({homes[agent] for agent in topology.speakers(cycle, hop)})

        return Coordinator(
            arm,
            hosts=len(self.placement),
            blocks=self.blocks,
            with_memory=arm == "on",
            hops=self.settings.swarm.hops_per_round,
            speakers=speakers,
            faults=self.settings.faults,
            first_attempt=first_attempt,
        )

    def host(self, index: int, arm: str, prepared: Prepared) -> Host:
        """Return a host's machine for an arm, in its first state."""
        memory = self.settings.memory
        return Host(
            index,
            self.placement,
            desk=Desk(prepared, self.settings.trading),
            topology=self.topology(),
            seed=self.settings.seed,
            learning=Learning.of(memory, market_space()) if arm == "on" else None,
        )

    def describe_data(self) -> dict[str, Any]:
        """Return what the report says of the data."""
        return {
            "source": self.settings.data.source,
            "symbols": list(self.symbols),
            "bars": self.bars_count,
            "from": self.first_date,
            "to": self.last_date,
            "fingerprint": self.bars_fingerprint,
            "repairs": list(self.repairs),
        }


def make_plan(
    settings: Settings, *, hosts: int | None = None, bars: Bars | None = None
) -> tuple[Plan, Bars]:
    """Return the plan that settings imply, and its bars.

    Parameters
    ----------
    settings : Settings
    bars : Bars or None
        Bars to trade instead of those that ``settings.data`` names.
    hosts : int or None
        Into how many hosts to pack the agents; None: as ``swarm.agents_per_actor`` says.

    Raises
    ------
    UserError
        If anything the user gave can't be used; says what, and what to do about it.
    """
    kinds = settings.swarm.kinds
    if not kinds:
        raise ConfigError("swarm.kinds", [], "name at least one kind of agent")
    loaded = {name: load_strategy(name) for name in dict.fromkeys(kinds)}
    names = [one.kind for one in loaded.values()]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("swarm.kinds", list(kinds), f"two strategies are called {name!r}")
    repairs: tuple[str, ...] = ()
    if bars is None:
        market = data.load(settings.data)
        bars, repairs = market.bars, market.repairs
    blocks = _blocks(settings, bars)
    for one in loaded.values():
        if one.source.text is not None:
            for parameters in one.strategy.parameters:
                checked_targets(one.strategy, bars, parameters)
            report = check_strategy(one.strategy, bars)
            if not report.ok:
                worthless = f"{report}\nA replay of it would be worthless."
                raise StrategyError(one.source.name, worthless)
    specs = []
    for number in range(settings.swarm.agents):
        one = loaded[kinds[number % len(kinds)]]
        name = f"{one.kind}-{number // len(kinds) + 1}"
        specs.append(AgentSpec(name, one.kind, bars.symbols, (FLAT, *one.approaches)))
    if hosts is None:
        hosts = -(-len(specs) // settings.swarm.agents_per_actor)
    used = {spec.kind for spec in specs}
    plan = Plan(
        settings=settings,
        sources=tuple(one.source for one in loaded.values() if one.kind in used),
        placement=_placed(specs, min(hosts, len(specs))),
        blocks=blocks,
        arms={"compare": ("off", "on"), "on": ("on",), "off": ("off",)}[settings.memory.mode],
        symbols=bars.symbols,
        bars_count=bars.count,
        bars_fingerprint=bars.fingerprint(),
        first_date=str(bars.times[0].astype("datetime64[D]")),
        last_date=str(bars.times[-1].astype("datetime64[D]")),
        repairs=repairs,
    )
    return plan, bars


def _blocks(settings: Settings, bars: Bars) -> tuple[tuple[int, int], ...]:
    trading = settings.trading
    first, size = trading.warm_up_bars, trading.block_bars
    # A last block shorter than the others would be judged by another measure; it is left out.
    count = max(0, (bars.count - first) // size)
    if count < _FEWEST_ROUNDS:
        raise ConfigError(
            "trading.block_bars",
            size,
            f"{bars.count} bars give {count} blocks after {first} bars of warm-up; at least "
            f"{_FEWEST_ROUNDS} are needed. Take more data, or lower trading.block_bars or "
            "trading.warm_up_bars",
        )
    return tuple((first + at * size, first + (at + 1) * size) for at in range(count))


def _placed(specs: Sequence[AgentSpec], hosts: int) -> tuple[tuple[AgentSpec, ...], ...]:
    """Deal agents out to hosts in runs of nearly equal length, keeping their order."""
    bounds = [round(len(specs) * at / hosts) for at in range(hosts + 1)]
    return tuple(tuple(specs[start:stop]) for start, stop in itertools.pairwise(bounds))
