"""The same machines on Ray and in one process: the same digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.swarm import RaySwarm
from swarm_runtime.replay.plan import make_plan
from tests.runs import findings_digest, simulated_digest, small

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("seed", "topology", "packed"), [(0, "mesh", 1), (1, "star", 1), (2, "mesh", 4)]
)
def test_ray_and_one_process_give_the_same_digest(
    ray_cluster: None, tmp_path: Path, seed: int, topology: str, packed: int
) -> None:
    settings = small(seed=seed, swarm__topology=topology, swarm__agents_per_actor=packed)
    plan, bars = make_plan(settings)
    journal, bank = tmp_path / "journal.sqlite", tmp_path / "bank.sqlite"
    with RaySwarm(plan, plan.prepare(bars), journal, bank) as swarm:
        for arm in plan.arms:
            swarm.run(arm)
    on_ray = findings_digest(plan, bars, journal, bank)
    assert on_ray == simulated_digest(settings, hosts=1)


def test_another_seed_gives_another_digest() -> None:
    assert simulated_digest(small(seed=1), hosts=1) != simulated_digest(small(seed=2), hosts=1)
