"""The bank's process is killed with SIGKILL while five callers record, again and again.

What was acknowledged is there, once; what was not is there wholly or not at all; the callers
notice nothing but the wait.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray

from actors.bank_client import BankClient, remote_bank
from actors.reasoning_bank import Question
from swarm_runtime.config import FaultSettings, MemorySettings
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.group_store import Batch
from swarm_runtime.memory.log.store import SqliteStore
from tests.annotations import verdict
from tests.experiences import SPACE, experience, trajectory

pytestmark = [pytest.mark.chaos, pytest.mark.cluster]

CALLERS = 5
#: Tries in a batch; besides, an experience and a verdict are in each.
TRIES = 6
PATIENT = FaultSettings(retries=200, backoff_s=0.02, deadline_s=90.0)


def batch_of(caller: str, number: int) -> Batch:
    return Batch(
        [experience(caller, number).seal()],
        [
            trajectory(f"{caller}/{number}/{at}", agent=caller, context={"site": f"s{at}"})
            for at in range(TRIES)
        ],
        [verdict(f"{caller}/{number}", trajectory=f"{caller}/{number}/0")],
    )


def record(
    bank: BankClient, caller: str, acknowledged: dict[str, int], over: threading.Event
) -> None:
    while not over.is_set():
        number = acknowledged[caller] + 1
        bank.record(batch_of(caller, number))
        acknowledged[caller] = number


def killed_while_recording(path: Path, kills: int, seed: int) -> None:
    lot = np.random.Generator(np.random.Philox(key=seed))
    actor = remote_bank().remote(str(path), MemorySettings(), space=SPACE)
    bank = BankClient(actor, PATIENT)
    acknowledged = {f"c{at}": 0 for at in range(CALLERS)}
    over = threading.Event()
    callers = [
        threading.Thread(target=record, args=(bank, name, acknowledged, over))
        for name in acknowledged
    ]
    pids: list[int] = []
    try:
        pids.append(bank.ready())
        for caller in callers:
            caller.start()
        for _ in range(kills):
            over.wait(float(lot.uniform(0.0, 0.3)))
            os.kill(pids[-1], signal.SIGKILL)
            pids.append(bank.ready())
        over.wait(0.3)
        over.set()
        for caller in callers:
            caller.join()
        assert len(set(pids)) == kills + 1
        # It goes on as if nothing had been, and answers with what was recorded.
        answer = bank.recommend(
            Question("fetch", {"site": "s1"}, ("mirror", "origin"), as_of=10**6)
        )
        assert answer.candidates[0].outcomes >= sum(acknowledged.values())
        view = bank.view()
    finally:
        over.set()
        ray.kill(actor)
    for pid in pids:
        if psutil.pid_exists(pid):
            psutil.Process(pid).wait(30)
    assert min(acknowledged.values()) > 0
    # All callers were answered, so there is nothing but what was acknowledged.
    assert view == acknowledged
    store = SqliteStore(path)
    assert store.verify() == sum(acknowledged.values()) * (2 + TRIES)
    counts = store.counts()
    assert counts["trajectories"] == sum(acknowledged.values()) * TRIES
    for name, last in acknowledged.items():
        for number in range(1, last + 1):
            expected = batch_of(name, number)
            ids = [one.id for one in expected.trajectories]
            assert store.trajectories(ids) == list(expected.trajectories)
    store.close()
    with ReasoningBank.open(path, space=SPACE) as again:
        again.upkeep.verify()
        assert again.view() == acknowledged


def test_what_a_killed_bank_acknowledged_is_there_once(ray_cluster: None, tmp_path: Path) -> None:
    killed_while_recording(tmp_path / "bank.sqlite", kills=3, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_bank_that_is_killed_forty_times_loses_nothing(
    ray_cluster: None, tmp_path: Path, seed: int
) -> None:
    killed_while_recording(tmp_path / "bank.sqlite", kills=40, seed=seed)
