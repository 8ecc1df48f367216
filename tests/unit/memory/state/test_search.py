"""Searching: filters first, then meaning, then difference; and items by the task they came from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.annotations import Item, Tombstone
from swarm_runtime.memory.state.search import diverse
from tests.experiences import DAY_S, trajectory


@pytest.fixture
def bank() -> Iterator[ReasoningBank]:
    with ReasoningBank.open(":memory:", dimension=256) as opened:
        yield opened


def pages(count: int, *, start: int = 0, **more: object) -> list[object]:
    return [
        trajectory(f"t{start + at}", context={"query": f"scrape page {start + at}"}, **more)
        for at in range(count)
    ]


# --- patterns --------------------------------------------------------------------------------


def test_what_is_nearest_in_meaning_is_found_first(bank: ReasoningBank) -> None:
    texts = ["scrape the product table", "migrate a database", "scrape product tables of shops"]
    bank.record_many(trajectory(f"t{at}", context={"query": text}) for at, text in enumerate(texts))
    found = bank.search("scrape a product table", diversity=1.0)
    assert [one.pattern.context["query"] for one in found] == [texts[0], texts[2], texts[1]]
    assert found[0].similarity > found[1].similarity > found[2].similarity
    assert "similar" in found[0].sentence() and "'mirror' at fetch" in found[0].sentence()


def test_a_filter_that_leaves_ten_of_many_finds_just_these(bank: ReasoningBank) -> None:
    bank.record_many(pages(300, domain="web"))
    bank.record_many(pages(10, start=300, domain="files"))
    found = bank.search("scrape page 12", domain="files", count=20)
    assert len(found) == 10
    assert {one.pattern.domain for one in found} == {"files"}


def test_every_filter_holds_and_all_together(bank: ReasoningBank) -> None:
    bank.record_many(pages(3, task_type="fetch", approach="a", known_at_s=DAY_S))
    bank.record_many(pages(3, start=3, task_type="fetch", approach="b", known_at_s=9 * DAY_S))
    bank.record_many(
        trajectory(f"more{at}", context={"query": "scrape page 4"}, approach="b", verdict=-1)
        for at in range(5)
    )
    often = bank.search("scrape page 4", minimum_usage=4)
    assert [one.pattern.context["query"] for one in often] == ["scrape page 4"]
    assert not bank.search("scrape page 4", minimum_usage=4, approach="a")
    assert not bank.search("scrape page 4", task_type="migrate")
    late = bank.search("scrape page 4", known_from_s=2 * DAY_S)
    assert {one.pattern.approach for one in late} == {"b"} and len(late) == 3
    assert {one.pattern.approach for one in bank.search("x", known_until_s=DAY_S)} == {"a"}
    sure = bank.search("scrape page 4", minimum_confidence=0.6)
    assert len(sure) == 5
    assert all(one.pattern.confidence.value >= 0.6 for one in sure)


def test_nothing_that_was_known_later_is_found(bank: ReasoningBank) -> None:
    bank.record_many(pages(3, known_at_s=5 * DAY_S))
    assert bank.search("scrape page 1", as_of=5 * DAY_S - 1) == []
    assert len(bank.search("scrape page 1", as_of=5 * DAY_S)) == 3


def test_without_a_query_the_most_confident_come_first(bank: ReasoningBank) -> None:
    bank.record_many(pages(3, verdict=-1, excess=-1.0))
    bank.record_many(trajectory(f"good{at}", context={"query": "good"}) for at in range(6))
    first, *others = bank.search(None)
    assert first.pattern.context == {"query": "good"}
    assert len(others) == 3


def test_a_write_is_seen_by_the_next_question_though_answers_are_kept(bank: ReasoningBank) -> None:
    assert bank.search("scrape page 1") == []
    bank.record_many(pages(2))
    assert len(bank.search("scrape page 1")) == 2
    id_ = bank.search("scrape page 1")[0].pattern.id
    bank.revoke("pattern", id_, agent="warden", now_s=DAY_S)
    assert id_ not in {one.pattern.id for one in bank.search("scrape page 1")}


def test_numbers_out_of_range_are_refused_by_name(bank: ReasoningBank) -> None:
    for bad in ({"count": 0}, {"minimum_usage": -1}, {"diversity": 1.5}, {"minimum_confidence": 2}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            bank.search("x", **bad)  # type: ignore[arg-type]


# --- maximal marginal relevance --------------------------------------------------------------


def test_weight_one_means_relevance_alone_and_weight_zero_means_difference() -> None:
    relevance = np.array([0.9, 0.8, 0.1])
    between = np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.1], [0.0, 0.1, 1.0]])
    assert diverse(relevance, between, 3, 1.0) == [0, 1, 2]
    assert diverse(relevance, between, 3, 0.0)[:2] == [0, 2]
    assert diverse(relevance, between, 2, 0.9) == [0, 1]
    assert diverse(relevance, between, 2, 0.4) == [0, 2]


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 8), st.just(4)), elements=st.floats(-1, 1)),
    st.floats(0, 1),
    st.integers(1, 8),
)
def test_each_pick_is_the_best_of_those_left_by_the_papers_formula(
    vectors: np.ndarray, weight: float, count: int
) -> None:
    vectors = vectors + 1e-3
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance, between = vectors @ vectors[0], vectors @ vectors.T
    picked = diverse(relevance, between, count, weight)
    assert len(set(picked)) == len(picked) == min(count, len(vectors))
    for step, one in enumerate(picked):

        def worth(at: int, before: list[int]) -> float:
            nearest = max((between[at, other] for other in before), default=0.0)
            return weight * relevance[at] - (1 - weight) * nearest

        left = [at for at in range(len(vectors)) if at not in picked[:step]]
        best = max(worth(at, picked[:step]) for at in left)
        assert worth(one, picked[:step]) == pytest.approx(best, abs=1e-8)


# --- items -----------------------------------------------------------------------------------


def item(title: str, source: str, query: str, **more: object) -> Item:
    values: dict[str, object] = {
        "task_type": "fetch",
        "title": title,
        "description": f"{title}.",
        "content": f"Do {title}.",
        "when": "",
        "when_not": "",
        "learnt_from": "success",
        "sources": (source,),
        "context": {"query": query},
        "agent": "me",
        "known_at_s": DAY_S,
    }
    return Item(**{**values, **more})  # type: ignore[arg-type]


def test_the_nearest_experience_brings_all_its_items_and_no_other(bank: ReasoningBank) -> None:
    bank.note(
        [
            item("page through", "t1", "scrape a product table"),
            item("wait between calls", "t1", "scrape a product table"),
            item("lock the table", "t2", "migrate a database"),
        ]
    )
    asked = ("fetch", {"query": "scrape the table of products"}, DAY_S)
    assert {one.item.title for one in bank.items(*asked)} == {"page through", "wait between calls"}
    assert len(bank.items(*asked, experiences=2, minimum_similarity=-1.0)) == 3
    assert bank.items("fetch", {"query": "sing a song"}, DAY_S) == []
    assert bank.items("migrate", *asked[1:]) == []
    assert bank.items(*asked[:2], DAY_S - 1) == []


def test_items_that_say_the_same_support_each_other(bank: ReasoningBank) -> None:
    bank.note([item("wait", source, "scrape pages") for source in ("t1", "t2", "t3")])
    (found,) = bank.items("fetch", {"query": "scrape pages"}, DAY_S)
    assert found.support == 3
    assert "from 3 trajectories" in found.sentence()


def test_a_revoked_item_is_found_no_more_whatever_came_first(bank: ReasoningBank) -> None:
    one = item("wait", "t1", "scrape pages")
    bank.note([Tombstone("item", one.statement, "wrong", "warden", DAY_S)])
    bank.note([one, item("go on", "t2", "scrape pages", agent="liar")])
    assert [found.item.title for found in bank.items("fetch", one.context, DAY_S)] == ["go on"]
    bank.revoke("agent", "liar", agent="warden", now_s=DAY_S)
    assert bank.items("fetch", one.context, DAY_S) == []
