"""The agent's machine: choosing, learning, and what it tells its neighbours."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import topologies
from swarm_runtime.config import MemorySettings
from swarm_runtime.core.lessons import LessonLog, lesson_of
from swarm_runtime.core.messages import (
    BlockTraded,
    HopClosed,
    HopOpened,
    MessageReceived,
    Publish,
    RoundOpened,
    Send,
    Trade,
)
from swarm_runtime.core.topology import Delta, Digest
from swarm_runtime.machines.agent import Agent, AgentSpec, Learning
from swarm_runtime.memory.choice.ranking import Reason
from tests.experiences import DAY_S, SPACE, experience

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
CANDIDATES = ("flat", "fast", "slow")
KINDS = {"me": "trade", "twin": "trade", "stranger": "other"}
#: Nothing withheld: what is recommended is applied.
MEMORY = MemorySettings(withheld_fraction=0.0, confidence_threshold=0.0)


def agent(log: LessonLog | None = None, *, memory: MemorySettings | None = MEMORY) -> Agent:
    return Agent(
        AgentSpec("me", "trade", SYMBOLS, CANDIDATES),
        seed=4,
        log=log or LessonLog(),
        topology=topologies.build("star", list(KINDS), seed=0, fanout=1),
        kinds=KINDS,
        learning=None if memory is None else Learning.of(memory, SPACE),
    )


def opened(cycle: int = 0) -> RoundOpened:
    rows = len(SYMBOLS)
    return RoundOpened(
        cycle, np.zeros((rows, 2)), np.zeros(rows, dtype=np.int32), np.ones(rows, dtype=bool)
    )


def choice(one: Agent, cycle: int = 0, now: int = 100 * DAY_S) -> Trade:
    (trade,) = one.handle(opened(cycle), now)
    assert isinstance(trade, Trade)
    return trade


def taught(log: LessonLog, name: str, *, known_at_s: int, task_type: str = "trade") -> None:
    """Put an experience into the log in which "slow" was clearly the best."""
    log.add(
        [
            lesson_of(
                experience(
                    name,
                    known_at_s=known_at_s,
                    cells=[0] * 30,
                    excess=[(-0.5, -0.5, 1.0)] * 30,
                    approaches=CANDIDATES,
                    task_type=task_type,
                )
            )
        ]
    )


def tell(one: Agent, name: str) -> None:
    one.handle(MessageReceived(Delta(name, "me", ((name, 0, 1),))), 0)
    one.handle(HopClosed(), 0)


def test_without_memory_it_explores_and_says_so() -> None:
    trade = choice(agent(memory=None))
    assert (trade.reason == Reason.NO_MEMORY).all()
    assert np.isnan(trade.confidence).all()


def test_a_memory_that_knows_nothing_chooses_just_as_no_memory_does() -> None:
    for cycle in range(20):
        with_memory, without = choice(agent(), cycle), choice(agent(memory=None), cycle)
        assert np.array_equal(with_memory.chosen, without.chosen)
        assert (with_memory.reason == Reason.ABSTAINED).all()


def test_what_a_neighbour_learnt_is_applied_once_it_has_arrived() -> None:
    log = LessonLog()
    one = agent(log)
    taught(log, "twin", known_at_s=DAY_S)
    assert (choice(one).reason == Reason.ABSTAINED).all()
    tell(one, "twin")
    trade = choice(one, 1)
    assert (trade.reason == Reason.APPLIED).all()
    assert (trade.chosen == CANDIDATES.index("slow")).all()


def test_what_is_known_only_tomorrow_is_not_used_today_and_is_used_tomorrow() -> None:
    log = LessonLog()
    one = agent(log)
    taught(log, "twin", known_at_s=50 * DAY_S)
    tell(one, "twin")
    assert (choice(one, 0, now=50 * DAY_S - 1).reason == Reason.ABSTAINED).all()
    assert (choice(one, 1, now=50 * DAY_S).reason == Reason.APPLIED).all()


def test_another_kind_of_agent_teaches_nothing() -> None:
    log = LessonLog()
    one = agent(log)
    taught(log, "stranger", known_at_s=DAY_S, task_type="other")
    tell(one, "stranger")
    assert one.view == {"stranger": 1}
    assert (choice(one).reason == Reason.ABSTAINED).all()


def test_what_arrives_in_a_hop_is_known_only_when_the_hop_has_closed() -> None:
    one = agent()
    one.handle(MessageReceived(Delta("twin", "me", (("twin", 0, 3),))), 0)
    assert one.view == {}
    (send,) = one.handle(MessageReceived(Digest("twin", "me", {"twin": 5})), 0)
    assert isinstance(send, Send)
    assert isinstance(send.message, Digest)
    assert send.message.view == {}
    one.handle(HopClosed(), 0)
    assert one.view == {"twin": 3}


def test_an_outcome_becomes_an_experience_that_the_agent_knows_itself() -> None:
    one = agent()
    trade = choice(one)
    rows = len(SYMBOLS)
    net = np.tile([0.0, 0.02, -0.02], (rows, 1))
    outcome = BlockTraded(net, np.zeros(rows), np.full(rows, 0.01), 4)
    (published,) = one.handle(outcome, 7 * DAY_S)
    assert isinstance(published, Publish)
    learnt = published.experience
    assert learnt.key == ("me", 1)
    assert learnt.known_at_s == 7 * DAY_S
    assert np.array_equal(learnt.chosen, trade.chosen)
    # 2 % against a standard deviation of 1 % · √4.
    assert learnt.excess.tolist() == [[0, 1000, -1000]] * rows
    assert learnt.verdict.tolist() == [[0, 1, -1]] * rows
    assert one.view == {"me": 1}


def test_an_outcome_without_a_round_is_refused() -> None:
    rows = len(SYMBOLS)
    outcome = BlockTraded(np.zeros((rows, 3)), np.zeros(rows), np.ones(rows), 4)
    with pytest.raises(ValueError, match="before its round was opened"):
        agent().handle(outcome, 0)


def test_an_agent_that_goes_back_forgets_what_it_learnt_since() -> None:
    log = LessonLog()
    one = agent(log)
    taught(log, "twin", known_at_s=DAY_S)
    tell(one, "twin")
    assert (choice(one).reason == Reason.APPLIED).all()
    one.restore({})
    assert one.view == {}
    assert (choice(one).reason == Reason.ABSTAINED).all()


def test_it_sends_what_its_topology_says() -> None:
    one = agent()
    # "me" is the hub of this star: it calls its leaves in odd hops.
    assert one.handle(HopOpened(0, 0), 0) == []
    calls = one.handle(HopOpened(0, 1), 0)
    assert [send.message.receiver for send in calls if isinstance(send, Send)] == [
        "twin",
        "stranger",
    ]


def test_ten_reports_of_one_event_are_not_ten_outcomes() -> None:
    many = {f"twin-{number}": "trade" for number in range(9)} | KINDS
    one_event = experience(cells=[0] * 3, excess=[(-0.2, -0.3, 0.5)] * 3, approaches=CANDIDATES)
    log = LessonLog()
    crowd = Agent(
        AgentSpec("me", "trade", SYMBOLS, CANDIDATES),
        seed=4,
        log=log,
        topology=topologies.build("star", list(many), seed=0, fanout=1),
        kinds=many,
        learning=Learning.of(MEMORY, SPACE),
    )
    # The same three outcomes, told by one of eleven teachers, or by all of them.
    for number in range(9):
        log.add([lesson_of(dataclasses.replace(one_event, agent=f"twin-{number}"))])
    tell(crowd, "twin-0")
    assert (choice(crowd).reason == Reason.ABSTAINED).all()
    for number in range(1, 9):
        tell(crowd, f"twin-{number}")
    assert (choice(crowd, 1).reason == Reason.ABSTAINED).all()
