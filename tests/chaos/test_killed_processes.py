"""Real processes are killed with SIGKILL in the middle of a run; the result does not change."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from actors.swarm import RaySwarm
from swarm_runtime.config import FaultSettings, Settings
from swarm_runtime.errors import DegradedError
from swarm_runtime.replay.plan import make_plan
from tests.runs import findings_digest, simulated_digest, small

pytestmark = [pytest.mark.chaos, pytest.mark.cluster]

#: The round after which somebody is killed: well inside the arm with memory.
KILL_AFTER = 12


@pytest.fixture(scope="module")
def settings() -> Settings:
    return small(swarm__agents_per_actor=2)


@pytest.fixture(scope="module")
def undisturbed(settings: Settings) -> str:
    return simulated_digest(settings, hosts=1)


@pytest.mark.parametrize("victims", [["host-1"], ["bank"], ["coordinator"], ["host-0", "bank"]])
def test_a_killed_process_changes_nothing(
    ray_cluster: None, settings: Settings, undisturbed: str, tmp_path: Path, victims: list[str]
) -> None:
    plan, bars = make_plan(settings)
    journal, bank = tmp_path / "journal.sqlite", tmp_path / "bank.sqlite"
    killed: list[int] = []
    with RaySwarm(plan, plan.prepare(bars), journal, bank) as swarm:
        before = swarm.pids()

        def kill(arm: str, done: int, count: int) -> None:
            if arm == "on" and done >= KILL_AFTER and not killed:
                assert done < count, "the run was over before anybody was killed"
                for victim in victims:
                    os.kill(before[victim], signal.SIGKILL)
                    killed.append(before[victim])

        for arm in plan.arms:
            swarm.run(arm, kill)
        after = swarm.pids()
    assert [before[victim] for victim in victims] == killed
    for name, pid in after.items():
        assert (pid != before[name]) == (name in victims)
    assert findings_digest(plan, bars, journal, bank) == undisturbed


@pytest.mark.parametrize("shell", ["local", "ray"])
def test_a_run_whose_driver_is_killed_is_resumed_to_the_same_digest(
    undisturbed: str, tmp_path: Path, shell: str
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "swarm_runtime.cli"]
    given = small(swarm__agents_per_actor=2, shell=shell).model_dump_json()
    config = tmp_path / "settings.yaml"  # JSON is YAML
    config.write_text(given)
    driver = subprocess.Popen(
        [*command, "run", "--config", str(config), "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert driver.stdout is not None
    # The driver says each tenth of an arm; it is killed in the middle of the second arm.
    said = ""
    for line in driver.stdout:
        said += line.decode()
        if line.startswith(b"memory on: round") and int(line.split()[3]) >= KILL_AFTER:
            break
    os.killpg(driver.pid, signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL, said
    driver.stdout.close()
    assert not (folder / "report.json").exists()
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        rounds = journal.execute("SELECT count(*) FROM rounds WHERE arm = 'on'").fetchone()[0]
    journal.close()
    assert rounds >= KILL_AFTER

    resumed = subprocess.run(
        [*command, "resume", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["digest"] == undisturbed


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_many_kills_of_anybody_change_nothing(
    ray_cluster: None, settings: Settings, undisturbed: str, tmp_path: Path, seed: int
) -> None:
    patient = settings.model_copy(update={"faults": FaultSettings(retries=50, backoff_s=0.05)})
    plan, bars = make_plan(patient)
    journal, bank = tmp_path / "journal.sqlite", tmp_path / "bank.sqlite"
    lot = np.random.Generator(np.random.Philox(key=seed))
    killed: list[str] = []
    next_at = 2
    with RaySwarm(plan, plan.prepare(bars), journal, bank) as swarm:

        def kill(arm: str, done: int, count: int) -> None:
            nonlocal next_at
            if arm == "on" and next_at <= done < count:
                try:
                    pids = swarm.pids()
                except DegradedError:
                    return  # somebody is still being restarted
                victim = sorted(pids)[int(lot.integers(len(pids)))]
                os.kill(pids[victim], signal.SIGKILL)
                killed.append(victim)
                next_at = done + 3

        for arm in plan.arms:
            swarm.run(arm, kill)
    assert len(killed) >= 8
    assert findings_digest(plan, bars, journal, bank) == undisturbed
