"""Whoever writes to a bank is killed with SIGKILL again and again: nothing is lost or doubled.

The victim records batches, and between them lets go, prunes, backs up and vacuums. It says before
and after each step which one it is. What it said was done must be there, once; what it had begun
may be there, whole. Each next victim begins with the batch that was broken off.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from swarm_runtime.memory.log.backups import backups_in
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.annotations import usage, verdict
from tests.experiences import experience, trajectory

pytestmark = pytest.mark.chaos

#: Tries in a batch; known at the batch's number.
BATCH = 40
#: So many batches stay when others are let go.
KEPT = 5
#: Among how many lines of a victim's the one is drawn after which it is killed.
LINES = 40
LONGEST_WAIT_S = 0.02


def batch_of(number: int) -> list[Trajectory]:
    """Return a batch's tries: rewards tell which of them are in a sum, one in four is junk."""
    return [
        trajectory(
            f"{number:06}-{at:02}",
            agent=f"a{at % 3}",
            approach="junk" if at % 4 == 0 else "mirror",
            context={"site": f"s{at % 7}"},
            known_at_s=number,
            excess=(number * BATCH + at) % 7_919 / 1_000,
            verdict=(at + number) % 3 - 1,
        )
        for at in range(BATCH)
    ]


def steps_of(number: int) -> list[str]:
    """Return what a victim does in its turns: upkeep comes between the batches."""
    steps = [f"record {number}"]
    if number % 3 == 0:
        steps.append(f"let_go {number - KEPT}")
    if number % 4 == 0:
        steps.append(f"prune {number - 1}")
    if number % 5 == 0:
        steps.append(f"backup {number}")
    if number % 7 == 0:
        steps.append(f"vacuum {number}")
    return steps


def carry_out(store: SqliteStore, step: str, folder: Path) -> None:
    """Carry out a step; once or several times is the same."""
    name, _, rest = step.partition(" ")
    number = int(rest)
    if name == "record":
        tries = batch_of(number)
        notes = [
            verdict(f"v{number}", trajectory=tries[1].id, verdict=1, known_at_s=number),
            usage(f"u{number}", trajectory=tries[2].id, known_at_s=number),
        ]
        store.record_all([experience("a", number, known_at_s=number).seal()], tries, notes)
    elif name == "let_go":
        store.let_go(number)
    elif name == "prune":
        store.prune([("", "fetch", "junk", (("site", f"s{at}"),)) for at in range(7)], number)
    elif name == "backup":
        store.backup_in_turn(folder / "backups", 2)
    else:
        store.vacuum()


def victim(path: Path, number: int) -> None:
    """Carry out steps until killed, and say so."""
    with closing(SqliteStore(path)) as store:
        while True:
            for step in steps_of(number):
                print("begun", step, flush=True)
                carry_out(store, step, path.parent)
                print("done", step, flush=True)
            number += 1


@dataclass
class Account:
    """What the victims said."""

    #: Batches that are there for certain, and the one that may be.
    done: int = 0
    begun: int = 0
    let_go_s: int = 0
    pruned_s: int = 0
    pruning_s: int = 0
    backed_up: int = 0
    #: How often a kill came in the middle of each kind of step.
    hit: dict[str, int] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        word, name, rest = line.split()
        noted = {
            ("done", "record"): "done",
            ("begun", "record"): "begun",
            ("done", "let_go"): "let_go_s",
            ("begun", "prune"): "pruning_s",
            ("done", "prune"): "pruned_s",
            ("done", "backup"): "backed_up",
        }
        where = noted.get((word, name))
        if where is not None:
            # Whoever begins again says again what was said before.
            setattr(self, where, max(getattr(self, where), int(rest)))


def kill_one(path: Path, account: Account, draw: np.random.Generator) -> None:
    """Start a victim, let it work for a while, kill it, and hear what it said."""
    # It begins with the batch that was broken off, or sends one again that was done.
    first = max(1, account.begun - int(draw.integers(0, 2)))
    command = f"from tests.chaos.test_killed_writers import *; victim(Path({str(path)!r}), {first})"
    with subprocess.Popen(
        [sys.executable, "-c", command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(int(draw.integers(1, LINES)))]
        time.sleep(float(draw.random()) * LONGEST_WAIT_S)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
    # The last line may have been cut off.
    heard = [line for line in said if line.endswith("\n")]
    for line in heard:
        account.hear(line)
    word, name, _ = heard[-1].split()
    if word == "begun":
        account.hit[name] = account.hit.get(name, 0) + 1


def rewards(store: SqliteStore) -> tuple[int, int, int]:
    """Return how many tries that are no junk count, with the sums of rewards and of verdicts."""
    count, reward, good = 0, 0, 0
    for row in store.folded_rows():
        if row.approach != "junk":
            count, reward, good = count + row.trials, reward + row.reward, good + row.successes
    for one in store.in_order_of_time():
        if isinstance(one, Trajectory) and one.approach != "junk":
            judged = store.annotations("verdict", target=one.id)
            good += bool(judged) or one.verdict > 0
            count, reward = count + 1, reward + one.excess_units
    return count, reward, good


def expected(last: int) -> tuple[int, int, int]:
    """Return the same, of all batches up to one."""
    count, reward, good = 0, 0, 0
    for number in range(1, last + 1):
        for at, one in enumerate(batch_of(number)):
            if one.approach != "junk":
                good += at == 1 or one.verdict > 0
                count, reward = count + 1, reward + one.excess_units
    return count, reward, good


def check(path: Path, account: Account) -> None:
    """Hold what is there against what was said."""
    with closing(SqliteStore(path)) as store:
        store.verify()
        there = store.view().get("a", 0)
        # All that was acknowledged; beyond it one whole batch, if any.
        assert account.done <= there <= account.begun
        assert rewards(store) == expected(there)
        usages = store.counts()["usage"] + sum(row.trials for row in store.folded_usage())
        assert usages == there
        left = [one for one in store.in_order_of_time() if isinstance(one, Trajectory)]
        assert len({one.id for one in left}) == len(left)
        assert all(one.known_at_s > account.let_go_s for one in left)
        junk = [one for one in left if one.approach == "junk"]
        assert all(one.known_at_s > account.pruned_s for one in junk)
        assert {one.known_at_s for one in junk} >= set(range(account.pruning_s + 1, there + 1))
    if account.backed_up:
        newest = backups_in(path.parent / "backups", path.name)[-1]
        with closing(SqliteStore(newest)) as copy:
            copy.verify()
            assert copy.view()["a"] >= account.backed_up
            assert rewards(copy) == expected(copy.view()["a"])


def suffer(path: Path, kills: int, seed: int) -> Account:
    """Kill so many victims of one bank, and check it after each."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    account = Account()
    for _ in range(kills):
        kill_one(path, account, draw)
        check(path, account)
    return account


@pytest.mark.timeout(120)
def test_a_bank_survives_ten_kills(tmp_path: Path) -> None:
    account = suffer(tmp_path / "bank.db", 10, seed=1)
    assert account.done > 10
    assert sum(account.hit.values()) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 6))
def test_a_bank_survives_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    account = suffer(tmp_path / "bank.db", 50, seed)
    print(f"{account.done} batches; killed in the middle of {account.hit}")
    assert sum(account.hit.values()) >= 20
