"""One embedding for contexts that mix numbers and texts: near contexts, near vectors. Pure.

Each feature of a context becomes a part of length one; the embedding is the sum of the parts,
scaled to length one. So the cosine of two contexts that have the same features is the mean of
their features' cosines: every feature counts alike, whatever its kind.

* A number of a declared ``ContextSpace``: (cos θ, sin θ) with θ = π/2 · the rank of its bin, scaled
  to [0, 1]. Each has two coordinates to itself, at the vector's beginning.
* Any other number x: cos(ω·a) and sin(ω·a) for twelve frequencies ω, with a = asinh(x / 0.001), a
  logarithm that passes smoothly through zero. The cosine of two numbers is then about
  exp(-(Δa)² / 4.5): 0.90 for a factor of two, 0.30 for a factor of ten (random features, Rahimi &
  Recht, NIPS 2007, here with frequencies at the quantiles of the normal law instead of random).
* A text: its words and pairs of words, and its runs of three to five characters, hashed with a sign
  (Weinberger et al., ICML 2009). Runs of characters make "breakout" and "breakouts" near, which
  whole words would not. It is exact on repeated wording and knows nothing of meaning.

What isn't declared is hashed into the coordinates behind the declared ones. Vectors do not depend
on the process: hashes are keyed by nothing, and a context is embedded by itself, never in a batch.

``cell_similarity`` is the same geometry for all pairs of cells of a declared space at once, as the
integer weights in which statistics are read. Agents' replicas and the bank use this one kernel.
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.contexts import ContextReader, normal_text, number_place
from swarm_runtime.memory.pattern import ContextSpace
from swarm_runtime.memory.ranking import SIMILARITY_SCALE
from swarm_runtime.memory.trajectory import Context

__all__ = [
    "OPEN_FLOOR",
    "SMALLEST_HASHED",
    "SPACE_FLOOR",
    "Embedder",
    "cell_similarity",
    "similarity_weight",
]

Vector = npt.NDArray[np.float32]

#: Cosine from which on two cells of a declared space begin to count as similar. With five features
#: of three bins, one feature off by one bin weighs 0.61, by two bins 0; two features off by one
#: bin each 0.22; three 0.
SPACE_FLOOR = 0.85
#: The same for contexts with undeclared features, which differ in more ways.
OPEN_FLOOR = 0.3
#: Coordinates that are left for hashing at least; below, everything collides with everything.
SMALLEST_HASHED = 64
#: Largest number of cells for which all pairs are weighed: 134 MB.
_MOST_CELLS = 4_096
#: Quantiles (k + 1/2) / 12 of the half-normal law, divided by 1.5.
_FREQUENCIES = (
    0.035, 0.105, 0.176, 0.249, 0.326, 0.407, 0.494, 0.591, 0.703, 0.839, 1.023, 1.358,
)  # fmt: skip
#: Share of a text's squared length that its words have; runs of characters have the rest.
_WORD_SHARE = 0.4
_RUN_LENGTHS = (3, 4, 5)
_PRIME = np.uint64(0x100000001B3)


def _mixed(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return hashes whose every bit depends on every bit (the finaliser of splitmix64)."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def _word_hashes(text: str) -> npt.NDArray[np.uint64]:
    """Return a hash of each word and each pair of words."""
    words = text.split()
    grams = words + [f"{first} {second}" for first, second in itertools.pairwise(words)]
    hashes = [zlib.crc32(gram.encode()) for gram in grams]
    return np.array(hashes, dtype=np.uint64)


def _run_hashes(text: str) -> npt.NDArray[np.uint64]:
    """Return a hash of each run of bytes of the text, with a space before and after it."""
    codes = np.frombuffer(f" {text} ".encode(), dtype=np.uint8).astype(np.uint64)
    hashes: list[npt.NDArray[np.uint64]] = []
    for length in _RUN_LENGTHS:
        count = len(codes) - length + 1
        if count < 1:
            break
        run = np.full(count, length, dtype=np.uint64)
        for offset in range(length):
            run = (run ^ codes[offset : offset + count]) * _PRIME  # FNV-1a
        hashes.append(run)
    return np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)


class Embedder:
    """Turns contexts into vectors of length one.

    Parameters
    ----------
    dimension : int
        Length of the vectors: at least 64 more than twice the number of declared features.
    space : ContextSpace or None
        Features with declared bins.

    Raises
    ------
    ValueError
        If the dimension is too small.
    """

    def __init__(self, dimension: int = 1024, space: ContextSpace | None = None) -> None:
        names = [feature.name for feature in space.features] if space else []
        if dimension < 2 * len(names) + SMALLEST_HASHED:
            raise ValueError(
                f"dimension = {dimension}: at least {2 * len(names) + SMALLEST_HASHED} are needed"
                f" for {len(names)} declared features"
            )
        self.dimension = dimension
        self._reader = ContextReader(space)
        self._slots = {name: 2 * at for at, name in enumerate(names)}
        self._offset = 2 * len(names)
        self._places = functools.lru_cache(maxsize=4_096)(self._hashed_places)

    def embed(self, context: Context) -> Vector:
        """Return a context's vector.

        Parameters
        ----------
        context : mapping of str to float or str

        Returns
        -------
        ndarray of float32, shape (dimension,)
            Of length one (to float32's precision), also for an empty context.
        """
        total = np.zeros(self.dimension)
        for name in sorted(context):
            value = context[name]
            if isinstance(value, str):
                total += self._text(name, value)
                continue
            position = self._reader.position(name, value)
            if position is None:
                self._add_number(total, name, value)
            else:
                slot = self._slots[name]
                total[slot] += math.cos(0.5 * math.pi * position)
                total[slot + 1] += math.sin(0.5 * math.pi * position)
        length = math.sqrt(float(total @ total))
        if length == 0.0:
            # No feature (or, in theory, features that cancel out): a place of its own.
            total[-1] = length = 1.0
        return np.asarray(total / length, dtype=np.float32)

    def _hashed_places(self, name: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return the coordinates and signs of an undeclared number."""
        salt = np.uint64(zlib.crc32(f"number {name}".encode()) + 1)
        counter = np.arange(1, 2 * len(_FREQUENCIES) + 1, dtype=np.uint64)
        return self._scatter(_mixed(counter * np.uint64(0x9E3779B97F4A7C15) + salt))

    def _scatter(
        self, hashes: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        hashed = np.uint64(self.dimension - self._offset)
        places = (hashes % hashed).astype(np.intp) + self._offset
        return places, np.where(hashes >> np.uint64(63), 1.0, -1.0)

    def _add_number(self, total: npt.NDArray[np.float64], name: str, value: float) -> None:
        at = number_place(value)
        waves: list[float] = []
        for frequency in _FREQUENCIES:
            waves += (math.cos(frequency * at), math.sin(frequency * at))
        places, signs = self._places(name)
        np.add.at(total, places, signs * np.array(waves) / math.sqrt(len(_FREQUENCIES)))

    def _text(self, name: str, text: str) -> npt.NDArray[np.float64]:
        normal = normal_text(text)
        salt = np.uint64(zlib.crc32(f"text {name}".encode()) + 1) * np.uint64(0x100000000)
        words = self._grams(_word_hashes(normal), salt)
        runs = self._grams(_run_hashes(normal), salt + np.uint64(1))
        whole = math.sqrt(_WORD_SHARE) * words + math.sqrt(1.0 - _WORD_SHARE) * runs
        length = math.sqrt(float(whole @ whole))
        if length == 0.0:
            # An empty text is a text too: equal to other empty ones, unlike all others.
            whole = self._grams(np.zeros(1, dtype=np.uint64), salt + np.uint64(2))
            length = 1.0
        return np.asarray(whole / length)

    def _grams(self, hashes: npt.NDArray[np.uint64], salt: np.uint64) -> npt.NDArray[np.float64]:
        """Return the signed counts of hashed features, scaled to length one (or zero)."""
        places, signs = self._scatter(_mixed(hashes ^ salt))
        counts = np.zeros(self.dimension)
        np.add.at(counts, places, signs)
        length = math.sqrt(float(counts @ counts))
        return counts / length if length else counts


def similarity_weight(cosine: float, floor: float) -> int:
    """Return a cosine as an integer weight: 0 up to the floor, SIMILARITY_SCALE for 1."""
    share = (cosine - floor) / (1.0 - floor)
    return round(SIMILARITY_SCALE * min(1.0, max(0.0, share)))


def cell_similarity(space: ContextSpace, *, floor: float = SPACE_FLOOR) -> npt.NDArray[np.float64]:
    """Return the weight of every cell of a space for every other.

    Parameters
    ----------
    space : ContextSpace
        Of C cells.
    floor : float (< 1)
        Cosine below which cells are strangers.

    Returns
    -------
    ndarray of float64, shape (C, C)
        Integers 0..SIMILARITY_SCALE, symmetric, SIMILARITY_SCALE on the diagonal:
        round(SIMILARITY_SCALE · max(0, (cosine - floor) / (1 - floor))), where cosine is the mean
        over the features of cos(π/2 · distance of the bins' positions).

    Raises
    ------
    ValueError
        If the space has more cells than can be compared pair by pair.
    """
    count = space.cell_count
    if count > _MOST_CELLS:
        raise ValueError(
            f"{count} cells: at most {_MOST_CELLS} are compared; declare fewer features or bins"
        )
    bins = np.array([space.bins(cell) for cell in range(count)], dtype=np.intp)
    total = np.zeros((count, count))
    for at, feature in enumerate(space.features):
        steps = len(feature.edges)
        # By distance, one scalar cosine each: no vector kernel whose last bits might differ.
        table = np.array([math.cos(0.5 * math.pi * d / max(1, steps)) for d in range(steps + 1)])
        total += table[np.abs(bins[:, None, at] - bins[None, :, at])]
    cosine = np.round(total / max(1, len(space.features)), 9)
    return np.asarray(np.rint(SIMILARITY_SCALE * np.maximum(0.0, (cosine - floor) / (1.0 - floor))))
