"""Lessons: what experiences teach, small enough to travel between agents.

A lesson holds what statistics are folded from, and nothing of what only the record needs (context,
evidence, returns): about a fifth of the experience. It travels as bytes, since most receivers only
keep it or pass it on and never pay for reading it. Above: topologies move lessons, memory folds
them. Beside: ``knowledge``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import Experience, View

__all__ = ["Lesson", "LessonLog", "Taught", "Teaching", "lesson_of"]

_SHAPE = struct.Struct("<HH")


class Teaching(Protocol):
    """What statistics can be folded from: a ``Taught``, or a whole ``Experience``."""

    @property
    def known_at_s(self) -> int:
        """When the outcome was known, in seconds since 1970."""
        ...

    @property
    def cells(self) -> npt.NDArray[np.integer]:
        """Context cells, shape (n,)."""
        ...

    @property
    def chosen(self) -> npt.NDArray[np.integer]:
        """Index of the approach carried out, -1 for none, shape (n,)."""
        ...

    @property
    def excess(self) -> npt.NDArray[np.integer]:
        """Reward above the benchmark, in 1/REWARD_SCALE standard deviations, shape (n, K)."""
        ...

    @property
    def verdict(self) -> npt.NDArray[np.integer]:
        """1 success, -1 failure, 0 no verdict, shape (n, K)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A lesson that was opened; attributes as in ``Experience``."""

    known_at_s: int
    cells: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int8]
    excess: npt.NDArray[np.int16]
    verdict: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one experience teaches, as bytes.

    Attributes
    ----------
    agent, epoch, known_at_s : see ``Experience``
    blob : bytes
        Rows and columns, then cells, chosen, excess and verdict.
    """

    agent: str
    epoch: int
    known_at_s: int
    blob: bytes

    def open(self) -> Taught:
        """Return the arrays.

        Raises
        ------
        ValueError
            If the bytes were cut off.
        """
        rows, columns = _SHAPE.unpack_from(self.blob)
        arrays, offset = [], _SHAPE.size
        for kind, count in (("<i4", rows), ("i1", rows), ("<i2", rows * columns)):
            arrays.append(np.frombuffer(self.blob, kind, count, offset))
            offset += arrays[-1].nbytes
        verdict = np.frombuffer(self.blob, "i1", rows * columns, offset)
        if offset + verdict.nbytes != len(self.blob):
            raise ValueError(f"a lesson of {len(self.blob)} bytes where its shape says {offset}")
        shape = rows, columns
        return Taught(
            self.known_at_s, arrays[0], arrays[1], arrays[2].reshape(shape), verdict.reshape(shape)
        )


def lesson_of(experience: Experience) -> Lesson:
    """Return what an experience teaches.

    Raises
    ------
    ValueError
        If it has more than 127 approaches, or a reward beyond what 16 bits hold.
    """
    rows, columns = experience.excess.shape
    excess = experience.excess.astype("<i2")
    if columns > 127 or not np.array_equal(excess, experience.excess):
        raise ValueError(f"{experience.key}: too many approaches, or rewards beyond 16 bits")
    return Lesson(
        experience.agent,
        experience.epoch,
        experience.known_at_s,
        b"".join(
            [
                _SHAPE.pack(rows, columns),
                experience.cells.astype("<i4").tobytes(),
                experience.chosen.astype("i1").tobytes(),
                excess.tobytes(),
                experience.verdict.astype("i1").tobytes(),
            ]
        ),
    )


class LessonLog:
    """Lessons by (agent, epoch), each agent's epochs without gaps from 1 on.

    One per process; agents that live in it share it, since content is the same for all and only
    views differ. A lesson is opened when it is first read.
    """

    def __init__(self) -> None:
        self._lessons: dict[str, list[Lesson]] = {}
        self._opened: dict[tuple[str, int], Taught] = {}

    def add(self, lessons: Iterable[Lesson]) -> None:
        """Add what isn't there yet.

        Raises
        ------
        ValueError
            If a lesson would leave a gap before it. A sender always sends a prefix, so this is a
            fault of a protocol, not of the network.
        """
        for one in lessons:
            known = self._lessons.setdefault(one.agent, [])
            if one.epoch == len(known) + 1:
                known.append(one)
            elif one.epoch > len(known) + 1:
                raise ValueError(f"epoch {one.epoch} of {one.agent} came after {len(known)}")

    def between(self, agent: str, after: int, until: int) -> list[Lesson]:
        """Return epochs ``after`` (exclusive) to ``until`` (inclusive) of an agent.

        Raises
        ------
        KeyError
            If not all of them are here.
        """
        if until <= after:
            return []
        known = self._lessons.get(agent, [])
        if until > len(known):
            raise KeyError(f"{agent} up to epoch {until}: only {len(known)} are here")
        return known[after:until]

    def opened(self, agent: str, after: int, until: int) -> list[Taught]:
        """Return the same as ``between``, opened."""
        found = []
        for one in self.between(agent, after, until):
            taught = self._opened.get((agent, one.epoch))
            if taught is None:
                taught = self._opened[agent, one.epoch] = one.open()
            found.append(taught)
        return found

    def view(self) -> View:
        """Return how many epochs of each agent are here."""
        return {agent: len(known) for agent, known in self._lessons.items()}
