"""Knowledge as a file: what one bank exports, another can check and import. Pure.

A bundle is a line that names the format, then frames. A frame is one byte for its kind, the length
of its body (4 bytes, little endian), the body's SHA-256, and the body, which is written by
``core.codec``: nothing is executed on reading.

* ``H``, first: the ``Header``.
* ``E`` experiences by (agent, epoch), ``T`` trajectories by id, then ``V`` verdicts, ``I`` items,
  ``U`` usages, ``L`` links and ``X`` tombstones by id: each once, in this order, in the canonical
  bytes in which the log keeps them. So equal contents give equal bundles.
* ``F``: how many records there are, and the SHA-256 of all bytes before it.
* ``S``, if it is signed: signatures of the SHA-256 of all bytes before it, each with the name of
  its algorithm, so that later ones can stand beside the present one.

Embeddings are not in it: they are derived from the records, so a bank with another dimension or
another embedder can import it all the same; the header names both for whoever wants to know.
What the exporting bank had let go of before (``kept_from_s``) is not in it either.

Whoever reads a bundle checks its outline first (lengths, seals, the sum), then who signed it, and
opens the records only then. Every record must be of its form, in its place and canonical. Sizes
are limited before anything is made of them.

Above: ``bundle_reading`` (checks and opens), ``bundle_file`` (files), ``import_export``. Below:
``records``, ``trajectory``, ``core``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from swarm_runtime.core.codec import encode
from swarm_runtime.core.knowledge import Sealed
from swarm_runtime.memory.log.opening import MALFORMED
from swarm_runtime.memory.records.annotations import Annotation
from swarm_runtime.memory.records.pattern import ContextSpace, space_from_json, space_to_json
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "FOOTER_FRAME",
    "FORMAT",
    "FRAMES",
    "HEADER_FRAME",
    "MAGIC",
    "SIGNATURES_FRAME",
    "VERSION",
    "Bundle",
    "Contents",
    "Header",
    "Limits",
    "Signature",
    "checked_space",
    "frame",
    "pack",
    "signed_bytes",
]

FORMAT = "swarm bank bundle"
VERSION = 1
MAGIC = f"{FORMAT} {VERSION}\n".encode()

HEADER_FRAME, FOOTER_FRAME, SIGNATURES_FRAME = b"H", b"F", b"S"
#: Kinds of record by their frames', in the order in which they stand.
FRAMES = {
    b"E": "experience",
    b"T": "trajectory",
    b"V": "verdict",
    b"I": "item",
    b"U": "usage",
    b"L": "link",
    b"X": "tombstone",
}
_MOST_FEATURES = 64
_MOST_CELLS = 2**31 - 1
_LATEST = 2**53


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read of a file that somebody else made.

    Attributes
    ----------
    bundle_bytes : int
        Of the whole, decompressed.
    record_bytes : int
        Of one record.
    text_bytes : int
        Of one record without its arrays.
    records : int
    """

    bundle_bytes: int = 1 << 30
    record_bytes: int = 1 << 26
    text_bytes: int = 1 << 20
    records: int = 5_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """What a bundle says of itself.

    Attributes
    ----------
    made_at_s : int
    producer : str
        Program and version.
    bank : str
        Name of the bank it was exported from; empty where that is nobody's business.
    dimension : int
        Of the bank's embedding.
    embedder : str
        Its name.
    space : str or None
        The bank's declared space of contexts, as JSON; experiences need it.
    kept_from_s : int or None
        Trajectories known by then had been folded into statistics, and are not in it.
    anonymised : bool
    counts : dict of str to int
        Records by kind.
    options : dict of str to str or list of str
        With what it was made.
    """

    made_at_s: int
    producer: str
    bank: str = ""
    dimension: int = 0
    embedder: str = ""
    space: str | None = None
    kept_from_s: int | None = None
    anonymised: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("producer", "bank", "embedder"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} = {getattr(self, name)!r}: a text is needed")
        for name, empty in (("made_at_s", False), ("dimension", False), ("kept_from_s", True)):
            value = getattr(self, name)
            if not (empty and value is None) and (type(value) is not int or abs(value) > _LATEST):
                raise ValueError(f"{name} = {value!r}: a whole number is needed")
        if type(self.anonymised) is not bool:
            raise ValueError(f"anonymised = {self.anonymised!r}: true or false")
        if not isinstance(self.options, dict):
            raise ValueError(f"options = {self.options!r}: a mapping is needed")
        if self.space is not None:
            checked_space(self.space)
        counts: Any = self.counts
        if not isinstance(counts, dict) or any(
            name not in FRAMES.values() or type(count) is not int or count < 0
            for name, count in counts.items()
        ):
            raise ValueError(f"counts = {counts!r}: how many records there are of each kind")


