"""The coordinator's actor: runs the coordinator's machine, and is the journal's one writer.

It works in steps: whatever the machine asks for is sent to all hosts at once and waited for
together. Lost calls become ``HostLost``; a host that hangs past its deadline is killed, so that
Ray restarts it. If this actor is killed itself, Ray restarts it, the driver calls ``run`` again,
and the journal says where to go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError

from actors.cluster import RayActorError
from swarm_runtime.core.lessons import Lesson
from swarm_runtime.core.messages import (
    Ask,
    BankAnswered,
    Begin,
    Completed,
    CoordinatorEffect,
    CoordinatorEvent,
    Done,
    GaveUp,
    HostAnswered,
    HostLost,
    HostRevived,
    Record,
    Refused,
    Revive,
    RoundWritten,
    Start,
    Step,
    WriteRound,
)
from swarm_runtime.errors import DegradedError
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan

__all__ = ["CoordinatorActor"]

#: How long to wait before asking an actor again that Ray is restarting.
_ASK_AGAIN_S = 0.2


class CoordinatorActor:
    """Drives the arms of a run, one at a time.

    Parameters
    ----------
    plan : Plan
    journal_path : str
    """

    def __init__(self, plan: Plan, journal_path: str) -> None:
        self._plan = plan
        self._journal_path = journal_path
        self._journal: Journal
        self._hosts: list[Any] = []
        self._bank: Any = None
        self._prepared: Any = None

    def pid(self) -> int:
        """Return the process's id; answers also say that the actor is up."""
        return os.getpid()

    def run(self, arm: str, hosts: list[Any], bank: Any, prepared: list[Any]) -> None:
        """Run an arm to its end, from where the journal stands.

        Parameters
        ----------
        arm : str
        hosts : list of actor handles
        bank : actor handle or None
            None only if the arm has no memory.
        prepared : list of one object reference
            What hosts read in place (in a list, so that Ray does not fetch it here).

        Raises
        ------
        DegradedError
            If faults could not be masked.
        """
        self._hosts, self._bank, (self._prepared,) = hosts, bank, prepared
        # Opened here: a database belongs to the thread that opened it.
        with Journal(self._journal_path) as journal:
            self._journal = journal
            last = self._journal.last(arm)
            machine = self._plan.coordinator(arm, self._journal.begin_life(arm) * 1_000)
            checkpoints = last.checkpoints or (None,) * len(hosts)
            effects = machine.handle(Start(last.cycle + 1, checkpoints, last.view), 0.0)
            while not any(isinstance(effect, Completed) for effect in effects):
                events = self._carry_out(effects)
                effects = [effect for event in events for effect in machine.handle(event, 0.0)]

    def _carry_out(self, effects: Sequence[CoordinatorEffect]) -> list[CoordinatorEvent]:
        """Carry effects out, those of one kind together; a step's effects are of one kind.

        Where a host was lost, what else was asked for in that step is void, and left out.
        """
        if revives := [effect for effect in effects if isinstance(effect, Revive)]:
            newest = max(revive.begin.step for revive in revives)
            return self._revive([one for one in revives if one.begin.step == newest])
        if asks := [effect for effect in effects if isinstance(effect, Ask)]:
            return self._ask(asks)
        (effect,) = effects
        match effect:
            case Record():
                self._call_bank(lambda: self._bank.record_all.remote(effect.sealed))
                return [BankAnswered(effect.step)]
            case WriteRound():
                self._journal.write(effect)
                return [RoundWritten(effect.step)]
            case GaveUp():
                raise DegradedError(effect.reason)
            case _:
                raise AssertionError(f"{type(effect).__name__} comes with others of its kind")

    def _ask(self, asks: Sequence[Ask]) -> list[CoordinatorEvent]:
        calls = [self._hosts[ask.host].command.remote(ask.command) for ask in asks]
        ray.wait(calls, num_returns=len(calls), timeout=self._plan.settings.faults.deadline_s)
        events: list[CoordinatorEvent] = []
        for ask, call in zip(asks, calls, strict=True):
            step = ask.command.step
            answer = self._result(ask.host, step, call)
            match answer:
                case Done():
                    events.append(HostAnswered(ask.host, answer))
                case Refused():
                    events.append(self._lost(ask.host, step, answer.reason))
                case HostLost():
                    events.append(self._lost(answer.host, step, answer.reason))
        return events

    def _result(self, host: int, step: Step, call: Any) -> Done | Refused | HostLost:
        """Return the answer to a call that has had its time."""
        try:
            answer: Done | Refused | HostLost = ray.get(call, timeout=0)
        except RayActorError as error:
            return HostLost(host, step, type(error).__name__)
        except GetTimeoutError:
            # Only a process that is gone can be restarted.
            ray.kill(self._hosts[host], no_restart=False)
            return HostLost(host, step, "no answer within the deadline")
        return answer

    def _lost(self, host: int, step: Step, reason: str) -> HostLost:
        self._journal.write_fault(step.arm, step.cycle, f"host {host}", reason)
        return HostLost(host, step, reason)

    def _revive(self, revives: Sequence[Revive]) -> list[CoordinatorEvent]:
        """Give hosts their states back, trying until they are up or their time is over."""
        time.sleep(max(revive.wait_s for revive in revives))
        view = revives[0].view  # the same for all hosts of a step
        lessons: list[Lesson] = []
        if view and self._bank is not None:
            lessons = self._call_bank(lambda: self._bank.lessons.remote(view))
        step = revives[0].begin.step
        left = {revive.host: revive.begin.checkpoint for revive in revives}
        deadline_s = time.monotonic() + self._plan.settings.faults.deadline_s
        events: list[CoordinatorEvent] = []
        while left:
            hosts = sorted(left)
            calls = [
                self._hosts[host].begin.remote(
                    Begin(step, left[host], tuple(lessons)), self._hosts, self._prepared
                )
                for host in hosts
            ]
            ray.wait(calls, num_returns=len(calls), timeout=max(0.1, deadline_s - time.monotonic()))
            for host, call in zip(hosts, calls, strict=True):
                answer = self._result(host, step, call)
                if isinstance(answer, Done):
                    events.append(HostRevived(host, step))
                elif time.monotonic() < deadline_s:
                    continue  # Ray is still restarting it
                else:
                    assert isinstance(answer, HostLost)
                    events.append(self._lost(host, step, answer.reason))
                del left[host]
            if left:
                time.sleep(_ASK_AGAIN_S)
        return events

    def _call_bank(self, call: Callable[[], Any]) -> Any:
        """Call the bank until it answers; its calls may be repeated."""
        deadline_s = time.monotonic() + self._plan.settings.faults.deadline_s
        while True:
            left_s = deadline_s - time.monotonic()
            try:
                return ray.get(call(), timeout=max(left_s, 0.1))
            except (RayActorError, GetTimeoutError) as error:
                reason = type(error).__name__
                self._journal.write_fault("", -1, "bank", reason)
                if left_s <= 0:
                    raise DegradedError(
                        f"the bank does not answer ({reason}); what was recorded is safe"
                    ) from error
                time.sleep(_ASK_AGAIN_S)
