"""What replicas say to each other: requests, replies, and how large they are. Pure.

All of it is plain values and bytes, so whoever carries a message needs to know nothing of it.
Above: ``replica`` (answers) and ``anti_entropy`` (asks). Below: ``seal_index``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.memory.log.seal_index import Scope

__all__ = [
    "Accepted",
    "Delta",
    "Digest",
    "Epochs",
    "Fetch",
    "Hello",
    "Packet",
    "Parts",
    "Reply",
    "Request",
    "Split",
    "Tips",
    "message_bytes",
    "rows_of",
]

#: The last epoch of each agent, and the first 8 bytes of its seal.
Tips = dict[str, tuple[int, bytes]]


class Packet(NamedTuple):
    """A trajectory or an annotation: its kind, and its canonical bytes."""

    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """Ask for a digest.

    Attributes
    ----------
    from_s : int
        The asker's watermark; the answer's is the larger of both.
    bits : int
        The digest has 2^bits sums of each scope.
    """

    from_s: int
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """What a log holds, in brief.

    Attributes
    ----------
    from_s : int
        Passing records known before are left out.
    tips : dict
        Of the agents' experiences.
    bits : int
    sums : tuple of bytes
        For each of SCOPES, 2^bits sums (``seal_index.SUM``).
    """

    from_s: int
    tips: Tips
    bits: int
    sums: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Ask what some buckets of a scope hold.

    Attributes
    ----------
    scope : str
    from_s, bits : see ``Digest``
    prefixes : bytes
        uint64 each: the bits that the keys in a bucket share.
    """

    scope: Scope
    from_s: int
    bits: int
    prefixes: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """What some buckets hold, in the order asked for.

    Attributes
    ----------
    listed : bytes
        One byte each: 1 if the bucket's records are named, 0 if it is split.
    sums : bytes
        16 sums of each bucket that is split.
    elements : bytes
        Names (``seal_index.ELEMENT``) of the records in all that are listed.
    """

    listed: bytes
    sums: bytes
    elements: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask for records by name; answered by a ``Delta`` with as many as fit in a message."""

    scope: Scope
    from_s: int
    elements: bytes


@dataclass(frozen=True, slots=True)
class Epochs:
    """Ask for experiences: of each agent in ``until`` those above ``after``."""

    after: Tips
    until: View


@dataclass(frozen=True, slots=True)
class Delta:
    """Records that travel; as a request it is an offer, answered by ``Accepted``.

    Attributes
    ----------
    from_s : int
        Watermark from which on passing records are in it.
    experiences : tuple of Sealed
    packets : tuple of Packet
        Tombstones first.
    refused : tuple of str
        Agents whose epochs differ here.
    """

    from_s: int
    experiences: tuple[Sealed, ...] = ()
    packets: tuple[Packet, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a delta.

    Attributes
    ----------
    new : int
        Records that were not here.
    refused : tuple of str
        Records and agents that are here with another content, by kind and id.
    """

    new: int
    refused: tuple[str, ...] = ()


Request = Hello | Split | Fetch | Epochs | Delta
Reply = Digest | Parts | Delta | Accepted


def message_bytes(message: Request | Reply) -> int:
    """Return about how many bytes a message has, without the envelope of whoever carries it."""
    return sum(_bytes(getattr(message, field.name)) for field in fields(message))


def _bytes(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Sealed):
        return len(value.blob) + len(value.agent) + len(value.domain) + len(value.task_type) + 16
    if isinstance(value, dict):
        return sum(len(name) + _bytes(one) for name, one in value.items())
    if isinstance(value, tuple):
        return sum(_bytes(one) for one in value)
    return 8


def rows_of(data: bytes, dtype: np.dtype[Any], size: int | None = None) -> npt.NDArray[Any]:
    """Return bytes of a message as rows; ValueError if their number is another one."""
    if len(data) % dtype.itemsize or (size is not None and len(data) != size):
        raise ValueError(f"{len(data)} bytes are no rows of {dtype.itemsize} bytes, or too many")
    return np.frombuffer(data, dtype)
