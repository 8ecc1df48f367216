"""The index: exact, deletion-safe, the same whatever the order of additions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.index import ContextIndex

DIMENSION = 32


def vectors(seed: int, count: int, *, distinct: int = 10_000) -> npt.NDArray[np.float32]:
    """Random vectors of length one, of which only ``distinct`` differ."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(min(count, distinct), DIMENSION))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found[random.integers(0, len(found), count)], dtype=np.float32)


def exact(
    query: npt.NDArray[np.float32], ids: list[int], held: npt.NDArray[np.float32], count: int
) -> list[tuple[int, float]]:
    cosines = np.round((held.astype(float) * query).sum(axis=1), 6).tolist()
    return sorted(zip(ids, cosines, strict=True), key=lambda pair: (-pair[1], pair[0]))[:count]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.integers(1, 200), st.integers(1, 40), st.integers(1, 300))
def test_search_is_exact_with_ties_broken_by_id(
    seed: int, count: int, wanted: int, distinct: int
) -> None:
    held = vectors(seed, count, distinct=distinct)
    ids = np.random.default_rng(seed).permutation(10 * count)[:count].tolist()
    index = ContextIndex(DIMENSION)
    index.add(ids, held)
    query = vectors(seed + 1, 1)[0]
    assert index.search(query, wanted) == exact(query, ids, held, wanted)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16), st.integers(2, 60))
def test_the_order_of_additions_does_not_matter(seed: int, count: int) -> None:
    held, query = vectors(seed, count, distinct=count // 2), vectors(seed + 1, 1)[0]
    answers = []
    for order in (list(range(count)), list(reversed(range(count)))):
        index = ContextIndex(DIMENSION)
        for at in order:
            index.add([at], held[[at]])
        answers.append(index.search(query, 5))
    assert answers[0] == answers[1]


def test_a_filter_that_leaves_few_still_finds_the_best_of_them() -> None:
    held, query = vectors(1, 3_000), vectors(2, 1)[0]
    index = ContextIndex(DIMENSION)
    index.add(list(range(3_000)), held)
    kept = [7, 1_500, 2_999]
    found = index.search(query, 2, lambda id_: id_ in kept)
    assert found == exact(query, kept, held[kept], 2)
    assert index.search(query, 2, lambda id_: False) == []


def test_what_was_removed_is_not_found_and_can_be_added_anew() -> None:
    held = vectors(3, 50)
    index = ContextIndex(DIMENSION)
    index.add(list(range(50)), held)
    assert index.search(held[20], 1)[0][0] == 20
    assert index.remove([20, 99]) == 1
    assert len(index) == 49 and 20 not in index
    ids = [id_ for id_ in range(50) if id_ != 20]
    assert index.search(held[20], 49) == exact(held[20], ids, held[ids], 49)
    index.add([20], held[[20]])
    assert index.search(held[20], 1)[0] == (20, 1.0)


def test_an_id_twice_is_refused_and_nothing_is_added() -> None:
    index = ContextIndex(DIMENSION)
    index.add([1], vectors(4, 1))
    for ids in ([2, 1], [2, 2]):
        with pytest.raises(ValueError, match="already, or twice"):
            index.add(ids, vectors(5, 2))
    assert len(index) == 1


def test_vectors_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        ContextIndex(DIMENSION).add([1], np.zeros((1, 3), dtype=np.float32))


def test_an_empty_index_finds_nothing() -> None:
    assert ContextIndex(DIMENSION).search(vectors(6, 1)[0], 3) == []
