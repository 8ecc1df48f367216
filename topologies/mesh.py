"""Mesh: everybody may talk to everybody, and each hop a few pairs do (push-pull gossip).

In a hop each agent calls ``fanout`` partners drawn at random (seeded), with a digest of what it
knows. The partner answers with what the caller lacks and with its own digest; the caller then
sends what the partner lacks. So after one exchange both know the union.

Theory: push-pull spreads a rumour to all n agents in log3(n) + O(log log n) hops with high
probability, using O(n log log n) transmissions of it (Karp, Schindelhauer, Shenker, Vöcking,
"Randomized rumor spreading", FOCS 2000). Messages per hop: 2 digests and up to 2 deltas per call,
n·fanout calls. It survives the loss of any agents and any messages: what misses one exchange
travels in a later one; there is no distinguished agent and no structure to repair.
"""

from __future__ import annotations

from collections.abc import Sequence

from swarm_runtime.core.knowledge import View
from swarm_runtime.core.randomness import Purpose, draws
from swarm_runtime.core.topology import Digest, Message, push_pull

__all__ = ["Mesh"]


class Mesh:
    """Push-pull gossip over the complete graph.

    Parameters
    ----------
    members : sequence of str
    seed : int
    fanout : int (>= 1)
        Partners called per agent and hop; more than there are others means all of them.
    """

    name = "mesh"

    def __init__(self, members: Sequence[str], *, seed: int, fanout: int) -> None:
        self._members = tuple(members)
        self._seed = seed
        self._fanout = fanout

    def neighbours(self, agent: str) -> Sequence[str]:
        """Return all others."""
        return [member for member in self._members if member != agent]

    def open_hop(self, agent: str, round_index: int, hop: int, view: View) -> list[Message]:
        """Return a digest for each partner drawn for this agent, round and hop."""
        others = self.neighbours(agent)
        count = min(self._fanout, len(others))
        if count == 0:
            return []
        numbers = draws(self._seed, Purpose.PARTNER, agent, (round_index, hop), len(others))
        # The `count` smallest of one draw per neighbour: a uniform sample without replacement.
        partners = sorted(numbers.argsort(kind="stable")[:count])
        return [Digest(agent, others[at], dict(view)) for at in partners]

    def receive(self, agent: str, message: Message, view: View) -> list[Message]:
        """Answer a digest with what its sender lacks, and ask for what this side lacks."""
        return push_pull(agent, message, view)
