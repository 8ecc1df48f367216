"""The bank's actor on Ray: who is answered while others wait, what is repeated, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors.bank_client import BankClient, remote_bank
from actors.reasoning_bank import BankActor, Question
from swarm_runtime.config import FaultSettings, MemorySettings
from swarm_runtime.errors import DegradedError, StoreError
from swarm_runtime.memory.log.group_store import Batch
from swarm_runtime.memory.log.store import SqliteStore
from tests.experiences import SPACE, experience, trajectory

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
#: A restart takes a second or two, on a busy machine more.
PATIENT = FaultSettings(retries=60, backoff_s=0.1, deadline_s=60.0)

Start = Callable[..., BankClient]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.sqlite"


@pytest.fixture
def start(ray_cluster: None, path: Path) -> Iterator[Start]:
    started: list[Any] = []

    def start(faults: FaultSettings = PATIENT, **options: Any) -> BankClient:
        actor = remote_bank().options(**options).remote(str(path), MemorySettings(), space=SPACE)
        started.append(actor)
        return BankClient(actor, faults)

    yield start
    for actor in started:
        ray.kill(actor)


def ask(**more: Any) -> Question:
    given = {"task_type": "fetch", "candidates": ("mirror", "origin"), "as_of": 10**6, **more}
    return Question(context={"site": "example.org"}, **given)


def test_every_call_has_a_group_but_those_that_must_always_be_answered() -> None:
    calls = {name for name in vars(BankActor) if not name.startswith("_")}
    grouped = remote_bank().__ray_metadata__.method_meta.concurrency_group_for_methods
    assert calls - set(grouped) == {"pid", "service", "close"}


def test_the_client_has_every_call_of_the_actor() -> None:
    calls = {name for name in vars(BankActor) if not name.startswith("_")}
    assert calls - {"close", "keep"} == {
        name for name in vars(BankClient) if not name.startswith("_")
    }


def test_many_callers_record_and_each_finds_what_he_recorded(start: Start) -> None:
    bank = start()
    bank.ready()
    start_commits = bank.service().commits.commits

    def call(name: str) -> list[float]:
        found: list[float] = []
        for count in range(1, 6):
            assert bank.record_many([trajectory(f"{name}/{count}", task_type=name)]) == 1
            found.append(bank.recommend(ask(task_type=name)).candidates[0].outcomes)
        return found

    with ThreadPoolExecutor(8) as callers:
        for found in callers.map(call, [f"caller{at}" for at in range(8)]):
            assert found == pytest.approx([1, 2, 3, 4, 5])
    commits = bank.service().commits
    assert (commits.batches, commits.records, commits.refused) == (40, 40, 0)
    assert commits.commits - start_commits <= 40


def test_one_callers_error_reaches_him_alone_and_as_itself(start: Start) -> None:
    bank = start()
    bank.record_many([trajectory("taken")])

    def call(at: int) -> int | str:
        batch = [trajectory(f"t{at}")]
        if at == 3:
            batch.append(trajectory("taken", excess=-1.0, verdict=-1))
        try:
            return bank.record_many(batch)
        except StoreError as problem:
            return problem.reason

    with ThreadPoolExecutor(8) as callers:
        told = list(callers.map(call, range(8)))
    assert told == [1, 1, 1, "trajectory 'taken' is here already, with another content", 1, 1, 1, 1]
    assert bank.counts()["trajectories"] == 8
    with pytest.raises(ValueError, match="question 0 of 1"):
        bank.recommend(ask(candidates=()))


def test_answers_and_pid_come_while_a_commit_hangs(start: Start, path: Path) -> None:
    bank = start()
    bank.record_many([trajectory("t1")])
    other = SqliteStore(path)
    with ThreadPoolExecutor(40) as callers:
        with other._file.transaction():  # nobody else can write
            hanging = [
                callers.submit(bank.record_many, [trajectory(f"more{at}")]) for at in range(40)
            ]
            for _ in range(5):
                assert bank.recommend(ask()).candidates[0].outcomes == pytest.approx(1.0)
            assert bank.pid() > 0
            assert bank.counts()["trajectories"] == 1
            assert not any(one.done() for one in hanging)
        assert [one.result(60) for one in hanging] == [1] * 40
    other.close()
    # Most of them waited together, so few commits were enough.
    assert bank.service().commits.commits < 20
    assert bank.recommend(ask()).candidates[0].outcomes == pytest.approx(41.0)


def test_a_killed_bank_is_restarted_and_answers_as_before(start: Start) -> None:
    bank = start()
    bank.record(Batch([experience().seal()], [trajectory(f"t{at}") for at in range(5)]))
    before, pid = bank.recommend(ask()), bank.ready()
    os.kill(pid, signal.SIGKILL)
    assert bank.recommend(ask()) == before
    assert bank.record_many([trajectory("t4"), trajectory("t5")]) == 1
    assert bank.ready() != pid
    assert not psutil.pid_exists(pid)


def test_a_bank_that_stays_dead_is_given_up(start: Start) -> None:
    bank = start(FaultSettings(retries=2, backoff_s=0.01, deadline_s=30.0), max_restarts=0)
    pid = bank.pid()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DegradedError, match=r"ActorDiedError, 3 times.*acknowledged is safe"):
        bank.record_many([trajectory()])


def test_a_bank_that_hangs_is_given_up_when_the_time_is_over(start: Start, path: Path) -> None:
    bank = start()
    pid = bank.ready()
    hurried = BankClient(bank._actor, FaultSettings(deadline_s=0.5))
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DegradedError, match=r"no answer within 0\.5 s"):
            hurried.record_many([trajectory()])
    finally:
        os.kill(pid, signal.SIGCONT)
    # The call had arrived all the same: sending it again changes nothing.
    bank.record_many([trajectory()])
    assert bank.counts()["trajectories"] == 1


def test_a_bank_that_is_told_to_end_finishes_and_lets_go_of_the_file(
    start: Start, path: Path
) -> None:
    bank = start()
    bank.record_many([trajectory()])
    pid = bank.ready()
    process = psutil.Process(pid)
    with pytest.raises(ray.exceptions.ActorDiedError, match="INTENDED_USER_EXIT"):
        ray.get(bank._actor.__ray_terminate__.remote())
    assert process.wait(30) is None  # it is not our child, so how it ended isn't known
    # The last handle has taken the log into the file.
    assert not path.with_name(f"{path.name}-wal").exists()
    store = SqliteStore(path)
    assert store.verify() == 1
    store.close()


#: What a process does in which one call in three gets lost, or its answer.
_LOSSY = """
import json, sys
from pathlib import Path
from actors.cluster import connected
from actors.bank_client import BankClient, remote_bank
from swarm_runtime.config import FaultSettings, MemorySettings
from swarm_runtime.memory.log.group_store import Batch
from tests.annotations import verdict
from tests.experiences import SPACE, experience, trajectory

