"""The protocol that every topology implements: who tells whom what, in which hop.

A topology is a pure function of seed, members and views. It moves *views*; whoever carries its
messages attaches the experiences that a ``Delta`` promises. Within a hop every message is answered
from the state at the hop's start; what arrives is merged when the hop closes. So the outcome of a
hop does not depend on the order in which messages arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from swarm_runtime.core.knowledge import View

__all__ = ["Delta", "Digest", "Message", "Topology", "missing", "push_pull"]


@dataclass(frozen=True, slots=True)
class Digest:
    """What the sender knows: asks the receiver for what the sender lacks.

    Attributes
    ----------
    sender, receiver : str
    view : dict
        The sender's view at the hop's start.
    is_answer : bool
        An answer to the receiver's own digest: it is answered by a delta, never by another
        digest, so every exchange ends.
    """

    sender: str
    receiver: str
    view: View
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """What the receiver lacks: experiences, named by ranges of epochs.

    Attributes
    ----------
    sender, receiver : str
    ranges : tuple of (agent, after, until)
        Epochs ``after`` (exclusive) to ``until`` (inclusive) of each agent.
    """

    sender: str
    receiver: str
    ranges: tuple[tuple[str, int, int], ...]


Message = Digest | Delta


class Topology(Protocol):
    """Who tells whom what."""

    @property
    def name(self) -> str:
        """The word by which a user chooses it."""
        ...

    def neighbours(self, agent: str) -> Sequence[str]:
        """Return with whom an agent may exchange messages, in canonical order."""
        ...

    def speakers(self, round_index: int, hop: int) -> Sequence[str]:
        """Return who opens a hop with a message; the others only answer."""
        ...

    def open_hop(self, agent: str, round_index: int, hop: int, view: View) -> list[Message]:
        """Return what ``agent`` sends first in a hop, given its view at the hop's start."""
        ...

    def receive(self, agent: str, message: Message, view: View) -> list[Message]:
        """Return what ``agent`` answers in the same hop, given its view at the hop's start."""
        ...


def missing(here: View, there: View) -> tuple[tuple[str, int, int], ...]:
    """Return the ranges of epochs known ``here`` and lacking ``there``, in order of agents."""
    return tuple(
        sorted(
            (agent, there.get(agent, 0), count)
            for agent, count in here.items()
            if count > there.get(agent, 0)
        )
    )


def push_pull(agent: str, message: Message, view: View) -> list[Message]:
    """Return the answers of anti-entropy: what the other side lacks, and a question for our own.

    Parameters
    ----------
    agent : str
        Who answers.
    message : Message
    view : dict
        What ``agent`` knew at the hop's start.
    """
    if isinstance(message, Delta):
        return []
    answers: list[Message] = []
    if ranges := missing(view, message.view):
        answers.append(Delta(agent, message.sender, ranges))
    if not message.is_answer and missing(message.view, view):
        answers.append(Digest(agent, message.sender, dict(view), is_answer=True))
    return answers
