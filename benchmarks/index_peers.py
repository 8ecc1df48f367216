"""What the index is compared with: other designs on FAISS, and libraries that are installed.

Each has one knob that trades time for recall; it is turned up until the recall is what was asked
for. The libraries are optional:

    pip install hnswlib usearch lancedb chromadb sqlite-vec apsw
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

__all__ = ["DESIGNS", "PEERS", "Filter", "Peer", "missing"]

Matrix = npt.NDArray[np.float32]

#: Rows that designs propose, before they are scored with the full vectors.
_SHORTLIST = 128


@dataclass(frozen=True)
class Filter:
    """Rows that may be found: those whose column has a value."""

    column: str
    value: int
    mask: npt.NDArray[np.bool_]


class Peer:
    """One that is compared with; a search returns row numbers, or None where it can't filter."""

    name = ""
    needs: tuple[str, ...] = ()
    knob = ""
    knobs: Sequence[int] = (0,)

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        """Take all vectors, and the columns that filters look at."""
        raise NotImplementedError

    def turn(self, value: int) -> None:
        """Set the knob."""

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        """Return the nearest rows."""
        raise NotImplementedError


class _Design(Peer):
    """An index of FAISS whose shortlist is scored again with the full vectors."""

    def __init__(self, name: str, knob: str, knobs: Sequence[int]) -> None:
        self.name, self.knob, self.knobs = name, knob, knobs

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        lists = 2 ** int(np.log2(4.0 * np.sqrt(len(vectors))))
        dimension, product = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
        self._vectors = vectors
        if self.name == "FAISS Flat":
            self._index = faiss.IndexFlatIP(dimension)
        elif self.name == "FAISS HNSW32,SQ8":
            self._index = faiss.index_factory(dimension, "HNSW32_SQ8", product)
            self._index.hnsw.efConstruction = 100
        else:
            kind = self.name.removeprefix("FAISS ").replace("IVF", f"IVF{lists}")
            self._index = faiss.index_factory(dimension, kind, product)
        self._index.train(vectors[: 40 * lists])  # as few as k-means does without a warning
        self._index.add(vectors)

    def turn(self, value: int) -> None:
        self._value = value

    def _parameters(self, only: Filter | None) -> Any:
        chosen: dict[str, Any] = {}
        if only is not None:
            bits = np.packbits(only.mask, bitorder="little")
            chosen["sel"] = faiss.IDSelectorBitmap(bits)
        if "IVF" in self.name:
            inner = faiss.SearchParametersIVF(nprobe=self._value, **chosen)
            if isinstance(self._index, faiss.IndexPreTransform):
                return faiss.SearchParametersPreTransform(index_params=inner)
            return inner
        if "HNSW" in self.name:
            return faiss.SearchParametersHNSW(efSearch=self._value, **chosen)
        return faiss.SearchParameters(**chosen) if chosen else None

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        _, found = self._index.search(query[None, :], _SHORTLIST, params=self._parameters(only))
        rows = found[0][found[0] >= 0]
        return rows[np.argsort(-(self._vectors[rows] @ query), kind="stable")[:count]]


class _Hnswlib(Peer):
    name, needs, knob = "hnswlib", ("hnswlib",), "ef"
    knobs = (16, 32, 64, 128, 256, 512, 1024)

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        import hnswlib

        self._index = hnswlib.Index("ip", vectors.shape[1])
        self._index.init_index(len(vectors), M=16, ef_construction=100)
        self._index.add_items(vectors, num_threads=2)
        self._index.set_num_threads(1)

    def turn(self, value: int) -> None:
        self._index.set_ef(value)

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        keep = None if only is None else only.mask.__getitem__
        try:
            return np.asarray(self._index.knn_query(query, count, filter=keep)[0][0], np.int64)
        except RuntimeError:  # fewer than wanted were found
            return np.empty(0, dtype=np.int64)


class _Usearch(Peer):
    name, needs, knob = "usearch (f16)", ("usearch",), "expansion"
    knobs = (16, 32, 64, 128, 256, 512, 1024)

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        from usearch.index import Index

        self._index = Index(
            ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=100
        )
        self._index.add(np.arange(len(vectors)), vectors, threads=2)

    def turn(self, value: int) -> None:
        self._index.expansion_search = value

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        if only is not None:
            return None
        return np.asarray(self._index.search(query, count, threads=1).keys, dtype=np.int64)


