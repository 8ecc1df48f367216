"""One bank of so many patterns, and bare references beside it: what each row of ``bank`` measures.

Each size is measured in a process of its own (``measured``), so that its memory is its own.
References are asked in turn with the bank, in blocks: what disturbs one disturbs the others, and a
block is long enough that each finds its own data in the processor's cache. Python's garbage
collector stays on. All queries are different, so no answer comes from the bank's cache.
"""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import faiss
import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.store import bare, commit
from benchmarks.tasks import APPROACHES, DOMAINS, START_S, descriptions, tries
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.vectors.embedding import Embedder

__all__ = ["DIMENSION", "ROWS", "K", "measured"]

Matrix = npt.NDArray[np.float32]
Call = Callable[[str], object]

#: What can be measured; ``filling`` is always.
ROWS = ("filling", "insert", "batch", "retrieve", "domain", "recommend", "cosine", "size", "memory")
DIMENSION = 1_024
K = 10
BATCH = 1_000
#: Inserts one by one, batches of a hundred, and blocks of queries.
_SINGLES, _HUNDREDS, _BLOCKS = 300, 20, 6
#: Vectors that references hold are at most this share of the memory that is free.
_FREE_SHARE = 0.3


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def chunks(items: Iterable[Trajectory], size: int) -> Iterator[list[Trajectory]]:
    """Yield items in lists of one size."""
    source = iter(items)
    while some := list(itertools.islice(source, size)):
        yield some


