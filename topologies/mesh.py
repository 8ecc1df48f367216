"""Mesh: everybody may talk to everybody, and in each hop everybody talks to somebody.

In a hop the agents are paired by lot (seeded), ``fanout`` times over. One of each pair calls, with
a digest of what it knows; the other answers with what the caller lacks and with its own digest;
the caller then sends what the other lacks. So after one exchange both know the union (push-pull).

Theory: with i of n agents knowing a rumour, a pairing brings it to i·(1 - i/n) more on average. So
it doubles while few know it, and the share that lacks it squares while few lack it: all know it
after log2(n) + O(log log n) hops with high probability (for calls to random partners, which differ
by a constant: Karp, Schindelhauer, Shenker, Vöcking, "Randomized rumor spreading", FOCS 2000).
Messages per hop: at most 2 digests and 2 deltas per pair, n·fanout/2 pairs. Pairing costs half the
calls of everybody calling a random partner, for most of its speed, because nobody is called twice
in one hop. It survives the loss of any agents and any messages: what misses one exchange travels in
a later one; there is no distinguished agent and no structure to repair.
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
        Pairings per hop.
    """

    name = "mesh"

    def __init__(self, members: Sequence[str], *, seed: int, fanout: int) -> None:
        self._members = tuple(members)
        self._seed = seed
        self._fanout = fanout
        self._hop: tuple[int, int] | None = None
        self._callees: dict[str, list[str]] = {}

    def neighbours(self, agent: str) -> Sequence[str]:
        """Return all others."""
        return [member for member in self._members if member != agent]

    def speakers(self, round_index: int, hop: int) -> Sequence[str]:
        """Return one of each pair."""
        return sorted(self._paired(round_index, hop))

    def open_hop(self, agent: str, round_index: int, hop: int, view: View) -> list[Message]:
        """Return a digest for each partner that lot has given this agent to call."""
        callees = self._paired(round_index, hop).get(agent, [])
        return [Digest(agent, callee, dict(view)) for callee in callees]

    def _paired(self, round_index: int, hop: int) -> dict[str, list[str]]:
        """Return whom each caller calls. The last hop's answer is kept: all ask for the same."""
        if self._hop != (round_index, hop):
            count = len(self._members)
            numbers = draws(
                self._seed, Purpose.PARTNER, "mesh", (round_index, hop), self._fanout * count
            )
            self._hop, self._callees = (round_index, hop), {}
            for order in numbers.reshape(self._fanout, count).argsort(axis=1, kind="stable"):
                for at in range(0, count - 1, 2):
                    caller, callee = self._members[order[at]], self._members[order[at + 1]]
                    callees = self._callees.setdefault(caller, [])
                    if callee not in callees:
                        callees.append(callee)
        return self._callees

    def receive(self, agent: str, message: Message, view: View) -> list[Message]:
        """Answer a digest with what its sender lacks, and ask for what this side lacks."""
        return push_pull(agent, message, view)
