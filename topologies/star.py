"""Star: every agent talks to one hub, and the hub to every agent.

The first member is the hub. In even hops each leaf sends the hub its digest; the hub answers with
what the leaf lacks and asks for what it lacks itself. In odd hops the hub calls every leaf, which
then learns what the hub took in a hop before.

Theory: a rumour reaches all in 2 hops, with n-1 calls each, the least possible for a tree of that
depth; the hub carries all of them. It survives the loss of leaves; without the hub nothing
travels, which is why the hub's loss must be masked by whoever runs it (here: restart from its
checkpoint).
"""

from __future__ import annotations

from collections.abc import Sequence

from swarm_runtime.core.knowledge import View
from swarm_runtime.core.topology import Digest, Message, push_pull

__all__ = ["Star"]


class Star:
    """One hub, which is the first member; all others are leaves.

    Parameters
    ----------
    members : sequence of str
    """

    name = "star"

    def __init__(self, members: Sequence[str]) -> None:
        self._hub = members[0]
        self._leaves = tuple(members[1:])

    def neighbours(self, agent: str) -> Sequence[str]:
        """Return the leaves for the hub, the hub for a leaf."""
        return self._leaves if agent == self._hub else (self._hub,)

    def speakers(self, round_index: int, hop: int) -> Sequence[str]:
        """Return the leaves in even hops, the hub in odd ones."""
        return (self._hub,) if hop % 2 == 1 and self._leaves else self._leaves

    def open_hop(self, agent: str, round_index: int, hop: int, view: View) -> list[Message]:
        """Leaves call in even hops, the hub in odd ones."""
        if agent not in self.speakers(round_index, hop):
            return []
        return [Digest(agent, other, dict(view)) for other in self.neighbours(agent)]

    def receive(self, agent: str, message: Message, view: View) -> list[Message]:
        """Answer a digest with what its sender lacks, and ask for what this side lacks."""
        return push_pull(agent, message, view)
