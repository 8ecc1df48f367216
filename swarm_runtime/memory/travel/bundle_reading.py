"""Bundles that somebody else made, checked step by step. Pure.

``outline`` checks lengths, seals and the sum without opening a record; who signed the bundle can be
looked into then. ``opened`` opens the records, all of them or none. Above: ``bundle_file``. Below:
``bundle`` (the form), ``opening``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple, NoReturn

import numpy as np

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience, Sealed
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.opening import MALFORMED, experience_from, plain_value, record_from
from swarm_runtime.memory.records.annotations import Annotation
from swarm_runtime.memory.records.pattern import ContextSpace
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.bundle import (
    FOOTER_FRAME,
    FORMAT,
    FRAMES,
    HEADER_FRAME,
    MAGIC,
    SIGNATURES_FRAME,
    VERSION,
    Contents,
    Header,
    Limits,
    Signature,
    checked_space,
    signed_bytes,
)

__all__ = ["Frame", "Outline", "opened", "outline"]

_RANK = {code: at for at, code in enumerate(FRAMES)}
#: Kind, length, seal.
_HEAD_BYTES = 1 + 4 + 32
#: Of the header and the like.
_MOST_OWN_BYTES = 1 << 20
_MOST_SIGNATURES = 16
#: Beyond this, sums of squares would overflow after some millions of outcomes.
_MOST_EXCESS = 2**20
_TOO_SHORT = "it ends too early; get the whole file"


class Frame(NamedTuple):
    """One frame of a bundle: where it begins, its kind and its body."""

    offset: int
    kind: bytes
    body: memoryview


class Outline(NamedTuple):
    """A bundle whose lengths, seals and sum are right, and whose records have not been opened.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    header : Header
    frames : tuple of Frame
        The records.
    signed : bytes
        What signatures are of.
    signatures : tuple of Signature
        Unchecked.
    """

    name: str
    header: Header
    frames: tuple[Frame, ...]
    signed: bytes
    signatures: tuple[Signature, ...]


def outline(data: bytes, name: str, limits: Limits | None = None) -> Outline:
    """Check a bundle's outline.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for messages.
    limits : Limits or None

    Raises
    ------
    StoreError
        If the bytes are no bundle, of another version, damaged or too large; says where.
    """
    limits = limits or Limits()
    if len(data) > limits.bundle_bytes:
        raise StoreError(name, f"has {len(data)} bytes, more than {limits.bundle_bytes}")
    _check_magic(data, name)
    total = hashlib.sha256(MAGIC)
    frames: list[Frame] = []
    summed = False
    signatures: tuple[Signature, ...] | None = None
    header: Header | None = None
    view = memoryview(data)
    for one in _frames(data, name, limits):
        if header is None:
            header = _header(one, name)
        elif summed and one.kind == SIGNATURES_FRAME and signatures is None:
            signatures = _signatures(one, name)
            continue
        elif summed:
            _refuse(name, one.offset, "something follows after the end")
        elif one.kind == FOOTER_FRAME:
            _check_footer(one, name, len(frames), total.hexdigest())
            summed = True
        elif one.kind in _RANK:
            if len(frames) == limits.records:
                _refuse(name, one.offset, f"there are more than {limits.records} records")
            frames.append(one)
        else:
            _refuse(name, one.offset, f"a frame of kind {one.kind!r} is not known here")
        total.update(view[one.offset : one.offset + _HEAD_BYTES + len(one.body)])
    if header is None or not summed:
        _refuse(name, len(data), _TOO_SHORT)
    return Outline(name, header, tuple(frames), signed_bytes(total.digest()), signatures or ())


def opened(outline: Outline, limits: Limits | None = None) -> Contents:
    """Return the records of a bundle, all of them checked.

    Raises
    ------
    StoreError
        If one is not of its form, not canonical, or not in its place; says where.
    """
    limits = limits or Limits()
    name, header = outline.name, outline.header
    space = None if header.space is None else checked_space(header.space)
    experiences: list[Sealed] = []
    trajectories: list[Trajectory] = []
    annotations: list[Annotation] = []
    before: tuple[int, tuple[Any, ...]] = (-1, ())
    for one in outline.frames:
        body = bytes(one.body)
        if int.from_bytes(body[:4], "little") > limits.text_bytes:
            _refuse(name, one.offset, f"a record has more than {limits.text_bytes} bytes of text")
        key: tuple[Any, ...]
        try:
            if FRAMES[one.kind] == "experience":
                experience = experience_from(body)
                _check_experience(experience, space, before)
                experiences.append(experience.seal())
                key = experience.key
            else:
                record = record_from(FRAMES[one.kind], body)
                key = (record.id,)
                if isinstance(record, Trajectory):
                    trajectories.append(record)
                else:
                    annotations.append(record)
        except ValueError as problem:
            _refuse(name, one.offset, str(problem), problem)
        place = (_RANK[one.kind], key)
        if place <= before:
            _refuse(name, one.offset, f"{FRAMES[one.kind]} {key!r} is there twice, or out of order")
        before = place
    contents = Contents(tuple(experiences), tuple(trajectories), tuple(annotations))
    if contents.counts() != header.counts:
        _refuse(name, len(MAGIC), f"holds {contents.counts()}, and says {header.counts}")
    return contents


def _check_magic(data: bytes, name: str) -> None:
    if data.startswith(MAGIC):
        return
    line = bytes(data[: len(MAGIC) + 8]).split(b"\n")[0]
    start = f"{FORMAT} ".encode()
    if line.startswith(start) and line[len(start) :].isdigit():
        version = int(line[len(start) :])
        raise StoreError(
            name,
            f"is a bundle of version {version}, this program knows {VERSION}; update the program",
        )
    raise StoreError(name, "is no bundle of a bank; name another file")


def _frames(data: bytes, name: str, limits: Limits) -> Iterator[Frame]:
    view = memoryview(data)
    offset = len(MAGIC)
    while offset < len(data):
        if offset + _HEAD_BYTES > len(data):
            _refuse(name, offset, _TOO_SHORT)
        kind = data[offset : offset + 1]
        length = int.from_bytes(data[offset + 1 : offset + 5], "little")
        if length > limits.record_bytes:
            _refuse(name, offset, f"a record of {length} bytes, more than {limits.record_bytes}")
        end = offset + _HEAD_BYTES + length
        if end > len(data):
            _refuse(name, offset, _TOO_SHORT)
        body = view[offset + _HEAD_BYTES : end]
        if hashlib.sha256(body).digest() != data[offset + 5 : offset + _HEAD_BYTES]:
            _refuse(name, offset, "does not match its seal; get the file again")
        yield Frame(offset, kind, body)
        offset = end


def _plain(one: Frame, name: str, what: str) -> Any:
    """Return a frame of the bundle's own."""
    if len(one.body) > _MOST_OWN_BYTES:
        _refuse(name, one.offset, f"{what}: {len(one.body)} bytes are too many")
    try:
        return plain_value(bytes(one.body))
    except ValueError as problem:
        _refuse(name, one.offset, f"{what}: {problem}", problem)


