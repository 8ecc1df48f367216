"""Trust: liars of all kinds lose weight, honest agents keep it, and no order can show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.trust.agents import (
    FULL_LEVEL,
    TRANSFER_PRIOR,
    Trust,
    agreement,
    settled,
    standing_count,
    transfer_levels,
)
from swarm_runtime.memory.trust.reports import Reports

KEYS = 60
Lie = Callable[[npt.NDArray[np.float64], npt.NDArray[np.int64], np.random.Generator], None]


def counters_of(outcomes: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Each outcome, in σ, as a row of counters; its sign is the verdict."""
    units = np.rint(outcomes * REWARD_SCALE)
    rows = [np.ones_like(units), units > 0, units < 0, units, units * units]
    return np.stack(rows, axis=1).astype(np.int64)


def swarm(
    *,
    agents: int = 10,
    reports: int = 100,
    lies: dict[int, Lie] | None = None,
    seed: int = 0,
    keys: int = KEYS,
    easier: dict[int, float] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Agents meet the same kinds of contexts; outcomes are +1 or -1 with a chance for each key."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.05, 0.95, keys)
    key = rng.integers(keys, size=agents * reports)
    agent = np.repeat(np.arange(agents), reports)
    bonus = np.zeros(agents)
    for one, much in (easier or {}).items():
        bonus[one] = much
    outcome = np.where(rng.random(len(key)) < chance[key] + bonus[agent], 1.0, -1.0)
    for one, lie in (lies or {}).items():
        mine = np.flatnonzero(agent == one)
        told = outcome[mine]
        lie(told, key[mine], rng)
        outcome[mine] = told
    return key, agent, outcome


def trust_in(
    key: npt.NDArray[np.int64], agent: npt.NDArray[np.int64], outcome: npt.NDArray[np.float64]
) -> Trust:
    return settled(Reports.collect(key, agent, counters_of(outcome)), int(agent.max()) + 1)


def always(value: float) -> Lie:
    def lie(told: npt.NDArray[np.float64], _: object, __: object) -> None:
        told[:] = value

    return lie


def inverted(told: npt.NDArray[np.float64], _: object, __: object) -> None:
    told *= -1.0


def made_up(told: npt.NDArray[np.float64], _: object, rng: np.random.Generator) -> None:
    told[:] = rng.choice([-1.0, 1.0], len(told))


def in_a_third_of_the_keys(
    told: npt.NDArray[np.float64], key: npt.NDArray[np.int64], _: object
) -> None:
    told[key % 3 == 0] = 1.0


def later(told: npt.NDArray[np.float64], _: object, __: object) -> None:
    told[len(told) // 2 :] = 1.0


LIES: dict[str, Lie] = {
    "always success": always(1.0),
    "always failure": always(-1.0),
    "the opposite": inverted,
    "exaggerated": always(8.0),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("seed", range(3))
def test_a_liar_in_ten_loses_nearly_all_its_weight_and_nobody_else_any(lie: Lie, seed: int) -> None:
    levels = trust_in(*swarm(lies={3: lie}, seed=seed, reports=200)).levels
    assert levels[3] <= 2
    assert (np.delete(levels, 3) == FULL_LEVEL).all()


def test_a_liar_that_makes_it_up_takes_longer_to_lose_weight() -> None:
    # Coins are right in half of all cases: it disagrees by a third of what others do.
    levels = [trust_in(*swarm(lies={3: made_up}, reports=much)).levels[3] for much in (50, 600)]
    assert levels[0] == FULL_LEVEL
    assert levels[1] <= 6


@pytest.mark.parametrize(
    "lie", [in_a_third_of_the_keys, later], ids=["about some approaches", "after a good start"]
)
def test_a_liar_that_is_honest_most_of_the_time_loses_most_of_its_weight(lie: Lie) -> None:
    levels = trust_in(*swarm(lies={3: lie}, reports=400)).levels
    assert levels[3] <= 6
    assert (np.delete(levels, 3) == FULL_LEVEL).all()


@pytest.mark.parametrize("reports", [3, 10, 30, 100, 400])
def test_honest_agents_keep_full_weight_however_much_they_report(reports: int) -> None:
    for seed in range(10):
        levels = trust_in(*swarm(reports=reports, seed=seed)).levels
        assert (levels == FULL_LEVEL).all()


def test_honest_agents_that_act_in_unlike_numbers_keep_full_weight() -> None:
    key, agent, outcome = swarm(reports=400)
    rng = np.random.default_rng(1)
    kept = rng.random(len(key)) < np.array([1, 1, 1, 0.5, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01])[agent]
    assert (trust_in(key[kept], agent[kept], outcome[kept]).levels == FULL_LEVEL).all()


def test_an_agent_that_meets_somewhat_easier_contexts_keeps_full_weight() -> None:
    levels = trust_in(*swarm(reports=400, easier={2: 0.12, 5: -0.12})).levels
    assert (levels == FULL_LEVEL).all()


def test_an_agent_that_meets_much_easier_contexts_looks_like_a_liar() -> None:
    # What the module says that it can't tell apart.
    assert trust_in(*swarm(reports=400, easier={2: 0.6})).levels[2] < FULL_LEVEL


def test_where_every_agent_has_contexts_of_its_own_kind_nobody_is_suspected() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, (10, KEYS))
    key, agent = rng.integers(KEYS, size=4_000), rng.integers(10, size=4_000)
    outcome = np.where(rng.random(4_000) < chance[agent, key], 1.0, -1.0)
    assert (trust_in(key, agent, outcome).levels == FULL_LEVEL).all()


def test_a_new_agent_has_full_weight_even_if_its_first_reports_are_odd() -> None:
    key, agent, outcome = swarm(reports=100)
    odd = np.flatnonzero(agent == 4)[3:]
    key, agent, outcome = (np.delete(column, odd) for column in (key, agent, outcome))
    outcome[agent == 4] *= -1.0
    assert trust_in(key, agent, outcome).levels[4] == FULL_LEVEL


def test_a_new_agent_can_be_made_to_earn_its_weight() -> None:
    key, agent, outcome = swarm(reports=60)
    table = Reports.collect(key, agent, counters_of(outcome))
    levels = settled(table, 11, start=4).levels
    assert levels[10] == 4
    assert (levels[:10] > 12).all()


def test_of_two_agents_that_disagree_nobody_can_say_which_one_lies() -> None:
    for lie in LIES.values():
        levels = trust_in(*swarm(agents=2, reports=300, lies={0: lie})).levels
        assert (levels == FULL_LEVEL).all()


def test_of_three_agents_the_one_that_the_others_contradict_is_found() -> None:
    levels = trust_in(*swarm(agents=3, reports=300, lies={0: inverted})).levels
    assert levels[0] <= 1
    assert (levels[1:] == FULL_LEVEL).all()


def test_three_of_ten_that_lie_alike_are_found_where_the_others_report_as_well() -> None:
    lies = dict.fromkeys((0, 1, 2), always(1.0))
    levels = trust_in(*swarm(lies=lies, reports=200)).levels
    assert (levels[:3] <= 4).all()
    assert (levels[3:] == FULL_LEVEL).all()


def test_a_liar_gains_no_vote_by_reporting_a_hundred_times_as_much() -> None:
    key, agent, outcome = swarm(reports=60, lies={0: always(1.0)})
    mine = np.flatnonzero(agent == 0)
    again = np.concatenate([np.arange(len(key)), np.repeat(mine, 100)])
    levels = trust_in(key[again], agent[again], outcome[again]).levels
    assert levels[0] <= 1
    assert (levels[1:] == FULL_LEVEL).all()


def test_a_lie_in_the_verdicts_alone_is_found_too() -> None:
    key, agent, outcome = swarm(reports=200)
    counters = counters_of(outcome)
    mine = agent == 6
    counters[mine, 1], counters[mine, 2] = 1, 0
    levels = settled(Reports.collect(key, agent, counters), 10).levels
    assert levels[6] <= 4
    assert (np.delete(levels, 6) == FULL_LEVEL).all()


def test_reports_that_nobody_else_can_be_compared_with_are_believed() -> None:
    agents = np.repeat(np.arange(5), 40)
    found = trust_in(agents, agents, np.ones(200))
    assert (found.levels == FULL_LEVEL).all()
    assert (found.fine.compared == 0.0).all()
    assert found.doubts([f"agent-{at}" for at in range(5)]) == []


def test_no_reports_at_all_are_no_reason_for_doubt() -> None:
    empty = np.empty(0, dtype=np.int64)
    table = Reports.collect(empty, empty, np.empty((0, 5), dtype=np.int64))
    assert settled(table, 3).levels.tolist() == [FULL_LEVEL] * 3
    assert len(settled(table, 0).levels) == 0


def test_honest_disagreement_is_zero_on_average() -> None:
    total, noise = np.zeros(10), np.zeros(10)
    for seed in range(40):
        key, agent, outcome = swarm(reports=40, seed=seed)
        found = agreement(Reports.collect(key, agent, counters_of(outcome)), 10)
        total += found.disagreement
        noise += found.noise
    assert (np.abs(total) < 3.0 * np.sqrt(noise)).all()


def test_large_neighbourhoods_are_believed_as_far_as_small_ones_bear_them_out() -> None:
    # Agent 0 takes approach 0 everywhere, the others only where it works: honest, but in the large
    # neighbourhood it looks as if it reported failures.
    rng = np.random.default_rng(0)
    where = rng.integers(40, size=6_000)
    agent = rng.integers(10, size=6_000)
    kept = (where < 8) | (agent == 0)
    where, agent = where[kept], agent[kept]
    outcome = np.where(rng.random(len(where)) < np.where(where < 8, 0.9, 0.1), 1.0, -1.0)
    counters = counters_of(outcome)
    fine = Reports.collect(where, agent, counters)
    coarse = Reports.collect(np.zeros(len(where), dtype=np.int64), agent, counters)
    assert settled(coarse, 10).levels[0] < FULL_LEVEL
    assert settled(fine, 10, coarse=coarse).levels[0] == FULL_LEVEL


def test_a_doubt_says_who_and_how_far_and_why() -> None:
    key, agent, outcome = swarm(lies={3: always(1.0)}, reports=200)
    names = ["zoe", "amy", "ben", "mallory", *"efghij"]
    (doubt,) = trust_in(key, agent, outcome).doubts(names)
    assert doubt.agent == "mallory"
    assert doubt.level <= 2
    assert doubt.bias > 0.5
    sentence = doubt.sentence()
    assert sentence.startswith(f"'mallory' counts for {doubt.level}/16")
    assert "better" in sentence


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.floats(-8, 8)), min_size=1, max_size=60
)


