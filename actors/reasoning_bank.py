"""The actor that holds the ReasoningBank: the one writer of its file.

It is threaded, and a plain class (``bank_client`` makes it an actor). Everything that touches the
file has a thread of its own, so nobody waits for what does not concern him:

* the *writer* records. Callers that arrive while a commit is brought to the disk share the next
  one, and each is answered when its own records are durable; what is wrong with one caller's
  records is told to that one alone;
* the *answers* come from a bank that reads the same file and holds what is derived from it. It
  looks at the file before each answer, so whoever records and then asks finds what he recorded,
  and it goes on reading after each commit, so that who asks next finds that done;
* *log* reads what needs nothing derived, and makes backups; *exchange* answers other replicas.

Recording again what is there already changes nothing, so a caller that doesn't know whether his
call arrived calls again (``bank_client`` does). Calls name types of task and ids, never rows:
several actors may one day share what one holds.

Above: ``bank_client``, ``swarm``, ``coordinator``. Below: ``lanes``, ``memory``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.keeper import Keeper, Reader
from actors.lanes import Commits, Committer, Lane
from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Sealed, View
from swarm_runtime.core.lessons import Lesson
from swarm_runtime.errors import ConfigError, StoreError
from swarm_runtime.machines.context import market_space
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.choice.recommendation import Recommendation
from swarm_runtime.memory.log.deltas import Reply, Request
from swarm_runtime.memory.log.files import MEMORY
from swarm_runtime.memory.log.group_store import Batch, GroupStore
from swarm_runtime.memory.log.protocol import ExperienceStore
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.annotations import ALWAYS, Annotation, TargetKind, Tombstone
from swarm_runtime.memory.records.pattern import ContextSpace
from swarm_runtime.memory.records.trajectory import Context, Trajectory
from swarm_runtime.memory.state.judgements import Judgement
from swarm_runtime.memory.state.patterns import Explanation, Pattern
from swarm_runtime.memory.state.search import Found
from swarm_runtime.memory.state.shelf import FoundItem
from swarm_runtime.memory.state.tables import Embeds
from swarm_runtime.memory.travel.replica import Replica
from swarm_runtime.memory.upkeep import Audit

__all__ = ["BankActor", "Question", "Service"]

_MARKET = market_space()


@dataclass(frozen=True, slots=True)
class Question:
    """What ``ReasoningBank.recommend`` is asked; the fields are its parameters."""

    task_type: str
    context: Context
    candidates: tuple[str, ...]
    as_of: int
    domain: str | None = None
    draws: tuple[float, float] | None = None
    explain: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """How a bank is served.

    Attributes
    ----------
    pid : int
    commits : Commits
        Since the process was started.
    is_warm : bool
        Whether what answers are given from has been derived.
    """

    pid: int
    commits: Commits
    is_warm: bool


class BankActor:
    """A bank in a process of its own.

    Parameters
    ----------
    path : str
        Its file; it is checked on opening.
    settings : MemorySettings
    space : ContextSpace or None
        As for ``ReasoningBank``; by default the market's.
    make_embedder : callable or None
        Makes what turns contexts into vectors; None: ``embedding.Embedder``.
    dimension : int
        Of its vectors.
    most_together : int
        Callers whose records may share a commit; 1: none.
    look_every_s : float or None
        How often upkeep that is due is looked for; 0: only when ``keep`` is called.
    open_store : callable
        Opens the log for writing.
    clock : callable
        Seconds since 1970.

    Raises
    ------
    StoreError, RunFolderError, ConfigError
        As for ``ReasoningBank.open``.
    """

    def __init__(
        self,
        path: str,
        settings: MemorySettings,
        *,
        space: ContextSpace | None = _MARKET,
        make_embedder: Callable[[], Embeds] | None = None,
        dimension: int = 1024,
        most_together: int = 64,
        look_every_s: float | None = None,
        open_store: Callable[[str], GroupStore] = GroupStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if path == MEMORY:
            raise ConfigError("path", path, "a bank that is served needs a file")

        self._space, self._settings, self._dimension = space, settings, dimension

        # Where ``ReasoningBank.open`` keeps it too.
        derived = Path(f"{path}.derived")

        def read(folder: Path | None = None) -> Reader:
            # The writer has checked the file, and noted the space.
            store = SqliteStore(path, check=False)
            try:
                embedder = make_embedder() if folder and make_embedder else None
                return Reader(store, self._bank(store, embedder, folder))
            except BaseException:
                store.close()
                raise

        self._writer = Lane("bank-writer", path, lambda: open_store(path))
        self._commits = Committer(self._writer, most_together, self._read_on)
        self._answers = Lane("bank-answers", path, lambda: read(derived))
        self._log = Lane("bank-log", path, read)
        self._exchange = Lane(
            "bank-exchange", path, lambda: _Exchange(SqliteStore(path, check=False), self._commits)
        )
        self._reading_on = False
        try:
            # Notes the space in a new log and refuses another one; derives nothing.
            self._space = self._writer.call(lambda store: self._bank(store).space)
        except BaseException:
            self._end()
            raise
        self._keeper = Keeper(
            Path(path),
            settings.upkeep,
            self._answers,
            self._log,
            lambda: self._commits.done.records,
            clock,
            look_every_s,
        )
        if derived.exists():
            # Somebody has asked this bank before: be ready for the next one.
            self._answers.submit(_read_on)

    def _bank(
        self,
        store: ExperienceStore,
        embedder: Embeds | None = None,
        folder: Path | None = None,
    ) -> ReasoningBank:
        return ReasoningBank(
            store,
            space=self._space,
            settings=self._settings,
            embedder=embedder,
            dimension=self._dimension,
            folder=folder,
        )

    def close(self) -> None:
        """Finish what was begun and let go of the file; doing so twice is fine."""
        self._keeper.close()
        self._end()

    def _end(self) -> None:
        self._writer.close(lambda store: store.close())
        self._exchange.close(lambda own: own.close())
        self._log.close(lambda own: own.bank.close())
        self._answers.close(lambda own: own.bank.close())

    def __ray_shutdown__(self) -> None:
        """Ray calls this when the actor is told to end, not when it is killed."""
        self.close()

    # --- how it is ---------------------------------------------------------------------------

    def pid(self) -> int:
        """Return the process's id; answers also say that the actor is up."""
        return os.getpid()

    def service(self) -> Service:
        """Return how the bank is served."""
        return Service(os.getpid(), self._commits.done, self._answers.is_open)

    def ready(self) -> int:
        """Derive what answers are given from, if it isn't yet; return the process's id."""
        self._answers.call(_read_on)
        return os.getpid()

    # --- outcomes in -------------------------------------------------------------------------

    def record(self, batch: Batch) -> int:
        """Make records of any kind durable, all of them or none; return how many were new.

        Raises
        ------
        StoreError
            If one has the name of another one that is here, or leaves a gap in the epochs of its
            agent, or the disk refuses.
        ValueError
            If an experience is malformed, or lies outside of the space.
        ConfigError
            If there are experiences, and the bank has no space.
        """
        for one in batch.sealed:
            self._check(one)
        return self._commits.record(batch)

    def record_many(self, trajectories: Sequence[Trajectory]) -> int:
        """Make tries durable; as ``record``."""
        return self.record(Batch(trajectories=tuple(trajectories)))

    def record_all(self, sealed: Sequence[Sealed]) -> int:
        """Make experiences of agents durable; as ``record``."""
        return self.record(Batch(sealed=tuple(sealed)))

    def note(self, annotations: Sequence[Annotation]) -> int:
        """Make verdicts, items, usage, links and tombstones durable; as ``record``."""
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
        """Let nothing use something any more; see ``ReasoningBank.revoke``.

        When this returns, no answer that is asked for rests on it. Doing so twice with the same
        arguments changes nothing.
        """
        tombstone = Tombstone(target_kind, target, reason, agent, now_s, from_s)
        self.note([tombstone])
        return tombstone

    def _check(self, sealed: Sealed) -> None:
        """See that an experience can be opened: what is recorded stays for ever."""
        if self._space is None:
            raise ConfigError("space", None, "experiences of agents need a bank with a space")
        experience = sealed.open()
        experience.check()
        cells = experience.cells
        if len(cells) and cells.max() >= self._space.cell_count:
            raise ValueError(f"cell {cells.max()} in a space of {self._space.cell_count} cells")

    def _read_on(self) -> None:
        """Let answers be ready for what was just recorded, if somebody asks at all."""
        if self._answers.is_open and not self._reading_on:
            self._reading_on = True

            def work(own: Reader) -> None:
                # Before reading: what is committed while this reads may not be seen by it.
                self._reading_on = False
                _read_on(own)

            with contextlib.suppress(StoreError):  # it is being closed
                self._answers.submit(work)

    # --- recommendations out -----------------------------------------------------------------

    def recommend(self, question: Question) -> Recommendation:
        """Say which candidate to take in a context, and why; see ``ReasoningBank.recommend``."""
        (answer,) = self.recommend_many([question])
        return answer

    def recommend_many(self, questions: Sequence[Question]) -> list[Recommendation]:
        """Answer questions, in their order.

        Raises
        ------
        ValueError
            If one can't be asked like this; it says which.
        """
        return self._answers.call(lambda own: _recommended(own.bank, questions))

    def search(self, context: Context | str | None, **filters: Any) -> list[Found]:
        """Return the patterns that are nearest; parameters as for ``ReasoningBank.search``."""
        return self._answers.call(lambda own: own.bank.search(context, **filters))

    def items(self, task_type: str, context: Context, as_of: int, **more: Any) -> list[FoundItem]:
        """Return what is worth knowing for a task; parameters as for ``ReasoningBank.items``."""
        return self._answers.call(lambda own: own.bank.items(task_type, context, as_of, **more))

    # --- what is known -----------------------------------------------------------------------

    def patterns(self, task_type: str | None = None, **more: Any) -> list[Pattern]:
        """Return what is known, by pattern; parameters as for ``ReasoningBank.patterns``.

        Of a large bank this holds up other answers for a while.
        """
        return self._answers.call(lambda own: own.bank.patterns(task_type, **more))

    def explain(self, pattern_id: str, *, as_of: int | None = None, most: int = 20) -> Explanation:
        """Return what a pattern says and rests on; see ``ReasoningBank.explain``."""
        return self._answers.call(lambda own: own.bank.explain(pattern_id, as_of=as_of, most=most))

    def approaches(self, task_type: str, *, domain: str | None = None) -> list[str]:
        """Return every approach to a type of task that was recorded, in order of names."""
        return self._answers.call(lambda own: own.bank.approaches(task_type, domain=domain))

    def audit(self, now_s: int | None = None) -> Audit:
        """Return how good the bank's knowledge is; see ``Upkeep.audit``."""
        return self._answers.call(lambda own: own.bank.upkeep.audit(now_s))

    def lessons(self, until: View) -> list[Lesson]:
        """Return what all experiences teach that a view names."""
        return self._log.call(lambda own: own.bank.lessons(until))

    def view(self) -> View:
        """Return how many epochs of each agent are recorded."""
        return self._log.call(lambda own: own.bank.view())

    def judgements(self, **which: Any) -> list[Judgement]:
        """Return how tries were judged; parameters as for ``ReasoningBank.judgements``."""
        return self._log.call(lambda own: own.bank.insight.judgements(**which))

    def counts(self) -> dict[str, int]:
        """Return how many records there are of each kind."""
        return self._log.call(lambda own: own.store.counts())

    # --- between banks, and upkeep -----------------------------------------------------------

    def exchange(self, request: Request) -> Reply:
        """Answer another replica, or take what it offers; see ``anti_entropy``.

        Raises
        ------
        ValueError
            If the request is not of its form.
        """
        return self._exchange.call(lambda own: own.replica.answer(request))

    def backup(self, path: str) -> None:
        """Write a consistent copy of the file while it is in use."""
        self._log.call(lambda own: own.store.backup(path))

    def keep(self, now_s: float) -> list[str]:
        """Do what upkeep is due at a time; return what was done: see ``keeper``."""
        return self._keeper.keep(now_s)


