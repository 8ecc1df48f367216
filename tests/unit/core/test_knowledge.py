"""Knowledge: merging is a union, content travels unchanged, gaps and forgeries are refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.core.codec import encode
from swarm_runtime.core.knowledge import Experience, Sealed, merge_views
from tests.experiences import experience, random_experience

VIEWS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9))


@given(VIEWS, VIEWS, VIEWS)
def test_merging_views_is_commutative_associative_and_idempotent(
    first: dict[str, int], second: dict[str, int], third: dict[str, int]
) -> None:
    def known(view: dict[str, int]) -> dict[str, int]:
        return {agent: count for agent, count in view.items() if count}

    assert known(merge_views(first, second)) == known(merge_views(second, first))
    assert merge_views(merge_views(first, second), third) == merge_views(
        first, merge_views(second, third)
    )
    assert merge_views(first, first) == first


def test_merging_leaves_both_views_as_they_were() -> None:
    first, second = {"a": 1}, {"a": 2, "b": 1}
    assert merge_views(first, second) == {"a": 2, "b": 1}
    assert (first, second) == ({"a": 1}, {"a": 2, "b": 1})


@given(st.integers(0, 2**16))
def test_an_experience_survives_sealing_bit_by_bit(seed: int) -> None:
    whole = random_experience(seed)
    opened = whole.seal().open()
    assert opened.to_bytes() == whole.to_bytes()
    for field in fields(Experience):
        before, after = getattr(whole, field.name), getattr(opened, field.name)
        assert type(before) is type(after)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
        else:
            assert before == after


def test_equal_experiences_have_equal_digests_and_different_ones_have_not() -> None:
    assert random_experience(1).seal().digest() == random_experience(1).seal().digest()
    assert random_experience(1).seal().digest() != random_experience(2).seal().digest()


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0", encode([1]), encode({"agent": "a"})])
def test_bytes_that_are_no_experience_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Experience.from_bytes(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent", 7),
        ("epoch", 0),
        ("epoch", True),
        ("known_at_s", 1.5),
        ("known_at_s", 2**60),
        ("approaches", ["p0", "p0", "p1"]),
        ("approaches", "abc"),
        ("subjects", [1, 2, 3, 4]),
        ("subjects", ["s0"]),
        ("context", np.zeros((4, 2))),
        ("context", np.zeros(4, dtype=np.float32)),
        ("context", [1.0]),
        ("cells", np.zeros(4)),
        ("cells", np.full(4, -1, dtype=np.int32)),
        ("chosen", np.full(4, 3, dtype=np.int16)),
        ("chosen", np.full(4, -2, dtype=np.int16)),
        ("evidence", np.zeros((3, 8), dtype=np.float32)),
        ("excess", np.zeros((4, 2), dtype=np.int32)),
        ("verdict", np.zeros((4, 3), dtype=np.int16)),
    ],
)
def test_an_experience_with_a_field_of_another_kind_is_refused(name: str, value: Any) -> None:
    whole = random_experience(1)
    values = {field.name: getattr(whole, field.name) for field in fields(Experience)}
    with pytest.raises(ValueError, match="experience"):
        Experience.from_bytes(encode({**values, name: value}))


@pytest.mark.parametrize(
    ("name", "value"), [("agent", "b"), ("epoch", 2), ("known_at_s", 0), ("task_type", "x")]
)
def test_a_seal_that_names_another_experience_is_refused(name: str, value: Any) -> None:
    forged: Sealed = replace(experience().seal(), **{name: value})
    with pytest.raises(ValueError, match=name):
        forged.open()
