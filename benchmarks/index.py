"""The vector index: how fast, how right, how large; beside an exact scan, other designs and peers.

Data sets: ``clustered`` (unit vectors around rows / 100 centres, cosine to the centre 0.6 to 0.9),
``text`` (sentences of the documentation of installed packages, see ``benchmarks.texts``, embedded
as the bank does it; as many as there are), ``noise`` (uniform on the sphere, printed only: there
the ten nearest are hardly nearer than any others). Queries are of the same kind and not in the
index. Filters keep half of the rows, one in a hundred, ten rows, and one domain (a tenth of the
clusters, or one package's sentences, so mostly rows that are not near the query).

Reference, in the same run: NumPy scoring every vector and taking the best ten. Recall is the share
of the ten nearest that is found, equal cosines counting as found.

    python -m benchmarks.index [--rows 2431 10000 100000] [--data clustered text noise]
                               [--designs] [--peers] [--json FILE]
    python -m benchmarks.index --rows 1000000 --data clustered      (8 GB of disk, some minutes)
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.index_peers import DESIGNS, PEERS, Filter, Peer, missing
from benchmarks.texts import sentences
from swarm_runtime.memory.vectors.embedding import Embedder
from swarm_runtime.memory.vectors.index import VectorIndex

DIMENSION, NEAREST, ASKED, CHUNK = 1024, 10, 200, 8_192
Matrix = npt.NDArray[np.float32]


class Data:
    """One data set: vectors in chunks, which cluster or source each is of, and queries."""

    def __init__(self, name: str, rows: int) -> None:
        self.name = name
        self._draw = np.random.Generator(np.random.Philox(key=rows))
        self._seconds_embedding = 0.0
        if name == "text":
            texts, sources = sentences(rows + ASKED)
            self.rows = len(texts) - ASKED
            self._texts = texts
            names = sorted(set(sources))
            self.labels = np.array([names.index(one) for one in sources[ASKED:]])
            self.domain = names.index("numpy") if "numpy" in names else 0
        else:
            self.rows = rows
            count = max(10, rows // 100) if name == "clustered" else 0
            self._centres = self._unit(self._draw.standard_normal((count, DIMENSION), np.float32))
            labels = self._draw.integers(0, max(10, count), rows + ASKED)
            self._of, self.labels, self.domain = labels, labels[ASKED:] % 10, 3

    def queries(self) -> Matrix:
        """Return vectors that are not in the index."""
        return self._vectors(0, ASKED)

    def chunks(self) -> Iterator[Matrix]:
        """Yield the vectors."""
        for start in range(ASKED, self.rows + ASKED, CHUNK):
            yield self._vectors(start, min(start + CHUNK, self.rows + ASKED))

    def _vectors(self, start: int, stop: int) -> Matrix:
        if self.name == "text":
            return Embedder(DIMENSION).embed_many([{"task": t} for t in self._texts[start:stop]])
        # Keyed by where it starts: the same vectors whenever they are asked for.
        draw = np.random.Generator(np.random.Philox(key=[self.rows, start]))
        noise = draw.standard_normal((stop - start, DIMENSION), dtype=np.float32)
        if self.name == "noise":
            return self._unit(noise)
        noise *= draw.uniform(0.5, 1.2, (stop - start, 1)).astype(np.float32) / DIMENSION**0.5
        return self._unit(self._centres[self._of[start:stop]] + noise)

    @staticmethod
    def _unit(rows: Matrix) -> Matrix:
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return rows


def filters_of(data: Data) -> tuple[dict[str, Filter | None], dict[str, npt.NDArray[np.int64]]]:
    """Return the filters by name, and the columns they look at."""
    draw = np.random.Generator(np.random.Philox(key=data.rows + 1))
    ten = np.zeros(data.rows, dtype=np.int64)
    ten[draw.choice(data.rows, NEAREST, replace=False)] = 1
    columns = {
        "half": draw.integers(0, 2, data.rows),
        "hundredth": draw.integers(0, 100, data.rows),
        "ten": ten,
        "domain": (data.labels == data.domain).astype(np.int64),
    }
    wanted = {"half": 1, "hundredth": 7, "ten": 1, "domain": 1}
    found: dict[str, Filter | None] = {"none": None}
    for name, value in wanted.items():
        found[name] = Filter(name, value, columns[name] == value)
    return found, columns


def truth(
    chunks: Iterator[Matrix], queries: Matrix, filters: dict[str, Filter | None]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return, by filter, each query's ten best cosines, the lowest first."""
    best = {name: np.full((len(queries), NEAREST), -2.0) for name in filters}
    start = 0
    for chunk in chunks:
        scores = (queries @ chunk.T).astype(np.float64)
        for name, only in filters.items():
            kept = scores if only is None else scores[:, only.mask[start : start + len(chunk)]]
            both = np.concatenate([best[name], kept], axis=1)
            best[name] = np.sort(np.partition(both, -NEAREST, axis=1)[:, -NEAREST:], axis=1)
        start += len(chunk)
    return best


