"""Rows of float32 vectors, only ever appended: in memory, or in a file.

A file's rows are read with ``preadv`` when they are asked for, so they are in the system's page
cache, which it can take back, and not in this process; the newest rows are held in memory too
until they are released. What is appended is written at once but durable only after ``sync``.
Seals (a CRC-32 of each block of rows) are taken on the way in, so a file that was torn, cut off or
changed is told from one that wasn't without knowing what should be in it.

Another thread may read rows that are here while the owner appends. Above: ``vector_index``.
"""

from __future__ import annotations

import copy
import os
import weakref
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["FileVectors", "Matrix", "RamVectors", "Rows", "SealedFile", "Vectors"]

Matrix = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

#: Rows that have a seal of their own together.
_SEALED_ROWS = 4_096
#: Rows that are read at once in passes over everything.
_PASS_ROWS = 2_048


class Vectors(Protocol):
    """Dense rows 0..n-1 of one dimension."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...

    def append(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        ...

    def take(self, rows: Rows) -> Matrix:
        """Return a copy of some rows, in the order in which they are asked for."""
        ...

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, rows) from ``start`` up to ``stop``, without copying what is here."""
        ...

    def release(self, before: int) -> None:
        """Say that rows before this one are seldom asked for."""
        ...

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that the rows take in this process."""
        ...


class RamVectors:
    """Rows in memory, in blocks that never move.

    Parameters
    ----------
    dimension : int
    first : int
        Number of the first row.
    block_rows : int
        How many rows a block has. The system gives it pages when they are first written.
    """

    def __init__(self, dimension: int, first: int = 0, block_rows: int = 16_384) -> None:
        self._dimension = dimension
        self._block_rows = block_rows
        #: Number of the first row that is held, and the blocks; replaced together.
        self._held: tuple[int, list[Matrix]] = (first, [])
        self._stop = first

    def __len__(self) -> int:
        """Return the number after the last row's."""
        return self._stop

    @property
    def first(self) -> int:
        """Number of the first row that is held."""
        return self._held[0]

    def append(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        start, done = self._stop, 0
        first, blocks = self._held
        while done < len(vectors):
            block, at = divmod(self._stop - first, self._block_rows)
            if block == len(blocks):
                blocks.append(np.empty((self._block_rows, self._dimension), dtype=np.float32))
            some = min(len(vectors) - done, self._block_rows - at)
            blocks[block][at : at + some] = vectors[done : done + some]
            self._stop += some
            done += some
        return start

    def take(self, rows: Rows) -> Matrix:
        """Return a copy of some rows, in the order in which they are asked for."""
        first, blocks = self._held
        if len(blocks) == 1:
            return blocks[0].take(rows - first, axis=0)
        found = np.empty((len(rows), self._dimension), dtype=np.float32)
        where, at = np.divmod(rows - first, self._block_rows)
        for block in np.unique(where).tolist():
            mine = np.flatnonzero(where == block)
            found[mine] = blocks[block].take(at[mine], axis=0)
        return found

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, rows) from ``start`` up to ``stop``, without copying what is here."""
        first, blocks = self._held
        while start < stop:
            block, at = divmod(start - first, self._block_rows)
            rows = blocks[block][at : at + stop - start]
            yield start, rows
            start += len(rows)

    def release(self, before: int) -> None:
        """Nothing: memory is all there is."""

    def forget(self, before: int) -> None:
        """Drop the blocks that end before a row."""
        first, blocks = self._held
        gone = max(0, min(before, self._stop) - first) // self._block_rows
        self._held = (first + gone * self._block_rows, blocks[gone:])

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that the rows take in this process."""
        return (self._stop - self.first) * self._dimension * 4


