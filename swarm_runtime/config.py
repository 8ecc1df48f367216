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
    "CacheSettings",
    "CostSettings",
    "DataSettings",
    "FaultSettings",
    "MemorySettings",
    "RiskSettings",
    "Settings",
    "SwarmSettings",
    "TradingSettings",
    "UpkeepSettings",
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
    warm_up_bars : int
        Bars before the first round, which strategies and features need for a history.
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

    warm_up_bars: int = pydantic.Field(252, ge=1, le=5_000)
    block_bars: int = pydantic.Field(21, ge=2, le=2_520)
    cash_usd: float = pydantic.Field(100_000.0, ge=100, le=1e9)
    lot_shares: int = pydantic.Field(1, ge=1, le=10_000)
    learn_fraction: float = pydantic.Field(0.5, ge=0.1, le=0.9)
    costs: CostSettings = CostSettings()
    risk: RiskSettings = RiskSettings()


class CacheSettings(_Section):
    """Answers that are kept, so that the same question need not be answered twice.

    An entry counts only for the very state of the bank it was made from, so it can't be stale; its
    age is limited so that what nobody asks for is let go.

    Attributes
    ----------
    entries : int
        Answers kept at most; 0 keeps none.
    ttl_s : float
        How long one is kept.
    """

    entries: int = pydantic.Field(1_000, ge=0, le=1_000_000)
    ttl_s: float = pydantic.Field(60.0, ge=0)


class UpkeepSettings(_Section):
    """How a bank is kept from growing without bound, and from being lost.

    Attributes
    ----------
    automatic : bool
        Whether a bank that is written to prunes itself. Off by default: nothing is forgotten
        unless somebody says so.
    most_patterns : int
        Patterns kept at most.
    prune_below : float
        Confidence below which a pattern is let go.
    retention_days : float
        Age at which trajectories are folded into their patterns' statistics and let go.
    backup_every_s : float
        How often a bank actor backs its file up; 0 never.
    backups_kept : int
    """

    automatic: bool = False
    most_patterns: int = pydantic.Field(10_000, ge=1)
    prune_below: float = pydantic.Field(0.3, ge=0, le=1)
    retention_days: float = pydantic.Field(90.0, gt=0)
    backup_every_s: float = pydantic.Field(3_600.0, ge=0)
    backups_kept: int = pydantic.Field(3, ge=1)


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
        above zero. The best of several is applied, so luck has several chances: with 9 candidates
        and 20 outcomes of coin flips, 1 applies one of them in 89 % of cases, 2 in 27 %, 2.5 in
        10 %. The default is lax because the alternative is a blind choice: following luck is then
        no worse, and finding what works sooner is better (benchmarks/honesty).
    withheld_fraction : float
        Share of recommendations withheld at random, so that their uplift can be measured.
    shadow_teaches : bool
        Whether outcomes of candidates that were not chosen teach too. A price-taker can compute
        them after the fact; they are recorded, and flagged, either way.
    confidence_weights : tuple of four float
        Of the confidence's parts: success rate, usage frequency, recency, context similarity.
    policy : str
        How a recommendation is chosen among candidates: see ``memory.policies``. Agents of a swarm
        always use ``lower_bound``.
    forgets : bool
        Whether what was known before outcomes collapsed no longer counts.
    trust : bool
        Whether an agent whose reports don't hold up counts for less.
    transfer : bool
        Whether what was found in other domains counts, at a discount that is learnt, where a
        domain is asked about.
    diversity : float
        λ of maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998): 1 ranks by relevance
        alone, 0 by difference from what was already taken.
    cache, upkeep : see there
    """

    mode: Literal["on", "off", "compare"] = "compare"
    learning_rate: float = pydantic.Field(0.1, gt=0, le=1)
    half_life_days: float = pydantic.Field(365.0, gt=0)
    confidence_threshold: float = pydantic.Field(0.5, ge=0, le=1)
    minimum_usage: int = pydantic.Field(3, ge=1)
    bound_z: float = pydantic.Field(1.0, ge=0, le=10)
    withheld_fraction: float = pydantic.Field(0.05, ge=0, le=0.5)
    shadow_teaches: bool = True
    confidence_weights: tuple[float, float, float, float] = (0.4, 0.3, 0.2, 0.1)
    policy: Literal["blend", "confidence", "linucb", "lower_bound", "thompson", "ucb"] = "blend"
    forgets: bool = True
    trust: bool = True
    transfer: bool = True
    diversity: float = pydantic.Field(0.7, ge=0, le=1)
    cache: CacheSettings = CacheSettings()
    upkeep: UpkeepSettings = UpkeepSettings()


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
    hops_per_round: int = pydantic.Field(3, ge=1, le=64)
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


#: What a preset changes, as dotted names; the report's three environments (its section 8).
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "development": {
        "swarm.agents": 3,
        "memory.learning_rate": 0.2,
        "memory.confidence_threshold": 0.5,
        "faults.backoff_s": 0.05,
    },
    "staging": {
        "swarm.agents": 10,
        "memory.learning_rate": 0.1,
        "memory.confidence_threshold": 0.7,
    },
    "production": {
        "swarm.agents": 50,
        "memory.learning_rate": 0.1,
        "memory.confidence_threshold": 0.75,
        "memory.minimum_usage": 5,
        "faults.retries": 10,
    },
}

_ENVIRONMENT_PREFIX = "SWARM_"


def load(
    *,
    file: str | None = None,
    preset: str | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Put settings together; later sources win: preset, file, environment, overrides.

    Parameters
    ----------
    file : str or None
        TOML or YAML, by its ending.
    preset : str or None
        A key of ``PRESETS``.
    environment : mapping or None
        ``SWARM_TRADING__COSTS__FEE_BPS=2`` sets ``trading.costs.fee_bps``; None reads the
        process's environment.
    overrides : mapping or None
        Dotted names to values.

    Raises
    ------
    ConfigError
        For anything unknown or not allowed: names the field, the value and what is allowed.
    """
    tree: dict[str, Any] = {}
    if preset is not None:
        if preset not in PRESETS:
            raise ConfigError("preset", preset, f"no such preset.{did_you_mean(preset, PRESETS)}")
        for name, value in PRESETS[preset].items():
            _set(tree, name.split("."), value, name)
    if file is not None:
        _merge(tree, _read(file), "")
    variables = os.environ if environment is None else environment
    for name in sorted(variables):
        if name.startswith(_ENVIRONMENT_PREFIX) and "__" in name:
            parts = name.removeprefix(_ENVIRONMENT_PREFIX).lower().split("__")
            # YAML's scalars and lists are how one writes a number or several symbols in a shell.
            _set(tree, parts, _scalar(variables[name]), name)
    for name, value in (overrides or {}).items():
        _set(tree, name.split("."), value, name)
    try:
        return Settings.model_validate(tree)
    except pydantic.ValidationError as error:
        raise _explain(error) from None


