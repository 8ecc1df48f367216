"""The bank on Ray: the actor's class, and a client that calls it until it answers.

Every call has a deadline and a defined end: the answer; what the bank raised, as itself; or
``DegradedError``, where the actor stays dead or does not answer in time. In between the actor may
be killed and restarted as often as the settings allow: all calls may be repeated. Above: whoever
has a handle. Below: ``reasoning_bank``.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from actors.reasoning_bank import BankActor, Question, Service
from swarm_runtime.config import FaultSettings
from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.core.lessons import Lesson
from swarm_runtime.errors import DegradedError
from swarm_runtime.memory.choice.recommendation import Recommendation
from swarm_runtime.memory.log.deltas import Reply, Request
from swarm_runtime.memory.log.group_store import Batch
from swarm_runtime.memory.records.annotations import ALWAYS, Annotation, TargetKind, Tombstone
from swarm_runtime.memory.records.trajectory import Context, Trajectory
from swarm_runtime.memory.state.judgements import Judgement
from swarm_runtime.memory.state.patterns import Explanation, Pattern
from swarm_runtime.memory.state.search import Found
from swarm_runtime.memory.state.shelf import FoundItem
from swarm_runtime.memory.upkeep import Audit

__all__ = ["BankClient", "remote_bank"]

#: Ray's concurrency groups: how many calls of each at once, and which. Who records waits in a
#: thread until his records are durable, so there are many of these; what is in no group (``pid``)
#: has a thread to itself and answers whatever else is going on.
_GROUPS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "record": (32, ("record", "record_many", "record_all", "note", "revoke")),
    "answer": (
        4,
        (
            "ready", "recommend", "recommend_many", "search", "items", "patterns", "explain",
            "approaches", "audit",
        ),
    ),
    "read": (2, ("lessons", "view", "counts", "judgements", "backup", "keep")),
    "exchange": (2, ("exchange",)),
}  # fmt: skip


@functools.cache
def remote_bank() -> Any:
    """Return the class as Ray's actor class, with its concurrency groups; ``.options`` as usual.

    Ray restarts it for ever; how often to call again is the caller's to say. Repeating a call is
    safe, so ``max_task_retries`` may be set too.
    """

    def in_group(name: str, group: str) -> Any:
        method = getattr(BankActor, name)

        # Not functools.wraps: Ray unwraps it, and finds a method without a group.
        @ray.method(concurrency_group=group)
        def call(self: BankActor, *values: Any, **named: Any) -> Any:
            return method(self, *values, **named)

        return call

    members = {
        name: in_group(name, group) for group, (_, names) in _GROUPS.items() for name in names
    }
    options: dict[str, Any] = {
        "num_cpus": 0,
        "max_restarts": -1,
        "concurrency_groups": {group: count for group, (count, _) in _GROUPS.items()},
    }
    return ray.remote(**options)(type("BankActor", (BankActor,), members))


class BankClient:
    """Calls a bank's actor; each method is the actor's of the same name, see ``BankActor``.

    Parameters
    ----------
    actor : actor handle
        Of ``remote_bank()``.
    faults : FaultSettings
        How often a call is tried again, after which wait, and how long all of it may take.
    """

    def __init__(self, actor: Any, faults: FaultSettings | None = None) -> None:
        self._actor = actor
        self._faults = faults or FaultSettings()

    def _call(self, name: str, *values: Any, **named: Any) -> Any:
        """Call until there is an answer.

        Raises
        ------
        DegradedError
            If there is none in time, or after as many tries as are allowed.
        SwarmError, ValueError
            What the bank itself raised.
        """
        deadline_s = time.monotonic() + self._faults.deadline_s
        tries = 0
        while True:
            left_s = deadline_s - time.monotonic()
            try:
                call = getattr(self._actor, name).remote(*values, **named)
                return ray.get(call, timeout=max(left_s, 0.0))
            except RayTaskError as error:
                raise error.cause from None
            except GetTimeoutError:
                reason = f"no answer within {self._faults.deadline_s:g} s"
                break
            except RayError as error:
                reason = f"{type(error).__name__}, {tries + 1} times"
                wait_s = self._faults.backoff_s * 2**tries
                tries += 1
                if tries > self._faults.retries or time.monotonic() + wait_s > deadline_s:
                    break
                time.sleep(wait_s)
        raise DegradedError(
            f"the bank does not answer ({reason}); what it acknowledged is safe, what it did not"
            " may be sent again"
        )

    # --- how it is ---------------------------------------------------------------------------

    def pid(self) -> int:
        """Return the actor's process."""
        pid: int = self._call("pid")
        return pid

    def service(self) -> Service:
        """Return how the bank is served."""
        service: Service = self._call("service")
        return service

    def ready(self) -> int:
        """Wait until answers can be given; return the actor's process."""
        pid: int = self._call("ready")
        return pid

    # --- outcomes in -------------------------------------------------------------------------

    def record(self, batch: Batch) -> int:
        """Return how many records were new, once they are durable.

        (After a call that was repeated that may be none: then the first one had arrived.)
        """
        new: int = self._call("record", batch)
        return new

    def record_many(self, trajectories: Sequence[Trajectory]) -> int:
        """As ``record``, of tries."""
        return self.record(Batch(trajectories=tuple(trajectories)))

    def record_all(self, sealed: Sequence[Sealed]) -> int:
        """As ``record``, of experiences."""
        return self.record(Batch(sealed=tuple(sealed)))

    def note(self, annotations: Sequence[Annotation]) -> int:
        """As ``record``, of annotations."""
        return self.record(Batch(annotations=tuple(annotations)))

    def revoke(
        self,
        target_kind: TargetKind,
        target: str,
        *,
        agent: str,
        now_s: int,
        reason: str = "",
        from_s: int = ALWAYS,
    ) -> Tombstone:
        """Let nothing use something any more."""
        tombstone = Tombstone(target_kind, target, reason, agent, now_s, from_s)
        self.note([tombstone])
        return tombstone

    # --- recommendations out -----------------------------------------------------------------

    def recommend(self, question: Question) -> Recommendation:
        """Answer a question."""
        (answer,) = self.recommend_many([question])
        return answer

    def recommend_many(self, questions: Sequence[Question]) -> list[Recommendation]:
        """Answer questions, in their order."""
        answers: list[Recommendation] = self._call("recommend_many", tuple(questions))
        return answers

    def search(self, context: Context | str | None, **filters: Any) -> list[Found]:
        """Return the patterns that are nearest."""
        found: list[Found] = self._call("search", context, **filters)
        return found

    def items(self, task_type: str, context: Context, as_of: int, **more: Any) -> list[FoundItem]:
        """Return what is worth knowing for a task."""
        found: list[FoundItem] = self._call("items", task_type, context, as_of, **more)
        return found

    # --- what is known -----------------------------------------------------------------------

    def patterns(self, task_type: str | None = None, **more: Any) -> list[Pattern]:
        """Return what is known, by pattern."""
        found: list[Pattern] = self._call("patterns", task_type, **more)
        return found

    def explain(self, pattern_id: str, *, as_of: int | None = None, most: int = 20) -> Explanation:
        """Return what a pattern says and rests on."""
        found: Explanation = self._call("explain", pattern_id, as_of=as_of, most=most)
        return found

    def approaches(self, task_type: str, *, domain: str | None = None) -> list[str]:
        """Return every approach to a type of task."""
        names: list[str] = self._call("approaches", task_type, domain=domain)
        return names

    def audit(self, now_s: int | None = None) -> Audit:
        """Return how good the bank's knowledge is."""
        audit: Audit = self._call("audit", now_s)
        return audit

    def lessons(self, until: View) -> list[Lesson]:
        """Return what all experiences teach that a view names."""
        lessons: list[Lesson] = self._call("lessons", until)
        return lessons

    def view(self) -> View:
        """Return how many epochs of each agent are recorded."""
        view: View = self._call("view")
        return view

    def judgements(self, **which: Any) -> list[Judgement]:
        """Return how tries were judged."""
        found: list[Judgement] = self._call("judgements", **which)
        return found

    def counts(self) -> dict[str, int]:
        """Return how many records there are of each kind."""
        counts: dict[str, int] = self._call("counts")
        return counts

    # --- between banks, and upkeep -----------------------------------------------------------

    def exchange(self, request: Request) -> Reply:
        """Answer another replica; what ``anti_entropy.reconcile`` asks with."""
        reply: Reply = self._call("exchange", request)
        return reply

    def backup(self, path: str) -> None:
        """Write a consistent copy, where the actor's file is."""
        self._call("backup", path)
