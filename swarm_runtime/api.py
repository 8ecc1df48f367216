"""The Python API that every door is thin over: run, resume, report, check a strategy.

``run(settings)`` replays history and returns what was found; a run folder holds it. Above: the
doors (``cli``). Below: the two shells, ``actors`` on Ray and ``simulator`` in this process.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm_runtime.config import Settings
from swarm_runtime.errors import DegradedError, RunFolderError, RunInterruptedError
from swarm_runtime.machines.context import market_space
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.replay.folder import RunFolder
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan, make_plan
from swarm_runtime.replay.results import Findings, find
from swarm_runtime.report.page import write_page
from swarm_runtime.simulator import Simulator
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import load_bundled
from swarm_runtime.trading.lookahead import LookaheadReport
from swarm_runtime.trading.lookahead import check_strategy as _check
from swarm_runtime.trading.prepared import Prepared
from swarm_runtime.trading.registry import load_strategy
from swarm_runtime.trading.strategies.base import checked_targets

__all__ = ["Progress", "RunResult", "check_strategy", "read_report", "resume", "run", "try_out"]

#: Called with (arm, finished rounds, all rounds).
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run found.

    Attributes
    ----------
    folder : Path
    report : dict
        What ``report.json`` holds.
    """

    folder: Path
    report: dict[str, Any]


def run(
    settings: Settings, *, out: Path | None = None, progress: Progress | None = None
) -> RunResult:
    """Replay history with a swarm.

    Parameters
    ----------
    settings : Settings
    out : Path or None
        The run folder to make; by default one under ``runs/``, named by the time.
    progress : callable or None

    Raises
    ------
    UserError
        If something the user gave can't be used; no folder is made then.
    DegradedError
        If faults could not be masked; ``resume`` goes on.
    RunInterruptedError
        If the user interrupts it; ``resume`` goes on.
    """
    plan, bars = make_plan(settings, hosts=1 if settings.shell == "local" else None)
    # A strategy that fails on these bars fails here, before a folder is made.
    market = _prepared(plan, bars)
    now = datetime.datetime.now(datetime.UTC)
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = RunFolder.create(
        out or Path("runs") / run_id,
        run_id=run_id,
        settings=settings,
        sources=plan.sources,
        fingerprint=plan.bars_fingerprint,
    )
    return _finish(folder, run_id, plan, market, progress)


def resume(path: Path, *, progress: Progress | None = None) -> RunResult:
    """Go on with a run that did not come to its end.

    Raises
    ------
    UserError
        If the folder holds no run, or the data or a strategy has changed since.
    DegradedError
        If faults could not be masked.
    """
    folder, about, settings = RunFolder.open(path)
    if folder.finished:
        return RunResult(path, folder.read("report.json"))
    plan, bars = make_plan(settings, hosts=1 if settings.shell == "local" else None)
    if plan.bars_fingerprint != about["bars_fingerprint"]:
        raise RunFolderError(str(path), "the data has changed since the run began; run it anew")
    for source in plan.sources:
        if about["strategies"].get(source.name) != source.text:
            raise RunFolderError(
                str(path), f"strategy {source.name} has changed since the run began; run it anew"
            )
    return _finish(folder, about["run_id"], plan, _prepared(plan, bars), progress)


def read_report(path: Path) -> dict[str, Any]:
    """Return the report of a finished run.

    Raises
    ------
    RunFolderError
        If there is none.
    """
    return RunFolder(path).read("report.json")


def check_strategy(name: str) -> LookaheadReport:
    """Tell whether a strategy looks ahead, on the bundled bars.

    Parameters
    ----------
    name : str
        A built-in kind, or ``path/to/file.py:ClassName``.

    Raises
    ------
    StrategyError
        If it can't be loaded, raises, or returns what can't be traded.
    """
    strategy = load_strategy(name).strategy
    bars = load_bundled().bars
    for parameters in strategy.parameters:
        checked_targets(strategy, bars, parameters)
    return _check(strategy, bars)


