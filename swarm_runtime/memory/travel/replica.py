"""A log that can be compared and merged with others. Pure.

A replica follows its log's seals, answers what other replicas ask, and takes what they send. Above:
``anti_entropy``, which asks. Below: ``deltas`` (the messages), ``seal_index`` (where logs differ).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.memory.log.deltas import (
    Accepted,
    Delta,
    Digest,
    Epochs,
    Fetch,
    Hello,
    Packet,
    Parts,
    Reply,
    Request,
    Split,
    Tips,
    message_bytes,
    rows_of,
)
from swarm_runtime.memory.log.opening import experience_from, record_from
from swarm_runtime.memory.log.protocol import Position
from swarm_runtime.memory.log.seal_index import (
    ELEMENT,
    NOWHERE,
    SCOPES,
    SUM,
    Scope,
    Seal,
    SealIndex,
    scope_of,
)
from swarm_runtime.memory.records.annotations import ALWAYS, Annotation
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "DEEPEST",
    "MOST_BUCKETS",
    "MOST_ELEMENTS",
    "STEP",
    "Log",
    "Replica",
    "opened",
    "parts_of",
]

#: Into how many parts a bucket is split: 2 to this power.
STEP = 4
#: Buckets that are split in one message.
MOST_BUCKETS = 4_096
#: Records that are asked for in one message.
MOST_ELEMENTS = 4_096
#: Bits of a key.
DEEPEST = 64
#: Records up to which a bucket's names are sent in place of sums of its parts.
_LISTED = 32
_MOST_EPOCHS = 256
_MOST_BYTES = 4_000_000
_CHUNK = 256
#: A digest has 2 to this power sums of each scope at most.
_MOST_BITS = 12


class Log(Protocol):
    """What has to stand behind a replica: a part of ``log.ExperienceStore``, or a test's dict."""

    def kept_from_s(self) -> int | None:
        """Return the time up to which trajectories were let go; None: never."""
        ...

    def generation(self) -> int:
        """Return a number that grows when something is let go, pruned or filed anew."""
        ...

    def seals(self, after: Position) -> tuple[Sequence[Seal], Position]:
        """Return seals of trajectories and annotations added after a position, and the next one.

        At most a chunk at a time: ask again until the position stays the same.
        """
        ...

    def packets(self, places: Sequence[int]) -> Sequence[Packet]:
        """Return records by ``Seal.place``; those that are gone are left out."""
        ...

    def view(self) -> View:
        """Return how many epochs of each agent are here."""
        ...

    def epoch_seals(self, view: View) -> dict[str, bytes]:
        """Return the SHA-256 of one epoch of each agent, of those that are here."""
        ...

    def sealed(self, after: View | None = None, until: View | None = None) -> list[Sealed]:
        """Return experiences by (epoch, agent): above one view, up to another."""
        ...

    def record_all(
        self,
        sealed: Sequence[Sealed],
        trajectories: Sequence[Trajectory],
        annotations: Sequence[Annotation],
    ) -> int:
        """Check and record all of them, or none; return how many were new.

        Trajectories that retention may have let go already are passed over.
        """
        ...


