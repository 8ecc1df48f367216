"""The codec: back and forth without loss, canonical, and nothing believed of foreign bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from swarm_runtime.core.codec import decode, encode

ARRAYS = hnp.arrays(
    dtype=st.sampled_from(["<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "|b1", "<U3", "<M8[s]"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
#: Any text but the one that stands for an array.
KEYS = st.text().filter(lambda key: key != "\0array")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and first.dtype == second.dtype
            and first.shape == second.shape
            and first.tobytes() == second.tobytes()
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and bool(first == second)


@given(VALUES)
@example({"\0": np.zeros((0, 3)), "list": [np.float64("nan") * np.ones(2)]})
def test_what_is_encoded_comes_back(value: Any) -> None:
    assert same(decode(encode(value)), value)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_the_order_in_which_a_dict_was_built_does_not_show(value: dict[str, Any]) -> None:
    assert encode(value) == encode(dict(reversed(value.items())))


def test_layout_in_memory_does_not_show() -> None:
    grid = np.arange(12.0).reshape(3, 4)
    assert encode(grid) == encode(np.asfortranarray(grid)) == encode(grid[::-1][::-1])


def test_tuples_come_back_as_lists_and_numpy_scalars_as_numbers() -> None:
    assert decode(encode((1, "a", np.int32(7), np.float32(0.5)))) == [1, "a", 7, 0.5]


@given(VALUES, st.data())
def test_cut_off_bytes_are_refused(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    with pytest.raises(ValueError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(ValueError, match="announces"):
        decode(encode([1]) + b"!")


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused_or_plain_but_never_executed(noise: bytes) -> None:
    framed = len(noise).to_bytes(4, "little") + noise
    for data in (noise, framed):
        with contextlib.suppress(ValueError):
            decode(data)


@pytest.mark.parametrize(
    "header",
    [
        b'{"\\u0000array": ["O", [1]]}',
        b'{"\\u0000array": ["V8", [1]]}',
        b'{"\\u0000array": ["<f8", [-1]]}',
        b'{"\\u0000array": ["<f8", [9999999999999]]}',
        b'{"\\u0000array": ["<f8", ["1"]]}',
        b'{"\\u0000array": ["nonsense", [1]]}',
        b'{"\\u0000array": 7}',
        b'{"\\u0000array": ["<f8"]}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_a_malformed_header_is_a_value_error(header: bytes) -> None:
    with pytest.raises(ValueError):
        decode(len(header).to_bytes(4, "little") + header + bytes(8))


@pytest.mark.parametrize(
    "value",
    [
        {1: "a"},
        {"a": [{None: 1}]},
        {"\0array": ["<f8", [0]]},
        b"bytes",
        {1, 2},
        np.array([object()]),
        np.zeros(1, dtype=">f8"),
        np.zeros(1, dtype=[("x", "<f8")]),
        1j,
    ],
)
def test_what_would_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="not encoded"):
        encode(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_outside_of_arrays(value: float) -> None:
    with pytest.raises(ValueError):
        encode([value])


def test_arrays_that_come_back_can_not_be_written_to() -> None:
    found: npt.NDArray[np.float64] = decode(encode(np.zeros(3)))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1.0
