import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from swarm_runtime.trading.rolling import (
    lagged,
    latch,
    ratio,
    two_sided,
    window_max,
    window_mean,
    window_min,
    window_sum,
    z_score,
)

series = npst.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 3)),
    elements=st.floats(-8, 8, width=32),
)
widths = st.integers(1, 50)
REDUCTIONS = {window_sum: np.sum, window_mean: np.mean, window_max: np.max, window_min: np.min}


@given(values=series, width=widths)
@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda one: one.__name__)
def test_a_window_holds_the_last_rows_or_all_there_are(function, values, width):
    expected = [
        REDUCTIONS[function](values[max(0, row - width + 1) : row + 1], axis=0)
        for row in range(len(values))
    ]
    np.testing.assert_allclose(function(values, width), expected, atol=1e-9)


@given(values=series, width=widths, data=st.data())
@pytest.mark.parametrize("function", [*REDUCTIONS, z_score, lagged], ids=lambda one: one.__name__)
def test_a_row_is_the_same_bit_for_bit_without_the_rows_after_it(function, values, width, data):
    cut = data.draw(st.integers(1, len(values)))
    np.testing.assert_array_equal(function(values[:cut], width), function(values, width)[:cut])


@given(values=series, width=st.integers(2, 20))
def test_a_z_score_is_the_distance_from_the_mean_in_standard_deviations(values, width):
    row = len(values) - 1
    window = values[max(0, row - width + 1) :]
    deviation = window.std(axis=0)
    for column in np.flatnonzero(deviation > 1e-3):
        expected = (values[row, column] - window[:, column].mean()) / deviation[column]
        assert z_score(values, width)[row, column] == pytest.approx(expected, abs=1e-5)


def test_a_z_score_of_what_stands_still_is_zero_and_not_rounding_blown_up():
    assert not z_score(np.full((300, 2), np.log(0.1)), 20).any()
    draw = np.random.Generator(np.random.Philox(key=4))
    moved_once = np.cumsum(0.01 * draw.standard_normal((300, 50)), axis=0)
    moved_once[100:] = moved_once[100]
    assert not z_score(moved_once, 20)[120:].any()


def test_lagged_repeats_the_first_row_where_there_is_nothing_before():
    assert lagged(np.array([1.0, 2.0, 3.0]), 2).tolist() == [1.0, 1.0, 1.0]
    assert lagged(np.array([1.0, 2.0, 3.0]), 1).tolist() == [1.0, 1.0, 2.0]
    assert lagged(np.array([1.0, 2.0, 3.0]), 9).tolist() == [1.0, 1.0, 1.0]


def test_a_ratio_to_next_to_nothing_has_its_neutral_value():
    result = ratio(np.array([1.0, 1.0, -4.0]), np.array([0.0, 1e-9, 2.0]), 1e-6, 7.0)
    assert result.tolist() == [7.0, 7.0, -2.0]


@given(
    events=npst.arrays(
        np.bool_, st.tuples(st.just(2), st.integers(0, 30), st.integers(1, 3)), fill=st.nothing()
    )
)
def test_a_latch_is_what_a_loop_over_time_says(events):
    on, off = events
    state = np.zeros(on.shape[1], dtype=bool)
    for row, latched in enumerate(latch(on, off)):
        state = (state | on[row]) & ~off[row]
        assert latched.tolist() == state.tolist()


def test_a_position_is_held_through_the_gap_between_entering_and_leaving():
    score = np.array([0.0, 2.1, 1.0, 0.6, 0.4, 1.9, -2.1, -0.6, 2.1, -0.1])
    position = two_sided(score, 2.0, 0.5)
    assert position.tolist() == [0, 1, 1, 1, 0, 0, -1, -1, 1, 0]
