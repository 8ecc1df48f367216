"""The coordinator's actor: runs the coordinator's machine, and is the journal's one writer.

Lost calls become ``HostLost``; a host that hangs past its deadline is killed, so that Ray restarts
it. If this actor is killed itself, Ray restarts it, the driver calls ``run`` again, and the
journal says where to go on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import ray

from actors.cluster import RayActorError
from swarm_runtime.core.knowledge import View
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
        self._journal = Journal(journal_path)
        self._hosts: list[Any] = []
        self._bank: Any = None
        self._view: View = {}
        self._prepared: Any = None

    async def pid(self) -> int:
        """Return the process's id; answers also say that the actor is up."""
        return os.getpid()

    async def run(self, arm: str, hosts: list[Any], bank: Any, prepared: list[Any]) -> None:
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
        plan = self._plan
        self._hosts, self._bank, (self._prepared,) = hosts, bank, prepared
        last = self._journal.last(arm)
        self._view = dict(last.view)
        machine = plan.coordinator(arm, self._journal.begin_life(arm) * 1_000)
        checkpoints = last.checkpoints or (None,) * len(self._hosts)
        effects = machine.handle(Start(last.cycle + 1, checkpoints, last.view), 0.0)
        under_way: set[asyncio.Task[CoordinatorEvent]] = set()
        try:
            while True:
                for effect in effects:
                    if isinstance(effect, Completed):
                        return
                    if isinstance(effect, GaveUp):
                        raise DegradedError(effect.reason)
                    under_way.add(asyncio.create_task(self._carry_out(effect)))
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                effects = []
                for task in done:
                    effects += machine.handle(task.result(), 0.0)
        finally:
            for task in under_way:
                task.cancel()

    async def _carry_out(self, effect: CoordinatorEffect) -> CoordinatorEvent:
        match effect:
            case Ask():
                return await self._ask(effect)
            case Revive():
                return await self._revive(effect)
            case Record():
                await self._call_bank(lambda: self._bank.record_all.remote(effect.sealed))
                return BankAnswered(effect.step)
            case WriteRound():
                for one in effect.rounds:
                    self._view |= {sealed.agent: sealed.epoch for sealed in one.sealed}
                step = effect.step
                self._journal.write(
                    step.arm, step.cycle, effect.rounds, effect.messages, self._view
                )
                return RoundWritten(step)
            case Completed() | GaveUp():
                raise AssertionError("handled by run")

    async def _ask(self, ask: Ask) -> CoordinatorEvent:
        step = ask.command.step
        handle = self._hosts[ask.host]
        try:
            answer = await asyncio.wait_for(
                handle.command.remote(ask.command), self._plan.settings.faults.deadline_s
            )
        except RayActorError as error:
            return self._lost(ask.host, step, type(error).__name__)
        except TimeoutError:
            # Only a process that is gone can be restarted.
            ray.kill(handle, no_restart=False)
            return self._lost(ask.host, step, "no answer within the deadline")
        match answer:
            case Done():
                return HostAnswered(ask.host, answer)
            case Refused():
                return self._lost(ask.host, step, answer.reason)
            case _:
                assert isinstance(answer, HostLost)
                return self._lost(answer.host, step, answer.reason)

    def _lost(self, host: int, step: Any, reason: str) -> HostLost:
        self._journal.write_fault(step.arm, step.cycle, f"host {host}", reason)
        return HostLost(host, step, reason)

    async def _revive(self, revive: Revive) -> CoordinatorEvent:
        await asyncio.sleep(revive.wait_s)
        begin, faults = revive.begin, self._plan.settings.faults
        lessons = []
        if revive.view and self._bank is not None:
            lessons = await self._call_bank(lambda: self._bank.lessons.remote(revive.view))
        full = Begin(begin.step, begin.checkpoint, tuple(lessons))
        handle = self._hosts[revive.host]
        deadline = asyncio.get_running_loop().time() + faults.deadline_s
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                begun = handle.begin.remote(full, self._hosts, self._prepared)
                await asyncio.wait_for(begun, max(left, 0.1))
                return HostRevived(revive.host, begin.step)
            except RayActorError as error:
                if left <= 0:
                    return self._lost(revive.host, begin.step, type(error).__name__)
                await asyncio.sleep(_ASK_AGAIN_S)
            except TimeoutError:
                ray.kill(handle, no_restart=False)
                return self._lost(revive.host, begin.step, "no answer within the deadline")

    async def _call_bank(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Call the bank until it answers; its calls may be repeated."""
        faults = self._plan.settings.faults
        deadline = asyncio.get_running_loop().time() + faults.deadline_s
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                return await asyncio.wait_for(call(), max(left, 0.1))
            except (RayActorError, TimeoutError) as error:
                reason = type(error).__name__
                self._journal.write_fault("", -1, "bank", reason)
                if left <= 0:
                    raise DegradedError(
                        f"the bank does not answer ({reason}); what was recorded is safe: "
                        "go on with `swarm resume`"
                    ) from error
                await asyncio.sleep(_ASK_AGAIN_S)