@settings(deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 59))
def test_neither_order_nor_folding_shows(
    rows: list[tuple[int, int, float]], random: object, cut: int
) -> None:
    key = np.array([row[0] for row in rows])
    agent = np.array([row[1] for row in rows])
    counters = counters_of(np.array([row[2] for row in rows]))
    whole = settled(Reports.collect(key, agent, counters), 6)
    order = np.array(random.sample(range(len(rows)), len(rows)))  # type: ignore[attr-defined]
    mixed = settled(Reports.collect(key[order], agent[order], counters[order]), 6)
    np.testing.assert_array_equal(whole.levels, mixed.levels)
    np.testing.assert_array_equal(whole.fine.disagreement, mixed.fine.disagreement)
    # Some rows folded into sums first, as retention does.
    some = Reports.collect(key[:cut], agent[:cut], counters[:cut])
    folded = settled(
        Reports.collect(
            np.concatenate([some.keys, key[cut:]]),
            np.concatenate([some.reporters, agent[cut:]]),
            np.concatenate([some.counters, counters[cut:]]),
        ),
        6,
    )
    np.testing.assert_array_equal(whole.levels, folded.levels)


@given(ROWS)
def test_levels_are_sixteenths(rows: list[tuple[int, int, float]]) -> None:
    key = np.array([row[0] for row in rows])
    agent = np.array([row[1] for row in rows])
    found = settled(Reports.collect(key, agent, counters_of(np.array([r[2] for r in rows]))), 6)
    assert ((found.levels >= 0) & (found.levels <= FULL_LEVEL)).all()


