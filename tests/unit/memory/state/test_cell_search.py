"""Patterns of a declared space are found by words, by numbers, and behind filters."""

from __future__ import annotations

import pytest

from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.state.cell_search import in_numbers, in_words, search_cells
from swarm_runtime.memory.state.patterns import Pattern
from swarm_runtime.memory.state.search import Filters
from tests.experiences import DAY_S, SPACE, experience, trajectory

ALL = Filters()


@pytest.fixture
def patterns() -> list[Pattern]:
    """Two approaches in cell 6 (rising, calm), tried three times, and in cell 8 (rising, wild)."""
    with ReasoningBank.open(":memory:", space=SPACE) as bank:
        bank.record_all(
            [experience("a", epoch, cells=[6]) for epoch in (1, 2, 3)]
            + [experience("b", 1, cells=[8], domain="elsewhere")]
        )
        bank.record(trajectory("t1"))
        return bank.patterns()


def test_some_features_are_enough_and_words_and_numbers_mean_the_same(
    patterns: list[Pattern],
) -> None:
    rising = search_cells(patterns, SPACE, {"trend": "Rising"}, ALL, 10)
    assert len(rising) == 4
    calm = search_cells(patterns, SPACE, {"trend": 2.0, "volatility": "calm"}, ALL, 10)
    assert {one.pattern.outcomes for one in calm} == {3}
    assert calm == search_cells(patterns, SPACE, {"trend": 1.0, "volatility": 0.1}, ALL, 10)
    assert search_cells(patterns, SPACE, {"trend": "flat"}, ALL, 10) == []


def test_the_most_confident_come_first_and_other_contexts_are_passed_over(
    patterns: list[Pattern],
) -> None:
    found = search_cells(patterns, SPACE, {}, ALL, 4)
    values = [one.confidence.value for one in found]
    assert values == sorted(values, reverse=True)
    ids = [one.pattern.id for one in found]
    assert ids != sorted(ids)
    assert search_cells(patterns, SPACE, {}, ALL, 3) == found[:3]
    assert all(one.pattern.task_type == "trade" for one in found)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(task_type="fetch"), 0),
        (Filters(domain="elsewhere"), 2),
        (Filters(approach="p1"), 2),
        (Filters(minimum_usage=3), 2),
        (Filters(minimum_confidence=0.6), 2),
        (Filters(known_from_s=2 * DAY_S), 2),
        (Filters(known_until_s=2 * DAY_S), 2),
    ],
)
def test_filters_hold(patterns: list[Pattern], filters: Filters, count: int) -> None:
    assert len(search_cells(patterns, SPACE, {}, filters, 10)) == count


def test_what_the_space_does_not_know_is_named_with_what_it_knows() -> None:
    with pytest.raises(ConfigError, match=r"context\.trnd = 'rising'.*Did you mean 'trend'"):
        in_words({"trnd": "rising"}, SPACE)
    with pytest.raises(ConfigError, match=r"context\.trend = 'risin'.*Did you mean 'rising'"):
        in_words({"trend": "risin"}, SPACE)


@pytest.mark.parametrize("trend", ["falling", "flat", "rising"])
def test_a_word_becomes_a_number_of_its_bin_and_other_features_stay(trend: str) -> None:
    context = in_numbers({"trend": trend, "volatility": 1.0, "site": "x"}, SPACE)
    assert (context["volatility"], context["site"]) == (1.0, "x")
    assert in_words({"trend": context["trend"]}, SPACE) == {"trend": trend}
