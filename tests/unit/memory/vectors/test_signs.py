"""Signs of rotated vectors: what they propose, and how sure they are of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.vectors.signs import Proposed, SignCodes, Widths

Matrix = npt.NDArray[np.float32]


def unit(rows: npt.NDArray[np.floating]) -> Matrix:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def noise(seed: int, count: int, dimension: int = 1024) -> Matrix:
    return unit(np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32))


def beside(vector: Matrix, cosines: npt.NDArray[np.floating], seed: int) -> Matrix:
    """Vectors with given cosines to one."""
    away = noise(seed, len(cosines), len(vector))
    away = unit(away - (away @ vector)[:, None] * vector)
    return np.asarray(
        cosines[:, None] * vector + np.sqrt(1.0 - cosines[:, None] ** 2) * away, dtype=np.float32
    )


def planted(seed: int, rows: int, cosines: npt.NDArray[np.floating]) -> tuple[Matrix, Matrix]:
    """Noise in which rows 7, 14, 21 ... have these cosines to a query; and the query."""
    held, query = noise(seed, rows), noise(seed + 1, 1)[0]
    held[7 : 7 + 7 * len(cosines) : 7] = beside(query, cosines, seed + 2)
    return held, query


@settings(max_examples=30)
@given(
    st.integers(0, 2**16),
    st.sampled_from([3, 68, 128, 300, 1024, 1100]),
    st.sampled_from([0.99, 0.9, 0.5, 0.0, -0.7]),
)
def test_signs_differ_in_proportion_to_the_angle(seed: int, dimension: int, cosine: float) -> None:
    first = noise(seed, 1, dimension)
    codes = SignCodes(dimension)
    codes.add(np.concatenate([first, beside(first[0], np.array([cosine]), seed + 1)]))
    differing = int(np.bitwise_count(codes.codes[0] ^ codes.codes[1]).sum())
    expected = codes.bits * np.arccos(cosine) / np.pi
    assert abs(differing - expected) <= 6.0 * np.sqrt(codes.bits) / 2.0
    assert codes.codes.shape == (2, codes.code_bytes)
    assert codes.bits >= max(1024, dimension)


def test_the_signs_of_one_vector_do_not_depend_on_the_others() -> None:
    held = noise(1, 50)
    together, alone = SignCodes(1024), SignCodes(1024)
    together.add(held)
    for row in range(50):
        alone.add(held[row : row + 1])
    # A coordinate that is nearly zero may round to either side.
    assert int(np.bitwise_count(together.codes ^ alone.codes).sum()) <= 5


@pytest.mark.parametrize("head_rows", [100_000, 4_500])
@pytest.mark.parametrize("share", [None, 0.5, 0.05])
def test_what_is_near_is_proposed_whether_or_not_half_of_the_signs_is_read_first(
    head_rows: int, share: float | None
) -> None:
    held, query = planted(2, 9_000, np.linspace(0.45, 0.9, 20))
    codes = SignCodes(1024, head_rows)
    for start in range(0, 9_000, 1_300):
        codes.add(held[start : start + 1_300])
    near = np.arange(7, 147, 7)
    mask = None
    if share is not None:
        mask = np.random.default_rng(3).random(9_000) < share
        mask[near[::2]] = True
        mask[near[1::2]] = False
        near = near[::2]
    proposed = codes.nearest(query, Widths(heads=1_500), mask)
    assert set(near.tolist()) <= set(proposed.rows.tolist())
    assert len(proposed.rows) == len(set(proposed.rows.tolist())) == 128
    assert mask is None or mask[proposed.rows].all()


@pytest.mark.parametrize("share", [None, 0.5])
def test_enough_is_proposed_even_if_the_first_step_leaves_next_to_nothing(
    share: float | None,
) -> None:
    held, query = planted(20, 6_000, np.linspace(0.5, 0.9, 10))
    codes = SignCodes(1024, head_rows=4_500)
    codes.add(held)
    mask = None if share is None else np.arange(6_000) < 3_000
    proposed = codes.nearest(query, Widths(heads=1), mask)
    assert len(proposed.rows) == 128
    assert set(range(7, 77, 7)) <= set(proposed.rows.tolist())


def test_rows_that_were_added_in_turns_do_not_mislead() -> None:
    """Every fourth row is near the query: a sample of every fourth would see all or none."""
    query = noise(21, 1)[0]
    held = noise(22, 16_384)
    held[1::4] = beside(query, np.full(4_096, 0.5), 23)
    held[[0, 2, 3]] = beside(query, np.full(3, 0.9), 24)
    codes = SignCodes(1024, head_rows=10_000)
    codes.add(held)
    proposed = codes.nearest(query, Widths(heads=2_000))
    assert {0, 2, 3} <= set(proposed.rows.tolist())
    assert len(proposed.rows) == 128


def test_a_mask_that_keeps_nothing_or_next_to_nothing_is_kept_to() -> None:
    codes = SignCodes(1024)
    codes.add(noise(4, 3_000))
    query, mask = noise(5, 1)[0], np.zeros(3_000, dtype=bool)
    assert len(codes.nearest(query, Widths(), mask).rows) == 0
    mask[[5, 2_000]] = True
    assert sorted(codes.nearest(query, Widths(), mask).rows.tolist()) == [5, 2_000]


def test_restored_signs_propose_what_they_did_before() -> None:
    held, query = noise(6, 2_000), noise(7, 1)[0]
    first, again = SignCodes(1024), SignCodes(1024)
    first.add(held)
    again.restore(first.codes)
    for codes in (first, again):
        codes.add(noise(8, 10))
    assert sorted(first.nearest(query, Widths()).rows) == sorted(
        again.nearest(query, Widths()).rows
    )


def test_a_frozen_copy_stays_what_it_is_while_rows_are_added() -> None:
    codes = SignCodes(1024)
    codes.add(noise(9, 1_000))
    frozen, before = codes.frozen(), codes.codes.copy()
    for seed in range(5):
        codes.add(noise(seed, 700))
    assert len(frozen) == 1_000
    np.testing.assert_array_equal(frozen.codes, before)
    assert frozen.nearest(noise(10, 1)[0], Widths()).rows.max() < 1_000


def test_more_is_left_where_more_is_wanted() -> None:
    usual, more = Widths().at_least(10), Widths().at_least(500)
    assert usual == Widths()
    assert more.full >= 4 * 500
    assert more.signs > more.full


def test_the_chance_of_having_been_proposed_is_about_what_is_measured() -> None:
    """Whether rows at one angle pass a step, counted over many of them."""
    query = noise(11, 1)[0]
    codes = SignCodes(1024)
    held = np.concatenate([beside(query, np.full(3_000, 0.3), 12), noise(13, 3_000)])
    codes.add(held)
    proposed = codes.nearest(query, Widths(signs=1_500, full=1_500))
    share = np.count_nonzero(proposed.rows < 3_000) / 3_000
    assert proposed.chance(np.array([0.3])) == pytest.approx(share, abs=0.05)
    assert 0.3 < share < 0.7


def test_the_nearer_the_likelier_and_nothing_left_out_is_certain() -> None:
    proposed = Proposed(np.arange(3), ((1024, 400),))
    chances = [proposed.chance(np.array([cosine])) for cosine in (-0.5, 0.2, 0.34, 0.5, 1.0, 1.1)]
    assert chances == sorted(chances)
    assert chances[0] < 0.01 and chances[-1] > 0.99
    assert Proposed(np.arange(3), ()).chance(np.array([-1.0])) == 1.0
    assert proposed.chance(np.empty(0)) == 1.0