def test_counters_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="counters of shape"):
        Reports.collect(np.zeros(2, dtype=int), np.zeros(2, dtype=int), np.zeros((2, 4), dtype=int))


@given(st.integers(0, 10**7))
def test_trust_is_computed_anew_on_a_grid_that_is_never_far_behind(count: int) -> None:
    stands = standing_count(count)
    assert 0 <= stands <= count
    assert count - stands < max(8, count / 16 + 1)
    assert standing_count(stands) == stands


def domains(share: float, seed: int = 0, reports: int = 3_000) -> npt.NDArray[np.int64]:
    """Two domains of which this share of the patterns is alike."""
    rng = np.random.default_rng(seed)
    first, other = rng.normal(size=(2, KEYS))
    second = np.where(rng.random(KEYS) < share, first, other)
    key, domain = rng.integers(KEYS, size=reports), rng.integers(2, size=reports)
    outcome = np.stack([first, second])[domain, key] + rng.normal(size=reports)
    return transfer_levels(Reports.collect(key, domain, counters_of(outcome)), 2)


def test_a_domain_like_another_is_worth_nearly_all_and_an_unrelated_one_nearly_nothing() -> None:
    for seed in range(5):
        alike, half, unlike = (domains(share, seed) for share in (1.0, 0.5, 0.0))
        assert alike[0, 1] >= 14 and alike[1, 0] >= 14
        assert unlike[0, 1] <= 4 and unlike[1, 0] <= 4
        assert unlike[0, 1] <= half[0, 1] <= alike[0, 1]


