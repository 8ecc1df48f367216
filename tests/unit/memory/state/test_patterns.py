"""Patterns for people: counts, the report's confidence as a moving average, words, evidence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.memory.choice.recommendation import Confidence
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import pattern_id
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state.patterns import Counts, Pattern, PatternFold, outcomes_of
from tests.experiences import DAY_S, SPACE, experience, histories, trajectory

READER = ContextReader(SPACE)


def folded(*records: Experience | Trajectory, memory: MemorySettings | None = None) -> PatternFold:
    fold = PatternFold(READER, memory or MemorySettings())
    for record in records:
        fold.add(record)
    return fold


def only(fold: PatternFold, approach: str, as_of_s: int | None = None) -> Pattern:
    (found,) = (one for one in fold.patterns(as_of_s) if one.approach == approach)
    return found


def test_confidence_is_the_weighted_sum_of_the_report() -> None:
    parts = Confidence(success=0.7, usage=0.6, recency=0.5, similarity=0.4)
    assert parts.value == 0.4 * 0.7 + 0.3 * 0.6 + 0.2 * 0.5 + 0.1 * 0.4
    assert str(parts) == (
        "0.60 = 0.4·0.70 success + 0.3·0.60 usage + 0.2·0.50 recency + 0.1·0.40 similarity"
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=20), st.floats(0.01, 1.0))
def test_confidence_moves_by_the_learning_rate_as_the_report_says(
    outcomes: list[float], rate: float
) -> None:
    tries = [
        experience(epoch=epoch, chosen=[0], excess=[[excess, 0.0]])
        for epoch, excess in enumerate(outcomes, start=1)
    ]
    now = (len(outcomes) + 730) * DAY_S
    memory = MemorySettings(learning_rate=rate, half_life_days=365.0)
    found = only(folded(*tries, memory=memory), "p0", now).confidence
    success, usage, successes, verdicts = 0.0, 0.0, 0, 0
    for count, excess in enumerate(outcomes, start=1):
        successes += excess > 0
        verdicts += excess != 0
        new_success, new_usage = (successes + 1) / (verdicts + 2), count / (count + 3)
        weight = rate if count > 1 else 1.0
        success = success * (1 - weight) + new_success * weight
        usage = usage * (1 - weight) + new_usage * weight
    assert found.success == pytest.approx(success, rel=1e-12)
    assert found.usage == pytest.approx(usage, rel=1e-12)
    assert (found.recency, found.similarity) == (0.25, 1.0)


def test_actual_and_shadow_outcomes_are_counted_apart() -> None:
    fold = folded(
        experience(epoch=1, chosen=[0], excess=[[1.0, -1.0]]),
        experience(epoch=2, chosen=[1], excess=[[-1.0, 0.0]]),
    )
    first, second = only(fold, "p0"), only(fold, "p1")
    assert (first.actual, first.shadow) == (Counts(1, 1, 0), Counts(1, 0, 1))
    assert (second.actual, second.shadow) == (Counts(1, 0, 0), Counts(1, 0, 1))
    assert (first.outcomes, first.mean_excess) == (2, 0.0)


def test_shadow_outcomes_teach_only_where_they_may() -> None:
    tries = [experience(epoch=epoch, chosen=[0], excess=[[1.0, -1.0]]) for epoch in (1, 2)]
    found = folded(*tries, memory=MemorySettings(shadow_teaches=False)).patterns()
    assert [(one.approach, one.outcomes) for one in found] == [("p0", 2)]


def test_what_could_not_be_acted_on_is_no_outcome() -> None:
    assert folded(experience(chosen=[-1])).patterns() == []


def test_mean_and_interval_are_those_of_the_outcomes() -> None:
    tries = [
        experience(epoch=epoch, excess=[[excess, 0.0]])
        for epoch, excess in enumerate((0.5, 1.0, 0.0, 0.5), start=1)
    ]
    found = only(folded(*tries), "p0")
    assert found.mean_excess == 0.5
    width = 1.96 * ((4 * 0.125 + 1.0) / 5.0 / 4.0) ** 0.5
    assert found.interval == pytest.approx((0.5 - width, 0.5 + width))


def test_a_pattern_says_who_found_out_when_and_where() -> None:
    fold = folded(
        experience("b", 1, cells=[6]),
        experience("a", 2, cells=[6]),
        experience("c", 3, cells=[0]),
    )
    (found,) = (one for one in fold.patterns() if one.approach == "p0" and len(one.agents) == 2)
    assert found.agents == ("a", "b")
    assert (found.first_known_s, found.last_known_s) == (DAY_S, 2 * DAY_S)
    assert found.context == {"trend": "rising", "volatility": "calm"}
    assert found.id == pattern_id("market", "trade", "p0", [("trend", 2), ("volatility", 0)])


def test_an_agent_and_a_single_try_in_the_same_cell_teach_the_same_pattern() -> None:
    single = trajectory(
        context={"trend": 2.0, "volatility": 0.1},
        task_type="trade",
        domain="market",
        approach="p0",
        known_at_s=2 * DAY_S,
        excess=1.5,
    )
    found = only(folded(experience(cells=[6]), single), "p0")
    assert found.outcomes == 2
    assert found.agents == ("a", "me")
    assert found.mean_excess == 1.0


def test_the_sentence_tells_the_numbers() -> None:
    sentence = only(folded(experience(cells=[6], excess=[[0.5, -0.5]])), "p0").sentence()
    assert sentence.startswith(
        "'p0' at trade where trend is rising and volatility is calm: +0.50 σ"
    )
    assert "outcomes of 1 agent, 1 carried out and 0 computed after the fact" in sentence
    assert "0.4·0.67 success" in sentence


def test_the_outcomes_that_a_pattern_rests_on_are_named() -> None:
    tries = [
        experience("a", 1, cells=[6, 0, 6], chosen=[0, 0, 1], excess=[[1, 0], [2, 0], [3, 0]]),
        experience("b", 1, cells=[6], chosen=[-1], excess=[[4.0, 0.0]]),
        experience("b", 2, cells=[6], excess=[[5.0, 0.0]], task_type="other"),
    ]
    fold = folded(*tries)
    key = ("market", "trade", "p0", READER.numbered(6))
    assert fold.key(pattern_id(*key)) == key
    found = [one for record in tries for one in outcomes_of(record, key, READER)]
    assert [(one.source, one.subject, one.excess, one.actual) for one in found] == [
        ("epoch 1 of a", "s0", 1.0, True),
        ("epoch 1 of a", "s2", 3.0, False),
    ]


@settings(deadline=None)
@given(histories())
def test_patterns_count_every_outcome_once(found: list[Experience]) -> None:
    in_time = sorted(found, key=lambda one: (one.known_at_s, one.epoch, one.agent))
    patterns = folded(*in_time).patterns()
    acted = sum(int((one.chosen >= 0).sum()) for one in found)
    assert sum(one.actual.trials for one in patterns) == acted
    assert sum(one.shadow.trials for one in patterns) == 2 * acted
    assert len({one.id for one in patterns}) == len(patterns)
