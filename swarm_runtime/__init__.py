"""A learning swarm runtime: trading agents as Ray actors that learn from each other's outcomes.

Public names are resolved when they are first used, so that importing the package costs nothing
and the ReasoningBank can be used alone, without Ray.

>>> from swarm_runtime import Settings, run                        # doctest: +SKIP
>>> run(Settings(seed=7)).report["comparison"]["verdict"]          # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm_runtime.api import RunResult, check_strategy, resume, run
    from swarm_runtime.config import Settings
    from swarm_runtime.config import load as load_settings
    from swarm_runtime.errors import SwarmError
    from swarm_runtime.memory.bank import ReasoningBank
    from swarm_runtime.memory.records.trajectory import Trajectory
    from swarm_runtime.trading.bars import Bars
    from swarm_runtime.trading.strategies import Strategy

__all__ = [
    "Bars",
    "ReasoningBank",
    "RunResult",
    "Settings",
    "Strategy",
    "SwarmError",
    "Trajectory",
    "__version__",
    "check_strategy",
    "load_settings",
    "resume",
    "run",
]

#: Literal, because a job's working directory has no package metadata.
__version__ = "0.1.0"

_HOMES = {
    "Bars": ("swarm_runtime.trading.bars", "Bars"),
    "ReasoningBank": ("swarm_runtime.memory.bank", "ReasoningBank"),
    "RunResult": ("swarm_runtime.api", "RunResult"),
    "Settings": ("swarm_runtime.config", "Settings"),
    "Strategy": ("swarm_runtime.trading.strategies", "Strategy"),
    "SwarmError": ("swarm_runtime.errors", "SwarmError"),
    "Trajectory": ("swarm_runtime.memory.records.trajectory", "Trajectory"),
    "check_strategy": ("swarm_runtime.api", "check_strategy"),
    "load_settings": ("swarm_runtime.config", "load"),
    "resume": ("swarm_runtime.api", "resume"),
    "run": ("swarm_runtime.api", "run"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
