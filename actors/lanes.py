"""Threads that have something of their own, and do with it what others ask of them.

A database belongs to the thread that opened it, and answers come from state that only one thread
may change. So each such thing gets a thread, a *lane*; everybody else hands in work and waits for
what comes of it. Above: ``reasoning_bank``. Below: ``memory.group_store``.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.group_store import Batch, GroupStore

__all__ = ["Commits", "Committer", "Lane"]

T = TypeVar("T")
R = TypeVar("R")

#: Records after which a commit takes no further batch: nobody should wait for all others.
_MOST_RECORDS = 8_192


class Lane(Generic[T]):
    """A thread with something of its own, which it makes when it is first asked for something.

    If making it fails, whoever asked gets the error, and it is tried again for the next one.

    Parameters
    ----------
    name : str
        Of the thread.
    path : str
        Of the bank's file: named where somebody asks too late.
    make : callable
        Makes what belongs to the thread; called in it.
    """

    def __init__(self, name: str, path: str, make: Callable[[], T]) -> None:
        self._path = path
        self._make = make
        self._own: list[T] = []
        self._asked: queue.SimpleQueue[tuple[Callable[[T], Any], Future[Any]] | None]
        self._asked = queue.SimpleQueue()
        self._last: Callable[[T], object] | None = None
        self._lock = threading.Lock()
        # A daemon: one that hangs in the disk must not keep the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether what belongs to the thread is there."""
        return bool(self._own)

    def submit(self, work: Callable[[T], R]) -> Future[R]:
        """Hand in work; what is handed in first is done first.

        Raises
        ------
        StoreError
            If the lane is closed.
        """
        future: Future[R] = Future()
        with self._lock:
            if self._last is not None:
                raise StoreError(self._path, "is closed: its actor was told to end")
            self._asked.put((work, future))
        return future

    def call(self, work: Callable[[T], R]) -> R:
        """Hand in work and wait for what comes of it."""
        return self.submit(work).result()

    def close(self, last: Callable[[T], object]) -> None:
        """Let the thread do what was handed in, then this if it has anything; then it ends."""
        with self._lock:
            if self._last is None:
                self._last = last
                self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            self._do(*asked)
            asked = None  # who asked may be done with a large answer; this thread is
        if self._own and self._last is not None:
            self._do(self._last, Future())

    def _do(self, work: Callable[[T], Any], future: Future[Any]) -> None:
        try:
            if not self._own:
                self._own.append(self._make())
            answer = work(self._own[0])
        except BaseException as problem:
            future.set_exception(problem)
        else:
            future.set_result(answer)


@dataclass(frozen=True, slots=True)
class Commits:
    """What was committed.

    Attributes
    ----------
    commits : int
        That were tried, successful or not.
    batches, records : int
        That were acknowledged. Records that were there already are among them.
    refused : int
        Batches.
    """

    commits: int = 0
    batches: int = 0
    records: int = 0
    refused: int = 0


class Committer:
    """Group commit: batches that arrive while a commit is under way share the next one.

    Nobody waits for company: a batch that finds the disk idle is committed at once.

    Parameters
    ----------
    lane : Lane of GroupStore
        The writer's.
    most_together : int (>= 1)
        Batches in one commit.
    after : callable
        Called in the writer's thread after each commit, before anybody is answered.
    """

    def __init__(
        self, lane: Lane[GroupStore], most_together: int, after: Callable[[], None]
    ) -> None:
        self._lane = lane
        self._most_together = most_together
        self._after = after
        self._waiting: deque[tuple[Batch, Future[int]]] = deque()
        self._under_way = False
        self._lock = threading.Lock()
        #: What was done until now.
        self.done = Commits()

    def submit(self, batch: Batch) -> Future[int]:
        """Hand in a batch; its future has how many records were new once they are durable."""
        future: Future[int] = Future()
        running: Future[None] | None = None
        with self._lock:
            if not self._under_way:
                running = self._lane.submit(self._commit)
                self._under_way = True
            self._waiting.append((batch, future))
        if running is not None:
            running.add_done_callback(self._ended)
        return future

    def record(self, batch: Batch) -> int:
        """Hand in a batch and wait until it is durable; return how many records were new."""
        return self.submit(batch).result()

    def _commit(self, store: GroupStore) -> None:
        while group := self._next():
            outcomes = _recorded(store, [batch for batch, _ in group])
            good = [
                batch.size
                for (batch, _), outcome in zip(group, outcomes, strict=True)
                if isinstance(outcome, int)
            ]
            done = self.done
            self.done = Commits(
                done.commits + 1,
                done.batches + len(good),
                done.records + sum(good),
                done.refused + len(group) - len(good),
            )
            self._after()
            for (_, future), outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, int):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

    def _ended(self, running: Future[None]) -> None:
        """Tell those who wait, should the writer have failed outside of any commit."""
        problem = running.exception()
        if problem is None:
            return
        with self._lock:
            left = list(self._waiting)
            self._waiting.clear()
            self._under_way = False
        for _, future in left:
            future.set_exception(problem)

    def _next(self) -> list[tuple[Batch, Future[int]]]:
        """Take what goes into the next commit; where nothing waits, the lane is left."""
        group: list[tuple[Batch, Future[int]]] = []
        records = 0
        with self._lock:
            while self._waiting and len(group) < self._most_together and records < _MOST_RECORDS:
                group.append(self._waiting.popleft())
                records += group[-1][0].size
            self._under_way = bool(group)
        return group


def _recorded(store: GroupStore, batches: list[Batch]) -> list[int | BaseException]:
    """Record batches together; where that fails as a whole, each alone."""
    try:
        return list(store.record_each(batches))
    except BaseException as problem:
        if len(batches) == 1:
            return [problem]
    return [outcome for batch in batches for outcome in _recorded(store, [batch])]
