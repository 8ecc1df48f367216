"""The bank as an actor: what a call costs, what callers share, how fast it starts, what is obeyed.

Everything is measured beside a reference of the same run: an empty call of the same actor, commits
of the same log without an actor, the same question without an actor. Callers are threads of this
process; each waits for its answer before it calls again.

    python -m benchmarks.bank_actor [--sizes 2431 10000 100000] [--only PART ...] [--quick]
                                    [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import ray
from rich.console import Console
from rich.table import Table

from actors.bank_client import BankClient, remote_bank
from actors.cluster import connected
from actors.reasoning_bank import Question
from swarm_runtime.config import FaultSettings, MemorySettings
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.anti_entropy import reconcile
from swarm_runtime.memory.travel.replica import Replica

#: The report's number of patterns, and larger ones.
SIZES = (2_431, 10_000, 100_000)
APPROACHES = tuple(f"mirror-{at}" for at in range(5))
START_S = 1_700_000_000
#: Questions in a batch.
BATCH = 50
REPLICAS = 50
#: How often cases are measured in turn.
TURNS = 5
#: Rounds that don't count.
WARM_UP = 5
CALLERS = (1, 5, 20)
REWARDS = np.random.Generator(np.random.Philox(key=1)).normal(size=997).tolist()
PATIENT = FaultSettings(retries=100, backoff_s=0.02, deadline_s=300.0)

Figures = dict[str, Any]


def outcomes(count: int, run: str, first: int, contexts: int = 10**9) -> list[Trajectory]:
    """Return outcomes of calls to web endpoints in so many contexts."""
    return [
        Trajectory(
            id=f"{run}/{at:08}",
            agent=f"agent-{at % 7}",
            task_type="fetch",
            approach=APPROACHES[at % len(APPROACHES)],
            context=context(at % contexts),
            known_at_s=START_S + at,
            excess=REWARDS[at % len(REWARDS)],
            verdict=1 if REWARDS[at % len(REWARDS)] > 0 else -1,
            domain="web",
        )
        for at in range(first, first + count)
    ]


def context(at: int) -> dict[str, float | str]:
    """Return a context: a shop's site, and the circumstances of a call to it."""
    return {"site": f"shop{at}.example.org", "hour": float(at % 24), "network": f"net {at % 3}"}


def questions(count: int, first: int) -> list[Question]:
    """Return questions, each about another context, so that no answer is one that was kept."""
    return [
        Question("fetch", {**context(first + at), "retries": 1.0}, APPROACHES, START_S * 2)
        for at in range(count)
    ]


def fill(path: Path, count: int) -> None:
    """Record so many outcomes, without an actor."""
    store = SqliteStore(path)
    for first in range(0, count, 5_000):
        store.record_all((), outcomes(min(5_000, count - first), "run", first))
    store.close()


def started(path: Path, **more: Any) -> Any:
    """Start an actor that serves a bank."""
    return remote_bank().remote(str(path), MemorySettings(), space=None, **more)


def ended(actor: Any) -> None:
    """Tell an actor to end, and wait until it has."""
    with_error = [actor.__ray_terminate__.remote()]
    ray.wait(with_error, timeout=120)


def took(call: Callable[[], object]) -> float:
    """Return seconds that a call takes."""
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def spread(seconds: Sequence[float]) -> Figures:
    """Return median and 99th percentile, in milliseconds."""
    return {
        "p50_ms": statistics.median(seconds) * 1e3,
        "p99_ms": float(np.quantile(np.array(seconds), 0.99)) * 1e3,
    }


class Bare:
    """References, in a process of the same kind as the actor's: nothing is called in between."""

    def __init__(self, path: str) -> None:
        self._bank = ReasoningBank.open(path)

    def answer_s(self, one: Question) -> float:
        """Return how long a bank takes for a question where it is."""
        ask = self._bank.recommend
        return took(lambda: ask(one.task_type, one.context, one.candidates, one.as_of))

    def commits_per_s(self, path: str, seconds: float) -> float:
        """Return how many commits of one record each a log takes."""
        store = SqliteStore(path)
        run = f"reference-{time.time_ns()}"
        began_s, count = time.perf_counter(), 0
        while time.perf_counter() - began_s < seconds:
            store.record_all((), outcomes(1, run, count, 500))
            count += 1
        rate = count / (time.perf_counter() - began_s)
        store.close()
        return rate


