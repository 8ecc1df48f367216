"""The Python API: what a run leaves, and how one goes on with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm_runtime import resume, run
from swarm_runtime.errors import RunFolderError, RunInterruptedError
from tests.runs import simulated_digest, small


def stop_in_the_middle(arm: str, done: int, count: int) -> None:
    if arm == "on" and done == count // 2:
        raise KeyboardInterrupt


def test_an_interrupted_run_names_its_folder_and_is_resumed_to_the_same_digest(
    tmp_path: Path,
) -> None:
    settings = small(shell="local")
    folder = tmp_path / "run"
    with pytest.raises(RunInterruptedError, match=f"swarm resume {folder}"):
        run(settings, out=folder, progress=stop_in_the_middle)
    assert not (folder / "report.json").exists()
    assert resume(folder).report["digest"] == simulated_digest(settings, hosts=1)


def test_a_run_leaves_results_that_the_digest_covers_and_facts_that_it_does_not(
    tmp_path: Path,
) -> None:
    settings = small(shell="local", swarm__agents=3)
    first = run(settings, out=tmp_path / "first")
    second = run(settings, out=tmp_path / "second")
    read = [
        {name: json.loads((folder / name).read_text()) for name in ("results.json", "run.json")}
        for folder in (first.folder, second.folder)
    ]
    assert read[0]["results.json"] == read[1]["results.json"]
    assert read[0]["run.json"]["run_id"] != read[1]["run.json"]["run_id"]
    assert first.report["digest"] == second.report["digest"]
    for name in ("timing", "faults", "comparison", "patterns", "memory", "agents", "data"):
        assert name in first.report
    assert (first.folder / "report.html").stat().st_size > 100_000


def test_a_finished_run_is_resumed_by_giving_its_report(tmp_path: Path) -> None:
    done = run(small(shell="local", swarm__agents=3), out=tmp_path / "run")
    assert resume(done.folder).report == done.report


def test_a_run_is_not_resumed_with_a_strategy_that_has_changed_since(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = (
        "import numpy as np\n"
        "from swarm_runtime.trading.strategies import Strategy\n"
        "class Mine(Strategy):\n"
        "    parameters = ({'bars': 1},)\n"
        "    def target_position(self, bars, parameters):\n"
        "        return np.ones(bars.close.shape)\n"
    )
    file.write_text(text)
    settings = small(shell="local", swarm__kinds=[f"{file}:Mine"], swarm__agents=1)
    with pytest.raises(RunInterruptedError):
        run(settings, out=tmp_path / "run", progress=stop_in_the_middle)
    file.write_text(text.replace("np.ones", "-np.ones"))
    with pytest.raises(RunFolderError, match="has changed since the run began"):
        resume(tmp_path / "run")
