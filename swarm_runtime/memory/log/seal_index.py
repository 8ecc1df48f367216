"""What a log holds, as sums over buckets: so two logs find out cheaply where they differ. Pure.

Every record has a key of 64 bits, a hash of its kind and id, and a seal, the SHA-256 of its bytes.
A *bucket* is the records whose keys begin with the same bits. Its *sum* says how many there are,
and adds their seals up (two lanes of 64 bits, each mod 2^64): it does not depend on the order in
which records came, and a record more changes it by one addition. Keys are kept in sorted runs with
running totals, so the sum of any bucket is two look-ups a run; runs of like length are merged, so
there are few. A record costs 40 bytes here.

Sums find accidents, and 128 bits are plenty for that. They are no defence against somebody who
makes up records in order to hide others from one replica (Wagner, CRYPTO 2002, finds colliding
sums for far less than 2^64 tries); therefore tombstones have buckets to themselves, which nothing
but another tombstone can touch.

Above: ``anti_entropy``. Below: nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

__all__ = [
    "ELEMENT",
    "NOWHERE",
    "SCOPES",
    "SUM",
    "Scope",
    "Seal",
    "SealIndex",
    "record_key",
    "scope_of",
]

#: Records that are compared with each other, in the order in which they travel. *Passing* ones are
#: what retention lets go of; only those known from some moment on are compared.
Scope = Literal["tombstone", "lasting", "passing"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_SCOPE_OF_KIND: dict[str, Scope] = {"tombstone": "tombstone", "item": "lasting", "link": "lasting"}

#: A bucket's sum, as it travels: 20 bytes.
SUM = np.dtype([("count", "<u4"), ("first", "<u8"), ("second", "<u8")])
#: A record's name, as it travels: its key, and the first 8 bytes of its seal.
ELEMENT = np.dtype([("key", "<u8"), ("seal", "<u8")])

#: Place of a record that a log has had, or has turned down: settled, but not to be had.
NOWHERE = -1

_Keys = npt.NDArray[np.uint64]
_KEY_BITS = 64


class Seal(NamedTuple):
    """What a log says of one record.

    Attributes
    ----------
    kind, id : str
        ``"trajectory"``, or an annotation's kind.
    known_at_s : int
    sha256 : bytes
        Of the record's canonical bytes.
    place : int (>= 0, or NOWHERE)
        Whatever the log finds the record by.
    """

    kind: str
    id: str
    known_at_s: int
    sha256: bytes
    place: int


class _Run(NamedTuple):
    """Records in the order of their keys; the totals are one longer, and begin with zero."""

    keys: _Keys
    first: _Keys
    second: _Keys
    known_at_s: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


def scope_of(kind: str) -> Scope:
    """Return with which records those of a kind are compared."""
    return _SCOPE_OF_KIND.get(kind, "passing")


def record_key(kind: str, id_: str) -> int:
    """Return the key of a record: 64 bits from its kind and id."""
    named = f"{kind}\0{id_}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "little")


class SealIndex:
    """Seals of a log's trajectories and annotations, summed by bucket."""

    def __init__(self) -> None:
        self._runs: dict[Scope, list[_Run]] = {scope: [] for scope in SCOPES}
        #: Of the passing records: those known from a moment on, as last asked for.
        self._later: tuple[int, list[_Run]] | None = None

    def add(self, seals: Iterable[Seal]) -> None:
        """Take records that were not here."""
        rows: dict[Scope, list[tuple[int, bytes, int, int]]] = {scope: [] for scope in SCOPES}
        for kind, id_, known_at_s, sha256, place in seals:
            rows[scope_of(kind)].append((record_key(kind, id_), sha256[:16], known_at_s, place))
        for scope, found in rows.items():
            if not found:
                continue
            keys, sums, known, places = zip(*found, strict=True)
            lanes = np.frombuffer(b"".join(sums), "<u8").reshape(-1, 2)
            self._runs[scope].append(
                _sorted_run(
                    np.array(keys, np.uint64),
                    lanes[:, 0].astype(np.uint64),
                    lanes[:, 1].astype(np.uint64),
                    np.array(known, np.int64),
                    np.array(places, np.int64),
                )
            )
            _settle(self._runs[scope])
            if scope == "passing":
                self._later = None

    def forget(self, before_s: int) -> None:
        """Let go of the passing records that were known before a moment."""
        self._runs["passing"] = _from(self._runs["passing"], before_s)
        self._later = None

    def settle(self, before: SealIndex) -> None:
        """Take from an earlier index what is not here; it counts, but is nowhere to be had."""
        for scope, runs in self._runs.items():
            here = np.concatenate([np.empty(0, np.uint64), *(run.keys for run in runs)])
            for run in before._runs[scope]:
                gone = ~np.isin(run.keys, here)
                if gone.any():
                    found = _chosen(run, gone)
                    runs.append(found._replace(places=np.full_like(found.places, NOWHERE)))
            runs.sort(key=lambda run: -len(run.keys))
            _settle(runs)
        self._later = None

    def sums(
        self, scope: Scope, bits: int, prefixes: npt.NDArray[np.uint64], from_s: int
    ) -> npt.NDArray[np.void]:
        """Return buckets' sums.

        Parameters
        ----------
        scope : str
        bits : int
            How many bits the keys in a bucket share; 0: all records are in bucket 0.
        prefixes : ndarray of uint64, shape (n,)
            Those bits of each bucket.
        from_s : int
            Passing records that were known earlier don't count.

        Returns
        -------
        ndarray of SUM, shape (n,)
        """
        found = np.zeros(len(prefixes), SUM)
        for run in self._scope(scope, from_s):
            start, stop = _span(run, bits, prefixes)
            found["count"] += (stop - start).astype(np.uint32)
            found["first"] += run.first[stop] - run.first[start]
            found["second"] += run.second[stop] - run.second[start]
        return found

    def elements(
        self, scope: Scope, bits: int, prefixes: npt.NDArray[np.uint64], from_s: int
    ) -> npt.NDArray[np.void]:
        """Return the names of all records in some buckets: ndarray of ELEMENT, in no order."""
        parts: list[npt.NDArray[np.void]] = []
        for run in self._scope(scope, from_s):
            rows = _rows(*_span(run, bits, prefixes))
            part = np.empty(len(rows), ELEMENT)
            part["key"] = run.keys[rows]
            part["seal"] = run.first[rows + 1] - run.first[rows]
            parts.append(part)
        return np.concatenate(parts) if parts else np.empty(0, ELEMENT)

    def places(
        self, scope: Scope, elements: npt.NDArray[np.void], from_s: int
    ) -> npt.NDArray[np.int64]:
        """Return where the log finds the named records that are here, in the log's order."""
        found = np.concatenate([np.empty(0, np.int64), *self._found(scope, elements, from_s)])
        return np.sort(found[found != NOWHERE])

    def known(self, kind: str, id_: str) -> bytes | None:
        """Return the first 8 bytes of a record's seal; None if it is not here."""
        key = np.uint64(record_key(kind, id_))
        for run in self._runs[scope_of(kind)]:
            at = int(np.searchsorted(run.keys, key))
            if at < len(run.keys) and run.keys[at] == key:
                return np.diff(run.first[at : at + 2]).astype("<u8").tobytes()
        return None

    def __len__(self) -> int:
        return sum(len(run.keys) for runs in self._runs.values() for run in runs)

    def _found(
        self, scope: Scope, elements: npt.NDArray[np.void], from_s: int
    ) -> Iterable[npt.NDArray[np.int64]]:
        for run in self._scope(scope, from_s):
            start, stop = _span(run, _KEY_BITS, elements["key"])
            rows = _rows(start, stop)
            wanted = np.repeat(elements["seal"], stop - start)
            yield run.places[rows[run.first[rows + 1] - run.first[rows] == wanted]]

    def _scope(self, scope: Scope, from_s: int) -> list[_Run]:
        runs = self._runs[scope]
        if scope != "passing":
            return runs
        if self._later is None or self._later[0] != from_s:
            self._later = from_s, _from(runs, from_s)
        return self._later[1]