class Signature(NamedTuple):
    """One signature of a bundle.

    Attributes
    ----------
    algorithm : str
        ``ed25519``.
    key : str
        The public key, in hex.
    signature : bytes
    """

    algorithm: str
    key: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """The records of a bundle.

    Attributes
    ----------
    experiences : tuple of Sealed
    trajectories : tuple of Trajectory
    annotations : tuple of Verdict, Item, Usage, Link or Tombstone
    """

    experiences: tuple[Sealed, ...] = ()
    trajectories: tuple[Trajectory, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return how many records there are of each kind that is there."""
        found: dict[str, int] = {}
        for kind, records in (
            ("experience", self.experiences),
            ("trajectory", self.trajectories),
        ):
            if records:
                found[kind] = len(records)
        for one in self.annotations:
            found[one.kind] = found.get(one.kind, 0) + 1
        return found


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and checked.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    header : Header
    contents : Contents
    signed_by : tuple of str
        Public keys, in hex, whose signatures are right.
    trusted : str or None
        Name of the trusted key among them; None: there is none.
    """

    name: str
    header: Header
    contents: Contents
    signed_by: tuple[str, ...] = ()
    trusted: str | None = None


# --- writing ------------------------------------------------------------------------------------


def frame(kind: bytes, body: bytes) -> bytes:
    """Return a frame."""
    return kind + len(body).to_bytes(4, "little") + hashlib.sha256(body).digest() + body


def pack(
    header: Header,
    contents: Contents,
    sign: Callable[[bytes], Sequence[Signature]] | None = None,
) -> Iterator[bytes]:
    """Yield the bytes of a bundle, piece by piece.

    Parameters
    ----------
    header : Header
        ``counts`` are filled in.
    contents : Contents
        In any order.
    sign : callable or None
        Returns signatures of what it is given.

    Raises
    ------
    ValueError
        If a record is there twice.
    """
    values = {one.name: getattr(header, one.name) for one in fields(header)}
    values["counts"] = contents.counts()
    total = hashlib.sha256()
    for piece in (MAGIC, frame(HEADER_FRAME, encode(values))):
        total.update(piece)
        yield piece
    count = 0
    for kind, body in _records(contents):
        piece = frame(kind, body)
        total.update(piece)
        count += 1
        yield piece
    footer = frame(FOOTER_FRAME, encode({"records": count, "sha256": total.hexdigest()}))
    yield footer
    total.update(footer)
    if sign is not None:
        signed = [
            {"algorithm": one.algorithm, "key": one.key, "signature": one.signature.hex()}
            for one in sign(signed_bytes(total.digest()))
        ]
        yield frame(SIGNATURES_FRAME, encode(signed))


def _records(contents: Contents) -> Iterator[tuple[bytes, bytes]]:
    last: object = None
    codes = {kind: code for code, kind in FRAMES.items()}
    for one in sorted(contents.experiences, key=lambda one: (one.agent, one.epoch)):
        last = _each_once(last, (one.agent, one.epoch))
        yield codes["experience"], one.blob
    for trajectory in sorted(contents.trajectories, key=lambda one: one.id):
        last = _each_once(last, trajectory.id)
        yield codes["trajectory"], trajectory.to_bytes()
    places = list(FRAMES.values())
    by_kind = [((places.index(one.kind), one.id), one) for one in contents.annotations]
    for name, note in sorted(by_kind, key=lambda pair: pair[0]):
        last = _each_once(last, name)
        yield codes[note.kind], note.to_bytes()


def _each_once(last: object, name: object) -> object:
    if last == name:
        raise ValueError(f"{name!r} is there twice")
    return name


def signed_bytes(total: bytes) -> bytes:
    """Return what is signed: the sum, bound to this format so that it can't stand for another."""
    return MAGIC + total


def checked_space(text: object) -> ContextSpace:
    """Return a declared space of contexts; ValueError if it can't be one."""
    if not isinstance(text, str):
        raise ValueError(f"space = {text!r}: a text is needed")
    try:
        space = space_from_json(text)
        if space_to_json(space) != text or not 1 <= len(space.features) <= _MOST_FEATURES:
            raise ValueError("not in the canonical form")
        cells = 1
        features: Any = space.features
        for feature in features:
            numbers = all(
                type(edge) in (int, float) and abs(edge) < 1e300 for edge in feature.edges
            )
            words = all(isinstance(word, str) for word in feature.words)
            if not isinstance(feature.name, str) or not numbers or not words:
                raise ValueError(f"feature {feature.name!r}")
            cells *= len(feature.words)
        if cells > _MOST_CELLS:
            raise ValueError(f"{cells} cells")
    except MALFORMED as problem:
        raise ValueError(f"space: {problem}") from problem
    return space
