"""Rows of float32 vectors, only ever appended: in memory, or in a file of which memory holds pages.

Rows are kept in blocks that never move, so a thread that trains may read them while another one
appends. A file's blocks are mapped read-only; what is appended is written with ``pwrite``, so a
full disk is an ``OSError`` and not a signal. Rows that are read one by one, or all in order, are
read past the map (``preadv``): then they are in the system's page cache, which it can take back,
and not in this process.

Above: ``vector_index``.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_ROWS", "FileVectors", "RamVectors", "Vectors"]

Matrix = npt.NDArray[np.float32]

#: Rows of a block. A multiple of 1,024, so blocks start at a multiple of every page size.
BLOCK_ROWS = 16_384
#: Rows that are read at once in passes over everything.
_PASS_ROWS = 4_096


class Vectors(Protocol):
    """Dense rows 0..n-1 of one dimension."""

    dimension: int

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...

    def append(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        ...

    def blocks(self) -> list[tuple[int, Matrix]]:
        """Return (first row, rows) of all rows, in order, without copying."""
        ...

    def take(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Return a copy of some rows, in the order in which they are asked for."""
        ...

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, rows) from ``start`` up to ``stop``, a few thousand at a time."""
        ...

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that belong to this process alone."""
        ...

    def close(self) -> None:
        """Let go of files; doing so twice is fine."""
        ...


class RamVectors:
    """Rows in memory.

    Parameters
    ----------
    dimension : int
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: list[Matrix] = []
        self._count = 0

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def append(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        first, done = self._count, 0
        while done < len(vectors):
            block, at = divmod(self._count, BLOCK_ROWS)
            if block == len(self._blocks):
                # The system gives pages when they are first written, so a small bank stays small.
                self._blocks.append(np.empty((BLOCK_ROWS, self.dimension), dtype=np.float32))
            some = min(len(vectors) - done, BLOCK_ROWS - at)
            self._blocks[block][at : at + some] = vectors[done : done + some]
            self._count += some
            done += some
        return first

    def blocks(self) -> list[tuple[int, Matrix]]:
        """Return (first row, rows) of all rows, in order, without copying."""
        return [
            (at * BLOCK_ROWS, block[: min(BLOCK_ROWS, self._count - at * BLOCK_ROWS)])
            for at, block in enumerate(self._blocks)
        ]

    def take(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Return a copy of some rows, in the order in which they are asked for."""
        if len(self._blocks) == 1:
            return self._blocks[0][rows]
        found = np.empty((len(rows), self.dimension), dtype=np.float32)
        where = rows // BLOCK_ROWS
        for block in np.unique(where).tolist():
            mine = np.flatnonzero(where == block)
            found[mine] = self._blocks[block][rows[mine] - block * BLOCK_ROWS]
        return found

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, rows) from ``start`` up to ``stop``, a few thousand at a time."""
        for at in range(start, stop, _PASS_ROWS):
            yield at, self.take(np.arange(at, min(at + _PASS_ROWS, stop)))

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that belong to this process alone."""
        return self._count * self.dimension * 4

    def close(self) -> None:
        """There is nothing to let go of."""