class _Exchange:
    """A replica that reads with a handle of its own, and has the writer record what it takes."""

    def __init__(self, store: SqliteStore, commits: Committer) -> None:
        self._store = store
        self._commits = commits
        self.close = store.close
        self.kept_from_s = store.kept_from_s
        self.generation = store.generation
        self.seals = store.seals
        self.packets = store.packets
        self.view = store.view
        self.epoch_seals = store.epoch_seals
        self.sealed = store.sealed
        self.replica = Replica(self)

    def record_all(
        self,
        sealed: Sequence[Sealed],
        trajectories: Sequence[Trajectory],
        annotations: Sequence[Annotation],
    ) -> int:
        """See ``replica.Log``."""
        return self._commits.record(Batch(sealed, trajectories, annotations))


def _recommended(bank: ReasoningBank, questions: Sequence[Question]) -> list[Recommendation]:
    answers: list[Recommendation] = []
    for at, one in enumerate(questions):
        try:
            answer = bank.recommend(
                one.task_type,
                one.context,
                one.candidates,
                one.as_of,
                domain=one.domain,
                draws=one.draws,
                explain=one.explain,
            )
        except ValueError as problem:
            raise ValueError(f"question {at} of {len(questions)}: {problem}") from problem
        answers.append(answer)
    return answers


def _read_on(own: Reader) -> None:
    # Any question about derived state reads on; this one has the shortest answer.
    own.bank.approaches("")
