"""Events and effects: everything that machines are told, and everything they ask for.

A machine is ``handle(event, now) -> list[Effect]``; a shell runs the effects and feeds what comes
of them back as events. ``now`` is market time in seconds in a replay.

Three levels speak here: the *coordinator* asks *hosts* (a host is a process with one or more
agents), a host asks its *agents*, and hosts exchange *parcels* for their agents. Work is named by
a ``Step``, so whatever comes late or twice is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.core.lessons import Lesson
from swarm_runtime.core.topology import Message

__all__ = [
    "AgentEffect",
    "AgentEvent",
    "Answer",
    "Arrived",
    "Ask",
    "BankAnswered",
    "Begin",
    "BlockTraded",
    "Completed",
    "CoordinatorEffect",
    "CoordinatorEvent",
    "Dispatch",
    "Done",
    "GaveUp",
    "HopClosed",
    "HopOpened",
    "HostAnswered",
    "HostCommand",
    "HostEffect",
    "HostEvent",
    "HostLost",
    "HostRevived",
    "HostRound",
    "MessageReceived",
    "OpenHop",
    "OpenRound",
    "Parcel",
    "Publish",
    "Record",
    "Refused",
    "Revive",
    "RoundOpened",
    "RoundWritten",
    "Send",
    "Start",
    "Step",
    "Trade",
    "WriteRound",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """Names a piece of work.

    Attributes
    ----------
    arm : str
        ``off`` or ``on``.
    cycle : int
        A round together with the message hops that open it.
    attempt : int
        Grows each time the cycle is tried anew; what belongs to an older attempt is void.
    """

    arm: str
    cycle: int
    attempt: int


# --- agent -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RoundOpened:
    """A round begins; the agent is to choose.

    Attributes
    ----------
    cycle : int
    context : ndarray of float64, shape (S, F)
    cells : ndarray of int32, shape (S,)
    available : ndarray of bool, shape (S,)
        Whether each symbol can be traded.
    """

    cycle: int
    context: Floats
    cells: npt.NDArray[np.int32]
    available: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class BlockTraded:
    """The block is over and its outcome known.

    Attributes
    ----------
    net_return : ndarray of float64, shape (S, K)
        After costs, on the capital set aside; of what was carried out where that is actual, of
        what would have been where it is shadow.
    benchmark : ndarray of float64, shape (S,)
    volatility : ndarray of float64, shape (S,)
        Of one bar, known before the block.
    bars : int
    """

    net_return: Floats
    benchmark: Floats
    volatility: Floats
    bars: int


@dataclass(frozen=True, slots=True)
class HopOpened:
    """A message hop begins."""

    cycle: int
    hop: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A neighbour's message has come; a delta's content is in the process's log already."""

    message: Message


@dataclass(frozen=True, slots=True)
class HopClosed:
    """All messages of the hop have come; what they brought is merged."""


AgentEvent = RoundOpened | BlockTraded | HopOpened | MessageReceived | HopClosed


@dataclass(frozen=True, slots=True, eq=False)
class Trade:
    """Carry this choice out.

    Attributes
    ----------
    chosen : ndarray of int16, shape (S,)
    reason : ndarray of int8, shape (S,)
    confidence : ndarray of float64, shape (S,)
    """

    chosen: npt.NDArray[np.int16]
    reason: npt.NDArray[np.int8]
    confidence: Floats


@dataclass(frozen=True, slots=True)
class Publish:
    """Record this, then let it travel."""

    experience: Experience


@dataclass(frozen=True, slots=True)
class Send:
    """Send this to the agent it names."""

    message: Message


AgentEffect = Trade | Publish | Send

# --- host ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message with the content it promises."""

    message: Message
    lessons: tuple[Lesson, ...] = ()


