"""What another domain knows is believed until it fails, and no longer."""

from __future__ import annotations

import numpy as np
import pytest

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.trajectory import Trajectory

ARMS = ["left", "right"]


def tries(
    domain: str, count: int, *, turned: bool, first: int, hopeful: bool = False
) -> list[Trajectory]:
    """Tries at a task whose best arm depends on the load.

    Turned: the other one is the best. Hopeful: what is best where nothing is turned is taken.
    """
    generator = np.random.default_rng(first)
    found = []
    for at in range(count):
        load = float(generator.uniform(1.0, 100.0))
        usual = int(load > 50.0)
        wanted = ARMS[usual ^ turned]
        taken = ARMS[usual if hopeful else at % 2]
        good = taken == wanted
        found.append(
            Trajectory(
                id=f"{domain}{first + at}", agent="me", task_type="route", approach=taken,
                context={"load": load}, known_at_s=first + at, excess=1.0 if good else -1.0,
                verdict=1 if good else -1, domain=domain,
            )
        )  # fmt: skip
    return found


def counted(known: list[Trajectory]) -> list[float]:
    """How many outcomes of each arm count in the new domain."""
    with ReasoningBank.open(":memory:") as bank:
        bank.record_many(known)
        found = bank.recommend("route", {"load": 90.0}, ARMS, 10_000, domain="new")
        return [one.outcomes for one in found.candidates]


@pytest.mark.parametrize("first", [5_000, 6_000])
def test_another_domain_counts_while_what_it_expects_comes_true(first: int) -> None:
    old = tries("old", 200, turned=False, first=0)
    failing = tries("new", 12, turned=True, first=first, hopeful=True)
    holding = tries("new", 12, turned=False, first=first, hopeful=True)
    assert counted(old + failing) == counted(failing)
    assert sum(counted(old + holding)) > sum(counted(holding))


def test_the_order_of_arrival_does_not_show() -> None:
    known = tries("old", 150, turned=False, first=0)
    known += tries("new", 10, turned=True, first=5_000, hopeful=True)
    with ReasoningBank.open(":memory:") as bank:
        for at in np.random.default_rng(1).permutation(len(known)).tolist():
            bank.record(known[at])
            bank.recommend("route", {"load": 90.0}, ARMS, 10_000, domain="new")
        found = bank.recommend("route", {"load": 90.0}, ARMS, 10_000, domain="new")
        assert [one.outcomes for one in found.candidates] == counted(known)
