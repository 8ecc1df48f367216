"""The coordinator's machine: what it asks for, and how it masks what is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from swarm_runtime.config import FaultSettings
from swarm_runtime.core.knowledge import Sealed
from swarm_runtime.core.messages import (
    Ask,
    BankAnswered,
    Completed,
    CoordinatorEffect,
    Done,
    GaveUp,
    HostAnswered,
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
from swarm_runtime.machines.coordinator import Coordinator

HOSTS = 3


def everybody(cycle: int, hop: int) -> Sequence[int]:
    return range(HOSTS)


def coordinator(
    *,
    with_memory: bool = True,
    retries: int = 2,
    cycles: int = 2,
    speakers: Callable[[int, int], Sequence[int]] = everybody,
) -> Coordinator:
    return Coordinator(
        "on" if with_memory else "off",
        hosts=HOSTS,
        blocks=[(10 + 5 * at, 15 + 5 * at) for at in range(cycles)],
        with_memory=with_memory,
        hops=2,
        speakers=speakers,
        faults=FaultSettings(retries=retries, backoff_s=1.0),
        first_attempt=1_000,
    )


def host_round(host: int, cycle: int) -> HostRound:
    empty = np.zeros((1, 1), dtype=np.int64)
    return HostRound(
        equity_cents=empty,
        cost_cents=empty,
        chosen=empty.astype(np.int16),
        reason=empty.astype(np.int8),
        confidence=empty.astype(np.float64),
        known=empty[0],
        fills=empty[0],
        trades=np.zeros((0, 3), dtype=np.int64),
        cuts=(),
        sealed=(Sealed(f"agent-{host}", cycle + 1, 0, "d", "t", b""),),
        checkpoint=f"{host} after {cycle}".encode(),
    )


def answer(machine: Coordinator, effects: Sequence[CoordinatorEffect]) -> list[CoordinatorEffect]:
    """Do what was asked for, last first, and return what is asked for next."""
    following: list[CoordinatorEffect] = []
    for effect in reversed(effects):
        match effect:
            case Revive():
                event = HostRevived(effect.host, effect.begin.step)
                following += machine.handle(event, 0)
            case Ask():
                command = effect.command
                found = None
                if isinstance(command, OpenRound):
                    found = host_round(effect.host, command.step.cycle)
                event = HostAnswered(effect.host, Done(command.step, 2, found))
                following += machine.handle(event, 0)
            case Record():
                following += machine.handle(BankAnswered(effect.step), 0)
            case WriteRound():
                following += machine.handle(RoundWritten(effect.step), 0)
            case _:
                pass
    return following


def start(machine: Coordinator) -> list[CoordinatorEffect]:
    return answer(machine, machine.handle(Start(0, (None,) * HOSTS, {}), 0))


def test_a_run_is_rounds_with_hops_between_them_each_recorded_and_journaled() -> None:
    machine = coordinator()
    effects = machine.handle(Start(0, (None,) * HOSTS, {}), 0)
    seen = []
    while effects:
        kinds = {type(effect.command if isinstance(effect, Ask) else effect) for effect in effects}
        seen.append(kinds)
        effects = answer(machine, effects)
    cycle = [{OpenRound}, {Record}, {WriteRound}]
    assert seen == [{Revive}, *cycle, {OpenHop}, {OpenHop}, *cycle, {Completed}]


def test_without_memory_there_are_no_hops_and_nothing_is_recorded() -> None:
    machine = coordinator(with_memory=False)
    effects, seen = start(machine), []
    while effects:
        seen += effects
        effects = answer(machine, effects)
    assert not any(isinstance(effect, Record) for effect in seen)
    commands = [effect.command for effect in seen if isinstance(effect, Ask)]
    assert not any(isinstance(command, OpenHop) for command in commands)


def test_the_bank_gets_experiences_in_order_of_hosts_whoever_answered_first() -> None:
    machine = coordinator()
    (record,) = answer(machine, start(machine))
    assert isinstance(record, Record)
    assert [sealed.agent for sealed in record.sealed] == ["agent-0", "agent-1", "agent-2"]


def test_nothing_is_journaled_before_the_bank_has_made_it_durable() -> None:
    machine = coordinator()
    effects = answer(machine, start(machine))
    assert [type(effect) for effect in effects] == [Record]


def test_a_lost_host_is_given_its_last_journaled_state_and_the_cycle_is_run_anew() -> None:
    machine = coordinator()
    (write,) = answer(machine, answer(machine, start(machine)))
    assert isinstance(write, WriteRound)
    assert write.view == {"agent-0": 1, "agent-1": 1, "agent-2": 1}
    hops = answer(machine, [write])
    lost = HostLost(1, machine.step, "killed")
    (revive,) = machine.handle(lost, 0)
    assert isinstance(revive, Revive)
    assert revive.host == 1
    assert revive.begin.checkpoint == b"1 after 0"
    assert revive.view == {"agent-0": 1, "agent-1": 1, "agent-2": 1}
    assert revive.wait_s == 1.0
    # What still comes of the first try is void.
    assert answer(machine, hops) == []
    again = machine.handle(HostRevived(1, machine.step), 0)
    assert [effect.host for effect in again if isinstance(effect, Ask)] == [0, 1, 2]
    assert all(
        isinstance(effect, Ask) and effect.command == OpenHop(Step("on", 1, 1_001), 0)
        for effect in again
    )


def test_back_off_doubles_and_a_second_host_lost_meanwhile_is_revived_too() -> None:
    machine = coordinator()
    start(machine)
    machine.handle(HostLost(1, machine.step, "killed"), 0)
    both = machine.handle(HostLost(2, machine.step, "killed"), 0)
    assert [(one.host, one.wait_s) for one in both if isinstance(one, Revive)] == [
        (1, 2.0),
        (2, 2.0),
    ]
    assert machine.handle(HostRevived(1, machine.step), 0) == []
    assert machine.handle(HostRevived(2, machine.step), 0) != []


def test_a_revival_for_an_attempt_that_is_void_does_not_count() -> None:
    machine = coordinator()
    start(machine)
    before = machine.step
    machine.handle(HostLost(1, before, "killed"), 0)
    machine.handle(HostLost(1, machine.step, "killed again"), 0)
    assert machine.handle(HostRevived(1, before), 0) == []


def test_it_gives_up_when_a_cycle_fails_more_often_than_allowed_and_says_why() -> None:
    machine = coordinator(retries=2)
    start(machine)
    for _ in range(2):
        machine.handle(HostLost(0, machine.step, "killed"), 0)
    (given_up,) = machine.handle(HostLost(0, machine.step, "no answer"), 0)
    assert given_up == GaveUp("cycle 0 of arm 'on' failed 3 times; last: host 0: no answer")
    assert machine.handle(RoundWritten(machine.step), 0) == []


def test_the_tries_of_one_cycle_do_not_count_against_the_next() -> None:
    machine = coordinator(retries=1)
    effects = start(machine)
    effects = machine.handle(HostLost(0, machine.step, "killed"), 0)
    while machine.step.cycle == 0:
        effects = answer(machine, effects)
    (effect,) = machine.handle(HostLost(0, machine.step, "killed"), 0)
    assert isinstance(effect, Revive)


def test_a_resumed_run_goes_on_after_the_last_journaled_cycle() -> None:
    machine = coordinator()
    revives = machine.handle(Start(1, (b"a", b"b", b"c"), {"agent-0": 1}), 0)
    states = [one.begin.checkpoint for one in revives if isinstance(one, Revive)]
    assert states == [b"a", b"b", b"c"]
    effects = answer(machine, revives)
    assert all(
        isinstance(effect, Ask) and isinstance(effect.command, OpenHop) for effect in effects
    )


@pytest.mark.parametrize("cycle", [2, 3])
def test_a_run_that_was_finished_already_is_completed_at_once(cycle: int) -> None:
    assert coordinator().handle(Start(cycle, (b"",) * HOSTS, {}), 0) == [Completed()]


def test_only_those_who_speak_in_a_hop_are_asked_and_a_silent_hop_is_left_out() -> None:
    machine = coordinator(speakers=lambda cycle, hop: [2] if hop == 1 else [])
    (write,) = answer(machine, answer(machine, start(machine)))
    (asked,) = answer(machine, [write])
    assert asked == Ask(2, OpenHop(machine.step, 1))
    rounds = answer(machine, [asked])
    assert [effect.host for effect in rounds if isinstance(effect, Ask)] == [0, 1, 2]
