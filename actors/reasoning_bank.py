"""The actor that holds the ReasoningBank: the one writer of its file.

A plain synchronous actor: calls run one after another, in the order in which they came, in the
thread that opened the database. It answers a record when it is durable; recording again what is
there already changes nothing, so a caller that does not know whether its call arrived calls again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.core.lessons import Lesson
from swarm_runtime.machines.context import market_space
from swarm_runtime.memory.bank import ReasoningBank

__all__ = ["BankActor"]


class BankActor:
    """A bank in a process of its own.

    Parameters
    ----------
    path : str
        Its file.
    settings : MemorySettings
    """

    def __init__(self, path: str, settings: MemorySettings) -> None:
        self._bank = ReasoningBank.open(path, space=market_space(), settings=settings)

    def pid(self) -> int:
        """Return the process's id; answers also say that the actor is up."""
        return os.getpid()

    def record_all(self, sealed: Sequence[Sealed]) -> int:
        """Make experiences durable; return how many were new."""
        return self._bank.record_all(sealed)

    def lessons(self, until: View) -> list[Lesson]:
        """Return what all experiences teach that a view names."""
        return self._bank.lessons(until)