def _sorted_run(
    keys: _Keys,
    first: _Keys,
    second: _Keys,
    known_at_s: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
) -> _Run:
    order = np.argsort(keys, kind="stable")
    return _Run(
        keys[order], _totals(first[order]), _totals(second[order]), known_at_s[order], places[order]
    )


def _totals(values: _Keys) -> _Keys:
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])


def _from(runs: list[_Run], from_s: int) -> list[_Run]:
    """Return runs without what was known before a moment."""
    kept: list[_Run] = []
    for run in runs:
        later = run.known_at_s >= from_s
        if later.all():
            kept.append(run)
        elif later.any():
            kept.append(_chosen(run, later))
    return kept


def _chosen(run: _Run, rows: npt.NDArray[np.bool_]) -> _Run:
    """Return some rows of a run; their order stays."""
    return _Run(
        run.keys[rows],
        _totals(np.diff(run.first)[rows]),
        _totals(np.diff(run.second)[rows]),
        run.known_at_s[rows],
        run.places[rows],
    )


def _settle(runs: list[_Run]) -> None:
    """Merge runs until each is more than twice as long as the next."""
    while len(runs) > 1 and len(runs[-2].keys) <= 2 * len(runs[-1].keys):
        last, before = runs.pop(), runs.pop()
        runs.append(
            _sorted_run(
                np.concatenate([before.keys, last.keys]),
                np.concatenate([np.diff(before.first), np.diff(last.first)]),
                np.concatenate([np.diff(before.second), np.diff(last.second)]),
                np.concatenate([before.known_at_s, last.known_at_s]),
                np.concatenate([before.places, last.places]),
            )
        )


def _span(
    run: _Run, bits: int, prefixes: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return between which rows of a run each bucket lies."""
    if not bits:
        return np.zeros(len(prefixes), np.intp), np.full(len(prefixes), len(run.keys), np.intp)
    rest = np.uint64(_KEY_BITS - bits)
    low = prefixes.astype(np.uint64) << rest
    high = low | np.uint64((1 << int(rest)) - 1)
    return np.searchsorted(run.keys, low, "left"), np.searchsorted(run.keys, high, "right")


def _rows(start: npt.NDArray[np.intp], stop: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return all rows of the spans, one span after the other."""
    lengths = stop - start
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    rows: npt.NDArray[np.intp] = np.arange(total) + np.repeat(start - (ends - lengths), lengths)
    return rows
