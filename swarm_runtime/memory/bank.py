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
opened it; other processes may read and write the same file.
Below: ``store``, ``derived``, ``safla``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.core.lessons import Lesson, lesson_of
from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.derived import Derived
from swarm_runtime.memory.pattern import ContextSpace, space_from_json, space_to_json
from swarm_runtime.memory.patterns import Explanation, Pattern
from swarm_runtime.memory.ranking import Statistics, recency_table
from swarm_runtime.memory.recommendation import (
    Recommendation,
    best_candidate,
    candidate_estimates,
    recommendation,
)
from swarm_runtime.memory.safla import adapt, apply
from swarm_runtime.memory.store import ExperienceStore, SqliteStore
from swarm_runtime.memory.trajectory import Context, Trajectory

__all__ = ["ReasoningBank"]

_SPACE = "space"


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
    dimension : int
        Of the embedding of contexts outside of the space.

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
        dimension: int = 1024,
    ) -> None:
        self._store = store
        self._settings = settings or MemorySettings()
        self._space = _agreed_space(store, space)
        self._derived = Derived(store, self._space, self._settings, dimension)
        self._recency = recency_table(self._settings.half_life_days)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        space: ContextSpace | None = None,
        settings: MemorySettings | None = None,
        dimension: int = 1024,
    ) -> Self:
        """Open a bank, or make one.

        Parameters
        ----------
        path : str or Path
            A file, or ``":memory:"`` for a bank that is gone when it is closed.
        space, settings, dimension : see the class

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
            return cls(store, space=space, settings=settings, dimension=dimension)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the file; doing so twice is fine."""
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

        Raises
        ------
        ValueError
            If there are no candidates, one is named twice, or a value of the context is neither a
            text nor a finite number.
        """
        if not candidates or len(set(candidates)) < len(candidates):
            raise ValueError(f"candidates = {list(candidates)!r}: one or more different ones")
        recall = self._derived.recall(context, task_type, candidates, domain, as_of)
        estimates = adapt(recall.statistics, recall.cells, recall.similarity, self._recency, as_of)
        explore_draw, withhold_draw = draws or (0.0, 1.0)
        choice = apply(
            estimates,
            self._settings,
            np.ones(1, dtype=np.bool_),
            np.array([explore_draw]),
            np.array([withhold_draw]),
        )
        found = candidate_estimates(estimates, candidates, self._settings.bound_z)
        best = found[best_candidate(estimates, self._settings)]
        return recommendation(
            found,
            choice,
            self._settings,
            recall.evidence(best.approach),
            best,
            as_of,
            explores=draws is not None,
        )

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

        Reads the whole log.
        """
        return [
            pattern
            for pattern in self._derived.fold(as_of).patterns(as_of)
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
        fold = self._derived.fold(as_of)
        key = fold.key(pattern_id)
        if key is None:
            raise ConfigError("pattern", pattern_id, "nothing is known of a pattern of this id")
        (pattern,) = (one for one in fold.patterns(as_of) if one.id == pattern_id)
        outcomes = self._derived.outcomes(key, as_of)
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


def _agreed_space(store: ExperienceStore, space: ContextSpace | None) -> ContextSpace | None:
    """Return the log's space; a log without one takes the one that is given."""
    written = store.setting(_SPACE)
    if written is None:
        if space is not None:
            store.set_setting(_SPACE, space_to_json(space))
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
