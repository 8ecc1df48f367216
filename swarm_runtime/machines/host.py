"""The host's machine: the agents of one process, one desk that trades for all of them at once.

It keeps two states to go back to. *Committed* is the state after the last cycle that the
coordinator has journaled; *tentative* the state after the cycle that was just finished here. A
command for the next cycle says that the tentative state is journaled; a command with a higher
attempt number says that the cycle is run again, from the committed state.

Messages between agents of this host never leave it; the others go out as parcels, one dispatch
per host. A hop may be opened by the coordinator's command or by a faster host's parcels, whichever
comes first: both enter it the same way.

Above: the shells. Below: ``agent`` and ``trading.desk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.core.lessons import Lesson, LessonLog, lesson_of
from swarm_runtime.core.messages import (
    AgentEffect,
    Answer,
    Arrived,
    Begin,
    BlockTraded,
    Dispatch,
    Done,
    HopClosed,
    HopOpened,
    HostEffect,
    HostEvent,
    HostRound,
    MessageReceived,
    OpenHop,
    OpenRound,
    Parcel,
    Publish,
    Refused,
    RoundOpened,
    Send,
    Step,
    Trade,
)
from swarm_runtime.core.topology import Delta, Topology
from swarm_runtime.machines.agent import Agent, AgentSpec, Learning
from swarm_runtime.trading.accounts import Accounts
from swarm_runtime.trading.desk import Desk

__all__ = ["Host"]


@dataclass(frozen=True, slots=True)
class _State:
    """What the host is after a cycle."""

    cycle: int
    views: tuple[View, ...]
    accounts: Accounts


class Host:
    """The agents of one process, in one arm of a run.

    Parameters
    ----------
    index : int
        Which host this is.
    placement : sequence of sequence of AgentSpec
        The agents of every host.
    desk : Desk
    topology : Topology
    seed : int
    learning : Learning or None
        None: no memory.
    """

    def __init__(
        self,
        index: int,
        placement: Sequence[Sequence[AgentSpec]],
        *,
        desk: Desk,
        topology: Topology,
        seed: int,
        learning: Learning | None,
    ) -> None:
        self._index = index
        self._desk = desk
        self._learning = learning
        self._log = LessonLog()
        features = desk.prepared.features
        self._cells = (
            np.zeros(features.shape[:2], dtype=np.int32)
            if learning is None
            else learning.space.cells(features)
        )
        self._home = {spec.agent: host for host, specs in enumerate(placement) for spec in specs}
        kinds = {spec.agent: spec.kind for specs in placement for spec in specs}
        self._agents = {
            spec.agent: Agent(
                spec,
                seed=seed,
                log=self._log,
                topology=topology,
                kinds=kinds,
                learning=learning,
            )
            for spec in placement[index]
        }
        self._kinds = tuple(agent.spec.kind for agent in self._agents.values())
        self._committed: _State | None = None
        self._tentative: _State | None = None
        self._done: Done | None = None
        self._step: Step | None = None
        self._hop = -1
        self._hop_open = False

    def handle(self, event: HostEvent, now: int) -> list[HostEffect]:
        """Return what is to be done.

        Parameters
        ----------
        event : HostEvent
        now : int
            Not used: a round's times come from its bars.
        """
        match event:
            case Begin():
                return [self._begin(event)]
            case Arrived(is_answer=True):
                return self._take_answers(event)
            case Arrived():
                if refusal := self._enter(event.step, event.hop):
                    return [refusal]
                outgoing = self._deliver(event.parcels)
                return [Answer(tuple(self._parcel(send) for send in outgoing))]
            case OpenHop():
                if refusal := self._enter(event.step, event.hop):
                    return [refusal]
                return self._open_hop(event)
            case OpenRound():
                if self._done is not None and self._done.step == event.step:
                    return [self._done]
                if refusal := self._enter(event.step, None):
                    return [refusal]
                return [self._open_round(event)]

    # --- states ------------------------------------------------------------------------------

    def _begin(self, event: Begin) -> Done:
        self._log.add(event.lessons)
        if event.checkpoint is None:
            views: tuple[View, ...] = tuple({} for _ in self._agents)
            accounts = self._desk.open_accounts(len(self._agents))
        else:
            state = decode(event.checkpoint)
            views = tuple(
                {agent: count for agent, count in zip(self._home, counts, strict=True) if count}
                for counts in state["views"].tolist()
            )
            accounts = Accounts.from_arrays(state["accounts"])
        self._committed = _State(event.step.cycle - 1, views, accounts)
        self._roll_back(event.step)
        return Done(event.step)

    def _roll_back(self, step: Step) -> None:
        assert self._committed is not None
        self._tentative = None
        self._done = None
        self._step = step
        self._hop = -1
        self._hop_open = False
        for agent, view in zip(self._agents.values(), self._committed.views, strict=True):
            agent.restore(view)

    def _enter(self, step: Step, hop: int | None) -> Refused | None:
        """Take up a step and a hop of it (None: its round), or say why not."""
        if self._committed is None or self._step is None or step.arm != self._step.arm:
            return Refused(step, "this host has no state; it was restarted")
        if step.attempt < self._step.attempt:
            return Refused(step, f"attempt {step.attempt} is void")
        if step.cycle == self._committed.cycle + 2 and self._tentative is not None:
            self._committed, self._tentative = self._tentative, None
            self._step, self._hop = step, -1
        elif step.cycle != self._committed.cycle + 1:
            return Refused(step, f"this host is at cycle {self._committed.cycle + 1}")
        elif step.attempt > self._step.attempt:
            self._roll_back(step)
        if hop is None:
            self._close_hop()
        elif hop > self._hop:
            self._close_hop()
            self._hop, self._hop_open = hop, True
        elif hop < self._hop:
            return Refused(step, f"hop {hop} is over")
        return None

    # --- messages ----------------------------------------------------------------------------

    def _open_hop(self, event: OpenHop) -> list[HostEffect]:
        sends: list[Send] = []
        for agent in self._agents.values():
            sends += _sends(agent.handle(HopOpened(event.step.cycle, event.hop), 0))
        return self._dispatch(event.step, event.hop, self._route(sends))

    def _take_answers(self, event: Arrived) -> list[HostEffect]:
        if event.step != self._step or event.hop != self._hop:
            return []
        return self._dispatch(event.step, event.hop, self._deliver(event.parcels))

    def _deliver(self, parcels: Sequence[Parcel]) -> list[Send]:
        """Hand parcels to their agents; return what goes out of this host because of it."""
        sends: list[Send] = []
        for parcel in parcels:
            self._log.add(parcel.lessons)
            receiver = self._agents[parcel.message.receiver]
            sends += _sends(receiver.handle(MessageReceived(parcel.message), 0))
        return self._route(sends)

    def _route(self, sends: list[Send]) -> list[Send]:
        """Deliver what stays here, and what that leads to; return what goes out."""
        outgoing: list[Send] = []
        while sends:
            onwards: list[Send] = []
            for send in sends:
                receiver = self._agents.get(send.message.receiver)
                if receiver is None:
                    outgoing.append(send)
                else:
                    onwards += _sends(receiver.handle(MessageReceived(send.message), 0))
            sends = onwards
        return outgoing

    def _dispatch(self, step: Step, hop: int, sends: list[Send]) -> list[HostEffect]:
        by_host: dict[int, list[Parcel]] = {}
        for send in sends:
            by_host.setdefault(self._home[send.message.receiver], []).append(self._parcel(send))
        return [
            Dispatch(host, Arrived(step, hop, tuple(parcels)))
            for host, parcels in sorted(by_host.items())
        ]

    def _parcel(self, send: Send) -> Parcel:
        lessons: list[Lesson] = []
        if isinstance(send.message, Delta):
            for agent, after, until in send.message.ranges:
                lessons += self._log.between(agent, after, until)
        return Parcel(send.message, tuple(lessons))

    def _close_hop(self) -> None:
        if self._hop_open:
            for agent in self._agents.values():
                agent.handle(HopClosed(), 0)
        self._hop_open = False

    # --- a round -----------------------------------------------------------------------------

    def _open_round(self, event: OpenRound) -> Done:
        assert self._committed is not None
        desk, start, stop = self._desk, event.start, event.stop
        market = desk.prepared
        as_of_s, known_at_s = market.bars.known_at_s(start - 1), market.bars.known_at_s(stop - 1)
        opened = RoundOpened(
            event.step.cycle,
            market.features[start - 1],
            self._cells[start - 1],
            market.available[start - 1],
        )
        known = [sum(agent.view.values()) for agent in self._agents.values()]
        trades: list[Trade] = []
        for agent in self._agents.values():
            (effect,) = agent.handle(opened, as_of_s)
            assert isinstance(effect, Trade)
            trades.append(effect)
        chosen = np.stack([trade.chosen for trade in trades])
        block = desk.trade(
            self._committed.accounts,
            self._kinds,
            chosen,
            start,
            stop,
            with_outcomes=self._learning is not None,
        )
        sealed: list[Sealed] = []
        if self._learning is not None:
            volatility = market.volatility[start - 1]
            for agent, found in zip(self._agents.values(), block.outcomes, strict=True):
                traded = BlockTraded(found.net_return, found.benchmark, volatility, stop - start)
                for published in agent.handle(traded, known_at_s):
                    assert isinstance(published, Publish)
                    sealed.append(published.experience.seal())
                    self._log.add([lesson_of(published.experience)])
        state = _State(
            event.step.cycle,
            tuple(agent.view for agent in self._agents.values()),
            block.accounts,
        )
        self._tentative = state
        self._done = Done(
            event.step,
            round=HostRound(
                equity_cents=block.equity_cents,
                cost_cents=block.cost_cents,
                chosen=chosen,
                reason=np.stack([trade.reason for trade in trades]),
                confidence=np.stack([trade.confidence for trade in trades]),
                known=np.array(known, dtype=np.int64),
                fills=block.fills,
                trades=block.trades,
                cuts=block.cuts,
                sealed=tuple(sealed),
                checkpoint=self._checkpoint(state),
            ),
        )
        return self._done

    def _checkpoint(self, state: _State) -> bytes:
        """Return a state as bytes; views as a table, one column for each agent of the swarm."""
        views = np.array([[view.get(agent, 0) for agent in self._home] for view in state.views])
        return encode({"views": views, "accounts": state.accounts.to_arrays()})


def _sends(effects: list[AgentEffect]) -> list[Send]:
    """Return the effects of a message event, which are all sends."""
    return [effect for effect in effects if isinstance(effect, Send)]
