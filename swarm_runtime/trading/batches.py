"""What happened in a block: batches of entries noted bar by bar, joined once at its end.

Noting is a list's append, so that the broker's loop does not pay for the bookkeeping.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Batches"]


class Batches:
    """Entries in columns.

    Parameters
    ----------
    *dtypes : dtype
        One per column.
    """

    def __init__(self, *dtypes: npt.DTypeLike) -> None:
        self._dtypes = dtypes
        self._rows: list[int] = []
        self._parts: list[tuple[npt.NDArray[Any], ...]] = []

    def add(self, row: int, *columns: npt.NDArray[Any]) -> None:
        """Note a batch of entries of bar ``row``: one array per column, all of one length."""
        self._rows.append(row)
        self._parts.append(columns)

    def joined(self) -> list[npt.NDArray[Any]]:
        """Return the bar of every entry, int64, and all columns, in the order of noting."""
        if not self._parts:
            return [np.empty(0, np.int64), *(np.empty(0, dtype) for dtype in self._dtypes)]
        sizes = [part[0].size for part in self._parts]
        columns = zip(self._dtypes, zip(*self._parts, strict=True), strict=True)
        return [
            np.repeat(np.array(self._rows, np.int64), sizes),
            *(np.concatenate(parts).astype(dtype, copy=False) for dtype, parts in columns),
        ]