with connected():
    actor = remote_bank().options(max_task_retries=20).remote(
        sys.argv[1], MemorySettings(), space=SPACE
    )
    bank = BankClient(actor, FaultSettings(retries=20, backoff_s=0.05, deadline_s=120.0))
    at = 0
    # Until an answer was lost, so that Ray had the same recorded again.
    while at < 5 or (bank.service().commits.batches == at and at < 60):
        at += 1
        bank.record(Batch(
            [experience("a", at).seal()],
            [trajectory(f"{at}/{one}") for one in range(3)],
            [verdict(f"v{at}", trajectory=f"{at}/0")],
        ))
    Path(sys.argv[2]).write_text(json.dumps([at, bank.service().commits.batches]))
"""


def test_calls_that_ray_repeats_are_recorded_once(path: Path, tmp_path: Path) -> None:
    failures = {"num_failures": -1, "req_failure_prob": 15, "resp_failure_prob": 15}
    lossy = {"CoreWorkerService.grpc_client.PushTask": {**failures, "in_flight_failure_prob": 0}}
    told = tmp_path / "told.json"
    done = subprocess.run(
        [sys.executable, "-c", _LOSSY, str(path), str(told)],
        cwd=ROOT,
        env={**os.environ, "RAY_testing_rpc_failure": json.dumps(lossy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    acknowledged, executed = json.loads(told.read_text())
    assert executed > acknowledged, "no call was repeated: nothing was shown"
    store = SqliteStore(path)
    assert store.verify() == 5 * acknowledged
    assert store.view() == {"a": acknowledged}
    counts = store.counts()
    assert (counts["trajectories"], counts["verdict"]) == (3 * acknowledged, acknowledged)
    store.close()
