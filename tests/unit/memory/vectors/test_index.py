"""The index: right behind any mask, whatever it holds and in whatever order it came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.vectors.index import VectorIndex

DIMENSION = 32
Rows = npt.NDArray[np.float32]


def vectors(seed: int, count: int, *, distinct: int = 100_000, dimension: int = DIMENSION) -> Rows:
    """Random vectors of length one, of which only ``distinct`` differ."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(min(count, distinct), dimension))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found[random.integers(0, len(found), count)], dtype=np.float32)


def clustered(seed: int, count: int, dimension: int = 128, *, of: int | None = None) -> Rows:
    """Vectors of length one around 40 centres, or around one of them."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, dimension)).astype(np.float32)
    which = random.integers(0, 40, count) if of is None else np.full(count, of)
    found = centres[which] + 0.7 * random.standard_normal((count, dimension), dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def small(**given: object) -> VectorIndex:
    """An index that is approximate from the first signs on, and measures when it signs."""
    return VectorIndex(128, exact_rows=1_000, background=False, **given)  # type: ignore[arg-type]


def brute_force(
    held: Rows, query: Rows, count: int, mask: npt.NDArray[np.bool_] | None = None
) -> tuple[list[int], list[float]]:
    cosines = np.round((held.astype(float) * query).sum(axis=1), 6)
    rows = np.arange(len(held)) if mask is None else np.flatnonzero(mask)
    best = rows[np.lexsort((rows, -cosines[rows]))[:count]]
    return best.tolist(), cosines[best].tolist()


def found(
    index: VectorIndex,
    query: Rows,
    count: int,
    mask: npt.NDArray[np.bool_] | None = None,
    *,
    exact: bool = False,
) -> tuple[list[int], list[float]]:
    rows, cosines = index.search(query, count, mask, exact=exact)
    assert rows.dtype == np.int64
    assert cosines.dtype == np.float64
    return rows.tolist(), cosines.tolist()


# --- exact -------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    st.lists(st.integers(0, 200), min_size=1, max_size=6),
    st.integers(1, 40),
    st.integers(1, 300),
    st.sampled_from([None, 0.9, 0.3, 0.02]),
)
def test_a_small_index_is_exact_behind_any_mask_with_ties_broken_by_row(
    seed: int, parts: list[int], wanted: int, distinct: int, share: float | None
) -> None:
    held, query = vectors(seed, sum(parts), distinct=distinct), vectors(seed + 1, 1)[0]
    index, done = VectorIndex(DIMENSION), 0
    for part in parts:
        assert index.add(held[done : done + part]) == done
        done += part
    mask = None if share is None else np.random.default_rng(seed).random(done) < share
    assert found(index, query, wanted, mask) == brute_force(held, query, wanted, mask)
    np.testing.assert_array_equal(index.vectors(np.arange(done)), held)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("share", [None, 0.5, 0.1, 0.001])
def test_exact_means_exact_however_many_rows_there_are(
    folder: bool, share: float | None, tmp_path: Path
) -> None:
    held, queries = clustered(1, 9_000), clustered(2, 5)
    with small(folder=tmp_path) if folder else small() as index:
        for start in range(0, 9_000, 700):
            index.add(held[start : start + 700])
        mask = None if share is None else np.random.default_rng(3).random(9_000) < share
        for query in queries:
            assert found(index, query, 10, mask, exact=True) == brute_force(held, query, 10, mask)


def test_exact_finds_all_that_are_equal_by_row() -> None:
    held = np.repeat(clustered(1, 10), 500, axis=0)
    index = small()
    index.add(held)
    rows, cosines = found(index, held[700], 20, exact=True)
    assert rows == list(range(500, 520))
    assert set(cosines) == {1.0}


def test_nothing_is_found_where_nothing_may_be() -> None:
    index, query = VectorIndex(DIMENSION), vectors(1, 1)[0]
    assert found(index, query, 3) == ([], [])
    index.add(vectors(2, 50))
    assert found(index, query, 3, np.zeros(50, dtype=bool)) == ([], [])
    assert found(index, query, 0) == ([], [])


def test_shapes_that_do_not_fit_are_refused_and_nothing_is_added() -> None:
    index = VectorIndex(DIMENSION)
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        index.add(np.zeros((1, 3), dtype=np.float32))
    assert len(index) == 0
    index.add(vectors(1, 4))
    with pytest.raises(ValueError, match="a query of shape"):
        index.search(np.zeros(3, dtype=np.float32), 1)
    with pytest.raises(ValueError, match=r"a mask of shape \(3,\) for 4 rows"):
        index.search(vectors(1, 1)[0], 1, np.ones(3, dtype=bool))


# --- approximate -------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("share", [None, 0.6, 0.25, 0.1, 0.03])
def test_a_large_index_finds_nearly_all_of_the_nearest_behind_any_mask(
    folder: bool, share: float | None, tmp_path: Path
) -> None:
    held, queries = clustered(4, 9_000), clustered(5, 30)
    with small(folder=tmp_path) if folder else small() as index:
        index.add(held)
        mask = None if share is None else np.random.default_rng(6).random(9_000) < share
        hits = 0
        for query in queries:
            rows, cosines = found(index, query, 10, mask)
            best, scores = brute_force(held, query, 10, mask)
            hits += len(set(rows) & set(best))
            assert len(rows) == 10
            assert mask is None or mask[rows].all()
            # What is found is scored as exactly as ever.
            exact = dict(zip(best, scores, strict=True))
            assert all(exact.get(row, one) == one for row, one in zip(rows, cosines, strict=True))
        assert hits / 300 >= 0.95


def test_a_filter_that_leaves_ten_finds_the_best_of_them() -> None:
    held, queries = clustered(7, 12_000), clustered(8, 10)
    index = small()
    index.add(held)
    mask = np.zeros(12_000, dtype=bool)
    mask[np.random.default_rng(9).choice(12_000, 10, replace=False)] = True
    for query in queries:
        assert found(index, query, 10, mask) == brute_force(held, query, 10, mask)
        assert found(index, query, 3, mask) == brute_force(held, query, 3, mask)


def test_a_filter_that_keeps_only_what_is_far_finds_as_much_as_any_other() -> None:
    near, far = clustered(10, 6_000, of=1), clustered(10, 3_000, of=2)
    index = small()
    index.add(np.concatenate([near, far]))
    mask, hits = np.arange(9_000) >= 6_000, 0
    for query in clustered(11, 20, of=1):
        rows, _ = found(index, query, 10, mask)
        best, _ = brute_force(np.concatenate([near, far]), query, 10, mask)
        assert mask[rows].all()
        hits += len(set(rows) & set(best))
    assert hits / 200 >= 0.9


def test_what_lies_below_the_floor_costs_no_second_look() -> None:
    held = vectors(30, 6_000, dimension=1024)
    query = vectors(31, 1, dimension=1024)[0]
    index = VectorIndex(1024, exact_rows=1_000, recall_target=0.0, background=False)
    index.add(held)
    best, _ = brute_force(held, query, 10)
    looked = len(set(found(index, query, 10)[0]) & set(best))
    rows, _ = index.search(query, 10, floor=0.9)
    assert len(rows) == 10
    assert len(set(rows.tolist()) & set(best)) < looked


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.lists(st.integers(1, 900), min_size=2, max_size=8))
def test_what_was_just_added_is_found_whether_it_is_signed_yet_or_not(
    seed: int, parts: list[int]
) -> None:
    held = clustered(seed, sum(parts))
    index, done = VectorIndex(128, exact_rows=300, background=False), 0
    for part in parts:
        index.add(held[done : done + part])
        done += part
        rows, cosines = index.search(held[done - 1], 1)
        assert cosines[0] == 1.0
        np.testing.assert_array_equal(held[rows[0]], held[done - 1])


def test_a_mask_holds_for_what_was_just_added() -> None:
    held = clustered(40, 3_000)
    index = VectorIndex(128, exact_rows=300, background=False)
    index.add(held[:2_500])
    index.add(held[2_500:])
    assert index.describe()["signed_rows"] == 2_500
    for row in (2_500, 2_777, 2_999):
        assert index.search(held[row], 1)[0].tolist() == [row]
        mask = np.arange(3_000) != row
        rows, cosines = index.search(held[row], 1, mask)
        assert rows.tolist() != [row]
        assert (rows.tolist(), cosines.tolist()) == brute_force(held, held[row], 1, mask)


def test_more_may_be_asked_for_than_is_usually_proposed() -> None:
    held, query = clustered(12, 5_000), clustered(13, 1)[0]
    index = small()
    index.add(held)
    rows, _ = found(index, query, 2_000)
    best, _ = brute_force(held, query, 2_000)
    assert len(rows) == len(set(rows)) == 2_000
    assert len(set(rows) & set(best)) >= 1_900
    assert found(index, query, 9_000) == brute_force(held, query, 9_000)


def test_many_queries_are_answered_as_each_of_them() -> None:
    held, queries = clustered(14, 3_000), clustered(15, 7)
    index = small()
    index.add(held)
    mask = np.random.default_rng(16).random(3_000) < 0.5
    many = index.search_many(queries, 5, mask)
    assert [(rows.tolist(), cosines.tolist()) for rows, cosines in many] == [
        found(index, query, 5, mask) for query in queries
    ]


# --- the guard ---------------------------------------------------------------------------------


def test_the_guard_measures_and_says_so() -> None:
    index = small()
    assert index.describe()["kind"] == "exact"
    index.add(clustered(17, 8_000))
    said = index.describe()
    assert said["kind"] == "approximate"
    assert said["rows"] == said["signed_rows"] == said["recall_rows"] == 8_000
    assert 0.97 <= said["recall_at_10"] <= 1.0
    assert said["widening"] == 1


def test_the_guard_begins_wider_until_the_recall_is_reached() -> None:
    # Noise: the ten nearest are hardly nearer than thousands of others.
    held = vectors(18, 8_000, dimension=1024)
    strict = VectorIndex(1024, exact_rows=1_000, recall_target=0.995, background=False)
    lax = VectorIndex(1024, exact_rows=1_000, recall_target=0.1, background=False)
    for index in (strict, lax):
        index.add(held)
    assert strict.describe()["widening"] > lax.describe()["widening"] == 1
    assert strict.describe()["recall_at_10"] > lax.describe()["recall_at_10"] > 0.1


def test_what_was_measured_counts_until_the_index_has_doubled() -> None:
    index, held = small(), clustered(19, 8_400)
    index.add(held[:2_000])
    assert index.describe()["recall_rows"] == 2_000
    index.add(held[2_000:3_500])
    assert index.describe()["recall_rows"] == 2_000
    index.add(held[3_500:6_000])
    assert index.describe()["recall_rows"] == 6_000


def test_the_guard_in_a_thread_changes_no_exact_answer() -> None:
    held, query = clustered(20, 8_000), clustered(21, 1)[0]
    with VectorIndex(128, exact_rows=1_000) as index:
        for start in range(0, 8_000, 500):
            index.add(held[start : start + 500])
            there = held[: start + 500]
            assert found(index, query, 7, exact=True) == brute_force(there, query, 7)
            assert len(found(index, query, 7)[0]) == 7
        index.settle()
        said = index.describe()
        assert 2 * said["recall_rows"] > said["signed_rows"]
        assert said["recall_at_10"] >= 0.97


def test_closing_does_not_wait_for_the_guard_and_may_be_done_twice() -> None:
    index = VectorIndex(128, exact_rows=1_000)
    index.add(clustered(22, 30_000))
    index.close()
    index.close()


# --- what memory holds -------------------------------------------------------------------------


def test_in_a_folder_memory_holds_the_signs_and_the_newest_rows_only(tmp_path: Path) -> None:
    held = clustered(23, 20_000, 1024)
    with VectorIndex(1024, tmp_path, background=False) as index:
        index.add(held)
        said = index.describe()
        assert said["disk_bytes"] == 20_000 * (4_096 + 128)
        assert said["resident_bytes"] < 20_000 * 128 + 5_000 * 4_096
        rows = np.array([19_999, 0, 7_777, 0])
        np.testing.assert_array_equal(index.vectors(rows), held[rows])
