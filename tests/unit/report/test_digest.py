"""The digest: equal for equal results, different for any other, and never of something unclear."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.report.digest import canonical_json, digest, series_digest
from tests.unit.report.fake_runs import fake_arm

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_known_result_has_a_known_digest() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"\\u00fc","b":[1,2.5,null]}'
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_in_which_a_result_was_built_does_not_matter(result: dict[str, Any]) -> None:
    backwards = dict(reversed(list(result.items())))
    assert digest(result) == digest(backwards)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        digest({"deep": [{"x": value}]})


def test_keys_that_would_become_one_text_are_refused() -> None:
    with pytest.raises(TypeError, match="key 1"):
        digest({"a": [{1: "x"}]})


def test_arms_built_alike_have_one_digest_and_any_change_of_one_value_another() -> None:
    arm = fake_arm("on", agents=2, bars=300)
    assert series_digest(arm) == series_digest(fake_arm("on", agents=2, bars=300))
    seen = {series_digest(arm)}
    first, second = arm.agents
    changes: list[dict[str, Any]] = [
        {"fills": first.fills + 1},
        {"risk_cuts": (*first.risk_cuts, "cut")},
        {"candidates": first.candidates[::-1]},
        {"symbols": ("AAPLFB", "", *first.symbols[2:])},
    ]
    for field in dataclasses.fields(first):
        value = getattr(first, field.name)
        if isinstance(value, np.ndarray):
            other = value.copy()
            other.flat[-1] = 0.123 if value.dtype.kind == "f" else other.flat[-1] + 1
            changes.append({field.name: other})
    for change in changes:
        changed = dataclasses.replace(first, **change)
        seen.add(series_digest(dataclasses.replace(arm, agents=(changed, second))))
    seen.add(series_digest(dataclasses.replace(arm, agents=(second, first))))
    seen.add(series_digest(dataclasses.replace(arm, name="off")))
    seen.add(series_digest(dataclasses.replace(arm, times=arm.times + 1)))
    assert len(seen) == len(changes) + 4


def test_memory_layout_and_the_bits_of_nan_do_not_matter() -> None:
    arm = fake_arm("on", agents=1, bars=300)
    (agent,) = arm.agents
    other_nan = agent.confidence.copy()
    other_nan[np.isnan(other_nan)] = -np.nan
    turned = dataclasses.replace(
        agent, chosen=np.asfortranarray(agent.chosen), confidence=other_nan
    )
    assert series_digest(arm) == series_digest(dataclasses.replace(arm, agents=(turned,)))
