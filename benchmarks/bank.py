"""The report's table of bank operations (4.1), row by row: the whole bank, as its users call it.

Beside it stand the original (agentic-flow 2.1.3 in Node, in the same run where it is installed;
else what was measured of it earlier), bare references (one fsynced commit of the same bytes in
SQLite, an exact scan in NumPy, FAISS's flat index) and vector stores of others. Neither references
nor
peers embed a text, count outcomes, stand at a moment or say why: they show what speed is possible.

Contexts are descriptions of tasks (``tasks``): each its own, so there are as many contexts as
patterns, and every vector is read. Queries are descriptions that were never recorded, each asked
once. Times are per call; a garbage collection that falls into a call is in it.

    python -m benchmarks.bank [--counts 2431,10000,100000] [--rows insert,retrieve] [--calls 300]
                              [--peers PYTHON] [--json FILE]

The original is installed by one command, which is printed where it is missing. For peers, make an
environment, install ``benchmarks/peers.txt`` into it and name its Python.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bank_rows import ROWS, measured
from benchmarks.others import original, peers

__all__ = ["main"]

#: What the report says, in milliseconds; of 2,431 patterns.
REPORT_MS = {"insert": 1.19, "batch": 116.7, "retrieve": 24.0, "domain": 5.87, "cosine": 0.005}
REPORT_BYTES = 5_320
#: What was measured of the original on a quiet machine with two cores, in milliseconds.
EARLIER_MS: dict[int, dict[str, float]] = {
    2_431: {
        "insert": 0.060, "batch": 10.1, "batch_transaction": 4.6, "candidates": 25.0,
        "candidates_domain": 5.3, "retrieve": 60.3, "domain": 12.3, "cosine": 0.0024,
    },
    10_000: {"retrieve": 329.0},
}  # fmt: skip
EARLIER_BYTES = 5_260
#: SPEC's limits: of a query by how many patterns there are, and of the rest.
QUERY_MS = {2_431: 0.6, 100_000: 2.0, 1_000_000: 5.0}
TIMES_THE_ORIGINAL = 100.0
TIMES_A_COMMIT = 1.5
ROWS_PER_S = 10_000.0
BYTES_PER_PATTERN = 5_500.0
RESIDENT_BYTES = {1_000_000: 2.5e9}
START_S = {100_000: 2.0}


class Line(NamedTuple):
    """One line of the table; times in milliseconds unless the unit says something else."""

    what: str
    ours: float
    p99: float | None = None
    unit: str = "ms"
    report: float | None = None
    original: float | None = None
    reference: tuple[str, float] | None = None
    target: str = ""
    kept: bool | None = None

    @property
    def to_original(self) -> float | None:
        """How many times as fast, or small, as the original."""
        return None if self.original is None else self.original / self.ours


def middle_ms(seconds: list[float]) -> float:
    """Return the median, in milliseconds."""
    return statistics.median(seconds) * 1e3


def high_ms(seconds: list[float]) -> float:
    """Return the 99th percentile, in milliseconds."""
    return float(np.quantile(seconds, 0.99)) * 1e3


def lines(found: dict[str, Any], theirs: dict[str, float]) -> list[Line]:
    """Return the table of one size.

    Parameters
    ----------
    found : dict
        From ``bank_rows.measured``.
    theirs : dict of str to float
        Milliseconds of the original, by row; ``bytes`` a pattern.
    """
    count = found["patterns"]
    table = [*_inserts(found, theirs), *_queries(found, theirs, count)]
    if "cosine" in found:
        ours = middle_ms(found["cosine"]["ours"])
        table.append(
            Line("cosine of two vectors", ours, high_ms(found["cosine"]["ours"]),
                 report=REPORT_MS["cosine"], original=theirs.get("cosine"))
        )  # fmt: skip
    return [*table, *_sizes(found, theirs, count)]


def _inserts(found: dict[str, Any], theirs: dict[str, float]) -> list[Line]:
    table: list[Line] = []
    if "insert" in found:
        one = found["insert"]
        ours, commit = middle_ms(one["ours"]), middle_ms(one["sqlite"])
        table += [
            Line("insert, on the disk", ours, high_ms(one["ours"]), report=REPORT_MS["insert"],
                 original=theirs.get("insert_durable", theirs.get("insert")),
                 reference=("SQLite", commit), target=f"≤ {TIMES_A_COMMIT:g} commits",
                 kept=ours <= TIMES_A_COMMIT * commit),
            Line("the answer after an insert", middle_ms(one["next_answer"]),
                 high_ms(one["next_answer"])),
        ]  # fmt: skip
    if "batch" in found:
        one = found["batch"]
        table += [
            Line("batch of 100", middle_ms(one["ours"]), high_ms(one["ours"]),
                 report=REPORT_MS["batch"], original=theirs.get("batch"),
                 reference=("SQLite", middle_ms(one["sqlite"]))),
            Line("the answer after a batch", middle_ms(one["next_answer"]),
                 high_ms(one["next_answer"])),
        ]  # fmt: skip
    filling = found["filling"]
    table += [
        Line("recorded in batches of 1,000", filling["recorded_rows_per_s"], unit="/s",
             reference=("SQLite", filling["reference_rows_per_s"])),
        Line("and indexed, until the first answer", filling["rows_per_s"], unit="/s",
             target=f"≥ {ROWS_PER_S:,.0f}/s", kept=filling["rows_per_s"] >= ROWS_PER_S),
    ]  # fmt: skip
    return table


def _queries(found: dict[str, Any], theirs: dict[str, float], count: int) -> list[Line]:
    table: list[Line] = []
    limit = QUERY_MS.get(count)

    def line(what: str, row: str, key: str = "ours", judged: bool = True) -> Line:
        taken = found[row]
        ours, shown = middle_ms(taken[key]), theirs.get("domain" if row == "domain" else "retrieve")
        reference = ("NumPy", middle_ms(taken["numpy"])) if "numpy" in taken else None
        target, kept = "", None
        if limit is not None and judged:
            target, kept = f"≤ {limit:g} ms", ours <= limit
            if count == min(QUERY_MS) and row != "domain" and shown is not None:
                target += f", {TIMES_THE_ORIGINAL:g}×"
                kept = kept and shown / ours >= TIMES_THE_ORIGINAL
        return Line(what, ours, high_ms(taken[key]), original=shown, reference=reference,
                    report=REPORT_MS.get(row),
                    target=target, kept=kept)  # fmt: skip

    if "retrieve" in found:
        table += [
            line("retrieve 10, diverse", "retrieve"),
            line("retrieve 10, by similarity", "retrieve", "by_similarity"),
            Line("of it, the embedding", middle_ms(found["retrieve"]["embedding"]),
                 high_ms(found["retrieve"]["embedding"])),
        ]  # fmt: skip
        if "faiss" in found["retrieve"]:
            table.append(
                Line("FAISS's flat index alone", middle_ms(found["retrieve"]["faiss"]),
                     high_ms(found["retrieve"]["faiss"]))
            )  # fmt: skip
    if "domain" in found:
        table.append(line("retrieve 10, diverse, one domain of 8", "domain"))
    if "recommend" in found:
        table += [
            line("recommend one of 5", "recommend"),
            line("recommend one of 5, explained", "recommend", "explained", judged=False),
            Line("the same question again (cached)", middle_ms(found["cached"]),
                 high_ms(found["cached"])),
        ]  # fmt: skip
    return table


def _sizes(found: dict[str, Any], theirs: dict[str, float], count: int) -> list[Line]:
    table: list[Line] = []
    if "size" in found:
        size = found["size"]
        each, limit_s = size["bytes"] / size["patterns"], START_S.get(count)
        table += [
            Line("bytes a pattern, on the disk", each, unit="B", report=REPORT_BYTES,
                 original=theirs.get("bytes"), target=f"≤ {BYTES_PER_PATTERN:,.0f} B",
                 kept=each <= BYTES_PER_PATTERN),
            Line("of it, the log", size["log_bytes"] / size["patterns"], unit="B"),
            Line("opened again, until the first answer", size["start_s"] * 1e3,
                 target=f"≤ {limit_s:g} s" if limit_s else "",
                 kept=size["start_s"] <= limit_s if limit_s else None),
        ]  # fmt: skip
    if "resident_bytes" in found:
        resident = found["resident_bytes"]
        grown, limit = resident["filled"] - resident["at_start"], RESIDENT_BYTES.get(count)
        table.append(
            Line("memory of the process", resident["filled"] / 1e6, unit="MB",
                 target=f"≤ {limit / 1e9:g} GB" if limit else "",
                 kept=resident["filled"] <= limit if limit else None)
        )  # fmt: skip
        table.append(Line("of it, the bank's, a pattern", grown / count, unit="B"))
    return table


def shown(value: float | None, unit: str = "ms") -> str:
    """Return a figure with its unit."""
    if value is None:
        return "–"
    if unit == "ms":
        return f"{value * 1e3:.1f} µs" if value < 0.01 else f"{value:,.3g} ms"
    return f"{value:,.0f}{unit if unit.startswith('/') else ' ' + unit}"


def printed(console: Console, title: str, table_lines: list[Line]) -> None:
    """Print one table."""
    table = Table(title=title)
    table.add_column("what")
    for name in (
        "report", "original", "ours, p50", "p99", "× original", "reference", "× reference",
        "target", "kept",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for one in table_lines:
        reference, ratio = "–", "–"
        if one.reference is not None:
            name, value = one.reference
            reference, ratio = f"{name} {shown(value, one.unit)}", f"{one.ours / value:.2f}"
        faster = one.to_original
        table.add_row(
            one.what,
            shown(one.report, one.unit),
            shown(one.original, one.unit),
            shown(one.ours, one.unit),
            "" if one.p99 is None else shown(one.p99, one.unit),
            "" if faster is None else f"{faster:,.3g}",
            reference,
            ratio,
            one.target,
            "" if one.kept is None else "yes" if one.kept else "no",
        )
    console.print(table)


def print_peers(console: Console, count: int, found: list[dict[str, Any]]) -> None:
    """Print what peers take."""
    table = Table(title=f"Vector stores of others, {count:,} vectors (they embed nothing)")
    for name in (
        "store", "insert one", "on the disk", "in batches", "retrieve 10", "one domain of 8",
        "of the 10 best",
    ):  # fmt: skip
        table.add_column(name)
    for one in found:
        if "problem" in one:
            table.add_row(one["name"], one["problem"])
            continue
        table.add_row(
            f"{one['name']} {one['version']}",
            shown(middle_ms(one["insert"])),
            one["durable"],
            f"{one['rows_per_s']:,.0f}/s",
            shown(middle_ms(one["retrieve"])),
            shown(middle_ms(one["domain"])) if "domain" in one else "no filter",
            f"{one['recall']:.3f}",
        )
    console.print(table)


def alone(count: int, rows: tuple[str, ...], folder: str | None, calls: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, count, rows, folder, calls).result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--counts", default="2431,10000,100000", help="patterns, by commas")
    parser.add_argument("--million", action="store_true", help="1,000,000 patterns too")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--calls", type=int, default=300, help="queries of each sort")
    parser.add_argument("--original", type=Path, help="where the original is installed")
    parser.add_argument("--peers", help="a Python in whose environment peers are installed")
    parser.add_argument("--folder", help="where banks are made; default: for temporary files")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    counts = [int(one) for one in given.counts.split(",")] + [1_000_000] * given.million
    rows = tuple(given.rows.split(","))
    unknown = sorted(set(rows) - set(ROWS))
    if unknown:
        parser.error(f"--rows: {', '.join(unknown)}: of {', '.join(ROWS)}")
    console = Console(width=max(Console().width, 150))
    written: list[dict[str, Any]] = []
    for count in counts:
        theirs, problem = original(count, rows, given.original, given.folder)
        found = alone(count, rows, given.folder, given.calls)
        print(f"{count:,} patterns: done", file=sys.stderr, flush=True)
        figures = (
            {name: middle_ms(taken) for name, taken in theirs.items() if isinstance(taken, list)}
            if theirs
            else EARLIER_MS.get(count, {})
        )
        if theirs and "bytes" in theirs:
            figures["bytes"] = theirs["bytes"] / theirs["patterns"]
        elif count in EARLIER_MS and not theirs:
            figures = {**figures, "bytes": EARLIER_BYTES}
        table = lines(found, figures)
        printed(console, f"{count:,} patterns, each in a context of its own", table)
        if problem:
            console.print(f"original: measured earlier, not in this run: {problem}")
        if figures:
            console.print(
                "original, what its “retrieve” figure means: candidates fetched, nothing compared:"
                f" {shown(figures.get('candidates'))},"
                f" one domain {shown(figures.get('candidates_domain'))}."
                f" insert as shipped, not yet on the disk: {shown(figures.get('insert'))};"
                f" batch in one transaction: {shown(figures.get('batch_transaction'))}"
            )
        if "recall" in found:
            console.print(f"of the ten nearest contexts are found: {found['recall']:.3f}")
        beside = peers(count, given.peers, given.folder) if given.peers else []
        if beside:
            print_peers(console, count, beside)
        written.append(
            {
                "patterns": count,
                "table": [one._asdict() for one in table],
                "measured": found,
                "original": theirs or figures,
                "original_here": bool(theirs),
                "peers": beside,
            }
        )
    if given.json:
        given.json.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
