"""Credit: what was given against what was withheld, and how often the interval holds the truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.memory.records.annotations import Usage
from swarm_runtime.memory.trust.credit import (
    Uplift,
    approach_uplifts,
    chance_to_give,
    recommendation_uplift,
    target_uplifts,
    uplift,
    worth,
)

Floats = npt.NDArray[np.float64]
Draw = Callable[[npt.NDArray[np.bool_], np.random.Generator], Floats]


def bell(gain: float) -> Draw:
    return lambda given, rng: gain * given + rng.normal(size=len(given))


def coin(with_it: float, without: float) -> Draw:
    def draw(given: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
        return np.where(rng.random(len(given)) < np.where(given, with_it, without), 1.0, -1.0)

    return draw


@pytest.mark.parametrize(
    ("draw", "truth", "count", "withheld"),
    [
        (bell(0.3), 0.3, 60, 0.2),
        (bell(0.0), 0.0, 400, 0.05),
        (coin(0.7, 0.5), 0.4, 60, 0.2),
        (coin(0.7, 0.5), 0.4, 400, 0.05),
        (coin(0.95, 0.9), 0.1, 400, 0.05),
    ],
    ids=["bell", "bell, rarely withheld", "coin", "coin, rarely withheld", "nearly always right"],
)
def test_the_interval_holds_the_truth_in_95_of_100_cases(
    draw: Draw, truth: float, count: int, withheld: float
) -> None:
    rng = np.random.default_rng(0)
    held = tried = 0
    for _ in range(600):
        given = rng.random(count) < 1.0 - withheld
        found = uplift(draw(given, rng), given, np.full(count, 1.0 - withheld))
        if found.interval is not None:
            tried += 1
            held += found.interval[0] <= truth <= found.interval[1]
    assert tried > 590
    assert held / tried >= 0.93


def test_the_interval_holds_the_truth_where_chances_differ_with_what_is_easy() -> None:
    # Easy tasks are given the knowledge more often: the plain difference of means is wrong.
    rng = np.random.default_rng(1)
    held = 0
    plain: list[float] = []
    for _ in range(400):
        easy = rng.random(400) < 0.5
        chance = np.where(easy, 0.9, 0.3)
        given = rng.random(400) < chance
        outcome = 0.2 * given + 1.0 * easy + rng.normal(size=400)
        found = uplift(outcome, given, chance)
        assert found.interval is not None
        held += found.interval[0] <= 0.2 <= found.interval[1]
        plain.append(float(outcome[given].mean() - outcome[~given].mean()))
    assert held / 400 >= 0.93
    assert np.mean(plain) > 0.5


def test_outcomes_of_one_cluster_do_not_count_as_independent() -> None:
    rng = np.random.default_rng(2)
    apart, together, held = 0.0, 0.0, 0
    for _ in range(200):
        cluster = np.repeat(np.arange(30), 10)
        # Everything of a cluster is given, or nothing.
        given = (rng.random(30) < 0.5)[cluster]
        outcome = rng.normal(size=30)[cluster] + 0.3 * rng.normal(size=300)
        chance = np.full(300, 0.5)
        naive = uplift(outcome, given, chance).interval
        fair = uplift(outcome, given, chance, clusters=cluster.tolist()).interval
        assert naive is not None and fair is not None
        apart += naive[1] - naive[0]
        together += fair[1] - fair[0]
        held += fair[0] <= 0.0 <= fair[1]
    assert together > 2.0 * apart
    assert held / 200 >= 0.92


@pytest.mark.parametrize(("given", "withheld"), [(0, 0), (5, 0), (0, 5), (5, 1), (1, 5)])
def test_with_fewer_than_two_on_a_side_nothing_is_claimed(given: int, withheld: int) -> None:
    count = given + withheld
    found = uplift([1.0] * count, [True] * given + [False] * withheld, [0.5] * count)
    assert found.interval is None
    assert worth(found) == "not known"
    assert "too few" in found.sentence()


def test_two_equal_outcomes_on_either_side_are_not_certain() -> None:
    found = uplift([1.0, 1.0, -1.0, -1.0], [True, True, False, False], [0.5] * 4)
    assert found.difference == 2.0
    assert found.interval is not None and found.interval[0] < 0.0


def test_with_equal_chances_the_interval_is_welchs_with_four_pseudo_outcomes() -> None:
    sides = np.array([1.2, 0.4, -0.3, 0.9, 2.0]), np.array([-1.0, 0.5, 0.1])
    outcomes = np.concatenate(sides)
    given = np.array([True] * 5 + [False] * 3)
    found = uplift(outcomes, given, np.full(8, 0.6))
    parts = [
        ((len(one) - 1) * one.var(ddof=1) + 4.0) / (len(one) - 1 + 4.0) / len(one) for one in sides
    ]
    free = sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 2)
    half = stats.t.ppf(0.975, free) * math.sqrt(sum(parts))
    difference = sides[0].mean() - sides[1].mean()
    assert found.interval == pytest.approx((difference - half, difference + half), rel=1e-6)


def test_what_was_given_for_certain_says_nothing() -> None:
    found = uplift([9.0] * 50 + [0.0] * 8, [True] * 54 + [False] * 4, [1.0] * 50 + [0.5] * 8)
    assert (found.given, found.withheld, found.difference) == (4, 4, 0.0)


def test_what_surely_harms_is_seldom_given_and_all_else_as_before() -> None:
    rng = np.random.default_rng(0)
    given = rng.random(400) < 0.8
    for gain, verdict, chance in ((-1.0, "harms", 0.05), (1.0, "helps", 0.95)):
        found = uplift(gain * given + rng.normal(size=400), given, np.full(400, 0.8))
        assert worth(found) == verdict
        assert chance_to_give(found, 0.05) == pytest.approx(chance)
        assert f"it {verdict}" in found.sentence("the item")
    assert chance_to_give(uplift([], [], []), 0.05) == pytest.approx(0.95)


OUTCOMES = st.lists(st.tuples(st.floats(-8, 8), st.booleans(), st.floats(0.05, 0.99)), max_size=30)


@given(OUTCOMES, st.randoms(use_true_random=False))
def test_the_order_of_outcomes_does_not_matter(
    rows: list[tuple[float, bool, float]], random: object
) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    first, second = (
        uplift(*zip(*some, strict=True)) if some else uplift([], [], []) for some in (rows, mixed)
    )
    assert (first.given, first.withheld) == (second.given, second.withheld)
    if first.difference is not None and second.difference is not None:
        assert first.difference == pytest.approx(second.difference, abs=1e-9)
        low, high = first.interval or (-math.inf, math.inf)
        assert low <= first.difference <= high


@pytest.mark.parametrize("chance", [0.0, -0.1, 1.1, math.nan])
def test_a_propensity_that_is_none_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="propensity"):
        uplift([1.0], [True], [chance])


def test_columns_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 outcomes"):
        uplift([1.0, 2.0], [True], [0.5])
    with pytest.raises(ValueError, match="1 clusters"):
        uplift([1.0, 2.0], [True, False], [0.5, 0.5], clusters=["a"])


def usage(at: int, target: str, given: bool, used: bool | None = None, known: int = 0) -> Usage:
    return Usage(f"u{at}", f"t{at}", target, given, used, 0.5, "amy", known)


def test_each_target_has_its_own_uplift_however_often_a_usage_comes() -> None:
    usages = [usage(at, "item", at % 2 == 0, at % 4 == 0) for at in range(40)]
    usages += [usage(100 + at, "other", at % 2 == 0) for at in range(6)]
    outcomes = {f"t{at}": 1.0 if at % 2 == 0 else -1.0 for at in range(40)}
    found = target_uplifts([*usages, *usages[::-1]], outcomes)
    assert list(found) == ["item"]
    assert (found["item"].given, found["item"].withheld) == (20, 20)
    assert (found["item"].used, found["item"].unused) == (10, 10)
    assert found["item"].difference == 2.0
    assert worth(found["item"]) == "helps"


def test_what_is_known_later_does_not_count_yet() -> None:
    usages = [usage(at, "item", at % 2 == 0, known=at) for at in range(10)]
    outcomes = {f"t{at}": 0.0 for at in range(10)}
    found = target_uplifts(usages, outcomes, as_of_s=5)["item"]
    assert (found.given, found.withheld) == (3, 3)


def experience(
    epoch: int, reasons: list[Reason], excess: list[list[float]], chosen: list[int], share: float
) -> Experience:
    rows, candidates = len(reasons), len(excess[0])
    kept = [
        1.0 - share + share / candidates if one is Reason.APPLIED else share / candidates
        for one in reasons
    ]
    units = np.rint(np.array(excess) * REWARD_SCALE).astype(np.int32)
    return Experience(
        "amy", epoch, epoch, "", "trade", tuple("abcdef"[:candidates]),
        tuple(f"s{row}" for row in range(rows)), np.zeros((rows, 1), np.float32),
        np.zeros(rows, np.int32), np.array(chosen, np.int16), np.array(reasons, np.int8),
        np.array(kept, np.float32), np.zeros((rows, 0), np.float32), units,
        np.sign(units).astype(np.int8), np.zeros((rows, candidates)),
    )  # fmt: skip


def test_following_recommendations_is_compared_with_withholding_them() -> None:
    rng = np.random.default_rng(0)
    made: list[Experience] = []
    for epoch in range(1, 201):
        excess = rng.normal(size=(4, 3)) + np.array([0.6, 0.0, 0.0])
        reasons = [Reason.WITHHELD if rng.random() < 0.2 else Reason.APPLIED for _ in range(4)]
        chosen = [0 if one is Reason.APPLIED else int(rng.integers(1, 3)) for one in reasons]
        made.append(experience(epoch, reasons, excess.tolist(), chosen, 0.2))
    found = recommendation_uplift(made)
    assert found.interval is not None
    assert found.interval[0] < 0.6 < found.interval[1]
    assert worth(found) == "helps"
    assert recommendation_uplift([*made, *reversed(made)]) == found


def test_recommendations_that_were_withheld_more_often_do_not_weigh_more() -> None:
    # Half of the rows are withheld with one half and end well anyway, the others with a tenth.
    rng = np.random.default_rng(0)
    made: list[Experience] = []
    for epoch in range(1, 401):
        share, level = (0.5, 2.0) if epoch % 2 else (0.1, 0.0)
        reasons = [Reason.WITHHELD if rng.random() < share else Reason.APPLIED for _ in range(4)]
        chosen = [0 if one is Reason.APPLIED else 1 for one in reasons]
        excess = [[level + 0.5, level, level]] * 4
        made.append(experience(epoch, reasons, excess, chosen, share))
    found = recommendation_uplift(made)
    assert found.difference == pytest.approx(0.5, abs=0.25)


def test_rows_that_were_explored_are_not_compared() -> None:
    made = [experience(1, [Reason.ABSTAINED, Reason.NO_MEMORY], [[1.0, 0.0]] * 2, [0, 1], 0.2)]
    assert recommendation_uplift(made).given == 0
    assert recommendation_uplift([]) == uplift([], [], [])
    assert approach_uplifts(made) == {}


def test_where_every_outcome_is_known_each_approach_is_compared_with_a_blind_choice() -> None:
    rng = np.random.default_rng(0)
    made = []
    for epoch in range(1, 101):
        excess = rng.normal(size=(3, 3)) + np.array([0.9, 0.0, 0.0])
        made.append(experience(epoch, [Reason.APPLIED] * 3, excess.tolist(), [0, 1, 0], 0.2))
    found = approach_uplifts(made)
    assert list(found) == ["a", "b"]
    assert found["a"].difference == pytest.approx(0.6, abs=0.2)
    assert worth(found["a"]) == "helps"
    assert worth(found["b"]) == "harms"
    assert isinstance(found["a"], Uplift)
