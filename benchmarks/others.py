"""Runs what the bank is measured beside: the original in Node, and stores of others. Each alone.

A process of its own for each, before or after the bank's, never beside it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.tasks import DOMAINS, descriptions, tries
from swarm_runtime.memory.vectors.embedding import Embedder

__all__ = ["original", "peers"]

HERE = Path(__file__).parent / "original"
_DIMENSION = 1_024
#: How long one row of the original, or of a peer, is measured at most; and everything.
_ROW_S = 10.0
_MOST_S = 1_800.0


def original(
    count: int, rows: tuple[str, ...], installed: Path | None, folder: str | None
) -> tuple[dict[str, Any], str]:
    """Measure agentic-flow's reasoningbank.

    Parameters
    ----------
    count : int
        Patterns.
    rows : tuple of str
        Which are wanted.
    installed : Path or None
        The folder whose ``node_modules`` has it; None: ``benchmarks/original``.
    folder : str or None
        For its database; None: that for temporary files.

    Returns
    -------
    found : dict
        Seconds of each call by row, ``patterns`` and ``bytes``; empty if it can't be measured.
    problem : str
        Why not, and what to do.
    """
    where, node = installed or HERE, shutil.which("node")
    if node is None:
        return {}, "node is not installed"
    if not (where / "node_modules" / "agentic-flow").is_dir():
        return {}, (
            f"it is installed by (cd {where} && npm ci --ignore-scripts && npm rebuild"
            " better-sqlite3)"
        )
    patterns = [
        {
            "text": one.context["task"],
            "domain": one.domain,
            "approach": one.approach,
            "confidence": 0.5 + 0.4 * (at % 97) / 97,
        }
        for at, one in enumerate(tries(count))
    ]
    tasks = {
        "patterns": patterns,
        "queries": [one.text for one in descriptions(900, 1)],
        "domains": DOMAINS,
        "rows": _rows_of_it(rows),
        "seconds": _ROW_S,
    }
    with tempfile.TemporaryDirectory(dir=folder) as name:
        given = Path(name) / "tasks.json"
        given.write_text(json.dumps(tasks))
        script = Path(name) / "measure.mjs"
        # Node looks for packages beside the script.
        script.write_bytes((HERE / "measure.mjs").read_bytes())
        (Path(name) / "node_modules").symlink_to((where / "node_modules").resolve())
        try:
            done = subprocess.run(
                [node, "--max-old-space-size=8192", script, given, Path(name) / "memory.db"],
                capture_output=True,
                text=True,
                timeout=_MOST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {}, f"it took more than {_MOST_S:g} s"
    if done.returncode:
        return {}, f"it failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    found: dict[str, Any] = json.loads(done.stdout)
    for key, value in found.items():
        if isinstance(value, list):
            found[key] = [one / 1e3 for one in value]
    return found, ""


def _rows_of_it(rows: tuple[str, ...]) -> list[str]:
    names = {
        "insert": ("insert", "insert_durable"),
        "batch": ("batch", "batch_transaction"),
        "retrieve": ("retrieve", "candidates"),
        "recommend": ("retrieve",),
        "domain": ("domain", "candidates_domain"),
        "cosine": ("cosine",),
        "size": ("size",),
    }
    return ["nothing", *(name for row in rows for name in names.get(row, ()))]


def peers(count: int, python: str, folder: str | None) -> list[dict[str, Any]]:
    """Measure every peer with another Python; what can't be measured says why (``problem``)."""
    embedder, found = Embedder(_DIMENSION), []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        where = Path(name)
        vectors = np.lib.format.open_memmap(
            where / "vectors.npy", "w+", np.float32, (count, _DIMENSION)
        )
        domains = np.empty(count, dtype=np.int64)
        source, at = tries(count), 0
        while some := list(islice(source, 4_096)):
            vectors[at : at + len(some)] = embedder.embed_many([one.context for one in some])
            domains[at : at + len(some)] = [DOMAINS.index(one.domain) for one in some]
            at += len(some)
        vectors.flush()
        np.save(where / "domains.npy", domains)
        for file, seed in (("queries.npy", 1), ("more.npy", 2)):
            texts = [{"task": one.text} for one in descriptions(200, seed)]
            np.save(where / file, embedder.embed_many(texts))
        for peer in PEERS:
            found.append(_peer(peer, python, where))
    return found


def _peer(peer: str, python: str, where: Path) -> dict[str, Any]:
    script = Path(__file__).parent / "peers.py"
    try:
        done = subprocess.run(
            [python, script, where, peer, str(_ROW_S)],
            capture_output=True,
            text=True,
            timeout=_MOST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"name": peer, "problem": f"took more than {_MOST_S:g} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"name": peer, "problem": last}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