class SealedFile:
    """A file of rows of equal size with a CRC-32 of each block of them.

    Parameters
    ----------
    path : Path
        Made if no rows are expected in it.
    row_bytes : int
    rows : int
        How many rows of the file count. A writer appends behind them, over whatever is there.
    seals : sequence of int
        Of the blocks that these rows make up.
    writer : bool

    Raises
    ------
    OSError
        If the file can't be opened, is too short, or its last block isn't what was sealed.
    """

    def __init__(
        self,
        path: Path,
        row_bytes: int,
        rows: int = 0,
        seals: Sequence[int] = (),
        *,
        writer: bool,
    ) -> None:
        self.path, self.row_bytes, self.rows = path, row_bytes, rows
        flags = os.O_RDWR if writer else os.O_RDONLY
        self._file = os.open(path, flags if rows else flags | os.O_CREAT, 0o644)
        self._close = weakref.finalize(self, os.close, self._file)
        whole = rows // _SEALED_ROWS
        self._seals, self._open_seal = list(seals[:whole]), 0
        try:
            if len(seals) != whole + bool(rows % _SEALED_ROWS):
                raise OSError(f"{path}: {len(seals)} seals of {rows} rows")
            if os.fstat(self._file).st_size < rows * row_bytes:
                raise OSError(f"{path}: cut off before the end of {rows} rows")
            if seals and not self._holds(len(seals) - 1, seals[-1]):
                raise OSError(f"{path}: its end is not what was written")
            self._open_seal = seals[whole] if len(seals) > whole else 0
        except BaseException:
            self.close()
            raise

    def append(self, data: memoryview) -> None:
        """Write whole rows at the end."""
        at = self.rows * self.row_bytes
        left = data
        while left:
            written = os.pwrite(self._file, left, at)
            left, at = left[written:], at + written
        while data:
            room = _SEALED_ROWS - self.rows % _SEALED_ROWS
            some = data[: room * self.row_bytes]
            self._open_seal = zlib.crc32(some, self._open_seal)
            self.rows += len(some) // self.row_bytes
            if self.rows % _SEALED_ROWS == 0:
                self._seals.append(self._open_seal)
                self._open_seal = 0
            data = data[len(some) :]

    def read(self, row: int, into: memoryview) -> None:
        """Fill a buffer with what begins at a row."""
        at = row * self.row_bytes
        while into:
            got = os.preadv(self._file, [into], at)
            if not got:
                raise OSError(f"{self.path}: ends before the row that is to be read")
            into, at = into[got:], at + got

    def seals(self) -> list[int]:
        """Return the seal of each block, the last one up to the last row."""
        return self._seals + ([self._open_seal] if self.rows % _SEALED_ROWS else [])

    def shorten(self, rows: int) -> None:
        """Count only the first rows; what follows them stays where it is."""
        self.rows = rows
        whole, rest = divmod(rows, _SEALED_ROWS)
        self._seals = self._seals[:whole]
        self._open_seal = self._seal(rows - rest, rows) if rest else 0

    def checked(self) -> npt.NDArray[np.uint8]:
        """Return all rows as bytes.

        Raises
        ------
        OSError
            If a block isn't what was sealed.
        """
        rows = np.empty((self.rows, self.row_bytes), dtype=np.uint8)
        if self.rows:
            self.read(0, rows.data.cast("B"))
        for block, seal in enumerate(self.seals()):
            start = block * _SEALED_ROWS
            if zlib.crc32(rows[start : start + _SEALED_ROWS].data.cast("B")) != seal:
                raise OSError(f"{self.path}: block {block} is not what was written")
        return rows

    def broken(self) -> list[int]:
        """Return the numbers of the blocks that are not what was sealed; reads everything."""
        seals = self.seals()
        return [block for block, seal in enumerate(seals) if not self._holds(block, seal)]

    def sync(self) -> None:
        """Return when the file is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file; doing so twice is fine."""
        self._close()

    def _holds(self, block: int, seal: int) -> bool:
        start = block * _SEALED_ROWS
        return self._seal(start, min(start + _SEALED_ROWS, self.rows)) == seal

    def _seal(self, start: int, stop: int) -> int:
        buffer = memoryview(bytearray((stop - start) * self.row_bytes))
        self.read(start, buffer)
        return zlib.crc32(buffer)


class FileVectors:
    """Rows in a file; whoever doesn't write it holds what it adds in memory.

    Parameters
    ----------
    file : SealedFile
        Its rows are the first ones.
    dimension : int
    writer : bool
        Whether what is appended goes into the file.
    released : int
        Rows before this one are not held in memory.
    """

    def __init__(self, file: SealedFile, dimension: int, *, writer: bool, released: int) -> None:
        self.file = file
        self._dimension = dimension
        self._writer = writer
        #: The newest rows; those that aren't in the file are always among them.
        self._recent = RamVectors(dimension, released, 1_024)
        for _, rows in self._read(released, file.rows):
            self._recent.append(rows)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._recent)

    def append(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        if self._writer and len(vectors):
            rows: npt.NDArray[np.float32] = np.ascontiguousarray(vectors, dtype=np.float32)
            self.file.append(rows.data.cast("B"))
        return self._recent.append(vectors)

    def take(self, rows: Rows) -> Matrix:
        """Return a copy of some rows, in the order in which they are asked for."""
        newest = copy.copy(self._recent)  # rows may be released meanwhile
        recent = newest.first
        found = np.empty((len(rows), self._dimension), dtype=np.float32)
        here: list[int] = []
        for at, row in enumerate(rows.tolist()):
            if row >= recent:
                here.append(at)
            else:
                self.file.read(row, found[at].data.cast("B"))
        if here:
            found[here] = newest.take(rows[here])
        return found

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, rows) from ``start`` up to ``stop``, without copying what is here."""
        newest = copy.copy(self._recent)  # rows may be released meanwhile
        recent = max(start, min(newest.first, stop))
        yield from self._read(start, recent)
        yield from newest.passes(recent, stop)

    def release(self, before: int) -> None:
        """Say that rows before this one are seldom asked for."""
        self._recent.forget(min(before, self.file.rows))

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that the rows take in this process."""
        return self._recent.resident_bytes

    def _read(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        for at in range(start, stop, _PASS_ROWS):
            rows = np.empty((min(_PASS_ROWS, stop - at), self._dimension), dtype=np.float32)
            self.file.read(at, rows.data.cast("B"))
            yield at, rows
