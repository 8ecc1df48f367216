"""Nearest vectors by cosine: exact while that is fastest, then approximate, right behind any mask.

Rows are dense numbers in the order of adding. Rows are never taken away: deletion and filters are
masks, which say which rows may be found, and however few they keep, the best of those are found.

* Up to ``exact_rows``, and whenever ``exact=True``: every vector is scored in float32, and all that
  may be among the best, given float32's error, are scored again in float64, rounded, and ordered by
  (cosine, row). So the answer is a function of the vectors alone, whatever the processor.
* Above, the signs of rotated vectors (``vector_signs``) propose a few hundred rows, more where that
  may not be enough (``vector_guard``), which are then scored in the same way. Vectors that are too
  new to have signs are all scored. Nothing is trained; a recall guard measures what is found, anew
  when the index has doubled, in a thread of its own, and has more proposed if it must.
* Where a mask keeps few rows, those are scored, and nothing is proposed.

In a folder, the vectors lie in a file and memory holds their signs (1/32 of them). ``snapshot``
makes what was added durable; ``open`` takes the last snapshot, checks it, and starts anew with
what can't be trusted. One process may write, others read what the last snapshot had and keep what
they add in memory. Files are named after a *generation*, the caller's name for one numbering of
rows, so an index of another one is never mistaken for this one, and readers keep theirs.

One thread owns an index. Importing ``vector_signs`` limits FAISS to one thread in the thread that
does so: queries are small, and agents share the cores.

Above: ``catalogue``, ``shelf``. Below: ``vector_file``, ``vector_signs``, ``vector_guard``,
``vector_snapshot``.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.vectors.file import FileVectors, Matrix, RamVectors, Rows
from swarm_runtime.memory.vectors.guard import Guarded, guarded, proposed
from swarm_runtime.memory.vectors.signs import Mask, SignCodes, inner_products
from swarm_runtime.memory.vectors.snapshot import SnapshotFolder

__all__ = ["EXACT_ROWS", "Found", "VectorIndex"]

#: Rows, best first, and their cosines.
Found = tuple[Rows, npt.NDArray[np.float64]]

#: Up to so many rows, scoring all of them is as fast as proposing some.
EXACT_ROWS = 4_096
#: Recall@10 that the guard asks for.
RECALL_TARGET = 0.97
#: New rows that wait for their signs: so many are signed in one go, and scored until then.
_UNSIGNED_ROWS = 1_024
#: Cosines are rounded to this many decimals.
_DECIMALS = 6
#: Where a mask keeps at most so many rows, they are scored.
_FEW_ROWS = 256
#: Where a mask keeps fewer than one row in this many, an exact search reads only those.
_SPARSE = 6
#: Rows that are read at once for that.
_CHUNK = 1_024


class VectorIndex:
    """Vectors of length one by row number, searched by cosine.

    Parameters
    ----------
    dimension : int
    folder : Path or None
        Where the vectors and snapshots are, made if it is missing; this index is new, and what was
        there is replaced (``open`` takes it up). None: everything is in memory.
    generation : str
        Name of this numbering of rows: letters, digits, "-" and "_".
    exact_rows : int
        Up to so many rows, search is exact.
    recall_target : float
        Recall@10 that the guard asks for.
    background : bool
        Whether the guard measures in a thread of its own (see ``settle``).

    Raises
    ------
    StoreError
        If another process writes in this folder.
    """

    def __init__(
        self,
        dimension: int,
        folder: Path | None = None,
        *,
        generation: str = "0",
        exact_rows: int = EXACT_ROWS,
        recall_target: float = RECALL_TARGET,
        background: bool = True,
    ) -> None:
        self.dimension = dimension
        self._exact_rows = exact_rows
        self._recall_target = recall_target
        self._background = background
        self._codes = SignCodes(dimension)
        self._guarded: Guarded | None = None
        self._measuring: threading.Thread | None = None
        self._stopped = threading.Event()
        self._opened = "new"
        self._folder: SnapshotFolder | None = None
        self._vectors: RamVectors | FileVectors = RamVectors(dimension)
        if folder is not None:
            self._folder = SnapshotFolder(folder, dimension, generation, writer=True)
            self._vectors = FileVectors(self._folder.start(), dimension, writer=True, released=0)

    @classmethod
    def open(
        cls,
        folder: Path,
        dimension: int,
        *,
        generation: str = "0",
        rows: int | None = None,
        writer: bool = True,
        exact_rows: int = EXACT_ROWS,
        recall_target: float = RECALL_TARGET,
        background: bool = True,
    ) -> Self:
        """Take up the last snapshot in a folder, or start anew where there is none to trust.

        Parameters
        ----------
        folder, dimension, generation, exact_rows, recall_target, background : see the class
        rows : int or None
            How many rows are wanted, at most: those that the caller's own snapshot knows.
        writer : bool
            Whether what is added is written. At most one process at a time may; others have what
            the last snapshot had, and keep what they add in memory.

        Returns
        -------
        VectorIndex
            With as many rows as could be trusted, none if the snapshot is torn, cut off, or of
            another generation or dimension (``describe()["opened"]`` says which): the caller adds
            what is missing.

        Raises
        ------
        StoreError
            If this is to write and another process does.
        """
        index = cls(
            dimension,
            exact_rows=exact_rows,
            recall_target=recall_target,
            background=background,
        )
        found = SnapshotFolder(folder, dimension, generation, writer=writer)
        index._folder = found if writer else None
        snapshot = found.load(rows)
        index._opened = found.note
        if snapshot is None:
            if writer:
                index._vectors = FileVectors(found.start(), dimension, writer=True, released=0)
            return index
        index._codes.restore(snapshot.codes)
        index._guarded = snapshot.guarded
        index._vectors = FileVectors(
            snapshot.file, dimension, writer=writer, released=len(snapshot.codes)
        )
        index._sign()
        return index

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._vectors)

    def __enter__(self) -> Self:
        """Return the index, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the index."""
        self.close()

    def add(self, vectors: Matrix) -> int:
        """Add rows.

        Parameters
        ----------
        vectors : ndarray of float32, shape (m, dimension)
            Each of length one.

        Returns
        -------
        int
            The first one's number; the others follow it.

        Raises
        ------
        ValueError
            If the shape is another; then nothing was added.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(
                f"vectors of shape {vectors.shape} where rows of {self.dimension} are held"
            )
        first = self._vectors.append(np.asarray(vectors, dtype=np.float32))
        self._sign()
        return first

    def vectors(self, rows: Rows | Sequence[int]) -> Matrix:
        """Return a copy of some rows' vectors, float32 of shape (len(rows), dimension)."""
        return self._vectors.take(np.asarray(rows, dtype=np.int64))

    def search(
        self,
        query: Matrix,
        count: int,
        mask: Mask | None = None,
        *,
        exact: bool = False,
        floor: float = -1.0,
    ) -> Found:
        """Return the nearest rows.

        Parameters
        ----------
        query : ndarray of float32, shape (dimension,)
            Of length one.
        count : int (>= 1)
            How many are wanted; there are fewer only if no more are kept.
        mask : ndarray of bool, shape (n,), or None
            Which rows may be found; None: all.
        exact : bool
            Whether the answer must be the exact one, however many rows there are.
        floor : float
            Cosine below which it doesn't matter what is found: no time is spent on it.

        Returns
        -------
        rows : ndarray of int64
            Best first, ties by number.
        cosines : ndarray of float64
            Rounded to six decimals.

        Raises
        ------
        ValueError
            If the query or the mask has another shape.
        """
        total = len(self._vectors)
        if query.shape != (self.dimension,):
            raise ValueError(f"a query of shape {query.shape}, not {(self.dimension,)}")
        if mask is not None and mask.shape != (total,):
            raise ValueError(f"a mask of shape {mask.shape} for {total} rows")
        kept = total if mask is None else int(np.count_nonzero(mask))
        if kept == 0 or count < 1:
            return np.empty(0, dtype=np.int64), np.empty(0)
        if kept <= max(_FEW_ROWS, count):
            rows = np.arange(total) if mask is None else np.flatnonzero(mask)
            return self._best(query, rows, self._vectors.take(rows), count)
        if exact or not len(self._codes):
            rows = self._shortlist_of_all(query, count, mask, kept)
            return self._best(query, rows, self._vectors.take(rows), count)
        return self._likely_best(query, count, mask, floor)

    def search_many(
        self,
        queries: Matrix,
        count: int,
        mask: Mask | None = None,
        *,
        exact: bool = False,
        floor: float = -1.0,
    ) -> list[Found]:
        """Return what ``search`` returns for each query, whatever the others are."""
        return [self.search(query, count, mask, exact=exact, floor=floor) for query in queries]

    def settle(self) -> None:
        """Return when the guard has measured what is to be measured."""
        while self._measuring is not None:
            self._measuring.join()
            self._measuring = None
            self._measure()

    def snapshot(self) -> None:
        """Make what was added durable, so that ``open`` finds it. Only who writes can.

        Raises
        ------
        ValueError
            If the index is in memory, or only reads.
        OSError
            If the disk is full or fails; then the last snapshot stays what it was.
        """
        if self._folder is None:
            raise ValueError("only an index that writes in a folder has snapshots")
        self._folder.save(self._codes.codes, self._guarded)

    def verify(self) -> list[str]:
        """Read everything that lies in files and return what is not as it was written."""
        file = self._vectors.file if isinstance(self._vectors, FileVectors) else None
        return [] if file is None else [f"{file.path}: block {block}" for block in file.broken()]

    def describe(self) -> dict[str, Any]:
        """Return what the index is and what it holds.

        Returns
        -------
        dict
            ``kind`` ("exact" or "approximate"), ``rows``, ``signed_rows``, ``recall_at_10`` with
            ``recall_rows`` and ``recall_target`` (None, 0: not measured yet), ``widening``,
            ``resident_bytes`` (of vectors and signs), ``disk_bytes``, ``opened`` (what became of
            the snapshot).
        """
        guard = self._guarded
        disk = 0
        if isinstance(self._vectors, FileVectors):
            file = self._vectors.file
            disk = file.rows * file.row_bytes + len(self._codes) * self._codes.code_bytes
        return {
            "kind": "approximate" if len(self._codes) else "exact",
            "rows": len(self),
            "signed_rows": len(self._codes),
            "recall_at_10": guard.recall if guard else None,
            "recall_rows": guard.rows if guard else 0,
            "recall_target": self._recall_target,
            "widening": guard.factor if guard else 1,
            "resident_bytes": self._vectors.resident_bytes + self._codes.resident_bytes,
            "disk_bytes": disk,
            "opened": self._opened,
        }

    def close(self) -> None:
        """Let go of files and threads; doing so twice is fine."""
        self._stopped.set()
        if self._measuring is not None:
            self._measuring.join()
            self._measuring = None
        if self._folder is not None:
            self._folder.close()
        if isinstance(self._vectors, FileVectors):
            self._vectors.file.close()

    def _sign(self) -> None:
        """Give signs to the rows that have none, once there are enough of them."""
        total, signed = len(self._vectors), len(self._codes)
        if total <= self._exact_rows or total - signed < _UNSIGNED_ROWS:
            return
        for _, rows in self._vectors.passes(signed, total):
            self._codes.add(rows)
        self._vectors.release(total)
        if self._measuring is not None and not self._measuring.is_alive():
            self._measuring = None
        self._measure()

    def _measure(self) -> None:
        """Measure the recall if that is due: the first time, and when the rows have doubled."""
        due = 2 * self._guarded.rows if self._guarded else 1
        if len(self._codes) < due or self._measuring is not None or self._stopped.is_set():
            return
        codes = self._codes.frozen()
        if not self._background:
            self._guard(codes)
            return
        self._measuring = threading.Thread(
            target=self._guard, args=(codes,), name="recall guard", daemon=True
        )
        self._measuring.start()

    def _guard(self, codes: SignCodes) -> None:
        measured = guarded(self._vectors, codes, self._recall_target, self._stopped.is_set)
        if measured is not None:
            self._guarded = measured

    def _likely_best(self, query: Matrix, count: int, mask: Mask | None, floor: float) -> Found:
        """Return the best of the rows that are likely to be."""
        signed = len(self._codes)
        rows, vectors = proposed(
            self._vectors,
            self._codes,
            query,
            count,
            None if mask is None else mask[:signed],
            self._guarded.factor if self._guarded else 1,
            floor,
        )
        if signed < len(self._vectors):
            scores = self._scores(query, signed, len(self._vectors))
            if mask is not None:
                scores[~mask[signed:]] = -np.inf
            newest = signed + self._near_best(scores, count)
            rows = np.concatenate([rows, newest])
            vectors = np.concatenate([vectors, self._vectors.take(newest)])
        return self._best(query, rows, vectors, count)

    def _shortlist_of_all(self, query: Matrix, count: int, mask: Mask | None, kept: int) -> Rows:
        """Return every row that may be among the best."""
        total = len(self._vectors)
        if mask is not None and kept * _SPARSE < total:
            rows = np.flatnonzero(mask)
            scores = np.concatenate(
                [
                    inner_products(self._vectors.take(rows[at : at + _CHUNK]), query)
                    for at in range(0, kept, _CHUNK)
                ]
            )
            return rows[self._near_best(scores, count)]
        scores = self._scores(query, 0, total)
        if mask is not None:
            scores[~mask] = -np.inf
        return self._near_best(scores, count)

    def _scores(self, query: Matrix, start: int, stop: int) -> Matrix:
        scores = np.empty(stop - start, dtype=np.float32)
        for at, rows in self._vectors.passes(start, stop):
            scores[at - start : at - start + len(rows)] = inner_products(rows, query)
        return scores

    def _near_best(self, scores: Matrix, count: int) -> Rows:
        """Return every place that may be among the best when scored exactly."""
        if len(scores) <= count:
            return np.flatnonzero(scores > -np.inf)
        least = float(np.partition(scores, len(scores) - count)[len(scores) - count])
        if least == -np.inf:
            return np.flatnonzero(scores > -np.inf)
        # A float32 sum of n products of unit vectors is wrong by n·2^-24 at most (Higham, Accuracy
        # and Stability of Numerical Algorithms, 3.1), and rounding moves each by half a step.
        slack = 2.0 * (self.dimension + 8) * 2.0**-24 + 10.0**-_DECIMALS
        return np.flatnonzero(scores >= least - slack)

    def _best(self, query: Matrix, rows: Rows, vectors: Matrix, count: int) -> Found:
        """Return the best of some rows, scored exactly."""
        if len(rows) > 2 * count:
            near = self._near_best(inner_products(vectors, query), count)
            rows, vectors = rows[near], vectors[near]
        # One sum along each row, whose order does not depend on how many rows there are.
        products = np.multiply(vectors, query, dtype=np.float64)
        cosines = np.round(products.sum(axis=1), _DECIMALS)
        order = np.lexsort((rows, -cosines))[:count]
        return rows[order], cosines[order]
