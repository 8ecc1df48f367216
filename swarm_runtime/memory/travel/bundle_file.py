"""Bundles in files: written whole or not at all, read with limits. Above: ``bank``, doors.

Below: ``bundle`` and ``bundle_reading`` (the form), ``signing`` (keys).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.travel.bundle import FORMAT, MAGIC, Bundle, Contents, Header, Limits, pack
from swarm_runtime.memory.travel.bundle_reading import opened, outline
from swarm_runtime.memory.travel.signing import SigningKey, read_trusted, signers, trusted_name

__all__ = ["read_bundle", "write_bundle"]

_GZIP = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20
#: So many bytes of a bundle are the same in every version.
_SURE_BYTES = len(FORMAT)
#: zlib's name for gzip with the largest window.
_GZIP_WINDOW = 31


def write_bundle(
    path: str | Path,
    header: Header,
    contents: Contents,
    *,
    key: SigningKey | None = None,
    compress: bool = False,
    replace: bool = False,
) -> int:
    """Write a bundle; the file appears under its name when it is whole and on the disk.

    Parameters
    ----------
    path : str or Path
    header : Header
    contents : Contents
        From ``import_export.contents_of``, perhaps anonymised.
    key : SigningKey or None
        To sign with.
    compress : bool
        Whether to write gzip; what is signed is the same.
    replace : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    RunFolderError
        If the file can't be written, or is there already.
    ValueError
        If a record is there twice.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise RunFolderError(str(path), "is there already; name another file, or replace it")
    beside = target.with_name(f"{target.name}.{os.getpid()}.part")
    pieces = pack(header, contents, None if key is None else key.sign)
    try:
        with _new(beside) as file:
            for piece in _compressed(pieces) if compress else pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        beside.replace(target)
        _sync_folder(target.absolute().parent)
    except OSError as problem:
        _remove(beside)
        raise RunFolderError(str(path), f"can't be written: {problem.strerror}") from problem
    except BaseException:
        _remove(beside)
        raise
    return size


def read_bundle(
    path: str | Path,
    *,
    trusted: str | Path | None = None,
    allow_unsigned: bool = False,
    limits: Limits | None = None,
) -> Bundle:
    """Read a bundle and check all of it; nothing is recorded.

    Its records are opened only when it is known who vouches for them.

    Parameters
    ----------
    path : str or Path
    trusted : str, Path or None
        A file with the public keys that one trusts; see ``signing``.
    allow_unsigned : bool
        Whether to read a bundle that is not signed, or not by anybody one trusts. A signature
        that is wrong is refused all the same.
    limits : Limits or None

    Raises
    ------
    RunFolderError
        If the file, or that of the keys, can't be read, or nobody one trusts has signed it.
    StoreError
        If it is no bundle, of another version, damaged or too large; says where.
    """
    limits = limits or Limits()
    name = str(path)
    keys = {} if trusted is None else read_trusted(trusted)
    found = outline(_read(Path(path), name, limits), name, limits)
    try:
        signed_by = signers(found.signed, found.signatures)
    except ValueError as problem:
        raise StoreError(name, f"{problem}; get the file again, from who made it") from problem
    vouched = trusted_name(signed_by, keys)
    if vouched is None and not allow_unsigned:
        if not signed_by:
            reason = "is not signed: nobody vouches for what is in it"
        else:
            reason = f"is signed by {', '.join(signed_by)}, which is not among the trusted keys"
        raise RunFolderError(
            name, f"{reason}; have it signed by somebody you trust, or allow unsigned bundles"
        )
    return Bundle(name, found.header, opened(found, limits), signed_by, vouched)


def _new(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except ValueError as problem:
        raise RunFolderError(str(path), f"can't be written: {problem}") from problem


def _read(path: Path, name: str, limits: Limits) -> bytes:
    """Return a file's bytes, decompressed."""
    try:
        with path.open("rb") as file:
            # A look at the beginning first: it may be anything, of any size.
            data = file.read(len(MAGIC) + 8)
            if data.startswith(_GZIP):
                return _decompressed(iter(lambda: file.read(_CHUNK_BYTES), b""), data, name, limits)
            if not data.startswith(MAGIC):
                return data
            data += file.read(limits.bundle_bytes + 1 - len(data))
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise RunFolderError(name, f"can't be read: {reason}") from problem
    return data


def _decompressed(chunks: Iterator[bytes], first: bytes, name: str, limits: Limits) -> bytes:
    """Return what was compressed; stop where it is no bundle or gets too large."""
    machine = zlib.decompressobj(_GZIP_WINDOW)
    found = bytearray()
    waiting = first
    try:
        while waiting and not machine.eof:
            found += machine.decompress(waiting, _CHUNK_BYTES)
            if len(found) > limits.bundle_bytes:
                raise StoreError(name, f"has more than {limits.bundle_bytes} bytes, decompressed")
            if not found.startswith(MAGIC[: min(len(found), _SURE_BYTES)]):
                raise StoreError(name, "is no bundle of a bank; name another file")
            waiting = machine.unconsumed_tail or next(chunks, b"")
    except zlib.error as problem:
        raise StoreError(name, f"is damaged ({problem}); get the file again") from problem
    if not machine.eof:
        raise StoreError(name, "ends too early; get the whole file")
    if machine.unused_data or next(chunks, b""):
        raise StoreError(name, "something follows after the end")
    return bytes(found)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    machine = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        yield machine.compress(piece)
    yield machine.flush()


def _sync_folder(folder: Path) -> None:
    """Make a new name durable, where folders can be synced."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
