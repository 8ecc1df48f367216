"""The actor that hosts trading agents: one each by default, more where they are packed.

A threaded actor, so that it can answer its peers while it waits for theirs: a command waits, a
delivery never does, so two threads are enough. (An async actor would do too, and costs twice as
much a call.) A lock keeps the machine's steps apart; it is not held while waiting.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import ray

from actors.cluster import RayActorError
from swarm_runtime.core.messages import (
    Answer,
    Arrived,
    Begin,
    Dispatch,
    Done,
    HostCommand,
    HostEffect,
    HostEvent,
    HostLost,
    Refused,
)
from swarm_runtime.machines.host import Host
from swarm_runtime.replay.plan import Plan
from swarm_runtime.trading.prepared import Prepared

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
        self._arm = ""
        self._host: Host | None = None
        self._peers: list[Any] = []
        self._lock = threading.Lock()

    def pid(self) -> int:
        """Return the process's id; answers also say that the actor is up."""
        return os.getpid()

    def begin(self, begin: Begin, peers: list[Any], prepared: Prepared) -> Done:
        """Take up a state.

        Parameters
        ----------
        begin : Begin
        peers : list of actor handles
            All hosts, in order.
        prepared : Prepared
            From the object store, where it lies once for all hosts of a node.
        """
        with self._lock:
            self._peers = peers
            if self._host is None or self._arm != begin.step.arm:
                self._host = self._plan.host(self._index, begin.step.arm, prepared)
                self._arm = begin.step.arm
            (done,) = self._host.handle(begin, 0)
        assert isinstance(done, Done)
        return done

    def command(self, command: HostCommand) -> Done | Refused | HostLost:
        """Carry a command out, with whatever exchange of parcels it takes.

        Returns
        -------
        Done, Refused, or HostLost
            ``HostLost`` names a peer that does not answer.
        """
        effects = self._handle(command)
        messages = 0
        while effects:
            calls: list[Dispatch] = []
            for effect in effects:
                if not isinstance(effect, Dispatch):
                    assert isinstance(effect, Done | Refused)
                    return effect
                calls.append(effect)
            answers = [self._peers[call.host].deliver.remote(call.arrived) for call in calls]
            effects = []
            for call, reference in zip(calls, answers, strict=True):
                try:
                    answer = ray.get(reference, timeout=self._plan.settings.faults.deadline_s)
                except (RayActorError, ray.exceptions.GetTimeoutError) as error:
                    return HostLost(call.host, command.step, type(error).__name__)
                if isinstance(answer, Refused):
                    return HostLost(call.host, command.step, answer.reason)
                messages += len(call.arrived.parcels) + len(answer.parcels)
                step, hop = call.arrived.step, call.arrived.hop
                effects += self._handle(Arrived(step, hop, answer.parcels, is_answer=True))
        return Done(command.step, messages)

    def deliver(self, arrived: Arrived) -> Answer | Refused:
        """Take parcels from a peer; return this host's answer to them."""
        (effect,) = self._handle(arrived)
        assert isinstance(effect, Answer | Refused)
        return effect

    def _handle(self, event: HostEvent) -> list[HostEffect]:
        with self._lock:
            if self._host is None:
                return [Refused(event.step, "this host has no state; it was restarted")]
            return self._host.handle(event, 0)
