"""Patterns and context spaces: cells, words, ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.memory.records.pattern import (
    ContextSpace,
    FeatureBins,
    pattern_id,
    space_from_json,
    space_to_json,
)
from tests.experiences import SPACE


def test_a_value_on_an_edge_is_above_it() -> None:
    values = np.array([[-1.01, 1.0], [-1.0, 1.0], [0.99, 1.0], [1.0, 1.0]])
    assert [SPACE.words(int(cell))["trend"] for cell in SPACE.cells(values)] == [
        "falling",
        "flat",
        "flat",
        "rising",
    ]


def test_every_cell_has_its_own_bins_and_words() -> None:
    cells = range(SPACE.cell_count)
    assert SPACE.cell_count == 9
    assert len({SPACE.bins(cell) for cell in cells}) == 9
    assert len({tuple(SPACE.words(cell).values()) for cell in cells}) == 9


def test_the_first_feature_is_the_most_significant() -> None:
    assert SPACE.cells(np.array([1.0, 0.0])).item() == 6
    assert SPACE.bins(6) == (2, 0)


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 2)), min_size=1, max_size=5))
def test_a_batch_of_contexts_has_the_cells_that_each_has_alone(
    rows: list[tuple[float, float]],
) -> None:
    together = SPACE.cells(np.array(rows))
    assert together.dtype == np.int32
    assert [int(SPACE.cells(np.array(row))) for row in rows] == together.tolist()


def test_a_feature_without_edges_has_one_bin() -> None:
    space = ContextSpace((FeatureBins("only", (), ("any",)),))
    assert space.cell_count == 1


@pytest.mark.parametrize("edges", [(1.0, 1.0), (2.0, 1.0), (1.0,)])
def test_bins_that_do_not_fit_their_words_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="x: "):
        FeatureBins("x", edges, ("a", "b", "c"))


def test_an_id_does_not_depend_on_the_order_of_features() -> None:
    first = pattern_id("d", "t", "a", [("x", 1), ("y", "warm")])
    assert first == pattern_id("d", "t", "a", [("y", "warm"), ("x", 1)])
    assert len(first) == 16


def test_an_id_is_what_it_was_in_earlier_versions() -> None:
    assert pattern_id("d", "t", "a", [("x", 1)]) == "77de0ccd1e99047a"


def test_whatever_differs_gives_another_id() -> None:
    ids = {
        pattern_id("d", "t", "a", [("x", 1)]),
        pattern_id("e", "t", "a", [("x", 1)]),
        pattern_id("d", "u", "a", [("x", 1)]),
        pattern_id("d", "t", "b", [("x", 1)]),
        pattern_id("d", "t", "a", [("y", 1)]),
        pattern_id("d", "t", "a", [("x", 2)]),
        pattern_id("d", "t", "a", [("x", "1")]),
        pattern_id("d", "t", "a", []),
    }
    assert len(ids) == 8


def test_a_space_survives_being_written_down() -> None:
    assert space_from_json(space_to_json(SPACE)) == SPACE
