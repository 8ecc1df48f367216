"""The tables of the catalogue, and what it needs of others. Pure.

Rows are linked by their numbers; a chain of rows ends with -1. Above: ``catalogue``, ``snapshot``.
Below: ``columns``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.codec import encode
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.state.columns import Growing

__all__ = [
    "COUNTERS",
    "FULL_TRUST",
    "NOT_REVOKED",
    "Embeds",
    "Mask",
    "Outcomes",
    "Pairs",
    "Patterns",
    "Places",
    "Standing",
    "Vectors",
    "number_of",
]

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

#: Of an agent that is trusted: its outcomes count whole.
FULL_TRUST = 16
#: In place of a time: not revoked.
NOT_REVOKED = 2**62
#: Trials, successes, failures, excess reward and its square, in 1/REWARD_SCALE σ.
COUNTERS = 5


def number_of(*parts: object) -> int:
    """Return 63 bits that depend on the parts and on nothing else."""
    text = parts[0].encode() if len(parts) == 1 and isinstance(parts[0], str) else encode(parts)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


class Standing(NamedTuple):
    """A verdict, by the time from which it stands; without an excess, the earlier one's stays."""

    known_s: int
    id: str
    verdict: int
    excess: int | None


class Vectors(Protocol):
    """What the catalogue needs of an index: see ``vector_index.VectorIndex``."""

    def __len__(self) -> int:
        """Return how many vectors there are."""
        ...

    def add(self, vectors: npt.NDArray[np.float32]) -> int:
        """Add vectors; return the first one's row."""
        ...

    def vectors(self, rows: Integers) -> npt.NDArray[np.float32]:
        """Return vectors by row."""
        ...

    def search(
        self,
        query: npt.NDArray[np.float32],
        count: int,
        mask: Bools | None = None,
        *,
        exact: bool = False,
        floor: float = -1.0,
    ) -> tuple[Integers, npt.NDArray[np.float64]]:
        """Return the nearest rows and their cosines, best first; below the floor none is needed."""
        ...


class Embeds(Protocol):
    """What turns contexts into vectors."""

    #: By which it is told from others: equal names, equal vectors.
    name: str

    def embed_many(self, contexts: Sequence[Context]) -> npt.NDArray[np.float32]:
        """Return vectors of length one, shape (m, dimension)."""
        ...


@dataclass(slots=True)
class Mask:
    """Which places something is known of, for one sort of question.

    Attributes
    ----------
    domain, task_type : int
        -1: any.
    approaches : frozenset of int or None
        None: any.
    bits : Growing of bool
    count : int
        How many places are in it.
    """

    domain: int
    task_type: int
    approaches: frozenset[int] | None
    bits: Growing
    count: int = 0


@dataclass(slots=True)
class Places:
    """Contexts: a cell of a domain and task type; the row is its vector's in the index."""

    domain: Growing = field(default_factory=lambda: Growing(np.int32))
    task_type: Growing = field(default_factory=lambda: Growing(np.int32))
    key: Growing = field(default_factory=lambda: Growing(np.int64))
    first_pattern: Growing = field(default_factory=lambda: Growing(np.int32))


@dataclass(slots=True)
class Patterns:
    """An approach at a place; patterns of a place, and pairs and outcomes of it, are chained."""

    place: Growing = field(default_factory=lambda: Growing(np.int32))
    approach: Growing = field(default_factory=lambda: Growing(np.int32))
    #: The id, as a number.
    number: Growing = field(default_factory=lambda: Growing(np.uint64))
    following: Growing = field(default_factory=lambda: Growing(np.int32))
    first_pair: Growing = field(default_factory=lambda: Growing(np.int32))
    last_outcome: Growing = field(default_factory=lambda: Growing(np.int32))
    #: In sixteenths, by trust.
    counters: Growing = field(default_factory=lambda: Growing(np.int64, COUNTERS))
    newest_s: Growing = field(default_factory=lambda: Growing(np.int64))


@dataclass(slots=True)
class Pairs:
    """What one agent found of a pattern."""

    pattern: Growing = field(default_factory=lambda: Growing(np.int32))
    agent: Growing = field(default_factory=lambda: Growing(np.int32))
    following: Growing = field(default_factory=lambda: Growing(np.int32))
    counters: Growing = field(default_factory=lambda: Growing(np.int64, COUNTERS))


@dataclass(slots=True)
class Outcomes:
    """What was recorded: one row each, or one for many that retention folded."""

    pair: Growing = field(default_factory=lambda: Growing(np.int32))
    previous: Growing = field(default_factory=lambda: Growing(np.int32))
    known_s: Growing = field(default_factory=lambda: Growing(np.int64))
    revoked_s: Growing = field(default_factory=lambda: Growing(np.int64))
    number: Growing = field(default_factory=lambda: Growing(np.int64))
    counters: Growing = field(default_factory=lambda: Growing(np.int64, COUNTERS))
    #: The verdict that is counted in ``counters``; folded ones have none.
    verdict: Growing = field(default_factory=lambda: Growing(np.int8))
    counted: Growing = field(default_factory=lambda: Growing(np.bool_))
    #: Lies before a change of the world: does not count, though it is known.
    forgotten: Growing = field(default_factory=lambda: Growing(np.bool_))