# --- what a call costs -----------------------------------------------------------------------


def calls(path: Path, rounds: int, longest_s: float) -> Figures:
    """Measure single questions, in turn with empty calls and with no actor at all; then batches.

    There are fewer rounds where they take too long, but thirty at least.
    """
    actor = started(path)
    client = BankClient(actor, PATIENT)
    client.ready()
    bare = ray.remote(num_cpus=0)(Bare).remote(str(path))
    ray.get(bare.answer_s.remote(*questions(1, 0)))
    found: dict[str, list[float]] = {"empty": [], "one": [], "batch": [], "here": []}

    def measure(name: str, seconds: float) -> None:
        found[name].append(seconds)

    def singles(at: int) -> None:
        (one,) = questions(1, 10**6 + at)
        measure("empty", took(client.pid))
        measure("one", took(lambda: client.recommend(one)))
        measure("here", ray.get(bare.answer_s.remote(one)))

    def batches(at: int) -> None:
        many = questions(BATCH, 10**7 + at * BATCH)
        measure("batch", took(lambda: client.recommend_many(many)))

    # One after the other: a batch leaves the processor's caches to whoever comes next.
    for turn in (singles, batches):
        began_s = time.perf_counter()
        for at in range(rounds + WARM_UP):
            if at >= 30 + WARM_UP and time.perf_counter() - began_s > longest_s:
                break
            turn(at)
    ray.kill(bare)
    ray.kill(actor)
    return {name: spread(seconds[WARM_UP:]) for name, seconds in found.items()}


# --- what callers share ----------------------------------------------------------------------


def recording(
    client: BankClient, callers: int, records: int, seconds: float, during: Callable[[], None]
) -> Figures:
    """Let callers record batches for a while; return what was acknowledged."""
    before = client.service().commits
    over = threading.Event()
    run = f"run-{time.time_ns()}"

    def call(caller: int) -> int:
        done = 0
        while not over.is_set():
            client.record_many(outcomes(records, f"{run}/{caller}", done, 500))
            done += records
        return done

    with ThreadPoolExecutor(callers) as threads:
        began_s = time.perf_counter()
        futures = [threads.submit(call, at) for at in range(callers)]
        try:
            during()
            over.wait(max(0.0, seconds - (time.perf_counter() - began_s)))
        finally:
            over.set()
        done = sum(future.result() for future in futures)
    elapsed_s = time.perf_counter() - began_s
    after = client.service().commits
    return {
        "records_per_s": done / elapsed_s,
        "callers_per_commit": (after.batches - before.batches)
        / max(1, after.commits - before.commits),
    }


def sharing(folder: Path, seconds: float) -> list[Figures]:
    """Measure acknowledged records per second, with group commit and without, in turn."""
    found: list[Figures] = []
    bare = ray.remote(num_cpus=0)(Bare).remote(":memory:")
    actors = {
        name: started(folder / f"{name}.db", most_together=together)
        for name, together in (("grouped", 64), ("alone", 1))
    }
    clients = {name: BankClient(actor, PATIENT) for name, actor in actors.items()}
    part_s = seconds / TURNS
    for records in (1, 20):
        for callers in CALLERS:
            turns: dict[str, list[Figures]] = {name: [] for name in clients}
            reference: list[float] = []
            for _ in range(TURNS):
                call = bare.commits_per_s.remote(str(folder / "reference.db"), part_s)
                reference.append(ray.get(call))
                for name, client in clients.items():
                    turns[name].append(recording(client, callers, records, part_s, _nothing))
            row: Figures = {"records": records, "callers": callers}
            row["reference"] = statistics.median(reference)
            for name, figures in turns.items():
                row[name] = {
                    key: statistics.median(one[key] for one in figures) for key in figures[0]
                }
            found.append(row)
    for actor in (*actors.values(), bare):
        ray.kill(actor)
    return found


def _nothing() -> None:
    pass