class FileVectors:
    """Rows in a file; whoever doesn't write it keeps what it adds in memory.

    Parameters
    ----------
    path : Path
        Made if it is missing and ``writer`` is true.
    dimension : int
    rows : int
        How many rows of the file count. A writer appends behind them.
    writer : bool
        Whether what is appended goes into the file. One process at a time may.

    Raises
    ------
    OSError
        If the file can't be opened, or is shorter than ``rows``.
    """

    def __init__(self, path: Path, dimension: int, rows: int, *, writer: bool) -> None:
        self.path = path
        self.dimension = dimension
        self._row_bytes = 4 * dimension
        self._writer = writer
        self._file = os.open(path, (os.O_RDWR | os.O_CREAT) if writer else os.O_RDONLY, 0o644)
        try:
            if os.fstat(self._file).st_size < rows * self._row_bytes:
                raise OSError(f"{path}: shorter than the {rows} rows that should be in it")
            self._held = rows
            self._mapped: list[Matrix] = []
            self._map()
        except BaseException:
            os.close(self._file)
            raise
        self._own = RamVectors(dimension)
        self._closed = False
        self._seals: list[int] = []

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._held + len(self._own)

    def append(self, vectors: Matrix) -> int:
        """Add rows; return the number of the first one."""
        if not self._writer:
            return self._held + self._own.append(vectors)
        first = self._held
        if not len(vectors):
            return first
        data = memoryview(np.ascontiguousarray(vectors, dtype=np.float32)).cast("B")
        at = first * self._row_bytes
        while data:
            written = os.pwrite(self._file, data, at)
            data, at = data[written:], at + written
        self._held += len(vectors)
        self._map()
        return first

    def blocks(self) -> list[tuple[int, Matrix]]:
        """Return (first row, rows) of all rows, in order, without copying."""
        found = [
            (at * BLOCK_ROWS, block[: min(BLOCK_ROWS, self._held - at * BLOCK_ROWS)])
            for at, block in enumerate(self._mapped)
        ]
        return found + [(self._held + start, block) for start, block in self._own.blocks()]

    def take(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Return a copy of some rows, in the order in which they are asked for."""
        found = np.empty((len(rows), self.dimension), dtype=np.float32)
        if not len(rows):
            return found
        view = memoryview(found).cast("B")
        size, held = self._row_bytes, self._held
        mine: list[int] = []
        for at, row in enumerate(rows.tolist()):
            if row >= held:
                mine.append(at)
            else:
                self._read(view[at * size : (at + 1) * size], row * size)
        if mine:
            found[mine] = self._own.take(rows[mine] - held)
        return found

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, rows) from ``start`` up to ``stop``, a few thousand at a time."""
        held = min(self._held, stop)
        for at in range(start, held, _PASS_ROWS):
            rows = np.empty((min(_PASS_ROWS, held - at), self.dimension), dtype=np.float32)
            self._read(memoryview(rows).cast("B"), at * self._row_bytes)
            yield at, rows
        for at, rows in self._own.passes(max(0, start - held), stop - held):
            yield held + at, rows

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that belong to this process alone."""
        return self._own.resident_bytes

    def sync(self) -> None:
        """Return when the file is on the disk."""
        os.fsync(self._file)

    def seals(self) -> list[int]:
        """Return the CRC-32 of each block in the file, the last one up to its last row."""
        whole = self._held // BLOCK_ROWS
        for block in range(len(self._seals), whole):
            self._seals.append(self._seal(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS))
        rest = self._held - whole * BLOCK_ROWS
        return self._seals[:whole] + ([self._seal(self._held - rest, self._held)] if rest else [])

    def trust(self, seals: list[int], *, thoroughly: bool) -> bool:
        """Return whether the file still is what these seals were taken of.

        Reads the last block only, which is the one that a crash may have torn, unless it is to be
        done thoroughly; then everything.
        """
        whole = self._held // BLOCK_ROWS
        if len(seals) != whole + bool(self._held % BLOCK_ROWS):
            return False
        first = 0 if thoroughly else max(0, len(seals) - 1)
        for block in range(first, len(seals)):
            start = block * BLOCK_ROWS
            if self._seal(start, min(start + BLOCK_ROWS, self._held)) != seals[block]:
                return False
        self._seals = seals[:whole]
        return True

    def close(self) -> None:
        """Let go of files; doing so twice is fine."""
        if not self._closed:
            self._closed = True
            self._mapped = []
            os.close(self._file)

    def _map(self) -> None:
        """Map every block of which a row is in the file."""
        wanted = -(-self._held // BLOCK_ROWS)
        size = BLOCK_ROWS * self._row_bytes
        if len(self._mapped) < wanted and self._writer:
            # A map may not reach beyond the file's end; what isn't written takes no room.
            os.ftruncate(self._file, max(wanted * size, os.fstat(self._file).st_size))
        while len(self._mapped) < wanted:
            start = len(self._mapped) * size
            length = size if self._writer else min(size, self._held * self._row_bytes - start)
            mapped = mmap.mmap(
                self._file, length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=start
            )
            rows = np.frombuffer(mapped, dtype=np.float32).reshape(-1, self.dimension)
            self._mapped.append(rows)

    def _read(self, into: memoryview, at: int) -> None:
        while into:
            got = os.preadv(self._file, [into], at)
            if not got:
                raise OSError(f"{self.path}: ends before the row that is to be read")
            into, at = into[got:], at + got

    def _seal(self, start: int, stop: int) -> int:
        seal = 0
        for _, rows in self.passes(start, stop):
            seal = zlib.crc32(memoryview(rows).cast("B"), seal)
        return seal

