"""Hosts lose their state at any command of a run; the result does not change."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.messages import Arrived, HostCommand, OpenRound
from swarm_runtime.errors import DegradedError
from tests.runs import simulated_digest, small

pytestmark = pytest.mark.chaos


@functools.cache
def undisturbed(topology: str) -> str:
    return simulated_digest(small(swarm__topology=topology), hosts=1)


@pytest.mark.parametrize("topology", ["mesh", "star"])
@pytest.mark.parametrize("hosts", [2, 6])
def test_the_digest_does_not_depend_on_how_agents_are_packed(topology: str, hosts: int) -> None:
    assert simulated_digest(small(swarm__topology=topology), hosts=hosts) == undisturbed(topology)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(commands=st.sets(st.integers(1, 500), min_size=1, max_size=12))
def test_a_host_that_loses_its_state_at_any_command_changes_nothing(commands: set[int]) -> None:
    count = 0
    struck = 0

    def fault(host: int, command: HostCommand | Arrived) -> bool:
        nonlocal count, struck
        count += 1
        struck += count in commands
        return count in commands

    assert simulated_digest(small(faults__retries=20), hosts=3, fault=fault) == undisturbed("mesh")
    assert struck > 0


def test_a_host_that_fails_at_the_same_round_for_ever_ends_the_run_degraded() -> None:
    def fault(host: int, command: HostCommand | Arrived) -> bool:
        return host == 1 and isinstance(command, OpenRound) and command.step.cycle == 3

    with pytest.raises(DegradedError, match=r"cycle 3 of arm 'off' failed 3 times; last: host 1"):
        simulated_digest(small(faults__retries=2), hosts=3, fault=fault)
