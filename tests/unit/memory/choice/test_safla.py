"""The loop in five functions, and the guard that keeps tomorrow out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.memory.choice.ranking import Choice, Reason, Statistics, estimate, recency_table
from swarm_runtime.memory.choice.safla import adapt, analyse, apply, learn, observe
from swarm_runtime.memory.vectors.embedding import cell_similarity
from tests.experiences import DAY_S, SPACE, experience, histories

SIMILARITY = cell_similarity(SPACE)
RECENCY = recency_table(365.0)
MEMORY = MemorySettings(withheld_fraction=0.0)
CELLS = np.array([4, 4, 0], dtype=np.int32)
READY = np.ones(3, dtype=bool)
DRAWS = np.array([0.1, 0.9, 0.5])


def turn(
    statistics: Statistics, epoch: int, outcome: Callable[[Choice], np.ndarray]
) -> tuple[Choice, Experience]:
    """One turn of the loop, as an agent makes it."""
    now, later = epoch * DAY_S, (epoch + 1) * DAY_S
    estimates = adapt(statistics, CELLS, SIMILARITY, RECENCY, now)
    choice = apply(estimates, MEMORY, READY, DRAWS, np.ones(3))
    draft = observe(
        agent="a",
        domain="market",
        task_type="trade",
        approaches=("good", "bad"),
        subjects=("x", "y", "z"),
        context=np.zeros((3, 2)),
        cells=CELLS,
        choice=choice,
    )
    excess = outcome(choice)
    found = analyse(
        draft,
        epoch=epoch,
        known_at_s=later,
        excess=excess,
        verdict=np.sign(excess),
        net_return=excess / 1e5,
    )
    learn(statistics, [found], as_of_s=later, shadow_teaches=True)
    return choice, found


def test_the_loop_learns_what_works_and_then_does_it() -> None:
    statistics = Statistics(SPACE.cell_count, 2)
    random = np.random.default_rng(0)

    def outcome(choice: Choice) -> np.ndarray:
        noise = random.normal(0.0, 500.0, 3)
        return np.rint(np.stack([1_000 + noise, -1_000 + noise], axis=1)).astype(np.int32)

    first, _ = turn(statistics, 1, outcome)
    assert (first.reason == Reason.ABSTAINED).all()
    for epoch in range(2, 10):
        turn(statistics, epoch, outcome)
    last, _ = turn(statistics, 10, outcome)
    assert (last.reason == Reason.APPLIED).all()
    assert (last.chosen == 0).all()


def test_an_experience_says_what_was_tried_and_how_it_ended() -> None:
    choice, found = turn(Statistics(9, 2), 3, lambda _: np.array([[1, -1], [2, -2], [3, -3]]))
    found.check()
    assert found.key == ("a", 3)
    assert found.known_at_s == 4 * DAY_S
    assert found.approaches == ("good", "bad")
    assert found.chosen.tolist() == choice.chosen.tolist()
    assert found.excess.tolist() == [[1, -1], [2, -2], [3, -3]]
    assert found.verdict.tolist() == [[1, -1]] * 3


def test_an_outcome_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="outcomes of shapes"):
        turn(Statistics(9, 2), 1, lambda _: np.zeros((3, 3), dtype=np.int32))


def test_rows_that_do_not_match_the_subjects_are_refused() -> None:
    choice = apply(
        adapt(Statistics(9, 2), CELLS, SIMILARITY, RECENCY, 0), MEMORY, READY, DRAWS, DRAWS
    )
    with pytest.raises(ValueError, match="2 subjects, but 3 contexts"):
        observe(
            agent="a",
            domain="",
            task_type="t",
            approaches=("p", "q"),
            subjects=("x", "y"),
            context=np.zeros((3, 2)),
            cells=CELLS,
            choice=choice,
        )


# --- the guard -------------------------------------------------------------------------------

Estimator = Callable[[Sequence[Experience], int], bytes]


def guarded(experiences: Sequence[Experience], now_s: int) -> bytes:
    """What the loop says at a moment."""
    statistics = Statistics(SPACE.cell_count, 3)
    learn(statistics, experiences, as_of_s=now_s, shadow_teaches=True)
    found = adapt(statistics, CELLS, SIMILARITY, RECENCY, now_s)
    return b"".join(getattr(found, name).tobytes() for name in found.__slots__)


def unguarded(experiences: Sequence[Experience], now_s: int) -> bytes:
    """The same without the guard: what a careless memory would say."""
    statistics = Statistics(SPACE.cell_count, 3)
    statistics.fold(experiences, shadow_teaches=True)
    found = estimate(statistics, CELLS, SIMILARITY, RECENCY, now_s)
    return b"".join(getattr(found, name).tobytes() for name in found.__slots__)


def check_that_tomorrow_changes_nothing(say: Estimator) -> None:
    """Fails for a memory that lets the future in."""
    past = [experience(epoch=1, cells=[4], excess=[[0.3, -0.1, -0.2]])]
    tomorrow = [experience(epoch=2, cells=[4], excess=[[-8.0, 8.0, 0.0]])]
    assert say(past + tomorrow, DAY_S) == say(past, DAY_S), "the future leaked in"
    assert say(past + tomorrow, 2 * DAY_S) != say(past, 2 * DAY_S), "nothing was learnt"


def test_what_is_known_only_tomorrow_changes_nothing_today() -> None:
    check_that_tomorrow_changes_nothing(guarded)


def test_the_check_above_fails_for_a_memory_without_the_guard() -> None:
    with pytest.raises(AssertionError, match="the future leaked in"):
        check_that_tomorrow_changes_nothing(unguarded)


@settings(deadline=None)
@given(histories(), st.integers(0, 5))
def test_the_loop_says_at_any_moment_what_the_past_alone_says(
    found: list[Experience], day: int
) -> None:
    past = [one for one in found if one.known_at_s <= day * DAY_S]
    assert guarded(found, day * DAY_S) == guarded(past, day * DAY_S)


def test_what_is_passed_over_is_learnt_when_its_time_has_come() -> None:
    statistics = Statistics(SPACE.cell_count, 2)
    early, late = experience(epoch=1), experience(epoch=2)
    assert learn(statistics, [late, early], as_of_s=DAY_S, shadow_teaches=True) == 1
    assert statistics.newest_s == DAY_S
    assert learn(statistics, [late], as_of_s=2 * DAY_S, shadow_teaches=True) == 1
    assert learn(statistics, [], as_of_s=2 * DAY_S, shadow_teaches=True) == 0


def test_statistics_that_know_the_future_are_refused() -> None:
    statistics = Statistics(SPACE.cell_count, 2)
    statistics.fold([experience(epoch=2)], shadow_teaches=True)
    with pytest.raises(ValueError, match="which is after"):
        adapt(statistics, CELLS, SIMILARITY, RECENCY, DAY_S)
    adapt(statistics, CELLS, SIMILARITY, RECENCY, 2 * DAY_S)
