"""Bundles for tests: the bytes of good ones, and of ones that were made by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarm_runtime.core.codec import encode
from swarm_runtime.memory.records.pattern import space_to_json
from swarm_runtime.memory.travel.bundle import MAGIC, Contents, Header, frame, pack
from swarm_runtime.memory.travel.bundle_file import read_bundle
from swarm_runtime.memory.travel.bundle_reading import outline
from tests.annotations import item, link, tombstone, usage, verdict
from tests.experiences import DAY_S, SPACE, random_experience, trajectory

__all__ = ["HEADER", "bundle_bytes", "by_hand", "contents", "frames_of", "read"]

HEADER = Header(
    made_at_s=10 * DAY_S,
    producer="tests 1",
    bank="bank-1",
    dimension=1_024,
    embedder="hashed",
    space=space_to_json(SPACE),
)


def contents() -> Contents:
    """Return records of every kind that refer to each other."""
    experiences = [random_experience(e, a, e).seal() for a in ("a", "b") for e in (1, 2, 3)]
    tries = [
        trajectory(f"t{at}", context={"site": f"s{at}", "n": 1.5 * at}, steps=("asked", "got it"))
        for at in range(4)
    ]
    notes = [verdict(), item(), usage(), link(), tombstone(), verdict("v2", trajectory="t2")]
    return Contents(tuple(experiences), tuple(tries), tuple(notes))


def bundle_bytes(which: Contents | None = None, header: Header = HEADER) -> bytes:
    return b"".join(pack(header, contents() if which is None else which))


def frames_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and body of every record in a good bundle."""
    return [(one.kind, bytes(one.body)) for one in outline(data, "bundle").frames]


def by_hand(frames: Sequence[tuple[bytes, bytes]], header: dict[str, Any] | bytes) -> bytes:
    """Return a bundle whose seals and sum are right, whatever is in it."""
    parts = [MAGIC, frame(b"H", header if isinstance(header, bytes) else encode(header))]
    parts += [frame(kind, body) for kind, body in frames]
    body = b"".join(parts)
    total = hashlib.sha256(body).hexdigest()
    return body + frame(b"F", encode({"records": len(frames), "sha256": total}))


def read(path: Path, data: bytes, **more: Any) -> Any:
    path.write_bytes(data)
    return read_bundle(path, **{"allow_unsigned": True, **more})
