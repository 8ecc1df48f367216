"""The catalogue as bytes, so that a large bank need not read its whole log to answer.

A snapshot is a shortcut and never the truth: it says whose log it was derived from and how far, and
how it was embedded; if anything of that differs, or a byte does, it is as if there were none, and
the log is read instead. Above: ``derived``. Below: ``catalogue``, ``core.codec``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.columns import Growing, Names
from swarm_runtime.memory.state.tables import Standing

__all__ = ["freeze", "read_snapshot", "thaw", "write_snapshot"]

#: Of this file; another one is not read.
_FORMAT = 1
_SEAL_BYTES = 32


def _tables(catalogue: Catalogue) -> Iterator[tuple[str, object]]:
    for name in ("places", "patterns", "pairs", "outcomes"):
        yield name, getattr(catalogue, name)


def freeze(catalogue: Catalogue) -> dict[str, Any]:
    """Return the state of a catalogue, but for its index."""
    texts = [cell.encode() for cell in catalogue.cells]
    verdicts = [
        [number, [list(one) for one in known]]
        for number, known in sorted(catalogue.verdicts.items())
    ]
    return {
        "columns": {
            name: {field.name: getattr(table, field.name).rows for field in fields(table)}  # type: ignore[arg-type]
            for name, table in _tables(catalogue)
        },
        "trust": catalogue.trust.rows,
        "cells": np.frombuffer(b"".join(texts), dtype=np.uint8),
        "cell_ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
        "names": {
            name: getattr(catalogue, name).texts
            for name in ("domains", "task_types", "approaches", "agents")
        },
        "verdicts": verdicts,
        "revoked": [[*key, from_s] for key, from_s in sorted(catalogue.revoked.items())],
        "moment_s": catalogue.moment_s,
    }


def thaw(state: dict[str, Any], catalogue: Catalogue) -> None:
    """Fill an empty catalogue, whose index holds the same places' vectors, from a state.

    Raises
    ------
    ValueError
        If the parts do not fit each other, or the index. The catalogue is of no use then.
    """
    try:
        for name, table in _tables(catalogue):
            for field in fields(table):  # type: ignore[arg-type]
                column = Growing.of(state["columns"][name][field.name])
                setattr(table, field.name, column)
        catalogue.trust = Growing.of(state["trust"])
        for name, texts in state["names"].items():
            setattr(catalogue, name, Names(texts))
        blob = state["cells"].tobytes()
        ends = state["cell_ends"].tolist()
        starts = [0, *ends[:-1]] if ends else []
        catalogue.cells = [
            blob[start:end].decode() for start, end in zip(starts, ends, strict=True)
        ]
        catalogue.verdicts = {
            number: [Standing(*one) for one in known] for number, known in state["verdicts"]
        }
        catalogue.revoked = {(kind, target): from_s for kind, target, from_s in state["revoked"]}
        catalogue.moment_s = state["moment_s"]
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as problem:
        raise ValueError(f"the snapshot is of another form: {problem}") from problem
    count = len(catalogue.cells)
    if not count == len(catalogue.places.key) == len(catalogue.index):
        raise ValueError(f"{count} cells, {len(catalogue.index)} vectors")
    catalogue.restored()


def write_snapshot(path: Path, state: dict[str, Any]) -> None:
    """Write a state; the file appears when it is whole."""
    payload = encode({"format": _FORMAT, "state": state})
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(hashlib.sha256(payload).digest())
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_snapshot(path: Path) -> dict[str, Any] | None:
    """Return the state that was written; None if there is none that can be trusted."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    payload = memoryview(data)[_SEAL_BYTES:]
    if hashlib.sha256(payload).digest() != data[:_SEAL_BYTES]:
        return None
    try:
        found = decode(bytes(payload))
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        return None
    state = found["state"]
    return state if isinstance(state, dict) else None
