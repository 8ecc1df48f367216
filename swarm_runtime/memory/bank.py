"""The ReasoningBank: outcomes in, recommendations out.

It is used alone, for any kind of task::

    with ReasoningBank.open("bank.db") as bank:
        bank.record(Trajectory(id="run1/7", agent="me", task_type="fetch", approach="mirror-2",
                               context={"site": "example.org", "hour": 14}, known_at_s=now,
                               excess=1.0, verdict=1))
        found = bank.recommend("fetch", {"site": "example.org", "hour": 15},
                               ["mirror-1", "mirror-2"], as_of=now)
        found.approach, found.why

or by a swarm, whose agents record batches over a declared ``ContextSpace`` and recommend to
themselves from what has reached them. A recommendation uses only what was known by ``as_of``.

The log in the store is the truth, all else is derived from it. A bank belongs to the thread that
opened it; other processes may read and write the same file. What keeps it small, whole and safe is
``bank.upkeep``; what it can say about its own knowledge, ``bank.insight``; what carries knowledge
from one bank to another, ``bank.exchange``.
Below: ``store``, ``derived``, ``safla``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cachetools import TTLCache

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.core.lessons import Lesson, lesson_of
from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.choice.policies import AGENTS_POLICY, Question, policy_named
from swarm_runtime.memory.choice.ranking import Statistics, recency_table
from swarm_runtime.memory.choice.recommendation import Recommendation, answered
from swarm_runtime.memory.choice.safla import adapt
from swarm_runtime.memory.exchange import Exchange
from swarm_runtime.memory.insight import Insight
from swarm_runtime.memory.log.protocol import SPACE, ExperienceStore
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.annotations import ALWAYS, Annotation, TargetKind, Tombstone
from swarm_runtime.memory.records.pattern import ContextSpace, space_from_json, space_to_json
from swarm_runtime.memory.records.trajectory import Context, Trajectory
from swarm_runtime.memory.state.derived import Derived
from swarm_runtime.memory.state.patterns import Explanation, Pattern
from swarm_runtime.memory.state.search import Filters, Found
from swarm_runtime.memory.state.shelf import FoundItem
from swarm_runtime.memory.state.snapshots import Snapshots
from swarm_runtime.memory.state.tables import Embeds
from swarm_runtime.memory.trust.credit import NOTHING_KNOWN, Uplift, chance_to_give
from swarm_runtime.memory.upkeep import Upkeep
from swarm_runtime.memory.vectors.embedding import Embedder
from swarm_runtime.memory.vectors.index import VectorIndex

__all__ = ["ReasoningBank"]

_GOLDEN = (5.0**0.5 - 1.0) / 2.0


class ReasoningBank:
    """A durable memory of what worked where.

    Parameters
    ----------
    store : ExperienceStore
        The log; ``open`` makes one from a path. The bank closes it.
    space : ContextSpace or None
        The declared space of contexts; needed for experiences of agents. It is written into the
        log, so None takes the one that is there.
    settings : MemorySettings
    embedder : Embeds or None
        Turns contexts outside of the space into vectors; None: ``embedding.Embedder``.
    dimension : int
        Of its vectors.
    folder : Path or None
        Where what is derived from a large log is kept for the next start; None: nowhere.
    clock : callable
        Seconds on any scale; how long answers are kept is measured with it, and nothing else.

    Raises
    ------
    ConfigError
        If the log was written with another space.
    """

    def __init__(
        self,
        store: ExperienceStore,
        *,
        space: ContextSpace | None = None,
        settings: MemorySettings | None = None,
        embedder: Embeds | None = None,
        dimension: int = 1024,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings = settings or MemorySettings()
        self._space = _agreed_space(store, space)
        embeds: Embeds = embedder or Embedder(dimension, self._space)
        made_with = json.dumps(
            [embeds.name, dimension, space_to_json(self._space) if self._space else None]
        )
        self._derived = Derived(
            store,
            self._space,
            self._settings,
            embeds,
            lambda: VectorIndex(dimension),
            Snapshots(folder, dimension, made_with) if folder else None,
        )
        self._policy = policy_named(self._settings.policy)
        self._recency = recency_table(self._settings.half_life_days)
        self._insight = Insight(store, self._derived)
        self._exchange: Exchange | None = None
        self._closed = False
        cache = self._settings.cache
        self._answers: TTLCache[object, Recommendation | list[Found]] = TTLCache(
            cache.entries, cache.ttl_s, timer=clock
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        space: ContextSpace | None = None,
        settings: MemorySettings | None = None,
        embedder: Embeds | None = None,
        dimension: int = 1024,
    ) -> Self:
        """Open a bank, or make one.

        Parameters
        ----------
        path : str or Path
            A file, or ``":memory:"`` for a bank that is gone when it is closed.
        space, settings, embedder, dimension : see the class

        Raises
        ------
        StoreError
            If the file is no bank, damaged, or of a newer format.
        RunFolderError
            If its folder is missing or can't be written.
        ConfigError
            If the bank was written with another space.
        """
        store = SqliteStore(path)
        try:
            return cls(
                store,
                space=space,
                settings=settings,
                embedder=embedder,
                dimension=dimension,
                folder=None if str(path) == ":memory:" else Path(f"{path}.derived"),
            )
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the file; doing so twice is fine."""
        if not self._closed:
            self._closed = True
            try:
                self._derived.close()
            finally:
                self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def space(self) -> ContextSpace | None:
        """The declared space of contexts."""
        return self._space

    @property
    def insight(self) -> Insight:
        """What it can say about its own knowledge: links, worth, doubts, items distilled."""
        return self._insight

    @property
    def exchange(self) -> Exchange:
        """What carries knowledge to other banks and from them.

        Raises
        ------
        ConfigError
            If the log is in another store than a file of this project.
        """
        if self._exchange is None:
            if not isinstance(self._store, SqliteStore):
                raise ConfigError("store", type(self._store).__name__, "only SqliteStore travels")
            self._exchange = Exchange(self._store)
        return self._exchange

    @property
    def upkeep(self) -> Upkeep:
        """What keeps it small, whole and safe."""
        return Upkeep(self._store, self._derived, self._settings)

    # --- outcomes in -------------------------------------------------------------------------

    def record(self, trajectory: Trajectory) -> str:
        """Record one try; it is on the disk when this returns. Doing so twice changes nothing.

        Returns
        -------
        str
            The trajectory's id.

        Raises
        ------
        StoreError
            If another try of this id is here, or the disk refuses.
        """
        self._store.record_all((), (trajectory,))
        return trajectory.id

    def record_many(self, trajectories: Iterable[Trajectory]) -> int:
        """Record tries in one commit; return how many were new.

        Raises
        ------
        StoreError
            If another try of one's id is here, or the disk refuses. Then nothing was recorded.
        """
        return self._store.record_all((), tuple(trajectories))

    def note(self, annotations: Iterable[Annotation]) -> int:
        """Record verdicts, items, usage, links and tombstones in one commit, as ``record_many``."""
        return self._store.record_all((), (), tuple(annotations))

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
        """Let nothing use what an agent reported, a pattern, a trajectory or an item any more.

        It stays in the log, with the reason. Replicas that take the tombstone, and other processes
        that have the file open, obey it from their next answer on.

        Parameters
        ----------
        target_kind, target : str
            See ``records.Tombstone``.
        agent : str
            Who revokes.
        now_s : int
        reason : str
        from_s : int
            From which moment on; by default also for questions about the past.

        Raises
        ------
        ValueError
            If there is no such kind of target.
        """
        tombstone = Tombstone(target_kind, target, reason, agent, now_s, from_s)
        self.note([tombstone])
        return tombstone

    def record_all(self, experiences: Iterable[Sealed | Experience]) -> int:
        """Record experiences of agents in one commit; return how many were new.

        Those that are here already change nothing, so sending a batch again is safe.

        Raises
        ------
        StoreError
            If another experience of the same agent and epoch is here, an epoch is missing before
            one of these, or the disk refuses. Then nothing was recorded.
        ConfigError
            If the bank has no space.
        ValueError
            If one is malformed, or lies outside of the space.
        """
        sealed: list[Sealed] = []
        for one in experiences:
            # What is recorded stays for ever, so it is opened and checked before.
            self._check(one.open() if isinstance(one, Sealed) else one)
            sealed.append(one if isinstance(one, Sealed) else one.seal())
        return self._store.record_all(sealed, ())

    def _check(self, experience: Experience) -> None:
        if self._space is None:
            raise ConfigError("space", None, "experiences of agents need a bank with a space")
        experience.check()
        cells = experience.cells
        if len(cells) and cells.max() >= self._space.cell_count:
            raise ValueError(f"cell {cells.max()} in a space of {self._space.cell_count} cells")

    # --- recommendations out -----------------------------------------------------------------

    def recommend(
        self,
        task_type: str,
        context: Context,
        candidates: Sequence[str],
        as_of: int,
        *,
        domain: str | None = None,
        draws: tuple[float, float] | None = None,
        explain: bool = True,
    ) -> Recommendation:
        """Say which candidate to take in a context, and why; or abstain.

        Parameters
        ----------
        task_type : str
        context : mapping of str to float or str
        candidates : sequence of str
            In order of preference where the memory sees no difference.
        as_of : int
            Now, in seconds since 1970: nothing that was known later is used. (Going back in time
            is possible, and costs reading the log anew where the bank has a space.)
        domain : str or None
            Only what was found in this domain; None: in all.
        draws : tuple of two float, or None
            Uniform in [0, 1), for exploring and for withholding. With them the answer always names
            an approach: where the memory abstains, or is made to, one at random. Without them
            nothing is withheld, and to abstain is to name none.
        explain : bool
            Whether the patterns that the answer rests on are named.

        Raises
        ------
        ValueError
            If there are no candidates, one is named twice, or a value of the context is neither a
            text nor a finite number.
        """
        if not candidates or len(set(candidates)) < len(candidates):
            raise ValueError(f"candidates = {list(candidates)!r}: one or more different ones")
        self._derived.follow()
        key = (
            self._derived.serial, task_type, tuple(sorted(context.items())), tuple(candidates),
            as_of, domain, explain,
        )  # fmt: skip
        if draws is None and key in self._answers:
            kept = self._answers[key]
            assert isinstance(kept, Recommendation)
            return kept
        answer = self._recommend(task_type, context, candidates, as_of, domain, draws, explain)
        if draws is None:
            self._answers[key] = answer
        return answer

    def _recommend(
        self,
        task_type: str,
        context: Context,
        candidates: Sequence[str],
        as_of: int,
        domain: str | None,
        draws: tuple[float, float] | None,
        explain: bool,
    ) -> Recommendation:
        recall = self._derived.recall(context, task_type, candidates, domain, as_of)
        estimates = adapt(recall.statistics, recall.cells, recall.similarity, self._recency, as_of)
        # In the declared space a bank says what agents say to themselves, bit by bit.
        declared = self._derived.reader.number(context) is not None
        policy = AGENTS_POLICY if declared else self._policy
        belief = None
        if policy.needs_belief:
            belief = self._derived.belief(context, task_type, candidates, domain)
        answer = policy.choose(Question(estimates, self._settings, draws, belief))
        return answered(
            answer,
            estimates,
            candidates,
            self._settings,
            recall.evidence if explain else None,
            as_of,
        )

    def search(
        self,
        context: Context | str | None,
        *,
        task_type: str | None = None,
        domain: str | None = None,
        approach: str | None = None,
        minimum_confidence: float = 0.0,
        minimum_usage: int = 0,
        known_from_s: int | None = None,
        known_until_s: int | None = None,
        count: int = 10,
        diversity: float | None = None,
        as_of: int | None = None,
    ) -> list[Found]:
        """Return the patterns that pass the filters and whose context is nearest, best first.

        Patterns of the declared space are not searched; see ``patterns``.

        Parameters
        ----------
        context : mapping, str or None
            What to look for; a text stands for a context that has only this. None: whatever
            passes, the most confident first.
        task_type, domain, approach, minimum_confidence, minimum_usage, known_from_s, known_until_s
            See ``search.Filters``.
        count : int
        diversity : float or None
            λ of maximal marginal relevance, 1: by similarity alone; None: as set.
        as_of : int or None
            Nothing that was known later is found; None: no limit.

        Raises
        ------
        ValueError
            If a number is out of range, or a value of the context is neither a text nor a finite
            number.
        """
        weight = self._settings.diversity if diversity is None else diversity
        if not 0.0 <= weight <= 1.0 or not 0.0 <= minimum_confidence <= 1.0:
            raise ValueError(
                f"diversity = {weight!r}, minimum_confidence = {minimum_confidence!r}: from 0 to 1"
            )
        if count < 1 or minimum_usage < 0:
            raise ValueError(f"count = {count!r}, minimum_usage = {minimum_usage!r}: not negative")
        query = {"query": context} if isinstance(context, str) else context
        filters = Filters(
            task_type, domain, approach, minimum_confidence, minimum_usage, known_from_s,
            known_until_s,
        )  # fmt: skip
        self._derived.follow()
        asked = None if query is None else tuple(sorted(query.items()))
        key = (self._derived.serial, asked, filters, count, weight, as_of)
        if key in self._answers:
            kept = self._answers[key]
            assert isinstance(kept, list)
            return list(kept)
        found = self._derived.search(query, filters, count, as_of, weight)
        self._answers[key] = list(found)
        return found

    def items(
        self,
        task_type: str,
        context: Context,
        as_of: int,
        *,
        domain: str | None = None,
        experiences: int = 1,
        minimum_similarity: float = 0.3,
        draw: float | None = None,
    ) -> list[FoundItem]:
        """Return what is worth knowing for a task, learnt at tasks like it; none where none is.

        Parameters
        ----------
        task_type : str
        context : mapping of str to float or str
            Of the task.
        as_of : int
            Nothing that was known later is found.
        domain : str or None
            None: any.
        experiences : int
            How many bring their items, three each at most. More was worse in the paper.
        minimum_similarity : float
            Cosine below which a task has nothing to say about this one.
        draw : float or None
            Uniform in [0, 1), for withholding some at random (they are returned, marked); None:
            nothing is withheld, and what surely harms is not returned.
        """
        if experiences < 1 or not -1.0 <= minimum_similarity <= 1.0:
            raise ValueError(
                f"experiences = {experiences!r}: 1 or more; minimum_similarity ="
                f" {minimum_similarity!r}: from -1 to 1"
            )
        credit = self._insight.credit(as_of_s=as_of)
        harmful = self._insight.harmful(as_of)
        found = self._derived.find_items(
            context,
            task_type,
            domain,
            as_of,
            experiences,
            minimum_similarity,
            (lambda item: item.statement not in harmful) if draw is None and harmful else None,
        )
        if draw is None:
            return found
        rate = self._settings.withheld_fraction
        return [
            _drawn(one, credit.get(one.item.statement, NOTHING_KNOWN), rate, draw + at * _GOLDEN)
            for at, one in enumerate(found)
        ]

    # --- what is known -----------------------------------------------------------------------

    def patterns(
        self,
        task_type: str | None = None,
        *,
        domain: str | None = None,
        approach: str | None = None,
        as_of: int | None = None,
    ) -> list[Pattern]:
        """Return what was known by a moment, by pattern; None: no limit.

        Reads the whole log where the bank has a space.
        """
        return [
            pattern
            for pattern in self._derived.patterns(as_of)
            if task_type in (None, pattern.task_type)
            and domain in (None, pattern.domain)
            and approach in (None, pattern.approach)
        ]

    def explain(self, pattern_id: str, *, as_of: int | None = None, most: int = 20) -> Explanation:
        """Return what a pattern says, and the outcomes that it rests on.

        Parameters
        ----------
        pattern_id : str
        as_of : int or None
            As in ``patterns``.
        most : int
            How many outcomes are named.

        Raises
        ------
        ConfigError
            If nothing is known of a pattern of this id.
        """
        known = self._derived.pattern(pattern_id, as_of)
        if known is None:
            raise ConfigError("pattern", pattern_id, "nothing is known of a pattern of this id")
        pattern, outcomes = known
        return Explanation(pattern, pattern.sentence(), tuple(outcomes[:most]))

    def approaches(self, task_type: str, *, domain: str | None = None) -> list[str]:
        """Return every approach to a type of task that was recorded, in order of names."""
        return self._derived.approaches(task_type, domain)

    def statistics(
        self,
        task_type: str,
        approaches: Sequence[str] | None = None,
        *,
        as_of: int,
        domain: str | None = None,
    ) -> Statistics:
        """Return the counters of the space's cells as of a moment, as an agent would have them.

        Parameters
        ----------
        task_type : str
        approaches : sequence of str or None
            The columns; None: ``self.approaches(task_type)``.
        as_of : int
        domain : str or None

        Raises
        ------
        ConfigError
            If the bank has no space.
        """
        columns = self.approaches(task_type, domain=domain) if approaches is None else approaches
        return self._derived.statistics(task_type, columns, domain, as_of)

    def view(self) -> View:
        """Return how many epochs of each agent are recorded."""
        return self._store.view()

    def experiences(self, after: View | None = None, until: View | None = None) -> list[Experience]:
        """Return experiences of agents by (epoch, agent): above one view, up to another.

        Raises
        ------
        StoreError
            If not everything that ``until`` names is here.
        """
        return self._store.experiences(after, until)

    def sealed(self, until: View | None = None, after: View | None = None) -> list[Sealed]:
        """Return the same, sealed."""
        return self._store.sealed(after, until)

    def lessons(self, until: View | None = None, after: View | None = None) -> list[Lesson]:
        """Return what agents' experiences teach, in canonical order, in the form that travels."""
        return [lesson_of(one) for one in self.experiences(after, until)]

    def verify(self) -> int:
        """Read the whole log and check it; return how many records there are.

        Raises
        ------
        StoreError
            Names the first thing that is wrong.
        """
        return self._store.verify()


def _drawn(found: FoundItem, credit: Uplift, withheld_fraction: float, draw: float) -> FoundItem:
    """Give an item or withhold it, as a draw decides; one draw, shifted, is as good as several."""
    chance = chance_to_give(credit, withheld_fraction)
    given = draw % 1.0 < chance
    return replace(found, given=given, propensity=chance if given else 1.0 - chance)


def _agreed_space(store: ExperienceStore, space: ContextSpace | None) -> ContextSpace | None:
    """Return the log's space; a log without one takes the one that is given."""
    written = store.setting(SPACE)
    if written is None:
        if space is not None:
            store.set_setting(SPACE, space_to_json(space))
        return space
    if space is not None and space_to_json(space) != written:
        names = ", ".join(feature.name for feature in space.features)
        raise ConfigError(
            "space",
            names,
            "the bank was written with another context space; open it without one to read it, or"
            " start a new bank",
        )
    return space_from_json(written)
