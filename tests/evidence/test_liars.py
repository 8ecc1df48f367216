"""Trust through a whole bank: a liar is found, the others' reward stays, the honest keep weight."""

from __future__ import annotations

import statistics
from concurrent.futures import ProcessPoolExecutor

import pytest

from benchmarks.liars import CASES, Outcome, play
from swarm_runtime.memory.trust.agents import FULL_LEVEL

HONEST = [name for name, case in CASES.items() if not case.liars]


def test_a_liar_is_found_within_fifty_of_its_reports() -> None:
    found = play(("praises one approach", True, 0, 600))
    assert found.found_after is not None and found.found_after <= 50
    assert found.last_levels[0] < FULL_LEVEL // 4
    assert found.last_levels[1:] == [FULL_LEVEL] * 9
    assert "'agent-0' counts for" in found.why[0]


def test_without_trust_nobody_is_weighed() -> None:
    found = play(("praises one approach", False, 0, 200))
    assert found.last_levels == [FULL_LEVEL] * 10
    assert found.why == []


def _played(names: list[str], trusts: list[bool], seeds: int, rounds: int) -> list[Outcome]:
    jobs = [
        (name, trust, seed, rounds) for name in names for trust in trusts for seed in range(seeds)
    ]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(play, jobs))


@pytest.mark.soak
def test_one_liar_in_ten_costs_the_others_less_than_two_points_and_visibly_more_without_trust() -> (
    None
):
    found = _played(["nobody lies", "praises one approach"], [False, True], 5, 3_000)
    falls: dict[bool, float] = {}
    for trust in (False, True):
        rewards = {
            name: [one.reward for one in found if (one.case, one.trust) == (name, trust)]
            for name in ("nobody lies", "praises one approach")
        }
        falls[trust] = 100 * statistics.fmean(
            honest - other for honest, other in zip(*rewards.values(), strict=True)
        )
    assert falls[True] < 2.0
    assert falls[False] > falls[True] + 1.0


@pytest.mark.soak
def test_honest_agents_are_hardly_ever_suspected() -> None:
    names = [name for name in HONEST if name != "honest: explores blindly"]
    for one in _played(names, [True], 3, 3_000):
        assert one.suspected < 0.02, one
