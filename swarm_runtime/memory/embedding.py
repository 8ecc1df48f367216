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
from collections.abc import Sequence

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
_RUN_LENGTHS_COLUMN = np.array(_RUN_LENGTHS, dtype=np.uint64)[:, None]
#: What words and runs are multiplied by.
_SHARES = np.sqrt(np.array([_WORD_SHARE, 1.0 - _WORD_SHARE]))[:, None, None]
#: For each byte of a run, the first of the lengths that still take one.
_UNFINISHED = tuple(sum(n <= at for n in _RUN_LENGTHS) for at in range(_RUN_LENGTHS[-1]))
#: Contexts that are embedded at once: their sums fit into the processor's cache.
_BATCH = 64


def _mixed(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return hashes whose every bit depends on every bit (the finaliser of splitmix64)."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def _word_hashes(text: bytes) -> list[int]:
    """Return a hash of each word and each pair of words."""
    words = text.split(b" ") if text else []
    hashes = [zlib.crc32(word) for word in words]
    # A checksum can be carried on, so a pair costs its second word only.
    pairs = [zlib.crc32(b" " + words[at], hashes[at - 1]) for at in range(1, len(words))]
    return hashes + pairs


def _run_hashes(texts: bytes) -> npt.NDArray[np.uint64]:
    """Return a hash (FNV-1a) of each run of bytes: one row for each length, by first byte.

    Where the bytes end before the run does, the hash means nothing.
    """
    padded = np.frombuffer(texts + bytes(_RUN_LENGTHS[-1]), dtype=np.uint8).astype(np.uint64)
    hashes = np.empty((len(_RUN_LENGTHS), len(texts)), dtype=np.uint64)
    hashes[:] = _RUN_LENGTHS_COLUMN
    for offset, first in enumerate(_UNFINISHED):
        unfinished = hashes[first:]
        unfinished ^= padded[offset : offset + len(texts)]
        unfinished *= _PRIME
    return hashes


def _lengths(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the length of each row; one scalar product each, so others' rows don't matter."""
    return np.array([math.sqrt(float(row @ row)) for row in rows])


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

    #: Changes whenever vectors do.
    name = "hashed-ngrams-1"

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
            if len(texts) == len(contexts):
                total += self._texts(name, [text for _, text in texts])
            elif texts:
                total[[row for row, _ in texts]] += self._texts(name, [text for _, text in texts])
        lengths = _lengths(total)
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
        return self._scatter(_mixed(counter * np.uint64(0x9E3779B97F4A7C15) + salt))

    def _scatter(
        self, hashes: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        hashed = np.uint64(self.dimension - self._offset)
        places = (hashes % hashed).astype(np.intp) + self._offset
        return places, np.where(hashes >> np.uint64(63), 1.0, -1.0)

    def _texts(self, name: str, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the part of length one of each text, as rows."""
        salt = (zlib.crc32(f"text {name}".encode()) + 1) << 32 & 0xFFFFFFFFFFFFFFFF
        count, size = len(texts), self.dimension
        normal = [normal_text(text).encode() for text in texts]
        words = [_word_hashes(text) for text in normal]
        # With a space before and after it, so that a text's first and last bytes have runs too.
        lengths = [len(text) + 2 for text in normal]
        runs = _run_hashes(b" %b " % b"  ".join(normal))
        left = np.concatenate([np.arange(length, 0, -1) for length in lengths])
        whole = left >= _RUN_LENGTHS_COLUMN
        of_words = np.array(list(itertools.chain(*words)), dtype=np.uint64)
        hashes = np.concatenate([of_words ^ np.uint64(salt), runs[whole] ^ np.uint64(salt + 1)])
        places, signs = self._scatter(_mixed(hashes))
        # Counts of all texts' words first, then of all texts' runs.
        places[len(of_words) :] += count * size
        if count > 1:
            rows = np.arange(0, count * size, size)
            row_of_run = np.broadcast_to(np.repeat(rows, lengths), runs.shape)[whole]
            places += np.concatenate([np.repeat(rows, [len(some) for some in words]), row_of_run])
        counts = np.bincount(places, signs, minlength=2 * count * size)
        parts = counts.astype(np.float64, copy=False).reshape(2, count, size)
        squares = np.einsum("kij,kij->ki", parts, parts)  # exact: sums of whole numbers
        squares[squares == 0.0] = 1.0
        parts /= np.sqrt(squares)[:, :, None]
        parts *= _SHARES
        total = parts[0]
        total += parts[1]
        scale = _lengths(total)
        if not scale.all():
            # An empty text is a text too: equal to other empty ones, unlike all others.
            place, sign = self._scatter(_mixed(np.array([salt + 2], dtype=np.uint64)))
            empty = np.flatnonzero(scale == 0.0)
            total[empty, place], scale[empty] = sign, 1.0
        return np.asarray(total / scale[:, None])


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
