"""What it takes for knowledge to travel: bytes of anti-entropy, and files that leave a bank.

First table: two banks of one size, of which one lacks some trajectories, spread evenly. Bytes to
find out which, beside the bytes of the records themselves and of sending all of them; messages; and
the time of the exchange as a multiple of recording the lacking records directly. The index of seals
is built once when a bank is opened; its time is given per record.

Second table: a bank written to a bundle and read back, plain, compressed and anonymised, in
microseconds a record; the reference is reading the same records from the bank's log.

    python -m benchmarks.travel [--sizes 1000 10000 100000] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.anti_entropy import reconcile
from swarm_runtime.memory.travel.bundle import Header
from swarm_runtime.memory.travel.bundle_file import read_bundle, write_bundle
from swarm_runtime.memory.travel.import_export import contents_of, import_bundle
from swarm_runtime.memory.travel.pseudonyms import Anonymity, anonymised
from swarm_runtime.memory.travel.replica import Replica
from swarm_runtime.memory.travel.signing import generate_key, read_key

_LACKING = (0, 1, 10, 100, 1_000)
_HOUR_S = 3_600


def tries(count: int) -> list[Trajectory]:
    """Return trajectories of a plausible size."""
    return [
        Trajectory(
            id=f"run-{at // 100}/task-{at % 100}",
            agent=f"agent-{at % 10}",
            task_type="fetch",
            approach=f"mirror-{at % 7}",
            context={"site": f"site {at % 500}", "megabytes": float(at % 97), "hour": at % 24},
            known_at_s=1_700_000_000 + at * _HOUR_S,
            excess=math.sin(at),
            verdict=1 if math.sin(at) > 0 else -1,
            domain="web",
            steps=("asked for the file", "it came after a while", "checked its sum"),
        )
        for at in range(count)
    ]


def seconds(run: Callable[[], Any]) -> float:
    """Return how long something took."""
    started_s = time.perf_counter()
    run()
    return time.perf_counter() - started_s


@contextmanager
def bank(records: list[Trajectory]) -> Iterator[SqliteStore]:
    """Yield a bank in memory that holds some records."""
    with closing(SqliteStore(":memory:")) as store:
        store.record_all((), records)
        yield store


def exchange(records: list[Trajectory], lacking: int) -> dict[str, float]:
    """Return what it took for one bank to get what it lacks of another."""
    step = len(records) // lacking if lacking else len(records) + 1
    gone = set(range(step // 2, len(records), step)) if lacking else set()
    here = [one for at, one in enumerate(records) if at not in gone]
    missing = [one for at, one in enumerate(records) if at in gone]
    with ExitStack() as stack:
        own, other = stack.enter_context(bank(here)), stack.enter_context(bank(records))
        plain = stack.enter_context(bank(here))
        first, second = Replica(own), Replica(other)
        index_s = seconds(first.digest)
        second.digest()
        started_s = time.perf_counter()
        done = reconcile(first, second.answer)
        took_s = time.perf_counter() - started_s
        if done.received != len(missing) or first.digest() != second.digest():
            raise AssertionError("the banks differ after the exchange")
        direct_s = seconds(lambda: plain.record_all((), missing))
    bodies = sum(len(one.to_bytes()) for one in missing)
    return {
        "size": len(records),
        "lacking": len(missing),
        "messages": done.messages,
        "bytes_to_find_out": done.bytes_in + done.bytes_out - bodies,
        "bytes_of_records": bodies,
        "bytes_of_all": sum(len(one.to_bytes()) for one in records),
        "exchange_s": took_s,
        "times_recording": took_s / direct_s if missing else 0.0,
        "index_us_per_record": index_s * 1e6 / len(here),
    }


def bundles(records: list[Trajectory], folder: Path) -> list[dict[str, Any]]:
    """Return what it takes to write records to files, and to read and import them."""
    key_path = folder / f"key-{len(records)}"
    generate_key(key_path)
    key = read_key(key_path)
    header = Header(0, "benchmarks")
    found: list[dict[str, Any]] = []
    with bank(records) as log:
        reference_s = seconds(lambda: contents_of(log))
        whole = contents_of(log)
        for name in ("plain", "compressed", "anonymised"):
            path = folder / f"{name}-{len(records)}"
            started_s = time.perf_counter()
            which = whole
            if name == "anonymised":
                which, _ = anonymised(whole, Anonymity(bytes(range(32))), None)
            write_bundle(path, header, which, key=key, compress=name == "compressed")
            write_s = time.perf_counter() - started_s
            read_s = seconds(lambda path=path: read_bundle(path, trusted=f"{key_path}.pub"))
            bundle = read_bundle(path, trusted=f"{key_path}.pub")
            with closing(SqliteStore(folder / f"bank-{name}-{len(records)}")) as into:
                import_s = seconds(lambda into=into, bundle=bundle: import_bundle(into, bundle))
                if into.verify() != len(records):
                    raise AssertionError("records are missing after the import")
            found.append(
                {
                    "size": len(records),
                    "form": name,
                    "bytes_per_record": path.stat().st_size / len(records),
                    "write_us": write_s * 1e6 / len(records),
                    "read_us": read_s * 1e6 / len(records),
                    "record_us": import_s * 1e6 / len(records),
                    "reference_us": reference_s * 1e6 / len(records),
                }
            )
            path.unlink()
    return found


def medians(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the rows of several runs as one: numbers by their medians."""
    return [
        {
            name: statistics.median(run[at][name] for run in runs)
            if isinstance(value, (int, float))
            else value
            for name, value in row.items()
        }
        for at, row in enumerate(runs[0])
    ]


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    exchanges: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in given.sizes:
            records = tries(size)
            lacking = [one for one in _LACKING if one * 10 <= size]
            runs = [[exchange(records, one) for one in lacking] for _ in range(given.repeats)]
            exchanges += medians(runs)
            parts: list[list[dict[str, Any]]] = []
            for repeat in range(given.repeats):
                folder = Path(scratch) / f"{size}-{repeat}"
                folder.mkdir()
                parts.append(bundles(records, folder))
            files += medians(parts)
    console = Console()
    table = Table(title="Anti-entropy between two banks: KB, ms, µs a record")
    for column in ("records", "lacking", "calls", "find out", "records", "all", "time", "ratio",
                   "index"):  # fmt: skip
        table.add_column(column, justify="right")
    for one in exchanges:
        table.add_row(
            f"{one['size']:,}",
            f"{one['lacking']:,}",
            f"{one['messages']:.0f}",
            f"{one['bytes_to_find_out'] / 1e3:,.1f}",
            f"{one['bytes_of_records'] / 1e3:,.1f}",
            f"{one['bytes_of_all'] / 1e3:,.0f}",
            f"{one['exchange_s'] * 1e3:,.1f}",
            f"{one['times_recording']:.1f}x" if one["lacking"] else "-",
            f"{one['index_us_per_record']:.1f}",
        )
    console.print(table)
    table = Table(title="Bundles, in microseconds a record")
    for column in ("records", "form", "bytes", "write", "read", "record", "log", "write/log",
                   "read/log"):  # fmt: skip
        table.add_column(column, justify="left" if column == "form" else "right")
    for one in files:
        table.add_row(
            f"{one['size']:,}",
            str(one["form"]),
            f"{one['bytes_per_record']:.0f}",
            f"{one['write_us']:.1f}",
            f"{one['read_us']:.1f}",
            f"{one['record_us']:.1f}",
            f"{one['reference_us']:.1f}",
            f"{one['write_us'] / one['reference_us']:.2f}",
            f"{one['read_us'] / one['reference_us']:.2f}",
        )
    console.print(table)
    console.print(
        "ratio: to recording the lacking records directly; index: once, when a bank is opened;"
        " read: with all checks; log: reading the same records from the bank"
    )
    if given.json:
        given.json.write_text(json.dumps({"exchanges": exchanges, "files": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
