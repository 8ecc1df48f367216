"""Nearest contexts, by FAISS: derived from the log, and rebuilt from it at any time.

Flat, so exact; behind a map of ids, so that a vector can be removed and added anew. FAISS only
proposes: its float32 scores differ in the last bits with the size of the index and the CPU, so
what it proposes is scored again in float64, rounded, and ordered by (score, id). The answer is a
function of the vectors and ids alone, not of the order in which they were added.

Above: ``ledger``. Importing this module limits FAISS to one thread, for the whole process: the
memory's queries are small, and agents share the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import faiss
import numpy as np
import numpy.typing as npt

__all__ = ["ContextIndex"]

faiss.omp_set_num_threads(1)

#: Scores are rounded to this many decimals; float32's error on a sum of 1,024 is below it.
_DECIMALS = 6
#: How much a score by FAISS may differ from the exact one.
_SLACK = 1e-5
#: How many more than wanted FAISS is asked for first.
_MARGIN = 8


class ContextIndex:
    """Vectors of length one by id, searched by cosine.

    Parameters
    ----------
    dimension : int
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._ids: set[int] = set()

    def __len__(self) -> int:
        """Return how many vectors are here."""
        return len(self._ids)

    def __contains__(self, id_: int) -> bool:
        """Return whether there is a vector of this id."""
        return id_ in self._ids

    def add(self, ids: Sequence[int], vectors: npt.NDArray[np.float32]) -> None:
        """Add vectors.

        Parameters
        ----------
        ids : sequence of int, length m
            Not yet here, and different from each other.
        vectors : ndarray of float32, shape (m, dimension)
            Each of length one.

        Raises
        ------
        ValueError
            If an id is here already, or the shape is another; then nothing was added.
        """
        if vectors.shape != (len(ids), self.dimension):
            raise ValueError(
                f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self.dimension}"
            )
        if len(set(ids)) < len(ids) or not self._ids.isdisjoint(ids):
            # FAISS would keep both, and find both.
            raise ValueError("an id that is in the index already, or twice among those given")
        if not ids:
            return
        self._index.add_with_ids(
            np.ascontiguousarray(vectors, dtype=np.float32), np.array(ids, dtype=np.int64)
        )
        self._ids.update(ids)

    def remove(self, ids: Sequence[int]) -> int:
        """Remove vectors; return how many there were."""
        here = sorted(self._ids.intersection(ids))
        if here:
            self._index.remove_ids(faiss.IDSelectorBatch(np.array(here, dtype=np.int64)))
            self._ids.difference_update(here)
        return len(here)

    def search(
        self,
        query: npt.NDArray[np.float32],
        count: int,
        keep: Callable[[int], bool] | None = None,
    ) -> list[tuple[int, float]]:
        """Return the nearest vectors.

        Parameters
        ----------
        query : ndarray of float32, shape (dimension,)
            Of length one.
        count : int (>= 1)
            How many are wanted; there are fewer only if no more are kept.
        keep : callable or None
            Whether an id may be among them. However few it keeps, the best of those are found.

        Returns
        -------
        list of (id, cosine)
            Best first, ties by id; cosines rounded to six decimals.
        """
        wanted = min(len(self._ids), count + _MARGIN)
        while wanted:
            scores, ids = self._index.search(query[None, :], wanted)
            found = [int(id_) for id_ in ids[0] if keep is None or keep(int(id_))]
            ranked = self._rescored(query, found)
            # Complete if whatever FAISS left out is worse than the last one taken.
            enough = len(ranked) >= count and ranked[count - 1][1] > float(scores[0, -1]) + _SLACK
            if enough or wanted == len(self._ids):
                return ranked[:count]
            wanted = min(len(self._ids), 4 * wanted)
        return []

    def _rescored(self, query: npt.NDArray[np.float32], ids: list[int]) -> list[tuple[int, float]]:
        if not ids:
            return []
        vectors = self._index.reconstruct_batch(np.array(ids, dtype=np.int64))
        # One sum along each row, whose order does not depend on how many rows there are.
        exact = np.multiply(vectors, query, dtype=np.float64).sum(axis=1)
        cosines = np.round(exact, _DECIMALS).tolist()
        return sorted(zip(ids, cosines, strict=True), key=lambda pair: (-pair[1], pair[0]))
