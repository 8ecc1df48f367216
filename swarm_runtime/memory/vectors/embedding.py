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
* A text: what it is made of, hashed (``text_hashing``), or what a sentence model makes of it
  (``sentences``).

What isn't declared is hashed into the coordinates behind the declared ones. Vectors do not depend
on the process, nor on which contexts are embedded together: hashes are keyed by nothing, and the
sums of one context never meet those of another.

``cell_similarity`` is the same geometry for all pairs of cells of a declared space at once, as the
integer weights in which statistics are read. Agents' replicas and the bank use this one kernel.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.choice.ranking import SIMILARITY_SCALE
from swarm_runtime.memory.records.contexts import ContextReader, number_place
from swarm_runtime.memory.records.pattern import ContextSpace
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.vectors.text_hashing import hashed_texts, lengths_of, mixed, scattered

__all__ = [
    "OPEN_FLOOR",
    "SMALLEST_HASHED",
    "SPACE_FLOOR",
    "Embedder",
    "TextParts",
    "cell_similarity",
    "similarity_weight",
]

Vector = npt.NDArray[np.float32]
#: Vectors of length one of a feature's texts: (feature, texts, first coordinate that is theirs,
#: dimension) to float64 of shape (len(texts), dimension).
TextParts = Callable[[str, Sequence[str], int, int], npt.NDArray[np.float64]]

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
#: Contexts that are embedded at once: their sums fit into the processor's cache.
_BATCH = 64


class Embedder:
    """Turns contexts into vectors of length one.

    Parameters
    ----------
    dimension : int
        Length of the vectors: at least 64 more than twice the number of declared features.
    space : ContextSpace or None
        Features with declared bins.
    texts : callable
        What makes vectors of texts.

    Raises
    ------
    ValueError
        If the dimension is too small.
    """

    #: Changes whenever vectors do.
    name = "hashed-ngrams-1"

    def __init__(
        self,
        dimension: int = 1024,
        space: ContextSpace | None = None,
        *,
        texts: TextParts = hashed_texts,
    ) -> None:
        names = [feature.name for feature in space.features] if space else []
        if dimension < 2 * len(names) + SMALLEST_HASHED:
            raise ValueError(
                f"dimension = {dimension}: at least {2 * len(names) + SMALLEST_HASHED} are needed"
                f" for {len(names)} declared features"
            )
        self.dimension = dimension
        self._texts = texts
        self._reader = ContextReader(space)
        self._slots = {name: 2 * at for at, name in enumerate(names)}
        self._offset = 2 * len(names)
        self._places = functools.lru_cache(maxsize=4_096)(self._hashed_places)
        self._number = functools.lru_cache(maxsize=4_096)(self._number_part)

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
        return np.asarray(self._embedded([context])[0])

    def embed_many(self, contexts: Sequence[Context]) -> Vector:
        """Return the vectors of many contexts, each to the bit what ``embed`` returns.

        Parameters
        ----------
        contexts : sequence of mapping of str to float or str

        Returns
        -------
        ndarray of float32, shape (len(contexts), dimension)
        """
        vectors = np.empty((len(contexts), self.dimension), dtype=np.float32)
        for start in range(0, len(contexts), _BATCH):
            some = contexts[start : start + _BATCH]
            vectors[start : start + len(some)] = self._embedded(some)
        return vectors

    def _embedded(self, contexts: Sequence[Context]) -> Vector:
        total = np.zeros((len(contexts), self.dimension))
        # Parts are summed in the order of names, whichever features the others have.
        for name in sorted(set().union(*contexts)):
            texts: list[tuple[int, str]] = []
            for row, context in enumerate(contexts):
                value = context.get(name)
                if isinstance(value, str):
                    texts.append((row, value))
                elif value is not None:
                    self._add_number(total[row], name, value)
            if not texts:
                continue
            parts = self._texts(name, [text for _, text in texts], self._offset, self.dimension)
            if len(texts) == len(contexts):
                total += parts
            else:
                total[[row for row, _ in texts]] += parts
        lengths = lengths_of(total)
        if not lengths.all():
            # No feature (or, in theory, features that cancel out): a place of its own.
            empty = np.flatnonzero(lengths == 0.0)
            total[empty, -1] = lengths[empty] = 1.0
        return (total / lengths[:, None]).astype(np.float32)

    def _add_number(self, total: npt.NDArray[np.float64], name: str, value: float) -> None:
        position = self._reader.position(name, value)
        if position is None:
            np.add.at(total, self._places(name)[0], self._number(name, value))
            return
        slot = self._slots[name]
        total[slot] += math.cos(0.5 * math.pi * position)
        total[slot + 1] += math.sin(0.5 * math.pi * position)

    def _number_part(self, name: str, value: float) -> npt.NDArray[np.float64]:
        """Return what an undeclared number adds to each of its coordinates."""
        at = number_place(value)
        waves: list[float] = []
        for frequency in _FREQUENCIES:
            waves += (math.cos(frequency * at), math.sin(frequency * at))
        return np.asarray(self._places(name)[1] * np.array(waves) / math.sqrt(len(_FREQUENCIES)))

    def _hashed_places(self, name: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return the coordinates and signs of an undeclared number."""
        salt = np.uint64(zlib.crc32(f"number {name}".encode()) + 1)
        counter = np.arange(1, 2 * len(_FREQUENCIES) + 1, dtype=np.uint64)
        return scattered(
            mixed(counter * np.uint64(0x9E3779B97F4A7C15) + salt), self._offset, self.dimension
        )


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
