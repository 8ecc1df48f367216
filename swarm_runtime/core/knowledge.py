"""Knowledge that merges: immutable experiences, and views that say which of them are known.

An *experience* is what one agent found out in one epoch. It never changes once it is recorded, so
merging two bodies of knowledge is the union of their experiences: commutative, associative and
idempotent, whatever is sent twice or late. Epochs of one agent are numbered without gaps and
always travel as a prefix, so *which* experiences somebody knows is one number per agent: a
version vector, here a *view*. Visibility (views) and content are kept apart: a view is tiny, a pure
function of seed, topology and membership, and what a checkpoint holds; content comes from a log.

Experiences are recorded whole by the bank; between agents travels what they teach (``lessons``).
Above: memory folds either into statistics, topologies move views, machines do both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.codec import decode, encode

__all__ = ["REWARD_SCALE", "Experience", "Sealed", "View", "merge_views"]

#: Rewards are stored as integers: this many to one standard deviation of the outcome.
REWARD_SCALE = 1_000

#: How many epochs of each agent are known, by agent. A missing agent means none.
View = dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Experience:
    """What one agent found out in one epoch, for n subjects and K candidate approaches.

    Attributes
    ----------
    agent : str
    epoch : int (>= 1)
        Counts the agent's experiences, without gaps.
    known_at_s : int
        When the outcome was known, in seconds since 1970 (market time in a replay). Nothing may
        use this experience at an earlier time.
    domain, task_type : str
    approaches : tuple of str, length K
    subjects : tuple of str, length n
        What each row is about (for trading: the symbol).
    context : ndarray of float32, shape (n, F)
        Features at the time of choosing.
    cells : ndarray of int32, shape (n,)
        The context, quantised; see memory/pattern.
    chosen : ndarray of int16, shape (n,)
        Index of the approach that was carried out. Its outcome is actual; the other columns of
        ``excess`` and ``verdict`` are *shadow* outcomes, computed after the fact.
    reason : ndarray of int8, shape (n,)
        Why it was chosen; see memory/ranking.
    propensity : ndarray of float32, shape (n,)
        Probability with which it was chosen.
    evidence : ndarray of float32, shape (n, E)
        What was known of a recommendation when it was made; columns: memory/ranking.EVIDENCE.
    excess : ndarray of int32, shape (n, K)
        Reward above the benchmark, in 1/REWARD_SCALE standard deviations.
    verdict : ndarray of int8, shape (n, K)
        1 success, -1 failure, 0 no verdict.
    net_return : ndarray of float64, shape (n, K)
        The outcome itself (for trading: return on the capital set aside, after costs).
    """

    agent: str
    epoch: int
    known_at_s: int
    domain: str
    task_type: str
    approaches: tuple[str, ...]
    subjects: tuple[str, ...]
    context: npt.NDArray[np.float32]
    cells: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int16]
    reason: npt.NDArray[np.int8]
    propensity: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]
    excess: npt.NDArray[np.int32]
    verdict: npt.NDArray[np.int8]
    net_return: npt.NDArray[np.float64]

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it: (agent, epoch)."""
        return self.agent, self.epoch

    def to_bytes(self) -> bytes:
        """Return a canonical form: equal experiences give equal bytes."""
        return encode({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Experience:
        """Return the experience that ``to_bytes`` gave.

        Raises
        ------
        ValueError
            If the bytes are not of that form.
        """
        values = decode(data)
        if not isinstance(values, dict) or set(values) != {field.name for field in fields(cls)}:
            raise ValueError("not an experience")
        for name in ("approaches", "subjects"):
            if not isinstance(values[name], list):
                raise ValueError(f"not an experience: {name} = {values[name]!r}")
            values[name] = tuple(values[name])
        experience = cls(**values)
        experience.check()
        return experience

    def check(self) -> None:
        """Make sure that every field is of its kind, and all shapes agree.

        Raises
        ------
        ValueError
            Names the first field that isn't as ``Attributes`` says.
        """
        for name in ("agent", "domain", "task_type"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"experience: {name} = {getattr(self, name)!r} is no text")
        for name, least in (("epoch", 1), ("known_at_s", -(2**53))):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= 2**53:
                raise ValueError(f"experience: {name} = {value!r} is no integer in its range")
        for name in ("approaches", "subjects"):
            value = getattr(self, name)
            if not all(isinstance(word, str) for word in value):
                raise ValueError(f"experience: {name} = {value!r} are not all texts")
        if len(set(self.approaches)) < len(self.approaches):
            raise ValueError(f"experience: approaches = {self.approaches!r} are not all different")
        rows, columns = len(self.subjects), len(self.approaches)
        for name, dtype, shape in (
            ("context", np.float32, (rows, "F")),
            ("cells", np.int32, (rows,)),
            ("chosen", np.int16, (rows,)),
            ("reason", np.int8, (rows,)),
            ("propensity", np.float32, (rows,)),
            ("evidence", np.float32, (rows, "E")),
            ("excess", np.int32, (rows, columns)),
            ("verdict", np.int8, (rows, columns)),
            ("net_return", np.float64, (rows, columns)),
        ):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                raise ValueError(f"experience: {name} is no array of {np.dtype(dtype)}")
            # How many columns these two have is for whoever fills and reads them.
            free = name in ("context", "evidence") and array.shape[:-1] == (rows,)
            if array.shape != shape and not free:
                raise ValueError(f"experience: {name} has shape {array.shape} instead of {shape}")
        chosen = self.chosen
        if rows and (chosen.min() < -1 or chosen.max() >= columns or self.cells.min() < 0):
            raise ValueError("experience: a choice or a cell is out of range")

    def seal(self) -> Sealed:
        """Return the form in which it is recorded."""
        return Sealed(
            self.agent, self.epoch, self.known_at_s, self.domain, self.task_type, self.to_bytes()
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """An experience as bytes, as it is recorded, with what one needs to find it.

    Attributes
    ----------
    agent, epoch, known_at_s, domain, task_type : see ``Experience``
    blob : bytes
        ``Experience.to_bytes``.
    """

    agent: str
    epoch: int
    known_at_s: int
    domain: str
    task_type: str
    blob: bytes

    def open(self) -> Experience:
        """Return the experience.

        Raises
        ------
        ValueError
            If the bytes are no experience, or another one than is written on them.
        """
        experience = Experience.from_bytes(self.blob)
        for name in ("agent", "epoch", "known_at_s", "domain", "task_type"):
            if getattr(experience, name) != getattr(self, name):
                raise ValueError(f"experience: {name} differs inside and outside of the seal")
        return experience

    def digest(self) -> str:
        """Return the SHA-256 of the bytes, as hex."""
        return hashlib.sha256(self.blob).hexdigest()


def merge_views(first: View, second: View) -> View:
    """Return what is known to either: the larger count per agent."""
    merged = dict(first)
    for agent, count in second.items():
        if count > merged.get(agent, 0):
            merged[agent] = count
    return merged
