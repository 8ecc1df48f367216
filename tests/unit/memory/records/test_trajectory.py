"""Trajectories: unchangeable, canonical, refused with a reason where they make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.experiences import trajectory

CONTEXTS = st.dictionaries(
    st.text(min_size=1).filter(lambda name: name != "\0array"),
    st.text() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
)


@given(CONTEXTS, st.floats(-20, 20), st.sampled_from([-1, 0, 1]), st.integers(-(2**53), 2**53))
def test_a_trajectory_survives_being_written_down(
    context: dict[str, float | str], excess: float, verdict: int, known_at_s: int
) -> None:
    whole = trajectory(context=context, excess=excess, verdict=verdict, known_at_s=known_at_s)
    again = Trajectory.from_bytes(whole.to_bytes())
    assert again == whole
    assert again.to_bytes() == whole.to_bytes()


def test_the_order_of_the_context_does_not_show() -> None:
    first = trajectory(context={"a": 1, "b": "x"})
    assert first.to_bytes() == trajectory(context={"b": "x", "a": 1.0}).to_bytes()


def test_the_context_can_not_be_changed_from_outside() -> None:
    context: dict[str, float | str] = {"a": 1.0}
    whole = trajectory(context=context)
    context["a"] = 2.0
    assert whole.context == {"a": 1.0}


def test_excess_is_cut_so_that_one_try_can_not_rule_a_mean() -> None:
    assert trajectory(excess=1e6).excess_units == 8_000
    assert trajectory(excess=-1e6).excess_units == -8_000
    assert trajectory(excess=0.1234).excess_units == 123


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id_", ""),
        ("agent", ""),
        ("task_type", 7),
        ("approach", None),
        ("domain", None),
        ("known_at_s", 1.5),
        ("known_at_s", 2**60),
        ("verdict", 2),
        ("verdict", 1.0),
        ("verdict", "1"),
        ("excess", "high"),
        ("excess", 10**400),
        ("task", None),
        ("steps", "one"),
        ("steps", (1,)),
        ("excess", float("nan")),
        ("context", {"x": float("inf")}),
        ("context", {"x": None}),
        ("context", {"x": [1]}),
        ("context", {"x": 10**400}),
        ("context", {"\0array": 1.0}),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name.rstrip("_")):
        trajectory(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id_", "\ud800"),
        ("domain", "\udfff"),
        ("steps", ("\ud800",)),
        ("context", {"\ud800": 1.0}),
        ("context", {"x": "\ud800"}),
    ],
)
def test_a_text_that_can_not_be_written_down_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name.rstrip("_")):
        trajectory(**{name: value})


def test_numbers_of_other_kinds_give_the_same_bytes() -> None:
    for one in (True, np.int8(1)):
        assert trajectory(verdict=one).to_bytes() == trajectory(verdict=1).to_bytes()
    for half in (np.float32(0.5), np.float64(0.5)):
        assert trajectory(excess=half).to_bytes() == trajectory(excess=0.5).to_bytes()


@pytest.mark.parametrize("change", [{"more": 1}, {"context": [1]}, {"verdict": "1"}, {"id": 3}])
def test_bytes_of_another_form_are_refused(change: dict[str, Any]) -> None:
    values = decode(trajectory().to_bytes())
    with pytest.raises(ValueError):
        Trajectory.from_bytes(encode({**values, **change}))


def test_bytes_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(ValueError, match="not a trajectory"):
        Trajectory.from_bytes(encode([1]))
