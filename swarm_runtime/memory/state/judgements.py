"""How tries were judged: with their outcome, and by whom again later. Pure.

Above: ``derived``. Below: ``log``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from swarm_runtime.memory.log.protocol import ExperienceStore
from swarm_runtime.memory.records.annotations import Verdict
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Judgement", "judgements"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One verdict on one try.

    Attributes
    ----------
    trajectory, task_type, approach, agent : str
        What was judged.
    judge : str
        Who judged; ``outcome`` where the verdict came with the outcome.
    verdict : int
        1 success, -1 failure, 0 abstains.
    confidence : float
    reason : str
    known_at_s : int
        When it was given.
    cost_usd : float
    """

    trajectory: str
    task_type: str
    approach: str
    agent: str
    judge: str
    verdict: int
    confidence: float
    reason: str
    known_at_s: int
    cost_usd: float


def judgements(
    store: ExperienceStore, task_type: str | None, as_of_s: int | None, most: int
) -> list[Judgement]:
    """Return verdicts on single tries, the newest first; see ``ReasoningBank.judgements``."""

    def all_of_them() -> Iterator[Judgement]:
        for one in store.in_order_of_time(as_of_s):
            if isinstance(one, Trajectory) and task_type in (None, one.task_type):
                yield Judgement(
                    one.id, one.task_type, one.approach, one.agent, "outcome", one.verdict, 1.0, "",
                    one.known_at_s, 0.0,
                )  # fmt: skip
        later = [
            one for one in store.annotations("verdict", until_s=as_of_s) if isinstance(one, Verdict)
        ]
        tries = {one.id: one for one in store.trajectories(sorted({v.trajectory for v in later}))}
        for verdict in later:
            judged = tries.get(verdict.trajectory)
            if task_type is not None and (judged is None or judged.task_type != task_type):
                continue
            yield Judgement(
                verdict.trajectory,
                judged.task_type if judged else "",
                judged.approach if judged else "",
                judged.agent if judged else "",
                verdict.judge,
                verdict.verdict,
                verdict.confidence,
                verdict.reason,
                verdict.known_at_s,
                verdict.cost_usd,
            )

    return heapq.nlargest(most, all_of_them(), key=lambda one: (one.known_at_s, one.trajectory))