def reading_while_writing(path: Path, seconds: float) -> Figures:
    """Measure answers while nobody and while twenty callers record, one record at a time."""
    actor = started(path)
    client = BankClient(actor, PATIENT)
    client.ready()
    found: Figures = {}
    for name in ("idle", "writing"):
        answers: list[float] = []
        empty: list[float] = []

        def ask(answers: list[float] = answers, empty: list[float] = empty) -> None:
            began_s = time.perf_counter()
            while time.perf_counter() - began_s < seconds:
                (one,) = questions(1, 10**8 + time.time_ns() % 10**9)
                answers.append(took(lambda one=one: client.recommend(one)))
                empty.append(took(client.pid))

        if name == "idle":
            ask()
        else:
            found["writers"] = recording(client, max(CALLERS), 1, seconds, ask)
        found[name] = {"answer": spread(answers), "empty": spread(empty)}
    ray.kill(actor)
    return found


# --- how fast it starts ----------------------------------------------------------------------


def first_answer(path: Path) -> Figures:
    """Return how long a new process takes until it is up, and from then to its first answer."""
    began_s = time.perf_counter()
    actor = started(path)
    client = BankClient(actor, PATIENT)
    client.pid()
    up_s = time.perf_counter()
    (one,) = questions(1, 5)
    client.recommend(one)
    answered_s = time.perf_counter()
    ended(actor)
    return {"up_s": up_s - began_s, "answer_s": answered_s - up_s}


def starting(path: Path) -> Figures:
    """Measure a first start, which derives all from the log, and one that finds a snapshot."""
    fresh = first_answer(path)
    again = [first_answer(path) for _ in range(3)]
    best = min(again, key=lambda one: float(one["answer_s"]))
    return {"fresh": fresh, "snapshot": best, "kept": Path(f"{path}.derived").exists()}


# --- what is obeyed --------------------------------------------------------------------------


def revoking(path: Path, repeats: int) -> Figures:
    """Measure how long until a revocation is obeyed by the actor, and by replicas that pull."""
    actor = started(path)
    client = BankClient(actor, PATIENT)
    client.ready()
    stores = [SqliteStore(":memory:") for _ in range(REPLICAS)]
    banks = [ReasoningBank(store) for store in stores]
    replicas = [Replica(store) for store in stores]
    here: list[float] = []
    everywhere: list[float] = []
    pulls: list[float] = []
    idle: list[float] = []
    messages = 0
    for at in range(repeats):
        name = f"liar-{at}"
        site = {"site": f"{name}.example.com"}
        lies = [
            Trajectory(f"{name}/{one}", name, "trust", "lie", site, START_S, 1.0, 1)
            for one in range(5)
        ]
        client.record_many(lies)
        for replica, bank in zip(replicas, banks, strict=True):
            reconcile(replica, client.exchange, both_ways=False)
            assert bank.recommend("trust", site, ["lie"], START_S * 2).approach == "lie"
        idle += [
            took(lambda replica=replica: reconcile(replica, client.exchange, both_ways=False))
            for replica in replicas
        ]
        began_s = time.perf_counter()
        client.revoke("agent", name, agent="benchmark", now_s=START_S)
        question = Question("trust", site, ("lie",), START_S * 2)
        assert client.recommend(question).approach is None
        here.append(time.perf_counter() - began_s)
        for replica, bank in zip(replicas, banks, strict=True):
            pull_s = time.perf_counter()
            exchanged = reconcile(replica, client.exchange, both_ways=False)
            assert bank.recommend("trust", site, ["lie"], START_S * 2).approach is None
            pulls.append(time.perf_counter() - pull_s)
            messages = exchanged.messages
        everywhere.append(time.perf_counter() - began_s)
    for bank in banks:
        bank.close()
    ray.kill(actor)
    return {
        "actor": spread(here),
        "idle_pull": spread(idle),
        "pull": spread(pulls),
        "messages": messages,
        "all_replicas": spread(everywhere),
    }


# --- tables ----------------------------------------------------------------------------------


def table(title: str, *columns: str) -> Table:
    """Return an empty table whose first column is words."""
    made = Table(title=title)
    for at, column in enumerate(columns):
        made.add_column(column, justify="right" if at else "left")
    return made


