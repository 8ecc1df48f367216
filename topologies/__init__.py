"""Topologies as pure protocols: one file tells all about one of them.

``build`` makes one by name. What a topology is, is said in ``swarm_runtime.core.topology``.
"""

from __future__ import annotations

from collections.abc import Sequence

from swarm_runtime.core.topology import Topology
from topologies.mesh import Mesh
from topologies.star import Star

__all__ = ["Mesh", "Star", "build"]


def build(name: str, members: Sequence[str], *, seed: int, fanout: int) -> Topology:
    """Return the topology of that name over these members.

    Parameters
    ----------
    name : str
        One of ``config.TOPOLOGIES``.
    members : sequence of str
        Agent ids, in canonical order.
    seed : int
    fanout : int
        Partners an agent calls in one hop, where the topology leaves a choice.

    Raises
    ------
    KeyError
        If there is none of that name; ``config`` tells the user before it comes to this.
    """
    if name == "mesh":
        return Mesh(members, seed=seed, fanout=fanout)
    if name == "star":
        return Star(members)
    raise KeyError(name)