def _set(tree: dict[str, Any], parts: list[str], value: Any, name: str) -> None:
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(name, value, f"{part} is a value, not a section")
    tree[parts[-1]] = value


def _merge(tree: dict[str, Any], update: Mapping[str, Any], path: str) -> None:
    for key, value in update.items():
        if isinstance(value, Mapping):
            section = tree.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{path}{key}", value, "is given both as a value and a section")
            _merge(section, value, f"{path}{key}.")
        else:
            tree[key] = value


def _scalar(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _read(file: str) -> Mapping[str, Any]:
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("config", file, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError("config", file, "is not a text file in UTF-8") from error
    try:
        if path.suffix == ".toml":
            found: Any = tomllib.loads(text)
        elif path.suffix in (".yaml", ".yml"):
            found = yaml.safe_load(text) or {}
        else:
            raise ConfigError("config", file, "must end in .toml, .yaml or .yml")
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError("config", file, f"can't be parsed: {reason}") from error
    if not isinstance(found, Mapping):
        raise ConfigError("config", file, "must hold sections (swarm, data, trading, memory, ...)")
    return found


def _section_of(path: list[str]) -> type[pydantic.BaseModel]:
    """Return the model that the dotted path's last section names."""
    model: type[pydantic.BaseModel] = Settings
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel)
        ):
            return model
        model = field.annotation
    return model


def _explain(error: pydantic.ValidationError) -> ConfigError:
    """Return the first thing that is wrong, in words."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    if first["type"] == "extra_forbidden":
        allowed = _section_of(path[:-1]).model_fields
        return ConfigError(
            name, first["input"], f"no such setting.{did_you_mean(path[-1], allowed)}"
        )
    if first["type"] == "literal_error":
        allowed_text = first.get("ctx", {}).get("expected", "")
        words = [word.strip(" '") for word in allowed_text.replace(" or ", ",").split(",")]
        hint = did_you_mean(first["input"], words)
        return ConfigError(name, first["input"], f"not allowed.{hint}")
    message = first["msg"]
    return ConfigError(name, first["input"], message[:1].lower() + message[1:])
