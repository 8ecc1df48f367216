"""Two logs find out what the other lacks, and exchange that. Pure.

Records never change and have ids, so to merge two logs is the union of their records: in any order,
any number of times, in parts, with restarts in between. What has to be found out is only *which*
records one side lacks:

1. ``Hello``: the other's ``Digest``: one sum over all its tombstones, one over its items and links,
   one over its trajectories, verdicts and usages (``seal_index``), and the last epoch of each agent
   with its seal. Equal banks are done here.
2. ``Split``: where a sum differs, the sums of its 16 parts; of a part with at most 32 records,
   their names (16 bytes each) in place of more sums. Again, until no part is left that differs.
3. ``Fetch`` what the other has and this one lacks, and offer it what it lacks (a ``Delta``).

Tombstones go through all three steps before anything else does, so what is cut short has revoked
before it has taught. Experiences of agents need no sums: an agent's epochs are known as a prefix.

No message is larger than about 4 MB, however much there is to say. Bytes grow with the difference,
not with the size: where 1, 10, 100 or 1,000 of 100,000 trajectories were lacking, to find out which
took 1.7, 11, 75 and 471 KB in 6 or 7 messages, and where 1 of 1,000 or of 10,000 was, 0.9 and
1.2 KB; equal banks exchange 92 bytes (``python -m benchmarks.travel``).

In place of the three steps, ``delta`` answers a ``Digest`` of more bits at once, with everything in
the buckets that differ: one message more is saved than bytes, which suits small replicas.

*Retention.* Trajectories known before a bank's watermark ``kept_from_s`` have been folded into
statistics and let go, verdicts and usages with them. Only what was known from the larger watermark
of both on is compared and taken: below it, nobody can say whether an outcome is in the fold
already. So folded statistics don't travel; a bank that is to have them starts from a backup.

*Who is believed.* What comes in must be of its form, and must be what was asked for. A record whose
id is here with another content is refused and named, and the rest goes on; so is an agent whose
epochs differ. Whether an agent's reports are true is for trust to say, not for this.

Above: ``bank``, and shells that carry the messages. Below: ``seal_index``, ``records``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

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
from swarm_runtime.memory.log.seal_index import ELEMENT, SCOPES, SUM, Scope, record_key
from swarm_runtime.memory.travel.replica import (
    DEEPEST,
    MOST_BUCKETS,
    MOST_ELEMENTS,
    STEP,
    Replica,
    opened,
    parts_of,
)

__all__ = ["Exchanged", "reconcile"]

#: Buckets of one depth that are looked into: enough for half a billion records.
_MOST_AT_ONCE = 2**24
#: Records that differ are named up to this many.
_NAMED = 100
_R = TypeVar("_R", bound=Reply)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What two replicas exchanged.

    Attributes
    ----------
    received, sent : int
        Records that were new here, and there.
    refused : tuple of str
        Records and agents that both have with different content; neither took the other's.
    from_s : int
        Passing records from before were not compared.
    messages : int
        Requests, each with its reply.
    bytes_in, bytes_out : int
    """

    received: int
    sent: int
    refused: tuple[str, ...]
    from_s: int
    messages: int
    bytes_in: int
    bytes_out: int


def reconcile(
    own: Replica, ask: Callable[[Request], Reply], *, both_ways: bool = True
) -> Exchanged:
    """Fetch what another replica has and this one lacks, and the other way round.

    Parameters
    ----------
    own : Replica
    ask : callable
        Carries a request to the other replica's ``answer`` and returns the reply. If it raises,
        what was exchanged until then stays, and the next call goes on from there.
    both_ways : bool
        Whether to offer what the other lacks, too.

    Raises
    ------
    ValueError
        If a reply is not of its form, or is not what was asked for.
    """
    return _Exchange(own, ask).run(both_ways)