@dataclass(frozen=True, slots=True)
class Begin:
    """Take up (or go back to) the state after some cycle.

    Attributes
    ----------
    step : Step
        The step that comes next: its cycle is the one after the state's.
    checkpoint : bytes or None
        None: the state before the first cycle.
    lessons : tuple of Lesson
        What all experiences teach that the checkpoint's views name.
    """

    step: Step
    checkpoint: bytes | None = None
    lessons: tuple[Lesson, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenHop:
    """Send your agents' messages of this hop."""

    step: Step
    hop: int


@dataclass(frozen=True, slots=True)
class OpenRound:
    """Trade bars ``start`` (inclusive) to ``stop`` (exclusive)."""

    step: Step
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """Parcels from another host's agents.

    Attributes
    ----------
    is_answer : bool
        They answer what this host dispatched.
    """

    step: Step
    hop: int
    parcels: tuple[Parcel, ...]
    is_answer: bool = False


HostCommand = Begin | OpenHop | OpenRound
HostEvent = HostCommand | Arrived


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Deliver to another host; its answer comes back as ``Arrived(is_answer=True)``."""

    host: int
    arrived: Arrived


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the host whose parcels just arrived."""

    parcels: tuple[Parcel, ...]


@dataclass(frozen=True, slots=True, eq=False)
class HostRound:
    """What a host reports of a round, for its A agents and S symbols, over n bars.

    Attributes
    ----------
    equity_cents, cost_cents : ndarray of int64, shape (A, n)
    chosen : ndarray of int16, shape (A, S)
    reason : ndarray of int8, shape (A, S)
    confidence : ndarray of float64, shape (A, S)
    known : ndarray of int64, shape (A,)
    fills : ndarray of int64, shape (A,)
    trades : ndarray of int64, shape (closed trades, 3)
        Agent (index in the host), bar, profit in cents.
    cuts : tuple of (int, str)
        Agent (index in the host), and what a risk limit cut, in words.
    sealed : tuple of Sealed
        The agents' experiences, in the order of agents; empty without memory.
    checkpoint : bytes
        The host's state after this round, before its messages.
    """

    equity_cents: Integers
    cost_cents: Integers
    chosen: npt.NDArray[np.int16]
    reason: npt.NDArray[np.int8]
    confidence: Floats
    known: Integers
    fills: Integers
    trades: Integers
    cuts: tuple[tuple[int, str], ...]
    sealed: tuple[Sealed, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The command was carried out.

    Attributes
    ----------
    messages : int
        Messages that a hop sent to agents of other hosts.
    round : HostRound or None
        What ``OpenRound`` found.
    """

    step: Step
    messages: int = 0
    round: HostRound | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The host isn't in a state to do that: it was restarted, or the step is void."""

    step: Step
    reason: str


HostEffect = Dispatch | Answer | Done | Refused

# --- coordinator -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Begin, or go on after the last round that the journal holds.

    Attributes
    ----------
    cycle : int
        The first cycle to run.
    checkpoints : tuple of (bytes or None), one per host
        States after the cycle before.
    view : dict
        The experiences that these states rest on.
    """

    cycle: int
    checkpoints: tuple[bytes | None, ...]
    view: View


@dataclass(frozen=True, slots=True)
class HostAnswered:
    """A host has carried a command out."""

    host: int
    done: Done


@dataclass(frozen=True, slots=True)
class HostLost:
    """A host, or a peer that it needed, does not answer, or has lost its state."""

    host: int
    step: Step
    reason: str


@dataclass(frozen=True, slots=True)
class HostRevived:
    """A host has taken up the state it was given."""

    host: int
    step: Step


@dataclass(frozen=True, slots=True)
class BankAnswered:
    """The bank has made a round's experiences durable."""

    step: Step


@dataclass(frozen=True, slots=True)
class RoundWritten:
    """The journal holds the round."""

    step: Step


CoordinatorEvent = Start | HostAnswered | HostLost | HostRevived | BankAnswered | RoundWritten


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a command to a host."""

    host: int
    command: HostCommand


@dataclass(frozen=True, slots=True)
class Revive:
    """Wait, then give a host its state back, with the experiences that ``view`` names."""

    host: int
    begin: Begin
    view: View
    wait_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """Make a round's experiences durable in the bank, in this order."""

    step: Step
    sealed: tuple[Sealed, ...]


@dataclass(frozen=True, slots=True)
class WriteRound:
    """Write a finished round to the journal, durably.

    Attributes
    ----------
    step : Step
    rounds : tuple of HostRound, one per host
    messages : int
        Messages between hosts in this cycle.
    view : dict
        All experiences known after it.
    """

    step: Step
    rounds: tuple[HostRound, ...]
    messages: int
    view: View


@dataclass(frozen=True, slots=True)
class Completed:
    """All rounds are in the journal."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Faults could not be masked."""

    reason: str


CoordinatorEffect = Ask | Revive | Record | WriteRound | Completed | GaveUp
