"""What it costs to make outcomes durable, beside SQLite with nothing around it; size and upkeep.

The reference for a single insert is the smallest thing that is as durable: one row (id and the same
bytes) in a table of its own, one commit, same journal mode, same fsync, in turn with ours. For
batches it is one commit of as many such rows. What the bank does besides: canonical bytes, a seal,
the number of the pattern, three more indexes, refusing what contradicts what is there.

    python -m benchmarks.store [--rows 100000] [--singles 600] [--batch 1000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from swarm_runtime.memory.log.protocol import Position
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.trajectory import Trajectory

START_S = 1_700_000_000
#: What the report's patterns took, with their vectors of 4,096 bytes; SPEC's budget for ours.
BUDGET_BYTES = 5_500
VECTOR_BYTES = 4_096


def outcomes(count: int, seed: int) -> list[Trajectory]:
    """Return outcomes of calls to web endpoints, nearly each in a context of its own."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    sites = draw.integers(0, 5_000, count).tolist()
    sizes = draw.lognormal(5, 2, count).tolist()
    rewards = draw.normal(size=count).tolist()
    networks = ("mobile, slow", "fibre", "wireless")
    return [
        Trajectory(
            id=f"run-{seed:04}/agent-{at % 7}/{at:07}",
            agent=f"agent-{at % 7}",
            task_type="fetch",
            approach=f"mirror-{at % 5}",
            context={
                "site": f"shop{sites[at]}.example.org",
                "hour": float(at % 24),
                "size_kb": sizes[at],
                "retries": float(at % 4),
                "network": networks[at % 3],
            },
            known_at_s=START_S + at,
            excess=rewards[at],
            verdict=1 if rewards[at] > 0 else -1,
            domain="web",
        )
        for at in range(count)
    ]


def bare(path: Path) -> sqlite3.Connection:
    """Open the reference: a table, and SQLite as durable as the bank's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)")
    return connection


def commit(connection: sqlite3.Connection, rows: Sequence[tuple[str, bytes]]) -> None:
    """Insert rows in one commit."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
    connection.execute("COMMIT")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def in_turn(
    folder: Path, batches: list[list[Trajectory]]
) -> Iterator[tuple[float, float, float, float]]:
    """Yield seconds of each batch: the bank's, its CPU's, the reference's, the fsync's alone."""
    with (
        closing(SqliteStore(folder / "bank.db")) as store,
        closing(bare(folder / "bare.db")) as reference,
        (folder / "plain").open("ab", buffering=0) as plain,
    ):
        for batch in batches:
            rows = [(one.id, one.to_bytes()) for one in batch]
            blob = b"".join(body for _, body in rows)

            def append(blob: bytes = blob) -> None:
                plain.write(blob)
                os.fdatasync(plain.fileno())

            busy_s = time.process_time()
            ours_s = timed(lambda batch=batch: store.record_all((), batch))  # type: ignore[misc]
            busy_s = time.process_time() - busy_s
            theirs_s = timed(lambda rows=rows: commit(reference, rows))  # type: ignore[misc]
            yield ours_s, busy_s, theirs_s, timed(append)


def inserts(rows: int, size: int) -> dict[str, float]:
    """Return medians and rates of commits of one size, beside the reference's."""
    tries = outcomes(rows, size)
    batches = [tries[at : at + size] for at in range(0, rows, size)]
    with tempfile.TemporaryDirectory() as folder:
        taken = np.array(list(in_turn(Path(folder), batches)))
    ours, busy, theirs, plain = taken.T
    return {
        "rows_per_commit": size,
        "commits": len(batches),
        "p50_ms": float(np.median(ours)) * 1e3,
        "p99_ms": float(np.quantile(ours, 0.99)) * 1e3,
        "reference_p50_ms": float(np.median(theirs)) * 1e3,
        "fsync_p50_ms": float(np.median(plain)) * 1e3,
        "ratio_p50": float(np.median(ours) / np.median(theirs)),
        "rows_per_s": rows / float(ours.sum()),
        "rows_per_cpu_s": rows / float(busy.sum()),
        "reference_rows_per_s": rows / float(theirs.sum()),
    }


