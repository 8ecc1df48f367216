"""Neighbourhoods and what follows from columns: a function of what is known, however it came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.trust.agents import FULL_LEVEL, TRANSFER_PRIOR, standing_count
from swarm_runtime.memory.trust.assessment import (
    Assessor,
    OutcomeColumns,
    PlaceColumns,
    sample_size,
)
from swarm_runtime.memory.trust.neighbourhoods import (
    Neighbourhoods,
    anchor_count,
    anchor_rows,
    similarities,
)

DIMENSION = 64


def directions(count: int, seed: int = 0, clusters: int = 12) -> npt.NDArray[np.float32]:
    """Vectors of length one in clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, DIMENSION))
    found = centres[rng.integers(clusters, size=count)] + 0.4 * rng.normal(size=(count, DIMENSION))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_anchors_are_a_sample_that_depends_on_their_numbers_alone() -> None:
    numbers = np.random.default_rng(0).permutation(10_000)
    rows = anchor_rows(numbers, 16)
    assert numbers[rows].tolist() == list(range(16))
    order = np.random.default_rng(1).permutation(10_000)
    assert numbers[order][anchor_rows(numbers[order], 16)].tolist() == list(range(16))
    assert len(anchor_rows(numbers[:5], 16)) == 5


def test_more_outcomes_have_more_anchors_up_to_a_bound() -> None:
    counts = [anchor_count(outcomes) for outcomes in (0, 100, 1_000, 10_000, 10**7)]
    assert counts == sorted(counts)
    assert counts[0] == 8 and counts[-1] == 256


@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 10))
def test_similarities_have_the_same_bits_whatever_is_asked_together(
    count: int, anchors: int, seed: int
) -> None:
    vectors = directions(50, seed)
    whole = similarities(vectors, vectors[:anchors])
    part = similarities(vectors[:count], vectors[:anchors])
    np.testing.assert_array_equal(whole[:count], part)
    exact = vectors.astype(float) @ vectors[:anchors].astype(float).T
    np.testing.assert_allclose(whole / 2**20, exact, atol=0.005)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 100), st.lists(st.integers(1, 120), min_size=1, max_size=6))
def test_asking_often_gives_the_same_neighbourhoods_as_asking_once(
    seed: int, stops: list[int]
) -> None:
    vectors = directions(120, seed)
    numbers = np.random.default_rng(seed).permutation(120)
    often = Neighbourhoods(lambda rows: vectors[rows])
    for stop in stops:
        places = np.arange(stop)
        once = Neighbourhoods(lambda rows: vectors[rows])
        count = 4 + stop % 5
        np.testing.assert_array_equal(
            often.of(places, numbers, count), once.of(places, numbers, count)
        )


def test_of_two_equal_anchors_the_one_with_the_smaller_number_has_the_neighbourhood() -> None:
    vectors = np.repeat(directions(1), 6, axis=0)
    numbers = np.array([5, 3, 4, 1, 2, 0])
    for places in (np.arange(6), np.array([5, 0, 3])):
        found = Neighbourhoods(lambda rows: vectors[rows]).of(places, numbers, 3)
        assert set(found.tolist()) == {5}


def test_an_equal_anchor_that_comes_later_has_the_neighbourhood_if_its_number_is_smaller() -> None:
    vectors = np.repeat(directions(1), 6, axis=0)
    numbers = np.array([5, 3, 4, 1, 2, 0])
    asked = Neighbourhoods(lambda rows: vectors[rows])
    assert set(asked.of(np.arange(3), numbers, 2).tolist()) == {1}
    assert set(asked.of(np.arange(5), numbers, 4).tolist()) == {3}


def test_a_place_that_was_passed_over_is_compared_with_anchors_that_came_meanwhile() -> None:
    vectors, numbers = directions(10, clusters=10), np.arange(10)
    asked = Neighbourhoods(lambda rows: vectors[rows])
    asked.of(np.arange(10), numbers, 1)
    asked.of(np.arange(5), numbers, 5)
    fresh = Neighbourhoods(lambda rows: vectors[rows]).of(np.arange(10), numbers, 5)
    assert len(set(fresh[5:].tolist())) > 1
    np.testing.assert_array_equal(asked.of(np.arange(10), numbers, 5), fresh)


