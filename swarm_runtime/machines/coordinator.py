"""The coordinator's machine: opens rounds, masks faults, writes what is finished.

A cycle is: message hops (with memory, after the first cycle), the round, its record in the bank,
its entry in the journal. It is a transaction: if a host is lost anywhere in it, the lost host is
given its state after the last journaled cycle, and the *whole* cycle is run again by everybody
with a higher attempt number; survivors go back to the same state by themselves. Since a cycle is
a function of that state, the second try gives what the first would have given, and since the bank
knows each experience by its key, recording one twice changes nothing. One place to return to is
dearer than resuming mid-cycle by at most a round, and leaves no half-done state to reason about.

Above: the shells, which turn ``Ask`` into calls and lost calls into ``HostLost``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from swarm_runtime.config import FaultSettings
from swarm_runtime.core.knowledge import View
from swarm_runtime.core.messages import (
    Ask,
    BankAnswered,
    Begin,
    Completed,
    CoordinatorEffect,
    CoordinatorEvent,
    GaveUp,
    HostAnswered,
    HostCommand,
    HostLost,
    HostRevived,
    HostRound,
    OpenHop,
    OpenRound,
    Record,
    Revive,
    RoundWritten,
    Start,
    Step,
    WriteRound,
)

__all__ = ["Coordinator"]


class Coordinator:
    """Drives one arm of a run.

    Parameters
    ----------
    arm : str
    hosts : int
        Number of hosts.
    blocks : sequence of (start, stop)
        The bars of each cycle.
    with_memory : bool
        Whether experiences are recorded and travel.
    hops : int
        Message hops that open each cycle but the first.
    speakers : callable
        (cycle, hop) to the hosts whose agents open that hop; the others only answer.
    faults : FaultSettings
    first_attempt : int
        Attempts are counted from here; a restarted coordinator takes a higher one, so that
        nothing of its former life is taken for an answer.
    """

    def __init__(
        self,
        arm: str,
        *,
        hosts: int,
        blocks: Sequence[tuple[int, int]],
        with_memory: bool,
        hops: int,
        speakers: Callable[[int, int], Sequence[int]],
        faults: FaultSettings,
        first_attempt: int = 0,
    ) -> None:
        self._arm = arm
        self._hosts = range(hosts)
        self._blocks = tuple(blocks)
        self._with_memory = with_memory
        self._hops = hops
        self._speakers = speakers
        self._faults = faults
        self._attempt = first_attempt
        self._cycle = 0
        self._hop = 0
        self._tries = 0
        self._messages = 0
        self._checkpoints: list[bytes | None] = [None] * hosts
        self._view: View = {}
        self._waiting: set[int] = set()
        self._lost: set[int] = set()
        self._rounds: dict[int, HostRound] = {}
        self._over = False

    @property
    def step(self) -> Step:
        """What is being worked on."""
        return Step(self._arm, self._cycle, self._attempt)

    def handle(self, event: CoordinatorEvent, now: float) -> list[CoordinatorEffect]:
        """Return what is to be done next.

        Parameters
        ----------
        event : CoordinatorEvent
        now : float
            Not used by decisions of a replay; here because every machine has it.
        """
        if self._over:
            return []
        match event:
            case Start():
                return self._start(event)
            case HostAnswered():
                return self._answered(event) if event.done.step == self.step else []
            case HostLost():
                # A void step's failure is news only if nobody is being revived for it already.
                return self._lose(event) if event.step == self.step else []
            case HostRevived():
                return self._revived(event) if event.step == self.step else []
            case BankAnswered():
                return [self._write()] if event.step == self.step else []
            case RoundWritten():
                return self._written() if event.step == self.step else []

    def _start(self, event: Start) -> list[CoordinatorEffect]:
        self._cycle = event.cycle
        self._checkpoints = list(event.checkpoints)
        self._view = dict(event.view)
        if self._cycle >= len(self._blocks):
            self._over = True
            return [Completed()]
        self._lost = set(self._hosts)
        return [self._revive(host, wait_s=0.0) for host in self._hosts]

    def _revive(self, host: int, *, wait_s: float) -> Revive:
        return Revive(host, Begin(self.step, self._checkpoints[host]), self._view, wait_s)

    def _revived(self, event: HostRevived) -> list[CoordinatorEffect]:
        self._lost.discard(event.host)
        return [] if self._lost else self._open_cycle()

    def _open_cycle(self) -> list[CoordinatorEffect]:
        self._hop = 0
        self._messages = 0
        self._rounds = {}
        if self._with_memory and self._cycle > 0:
            return self._open_hop()
        return self._open_round()

    def _open_hop(self) -> list[CoordinatorEffect]:
        """Open the first hop from here in which anybody speaks, or else the round."""
        while self._hop < self._hops:
            if hosts := self._speakers(self._cycle, self._hop):
                return self._ask(hosts, OpenHop(self.step, self._hop))
            self._hop += 1
        return self._open_round()

    def _open_round(self) -> list[CoordinatorEffect]:
        self._hop = self._hops
        start, stop = self._blocks[self._cycle]
        return self._ask(self._hosts, OpenRound(self.step, start, stop))

    def _ask(self, hosts: Iterable[int], command: HostCommand) -> list[CoordinatorEffect]:
        self._waiting = set(hosts)
        return [Ask(host, command) for host in sorted(self._waiting)]

    def _answered(self, event: HostAnswered) -> list[CoordinatorEffect]:
        if event.host not in self._waiting or self._lost:
            return []
        self._waiting.discard(event.host)
        self._messages += event.done.messages
        if event.done.round is not None:
            self._rounds[event.host] = event.done.round
        if self._waiting:
            return []
        if self._rounds:
            if not self._with_memory:
                return [self._write()]
            # Canonical order: by host, and within it by agent, whoever answered first.
            rounds = [self._rounds[host] for host in self._hosts]
            return [Record(self.step, tuple(one for each in rounds for one in each.sealed))]
        self._hop += 1
        return self._open_hop()

    def _write(self) -> WriteRound:
        rounds = tuple(self._rounds[host] for host in self._hosts)
        news = {sealed.agent: sealed.epoch for one in rounds for sealed in one.sealed}
        return WriteRound(self.step, rounds, self._messages, {**self._view, **news})

    def _written(self) -> list[CoordinatorEffect]:
        for host in self._hosts:
            self._checkpoints[host] = self._rounds[host].checkpoint
            for sealed in self._rounds[host].sealed:
                self._view[sealed.agent] = sealed.epoch
        self._cycle += 1
        self._tries = 0
        if self._cycle == len(self._blocks):
            self._over = True
            return [Completed()]
        return self._open_cycle()

    def _lose(self, event: HostLost) -> list[CoordinatorEffect]:
        self._tries += 1
        if self._tries > self._faults.retries:
            self._over = True
            return [
                GaveUp(
                    f"cycle {self._cycle} of arm {self._arm!r} failed {self._tries} times; "
                    f"last: host {event.host}: {event.reason}"
                )
            ]
        self._attempt += 1
        # Who was being revived for the old attempt must be given the new one.
        self._lost.add(event.host)
        wait_s = self._faults.backoff_s * 2 ** (self._tries - 1)
        return [self._revive(host, wait_s=wait_s) for host in sorted(self._lost)]