def upkeep(rows: int, size: int) -> dict[str, Any]:
    """Return what a bank of so many rows takes, and how long its upkeep lasts."""
    found: dict[str, Any] = {"rows": rows}
    tries = outcomes(rows, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "bank.db"
        with closing(SqliteStore(path)) as store:
            for at in range(0, rows, size):
                store.record_all((), tries[at : at + size])
            found["again_rows_per_s"] = rows / timed(lambda: store.record_all((), tries))
        found["bytes_per_row"] = path.stat().st_size / rows
        opening = []
        for _ in range(5):
            started_s = time.perf_counter()
            store = SqliteStore(path)
            opening.append(time.perf_counter() - started_s)
            store.close()
        found["open_ms"] = statistics.median(opening) * 1e3
        with closing(SqliteStore(path)) as store:
            found["read_rows_per_s"] = rows / timed(lambda: read(store))
            found["verify_rows_per_s"] = rows / timed(store.verify)
            found["fingerprint_ms"] = timed(lambda: store.fingerprint(Position(0, rows))) * 1e3
            found["backup_s"] = timed(lambda: store.backup(folder / "backup"))
            half = START_S + rows // 2 - 1
            found["let_go_rows_per_s"] = rows // 2 / timed(lambda: store.let_go(half))
            found["folded_rows"] = store.counts()["folded"]
            found["vacuum_s"] = timed(store.vacuum)
            found["bytes_after"] = store.size_bytes()
        found["restore_s"] = timed(
            lambda: SqliteStore.restore(folder / "backup", path, replace=True)
        )
    return found


def read(store: SqliteStore) -> int:
    """Read the whole log, as a bank does when it starts without a snapshot."""
    position, count = Position(), 0
    while True:
        records, end = store.since(position)
        if end == position:
            return count
        position, count = end, count + len(records)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--singles", type=int, default=600)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    cases = []
    for rows, size in ((given.singles, 1), (given.rows // 10, 100), (given.rows, given.batch)):
        cases.append(inserts(rows, size))
        print(f"commits of {size}: done", file=sys.stderr, flush=True)
    kept = upkeep(given.rows, given.batch)
    console = Console()
    table = Table(title="Durable inserts by rows a commit; ms, medians beside SQLite's and fsync's")
    for column in (
        "rows",
        "p50",
        "p99",
        "SQLite",
        "fsync",
        "ratio",
        "rows/s",
        "/CPU s",
        "SQLite/s",
    ):
        table.add_column(column, justify="right")
    for one in cases:
        table.add_row(
            f"{one['rows_per_commit']:,.0f}",
            f"{one['p50_ms']:.2f}",
            f"{one['p99_ms']:.2f}",
            f"{one['reference_p50_ms']:.2f}",
            f"{one['fsync_p50_ms']:.2f}",
            f"{one['ratio_p50']:.2f}",
            f"{one['rows_per_s']:,.0f}",
            f"{one['rows_per_cpu_s']:,.0f}",
            f"{one['reference_rows_per_s']:,.0f}",
        )
    console.print(table)
    console.print("ratio: of the medians; /CPU s: rows in a second of this process's own time")
    table = Table(title=f"A bank of {given.rows:,} outcomes, nearly as many patterns")
    table.add_column("what")
    table.add_column("figure", justify="right")
    whole = kept["bytes_per_row"] + VECTOR_BYTES
    for name, figure in (
        ("bytes an outcome", f"{kept['bytes_per_row']:,.0f}"),
        ("with a vector of 1,024 dimensions", f"{whole:,.0f} of {BUDGET_BYTES:,}"),
        ("opened and its structure checked", f"{kept['open_ms']:.1f} ms"),
        ("read", f"{kept['read_rows_per_s']:,.0f}/s"),
        ("sent again", f"{kept['again_rows_per_s']:,.0f}/s"),
        ("verified", f"{kept['verify_rows_per_s']:,.0f}/s"),
        ("fingerprint", f"{kept['fingerprint_ms']:.2f} ms"),
        ("backed up, checked, on the disk", f"{kept['backup_s']:.2f} s"),
        ("restored", f"{kept['restore_s']:.2f} s"),
        ("let go", f"{kept['let_go_rows_per_s']:,.0f}/s"),
        ("vacuum, half of it gone", f"{kept['vacuum_s']:.2f} s"),
    ):
        table.add_row(name, figure)
    console.print(table)
    if given.json:
        given.json.write_text(json.dumps({"inserts": cases, "upkeep": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