def _header(one: Frame, name: str) -> Header:
    if one.kind != HEADER_FRAME:
        _refuse(name, one.offset, "has no header")
    values = _plain(one, name, "its header")
    if not isinstance(values, dict) or set(values) != {one.name for one in fields(Header)}:
        _refuse(name, one.offset, "its header is of another form")
    try:
        return Header(**values)
    except MALFORMED as problem:
        _refuse(name, one.offset, f"its header: {problem}", problem)


def _check_footer(one: Frame, name: str, count: int, total: str) -> None:
    if _plain(one, name, "its end") != {"records": count, "sha256": total}:
        _refuse(name, one.offset, "its sum is another one; get the file again")


def _signatures(one: Frame, name: str) -> tuple[Signature, ...]:
    values = _plain(one, name, "its signatures")
    if not isinstance(values, list) or len(values) > _MOST_SIGNATURES:
        _refuse(name, one.offset, f"its signatures are no list of at most {_MOST_SIGNATURES}")
    found: list[Signature] = []
    for value in values:
        try:
            if set(value) != set(Signature._fields):
                raise ValueError("fields are missing")
            if not all(isinstance(part, str) for part in value.values()):
                raise ValueError("texts are needed")
            signature = bytes.fromhex(value["signature"])
            found.append(Signature(value["algorithm"], value["key"], signature))
        except MALFORMED as problem:
            _refuse(name, one.offset, f"a signature: {problem}", problem)
    return tuple(found)


def _check_experience(
    one: Experience, space: ContextSpace | None, before: tuple[int, tuple[Any, ...]]
) -> None:
    if space is None:
        raise ValueError("experience: its cells need a space, and the header names none")
    if len(one.cells) and int(one.cells.max()) >= space.cell_count:
        raise ValueError(f"cell {one.cells.max()} in a space of {space.cell_count} cells")
    if one.excess.size and int(np.abs(one.excess.astype(np.int64)).max()) > _MOST_EXCESS:
        raise ValueError(f"experience: an excess reward beyond {_MOST_EXCESS // REWARD_SCALE} σ")
    if one.verdict.size and int(np.abs(one.verdict.astype(np.int64)).max()) > 1:
        raise ValueError("experience: a verdict is none of 1, 0 and -1")
    rank, key = before
    if rank == 0 and key[0] == one.agent and one.epoch > key[1] + 1:
        raise ValueError(f"epoch {one.epoch} of {one.agent} came after {key[1]}")


def _refuse(name: str, offset: int, reason: str, cause: BaseException | None = None) -> NoReturn:
    raise StoreError(name, f"at byte {offset}: {reason}") from cause