class _Exchange:
    """One run of ``reconcile``."""

    def __init__(self, own: Replica, ask: Callable[[Request], Reply]) -> None:
        self._own = own
        self._carry = ask
        self._messages = self._bytes_in = self._bytes_out = 0
        self._received = self._sent = 0
        self._refused: dict[str, None] = {}

    def run(self, both_ways: bool) -> Exchanged:
        theirs = self._ask(Hello(self._own.from_s), Digest)
        mine = self._own.digest(theirs.from_s)
        if mine.from_s != theirs.from_s or theirs.bits or len(theirs.sums) != len(SCOPES):
            raise ValueError("the digest is not the one that was asked for")
        for scope, here, there in zip(SCOPES, mine.sums, theirs.sums, strict=True):
            if here != there:
                (count,) = rows_of(there, SUM, SUM.itemsize)["count"].tolist()
                lacking, surplus = self._difference(scope, mine.from_s, count)
                self._fetch(scope, lacking, mine.from_s)
                if both_ways:
                    for delta in self._own.deltas(scope, surplus, mine.from_s):
                        self._offer(delta)
        self._fetch_epochs(theirs.tips)
        if both_ways:
            self._offer_epochs(theirs.tips)
        return Exchanged(
            self._received,
            self._sent,
            tuple(self._refused),
            mine.from_s,
            self._messages,
            self._bytes_in,
            self._bytes_out,
        )

    def _ask(self, request: Request, kind: type[_R]) -> _R:
        reply = self._carry(request)
        self._messages += 1
        self._bytes_out += message_bytes(request)
        self._bytes_in += message_bytes(reply)
        if not isinstance(reply, kind):
            raise ValueError(f"the reply to {type(request).__name__} is {type(reply).__name__}")
        return reply

    def _difference(
        self, scope: Scope, from_s: int, count: int
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
        """Return the names of what this side lacks, and of what the other lacks.

        ``count`` is how many records the other says it has: parts that are split have some.
        """
        lacking, surplus = [np.empty(0, ELEMENT)], [np.empty(0, ELEMENT)]
        bits, level = 0, np.zeros(1, np.uint64)
        while len(level):
            deeper: list[npt.NDArray[np.uint64]] = []
            for at in range(0, len(level), MOST_BUCKETS):
                asked = level[at : at + MOST_BUCKETS]
                reply = self._ask(Split(scope, from_s, bits, asked.tobytes()), Parts)
                listed = rows_of(reply.listed, np.dtype("u1"), len(asked)).astype(bool)
                theirs = rows_of(reply.elements, ELEMENT)
                mine = self._own.elements(scope, bits, asked[listed], from_s)
                lacks, has, differ = _compared(mine, theirs)
                lacking.append(lacks)
                surplus.append(has)
                if len(differ) and len(self._refused) < _NAMED:
                    names = self._own.names(scope, differ[:_NAMED], from_s)
                    self._refused |= dict.fromkeys(names)
                children = parts_of(asked[~listed])
                there = rows_of(reply.sums, SUM, len(children) * SUM.itemsize)
                here = self._own.sums(scope, bits + STEP, children, from_s)
                only_here = (there["count"] == 0) & (here["count"] > 0)
                surplus.append(self._own.elements(scope, bits + STEP, children[only_here], from_s))
                deeper.append(children[(here != there) & (there["count"] > 0)])
            bits, level = bits + STEP, np.concatenate(deeper)
            if bits > DEEPEST or len(level) > min(count + MOST_BUCKETS, _MOST_AT_ONCE):
                raise ValueError("buckets were split without end")
        return np.concatenate(lacking), np.concatenate(surplus)

    def _fetch(self, scope: Scope, lacking: npt.NDArray[np.void], from_s: int) -> None:
        waiting = {row.tobytes(): None for row in lacking}
        while waiting:
            asked = list(waiting)[:MOST_ELEMENTS]
            delta = self._ask(Fetch(scope, from_s, b"".join(asked)), Delta)
            for packet in delta.packets:
                name = _element(packet)
                if name not in waiting:
                    raise ValueError(f"a {packet.kind} came that was not asked for")
                del waiting[name]
            if not delta.packets:
                # Gone meanwhile: retention let go of them.
                for name in asked:
                    del waiting[name]
            self._take(Delta(from_s, packets=delta.packets))

    def _take(self, delta: Delta) -> None:
        taken = self._own.merge(delta)
        self._received += taken.new
        self._refused |= dict.fromkeys(taken.refused)

    def _offer(self, delta: Delta) -> None:
        taken = self._ask(delta, Accepted)
        self._sent += taken.new
        self._refused |= dict.fromkeys(taken.refused)

    def _fetch_epochs(self, theirs: Tips) -> None:
        until = {agent: epoch for agent, (epoch, _) in theirs.items()}
        while True:
            here = self._own.tips()
            until = {agent: epoch for agent, epoch in until.items() if epoch > _epoch(here, agent)}
            if not until:
                return
            after = {agent: here[agent] for agent in until if agent in here}
            delta = self._ask(Epochs(after, until), Delta)
            before = self._received
            self._take(Delta(delta.from_s, delta.experiences, (), delta.refused))
            if self._received == before:
                return

    def _offer_epochs(self, theirs: Tips) -> None:
        known = dict(theirs)
        while True:
            delta = self._own.epochs(known)
            self._refused |= dict.fromkeys(delta.refused)
            if not delta.experiences:
                return
            self._offer(delta)
            for one in delta.experiences:
                known[one.agent] = one.epoch, hashlib.sha256(one.blob).digest()[:8]


def _element(packet: Packet) -> bytes:
    record, seal = opened(packet)
    return record_key(packet.kind, record.id).to_bytes(8, "little") + seal


def _epoch(tips: Tips, agent: str) -> int:
    return tips[agent][0] if agent in tips else 0


def _compared(
    mine: npt.NDArray[np.void], theirs: npt.NDArray[np.void]
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Return what only they have, what only we have, and what of ours differs from theirs."""
    mine = np.sort(mine, order="key")
    at = np.minimum(np.searchsorted(mine["key"], theirs["key"]), max(0, len(mine) - 1))
    both = mine["key"][at] == theirs["key"] if len(mine) else np.zeros(len(theirs), np.bool_)
    here = np.zeros(len(mine), np.bool_)
    here[at[both]] = True
    differ = mine[at[both]]
    return theirs[~both], mine[~here], differ[differ["seal"] != theirs["seal"][both]]