@dataclass
class Bank:
    """Outcomes as columns, and the places they are from."""

    outcomes: OutcomeColumns
    places: PlaceColumns
    vectors: npt.NDArray[np.float32]

    def taken(self, rows: npt.NDArray[np.intp]) -> OutcomeColumns:
        o = self.outcomes
        return OutcomeColumns(
            o.place[rows], o.approach[rows], o.agent[rows], o.counters[rows], o.known_s[rows],
            o.number[rows],
        )  # fmt: skip

    def shuffled(self, seed: int) -> Bank:
        """The same knowledge with rows in another order, of places too."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.places.number))
        back = np.argsort(order)
        rows = rng.permutation(len(self.outcomes.place))
        moved = self.taken(rows)
        places = PlaceColumns(
            self.places.number[order], self.places.domain[order], self.places.task_type[order]
        )
        o = moved
        outcomes = OutcomeColumns(
            back[o.place], o.approach, o.agent, o.counters, o.known_s, o.number
        )
        return Bank(outcomes, places, self.vectors[order])


def bank(
    count: int = 1_500, *, liar: int = 3, domains: int = 1, seed: int = 0, per_second: int = 7
) -> Bank:
    rng = np.random.default_rng(seed)
    vectors = directions(count, seed)
    cluster = (vectors @ directions(1, 99)[0] > 0).astype(int)
    approach, agent = rng.integers(3, size=count), rng.integers(6, size=count)
    right = (cluster + approach) % 2 == 0
    outcome = np.where(rng.random(count) < np.where(right, 0.9, 0.1), 1.0, -1.0)
    outcome[agent == liar] = 1.0
    units = np.rint(outcome * REWARD_SCALE)
    counters = np.stack([np.ones(count), outcome > 0, outcome < 0, units, units**2], axis=1)
    outcomes = OutcomeColumns(
        np.arange(count), approach, agent, counters.astype(np.int64),
        1_000 + np.arange(count) // per_second, rng.integers(2**62, size=count),
    )  # fmt: skip
    places = PlaceColumns(
        rng.integers(2**62, size=count), rng.integers(domains, size=count), np.zeros(count, int)
    )
    return Bank(outcomes, places, vectors)


def assess(one: Bank, domains: int = 1) -> tuple[list[int], list[list[int]], int, tuple[int, int]]:
    found = Assessor(lambda rows: one.vectors[rows]).assess(one.outcomes, one.places, 6, domains)
    return found.trust.levels.tolist(), found.transfer.tolist(), found.count, found.until


def test_a_liar_is_found_in_contexts_of_which_no_two_are_equal() -> None:
    levels, *_ = assess(bank())
    assert levels[3] <= 2
    assert levels[:3] + levels[4:] == [FULL_LEVEL] * 5


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_outcomes_and_places_does_not_matter(seed: int) -> None:
    one = bank(domains=2)
    assert assess(one, 2) == assess(one.shuffled(seed), 2)


def test_what_is_known_later_changes_nothing_until_the_grid_moves() -> None:
    one = bank(200, per_second=1)
    stands = standing_count(130)
    known = np.arange(stands)
    first = Assessor(lambda rows: one.vectors[rows]).assess(one.taken(known), one.places, 6, 1)
    for count in range(stands, stands + 8):
        if standing_count(count) == stands:
            later = Assessor(lambda rows: one.vectors[rows]).assess(
                one.taken(np.arange(count)), one.places, 6, 1
            )
            assert later.count == first.count
            assert later.until == first.until
            np.testing.assert_array_equal(later.trust.levels, first.trust.levels)


def test_an_assessor_that_was_asked_before_says_the_same_as_a_new_one() -> None:
    one = bank(900)
    asked = Assessor(lambda rows: one.vectors[rows])
    for count in (90, 400, 250, 900):
        rows = np.arange(count)
        again = asked.assess(one.taken(rows), one.places, 6, 1)
        fresh = Assessor(lambda rows: one.vectors[rows]).assess(one.taken(rows), one.places, 6, 1)
        np.testing.assert_array_equal(again.trust.levels, fresh.trust.levels)
        np.testing.assert_array_equal(again.trust.fine.disagreement, fresh.trust.fine.disagreement)


def test_of_many_outcomes_a_sample_is_enough_and_it_does_not_depend_on_their_order() -> None:
    one = bank(12_000)
    assert sample_size(6) < 12_000
    levels, _, count, _ = assess(one)
    assert count == standing_count(12_000)
    assert levels[3] <= 2 and levels[:3] + levels[4:] == [FULL_LEVEL] * 5
    assert assess(one.shuffled(1))[0] == levels
    assert sample_size(50) > sample_size(6)
    assert sample_size(10**6) == sample_size(10**5)


def test_related_domains_are_worth_more_to_each_other_than_unrelated_ones() -> None:
    _, related, *_ = assess(bank(2_000, liar=-1, domains=2), 2)
    assert related[0][1] >= 12 and related[1][0] >= 12
    one = bank(2_000, liar=-1, domains=2)
    flip = one.places.domain[one.outcomes.place] == 1
    # In the second domain each approach works exactly where it fails in the first.
    counters = one.outcomes.counters.copy()
    counters[flip] = counters[flip][:, [0, 2, 1, 3, 4]] * np.array([1, 1, 1, -1, 1])
    other = Bank(one.outcomes, one.places, one.vectors)
    other.outcomes = OutcomeColumns(
        one.outcomes.place, one.outcomes.approach, one.outcomes.agent, counters,
        one.outcomes.known_s, one.outcomes.number,
    )  # fmt: skip
    _, unlike, *_ = assess(other, 2)
    assert unlike[0][1] == unlike[1][0] == 0


def test_before_anything_is_known_all_are_believed_and_domains_stand_at_the_prior() -> None:
    one = bank(200)
    none = one.taken(np.empty(0, dtype=np.intp))
    found = Assessor(lambda rows: one.vectors[rows]).assess(none, one.places, 2, 2)
    assert found.trust.levels.tolist() == [FULL_LEVEL, FULL_LEVEL]
    assert found.transfer.tolist() == [[FULL_LEVEL, TRANSFER_PRIOR], [TRANSFER_PRIOR, FULL_LEVEL]]
    assert (found.count, found.until) == (0, (0, 0))
