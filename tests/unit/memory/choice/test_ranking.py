"""Statistics, estimates and choice: exact, order-free, and slow to believe in luck."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import (
    EVIDENCE,
    NEVER,
    SIMILARITY_SCALE,
    Estimates,
    Reason,
    Statistics,
    choose,
    clears_gate,
    estimate,
    explore,
    recency_table,
)
from swarm_runtime.memory.vectors.embedding import cell_similarity
from tests.experiences import DAY_S, SPACE, experience, histories, random_experience

SIMILARITY = cell_similarity(SPACE)
RECENCY = recency_table(365.0)
ALL = np.arange(SPACE.cell_count, dtype=np.int32)


def folded(*experiences: Experience, shadow_teaches: bool = True) -> Statistics:
    statistics = Statistics(SPACE.cell_count, len(experiences[0].approaches))
    statistics.fold(experiences, shadow_teaches=shadow_teaches)
    return statistics


def estimates_in(cell: int, statistics: Statistics, as_of_s: int = DAY_S) -> Estimates:
    cells = np.array([cell], dtype=np.int32)
    return estimate(statistics, cells, SIMILARITY, RECENCY, as_of_s)


# --- statistics ------------------------------------------------------------------------------


@settings(deadline=None)
@given(histories(), st.booleans(), st.data())
def test_any_order_and_any_batches_give_the_same_statistics(
    found: list[Experience], shadow_teaches: bool, data: st.DataObject
) -> None:
    whole = folded(*found, shadow_teaches=shadow_teaches)
    piecewise = Statistics(SPACE.cell_count, 3)
    rest = data.draw(st.permutations(found))
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        piecewise.fold(rest[:count], shadow_teaches=shadow_teaches)
        rest = rest[count:]
    np.testing.assert_array_equal(piecewise.counters, whole.counters)
    np.testing.assert_array_equal(piecewise.last_known_s, whole.last_known_s)
    assert piecewise.newest_s == whole.newest_s


@settings(deadline=None)
@given(st.integers(0, 2**16), st.booleans())
def test_statistics_are_the_plain_counts(seed: int, shadow_teaches: bool) -> None:
    one = random_experience(seed, rows=6)
    statistics = folded(one, shadow_teaches=shadow_teaches)
    for cell in range(SPACE.cell_count):
        for column in range(3):
            taught = [
                (int(one.excess[row, column]), int(one.verdict[row, column]))
                for row in range(6)
                if one.cells[row] == cell
                and one.chosen[row] >= 0
                and (shadow_teaches or one.chosen[row] == column)
            ]
            assert statistics.counters[cell, :, column].tolist() == [
                len(taught),
                sum(verdict > 0 for _, verdict in taught),
                sum(verdict < 0 for _, verdict in taught),
                sum(excess for excess, _ in taught),
                sum(excess**2 for excess, _ in taught),
            ]
            known = statistics.last_known_s[cell, column]
            assert known == (one.known_at_s if taught else NEVER)


def test_a_subject_that_could_not_be_acted_on_teaches_nothing() -> None:
    statistics = folded(experience(chosen=[-1]))
    assert not statistics.counters.any()
    assert statistics.newest_s == NEVER


def test_outcomes_before_1970_are_outcomes() -> None:
    statistics = folded(experience(known_at_s=-40 * 365 * DAY_S))
    found = estimates_in(0, statistics, as_of_s=-40 * 365 * DAY_S)
    assert found.recency.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    "wrong", [experience(cells=[9]), experience(cells=[-1]), experience(excess=[[1.0, 2.0, 3.0]])]
)
def test_an_experience_that_does_not_fit_is_refused_and_adds_nothing(wrong: Experience) -> None:
    statistics = Statistics(SPACE.cell_count, 2)
    with pytest.raises(ValueError, match="in statistics of"):
        statistics.fold([wrong], shadow_teaches=True)
    assert not statistics.counters.any()
    assert statistics.newest_s == NEVER


# --- estimates -------------------------------------------------------------------------------


def test_an_estimate_is_the_similarity_weighted_mean_of_the_cells_around() -> None:
    near, far = 4, 3  # one bin of one of two features apart
    wide = cell_similarity(SPACE, floor=0.0)
    share = wide[near, far] / SIMILARITY_SCALE
    statistics = folded(experience(cells=[near, far], excess=[[1.0, 0.0], [-0.5, 0.0]]))
    cells = np.array([near], dtype=np.int32)
    found = estimate(statistics, cells, wide, RECENCY, DAY_S)
    assert found.outcomes[0, 0] == 1.0 + share
    assert found.mean[0, 0] == pytest.approx((1.0 - 0.5 * share) / (1.0 + share))
    assert found.similarity[0, 0] == pytest.approx((1.0 + share) / 2.0)


def test_the_four_parts_of_the_confidence_are_those_of_the_report() -> None:
    excess = [[1.0, 0.0]] * 6 + [[-1.0, 0.0]] * 3
    statistics = folded(experience(cells=[4] * 9, excess=excess))
    found = estimates_in(4, statistics, as_of_s=DAY_S * 366)
    success, usage, recency, similarity = 7.0 / 11.0, 9.0 / 12.0, 0.5, 1.0
    assert found.success[0, 0] == success
    assert found.usage[0, 0] == usage
    assert found.recency[0, 0] == recency
    assert found.similarity[0, 0] == similarity
    report = 0.4 * success + 0.3 * usage + 0.2 * recency + 0.1 * similarity
    assert found.confidence[0, 0] == report


def test_of_what_was_never_tried_nothing_is_claimed() -> None:
    found = estimates_in(4, Statistics(SPACE.cell_count, 2))
    for part in (found.outcomes, found.mean, found.usage, found.recency, found.similarity):
        assert not part.any()
    assert found.success.tolist() == [[0.5, 0.5]]
    assert not clears_gate(found, MemorySettings(minimum_usage=1, confidence_threshold=0)).any()


def test_two_lucky_outcomes_do_not_look_certain() -> None:
    found = estimates_in(0, folded(experience(cells=[0, 0], excess=[[1.0, 0], [1.0, 0]])))
    assert found.standard_error[0, 0] == pytest.approx(np.sqrt(1.0 / 3.0 / 2.0))


@settings(deadline=None)
@given(histories(), st.lists(st.integers(0, 8), min_size=1, max_size=60), st.data())
def test_an_agent_that_asks_alone_gets_the_bits_that_a_crowd_gets(
    found: list[Experience], asked: list[int], data: st.DataObject
) -> None:
    statistics = folded(*found)
    cells = np.array(asked, dtype=np.int32)
    random = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    draws = random.random((2, len(asked)))
    available = random.random(len(asked)) < 0.8
    kernel = cell_similarity(SPACE, floor=0.2)
    together = estimate(statistics, cells, kernel, RECENCY, 9 * DAY_S)
    chosen = choose(together, MemorySettings(bound_z=0.0), available, *draws)
    for row in range(len(asked)):
        alone = estimate(statistics, cells[[row]], kernel, RECENCY, 9 * DAY_S)
        choice = choose(alone, MemorySettings(bound_z=0.0), available[[row]], *draws[:, [row]])
        for part in ("outcomes", "mean", "standard_error", "confidence", "similarity"):
            assert getattr(alone, part)[0].tobytes() == getattr(together, part)[row].tobytes()
        for part in ("chosen", "reason", "propensity", "evidence"):
            assert getattr(choice, part)[0].tobytes() == getattr(chosen, part)[row].tobytes()


def test_recency_halves_with_every_half_life() -> None:
    table = recency_table(10.0)
    assert table[[0, 10, 20]].tolist() == [1.0, 0.5, 0.25]
    assert (np.diff(table) < 0.0)[:1000].all()


# --- choice ----------------------------------------------------------------------------------


def planted(columns: int, edge: float, outcomes: int, seed: int) -> Estimates:
    """Estimates in a cell in which candidate 0 is better by ``edge`` and the rest is luck."""
    excess = np.random.default_rng(seed).normal(size=(outcomes, columns))
    excess[:, 0] += edge
    excess -= excess.mean(axis=1, keepdims=True)  # the benchmark is the mean over all
    return estimates_in(4, folded(experience(cells=[4] * outcomes, excess=excess.tolist())))


def chosen_once(estimates: Estimates, memory: MemorySettings, draw: float = 0.0) -> tuple[int, int]:
    choice = choose(estimates, memory, np.ones(1, dtype=bool), np.array([draw]), np.ones(1))
    return int(choice.chosen[0]), int(choice.reason[0])


def test_an_empty_memory_abstains_and_explores() -> None:
    nothing = estimates_in(0, Statistics(SPACE.cell_count, 4))
    assert chosen_once(nothing, MemorySettings(), draw=0.6) == (2, Reason.ABSTAINED)


def test_a_planted_good_candidate_is_applied() -> None:
    memory = MemorySettings(bound_z=3.0)
    found = [chosen_once(planted(9, 1.0, 60, seed), memory) for seed in range(100)]
    assert found.count((0, Reason.APPLIED)) >= 98


@pytest.mark.parametrize(("columns", "bound_z"), [(2, 2.5), (9, 3.5)])
def test_coin_flips_are_rarely_applied_when_the_bound_allows_for_their_number(
    columns: int, bound_z: float
) -> None:
    memory = MemorySettings(bound_z=bound_z)
    reasons = [chosen_once(planted(columns, 0.0, 40, seed), memory)[1] for seed in range(200)]
    assert reasons.count(Reason.APPLIED) <= 10


@pytest.mark.parametrize(
    ("change", "opened"),
    [
        ({}, True),
        ({"minimum_usage": 61}, False),
        ({"confidence_threshold": 0.99}, False),
        ({"bound_z": 10.0}, False),
    ],
)
def test_each_part_of_the_gate_can_close_it(change: dict[str, float], opened: bool) -> None:
    memory = MemorySettings.model_validate({"bound_z": 2.0, **change})
    applied = chosen_once(planted(2, 1.0, 60, 1), memory)[1] == Reason.APPLIED
    assert applied is opened


def test_what_can_not_be_acted_on_is_left_alone() -> None:
    known = planted(2, 1.0, 60, 1)
    choice = choose(known, MemorySettings(), np.zeros(1, dtype=bool), np.zeros(1), np.ones(1))
    assert (choice.chosen[0], choice.reason[0]) == (-1, Reason.NOT_TRADABLE)
    assert np.isnan(choice.evidence).all()


def test_a_share_of_recommendations_is_withheld_and_says_so() -> None:
    known, memory = planted(4, 1.0, 60, 1), MemorySettings(withheld_fraction=0.25)
    draws = (np.arange(400) + 0.5) / 400
    many = Estimates(*(np.repeat(getattr(known, name), 400, axis=0) for name in known.__slots__))
    choice = choose(many, memory, np.ones(400, dtype=bool), draws[::-1].copy(), draws)
    withheld = choice.reason == Reason.WITHHELD
    assert withheld.sum() == 100
    assert (choice.chosen[~withheld] == 0).all()
    assert not np.isnan(choice.evidence).any()


def test_propensities_are_the_shares_with_which_each_is_chosen() -> None:
    known, memory = planted(4, 1.0, 60, 1), MemorySettings(withheld_fraction=0.25)
    side = (np.arange(40) + 0.5) / 40
    blind, withhold = (grid.ravel() for grid in np.meshgrid(side, side))
    many = Estimates(*(np.repeat(getattr(known, name), 1600, axis=0) for name in known.__slots__))
    choice = choose(many, memory, np.ones(1600, dtype=bool), blind, withhold)
    for approach in range(4):
        share = np.mean(choice.chosen == approach)
        np.testing.assert_allclose(choice.propensity[choice.chosen == approach], share, rtol=1e-6)


def test_a_choice_carries_what_was_known_of_its_recommendation() -> None:
    known, memory = planted(3, 1.0, 60, 1), MemorySettings(bound_z=2.0)
    choice = choose(known, memory, np.ones(1, dtype=bool), np.zeros(1), np.ones(1))
    told = dict(zip(EVIDENCE, choice.evidence[0].tolist(), strict=True))
    assert told.pop("lower_bound") == np.float32(known.lower_bound(2.0)[0, 0])
    assert told == {name: np.float32(getattr(known, name)[0, 0]) for name in told}


def test_exploring_takes_each_approach_equally_often() -> None:
    draws = (np.arange(300) + 0.5) / 300
    choice = explore(np.ones(300, dtype=bool), 3, draws, Reason.NO_MEMORY)
    assert np.bincount(choice.chosen).tolist() == [100, 100, 100]
    assert (choice.propensity == np.float32(1 / 3)).all()
    last = explore(np.ones(1, dtype=bool), 3, np.array([np.nextafter(1.0, 0.0)]), Reason.ABSTAINED)
    assert last.chosen.tolist() == [2]


def test_rewards_are_in_the_unit_of_the_log() -> None:
    found = estimates_in(0, folded(experience(excess=[[0.25, -0.25]])))
    assert found.mean.tolist() == [[0.25, -0.25]]
    assert REWARD_SCALE == 1_000