def show(found: Figures) -> None:
    """Print what was measured."""
    console = Console()
    if "calls" in found:
        shown = table(
            "A question to the bank's actor", "patterns", "", "p50", "p99", "/ empty call"
        )
        for size, figures in found["calls"].items():
            empty = figures["empty"]["p50_ms"]
            for name, words in (
                ("empty", "an empty call"),
                ("one", "one question"),
                ("batch", f"{BATCH} questions in a call"),
                ("here", "one question, no actor"),
            ):
                one = figures[name]
                shown.add_row(
                    f"{size:,}", words, f"{one['p50_ms']:.2f} ms", f"{one['p99_ms']:.2f} ms",
                    f"{one['p50_ms'] / empty:.2f}",
                )  # fmt: skip
        console.print(shown)
    if "sharing" in found:
        shown = table(
            "Acknowledged records per second", "records a call", "callers", "group commit",
            "callers a commit", "each alone", "group / alone", "commits/s, no actor",
        )  # fmt: skip
        for row in found["sharing"]:
            grouped, alone = row["grouped"], row["alone"]
            shown.add_row(
                str(row["records"]),
                str(row["callers"]),
                f"{grouped['records_per_s']:,.0f}",
                f"{grouped['callers_per_commit']:.1f}",
                f"{alone['records_per_s']:,.0f}",
                f"{grouped['records_per_s'] / alone['records_per_s']:.2f}",
                f"{row['reference']:,.0f}",
            )
        console.print(shown)
    if "reading" in found:
        shown = table("Answers while others record", "", "p50", "p99", "empty call p50", "p99")
        for name, words in (("idle", "nobody records"), ("writing", "20 callers record")):
            one = found["reading"][name]
            shown.add_row(
                words,
                *(f"{one[kind][at]:.2f} ms" for kind in ("answer", "empty") for at in one[kind]),
            )
        console.print(shown)
        writers = found["reading"]["writers"]
        console.print(
            f"meanwhile {writers['records_per_s']:,.0f} records/s were acknowledged,"
            f" {writers['callers_per_commit']:.1f} callers a commit"
        )
    if "starting" in found:
        shown = table(
            "From the start of a process to its first answer", "patterns", "process up",
            "then, from the log", "then, from a snapshot",
        )  # fmt: skip
        for size, figures in found["starting"].items():
            again = figures["snapshot"]["answer_s"]
            shown.add_row(
                f"{size:,}",
                f"{figures['fresh']['up_s']:.2f} s",
                f"{figures['fresh']['answer_s']:.2f} s",
                f"{again:.2f} s" if figures["kept"] else "none is kept of so few",
            )
        console.print(shown)
    if "revoking" in found:
        one = found["revoking"]
        shown = table("Until a revocation is obeyed", "", "p50", "p99")
        for name, words in (
            ("actor", "by the actor: revoked, asked, answered"),
            ("idle_pull", "a replica's pull when nothing is new"),
            (
                "pull",
                f"a replica's pull of the tombstone ({one['messages']} calls), and its answer",
            ),
            ("all_replicas", f"by {REPLICAS} replicas that pull one after another"),
        ):
            shown.add_row(words, f"{one[name]['p50_ms']:.1f} ms", f"{one[name]['p99_ms']:.1f} ms")
        console.print(shown)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="patterns")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each case of recording")
    parser.add_argument("--rounds", type=int, default=300, help="questions of each kind")
    parser.add_argument("--quick", action="store_true", help="the smallest size, and briefly")
    parts = ("calls", "sharing", "reading", "starting", "revoking")
    parser.add_argument("--only", choices=parts, nargs="+", default=list(parts))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    sizes = given.sizes[:1] if given.quick else given.sizes
    rounds, seconds = (30, 0.5) if given.quick else (given.rounds, given.seconds)
    found: Figures = {}
    with connected(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {size: folder / f"bank-{size}.db" for size in sizes}
        for size, path in files.items():
            fill(path, size)
        first = files[sizes[0]]
        work: dict[str, Callable[[], Any]] = {
            # Before anybody else has left a snapshot.
            "starting": lambda: {size: starting(path) for size, path in files.items()},
            "calls": lambda: {
                size: calls(path, rounds, 20 * seconds) for size, path in files.items()
            },
            "sharing": lambda: sharing(folder, seconds),
            "reading": lambda: reading_while_writing(first, seconds),
            "revoking": lambda: revoking(first, 2 if given.quick else 5),
        }
        for part, measure in work.items():
            if part in given.only:
                found[part] = measure()
                print(f"{part}: done", file=sys.stderr, flush=True)
    show(found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
