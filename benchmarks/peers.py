"""Vector stores of others, on vectors that lie in a folder. Needs only NumPy and the store.

``benchmarks.bank`` runs it with the Python of an environment in which ``peers.txt`` is installed::

    python benchmarks/peers.py FOLDER NAME [SECONDS]

FOLDER has ``vectors.npy`` (float32, of length one), ``domains.npy``, ``queries.npy`` and
``more.npy`` (vectors that are inserted one by one). One JSON object is printed. Every store has
its own defaults, one thread where it can be told, and is as durable as it can be; what it isn't is
said in ``durable``. It gets vectors: it has nothing to embed, no outcomes to count, no confidence,
no moment to stand at.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

__all__ = ["PEERS", "Peer", "measure"]

Matrix = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer[Any]]

BATCH = 1_000
K = 10


class Peer(Protocol):
    """What is measured of a store."""

    #: What is on the disk when an insert returns.
    durable: str

    def add(self, first: int, vectors: Matrix, domains: Integers) -> None:
        """Insert vectors, numbered from ``first``."""
        ...

    def search(self, query: Matrix, domain: int | None) -> list[int]:
        """Return the numbers of the ten nearest, of one domain or of all."""
        ...


class Hnswlib:
    """hnswlib, M = 16, 200 candidates while building and 64 while searching."""

    durable = "nothing"

    def __init__(self, library: Any, folder: Path, dimension: int, count: int) -> None:
        self._index = library.Index(space="ip", dim=dimension)
        self._index.init_index(max_elements=2 * count + BATCH, ef_construction=200, M=16)
        self._index.set_ef(64)
        self._index.set_num_threads(1)
        self._domains = np.empty(0, dtype=np.int64)

    def add(self, first: int, vectors: Matrix, domains: Integers) -> None:
        self._domains = np.concatenate([self._domains, domains])
        self._index.add_items(vectors, np.arange(first, first + len(vectors)), num_threads=1)

    def search(self, query: Matrix, domain: int | None) -> list[int]:
        passes = None
        if domain is not None:
            passes = self._domains == domain
        labels, _ = self._index.knn_query(
            query, k=K, num_threads=1, filter=None if passes is None else passes.__getitem__
        )
        return [int(one) for one in labels[0]]


class Usearch:
    """usearch with its defaults; its Python has no filter."""

    durable = "nothing"

    def __init__(self, library: Any, folder: Path, dimension: int, count: int) -> None:
        self._index = importlib.import_module("usearch.index").Index(
            ndim=dimension, metric="ip", dtype="f32"
        )

    def add(self, first: int, vectors: Matrix, domains: Integers) -> None:
        self._index.add(np.arange(first, first + len(vectors)), vectors, threads=1)

    def search(self, query: Matrix, domain: int | None) -> list[int]:
        if domain is not None:
            raise NotImplementedError
        return [int(one) for one in self._index.search(query, K, threads=1).keys]


class SqliteVec:
    """sqlite-vec: exact; the domain is a column of its virtual table."""

    durable = "each commit, fsynced"

    def __init__(self, library: Any, folder: Path, dimension: int, count: int) -> None:
        path = str(folder / "vectors.db")
        self._connection: Any = sqlite3.connect(path, isolation_level=None)
        if hasattr(self._connection, "enable_load_extension"):
            self._connection.enable_load_extension(True)
            library.load(self._connection)
        else:
            # This Python's own SQLite loads no extensions.
            self._connection = importlib.import_module("apsw").Connection(path)
            self._connection.enable_load_extension(True)
            self._connection.load_extension(library.loadable_path())
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE VIRTUAL TABLE vectors USING vec0(id INTEGER PRIMARY KEY, domain INTEGER,"
            f" vector FLOAT[{dimension}] distance_metric=cosine)"
        )

    def add(self, first: int, vectors: Matrix, domains: Integers) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO vectors VALUES (?, ?, ?)",
            (
                (first + at, int(domain), vector.tobytes())
                for at, (vector, domain) in enumerate(zip(vectors, domains, strict=True))
            ),
        )
        self._connection.execute("COMMIT")

    def search(self, query: Matrix, domain: int | None) -> list[int]:
        where, values = "", [query.tobytes(), K]
        if domain is not None:
            where, values = " AND domain = ?", [*values, domain]
        rows = self._connection.execute(
            f"SELECT id FROM vectors WHERE vector MATCH ? AND k = ?{where} ORDER BY distance",
            values,
        )
        return [one for (one,) in rows]


class Lancedb:
    """lancedb without an index (its default): a scan of its file."""

    durable = "each version, as the system writes"

    def __init__(self, library: Any, folder: Path, dimension: int, count: int) -> None:
        self._arrow = importlib.import_module("pyarrow")
        self._dimension = dimension
        self._database = library.connect(str(folder / "lance"))
        self._table: Any = None

    def add(self, first: int, vectors: Matrix, domains: Integers) -> None:
        arrow = self._arrow
        rows = arrow.table(
            {
                "id": arrow.array(np.arange(first, first + len(vectors))),
                "domain": arrow.array(np.asarray(domains, dtype=np.int64)),
                "vector": arrow.FixedSizeListArray.from_arrays(
                    arrow.array(np.ascontiguousarray(vectors).ravel()), self._dimension
                ),
            }
        )
        if self._table is None:
            self._table = self._database.create_table("vectors", data=rows)
        else:
            self._table.add(rows)

    def search(self, query: Matrix, domain: int | None) -> list[int]:
        asked = self._table.search(query).distance_type("cosine").limit(K).select(["id"])
        if domain is not None:
            asked = asked.where(f"domain = {domain}", prefilter=True)
        return [int(one) for one in asked.to_arrow()["id"].to_pylist()]


class Chromadb:
    """chromadb's persistent client with its defaults, in this process."""

    durable = "each call, as its SQLite writes"

    def __init__(self, library: Any, folder: Path, dimension: int, count: int) -> None:
        settings = importlib.import_module("chromadb.config").Settings(anonymized_telemetry=False)
        client = library.PersistentClient(path=str(folder / "chroma"), settings=settings)
        self._rows = client.create_collection(
            "vectors", metadata={"hnsw:space": "cosine"}, embedding_function=None
        )

    def add(self, first: int, vectors: Matrix, domains: Integers) -> None:
        self._rows.add(
            ids=[str(first + at) for at in range(len(vectors))],
            embeddings=vectors,
            metadatas=[{"domain": int(one)} for one in domains],
        )

    def search(self, query: Matrix, domain: int | None) -> list[int]:
        found = self._rows.query(
            query_embeddings=query[None, :],
            n_results=K,
            where=None if domain is None else {"domain": domain},
            include=["distances"],
        )
        return [int(one) for one in found["ids"][0]]