def test_few_outcomes_of_each_pattern_do_not_make_a_like_domain_worth_less() -> None:
    # Their noise would flatten the slope to a half.
    rng = np.random.default_rng(0)
    truth = rng.normal(size=600)
    key, domain = np.repeat(np.arange(600), 4), np.tile([0, 0, 1, 1], 600)
    outcome = truth[key] + 1.4 * rng.normal(size=len(key))
    levels = transfer_levels(Reports.collect(key, domain, counters_of(outcome)), 2)
    assert levels[0, 1] >= 13


def test_where_domains_contradict_each_other_nothing_is_transferred() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=KEYS)
    key, domain = rng.integers(KEYS, size=2_000), rng.integers(2, size=2_000)
    outcome = np.stack([truth, -truth])[domain, key] + rng.normal(size=2_000)
    levels = transfer_levels(Reports.collect(key, domain, counters_of(outcome)), 2)
    assert levels[0, 1] == levels[1, 0] == 0


def test_before_there_is_evidence_the_prior_stands_and_evidence_moves_it_both_ways() -> None:
    empty = np.empty(0, dtype=np.int64)
    table = Reports.collect(empty, empty, np.empty((0, 5), dtype=np.int64))
    assert transfer_levels(table, 2)[0, 1] == TRANSFER_PRIOR
    few, many = domains(1.0, reports=60)[0, 1], domains(1.0, reports=600)[0, 1]
    assert TRANSFER_PRIOR <= few <= many
    assert domains(0.0, reports=600)[0, 1] <= TRANSFER_PRIOR


def test_a_domain_is_worth_all_to_itself() -> None:
    assert np.diag(domains(0.3)).tolist() == [FULL_LEVEL, FULL_LEVEL]


def test_that_all_goes_well_in_both_domains_does_not_make_them_alike() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, KEYS)) + 2.0
    key, domain = rng.integers(KEYS, size=3_000), rng.integers(2, size=3_000)
    outcome = truth[domain, key] + rng.normal(size=3_000)
    levels = transfer_levels(Reports.collect(key, domain, counters_of(outcome)), 2)
    assert levels[0, 1] <= TRANSFER_PRIOR
