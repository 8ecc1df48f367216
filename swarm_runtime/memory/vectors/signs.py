"""Signs of rotated vectors: one bit a coordinate, compared by counting the bits that differ.

A vector is rotated at random, always in the same way, and of each coordinate only its sign is
kept: 128 bytes of 4,096 for 1,024 coordinates. Two vectors at an angle θ differ in θ/π of the signs
on average (Charikar, STOC 2002), so the nearest by bits are proposed, and then told apart by the
signs against the query's full coordinates (the estimate of RaBitQ, Gao & Long, SIGMOD 2024,
without its correction). Nothing is trained, so nothing goes stale: a vector that is added tomorrow
from another part of the space is found as well as the first one, and any filter is as good as none.

FAISS counts the bits (``knn_hamming``), 5 ns a vector, limited by how fast memory is read. So
beyond ``_HEAD_ROWS`` the first half of the signs is read of all vectors, the rest of those that
are left. Above: ``vector_index``.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.vectors.file import Matrix, Rows

__all__ = ["Codes", "Mask", "Proposed", "SignCodes", "Widths", "inner_products"]

faiss.omp_set_num_threads(1)

Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

#: Signs that are kept at least; vectors of fewer coordinates have several signs for each.
_FEWEST_BITS = 1_024
#: Sides of the blocks that a rotation is made of: this one, and bits / this one.
_SIDE = 32
#: Reading half of the signs of so many saves more time than it costs.
_HEAD_ROWS = 200_000
#: Where a mask keeps more than one row in so many, all are searched, and what is not kept dropped.
_SPARSE = 6
#: Heads that tell how far the nearest ones are.
_SAMPLE_ROWS = 4_096
#: How many times as many as it should take.
_SPARE = 1.3
#: Rows whose codes are copied at once, for a mask.
_CHUNK = 16_384
#: The signs of every byte, 0 or 1, lowest bit first.
_BITS_OF_BYTE = np.unpackbits(
    np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"
).astype(np.float32)


class Widths(NamedTuple):
    """How many vectors each step leaves to the next one.

    Attributes
    ----------
    heads : int
        After the first half of the signs, where there are so many vectors that it is read alone.
    signs : int
        After all signs.
    full : int
        After the signs against the query's full coordinates.
    """

    heads: int = 12_288
    signs: int = 512
    full: int = 128

    def at_least(self, count: int) -> Widths:
        """Return widths that also leave enough to find so many."""
        return Widths(
            max(self.heads, 384 * count), max(self.signs, 24 * count), max(self.full, 6 * count)
        )

    def times(self, factor: int) -> Widths:
        """Return these widths, all multiplied."""
        return Widths(self.heads * factor, self.signs * factor, self.full * factor)


@functools.cache
def _rotation(bits: int) -> list[tuple[Matrix, Matrix, Matrix]]:
    """Return two rounds of (signs, mixing of short rows, mixing of long rows)."""
    draw = np.random.Generator(np.random.Philox(key=bits))

    def orthogonal(side: int) -> Matrix:
        basis, triangle = np.linalg.qr(draw.standard_normal((side, side)))
        return np.asarray(basis * np.sign(np.diag(triangle)), dtype=np.float32)

    return [
        (
            np.where(draw.random(bits) < 0.5, -1.0, 1.0).astype(np.float32),
            orthogonal(bits // _SIDE),
            orthogonal(_SIDE),
        )
        for _ in range(2)
    ]


class Proposed(NamedTuple):
    """Rows that are likely to be nearest, and how far the signs looked for them.

    Attributes
    ----------
    rows : ndarray of int64
        In no order.
    steps : tuple of (int, int)
        For each step that left rows out: of how many signs it knew, and in how many of them a row
        could differ and still be taken.
    """

    rows: Rows
    steps: tuple[tuple[int, int], ...]

    def chance(self, cosines: npt.NDArray[np.floating[Any]]) -> float:
        """Return the mean probability that rows with these cosines would have been proposed.

        The signs in which two vectors at an angle θ differ are nearly binomial with p = θ/π. Where
        the cosines are those of the best that were found, this is about the share of the truly best
        that was: on a million sentences 0.88 where it says 0.8 to 0.85, 0.95 where it says 0.9 to
        0.95, 0.99 above.
        """
        apart = np.arccos(np.clip(cosines, -1.0, 1.0)) / np.pi
        chance = np.ones(len(apart))
        for signs, most in self.steps:
            spread = np.sqrt(signs * apart * (1.0 - apart)) + 1e-9
            # The logistic function stands for the normal one, from which it differs by 0.01.
            standard = np.clip((most + 0.5 - signs * apart) / spread, -20.0, 20.0)
            # What all signs say contains what half of them said: the less likely step counts.
            chance = np.minimum(chance, 1.0 / (1.0 + np.exp(-1.702 * standard)))
        return float(chance.mean()) if len(chance) else 1.0


class SignCodes:
    """The signs of rows 0..n-1.

    Parameters
    ----------
    dimension : int
        Of the vectors.
    head_rows : int
        From so many rows on, half of the signs sorts out most of them.
    """

    def __init__(self, dimension: int, head_rows: int = _HEAD_ROWS) -> None:
        self._dimension = dimension
        self._head_rows = head_rows
        #: A multiple of 128, so that a half of the signs is words of 64.
        self.bits = max(_FEWEST_BITS, -(-dimension // 128) * 128)
        self.code_bytes = self.bits // 8
        self._head_bytes = self.code_bytes // 2
        self._codes: Codes = np.empty((0, self.code_bytes), dtype=np.uint8)
        self._heads: Codes = np.empty((0, self._head_bytes), dtype=np.uint8)
        self._count = 0
        #: Count of rows, some of them, and their heads in words of 64 bits.
        self._sample: tuple[int, Rows, npt.NDArray[np.uint64]] | None = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    @property
    def codes(self) -> Codes:
        """The signs of all rows, eight to a byte."""
        return self._codes[: self._count]

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that the signs take."""
        return self._codes.nbytes + self._heads.nbytes

    def add(self, vectors: Matrix) -> None:
        """Keep the signs of more vectors."""
        self.restore(np.packbits(self._rotated(vectors) > 0.0, axis=1, bitorder="little"))

    def restore(self, codes: Codes) -> None:
        """Keep signs that were kept before."""
        first = self._count if len(self._heads) else 0
        self._codes = _grown(self._codes, self._count, codes)
        self._count += len(codes)
        if self._count > self._head_rows:
            new = self._codes[first : self._count, : self._head_bytes]
            self._heads = _grown(self._heads, first, new)

    def frozen(self) -> SignCodes:
        """Return the rows that are here now, for another thread: they share their memory."""
        return copy.copy(self)

    def nearest(self, query: Matrix, widths: Widths, mask: Mask | None = None) -> Proposed:
        """Return the rows that are likely to be nearest.

        Parameters
        ----------
        query : ndarray of float32, shape (dimension,)
        widths : Widths
        mask : ndarray of bool, shape (n,), or None
            Which rows may be found. However few it keeps, as many of those are.

        Returns
        -------
        Proposed
            At most ``widths.full`` rows.
        """
        rotated = self._rotated(query[None, :])[0]
        code = np.packbits(rotated > 0.0, bitorder="little")[None, :]
        if mask is None:
            found = self._among_all(code, widths, None, 1.0)
        else:
            found = self._among_kept(code, widths, mask)
        rows = found.rows
        if len(rows) <= widths.full:
            return found
        # What each byte of a code says about the cosine, so that scoring is looking up and adding.
        said = (rotated.reshape(-1, 8) @ _BITS_OF_BYTE.T).ravel()
        places = self._codes.take(rows, axis=0) + np.arange(0, said.size, 256, dtype=np.int32)
        scores = said.take(places).sum(axis=1)
        best = np.argpartition(scores, -widths.full)[-widths.full :]
        return Proposed(rows[best], found.steps)

    def _among_all(self, code: Codes, widths: Widths, mask: Mask | None, share: float) -> Proposed:
        """Return the nearest of all rows by their signs, those that a mask drops left out."""
        if self._count <= self._head_rows:
            wanted = widths.signs if mask is None else round(_SPARE * widths.signs / share)
            rows, differing = _nearest(code, self.codes, wanted)
            if mask is not None:
                kept = np.flatnonzero(mask[rows])[: widths.signs]
                rows, differing = rows[kept], differing[kept]
            return Proposed(rows, self._step(differing))
        head = code[:, : self._head_bytes]
        radius = self._radius(head, widths.heads, mask)
        near = _within(head, self._heads[: self._count], radius)
        if mask is not None:
            near = near[mask[near]]
        elif len(near) < widths.signs:
            # The sample misled: there are fewer.
            rows, differing = _nearest(code, self.codes, widths.signs)
            return Proposed(rows, self._step(differing))
        places, differing = _nearest(code, self._codes.take(near, axis=0), widths.signs)
        return Proposed(near[places], ((self.bits // 2, radius), *self._step(differing)))

    def _step(self, differing: npt.NDArray[np.int32]) -> tuple[tuple[int, int], ...]:
        return ((self.bits, int(differing.max())),) if len(differing) else ()

    def _radius(self, head: Codes, wanted: int, mask: Mask | None) -> int:
        """Return in how many bits so many heads differ, estimated from a sample."""
        if self._sample is None or self._sample[0] != self._count:
            # At random: rows that were added in turns must not be sampled in turns.
            draw = np.random.Generator(np.random.Philox(key=self._count))
            rows = draw.integers(0, self._count, _SAMPLE_ROWS)
            self._sample = (self._count, rows, self._heads.take(rows, axis=0).view(np.uint64))
        _, rows, heads = self._sample
        differing = np.bitwise_count(heads ^ head.view(np.uint64)).sum(axis=1, dtype=np.int16)
        if mask is not None:
            differing = differing[mask[rows]]
        place = min(len(differing) - 1, round(_SPARE * wanted * _SAMPLE_ROWS / self._count))
        return int(np.partition(differing, place)[place])

    def _among_kept(self, code: Codes, widths: Widths, mask: Mask) -> Proposed:
        kept = int(np.count_nonzero(mask))
        if kept * _SPARSE > self._count:
            found = self._among_all(code, widths, mask, kept / self._count)
            if len(found.rows) >= min(widths.signs, kept):
                return found
        # Too few of those that are near are kept: look at those that are kept, and nothing else.
        rows = np.flatnonzero(mask)
        if kept <= widths.signs:
            return Proposed(rows, ())
        near: list[Rows] = []
        differing: list[npt.NDArray[np.int32]] = []
        for start in range(0, kept, _CHUNK):
            chunk = rows[start : start + _CHUNK]
            places, by = _nearest(code, self._codes.take(chunk, axis=0), widths.signs)
            near.append(chunk[places])
            differing.append(by)
        rows, by = np.concatenate(near), np.concatenate(differing)
        best = np.argpartition(by, widths.signs - 1)[: widths.signs]
        return Proposed(rows[best], self._step(by[best]))

    def _rotated(self, vectors: Matrix) -> Matrix:
        count = len(vectors)
        rotated = np.zeros((count, self.bits), dtype=np.float32)
        rotated[:, : self._dimension] = vectors
        side = self.bits // _SIDE
        for signs, short, long in _rotation(self.bits):
            rotated *= signs
            mixed = (rotated.reshape(-1, side) @ short).reshape(count, _SIDE, side)
            turned = np.ascontiguousarray(mixed.transpose(0, 2, 1)).reshape(-1, _SIDE) @ long
            rotated = turned.reshape(count, self.bits)
        return rotated


def _nearest(code: Codes, codes: Codes, count: int) -> tuple[Rows, npt.NDArray[np.int32]]:
    """Return the places of the nearest codes, and how many bits differ."""
    code = np.ascontiguousarray(code)
    distances, places = faiss.knn_hamming(code, codes, min(count, len(codes)), variant="mc")
    return places[0], distances[0]


def _within(code: Codes, codes: Codes, radius: int) -> Rows:
    """Return the places, in order, of the codes that differ in at most so many bits."""
    code = np.ascontiguousarray(code)
    found = faiss.RangeSearchResult(1)
    faiss.hamming_range_search(  # type: ignore[attr-defined] # not in FAISS's stubs
        faiss.swig_ptr(code), faiss.swig_ptr(codes), 1, len(codes), radius + 1,
        codes.shape[1], found,
    )  # fmt: skip
    count = int(faiss.rev_swig_ptr(found.lims, 2)[1])
    return np.asarray(faiss.rev_swig_ptr(found.labels, count), dtype=np.int64).copy()


def _grown(held: Codes, count: int, new: Codes) -> Codes:
    """Return an array that begins with the first rows held and goes on with new ones."""
    if count + len(new) > len(held):
        larger = np.empty((max(count + len(new), count * 5 // 4), new.shape[1]), dtype=np.uint8)
        larger[:count] = held[:count]
        held = larger
    held[count : count + len(new)] = new
    return held


def inner_products(
    rows: npt.NDArray[np.float32], query: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the scalar product of each row with a query, on this thread alone.

    A BLAS shares even small products among its threads, and where the cores are busy it waits for
    them a hundred times as long as the product takes.

    Parameters
    ----------
    rows : ndarray of float32, shape (m, d)
    query : ndarray of float32, shape (d,)
    """
    whole = np.ascontiguousarray(rows, dtype=np.float32)
    asked = np.ascontiguousarray(query, dtype=np.float32)
    scores = np.empty(len(whole), dtype=np.float32)
    if len(whole):
        faiss.fvec_inner_products_ny(  # type: ignore[attr-defined]
            faiss.swig_ptr(scores),
            faiss.swig_ptr(asked),
            faiss.swig_ptr(whole),
            whole.shape[1],
            len(whole),
        )
    return scores
