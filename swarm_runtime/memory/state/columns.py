"""Arrays that grow, and names as numbers: what a large state is held in. Pure.

A million patterns as Python objects take gigabytes and seconds; as columns they take a few hundred
megabytes, are written and read at the speed of the disk, and are counted in one step. Above:
``catalogue``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Growing", "Names"]

_FIRST = 64


class Growing:
    """An array to which rows are added at the end.

    Parameters
    ----------
    dtype : dtype-like
    width : int
        Length of each row; 0 for plain numbers.
    """

    __slots__ = ("_data", "_size")

    def __init__(self, dtype: npt.DTypeLike, width: int = 0) -> None:
        self._data: npt.NDArray[Any] = np.zeros((_FIRST, width) if width else _FIRST, dtype)
        self._size = 0

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Growing:
        """Return one that holds a copy of an array."""
        made = cls(values.dtype, values.shape[1] if values.ndim == 2 else 0)
        made.extend(values)
        return made

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._size

    @property
    def rows(self) -> npt.NDArray[Any]:
        """The rows, to read and to change; a view that is good until rows are added."""
        return self._data[: self._size]

    def append(self, value: Any) -> int:
        """Add a row; return its number."""
        if self._size == len(self._data):
            self._reserve(self._size + 1)
        self._data[self._size] = value
        self._size += 1
        return self._size - 1

    def extend(self, values: Sequence[Any] | npt.NDArray[Any]) -> int:
        """Add rows; return the number of the first."""
        first, count = self._size, len(values)
        if count:
            self._reserve(first + count)
            self._data[first : first + count] = values
            self._size += count
        return first

    def fill(self, count: int, value: Any) -> None:
        """Make it at least ``count`` rows long, new ones of one value."""
        if count > self._size:
            self._reserve(count)
            self._data[self._size : count] = value
            self._size = count

    def _reserve(self, count: int) -> None:
        if count > len(self._data):
            # A quarter more than needed: each row is then moved five times at most, and little of
            # what is large stays unused.
            grown = np.zeros((count + count // 4 + _FIRST, *self._data.shape[1:]), self._data.dtype)
            grown[: self._size] = self._data[: self._size]
            self._data = grown


class Names:
    """Texts by number, in the order in which they came."""

    __slots__ = ("_numbers", "_ranks", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts: list[str] = list(texts)
        self._ranks = np.empty(0, dtype=np.int64)
        self._numbers = {text: number for number, text in enumerate(self.texts)}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.texts)

    def number(self, text: str) -> int:
        """Return a text's number; a new one where it has none."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def find(self, text: str) -> int:
        """Return a text's number, -1 where it has none."""
        return self._numbers.get(text, -1)

    def ranks(self) -> npt.NDArray[np.int64]:
        """Return the place of each in the order of the texts, by number."""
        if len(self._ranks) != len(self.texts):
            order = sorted(range(len(self.texts)), key=self.texts.__getitem__)
            self._ranks = np.empty(len(order), dtype=np.int64)
            self._ranks[order] = np.arange(len(order))
        return self._ranks