class Replica:
    """A log that can be compared and merged with others.

    Parameters
    ----------
    log : Log
        What others add to it, and let go of, is noticed at the next question.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._index = SealIndex()
        self._position = Position()
        self._generation = log.generation()
        self._from_s = self._floor()

    def _floor(self) -> int:
        kept = self._log.kept_from_s()
        return ALWAYS if kept is None else kept + 1

    @property
    def from_s(self) -> int:
        """The watermark: passing records known before have been let go."""
        self._refresh()
        return self._from_s

    def _refresh(self) -> None:
        before = self._index
        if self._log.generation() != self._generation:
            self._generation = self._log.generation()
            self._index, self._position = SealIndex(), Position()
        while True:
            seals, position = self._log.seals(self._position)
            if position == self._position:
                break
            self._index.add(seals)
            self._position = position
        if self._index is not before:
            # What was here and was pruned won't be taken again, so it need not be offered again:
            # it goes on counting as settled.
            self._index.settle(before)
        floor = self._floor()
        if floor != self._from_s or self._index is not before:
            self._index.forget(floor)
            self._from_s = floor

    def tips(self) -> Tips:
        """Return the last epoch of each agent, with its seal."""
        view = self._log.view()
        seals = self._log.epoch_seals(view)
        return {agent: (view[agent], seals[agent][:8]) for agent in sorted(view)}

    # --- what is here ------------------------------------------------------------------------

    def digest(self, from_s: int | None = None, *, bits: int = 0) -> Digest:
        """Return what is here, in brief.

        Parameters
        ----------
        from_s : int or None
            The other's watermark, where it is known.
        bits : int, 0 to 12
            2^bits sums of each scope (20 bytes each): 0 suits ``reconcile``; for ``delta`` about as
            many sums as there are records.
        """
        if not 0 <= bits <= _MOST_BITS:
            raise ValueError(f"bits = {bits}: 0 to {_MOST_BITS}")
        self._refresh()
        floor = self._from_s if from_s is None else max(from_s, self._from_s)
        prefixes = np.arange(1 << bits, dtype=np.uint64)
        sums = tuple(self._index.sums(scope, bits, prefixes, floor).tobytes() for scope in SCOPES)
        return Digest(floor, self.tips(), bits, sums)

    def sums(
        self, scope: Scope, bits: int, prefixes: npt.NDArray[np.uint64], from_s: int
    ) -> npt.NDArray[np.void]:
        """See ``SealIndex.sums``."""
        return self._index.sums(scope, bits, prefixes, from_s)

    def elements(
        self, scope: Scope, bits: int, prefixes: npt.NDArray[np.uint64], from_s: int
    ) -> npt.NDArray[np.void]:
        """See ``SealIndex.elements``."""
        return self._index.elements(scope, bits, prefixes, from_s)

    def names(self, scope: Scope, elements: npt.NDArray[np.void], from_s: int) -> list[str]:
        """Return kind and id of named records, as far as they are here."""
        found = self._log.packets(self._index.places(scope, elements, from_s).tolist())
        return [f"{packet.kind} {opened(packet)[0].id}" for packet in found]

    def deltas(self, scope: Scope, elements: npt.NDArray[np.void], from_s: int) -> Iterator[Delta]:
        """Yield the named records, as far as they are here, in messages of bounded size."""
        places = self._index.places(scope, elements, from_s).tolist()
        waiting: list[Packet] = []
        size = 0
        for at in range(0, len(places), _CHUNK):
            for packet in self._log.packets(places[at : at + _CHUNK]):
                if waiting and size + len(packet.body) > _MOST_BYTES:
                    yield Delta(from_s, packets=tuple(waiting))
                    waiting, size = [], 0
                waiting.append(packet)
                size += len(packet.body)
        if waiting:
            yield Delta(from_s, packets=tuple(waiting))

    def epochs(self, after: Tips, until: View | None = None) -> Delta:
        """Return experiences above what somebody else has, as many as fit in a message.

        Agents whose epochs differ here and there are named as refused.
        """
        here = self._log.view()
        known_here = {agent: epoch for agent, (epoch, _) in after.items() if agent in here}
        seals = self._log.epoch_seals(known_here)
        start: View = {}
        stop: View = {}
        refused: list[str] = []
        room = _MOST_EPOCHS
        for agent in sorted(here if until is None else until.keys() & here.keys()):
            known, seal = after.get(agent, (0, b""))
            last = here[agent] if until is None else min(here[agent], until[agent])
            if agent in seals and seals[agent][:8] != seal:
                refused.append(f"agent {agent}")
            elif last > known and room:
                start[agent], stop[agent] = known, min(last, known + room)
                room -= stop[agent] - known
        found: list[Sealed] = []
        size = 0
        for one in self._log.sealed(start, stop) if stop else ():
            size += len(one.blob)
            if found and size > _MOST_BYTES:
                break
            found.append(one)
        return Delta(self._from_s, tuple(found), (), tuple(refused))

    def delta(self, theirs: Digest) -> Delta:
        """Return what a replica with this digest lacks, and more: all in the buckets that differ.

        As much as fits in a message, tombstones first; whoever has merged it asks again. If the
        answer's ``from_s`` is above the digest's, passing records are not in it: make the digest
        anew, from there.
        """
        own = self.digest(theirs.from_s, bits=theirs.bits)
        packets: list[Packet] = []
        size = 0
        for scope, mine, other in zip(SCOPES, own.sums, theirs.sums, strict=True):
            if scope == "passing" and own.from_s > theirs.from_s:
                continue
            here, there = rows_of(mine, SUM), rows_of(other, SUM, len(mine))
            prefixes = np.flatnonzero((here != there) & (here["count"] > 0)).astype(np.uint64)
            elements = self.elements(scope, own.bits, prefixes, own.from_s)
            for part in self.deltas(scope, elements, own.from_s):
                if packets and size + message_bytes(part) > _MOST_BYTES:
                    return Delta(own.from_s, packets=tuple(packets))
                packets += part.packets
                size += message_bytes(part)
        return replace(self.epochs(theirs.tips), from_s=own.from_s, packets=tuple(packets))

    # --- what comes in -----------------------------------------------------------------------

    def merge(self, delta: Delta) -> Accepted:
        """Take what is new in a delta, all of it in one commit.

        What is here already changes nothing. Experiences beyond a gap are left for a later time,
        passing records from before the watermark are left out.

        Raises
        ------
        ValueError
            If a record is not of its form. Then nothing was taken.
        """
        self._refresh()
        refused: list[str] = list(delta.refused)
        trajectories: list[Trajectory] = []
        annotations: list[Annotation] = []
        seen: set[tuple[str, str]] = set()
        for packet in delta.packets:
            record, seal = opened(packet)
            name = (packet.kind, record.id)
            known = self._index.known(*name)
            passing = scope_of(packet.kind) == "passing"
            if name in seen or (passing and record.known_at_s < self._from_s):
                continue
            seen.add(name)
            if known is not None and known != seal:
                refused.append(" ".join(name))
            elif known is None and isinstance(record, Trajectory):
                trajectories.append(record)
            elif known is None and not isinstance(record, Trajectory):
                annotations.append(record)
        experiences = list(self._next_epochs(delta.experiences, refused))
        new = 0
        if trajectories or annotations or experiences:
            new = self._log.record_all(experiences, trajectories, annotations)
            self._refresh()
            self._index.add(self._passed_over([*trajectories, *annotations]))
        return Accepted(new, tuple(dict.fromkeys(refused)))

    def _passed_over(self, records: Iterable[Trajectory | Annotation]) -> Iterator[Seal]:
        """Yield those that the log didn't take: they count as settled, or would come every time."""
        for one in records:
            kind = "trajectory" if isinstance(one, Trajectory) else one.kind
            if self._index.known(kind, one.id) is None:
                seal = hashlib.sha256(one.to_bytes()).digest()
                yield Seal(kind, one.id, one.known_at_s, seal, NOWHERE)

    def _next_epochs(self, sealed: Iterable[Sealed], refused: list[str]) -> Iterator[Sealed]:
        """Yield the experiences that come next here; name agents whose epochs differ."""
        last = self._log.view()
        for one in sorted(sealed, key=lambda one: (one.agent, one.epoch)):
            name = f"agent {one.agent}"
            if one.epoch <= last.get(one.agent, 0):
                seal = self._log.epoch_seals({one.agent: one.epoch}).get(one.agent)
                if seal is not None and seal != hashlib.sha256(one.blob).digest():
                    refused.append(name)
            elif one.epoch == last.get(one.agent, 0) + 1 and name not in refused:
                if experience_from(one.blob).seal() != one:
                    raise ValueError(f"{name}: epoch {one.epoch} says another thing outside")
                last[one.agent] = one.epoch
                yield one

    def answer(self, request: Request) -> Reply:
        """Answer what another replica asks.

        Raises
        ------
        ValueError
            If the request is not of its form.
        """
        if isinstance(request, Hello):
            return self.digest(request.from_s, bits=request.bits)
        if isinstance(request, Delta):
            return self.merge(request)
        self._refresh()
        if isinstance(request, Epochs):
            return self.epochs(request.after, request.until)
        if request.scope not in SCOPES:
            raise ValueError(f"scope = {request.scope!r}: {', '.join(SCOPES)}")
        if isinstance(request, Fetch):
            elements = rows_of(request.elements, ELEMENT)
            if len(elements) > MOST_ELEMENTS:
                raise ValueError(f"{len(elements)} records at once: {MOST_ELEMENTS} at most")
            return next(self.deltas(request.scope, elements, request.from_s), Delta(request.from_s))
        return self._parts(request)

    def _parts(self, asked: Split) -> Parts:
        prefixes = rows_of(asked.prefixes, np.dtype("<u8"))
        if not 0 <= asked.bits <= DEEPEST or len(prefixes) > MOST_BUCKETS:
            raise ValueError(f"{len(prefixes)} buckets of {asked.bits} bits are not split at once")
        sums = self._index.sums(asked.scope, asked.bits, prefixes, asked.from_s)
        listed = (sums["count"] <= _LISTED) | (asked.bits == DEEPEST)
        parts = b""
        if not listed.all():
            deeper = parts_of(prefixes[~listed])
            found = self._index.sums(asked.scope, asked.bits + STEP, deeper, asked.from_s)
            parts = found.tobytes()
        named = self._index.elements(asked.scope, asked.bits, prefixes[listed], asked.from_s)
        return Parts(listed.astype(np.uint8).tobytes(), parts, named.tobytes())


def opened(packet: Packet) -> tuple[Trajectory | Annotation, bytes]:
    """Return a packet's record and the first 8 bytes of its seal.

    Raises
    ------
    ValueError
        If it is malformed.
    """
    return record_from(packet.kind, packet.body), hashlib.sha256(packet.body).digest()[:8]


def parts_of(prefixes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the prefixes of buckets' parts, bucket by bucket."""
    parts = np.arange(1 << STEP, dtype=np.uint64)
    return ((prefixes[:, None] << np.uint64(STEP)) | parts).ravel()
