"""The folder beside a bank's file in which what was derived from it is kept for the next start.

It is a shortcut: it may be deleted at any time, and what can't be trusted is derived anew from the
log. One process at a time writes it, whichever comes first; all others read it. Vectors lie in a
file of their own, so that memory need not hold them.

Above: ``derived``. Below: ``snapshot``, ``vector_index``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.protocol import ExperienceStore, Position
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.snapshot import freeze, read_snapshot, thaw, write_snapshot
from swarm_runtime.memory.state.tables import Vectors
from swarm_runtime.memory.vectors.index import VectorIndex

__all__ = ["LEAST_PLACES", "Snapshots"]

#: Below so many contexts, reading the log is as fast.
LEAST_PLACES = 2_048
#: New contexts since the last snapshot that are worth another one: so many, and a share of all.
_LEAST_NEW = 32_768
_SHARE_NEW = 8
_CHUNK = 4_096
_FILE = "catalogue.bin"


@dataclass(slots=True)
class _Saved:
    """What lies in the folder."""

    numbering: str
    rows: int


class Snapshots:
    """Snapshots of one bank's derived state.

    Parameters
    ----------
    folder : Path
    dimension : int
    made_with : str
        What vectors and cells depend on besides the log: a snapshot made with another is not read.
    """

    def __init__(self, folder: Path, dimension: int, made_with: str) -> None:
        self._folder = folder
        self._dimension = dimension
        self._made_with = made_with
        self._saved: _Saved | None = None

    def load(
        self, store: ExperienceStore, new_catalogue: Callable[[Vectors], Catalogue]
    ) -> tuple[Catalogue, Position] | None:
        """Return the state that was kept, and how far in the log it reaches; None if there is none.

        Parameters
        ----------
        store : ExperienceStore
            The log; what was kept of another one, or of an earlier generation, is not used.
        new_catalogue : callable
            From an index to an empty catalogue.
        """
        state = read_snapshot(self._folder / _FILE)
        if state is None:
            return None
        try:
            position = Position(*state["position"])
            numbering, rows = str(state["numbering"]), int(state["rows"])
            mine = (state["made_with"], state["generation"], state["fingerprint"])
        except (KeyError, TypeError, ValueError):
            return None
        if mine != (self._made_with, store.generation(), store.fingerprint(position)):
            return None
        index = self._open(numbering, rows)
        catalogue = new_catalogue(index)
        try:
            thaw(state["catalogue"], catalogue)
        except (KeyError, ValueError):
            index.close()
            return None
        self._saved = _Saved(numbering, rows)
        return catalogue, position

    def due(self, places: int) -> bool:
        """Return whether so much is new that it should not wait for the end."""
        saved = self._saved.rows if self._saved else 0
        return places - saved >= max(_LEAST_NEW, places // _SHARE_NEW)

    def save(self, store: ExperienceStore, catalogue: Catalogue, position: Position) -> bool:
        """Keep a state; return whether it is kept, which it isn't where another process writes.

        The catalogue's vectors are in the file afterwards, and no longer in memory.
        """
        count = len(catalogue.cells)
        if count < LEAST_PLACES:
            return False
        try:
            written = self._write(catalogue.index, count)
            if written is None:
                return False
            state: dict[str, Any] = {
                "position": list(position),
                "numbering": written.numbering,
                "rows": count,
                "made_with": self._made_with,
                "generation": store.generation(),
                "fingerprint": store.fingerprint(position),
                "catalogue": freeze(catalogue),
            }
            write_snapshot(self._folder / _FILE, state)
        except OSError as problem:
            raise StoreError(str(self._folder), f"can't be written: {problem}") from problem
        self._saved = written
        before, catalogue.index = catalogue.index, self._open(written.numbering, count)
        _close(before)
        return True

    def save_if_new(self, store: ExperienceStore, catalogue: Catalogue, position: Position) -> bool:
        """Keep a state at the end, if reading what is new in it anew would take a while."""
        saved = self._saved.rows if self._saved else 0
        fresh = len(catalogue.cells) - saved
        return fresh >= LEAST_PLACES and self.save(store, catalogue, position)

    def forget(self) -> None:
        """Start another numbering of rows with the next snapshot."""
        self._saved = None

    def discard(self) -> None:
        """Let what lies in the folder be of no use to anybody."""
        self.forget()
        (self._folder / _FILE).unlink(missing_ok=True)

    def _open(self, numbering: str, rows: int) -> VectorIndex:
        return VectorIndex.open(
            self._folder, self._dimension, generation=numbering, rows=rows, writer=False
        )

    def _write(self, vectors: Vectors, count: int) -> _Saved | None:
        saved = self._saved or _Saved(secrets.token_hex(8), 0)
        try:
            if saved.rows:
                index = VectorIndex.open(
                    self._folder, self._dimension, generation=saved.numbering, rows=saved.rows
                )
            else:
                index = VectorIndex(self._dimension, self._folder, generation=saved.numbering)
        except StoreError:
            # Another process writes here; it will keep what both know.
            return None
        with index:
            for start in range(len(index), count, _CHUNK):
                index.add(vectors.vectors(np.arange(start, min(start + _CHUNK, count))))
            index.settle()
            index.snapshot()
        return _Saved(saved.numbering, count)


def _close(vectors: Vectors) -> None:
    if isinstance(vectors, VectorIndex):
        vectors.close()
