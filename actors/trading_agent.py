"""The actor that hosts trading agents: one each by default, more where they are packed.

An async actor, so that it can answer its peers while it waits for theirs. Its machine is pure and
never interleaves: between two awaits a command runs to its end.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any

from actors.cluster import RayActorError
from swarm_runtime.core.messages import (
    Answer,
    Arrived,
    Begin,
    Dispatch,
    Done,
    HostCommand,
    HostEffect,
    HostLost,
    Refused,
)
from swarm_runtime.machines.host import Host
from swarm_runtime.replay.plan import Plan
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.desk import Desk

__all__ = ["TradingHost"]


class TradingHost:
    """A process with one or more trading agents.

    Parameters
    ----------
    index : int
        Which host of the plan this is.
    plan : Plan
    """

    def __init__(self, index: int, plan: Plan) -> None:
        self._index = index
        self._plan = plan
        self._desk: Desk | None = None
        self._arm = ""
        self._host: Host | None = None
        self._peers: list[Any] = []

    def pid(self) -> int:
        """Return the process's id; answers also say that the actor is up."""
        return os.getpid()

    async def begin(self, begin: Begin, peers: list[Any], bars: Bars) -> Done:
        """Take up a state.

        Parameters
        ----------
        begin : Begin
        peers : list of actor handles
            All hosts, in order.
        bars : Bars
            From the object store, where they lie once for all hosts of a node.
        """
        self._peers = peers
        if self._desk is None:
            kinds = [spec.kind for spec in self._plan.placement[self._index]]
            self._desk = self._plan.desk(bars, kinds)
        if self._host is None or self._arm != begin.step.arm:
            self._host = self._plan.host(self._index, begin.step.arm, self._desk)
            self._arm = begin.step.arm
        (done,) = self._host.handle(begin, 0)
        assert isinstance(done, Done)
        return done

    async def command(self, command: HostCommand) -> Done | Refused | HostLost:
        """Carry a command out, with whatever exchange of parcels it takes.

        Returns
        -------
        Done, Refused, or HostLost
            ``HostLost`` names a peer that does not answer.
        """
        if self._host is None:
            return Refused(command.step, "this host has no state; it was restarted")
        effects = deque(self._host.handle(command, 0))
        messages = 0
        while effects:
            calls: list[Dispatch] = []
            for effect in effects:
                if not isinstance(effect, Dispatch):
                    assert isinstance(effect, Done | Refused)
                    return effect
                calls.append(effect)
            answers = await asyncio.gather(
                *(self._peers[call.host].deliver.remote(call.arrived) for call in calls),
                return_exceptions=True,
            )
            effects = deque()
            for call, answer in zip(calls, answers, strict=True):
                messages += len(call.arrived.parcels)
                match answer:
                    case Answer():
                        messages += len(answer.parcels)
                        back = Arrived(
                            call.arrived.step, call.arrived.hop, answer.parcels, is_answer=True
                        )
                        effects += self._host.handle(back, 0)
                    case Refused():
                        return HostLost(call.host, command.step, answer.reason)
                    case RayActorError():
                        return HostLost(call.host, command.step, type(answer).__name__)
                    case _:
                        # Not a lost process but a fault in a machine: that must not be masked.
                        raise answer
        return Done(command.step, messages)

    async def deliver(self, arrived: Arrived) -> HostEffect:
        """Take parcels from a peer; return this host's answer to them."""
        if self._host is None:
            return Refused(arrived.step, "this host has no state; it was restarted")
        (effect,) = self._host.handle(arrived, 0)
        return effect
