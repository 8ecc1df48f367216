"""Nearest vectors by cosine, behind any filter.

Above: the catalogue of contexts. Below: ``vector_file``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.vector_file import FileVectors, RamVectors

__all__ = ["Found", "VectorIndex"]

Matrix = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
#: Rows, best first, and their cosines.
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

#: Cosines are rounded to this many decimals; float32's error on a sum of 1,024 is below it.
_DECIMALS = 6
#: Where a mask keeps fewer than one row in this many, its rows are gathered; else all are scanned.
_GATHER_SHARE = 6


class VectorIndex:
    """Vectors of length one by dense row number, searched by cosine."""

    def __init__(self, dimension: int, folder: Path | None = None, *, writer: bool = True) -> None:
        self.dimension = dimension
        self._vectors: RamVectors | FileVectors
        if folder is None:
            self._vectors = RamVectors(dimension)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._vectors = FileVectors(folder / "vectors.f32", dimension, 0, writer=writer)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._vectors)

    def add(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(
                f"vectors of shape {vectors.shape} where rows of {self.dimension} are held"
            )
        return self._vectors.append(vectors)

    def vectors(self, rows: npt.NDArray[np.int64] | Sequence[int]) -> Matrix:
        """Return a copy of some rows' vectors."""
        return self._vectors.take(np.asarray(rows, dtype=np.int64))

    def search(
        self, query: Matrix, count: int, mask: Mask | None = None, *, exact: bool = False
    ) -> Found:
        """Return the nearest rows, best first, ties by row number."""
        total = len(self._vectors)
        kept = total if mask is None else int(np.count_nonzero(mask))
        if count < 1 or kept == 0:
            return np.empty(0, dtype=np.int64), np.empty(0)
        if kept <= max(64, count) or kept * _GATHER_SHARE < total:
            return self._among(query, np.flatnonzero(mask) if mask is not None else None, count)
        scores = np.empty(total, dtype=np.float32)
        for start, block in self._vectors.blocks():
            np.matmul(block, query, out=scores[start : start + len(block)])
        if mask is not None:
            scores = np.where(mask, scores, np.float32(-np.inf))
        return self._rescored(query, self._shortlist(scores, count), count)

    def search_many(self, queries: Matrix, count: int, mask: Mask | None = None) -> list[Found]:
        """Return the nearest rows of each query, as ``search`` does."""
        return [self.search(query, count, mask) for query in queries]

    def describe(self) -> dict[str, Any]:
        """Return what the index is and what it holds."""
        return {
            "kind": "exact",
            "rows": len(self),
            "resident_bytes": self._vectors.resident_bytes,
        }

    def _among(self, query: Matrix, rows: npt.NDArray[np.int64] | None, count: int) -> Found:
        """Return the nearest of some rows, reading each of them."""
        if rows is None:
            rows = np.arange(len(self._vectors))
        if len(rows) > max(64, 2 * count):
            scores = np.concatenate(
                [
                    self._vectors.take(rows[at : at + 4_096]) @ query
                    for at in range(0, len(rows), 4_096)
                ]
            )
            rows = rows[self._shortlist(scores, count)]
        return self._rescored(query, rows, count)

    def _shortlist(self, scores: Matrix, count: int) -> npt.NDArray[np.int64]:
        """Return every place that may be among the best when scored exactly."""
        if len(scores) <= count:
            return np.flatnonzero(scores > -np.inf)
        best = float(np.partition(scores, len(scores) - count)[len(scores) - count])
        # The error of a float32 sum of n products of unit vectors is at most n·2^-24 on each side.
        slack = 2.0 * self.dimension * 2.0**-24 + 2.0 * 10.0**-_DECIMALS
        return np.flatnonzero(scores >= best - slack if best > -np.inf else scores > best)

    def _rescored(self, query: Matrix, rows: npt.NDArray[np.int64], count: int) -> Found:
        # One sum along each row, whose order does not depend on how many rows there are.
        products = np.multiply(self._vectors.take(rows), query, dtype=np.float64)
        cosines = np.round(products.sum(axis=1), _DECIMALS)
        order = np.lexsort((rows, -cosines))[:count]
        return rows[order], cosines[order]