def timed(ask: Callable[[Matrix], Any], queries: Matrix) -> tuple[float, float]:
    """Return p50 and p99 in ms of the least disturbed of three passes."""
    passes = []
    for _ in range(3):
        taken = []
        for query in queries:
            started_s = time.perf_counter()
            ask(query)
            taken.append(1e3 * (time.perf_counter() - started_s))
        taken.sort()
        passes.append((statistics.median(taken), taken[int(0.99 * len(taken))]))
    return min(passes)


def recall_of(
    answers: list[npt.NDArray[np.int64]],
    best: npt.NDArray[np.float64],
    queries: Matrix,
    vectors: Callable[[npt.NDArray[np.int64]], Matrix],
) -> float:
    """Return the share of the ten nearest that was found."""
    hits, wanted = 0, 0
    for rows, least, query in zip(answers, best, queries, strict=True):
        there = least > -2.0
        wanted += int(there.sum())
        scores = vectors(rows).astype(np.float64) @ query
        hits += min(int(there.sum()), int((scores >= least[there].min() - 1e-5).sum()))
    return hits / max(1, wanted)


def ours(data: Data, folder: Path | None) -> tuple[VectorIndex, dict[str, float]]:
    """Build our index; return it and what that took."""
    index = VectorIndex(DIMENSION, folder)
    adding_s = 0.0
    for chunk in data.chunks():
        started_s = time.perf_counter()
        for start in range(0, len(chunk), 1_000):
            index.add(chunk[start : start + 1_000])
        adding_s += time.perf_counter() - started_s
    started_s = time.perf_counter()
    index.settle()
    figures = {"add_s": adding_s, "settle_s": time.perf_counter() - started_s}
    if folder is not None:
        started_s = time.perf_counter()
        index.snapshot()
        figures["snapshot_s"] = time.perf_counter() - started_s
    return index, figures


def opened_elsewhere(folder: Path) -> dict[str, float]:
    """Open the index in a process of its own; return its seconds and resident MB."""
    command = [sys.executable, "-m", "benchmarks.index", "--resident", str(folder)]
    found: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    return found


def resident(folder: Path) -> None:
    """Print what opening and 200 queries take in this process."""
    process = psutil.Process()
    before = process.memory_info().rss
    started_s = time.perf_counter()
    index = VectorIndex.open(folder, DIMENSION, writer=False)
    opened_s = time.perf_counter() - started_s
    queries = index.vectors(np.linspace(0, len(index) - 1, ASKED).astype(np.int64))
    for query in queries:
        index.search(query, NEAREST)
    after = process.memory_info().rss
    print(
        json.dumps(
            {"open_s": opened_s, "rss_mb": after / 1e6, "rss_added_mb": (after - before) / 1e6}
        )
    )


def compared(
    name: str,
    data: Data,
    queries: Matrix,
    filters: dict[str, Filter | None],
    best: dict[str, npt.NDArray[np.float64]],
    search: Callable[[Matrix, Filter | None], npt.NDArray[np.int64] | None],
    vectors: Callable[[npt.NDArray[np.int64]], Matrix],
) -> list[dict[str, Any]]:
    """Return the figures of one searcher, by filter."""
    found = []
    for kept, only in filters.items():
        answers = [search(query, only) for query in queries]
        if any(rows is None for rows in answers):
            continue
        recall = recall_of([r for r in answers if r is not None], best[kept], queries, vectors)
        p50, p99 = timed(lambda query, only=only: search(query, only), queries)  # type: ignore[misc]
        found.append(
            {
                "data": data.name, "rows": data.rows, "searcher": name, "filter": kept,
                "p50_ms": p50, "p99_ms": p99, "recall_at_10": recall,
            }
        )  # fmt: skip
    return found


def tuned(
    peer: Peer,
    queries: Matrix,
    best: npt.NDArray[np.float64],
    vectors: Callable[[npt.NDArray[np.int64]], Matrix],
    target: float,
) -> str:
    """Turn a peer's knob up until it finds enough; return how far that was."""
    for value in peer.knobs:
        peer.turn(value)
        answers = [peer.search(query, NEAREST, None) for query in queries]
        recall = recall_of([r for r in answers if r is not None], best, queries, vectors)
        if recall >= target:
            break
    return f" {peer.knob} {value}" if peer.knob else ""


