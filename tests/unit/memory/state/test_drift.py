"""Forgetting and predicting in a bank: by what is known at a moment, however it came in."""

from __future__ import annotations

import numpy as np
import pytest

from swarm_runtime.config import MemorySettings
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.choice.recommendation import Recommendation
from swarm_runtime.memory.records.trajectory import Trajectory

ARMS = ["left", "middle", "right"]
CHANGE = 150


def world(count: int = 260, *, change: int = CHANGE, domain: str = "") -> list[Trajectory]:
    """Tries at a task whose best arm is the one for its size, and from a change on another one."""
    generator = np.random.default_rng(4)
    found = []
    for at in range(count):
        size = int(generator.integers(3))
        best = (size + (1 if at >= change else 0)) % 3
        arm = (size if generator.random() < 0.8 else int(generator.integers(3))) % 3
        right = arm == best
        found.append(
            Trajectory(
                id=f"{domain}{at}",
                agent="me",
                task_type="sort",
                approach=ARMS[arm],
                context={"size": float(10**size), "noise": float(generator.random())},
                known_at_s=at,
                excess=1.0 if right else -1.0,
                verdict=1 if right else -1,
                domain=domain,
            )
        )
    return found


def bank_of(tries: list[Trajectory], *, forgets: bool = True) -> ReasoningBank:
    bank = ReasoningBank.open(":memory:", settings=MemorySettings(forgets=forgets))
    bank.record_many(tries)
    return bank


def asked(bank: ReasoningBank, as_of: int, size: float = 1.0) -> Recommendation:
    return bank.recommend("sort", {"size": size, "noise": 0.5}, ARMS, as_of)


def outcomes(found: Recommendation) -> list[float]:
    return [one.outcomes for one in found.candidates]


def test_what_was_known_before_a_collapse_does_not_count_after_it() -> None:
    tries = world()
    forgetful, faithful = bank_of(tries), bank_of(tries, forgets=False)
    assert asked(forgetful, 120) == asked(faithful, 120)
    assert asked(forgetful, 120).recommended == "left"
    assert asked(faithful, 400).candidates[0].mean > -0.5
    assert asked(forgetful, 400).candidates[0].mean < -0.5
    assert sum(outcomes(asked(forgetful, 400))) < sum(outcomes(asked(faithful, 400)))


def test_asked_about_an_earlier_moment_it_still_knows() -> None:
    bank = bank_of(world())
    before = asked(bank, 120)
    asked(bank, 400)
    assert asked(bank, 120) == before


@pytest.mark.parametrize("seed", range(4))
def test_neither_order_nor_batches_nor_asking_in_between_show(seed: int) -> None:
    tries = world()
    generator = np.random.default_rng(seed)
    mixed = [tries[at] for at in generator.permutation(len(tries))]
    piecewise = bank_of([])
    for at in range(0, len(mixed), 37):
        piecewise.record_many(mixed[at : at + 37])
        asked(piecewise, int(generator.integers(0, 400)))
    at_once = bank_of(tries)
    for as_of in (100, 170, 400):
        one, other = asked(piecewise, as_of), asked(at_once, as_of)
        assert one.candidates == other.candidates
        assert (one.recommended, one.reason) == (other.recommended, other.reason)
        for mine, theirs in zip(one.scores, other.scores, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_revoked_failure_was_no_collapse(asked_before: bool) -> None:
    tries = world()
    bank = bank_of(tries)
    if asked_before:
        asked(bank, 400)
    failed = [one for one in tries if one.known_at_s >= CHANGE and one.excess < 0.0]
    for one in failed:
        bank.revoke("trajectory", one.id, agent="me", now_s=300)
    never = bank_of([one for one in tries if one not in failed])
    assert asked(bank, 400).candidates == asked(never, 400).candidates
    assert bank.upkeep.verify().outcomes


@pytest.mark.parametrize("kept", [0, 20, 90])
def test_revoking_what_is_forgotten_already_still_shows(kept: int) -> None:
    tries = world()
    bank = bank_of(tries)
    asked(bank, 400)
    revoked = [one for one in tries if kept <= one.known_at_s < CHANGE]
    for one in revoked:
        bank.revoke("trajectory", one.id, agent="me", now_s=300)
    never = bank_of([one for one in tries if one not in revoked])
    assert asked(bank, 400).candidates == asked(never, 400).candidates


@pytest.mark.parametrize("count", [300, 5_200])
def test_what_comes_late_is_put_where_it_belongs_however_long_the_series(count: int) -> None:
    change = count - 100
    tries = world(count, change=change)
    late = [one for one in tries if abs(one.known_at_s - change) < 40 and one.known_at_s % 3]
    bank = bank_of([one for one in tries if one not in late])
    asked(bank, count)
    for at in np.random.default_rng(0).permutation(len(late)).tolist():
        bank.record(late[at])
        asked(bank, count)
    assert asked(bank, count).candidates == asked(bank_of(tries), count).candidates


def test_another_domains_collapse_is_its_own() -> None:
    steady = world(change=10_000, domain="steady")
    bank = bank_of(world(domain="shaken") + steady)
    alone = bank_of(steady)
    question = {"size": 1.0, "noise": 0.5}
    mine = bank.recommend("sort", question, ARMS, 400, domain="steady")
    assert mine.recommended == alone.recommend("sort", question, ARMS, 400).recommended == "left"


def test_a_bank_whose_memory_was_shaken_agrees_with_its_log() -> None:
    bank = bank_of(world())
    asked(bank, 400)
    bank.upkeep.verify()
    bank.upkeep.rebuild()


def test_a_context_like_none_before_is_judged_by_what_holds_in_general() -> None:
    generator = np.random.default_rng(0)
    tries = []
    for at in range(200):
        load = float(generator.uniform(0.0, 100.0))
        arm = ARMS[at % 2]
        good = (load > 50.0) == (arm == "left")
        tries.append(
            Trajectory(
                id=str(at), agent="me", task_type="sort", approach=arm, context={"load": load},
                known_at_s=at, excess=1.0 if good else -1.0, verdict=1 if good else -1,
            )
        )  # fmt: skip
    bank = bank_of(tries)
    found = bank.recommend("sort", {"load": 400.0}, ARMS[:2], 300, draws=(0.5, 0.9))
    assert found.approach == "left"
    assert found.scores[0]["predicted"] > found.scores[1]["predicted"]