def try_out(settings: Settings) -> Findings:
    """Run in this process and in memory alone: no folder, no file, no Ray. For many seeds.

    Raises
    ------
    UserError
        If something in the settings can't be used.
    """
    plan, bars = make_plan(settings, hosts=1)
    prepared = plan.prepare(bars)
    with Journal(":memory:") as journal, _bank(plan, ":memory:") as bank:
        simulator = Simulator(plan, prepared, journal, bank)
        for arm in plan.arms:
            simulator.run(arm)
        return find(plan, bars, journal, bank)


def _bank(plan: Plan, path: str) -> ReasoningBank:
    return ReasoningBank.open(path, space=market_space(), settings=plan.settings.memory)


@dataclass(frozen=True, slots=True)
class _Market:
    """What was prepared, and how long that took."""

    prepared: Prepared
    seconds: float


def _prepared(plan: Plan, bars: Bars) -> _Market:
    started_s = time.perf_counter()
    return _Market(plan.prepare(bars), time.perf_counter() - started_s)


def _finish(
    folder: RunFolder, run_id: str, plan: Plan, market: _Market, progress: Progress | None
) -> RunResult:
    bars = market.prepared.bars
    with Journal(folder.journal) as journal:
        done_before = sum(journal.last_cycle(arm) + 1 for arm in plan.arms)
    run_arms = _run_on_ray if plan.settings.shell == "ray" else _run_here
    try:
        replay = run_arms(folder, plan, market.prepared, progress)
    except KeyboardInterrupt:
        raise RunInterruptedError(str(folder.path)) from None
    except DegradedError as error:
        go_on = f"go on with `swarm resume {folder.path}`"
        raise DegradedError(f"{error.reason}; {go_on}") from error
    seconds = {"prepare_s": market.seconds, **replay}
    began_s = time.perf_counter()
    with Journal(folder.journal) as journal, _bank(plan, str(folder.bank)) as bank:
        findings = find(plan, bars, journal, bank)
        faults = journal.faults()
    decisions = sum(agent["decisions"] for agent in findings.results["agents"]) * len(plan.arms)
    # Only the rounds that were run now: a resumed run did the others at another time.
    share = 1.0 - done_before / (len(plan.blocks) * len(plan.arms))
    run_facts = {
        "run_id": run_id,
        "timing": {
            **seconds,
            "report_s": time.perf_counter() - began_s,
            "bar_decisions_per_s": decisions * share / (seconds["prepare_s"] + seconds["replay_s"]),
        },
        "faults": {
            "restarts": len({(arm, cycle, part) for arm, cycle, part, _ in faults}),
            "retries": len(faults),
        },
        "folder": str(folder.path),
    }
    report = {**run_facts, "digest": findings.digest, **findings.results}
    folder.write("results.json", findings.results)
    folder.write("run.json", run_facts)
    write_page(folder.page, report, findings.arms)
    folder.write("report.json", report)
    return RunResult(folder.path, report)


def _run_here(
    folder: RunFolder, plan: Plan, prepared: Prepared, progress: Progress | None
) -> dict[str, float]:
    started_s = time.perf_counter()
    with Journal(folder.journal) as journal, _bank(plan, str(folder.bank)) as bank:
        simulator = Simulator(plan, prepared, journal, bank)
        ready_s = time.perf_counter()
        for arm in plan.arms:
            simulator.run(arm, progress)
    return {
        "ray_init_s": 0.0,
        "swarm_ready_s": ready_s - started_s,
        "replay_s": time.perf_counter() - ready_s,
    }


def _run_on_ray(
    folder: RunFolder, plan: Plan, prepared: Prepared, progress: Progress | None
) -> dict[str, float]:
    # Here, not above: a run in this process, `--help` and the bank alone must not load Ray.
    from actors.cluster import connected
    from actors.swarm import RaySwarm

    started_s = time.perf_counter()
    with connected():
        init_s = time.perf_counter()
        with RaySwarm(plan, prepared, folder.journal, folder.bank) as swarm:
            swarm.pids()
            ready_s = time.perf_counter()
            for arm in plan.arms:
                swarm.run(arm, progress)
            done_s = time.perf_counter()
    return {
        "ray_init_s": init_s - started_s,
        "swarm_ready_s": ready_s - init_s,
        "replay_s": done_s - ready_s,
    }