def in_blocks(
    contenders: dict[str, Call], queries: Iterator[str], size: int
) -> dict[str, list[float]]:
    """Return the seconds of each call; each query is asked once, of one contender."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call(next(queries))
    for _ in range(_BLOCKS):
        for name, call in contenders.items():
            asked = list(itertools.islice(queries, size))
            for one in asked:
                started_s = time.perf_counter()
                call(one)
                taken[name].append(time.perf_counter() - started_s)
    return taken


class References:
    """An exact scan with NumPy, and FAISS's flat index, over the bank's own vectors.

    They are given the query's vector, so they don't embed, and answer with row numbers.

    Parameters
    ----------
    count : int
        Patterns of ``tries(count)``.
    """

    def __init__(self, count: int) -> None:
        embedder = Embedder(DIMENSION)
        self.vectors = np.empty((count, DIMENSION), dtype=np.float32)
        self.domains = np.empty(count, dtype=np.int64)
        at = 0
        for some in chunks(tries(count), 4_096):
            self.vectors[at : at + len(some)] = embedder.embed_many([one.context for one in some])
            self.domains[at : at + len(some)] = [DOMAINS.index(one.domain) for one in some]
            at += len(some)
        faiss.omp_set_num_threads(1)
        self._flat = faiss.IndexFlatIP(DIMENSION)
        self._flat.add(self.vectors)
        rows = [np.flatnonzero(self.domains == one) for one in range(len(DOMAINS))]
        self._by_domain = [(some, self.vectors[some]) for some in rows]

    def scan(self, query: Matrix) -> npt.NDArray[np.int64]:
        """Return the nearest rows, best first."""
        return best(self.vectors @ query)

    def scan_domain(self, query: Matrix, domain: int) -> npt.NDArray[np.int64]:
        """Return the nearest rows of a domain, whose vectors lie together beforehand."""
        rows, vectors = self._by_domain[domain]
        return rows[best(vectors @ query)]

    def flat(self, query: Matrix) -> object:
        """Return what FAISS finds."""
        return self._flat.search(query[None, :], K)


def best(scores: Matrix) -> npt.NDArray[np.int64]:
    """Return the places of the greatest scores, the greatest first."""
    some = np.argpartition(scores, -K)[-K:] if len(scores) > K else np.arange(len(scores))
    return np.asarray(some[np.argsort(-scores[some])])


class Measurement:
    """A bank in a folder, and what was measured of it.

    Parameters
    ----------
    count : int
        Patterns.
    rows : sequence of str
        Of ``ROWS``.
    folder : Path
    calls : int
        Queries of each sort.
    """

    def __init__(self, count: int, rows: Sequence[str], folder: Path, calls: int) -> None:
        self._count, self._rows, self._folder = count, rows, folder
        self._path = folder / "bank.db"
        self._block = max(calls // _BLOCKS, 1)
        self._process = psutil.Process()
        self._now_s = START_S + 2 * count + 10_000
        # Of another seed than what was recorded.
        self._queries = (one.text for one in descriptions(2_000_000, 1))
        # Known after all that was recorded before, as outcomes are.
        self._fresh = tries(2_000_000, seed=2, first_s=START_S + count)
        self.found: dict[str, Any] = {"patterns": count}

    def run(self) -> dict[str, Any]:
        """Measure all."""
        self._note_memory("at_start")
        bank = ReasoningBank.open(self._path, dimension=DIMENSION)
        try:
            self._fill(bank)
            self._note_memory("filled")
            if {"retrieve", "domain", "recommend"} & set(self._rows):
                self._ask(bank)
            self._note_memory("asked")
            recorded = self._count
            if {"insert", "batch"} & set(self._rows):
                recorded += self._insert(bank)
        finally:
            bank.close()
        if "cosine" in self._rows:
            self._cosine()
        if {"size", "memory"} & set(self._rows):
            self._size(recorded)
        return self.found

    def _note_memory(self, when: str) -> None:
        if "memory" not in self._rows:
            return
        gc.collect()
        self.found.setdefault("resident_bytes", {})[when] = self._process.memory_info().rss

    def _answer(self, bank: ReasoningBank) -> None:
        bank.recommend("task", {"task": next(self._queries)}, APPROACHES, self._now_s)

    def _fill(self, bank: ReasoningBank) -> None:
        """Record everything in batches; then the first answer, before which it is indexed."""
        recording_s = reference_s = 0.0
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            reference = bare(Path(name) / "bare.db")
            for some in chunks(tries(self._count), BATCH):
                rows = [(one.id, one.to_bytes()) for one in some]
                recording_s += timed(lambda some=some: bank.record_many(some))  # type: ignore[misc]
                reference_s += timed(lambda rows=rows: commit(reference, rows))  # type: ignore[misc]
            reference.close()
        first_s = timed(lambda: self._answer(bank))
        self.found["filling"] = {
            "rows_per_s": self._count / (recording_s + first_s),
            "recorded_rows_per_s": self._count / recording_s,
            "first_answer_s": first_s,
            "reference_rows_per_s": self._count / reference_s,
        }

    def _references(self) -> References | None:
        needed = 3 * self._count * DIMENSION * 4
        free = psutil.virtual_memory().available
        return References(self._count) if needed < _FREE_SHARE * free else None

    def _ask(self, bank: ReasoningBank) -> None:
        references = self._references()
        embedder, domains = Embedder(DIMENSION), itertools.cycle(range(len(DOMAINS)))

        def vector(text: str) -> Matrix:
            return embedder.embed({"task": text})

        def recommend(explain: bool, domain: str | None = None) -> Call:
            return lambda text: bank.recommend(
                "task", {"task": text}, APPROACHES, self._now_s, explain=explain, domain=domain
            )

        sorts: dict[str, dict[str, Call]] = {
            "retrieve": {
                "ours": lambda text: bank.search({"task": text}, count=K),
                "by_similarity": lambda text: bank.search(
                    {"task": text}, count=K, diversity=1.0
                ),
                "embedding": vector,
            },
            "domain": {
                "ours": lambda text: bank.search(
                    {"task": text}, count=K, domain=DOMAINS[next(domains)]
                ),
            },
            "recommend": {"ours": recommend(False), "explained": recommend(True)},
        }  # fmt: skip
        for name, contenders in sorts.items():
            if name not in self._rows:
                continue
            taken = in_blocks(contenders, self._queries, self._block)
            if references is not None:
                taken |= self._scans(name, references, vector, domains)
            self.found[name] = taken
        if "recommend" in self._rows:
            again = next(self._queries)
            ask = recommend(True)
            ask(again)
            self.found["cached"] = [timed(lambda: ask(again)) for _ in range(200)]
        if references is not None and "retrieve" in self._rows:
            self.found["recall"] = self._recall(bank, references, vector)

    def _scans(
        self,
        name: str,
        references: References,
        vector: Callable[[str], Matrix],
        domains: Iterator[int],
    ) -> dict[str, list[float]]:
        """Return what the references take, whose queries are embedded beforehand."""
        count = self._block * _BLOCKS
        queries = [vector(text) for text in itertools.islice(self._queries, count)]
        scans: dict[str, Callable[[Matrix], object]] = {"numpy": references.scan}
        if name == "domain":
            scans = {"numpy": lambda one: references.scan_domain(one, next(domains))}
        else:
            scans["faiss"] = references.flat
        taken: dict[str, list[float]] = {one: [] for one in scans}
        for start in range(0, count, self._block):
            for one, scan in scans.items():
                for query in queries[start : start + self._block]:
                    started_s = time.perf_counter()
                    scan(query)
                    taken[one].append(time.perf_counter() - started_s)
        return taken

    def _recall(
        self, bank: ReasoningBank, references: References, vector: Callable[[str], Matrix]
    ) -> float:
        """Return which share of what is found belongs to the ten nearest."""
        hits, asked = 0, 0
        for text in itertools.islice(self._queries, 100):
            scores = references.vectors @ vector(text)
            least = float(scores[best(scores)[-1]]) - 2e-6
            found = bank.search({"task": text}, count=K, diversity=1.0)
            hits += sum(one.similarity >= least for one in found)
            asked += K
        return hits / asked

    def _insert(self, bank: ReasoningBank) -> int:
        """Measure inserts beside the same bytes in bare SQLite; return how many there were."""
        recorded = 0
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            reference = bare(Path(name) / "bare.db")
            for row, size, count in (("insert", 1, _SINGLES), ("batch", 100, _HUNDREDS)):
                if row not in self._rows:
                    continue
                ours, theirs, next_answers = [], [], []
                for some in chunks(itertools.islice(self._fresh, size * count), size):
                    rows = [(one.id, one.to_bytes()) for one in some]
                    ours.append(timed(lambda some=some: bank.record_many(some)))  # type: ignore[misc]
                    theirs.append(timed(lambda rows=rows: commit(reference, rows)))  # type: ignore[misc]
                    # Every one is known to the very next answer.
                    next_answers.append(timed(lambda: self._answer(bank)))
                    recorded += len(some)
                self.found[row] = {
                    "ours": ours, "sqlite": theirs, "next_answer": next_answers,
                }  # fmt: skip
            reference.close()
        return recorded

    def _cosine(self) -> None:
        embedder = Embedder(DIMENSION)
        one, other = (embedder.embed({"task": next(self._queries)}) for _ in range(2))
        # Both have length one, so their cosine is a scalar product.
        self.found["cosine"] = {
            "ours": [
                timed(lambda: [float(one @ other) for _ in range(200)]) / 200 for _ in range(200)
            ]
        }

    def _size(self, recorded: int) -> None:
        log = sum(
            one.stat().st_size for one in self._folder.iterdir() if one.name.startswith("bank.db")
            and one.is_file()
        )  # fmt: skip
        whole = log + sum(
            one.stat().st_size
            for folder in self._folder.iterdir()
            if folder.is_dir() and folder.name.startswith("bank.db")
            for one in folder.rglob("*")
            if one.is_file()
        )
        self.found["size"] = {"bytes": whole, "log_bytes": log, "patterns": recorded}
        started_s = time.perf_counter()
        with ReasoningBank.open(self._path, dimension=DIMENSION) as bank:
            self._answer(bank)
            self.found["size"]["start_s"] = time.perf_counter() - started_s


def measured(count: int, rows: Sequence[str], folder: str | None, calls: int) -> dict[str, Any]:
    """Return what was measured of a bank of so many patterns; times in seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        return Measurement(count, rows, Path(name), calls).run()
