"""Links that are seen from contexts and outcomes: near and agreeing, near and contradicting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.distilling.links import (
    PatternColumns,
    Related,
    grouped,
    recorded,
    related,
)
from swarm_runtime.memory.records.annotations import Link
from swarm_runtime.memory.vectors.embedding import Embedder

PAYS, FAILS, OPEN = (0.5, 1.0), (-1.0, -0.5), (-0.5, 0.5)


def vector(*places: float) -> npt.NDArray[np.float32]:
    found = np.zeros(8)
    found[: len(places)] = places
    return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


HERE, NEARBY, ELSEWHERE = vector(1.0), vector(1.0, 0.2), vector(0.0, 0.0, 1.0)


def patterns(
    *rows: tuple[str, npt.NDArray[np.float32], tuple[float, float]],
    approach: list[int] | None = None,
    task_type: list[int] | None = None,
) -> PatternColumns:
    count = len(rows)
    return PatternColumns(
        ids=[row[0] for row in rows],
        vectors=np.stack([row[1] for row in rows]) if rows else np.empty((0, 8), dtype=np.float32),
        task_type=np.array(task_type or [0] * count),
        approach=np.array(approach or [0] * count),
        low=np.array([row[2][0] for row in rows]),
        high=np.array([row[2][1] for row in rows]),
    )


def relations(columns: PatternColumns) -> list[tuple[str, str, str]]:
    return [(one.relation, one.first, one.second) for one in related(columns)]


def test_near_contexts_with_like_outcomes_are_similar() -> None:
    columns = patterns(("b", HERE, PAYS), ("a", NEARBY, (0.7, 1.4)), ("c", ELSEWHERE, PAYS))
    assert relations(columns) == [("similar", "a", "b")]
    (link,) = related(columns)
    assert link.strength == pytest.approx(float(HERE @ NEARBY), abs=1e-6)
    assert link.gap == 0.0


def test_near_contexts_with_opposite_outcomes_contradict() -> None:
    columns = patterns(("a", HERE, PAYS), ("b", NEARBY, FAILS))
    assert relations(columns) == [("contradicts", "a", "b")]
    assert related(columns)[0].gap == pytest.approx(1.0)


def test_outcomes_that_differ_in_size_alone_or_may_be_chance_are_no_contradiction() -> None:
    assert relations(patterns(("a", HERE, PAYS), ("b", NEARBY, (2.0, 3.0)))) == []
    assert relations(patterns(("a", HERE, OPEN), ("b", NEARBY, FAILS)))[0][0] == "similar"


def test_unrelated_contexts_never_contradict_each_other() -> None:
    # The original read the bytes of its vectors as numbers, and found contradictions everywhere.
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 256))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sign = rng.choice([-1.0, 1.0], 300)
    columns = PatternColumns(
        [f"{at:03}" for at in range(300)], vectors.astype(np.float32), np.zeros(300, int),
        np.zeros(300, int), sign - 0.1, sign + 0.1,
    )  # fmt: skip
    assert related(columns) == []


def test_contexts_in_other_words_do_not_contradict_and_those_in_like_words_do() -> None:
    embed = Embedder(256).embed
    texts = ("fetch the price table", "fetch the price tables", "restart the mail server")
    vectors = [embed({"task": text}) for text in texts]
    ends = [PAYS, FAILS, FAILS]
    columns = PatternColumns(
        list("abc"), np.stack(vectors), np.zeros(3, int), np.zeros(3, int),
        np.array([low for low, _ in ends]), np.array([high for _, high in ends]),
    )  # fmt: skip
    found = [(one.relation, one.first, one.second) for one in related(columns, near=0.8)]
    assert found == [("contradicts", "a", "b")]


def test_other_approaches_and_other_task_types_are_not_compared() -> None:
    rows = (("a", HERE, PAYS), ("b", HERE, FAILS))
    assert relations(patterns(*rows, approach=[0, 1])) == []
    assert relations(patterns(*rows, task_type=[0, 1])) == []


def test_a_pattern_of_which_nothing_is_known_has_no_links() -> None:
    nothing = (float("nan"), float("nan"))
    assert relations(patterns(("a", HERE, nothing), ("b", HERE, PAYS))) == []
    assert related(patterns()) == []


def test_the_links_of_one_pattern_are_those_that_it_has_among_all() -> None:
    columns = patterns(
        ("a", HERE, PAYS), ("b", NEARBY, PAYS), ("c", HERE, FAILS), ("d", ELSEWHERE, PAYS)
    )
    everything = related(columns)
    mine = related(columns, only=[0])
    assert mine == [one for one in everything if "a" in (one.first, one.second)]
    assert {one.relation for one in mine} == {"similar", "contradicts"}


def test_of_many_links_each_pattern_keeps_the_strongest() -> None:
    angles = np.linspace(0.0, 0.3, 30)
    rows = [(f"{at:02}", vector(np.cos(one), np.sin(one)), PAYS) for at, one in enumerate(angles)]
    links = related(patterns(*rows), most=2)
    assert len(links) < 30 * 2
    assert ("00", "01") in {(one.first, one.second) for one in links}
    assert ("00", "29") not in {(one.first, one.second) for one in links}


CASES = st.lists(
    st.tuples(
        st.sampled_from([HERE, NEARBY, ELSEWHERE, vector(1.0, 0.4), vector(0.0, 0.1, 1.0)]),
        st.sampled_from([PAYS, FAILS, OPEN, (2.0, 3.0)]),
    ),
    max_size=14,
)


@settings(deadline=None)
@given(CASES, st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_patterns_does_not_matter(
    cases: list[tuple[npt.NDArray[np.float32], tuple[float, float]]], random: object, most: int
) -> None:
    rows = [(f"{at:02}", *case) for at, case in enumerate(cases)]
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    links = related(patterns(*rows), most=most)
    assert links == related(patterns(*mixed), most=most)
    backwards = list(reversed(links))
    assert grouped(links) == grouped(backwards)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_groups_are_what_is_connected(pairs: list[tuple[int, int]]) -> None:
    links = [Related("similar", f"{a:02}", f"{b:02}", 1.0) for a, b in pairs]
    groups = grouped(links)
    members = [one for group in groups for one in group]
    assert len(members) == len(set(members)) == len({one for pair in pairs for one in pair})
    for one in links:
        assert any(one.first in group and one.second in group for group in groups)
    for group in groups:
        inside = [one for one in links if one.first in group]
        assert len({end for one in inside for end in (one.first, one.second)}) == len(group)
        assert list(group) == sorted(group)


def test_contradictions_are_linked_and_not_grouped() -> None:
    columns = patterns(("a", HERE, PAYS), ("b", NEARBY, PAYS), ("c", HERE, FAILS))
    assert grouped(related(columns)) == [("a", "b")]


def said(relation: str, source: str, target: str, agent: str = "amy", at: int = 1) -> Link:
    return Link(relation, source, target, agent, at)  # type: ignore[arg-type]


def test_what_several_said_is_one_link_with_all_who_said_it() -> None:
    found = recorded(
        [
            said("similar", "b", "a"),
            said("similar", "a", "b", "ben", 2),
            said("similar", "b", "a", at=5),
            said("derived_from", "b", "a"),
        ]
    )
    assert [(one.relation, one.first, one.second, one.said_by) for one in found] == [
        ("derived_from", "b", "a", ("amy",)),
        ("similar", "a", "b", ("amy", "ben")),
    ]


def test_what_is_said_joins_what_is_seen() -> None:
    seen = related(patterns(("a", HERE, PAYS), ("b", NEARBY, PAYS), ("c", ELSEWHERE, PAYS)))
    assert grouped([*seen, *recorded([said("similar", "c", "b")])]) == [("a", "b", "c")]


def test_columns_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="low: 1 rows for 2 patterns"):
        PatternColumns(
            ["a", "b"], np.stack([HERE, HERE]), np.zeros(2, int), np.zeros(2, int), np.zeros(1),
            np.zeros(2),
        )  # fmt: skip
