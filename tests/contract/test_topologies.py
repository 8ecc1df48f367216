"""Every topology keeps the promises of ``core.topology``, whoever's turn comes first."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

import topologies
from swarm_runtime.config import TOPOLOGIES
from swarm_runtime.core.knowledge import View, merge_views
from swarm_runtime.core.topology import Delta, Digest, Message, Topology

MEMBERS = tuple(f"agent-{number}" for number in range(7))

everywhere = pytest.mark.parametrize("name", TOPOLOGIES)


def build(name: str, members: tuple[str, ...] = MEMBERS, seed: int = 3) -> Topology:
    return topologies.build(name, members, seed=seed, fanout=2)


def one_hop(
    topology: Topology, views: dict[str, View], cycle: int, hop: int, order: list[str]
) -> tuple[dict[str, View], int]:
    """Run a hop, opening it in some order; return the views after it and the messages sent."""
    inbox: dict[str, list[Delta]] = {agent: [] for agent in views}
    sent = 0
    waiting: deque[Message] = deque()
    for agent in order:
        waiting += topology.open_hop(agent, cycle, hop, views[agent])
    while waiting:
        message = waiting.popleft()
        sent += 1
        assert sent < 10_000, "the exchange does not end"
        assert message.receiver in topology.neighbours(message.sender)
        if isinstance(message, Delta):
            for agent, after, until in message.ranges:
                assert after < until <= views[message.sender].get(agent, 0)
                assert after <= views[message.receiver].get(agent, 0)
            inbox[message.receiver].append(message)
        waiting += topology.receive(message.receiver, message, views[message.receiver])
    after_hop = {}
    for agent, deltas in inbox.items():
        view = views[agent]
        for delta in deltas:
            view = merge_views(view, {origin: until for origin, _, until in delta.ranges})
        after_hop[agent] = view
    return after_hop, sent


@everywhere
def test_everybody_learns_everything_when_hops_go_on(name: str) -> None:
    topology = build(name)
    views: dict[str, View] = {agent: {agent: 2} for agent in MEMBERS}
    for hop in range(12):
        views, _ = one_hop(topology, views, 0, hop, list(MEMBERS))
    assert all(view == dict.fromkeys(MEMBERS, 2) for view in views.values())


@everywhere
@given(order=st.permutations(MEMBERS), cycle=st.integers(0, 50), hop=st.integers(0, 3))
def test_the_order_in_which_agents_open_a_hop_changes_nothing(
    name: str, order: list[str], cycle: int, hop: int
) -> None:
    topology = build(name)
    views: dict[str, View] = {agent: {agent: 1, MEMBERS[0]: 3} for agent in MEMBERS}
    views[MEMBERS[0]] = {MEMBERS[0]: 3, MEMBERS[4]: 9}
    assert one_hop(topology, views, cycle, hop, order) == one_hop(
        topology, views, cycle, hop, list(MEMBERS)
    )


@everywhere
def test_nobody_ever_forgets(name: str) -> None:
    topology = build(name)
    views: dict[str, View] = {agent: {agent: 1} for agent in MEMBERS}
    for hop in range(5):
        later, _ = one_hop(topology, views, 1, hop, list(MEMBERS))
        for agent in MEMBERS:
            assert merge_views(views[agent], later[agent]) == later[agent]
        views = later


@everywhere
def test_when_all_know_the_same_only_questions_travel(name: str) -> None:
    topology = build(name)
    views: dict[str, View] = {agent: dict.fromkeys(MEMBERS, 4) for agent in MEMBERS}
    for hop in range(2):
        for agent in MEMBERS:
            for message in topology.open_hop(agent, 0, hop, views[agent]):
                assert isinstance(message, Digest)
                assert topology.receive(message.receiver, message, views[agent]) == []


@everywhere
@given(cycle=st.integers(0, 50), hop=st.integers(0, 3))
def test_those_who_open_a_hop_are_those_it_says_it_will_be(name: str, cycle: int, hop: int) -> None:
    topology = build(name)
    opening = [agent for agent in MEMBERS if topology.open_hop(agent, cycle, hop, {agent: 1})]
    assert sorted(topology.speakers(cycle, hop)) == opening


@everywhere
def test_an_agent_alone_sends_nothing(name: str) -> None:
    topology = build(name, members=("lonely",))
    assert topology.open_hop("lonely", 0, 0, {"lonely": 1}) == []
    assert topology.open_hop("lonely", 0, 1, {"lonely": 1}) == []
    assert not topology.speakers(0, 0)
    assert not topology.speakers(0, 1)


@everywhere
def test_the_same_seed_gives_the_same_hops(name: str) -> None:
    views: dict[str, View] = {agent: {agent: 1} for agent in MEMBERS}
    hops = [one_hop(build(name, seed=5), views, cycle, 0, list(MEMBERS)) for cycle in (0, 0, 1, 1)]
    assert hops[0] == hops[1]
    assert hops[2] == hops[3]


def test_a_mesh_calls_other_partners_in_other_rounds() -> None:
    mesh = build("mesh")
    partners = {
        tuple(message.receiver for message in mesh.open_hop("agent-0", cycle, 0, {}))
        for cycle in range(20)
    }
    assert len(partners) > 5


def test_a_star_reaches_every_leaf_in_two_hops() -> None:
    star = build("star")
    views: dict[str, View] = {agent: {} for agent in MEMBERS}
    views["agent-3"] = {"agent-3": 1}
    for hop in range(2):
        views, _ = one_hop(star, views, 0, hop, list(MEMBERS))
    assert all(view == {"agent-3": 1} for view in views.values())


def test_an_unknown_topology_is_no_topology() -> None:
    with pytest.raises(KeyError):
        topologies.build("moebius", MEMBERS, seed=0, fanout=1)