#: By the name of the package: its module, and what is measured.
PEERS: dict[str, tuple[str, Callable[[Any, Path, int, int], Peer]]] = {
    "hnswlib": ("hnswlib", Hnswlib),
    "usearch": ("usearch", Usearch),
    "sqlite-vec": ("sqlite_vec", SqliteVec),
    "lancedb": ("lancedb", Lancedb),
    "chromadb": ("chromadb", Chromadb),
}


def measure(folder: Path, name: str, seconds: float) -> dict[str, Any]:
    """Return what a store takes, in seconds each call, and how many of the ten best it finds."""
    module, make = PEERS[name]
    library = importlib.import_module(module)
    vectors, domains = np.load(folder / "vectors.npy"), np.load(folder / "domains.npy")
    queries, more = np.load(folder / "queries.npy"), np.load(folder / "more.npy")
    peer = make(library, folder, vectors.shape[1], len(vectors))
    started_s = time.perf_counter()
    for at in range(0, len(vectors), BATCH):
        peer.add(at, vectors[at : at + BATCH], domains[at : at + BATCH])
    found: dict[str, Any] = {
        "name": name,
        "version": importlib.metadata.version(name),
        "durable": peer.durable,
        "rows_per_s": len(vectors) / (time.perf_counter() - started_s),
    }
    hits, asked = 0, 0
    for key, all_domains in (("retrieve", True), ("domain", False)):
        taken: list[float] = []
        end_s = time.perf_counter() + seconds
        try:
            for at, query in enumerate(queries):
                domain = None if all_domains else int(at % (domains.max() + 1))
                started_s = time.perf_counter()
                answer = peer.search(query, domain)
                taken.append(time.perf_counter() - started_s)
                if at < 50:
                    scores = vectors @ query
                    if domain is not None:
                        scores = np.where(domains == domain, scores, -2.0)
                    least = np.partition(scores, -K)[-K]
                    hits += int((scores[answer] >= least - 1e-6).sum())
                    asked += K
                if time.perf_counter() > end_s and at >= 3:
                    break
        except NotImplementedError:
            continue
        # The first call may load what later ones have.
        found[key] = taken[1:]
    found["recall"] = hits / max(asked, 1)
    singles: list[float] = []
    end_s = time.perf_counter() + seconds
    for at in range(len(more)):
        started_s = time.perf_counter()
        peer.add(len(vectors) + at, more[at : at + 1], domains[at : at + 1])
        singles.append(time.perf_counter() - started_s)
        if time.perf_counter() > end_s and at >= 3:
            break
    found["insert"] = singles[1:]
    return found


if __name__ == "__main__":
    where, which, *rest = sys.argv[1:]
    print(json.dumps(measure(Path(where), which, float(rest[0]) if rest else 10.0)))
