"""The shell without Ray: the same machines in one process.

For tests, debugging and runs of many seeds. ``Fault`` lets a test take a host's state away in the
middle of a run, as a killed process would. Above: ``api``. Beside: ``actors``, which does the same
on Ray.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.core.lessons import Lesson
from swarm_runtime.core.messages import (
    Answer,
    Arrived,
    Ask,
    BankAnswered,
    Begin,
    Completed,
    CoordinatorEffect,
    CoordinatorEvent,
    Dispatch,
    Done,
    GaveUp,
    HostAnswered,
    HostCommand,
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
from swarm_runtime.machines.host import Host
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan
from swarm_runtime.trading.prepared import Prepared

__all__ = ["Bank", "Fault", "Simulator"]

#: Called before each command: whether the host loses its state first.
Fault = Callable[[int, HostCommand | Arrived], bool]


class Bank(Protocol):
    """What the simulator needs of a ReasoningBank."""

    def record_all(self, sealed: Iterable[Sealed]) -> int:
        """Make experiences durable; those that are there already change nothing."""
        ...

    def lessons(self, until: View) -> list[Lesson]:
        """Return what all experiences teach that a view names."""
        ...


def _no_fault(host: int, command: HostCommand | Arrived) -> bool:
    return False


class Simulator:
    """Runs the arms of a plan in this process.

    Parameters
    ----------
    plan : Plan
    prepared : Prepared
        From ``plan.prepare``; shared by all hosts and arms.
    journal : Journal
    bank : Bank or None
        None only if no arm has a memory.
    fault : callable
        Faults to inject; none by default.
    """

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        journal: Journal,
        bank: Bank | None,
        *,
        fault: Fault = _no_fault,
    ) -> None:
        self._plan = plan
        self._prepared = prepared
        self._journal = journal
        self._bank = bank
        self._fault = fault
        self._arm = ""
        self._hosts: list[Host] = []

    def run(self, arm: str, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Run an arm to its end, from where the journal stands.

        Parameters
        ----------
        arm : str
        progress : callable or None
            Called with (arm, finished rounds, all rounds).

        Raises
        ------
        DegradedError
            If faults could not be masked.
        """
        plan = self._plan
        count = len(plan.placement)
        self._hosts = [plan.host(index, arm, self._prepared) for index in range(count)]
        self._arm = arm
        last = self._journal.last(arm)
        coordinator = plan.coordinator(arm, self._journal.begin_life(arm) * 1_000)
        checkpoints = last.checkpoints or (None,) * count
        effects = deque(coordinator.handle(Start(last.cycle + 1, checkpoints, last.view), 0))
        while effects:
            effect = effects.popleft()
            for event in self._carry_out(effect):
                effects += coordinator.handle(event, 0)
            if progress is not None and isinstance(effect, WriteRound):
                progress(arm, effect.step.cycle + 1, len(plan.blocks))

    def _carry_out(self, effect: CoordinatorEffect) -> list[CoordinatorEvent]:
        match effect:
            case Ask():
                return [self._ask(effect.host, effect.command)]
            case Revive():
                begin = effect.begin
                known = self._bank.lessons(effect.view) if self._bank and effect.view else []
                begin = Begin(begin.step, begin.checkpoint, tuple(known))
                self._hosts[effect.host].handle(begin, 0)
                return [HostRevived(effect.host, begin.step)]
            case Record():
                assert self._bank is not None
                self._bank.record_all(effect.sealed)
                return [BankAnswered(effect.step)]
            case WriteRound():
                self._journal.write(effect)
                return [RoundWritten(effect.step)]
            case GaveUp():
                raise DegradedError(effect.reason)
            case Completed():
                return []

    def _ask(self, host: int, command: HostCommand) -> CoordinatorEvent:
        """Give a host a command, and carry its parcels until nothing is under way."""
        step = command.step
        self._lose_some(host, command)
        effects = deque(self._hosts[host].handle(command, 0))
        messages = 0
        while effects:
            effect = effects.popleft()
            match effect:
                case Dispatch():
                    messages += len(effect.arrived.parcels)
                    self._lose_some(effect.host, effect.arrived)
                    (answer,) = self._hosts[effect.host].handle(effect.arrived, 0)
                    if isinstance(answer, Refused):
                        return HostLost(effect.host, step, answer.reason)
                    assert isinstance(answer, Answer)
                    messages += len(answer.parcels)
                    back = Arrived(step, effect.arrived.hop, answer.parcels, is_answer=True)
                    effects += self._hosts[host].handle(back, 0)
                case Done():
                    return HostAnswered(host, effect)
                case Refused():
                    return HostLost(host, step, effect.reason)
                case Answer():
                    raise AssertionError("a command is answered by Done")
        return HostAnswered(host, Done(step, messages))

    def _lose_some(self, host: int, command: HostCommand | Arrived) -> None:
        if self._fault(host, command):
            self._hosts[host] = self._plan.host(host, self._arm, self._prepared)
