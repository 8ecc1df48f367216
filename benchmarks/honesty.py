"""Whether the verdict can be trusted: false alarms on a placebo, hits on planted regimes.

Each seed is one whole run with memory off and on, in this process. On the placebo (real bars whose
order and directions are drawn by lot) nothing can be learnt, so every verdict but "no effect
shown" is a false alarm. On the planted market a memory must help.

    python -m benchmarks.honesty [--seeds 100] [--processes 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rich.console import Console
from rich.progress import track
from rich.table import Table

from swarm_runtime.api import try_out
from swarm_runtime.config import load

__all__ = ["comparison"]

SOURCES = ("placebo", "planted")


def comparison(job: tuple[str, int]) -> dict[str, Any]:
    """Return the comparison of one run on a source of data, with one seed for all."""
    source, seed = job
    overrides = {"data.source": source, "data.seed": seed, "seed": seed}
    found = try_out(load(environment={}, overrides=overrides))
    result: dict[str, Any] = found.results["comparison"]
    return {"source": source, "seed": seed, **result}


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="where to write all comparisons")
    given = parser.parse_args()
    jobs = [(source, seed) for source in SOURCES for seed in range(given.seeds)]
    with ProcessPoolExecutor(given.processes) as pool:
        results = pool.map(comparison, jobs)
        found = list(track(results, "runs", total=len(jobs), console=Console(stderr=True)))
    table = Table(title=f"Verdicts over {given.seeds} seeds")
    for column in ("data", "helps", "hurts", "no effect shown", "mean", "spread", "error"):
        table.add_column(column, justify="left" if column == "data" else "right")
    for source in SOURCES:
        mine = [one for one in found if one["source"] == source]
        verdicts = Counter(one["verdict"] for one in mine)
        differences = [one["difference"] for one in mine]
        # The interval is at 99 %; half of it is 2.576 of the errors that the runs claim.
        errors = [(one["interval"][1] - one["interval"][0]) / 2 / 2.576 for one in mine]
        table.add_row(
            source,
            *(str(verdicts[verdict]) for verdict in ("helps", "hurts", "no effect shown")),
            f"{statistics.mean(differences):+.2%}",
            f"{statistics.stdev(differences):.2%}" if len(mine) > 1 else "-",
            f"{statistics.mean(errors):.2%}",
        )
    console = Console()
    console.print(table)
    console.print(
        "mean, spread: of memory on minus off, a year, over the seeds; error: the standard error "
        "that the runs claim. An honest interval has error close to spread on the placebo."
    )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