class _SqliteVec(Peer):
    name, needs = "sqlite-vec", ("sqlite_vec", "apsw")

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        import apsw
        import sqlite_vec

        self._folder = tempfile.TemporaryDirectory()
        self._connection = apsw.Connection(f"{self._folder.name}/vectors.sqlite")
        self._connection.enable_load_extension(True)
        self._connection.load_extension(sqlite_vec.loadable_path())
        extra = "".join(f", {name} integer" for name in columns)
        self._connection.execute(
            f"create virtual table v using vec0(embedding float[{vectors.shape[1]}]"
            f" distance_metric=cosine{extra})"
        )
        marks = ",".join("?" * (2 + len(columns)))
        names = "".join(f",{name}" for name in columns)
        with self._connection:
            self._connection.executemany(
                f"insert into v(rowid,embedding{names}) values({marks})",
                (
                    (row, vectors[row].tobytes(), *(int(of[row]) for of in columns.values()))
                    for row in range(len(vectors))
                ),
            )

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        where = "" if only is None else f" and {only.column} = {only.value}"
        found = self._connection.execute(
            f"select rowid from v where embedding match ? and k = {count}{where}",
            (query.tobytes(),),
        )
        return np.array([row for (row,) in found], dtype=np.int64)


class _Lancedb(Peer):
    name, needs, knob = "lancedb (IVF_PQ)", ("lancedb",), "nprobes"
    knobs = (4, 16, 64, 256)

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        import lancedb
        import pyarrow as pa

        self._folder = tempfile.TemporaryDirectory()
        held = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
        rows = {"row": np.arange(len(vectors)), **columns, "vector": held}
        self._table = lancedb.connect(self._folder.name).create_table("vectors", pa.table(rows))
        lists = 2 ** round(np.log2(np.sqrt(len(vectors))))
        self._table.create_index(
            metric="cosine",
            vector_column_name="vector",
            index_type="IVF_PQ",
            num_partitions=lists,
            num_sub_vectors=vectors.shape[1] // 8,
        )

    def turn(self, value: int) -> None:
        self._value = value

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        asked = self._table.search(query).metric("cosine").nprobes(self._value).refine_factor(10)
        if only is not None:
            asked = asked.where(f"{only.column} = {only.value}", prefilter=True)
        found = asked.limit(count).select(["row", "_distance"]).to_arrow()
        return np.asarray(found.column("row"), dtype=np.int64)


class _Chromadb(Peer):
    name, needs, knob = "chromadb", ("chromadb",), "ef"
    knobs = (16, 64, 256, 1024)

    def build(self, vectors: Matrix, columns: dict[str, npt.NDArray[np.int64]]) -> None:
        import chromadb

        self._folder = tempfile.TemporaryDirectory()
        client = chromadb.PersistentClient(
            self._folder.name, settings=chromadb.Settings(anonymized_telemetry=False)
        )
        hnsw = {"space": "cosine", "ef_construction": 100, "max_neighbors": 16, "ef_search": 16}
        self._held = client.create_collection("vectors", configuration={"hnsw": hnsw})
        for start in range(0, len(vectors), 1_000):
            rows = range(start, min(start + 1_000, len(vectors)))
            self._held.add(
                ids=[str(row) for row in rows],
                embeddings=vectors[rows.start : rows.stop],
                metadatas=[{name: int(of[row]) for name, of in columns.items()} for row in rows],
            )

    def turn(self, value: int) -> None:
        self._held.modify(configuration={"hnsw": {"ef_search": value}})

    def search(
        self, query: Matrix, count: int, only: Filter | None
    ) -> npt.NDArray[np.int64] | None:
        where = None if only is None else {only.column: only.value}
        found = self._held.query(
            query_embeddings=query[None, :], n_results=count, where=where, include=[]
        )
        return np.array(found["ids"][0], dtype=np.int64)


_PROBES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
DESIGNS = (
    _Design("FAISS Flat", "", (0,)),
    _Design("FAISS IVF,SQ8", "nprobe", _PROBES),
    _Design("FAISS IVF,SQ4", "nprobe", _PROBES),
    _Design("FAISS RR,IVF,RaBitQ", "nprobe", _PROBES),
    _Design("FAISS HNSW32,SQ8", "efSearch", (128, 256, 512, 1024)),
)
PEERS = (_Hnswlib(), _Usearch(), _SqliteVec(), _Lancedb(), _Chromadb())


def missing(peer: Peer) -> list[str]:
    """Return the packages that a peer needs and that aren't installed."""
    return [name for name in peer.needs if importlib.util.find_spec(name) is None]
