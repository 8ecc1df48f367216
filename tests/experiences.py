"""Experiences and trajectories for tests: plausible by default, set where a test cares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import Reason, explore
from swarm_runtime.memory.choice.safla import analyse, observe
from swarm_runtime.memory.records.pattern import ContextSpace, FeatureBins
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["DAY_S", "SPACE", "experience", "histories", "random_experience", "trajectory"]

DAY_S = 86_400

#: Two features of three bins: nine cells.
SPACE = ContextSpace(
    (
        FeatureBins("trend", (-1.0, 1.0), ("falling", "flat", "rising")),
        FeatureBins("volatility", (0.8, 1.2), ("calm", "usual", "wild")),
    )
)


def experience(
    agent: str = "a",
    epoch: int = 1,
    *,
    known_at_s: int | None = None,
    cells: Sequence[int] = (0,),
    chosen: Sequence[int] | None = None,
    excess: Sequence[Sequence[float]] = ((0.5, -0.5),),
    approaches: Sequence[str] | None = None,
    task_type: str = "trade",
    domain: str = "market",
) -> Experience:
    """Return an experience; ``excess`` is in standard deviations, verdicts are its signs."""
    units = np.rint(np.array(excess) * REWARD_SCALE).astype(np.int32)
    rows, columns = units.shape
    choice = explore(np.ones(rows, dtype=bool), columns, np.zeros(rows), Reason.ABSTAINED)
    if chosen is not None:
        choice.chosen[:] = chosen
    draft = observe(
        agent=agent,
        domain=domain,
        task_type=task_type,
        approaches=approaches or [f"p{at}" for at in range(columns)],
        subjects=[f"s{at}" for at in range(rows)],
        context=np.zeros((rows, len(SPACE.features))),
        cells=np.array(cells, dtype=np.int32),
        choice=choice,
    )
    return analyse(
        draft,
        epoch=epoch,
        known_at_s=epoch * DAY_S if known_at_s is None else known_at_s,
        excess=units,
        verdict=np.sign(units),
        net_return=units / 1e5,
    )


def random_experience(
    seed: int, agent: str = "a", epoch: int = 1, *, rows: int = 4, columns: int = 3, **more: Any
) -> Experience:
    """Return an experience of random outcomes in random cells of ``SPACE``."""
    random = np.random.default_rng(seed)
    return experience(
        agent,
        epoch,
        cells=random.integers(0, SPACE.cell_count, rows).tolist(),
        chosen=random.integers(-1, columns, rows).tolist(),
        excess=random.normal(size=(rows, columns)).tolist(),
        **more,
    )


def trajectory(id_: str = "t1", **more: Any) -> Trajectory:
    """Return a successful try at fetching something."""
    values: dict[str, Any] = {
        "agent": "me",
        "task_type": "fetch",
        "approach": "mirror",
        "context": {"site": "example.org"},
        "known_at_s": DAY_S,
        "excess": 1.0,
        "verdict": 1,
    }
    return Trajectory(id=id_, **{**values, **more})


@st.composite
def histories(draw: st.DrawFn) -> list[Experience]:
    """Draw what one to three agents found out, in no particular order of agents."""
    found: list[Experience] = []
    for agent in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        for epoch in range(1, draw(st.integers(1, 4)) + 1):
            seed = draw(st.integers(0, 2**16))
            found.append(random_experience(seed, agent, epoch))
    return draw(st.permutations(found))
