"""Snapshots of an index in a folder: what is valid, sealed, replaced as a whole.

``vectors-GENERATION.f32`` and ``signs-GENERATION.u8`` are only appended to. ``index.json`` says how
many of their rows are valid and seals them block by block; it is replaced in one step once the
files are on the disk, so a crash leaves the earlier snapshot. A file that is shorter than it should
be, or whose seals don't fit, is not used. Above: ``vector_index``. Below: ``vector_file``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import weakref
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarm_runtime.errors import StoreError
from swarm_runtime.memory.vectors.file import SealedFile
from swarm_runtime.memory.vectors.guard import Guarded
from swarm_runtime.memory.vectors.signs import Codes, SignCodes

__all__ = ["Snapshot", "SnapshotFolder"]

_FORMAT = 1
_NAME = "index.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot holds.

    Attributes
    ----------
    file : SealedFile
        Of the vectors.
    codes : ndarray of uint8, shape (m, bytes)
        Signs of the first m rows.
    guarded : Guarded or None
        What the recall guard measured.
    """

    file: SealedFile
    codes: Codes
    guarded: Guarded | None


class SnapshotFolder:
    """The files of one index.

    Parameters
    ----------
    folder : Path
        Made if it is missing and ``writer`` is true.
    dimension : int
    generation : str
    writer : bool

    Raises
    ------
    StoreError
        If this is to write and another one does.
    ValueError
        If the generation can't be part of a file's name.
    """

    def __init__(self, folder: Path, dimension: int, generation: str, *, writer: bool) -> None:
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", generation):
            raise ValueError(
                f"generation = {generation!r}: 1 to 64 letters, digits, hyphens and underscores"
            )
        self._folder = folder
        self._dimension = dimension
        self._generation = generation
        self._writer = writer
        self._code_bytes = SignCodes(dimension).code_bytes
        self._vectors_path = folder / f"vectors-{generation}.f32"
        self._signs_path = folder / f"signs-{generation}.u8"
        self._vectors: SealedFile | None = None
        self._signs: SealedFile | None = None
        #: What became of the snapshot.
        self.note = "new"
        if writer:
            folder.mkdir(parents=True, exist_ok=True)
            self._unlock = weakref.finalize(self, os.close, _locked(folder))

    def start(self) -> SealedFile:
        """Begin anew: with files of no rows. Who reads the earlier ones keeps them."""
        self.close(unlock=False)
        for path in (self._folder / _NAME, self._vectors_path, self._signs_path):
            path.unlink(missing_ok=True)
        self._vectors = SealedFile(self._vectors_path, 4 * self._dimension, writer=True)
        self._signs = SealedFile(self._signs_path, self._code_bytes, writer=True)
        return self._vectors

    def load(self, most: int | None) -> Snapshot | None:
        """Return the last snapshot, its first rows at most, or None where none is to be trusted.

        ``note`` says which.
        """
        manifest = self._manifest()
        if manifest is None:
            return None
        try:
            vectors = SealedFile(
                self._vectors_path,
                4 * self._dimension,
                manifest["rows"],
                manifest["vectors"],
                writer=self._writer,
            )
        except OSError as problem:
            self.note = f"vectors not trusted: {problem}"
            return None
        self.note = "taken up"
        if most is not None and most < vectors.rows:
            vectors.shorten(most)
        codes: Codes = np.empty((0, self._code_bytes), dtype=np.uint8)
        signs: SealedFile | None = None
        try:
            signs = SealedFile(
                self._signs_path,
                self._code_bytes,
                manifest["signed"],
                manifest["signs"],
                writer=self._writer,
            )
            codes = signs.checked()
        except OSError as problem:
            self.note = f"signs not trusted, made anew: {problem}"
            if signs is not None:
                signs.close()
            signs = None
        if signs is None and self._writer:
            self._signs_path.unlink(missing_ok=True)
            signs = SealedFile(self._signs_path, self._code_bytes, writer=True)
        if signs is not None and vectors.rows < signs.rows:
            signs.shorten(vectors.rows)
        if self._writer:
            self._vectors, self._signs = vectors, signs
        elif signs is not None:
            signs.close()
        measured = manifest["guarded"]
        return Snapshot(
            vectors, codes[: vectors.rows], None if measured is None else Guarded(*measured)
        )

    def save(self, codes: Codes, guarded: Guarded | None) -> None:
        """Make the vectors, their signs and what was measured durable, or nothing."""
        vectors, signs = self._vectors, self._signs
        if vectors is None or signs is None:
            raise ValueError("the index is closed")
        new = np.ascontiguousarray(codes[signs.rows :])
        if len(new):
            signs.append(new.data.cast("B"))
        vectors.sync()
        signs.sync()
        body = {
            "format": _FORMAT,
            "generation": self._generation,
            "dimension": self._dimension,
            "rows": vectors.rows,
            "vectors": vectors.seals(),
            "signed": signs.rows,
            "signs": signs.seals(),
            "guarded": guarded,
        }
        text = json.dumps(body)
        sealed = json.dumps({"seal": zlib.crc32(text.encode()), "body": text})
        beside = self._folder / f"{_NAME}.new"
        with beside.open("w") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._folder / _NAME)
        entry = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
        for path in self._folder.iterdir():
            ours = path in (self._vectors_path, self._signs_path)
            if not ours and re.fullmatch(r"(vectors|signs)-[0-9A-Za-z_-]+\.(f32|u8)", path.name):
                path.unlink(missing_ok=True)

    def close(self, *, unlock: bool = True) -> None:
        """Let go of the files, and of the right to write; doing so twice is fine."""
        for file in (self._vectors, self._signs):
            if file is not None:
                file.close()
        self._vectors = self._signs = None
        if unlock and self._writer:
            self._unlock()

    def _manifest(self) -> dict[str, Any] | None:
        """Return what the snapshot says of itself, None if it isn't one of this index."""
        try:
            sealed = json.loads((self._folder / _NAME).read_bytes())
            text = sealed["body"]
            if zlib.crc32(text.encode()) != sealed["seal"]:
                raise ValueError("its seal doesn't fit")
            body: dict[str, Any] = json.loads(text)
            for name in ("format", "generation", "dimension"):
                expected = {
                    "format": _FORMAT,
                    "generation": self._generation,
                    "dimension": self._dimension,
                }[name]
                if body[name] != expected:
                    self.note = f"another {name}: {body[name]!r}, not {expected!r}"
                    return None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            self.note = f"snapshot not trusted: {problem}"
            return None
        return body


def _locked(folder: Path) -> int:
    """Return an open file whose closing gives up the right to write in a folder."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(lock)
        raise StoreError(
            str(folder), "another process writes this index; end it, or only read"
        ) from problem
    return lock
