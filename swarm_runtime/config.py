"""All settings: frozen models that refuse unknown fields, with units in their names.

A setting comes from (strongest first) the command line, the environment (``SWARM_X__Y``), a TOML
or YAML file, a preset, its default here. ``load`` puts them together; errors name the field, the
value and what is allowed. Imports only ``errors``; everything above reads settings from here.
"""

from __future__ import annotations

import datetime
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from swarm_runtime.errors import ConfigError, did_you_mean

__all__ = [
    "KINDS",
    "PRESETS",
    "TOPOLOGIES",
    "CostSettings",
    "DataSettings",
    "FaultSettings",
    "MemorySettings",
    "RiskSettings",
    "Settings",
    "SwarmSettings",
    "TradingSettings",
    "load",
]

#: The built-in kinds of agent, in the order in which a swarm takes them.
KINDS = ("momentum", "mean_reversion", "breakout", "pairs", "neural_forecast")
#: The topologies that ``topologies/`` implements.
TOPOLOGIES = ("mesh", "star")


class _Section(pydantic.BaseModel):
    """Base of all sections: immutable, and a field that isn't known is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(_Section):
    """Where bars come from.

    Attributes
    ----------
    source : str
        ``bundled`` (real daily bars of five US stocks), ``files``, ``placebo`` (the source below
        with its returns shuffled in blocks and their mean removed) or ``planted`` (synthetic
        regimes in which a memory must help).
    paths : tuple of str
        CSV or Parquet files, or folders of them; implies ``files``.
    symbols : tuple of str
        Which symbols to trade; empty means all.
    start, stop : date or None
        First and last date used, both inclusive.
    repair : bool
        Mend what can be mended in files (sort, drop duplicate dates and incomplete rows, accept
        gaps) instead of refusing them.
    seed : int
        Seed of ``placebo`` and ``planted``.
    """

    source: Literal["bundled", "files", "placebo", "planted"] = "bundled"
    paths: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    start: datetime.date | None = None
    stop: datetime.date | None = None
    repair: bool = False
    seed: int = pydantic.Field(0, ge=0, lt=2**32)


class CostSettings(_Section):
    """What a fill costs.

    Attributes
    ----------
    fee_bps : float
        Commission, in basis points of the notional, each side.
    slippage_bps : float
        How much worse than the quoted price a market or stop fill is, in basis points.
    """

    fee_bps: float = pydantic.Field(1.0, ge=0, le=1_000)
    slippage_bps: float = pydantic.Field(4.0, ge=0, le=1_000)


class RiskSettings(_Section):
    """Limits that cut what a strategy asks for.

    Attributes
    ----------
    max_position : float
        Largest |position| in one symbol, as a fraction of the account's equity.
    max_leverage : float
        Largest sum of |positions|, as a multiple of the account's equity.
    max_drawdown : float
        Fall from the peak of equity at which the account is flattened.
    drawdown_pause_bars : int
        How long it then stays flat; after that the peak is counted anew.
    """

    max_position: float = pydantic.Field(0.5, gt=0, le=10)
    max_leverage: float = pydantic.Field(1.0, gt=0, le=10)
    max_drawdown: float = pydantic.Field(0.3, gt=0, le=1)
    drawdown_pause_bars: int = pydantic.Field(63, ge=1)


class TradingSettings(_Section):
    """The replay's calendar, capital, costs and limits.

    Attributes
    ----------
    block_bars : int
        Bars in one round: how long a choice stands before its outcome is judged.
    cash_usd : float
        Each agent's starting capital.
    lot_shares : int
        Shares in a lot; positions are whole lots.
    learn_fraction : float
        Share of the rounds reported as the period learnt on; the rest is the walk-forward
        remainder, on which memory on and off are compared.
    costs, risk : see there
    """

    block_bars: int = pydantic.Field(21, ge=2, le=2_520)
    cash_usd: float = pydantic.Field(100_000.0, ge=100, le=1e9)
    lot_shares: int = pydantic.Field(1, ge=1, le=10_000)
    learn_fraction: float = pydantic.Field(0.5, ge=0.1, le=0.9)
    costs: CostSettings = CostSettings()
    risk: RiskSettings = RiskSettings()


class MemorySettings(_Section):
    """How the ReasoningBank learns and recommends.

    Attributes
    ----------
    mode : str
        ``on``, ``off``, or ``compare``: first without memory, then with it.
    learning_rate : float
        η of the report's confidence update old·(1-η) + new·η.
    half_life_days : float
        Age at which the recency part of the confidence has halved.
    confidence_threshold : float
        Confidence below which a pattern is not applied (exploring is never gated).
    minimum_usage : int
        Outcomes a pattern needs before it is applied.
    bound_z : float
        A candidate is applied when its mean excess reward minus this many standard errors is
        above zero.
    withheld_fraction : float
        Share of recommendations withheld at random, so that their uplift can be measured.
    shadow_teaches : bool
        Whether outcomes of candidates that were not chosen teach too. A price-taker can compute
        them after the fact; they are recorded, and flagged, either way.
    recall_cells : float
        How fast similarity falls with the distance between contexts; see memory/embedding.
    """

    mode: Literal["on", "off", "compare"] = "compare"
    learning_rate: float = pydantic.Field(0.1, gt=0, le=1)
    half_life_days: float = pydantic.Field(365.0, gt=0)
    confidence_threshold: float = pydantic.Field(0.5, ge=0, le=1)
    minimum_usage: int = pydantic.Field(3, ge=1)
    bound_z: float = pydantic.Field(1.0, ge=0, le=10)
    withheld_fraction: float = pydantic.Field(0.05, ge=0, le=0.5)
    shadow_teaches: bool = True


class FaultSettings(_Section):
    """What happens when a part of the infrastructure fails.

    Attributes
    ----------
    retries : int
        How often the same piece of work is tried again before the run ends degraded.
    backoff_s : float
        Wait before the first new try; it doubles each time.
    deadline_s : float
        How long one phase of a round may take on one host before the host counts as hung.
    """

    retries: int = pydantic.Field(5, ge=0)
    backoff_s: float = pydantic.Field(0.2, ge=0)
    deadline_s: float = pydantic.Field(120.0, gt=0)


class SwarmSettings(_Section):
    """Who is in the swarm, and how they are wired.

    Attributes
    ----------
    agents : int
        Number of agents; kinds are dealt out in turn.
    kinds : tuple of str
        Built-in kinds, or ``path/to/file.py:ClassName`` for one's own.
    topology : str
    hops_per_round : int
        Synchronous message hops at the end of each round.
    fanout : int
        Partners that an agent of a mesh calls in one hop.
    agents_per_actor : int
        Agents packed into one Ray actor.
    """

    agents: int = pydantic.Field(5, ge=1, le=10_000)
    kinds: tuple[str, ...] = KINDS
    topology: Literal["mesh", "star"] = "mesh"
    hops_per_round: int = pydantic.Field(2, ge=1, le=64)
    fanout: int = pydantic.Field(1, ge=1, le=64)
    agents_per_actor: int = pydantic.Field(1, ge=1, le=10_000)


class Settings(_Section):
    """A whole run.

    Attributes
    ----------
    seed : int
        Seed of every choice; the same seed and data give the same digest.
    shell : str
        ``ray`` (actors) or ``local`` (one process): the result is the same.
    """

    seed: int = pydantic.Field(0, ge=0, lt=2**32)
    shell: Literal["ray", "local"] = "ray"
    swarm: SwarmSettings = SwarmSettings()
    data: DataSettings = DataSettings()
    trading: TradingSettings = TradingSettings()
    memory: MemorySettings = MemorySettings()
    faults: FaultSettings = FaultSettings()
