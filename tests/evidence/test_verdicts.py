"""The verdict on data in which the truth is known: nothing to learn, or something planted."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest

from benchmarks.honesty import comparison


@pytest.mark.parametrize("seed", range(3))
def test_on_a_placebo_no_effect_is_shown(seed: int) -> None:
    assert comparison(("placebo", seed))["verdict"] == "no effect shown"


@pytest.mark.parametrize("seed", range(3))
def test_on_planted_regimes_memory_helps(seed: int) -> None:
    assert comparison(("planted", seed))["verdict"] == "helps"


@pytest.mark.soak
def test_over_a_hundred_placebos_there_are_at_most_five_false_alarms() -> None:
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(comparison, [("placebo", seed) for seed in range(100)]))
    verdicts = Counter(one["verdict"] for one in found)
    assert verdicts["helps"] + verdicts["hurts"] <= 5, verdicts
