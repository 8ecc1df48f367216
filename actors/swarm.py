"""The handle that a driver holds: creates all actors, runs a plan's arms, lets go of everything.

The driver creates every actor itself, because Ray ends an actor's children with it. Bank and
coordinator stay on the driver's node, where the run folder is; hosts go where Ray puts them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.cluster import RayActorError
from actors.coordinator import CoordinatorActor
from actors.reasoning_bank import BankActor
from actors.trading_agent import TradingHost
from swarm_runtime.errors import DegradedError
from swarm_runtime.replay.journal import Journal
from swarm_runtime.replay.plan import Plan
from swarm_runtime.trading.prepared import Prepared

__all__ = ["RaySwarm"]

#: How often the driver looks how far the run has come.
_LOOK_S = 0.1
#: Of each host: one for the command under way, one that answers peers, one that tells the pid,
#: and one to spare for a command whose time has run out.
_THREADS = 4
#: Restarted for ever: how often a piece of work may fail is the coordinator's to say.
_RESTARTED = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0}


class RaySwarm:
    """A plan's agents, coordinator and bank as Ray actors. Ray must be connected.

    Parameters
    ----------
    plan : Plan
    prepared : Prepared
    journal_path, bank_path : Path
    """

    def __init__(self, plan: Plan, prepared: Prepared, journal_path: Path, bank_path: Path) -> None:
        self._plan = plan
        self._journal_path = journal_path
        here: dict[str, Any] = {
            **_RESTARTED,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            ),
        }
        # Not as constructors' arguments: what a restart needs must not lie in an object store.
        self._prepared = ray.put(prepared)
        host_class = ray.remote(TradingHost).options(**_RESTARTED, max_concurrency=_THREADS)
        self._hosts: list[Any] = [
            host_class.remote(index, plan) for index in range(len(plan.placement))
        ]
        self._bank: Any = None
        if "on" in plan.arms:
            bank_class = ray.remote(BankActor).options(**here)
            self._bank = bank_class.remote(str(bank_path), plan.settings.memory)
        coordinator_class = ray.remote(CoordinatorActor).options(**here, max_concurrency=2)
        self._coordinator: Any = coordinator_class.remote(plan, str(journal_path))

    def __enter__(self) -> RaySwarm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for actor in self._actors().values():
            ray.kill(actor)

    def _actors(self) -> dict[str, Any]:
        named = {f"host-{index}": host for index, host in enumerate(self._hosts)}
        if self._bank is not None:
            named["bank"] = self._bank
        return named | {"coordinator": self._coordinator}

    def pids(self) -> dict[str, int]:
        """Return the process of each actor, once all of them are up.

        Raises
        ------
        DegradedError
            If they don't come up within the deadline.
        """
        actors = self._actors()
        try:
            pids = ray.get(
                [actor.pid.remote() for actor in actors.values()],
                timeout=self._plan.settings.faults.deadline_s,
            )
        except (RayActorError, ray.exceptions.GetTimeoutError) as error:
            raise DegradedError(f"the swarm's actors did not come up: {error}") from error
        return dict(zip(actors, pids, strict=True))

    def run(self, arm: str, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Run an arm to its end, from where the journal stands.

        Parameters
        ----------
        arm : str
        progress : callable or None
            Called now and then with (arm, finished rounds, all rounds).

        Raises
        ------
        DegradedError
            If faults could not be masked.
        """
        tries = 0
        with Journal(self._journal_path) as journal:
            while True:
                running = self._coordinator.run.remote(
                    arm, self._hosts, self._bank, [self._prepared]
                )
                while not ray.wait([running], timeout=_LOOK_S)[0]:
                    if progress is not None:
                        progress(arm, journal.last_cycle(arm) + 1, len(self._plan.blocks))
                try:
                    ray.get(running)
                except RayActorError as error:
                    journal.write_fault(arm, -1, "coordinator", type(error).__name__)
                    tries += 1
                    if tries > self._plan.settings.faults.retries:
                        raise DegradedError(f"the coordinator died {tries} times") from error
                    time.sleep(self._plan.settings.faults.backoff_s * 2 ** (tries - 1))
                else:
                    break
            if progress is not None:
                progress(arm, len(self._plan.blocks), len(self._plan.blocks))