def measure(data: Data, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return all figures of one data set."""
    queries = data.queries()
    filters, columns = filters_of(data)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        index, figures = ours(data, Path(folder))
        figures |= opened_elsewhere(Path(folder))
        figures["disk_mb"] = sum(one.stat().st_size for one in Path(folder).iterdir()) / 1e6
        said = index.describe()
        best = truth(data.chunks(), queries, filters)

        def search(query: Matrix, only: Filter | None) -> npt.NDArray[np.int64]:
            return index.search(query, NEAREST, None if only is None else only.mask)[0]

        found = compared("ours, on disk", data, queries, filters, best, search, index.vectors)
        found[0] |= figures | {"described": said}
        if data.rows <= given.matrix:
            matrix = np.concatenate(list(data.chunks()))
            found += others(data, given, matrix, queries, filters, columns, best)
        index.close()
    reference = next((one["p50_ms"] for one in found if one["searcher"] == "NumPy, exact"), None)
    for one in found:
        one["share_of_numpy"] = one["p50_ms"] / reference if reference else None
    return found


def others(
    data: Data,
    given: argparse.Namespace,
    matrix: Matrix,
    queries: Matrix,
    filters: dict[str, Filter | None],
    columns: dict[str, npt.NDArray[np.int64]],
    best: dict[str, npt.NDArray[np.float64]],
) -> list[dict[str, Any]]:
    """Return the figures of the reference, ours in memory, other designs and peers."""

    def exactly(query: Matrix, only: Filter | None) -> npt.NDArray[np.int64]:
        scores = matrix @ query
        if only is not None:
            scores[~only.mask] = -2.0
        rows = np.argpartition(scores, -NEAREST)[-NEAREST:]
        return rows[np.argsort(-scores[rows])]

    vectors = matrix.__getitem__
    found = compared(
        "NumPy, exact", data, queries[:50], {"none": None},
        {"none": best["none"][:50]}, exactly, vectors,
    )  # fmt: skip
    index, figures = ours(data, None)

    def search(query: Matrix, only: Filter | None) -> npt.NDArray[np.int64]:
        return index.search(query, NEAREST, None if only is None else only.mask)[0]

    mine = compared("ours, in memory", data, queries, filters, best, search, vectors)
    mine[0] |= figures
    found += mine
    chosen = (*(DESIGNS if given.designs else ()), *(PEERS if given.peers else ()))
    for peer in chosen:
        if lacking := missing(peer):
            print(f"{peer.name}: pip install {' '.join(lacking)}", file=sys.stderr)
            continue
        started_s = time.perf_counter()
        peer.build(matrix, columns)
        built_s = time.perf_counter() - started_s
        name = peer.name + tuned(peer, queries[:100], best["none"][:100], vectors, given.recall)

        def ask(query: Matrix, only: Filter | None, peer: Peer = peer) -> Any:
            return peer.search(query, NEAREST, only)

        its = compared(name, data, queries[:100], filters,
                       {k: b[:100] for k, b in best.items()}, ask, vectors)  # fmt: skip
        its[0]["add_s"] = built_s
        found += its
        print(f"{data.name} {data.rows}: {name}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_431, 10_000, 100_000])
    parser.add_argument("--data", nargs="+", default=["clustered", "text", "noise"])
    parser.add_argument("--designs", action="store_true", help="also other designs on FAISS")
    parser.add_argument("--peers", action="store_true", help="also libraries that are installed")
    parser.add_argument("--recall", type=float, default=0.95, help="that others are turned up to")
    parser.add_argument("--matrix", type=int, default=200_000, help="rows up to which others run")
    parser.add_argument("--folder", type=Path, help="where the index lies meanwhile")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--resident", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resident:
        resident(given.resident)
        return
    found: list[dict[str, Any]] = []
    for rows in given.rows:
        for name in given.data:
            found += measure(Data(name, rows), given)
            print(f"{name} {rows}: done", file=sys.stderr, flush=True)
    table = Table(title=f"Nearest {NEAREST} of {DIMENSION}-dimensional vectors: p50 ms (recall)")
    filters = ("none", "half", "hundredth", "ten", "domain")
    for column in ("data", "rows", "searcher", "built s", "of NumPy", "p99", *filters):
        table.add_column(column, justify="left" if column in ("data", "searcher") else "right")
    by_searcher: dict[tuple[str, int, str], dict[str, dict[str, Any]]] = {}
    for one in found:
        key = (one["data"], one["rows"], one["searcher"])
        by_searcher.setdefault(key, {})[one["filter"]] = one
    for (name, count, searcher), by in by_searcher.items():
        plain = by["none"]
        table.add_row(
            name,
            f"{count:,}",
            searcher,
            f"{plain['add_s']:.1f}" if "add_s" in plain else "",
            f"{plain['share_of_numpy']:.3f}" if plain["share_of_numpy"] else "",
            f"{plain['p99_ms']:.2f}",
            *(
                f"{by[kept]['p50_ms']:.3f} ({by[kept]['recall_at_10']:.3f})" if kept in by else "-"
                for kept in filters
            ),
        )
    console = Console(width=150)
    console.print(table)
    for one in found:
        if "described" in one:
            console.print(
                f"{one['data']} {one['rows']:,}: added in {one['add_s']:.1f} s,"
                f" snapshot {one['snapshot_s']:.2f} s, opened in {one['open_s']:.2f} s,"
                f" {one['rss_mb']:.0f} MB resident ({one['rss_added_mb']:.0f} by the index),"
                f" {one['disk_mb']:.0f} MB on disk, guard {one['described']['recall_at_10']}"
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
